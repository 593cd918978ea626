/*
 * A sink that posts each message to a URL.
 *
 * Requests go out in `parallel` slots, one at a time in each, so what stands in one slot keeps its order; messages of one
 * key share a slot. A message that fails takes those queued behind it in its slot back with it, unsent, so that none of them
 * passes it.
 *
 * Transfers are begun and ended in work() alone; publish() queues.
 *
 * States. DOWN: nothing connects; a probe, which connects and sends nothing, finds out when that is over. BLOCKED: there is a
 * server, and it refuses everybody (busy, wrong token) or this path; then one message at a time finds out,
 * with a growing pause or the one that the server asked for. Where the path holds the subject, a 404 is about some
 * subjects only, and the others do not wait for it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "multi.h"
#include "plugin.h"

#define DEPTH 16u /* messages in a slot, with the one under way */
#define ANSWER_KEPT 200u
#define ANSWER_MAX (1u << 20)
#define PAUSE_FIRST_MS 100u
#define PAUSE_MAX_MS 10000u
#define RETRY_AFTER_MAX_S 3600
#define SOME_FAULT_MS 5000u /* a fault of some subjects is over when none was seen for so long */

struct slot {
	CURL *easy;
	bool busy;
	bool probing; /* begun since the server refuses everybody */
	struct curl_slist *headers;
	struct text url;
	char wrong[CURL_ERROR_SIZE];
	char answer[ANSWER_KEPT]; /* the start of its body */
	size_t answer_len;
	uint64_t answer_size;
	struct text reply; /* of a request: all of it */
	struct xf_outgoing queue[DEPTH]; /* a ring; the first is under way where busy */
	uint32_t first, count;
};

enum fault {
	FAULT_NONE,
	FAULT_ALL,  /* of every message */
	FAULT_SOME, /* of some subjects */
};

struct webhook {
	struct sink_head head;
	const struct xf_host *host;
	struct xf_endpoint *endpoint;
	const struct settings *settings;
	struct sink_settings sink;
	struct multi multi;
	CURL *probe;
	char probe_wrong[CURL_ERROR_SIZE];
	uint64_t probe_at_ms;
	bool up; /* UP or BLOCKED */
	uint32_t told; /* state, once it was; UINT32_MAX at first */
	char told_reason[400];
	enum fault fault;
	uint64_t fault_at_ms;
	uint64_t pause_until_ms;
	uint32_t pause_ms;
	uint32_t outstanding;
	struct slot *slots;
};

/* ---- Telling -------------------------------------------------------------------------------- */

static void
state_tell(struct webhook *hook, uint32_t state, const char *reason)
{
	const char *text = reason != NULL ? reason : "";

	if (hook->told == state && strncmp(hook->told_reason, text, sizeof(hook->told_reason) - 1) == 0)
		return;
	hook->told = state;
	snprintf(hook->told_reason, sizeof(hook->told_reason), "%s", text);
	hook->host->state(hook->endpoint, state, reason);
}

static void
front_complete(struct webhook *hook, struct slot *slot, uint32_t code, const char *reason)
{
	struct xf_result result = {
		.token = slot->queue[slot->first].token, .code = code, .reason = str_of(reason != NULL ? reason : "")};

	slot->first = (slot->first + 1) % DEPTH;
	slot->count--;
	hook->outstanding--;
	hook->host->complete(hook->endpoint, &result, 1);
}

/* What is queued goes back unsent: it would pass a message that failed, or run into what that one found. */
static void
rest_give_back(struct webhook *hook, struct slot *slot)
{
	while (slot->count > (slot->busy ? 1u : 0u)) {
		struct xf_result result = {
			.token = slot->queue[(slot->first + --slot->count) % DEPTH].token,
			.code = XF_RESULT_NOT_SENT,
			.reason = str_of("a message before it failed"),
		};

		hook->outstanding--;
		hook->host->complete(hook->endpoint, &result, 1);
	}
}

/* Doubles, with jitter, up to a bound. */
static uint32_t
pause_next(uint32_t *pause_ms, uint64_t now)
{
	*pause_ms = *pause_ms == 0 ? PAUSE_FIRST_MS : *pause_ms * 2;
	if (*pause_ms > PAUSE_MAX_MS)
		*pause_ms = PAUSE_MAX_MS;
	return *pause_ms - (uint32_t)((now * 2654435761u >> 8) % (*pause_ms / 4 + 1));
}

static void
fault_set(struct webhook *hook, enum fault fault, long retry_after_s, const char *reason)
{
	uint64_t now = hook->host->now_ms();

	hook->fault_at_ms = now;
	if (hook->fault == FAULT_NONE || fault == FAULT_ALL)
		hook->fault = fault;
	if (fault == FAULT_ALL) {
		uint64_t pause = pause_next(&hook->pause_ms, now), asked = (uint64_t)retry_after_s * 1000;

		hook->pause_until_ms = now + (asked > pause ? asked : pause);
		for (uint32_t i = 0; i < hook->sink.parallel; i++)
			rest_give_back(hook, &hook->slots[i]);
	}
	state_tell(hook, XF_STATE_BLOCKED, reason);
}

static void
fault_clear(struct webhook *hook)
{
	hook->fault = FAULT_NONE;
	hook->pause_ms = 0;
	hook->pause_until_ms = 0;
	state_tell(hook, XF_STATE_UP, NULL);
}

/* ---- Transfers ---------------------------------------------------------------------------------- */

static size_t
on_answer(char *data, size_t size, size_t count, void *context)
{
	struct slot *slot = context;
	size_t bytes = size * count, room = ANSWER_KEPT - 1 - slot->answer_len;

	if (bytes < room)
		room = bytes;
	for (size_t i = 0; i < room; i++) {
		unsigned char c = (unsigned char)data[i];

		slot->answer[slot->answer_len++] = c < ' ' || c == 0x7f ? ' ' : (char)c;
	}
	slot->answer[slot->answer_len] = '\0';
	slot->answer_size += bytes;
	if (slot->queue[slot->first].request != 0)
		text_add(&slot->reply, data, bytes);
	/* An answer without end would hold the slot until its time-out. */
	return slot->answer_size > ANSWER_MAX ? 0 : bytes;
}

static void
slot_end(struct webhook *hook, struct slot *slot)
{
	if (!slot->busy)
		return;
	curl_multi_remove_handle(hook->multi.curl, slot->easy);
	curl_slist_free_all(slot->headers);
	slot->headers = NULL;
	slot->busy = false;
}

static bool
was_sent(CURL *easy)
{
	long size = 0;

	curl_easy_getinfo(easy, CURLINFO_REQUEST_SIZE, &size);
	return size > 0;
}

/* Nothing connects any more, or what was connected broke: every token is answered for, then DOWN is said. */
static void
go_down(struct webhook *hook, const char *reason)
{
	for (uint32_t i = 0; i < hook->sink.parallel; i++) {
		struct slot *slot = &hook->slots[i];

		if (slot->busy) {
			uint32_t code = was_sent(slot->easy) ? XF_RESULT_UNKNOWN : XF_RESULT_NOT_SENT;

			slot_end(hook, slot);
			front_complete(hook, slot, code, reason);
		}
		rest_give_back(hook, slot);
	}
	hook->up = false;
	hook->fault = FAULT_NONE;
	hook->pause_until_ms = 0;
	state_tell(hook, XF_STATE_DOWN, reason);
}

static bool
header_add(struct slot *slot, struct text *line, const char *name, struct xf_str value)
{
	struct curl_slist *grown;

	line->len = 0;
	text_puts(line, name);
	/* libcurl's way to say that there is a header without a value. */
	text_puts(line, value.len > 0 ? ": " : ";");
	text_add(line, value.data, value.len);
	text_add(line, "", 1);
	grown = line->failed ? NULL : curl_slist_append(slot->headers, line->data);
	if (grown == NULL)
		return false;
	slot->headers = grown;
	return true;
}

static bool
field_add(struct slot *slot, struct text *line, const char *name, struct xf_str value)
{
	return value.len == 0 || header_add(slot, line, name, value);
}

static bool
message_headers_add(struct slot *slot, struct text *line, const struct xf_outgoing *m)
{
	char name[260];

	for (uint32_t i = 0; i < m->header_count; i++) {
		const struct xf_header *h = &m->headers[i];

		/* What would be taken for this request's own is not the message's to say. */
		if (header_is_https(h->name) || header_is_mapped(h->name) || h->name.len >= sizeof(name) ||
		    !header_is_safe(h->name, h->value))
			continue;
		snprintf(name, sizeof(name), "%.*s", (int)h->name.len, h->name.data);
		if (!header_add(slot, line, name, h->value))
			return false;
	}
	return true;
}

static bool
headers_make(const struct webhook *hook, struct slot *slot, const struct xf_outgoing *m)
{
	struct text line = {.data = NULL};
	struct curl_slist *grown;
	char bearer[8] = "Bearer ";
	bool made;

	/* An empty one takes away what libcurl would say itself. */
	grown = curl_slist_append(NULL, "Expect:");
	slot->headers = grown;
	made = grown != NULL;
	if (made && m->content_type.len == 0) {
		grown = curl_slist_append(slot->headers, "Content-Type:");
		made = grown != NULL;
	}
	made = made && field_add(slot, &line, "Content-Type", m->content_type) &&
	       field_add(slot, &line, "Message-Id", m->dedup_id) && field_add(slot, &line, "Message-Key", m->key) &&
	       field_add(slot, &line, "Reply-To", m->reply) && field_add(slot, &line, "Crossfade-Subject", m->subject) &&
	       message_headers_add(slot, &line, m);
	if (made && hook->settings->token.len > 0 && hook->settings->user.len == 0) {
		struct text value = {.data = NULL};

		text_puts(&value, bearer);
		text_add(&value, hook->settings->token.data, hook->settings->token.len);
		made = !value.failed && header_add(slot, &line, "Authorization", (struct xf_str){value.data, value.len});
		text_fini(&value);
	}
	text_fini(&line);
	return made;
}

static bool
url_make(const struct webhook *hook, struct slot *slot, const struct xf_outgoing *m)
{
	struct xf_str url = hook->settings->url, path = hook->sink.path;
	const char *place = path.len > 0 ? memmem(path.data, path.len, "{subject}", 9) : NULL;

	slot->url.len = 0;
	if (path.len > 0 && url.data[url.len - 1] == '/' && path.data[0] == '/')
		url.len--;
	text_add(&slot->url, url.data, url.len);
	while (place != NULL) {
		text_add(&slot->url, path.data, (size_t)(place - path.data));
		percent_encode(&slot->url, m->subject);
		path.len -= (uint64_t)(place + 9 - path.data);
		path.data = place + 9;
		place = path.len > 0 ? memmem(path.data, path.len, "{subject}", 9) : NULL;
	}
	text_add(&slot->url, path.data, path.len);
	text_add(&slot->url, "", 1);
	return !slot->url.failed;
}

/* What every transfer of this sink has. */
static void
easy_prepare(const struct webhook *hook, CURL *easy, char *wrong)
{
	const struct settings *settings = hook->settings;

	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, wrong);
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(easy, CURLOPT_PROXY, hook->sink.proxy.len > 0 ? hook->sink.proxy.data : "");
	curl_easy_setopt(easy, CURLOPT_USERAGENT, "crossfade/" XF_VERSION);
	curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)hook->sink.connect_timeout_ms);
	curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, settings->tls_verify ? 1L : 0L);
	curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, settings->tls_verify ? 2L : 0L);
	if (settings->tls_ca.len > 0) { /* in the place of the system's, not beside them */
		curl_easy_setopt(easy, CURLOPT_CAINFO, settings->tls_ca.data);
		curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
	}
	/* With a listen beside the url, cert and key are the listener's, and serve here as well. */
	if (settings->tls_cert.len > 0) {
		curl_easy_setopt(easy, CURLOPT_SSLCERT, settings->tls_cert.data);
		curl_easy_setopt(easy, CURLOPT_SSLKEY, settings->tls_key.data);
	}
	if (settings->user.len > 0) {
		curl_easy_setopt(easy, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
		curl_easy_setopt(easy, CURLOPT_USERNAME, settings->user.data);
		curl_easy_setopt(easy, CURLOPT_PASSWORD, settings->password.len > 0 ? settings->password.data : "");
	}
}

/* False: no memory. */
static bool
slot_begin(struct webhook *hook, struct slot *slot)
{
	const struct xf_outgoing *m = &slot->queue[slot->first];

	if (slot->easy == NULL)
		slot->easy = curl_easy_init();
	if (slot->easy == NULL || !url_make(hook, slot, m) || !headers_make(hook, slot, m)) {
		curl_slist_free_all(slot->headers);
		slot->headers = NULL;
		return false;
	}
	curl_easy_reset(slot->easy);
	slot->wrong[0] = slot->answer[0] = '\0';
	slot->answer_len = 0;
	slot->answer_size = 0;
	slot->reply.len = 0;
	slot->reply.failed = false;
	easy_prepare(hook, slot->easy, slot->wrong);
	curl_easy_setopt(slot->easy, CURLOPT_URL, slot->url.data);
	curl_easy_setopt(slot->easy, CURLOPT_PRIVATE, slot);
	curl_easy_setopt(slot->easy, CURLOPT_HTTPHEADER, slot->headers);
	curl_easy_setopt(slot->easy, CURLOPT_POST, 1L);
	curl_easy_setopt(slot->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)m->payload_size);
	curl_easy_setopt(slot->easy, CURLOPT_POSTFIELDS, m->payload_size > 0 ? m->payload : "");
	curl_easy_setopt(slot->easy, CURLOPT_WRITEFUNCTION, on_answer);
	curl_easy_setopt(slot->easy, CURLOPT_WRITEDATA, slot);
	curl_easy_setopt(slot->easy, CURLOPT_TIMEOUT_MS, (long)hook->sink.timeout_ms);
	slot->probing = hook->fault == FAULT_ALL;
	slot->busy = curl_multi_add_handle(hook->multi.curl, slot->easy) == CURLM_OK;
	if (!slot->busy) {
		curl_slist_free_all(slot->headers);
		slot->headers = NULL;
	}
	return slot->busy;
}

/* ---- Answers ------------------------------------------------------------------------------------------ */

/* What an answer means. */
struct meaning {
	uint32_t code;
	enum fault fault;
	const char *remedy; /* NULL: none that we know */
};

static struct meaning
status_meaning(const struct webhook *hook, long status, long retry_after_s)
{
	bool by_subject = hook->sink.path.len > 0 && memmem(hook->sink.path.data, hook->sink.path.len, "{subject}", 9) != NULL;
	enum fault missing = by_subject ? FAULT_SOME : FAULT_ALL;

	if (status >= 200 && status < 300)
		return (struct meaning){XF_RESULT_STORED, FAULT_NONE, NULL};
	switch (status) {
	case 401:
	case 407:
		return (struct meaning){XF_RESULT_NOT_SENT, FAULT_ALL, "set token, or user and password, as the server wants them"};
	case 403:
		return (struct meaning){XF_RESULT_NOT_SENT, FAULT_ALL, "the server does not let us in: look at token, user or tls.cert"};
	case 404:
	case 405:
		return (struct meaning){XF_RESULT_NOT_SENT, missing, "nothing takes messages there: look at url and path"};
	case 409: /* "the first try is still being worked on" says when to come again */
		if (retry_after_s > 0)
			return (struct meaning){XF_RESULT_NOT_SENT, FAULT_SOME, NULL};
		return (struct meaning){XF_RESULT_REJECTED, FAULT_NONE, NULL};
	case 408:
	case 425:
	case 429:
		return (struct meaning){XF_RESULT_NOT_SENT, FAULT_ALL, NULL};
	case 501: /* those say that nothing was done */
	case 503:
	case 505:
	case 507:
	case 511:
		return (struct meaning){XF_RESULT_NOT_SENT, FAULT_ALL, NULL};
	default:
		break;
	}
	if (status >= 300 && status < 400)
		return (struct meaning){XF_RESULT_NOT_SENT, FAULT_ALL, "redirections are not followed: set url to where they lead"};
	if (status >= 400 && status < 500)
		return (struct meaning){XF_RESULT_REJECTED, FAULT_NONE, NULL};
	if (status == 500) /* before, within or after what it did, and perhaps with this message only */
		return (struct meaning){XF_RESULT_FAILED, FAULT_SOME, NULL};
	return (struct meaning){XF_RESULT_UNKNOWN, FAULT_ALL, NULL}; /* a gateway does not know */
}

/* The server takes messages, or judges them. One that was sent before it asked for a pause does not end that. */
static void
served(struct webhook *hook, const struct slot *slot)
{
	if (hook->fault == FAULT_ALL && !slot->probing)
		return;
	hook->pause_ms = 0;
	if (hook->fault == FAULT_ALL)
		fault_clear(hook);
}

/* The answer to a request: what the server made of it, or that it does not want it, which is the asker's affair. */
static void
reply_take(struct webhook *hook, struct slot *slot, long status)
{
	struct xf_incoming message = {.payload = slot->reply.data, .payload_size = slot->reply.len};
	struct xf_replied replied = {
		.request = slot->queue[slot->first].request,
		.message = &message,
		.message_size = sizeof(message),
	};
	const char *type = NULL;
	char reason[400];

	curl_easy_getinfo(slot->easy, CURLINFO_CONTENT_TYPE, &type);
	message.content_type = str_of(type != NULL ? type : "");
	if (slot->answer_size > ANSWER_MAX || slot->reply.failed) {
		replied.message = NULL;
		replied.status = 502;
		snprintf(reason, sizeof(reason), slot->reply.failed ? "no memory for the reply" : "the reply is larger than %u bytes", ANSWER_MAX);
	} else if (status >= 300) {
		replied.message = NULL;
		replied.status = (uint32_t)status;
		snprintf(reason, sizeof(reason), "HTTP status %ld: %s", status, slot->answer);
	}
	if (replied.message == NULL)
		replied.reason = str_of(reason);
	hook->host->replied(hook->endpoint, &replied, sizeof(replied), 1);
}

static void
status_take(struct webhook *hook, struct slot *slot)
{
	curl_off_t retry_after = 0;
	struct meaning meaning;
	char reason[400];
	long status = 0;

	curl_easy_getinfo(slot->easy, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_getinfo(slot->easy, CURLINFO_RETRY_AFTER, &retry_after);
	if (retry_after > RETRY_AFTER_MAX_S)
		retry_after = RETRY_AFTER_MAX_S;
	meaning = status_meaning(hook, status, (long)retry_after);
	if (slot->queue[slot->first].request != 0 && meaning.code == XF_RESULT_REJECTED)
		meaning = (struct meaning){XF_RESULT_STORED, FAULT_NONE, NULL};
	if (slot->queue[slot->first].request != 0 && meaning.code == XF_RESULT_STORED)
		reply_take(hook, slot, status);
	slot_end(hook, slot);
	if (meaning.fault == FAULT_NONE)
		served(hook, slot);
	if (meaning.code == XF_RESULT_STORED) {
		front_complete(hook, slot, XF_RESULT_STORED, NULL);
		return;
	}
	snprintf(reason, sizeof(reason), "HTTP status %ld%s%s%s%s", status, meaning.remedy != NULL ? ", " : "",
	         meaning.remedy != NULL ? meaning.remedy : "", slot->answer_len > 0 ? ": " : "", slot->answer);
	front_complete(hook, slot, meaning.code, reason);
	if (meaning.code == XF_RESULT_REJECTED)
		return;
	rest_give_back(hook, slot);
	/* Without the answer's text, which may differ each time. */
	snprintf(reason, sizeof(reason), "the server answers HTTP status %ld%s%s", status, meaning.remedy != NULL ? "; " : "",
	         meaning.remedy != NULL ? meaning.remedy : "");
	fault_set(hook, meaning.fault, (long)retry_after, reason);
}

static void
reason_make(const struct webhook *hook, CURLcode why, const char *wrong, char *out, size_t size)
{
	const char *remedy = "";

	if (why == CURLE_PEER_FAILED_VERIFICATION && hook->settings->tls_ca.len == 0)
		remedy = "; set tls.ca where the server's CA is not the system's";
	else if (why == CURLE_SSL_CERTPROBLEM)
		remedy = "; look at tls.cert and tls.key";
	else if (why == CURLE_SSL_CACERT_BADFILE)
		remedy = "; look at tls.ca";
	snprintf(out, size, "%s%s", wrong[0] != '\0' ? wrong : curl_easy_strerror(why), remedy);
}

static void
failure_take(struct webhook *hook, struct slot *slot, CURLcode why)
{
	bool sent = was_sent(slot->easy);
	uint64_t now = hook->host->now_ms();
	char reason[400];
	long status = 0;

	curl_easy_getinfo(slot->easy, CURLINFO_RESPONSE_CODE, &status);
	if (why == CURLE_WRITE_ERROR && slot->answer_size > ANSWER_MAX && status > 0) {
		status_take(hook, slot);
		return;
	}
	if (why == CURLE_OPERATION_TIMEDOUT && sent) {
		slot_end(hook, slot);
		front_complete(hook, slot, XF_RESULT_UNKNOWN, "no answer in time");
		rest_give_back(hook, slot);
		fault_set(hook, FAULT_ALL, 0, "the server does not answer in time (timeout)");
		return;
	}
	reason_make(hook, why, slot->wrong, reason, sizeof(reason));
	slot_end(hook, slot);
	front_complete(hook, slot, sent ? XF_RESULT_UNKNOWN : XF_RESULT_NOT_SENT, reason);
	go_down(hook, reason);
	/* Perhaps it was the connection alone; if that comes again before anything was answered, it was not. */
	hook->probe_at_ms = now + (hook->pause_ms > 0 ? pause_next(&hook->pause_ms, now) : 0);
	if (hook->pause_ms == 0)
		pause_next(&hook->pause_ms, now);
}

static void
probe_end(struct webhook *hook)
{
	if (hook->probe == NULL)
		return;
	curl_multi_remove_handle(hook->multi.curl, hook->probe);
	curl_easy_cleanup(hook->probe);
	hook->probe = NULL;
}

static void
probe_take(struct webhook *hook, CURLcode why)
{
	uint64_t now = hook->host->now_ms();
	char reason[400];

	reason_make(hook, why, hook->probe_wrong, reason, sizeof(reason));
	probe_end(hook);
	if (why == CURLE_OK) {
		hook->up = true;
		state_tell(hook, XF_STATE_UP, NULL);
		return;
	}
	state_tell(hook, XF_STATE_DOWN, reason);
	hook->probe_at_ms = now + pause_next(&hook->pause_ms, now);
}

static void
probe_begin(struct webhook *hook)
{
	hook->probe = curl_easy_init();
	if (hook->probe == NULL)
		return;
	hook->probe_wrong[0] = '\0';
	easy_prepare(hook, hook->probe, hook->probe_wrong);
	curl_easy_setopt(hook->probe, CURLOPT_URL, hook->settings->url.data);
	curl_easy_setopt(hook->probe, CURLOPT_CONNECT_ONLY, 1L);
	if (curl_multi_add_handle(hook->multi.curl, hook->probe) != CURLM_OK) {
		curl_easy_cleanup(hook->probe);
		hook->probe = NULL;
	}
}

/* ---- The loop ---------------------------------------------------------------------------------------------- */

static void
done_take(struct webhook *hook)
{
	const CURLMsg *message;
	int left;

	while ((message = curl_multi_info_read(hook->multi.curl, &left)) != NULL) {
		CURL *easy = message->easy_handle;
		CURLcode why = message->data.result;
		struct slot *slot = NULL;

		if (message->msg != CURLMSG_DONE)
			continue;
		if (easy == hook->probe) {
			probe_take(hook, why);
			continue;
		}
		curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&slot);
		if (slot == NULL || !slot->busy)
			continue;
		if (why == CURLE_OK)
			status_take(hook, slot);
		else
			failure_take(hook, slot, why);
	}
}

/* Begins what can be; returns whether anything was. */
static bool
slots_begin(struct webhook *hook)
{
	bool any = false;

	for (uint32_t i = 0; i < hook->sink.parallel && hook->up; i++) {
		struct slot *slot = &hook->slots[i];

		if (slot->busy || slot->count == 0)
			continue;
		any = true;
		if (slot_begin(hook, slot))
			continue;
		front_complete(hook, slot, XF_RESULT_NOT_SENT, "no memory for a request");
		rest_give_back(hook, slot);
		fault_set(hook, FAULT_ALL, 0, "no memory for a request");
	}
	return any;
}

static uint32_t
room_of(const struct webhook *hook, uint64_t now)
{
	if (!hook->up || now < hook->pause_until_ms)
		return 0;
	if (hook->fault == FAULT_ALL)
		return hook->outstanding == 0 ? 1 : 0;
	return hook->sink.parallel * DEPTH - hook->outstanding;
}

static void
wait_set(const struct webhook *hook, struct xf_work *work, uint64_t now)
{
	uint64_t until = now + work->timeout_ms;

	if (!hook->up && hook->probe == NULL && hook->probe_at_ms < until)
		until = hook->probe_at_ms;
	if (hook->pause_until_ms > now && hook->pause_until_ms < until)
		until = hook->pause_until_ms;
	work->timeout_ms = until > now ? (uint32_t)(until - now) : 0;
	multi_wait(&hook->multi, work);
}

static void
webhook_work(void *instance, struct xf_work *work)
{
	struct webhook *hook = instance;
	uint64_t now = hook->host->now_ms();

	if (hook->multi.curl == NULL && !multi_open(&hook->multi, hook->host, hook->sink.parallel)) {
		state_tell(hook, XF_STATE_DOWN, "out of memory or descriptors");
		return;
	}
	if (!hook->up && hook->probe == NULL && now >= hook->probe_at_ms)
		probe_begin(hook);
	for (int i = 0; i < 8; i++) {
		multi_act(&hook->multi);
		done_take(hook);
		if (!slots_begin(hook) && !multi_is_due(&hook->multi))
			break;
	}
	now = hook->host->now_ms();
	if (hook->fault == FAULT_SOME && now - hook->fault_at_ms >= SOME_FAULT_MS)
		fault_clear(hook);
	work->room = room_of(hook, now);
	wait_set(hook, work, now);
}

/* ---- Publishing -------------------------------------------------------------------------------------------------- */

static struct slot *
slot_of(struct webhook *hook, struct xf_str key)
{
	struct slot *emptiest = &hook->slots[0];
	uint32_t hash = 2166136261u;

	if (key.len > 0) {
		for (uint64_t i = 0; i < key.len; i++)
			hash = (hash ^ (unsigned char)key.data[i]) * 16777619u;
		return &hook->slots[hash % hook->sink.parallel];
	}
	for (uint32_t i = 1; i < hook->sink.parallel; i++)
		if (hook->slots[i].count < emptiest->count)
			emptiest = &hook->slots[i];
	return emptiest;
}

static uint32_t
webhook_publish(void *instance, const struct xf_outgoing *messages, uint32_t stride, uint32_t count)
{
	struct webhook *hook = instance;
	uint32_t taken = 0, room = room_of(hook, hook->host->now_ms());

	for (; taken < count && taken < room; taken++) {
		const struct xf_outgoing *m = (const void *)((const char *)messages + (size_t)taken * stride);
		struct slot *slot = slot_of(hook, m->key);

		if (slot->count == DEPTH)
			break;
		slot->queue[(slot->first + slot->count++) % DEPTH] = *m;
		hook->outstanding++;
	}
	if (taken > 0)
		hook->host->wake(hook->endpoint);
	return taken;
}

/* ---- Life -------------------------------------------------------------------------------------------------------- */

static int32_t
webhook_create(const struct xf_host *host, struct xf_endpoint *endpoint, void *shared, const struct xf_config *transport,
               const struct xf_config *config, const struct xf_endpoint_info *info, void **instance,
               struct xf_error *error)
{
	struct transport *t = shared;
	struct webhook *hook = calloc(1, sizeof(*hook));

	(void)transport, (void)info;
	if (hook == NULL)
		return settings_fail(error, "no memory");
	hook->head.ops = &webhook_sink;
	hook->host = host;
	hook->endpoint = endpoint;
	hook->settings = &t->settings;
	hook->told = UINT32_MAX;
	sink_settings_read(host, config, &hook->sink);
	hook->slots = calloc(hook->sink.parallel, sizeof(*hook->slots));
	if (hook->slots == NULL) {
		free(hook);
		return settings_fail(error, "no memory");
	}
	*instance = hook;
	return 0;
}

static void
webhook_start(void *instance)
{
	struct webhook *hook = instance;

	hook->probe_at_ms = 0;
}

static void
webhook_stop(void *instance)
{
	struct webhook *hook = instance;

	if (hook->multi.curl == NULL)
		return;
	probe_end(hook);
	for (uint32_t i = 0; i < hook->sink.parallel; i++) {
		struct slot *slot = &hook->slots[i];

		if (slot->busy) {
			uint32_t code = was_sent(slot->easy) ? XF_RESULT_UNKNOWN : XF_RESULT_NOT_SENT;

			slot_end(hook, slot);
			front_complete(hook, slot, code, "stopped before the answer came");
		}
		while (slot->count > 0)
			front_complete(hook, slot, XF_RESULT_NOT_SENT, "stopped before it was sent");
		if (slot->easy != NULL)
			curl_easy_cleanup(slot->easy);
		slot->easy = NULL;
	}
	multi_close(&hook->multi);
}

static void
webhook_destroy(void *instance)
{
	struct webhook *hook = instance;

	for (uint32_t i = 0; i < hook->sink.parallel; i++) {
		text_fini(&hook->slots[i].url);
		text_fini(&hook->slots[i].reply);
	}
	free(hook->slots);
	free(hook);
}

const struct xf_sink_ops webhook_sink = {
	.struct_size = sizeof(webhook_sink),
	.create = webhook_create,
	.start = webhook_start,
	.work = webhook_work,
	.publish = webhook_publish,
	.stop = webhook_stop,
	.destroy = webhook_destroy,
};
