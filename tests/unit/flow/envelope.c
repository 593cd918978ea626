/*
 * Messages through the envelope and back, as other programs write it, and what is no envelope. cJSON, which others read
 * with, is asked whether what is written is JSON.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cjson/cJSON.h>
#include <cmocka.h>

#include "base/memory.h"
#include "flow/envelope.h"

static void
message_equal(const struct xf_envelope_message *a, const struct xf_envelope_message *b)
{
	assert_true(xf_str_equal(a->id, b->id));
	assert_true(xf_str_equal(a->subject, b->subject));
	assert_true(xf_str_equal(a->key, b->key));
	assert_true(xf_str_equal(a->reply, b->reply));
	assert_true(xf_str_equal(a->content_type, b->content_type));
	assert_true(a->time_ms == b->time_ms);
	assert_int_equal(a->header_count, b->header_count);
	for (uint32_t i = 0; i < a->header_count; i++) {
		assert_true(xf_str_equal(a->headers[i].name, b->headers[i].name));
		assert_true(xf_str_equal(a->headers[i].value, b->headers[i].value));
	}
	assert_true(xf_str_equal(a->payload, b->payload));
}

/* There and back, and JSON to others. */
static void
round_trip(const struct xf_envelope_message *message)
{
	struct xf_envelope_scratch scratch = {0};
	struct xf_envelope_message back = {.time_ms = 1};
	struct xf_error error = {{0}};
	struct xf_buffer out = {0};
	cJSON *json;

	xf_envelope_encode(message, &out);
	json = cJSON_ParseWithLengthOpts(out.data, out.len + 1, NULL, true);
	assert_non_null(json);
	cJSON_Delete(json);
	if (xf_envelope_decode((struct xf_str){out.data, out.len}, &scratch, &back, &error) != XF_OK)
		print_error("%s\n%.300s\n", error.text, out.data);
	message_equal(message, &back);
	xf_envelope_scratch_fini(&scratch);
	xf_buffer_fini(&out);
}

#define STR(literal) ((struct xf_str){literal, sizeof(literal) - 1})

static void
test_round_trip(void **state)
{
	static const struct xf_header headers[] = {
		{STR("trace"), STR("a\"b\\c")}, {STR("trace"), STR("again")}, {STR("empty"), {NULL, 0}},
		{STR("latin"), STR("gr\xfc\xdf")}, {STR("tab"), STR("a\tb\x01")},
	};
	const struct xf_envelope_message full = {
		.id = STR("id-7"),
		.subject = STR("orders.eu"),
		.key = STR("k\xff"),
		.reply = STR("inbox.1"),
		.content_type = STR("text/plain; charset=\"utf-8\""),
		.time_ms = INT64_MAX,
		.headers = headers,
		.header_count = 5,
		.payload = STR("{\"price\": 5, \"text\": \"\xe2\x82\xac\r\n\"}"),
	};

	(void)state;
	round_trip(&full);
	round_trip(&(const struct xf_envelope_message){.time_ms = 0});
	round_trip(&(const struct xf_envelope_message){.payload = STR("plain")});
	round_trip(&(const struct xf_envelope_message){.payload = STR("a\0b")});
	round_trip(&(const struct xf_envelope_message){.payload = STR("\0")});
	round_trip(&(const struct xf_envelope_message){.payload = STR("\xff\xfe")});
	round_trip(&(const struct xf_envelope_message){.payload = STR("\x7f")});
	round_trip(&(const struct xf_envelope_message){.payload = STR("\xed\xa0\x80")});
}

static void
test_every_byte(void **state)
{
	char bytes[512];

	(void)state;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (char)(i * 7);
	for (size_t start = 0; start < 256; start++)
		for (size_t len = 0; len < 5; len++) {
			struct xf_str text = {bytes + start, len};

			round_trip(&(const struct xf_envelope_message){.payload = text, .id = text, .key = text});
		}
}

static void
test_huge(void **state)
{
	struct xf_envelope_message message = {.payload = {malloc(8 << 20), 8 << 20}};
	char *bytes = (char *)message.payload.data;
	struct xf_header *headers = xf_alloc_array(XF_ENVELOPE_HEADERS_MAX, sizeof(*headers));

	(void)state;
	assert_non_null(bytes);
	memset(bytes, '"', 8 << 20);
	round_trip(&message);
	for (size_t i = 0; i < 8 << 20; i++)
		bytes[i] = (char)(i * 31 >> 3);
	round_trip(&message);
	free(bytes);
	for (uint32_t i = 0; i < XF_ENVELOPE_HEADERS_MAX; i++)
		headers[i] = (struct xf_header){STR("n"), STR("v")};
	round_trip(&(const struct xf_envelope_message){.headers = headers, .header_count = XF_ENVELOPE_HEADERS_MAX});
	free(headers);
}

/* As others may write it. */
static void
test_lenient(void **state)
{
	static const struct {
		const char *text;
		struct xf_envelope_message message;
	} cases[] = {
		{"{}", {.time_ms = 0}},
		{" \r\n\t{ \"payload\" : \"x\" , \"id\" : null , \"headers\" : [ ] } \n", {.payload = STR("x")}},
		{"{\"payload\":{\"a\": [1, 2.5e-3, true, \"}\"]},\"id\":\"1\"}",
		 {.payload = STR("{\"a\": [1, 2.5e-3, true, \"}\"]}"), .id = STR("1")}},
		{"{\"payload\":-12}", {.payload = STR("-12")}},
		{"{\"payload\":false}", {.payload = STR("false")}},
		{"{\"payload\":null}", {.time_ms = 0}},
		{"{\"payload\":\"\\u20ac\\ud83d\\ude00\\u0000\\/\\b\\f\\n\\r\\t\"}",
		 {.payload = STR("\xe2\x82\xac\xf0\x9f\x98\x80\0/\b\f\n\r\t")}},
		{"{\"version\":1,\"x\":{\"id\":\"no\"},\"id\":\"yes\",\"y\":[[],{}],\"payload_base64\":\"\\u0041AEC\"}",
		 {.id = STR("yes"), .payload = STR("\0\1\2")}},
		{"{\"\\u0069d\":\"1\"}", {.id = STR("1")}},
		{"{\"subject\":{ \"base64\" : \"YQ==\" },\"time\":0}", {.subject = STR("a")}},
	};
	struct xf_envelope_scratch scratch = {0};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct xf_envelope_message message;
		struct xf_error error = {{0}};

		if (xf_envelope_decode(xf_str(cases[i].text), &scratch, &message, &error) != XF_OK)
			fail_msg("%s: %s", cases[i].text, error.text);
		message_equal(&message, &cases[i].message);
	}
	xf_envelope_scratch_fini(&scratch);
}

static void
test_refused(void **state)
{
	static const char *const cases[][2] = {
		{"", "ends at byte 0; expected '{'"},
		{"plain", "at byte 0: expected '{'"},
		{"[]", "at byte 0: expected '{'"},
		{"{\"id\"", "ends at byte 5; expected ':'"},
		{"{\"id\":\"1\"", "ends at byte 9; expected ',' or '}'"},
		{"{\"id\":\"1\"}x", "at byte 10: expected nothing behind the envelope"},
		{"{\"id\":\"1\"}{}", "expected nothing behind the envelope"},
		{"{\"id\":\"1\",}", "at byte 10: expected a string"},
		{"{\"id\":1}", "at byte 6: expected a string, or {\"base64\": \"...\"}"},
		{"{\"id\":{\"x\":\"\"}}", "expected 'base64' as the only name"},
		{"{\"id\":{\"base64\":\"YQ\"}}", "at byte 16: expected base64"},
		{"{\"id\":\"1\",\"id\":\"2\"}", "'id' stands there again"},
		{"{\"payload\":\"1\",\"payload_base64\":\"\"}", "'payload_base64' stands there again"},
		{"{\"payload_base64\":\"@@@@\"}", "expected base64"},
		{"{\"payload_base64\":5}", "expected a string"},
		{"{\"payload\":tru}", "expected a value"},
		{"{\"payload\":01}", "expected ',' or '}'"},
		{"{\"payload\":+1}", "expected a digit"},
		{"{\"payload\":1.}", "expected a digit"},
		{"{\"payload\":\"\\x\"}", "expected one of"},
		{"{\"payload\":\"\\u12g4\"}", "expected four hexadecimal digits"},
		{"{\"payload\":\"\\ud800\"}", "expected the second half"},
		{"{\"payload\":\"\\ud800\\u0041\"}", "expected the second half"},
		{"{\"payload\":\"\\udc00\"}", "expected the first half"},
		{"{\"payload\":\"\n\"}", "to end a string"},
		{"{\"payload\":\"\xff\"}", "not UTF-8"},
		{"{\"time\":\"now\"}", "expected a digit"},
		{"{\"time\":1.5}", "whole milliseconds"},
		{"{\"time\":-5}", "whole milliseconds"},
		{"{\"time\":9223372036854775808}", "whole milliseconds"},
		{"{\"headers\":{\"a\":\"b\"}}", "expected a list of [name, value]"},
		{"{\"headers\":[[\"a\"]]}", "expected ','"},
		{"{\"headers\":[[\"a\",\"b\",\"c\"]]}", "expected ']'"},
		{"{\"headers\":[[\"a\",\"b\"],]}", "expected [name, value]"},
	};
	struct xf_envelope_scratch scratch = {0};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct xf_envelope_message message = {.time_ms = 42};
		/* of its own size, so that a sanitizer sees a step too far */
		char *text = xf_strndup(cases[i][0], strlen(cases[i][0]));
		char *exact = malloc(strlen(text) + 1);
		struct xf_error error = {{0}};

		assert_non_null(exact);
		memcpy(exact, text, strlen(text));
		assert_int_equal(xf_envelope_decode((struct xf_str){exact, strlen(text)}, &scratch, &message, &error),
		                 XF_FAILED);
		if (strstr(error.text, cases[i][1]) == NULL)
			fail_msg("%s: %s", cases[i][0], error.text);
		assert_int_equal(message.time_ms, 42);
		free(exact);
		free(text);
	}
	xf_envelope_scratch_fini(&scratch);
}

/* Deep, long and cut off anywhere: an answer, soon, and never a step too far. */
static void
test_hostile(void **state)
{
	static const char whole[] = "{\"id\":\"\\u0031\",\"headers\":[[\"a\",{\"base64\":\"YQ==\"}]],\"time\":5,\"x\":[{\"y\":"
	                            "null}],\"payload\":\"\\ud83d\\ude00\"}";
	struct xf_envelope_scratch scratch = {0};
	struct xf_envelope_message message;
	struct xf_error error;
	struct xf_buffer deep = {0}, many = {0};

	(void)state;
	assert_int_equal(xf_envelope_decode(xf_str(whole), &scratch, &message, &error), XF_OK);
	for (size_t len = 0; len + 1 < sizeof(whole); len++) {
		char *part = malloc(len + 1);

		assert_non_null(part);
		part = realloc(part, len > 0 ? len : 1);
		memcpy(part, whole, len);
		assert_int_equal(xf_envelope_decode((struct xf_str){part, len}, &scratch, &message, &error), XF_FAILED);
		free(part);
	}
	xf_buffer_puts(&deep, "{\"payload\":");
	for (int i = 0; i < 1000000; i++)
		xf_buffer_puts(&deep, "[");
	assert_int_equal(xf_envelope_decode((struct xf_str){deep.data, deep.len}, &scratch, &message, &error), XF_FAILED);
	assert_non_null(strstr(error.text, "less deeply nested"));
	xf_buffer_puts(&many, "{\"headers\":[[\"a\",\"b\"]");
	for (unsigned i = 0; i < XF_ENVELOPE_HEADERS_MAX; i++)
		xf_buffer_puts(&many, ",[\"a\",\"b\"]");
	xf_buffer_puts(&many, "]}");
	assert_int_equal(xf_envelope_decode((struct xf_str){many.data, many.len}, &scratch, &message, &error), XF_FAILED);
	assert_non_null(strstr(error.text, "fewer headers"));
	xf_buffer_fini(&deep);
	xf_buffer_fini(&many);
	xf_envelope_scratch_fini(&scratch);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip), cmocka_unit_test(test_every_byte), cmocka_unit_test(test_huge),
		cmocka_unit_test(test_lenient),    cmocka_unit_test(test_refused),    cmocka_unit_test(test_hostile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
