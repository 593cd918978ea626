/*
 * prioritize - tells how urgent a request is, and why.
 *
 * The payload is a request (request.h); what goes on in its place is the result. Its points come of rules (rules.h), or of a judgement
 * that a handler before this one has put into the request.
 */
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "pointer.h"
#include "rules.h"
#include "template.h"

enum { LEVELS = RULES_ROWS, REQUIRED, DEADLINE_FIELD, JUDGEMENT, SUBJECT };
enum { LEVEL_LOW, LEVEL_MEDIUM, LEVEL_HIGH, LEVEL_CRITICAL, LEVEL_COUNT };

static const char *const level_names[] = {"LOW", "MEDIUM", "HIGH", "CRITICAL"};
static const char *const level_keys[] = {"low", "medium", "high", "critical"};

#define MEDIUM_FROM "3.0"
#define HIGH_FROM "5.5"
#define CRITICAL_FROM "8.0"

static const struct xf_option *const level_fields[] = {
	ROW(.type = XF_OPTION_F64, .key = "medium", .def = MEDIUM_FROM, .help = "The lowest score that is MEDIUM"),
	ROW(.type = XF_OPTION_F64, .key = "high", .def = HIGH_FROM, .help = "The lowest score that is HIGH"),
	ROW(.type = XF_OPTION_F64, .key = "critical", .def = CRITICAL_FROM, .help = "The lowest score that is CRITICAL"),
	NULL,
};

static const struct xf_option *const options[] = {
	[RULES_BASE] = &rules_base,
	[RULES_CATEGORIES] = &rules_categories,
	[RULES_ROLES] = &rules_roles,
	[RULES_WORDS] = &rules_words,
	[RULES_DEADLINES] = &rules_deadlines,
	[RULES_AGES] = &rules_ages,
	[LEVELS] = ROW(.type = XF_OPTION_MAP, .key = "levels", .fields = level_fields, .help = "From which score on a level begins"),
	[REQUIRED] = ROW(.type = XF_OPTION_ENUM, .key = "required", .flags = XF_OPTION_LIST, .values = request_names,
	                 .def = "[id, title, description, category, requester_role, requester_name, timestamp, correlation_id]",
	                 .help = "Fields without which a request is refused"),
	[DEADLINE_FIELD] = ROW(.type = XF_OPTION_STRING, .key = "deadline_field", .def = "/deadline",
	                       .help = "JSON pointer of a request's deadline; a request need not have one"),
	[JUDGEMENT] = ROW(.type = XF_OPTION_STRING, .key = "judgement",
	                  .help = "JSON pointer of {priority_score, reasons} that an earlier handler made; where there is one the rules "
	                          "are not asked"),
	[SUBJECT] = ROW(.type = XF_OPTION_STRING, .key = "subject",
	                .help = "Template of the result's subject, by what the request says; without it the subject stays"),
	NULL,
};

enum { COUNT_REFUSED = LEVEL_COUNT, COUNT_JUDGED, COUNTS };

struct prioritize {
	const struct xf_host *host;
	struct xf_endpoint *endpoint;
	struct rules *rules;
	int from[LEVEL_COUNT]; /* tenths */
	uint32_t required;     /* bits of enum request_field */
	struct xf_str deadline, judgement;
	struct template *subject; /* NULL: it stays */
	_Atomic uint64_t counts[COUNTS];

	/* of the request that is looked at */
	struct view view;
	struct bytes reasons, result, scratch, subject_scratch;
};

/* ---- Settings --------------------------------------------------------------------------- */

static void
prioritize_destroy(void *instance)
{
	struct prioritize *p = instance;

	rules_destroy(&p->rules);
	template_destroy(&p->subject);
	view_fini(&p->view);
	bytes_fini(&p->reasons);
	bytes_fini(&p->result);
	bytes_fini(&p->scratch);
	bytes_fini(&p->subject_scratch);
	free(p);
}

static bool
levels_read(struct prioritize *p, const struct xf_config *map, struct xf_error *error)
{
	static const char *const defaults[] = {MEDIUM_FROM, HIGH_FROM, CRITICAL_FROM};

	for (int level = LEVEL_MEDIUM; level < LEVEL_COUNT; level++) {
		uint32_t row = (uint32_t)level - 1;
		double from = map != NULL ? p->host->option(map, row)->f64 : strtod(defaults[row], NULL);

		if (!tenths_read(from, &p->from[level]) || from <= 0 || p->from[level] > TENTHS_MAX) {
			snprintf(error->text, sizeof(error->text), "levels: %s from %g; expected 0.1 to 10.0, with one decimal",
			         level_keys[level], from);
			return false;
		}
		if (p->from[level] <= p->from[level - 1]) {
			snprintf(error->text, sizeof(error->text), "levels: %s from %g is not above %s", level_keys[level], from,
			         level_keys[level - 1]);
			return false;
		}
	}
	return true;
}

static bool
pointer_read(struct xf_str *pointer, const struct xf_value *option, const char *key, struct xf_error *error)
{
	const char *wrong = pointer_check(option->str);

	*pointer = option->str;
	if (wrong != NULL)
		snprintf(error->text, sizeof(error->text), "%s: '%.*s': %s", key, STR_ARG(option->str), wrong);
	return wrong == NULL;
}

static bool
subject_read(struct prioritize *p, const struct xf_value *option, struct xf_error *error)
{
	struct xf_error why = {{0}};

	if (!option->present)
		return true;
	p->subject = template_create(option->str, &why);
	if (p->subject == NULL)
		snprintf(error->text, sizeof(error->text), "subject: %.480s", why.text);
	return p->subject != NULL;
}

static bool
prioritize_read(struct prioritize *p, const struct xf_config *config, struct xf_error *error)
{
	const struct xf_value *required = p->host->option(config, REQUIRED);

	for (uint32_t i = 0; i < required->count; i++)
		p->required |= 1u << item(required, i)->i64;
	p->rules = rules_create(p->host, config, RULES_BASE, error);
	return p->rules != NULL && levels_read(p, p->host->option(config, LEVELS)->map, error) &&
	       pointer_read(&p->deadline, p->host->option(config, DEADLINE_FIELD), "deadline_field", error) &&
	       pointer_read(&p->judgement, p->host->option(config, JUDGEMENT), "judgement", error) &&
	       subject_read(p, p->host->option(config, SUBJECT), error);
}

static int32_t
prioritize_create(const struct xf_host *host, struct xf_endpoint *endpoint, const struct xf_config *config,
                  const struct xf_handler_info *info, void **instance, struct xf_error *error)
{
	struct prioritize *p = need(calloc(1, sizeof(*p)));

	(void)info;
	p->host = host;
	p->endpoint = endpoint;
	if (!prioritize_read(p, config, error)) {
		prioritize_destroy(p);
		return -1;
	}
	*instance = p;
	return 0;
}

static int32_t
prioritize_check(const struct xf_host *host, const struct xf_config *config, const struct xf_handler_info *info,
                 struct xf_error *error)
{
	void *instance;

	if (prioritize_create(host, NULL, config, info, &instance, error) != 0)
		return -1;
	prioritize_destroy(instance);
	return 0;
}

/* ---- Judgements -------------------------------------------------------------------------- */

/* Appends those that are strings, as they stand. */
static void
judgement_reasons_add(struct bytes *reasons, const struct document *document, uint32_t list)
{
	for (uint32_t child = document_first(document, list); child != 0; child = document_next(document, child)) {
		const struct node *n = document_node(document, child);

		if (n->type != NODE_STRING)
			continue;
		bytes_puts(reasons, reasons->len > 0 ? "," : "");
		bytes_add(reasons, n->text, n->text_len);
	}
}

/* False: there is none, or none that can be used, which is then said in the reasons. */
static bool
judged(struct prioritize *p, struct document *document, int *tenths)
{
	uint32_t judgement = p->judgement.len > 0 ? document_find(document, p->judgement) : 0;
	uint32_t score, reasons;
	double number;

	if (judgement == 0)
		return false;
	p->scratch.len = 0;
	bytes_str(&p->scratch, p->judgement);
	bytes_puts(&p->scratch, "/priority_score");
	score = document_find(document, (struct xf_str){p->scratch.data, p->scratch.len});
	p->scratch.len = p->judgement.len;
	bytes_puts(&p->scratch, "/reasons");
	reasons = document_find(document, (struct xf_str){p->scratch.data, p->scratch.len});
	if (score == 0 || document_node(document, score)->type != NODE_NUMBER ||
	    !str_number((struct xf_str){document_node(document, score)->text, document_node(document, score)->text_len}, &number) ||
	    number < 0 || number > 10) {
		reason_add(&p->reasons, "the judgement has no priority_score from 0 to 10, so rules decide");
		return false;
	}
	if (reasons != 0 && document_node(document, reasons)->type == NODE_ARRAY)
		judgement_reasons_add(&p->reasons, document, reasons);
	*tenths = (int)round(number * 10);
	return true;
}

/* ---- Requests ------------------------------------------------------------------------------ */

static void
count(struct prioritize *p, int which)
{
	atomic_store_explicit(&p->counts[which], atomic_load_explicit(&p->counts[which], memory_order_relaxed) + 1,
	                      memory_order_relaxed);
}

static void
result_make(struct prioritize *p, const struct request *request, int level, int tenths, uint64_t begun_ms)
{
	int64_t wall_ms = p->host->wall_ms();
	time_t seconds = (time_t)(wall_ms / 1000);
	struct tm tm = {.tm_year = 0};
	char text[200], now[40];

	gmtime_r(&seconds, &tm);
	strftime(now, sizeof(now), "%Y-%m-%dT%H:%M:%S", &tm);
	p->result.len = 0;
	bytes_puts(&p->result, "{\"request_id\":");
	bytes_json(&p->result, request->text[REQUEST_ID]);
	bytes_puts(&p->result, ",\"correlation_id\":");
	bytes_json(&p->result, request->text[REQUEST_CORRELATION_ID]);
	snprintf(text, sizeof(text), ",\"urgency_level\":\"%s\",\"priority_score\":%d.%d,\"reasons\":[", level_names[level],
	         tenths / 10, tenths % 10);
	bytes_puts(&p->result, text);
	bytes_add(&p->result, p->reasons.data, p->reasons.len);
	snprintf(text, sizeof(text), "],\"processing_time_ms\":%llu,\"timestamp\":\"%s.%03dZ\"}",
	         (unsigned long long)(p->host->now_ms() - begun_ms), now, (int)(wall_ms % 1000));
	bytes_puts(&p->result, text);
}

/* False with a reason. *LEVEL is what was counted. */
static bool
prioritized(struct prioritize *p, struct xf_incoming *message, int *level, struct xf_error *error)
{
	uint64_t begun_ms = p->host->now_ms();
	struct document *document = view_document(&p->view);
	struct request request;
	int tenths;

	if (document == NULL) {
		snprintf(error->text, sizeof(error->text), "the request is no JSON: %s at byte %zu", p->view.document.wrong,
		         p->view.document.wrong_at);
		return false;
	}
	if (!request_read(&request, document, p->required, p->deadline, error))
		return false;
	if (p->subject != NULL && !template_value(p->subject, &p->view, &p->subject_scratch, &message->subject, error))
		return false;
	p->reasons.len = 0;
	if (judged(p, document, &tenths))
		count(p, COUNT_JUDGED);
	else
		tenths = rules_score(p->rules, &request, p->host->wall_ms(), &p->reasons);
	for (*level = LEVEL_CRITICAL; *level > LEVEL_LOW && tenths < p->from[*level];)
		--*level;
	result_make(p, &request, *level, tenths, begun_ms);
	return true;
}

static void
task_work(struct prioritize *p, const struct xf_task *task)
{
	struct xf_incoming message = *task->message;
	struct xf_error error = {{0}};
	struct xf_outcome outcome = {
		.token = task->token,
		.code = XF_OUTCOME_PASS,
		.messages = &message,
		.count = 1,
		.stride = sizeof(message),
	};
	int level = COUNT_REFUSED;

	view_open(&p->view, task->message);
	if (prioritized(p, &message, &level, &error)) {
		message.payload = p->result.data;
		message.payload_size = p->result.len;
		message.content_type = str_of("application/json");
	} else {
		outcome = (struct xf_outcome){
			.token = task->token, .code = XF_OUTCOME_REFUSE, .reason = str_of(error.text), .status = 400};
	}
	count(p, level);
	p->host->finish(p->endpoint, &outcome, sizeof(outcome), 1);
}

static uint32_t
prioritize_process(void *instance, const struct xf_task *tasks, uint32_t stride, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		task_work(instance, task_at(tasks, stride, i));
	return n;
}

static uint32_t
prioritize_numbers(void *instance, struct xf_number *numbers, uint32_t size)
{
	static const struct xf_number shown[COUNTS] = {
		[LEVEL_LOW] = {.name = "prioritized_low", .help = "Requests that were found LOW"},
		[LEVEL_MEDIUM] = {.name = "prioritized_medium", .help = "Requests that were found MEDIUM"},
		[LEVEL_HIGH] = {.name = "prioritized_high", .help = "Requests that were found HIGH"},
		[LEVEL_CRITICAL] = {.name = "prioritized_critical", .help = "Requests that were found CRITICAL"},
		[COUNT_REFUSED] = {.name = "prioritize_refused", .help = "Requests that were malformed"},
		[COUNT_JUDGED] = {.name = "prioritize_judged", .help = "Requests whose judgement was taken in place of rules"},
	};
	struct prioritize *p = instance;

	for (uint32_t i = 0; i < COUNTS && i < size; i++) {
		numbers[i] = shown[i];
		numbers[i].value = atomic_load_explicit(&p->counts[i], memory_order_relaxed);
	}
	return COUNTS;
}

static const struct xf_handler_ops ops = {
	.struct_size = sizeof(ops),
	.check = prioritize_check,
	.create = prioritize_create,
	.process = prioritize_process,
	.destroy = prioritize_destroy,
	.numbers = prioritize_numbers,
};

static const struct xf_handler_class prioritize_class = {
	.head = {
		.struct_size = sizeof(prioritize_class),
		.kind = XF_KIND_HANDLER,
		.name = "prioritize",
		.summary = "Tells how urgent requests are, by rules, with a reason for every point",
	},
	.options = options,
	.ops = &ops,
};

const struct xf_entry *
xf_plugin_entry_v1(void)
{
	static const struct xf_class *const classes[] = {&prioritize_class.head, NULL};
	static const struct xf_entry entry = {
		XF_ENTRY_HEAD,
		.id = "org.crossfade.prioritize",
		.version = XF_VERSION,
		.licence = "Apache-2.0",
		.url = "",
		.classes = classes,
	};

	return &entry;
}
