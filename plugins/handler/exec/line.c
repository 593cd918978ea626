#include "line.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base64.h"
#include "json.h"

#define MESSAGES_MAX 4096 /* the core takes no more of one */
#define HEADERS_MAX 4096

static bool
str_same(struct xf_str a, struct xf_str b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static bool
str_is(struct xf_str a, const char *b)
{
	return str_same(a, str_of(b));
}

/* ---- A task ------------------------------------------------------------------------------ */

static void
member_write(struct text *out, const char *name, struct xf_str value)
{
	text_puts(out, name);
	text_json(out, value);
}

/* The values of the INDEX-th header's name, unless an earlier one has it. */
static void
header_write(struct text *out, const struct xf_incoming *message, uint32_t index, bool *begun)
{
	const struct xf_header *headers = message->headers;
	bool several = false;

	for (uint32_t i = 0; i < index; i++)
		if (str_same(headers[i].name, headers[index].name))
			return;
	member_write(out, *begun ? "," : "", headers[index].name);
	*begun = true;
	for (uint32_t i = index + 1; i < message->header_count && !several; i++)
		several = str_same(headers[i].name, headers[index].name);
	member_write(out, several ? ":[" : ":", headers[index].value);
	for (uint32_t i = index + 1; several && i < message->header_count; i++)
		if (str_same(headers[i].name, headers[index].name))
			member_write(out, ",", headers[i].value);
	if (several)
		text_puts(out, "]");
}

static bool
payload_write(struct text *out, const struct xf_incoming *message, bool json)
{
	const struct xf_str payload = {message->payload, message->payload_size};
	size_t start;

	if (!json && utf8_is_valid(payload)) {
		member_write(out, ",\"payload\":", payload);
		return true;
	}
	if (!json) {
		text_puts(out, ",\"payload_base64\":\"");
		text_base64(out, payload);
		text_puts(out, "\"");
		return true;
	}
	if (!utf8_is_valid(payload) || !json_is_value(payload))
		return false;
	text_puts(out, ",\"payload\":");
	start = out->len;
	text_add(out, payload.data, payload.len);
	for (size_t i = start; i < out->len; i++)
		if (out->data[i] == '\n' || out->data[i] == '\r')
			out->data[i] = ' '; /* it can only be white space */
	return true;
}

bool
line_write(struct text *out, const struct xf_task *task, bool json)
{
	const struct xf_incoming *message = task->message;
	size_t start = out->len;
	bool begun = false;

	text_printf(out, "{\"token\":\"%" PRIu64 "\",\"attempt\":%" PRIu32, task->token, message->attempt);
	member_write(out, ",\"subject\":", message->subject);
	member_write(out, ",\"id\":", message->id);
	member_write(out, ",\"key\":", message->key);
	member_write(out, ",\"reply\":", message->reply);
	member_write(out, ",\"content_type\":", message->content_type);
	text_puts(out, ",\"headers\":{");
	for (uint32_t i = 0; i < message->header_count; i++)
		header_write(out, message, i, &begun);
	text_puts(out, "}");
	if (!payload_write(out, message, json)) {
		out->len = start;
		return false;
	}
	text_puts(out, "}\n");
	return true;
}

/* ---- An answer, split ---------------------------------------------------------------------- */

static const struct place {
	const char *name;
	size_t offset;
	bool said; /* of a message, and so of those of a list too */
} places[] = {
	{"token", offsetof(struct answer, token), false},
	{"payload", offsetof(struct said, payload), true},
	{"payload_base64", offsetof(struct said, payload_base64), true},
	{"subject", offsetof(struct said, subject), true},
	{"id", offsetof(struct said, id), true},
	{"key", offsetof(struct said, key), true},
	{"reply", offsetof(struct said, reply), true},
	{"content_type", offsetof(struct said, content_type), true},
	{"headers", offsetof(struct said, headers), true},
	{"asker", offsetof(struct said, asker), true},
	{"pass", offsetof(struct answer, pass), false},
	{"drop", offsetof(struct answer, drop), false},
	{"fail", offsetof(struct answer, fail), false},
	{"refuse", offsetof(struct answer, refuse), false},
	{"later", offsetof(struct answer, later), false},
	{"delay_ms", offsetof(struct answer, delay_ms), false},
	{"status", offsetof(struct answer, status), false},
	{"messages", offsetof(struct answer, messages), false},
	{"attempt", offsetof(struct answer, attempt), false},
};

/* NULL, or why it is not taken. Of an element of a list ANSWER is NULL. */
static const char *
member_take(struct answer *answer, struct said *said, struct xf_str name, struct xf_str value)
{
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		const struct place *place = &places[i];
		struct xf_str *to = (struct xf_str *)((place->said ? (char *)said : (char *)answer) + place->offset);

		if (!str_is(name, place->name))
			continue;
		if (!place->said && answer == NULL)
			return "a message of the list has a member that only the answer as a whole can have";
		if (to->data != NULL)
			return "a member stands there twice";
		/* null: not named. A payload may be null. */
		if (!str_is(value, "null") || to == &said->payload)
			*to = value;
		return NULL;
	}
	return "it has a member that is not known";
}

/* As a string or as a number. 0: it is something else. */
static uint64_t
number_read(struct xf_str token)
{
	uint64_t number = 0;

	if (json_is_string(token))
		token = (struct xf_str){token.data + 1, token.len - 2};
	for (uint64_t i = 0; i < token.len; i++) {
		if (token.data[i] < '0' || token.data[i] > '9' || i == 19)
			return 0;
		number = number * 10 + (uint64_t)(token.data[i] - '0');
	}
	return number;
}

bool
answer_split(struct answer *answer, struct xf_str line)
{
	struct xf_str name, value;
	struct json json;

	*answer = (struct answer){.wrong = NULL};
	json_open(&json, line);
	while (json_next(&json, &name, &value)) {
		const char *wrong = member_take(answer, &answer->said, name, value);

		if (answer->wrong == NULL)
			answer->wrong = wrong;
	}
	if (!json_close(&json)) {
		answer->wrong = json.wrong;
		return false;
	}
	answer->number = number_read(answer->token);
	return true;
}

/* ---- An answer, read ------------------------------------------------------------------------- */

static bool
wrong(struct answer *answer, const char *why)
{
	if (answer->wrong == NULL)
		answer->wrong = why;
	return false;
}

/* A string's content. One that is not named leaves OUT as it is. */
static bool
text_read(struct answer *answer, struct arena *arena, struct xf_str value, struct xf_str *out)
{
	char *decoded;

	if (value.data == NULL)
		return true;
	if (!json_is_string(value))
		return wrong(answer, "a member that must be a string is none");
	if (memchr(value.data, '\\', value.len) == NULL) {
		*out = (struct xf_str){value.data + 1, value.len - 2};
		return true;
	}
	decoded = arena_take(arena, value.len);
	if (decoded == NULL)
		return wrong(answer, "there is no memory");
	out->data = decoded;
	return json_decode(value, decoded, &out->len) || wrong(answer, "a string has half a surrogate pair");
}

static bool
headers_count(struct answer *answer, struct xf_str text, uint32_t *count)
{
	struct xf_str name, value, element;
	struct json json, list;

	json_open(&json, text);
	while (json_next(&json, &name, &value) && *count <= HEADERS_MAX) {
		if (json_is_string(value)) {
			++*count;
			continue;
		}
		json_open_list(&list, value);
		while (json_element(&list, &element) && *count <= HEADERS_MAX)
			++*count;
		if (list.wrong != NULL)
			return wrong(answer, "a header's value is neither a string nor a list of them");
	}
	if (json.wrong != NULL)
		return wrong(answer, "its headers are no object");
	return *count <= HEADERS_MAX || wrong(answer, "it has too many headers");
}

/* {"name": "value", "twice": ["a", "b"]}, in place of those that were given. */
static bool
headers_read(struct answer *answer, struct arena *arena, struct xf_str text, struct xf_incoming *message)
{
	struct xf_str name, value, element;
	struct xf_header *headers;
	struct json json, list;
	uint32_t count = 0, at = 0;

	if (text.data == NULL)
		return true;
	if (!headers_count(answer, text, &count))
		return false;
	headers = arena_take(arena, (count + 1) * sizeof(*headers));
	if (headers == NULL)
		return wrong(answer, "there is no memory");
	json_open(&json, text);
	while (json_next(&json, &name, &value)) {
		struct xf_str decoded = {NULL, 0};
		bool single = json_is_string(value);

		/* with its marks, which stand around it */
		if (!text_read(answer, arena, (struct xf_str){name.data - 1, name.len + 2}, &decoded))
			return false;
		json_open_list(&list, value);
		while (at < count && (single || json_element(&list, &element))) {
			headers[at] = (struct xf_header){decoded, {"", 0}};
			if (!text_read(answer, arena, single ? value : element, &headers[at].value))
				return false;
			at++;
			if (single)
				break;
		}
	}
	message->headers = headers;
	message->header_count = at;
	return true;
}

static bool
payload_read(struct answer *answer, struct arena *arena, const struct said *said, bool json, struct xf_incoming *message)
{
	struct xf_str payload = {NULL, 0}, text = {NULL, 0};
	unsigned char *bytes;

	if (said->payload.data != NULL && said->payload_base64.data != NULL)
		return wrong(answer, "payload and payload_base64 cannot stand together");
	if (said->payload.data != NULL && !json && str_is(said->payload, "null"))
		return true;
	if (said->payload.data != NULL) {
		payload = said->payload;
		if (!json && json_is_string(payload) && !text_read(answer, arena, said->payload, &payload))
			return false;
	} else if (said->payload_base64.data != NULL) {
		if (!text_read(answer, arena, said->payload_base64, &text))
			return false;
		bytes = arena_take(arena, text.len + 1);
		if (bytes == NULL)
			return wrong(answer, "there is no memory");
		payload.data = (char *)bytes;
		if (!base64_decode(text, bytes, &payload.len))
			return wrong(answer, "payload_base64 is no base64");
	} else
		return true;
	message->payload = payload.data;
	message->payload_size = payload.len;
	return true;
}

/* GIVEN, but for what is said. */
static bool
message_read(struct answer *answer, struct arena *arena, const struct said *said, const struct xf_incoming *given, bool json,
             struct xf_incoming *message)
{
	*message = *given;
	if (said->asker.data != NULL) {
		if (!str_is(said->asker, "true"))
			return wrong(answer, "asker can only be true");
		message->flags |= XF_MESSAGE_REPLY;
	}
	return text_read(answer, arena, said->subject, &message->subject) && text_read(answer, arena, said->id, &message->id) &&
	       text_read(answer, arena, said->key, &message->key) && text_read(answer, arena, said->reply, &message->reply) &&
	       text_read(answer, arena, said->content_type, &message->content_type) &&
	       headers_read(answer, arena, said->headers, message) && payload_read(answer, arena, said, json, message);
}

/* Several that have the task's id get each one of its own from the core. */
static bool
messages_read(struct answer *answer, struct arena *arena, const struct xf_incoming *given, bool json,
              struct xf_outcome *outcome)
{
	struct xf_incoming *messages;
	struct xf_str name, value, element;
	struct json list, json_said;
	uint32_t count = 0;

	json_open_list(&list, answer->messages);
	while (json_element(&list, &element) && count <= MESSAGES_MAX)
		count++;
	if (list.wrong != NULL)
		return wrong(answer, "messages is no list");
	if (count > MESSAGES_MAX)
		return wrong(answer, "it has more than 4096 messages");
	messages = arena_take(arena, (count + 1) * sizeof(*messages));
	if (messages == NULL)
		return wrong(answer, "there is no memory");
	json_open_list(&list, answer->messages);
	for (uint32_t i = 0; i < count && json_element(&list, &element); i++) {
		struct said said = {.subject = {NULL, 0}};

		json_open(&json_said, element);
		while (json_next(&json_said, &name, &value)) {
			const char *why = member_take(NULL, &said, name, value);

			if (why != NULL)
				return wrong(answer, why);
		}
		if (json_said.wrong != NULL)
			return wrong(answer, "a message of the list is no object");
		if (!message_read(answer, arena, &said, given, json, &messages[i]))
			return false;
		if (count > 1 && str_same(messages[i].id, given->id))
			messages[i].id.len = 0;
	}
	outcome->code = count > 0 ? XF_OUTCOME_PASS : XF_OUTCOME_DROP;
	outcome->messages = messages;
	outcome->stride = sizeof(*messages);
	outcome->count = count;
	return true;
}

static bool
delay_read(struct answer *answer, struct xf_outcome *outcome)
{
	uint64_t delay = 0;

	for (uint64_t i = 0; i < answer->delay_ms.len; i++) {
		char c = answer->delay_ms.data[i];

		if (c < '0' || c > '9' || i == 9)
			return wrong(answer, "delay_ms is no number of milliseconds");
		delay = delay * 10 + (uint64_t)(c - '0');
	}
	outcome->delay_ms = (uint32_t)delay;
	return true;
}

static bool
status_read(struct answer *answer, struct xf_outcome *outcome)
{
	struct xf_str s = answer->status;

	if (s.data == NULL)
		return true;
	if (s.len != 3 || (s.data[0] != '4' && s.data[0] != '5') || s.data[1] < '0' || s.data[1] > '9' || s.data[2] < '0' || s.data[2] > '9')
		return wrong(answer, "status is no number from 400 to 599");
	outcome->status = (uint32_t)((s.data[0] - '0') * 100 + (s.data[1] - '0') * 10 + (s.data[2] - '0'));
	return true;
}

static bool
is_true(struct answer *answer, struct xf_str value)
{
	return str_is(value, "true") || wrong(answer, "pass and drop can only be true");
}

static bool
says_message(const struct said *said)
{
	return said->subject.data != NULL || said->id.data != NULL || said->key.data != NULL || said->reply.data != NULL ||
	       said->content_type.data != NULL || said->headers.data != NULL || said->payload.data != NULL ||
	       said->payload_base64.data != NULL || said->asker.data != NULL;
}

bool
answer_read(struct answer *answer, const struct xf_incoming *given, bool json, struct arena *arena,
            struct xf_outcome *outcome)
{
	bool message = says_message(&answer->said);
	const struct {
		struct xf_str value;
		uint32_t code;
	} words[] = {
		{answer->pass, XF_OUTCOME_PASS},
		{answer->drop, XF_OUTCOME_DROP},
		{answer->fail, XF_OUTCOME_FAIL},
		{answer->refuse, XF_OUTCOME_REFUSE},
		{answer->later, XF_OUTCOME_LATER},
	};
	int said = message + (answer->messages.data != NULL);

	if (answer->wrong != NULL)
		return false;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (words[i].value.data == NULL)
			continue;
		said++;
		outcome->code = words[i].code;
		if (words[i].code == XF_OUTCOME_PASS || words[i].code == XF_OUTCOME_DROP) {
			if (!is_true(answer, words[i].value))
				return false;
		} else if (!text_read(answer, arena, words[i].value, &outcome->reason))
			return false;
	}
	if (said != 1)
		return wrong(answer, said == 0 ? "it does not say what becomes of the message" : "it says two things at once");
	if (!delay_read(answer, outcome) || !status_read(answer, outcome))
		return false;
	if (answer->messages.data != NULL)
		return messages_read(answer, arena, given, json, outcome);
	if (!message)
		return true;
	outcome->code = XF_OUTCOME_PASS;
	outcome->messages = &answer->message;
	outcome->count = 1;
	outcome->stride = sizeof(answer->message);
	return message_read(answer, arena, &answer->said, given, json, &answer->message);
}
