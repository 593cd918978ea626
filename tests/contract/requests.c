/*
 * Promises 40 to 49: a request that a sink makes, and the reply that a source sends.
 */
#include "bench.h"
#include "promises.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

#define FIRST 0xf123456780000000u /* numbers have 64 bits */

/* Both ends know that requests are made. */
static struct bench *
requests_begin(void)
{
	struct bench *b = bench_create(NULL);

	harness_requests(b->harness, SOON);
	bench_source(b);
	bench_sink(b);
	return b;
}

/* Request FIRST + NUMBER, whose payload is that. */
static void
request(struct bench *b, size_t number)
{
	char text[32], id[64];
	struct xf_outgoing message = {.subject = xf_str(b->subject), .payload = text, .request = FIRST + number};

	message.payload_size = (uint64_t)snprintf(text, sizeof(text), "%zu", number);
	snprintf(id, sizeof(id), "%s-%zu", b->word, number);
	message.id = message.dedup_id = xf_str(id);
	harness_publish(b->sink, &message);
}

/* The message at INDEX asks for a reply at ADDRESS. Where a transport carries no addresses the core has them from an envelope. */
static void
unwrap(struct bench *b, size_t index, const char *address)
{
	if (harness_message(b->source, index)->in.reply.len == 0)
		harness_unwrap(b->source, index, address);
}

/* Answers the message at INDEX with "re: NUMBER", and acknowledges it. */
static void
answer(struct bench *b, size_t index)
{
	char text[32];
	struct xf_header header = {.name = xf_str("X-Answer")};
	struct xf_incoming reply = {
		.id = xf_str("answer"), .content_type = xf_str("text/plain"), .payload = text, .headers = &header, .header_count = 1,
	};

	reply.payload_size = (uint64_t)snprintf(text, sizeof(text), "re: %zu", number_of(b->source, index));
	header.value = xf_str(text);
	harness_reply(b->source, index, &reply, 0);
	harness_settle(b->source, index, XF_SETTLE_ACK, 0);
}

/* The same, to a request. */
static void
answer_request(struct bench *b, size_t index)
{
	unwrap(b, index, harness_address(b->sink, FIRST + number_of(b->source, index)));
	answer(b, index);
}

static void
assert_replied(struct bench *b, size_t count)
{
	if (!harness_wait_replied(b->sink, count, SOON))
		fail_msg("%zu of %zu replies", harness_replied(b->sink), count);
}

/* The reply at INDEX is the one to request FIRST + NUMBER. */
static void
assert_answer(struct bench *b, size_t index, size_t number)
{
	const struct harness_replied *replied = harness_replied_at(b->sink, index);
	char text[32];

	snprintf(text, sizeof(text), "re: %zu", number);
	assert_non_null(replied->message);
	assert_int_equal(replied->request, FIRST + number);
	assert_int_equal(replied->status, 0);
	assert_int_equal(replied->message->in.payload_size, strlen(text));
	assert_memory_equal(replied->message->in.payload, text, strlen(text));
	if (row->replies_whole) {
		assert_string_equal(harness_header(replied->message, "X-Answer"), text);
		assert_string_equal(replied->message->in.content_type.data, "text/plain");
		assert_string_equal(replied->message->in.id.data, "answer");
	}
}

/* In another order than they were made in. */
void
p40_a_reply_finds_its_request(void **state)
{
	enum { COUNT = 200 };
	struct bench *b = requests_begin();
	bool seen[COUNT] = {false};

	(void)state;
	for (size_t i = 0; i < COUNT; i++)
		request(b, i);
	assert_received(b->source, COUNT);
	for (size_t i = COUNT; i > 0; i--)
		answer_request(b, i - 1);
	assert_replied(b, COUNT);
	for (size_t i = 0; i < COUNT; i++) {
		size_t number = harness_replied_at(b->sink, i)->request - FIRST;

		assert_true(number < COUNT && !seen[number]);
		seen[number] = true;
		assert_answer(b, i, number);
	}
	assert_all_stored(b->sink);
	assert_true(harness_wait_settled(b->source, SOON));
	assert_int_equal(harness_log_count(b->source, XF_LOG_WARN), 0);
	bench_destroy(b);
}

/* A message with REPLY; its answer goes nowhere. */
static void
answer_to(struct bench *b, struct xf_str reply)
{
	struct xf_outgoing message = {.subject = xf_str(b->subject), .reply = reply, .payload = "0", .payload_size = 1};
	size_t index = harness_received(b->source);
	char id[128];

	snprintf(id, sizeof(id), "%s-to-%zu", b->word, index); /* each another message */
	message.id = message.dedup_id = xf_str(id);
	harness_publish(b->sink, &message);
	assert_received(b->source, index + 1);
	unwrap(b, index, reply.data);
	answer(b, index);
}

/* Without an address, or with one where nobody is. The request is done all the same, and others are answered. */
void
p41_a_reply_to_nobody_is_dropped(void **state)
{
	struct bench *b = requests_begin();
	size_t count;
	char odd[600];

	(void)state;
	answer_to(b, xf_str(""));
	answer_to(b, xf_str("nobody.is.here"));
	count = harness_received(b->source);
	request(b, 1);
	assert_received(b->source, count + 1);
	answer_request(b, count);
	assert_replied(b, 1);
	assert_answer(b, 0, 1);
	/* Like one that is awaited, but not quite. */
	snprintf(odd, sizeof(odd), "%sx", harness_message(b->source, count)->in.reply.data);
	answer_to(b, xf_str(odd));
	request(b, 2);
	assert_received(b->source, count + 3);
	answer_request(b, count + 2);
	assert_replied(b, 2);
	assert_answer(b, 1, 2);
	assert_true(harness_wait_settled(b->source, SOON));
	count = harness_received(b->source);
	if (!(bench_source_traits(b) & XF_TRAIT_LOSSY)) {
		harness_destroy(&b->source);
		bench_source(b);
		bench_publish(b, 7, 1);
		assert_received(b->source, 1);
		assert_int_equal(number_of(b->source, 0), 7);
	}
	bench_destroy(b);
}

/* The broker dies with a request at work. What is asked after it is back is answered; of the old one the answer may be lost. */
void
p42_requests_go_on_after_an_outage(void **state)
{
	struct bench *b = requests_begin();
	const struct harness_replied *replied;
	uint64_t until = harness_now_ms() + SOON;
	size_t answered = 0, i = 0;

	(void)state;
	request(b, 1);
	assert_received(b->source, 1);
	xf_broker_ripen(broker);
	xf_broker_kill(broker);
	assert_true(harness_wait_state(b->source, XF_STATE_DOWN, SOON));
	assert_true(harness_wait_state(b->sink, XF_STATE_DOWN, SOON));
	answer_request(b, answered++);
	xf_broker_restart(broker);
	assert_true(harness_wait_state(b->source, XF_STATE_UP, SOON));
	assert_true(harness_wait_state(b->sink, XF_STATE_UP, SOON));
	request(b, 2);
	/* What could not be answered at first comes again. */
	do {
		assert_true(harness_now_ms() < until);
		if (harness_received(b->source) > answered)
			answer_request(b, answered++);
		else
			harness_sleep_ms(5);
		replied = harness_replied_at(b->sink, i);
		i += replied != NULL;
	} while (replied == NULL || replied->request != FIRST + 2);
	assert_answer(b, i - 1, 2);
	assert_true(harness_wait_settled(b->source, SOON));
	bench_destroy(b);
}
