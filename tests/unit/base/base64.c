/*
 * Vectors of RFC 4648, every length, and what is no base64.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/base64.h"

static void
test_vectors(void **state)
{
	static const char *const pairs[][2] = {
		{"", ""},         {"f", "Zg=="},         {"fo", "Zm8="},           {"foo", "Zm9v"},
		{"foob", "Zm9vYg=="}, {"fooba", "Zm9vYmE="}, {"foobar", "Zm9vYmFy"}, {"\xfb\xef\xff", "++//"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(pairs) / sizeof(*pairs); i++) {
		struct xf_buffer out = {0};
		char bytes[8];

		xf_base64_encode(xf_str(pairs[i][0]), &out);
		assert_true(xf_str_is((struct xf_str){out.data, out.len}, pairs[i][1]));
		assert_int_equal(xf_base64_decode(xf_str(pairs[i][1]), bytes), strlen(pairs[i][0]));
		assert_memory_equal(bytes, pairs[i][0], strlen(pairs[i][0]));
		xf_buffer_fini(&out);
	}
}

static void
test_round_trip(void **state)
{
	char bytes[300], back[300];

	(void)state;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (char)(i * 37);
	for (size_t len = 0; len <= sizeof(bytes); len++) {
		struct xf_buffer out = {0};

		xf_base64_encode((struct xf_str){bytes, len}, &out);
		assert_int_equal(out.len, (len + 2) / 3 * 4);
		assert_int_equal(xf_base64_decode((struct xf_str){out.data, out.len}, back), len);
		assert_memory_equal(back, bytes, len);
		/* onto itself */
		if (len > 0) {
			assert_int_equal(xf_base64_decode((struct xf_str){out.data, out.len}, out.data), len);
			assert_memory_equal(out.data, bytes, len);
		}
		xf_buffer_fini(&out);
	}
}

static void
test_refused(void **state)
{
	static const char *const texts[] = {"Z", "Zg", "Zg=", "Z===", "====", "Zg==Zg==", "Zm9v ", "Zm 9", "Zm9-", "Zm9\n"};
	char bytes[16];

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		assert_int_equal(xf_base64_decode(xf_str(texts[i]), bytes), -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors),
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
