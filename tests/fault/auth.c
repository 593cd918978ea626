/*
 * auth.c - what crossfade may do is taken from it while messages flow: a password is changed, a user removed, a command forbidden. It says
 * so once, asks again a few times a minute, keeps what it has, and goes on when that is put right.
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

#define RATE (500 / XF_SCALE)
#define BOUND 300
#define WATCH_MS 4000
#define ATTEMPTS_MAX 12 /* of a sink and a source in that time */
#define SAID_MAX 4      /* the lost connection and the refused login of each */

enum { REDIS, AMQP, NATS, LINES };

static const char *const names[LINES] = {"redis", "amqp", "nats"};

struct world {
	struct xf_broker *brokers[LINES];
	struct proxy *proxies[LINES]; /* to count who comes */
	struct xf_server *server;
	struct samples recover[LINES];
	char *dir, *users; /* a file of NATS's configuration */
};

#define APP "{user: app, password: one}"
#define CTL(w, line, ...) free(xf_broker_ctl((w)->brokers[line], (const char *const[]){__VA_ARGS__, NULL}))

/* Who may come to NATS, and what he may do. */
static void
users_write(struct world *w, const char *named, const char *text)
{
	FILE *file = fopen(w->users, "w");

	assert_non_null(file);
	fprintf(file, "%sauthorization { users: [%s] }\n", named, text);
	assert_int_equal(fclose(file), 0);
}

static void
users_set(struct world *w, const char *text)
{
	/* a reload takes nothing from the command line */
	char *named = xf_format("server_name: xf-%s\njetstream: {store_dir: '%s/data'}\n",
	                        strrchr(xf_broker_url(w->brokers[NATS]), ':') + 1, xf_broker_dir(w->brokers[NATS]));

	users_write(w, named, text);
	free(named);
	xf_broker_reload(w->brokers[NATS]);
}

static void
serve(struct world *w)
{
	char *nats = xf_format("plugin: nats, url: 'nats://app:one@127.0.0.1:%u', streams: [{name: auth, subjects: [auth]}]",
	                       proxy_port(w->proxies[NATS]));
	char *redis = xf_format("plugin: redis, url: 'redis://app:one@127.0.0.1:%u'", proxy_port(w->proxies[REDIS]));
	char *amqp = xf_format("plugin: amqp, url: 'amqp://app:one@127.0.0.1:%u/'", proxy_port(w->proxies[AMQP]));
	char *bound = xf_format("    max_in_flight: %d\n", BOUND);

	w->server = xf_server_create("auth");
	carry_start(w->server,
	            (const struct carry[LINES]){
			    [REDIS] = {.name = "redis", .broker = redis, .place = "mode: stream, subject: auth", .sink = ", when_down: spool", .rate = RATE},
			    [NATS] = {.name = "nats", .broker = nats, .place = "subject: auth", .sink = ", when_down: spool", .rate = RATE},
			    [AMQP] = {.name = "amqp", .broker = amqp, .place = "subject: auth, declare: true", .route = bound, .rate = RATE},
	            },
	            LINES);
	free(redis);
	free(amqp);
	free(nats);
	free(bound);
}

static int
setup(void **state)
{
	struct world *w = xf_alloc(sizeof(*w));

	w->dir = xf_temp_create("auth-nats");
	w->users = xf_format("%s/users.conf", w->dir);
	users_write(w, "", APP);
	for (int i = 0; i < LINES; i++) {
		w->brokers[i] = xf_broker_start(names[i], i == NATS ? (const char *const[]){"-c", w->users, NULL} : NULL);
		w->proxies[i] = proxy_create(xf_broker_url(w->brokers[i]));
	}
	CTL(w, REDIS, "ACL", "SETUSER", "app", "on", ">one", "~*", "&*", "+@all");
	CTL(w, AMQP, "add_user", "app", "one");
	CTL(w, AMQP, "set_permissions", "app", ".*", ".*", ".*");
	serve(w);
	*state = w;
	return 0;
}

static int
teardown(void **state)
{
	struct world *w = *state;

	xf_server_destroy(&w->server);
	for (int i = 0; i < LINES; i++) {
		samples_fini(&w->recover[i]);
		proxy_destroy(&w->proxies[i]);
		xf_broker_destroy(&w->brokers[i]);
	}
	xf_temp_destroy(&w->dir);
	free(w->users);
	free(w);
	return 0;
}

static void
test_login_refused(void **state)
{
	static const char *const reasons[LINES] = {[REDIS] = "WRONGPASS", [AMQP] = "ACCESS_REFUSED", [NATS] = "Authorization Violation"};
	struct world *w = *state;
	uint64_t before[LINES], begun;
	unsigned said[LINES];

	for (int i = 0; i < LINES; i++) {
		carry_delivers(w->server, names[i], RATE);
		before[i] = proxy_accepted(w->proxies[i]);
		said[i] = carry_warnings(w->server, names[i]);
	}
	CTL(w, REDIS, "ACL", "DELUSER", "app"); /* with its connections */
	users_set(w, "{user: other, password: two}");
	CTL(w, AMQP, "change_password", "app", "two");
	CTL(w, AMQP, "close_all_user_connections", "app", "test");
	for (int i = 0; i < LINES; i++) {
		carry_wait_string(w->server, names[i], "sinks.0.reason", reasons[i]);
		carry_wait_string(w->server, names[i], "sinks.0.state", "down");
	}
	assert_int_equal(xf_server_request(w->server, "GET", "/healthz", NULL, NULL), 503);
	xf_sleep_ms(WATCH_MS);
	for (int i = 0; i < LINES; i++) {
		uint64_t attempts = proxy_accepted(w->proxies[i]) - before[i];

		said[i] = carry_warnings(w->server, names[i]) - said[i];
		printf("%s: %u attempts to connect in some %d s, %u warnings\n", names[i], (unsigned)attempts, WATCH_MS / 1000, said[i]);
		assert_true(attempts <= ATTEMPTS_MAX);
		assert_true(said[i] <= SAID_MAX);
	}
	carry_wait_number(w->server, "redis", "sinks.0.spool.messages", 1);
	carry_wait_number(w->server, "nats", "sinks.0.spool.messages", 1);
	carry_wait_number(w->server, "amqp", "in_flight", BOUND);

	CTL(w, REDIS, "ACL", "SETUSER", "app", "on", ">one", "~*", "&*", "+@all");
	users_set(w, APP);
	CTL(w, AMQP, "change_password", "app", "one");
	begun = xf_now_ms();
	for (int i = 0; i < LINES; i++) {
		carry_wait_string(w->server, names[i], "sinks.0.state", "up");
		samples_add(&w->recover[i], (double)(xf_now_ms() - begun) / 1000);
		carry_delivers(w->server, names[i], BOUND + RATE);
		printf("%s: delivers %.1f s after it was put right\n", names[i], (double)(xf_now_ms() - begun) / 1000);
	}
}

/* The connection stays, and what it is refused waits. */
static void
test_command_forbidden(void **state)
{
	struct world *w = *state;
	uint64_t before = proxy_accepted(w->proxies[REDIS]);

	carry_delivers(w->server, "redis", RATE);
	CTL(w, REDIS, "ACL", "SETUSER", "app", "-xadd");
	carry_wait_string(w->server, "redis", "sinks.0.state", "blocked");
	carry_wait_string(w->server, "redis", "sinks.0.reason", "NOPERM");
	CTL(w, REDIS, "ACL", "SETUSER", "app", "+xadd");
	carry_wait_string(w->server, "redis", "sinks.0.state", "up");
	carry_delivers(w->server, "redis", RATE);
	assert_true(proxy_accepted(w->proxies[REDIS]) == before);
}

/* Nor may it publish to NATS, and then not read. */
static void
test_subject_forbidden(void **state)
{
	struct world *w = *state;
	unsigned said;

	carry_delivers(w->server, "nats", RATE);
	said = carry_warnings(w->server, "nats");
	users_set(w, "{user: app, password: one, permissions: {publish: {deny: auth}}}");
	carry_wait_string(w->server, "nats", "sinks.0.state", "blocked");
	carry_wait_string(w->server, "nats", "sinks.0.reason", "Permissions Violation");
	xf_sleep_ms(WATCH_MS);
	users_set(w, APP);
	carry_wait_string(w->server, "nats", "sinks.0.state", "up");
	carry_delivers(w->server, "nats", RATE);

	users_set(w, "{user: app, password: one, permissions: {publish: {deny: \"$JS.API.CONSUMER.MSG.NEXT.>\"}}}");
	xf_server_wait_string(w->server, "/api/v1/routes/nats-out", "sources.0.reason", "Permissions Violation");
	xf_sleep_ms(WATCH_MS);
	users_set(w, APP);
	xf_server_wait_string(w->server, "/api/v1/routes/nats-out", "sources.0.state", "up");
	carry_delivers(w->server, "nats", RATE);
	said = carry_warnings(w->server, "nats") - said;
	printf("nats: %u warnings about what is forbidden\n", said);
	assert_true(said <= 2 * SAID_MAX);
}

static void
test_nothing_is_lost(void **state)
{
	struct world *w = *state;

	for (int i = 0; i < LINES; i++)
		carry_finish(w->server, names[i],
		             &(struct figures){.fault = "login refused", .broker = names[i], .faults = 1, .recover = &w->recover[i]});
	assert_int_equal(xf_server_stop(w->server), 0);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_login_refused),
		cmocka_unit_test(test_command_forbidden),
		cmocka_unit_test(test_subject_forbidden),
		cmocka_unit_test(test_nothing_is_lost),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
