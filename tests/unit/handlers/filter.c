#include "run.h"

static void
test_subject(void **state)
{
	(void)state;
	run_open("filter", OPTIONS("subject=orders.*.new", "subject=bills.>"));
	assert_int_equal(run_text("orders.eu.new", ""), XF_OUTCOME_PASS);
	assert_false(run.made);
	assert_int_equal(run_text("bills.a.b", ""), XF_OUTCOME_PASS);
	assert_int_equal(run_text("orders.eu.old", ""), XF_OUTCOME_DROP);
	assert_int_equal(run_text("bills", ""), XF_OUTCOME_DROP);
	run_close();
	run_open("filter", OPTIONS("subject=orders.>", "keep=false", "otherwise=refuse"));
	assert_int_equal(run_text("bills", ""), XF_OUTCOME_PASS);
	assert_int_equal(run_text("orders.a", ""), XF_OUTCOME_REFUSE);
	assert_string_equal(run.reason, "it matches what the filter keeps out");
	run_close();
}

/* What one condition on /v says of a payload. */
static bool
holds(const char *payload, const char *a, const char *b)
{
	bool passed;

	run_open("filter", OPTIONS("where[0].field={json./v}", a, b));
	passed = run_text("s", payload) == XF_OUTCOME_PASS;
	run_close();
	return passed;
}

static void
test_conditions(void **state)
{
	(void)state;
	assert_true(holds("{\"v\":\"a\"}", "where[0].equals=b", "where[0].equals=a"));
	assert_false(holds("{\"v\":\"c\"}", "where[0].equals=b", "where[0].equals=a"));
	assert_true(holds("{\"v\":1.0}", "where[0].equals=1", NULL));
	assert_true(holds("{\"v\":true}", "where[0].equals=true", NULL));
	assert_true(holds("{\"v\":\"order-17\"}", "where[0].matches=*er-?7", NULL));
	assert_true(holds("{\"v\":\"abcbc\"}", "where[0].matches=a*bc", NULL));
	assert_false(holds("{\"v\":\"abcbd\"}", "where[0].matches=a*bc", "where[0].matches=?"));
	assert_false(holds("{\"v\":\"order-17\"}", "where[0].matches=order", NULL));
	assert_true(holds("{\"v\":0}", "where[0].exists=true", NULL));
	assert_false(holds("{\"v\":null}", "where[0].exists=true", NULL));
	assert_true(holds("no json", "where[0].exists=false", NULL));
	assert_false(holds("{\"v\":0}", "where[0].exists=false", NULL));
	assert_true(holds("{\"v\":5}", "where[0].greater=4.5", "where[0].less=5.5"));
	assert_false(holds("{\"v\":5}", "where[0].greater=5", NULL));
	assert_false(holds("{\"v\":5}", "where[0].less=5", NULL));
	assert_true(holds("{\"v\":\"-1e1\"}", "where[0].less=-9", NULL));
	assert_false(holds("{\"v\":\"x\"}", "where[0].less=9", NULL));
	assert_false(holds("{}", "where[0].less=9", NULL));
	assert_false(holds("{\"v\":\"a\"}", "where[0].equals=a", "where[0].matches=b*"));
}

static void
test_several(void **state)
{
	(void)state;
	run_open("filter", OPTIONS("subject=s", "where[0].field={json./a}", "where[0].equals=1", "where[1].field={header.kind}",
	                           "where[1].equals=new", "where[2].field={json./b}", "where[2].equals=2", "otherwise=refuse"));
	assert_int_equal(run_text("s", "{\"a\":1,\"b\":2}"), XF_OUTCOME_PASS);
	assert_int_equal(run_text("s", "{\"a\":1,\"b\":3}"), XF_OUTCOME_REFUSE);
	assert_string_equal(run.reason, "condition 3 of the filter does not hold");
	assert_int_equal(run_text("s", "{\"a\":1}"), XF_OUTCOME_REFUSE);
	assert_int_equal(run_text("t", "{\"a\":1,\"b\":2}"), XF_OUTCOME_REFUSE);
	assert_string_equal(run.reason, "its subject is none that the filter lets through");
	run_close();
	run_open("filter", OPTIONS("match=any", "where[0].field={json./a}", "where[0].equals=1", "where[1].field={json./b}",
	                           "where[1].equals=2"));
	assert_int_equal(run_text("s", "{\"b\":2}"), XF_OUTCOME_PASS);
	assert_int_equal(run_text("s", "{\"a\":1}"), XF_OUTCOME_PASS);
	assert_int_equal(run_text("s", "{\"a\":2,\"b\":1}"), XF_OUTCOME_DROP);
	run_close();
}

static void
test_mistakes(void **state)
{
	(void)state;
	run_refused("filter", NULL, "filters nothing; expected subject or where");
	run_refused("filter", OPTIONS("where[0].field={id}"),
	            "where: condition 1: it asks nothing; expected equals, matches, exists, less or greater");
	run_refused("filter", OPTIONS("where[0].field={id}", "where[0].exists=true", "where[1].field={ix}", "where[1].equals=1"),
	            "where: condition 2: unknown field 'ix'; expected subject, subject.N, id, key, header.NAME, json./POINTER, "
	            "payload.hash or 'text'");
	run_refused("filter", OPTIONS("where[0].field={id}", "where[0].exists=false", "where[0].equals=a"),
	            "where: condition 1: what does not exist has no value to compare");
}

static void
test_anything(void **state)
{
	(void)state;
	run_open("filter", OPTIONS("match=any", "where[0].field={json./a/b/2}", "where[0].matches=x*\\", "where[1].field={json./d/1/e}",
	                           "where[1].equals=f"));
	run_anything(XF_OUTCOME_PASS, XF_OUTCOME_DROP);
	run_close();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_subject),
		cmocka_unit_test(test_conditions),
		cmocka_unit_test(test_several),
		cmocka_unit_test(test_mistakes),
		cmocka_unit_test(test_anything),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
