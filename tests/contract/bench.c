#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

const struct row *row;
struct xf_broker *broker;

const char *
bench_fill(const char *text, const char *word, char *out, size_t size)
{
	const char *place = strstr(text, "%s");

	if (place == NULL)
		snprintf(out, size, "%s", text);
	else
		snprintf(out, size, "%.*s%s%s", (int)(place - text), text, word, place + 2);
	return out;
}

static void
options_fill(const char *const *from, const char *word, char texts[][128], const char **to)
{
	size_t count = 0;

	for (; count < ROW_OPTIONS && from[count] != NULL; count++)
		to[count] = bench_fill(from[count], word, texts[count], 128);
	to[count] = NULL;
}

/* In a transport's options "%s" is a folder of the test's own. */
static void
transport_options(struct bench *b, const char *url)
{
	size_t count = 0;

	for (; row->transport[count] != NULL; count++) {
		if (strstr(row->transport[count], "%s") != NULL && b->folder == NULL)
			b->folder = xf_temp_create("contract");
		b->transport_options[count] = bench_fill(row->transport[count], b->folder, b->transport_texts[count],
		                                         sizeof(b->transport_texts[0]));
	}
	if (row->broker != NULL || row->url != NULL) {
		snprintf(b->transport_texts[count], sizeof(b->transport_texts[0]), "url=%s", url);
		b->transport_options[count] = b->transport_texts[count];
	}
}

struct bench *
bench_create(const char *url)
{
	static unsigned tests;
	struct bench *b = calloc(1, sizeof(*b));

	assert_non_null(b);
	snprintf(b->word, sizeof(b->word), "t%u", ++tests);
	b->subject = bench_fill(row->subject, b->word, b->texts[0], sizeof(b->texts[0]));
	b->pattern = bench_fill(row->pattern, b->word, b->texts[1], sizeof(b->texts[1]));
	options_fill(row->source, b->word, b->options[0], b->source_options);
	options_fill(row->sink, b->word, b->options[1], b->sink_options);
	transport_options(b, url != NULL ? url : broker != NULL ? xf_broker_url(broker) : row->url);
	b->harness = harness_open(row->plugin, b->transport_options);
	return b;
}

void
bench_destroy(struct bench *b)
{
	harness_destroy(&b->source);
	harness_destroy(&b->sink);
	harness_close(&b->harness);
	if (b->folder != NULL)
		xf_temp_destroy(&b->folder);
	free(b);
}

void
bench_source(struct bench *b)
{
	if (row->no_source)
		return;
	b->source = harness_source(b->harness, "contract/from", b->pattern, b->source_options);
	if (!harness_wait_state(b->source, XF_STATE_UP, SOON))
		fail_msg("the source does not come up: %s", harness_state_reason(b->source));
}

void
bench_sink(struct bench *b)
{
	b->sink = harness_sink(b->harness, "contract/to", "{subject}", b->sink_options);
	if (!harness_wait_state(b->sink, XF_STATE_UP, SOON))
		fail_msg("the sink does not come up: %s", harness_state_reason(b->sink));
}

struct bench *
bench_begin(void)
{
	struct bench *b = bench_create(NULL);

	bench_source(b);
	bench_sink(b);
	return b;
}

uint64_t
bench_source_traits(struct bench *b)
{
	return row->no_source ? XF_TRAIT_LOSSY : harness_source_traits(b->harness, b->source_options);
}

uint64_t
bench_sink_traits(struct bench *b)
{
	return harness_sink_traits(b->harness, b->sink_options);
}

void
bench_publish(struct bench *b, size_t first, size_t count)
{
	char text[32];

	harness_hold(b->sink, true);
	for (size_t i = 0; i < count; i++) {
		snprintf(text, sizeof(text), "%zu", first + i);
		harness_publish_text(b->sink, b->subject, text);
	}
	harness_hold(b->sink, false);
}

void
assert_all_stored(struct harness_endpoint *sink)
{
	size_t count = harness_published(sink);

	if (!harness_wait_completed(sink, count, LATE))
		fail_msg("%zu of %zu completed", harness_completed(sink), count);
	for (size_t i = 0; i < count; i++) {
		struct harness_result result = harness_result(sink, i);

		if (result.code != XF_RESULT_STORED)
			fail_msg("token %zu: code %u, %s", i, result.code, result.reason);
	}
}

void
assert_received(struct harness_endpoint *source, size_t count)
{
	if (!harness_wait_received(source, count, LATE))
		fail_msg("%zu of %zu received", harness_received(source), count);
}

size_t
number_of(struct harness_endpoint *source, size_t index)
{
	const struct harness_message *m = harness_message(source, index);

	assert_non_null(m);
	return strtoull(m->in.payload, NULL, 10);
}

void
bench_ack(struct bench *b, size_t first, size_t count)
{
	harness_settle_range(b->source, first, count, XF_SETTLE_ACK);
	assert_true(harness_wait_settled(b->source, SOON));
}

bool
is_marked(const struct harness_message *message)
{
	return (message->in.flags & XF_MESSAGE_REDELIVERED) || message->in.attempt > 1;
}
