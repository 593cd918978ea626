/*
 * http_fixture.h - a listener with one source and one client, for tests of what publishers are told.
 *
 * Nothing runs out by itself: messages and requests have ten minutes, and a test that wants those over turns the clock.
 *
 * Threads: the test's own.
 */
#ifndef XF_TESTS_HTTP_FIXTURE_H
#define XF_TESTS_HTTP_FIXTURE_H

#include "http_client.h"

struct fixture {
	struct harness *harness;
	struct harness_endpoint *source;
	unsigned port;
	int fd;
};

static inline void
fixture_open(struct fixture *f, const char *subject, const char *const *options)
{
	const char *all[16] = {"listen=127.0.0.1:0", "timeout=10m", "request_timeout=10m"};

	for (size_t n = 3; options != NULL && *options != NULL; n++)
		all[n] = *options++;
	f->harness = harness_open("http", all);
	f->source = harness_source(f->harness, "r/from", subject, NULL);
	assert_true(harness_wait_state(f->source, XF_STATE_UP, HTTP_SOON));
	f->port = http_port(f->harness);
	assert_int_not_equal(f->port, 0);
	f->fd = http_connect(f->port);
}

static inline void
fixture_close(struct fixture *f)
{
	close(f->fd);
	harness_destroy(&f->source);
	harness_close(&f->harness);
}

static inline void
fixture_post(struct fixture *f, const char *path, const char *headers, const char *body)
{
	http_post(f->fd, path, headers, body, strlen(body));
}

/* Ends the time of all that waits. */
static inline void
fixture_time_out(struct fixture *f)
{
	(void)f;
	harness_clock_advance(600000);
}

#endif
