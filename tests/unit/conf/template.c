#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <xxhash.h>

#include "conf/template.h"

static const struct xf_header headers[] = {
	{{"Order-Id", 8}, {"o-7", 3}},
	{{"empty", 5}, {"", 0}},
	{{"twice", 5}, {"", 0}},
	{{"twice", 5}, {"second", 6}},
};

static struct xf_fields
fields_with(const char *payload)
{
	return (struct xf_fields){
		.subject = xf_str("orders.eu.created"),
		.id = xf_str("id-1"),
		.payload = xf_str(payload),
		.headers = headers,
		.header_count = sizeof(headers) / sizeof(*headers),
	};
}

/* The value of TEXT, or "error: ...". Static. */
static const char *
eval(const char *text, const char *payload)
{
	static char result[1024];
	struct xf_fields fields = fields_with(payload);
	struct xf_buffer scratch = {0};
	struct xf_error error = {{0}};
	struct xf_template *template = xf_template_create(xf_str(text), NULL, &error);
	struct xf_str value = {"untouched", 9};

	assert_non_null(template);
	assert_true(xf_str_is(xf_template_text(template), text));
	if (xf_template_eval(template, &fields, &scratch, &value, &error) == XF_OK) {
		snprintf(result, sizeof(result), "%.*s", XF_STR_ARG(value));
	} else {
		assert_true(xf_str_is(value, "untouched"));
		snprintf(result, sizeof(result), "error: %s", error.text);
	}
	xf_buffer_fini(&scratch);
	xf_template_destroy(&template);
	assert_null(template);
	return result;
}

static void
test_fields(void **state)
{
	char hash[17];

	(void)state;
	assert_string_equal(eval("{subject}", ""), "orders.eu.created");
	assert_string_equal(eval("{subject.2}", ""), "eu");
	assert_string_equal(eval("in.{subject.3}.{subject.1}", ""), "in.created.orders");
	assert_string_equal(eval("{id}", ""), "id-1");
	assert_string_equal(eval("plain", ""), "plain");
	assert_string_equal(eval("{header.ORDER-ID}", ""), "o-7");
	assert_string_equal(eval("{header.twice}", ""), "second");
	assert_string_equal(eval("{'a''b|}'}", ""), "a'b|}");
	assert_string_equal(eval("x{'y'}z", ""), "xyz");
	assert_string_equal(eval("", ""), "");
	snprintf(hash, sizeof(hash), "%016llx", (unsigned long long)XXH3_64bits("abc", 3));
	assert_string_equal(eval("{payload.hash}", "abc"), hash);
	assert_string_equal(eval("{payload.hash}-{payload.hash}", ""), "2d06800538d394c2-2d06800538d394c2");
}

static void
test_alternatives(void **state)
{
	(void)state;
	assert_string_equal(eval("{key|id}", ""), "id-1");
	assert_string_equal(eval("{ header.none | key | subject.1 }", ""), "orders");
	assert_string_equal(eval("{header.empty|'none'}", ""), "none");
	assert_string_equal(eval("{subject.9|''}.", ""), ".");
	assert_string_equal(eval("{key}", ""), "error: the message has no value for {key}");
	assert_string_equal(eval("a{header.none|subject.4|json./x}", "{}"),
	                    "error: the message has no value for {header.none|subject.4|json./x}");
	assert_string_equal(eval("{json./x|header.order-id|subject}", "no json"), "o-7");
}

static void
test_json(void **state)
{
	static const char payload[] = "{\"a\":{\"b/c\":[10,\"x\",true,null,{\"~\":\"t\"}],\"n\":-1.5,\"s\":\"\"},"
	                              "\"\":\"empty\",\"id\":\"\\u00e4\",\"big\":9007199254740993,\"e\":0.1,\"m\":9007199254740992}";

	(void)state;
	assert_string_equal(eval("{json./a/b~1c/0}", payload), "10");
	assert_string_equal(eval("{json./a/b~1c/1}", payload), "x");
	assert_string_equal(eval("{json./a/b~1c/2}", payload), "true");
	assert_string_equal(eval("{json./a/b~1c/4/~0}", payload), "t");
	assert_string_equal(eval("{json./a/n}", payload), "-1.5");
	assert_string_equal(eval("{json./e}", payload), "0.1");
	assert_string_equal(eval("{json./}", payload), "empty");
	assert_string_equal(eval("{json./id}/{json./a/n}", payload), "\xc3\xa4/-1.5");
	assert_string_equal(eval("{json.}", "\"whole\""), "whole");
	/* no value: null, empty, no single value, not there, an index that is none, a number not exact */
	assert_string_equal(eval("{json./a/b~1c/3|'none'}", payload), "none");
	assert_string_equal(eval("{json./a/s|'none'}", payload), "none");
	assert_string_equal(eval("{json./a|'none'}", payload), "none");
	assert_string_equal(eval("{json./a/x/y|'none'}", payload), "none");
	assert_string_equal(eval("{json./a/b~1c/01|'none'}", payload), "none");
	assert_string_equal(eval("{json./a/b~1c/-|'none'}", payload), "none");
	assert_string_equal(eval("{json./a/b~1c/99999999|'none'}", payload), "none");
	assert_string_equal(eval("{json./m}", payload), "9007199254740992");
	assert_string_equal(eval("{json./x|'none'}", ""), "none");
}

/* A payload that would become a tree of gigabytes has no fields. */
static void
test_json_bound(void **state)
{
	char *payload = malloc((4 << 20) + 1);

	(void)state;
	memset(payload, '[', 4 << 20);
	payload[4 << 20] = '\0';
	assert_string_equal(eval("{json./0|'none'}", payload), "none");
	payload[100000] = '\0';
	assert_string_equal(eval("{json./0|'none'}", payload), "none");
	free(payload);
}

/* One plain field and a constant touch no memory. */
static void
test_borrowed(void **state)
{
	struct xf_fields fields = fields_with("");
	const struct {
		const char *text;
		const char *where;
	} cases[] = {{"{subject}", fields.subject.data}, {"{key|id}", fields.id.data}, {"{header.order-id}", headers[0].value.data}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct xf_template *t = xf_template_create(xf_str(cases[i].text), NULL, NULL);
		struct xf_buffer scratch = {0};
		struct xf_str value;

		assert_int_equal(xf_template_eval(t, &fields, &scratch, &value, NULL), XF_OK);
		assert_ptr_equal(value.data, cases[i].where);
		assert_null(scratch.data);
		xf_template_destroy(&t);
	}
}

static void
test_questions(void **state)
{
	struct xf_template *t;
	struct xf_str value;

	(void)state;
	t = xf_template_create(xf_str("a.{'b'}.c"), NULL, NULL);
	assert_true(xf_template_constant(t, &value));
	assert_true(xf_str_is(value, "a.b.c"));
	assert_false(xf_template_uses_id(t));
	xf_template_destroy(&t);

	t = xf_template_create(xf_str("{'a'|subject}"), NULL, NULL); /* what stands behind a literal is never tried */
	assert_true(xf_template_constant(t, &value));
	assert_true(xf_str_is(value, "a"));
	xf_template_destroy(&t);

	t = xf_template_create(xf_str("{key|id}"), NULL, NULL);
	assert_false(xf_template_constant(t, &value));
	assert_true(xf_template_uses_id(t));
	xf_template_destroy(&t);

	t = xf_template_create(xf_str("{id|subject}"), NULL, NULL);
	assert_false(xf_template_uses_id(t));
	xf_template_destroy(&t);
	xf_template_destroy(&t); /* NULL is fine */
}

static void
test_patterns(void **state)
{
	static const struct {
		const char *text;
		const char *any;    /* whatever the subject */
		const char *narrow; /* from "orders.*.eu" */
	} cases[] = {
		{"out", "out", "out"},
		{"{subject}", ">", "orders.*.eu"},
		{"out.{subject}", "out.>", "out.orders.*.eu"},
		{"{subject}.x", ">", "orders.*.eu.x"},
		{"out.{subject.2}", "out.*", "out.*"},
		{"out.{subject.1}.x", "out.*.x", "out.orders.x"},
		{"out.{subject.3}-x.y", "out.*.y", "out.eu-x.y"},
		{"out.a{subject.2}b.y", "out.*.y", "out.*.y"},
		{"out.{header.x}.y", "out.>", "out.>"},
		{"pre{id}", ">", ">"},
		{"out.{payload.hash}", "out.*", "out.*"},
		{"{header.x|'a'}", ">", ">"},
		{"out.{subject.1|'a'}", "out.*", "out.*"},
		{"out.{subject.1|'orders'}", "out.*", "out.orders"},
		{"x{subject}", ">", "xorders.*.eu"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct xf_template *t = xf_template_create(xf_str(cases[i].text), NULL, NULL);
		struct xf_buffer any = {0}, narrow = {0};

		xf_template_pattern(t, &any);
		xf_template_pattern_from(t, xf_str("orders.*.eu"), &narrow);
		assert_string_equal(any.data, cases[i].any);
		assert_string_equal(narrow.data, cases[i].narrow);
		xf_buffer_fini(&any);
		xf_buffer_fini(&narrow);
		xf_template_destroy(&t);
	}
}

static bool
may_equal(const char *left, const char *right)
{
	struct xf_template *a = xf_template_create(xf_str(left), NULL, NULL);
	struct xf_template *b = xf_template_create(xf_str(right), NULL, NULL);
	bool may = xf_template_may_equal(a, b);

	assert_int_equal(may, xf_template_may_equal(b, a));
	xf_template_destroy(&a);
	xf_template_destroy(&b);
	return may;
}

static void
test_may_equal(void **state)
{
	(void)state;
	assert_true(may_equal("{subject}", "{subject}"));
	assert_true(may_equal("a.b", "a.{'b'}"));
	assert_true(may_equal("{subject}", "{header.x}"));
	assert_true(may_equal("x.{subject.1}", "x.{subject.2}"));
	assert_true(may_equal("a{subject.1}", "{subject.1}a"));
	assert_false(may_equal("{subject}", "v2.{subject}"));
	assert_false(may_equal("a.{subject}", "b.{subject}"));
	assert_false(may_equal("a.b", "a.c"));
	assert_false(may_equal("a.{id}", "b.{header.x}"));
}

static void
test_subject_check(void **state)
{
	static const char *const good[] = {"{subject}", "a.{id}", "{key}x.y", "a"};
	static const char *const bad[] = {"", "a..{id}", "{id}.", "a b", "a.*", "{id}.>", "a.{' '}"};

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		struct xf_template *t = xf_template_create(xf_str(good[i]), NULL, NULL);

		assert_null(xf_template_subject_check(t));
		xf_template_destroy(&t);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct xf_template *t = xf_template_create(xf_str(bad[i]), NULL, NULL);

		assert_non_null(xf_template_subject_check(t));
		xf_template_destroy(&t);
	}
}

/* Where a mistake stands; the texts are in golden/template.txt. */
static void
test_mistakes(void **state)
{
	static const struct {
		const char *text;
		size_t column;
	} cases[] = {{"ab{subjct}", 3}, {"{id|key|x}", 8}, {"a}", 1}, {"x{id", 1}, {"{id|'a}", 4}, {"{'a'b}", 4}, {"{}", 1}, {"{subject.99999999999}", 1}, {"{header.a b}", 1}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct xf_error error = {{0}};
		size_t column = 1000;

		assert_null(xf_template_create(xf_str(cases[i].text), &column, &error));
		assert_int_equal(column, cases[i].column);
		assert_true(error.text[0] != '\0');
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fields),       cmocka_unit_test(test_alternatives),
		cmocka_unit_test(test_json),         cmocka_unit_test(test_json_bound),
		cmocka_unit_test(test_borrowed),     cmocka_unit_test(test_questions),
		cmocka_unit_test(test_patterns),     cmocka_unit_test(test_may_equal),
		cmocka_unit_test(test_subject_check), cmocka_unit_test(test_mistakes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
