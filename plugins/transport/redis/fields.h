/*
 * fields.h - the fields of a stream entry, and their names where those differ from crossfade's.
 *
 * Threads: pure.
 */
#ifndef REDIS_FIELDS_H
#define REDIS_FIELDS_H

#include <crossfade/transport.h>

enum {
	FIELD_PAYLOAD,
	FIELD_ID,
	FIELD_SUBJECT,
	FIELD_KEY,
	FIELD_REPLY,
	FIELDS,
};

/* The option `fields` of sinks and sources. */
extern const struct xf_option fields_option;

/* The name of FIELD as the option's VALUE says; empty: it is not used. Lives as long as the configuration. */
struct xf_str fields_name(const struct xf_host *host, const struct xf_value *value, unsigned field);

#endif
