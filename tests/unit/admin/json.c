#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "admin/json.h"
#include "base/utf8.h"
#include "status_made.h"

/* Takes ROOT; its text holds each of the COUNT pieces. */
static void
holds(cJSON *root, const char *const *pieces, size_t count)
{
	char *text = cJSON_PrintUnformatted(root);

	assert_non_null(text);
	for (size_t i = 0; i < count; i++)
		if (strstr(text, pieces[i]) == NULL)
			fail_msg("missing %s in %s", pieces[i], text);
	cJSON_free(text);
	cJSON_Delete(root);
}

static void
migration_is_as_the_contract_says(void **state)
{
	static const char *const pieces[] = {
		("{\"name\":\"orders\",\"percent\":25.01,\"mirror\":\"required\",\"stage\":\"live\","
		"\"buckets\":{\"new\":2400,\"moving\":101,\"stuck\":7},\"crossed\":9,\"only_on_new\":214,"),
		"\"old\":{\"name\":\"orders/to/old\"", "\"side\":\"new\",\"accepted\":203,\"confirmed\":204",
	};
	struct made made;

	(void)state;
	made_init(&made);
	holds(xf_json_migration(&made.migrations[0]), pieces, 3);
}

static void
knobs_are_plain_values(void **state)
{
	static const char *const on[] = {"\"percent\":0.01,\"mirror\":true,\"stage\":\"live\""};
	static const char *const off[] = {"\"percent\":0,\"mirror\":false,\"stage\":\"off\""};
	static const char *const full[] = {"\"percent\":100,\"mirror\":true,\"stage\":\"rampdown\""};
	struct made made;

	(void)state;
	made_init(&made);
	made.migrations[0].percent = 1;
	made.migrations[0].mirror = XF_MIRROR_ON;
	holds(xf_json_migration(&made.migrations[0]), on, 1);
	made.migrations[0].percent = 10000;
	holds(xf_json_migration(&made.migrations[0]), full, 1);
	made.migrations[0].percent = 0;
	made.migrations[0].mirror = XF_MIRROR_OFF;
	holds(xf_json_migration(&made.migrations[0]), off, 1);
}

static void
counters_are_exact(void **state)
{
	static const char *const pieces[] = {"\"accepted\":18446744073709551615"};
	struct made made;

	(void)state;
	made_init(&made);
	made.routes[0].accepted = UINT64_MAX;
	holds(xf_json_route(&made.routes[0]), pieces, 1);
}

static void
sight_is_null_where_nothing_was_told(void **state)
{
	static const char *const sink[] = {
		"\"sight\":{\"depth\":1100,\"lag\":null,\"consumers\":3100,\"age_seconds\":1.500000},\"side\":\"old\""};
	static const char *const source[] = {"\"violations\":52,\"sight\":null}"};
	struct made made;

	(void)state;
	made_init(&made);
	holds(xf_json_route(&made.routes[0]), sink, 1);
	holds(xf_json_route(&made.routes[0]), source, 1);
}

static void
handlers_stand_with_their_route(void **state)
{
	static const char *const pieces[] = {
		"\"handlers\":[{\"name\":\"orders/exec\",\"plugin\":\"exec\",\"state\":\"down\",\"reason\":\"no such file\","
		"\"taken\":328,\"held\":67,\"passed\":41,\"dropped\":42,\"failed\":43,\"delayed\":44,\"refused\":45,\"cancelled\":46,"
		"\"violations\":47,\"numbers\":{\"cache_hits\":48,\"cache_bytes\":49}}],\"sinks\":[",
		"\"replies\":{\"sent\":31,\"failed\":32,\"timed_out\":33,\"unasked\":34,\"awaited\":35}"};
	struct made made;

	(void)state;
	made_init(&made);
	holds(xf_json_route(&made.routes[0]), pieces, 2);
}

static void
legs_are_told_apart_by_the_names_of_their_sinks(void **state)
{
	static const char *const pieces[] = {"\"side\":\"1\"", "\"side\":\"2\"", "\"side\":\"3\""};
	struct xf_leg_status legs[3];
	struct made made;

	(void)state;
	made_init(&made);
	made_leg(&legs[0], "orders/to/1", "a", 100);
	made_leg(&legs[1], "orders/to/2", "b", 200);
	made_leg(&legs[2], "orders/to/3", "c", 300);
	made.routes[0].migration = NULL;
	made.routes[0].legs = legs;
	made.routes[0].leg_count = 3;
	holds(xf_json_route(&made.routes[0]), pieces, 3);
	legs[0].sink.name = "orders/to";
	made.routes[0].leg_count = 1;
	assert_string_equal(xf_side_word(&made.routes[0], 0), "");
}

static void
a_change_warns_of_a_side_without_consumers(void **state)
{
	static const char *const fine[] = {"\"lanes_moving\":2500,\"lanes_in_use\":7,\"warnings\":[],\"dry_run\":true"};
	static const char *const bad[] = {"\"warnings\":[\"nobody consumes on the new side (nats-new): "};
	static const char *const only[] = {"\"warnings\":[\"214 messages stand on the new side (nats-new) only: "};
	struct xf_migration_effect effect = {
		.to = {.percent = 2500}, .lanes_moving = 2500, .lanes_in_use = 7};
	struct made made;

	(void)state;
	made_init(&made);
	holds(xf_json_effect(&effect, &made.migrations[0], true), fine, 1);
	made.migrations[0].sides[1].sink.sight.consumers = 0;
	holds(xf_json_effect(&effect, &made.migrations[0], true), bad, 1);
	effect.from.percent = 5000; /* now it turns back to old, where they are */
	holds(xf_json_effect(&effect, &made.migrations[0], true), only, 1);
	made.migrations[0].sides[1].only = 0;
	holds(xf_json_effect(&effect, &made.migrations[0], true), fine, 1);
}

static void
health_gives_reasons(void **state)
{
	static const char *const well[] = {
		"{\"status\":\"ok\",\"ready\":true,\"draining\":false,\"reasons\":[]}"};
	static const char *const ill[] = {
		"{\"status\":\"failing\"",
		"\"reasons\":[{\"route\":\"orders\",\"reason\":\"sink orders/to/new is down\"}]"};
	struct made made;

	(void)state;
	made_init(&made);
	holds(xf_json_health(&made.snapshot), well, 1);
	made.routes[0].ok = false;
	snprintf(made.routes[0].reason, sizeof made.routes[0].reason, "sink orders/to/new is down");
	holds(xf_json_health(&made.snapshot), ill, 2);
	assert_false(xf_snapshot_healthy(&made.snapshot));
}

static void
transport_shows_the_worst_of_its_endpoints(void **state)
{
	static const char *const blocked[] = {
		"\"state\":\"blocked\",\"reason\":\"no stream takes 'orders.x'\"",
		"\"endpoints\":[{\"name\":\"orders/to/new\""};
	static const char *const unused[] = {"\"state\":\"unused\",\"reason\":\"\",\"endpoints\":[]"};
	struct xf_conf_transport transport = {.name = "nats-new", .plugin = "nats"};
	struct made made;

	(void)state;
	made_init(&made);
	holds(xf_json_transport(&transport, &made.snapshot), blocked, 2);
	transport.name = "spare";
	holds(xf_json_transport(&transport, &made.snapshot), unused, 1);
}

/* A reason that was cut in the middle of a character, and one that never was text. */
static void
text_is_always_utf8(void **state)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
		{"plain", "plain"},
		{"caf\xC3\xA9 \xE2\x82\xAC \xF0\x9F\x98\x80", "caf\xC3\xA9 \xE2\x82\xAC \xF0\x9F\x98\x80"},
		{"cut \xE2\x82", "cut ??"},
		{"\xFFx\xC0\x80y\xED\xA0\x80", "?x??y???"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct xf_buffer out = {0};

		xf_utf8_mend(cases[i].in, &out);
		assert_string_equal(out.data, cases[i].out);
		xf_buffer_fini(&out);
	}
}

#define SIZE .struct_size = sizeof(struct xf_option)

static void
options_show_their_bounds(void **state)
{
	static const char *const modes[] = {"stream", "list", NULL};
	static const char *const rivals[] = {"mode", NULL}, *const rival[] = {"mode_at", NULL};
	static const struct xf_option name = {
		SIZE, .type = XF_OPTION_STRING, .key = "name", .flags = XF_OPTION_REQUIRED};
	static const struct xf_option *const fields[] = {&name, NULL};
	static const struct xf_option mode = {SIZE,
		                              .type = XF_OPTION_ENUM,
		                              .key = "mode",
		                              .def = "stream",
		                              .values = modes,
		                              .conflicts = rival,
		                              .help = "How it is kept"};
	static const struct xf_option at = {SIZE, .type = XF_OPTION_I64, .key = "mode_at", .conflicts = rivals};
	static const struct xf_option wait = {
		SIZE, .type = XF_OPTION_DURATION, .key = "wait", .min = 1, .max = 60000};
	static const struct xf_option streams = {
		SIZE, .type = XF_OPTION_MAP, .key = "streams", .flags = XF_OPTION_LIST, .fields = fields};
	static const struct xf_option *const rows[] = {&mode, &at, &wait, &streams, NULL};
	static const char *const pieces[] = {
		"\"key\":\"mode\",\"type\":\"word\"",
		"\"default\":\"stream\",\"values\":[\"stream\",\"list\"]",
		"\"minimum\":1,\"maximum\":60000",
		"\"fields\":[{\"key\":\"name\"",
		"\"required\":true",
		"\"key\":\"mode_at\",\"form_of\":\"mode\"",
	};

	(void)state;
	holds(xf_json_options(rows), pieces, sizeof pieces / sizeof pieces[0]);
}

static void
problem_is_rfc_9457(void **state)
{
	static const char *const pieces[] = {"{\"type\":\"about:blank\",\"title\":\"Conflict\",\"status\":"
		                             "409,\"detail\":\"nats-new is down\"}"};

	(void)state;
	holds(xf_json_problem(409, "Conflict", "nats-new is down"), pieces, 1);
}

static void
status_has_the_dead(void **state)
{
	static const char *const pieces[] = {"\"dead\":{\"count\":17,\"bytes\":40960,\"bytes_max\":67108864}"};
	struct made made;

	(void)state;
	made_init(&made);
	holds(xf_json_detailed(&made.snapshot), pieces, 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(migration_is_as_the_contract_says),
		cmocka_unit_test(knobs_are_plain_values),
		cmocka_unit_test(counters_are_exact),
		cmocka_unit_test(sight_is_null_where_nothing_was_told),
		cmocka_unit_test(handlers_stand_with_their_route),
		cmocka_unit_test(legs_are_told_apart_by_the_names_of_their_sinks),
		cmocka_unit_test(a_change_warns_of_a_side_without_consumers),
		cmocka_unit_test(health_gives_reasons),
		cmocka_unit_test(transport_shows_the_worst_of_its_endpoints),
		cmocka_unit_test(text_is_always_utf8),
		cmocka_unit_test(options_show_their_bounds),
		cmocka_unit_test(problem_is_rfc_9457),
		cmocka_unit_test(status_has_the_dead),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
