/*
 * Good configurations and what becomes of them, and hostile ones that must cost nothing. What bad ones say is
 * in golden/.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "conf/conf.h"
#include "conf_fake.h"
#include "wait.h"

static const struct xf_conf *
load_good(const char *text)
{
	struct xf_conf_catalogue catalogue = conf_fake_catalogue();
	struct xf_buffer errors = {0};
	const struct xf_conf *conf = xf_conf_load(conf_fake_file("crossfade.yaml", text), &catalogue, &errors);

	if (conf == NULL)
		print_error("%s", errors.data);
	assert_non_null(conf);
	assert_int_equal(errors.len, 0);
	return conf;
}

/* The errors; the caller frees them. */
static char *
load_bad(const char *path)
{
	struct xf_conf_catalogue catalogue = conf_fake_catalogue();
	struct xf_buffer errors = {0};

	assert_null(xf_conf_load(path, &catalogue, &errors));
	assert_true(errors.len > 0);
	assert_true(errors.len < 64 << 10);
	return errors.data;
}

static const struct xf_value *
option(const struct xf_config *config, uint32_t row)
{
	return xf_config_option(config, row);
}

#define TRANSPORTS                                                                                 \
	"transports:\n"                                                                             \
	"  a: {plugin: alpha, url: 'alpha://one:1'}\n"                                              \
	"  b: {plugin: alpha, url: 'alpha://two:2'}\n"

static void
test_defaults(void **state)
{
	const struct xf_conf *conf = load_good("transports: {p: {plugin: plain}}\n"
	                                       "routes: [{name: r, from: {transport: p, subject: a.*}, to: "
	                                       "{transport: p, subject: 'b.{subject.2}'}}]\n");
	const struct xf_conf_server *s = &conf->server;
	char host[65] = {0};

	(void)state;
	gethostname(host, 64);
	assert_string_equal(s->name, host);
	assert_string_equal(s->data_dir, "/var/lib/crossfade");
	assert_string_equal(s->admin_socket, "/var/lib/crossfade/admin.sock");
	assert_null(s->admin_listen);
	assert_null(s->admin_token);
	assert_int_equal(s->log_level, XF_LOG_INFO);
	assert_false(s->log_json);
	assert_int_equal(s->plugin_dir_count, 0);
	assert_int_equal(s->drain_timeout_ms, 30000);
	assert_int_equal(s->max_subject, 1024);
	assert_int_equal(s->max_header_value, 4096);
	assert_int_equal(s->max_headers, 64);
	assert_int_equal(s->max_payload, 8 << 20);
	assert_int_equal(s->dead_letters_max, 64 << 20);
	assert_int_equal(conf->route_count, 1);
	assert_int_equal(conf->routes[0].max_in_flight, 4096);
	assert_int_equal(conf->routes[0].max_in_flight_bytes, 64 << 20);
	assert_null(conf->routes[0].key);
	assert_null(conf->routes[0].migration);
	assert_int_equal(conf->routes[0].sinks[0].when_down, XF_WHEN_DOWN_WAIT);
	assert_int_equal(conf->warning_count, 0);
	xf_conf_destroy(&conf);
	assert_null(conf);
	xf_conf_destroy(&conf);
}

static void
test_server(void **state)
{
	const struct xf_conf *conf = load_good("server:\n"
	                                       "  name: edge-1\n"
	                                       "  data_dir: data\n"
	                                       "  admin: {socket: ./run/a.sock, listen: '0.0.0.0:8480', token: s3cret}\n"
	                                       "  log: {level: debug, format: json}\n"
	                                       "  plugin_dirs: [/opt/x, plugins]\n"
	                                       "  drain_timeout: 250ms\n"
	                                       "  limits: {subject: 2KiB, header_value: 1024, headers: 8, payload: 1MiB}\n"
	                                       "  dead_letters: {max_size: 2MiB}\n"
	                                       "routes: []\n");
	const struct xf_conf_server *s = &conf->server;
	char folder[256];

	(void)state;
	snprintf(folder, sizeof(folder), "%.*s", (int)(strrchr(conf->file, '/') - conf->file), conf->file);
	assert_string_equal(s->name, "edge-1");
	assert_memory_equal(s->data_dir, folder, strlen(folder));
	assert_string_equal(s->data_dir + strlen(folder), "/data");
	assert_string_equal(s->admin_socket + strlen(folder), "/run/a.sock");
	assert_string_equal(s->admin_listen, "0.0.0.0:8480");
	assert_string_equal(s->admin_token, "s3cret");
	assert_int_equal(s->log_level, XF_LOG_DEBUG);
	assert_true(s->log_json);
	assert_int_equal(s->plugin_dir_count, 2);
	assert_int_equal(conf_fake_search_count(), 2);
	assert_string_equal(s->plugin_dirs[0], "/opt/x");
	assert_string_equal(s->plugin_dirs[1] + strlen(folder), "/plugins");
	assert_int_equal(s->drain_timeout_ms, 250);
	assert_int_equal(s->max_subject, 2048);
	assert_int_equal(s->max_header_value, 1024);
	assert_int_equal(s->max_headers, 8);
	assert_int_equal(s->max_payload, 1 << 20);
	assert_int_equal(s->dead_letters_max, 2 << 20);
	xf_conf_destroy(&conf);
}

static void
test_options(void **state)
{
	const struct xf_conf *conf = load_good(
		"transports:\n"
		"  a:\n"
		"    plugin: alpha\n"
		"    url: [alpha://one:1, alpha://two:2]\n"
		"    user: joe\n"
		"    password: 12345\n" /* text where text is expected */
		"    retries: 7\n"
		"    ratio: 0.25\n"
		"    tls: true\n"
		"    timeout: 10s\n"
		"    buffer: 1GiB\n"
		"    share: 0.01%\n"
		"    ca: certs/ca.pem\n"
		"    flavour: sour\n"
		"    prefix: in.>\n"
		"    streams:\n"
		"      - {name: ORDERS, subjects: ['orders.>', 'x.*'], storage: memory}\n"
		"      - {name: 'null', max_age: 1h}\n"
		"    weights: 5\n"
		"  d: {plugin: alpha, url: alpha://one:1}\n"
		"routes: []\n");
	const struct xf_config *c = conf->transports[0].options, *d = conf->transports[1].options;
	const struct xf_value *streams;

	(void)state;
	assert_string_equal(conf->transports[0].name, "a");
	assert_string_equal(conf->transports[0].plugin, "alpha");
	assert_int_equal(conf->transports[0].place.line, 2);
	assert_int_equal(option(c, ALPHA_URL)->count, 2);
	assert_string_equal(option(c, ALPHA_URL)->items[1]->str.data, "alpha://two:2");
	assert_int_equal(option(c, ALPHA_URL)->present, 1);
	assert_string_equal(option(c, ALPHA_PASSWORD)->str.data, "12345");
	assert_int_equal(option(c, ALPHA_RETRIES)->i64, 7);
	assert_true(option(c, ALPHA_RATIO)->f64 > 0.24 && option(c, ALPHA_RATIO)->f64 < 0.26);
	assert_int_equal(option(c, ALPHA_TLS)->i64, 1);
	assert_int_equal(option(c, ALPHA_TIMEOUT)->i64, 10000);
	assert_int_equal(option(c, ALPHA_BUFFER)->i64, 1 << 30);
	assert_int_equal(option(c, ALPHA_SHARE)->i64, 1);
	assert_int_equal(option(c, ALPHA_CA)->str.data[0], '/');
	assert_non_null(strstr(option(c, ALPHA_CA)->str.data, "/certs/ca.pem"));
	assert_int_equal(option(c, ALPHA_FLAVOUR)->i64, 1);
	assert_string_equal(option(c, ALPHA_FLAVOUR)->str.data, "sour");
	assert_string_equal(option(c, ALPHA_PREFIX)->str.data, "in.>");
	assert_int_equal(option(c, ALPHA_WEIGHTS)->count, 1);
	assert_int_equal(option(c, ALPHA_WEIGHTS)->items[0]->i64, 5);

	streams = option(c, ALPHA_STREAMS);
	assert_int_equal(streams->count, 2);
	assert_string_equal(option(streams->items[0]->map, STREAM_NAME)->str.data, "ORDERS");
	assert_string_equal(option(streams->items[0]->map, STREAM_SUBJECTS)->items[1]->str.data, "x.*");
	assert_int_equal(option(streams->items[0]->map, STREAM_STORAGE)->i64, 1);
	assert_int_equal(option(streams->items[0]->map, STREAM_MAX_AGE)->i64, 86400000);
	assert_int_equal(option(streams->items[0]->map, STREAM_MAX_AGE)->present, 0);
	assert_string_equal(option(streams->items[1]->map, STREAM_NAME)->str.data, "null");
	assert_int_equal(option(streams->items[1]->map, STREAM_SUBJECTS)->count, 0);

	/* defaults, and nothing at all */
	assert_int_equal(option(d, ALPHA_RETRIES)->i64, 3);
	assert_int_equal(option(d, ALPHA_RETRIES)->count, 1);
	assert_int_equal(option(d, ALPHA_RETRIES)->present, 0);
	assert_int_equal(option(d, ALPHA_SHARE)->i64, 1250);
	assert_int_equal(option(d, ALPHA_PEERS)->count, 2);
	assert_string_equal(option(d, ALPHA_PEERS)->items[1]->str.data, "b");
	assert_int_equal(option(d, ALPHA_USER)->count, 0);
	assert_int_equal(option(d, ALPHA_USER)->str.len, 0);
	assert_int_equal(option(d, ALPHA_STREAMS)->count, 0);
	assert_null(option(d, ALPHA_STREAMS)->items);
	assert_int_equal(option(d, 1000)->count, 0);
	assert_int_equal(option(d, ALPHA_URL)->count, 1);
	assert_int_equal(option(d, ALPHA_URL)->type, XF_OPTION_URL);
	assert_int_equal(option(d, ALPHA_URL)->struct_size, sizeof(struct xf_value));
	xf_conf_destroy(&conf);
}

static void
test_routes(void **state)
{
	const struct xf_conf *conf = load_good(
		TRANSPORTS "migrations:\n"
			   "  orders:\n"
			   "    old: {transport: a, subject: 'old.{subject}', mode: pubsub, when_down: drop}\n"
			   "    new: {transport: b, maxlen: 1000}\n"
			   "    percent: 12.5%\n"
			   "    mirror: required\n"
			   "    key: '{header.order-id|subject}'\n"
			   "    handover_timeout: 250ms\n"
			   "routes:\n"
			   "  - name: moved\n"
			   "    from:\n"
			   "      - {transport: a, subject: 'in.>', group: workers, prefetch: 10, begin: {since: 10s}}\n"
			   "      - {transport: b, subject: 'in.x', mode: pubsub}\n"
			   "    to: {migration: orders}\n"
			   "    max_in_flight: 10\n"
			   "    max_in_flight_bytes: 1MiB\n"
			   "  - {name: flat, from: {transport: a, subject: flat}, to: b, key: '{id}'}\n");
	const struct xf_conf_migration *m = &conf->migrations[0];
	const struct xf_conf_route *r = &conf->routes[0];

	(void)state;
	assert_string_equal(m->name, "orders");
	assert_int_equal(m->percent, 1250);
	assert_int_equal(m->mirror, XF_MIRROR_REQUIRED);
	assert_int_equal(m->handover_timeout_ms, 250);
	assert_true(xf_str_is(xf_template_text(m->key), "{header.order-id|subject}"));
	assert_ptr_equal(m->sides[0].transport, &conf->transports[0]);
	assert_string_equal(m->sides[0].subject, "old.{subject}");
	assert_true(xf_str_is(xf_template_text(m->sides[0].template), "old.{subject}"));
	assert_int_equal(m->sides[0].when_down, XF_WHEN_DOWN_DROP);
	assert_int_equal(m->sides[0].traits, XF_TRAIT_EPHEMERAL);
	assert_int_equal(m->sides[1].traits, XF_TRAIT_DEDUP | XF_TRAIT_HEADERS);
	assert_int_equal(option(m->sides[1].options, ALPHA_SINK_MAXLEN)->i64, 1000);
	assert_string_equal(m->sides[1].subject, "{subject}");

	assert_int_equal(r->source_count, 2);
	assert_ptr_equal(r->migration, m);
	assert_null(r->sinks);
	assert_null(r->key);
	assert_int_equal(r->max_in_flight, 10);
	assert_int_equal(r->max_in_flight_bytes, 1 << 20);
	assert_string_equal(r->sources[0].subject, "in.>");
	assert_null(r->sources[0].template);
	assert_string_equal(option(r->sources[0].options, ALPHA_SOURCE_GROUP)->str.data, "workers");
	assert_int_equal(option(r->sources[0].options, ALPHA_SOURCE_BEGIN_SINCE)->i64, 10000);
	assert_int_equal(option(r->sources[0].options, ALPHA_SOURCE_BEGIN_SINCE)->present, 1);
	assert_int_equal(option(r->sources[0].options, ALPHA_SOURCE_BEGIN)->present, 0);
	assert_string_equal(option(r->sources[0].options, ALPHA_SOURCE_BEGIN)->str.data, "first");
	assert_int_equal(r->sources[0].traits, XF_TRAIT_IDS | XF_TRAIT_HEADERS);
	assert_int_equal(r->sources[1].traits, XF_TRAIT_LOSSY);
	assert_int_equal(r->sources[1].place.line, 16);

	r = &conf->routes[1];
	assert_null(r->migration);
	assert_ptr_equal(r->sinks[0].transport, &conf->transports[1]);
	assert_true(xf_str_is(xf_template_text(r->key), "{id}"));
	xf_conf_destroy(&conf);
}

static void
test_stages(void **state)
{
	static const struct {
		const char *text;
		uint32_t percent;
		enum xf_mirror mirror;
	} cases[] = {
		{"", 0, XF_MIRROR_OFF},
		{"stage: off", 0, XF_MIRROR_OFF},
		{"stage: dualwrite", 0, XF_MIRROR_ON},
		{"stage: dualwrite\n    mirror: required", 0, XF_MIRROR_REQUIRED},
		{"stage: live\n    percent: 25", 2500, XF_MIRROR_OFF},
		{"stage: live\n    percent: 25\n    mirror: true", 2500, XF_MIRROR_ON},
		{"stage: rampdown\n    percent: 100%", 10000, XF_MIRROR_ON},
		{"stage: rampdown\n    mirror: required", 10000, XF_MIRROR_REQUIRED},
		{"stage: complete\n    mirror: false", 10000, XF_MIRROR_OFF},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char text[1024];
		const struct xf_conf *conf;

		snprintf(text, sizeof(text),
		         TRANSPORTS "migrations:\n  m:\n    old: a\n    new: b\n    %s\n"
		                    "routes: [{name: r, from: {transport: a, subject: x, mode: pubsub}, to: {migration: m}}]\n",
		         cases[i].text);
		conf = load_good(text);
		assert_int_equal(conf->migrations[0].percent, cases[i].percent);
		assert_int_equal(conf->migrations[0].mirror, cases[i].mirror);
		assert_int_equal(conf->migrations[0].handover_timeout_ms, 5000);
		assert_true(xf_str_is(xf_template_text(conf->migrations[0].key), "{key|id}"));
		xf_conf_destroy(&conf);
	}
}

static void
test_expansion(void **state)
{
	const struct xf_conf *conf;

	(void)state;
	conf_fake_file("token", "from file $$ ${X}\n\n");
	conf_fake_file("name", "edge-9\r\n");
	setenv("CONF_MS", "1500ms", 1);
	setenv("CONF_EMPTY", "", 1);
	setenv("CONF_YAML", "{a: b}", 1);
	unsetenv("CONF_UNSET");
	conf = load_good("server:\n"
	                 "  name: ${file:${CONF_UNSET:-na}me}\n"
	                 "  drain_timeout: ${CONF_MS}\n"
	                 "  data_dir: /${CONF_UNSET:-a${CONF_EMPTY:-b${CONF_MS:-never ${CONF_UNSET}}}}\n"
	                 "transports:\n"
	                 "  a:\n"
	                 "    plugin: alpha\n"
	                 "    url: alpha://h$$x$1\n"
	                 "    token: ${file:token}\n"
	                 "    peers: ['${CONF_YAML}', \"a${CONF_UNSET:-}z\", '${CONF_UNSET:-{header.x|id}}']\n"
	                 "routes: []\n");
	assert_string_equal(conf->server.name, "edge-9");
	assert_int_equal(conf->server.drain_timeout_ms, 1500);
	assert_string_equal(conf->server.data_dir, "/ab1500ms");
	assert_string_equal(option(conf->transports[0].options, ALPHA_URL)->items[0]->str.data, "alpha://h$x$1");
	assert_string_equal(option(conf->transports[0].options, ALPHA_TOKEN)->str.data, "from file $$ ${X}\n");
	assert_string_equal(option(conf->transports[0].options, ALPHA_PEERS)->items[0]->str.data, "{a: b}");
	assert_string_equal(option(conf->transports[0].options, ALPHA_PEERS)->items[1]->str.data, "az");
	assert_string_equal(option(conf->transports[0].options, ALPHA_PEERS)->items[2]->str.data, "{header.x|id}");
	xf_conf_destroy(&conf);
}

static void
test_includes(void **state)
{
	const struct xf_conf *conf;

	(void)state;
	conf_fake_file("part-2.yaml", "routes: [{name: two, from: {transport: a, subject: t}, to: b}]\n");
	conf_fake_file("part-1.yaml", "server: {log: {format: json}}\n"
	                              "routes: [{name: one, from: {transport: a, subject: o}, to: b}]\n");
	conf_fake_file("part-3.yaml", "");
	conf = load_good("include: ['part-*.yaml', 'nothing-*.yaml']\nserver: {log: {level: warn}}\n" TRANSPORTS
	                 "routes: [{name: zero, from: {transport: a, subject: z}, to: b}]\n");
	assert_int_equal(conf->route_count, 3);
	assert_string_equal(conf->routes[0].name, "zero");
	assert_string_equal(conf->routes[1].name, "one");
	assert_string_equal(conf->routes[2].name, "two");
	assert_non_null(strstr(conf->routes[2].place.file, "/part-2.yaml"));
	assert_int_equal(conf->server.log_level, XF_LOG_WARN);
	assert_true(conf->server.log_json);
	xf_conf_destroy(&conf);
}

/* From memory as from a file; what a program puts into it comes out as it was. */
static void
test_text(void **state)
{
	static const char subject[] = "a\"b\\c${HOME}$\td: {#}\x7f \xe2\x82\xac";
	struct xf_conf_catalogue catalogue = conf_fake_catalogue();
	struct xf_buffer text = {0}, errors = {0};
	const struct xf_conf *conf;

	(void)state;
	xf_buffer_puts(&text, "transports: {a: {plugin: alpha, url: 'alpha://one:1', ca: ca.pem, user: ");
	xf_conf_quote(&text, xf_str(subject));
	xf_buffer_puts(&text, ", password: x}}\nroutes: []\n");
	conf = xf_conf_load_text("/some/where/command line", (struct xf_str){text.data, text.len}, &catalogue, &errors);
	if (conf == NULL)
		fail_msg("%s", errors.data);
	assert_string_equal(conf->file, "/some/where/command line");
	assert_string_equal(option(conf->transports[0].options, ALPHA_USER)->str.data, subject);
	assert_string_equal(option(conf->transports[0].options, ALPHA_CA)->str.data, "/some/where/ca.pem");
	xf_conf_destroy(&conf);
	assert_null(xf_conf_load_text("pub", xf_str("transports: {a: {plugin: alhpa}}\nroutes: []\n"), &catalogue,
	                              &errors));
	assert_string_equal(errors.data, "pub:1:26: transport 'a': no plugin 'alhpa'; did you mean 'alpha'?\n");
	errors.len = 0;
	assert_null(xf_conf_load_text("pub", xf_str(""), &catalogue, &errors));
	assert_non_null(strstr(errors.data, "pub:1:1: the file is empty; expected a map"));
	xf_buffer_fini(&errors);
	xf_buffer_fini(&text);
}

/* ---- Hostile files ---------------------------------------------------------- */

/* Seconds of processor time: other programs do not count. */
static double
seconds(void)
{
	return (double)clock() / CLOCKS_PER_SEC;
}

/* Refused within a second, with its place. */
static void
refused(const char *path, const char *text)
{
	double start = seconds();
	char *errors = load_bad(path);

	if (strstr(errors, text) == NULL)
		print_error("%s", errors);
	assert_non_null(strstr(errors, text));
	assert_true(seconds() - start < 5 * XF_SCALE);
	free(errors);
}

static void
test_huge_file(void **state)
{
	char path[256];

	(void)state;
	snprintf(path, sizeof(path), "%s", conf_fake_file("huge.yaml", "server: {}\n"));
	assert_int_equal(truncate(path, 100 << 20), 0);
	refused(path, "huge.yaml: has 104857600 bytes; expected at most 4194304");
}

static void
test_no_regular_file(void **state)
{
	char path[256];

	(void)state;
	snprintf(path, sizeof(path), "%s", conf_fake_file("pipe.yaml", ""));
	unlink(path);
	assert_int_equal(mkfifo(path, 0600), 0);
	refused(path, "pipe.yaml: is no regular file; expected a regular file");
	refused("/nowhere/crossfade.yaml", "/nowhere/crossfade.yaml: cannot be read: No such file or directory");
}

static void
test_alias_bomb(void **state)
{
	struct xf_buffer text = {0};

	(void)state;
	xf_buffer_puts(&text, "a0: &a0 [x, x]\n");
	for (int i = 1; i < 30; i++)
		xf_buffer_printf(&text, "a%d: &a%d [*a%d, *a%d]\n", i, i, i - 1, i - 1);
	refused(conf_fake_file("bomb.yaml", text.data), ":1:5: anchor '&a0'");
	xf_buffer_fini(&text);
}

/* TIMES times PIECE behind HEAD, in at most a file's size. */
static const char *
repeated(const char *head, const char *piece, size_t times)
{
	struct xf_buffer text = {0};
	const char *path;

	xf_buffer_puts(&text, head);
	for (size_t i = 0; i < times; i++)
		xf_buffer_puts(&text, piece);
	path = conf_fake_file("repeated.yaml", text.data);
	xf_buffer_fini(&text);
	return path;
}

static void
test_deep(void **state)
{
	(void)state;
	refused(repeated("server: ", "[", 1000000), ":1:40: nested more than 32 levels");
	refused(repeated("server: ", "{a: ", 200000), "nested more than 32 levels");
	refused(repeated("", "- ", 500000), "nested more than 32 levels");
	refused(repeated("server: {name: ", "${A:-", 200000), "not YAML");
	refused(repeated("server:\n  name: ", "${A:-", 200000), "nested more than 16 levels");
}

static void
test_wide(void **state)
{
	struct xf_buffer text = {0};

	(void)state;
	for (int i = 0; i < 70000; i++)
		xf_buffer_printf(&text, "key%d: 1\n", i);
	refused(conf_fake_file("wide.yaml", text.data), ":4097:1: a map with more than 4096 entries");
	xf_buffer_fini(&text);
	for (int i = 0; i < 4000; i++)
		xf_buffer_printf(&text, "key%d: 1\n", i);
	refused(conf_fake_file("wide.yaml", text.data), "... and 3900 more");
	xf_buffer_fini(&text);
	refused(repeated("transports:\n", "  t: {plugin: plain}\n", 4000), "... and 3899 more");
	refused(repeated("transports:\n  a: {plugin: plain}\nroutes:\n", "  - {name: r, from: {transport: a}, to: a}\n",
	                 10001),
	        "... and 19900 more"); /* each loops, 9999 stand there again, and there are more than 10000 */
	refused(repeated("include: [", "a, ", 300000), "a list with more than 16384 entries");
}

static void
test_large_expansion(void **state)
{
	char *value = malloc(100001);

	(void)state;
	memset(value, 'x', 100000);
	value[100000] = '\0';
	setenv("CONF_LARGE", value, 1);
	refused(repeated("server:\n  name: ", "${CONF_LARGE}", 50000), "expands to more than 1048576 bytes");
	refused(repeated("server:\n  plugin_dirs:\n", "  - ${CONF_LARGE}\n", 1000), "together expand to more than");
	unsetenv("CONF_LARGE");
	free(value);
}

static void
test_include_chain(void **state)
{
	char name[64], text[64];

	(void)state;
	for (int i = 0; i < 20; i++) {
		snprintf(name, sizeof(name), "chain-%d.yaml", i);
		snprintf(text, sizeof(text), "include: chain-%d.yaml\n", i + 1);
		conf_fake_file(name, text);
	}
	refused(conf_fake_file("chain-0.yaml", "include: chain-1.yaml\n"), "included more than 8 levels deep");
}

/* Loads TEXT, which has COUNT routes, in at most a second or two, and the sanitizers' share. */
static void
loads_soon(struct xf_buffer *text, size_t count)
{
	double start = seconds();
	const struct xf_conf *conf = load_good(text->data);

	print_message("%zu routes, %zu bytes: %.3f s\n", count, text->len, seconds() - start);
	assert_true(seconds() - start < 10 * XF_SCALE);
	assert_int_equal(conf->route_count, count);
	xf_conf_destroy(&conf);
	xf_buffer_fini(text);
}

static void
test_many_routes(void **state)
{
	struct xf_buffer text = {0};

	(void)state;
	/* each feeds the next */
	xf_buffer_puts(&text, TRANSPORTS "routes:\n");
	for (int i = 0; i < 10000; i++)
		xf_buffer_printf(&text,
		                 "- name: route-number-%d\n  from: {transport: a, subject: in.%d.x, group: workers}\n  to: "
		                 "{transport: a, subject: in.%d.x, maxlen: 1000}\n  key: '{header.k|subject}'\n",
		                 i, i, i + 1);
	loads_soon(&text, 10000);
	/* all of them write where all read, by patterns that must be compared */
	xf_buffer_puts(&text, "transports: {p: {plugin: plain}}\nroutes:\n");
	for (int i = 0; i < 10000; i++)
		xf_buffer_printf(&text,
		                 "- {name: r%d, from: {transport: p, subject: a%d.*.in}, to: {transport: p, subject: "
		                 "'{subject.2}.x.out%d'}}\n",
		                 i, i, i);
	loads_soon(&text, 10000);
	/* one migration, read by half of them and written by the other */
	xf_buffer_puts(&text, TRANSPORTS "migrations: {m: {old: {transport: a, subject: 'o.{subject}'}, new: {transport: "
	                                 "b, subject: 'n.{subject}'}, key: '{subject}'}}\nroutes:\n");
	for (int i = 0; i < 5000; i++)
		xf_buffer_printf(&text,
		                 "- {name: w%d, from: {transport: a, subject: in%d.*}, to: {migration: m}}\n"
		                 "- {name: r%d, from: {migration: m, subject: 'q.%d', group: g}, to: {transport: b, subject: "
		                 "'out'}}\n",
		                 i, i, i, i);
	loads_soon(&text, 10000);
}

/* A thousand routes of four sources each that all could feed each other. */
static void
test_loop_search_bound(void **state)
{
	struct xf_buffer text = {0};

	(void)state;
	xf_buffer_puts(&text, "transports: {p: {plugin: plain}}\nroutes:\n");
	for (int i = 0; i < 1000; i++)
		xf_buffer_printf(&text,
		                 "- {name: r%d, from: [{transport: p, subject: a%d}, {transport: p, subject: b%d}, "
		                 "{transport: p, subject: c%d}, {transport: p, subject: d%d}], to: {transport: p, "
		                 "subject: a%d}}\n",
		                 i, i, i, i, i, i + 1);
	loads_soon(&text, 1000);
}

/* A pattern of so many tokens that nothing may go through them one in the other. */
static void
test_loop_search_deep(void **state)
{
	struct xf_buffer text = {0};

	(void)state;
	xf_buffer_puts(&text, "transports: {p: {plugin: plain}, q: {plugin: plain}}\nroutes:\n- {name: r, from: {transport: p, "
	                      "subject: a");
	for (int i = 0; i < 500000; i++)
		xf_buffer_puts(&text, ".a");
	xf_buffer_puts(&text, "}, to: q}\n");
	loads_soon(&text, 1);
}

static int
clean(void **state)
{
	(void)state;
	conf_fake_clean();
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),         cmocka_unit_test(test_server),
		cmocka_unit_test(test_options),          cmocka_unit_test(test_routes),
		cmocka_unit_test(test_stages),           cmocka_unit_test(test_expansion),
		cmocka_unit_test(test_includes),         cmocka_unit_test(test_text),
		cmocka_unit_test(test_huge_file),
		cmocka_unit_test(test_no_regular_file),  cmocka_unit_test(test_alias_bomb),
		cmocka_unit_test(test_deep),             cmocka_unit_test(test_wide),
		cmocka_unit_test(test_large_expansion),  cmocka_unit_test(test_include_chain),
		cmocka_unit_test(test_many_routes),      cmocka_unit_test(test_loop_search_bound),
		cmocka_unit_test(test_loop_search_deep),
	};

	return cmocka_run_group_tests(tests, NULL, clean);
}
