/*
 * Destinations, sources that are a migration, and the keys of endpoints: what is read of them, and what is promised. What
 * is wrong is in golden/.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "conf/conf.h"
#include "conf_fake.h"

#define TRANSPORTS                                                                                 \
	"transports:\n"                                                                             \
	"  a: {plugin: alpha, url: 'alpha://one:1'}\n"                                              \
	"  b: {plugin: alpha, url: 'alpha://two:2'}\n"                                              \
	"  c: {plugin: alpha, url: 'alpha://three:3'}\n"                                            \
	"  in: {plugin: listener}\n"                                                                \
	"  p: {plugin: plain}\n"                                                                    \
	"  q: {plugin: queue}\n"

static const struct xf_conf *
load(const char *text)
{
	struct xf_conf_catalogue catalogue = conf_fake_catalogue();
	struct xf_buffer errors = {0};
	const struct xf_conf *conf = xf_conf_load_text("memory.yaml", xf_str(text), &catalogue, &errors);

	if (conf == NULL)
		fail_msg("%s", errors.data);
	return conf;
}

static void
test_all(void **state)
{
	const struct xf_conf *conf = load(TRANSPORTS "routes:\n"
						     "- name: plain\n"
						     "  from: {transport: in, subject: x}\n"
						     "  to: {all: [a, {transport: b, subject: 'b.{subject}', when_down: drop}]}\n"
						     "- name: any\n"
						     "  from: {transport: in, subject: y}\n"
						     "  to: {require: any, all: [a, b, {transport: c, mode: pubsub}]}\n"
						     "- name: first\n"
						     "  from: {transport: in, subject: z}\n"
						     "  to: {all: [a, b], require: first}\n");
	const struct xf_conf_route *r = conf->routes;

	(void)state;
	assert_int_equal(r[0].to, XF_TO_ALL);
	assert_int_equal(r[0].require, XF_REQUIRE_ALL);
	assert_int_equal(r[0].sink_count, 2);
	assert_null(r[0].weights);
	assert_null(r[0].key);
	assert_null(r[0].migration);
	assert_string_equal(r[0].sinks[0].transport->name, "a");
	assert_string_equal(r[0].sinks[0].subject, "{subject}");
	assert_string_equal(r[0].sinks[1].subject, "b.{subject}");
	assert_int_equal(r[0].sinks[1].when_down, XF_WHEN_DOWN_DROP);
	assert_int_equal(r[0].sinks[1].connections, 1);
	assert_string_equal(xf_conf_way_promise(&r[0], 0, 0), "at least once; duplicates are stored once within the broker's window");
	assert_non_null(strstr(xf_conf_route_promise(&r[0]), "dropped and counted while it is down"));
	assert_string_equal(xf_conf_route_promise(&r[1]), xf_conf_way_promise(&r[1], 0, 0));
	assert_string_equal(xf_conf_route_promise(&r[2]), xf_conf_way_promise(&r[2], 0, 0));
	assert_int_equal(r[1].require, XF_REQUIRE_ANY);
	assert_int_equal(r[1].sink_count, 3);
	assert_non_null(strstr(xf_conf_way_promise(&r[1], 0, 2), "settled once one of the sinks has it"));
	assert_int_equal(r[2].require, XF_REQUIRE_FIRST);
	assert_string_equal(xf_conf_way_promise(&r[2], 0, 0), "at least once; duplicates are stored once within the broker's window");
	assert_non_null(strstr(xf_conf_way_promise(&r[2], 0, 1), "never waited for"));
	assert_string_equal(xf_require_name(XF_REQUIRE_FIRST), "first");
	xf_conf_destroy(&conf);
}

static void
test_split(void **state)
{
	const struct xf_conf *conf =
		load(TRANSPORTS "routes:\n"
				"- name: default\n"
				"  from: {transport: a, subject: x}\n"
				"  to: {split: [{weight: 99.99%, transport: b}, {weight: 0.01, transport: c}]}\n"
				"- name: own\n"
				"  from: {transport: a, subject: y}\n"
				"  to: {key: '{header.t|subject}', split: [{weight: 0, transport: b}, {weight: 100, transport: c}]}\n"
				"- name: route\n"
				"  from: {transport: a, subject: z}\n"
				"  key: '{header.r|subject}'\n"
				"  to: {split: [{weight: 50, transport: b}, {weight: 50, transport: c}]}\n");
	const struct xf_conf_route *r = conf->routes;

	(void)state;
	assert_int_equal(conf->warning_count, 0);
	assert_int_equal(r[0].to, XF_TO_SPLIT);
	assert_int_equal(r[0].sink_count, 2);
	assert_int_equal(r[0].weights[0], 9999);
	assert_int_equal(r[0].weights[1], 1);
	assert_true(xf_str_is(xf_template_text(r[0].key), "{key|id}"));
	assert_int_equal(r[1].weights[0], 0);
	assert_true(xf_str_is(xf_template_text(r[1].key), "{header.t|subject}"));
	assert_true(xf_str_is(xf_template_text(r[2].key), "{header.r|subject}"));
	xf_conf_destroy(&conf);
}

static void
test_order(void **state)
{
	const struct xf_conf *conf = load(TRANSPORTS "routes:\n"
						     "- {name: lane, from: {transport: a, subject: x}, to: b}\n"
						     "- {name: strict, from: {transport: a, subject: y}, to: b, order: strict, key: "
						     "'{subject}', concurrency: 8}\n"
						     "- {name: none, from: {transport: a, subject: z}, to: {transport: b, "
						     "connections: 4}, order: none}\n");

	(void)state;
	assert_int_equal(conf->warning_count, 0);
	assert_int_equal(conf->routes[0].to, XF_TO_SINK);
	assert_int_equal(conf->routes[0].order, XF_ORDER_LANE);
	assert_int_equal(conf->routes[0].concurrency, 0);
	assert_int_equal(conf->routes[1].order, XF_ORDER_STRICT);
	assert_int_equal(conf->routes[1].concurrency, 8);
	assert_int_equal(conf->routes[2].order, XF_ORDER_NONE);
	assert_int_equal(conf->routes[2].sinks[0].connections, 4);
	xf_conf_destroy(&conf);
}

/* What the sides say is read again as sources; what a source does not know is left out. */
static void
test_from_migration(void **state)
{
	const struct xf_conf *conf =
		load(TRANSPORTS "migrations:\n"
				"  m:\n"
				"    old: {transport: a, mode: pubsub, envelope: json, subject: 'm.{subject}', when_down: drop}\n"
				"    new: {transport: b, maxlen: 5, connections: 4, subject_escape: true}\n"
				"    mirror: true\n"
				"    key: '{subject}'\n"
				"  bare: {old: p, new: q, key: '{subject}'}\n"
				"routes:\n"
				"- name: read\n"
				"  from:\n"
				"  - {transport: c, subject: d}\n"
				"  - migration: m\n"
				"    subject: orders.*\n"
				"    drain_first: true\n"
				"    old: {subject: m.orders.*, prefetch: 5}\n"
				"    new: {group: g, message_id: '{json./id}'}\n"
				"  to: {transport: c, subject: out}\n"
				"- {name: group, from: {migration: m, group: w}, to: {transport: c, subject: out}}\n"
				"- {name: durable, from: {migration: bare, subject: y, group: w}, to: {transport: c, subject: out}}\n");
	const struct xf_conf_route *r = &conf->routes[0];
	const struct xf_conf_endpoint *old = &r->sources[1], *new = &r->sources[2];

	(void)state;
	assert_int_equal(r->source_count, 3);
	assert_true(r->drain_first);
	assert_null(r->sources[0].migration);
	assert_ptr_equal(old->migration, &conf->migrations[0]);
	assert_int_equal(old->side, 0);
	assert_string_equal(old->transport->name, "a");
	assert_string_equal(old->subject, "m.orders.*");
	assert_int_equal(old->envelope, XF_ENVELOPE_JSON);
	assert_false(old->subject_escape);
	assert_null(old->template);
	assert_int_equal(old->traits, XF_TRAIT_LOSSY);
	assert_int_equal(xf_config_option(old->options, ALPHA_SOURCE_MODE)->i64, 1);
	assert_int_equal(xf_config_option(old->options, ALPHA_SOURCE_PREFETCH)->i64, 5);
	assert_int_equal(xf_config_option(old->options, ALPHA_SOURCE_GROUP)->count, 0);
	assert_int_equal(old->place.line, 19);
	assert_ptr_equal(new->migration, &conf->migrations[0]);
	assert_int_equal(new->side, 1);
	assert_string_equal(new->subject, "orders.*");
	assert_int_equal(new->connections, 1);
	assert_true(new->subject_escape);
	assert_non_null(new->message_id);
	assert_string_equal(xf_config_option(new->options, ALPHA_SOURCE_GROUP)->str.data, "g");
	assert_int_equal(new->traits, XF_TRAIT_IDS | XF_TRAIT_HEADERS);
	assert_null(xf_conf_unmarked(conf, &conf->migrations[0]));

	r = &conf->routes[1];
	assert_int_equal(r->source_count, 2);
	assert_false(r->drain_first);
	assert_string_equal(r->sources[0].subject, "m.>");
	assert_string_equal(r->sources[1].subject, ">");
	assert_string_equal(xf_config_option(r->sources[0].options, ALPHA_SOURCE_GROUP)->str.data, "w");

	/* one side knows no groups, the other calls them otherwise */
	r = &conf->routes[2];
	assert_string_equal(r->sources[0].transport->name, "p");
	assert_int_equal(xf_config_option(r->sources[1].options, QUEUE_SOURCE_GROUP)->count, 0);
	assert_string_equal(xf_config_option(r->sources[1].options, QUEUE_SOURCE_DURABLE)->str.data, "w");
	assert_ptr_equal(xf_conf_unmarked(conf, &conf->migrations[1]), &r->sources[0]);
	xf_conf_destroy(&conf);
}

static void
test_in_place(void **state)
{
	const struct xf_conf *conf = load(TRANSPORTS
		"migrations: {m: {old: {transport: a, mode: pubsub, in_place: true}, new: b, stage: dualwrite, key: '{subject}'}}\n"
		"routes: [{name: copy, from: {transport: a, mode: pubsub, subject: x}, to: {migration: m}}]\n");

	(void)state;
	assert_true(conf->migrations[0].sides[0].in_place);
	assert_false(conf->migrations[0].sides[1].in_place);
	assert_non_null(strstr(xf_conf_way_promise(&conf->routes[0], 0, 0), "stands there already"));
	xf_conf_destroy(&conf);
}

static void
test_endpoint_keys(void **state)
{
	const struct xf_conf *conf = load(TRANSPORTS
		"routes: [{name: r, key: '{subject}', from: {transport: p, envelope: json, subject_escape: true, message_id: "
		"'{json./id}'}, to: {transport: a, mode: pubsub, envelope: json, subject_escape: true, connections: 16}}]\n");
	const struct xf_conf_endpoint *source = &conf->routes[0].sources[0], *sink = &conf->routes[0].sinks[0];

	(void)state;
	assert_int_equal(source->envelope, XF_ENVELOPE_JSON);
	assert_true(source->subject_escape);
	assert_int_equal(source->connections, 1);
	assert_true(xf_str_is(xf_template_text(source->message_id), "{json./id}"));
	assert_int_equal(sink->envelope, XF_ENVELOPE_JSON);
	assert_true(sink->subject_escape);
	assert_int_equal(sink->connections, 16);
	xf_conf_destroy(&conf);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all),            cmocka_unit_test(test_split),
		cmocka_unit_test(test_order),          cmocka_unit_test(test_from_migration),
		cmocka_unit_test(test_in_place),       cmocka_unit_test(test_endpoint_keys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
