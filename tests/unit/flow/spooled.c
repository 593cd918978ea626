/* A leg comes back from its record as it went in, and bytes that are no record are refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "flow/spooled.h"

static const struct xf_header headers[] = {{{"a", 1}, {"", 0}}, {{"Crossfade-Hops", 14}, {"3", 1}}};

static struct xf_spooled
whole(void)
{
	return (struct xf_spooled){
		.message = {
			.subject = xf_str("orders.paid"),
			.id = xf_str("id-1"),
			.key = xf_str("k"),
			.reply = xf_str("answers"),
			.content_type = xf_str("text/plain"),
			.payload = "a\0b",
			.payload_size = 3,
			.headers = headers,
			.header_count = 2,
			.time_ms = 1234567,
			.ttl_ms = 99,
			.priority = 5,
		},
		.role = XF_SPOOLED_COPY,
		.sink = 7,
	};
}

static void
assert_str(struct xf_str is, struct xf_str expected)
{
	assert_int_equal(is.len, expected.len);
	assert_true(xf_str_equal(is, expected));
}

static void
there_and_back(const struct xf_spooled *in)
{
	struct xf_spooled_headers room = {NULL, 0};
	size_t size = xf_spooled_size(in);
	char *bytes = xf_alloc(size);
	struct xf_spooled out;
	struct xf_error error;

	xf_spooled_write(in, bytes);
	assert_int_equal(xf_spooled_read((struct xf_str){bytes, size}, &room, &out, &error), XF_OK);
	assert_int_equal(out.role, in->role);
	assert_int_equal(out.sink, in->sink);
	assert_str(out.message.subject, in->message.subject);
	assert_str(out.message.id, in->message.id);
	assert_str(out.message.key, in->message.key);
	assert_str(out.message.reply, in->message.reply);
	assert_str(out.message.content_type, in->message.content_type);
	assert_str((struct xf_str){out.message.payload, out.message.payload_size},
	           (struct xf_str){in->message.payload, in->message.payload_size});
	assert_int_equal(out.message.header_count, in->message.header_count);
	for (uint32_t i = 0; i < in->message.header_count; i++) {
		assert_str(out.message.headers[i].name, in->message.headers[i].name);
		assert_str(out.message.headers[i].value, in->message.headers[i].value);
	}
	assert_int_equal(out.message.time_ms, in->message.time_ms);
	assert_int_equal(out.message.ttl_ms, in->message.ttl_ms);
	assert_int_equal(out.message.priority, in->message.priority);
	/* cut short, or longer */
	for (size_t len = 0; len < size; len++)
		assert_int_equal(xf_spooled_read((struct xf_str){bytes, len}, &room, &out, &error), XF_FAILED);
	bytes = realloc(bytes, size + 1);
	assert_non_null(bytes);
	bytes[size] = 0;
	assert_int_equal(xf_spooled_read((struct xf_str){bytes, size + 1}, &room, &out, &error), XF_FAILED);
	/* any byte in front turned: refused, or read within its bounds */
	for (size_t i = 0; i < 64; i++) {
		bytes[i] = (char)~bytes[i];
		(void)xf_spooled_read((struct xf_str){bytes, size}, &room, &out, &error);
		bytes[i] = (char)~bytes[i];
	}
	bytes[0] = 2;
	assert_int_equal(xf_spooled_read((struct xf_str){bytes, size}, &room, &out, &error), XF_FAILED);
	assert_non_null(strstr(error.text, "version 2"));
	free(bytes);
	xf_spooled_headers_fini(&room);
}

static void
test_whole(void **state)
{
	const struct xf_spooled in = whole();

	(void)state;
	there_and_back(&in);
}

static void
test_empty(void **state)
{
	const struct xf_spooled in = {.message = {.subject = xf_str("s")}};

	(void)state;
	there_and_back(&in);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {cmocka_unit_test(test_whole), cmocka_unit_test(test_empty)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
