/*
 * validate - refuses messages whose payload is not as a schema says.
 */
#include <stdio.h>
#include <stdlib.h>

#include "schema.h"
#include "tasks.h"

enum { SCHEMA };

static const struct xf_option *const options[] = {
	[SCHEMA] = ROW(.type = XF_OPTION_STRING, .key = "schema", .flags = XF_OPTION_REQUIRED,
	               .help = "JSON Schema of the payload, as text; ${file:PATH} reads it from a file"),
	NULL,
};

struct validate {
	const struct xf_host *host;
	struct xf_endpoint *endpoint;
	struct schema_file schema;
	struct document document;
};

static bool
schema_option_read(struct schema_file *schema, const struct xf_host *host, const struct xf_config *config,
                   struct xf_error *error)
{
	struct xf_error why = {{0}};

	if (schema_read(schema, host->option(config, SCHEMA)->str, &why))
		return true;
	snprintf(error->text, sizeof(error->text), "schema%s%.480s", why.text[0] == '/' ? " " : ": ", why.text);
	return false;
}

static int32_t
validate_check(const struct xf_host *host, const struct xf_config *config, const struct xf_handler_info *info,
               struct xf_error *error)
{
	struct schema_file schema;

	(void)info;
	if (!schema_option_read(&schema, host, config, error))
		return -1;
	schema_fini(&schema);
	return 0;
}

static int32_t
validate_create(const struct xf_host *host, struct xf_endpoint *endpoint, const struct xf_config *config,
                const struct xf_handler_info *info, void **instance, struct xf_error *error)
{
	struct validate *v = need(calloc(1, sizeof(*v)));

	(void)info;
	v->host = host;
	v->endpoint = endpoint;
	if (!schema_option_read(&v->schema, host, config, error)) {
		free(v);
		return -1;
	}
	*instance = v;
	return 0;
}

static bool
is_valid(struct validate *v, const struct xf_incoming *message, struct xf_error *error)
{
	if (document_parse(&v->document, (struct xf_str){message->payload, message->payload_size}))
		return schema_holds(&v->schema, &v->document, error);
	snprintf(error->text, sizeof(error->text), "its payload is no JSON: %s at byte %zu", v->document.wrong,
	         v->document.wrong_at);
	return false;
}

static uint32_t
validate_process(void *instance, const struct xf_task *tasks, uint32_t stride, uint32_t count)
{
	struct validate *v = instance;

	for (uint32_t i = 0; i < count; i++) {
		const struct xf_task *task = task_at(tasks, stride, i);
		struct xf_error error = {{0}};

		if (is_valid(v, task->message, &error))
			task_finish(v->host, v->endpoint, task->token, XF_OUTCOME_PASS, NULL);
		else
			task_finish(v->host, v->endpoint, task->token, XF_OUTCOME_REFUSE, error.text);
	}
	return count;
}

static void
validate_destroy(void *instance)
{
	struct validate *v = instance;

	schema_fini(&v->schema);
	document_fini(&v->document);
	free(v);
}

static const struct xf_handler_ops ops = {
	.struct_size = sizeof(ops),
	.check = validate_check,
	.create = validate_create,
	.process = validate_process,
	.destroy = validate_destroy,
};

static const struct xf_handler_class validate_class = {
	.head = {
		.struct_size = sizeof(validate_class),
		.kind = XF_KIND_HANDLER,
		.name = "validate",
		.summary = "Refuses messages whose payload is not as a JSON Schema says",
	},
	.options = options,
	.ops = &ops,
};

const struct xf_entry *
xf_plugin_entry_v1(void)
{
	static const struct xf_class *const classes[] = {&validate_class.head, NULL};
	static const struct xf_entry entry = {
		XF_ENTRY_HEAD,
		.id = "org.crossfade.validate",
		.version = XF_VERSION,
		.licence = "Apache-2.0",
		.url = "",
		.classes = classes,
	};

	return &entry;
}
