/*
 * transform - sends messages on with another subject, key, headers or fields.
 */
#include <stdio.h>
#include <stdlib.h>

#include "edits.h"

enum { SUBJECT, KEY, HEADERS, JSON };
enum { HEADERS_SET, HEADERS_REMOVE };
enum { NAME, VALUE };

static const struct xf_option *const header_fields[] = {
	[NAME] = ROW(.type = XF_OPTION_STRING, .key = "name", .flags = XF_OPTION_REQUIRED, .help = "Name of the header"),
	[VALUE] = ROW(.type = XF_OPTION_STRING, .key = "value", .flags = XF_OPTION_REQUIRED, .help = "Template of its value"),
	NULL,
};

static const struct xf_option *const headers_fields[] = {
	[HEADERS_SET] = ROW(.type = XF_OPTION_MAP, .key = "set", .flags = XF_OPTION_LIST, .fields = header_fields,
	                    .help = "Headers that are added, in place of those of the same name"),
	[HEADERS_REMOVE] = ROW(.type = XF_OPTION_STRING, .key = "remove", .flags = XF_OPTION_LIST,
	                       .help = "Names of headers that are left out"),
	NULL,
};

static const struct xf_option *const options[] = {
	[SUBJECT] = ROW(.type = XF_OPTION_STRING, .key = "subject", .help = "Template of the new subject"),
	[KEY] = ROW(.type = XF_OPTION_STRING, .key = "key", .help = "Template of the new key"),
	[HEADERS] = ROW(.type = XF_OPTION_MAP, .key = "headers", .fields = headers_fields, .help = "Changes of headers"),
	[JSON] = ROW(.type = XF_OPTION_MAP, .key = "json", .fields = edits_fields,
	             .help = "Changes of fields; a payload that is no JSON is refused"),
	NULL,
};

struct transform {
	const struct xf_host *host;
	struct xf_endpoint *endpoint;
	struct setting subject, key;
	struct setting *headers;
	uint32_t header_count;
	const struct xf_value *removed; /* names */
	struct edits *edits;            /* NULL: the payload stays */

	/* of the message that is worked on */
	struct view view;
	struct xf_header *made; /* room for made_size */
	uint32_t made_size;
	struct bytes payload;
};

/* ---- Settings ------------------------------------------------------------------------- */

static void
transform_destroy(void *instance)
{
	struct transform *t = instance;

	setting_fini(&t->subject);
	setting_fini(&t->key);
	for (uint32_t i = 0; i < t->header_count; i++)
		setting_fini(&t->headers[i]);
	free(t->headers);
	free(t->made);
	edits_destroy(&t->edits);
	view_fini(&t->view);
	bytes_fini(&t->payload);
	free(t);
}

static bool
setting_read(struct setting *setting, struct xf_str target, const struct xf_value *value, struct xf_error *error)
{
	struct xf_error why = {{0}};

	if (!value->present)
		return true;
	setting->target = target;
	setting->template = template_create(value->str, &why);
	if (setting->template == NULL)
		snprintf(error->text, sizeof(error->text), "%.*s: %.400s", STR_ARG(target), why.text);
	return setting->template != NULL;
}

static bool
headers_read(struct transform *t, const struct xf_config *map, struct xf_error *error)
{
	const struct xf_value *set = t->host->option(map, HEADERS_SET);

	t->removed = t->host->option(map, HEADERS_REMOVE);
	t->headers = need(calloc(set->count + 1u, sizeof(*t->headers)));
	for (uint32_t i = 0; i < set->count; i++) {
		const struct xf_config *header = item(set, i)->map;

		t->header_count++;
		if (!setting_read(&t->headers[i], t->host->option(header, NAME)->str, t->host->option(header, VALUE), error))
			return false;
	}
	return true;
}

static bool
transform_read(struct transform *t, const struct xf_config *config, struct xf_error *error)
{
	const struct xf_value *headers = t->host->option(config, HEADERS), *json = t->host->option(config, JSON);

	if (!setting_read(&t->subject, str_of("subject"), t->host->option(config, SUBJECT), error) ||
	    !setting_read(&t->key, str_of("key"), t->host->option(config, KEY), error) ||
	    (headers->map != NULL && !headers_read(t, headers->map, error)))
		return false;
	if (json->map != NULL && (t->edits = edits_create(t->host, json->map, error)) == NULL)
		return false;
	if (t->subject.template != NULL || t->key.template != NULL || headers->map != NULL || t->edits != NULL)
		return true;
	snprintf(error->text, sizeof(error->text), "changes nothing; expected subject, key, headers or json");
	return false;
}

static int32_t
transform_create(const struct xf_host *host, struct xf_endpoint *endpoint, const struct xf_config *config,
                 const struct xf_handler_info *info, void **instance, struct xf_error *error)
{
	struct transform *t = need(calloc(1, sizeof(*t)));

	(void)info;
	t->host = host;
	t->endpoint = endpoint;
	if (!transform_read(t, config, error)) {
		transform_destroy(t);
		return -1;
	}
	*instance = t;
	return 0;
}

static int32_t
transform_check(const struct xf_host *host, const struct xf_config *config, const struct xf_handler_info *info,
                struct xf_error *error)
{
	void *instance;

	if (transform_create(host, NULL, config, info, &instance, error) != 0)
		return -1;
	transform_destroy(instance);
	return 0;
}

/* ---- Messages ---------------------------------------------------------------------------- */

static bool
header_goes(const struct transform *t, struct xf_str name)
{
	for (uint32_t i = 0; i < t->header_count; i++)
		if (str_equal_nocase(name, t->headers[i].target))
			return true;
	for (uint32_t i = 0; t->removed != NULL && i < t->removed->count; i++)
		if (str_equal_nocase(name, item(t->removed, i)->str))
			return true;
	return false;
}

static void
headers_make(struct transform *t, struct xf_incoming *message)
{
	uint32_t count = 0;

	if (message->header_count + t->header_count > t->made_size) {
		t->made_size = message->header_count + t->header_count;
		t->made = need(realloc(t->made, t->made_size * sizeof(*t->made)));
	}
	for (uint32_t i = 0; i < message->header_count; i++)
		if (!header_goes(t, message->headers[i].name))
			t->made[count++] = message->headers[i];
	for (uint32_t i = 0; i < t->header_count; i++)
		t->made[count++] = (struct xf_header){t->headers[i].target, t->headers[i].value};
	message->headers = t->made;
	message->header_count = count;
}

/* All values are of the message as it came, so they are read before it is changed. */
static bool
values_read(struct transform *t, struct xf_error *error)
{
	if (!setting_eval(&t->subject, &t->view, error) || !setting_eval(&t->key, &t->view, error))
		return false;
	for (uint32_t i = 0; i < t->header_count; i++)
		if (!setting_eval(&t->headers[i], &t->view, error))
			return false;
	return t->edits == NULL || edits_eval(t->edits, &t->view, error);
}

static bool
payload_make(struct transform *t, struct xf_incoming *message, struct xf_error *error)
{
	if (t->edits == NULL)
		return true;
	if (!edits_apply(t->edits, &t->view, error))
		return false;
	if (!t->view.document.touched)
		return true;
	t->payload.len = 0;
	document_print(&t->view.document, 1, &t->payload);
	message->payload = t->payload.data;
	message->payload_size = t->payload.len;
	return true;
}

/* False: it cannot be made. */
static bool
message_make(struct transform *t, const struct xf_incoming *from, struct xf_incoming *message, struct xf_error *error)
{
	*message = *from;
	view_open(&t->view, from);
	if (!values_read(t, error) || !payload_make(t, message, error))
		return false;
	if (t->subject.template != NULL)
		message->subject = t->subject.value;
	if (t->key.template != NULL)
		message->key = t->key.value;
	headers_make(t, message);
	return true;
}

static uint32_t
transform_process(void *instance, const struct xf_task *tasks, uint32_t stride, uint32_t count)
{
	struct transform *t = instance;

	for (uint32_t i = 0; i < count; i++) {
		const struct xf_task *task = task_at(tasks, stride, i);
		struct xf_incoming message;
		struct xf_error error = {{0}};
		const struct xf_outcome outcome = {
			.token = task->token,
			.code = XF_OUTCOME_PASS,
			.messages = &message,
			.count = 1,
			.stride = sizeof(message),
		};

		if (message_make(t, task->message, &message, &error))
			t->host->finish(t->endpoint, &outcome, sizeof(outcome), 1);
		else
			task_finish(t->host, t->endpoint, task->token, XF_OUTCOME_REFUSE, error.text);
	}
	return count;
}

static const struct xf_handler_ops ops = {
	.struct_size = sizeof(ops),
	.check = transform_check,
	.create = transform_create,
	.process = transform_process,
	.destroy = transform_destroy,
};

static const struct xf_handler_class transform_class = {
	.head = {
		.struct_size = sizeof(transform_class),
		.kind = XF_KIND_HANDLER,
		.name = "transform",
		.summary = "Changes subject, key, headers and JSON fields of messages",
	},
	.options = options,
	.ops = &ops,
};

const struct xf_entry *
xf_plugin_entry_v1(void)
{
	static const struct xf_class *const classes[] = {&transform_class.head, NULL};
	static const struct xf_entry entry = {
		XF_ENTRY_HEAD,
		.id = "org.crossfade.transform",
		.version = XF_VERSION,
		.licence = "Apache-2.0",
		.url = "",
		.classes = classes,
	};

	return &entry;
}
