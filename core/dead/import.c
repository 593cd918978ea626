#include "dead/import.h"

#include <errno.h>
#include <stdlib.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <cjson/cJSON.h>

#include "base/base64.h"
#include "base/clock.h"
#include "base/memory.h"

/* NAME, or what NAME_base64 stands for, decoded in its place; empty where there is neither. False: it is no such text. */
static bool
bytes_read(const cJSON *object, const char *name, struct xf_str *bytes)
{
	const cJSON *text = cJSON_GetObjectItemCaseSensitive(object, name);
	char key[32];
	int64_t len;

	*bytes = xf_str(cJSON_IsString(text) ? text->valuestring : "");
	if (text != NULL)
		return cJSON_IsString(text);
	snprintf(key, sizeof(key), "%s_base64", name);
	text = cJSON_GetObjectItemCaseSensitive(object, key);
	if (text == NULL)
		return true;
	if (!cJSON_IsString(text))
		return false;
	len = xf_base64_decode(xf_str(text->valuestring), text->valuestring);
	*bytes = (struct xf_str){text->valuestring, len > 0 ? (uint64_t)len : 0};
	return len >= 0;
}

static bool
headers_read(const cJSON *list, struct xf_header *headers)
{
	const cJSON *header;

	cJSON_ArrayForEach(header, list) {
		if (!bytes_read(header, "name", &headers->name) || !bytes_read(header, "value", &headers->value))
			return false;
		headers++;
	}
	return true;
}

/* What the letter points to stays in OBJECT, but for HEADERS. */
static bool
letter_read(const cJSON *object, struct xf_letter *letter, struct xf_header *headers, uint32_t header_count)
{
	struct xf_fields *message = &letter->message;
	struct xf_str time;

	*letter = (struct xf_letter){.message = {.headers = headers, .header_count = header_count}};
	if (!cJSON_IsObject(object) || !bytes_read(object, "time", &time) || !bytes_read(object, "route", &letter->route) ||
	    !bytes_read(object, "reason", &letter->reason) || !bytes_read(object, "subject", &message->subject) ||
	    !bytes_read(object, "id", &message->id) || !bytes_read(object, "key", &message->key) ||
	    !bytes_read(object, "payload", &message->payload) || letter->route.len == 0)
		return false;
	letter->first_ms = letter->last_ms = xf_wall_parse(time.data);
	return headers_read(cJSON_GetObjectItemCaseSensitive(object, "headers"), headers);
}

enum xf_status
xf_import_read(FILE *file, enum xf_status (*add)(void *context, const struct xf_letter *letter, struct xf_error *error),
               void *context, struct xf_import *import, struct xf_error *error)
{
	XXH3_state_t *digest = XXH3_createState();
	enum xf_status status = XF_OK;
	XXH128_canonical_t canonical;
	char *line = NULL;
	size_t size = 0;
	ssize_t len;

	*import = (struct xf_import){0};
	XXH3_128bits_reset(digest);
	while (status == XF_OK && (len = getline(&line, &size, file)) > 0) {
		cJSON *object = cJSON_ParseWithLength(line, (size_t)len);
		int count = cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(object, "headers"));
		struct xf_header *headers = xf_alloc_array((size_t)count, sizeof(*headers));
		struct xf_letter letter;

		XXH3_128bits_update(digest, line, (size_t)len);
		if (letter_read(object, &letter, headers, (uint32_t)count)) {
			status = add(context, &letter, error);
			import->letters++;
		} else {
			import->unreadable++;
		}
		free(headers);
		cJSON_Delete(object);
	}
	if (status == XF_OK && ferror(file))
		status = xf_error_set(error, "cannot be read: %s", strerror(errno));
	XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(digest));
	memcpy(import->digest, canonical.digest, sizeof(import->digest));
	XXH3_freeState(digest);
	free(line);
	return status;
}
