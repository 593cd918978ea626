#include "paths.h"
#include "visit.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define SWALLOW_MAX (1u << 20) /* of a body that is refused already */
#define BODY_FIRST 4096u
#define REQUEST_TIMEOUT_MAX_MS 600000

void
refusal_set(struct refusal *refusal, unsigned status, const char *format, ...)
{
	va_list args;

	if (refusal->status != 0)
		return;
	refusal->status = status;
	va_start(args, format);
	vsnprintf(refusal->detail, sizeof(refusal->detail), format, args);
	va_end(args);
}

void
visit_refuse(struct visit *visit, unsigned status, const char *format, ...)
{
	va_list args;

	if (visit->refusal.status != 0)
		return;
	visit->refusal.status = status;
	va_start(args, format);
	vsnprintf(visit->refusal.detail, sizeof(visit->refusal.detail), format, args);
	va_end(args);
}

static struct xf_str
header(struct visit *visit, const char *name)
{
	const char *value = NULL;
	size_t len = 0;

	if (MHD_lookup_connection_value_n(visit->connection, MHD_HEADER_KIND, name, strlen(name), &value, &len) != MHD_YES ||
	    value == NULL)
		return (struct xf_str){NULL, 0};
	return (struct xf_str){value, len};
}

/* ---- Who may ------------------------------------------------------------------------------ */

static bool
token_is_right(struct visit *visit, struct xf_str token)
{
	struct xf_str value = header(visit, "Authorization");

	if (value.len < 7 || strncasecmp(value.data, "Bearer ", 7) != 0)
		return false;
	value.data += 7;
	value.len -= 7;
	while (value.len > 0 && *value.data == ' ') {
		value.data++;
		value.len--;
	}
	return secret_equal(value, token);
}

/* A browser can be made to post here by any page that its user looks at; such a page's origin is another one. */
static bool
page_is_foreign(struct visit *visit)
{
	struct xf_str origin = header(visit, "Origin"), host = header(visit, "Host");
	const char *authority = origin.len > 0 ? memmem(origin.data, origin.len, "://", 3) : NULL;
	size_t len;

	if (origin.len == 0)
		return false;
	if (authority == NULL)
		return true;
	authority += 3;
	len = origin.len - (size_t)(authority - origin.data);
	return len != host.len || strncasecmp(authority, host.data, len) != 0;
}

static void
entry_check(struct visit *visit)
{
	struct xf_str token = visit->exchange->settings->token;

	if (token.len > 0 && !token_is_right(visit, token))
		visit_refuse(visit, 401, "a token is needed: Authorization: Bearer TOKEN");
	if (token.len == 0 && page_is_foreign(visit))
		visit_refuse(visit, 403, "the request comes from a page of another site");
}

/* ---- What it is about ------------------------------------------------------------------------ */

static bool
is_batch_type(struct xf_str type)
{
	const char *end = type.len > 0 ? memchr(type.data, ';', type.len) : NULL;

	if (end != NULL)
		type.len = (uint64_t)(end - type.data);
	while (type.len > 0 && type.data[type.len - 1] == ' ')
		type.len--;
	return str_is_word(type, "application/x-ndjson") || str_is_word(type, "application/ndjson");
}

static void
timeout_read(struct visit *visit)
{
	const char *text = MHD_lookup_connection_value(visit->connection, MHD_GET_ARGUMENT_KIND, "timeout");
	int64_t value;

	visit->timeout_ms = visit->exchange->settings->request_timeout_ms;
	if (text == NULL)
		return;
	value = duration_read(text);
	if (value <= 0 || value > REQUEST_TIMEOUT_MAX_MS)
		visit_refuse(visit, 400, "timeout: expected a duration up to 10m, as 500ms or 5s");
	else
		visit->timeout_ms = (uint64_t)value;
}

static bool
prefers_async(struct visit *visit)
{
	struct xf_str value = header(visit, "Prefer");
	static const char word[] = "respond-async";

	for (uint64_t i = 0; i + sizeof(word) - 1 <= value.len; i++)
		if (strncasecmp(value.data + i, word, sizeof(word) - 1) == 0)
			return true;
	return false;
}

/* One that the operator has named. */
static enum call_kind
own_path_read(struct visit *visit, const char *url, const char *method, struct path_target *target, const char **item_path)
{
	const struct exchange *exchange = visit->exchange;

	switch (paths_find(exchange->host, exchange->settings->paths, url, method, prefers_async(visit), target, &visit->allowed)) {
	case PATH_FOUND:
		*item_path = target->subject;
		visit->location = target->location;
		return target->waits ? CALL_REQUEST : CALL_PUBLISH;
	case PATH_METHOD:
		visit_refuse(visit, 405, "only %s is answered here", visit->allowed);
		break;
	case PATH_NONE:
		visit_refuse(visit, 404, "nothing is here; POST to /publish/SUBJECT, /request/SUBJECT or /publish");
	}
	return CALL_PUBLISH;
}

/* The path says what the call is; ITEM_PATH is where its subject begins, perhaps in TARGET, or NULL. */
static enum call_kind
path_read(struct visit *visit, const char *url, const char *method, struct path_target *target, const char **item_path)
{
	enum call_kind kind = CALL_PUBLISH;

	*item_path = NULL;
	if (strcmp(url, "/publish") == 0)
		kind = CALL_BATCH;
	else if (strncmp(url, "/publish/", 9) == 0)
		*item_path = url + 9;
	else if (strncmp(url, "/request/", 9) == 0)
		*item_path = url + 9, kind = CALL_REQUEST;
	else
		return own_path_read(visit, url, method, target, item_path);
	if (strcmp(method, "POST") != 0)
		visit_refuse(visit, 405, "only POST is answered here");
	return kind;
}

/* ---- The head of a message --------------------------------------------------------------------- */

struct head {
	struct visit *visit;
	struct item *item;
	struct xf_header *headers;
	uint32_t count, room, own;
	bool no_memory;
};

static bool
field_set(struct head *head, struct xf_str *field, const char *name, struct xf_str value)
{
	if (field->data != NULL) {
		visit_refuse(head->visit, 400, "%s stands there twice", name);
		return true;
	}
	*field = arena_copy(&head->visit->call->arena, value);
	head->no_memory = head->no_memory || field->data == NULL;
	return true;
}

static bool
field_take(struct head *head, struct xf_str name, struct xf_str value)
{
	if (str_is_word(name, "Message-Id"))
		return field_set(head, &head->item->id, "Message-Id", value);
	if (str_is_word(name, "Message-Key"))
		return field_set(head, &head->item->key, "Message-Key", value);
	if (str_is_word(name, "Reply-To"))
		return field_set(head, &head->item->reply, "Reply-To", value);
	if (str_is_word(name, "Content-Type"))
		return field_set(head, &head->item->content_type, "Content-Type", value);
	return header_is_mapped(name) || header_is_https(name);
}

static enum MHD_Result
header_count(void *context, enum MHD_ValueKind kind, const char *name, size_t name_len, const char *value, size_t len)
{
	(void)kind, (void)name, (void)name_len, (void)value, (void)len;
	((struct head *)context)->room++;
	return MHD_YES;
}

static enum MHD_Result
header_take(void *context, enum MHD_ValueKind kind, const char *name, size_t name_len, const char *value, size_t len)
{
	struct head *head = context;
	struct arena *arena = &head->visit->call->arena;
	struct xf_str n = {name, name_len}, v = {value != NULL ? value : "", value != NULL ? len : 0}, canonical;

	(void)kind;
	if (field_take(head, n, v))
		return MHD_YES;
	canonical = header_canonical(n);
	head->own += canonical.data != n.data;
	head->headers[head->count] = (struct xf_header){
		canonical.data != n.data ? canonical : arena_copy(arena, n), arena_copy(arena, v)};
	if (head->headers[head->count].name.data == NULL || head->headers[head->count].value.data == NULL)
		head->no_memory = true;
	head->count++;
	return MHD_YES;
}

/* An id that another crossfade gave stays the message's. */
static void
id_choose(struct head *head)
{
	struct item *item = head->item;
	char id[WORDS_ID_SIZE];

	for (uint32_t i = 0; i < head->count && item->id.len == 0; i++)
		if (str_is(head->headers[i].name, "Crossfade-Id"))
			item->id = head->headers[i].value;
	if (item->id.len > 0)
		return;
	id_make(id);
	item->id = arena_copy(&head->visit->call->arena, str_of(id));
	head->no_memory = head->no_memory || item->id.data == NULL;
}

static void
headers_read(struct visit *visit, struct item *item)
{
	const struct settings *settings = visit->exchange->settings;
	struct head head = {.visit = visit, .item = item};

	MHD_get_connection_values_n(visit->connection, MHD_HEADER_KIND, header_count, &head);
	head.headers = arena_take(&visit->call->arena, (head.room + 1) * sizeof(*head.headers));
	if (head.headers == NULL) {
		visit_refuse(visit, 503, "no memory");
		return;
	}
	MHD_get_connection_values_n(visit->connection, MHD_HEADER_KIND, header_take, &head);
	id_choose(&head);
	if (head.no_memory)
		visit_refuse(visit, 503, "no memory");
	if (head.count - head.own > settings->max_headers)
		visit_refuse(visit, 431, "%u headers; a message may bring %u (max_headers)", head.count - head.own,
		             settings->max_headers);
	item->headers = head.headers;
	item->header_count = head.count;
}

static void
subject_read(struct visit *visit, struct item *item, const char *path)
{
	struct xf_str subject;

	if (strlen(path) > 3 * visit->exchange->settings->max_subject) {
		visit_refuse(visit, 414, "a subject may have %llu bytes (max_subject)",
		             (unsigned long long)visit->exchange->settings->max_subject);
		return;
	}
	subject = arena_copy(&visit->call->arena, str_of(path));
	if (subject.data == NULL)
		visit_refuse(visit, 503, "no memory");
	else if (!percent_decode((char *)subject.data, &subject.len))
		visit_refuse(visit, 400, "the subject has a '%%' without two hexadecimal digits, or a NUL");
	item->subject = subject;
}

bool
item_check(const struct settings *settings, const struct item *item, struct refusal *refusal)
{
	const char *wrong = subject_wrong(item->subject);
	static const struct xf_str any = {"x", 1};

	if (wrong != NULL)
		refusal_set(refusal, 400, "%s", wrong);
	if (item->subject.len > settings->max_subject)
		refusal_set(refusal, 414, "a subject may have %llu bytes (max_subject)",
		            (unsigned long long)settings->max_subject);
	if (item->reply.len > settings->max_subject || (item->reply.len > 0 && subject_wrong(item->reply) != NULL))
		refusal_set(refusal, 400, "the reply subject is too long, or no subject");
	if (!header_is_safe(any, item->id) || !header_is_safe(any, item->key) || !header_is_safe(any, item->content_type))
		refusal_set(refusal, 400, "id, key or content type has a control character");
	if (item->id.len > settings->max_header_value || item->key.len > settings->max_header_value ||
	    item->content_type.len > 256)
		refusal_set(refusal, 431, "id, key or content type is too long (max_header_value)");
	for (uint32_t i = 0; i < item->header_count; i++) {
		const struct xf_header *h = &item->headers[i];

		if (!header_is_safe(h->name, h->value))
			refusal_set(refusal, 400, "header %u has a name that is no token, or a control character", i + 1);
		if (h->name.len > 256 || h->value.len > settings->max_header_value)
			refusal_set(refusal, 431, "a header's value may have %llu bytes (max_header_value)",
			            (unsigned long long)settings->max_header_value);
	}
	return refusal->status == 0;
}

static void
message_read(struct visit *visit, const char *path)
{
	struct item *item = call_item(visit->call);

	if (item == NULL) {
		visit_refuse(visit, 503, "no memory");
		return;
	}
	item->time_ms = visit->exchange->host->wall_ms();
	subject_read(visit, item, path);
	headers_read(visit, item);
	if (visit->refusal.status == 0)
		item_check(visit->exchange->settings, item, &visit->refusal);
}

/* ---- The three steps ----------------------------------------------------------------------------- */

/* The length that the head announces; 0 where it announces none. */
static uint64_t
length_announced(struct visit *visit)
{
	struct xf_str value = header(visit, "Content-Length");
	uint64_t length = 0;

	for (uint64_t i = 0; i < value.len && value.data[i] >= '0' && value.data[i] <= '9'; i++)
		length = length < UINT64_MAX / 16 ? length * 10 + (uint64_t)(value.data[i] - '0') : length;
	return length;
}

/* What says where a request ends, and for whom it is. */
struct framing {
	unsigned hosts, lengths, encodings;
	bool chunked; /* the last encoding is that, alone */
	bool waits;   /* with the body, until it is told to go on */
};

static enum MHD_Result
framing_add(void *context, enum MHD_ValueKind kind, const char *name, size_t name_len, const char *value, size_t len)
{
	struct framing *framing = context;
	struct xf_str n = {name, name_len}, v = {value, value != NULL ? len : 0};

	(void)kind;
	framing->hosts += str_is_word(n, "Host");
	framing->lengths += str_is_word(n, "Content-Length");
	if (str_is_word(n, "Transfer-Encoding")) {
		framing->encodings++;
		framing->chunked = str_is_word(v, "chunked");
	}
	framing->waits = framing->waits || (str_is_word(n, "Expect") && str_is_word(v, "100-continue"));
	return MHD_YES;
}

/*
 * A request that a proxy before us may take to end elsewhere than we do would let its sender slip in a second one, in the
 * name of whoever shares the connection. libmicrohttpd takes what is ambiguous; so it is looked at here, and the
 * connection ends with the answer.
 */
static struct framing
framing_check(struct visit *visit, const char *version)
{
	struct framing framing = {.hosts = 0};

	MHD_get_connection_values_n(visit->connection, MHD_HEADER_KIND, framing_add, &framing);
	if (framing.lengths > 1 || framing.encodings > 1 || (framing.lengths > 0 && framing.encodings > 0))
		visit_refuse(visit, 400, "Content-Length and Transfer-Encoding: one of them can stand there, once");
	else if (framing.encodings > 0 && strcmp(version, MHD_HTTP_VERSION_1_1) != 0)
		visit_refuse(visit, 400, "Transfer-Encoding belongs to HTTP/1.1");
	else if (framing.encodings > 0 && !framing.chunked)
		visit_refuse(visit, 501, "the only Transfer-Encoding that is understood is chunked");
	else if (framing.hosts > 1 || (framing.hosts == 0 && strcmp(version, MHD_HTTP_VERSION_1_1) == 0))
		visit_refuse(visit, 400, "there must be one Host");
	visit->closes = visit->refusal.status != 0;
	return framing;
}

bool
request_begin(struct visit *visit, const char *url, const char *method, const char *version)
{
	const struct settings *settings = visit->exchange->settings;
	uint64_t length = length_announced(visit);
	struct framing framing = framing_check(visit, version);
	struct path_target target;
	enum call_kind kind;
	const char *path;

	entry_check(visit);
	kind = path_read(visit, url, method, &target, &path);
	if (length > settings->max_body)
		visit_refuse(visit, 413, "a body may have %llu bytes (max_body)", (unsigned long long)settings->max_body);
	if (kind == CALL_BATCH && !is_batch_type(header(visit, "Content-Type")))
		visit_refuse(visit, 415, "a batch has Content-Type: application/x-ndjson; one message goes to /publish/SUBJECT");
	visit->timeout_ms = settings->timeout_ms;
	if (kind == CALL_REQUEST)
		timeout_read(visit);
	if (visit->refusal.status == 0) {
		visit->call = call_create(visit->exchange, kind);
		if (visit->call == NULL)
			visit_refuse(visit, 503, "no memory");
	}
	if (visit->call != NULL && path != NULL)
		message_read(visit, path);
	visit->closes = visit->closes || (visit->refusal.status != 0 && (length > SWALLOW_MAX || framing.waits));
	return !visit->closes;
}

static bool
body_reserve(struct call *call, size_t more)
{
	size_t size = call->body_size > 0 ? call->body_size : BODY_FIRST;
	char *grown;

	if (call->body_len + more <= call->body_size)
		return true;
	while (size < call->body_len + more)
		size *= 2;
	if (!call_charge(call, size - call->body_size))
		return false;
	grown = realloc(call->body, size);
	if (grown == NULL)
		return false;
	call->body = grown;
	call->body_size = size;
	return true;
}

bool
request_body(struct visit *visit, const char *data, size_t size)
{
	struct call *call = visit->call;

	if (visit->refusal.status == 0 && call->body_len + size > visit->exchange->settings->max_body)
		visit_refuse(visit, 413, "a body may have %llu bytes (max_body)",
		             (unsigned long long)visit->exchange->settings->max_body);
	if (visit->refusal.status == 0 && !body_reserve(call, size))
		visit_refuse(visit, 503, "too much is under way (max_bytes); come again");
	if (visit->refusal.status != 0) {
		call_drop(&visit->call); /* and with it what came in so far */
		visit->swallowed += size;
		return visit->swallowed <= SWALLOW_MAX + visit->exchange->settings->max_body;
	}
	memcpy(call->body + call->body_len, data, size);
	call->body_len += size;
	return true;
}

void
request_end(struct visit *visit)
{
	struct call *call = visit->call;

	if (visit->refusal.status != 0)
		return;
	call->deadline_ms = visit->exchange->host->now_ms() + visit->timeout_ms;
	if (call->kind == CALL_BATCH) {
		batch_read(visit);
		return;
	}
	call->items->payload = (struct xf_str){call->body, call->body_len};
	if (call->kind == CALL_REQUEST)
		id_make(call->reply_id);
	if (!call_charge(call, call->arena.bytes))
		visit_refuse(visit, 503, "too much is under way (max_bytes); come again");
}
