/*
 * cache_ask.h - requests to a cache on a bench, and the answers that its followers make of them.
 */
#ifndef XF_TESTS_CACHE_ASK_H
#define XF_TESTS_CACHE_ASK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "handler_bench.h"

/* Comes from ID, about TEXT, with ID in a header too; its number. */
static inline size_t
ask(struct bench *bench, const char *id, const char *text)
{
	char payload[256];
	const struct xf_header headers[] = {{{"Correlation", 11}, {id, strlen(id)}}, {{"Kind", 4}, {"urgent", 6}}};
	const struct xf_incoming message = {
		.subject = {"request.a", 9},
		.id = {id, strlen(id)},
		.payload = payload,
		.payload_size = (uint64_t)snprintf(payload, sizeof(payload), "{\"id\":\"%s\",\"text\":\"%s\"}", id, text),
		.headers = headers,
		.header_count = 2,
		.attempt = 1,
	};

	return bench_give(bench, &message);
}

/* The same, and what became of it at once. */
static inline const struct bench_result *
asked(struct bench *bench, const char *id, const char *text)
{
	size_t number = ask(bench, id, text);

	bench_wait_finished(bench, number + 1);
	return bench_result(bench, number);
}

/* What the follower made of request NUMBER, which came from ID: an answer with the asker's id in it, and in a header that he had. */
static inline void
answer(struct bench *bench, size_t number, const char *id, const char *text)
{
	char payload[256];
	const struct xf_header headers[] = {
		{{"Crossfade-Id", 12}, {"x", 1}}, {{"Correlation", 11}, {id, strlen(id)}}, {{"Level", 5}, {"HIGH", 4}}};
	const struct xf_incoming message = {
		.subject = {"result.a", 8},
		.id = {id, strlen(id)},
		.content_type = {"application/json", 16},
		.payload = payload,
		.payload_size = (uint64_t)snprintf(payload, sizeof(payload), "{\"request_id\":\"%s\",\"answer\":\"%s\"}", id, text),
		.headers = headers,
		.header_count = 3,
	};

	bench_settle(bench, number, XF_SETTLED_STOOD, &message);
}

static inline void
assert_str(struct xf_str text, const char *expected)
{
	assert_int_equal(text.len, strlen(expected));
	assert_memory_equal(text.len > 0 ? text.data : "", expected, text.len);
}

/* RESULT is the answer PAYLOAD. */
static inline void
assert_answer(const struct bench_result *result, const char *payload)
{
	assert_int_equal(result->code, XF_OUTCOME_DONE);
	assert_int_equal(result->count, 1);
	assert_str((struct xf_str){result->messages[0]->payload, result->messages[0]->payload_size}, payload);
}

static inline void
assert_followed(const struct bench_result *result)
{
	assert_int_equal(result->code, XF_OUTCOME_PASS);
	assert_int_equal(result->flags, XF_OUTCOME_FOLLOWED);
	assert_int_equal(result->count, 0);
}

static inline void
assert_passed(const struct bench_result *result)
{
	assert_int_equal(result->code, XF_OUTCOME_PASS);
	assert_int_equal(result->flags, 0);
	assert_int_equal(result->count, 0);
}

#endif
