#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../../../plugins/handler/cache/stored.c"

static const struct xf_header headers[] = {{{"A", 1}, {"one", 3}}, {{"B", 1}, {"two", 3}}, {{"C", 1}, {NULL, 0}}};
static const struct xf_incoming answer = {
	.subject = {"result", 6},
	.content_type = {"text/plain", 10},
	.payload = "payload",
	.payload_size = 7,
	.headers = headers,
	.header_count = 3,
};
static const struct xf_incoming asked = {.subject = {"request", 7}, .headers = headers, .header_count = 1};

/* DATA from memory that is exactly as long; what comes out of it can be looked at. */
static bool
reads(const char *data, size_t len)
{
	struct stored stored = {.headers = NULL};
	char *exact = need(malloc(len > 0 ? len : 1));
	bool sound;

	memcpy(exact, data, len);
	sound = stored_read(&stored, (struct xf_str){exact, len}, &asked);
	if (sound) {
		struct bytes again = {NULL, 0, 0};

		stored_write(&again, &stored.message, NULL);
		bytes_fini(&again);
	}
	stored_fini(&stored);
	free(exact);
	return sound;
}

static void
test_broken(void **state)
{
	struct bytes data = {NULL, 0, 0};

	(void)state;
	stored_write(&data, &answer, &asked);
	assert_true(reads(data.data, data.len));
	for (size_t len = 0; len < data.len - 7; len++)
		assert_false(reads(data.data, len));
	assert_true(reads(data.data, data.len - 7));
	for (size_t bit = 0; bit < 8 * data.len; bit++) {
		data.data[bit / 8] ^= (char)(1 << bit % 8);
		assert_true(reads(data.data, data.len) || bit < 8 * (data.len - 7));
		data.data[bit / 8] ^= (char)(1 << bit % 8);
	}
	bytes_fini(&data);
}

/* A header that the asker does not have is left out; one that is empty is there. */
static void
test_headers(void **state)
{
	static const struct xf_header own[] = {{{"a", 1}, {"mine", 4}}};
	const struct xf_incoming others[] = {{.headers = own, .header_count = 1}, {.handle = 0}};
	struct stored stored = {.headers = NULL};
	struct bytes data = {NULL, 0, 0};

	(void)state;
	stored_write(&data, &answer, &asked);
	assert_true(stored_read(&stored, (struct xf_str){data.data, data.len}, &others[0]));
	assert_int_equal(stored.message.header_count, 3);
	assert_true(str_equal(stored.message.headers[0].value, str_of("mine")));
	assert_true(str_equal(stored.message.headers[1].value, str_of("two")));
	assert_int_equal(stored.message.headers[2].value.len, 0);
	assert_true(stored_read(&stored, (struct xf_str){data.data, data.len}, &others[1]));
	assert_int_equal(stored.message.header_count, 2);
	stored_fini(&stored);
	bytes_fini(&data);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_broken),
		cmocka_unit_test(test_headers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
