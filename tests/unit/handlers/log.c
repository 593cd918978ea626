#include "run.h"

static void
test_line(void **state)
{
	(void)state;
	run_open("log", NULL);
	assert_int_equal(run_text("orders.eu", "abc"), XF_OUTCOME_PASS);
	assert_false(run.made);
	assert_string_equal(run.lines, "2 subject=orders.eu id=id-1 bytes=3\n");
	run_close();
	run_open("log", OPTIONS("level=debug", "text=kind {header.kind}, {json./v}"));
	assert_int_equal(run_text("s", "{\"v\":\"a\\nb\\u0007\"}"), XF_OUTCOME_PASS);
	assert_int_equal(run_text("s", "no"), XF_OUTCOME_PASS);
	assert_string_equal(run.lines, "3 subject=s id=id-1 bytes=18 kind new, a b \n"
	                               "3 subject=s id=id-1 bytes=2 the message has no value for {json./v}\n");
	run_close();
	run_refused("log", OPTIONS("text={"), "text: '{' without '}' in '{'");
}

static void
test_every(void **state)
{
	char text[2];

	(void)state;
	run_open("log", OPTIONS("every=3", "rate=0"));
	for (int i = 0; i < 7; i++) {
		snprintf(text, sizeof(text), "%c", 'a' + i);
		run_text(text, "");
	}
	assert_string_equal(run.lines,
	                    "2 subject=a id=id-1 bytes=0\n2 subject=d id=id-1 bytes=0\n2 subject=g id=id-1 bytes=0\n");
	run_close();
}

static void
test_rate(void **state)
{
	(void)state;
	run_open("log", OPTIONS("rate=2"));
	for (int i = 0; i < 5; i++)
		run_text("a", "");
	run.now_ms += 999;
	run_text("a", "");
	assert_string_equal(run.lines, "2 subject=a id=id-1 bytes=0\n2 subject=a id=id-1 bytes=0\n");
	run.lines[0] = '\0';
	run.now_ms += 1;
	for (int i = 0; i < 3; i++)
		run_text("b", "");
	assert_string_equal(run.lines, "2 subject=b id=id-1 bytes=0 left_out=4\n2 subject=b id=id-1 bytes=0\n");
	run.lines[0] = '\0';
	run.class->ops->stop(run.instance);
	assert_string_equal(run.lines, "2 left_out=1\n");
	run_close();
}

/* What is longer than a line is cut off. */
static void
test_long(void **state)
{
	char *payload = malloc(100000);

	(void)state;
	memset(payload, 'x', 99999);
	payload[99999] = '\0';
	payload[0] = payload[99998] = '"';
	run_open("log", OPTIONS("text={json.}"));
	assert_int_equal(run_text("a", payload), XF_OUTCOME_PASS);
	assert_int_equal(strlen(run.lines), 2000 - 1 + 3);
	run_close();
	free(payload);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_line),
		cmocka_unit_test(test_every),
		cmocka_unit_test(test_rate),
		cmocka_unit_test(test_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
