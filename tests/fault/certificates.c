/*
 * certificates.c - the broker's certificate runs out while messages flow, or is replaced by one of another authority: that is said, with the
 * reason, and what comes meanwhile is kept. It goes on once there is a good one, or crossfade's own files fit, which nobody has to tell it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/memory.h"
#include "broker.h"
#include "carry.h"
#include "proxy.h"

#define RATE 500
#define WATCH_MS 4000
#define ATTEMPTS_MAX 20 /* of a sink and a source in that time */
#define SAID_MAX 4      /* the lost connection and the refused one of each */

struct world {
	char *authority, *other; /* folders of certificates, by one authority each */
	char *theirs, *ours;     /* folders of those that the broker and crossfade use */
	char *conf;
	struct xf_broker *broker;
	struct proxy *proxy;
	struct xf_server *server;
	struct samples recover;
};

/* FROM/WHAT becomes TO/NAME at once. */
static void
file_put(const char *from, const char *what, const char *to, const char *name)
{
	char *command = xf_format("cp '%1$s/%2$s' '%3$s/%4$s.next' && mv '%3$s/%4$s.next' '%3$s/%4$s'", from, what, to, name);

	assert_int_equal(system(command), 0);
	free(command);
}

static void
conf_write(struct world *w, const char *more)
{
	FILE *file = fopen(w->conf, "w");

	assert_non_null(file);
	fprintf(file, "tls: {cert_file: '%1$s/server.pem', key_file: '%1$s/server.key', ca_file: '%1$s/ca.pem', verify: true}\n%2$s", w->theirs,
	        more);
	assert_int_equal(fclose(file), 0);
}

/* The broker has the certificate NAME that FROM's authority signed, and trusts that, from the next connection on. */
static void
broker_certificate(struct world *w, const char *from, const char *name)
{
	char *cert = xf_format("%s.pem", name), *key = xf_format("%s.key", name);

	file_put(from, "ca.pem", w->theirs, "ca.pem");
	file_put(from, cert, w->theirs, "server.pem");
	file_put(from, key, w->theirs, "server.key");
	free(cert);
	free(key);
	if (w->broker == NULL)
		return;
	xf_broker_reload(w->broker);
	xf_sleep_ms(500); /* it does not say when it has; a connection before that is cut by it */
	proxy_cut(w->proxy);
}

static void
our_certificates(struct world *w, const char *from)
{
	static const char *const names[] = {"ca.pem", "client.pem", "client.key"};

	for (size_t i = 0; i < 3; i++)
		file_put(from, names[i], w->ours, names[i]);
}

static void
broker_start(struct world *w)
{
	char *more;

	conf_write(w, "");
	w->broker = xf_broker_start("nats", (const char *const[]){"-c", w->conf, NULL});
	/* a reload takes nothing from the command line */
	more = xf_format("server_name: xf-%s\njetstream: {store_dir: '%s/data'}\n", strrchr(xf_broker_url(w->broker), ':') + 1,
	                 xf_broker_dir(w->broker));
	conf_write(w, more);
	free(more);
}

static int
setup(void **state)
{
	struct world *w = xf_alloc(sizeof(*w));
	char *settings;

	w->authority = xf_temp_create("authority");
	w->other = xf_temp_create("other");
	w->theirs = xf_temp_create("theirs");
	w->ours = xf_temp_create("ours");
	w->conf = xf_format("%s/nats.conf", w->theirs);
	xf_certificates_make(w->authority);
	xf_certificates_make(w->other);
	broker_certificate(w, w->authority, "server");
	our_certificates(w, w->authority);
	broker_start(w);
	w->proxy = proxy_create(xf_broker_url(w->broker));
	w->server = xf_server_create("certificates");
	settings = xf_format("plugin: nats, url: 'tls://127.0.0.1:%1$u', streams: [{name: sealed, subjects: [sealed]}], "
	                     "tls: {ca: '%2$s/ca.pem', cert: '%2$s/client.pem', key: '%2$s/client.key'}",
	                     proxy_port(w->proxy), w->ours);
	carry_start(w->server, &(struct carry){.name = "nats", .broker = settings, .place = "subject: sealed", .sink = ", when_down: spool", .rate = RATE},
	            1);
	free(settings);
	*state = w;
	return 0;
}

static int
teardown(void **state)
{
	struct world *w = *state;

	xf_server_destroy(&w->server);
	proxy_destroy(&w->proxy);
	xf_broker_destroy(&w->broker);
	xf_temp_destroy(&w->authority);
	xf_temp_destroy(&w->other);
	xf_temp_destroy(&w->theirs);
	xf_temp_destroy(&w->ours);
	free(w->conf);
	samples_fini(&w->recover);
	free(w);
	return 0;
}

/* It is down for REASON, which is said a few times and no more, and keeps what comes. */
static void
assert_refused(struct world *w, uint64_t attempts, unsigned said, const char *reason)
{
	carry_wait_string(w->server, "nats", "sinks.0.reason", reason);
	carry_wait_string(w->server, "nats", "sinks.0.state", "down");
	xf_sleep_ms(WATCH_MS);
	attempts = proxy_accepted(w->proxy) - attempts;
	said = carry_warnings(w->server, "nats") - said;
	printf("%s: %u attempts to connect in some %d s, %u warnings\n", reason, (unsigned)attempts, WATCH_MS / 1000, said);
	assert_true(attempts <= ATTEMPTS_MAX);
	assert_true(said <= SAID_MAX);
	carry_wait_number(w->server, "nats", "sinks.0.spool.messages", 1);
}

static void
wait_back(struct world *w)
{
	uint64_t begun = xf_now_ms();

	carry_wait_string(w->server, "nats", "sinks.0.state", "up");
	samples_add(&w->recover, (double)(xf_now_ms() - begun) / 1000);
	carry_delivers(w->server, "nats", RATE);
}

static void
test_it_runs_out(void **state)
{
	struct world *w = *state;
	uint64_t attempts;
	unsigned said;

	carry_delivers(w->server, "nats", RATE);
	attempts = proxy_accepted(w->proxy);
	said = carry_warnings(w->server, "nats");
	broker_certificate(w, w->authority, "expired");
	assert_refused(w, attempts, said, "expired");
	broker_certificate(w, w->authority, "server");
	wait_back(w);
}

static void
test_all_are_replaced(void **state)
{
	struct world *w = *state;
	uint64_t attempts = proxy_accepted(w->proxy);
	unsigned said = carry_warnings(w->server, "nats");

	broker_certificate(w, w->other, "server");
	assert_refused(w, attempts, said, "certificate verify failed");
	our_certificates(w, w->other);
	wait_back(w);
}

static void
test_nothing_is_lost(void **state)
{
	struct world *w = *state;

	carry_finish(w->server, "nats",
	             &(struct figures){.fault = "certificate expired, replaced", .broker = "nats", .faults = 2, .recover = &w->recover});
	assert_int_equal(xf_server_stop(w->server), 0);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_it_runs_out),
		cmocka_unit_test(test_all_are_replaced),
		cmocka_unit_test(test_nothing_is_lost),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
