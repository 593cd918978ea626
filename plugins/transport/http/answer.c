#include "visit.h"

#include <stdio.h>
#include <string.h>

/* What an answer is made of. */
struct answer {
	unsigned status;
	const char *content_type;
	struct text body;
	unsigned retry_after_s; /* 0: not said */
	const char *allowed;    /* of a 405 */
	struct text location;
};

static const char *
title_of(unsigned status)
{
	const char *title = MHD_get_reason_phrase_for(status);

	return title != NULL ? title : "Error";
}

static void
problem_set(struct answer *answer, unsigned status, struct xf_str detail)
{
	answer->status = status;
	answer->content_type = "application/problem+json";
	text_printf(&answer->body, "{\"type\":\"about:blank\",\"title\":\"%s\",\"status\":%u,\"detail\":", title_of(status),
	            status);
	text_json(&answer->body, detail);
	text_puts(&answer->body, "}\n");
	if (status == 503)
		answer->retry_after_s = 1;
}

/* Why a message was not accepted, for its publisher. status 0: it was. */
static void
item_refusal(const struct call *call, const struct item *item, struct refusal *refusal)
{
	*refusal = (struct refusal){.status = 0};
	if (item->unknown)
		refusal_set(refusal, 404, "no route takes the subject '%.*s'",
		            (int)(item->subject.len < 150 ? item->subject.len : 150), item->subject.data);
	else if (item->refused && item->why != NULL)
		refusal_set(refusal, item->status, "%s", item->why);
	else if (item->refused)
		refusal_set(refusal, 422, "a route refused the message for good; it is kept there with the reason");
	else if (call->overfull)
		refusal_set(refusal, 503, "the reply came, and there was no room for it (max_bytes)");
	else if (item->unavailable && item->under_way)
		refusal_set(refusal, 503, "not confirmed in time, and it may still be: send it again with the same id");
	else if (item->unavailable)
		refusal_set(refusal, 503, "it cannot be accepted now: the route is stopped, full, or its broker is away");
	else if (call->kind == CALL_REQUEST && !call->replied)
		refusal_set(refusal, 504, "no reply came in time");
}

/* ---- One message ------------------------------------------------------------------------ */

/* Where to look for what becomes of it. */
static void
location_set(struct answer *answer, struct xf_str location, struct xf_str id)
{
	const char *place = location.len > 0 ? strstr(location.data, "{id}") : NULL;

	if (location.len == 0)
		return;
	text_add(&answer->location, location.data, place != NULL ? (size_t)(place - location.data) : location.len);
	if (place != NULL) {
		percent_encode(&answer->location, id);
		text_puts(&answer->location, place + 4);
	}
	text_add(&answer->location, "", 1); /* terminated */
}

static void
publish_answer(const struct call *call, struct xf_str location, struct answer *answer)
{
	struct refusal refusal;

	item_refusal(call, call->items, &refusal);
	if (refusal.status != 0) {
		problem_set(answer, refusal.status, str_of(refusal.detail));
		return;
	}
	answer->status = 202;
	answer->content_type = "application/json";
	location_set(answer, location, call->items->id);
	text_puts(&answer->body, "{\"id\":");
	text_json(&answer->body, call->items->id);
	text_puts(&answer->body, "}\n");
}

/* ---- A batch ------------------------------------------------------------------------------ */

struct listing {
	struct answer *answer;
	const char *comma;
};

static void
error_list(struct listing *listing, uint32_t line, const struct refusal *refusal)
{
	struct text *body = &listing->answer->body;

	text_printf(body, "%s{\"line\":%u,\"status\":%u,\"detail\":", listing->comma, line, refusal->status);
	text_json(body, str_of(refusal->detail));
	text_puts(body, "}");
	listing->comma = ",";
}

/* In the order of lines: those that were no messages stand between those that were. */
static void
batch_answer(const struct visit *visit, struct answer *answer)
{
	const struct bad_line *bad = visit->bad;
	uint32_t failed = visit->bad_count, listed = 0;
	bool transient = visit->bad_transient;
	struct listing listing = {answer, ""};
	struct refusal refusal;

	for (const struct item *item = visit->call->items; item != NULL; item = item->next) {
		item_refusal(visit->call, item, &refusal);
		failed += refusal.status != 0;
		transient = transient || refusal.status == 503;
	}
	text_printf(&answer->body, "{\"accepted\":%u,\"failed\":%u,\"errors\":[",
	            visit->call->item_count + visit->bad_count - failed, failed);
	for (const struct item *item = visit->call->items; item != NULL || bad != NULL;) {
		if (bad != NULL && (item == NULL || bad->line < item->line)) {
			error_list(&listing, bad->line, &bad->refusal);
			bad = bad->next;
			listed++;
			continue;
		}
		item_refusal(visit->call, item, &refusal);
		if (refusal.status != 0 && listed < 2000) {
			error_list(&listing, item->line, &refusal);
			listed++;
		}
		item = item->next;
	}
	text_printf(&answer->body, "],\"unlisted\":%u}\n", failed - listed);
	answer->content_type = "application/json";
	answer->status = failed == 0 ? 202 : failed < visit->call->item_count + visit->bad_count ? 207 : transient ? 503 : 400;
	if (transient)
		answer->retry_after_s = 1;
}

/* ---- A reply -------------------------------------------------------------------------------- */

static void
reply_headers_add(const struct call *call, struct MHD_Response *response)
{
	for (uint32_t i = 0; i < call->reply_header_count; i++) {
		const struct xf_header *h = &call->reply_headers[i];

		if (!header_is_https(h->name) && !header_is_mapped(h->name) && header_is_safe(h->name, h->value))
			MHD_add_response_header(response, h->name.data, h->value.data);
	}
	if (call->reply_message_id.len > 0)
		MHD_add_response_header(response, "Message-Id", call->reply_message_id.data);
}

static void
reply_sent(void *context)
{
	struct call *call = context;

	call_drop(&call);
}

/* The bytes stay the call's, which they count against, until they are sent. */
static struct MHD_Response *
reply_response(struct call *call)
{
	struct MHD_Response *response =
		MHD_create_response_from_buffer_with_free_callback_cls(
			call->reply.len, (void *)(uintptr_t)call->reply.data, reply_sent, call);

	if (response == NULL)
		return NULL;
	atomic_fetch_add(&call->refs, 1);
	MHD_add_response_header(response, "Content-Type",
	                        call->reply_type.len > 0 ? call->reply_type.data : "application/octet-stream");
	reply_headers_add(call, response);
	if (call->reply_delay_ms > 0) {
		char seconds[16];

		snprintf(seconds, sizeof(seconds), "%u", call->reply_delay_ms / 1000 + (call->reply_delay_ms % 1000 > 0));
		MHD_add_response_header(response, "Retry-After", seconds);
	}
	return response;
}

/* ---- Sending --------------------------------------------------------------------------------- */

static struct MHD_Response *
answer_response(struct answer *answer)
{
	struct MHD_Response *response;
	char seconds[16];

	if (answer->body.failed) {
		text_fini(&answer->body);
		return NULL;
	}
	response = MHD_create_response_from_buffer(answer->body.len, answer->body.data, MHD_RESPMEM_MUST_FREE);
	if (response == NULL) {
		text_fini(&answer->body);
		return NULL;
	}
	MHD_add_response_header(response, "Content-Type", answer->content_type);
	if (answer->retry_after_s > 0) {
		snprintf(seconds, sizeof(seconds), "%u", answer->retry_after_s);
		MHD_add_response_header(response, "Retry-After", seconds);
	}
	if (answer->status == 405)
		MHD_add_response_header(response, "Allow", answer->allowed != NULL ? answer->allowed : "POST");
	if (answer->location.len > 0 && !answer->location.failed)
		MHD_add_response_header(response, "Location", answer->location.data);
	if (answer->status == 401)
		MHD_add_response_header(response, "WWW-Authenticate", "Bearer realm=\"crossfade\"");
	return response;
}

enum MHD_Result
answer_send(struct visit *visit)
{
	struct answer answer = {.status = 200, .allowed = visit->allowed};
	struct MHD_Response *response;
	enum MHD_Result result;

	if (visit->refusal.status != 0) {
		problem_set(&answer, visit->refusal.status, str_of(visit->refusal.detail));
		response = answer_response(&answer);
	} else if (visit->call->replied) {
		response = reply_response(visit->call);
		if (visit->call->reply_status != 0)
			answer.status = visit->call->reply_status;
		visit->answer_len = visit->call->reply.len;
	} else {
		if (visit->call->kind == CALL_BATCH)
			batch_answer(visit, &answer);
		else
			publish_answer(visit->call, visit->location, &answer);
		visit->answer_len = answer.body.len;
		response = answer_response(&answer);
	}
	visit->phase = VISIT_ANSWERED;
	text_fini(&answer.location);
	if (response == NULL)
		return MHD_NO;
	MHD_add_response_header(response, "Cache-Control", "no-store");
	if (visit->closes)
		MHD_add_response_header(response, "Connection", "close");
	result = MHD_queue_response(visit->connection, answer.status, response);
	MHD_destroy_response(response);
	return result;
}
