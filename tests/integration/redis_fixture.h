/*
 * redis_fixture.h - a server with a sink that fills it, for tests of sources that acknowledge: streams and lists.
 *
 * Threads: the test's own.
 */
#ifndef XF_TESTS_REDIS_FIXTURE_H
#define XF_TESTS_REDIS_FIXTURE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker.h"
#include "harness.h"
#include "wait.h"

#define DEADLINE XF_WAIT_MS

/* Of the tests' connections. A server that does not answer for twice as long is taken for dead, also where the machine
 * has stalled; so it is long, and what must not be taken for that is held for longer. */
#define HEARTBEAT "heartbeat=4s"
#define LONGER_THAN_HEARTBEAT 6000

struct fixture {
	struct xf_broker *broker;
	struct harness *harness;
	struct harness_endpoint *sink;
	struct harness_endpoint *source;
	char url[128];
};

/* ARGS are the server's own, or NULL; SINK the sink's. */
static inline void
fixture_open(struct fixture *f, const char *const *args, const char *const *sink)
{
	memset(f, 0, sizeof(*f));
	f->broker = xf_broker_start("redis", args);
	snprintf(f->url, sizeof(f->url), "url=%s", xf_broker_url(f->broker));
	f->harness = harness_open("redis", OPTIONS(f->url, HEARTBEAT));
	f->sink = harness_sink(f->harness, "sink", NULL, sink);
}

static inline void
fixture_close(struct fixture *f)
{
	harness_destroy(&f->source);
	harness_destroy(&f->sink);
	harness_close(&f->harness);
	xf_broker_destroy(&f->broker);
}

/* Publishes COUNT numbers from FROM on, with ids. */
static inline void
publish_many(struct harness_endpoint *sink, const char *subject, unsigned from, unsigned count)
{
	size_t before = harness_published(sink);
	char payload[32], id[32];

	for (unsigned i = from; i < from + count; i++) {
		struct xf_outgoing message = {.subject = {subject, strlen(subject)}, .payload = payload, .id = {id, 0}};

		message.payload_size = (uint64_t)snprintf(payload, sizeof(payload), "%u", i);
		message.id.len = (uint64_t)snprintf(id, sizeof(id), "id-%u", i);
		harness_publish(sink, &message);
	}
	assert_true(harness_wait_completed(sink, before + count, DEADLINE));
	assert_int_equal(harness_completed_as(sink, XF_RESULT_STORED), before + count);
}

static inline unsigned
number_of(struct harness_endpoint *source, size_t index)
{
	return (unsigned)strtoul(harness_message(source, index)->in.payload, NULL, 10);
}

/* The number that COMMAND prints first. */
static inline long
redis_number(struct fixture *f, const char *const *command)
{
	char *out = xf_broker_ctl(f->broker, command);
	long number = atol(out);

	free(out);
	return number;
}

static inline bool
redis_wait_number(struct fixture *f, const char *const *command, long number)
{
	uint64_t until = harness_now_ms() + DEADLINE;

	while (redis_number(f, command) != number) {
		if (harness_now_ms() > until)
			return false;
		harness_sleep_ms(20);
	}
	return true;
}

/* All connections break but the one that says so. */
static inline void
redis_cut(struct fixture *f)
{
	free(xf_broker_ctl(f->broker, OPTIONS("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")));
}

#endif
