/*
 * Headers, subjects, encodings, durations, and the text that answers are written into.
 */
#include "../../../plugins/transport/http/words.c"

#include "base64.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void
test_headers(void **state)
{
	static const char *const https[] = {"host", "Content-Length", "TRANSFER-ENCODING", "Accept-Encoding", "cookie",
					    "X-Forwarded-For", "Sec-Fetch-Site", "Authorization", "connection"};
	static const char *const ours[] = {"X-Order", "traceparent", "ce-id", "Content-Encoding", "Crossfade-Id", "Accepted",
					   "Hosts"};

	(void)state;
	for (size_t i = 0; i < sizeof(https) / sizeof(https[0]); i++)
		assert_true(header_is_https(str_of(https[i])));
	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
		assert_false(header_is_https(str_of(ours[i])));
	assert_true(header_is_mapped(str_of("message-id")));
	assert_true(str_is(header_canonical(str_of("crossfade-HOPS")), "Crossfade-Hops"));
	assert_true(str_is(header_canonical(str_of("x-Y")), "x-Y"));
	assert_true(header_is_safe(str_of("X-a_1"), str_of("a\tb\xff")));
	assert_false(header_is_safe(str_of("X a"), str_of("")));
	assert_false(header_is_safe(str_of(""), str_of("")));
	assert_false(header_is_safe(str_of("X\xc3"), str_of("")));
	assert_false(header_is_safe(str_of("X"), str_of("a\r\nb")));
	assert_false(header_is_safe(str_of("X"), (struct xf_str){"a\0b", 3}));
}

static void
test_subjects(void **state)
{
	static const char *const wrong[] = {"", ".", "a.", ".a", "a..b", "a b", "*", "a.>", "a.*.b", "a\n", "a\x7f"};
	static const char *const right[] = {"a", "a.b", "a*.b>", "\xc3\xa9.b", "a/b", "$x"};
	static const struct {
		const char *pattern, *subject;
		bool matches;
	} rows[] = {
		{">", "a", true}, {">", "a.b", true}, {"a.>", "a", false}, {"a.>", "a.b.c", true}, {"*", "a", true},
		{"*", "a.b", false}, {"a.*.c", "a.b.c", true}, {"a.*.c", "a.b.d", false}, {"a.b", "a.b", true},
		{"a.b", "a.bc", false}, {"a.b", "a", false}, {"a", "a.b", false}, {"a.*", "a", false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		if (subject_wrong(str_of(wrong[i])) == NULL)
			fail_msg("'%s' passes", wrong[i]);
	for (size_t i = 0; i < sizeof(right) / sizeof(right[0]); i++)
		if (subject_wrong(str_of(right[i])) != NULL)
			fail_msg("'%s' does not pass", right[i]);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (subject_matches(str_of(rows[i].pattern), str_of(rows[i].subject)) != rows[i].matches)
			fail_msg("%s, %s", rows[i].pattern, rows[i].subject);
}

static void
test_percent(void **state)
{
	static const char *const bad[] = {"%", "a%1", "%zz", "%00", "%-1"};
	struct text text = {.data = NULL};
	char bytes[32] = "a%2Eb%c3%A9+";
	uint64_t len = strlen(bytes);

	(void)state;
	assert_true(percent_decode(bytes, &len));
	assert_true(str_is((struct xf_str){bytes, len}, "a.b\xc3\xa9+"));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		strcpy(bytes, bad[i]);
		len = strlen(bytes);
		assert_false(percent_decode(bytes, &len));
	}
	percent_encode(&text, str_of("a.B-_~9/ ?#%\xc3"));
	assert_true(str_is((struct xf_str){text.data, text.len}, "a.B-_~9%2F%20%3F%23%25%C3"));
	text_fini(&text);
}

static void
test_base64(void **state)
{
	static const char *const good[][2] = {{"", ""}, {"TQ==", "M"}, {"TWE=", "Ma"}, {"TWFu", "Man"}, {"+/+/", "\xfb\xff\xbf"}};
	static const char *const bad[] = {"T", "TQ", "TQ=", "TR==", "TWF=", "T===", "====", "TQ==TWFu", "TW u", "TW-u", "TQ=A"};
	unsigned char out[16];
	uint64_t len;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_true(base64_decode(str_of(good[i][0]), out, &len));
		assert_int_equal(len, strlen(good[i][1]));
		assert_memory_equal(out, good[i][1], len);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (base64_decode(str_of(bad[i]), out, &len))
			fail_msg("'%s' passes", bad[i]);
}

static void
test_durations_and_secrets(void **state)
{
	(void)state;
	assert_int_equal(duration_read("250ms"), 250);
	assert_int_equal(duration_read("5s"), 5000);
	assert_int_equal(duration_read("2m"), 120000);
	assert_int_equal(duration_read("1h"), 3600000);
	assert_int_equal(duration_read("0s"), 0);
	for (size_t i = 0; i < 7; i++)
		assert_int_equal(duration_read((const char *const[]){"", "5", "s", "-1s", "1.5s", "5 s", "99999999999s"}[i]), -1);
	assert_true(secret_equal(str_of("abc"), str_of("abc")));
	assert_false(secret_equal(str_of("abd"), str_of("abc")));
	assert_false(secret_equal(str_of("ab"), str_of("abc")));
	assert_false(secret_equal(str_of("abcabc"), str_of("abc")));
	assert_false(secret_equal(str_of(""), str_of("abc")));
}

static void
test_ids_differ(void **state)
{
	char ids[100][WORDS_ID_SIZE];

	(void)state;
	for (int i = 0; i < 100; i++) {
		id_make(ids[i]);
		assert_int_equal(strspn(ids[i], "0123456789abcdef"), 32);
		for (int k = 0; k < i; k++)
			assert_string_not_equal(ids[i], ids[k]);
	}
}

static void
test_json_text(void **state)
{
	struct text text = {.data = NULL};

	(void)state;
	text_json(&text, str_of("a\"\\\n\x7f\xc3\xa9\xf0\x9f\x98\x80"));
	assert_true(str_is((struct xf_str){text.data, text.len}, "\"a\\\"\\\\\\u000a\\u007f\xc3\xa9\xf0\x9f\x98\x80\""));
	text_fini(&text);
	/* cut, too long, a surrogate, beyond the last, a lone continuation */
	text_json(&text, str_of("\xc3|\xc0\x80|\xed\xa0\x80|\xf4\x90\x80\x80|\x80"));
	assert_true(str_is((struct xf_str){text.data, text.len},
	                   "\"\\ufffd|\\ufffd\\ufffd|\\ufffd\\ufffd\\ufffd|\\ufffd\\ufffd\\ufffd\\ufffd|\\ufffd\""));
	text_fini(&text);
}

static void
test_arenas(void **state)
{
	struct arena arena = {.blocks = NULL};

	(void)state;
	for (size_t size = 0; size < 5000; size += 37) {
		char *bytes = arena_take(&arena, size);

		assert_non_null(bytes);
		assert_int_equal((uintptr_t)bytes % 16, 0);
		memset(bytes, 0xee, size);
	}
	assert_true(str_is(arena_copy(&arena, str_of("text")), "text"));
	assert_true(arena.bytes > 5000);
	arena_fini(&arena);
	assert_int_equal(arena.bytes, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_headers),   cmocka_unit_test(test_subjects),
		cmocka_unit_test(test_percent),   cmocka_unit_test(test_base64),
		cmocka_unit_test(test_durations_and_secrets), cmocka_unit_test(test_ids_differ),
		cmocka_unit_test(test_json_text), cmocka_unit_test(test_arenas),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
