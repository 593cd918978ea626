/*
 * Log lines are read back through a pipe that stands in for standard error, and JSON ones by a JSON parser.
 */
#include "base/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cjson/cJSON.h>
#include <cmocka.h>

#include <crossfade/plugin.h>

static char line[8192];

/* What FORMAT and its TEXT make on standard error; "" for nothing. */
static const char *
logged(uint32_t level, const char *who, const char *text)
{
	int saved = dup(STDERR_FILENO), ends[2];
	ssize_t n;

	assert_true(saved >= 0 && pipe(ends) == 0);
	dup2(ends[1], STDERR_FILENO);
	close(ends[1]);
	xf_log(level, who, "%s", text);
	dup2(saved, STDERR_FILENO);
	close(saved);
	n = read(ends[0], line, sizeof(line) - 1);
	close(ends[0]);
	assert_true(n >= 0);
	line[n] = '\0';
	return line;
}

static void
assert_json_says(uint32_t level, const char *who, const char *text)
{
	const char *got = logged(level, who, text);
	cJSON *json = cJSON_ParseWithOpts(got, NULL, 0);

	if (json == NULL)
		fail_msg("no JSON: %s", got);
	assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(json, "instance")), who != NULL ? who : "server");
	assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(json, "event")), text);
	assert_int_equal(strlen(cJSON_GetStringValue(cJSON_GetObjectItem(json, "time"))), strlen("2026-01-31T12:00:00.123Z"));
	cJSON_Delete(json);
	assert_ptr_equal(strchr(got, '\n'), got + strlen(got) - 1); /* one line, whatever stands in it */
}

static void
json_survives_every_byte(void **state)
{
	char all[128], one[] = "x?x";

	(void)state;
	xf_log_setup(XF_LOG_INFO, true);
	assert_json_says(XF_LOG_INFO, NULL, "started listen=127.0.0.1:8480");
	assert_json_says(XF_LOG_ERROR, "orders/to \"new\"\\", "quotes \" and \\ and \r\n\t");
	for (int c = 1; c < 128; c++) {
		all[c - 1] = one[1] = (char)c;
		assert_json_says(XF_LOG_WARN, one, one);
	}
	all[127] = '\0';
	assert_json_says(XF_LOG_INFO, NULL, all);
	assert_json_says(XF_LOG_INFO, NULL, "\xc3\xa4\xe2\x82\xac");
}

/* Cut, but still a line, and still JSON. */
static void
long_lines_are_cut_where_they_may_be(void **state)
{
	char text[4000];

	(void)state;
	xf_log_setup(XF_LOG_INFO, true);
	for (unsigned lead = 0; lead < 8; lead++) {
		cJSON *json;

		memset(text, '\x01', sizeof(text) - 1); /* grows sixfold */
		memset(text, 'a', lead);
		text[sizeof(text) - 1] = '\0';
		json = cJSON_ParseWithOpts(logged(XF_LOG_INFO, text, text), NULL, 0);
		assert_non_null(json);
		assert_true(strlen(cJSON_GetStringValue(cJSON_GetObjectItem(json, "event"))) > 200);
		cJSON_Delete(json);
		assert_int_equal(line[strlen(line) - 1], '\n');
	}
}

static void
text_lines_are_one_line(void **state)
{
	const char *got;

	(void)state;
	xf_log_setup(XF_LOG_INFO, false);
	got = logged(XF_LOG_WARN, "orders/from", "bad\nnews\x1b[31m \"quoted\"");
	assert_non_null(strstr(got, " warning orders/from: bad\\x0anews\\x1b[31m \"quoted\"\n"));
	assert_ptr_equal(strchr(got, '\n'), got + strlen(got) - 1);
}

static void
levels_are_kept(void **state)
{
	(void)state;
	xf_log_setup(XF_LOG_WARN, false);
	assert_true(xf_log_wants(XF_LOG_ERROR) && xf_log_wants(XF_LOG_WARN));
	assert_false(xf_log_wants(XF_LOG_INFO));
	assert_string_equal(logged(XF_LOG_INFO, NULL, "hidden"), "");
	assert_non_null(strstr(logged(XF_LOG_ERROR, NULL, "shown"), "server: shown\n"));
	xf_log_setup(XF_LOG_DEBUG, false);
	assert_string_equal(logged(XF_LOG_DEBUG + 1, NULL, "no such level"), "");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(json_survives_every_byte),
		cmocka_unit_test(long_lines_are_cut_where_they_may_be),
		cmocka_unit_test(text_lines_are_one_line),
		cmocka_unit_test(levels_are_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
