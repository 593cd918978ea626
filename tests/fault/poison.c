/*
 * poison.c - one message in some hundreds makes its receiver fail whenever it comes. After its attempts it is a dead letter, with the reason;
 * all others arrive, those of its key behind it.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <microhttpd.h>

#include "server.h"

#define MESSAGES (2000 / XF_SCALE)
#define KEYS 50
#define EVERY 400
#define ATTEMPTS 3

/* Fails with every message whose number ends in EVERY / 2; guarded by lock. */
static struct receiver {
	pthread_mutex_t lock;
	unsigned came[MESSAGES];
	uint32_t next_of[KEYS]; /* the least number that may still come first */
	uint32_t passed;        /* came before an earlier one of its key */
} receiver = {.lock = PTHREAD_MUTEX_INITIALIZER};

static bool
is_poison(uint32_t number)
{
	return number % EVERY == EVERY / 2 % MESSAGES;
}

static unsigned
message_take(uint32_t number)
{
	unsigned status = is_poison(number) ? 500 : 204;

	pthread_mutex_lock(&receiver.lock);
	if (receiver.came[number]++ == 0) {
		uint32_t *next = &receiver.next_of[number % KEYS];

		receiver.passed += number < *next;
		*next = number + 1;
	}
	pthread_mutex_unlock(&receiver.lock);
	return status;
}

static enum MHD_Result
on_request(void *context, struct MHD_Connection *connection, const char *url, const char *method, const char *version,
           const char *data, size_t *size, void **request)
{
	static int begun;
	static char poisonous[] = "poisonous";
	const char *id = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Message-Id"), *number;
	struct MHD_Response *response;
	enum MHD_Result queued;
	unsigned status;

	(void)context, (void)url, (void)version, (void)data;
	if (*request == NULL || *size > 0) {
		*request = &begun;
		*size = 0;
		return MHD_YES;
	}
	/* RUN-PRODUCER-NUMBER; anything else is the look whether somebody is here */
	number = id != NULL ? strrchr(id, '-') : NULL;
	status = number != NULL && strcmp(method, "POST") == 0 ? message_take((uint32_t)strtoul(number + 1, NULL, 10) % MESSAGES) : 204;
	response = MHD_create_response_from_buffer(status == 500 ? strlen(poisonous) : 0, poisonous, MHD_RESPMEM_PERSISTENT);
	queued = MHD_queue_response(connection, status, response);
	MHD_destroy_response(response);
	return queued;
}

static void
test_the_others_go_on(void **state)
{
	struct MHD_Daemon *daemon = MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD, 0, NULL, NULL, on_request, NULL, MHD_OPTION_END);
	struct xf_server *server = xf_server_create("poison");
	uint32_t poison = 0, others = 0;
	char *letters, *at;

	(void)state;
	assert_non_null(daemon);
	xf_server_configure(server, "",
	                    "transports:\n"
	                    "  probe: {plugin: probe}\n"
	                    "  hook: {plugin: http, url: \"http://127.0.0.1:%u/\"}\n"
	                    "routes:\n"
	                    "  - name: poison\n"
	                    "    key: \"{header.key}\"\n"
	                    "    from: {transport: probe, count: %u, keys: %u}\n"
	                    "    to: {transport: hook, parallel: 8}\n"
	                    "    retry: {attempts: %u, initial: 20ms, max: 50ms}\n",
	                    MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_BIND_PORT)->port, MESSAGES, KEYS, ATTEMPTS);
	xf_server_start(server);
	xf_server_wait_settled(server, "poison", MESSAGES);
	assert_int_equal(xf_server_number(server, "/api/v1/routes/poison", "rejected"), MESSAGES / EVERY + (MESSAGES < EVERY));
	letters = xf_server_rejected(server);
	for (at = letters; (at = strstr(at, "HTTP status 500: poisonous")) != NULL; at++)
		poison++;
	assert_int_equal(poison, MESSAGES / EVERY + (MESSAGES < EVERY));
	free(letters);
	assert_int_equal(xf_server_stop(server), 0);
	xf_server_destroy(&server);
	MHD_stop_daemon(daemon);
	for (uint32_t i = 0; i < MESSAGES; i++) {
		others += !is_poison(i) && receiver.came[i] > 0;
		if (is_poison(i))
			assert_int_equal(receiver.came[i], ATTEMPTS);
	}
	assert_int_equal(others, MESSAGES - poison);
	assert_int_equal(receiver.passed, 0);
	printf("poison: %u of %u are dead letters after %u attempts each, the others arrived in order\n", poison, MESSAGES, ATTEMPTS);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_others_go_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
