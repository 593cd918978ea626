/*
 * The language of plugins is that of the configuration: both are asked the same, and must answer alike, over every template
 * of some fields and their alternatives.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "conf/template.h"
#include "template.h"

static const struct xf_header headers[] = {
	{{"Order-Id", 8}, {"o-7", 3}}, {{"empty", 5}, {"", 0}}, {{"twice", 5}, {"", 0}}, {{"twice", 5}, {"second", 6}},
};

static const char *const payloads[] = {
	"",
	"no json",
	"\"whole\"",
	"17",
	("{\"a\":{\"b/c\":[10,\"x\",true,null,{\"~\":\"t\"}],\"n\":-1.5,\"s\":\"\"},\"\":\"empty\",\"id\":\"\\u00e4\\ud83d\\ude00\\n\","
	"\"big\":9007199254740993,\"huge\":9007199254740994,\"e\":0.1,\"m\":9007199254740992,\"k\":1.50e3,\"z\":0.30000000000000004,\"l\\u0061\":\"esc\"}"),
};

static void
both_answer_alike(const char *text, const char *payload)
{
	const struct xf_incoming message = {
		.subject = xf_str("orders.eu.created"),
		.id = xf_str("id-1"),
		.payload = payload,
		.payload_size = strlen(payload),
		.headers = headers,
		.header_count = 4,
	};
	const struct xf_fields fields = {
		.subject = message.subject,
		.id = message.id,
		.payload = xf_str(payload),
		.headers = headers,
		.header_count = 4,
	};
	struct xf_error why = {{0}}, error = {{0}};
	struct xf_template *core = xf_template_create(xf_str(text), NULL, &why);
	struct template *ours = template_create(xf_str(text), &error);
	struct xf_buffer core_scratch = {0};
	struct bytes scratch = {NULL, 0, 0};
	struct view view = {.message = NULL};
	struct xf_str expected = {NULL, 0}, value = {NULL, 0};
	bool has;

	if (core == NULL) {
		if (ours != NULL)
			fail_msg("'%s' was refused by the configuration: %s", text, why.text);
		assert_true(error.text[0] != '\0');
		return;
	}
	if (ours == NULL)
		fail_msg("'%s': %s", text, error.text);
	view_open(&view, &message);
	has = xf_template_eval(core, &fields, &core_scratch, &expected, &why) == XF_OK;
	if (template_value(ours, &view, &scratch, &value, &error) != has)
		fail_msg("'%s' of '%s': one has a value", text, payload);
	if (has && !xf_str_equal(value, expected))
		fail_msg("'%s' of '%s': '%.*s'; expected '%.*s'", text, payload, XF_STR_ARG(value), XF_STR_ARG(expected));
	if (!has)
		assert_string_equal(error.text, why.text);
	xf_template_destroy(&core);
	template_destroy(&ours);
	xf_buffer_fini(&core_scratch);
	bytes_fini(&scratch);
	view_fini(&view);
}

static void
test_alike(void **state)
{
	static const char *const fields[] = {
		"subject", "subject.2", "subject.4", "id", "key", "header.ORDER-ID", "header.empty", "header.twice", "header.none",
		"payload.hash", "'a''b|}'", "''", "json.", "json./", "json./a/b~1c/0", "json./a/b~1c/1", "json./a/b~1c/2",
		"json./a/b~1c/3", "json./a/b~1c/4/~0", "json./a/b~1c/01", "json./a/b~1c/-", "json./a/b~1c/99999999", "json./a",
		"json./a/n", "json./a/s", "json./a/x/y", "json./id", "json./big", "json./huge", "json./e", "json./m", "json./k", "json./z", "json./la",
	};
	char text[256];

	(void)state;
	for (size_t p = 0; p < sizeof(payloads) / sizeof(*payloads); p++)
		for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++)
			for (size_t j = 0; j < sizeof(fields) / sizeof(*fields); j++) {
				snprintf(text, sizeof(text), "{%s}", fields[i]);
				both_answer_alike(text, payloads[p]);
				snprintf(text, sizeof(text), "{ %s | %s }", fields[i], fields[j]);
				both_answer_alike(text, payloads[p]);
				snprintf(text, sizeof(text), "x{%s}-{%s}", fields[i], fields[j]);
				both_answer_alike(text, payloads[p]);
			}
}

static void
test_refused_alike(void **state)
{
	static const char *const texts[] = {
		"", "plain", "ab{subjct}", "{id|key|x}", "a}", "x{id", "{id|'a}", "{'a'b}", "{}", "{subject.0}", "{subject.1025}",
		"{subject.99999999999}", "{header.a b}", "{header.}", "{json.a}", "{json./~2}", "{json./~}", "{json./a~01}", "{id|}", "{|id}",
		"{id{key}}", "{'a'", "{'a'|", "{ }", "{payload}", "{subject.}", "{'a' }", "{id }",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		both_answer_alike(texts[i], "{}");
}

/* Of one message, whatever is asked of it. */
static void
test_parsed_once(void **state)
{
	const struct xf_incoming message = {.payload = "{\"a\":1}", .payload_size = 7};
	struct xf_error error;
	struct template *id = template_create(xf_str("{id|'x'}"), &error), *json = template_create(xf_str("{json./a}"), &error);
	struct bytes scratch = {NULL, 0, 0};
	struct view view = {.message = NULL};
	struct xf_str value;
	uint32_t count;

	(void)state;
	view_open(&view, &message);
	assert_true(template_value(id, &view, &scratch, &value, NULL));
	assert_false(view.parsed);
	assert_true(template_value(json, &view, &scratch, &value, NULL));
	count = view.document.count;
	document_make_string(&view.document, xf_str("a trace")); /* another parse would remove it */
	assert_true(template_value(json, &view, &scratch, &value, NULL));
	assert_int_equal(view.document.count, count + 1);
	template_destroy(&id);
	template_destroy(&json);
	view_fini(&view);
	bytes_fini(&scratch);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_alike),
		cmocka_unit_test(test_refused_alike),
		cmocka_unit_test(test_parsed_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
