/*
 * json.h - a walk over one JSON object or array that leaves every value as it stands.
 *
 * A payload must come out byte for byte, so values are found and checked, never parsed and printed again: no number
 * loses digits, no member its place.
 */
#ifndef PLUGINS_JSON_H
#define PLUGINS_JSON_H

#include <stdbool.h>

#include <crossfade/plugin.h>

#define JSON_DEPTH_MAX 128

struct json {
	const char *at;
	const char *end;
	const char *wrong; /* what is, or NULL */
	bool begun;
};

/* Enters the object that TEXT is. */
void json_open(struct json *json, struct xf_str text);

/* The next member: NAME with its escapes but without its marks, VALUE as it stands. False: there is none, or
 * json->wrong says why. */
bool json_next(struct json *json, struct xf_str *name, struct xf_str *value);

/* The same of an array and its elements. */
void json_open_list(struct json *json, struct xf_str text);
bool json_element(struct json *json, struct xf_str *value);

/* Nothing but white space stands behind the object or array; json->wrong otherwise. */
bool json_close(struct json *json);

/* TEXT is one value of any kind. */
bool json_is_value(struct xf_str text);

static inline bool
json_is_string(struct xf_str value)
{
	return value.len >= 2 && value.data[0] == '"';
}

/* What a string stands for, into OUT, which has room for its length. False: an escape that makes no character. */
bool json_decode(struct xf_str string, char *out, uint64_t *len);

#endif
