/*
 * One text for three readers of JSON: what http's takes as an object cJSON takes too, and nats' finds its members where http's does.
 */
#include "json.h"

#include <cjson/cJSON.h>

#include "transport/nats/json.h"

#include "base/memory.h"
#include "fuzz.h"

static bool
is_plain(struct xf_str name)
{
	for (uint64_t i = 0; i < name.len; i++)
		if (name.data[i] == '\\' || name.data[i] == '.')
			return false;
	return true;
}

/* A string that does not stand for a character that cJSON knows none of, nor for its end. */
static void
string_check(struct xf_str value, const cJSON *node)
{
	char *decoded = malloc(value.len), ours[64];
	uint64_t len;

	XF_ASSERT(json_decode(value, decoded, &len) && len <= value.len - 2);
	XF_ASSERT(xf_str_is((struct xf_str){decoded, len}, node->valuestring));
	XF_ASSERT(json_string(value, ours, sizeof(ours)) && strlen(ours) < sizeof(ours));
	free(decoded);
}

static void
member_check(struct xf_str object, struct xf_str name, struct xf_str value, const cJSON *node)
{
	char *path = xf_strndup(name.data, name.len);
	struct xf_str found, element, cursor;

	if (is_plain(name)) {
		XF_ASSERT(json_get(object, path, &found));
		XF_ASSERT(found.data <= value.data && (found.data < value.data || found.len == value.len)); /* the first so called */
		json_get_int(object, path, 0);
		json_get_true(object, path);
	}
	if (node != NULL && cJSON_IsString(node) && memchr(value.data, '\0', value.len) == NULL)
		string_check(value, node);
	if (value.data[0] == '[') {
		int count = 0;

		for (cursor = value; json_each(&cursor, &element); count++)
			XF_ASSERT(element.len > 0 && element.data > value.data && element.len < value.len);
		XF_ASSERT(node == NULL || count == cJSON_GetArraySize(node));
	}
	free(path);
}

void
fuzz_one(struct xf_str input)
{
	struct xf_str text = fuzz_tight(input), name, value, found, cursor = text;
	char out[16];
	struct json json;
	const cJSON *node;
	cJSON *tree;

	/* whatever it is */
	json_get(text, "a.b.c", &found);
	json_get_string(text, "a", out, sizeof(out));
	while (json_each(&cursor, &found))
		;
	json_open(&json, text);
	while (json_next(&json, &name, &value))
		XF_ASSERT(value.len > 0 && value.data + value.len <= text.data + text.len);
	/* Half a surrogate pair, a NUL and a number of more than 63 bytes are beyond cJSON, and right. */
	if (!json_close(&json) || memmem(text.data, text.len, "\\u", 2) != NULL)
		return;
	tree = cJSON_ParseWithLength(text.data, text.len);
	node = tree != NULL ? tree->child : NULL;
	json_open(&json, text);
	while (json_next(&json, &name, &value)) {
		XF_ASSERT(tree == NULL || node != NULL);
		member_check(text, name, value, node);
		node = node != NULL ? node->next : NULL;
	}
	XF_ASSERT(node == NULL);
	cJSON_Delete(tree);
}
