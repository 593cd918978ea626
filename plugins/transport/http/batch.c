/*
 * A batch is a line a message. A line that is none is named in the answer and the others are taken; so nothing of
 * one line can reach into another: lines are parted first, by their line feeds, and read on their own.
 *
 * Texts without an escape stay where they are, in the body; the others are decoded beside it.
 */
#include <stdlib.h>
#include <string.h>

#include "base64.h"
#include "json.h"
#include "visit.h"

#define BAD_LISTED 1000u
#define CHARGE_STEP (64u << 10)

/* What a line has, before it is looked into. */
struct line {
	struct xf_str subject, id, key, reply, content_type, headers, payload, payload_base64;
};

static bool
line_member(struct line *line, struct xf_str name, struct xf_str value, struct refusal *refusal)
{
	struct {
		const char *name;
		struct xf_str *value;
	} const members[] = {
		{"subject", &line->subject}, {"id", &line->id}, {"key", &line->key}, {"reply", &line->reply},
		{"content_type", &line->content_type}, {"headers", &line->headers}, {"payload", &line->payload},
		{"payload_base64", &line->payload_base64},
	};

	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
		if (!str_is(name, members[i].name))
			continue;
		if (members[i].value->data != NULL)
			refusal_set(refusal, 400, "\"%s\" stands there twice", members[i].name);
		*members[i].value = value;
		return refusal->status == 0;
	}
	refusal_set(refusal, 400, "\"%.*s\" is not known; expected subject, id, key, reply, content_type, headers, payload "
	                          "or payload_base64", (int)(name.len < 40 ? name.len : 40), name.data);
	return false;
}

static bool
line_split(struct xf_str text, struct line *line, struct refusal *refusal)
{
	struct xf_str name, value;
	struct json json;

	json_open(&json, text);
	while (json_next(&json, &name, &value))
		if (!line_member(line, name, value, refusal))
			return false;
	if (!json_close(&json))
		refusal_set(refusal, 400, "the line is no JSON object: %s at byte %zu", json.wrong, (size_t)(json.at - text.data) + 1);
	return refusal->status == 0;
}

/* A string's content. A member that is missing, or null, is empty. */
static bool
text_read(struct arena *arena, struct xf_str value, const char *name, struct xf_str *out, struct refusal *refusal)
{
	char *decoded;

	if (value.data == NULL || str_is(value, "null"))
		return true;
	if (!json_is_string(value)) {
		refusal_set(refusal, 400, "\"%s\" is no string", name);
		return false;
	}
	if (memchr(value.data, '\\', value.len) == NULL) {
		*out = (struct xf_str){value.data + 1, value.len - 2};
		return true;
	}
	decoded = arena_take(arena, value.len);
	if (decoded == NULL) {
		refusal_set(refusal, 503, "no memory");
		return false;
	}
	out->data = decoded;
	if (!json_decode(value, decoded, &out->len)) {
		refusal_set(refusal, 400, "\"%s\" has half a surrogate pair", name);
		return false;
	}
	return true;
}

static bool
header_add(struct arena *arena, struct xf_header *header, struct xf_str name, struct xf_str value, struct refusal *refusal)
{
	/* with its marks, which stand around it */
	if (!text_read(arena, (struct xf_str){name.data - 1, name.len + 2}, "headers", &header->name, refusal))
		return false;
	header->name = header_canonical(header->name);
	return text_read(arena, value, "headers", &header->value, refusal);
}

/* {"name": "value", "twice": ["a", "b"]}. */
static bool
headers_read(struct arena *arena, struct xf_str text, const struct settings *settings, struct item *item,
             struct refusal *refusal)
{
	struct xf_header *headers;
	struct xf_str name, value;
	struct json json;
	uint32_t count = 0, room = 0;

	if (text.data == NULL || str_is(text, "null"))
		return true;
	json_open(&json, text);
	while (room < settings->max_headers && json_next(&json, &name, &value))
		room++;
	headers = arena_take(arena, (room + 1) * sizeof(*headers));
	if (headers == NULL) {
		refusal_set(refusal, 503, "no memory");
		return false;
	}
	json_open(&json, text);
	while (json_next(&json, &name, &value)) {
		if (count == settings->max_headers) {
			refusal_set(refusal, 431, "a message may bring %u headers (max_headers)", settings->max_headers);
			return false;
		}
		headers[count] = (struct xf_header){{NULL, 0}, {"", 0}};
		if (!header_add(arena, &headers[count++], name, value, refusal))
			return false;
	}
	if (json.wrong != NULL)
		refusal_set(refusal, 400, "\"headers\" is no object");
	item->headers = headers;
	item->header_count = count;
	return refusal->status == 0;
}

static bool
payload_read(struct arena *arena, const struct line *line, struct item *item, struct refusal *refusal)
{
	struct xf_str text = {NULL, 0};
	unsigned char *bytes;

	if (line->payload.data != NULL && line->payload_base64.data != NULL)
		refusal_set(refusal, 400, "\"payload\" and \"payload_base64\" cannot stand together");
	if (line->payload_base64.data != NULL) {
		if (!text_read(arena, line->payload_base64, "payload_base64", &text, refusal))
			return false;
		bytes = arena_take(arena, text.len + 1);
		if (bytes == NULL) {
			refusal_set(refusal, 503, "no memory");
			return false;
		}
		item->payload.data = (char *)bytes;
		if (!base64_decode(text, bytes, &item->payload.len))
			refusal_set(refusal, 400, "\"payload_base64\" is no base64");
	} else if (json_is_string(line->payload)) {
		text_read(arena, line->payload, "payload", &item->payload, refusal);
	} else if (line->payload.data != NULL) {
		item->payload = line->payload;
		if (item->content_type.len == 0)
			item->content_type = str_of("application/json");
	}
	return refusal->status == 0;
}

static bool
id_read(struct arena *arena, struct xf_str value, struct item *item, struct refusal *refusal)
{
	char id[WORDS_ID_SIZE];

	if (!text_read(arena, value, "id", &item->id, refusal))
		return false;
	if (item->id.len > 0)
		return true;
	id_make(id);
	item->id = arena_copy(arena, str_of(id));
	if (item->id.data == NULL)
		refusal_set(refusal, 503, "no memory");
	return refusal->status == 0;
}

static bool
item_read(struct visit *visit, struct xf_str text, struct item *item, struct refusal *refusal)
{
	const struct settings *settings = visit->exchange->settings;
	struct arena *arena = &visit->call->arena;
	struct line line = {.subject = {NULL, 0}};

	if (!line_split(text, &line, refusal))
		return false;
	if (line.subject.data == NULL) {
		refusal_set(refusal, 400, "there is no \"subject\"");
		return false;
	}
	return text_read(arena, line.subject, "subject", &item->subject, refusal) &&
	       id_read(arena, line.id, item, refusal) && text_read(arena, line.key, "key", &item->key, refusal) &&
	       text_read(arena, line.reply, "reply", &item->reply, refusal) &&
	       text_read(arena, line.content_type, "content_type", &item->content_type, refusal) &&
	       headers_read(arena, line.headers, settings, item, refusal) &&
	       payload_read(arena, &line, item, refusal) && item_check(settings, item, refusal);
}

static void
bad_add(struct visit *visit, uint32_t number, const struct refusal *refusal)
{
	struct bad_line *bad = visit->bad_count < BAD_LISTED ? arena_take(&visit->call->arena, sizeof(*bad)) : NULL;

	visit->bad_count++;
	visit->bad_transient = visit->bad_transient || refusal->status == 503;
	if (bad == NULL)
		return;
	*bad = (struct bad_line){.line = number, .refusal = *refusal};
	*visit->bad_end = bad;
	visit->bad_end = &bad->next;
}

/* What the line's message takes beside the body counts too, in steps. */
static bool
line_charge(struct visit *visit, uint64_t *charged)
{
	uint64_t bytes = visit->call->arena.bytes + visit->call->item_count * sizeof(struct delivery);

	if (bytes < *charged)
		return true;
	if (!call_charge(visit->call, CHARGE_STEP))
		return false;
	*charged += CHARGE_STEP;
	return line_charge(visit, charged);
}

static void
line_read(struct visit *visit, struct xf_str text, uint32_t number, uint64_t *charged)
{
	struct call *call = visit->call;
	struct item read = {.call = call, .line = number, .time_ms = visit->exchange->host->wall_ms()}, *item;
	struct refusal refusal = {.status = 0};

	if (!line_charge(visit, charged))
		refusal_set(&refusal, 503, "too much is under way (max_bytes)");
	else if (item_read(visit, text, &read, &refusal)) {
		item = call_item(call);
		if (item != NULL) {
			read.next = item->next;
			*item = read;
			return;
		}
		refusal_set(&refusal, 503, "no memory");
	}
	bad_add(visit, number, &refusal);
}

void
batch_read(struct visit *visit)
{
	const char *at = visit->call->body, *end = at + visit->call->body_len;
	uint64_t charged = 0;
	uint32_t number = 0;

	visit->bad_end = &visit->bad;
	while (at < end) {
		const char *feed = memchr(at, '\n', (size_t)(end - at));
		const char *stop = feed != NULL ? feed : end;
		struct xf_str text = {at, (uint64_t)(stop - at)};

		number++;
		at = feed != NULL ? feed + 1 : end;
		if (text.len > 0 && text.data[text.len - 1] == '\r')
			text.len--;
		if (text.len > 0)
			line_read(visit, text, number, &charged);
	}
	if (visit->call->item_count == 0 && visit->bad_count == 0)
		visit_refuse(visit, 400, "the batch has no line");
}
