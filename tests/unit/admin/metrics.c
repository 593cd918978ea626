/*
 * The text exposition: every field is there once, under one family each, with labels that stay in their
 * quotes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "admin/metrics.h"
#include "status_made.h"

static void
has(const struct xf_buffer *text, const char *line)
{
	if (strstr(text->data, line) == NULL)
		fail_msg("missing: %s", line);
}

static void
shows_every_field(void **state)
{
	struct made made;
	struct xf_buffer text = {0};
	static const char *const lines[] = {
		"crossfade_build_info{version=\"" XF_VERSION "\",server=\"edge-1\"} 1\n",
		"crossfade_process_start_time_seconds 1700000000.123\n",
		"crossfade_process_resident_memory_bytes 4096000\n",
		"crossfade_process_open_fds 21\n",
		"crossfade_dead_letters 17\n",
		"crossfade_dead_letters_bytes 40960\n",
		"crossfade_dead_letters_max_bytes 67108864\n",
		"crossfade_route_accepted_total{route=\"orders\"} 11\n",
		"crossfade_route_acked_total{route=\"orders\"} 12\n",
		"crossfade_route_rejected_total{route=\"orders\"} 13\n",
		"crossfade_route_overflow_total{route=\"orders\"} 14\n",
		"crossfade_route_filtered_total{route=\"orders\"} 15\n",
		"crossfade_route_copies_total{route=\"orders\"} 21\n",
		"crossfade_route_duplicates_total{route=\"orders\"} 22\n",
		"crossfade_route_in_flight_messages{route=\"orders\"} 16\n",
		"crossfade_route_in_flight_bytes{route=\"orders\"} 17\n",
		"crossfade_route_redelivered_total{route=\"orders\"} 18\n",
		"crossfade_handler_taken_total{route=\"orders\",handler=\"orders/exec\",plugin=\"exec\"} 328\n",
		"crossfade_handler_passed_total{route=\"orders\",handler=\"orders/exec\",plugin=\"exec\"} 41\n",
		"crossfade_handler_dropped_total{route=\"orders\",handler=\"orders/exec\",plugin=\"exec\"} 42\n",
		"crossfade_handler_failed_total{route=\"orders\",handler=\"orders/exec\",plugin=\"exec\"} 43\n",
		"crossfade_handler_delayed_total{route=\"orders\",handler=\"orders/exec\",plugin=\"exec\"} 44\n",
		"crossfade_handler_refused_total{route=\"orders\",handler=\"orders/exec\",plugin=\"exec\"} 45\n",
		"crossfade_handler_cancelled_total{route=\"orders\",handler=\"orders/exec\",plugin=\"exec\"} 46\n",
		"crossfade_handler_violations_total{route=\"orders\",handler=\"orders/exec\",plugin=\"exec\"} 47\n",
		"# TYPE crossfade_handler_cache_hits_total counter\n"
		"crossfade_handler_cache_hits_total{route=\"orders\",handler=\"orders/exec\",plugin=\"exec\"} 48\n",
		"# TYPE crossfade_handler_cache_bytes gauge\n"
		"crossfade_handler_cache_bytes{route=\"orders\",handler=\"orders/exec\",plugin=\"exec\"} 49\n",
		"crossfade_route_replies_total{route=\"orders\"} 31\n",
		"crossfade_route_replies_failed_total{route=\"orders\"} 32\n",
		"crossfade_route_requests_timed_out_total{route=\"orders\"} 33\n",
		"crossfade_route_replies_unasked_total{route=\"orders\"} 34\n",
		"crossfade_route_requests_open{route=\"orders\"} 35\n",
		"crossfade_route_ok{route=\"orders\"} 1\n",
		"crossfade_route_paused{route=\"orders\"} 0\n",
		"crossfade_route_info{route=\"orders\",migration=\"orders\",promise=\"at least once\"} 1\n",
		"crossfade_endpoint_reconnects_total{route=\"orders\",endpoint=\"orders/"
		"from\",kind=\"source\",side=\"\","
		"transport=\"rabbit\"} 51\n",
		"crossfade_endpoint_violations_total{route=\"orders\",endpoint=\"orders/to/"
		"old\",kind=\"sink\",side=\"old\","
		"transport=\"redis-old\"} 102\n",
		"crossfade_endpoint_state{route=\"orders\",endpoint=\"orders/to/"
		"new\",kind=\"sink\",side=\"new\","
		"transport=\"nats-new\",state=\"blocked\"} 1\n",
		"transport=\"nats-new\",state=\"up\"} 0\n",
		"crossfade_sink_accepted_total{route=\"orders\",side=\"old\",transport=\"redis-old\","
		"migration=\"orders\"} 103\n",
		"crossfade_sink_confirmed_total{route=\"orders\",side=\"new\",transport=\"nats-new\","
		"migration=\"orders\"} 204\n",
		"crossfade_sink_oldest_unconfirmed_seconds{route=\"orders\",side=\"old\",transport=\"redis-"
		"old\","
		"migration=\"orders\"} 0.113\n",
		"crossfade_sink_publish_latency_seconds_bucket{route=\"orders\",side=\"new\",transport="
		"\"nats-new\","
		"migration=\"orders\",le=\"0.001024\"} 4\n",
		"migration=\"orders\",le=\"+Inf\"} 6\n",
		"crossfade_sink_publish_latency_seconds_sum{route=\"orders\",side=\"new\",transport=\"nats-"
		"new\","
		"migration=\"orders\"} 3.500000\n",
		"crossfade_sink_only_total{route=\"orders\",side=\"new\",transport=\"nats-new\",migration=\"orders\"} 214\n",
		"crossfade_sink_depth{route=\"orders\",side=\"old\",transport=\"redis-old\",migration=\"orders\"} 1100\n",
		"crossfade_sink_consumers{route=\"orders\",side=\"new\",transport=\"nats-new\",migration=\"orders\"} 3200\n",
		"crossfade_route_handover_seconds_count{route=\"orders\"} 6\n",
		"crossfade_migration_percent{migration=\"orders\"} 25.01\n",
		"crossfade_migration_mirror{migration=\"orders\",mode=\"required\"} 1\n",
		"crossfade_migration_stage{migration=\"orders\",stage=\"live\"} 1\n",
		"crossfade_migration_stage{migration=\"orders\",stage=\"off\"} 0\n",
		"crossfade_migration_buckets{migration=\"orders\",state=\"new\"} 2400\n",
		"crossfade_migration_buckets{migration=\"orders\",state=\"moving\"} 101\n",
		"crossfade_migration_buckets{migration=\"orders\",state=\"stuck\"} 7\n",
		"crossfade_migration_crossed_total{migration=\"orders\"} 9\n",
		"crossfade_migration_side_up{migration=\"orders\",side=\"new\",transport=\"nats-new\"} 0\n",
	};

	(void)state;
	made_init(&made);
	xf_metrics_render(&made.snapshot, &text);
	for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
		has(&text, lines[i]);
	/* What the broker does not tell has no line. */
	assert_null(strstr(text.data, "crossfade_sink_lag{"));
	assert_null(strstr(text.data, "crossfade_source_depth{"));
	/* Every leg counter of each side, under both families: 103 to 112 and 203 to 212. */
	for (unsigned n = 103; n <= 212; n = n == 112 ? 203 : n + 1) {
		char number[16];
		unsigned times = 0;

		snprintf(number, sizeof number, "} %u\n", n);
		for (const char *at = text.data; (at = strstr(at, number)) != NULL; at++)
			times++;
		assert_int_equal(times, 2);
	}
	xf_buffer_fini(&text);
}

/* A family's lines stand together behind one HELP and one TYPE, and counters end in _total. */
static void
families_are_whole(void **state)
{
	struct made made;
	struct xf_buffer text = {0};
	char *line, *rest, family[128] = "", type[32] = "", seen[128][128];
	size_t families = 0;

	(void)state;
	made_init(&made);
	xf_metrics_render(&made.snapshot, &text);
	rest = text.data;
	while ((line = strsep(&rest, "\n")) != NULL && line[0] != '\0') {
		size_t len = strlen(family);

		assert_int_equal(strncmp(line[0] == '#' ? line + 7 : line, "crossfade_", 10), 0);
		if (strncmp(line, "# HELP ", 7) == 0) {
			assert_int_equal(sscanf(line, "# HELP %127s", family), 1);
			for (size_t i = 0; i < families; i++)
				assert_string_not_equal(seen[i], family);
			assert_true(families < 128);
			snprintf(seen[families++], sizeof seen[0], "%s", family);
		} else if (strncmp(line, "# TYPE ", 7) == 0) {
			char name[128];

			assert_int_equal(sscanf(line, "# TYPE %127s %31s", name, type), 2);
			assert_string_equal(name, family);
			assert_int_equal(strcmp(type, "counter") == 0,
				         len > 6 && strcmp(family + len - 6, "_total") == 0);
		} else {
			assert_int_equal(strncmp(line, family, len), 0);
			assert_true(line[len] == '{' || line[len] == ' ' || strcmp(type, "histogram") == 0);
		}
	}
	assert_true(families > 40);
	xf_buffer_fini(&text);
}

static void
labels_stay_in_their_quotes(void **state)
{
	struct made made;
	struct xf_buffer text = {0};

	(void)state;
	made_init(&made);
	made.snapshot.server = "a\"b\\c\nd";
	xf_metrics_render(&made.snapshot, &text);
	has(&text, "server=\"a\\\"b\\\\c\\nd\"} 1\n");
	xf_buffer_fini(&text);
}

static void
a_plain_sink_has_no_side(void **state)
{
	struct made made;
	struct xf_buffer text = {0};

	(void)state;
	made_init(&made);
	made.routes[0].migration = NULL;
	made.routes[0].leg_count = 1;
	made.legs[0].sink.name = "orders/to";
	made.snapshot.migration_count = 0;
	xf_metrics_render(&made.snapshot, &text);
	has(&text, "crossfade_sink_accepted_total{route=\"orders\",side=\"\",transport=\"redis-old\","
		   "migration=\"\"} 103\n");
	xf_buffer_fini(&text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shows_every_field),
		cmocka_unit_test(families_are_whole),
		cmocka_unit_test(labels_stay_in_their_quotes),
		cmocka_unit_test(a_plain_sink_has_no_side),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
