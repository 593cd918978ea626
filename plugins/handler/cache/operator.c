#include "operator.h"

#include <stdio.h>
#include <stdlib.h>

#define LIMIT 100u
#define LIMIT_MAX 10000u

static int32_t
refuse(struct xf_operator_response *response, uint32_t status, const char *reason, struct xf_error *error)
{
	response->status = status;
	snprintf(error->text, sizeof(error->text), "%s", reason);
	return -1;
}

/* Argument NAME, terminated; "" where it is not there. False: it is too long, or has a NUL in it. */
static bool
argument_read(const struct xf_operator_request *request, const char *name, char *out, size_t size)
{
	out[0] = '\0';
	for (uint32_t i = 0; i < request->argument_count; i++) {
		struct xf_str value = request->arguments[i].value;

		if (!str_equal(request->arguments[i].name, str_of(name)) || value.len == 0)
			continue;
		if (value.len >= size || memchr(value.data, '\0', value.len) != NULL)
			return false;
		memcpy(out, value.data, value.len);
		out[value.len] = '\0';
	}
	return true;
}

int32_t
wish_read(const struct xf_operator_request *request, struct wish *wish, struct xf_operator_response *response,
          struct xf_error *error)
{
	bool get = str_equal(request->method, str_of("GET"));
	char limit[16];

	*wish = (struct wish){.kind = WISH_NUMBERS, .limit = LIMIT};
	if (request->path.len > 0 && !str_equal(request->path, str_of("keys")))
		return refuse(response, 404, "there is nothing here; expected keys, or nothing behind the name", error);
	if (!get && (request->path.len == 0 || !str_equal(request->method, str_of("DELETE"))))
		return refuse(response, 405, "expected GET, or DELETE of keys", error);
	if (request->path.len == 0)
		return 0;
	wish->kind = get ? WISH_LIST : WISH_REMOVE;
	if (!argument_read(request, "match", wish->match, sizeof(wish->match)) ||
	    !argument_read(request, "limit", limit, sizeof(limit)))
		return refuse(response, 400, "expected match, a pattern of at most 511 bytes, and limit, a number", error);
	if (wish->match[0] == '\0' && !get)
		return refuse(response, 400, "match: expected a pattern of the keys to remove; * is all of them", error);
	if (wish->match[0] == '\0')
		wish->match[0] = '*';
	if (limit[0] != '\0')
		wish->limit = (uint32_t)strtoul(limit, NULL, 10);
	if (wish->limit < 1 || wish->limit > LIMIT_MAX)
		return refuse(response, 400, "limit: expected a number from 1 to 10000", error);
	return 0;
}

static void
body_write(struct xf_operator_response *response, const struct bytes *body)
{
	response->write(response->context, body->data, body->len);
}

void
numbers_write(const struct xf_number *numbers, uint32_t count, struct xf_operator_response *response)
{
	struct bytes body = {NULL, 0, 0};
	char text[128];

	bytes_puts(&body, "{");
	for (uint32_t i = 0; i < count; i++) {
		snprintf(text, sizeof(text), "%s\"%s\": %llu", i > 0 ? ", " : "", numbers[i].name + strlen("cache_"),
		         (unsigned long long)numbers[i].value);
		bytes_puts(&body, text);
	}
	bytes_puts(&body, "}\n");
	body_write(response, &body);
	bytes_fini(&body);
}

void
key_write(struct bytes *list, struct xf_str key, const char *members)
{
	bytes_puts(list, list->len > 0 ? ", {\"key\": " : "{\"key\": ");
	bytes_json(list, key);
	bytes_puts(list, members);
	bytes_puts(list, "}");
}

void
list_write(const struct bytes *list, bool complete, struct xf_operator_response *response)
{
	struct bytes body = {NULL, 0, 0};

	bytes_puts(&body, "{\"keys\": [");
	bytes_add(&body, list->data, list->len);
	bytes_puts(&body, complete ? "], \"complete\": true}\n" : "], \"complete\": false}\n");
	body_write(response, &body);
	bytes_fini(&body);
}

void
removed_write(uint64_t count, bool complete, struct xf_operator_response *response)
{
	char text[96];
	struct bytes body = {text, (size_t)snprintf(text, sizeof(text), "{\"removed\": %llu, \"complete\": %s}\n",
	                                            (unsigned long long)count, complete ? "true" : "false"),
	                     sizeof(text)};

	body_write(response, &body);
}
