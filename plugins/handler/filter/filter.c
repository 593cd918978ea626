/*
 * filter - lets through what matches, or what does not.
 */
#include <stdio.h>
#include <stdlib.h>

#include "subjects.h"
#include "where.h"

enum { SUBJECT, WHERE, MATCH, KEEP, OTHERWISE };
enum { MATCH_ALL, MATCH_ANY };
enum { OTHERWISE_DROP, OTHERWISE_REFUSE };

static const char *const match_words[] = {"all", "any", NULL};
static const char *const otherwise_words[] = {"drop", "refuse", NULL};

static const struct xf_option *const options[] = {
	[SUBJECT] = ROW(.type = XF_OPTION_SUBJECT, .key = "subject", .flags = XF_OPTION_LIST,
	                .help = "Patterns of which the message's subject matches one"),
	[WHERE] = ROW(.type = XF_OPTION_MAP, .key = "where", .flags = XF_OPTION_LIST, .fields = where_fields,
	              .help = "Conditions on what the message says"),
	[MATCH] = ROW(.type = XF_OPTION_ENUM, .key = "match", .def = "all", .values = match_words,
	              .help = "How many of the conditions have to hold"),
	[KEEP] = ROW(.type = XF_OPTION_BOOL, .key = "keep", .def = "true",
	             .help = "true lets through what matches; false lets through all else"),
	[OTHERWISE] = ROW(.type = XF_OPTION_ENUM, .key = "otherwise", .def = "drop", .values = otherwise_words,
	                  .help = "What happens to the others: drop confirms them to their source, refuse makes dead letters"),
	NULL,
};

struct filter {
	const struct xf_host *host;
	struct xf_endpoint *endpoint;
	struct subjects *subjects; /* NULL: any */
	void **found;              /* room for what a look-up writes */
	struct where *where;
	bool keep;
	uint32_t otherwise; /* XF_OUTCOME_* */
	struct view view;
	struct bytes scratch;
};

static int32_t
filter_check(const struct xf_host *host, const struct xf_config *config, const struct xf_handler_info *info,
             struct xf_error *error)
{
	struct where *where;

	(void)info;
	if (host->option(config, SUBJECT)->count == 0 && host->option(config, WHERE)->count == 0) {
		snprintf(error->text, sizeof(error->text), "filters nothing; expected subject or where");
		return -1;
	}
	where = where_create(host, host->option(config, WHERE), false, error);
	if (where == NULL)
		return -1;
	where_destroy(&where);
	return 0;
}

static void
filter_destroy(void *instance)
{
	struct filter *filter = instance;

	subjects_destroy(&filter->subjects);
	free(filter->found);
	where_destroy(&filter->where);
	view_fini(&filter->view);
	bytes_fini(&filter->scratch);
	free(filter);
}

static int32_t
filter_create(const struct xf_host *host, struct xf_endpoint *endpoint, const struct xf_config *config,
              const struct xf_handler_info *info, void **instance, struct xf_error *error)
{
	const struct xf_value *subjects = host->option(config, SUBJECT);
	struct filter *filter = need(calloc(1, sizeof(*filter)));

	(void)info;
	filter->host = host;
	filter->endpoint = endpoint;
	filter->keep = host->option(config, KEEP)->i64;
	filter->otherwise =
		host->option(config, OTHERWISE)->i64 == OTHERWISE_REFUSE ? XF_OUTCOME_REFUSE : XF_OUTCOME_DROP;
	filter->where = where_create(host, host->option(config, WHERE), host->option(config, MATCH)->i64 == MATCH_ANY, error);
	if (filter->where == NULL) {
		filter_destroy(filter);
		return -1;
	}
	if (subjects->count > 0) {
		filter->subjects = need(subjects_create());
		filter->found = need(calloc(subjects->count, sizeof(*filter->found)));
	}
	for (uint32_t i = 0; i < subjects->count; i++)
		if (!subjects_add(filter->subjects, item(subjects, i)->str, filter))
			need(NULL);
	*instance = filter;
	return 0;
}

/* Whether MESSAGE is let through; else *REASON. */
static bool
passes(struct filter *filter, const struct xf_incoming *message, char *reason, size_t size)
{
	uint32_t failed = 0;
	bool matches = true;

	view_open(&filter->view, message);
	if (filter->subjects != NULL && subjects_match(filter->subjects, message->subject, filter->found) == 0) {
		matches = false;
		snprintf(reason, size, "its subject is none that the filter lets through");
	} else if (!where_holds(filter->where, &filter->view, &filter->scratch, &failed)) {
		matches = false;
		snprintf(reason, size, "condition %u of the filter does not hold", failed);
	} else {
		snprintf(reason, size, "it matches what the filter keeps out");
	}
	return matches == filter->keep;
}

static uint32_t
filter_process(void *instance, const struct xf_task *tasks, uint32_t stride, uint32_t count)
{
	struct filter *filter = instance;
	char reason[80];

	for (uint32_t i = 0; i < count; i++) {
		const struct xf_task *task = task_at(tasks, stride, i);

		if (passes(filter, task->message, reason, sizeof(reason)))
			task_finish(filter->host, filter->endpoint, task->token, XF_OUTCOME_PASS, NULL);
		else
			task_finish(filter->host, filter->endpoint, task->token, filter->otherwise, reason);
	}
	return count;
}

static const struct xf_handler_ops ops = {
	.struct_size = sizeof(ops),
	.check = filter_check,
	.create = filter_create,
	.process = filter_process,
	.destroy = filter_destroy,
};

static const struct xf_handler_class filter_class = {
	.head = {
		.struct_size = sizeof(filter_class),
		.kind = XF_KIND_HANDLER,
		.name = "filter",
		.summary = "Lets through messages by their subject and by what they say",
	},
	.options = options,
	.ops = &ops,
};

const struct xf_entry *
xf_plugin_entry_v1(void)
{
	static const struct xf_class *const classes[] = {&filter_class.head, NULL};
	static const struct xf_entry entry = {
		XF_ENTRY_HEAD,
		.id = "org.crossfade.filter",
		.version = XF_VERSION,
		.licence = "Apache-2.0",
		.url = "",
		.classes = classes,
	};

	return &entry;
}
