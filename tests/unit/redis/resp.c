/*
 * The protocol reader against every way of cutting a stream in two, against rubbish, and the writer against
 * the reader.
 */
#include "../../../plugins/common/redis/resp.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* A copy of exactly SIZE bytes on the heap, so that a sanitizer sees a read past its end. */
static char *
exact(const char *data, size_t size)
{
	char *copy = malloc(size > 0 ? size : 1);

	assert_non_null(copy);
	memcpy(copy, data, size);
	return copy;
}

static const char replies[] = "+OK\r\n-ERR no\r\n:0\r\n:-42\r\n:1234567890\r\n$5\r\nhello\r\n$0\r\n\r\n$-1\r\n"
			      "$12\r\na\r\nb\r\n:1\r\n$3\r\n";

static void
test_tokens(void **state)
{
	static const struct resp_token expected[] = {
		{'+', 0, "OK", 2}, {'-', 0, "ERR no", 6}, {':', 0, "", 0}, {':', -42, "", 0},
		{':', 1234567890, "", 0}, {'$', 5, "hello", 5}, {'$', 0, "", 0}, {'$', -1, "", 0},
		{'$', 12, "a\r\nb\r\n:1\r\n$3", 12},
	};
	const char *at = replies, *end = replies + sizeof(replies) - 1;

	(void)state;
	for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
		struct resp_token token = {0};
		size_t need;
		ssize_t n = resp_token_read(at, (size_t)(end - at), &token, &need);

		assert_true(n > 0);
		assert_int_equal(token.type, expected[i].type);
		if (token.type == ':' || token.type == '$')
			assert_int_equal(token.number, expected[i].number);
		if (token.type != ':') {
			assert_int_equal(token.len, expected[i].len);
			assert_memory_equal(token.len ? token.data : "", expected[i].data, token.len);
		}
		/* every beginning of it is incomplete, and asks for more than is there, but never for too much */
		for (size_t cut = 0; cut < (size_t)n; cut++) {
			char *part = exact(at, cut);

			assert_int_equal(resp_token_read(part, cut, &token, &need), 0);
			assert_in_range(need, cut + 1, (size_t)n);
			free(part);
		}
		at += n;
	}
	assert_ptr_equal(at, end);
}

static void
test_malformed(void **state)
{
	static const char *const bad[] = {
		"x", "HTTP/1.1 200 OK\r\n", "$x\r\n", "$-2\r\n", "$5\rhello", "$5\r\nhelloxx", "$\r\n", "$-\r\n",
		":\r\n", ":1x\r\n", ":1\rx", "+OK\rx", "*-2\r\n", "*1048577\r\n", "$536870913\r\n",
		":1234567890123456789\r\n", "$99999999999999999999\r\n", "%1\r\n", ">3\r\n", "_\r\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct resp_token token;
		size_t need;

		assert_int_equal(resp_token_read(bad[i], strlen(bad[i]), &token, &need), -1);
	}
}

static void
test_a_line_without_end_is_malformed(void **state)
{
	char *line = malloc(RESP_LINE_MAX + 1);
	struct resp_token token;
	size_t need;

	(void)state;
	memset(line, 'x', RESP_LINE_MAX + 1);
	line[0] = '+';
	assert_int_equal(resp_token_read(line, RESP_LINE_MAX, &token, &need), 0);
	assert_int_equal(resp_token_read(line, RESP_LINE_MAX + 1, &token, &need), -1);
	free(line);
}

static void
test_extent(void **state)
{
	static const char nested[] = "*2\r\n*3\r\n$1\r\na\r\n:1\r\n*0\r\n*-1\r\n+next\r\n";
	const size_t whole = sizeof(nested) - 1 - 7;

	(void)state;
	for (size_t step = 1; step <= whole; step++) {
		struct resp_scan scan = {0};
		size_t need;
		ssize_t n = 0;

		for (size_t size = 0; size < whole; size += step) {
			char *part = exact(nested, size);

			n = resp_extent(part, size, &scan, &need);
			assert_int_equal(n, 0);
			assert_in_range(need, size + 1, whole);
			free(part);
		}
		assert_int_equal(resp_extent(nested, sizeof(nested) - 1, &scan, &need), whole);
		assert_int_equal(scan.at, 0);
	}
}

static void
test_extent_is_bounded(void **state)
{
	char bomb[4096];
	struct resp_scan scan = {0};
	size_t size = 0, need;

	(void)state;
	while (size + 16 < sizeof(bomb))
		size += (size_t)sprintf(bomb + size, "*1048576\r\n");
	assert_int_equal(resp_extent(bomb, size, &scan, &need), -1);
}

static const char pattern_prefix[] = "*4\r\n$8\r\npmessage\r\n$3\r\na.*\r\n";
static const char pattern_push[] = "*4\r\n$8\r\npmessage\r\n$3\r\na.*\r\n$3\r\na.b\r\n$7\r\nx\r\n$1\r\n\r\n";
static const char exact_prefix[] = "*3\r\n$7\r\nmessage\r\n$3\r\na.b\r\n";
static const char exact_push[] = "*3\r\n$7\r\nmessage\r\n$3\r\na.b\r\n$0\r\n\r\n";

static void
test_push_at_every_cut(void **state)
{
	struct resp_push push;
	size_t need;

	(void)state;
	for (size_t cut = 0; cut < sizeof(pattern_push) - 1; cut++) {
		char *part = exact(pattern_push, cut);

		assert_int_equal(resp_push_read(part, cut, pattern_prefix, sizeof(pattern_prefix) - 1, 1, &push, &need),
		                 0);
		assert_in_range(need, cut + 1, sizeof(pattern_push) - 1);
		free(part);
	}
	for (size_t cut = 0; cut < sizeof(exact_push) - 1; cut++) {
		char *part = exact(exact_push, cut);

		assert_int_equal(resp_push_read(part, cut, exact_prefix, sizeof(exact_prefix) - 1, 0, &push, &need), 0);
		assert_in_range(need, cut + 1, sizeof(exact_push) - 1);
		free(part);
	}
	{
		char *whole = exact(pattern_push, sizeof(pattern_push) - 1);

		assert_int_equal(resp_push_read(whole, sizeof(pattern_push) - 1, pattern_prefix,
		                                sizeof(pattern_prefix) - 1, 1, &push, &need),
		                 sizeof(pattern_push) - 1);
		assert_int_equal(push.channel_len, 3);
		assert_memory_equal(push.channel, "a.b", 3);
		assert_int_equal(push.payload_len, 7);
		assert_memory_equal(push.payload, "x\r\n$1\r\n", 7);
		free(whole);
	}
}

static void
test_what_is_no_push_is_told_at_once(void **state)
{
	static const char *const others[] = {
		"*3\r\n$9\r\nsubscribe\r\n$3\r\na.b\r\n:1\r\n", "*2\r\n$4\r\npong\r\n$0\r\n\r\n", "-ERR x\r\n", "+",
		"*3\r\n$7\r\nmessage\r\n$3\r\na.c\r\n$0\r\n\r\n", "*3\r\n$7\r\nmessage\r\n$3\r\na.b\r\n:1\r\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		struct resp_push push;
		size_t need, size = strlen(others[i]);
		char *copy = exact(others[i], size);

		assert_int_equal(resp_push_read(copy, size, exact_prefix, sizeof(exact_prefix) - 1, 0, &push, &need), -1);
		free(copy);
	}
}

/* Whatever comes, readers stay within their bytes, make progress or say that they cannot. */
static void
test_rubbish(void **state)
{
	static const char alphabet[] = "*$+-:0123456789\r\n\r\n\r\nab";
	uint64_t seed = 88172645463325252u;
	unsigned whole = 0;

	(void)state;
	for (unsigned round = 0; round < 200000; round++) {
		char text[64];
		struct resp_token token;
		struct resp_scan scan = {0};
		struct resp_push push;
		size_t size, need;
		char *data;
		ssize_t n;

		seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
		size = seed % sizeof(text);
		for (size_t i = 0; i < size; i++) {
			seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
			/* half of the rounds begin as something real does */
			text[i] = round % 2 == 0 && i < seed % 48 ? pattern_push[i % (sizeof(pattern_push) - 1)]
			                                          : alphabet[seed % (sizeof(alphabet) - 1)];
		}
		data = exact(text, size);
		n = resp_token_read(data, size, &token, &need);
		assert_true(n == -1 || n == 0 || (n > 0 && (size_t)n <= size));
		if (n == 0)
			assert_true(need > size);
		n = resp_extent(data, size, &scan, &need);
		assert_true(n == -1 || n == 0 || (n > 0 && (size_t)n <= size));
		whole += n > 0;
		n = resp_push_read(data, size, pattern_prefix, sizeof(pattern_prefix) - 1, 1, &push, &need);
		assert_true(n == -1 || n == 0 || (n > 0 && (size_t)n <= size));
		free(data);
	}
	assert_true(whole > 0);
}

static void
test_written_is_read_back(void **state)
{
	static const uint64_t numbers[] = {0, 9, 10, 99, 100, 12345, 1000000};
	char head[RESP_HEAD_MAX], *data = calloc(1, 1100000);

	(void)state;
	assert_int_equal(resp_put_head(head, '$', UINT64_MAX) - head, 23);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		char *text = malloc(RESP_BULK_SIZE(numbers[i])), *end;
		struct resp_token token = { 0 };
		size_t need;

		end = resp_put_bulk(text, data, numbers[i]);
		assert_true((size_t)(end - text) <= RESP_BULK_SIZE(numbers[i]));
		assert_int_equal(resp_token_read(text, (size_t)(end - text), &token, &need), end - text);
		assert_int_equal(token.len, numbers[i]);
		free(text);
	}
	free(data);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tokens),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_a_line_without_end_is_malformed),
		cmocka_unit_test(test_extent),
		cmocka_unit_test(test_extent_is_bounded),
		cmocka_unit_test(test_push_at_every_cut),
		cmocka_unit_test(test_what_is_no_push_is_told_at_once),
		cmocka_unit_test(test_rubbish),
		cmocka_unit_test(test_written_is_read_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
