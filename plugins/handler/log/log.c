/*
 * log - writes a line of the server's log for messages that pass. They are not changed.
 *
 * Of each second, counted from its first line, at most `rate` are written; the next line that is tells how many were left out.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "tasks.h"
#include "template.h"

#define SECOND_MS 1000u
#define TEXT_LEN_MAX 2000 /* of a line */

enum { LEVEL, EVERY, RATE, TEXT };

static const char *const level_words[] = {"error", "warn", "info", "debug", NULL};
_Static_assert(XF_LOG_ERROR == 0 && XF_LOG_DEBUG == 3, "the words stand in the order of the levels");

static const struct xf_option *const options[] = {
	[LEVEL] = ROW(.type = XF_OPTION_ENUM, .key = "level", .def = "info", .values = level_words,
	              .help = "Level of the lines"),
	[EVERY] = ROW(.type = XF_OPTION_I64, .key = "every", .def = "1", .min = 1, .max = INT64_C(1000000000000),
	              .unit = "messages", .help = "One line for so many messages, the first of them"),
	[RATE] = ROW(.type = XF_OPTION_I64, .key = "rate", .def = "10", .min = 0, .max = 1000000, .unit = "lines",
	             .help = "At most so many lines a second, the others are counted; 0 is without a bound"),
	[TEXT] = ROW(.type = XF_OPTION_STRING, .key = "text", .help = "Template of what stands behind subject, id and size"),
	NULL,
};

struct log {
	const struct xf_host *host;
	struct xf_endpoint *endpoint;
	struct template *text; /* NULL: none */
	uint32_t level;
	uint64_t every;
	uint64_t rate;
	uint64_t seen;
	uint64_t second_ms; /* when the second began */
	uint64_t lines;     /* in it */
	uint64_t left_out;  /* since the last line */
	struct view view;
	struct bytes scratch;
};

static int32_t
log_check(const struct xf_host *host, const struct xf_config *config, const struct xf_handler_info *info,
          struct xf_error *error)
{
	const struct xf_value *text = host->option(config, TEXT);
	struct xf_error why = {{0}};
	struct template *template;

	(void)info;
	if (!text->present)
		return 0;
	template = template_create(text->str, &why);
	if (template == NULL) {
		snprintf(error->text, sizeof(error->text), "text: %.500s", why.text);
		return -1;
	}
	template_destroy(&template);
	return 0;
}

static int32_t
log_create(const struct xf_host *host, struct xf_endpoint *endpoint, const struct xf_config *config,
           const struct xf_handler_info *info, void **instance, struct xf_error *error)
{
	struct log *log = need(calloc(1, sizeof(*log)));
	const struct xf_value *text = host->option(config, TEXT);

	(void)info;
	log->host = host;
	log->endpoint = endpoint;
	log->level = (uint32_t)host->option(config, LEVEL)->i64;
	log->every = (uint64_t)host->option(config, EVERY)->i64;
	log->rate = (uint64_t)host->option(config, RATE)->i64;
	if (text->present && (log->text = template_create(text->str, error)) == NULL) {
		free(log);
		return -1;
	}
	*instance = log;
	return 0;
}

/* Whether a line may be written now. */
static bool
line_take(struct log *log)
{
	uint64_t now;

	if (log->seen++ % log->every != 0)
		return false;
	now = log->host->now_ms();
	if (log->lines == 0 || now - log->second_ms >= SECOND_MS) {
		log->second_ms = now;
		log->lines = 0;
	}
	if (log->rate > 0 && log->lines >= log->rate) {
		log->left_out++;
		return false;
	}
	log->lines++;
	return true;
}

static void
line_write(struct log *log, const struct xf_incoming *message)
{
	struct xf_error error = {{0}};
	struct xf_str text = {NULL, 0};
	char line[TEXT_LEN_MAX], left_out[48] = "";

	view_open(&log->view, message);
	if (log->text != NULL && !template_value(log->text, &log->view, &log->scratch, &text, &error))
		text = str_of(error.text);
	if (log->left_out > 0)
		snprintf(left_out, sizeof(left_out), " left_out=%" PRIu64, log->left_out);
	log->left_out = 0;
	snprintf(line, sizeof(line), "subject=%.*s id=%.*s bytes=%" PRIu64 "%s%s%.*s", STR_ARG(message->subject),
	         STR_ARG(message->id), message->payload_size, left_out, text.len > 0 ? " " : "", STR_ARG(text));
	for (char *c = line; *c != '\0'; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = ' ';
	log->host->log(log->endpoint, log->level, line);
}

static uint32_t
log_process(void *instance, const struct xf_task *tasks, uint32_t stride, uint32_t count)
{
	struct log *log = instance;

	for (uint32_t i = 0; i < count; i++) {
		const struct xf_task *task = task_at(tasks, stride, i);

		if (line_take(log))
			line_write(log, task->message);
		task_finish(log->host, log->endpoint, task->token, XF_OUTCOME_PASS, NULL);
	}
	return count;
}

static void
log_stop(void *instance)
{
	struct log *log = instance;
	char line[48];

	if (log->left_out == 0)
		return;
	snprintf(line, sizeof(line), "left_out=%" PRIu64, log->left_out);
	log->host->log(log->endpoint, log->level, line);
	log->left_out = 0;
}

static void
log_destroy(void *instance)
{
	struct log *log = instance;

	template_destroy(&log->text);
	view_fini(&log->view);
	bytes_fini(&log->scratch);
	free(log);
}

static const struct xf_handler_ops ops = {
	.struct_size = sizeof(ops),
	.check = log_check,
	.create = log_create,
	.process = log_process,
	.stop = log_stop,
	.destroy = log_destroy,
};

static const struct xf_handler_class log_class = {
	.head = {
		.struct_size = sizeof(log_class),
		.kind = XF_KIND_HANDLER,
		.name = "log",
		.summary = "Writes lines of the server's log for messages that pass",
	},
	.options = options,
	.ops = &ops,
};

const struct xf_entry *
xf_plugin_entry_v1(void)
{
	static const struct xf_class *const classes[] = {&log_class.head, NULL};
	static const struct xf_entry entry = {
		XF_ENTRY_HEAD,
		.id = "org.crossfade.log",
		.version = XF_VERSION,
		.licence = "Apache-2.0",
		.url = "",
		.classes = classes,
	};

	return &entry;
}
