#include "message.h"

#include <stdlib.h>

#include <cjson/cJSON.h>

#include "base/memory.h"
#include "base/utf8.h"

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void
message_fini(struct message *message)
{
	for (size_t i = 0; i < message->memory_count; i++)
		free(message->memory[i]);
	free(message->memory);
	free(message->headers);
	*message = (struct message){0};
}

struct xf_str
message_keep(struct message *message, const void *bytes, size_t len)
{
	char *copy = xf_strndup(len > 0 ? bytes : "", len);

	message->memory = xf_grow_array(message->memory, message->memory_count, message->memory_count + 1,
	                                sizeof *message->memory);
	message->memory[message->memory_count++] = copy;
	return (struct xf_str){copy, len};
}

void
message_header(struct message *message, struct xf_str name, struct xf_str value)
{
	uint32_t count = message->in.header_count;

	message->headers = xf_grow_array(message->headers, count, count + 1, sizeof *message->headers);
	message->headers[count] = (struct xf_header){message_keep(message, name.data, name.len),
	                                             message_keep(message, value.data, value.len)};
	message->in.headers = message->headers;
	message->in.header_count = count + 1;
}

/* ---- From a line ------------------------------------------------------------------------------------------ */

/* As far as it is base64, with or without its '='; the number of bytes, or SIZE_MAX. */
static size_t
base64_decode(const char *text, char *out)
{
	uint32_t word = 0;
	size_t len = 0, bits = 0;

	for (; *text != '\0' && *text != '='; text++) {
		const char *digit = strchr(digits, *text);

		if (digit == NULL)
			return SIZE_MAX;
		word = word << 6 | (uint32_t)(digit - digits);
		bits += 6;
		if (bits >= 8) {
			bits -= 8;
			out[len++] = (char)(word >> bits);
		}
	}
	return text[strspn(text, "=")] == '\0' && bits < 6 ? len : SIZE_MAX;
}

/*
 * The bytes of the member KEY of the object that LINE is, as they stand. cJSON has parsed LINE before, so only the
 * ends of values are looked for.
 */
static struct xf_str
member_raw(struct xf_str line, const char *key)
{
	const char *at = line.data + strcspn(line.data, "{") + 1, *end = line.data + line.len;

	while (at < end) {
		const char *name_end, *value, *value_end;
		cJSON *name, *item;
		bool found;

		at += strspn(at, " \t\r\n,");
		name = cJSON_ParseWithLengthOpts(at, (size_t)(end - at), &name_end, false);
		if (!cJSON_IsString(name)) {
			cJSON_Delete(name);
			break;
		}
		found = strcmp(name->valuestring, key) == 0;
		cJSON_Delete(name);
		value = name_end + strspn(name_end, " \t\r\n:");
		item = cJSON_ParseWithLengthOpts(value, (size_t)(end - value), &value_end, false);
		cJSON_Delete(item);
		if (item == NULL)
			break;
		if (found)
			return (struct xf_str){value, (size_t)(value_end - value)};
		at = value_end;
	}
	return (struct xf_str){0};
}

static enum xf_status
header_read(struct message *message, const cJSON *item, struct xf_error *error)
{
	const cJSON *one;

	if (cJSON_IsString(item)) {
		message_header(message, xf_str(item->string), xf_str(item->valuestring));
		return XF_OK;
	}
	if (!cJSON_IsArray(item))
		return xf_error_set(error, "header '%.64s' is neither text nor a list of texts", item->string);
	cJSON_ArrayForEach(one, item) {
		if (!cJSON_IsString(one))
			return xf_error_set(error, "header '%.64s' is neither text nor a list of texts", item->string);
		message_header(message, xf_str(item->string), xf_str(one->valuestring));
	}
	return XF_OK;
}

static enum xf_status
headers_read(struct message *message, const cJSON *headers, struct xf_error *error)
{
	const cJSON *item;

	if (!cJSON_IsObject(headers))
		return xf_error_set(error, "headers is no object like {\"name\": \"value\"}");
	cJSON_ArrayForEach(item, headers)
		if (header_read(message, item, error) != XF_OK)
			return XF_FAILED;
	return XF_OK;
}

static enum xf_status
payload_read(struct message *message, struct xf_str line, const cJSON *item, struct xf_error *error)
{
	struct xf_str bytes;
	char *decoded;
	size_t len;

	if (message->in.payload != NULL)
		return xf_error_set(error, "there is more than one payload");
	if (strcmp(item->string, "payload") == 0) {
		bytes = member_raw(line, "payload");
		bytes = message_keep(message, bytes.data, bytes.len);
	} else if (!cJSON_IsString(item)) {
		return xf_error_set(error, "%s is no text", item->string);
	} else if (strcmp(item->string, "payload_text") == 0) {
		bytes = message_keep(message, item->valuestring, strlen(item->valuestring));
	} else {
		decoded = xf_alloc(strlen(item->valuestring) + 1);
		len = base64_decode(item->valuestring, decoded);
		if (len != SIZE_MAX)
			bytes = message_keep(message, decoded, len);
		free(decoded);
		if (len == SIZE_MAX)
			return xf_error_set(error, "payload_base64 is not base64");
	}
	message->in.payload = bytes.data;
	message->in.payload_size = bytes.len;
	return XF_OK;
}

static enum xf_status
member_read(struct message *message, struct xf_str line, const cJSON *item, struct xf_error *error)
{
	static const char *const known[] = {"subject", "id",           "key",            "reply", "content_type", "headers",
	                                    "payload", "payload_text", "payload_base64", "time"};
	struct {
		const char *name;
		struct xf_str *field;
	} texts[] = {
		{"subject", &message->in.subject}, {"id", &message->in.id},
		{"key", &message->in.key},         {"reply", &message->in.reply},
		{"content_type", &message->in.content_type},
	};
	const char *nearest;

	if (strcmp(item->string, "headers") == 0)
		return headers_read(message, item, error);
	if (strncmp(item->string, "payload", 7) == 0 &&
	    (item->string[7] == '\0' || strcmp(item->string, "payload_text") == 0 ||
	     strcmp(item->string, "payload_base64") == 0))
		return payload_read(message, line, item, error);
	if (strcmp(item->string, "time") == 0)
		return XF_OK; /* when it was, of a message that sub printed */
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
		if (strcmp(item->string, texts[i].name) == 0) {
			if (!cJSON_IsString(item))
				return xf_error_set(error, "%s is no text", item->string);
			*texts[i].field = message_keep(message, item->valuestring, strlen(item->valuestring));
			return XF_OK;
		}
	nearest = xf_str_nearest(xf_str(item->string), known, sizeof known / sizeof known[0]);
	if (nearest != NULL)
		return xf_error_set(error, "unknown member '%.64s'; did you mean '%s'?", item->string, nearest);
	return xf_error_set(error, "unknown member '%.64s'", item->string);
}

enum xf_status
message_parse(struct message *message, struct xf_str line, struct xf_error *error)
{
	cJSON *root = cJSON_ParseWithLength(line.data, line.len);
	enum xf_status status = XF_OK;
	const cJSON *item;

	if (!cJSON_IsObject(root))
		status = xf_error_set(error, "it is no JSON object");
	cJSON_ArrayForEach(item, root)
		if (status == XF_OK)
			status = member_read(message, line, item, error);
	cJSON_Delete(root);
	return status;
}

/* ---- To a line ------------------------------------------------------------------------------------------------ */

static char *
base64_encode(const unsigned char *in, size_t len)
{
	char *text = xf_alloc((len + 2) / 3 * 4 + 1), *out = text;

	for (size_t i = 0; i < len; i += 3) {
		uint32_t word = (uint32_t)in[i] << 16 | (i + 1 < len ? (uint32_t)in[i + 1] << 8 : 0) |
		                (i + 2 < len ? in[i + 2] : 0);

		*out++ = digits[word >> 18];
		*out++ = digits[word >> 12 & 63];
		*out++ = i + 1 < len ? digits[word >> 6 & 63] : '=';
		*out++ = i + 2 < len ? digits[word & 63] : '=';
	}
	return text;
}

static bool
is_text(struct xf_str bytes)
{
	return xf_utf8_valid(bytes) && (bytes.len == 0 || memchr(bytes.data, '\0', bytes.len) == NULL);
}

/* Bytes that are no text come out as what is nearest to them. */
static cJSON *
text_json(struct xf_str bytes)
{
	char *copy = xf_strndup(bytes.len > 0 ? bytes.data : "", bytes.len);
	cJSON *item;

	for (char *c = copy; !is_text(bytes) && *c != '\0'; c++)
		if ((unsigned char)*c >= 0x80)
			*c = '?';
	item = cJSON_CreateString(copy);
	free(copy);
	return item;
}

static void
text_add(cJSON *object, const char *key, struct xf_str text)
{
	if (text.len > 0)
		cJSON_AddItemToObject(object, key, text_json(text));
}

static void
headers_add(cJSON *object, const struct xf_outgoing *message)
{
	cJSON *headers = message->header_count > 0 ? cJSON_AddObjectToObject(object, "headers") : NULL;

	for (uint32_t i = 0; i < message->header_count; i++) {
		cJSON *value = text_json(message->headers[i].value), *before, *list;
		char *name = xf_strndup(message->headers[i].name.data, message->headers[i].name.len);

		before = cJSON_GetObjectItemCaseSensitive(headers, name);
		if (before == NULL) {
			cJSON_AddItemToObject(headers, name, value);
		} else if (cJSON_IsArray(before)) {
			cJSON_AddItemToArray(before, value);
		} else {
			list = cJSON_CreateArray();
			cJSON_AddItemToArray(list, cJSON_CreateString(before->valuestring));
			cJSON_AddItemToArray(list, value);
			cJSON_ReplaceItemInObjectCaseSensitive(headers, name, list);
		}
		free(name);
	}
}

/* JSON on one line stands as it is; it may not begin or end with white space, which nobody could give back. */
static bool
is_json(struct xf_str bytes)
{
	const char *end = NULL;
	cJSON *root;
	bool whole;

	if (bytes.len == 0 || !is_text(bytes) || memchr(bytes.data, '\n', bytes.len) != NULL ||
	    memchr(bytes.data, '\r', bytes.len) != NULL || strchr(" \t", bytes.data[0]) != NULL)
		return false;
	root = cJSON_ParseWithLengthOpts(bytes.data, bytes.len, &end, false);
	whole = root != NULL && end == bytes.data + bytes.len;
	cJSON_Delete(root);
	return whole;
}

static void
payload_add(cJSON *object, struct xf_str payload)
{
	char *text;

	if (is_json(payload)) {
		text = xf_strndup(payload.data, payload.len);
		cJSON_AddRawToObject(object, "payload", text);
	} else if (is_text(payload)) {
		text = xf_strndup(payload.len > 0 ? payload.data : "", payload.len);
		cJSON_AddStringToObject(object, "payload_text", text);
	} else {
		text = base64_encode((const unsigned char *)payload.data, payload.len);
		cJSON_AddStringToObject(object, "payload_base64", text);
	}
	free(text);
}

void
message_format(const struct xf_outgoing *message, struct xf_buffer *out)
{
	cJSON *object = cJSON_CreateObject();
	char *text;

	cJSON_AddItemToObject(object, "subject", text_json(message->subject));
	text_add(object, "id", message->id);
	text_add(object, "key", message->key);
	text_add(object, "reply", message->reply);
	text_add(object, "content_type", message->content_type);
	headers_add(object, message);
	payload_add(object, (struct xf_str){message->payload, message->payload_size});
	text = cJSON_PrintUnformatted(object);
	xf_buffer_puts(out, text != NULL ? text : "{}");
	cJSON_free(text);
	cJSON_Delete(object);
}
