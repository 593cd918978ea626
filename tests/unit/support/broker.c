/* The wrapper around tools/broker, with the broker that starts fastest. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "broker.h"

static const char *const dbsize[] = {"dbsize", NULL};
static const char *const set[] = {"set", "a", "b", NULL};

static void
assert_ctl(struct xf_broker *broker, const char *const *args, const char *expected)
{
	char *answer = xf_broker_ctl(broker, args);

	assert_string_equal(answer, expected);
	free(answer);
}

static void
broker_keeps_port_and_data(void **state)
{
	static const char *const args[] = {"--appendonly", "yes", "--appendfsync", "always", NULL};
	struct xf_broker *broker = xf_broker_start("redis", args);
	char *dir = strdup(xf_broker_dir(broker));

	(void)state;
	assert_int_equal(strncmp(xf_broker_url(broker), "redis://127.0.0.1:", 18), 0);
	assert_ctl(broker, set, "OK\n");

	xf_broker_kill(broker);
	xf_broker_kill(broker); /* not running: nothing to do */
	xf_broker_restart(broker);
	assert_ctl(broker, dbsize, "1\n");

	xf_broker_pause(broker);
	xf_broker_resume(broker);
	assert_ctl(broker, dbsize, "1\n");

	xf_broker_stop(broker);
	xf_broker_wipe(broker);
	xf_broker_restart(broker);
	assert_ctl(broker, dbsize, "0\n");

	xf_broker_destroy(&broker);
	assert_null(broker);
	assert_int_equal(access(dir, F_OK), -1);
	free(dir);
}

static void
temp_vanishes(void **state)
{
	char *dir = xf_temp_create("test"), *file = NULL;
	FILE *stream;

	(void)state;
	assert_true(asprintf(&file, "%s/file", dir) > 0);
	stream = fopen(file, "w");
	assert_non_null(stream);
	fclose(stream);
	xf_temp_destroy(&dir);
	assert_null(dir);
	assert_int_equal(access(file, F_OK), -1);
	free(file);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(broker_keeps_port_and_data),
		cmocka_unit_test(temp_vanishes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
