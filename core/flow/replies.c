#include "flow/replies.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/counter.h"
#include "base/memory.h"
#include "base/str.h"
#include "base/utf8.h"
#include "flow/accept.h"
#include "flow/delivery.h"
#include "flow/envelope.h"
#include "flow/message.h"

#define BATCH 256
#define REASON_MAX 1000

void
xf_replies_init(struct xf_replies *replies, struct xf_requests *requests, struct xf_chain *chain, const struct xf_source_ops *ops,
                const struct xf_conf_server *limits, struct xf_inbox *bell)
{
	*replies = (struct xf_replies){
		.requests = requests,
		.chain = chain,
		.ops = ops,
		.limits = limits,
		.box = {.bell = bell},
	};
}

/* ---- Requests ----------------------------------------------------------------------------------- */

static void
request_close(struct xf_replies *replies, struct xf_job *job)
{
	*(job->request_older != NULL ? &job->request_older->request_newer : &replies->oldest) = job->request_newer;
	*(job->request_newer != NULL ? &job->request_newer->request_older : &replies->newest) = job->request_older;
	xf_requests_close(replies->requests, job->request);
	replies->alone -= job->request_alone;
	job->request_alone = false;
	job->request = 0;
	xf_count(&replies->open, (uint64_t)-1);
}

uint64_t
xf_replies_await(struct xf_replies *replies, struct xf_job *job, uint64_t timeout_ms, uint64_t now_ms)
{
	if (!job->asked || job->replied || job->request != 0)
		return job->request;
	xf_chain_own(replies->chain, job);
	job->request = xf_requests_open(replies->requests, &replies->box, job);
	job->request_until_ms = now_ms + timeout_ms;
	job->request_newer = NULL;
	job->request_older = replies->newest;
	*(replies->newest != NULL ? &replies->newest->request_newer : &replies->oldest) = job;
	replies->newest = job;
	job->under_way++;
	xf_count(&replies->open, 1);
	return job->request;
}

void
xf_replies_alone(struct xf_replies *replies, struct xf_job *job)
{
	if (job->request == 0 || job->request_alone)
		return;
	job->request_alone = true;
	replies->alone++;
}

void
xf_replies_give_up(struct xf_replies *replies, struct xf_job *job)
{
	if (job->request == 0)
		return;
	request_close(replies, job);
	xf_chain_settled(replies->chain, job, XF_REFUSED_NOT);
}

/* ---- What is to be sent ---------------------------------------------------------------------------- */

void
xf_replies_look(const struct xf_replies *replies, struct xf_job *job, const struct xf_incoming *message)
{
	job->asked = xf_replies_asks(replies, message);
	job->told = job->asked || (replies->ops != NULL && (message->flags & XF_MESSAGE_TELL));
}

/* What a reply is to whoever asked: without what it was to the servers that it passed. */
static struct xf_incoming *
reply_make(const struct xf_incoming *message)
{
	static const char *const own[] = {"Crossfade-Id", "Crossfade-Key", "Crossfade-Hops", "Crossfade-Copy", "Crossfade-Migration"};
	struct xf_header *headers = xf_alloc_array(message->header_count, sizeof(*headers));
	struct xf_incoming shown = *message, *copy;

	shown.header_count = 0;
	shown.headers = headers;
	for (uint32_t i = 0; i < message->header_count; i++) {
		bool hidden = false;

		for (size_t n = 0; n < sizeof(own) / sizeof(own[0]); n++)
			hidden = hidden || xf_str_equal_nocase(message->headers[i].name, xf_str(own[n]));
		if (!hidden)
			headers[shown.header_count++] = message->headers[i];
	}
	copy = xf_message_copy(&shown);
	free(headers);
	return copy;
}

/* MESSAGE is taken. */
static void
reply_add(struct xf_replies *replies, struct xf_job *job, struct xf_incoming *message, uint32_t status, uint32_t delay_ms)
{
	if (job->request != 0) { /* he is told something else */
		request_close(replies, job);
		job->under_way--;
	}
	job->reply = message;
	job->reply_status = status;
	job->reply_delay_ms = delay_ms;
	job->replied = true;
	job->under_way++;
	job->reply_next = NULL;
	if (replies->last != NULL)
		replies->last->reply_next = job;
	else
		replies->first = job;
	replies->last = job;
	xf_chain_own(replies->chain, job);
}

void
xf_replies_add(struct xf_replies *replies, struct xf_job *job, const struct xf_incoming *message)
{
	if (!job->asked || job->replied) {
		xf_count(&replies->unasked, 1);
		return;
	}
	reply_add(replies, job, reply_make(message), 0, 0);
}

/* As a header it has one line, and is not long. */
static struct xf_str
reason_line(struct xf_buffer *said, const char *reason)
{
	xf_utf8_mend(reason, said);
	for (size_t i = 0; i < said->len; i++)
		if ((unsigned char)said->data[i] < ' ' || said->data[i] == 0x7f)
			said->data[i] = ' ';
	if (said->len > REASON_MAX) /* not in the middle of a character */
		said->len = xf_utf8_prefix((struct xf_str){said->data, REASON_MAX});
	return (struct xf_str){said->data, said->len};
}

/* For somebody who sees nothing but messages. */
static struct xf_incoming *
failure_make(const struct xf_job *job, uint32_t status, const char *reason)
{
	struct xf_buffer said = {0}, payload = {0};
	struct xf_header headers[2] = {{.name = xf_str("Crossfade-Status")}, {.name = xf_str("Crossfade-Error")}};
	struct xf_incoming message, *copy;
	char number[16];

	snprintf(number, sizeof(number), "%" PRIu32, status);
	headers[0].value = xf_str(number);
	headers[1].value = reason_line(&said, reason);
	xf_buffer_puts(&payload, "{\"error\":");
	xf_envelope_string(headers[1].value, &payload);
	xf_buffer_puts(&payload, "}");
	message = (struct xf_incoming){
		.id = job->given.id,
		.content_type = xf_str("application/json"),
		.payload = payload.data,
		.payload_size = payload.len,
		.headers = headers,
		.header_count = 2,
	};
	copy = xf_message_copy(&message);
	xf_buffer_fini(&said);
	xf_buffer_fini(&payload);
	return copy;
}

bool
xf_replies_fail(struct xf_replies *replies, struct xf_job *job, uint32_t status, uint32_t delay_ms, const char *reason)
{
	if (!job->told || job->replied)
		return false;
	reply_add(replies, job, failure_make(job, status, reason), status, delay_ms);
	job->failed = true;
	return true;
}

/* ---- In time ------------------------------------------------------------------------------------------ */

/* It comes from outside. NULL: it may pass. */
static const char *
reply_check(const struct xf_replies *replies, const struct xf_job *job, struct xf_incoming *message)
{
	if (message->id.len == 0)
		message->id = job->given.id; /* which lives as long */
	message->subject = job->given.subject;
	message->reply = (struct xf_str){NULL, 0};
	return xf_accept_check(message, replies->limits);
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* What another crossfade told as failure_make() has it. 0: it is no failure. */
static uint32_t
failure_read(const struct xf_incoming *message, struct xf_str *reason)
{
	uint32_t status = 0;

	for (uint32_t i = 0; i < message->header_count; i++) {
		const struct xf_header *h = &message->headers[i];
		const char *at = h->value.data;

		if (xf_str_equal_nocase(h->name, xf_str("Crossfade-Error")))
			*reason = h->value;
		else if (xf_str_equal_nocase(h->name, xf_str("Crossfade-Status")) && h->value.len == 3 &&
		         (at[0] == '4' || at[0] == '5') && is_digit(at[1]) && is_digit(at[2]))
			status = (uint32_t)((at[0] - '0') * 100 + (at[1] - '0') * 10 + (at[2] - '0'));
	}
	return status;
}

/* What whoever asked is to be told. NULL: the message that came; else that it failed, with STATUS. On the heap. */
static char *
reply_judge(const struct xf_replies *replies, const struct xf_job *job, const struct xf_request_reply *came, uint32_t *status)
{
	struct xf_str reason = {NULL, 0};
	const char *wrong;

	*status = came->status;
	if (came->message == NULL) {
		*status = came->status != 0 ? came->status : 502;
	} else if ((wrong = reply_check(replies, job, came->message)) != NULL) {
		*status = 502;
		return xf_format("the reply cannot be passed on: %s", wrong);
	} else if (came->status == 0) {
		*status = failure_read(came->message, &reason);
	}
	if (*status == 0)
		return NULL;
	if (came->reason != NULL)
		return xf_strdup(came->reason);
	return reason.len > 0 ? xf_strndup(reason.data, reason.len) : xf_strdup("the other side says that it failed");
}

static void
reply_came(struct xf_replies *replies, struct xf_request_reply *came)
{
	struct xf_job *job = xf_requests_find(replies->requests, came->number);
	uint32_t status;
	char *failure;

	if (job == NULL)
		return; /* its time was up in between */
	request_close(replies, job);
	failure = reply_judge(replies, job, came, &status);
	if (failure != NULL) {
		xf_replies_fail(replies, job, status, 0, failure);
	} else if (!job->replied) {
		if (job->follows != NULL) {
			free(job->became);
			job->became = xf_message_copy(came->message);
			job->became->flags |= XF_MESSAGE_REPLY;
		}
		reply_add(replies, job, reply_make(came->message), 0, 0);
	}
	free(failure);
	xf_chain_settled(replies->chain, job, XF_REFUSED_NOT);
}

void
xf_replies_follow(struct xf_replies *replies, uint64_t now_ms)
{
	struct xf_request_reply *came = xf_reply_box_take(&replies->box), *next_came;
	struct xf_job *job, *next;

	for (; came != NULL; came = next_came) {
		next_came = came->next;
		reply_came(replies, came);
		xf_request_reply_free(came);
	}
	/* One whose time another configuration has made longer may stand in front of others for so long. */
	for (job = replies->oldest; job != NULL && job->request_until_ms <= now_ms; job = next) {
		next = job->request_newer;
		request_close(replies, job);
		if (xf_replies_fail(replies, job, 504, 0, "no reply came in time"))
			xf_count(&replies->timed_out, 1);
		xf_chain_settled(replies->chain, job, XF_REFUSED_NOT);
	}
}

uint64_t
xf_replies_wants(const struct xf_replies *replies)
{
	return replies->oldest != NULL ? replies->oldest->request_until_ms : UINT64_MAX;
}

void
xf_replies_send(struct xf_replies *replies, void *source)
{
	while (replies->first != NULL) {
		struct xf_reply batch[BATCH];
		struct xf_job *job = replies->first, *next;
		uint32_t count = 0;

		for (; job != NULL && count < BATCH; job = job->reply_next)
			batch[count++] = (struct xf_reply){
				.handle = job->handle,
				.request = &job->given,
				.message = job->reply,
				.message_size = sizeof(*job->reply),
				.status = job->reply_status,
				.delay_ms = job->reply_delay_ms,
				.reason = job->reply_status != 0 ? job->reply->headers[1].value : (struct xf_str){NULL, 0},
			};
		replies->ops->reply(source, batch, sizeof(batch[0]), count);
		for (uint32_t i = 0; i < count; i++) {
			job = replies->first;
			next = job->reply_next;
			replies->first = next;
			if (next == NULL)
				replies->last = NULL;
			xf_count(&replies->replied, 1);
			if (job->reply_status != 0)
				xf_count(&replies->failed, 1);
			free(job->reply);
			job->reply = NULL;
			xf_chain_settled(replies->chain, job, XF_REFUSED_NOT);
		}
	}
}

void
xf_replies_fini(struct xf_replies *replies)
{
	struct xf_request_reply *came, *next;

	while (replies->oldest != NULL)
		request_close(replies, replies->oldest);
	for (came = xf_reply_box_take(&replies->box); came != NULL; came = next) {
		next = came->next;
		xf_request_reply_free(came);
	}
	replies->first = replies->last = NULL;
}
