#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "conf/conf.h"
#include "conf/scalar.h"

struct number {
	const char *text;
	int64_t value; /* -1: refused */
};

typedef enum xf_status (*number_parse)(struct xf_str text, int64_t *value, struct xf_error *error);

static void
numbers_check(number_parse parse, const struct number *cases, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct xf_error error = {{0}};
		int64_t value = -1;
		enum xf_status status = parse(xf_str(cases[i].text), &value, &error);

		assert_int_equal(value, cases[i].value); /* -1 where it was left alone */
		assert_int_equal(status, cases[i].value == -1 ? XF_FAILED : XF_OK);
		assert_int_equal(error.text[0] != '\0', status != XF_OK);
	}
}

#define CHECK(parse, ...)                                                                          \
	numbers_check(parse, (const struct number[])__VA_ARGS__,                                    \
	              sizeof((const struct number[])__VA_ARGS__) / sizeof(struct number))

static void
test_numbers(void **state)
{
	double real = 0;
	int64_t value = 0;

	(void)state;
	CHECK(xf_scalar_duration, {{"250ms", 250}, {"30s", 30000}, {"10m", 600000}, {"24h", 86400000}, {"7d", 604800000}, {"0", 0}, {"0s", 0}, {"30", -1}, {"s", -1}, {"", -1}, {"-1s", -1}, {"1.5s", -1}, {"1h30m", -1}, {"9999999999999999h", -1}, {"1 s", -1}});
	CHECK(xf_scalar_size, {{"512B", 512}, {"64KiB", 65536}, {"1GiB", 1 << 30}, {"2TiB", (int64_t)2 << 40}, {"77", 77}, {"64KB", -1}, {"1.5MiB", -1}, {"MiB", -1}, {"-1", -1}, {"", -1}, {"99999999TiB", -1}, {"99999999999999999999", -1}});
	CHECK(xf_scalar_bool, {{"true", 1}, {"false", 0}, {"yes", -1}, {"TRUE", -1}, {"1", -1}, {"", -1}});
	CHECK(xf_scalar_i64, {{"0", 0}, {"17", 17}, {"-5", -5}, {"9223372036854775807", INT64_MAX}, {"9223372036854775808", -1}, {"", -1}, {"-", -1}, {"0x10", -1}, {"1e3", -1}, {" 1", -1}});
	assert_int_equal(xf_scalar_i64(xf_str("-1"), &value, NULL), XF_OK);
	assert_int_equal(value, -1);
	assert_int_equal(xf_scalar_f64(xf_str("-2.5e3"), &real, NULL), XF_OK);
	assert_true(real < -2499.9 && real > -2500.1);
	assert_int_equal(xf_scalar_f64(xf_str("nan"), &real, NULL), XF_FAILED);
	assert_int_equal(xf_scalar_f64(xf_str("1e999"), &real, NULL), XF_FAILED);
	assert_int_equal(xf_scalar_f64(xf_str("0x1p3"), &real, NULL), XF_FAILED);
	assert_int_equal(xf_scalar_f64(xf_str(""), &real, NULL), XF_FAILED);
}

static void
test_percent(void **state)
{
	static const struct {
		const char *text;
		uint32_t value;
		const char *shown;
	} good[] = {{"0", 0, "0"}, {"25", 2500, "25"}, {"25%", 2500, "25"}, {"0.01%", 1, "0.01"}, {"100", 10000, "100"}, {"99.99", 9999, "99.99"}, {"12.5", 1250, "12.5"}, {"1.50", 150, "1.5"}, {"3.000", 300, "3"}, {"100.00%", 10000, "100"}};
	static const char *const bad[] = {"", "%", "-1", "101", "100.01", "0.001", "1.", ".5", "25 %", "25%%", "1e1", "9999999999999999999999"};
	char shown[16];

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		uint32_t value = 77777;

		assert_int_equal(xf_percent_parse(xf_str(good[i].text), &value, NULL), XF_OK);
		assert_int_equal(value, good[i].value);
		xf_percent_format(value, shown);
		assert_string_equal(shown, good[i].shown);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		uint32_t value = 77777;

		assert_int_equal(xf_percent_parse(xf_str(bad[i]), &value, NULL), XF_FAILED);
		assert_int_equal(value, 77777);
	}
}

static void
test_addresses(void **state)
{
	static const char *const good[] = {"redis://127.0.0.1:6379", "nats://[::1]:4222/x", "amqp://u:p%2F@host/vhost", "tls+x://h", "nats://h:1?x=a:b"};
	static const char *const bad[] = {"", "host", "://host", "a b://h", "redis://", "redis://h:0", "redis://h:65536", "redis://h:", "redis://h:x", "redis://h\n"};
	static const struct {
		const char *text;
		int loopback; /* -1: refused */
	} listens[] = {{"127.0.0.1:8480", 1}, {"127.9.9.9:1", 1}, {"localhost:80", 1}, {"[::1]:80", 1}, {"0.0.0.0:80", 0}, {"[::]:80", 0}, {"10.0.0.1:80", 0}, {"example.org:80", 0}, {"127.0.0.1.example.org:80", 0}, {":80", -1}, {"80", -1}, {"::1:80", -1}, {"[::1]", -1}, {"h:0", -1}, {"h:65536", -1}, {"a b:80", -1}, {"", -1}};

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
		assert_int_equal(xf_scalar_url(xf_str(good[i]), NULL), XF_OK);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_int_equal(xf_scalar_url(xf_str(bad[i]), NULL), XF_FAILED);
	for (size_t i = 0; i < sizeof(listens) / sizeof(*listens); i++) {
		bool loopback = false;

		assert_int_equal(xf_scalar_listen(xf_str(listens[i].text), &loopback, NULL),
		                 listens[i].loopback < 0 ? XF_FAILED : XF_OK);
		assert_int_equal(loopback, listens[i].loopback == 1);
	}
}

static void
test_words(void **state)
{
	(void)state;
	assert_string_equal(xf_stage_name(0, XF_MIRROR_OFF), "off");
	assert_string_equal(xf_stage_name(0, XF_MIRROR_REQUIRED), "dualwrite");
	assert_string_equal(xf_stage_name(1, XF_MIRROR_OFF), "live");
	assert_string_equal(xf_stage_name(9999, XF_MIRROR_ON), "live");
	assert_string_equal(xf_stage_name(10000, XF_MIRROR_ON), "rampdown");
	assert_string_equal(xf_stage_name(10000, XF_MIRROR_OFF), "complete");
	assert_string_equal(xf_mirror_name(XF_MIRROR_OFF), "false");
	assert_string_equal(xf_mirror_name(XF_MIRROR_ON), "true");
	assert_string_equal(xf_mirror_name(XF_MIRROR_REQUIRED), "required");
}

static void
test_promises(void **state)
{
	enum { QUEUE, PUBSUB };
	static const struct xf_conf_endpoint sources[] = {{.traits = XF_TRAIT_IDS}, {.traits = XF_TRAIT_LOSSY}};
	enum { LIST, STREAM, CHANNEL, UNSAID, DROP };
	static const struct xf_conf_endpoint sinks[] = {
		{.traits = 0},
		{.traits = XF_TRAIT_DEDUP},
		{.traits = XF_TRAIT_EPHEMERAL},
		{.when_down = XF_WHEN_DOWN_UNSAID},
		{.when_down = XF_WHEN_DOWN_DROP},
	};
	const struct xf_conf_route route = {.to = XF_TO_SPLIT, .sources = sources, .source_count = 2, .sinks = sinks, .sink_count = 5};

	(void)state;
	assert_string_equal(xf_conf_way_promise(&route, QUEUE, LIST), "at least once");
	assert_memory_equal(xf_conf_way_promise(&route, QUEUE, STREAM), "at least once; dup", 18);
	assert_memory_equal(xf_conf_way_promise(&route, PUBSUB, STREAM), "what the broker delivered, bounded", 34);
	assert_memory_equal(xf_conf_way_promise(&route, QUEUE, CHANNEL), "as the broker", 13);
	assert_memory_equal(xf_conf_way_promise(&route, PUBSUB, CHANNEL), "as the broker", 13);
	assert_memory_equal(xf_conf_way_promise(&route, PUBSUB, UNSAID), "what the broker delivered, at least once", 40);
	assert_memory_equal(xf_conf_way_promise(&route, PUBSUB, DROP), "what the broker delivered, bounded", 34);
}

/* What is not said goes by the sources. */
static void
test_when_down(void **state)
{
	struct xf_conf_endpoint sources[] = {{.traits = XF_TRAIT_IDS}, {.traits = XF_TRAIT_LOSSY}};
	struct xf_conf_endpoint sink = {.when_down = XF_WHEN_DOWN_UNSAID};
	struct xf_conf_route route = {.sources = sources, .source_count = 2, .sinks = &sink, .sink_count = 1};

	(void)state;
	assert_int_equal(xf_conf_when_down(&route, &sink), XF_WHEN_DOWN_SPOOL);
	route.source_count = 1;
	assert_int_equal(xf_conf_when_down(&route, &sink), XF_WHEN_DOWN_WAIT);
	route.source_count = 2;
	sources[1].accept_spooled = true;
	assert_int_equal(xf_conf_when_down(&route, &sink), XF_WHEN_DOWN_WAIT);
	sources[1].accept_spooled = false;
	route.to = XF_TO_ALL;
	assert_int_equal(xf_conf_when_down(&route, &sink), XF_WHEN_DOWN_SPOOL);
	route.require = XF_REQUIRE_ANY;
	assert_int_equal(xf_conf_when_down(&route, &sink), XF_WHEN_DOWN_WAIT);
	route.require = XF_REQUIRE_ALL;
	sink.in_place = true;
	assert_int_equal(xf_conf_when_down(&route, &sink), XF_WHEN_DOWN_WAIT);
	sink.when_down = XF_WHEN_DOWN_DROP;
	assert_int_equal(xf_conf_when_down(&route, &sink), XF_WHEN_DOWN_DROP);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_numbers), cmocka_unit_test(test_percent),  cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_words),   cmocka_unit_test(test_promises), cmocka_unit_test(test_when_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
