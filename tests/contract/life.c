/*
 * Promises 1 to 9: the life of an instance, and brokers that are not there.
 */
#include "bench.h"
#include "promises.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/str.h"
#include "settings.h"

void
p01_create_and_destroy_need_no_broker(void **state)
{
	struct bench *b = bench_create(row->nowhere);
	size_t fds = harness_count_fds(), threads = harness_count_threads();

	(void)state;
	for (int i = 0; i < 200; i++) {
		if (!row->no_source)
			b->source = harness_source_create(b->harness, "contract/from", b->pattern, b->source_options, NULL);
		b->sink = harness_sink_create(b->harness, "contract/to", "{subject}", b->sink_options, NULL);
		/* each has its bell, which is the harness's */
		assert_true(harness_count_fds() <= fds + 2);
		harness_destroy(&b->source);
		harness_destroy(&b->sink);
	}
	assert_int_equal(harness_count_fds(), fds);
	assert_int_equal(harness_count_threads(), threads);
	bench_destroy(b);
}

/* What a [pure] function may ask of the host. */
static const struct xf_host pure_host = {
	.struct_size = sizeof(pure_host),
	.abi_minor = XF_ABI_MINOR,
	.option = settings_option,
	.now_ms = harness_now_ms,
};

/* The functions of a class that are [pure], of a source or a sink. */
struct pure {
	uint64_t (*traits)(const struct xf_host *, const struct xf_config *, const struct xf_config *);
	uint32_t (*address)(const struct xf_host *, const struct xf_config *, const struct xf_config *, char *, uint32_t);
	int32_t (*check)(const struct xf_host *, const struct xf_config *, const struct xf_config *,
	                 const struct xf_endpoint_info *, struct xf_error *);
};

static void
assert_pure(const struct pure *pure, const struct xf_config *transport, const struct xf_config *endpoint,
            struct xf_str subject)
{
	const struct xf_endpoint_info info = {
		.struct_size = sizeof(info), .max_in_flight = 100, .name = {"contract/from", 13}, .route = {"contract", 8},
		.transport = {"contract", 8}, .server = {"contract", 8}, .subject = subject,
	};
	size_t fds = harness_count_fds(), threads = harness_count_threads();
	uint64_t traits = pure->traits(&pure_host, transport, endpoint);
	struct xf_error error = {""};
	char first[512], again[512], tight[8];
	uint32_t len = 0;

	for (int i = 0; i < 100; i++) {
		assert_int_equal(pure->traits(&pure_host, transport, endpoint), traits);
		assert_true(pure->check == NULL || pure->check(&pure_host, transport, endpoint, &info, &error) == 0);
		if (pure->address == NULL)
			continue;
		len = pure->address(&pure_host, transport, endpoint, first, sizeof(first));
		assert_true(len > 0 && len <= sizeof(first));
		assert_int_equal(pure->address(&pure_host, transport, endpoint, again, sizeof(again)), len);
		assert_memory_equal(first, again, len);
		memset(tight, '#', sizeof(tight));
		assert_true(pure->address(&pure_host, transport, endpoint, tight, 4) <= 4);
		assert_memory_equal(tight + 4, "####", 4);
	}
	assert_int_equal(harness_count_fds(), fds);
	assert_int_equal(harness_count_threads(), threads);
}

/* traits(), address() and check() say the same every time, and open nothing. */
void
p02_what_is_pure_touches_nothing(void **state)
{
	struct bench *b = bench_create(row->nowhere);
	const struct xf_transport_class *class = harness_class(b->harness);
	struct xf_config *transport, *source, *sink;
	struct xf_error error;

	(void)state;
	transport = settings_create(class->options, b->transport_options, &error);
	sink = settings_create(class->sink_options, b->sink_options, &error);
	assert_non_null(transport);
	assert_non_null(sink);
	assert_pure(&(struct pure){class->sink->traits, class->sink->address, class->sink->check}, transport, sink,
	            xf_str("{subject}"));
	if (!row->no_source) {
		source = settings_create(class->source_options, b->source_options, &error);
		assert_non_null(source);
		assert_pure(&(struct pure){class->source->traits, class->source->address, class->source->check}, transport,
		            source, xf_str(b->pattern));
		settings_destroy(&source);
	}
	settings_destroy(&sink);
	settings_destroy(&transport);
	bench_destroy(b);
}

void
p03_stop_may_come_at_any_time(void **state)
{
	(void)state;
	for (int i = 0; i < 10; i++) {
		struct bench *b = bench_create(i % 2 == 0 ? row->nowhere : NULL);

		if (!row->no_source)
			b->source = harness_source(b->harness, "contract/from", b->pattern, b->source_options);
		b->sink = harness_sink(b->harness, "contract/to", "{subject}", b->sink_options);
		harness_publish_text(b->sink, b->subject, "never mind");
		harness_sleep_ms((unsigned)i);
		bench_destroy(b);
	}
}

void
p04_nothing_is_left_after_many_lives(void **state)
{
	size_t fds = 0, threads = 0;

	(void)state;
	for (int i = 0; i < 20; i++) {
		struct bench *b = bench_begin();

		bench_publish(b, 0, 10);
		assert_all_stored(b->sink);
		if (!row->no_source)
			assert_received(b->source, 10);
		bench_destroy(b);
		if (i == 0) {
			/* what a client library keeps for the process, it has by now */
			harness_sleep_ms(100);
			fds = harness_count_fds();
			threads = harness_count_threads();
		}
	}
	for (int i = 0; i < 200 && (harness_count_fds() > fds || harness_count_threads() > threads); i++)
		harness_sleep_ms(10);
	assert_true(harness_count_fds() <= fds);
	assert_true(harness_count_threads() <= threads);
}

void
p05_a_broker_may_come_later(void **state)
{
	struct bench *b;

	(void)state;
	xf_broker_stop(broker);
	b = bench_create(NULL);
	if (!row->no_source)
		b->source = harness_source(b->harness, "contract/from", b->pattern, b->source_options);
	b->sink = harness_sink(b->harness, "contract/to", "{subject}", b->sink_options);
	assert_true(harness_wait_state(b->sink, XF_STATE_DOWN, SOON));
	assert_true(row->no_source || harness_wait_state(b->source, XF_STATE_DOWN, SOON));
	assert_true(strlen(harness_state_reason(b->sink)) > 0);
	harness_publish_text(b->sink, b->subject, "0");
	xf_broker_restart(broker);
	assert_true(row->no_source || harness_wait_state(b->source, XF_STATE_UP, LATE));
	assert_true(harness_wait_state(b->sink, XF_STATE_UP, LATE));
	assert_all_stored(b->sink);
	if (!row->no_source && !(bench_source_traits(b) & XF_TRAIT_LOSSY))
		assert_received(b->source, 1);
	bench_destroy(b);
}

/* A place that hangs up on everybody; notes when they came, for SPAN milliseconds. */
static size_t
attempts_at(int listener, uint64_t span, uint64_t *times, size_t most)
{
	uint64_t until = harness_now_ms() + span, now;
	size_t count = 0;

	while ((now = harness_now_ms()) < until) {
		struct pollfd fd = {.fd = listener, .events = POLLIN};
		int client = poll(&fd, 1, (int)(until - now)) > 0 ? accept(listener, NULL, NULL) : -1;

		if (client < 0)
			continue;
		if (count < most)
			times[count++] = harness_now_ms();
		close(client);
	}
	return count;
}

/* Listens on a port of its own, and puts it in the place of the one that nobody listens on. */
static int
listen_nowhere(char *url, size_t size)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(address);
	const char *place = strstr(row->nowhere, ":1");
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	while (place != NULL && place[2] != '\0' && place[2] != '/')
		place = strstr(place + 1, ":1");
	if (place == NULL)
		fail_msg("the row's `nowhere` has no port 1: %s", row->nowhere);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 64), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
	snprintf(url, size, "%.*s:%u%s", (int)(place - row->nowhere), row->nowhere, ntohs(address.sin_port), place + 2);
	return fd;
}

/* The waits become longer, and who looks after it is not told the same again and again. */
void
p06_the_backoff_grows(void **state)
{
	enum { MOST = 200 };
	uint64_t times[MOST], longest = 0;
	char url[256];
	int listener = listen_nowhere(url, sizeof(url));
	struct bench *b = bench_create(url);
	size_t count;

	(void)state;
	b->sink = harness_sink(b->harness, "contract/to", "{subject}", b->sink_options);
	count = attempts_at(listener, 9000, times, MOST);
	assert_in_range(count, 3, 40);
	for (size_t i = count / 2 + 1; i < count; i++)
		longest = times[i] - times[i - 1] > longest ? times[i] - times[i - 1] : longest;
	if (longest * 10 < (times[1] - times[0]) * 13)
		fail_msg("%zu attempts: first %llu ms after the first, then at most %llu", count,
		         (unsigned long long)(times[1] - times[0]), (unsigned long long)longest);
	assert_int_equal(harness_state(b->sink), XF_STATE_DOWN);
	assert_true(strlen(harness_state_reason(b->sink)) > 0);
	assert_true(harness_log_count(b->sink, XF_LOG_WARN) <= 2);
	bench_destroy(b);
	close(listener);
}

/* The URL of the row's `denied`, with the address of BROKER. */
static void
denied_url(const struct xf_broker *of, char *url, size_t size)
{
	const char *address = strstr(xf_broker_url(of), "://") + 3, *at = strchr(address, '@');
	char place[64];

	address = at != NULL ? at + 1 : address;
	snprintf(place, sizeof(place), "%.*s", (int)strcspn(address, "/"), address);
	bench_fill(row->denied, place, url, size);
}

void
p07_a_refused_login_is_said_once(void **state)
{
	struct xf_broker *guarded = row->denied_args[0] != NULL ? xf_broker_start(row->broker, row->denied_args) : NULL;
	struct bench *b;
	char url[256];

	(void)state;
	denied_url(guarded != NULL ? guarded : broker, url, sizeof(url));
	b = bench_create(url);
	b->sink = harness_sink(b->harness, "contract/to", "{subject}", b->sink_options);
	harness_publish_text(b->sink, b->subject, "x");
	for (int i = 0; i < SOON / 50 && harness_state_reason(b->sink)[0] == '\0'; i++)
		harness_sleep_ms(50);
	assert_int_not_equal(harness_state(b->sink), XF_STATE_UP);
	assert_true(strlen(harness_state_reason(b->sink)) > 0);
	assert_null(strstr(harness_state_reason(b->sink), "wrong-secret"));
	harness_sleep_ms(4000); /* several attempts */
	assert_int_equal(harness_state_count(b->sink, XF_STATE_UP), 0);
	assert_int_equal(harness_completed_as(b->sink, XF_RESULT_STORED), 0);
	assert_true(harness_log_count(b->sink, XF_LOG_WARN) <= 2);
	bench_destroy(b);
	if (guarded != NULL)
		xf_broker_destroy(&guarded);
}

