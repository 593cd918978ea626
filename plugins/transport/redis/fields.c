/*
 * One table serves both ends, so that what a sink writes a source with the same options reads back.
 */
#include "fields.h"

#include <stddef.h>
#include <string.h>

#define FIELD_OPTION(name, what)                                                                            \
	static const struct xf_option field_##name = {                                                      \
		.struct_size = sizeof(struct xf_option),                                                    \
		.type = XF_OPTION_STRING,                                                                   \
		.key = #name,                                                                               \
		.def = #name,                                                                               \
		.help = "Name of the field that holds " what,                                               \
	}
FIELD_OPTION(payload, "the payload");
FIELD_OPTION(id, "the message id");
FIELD_OPTION(subject, "the subject");
FIELD_OPTION(key, "the key");
FIELD_OPTION(reply, "the reply subject");

static const struct xf_option *const field_options[] = {
	&field_payload, &field_id, &field_subject, &field_key, &field_reply, NULL,
};

const struct xf_option fields_option = {
	.struct_size = sizeof(struct xf_option),
	.type = XF_OPTION_MAP,
	.key = "fields",
	.fields = field_options,
	.help = "Names of the fields of a stream entry where they differ from crossfade's",
};

struct xf_str
fields_name(const struct xf_host *host, const struct xf_value *value, unsigned field)
{
	if (value->map != NULL)
		return host->option(value->map, field)->str;
	return (struct xf_str){field_options[field]->def, strlen(field_options[field]->def)};
}
