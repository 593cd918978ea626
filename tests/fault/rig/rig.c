#include "rig.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/memory.h"

#define PATIENCE_MS (2 * XF_WAIT_MS) /* a broker may offer again what a dead connection had only after half a minute */

static const char *const kinds[LINES] = {[REDIS] = "redis", [NATS] = "nats", [AMQP] = "amqp", [CALM] = "redis"};
static const char *const names[LINES] = {[REDIS] = "redis", [NATS] = "nats", [AMQP] = "amqp", [CALM] = "calm"};
static const char *const end_names[ENDS] = {[WRITER] = "sink", [READER] = "source"};

/* ---- Birth and death ---------------------------------------------------------- */

int
rig_setup(void **state)
{
	static const char *const durable[] = {"--appendonly", "yes", "--appendfsync", "no", NULL};
	struct rig *rig = xf_alloc(sizeof(*rig));

	for (int i = 0; i < LINES; i++) {
		struct line *line = &rig->lines[i];

		line->name = names[i];
		line->broker = xf_broker_start(kinds[i], i == REDIS ? durable : NULL); /* the others are as they are */
		line->in = xf_format("/api/v1/routes/%s-in", line->name);
		line->out = xf_format("/api/v1/routes/%s-out", line->name);
		line->load = xf_format("/api/v1/transports/%s-load", line->name);
		for (int end = 0; end < ENDS && i < FAULTY; end++)
			line->proxies[end] = proxy_create(xf_broker_url(line->broker));
	}
	*state = rig;
	return 0;
}

int
rig_teardown(void **state)
{
	struct rig *rig = *state;

	xf_server_destroy(&rig->server);
	for (int i = 0; i < LINES; i++) {
		struct line *line = &rig->lines[i];

		proxy_destroy(&line->proxies[WRITER]);
		proxy_destroy(&line->proxies[READER]);
		xf_broker_destroy(&line->broker);
		free(line->in);
		free(line->out);
		free(line->load);
		samples_fini(&line->downs);
		samples_fini(&line->backs);
	}
	free(rig);
	return 0;
}

/* ---- The server ------------------------------------------------------------------ */

static void
transports_write(struct xf_buffer *yaml, const struct rig *rig, const char *test)
{
	for (int i = 0; i < LINES; i++) {
		const struct line *line = &rig->lines[i];

		xf_buffer_printf(yaml, "  %s-load: {plugin: probe}\n", line->name);
		for (int end = 0; end < ENDS; end++) {
			const char *url = line->proxies[end] != NULL ? proxy_url(line->proxies[end]) : xf_broker_url(line->broker);

			xf_buffer_printf(yaml, "  %s-%s: {plugin: %s, url: '%s', ", line->name, end_names[end], kinds[i], url);
			if (i == NATS)
				xf_buffer_printf(yaml, "ping_interval: 1s, streams: [{name: %s, subjects: [%s]}]}\n", test, test);
			else
				xf_buffer_printf(yaml, "heartbeat: %s}\n", i == AMQP ? "2s" : "1s");
		}
	}
}

static void
routes_write(struct xf_buffer *yaml, const struct rig *rig, const char *test, unsigned rate, unsigned size)
{
	static const char *const options[LINES] = {
		[REDIS] = ", mode: stream", [NATS] = "", [AMQP] = ", declare: true", [CALM] = ", mode: stream"};

	for (int i = 0; i < LINES; i++) {
		const char *name = rig->lines[i].name;

		xf_buffer_printf(yaml,
		                 "  - name: %s-in\n"
		                 "    from: {transport: %s-load, rate: %u, size: %u, keys: 50, to: '%s'}\n"
		                 "    to: {transport: %s-sink, subject: '%s'%s}\n"
		                 "    key: '{header.key}'\n"
		                 "  - name: %s-out\n"
		                 "    from: {transport: %s-source, subject: '%s'%s}\n"
		                 "    to: {transport: %s-load}\n"
		                 "    key: '{header.key}'\n",
		                 name, name, rate, size, test, name, test, options[i], name, name, test, options[i], name);
	}
}

void
rig_serve(struct rig *rig, const char *test, unsigned rate, unsigned size)
{
	struct xf_buffer yaml = {0};

	xf_server_destroy(&rig->server);
	rig->server = xf_server_create(test);
	for (size_t i = 0; rig->environ != NULL && rig->environ[i] != NULL; i++)
		xf_server_environ(rig->server, rig->environ[i]);
	xf_buffer_puts(&yaml, "transports:\n");
	transports_write(&yaml, rig, test);
	xf_buffer_puts(&yaml, "routes:\n");
	routes_write(&yaml, rig, test, rate, size);
	xf_server_configure(rig->server, "", "%s", yaml.data);
	xf_buffer_fini(&yaml);
	xf_server_start(rig->server);
	xf_server_wait_ready(rig->server);
	for (int i = 0; i < LINES; i++)
		rig_delivers(rig, (enum line_name)i, 1);
}

double
rig_report(struct rig *rig, enum line_name line, const char *field)
{
	char path[64];

	snprintf(path, sizeof(path), "report.%s", field);
	return xf_server_number(rig->server, rig->lines[line].load, path);
}

void
rig_delivers(struct rig *rig, enum line_name line, double count)
{
	xf_server_wait_number(rig->server, rig->lines[line].load, "report.received",
	                      rig_report(rig, line, "received") + count);
}

static void
route_turn(struct rig *rig, enum line_name line, const char *verb)
{
	char route[32];

	snprintf(route, sizeof(route), "%s-in", names[line]);
	XF_CLI_DONE(rig->server, "route", verb, route);
}

/* Whether everything that was sent was acknowledged, delivered, and acknowledged there. */
static bool
line_rests(struct rig *rig, enum line_name line)
{
	return rig_report(rig, line, "acked") == rig_report(rig, line, "sent") && rig_report(rig, line, "lost") == 0 &&
	       xf_server_number(rig->server, rig->lines[line].out, "in_flight") == 0;
}

/* False: not in time, and printed what it looks like. */
static bool
line_wait_rest(struct rig *rig, enum line_name line)
{
	uint64_t until = xf_now_ms() + PATIENCE_MS;
	char *load, *in, *out;

	while (!line_rests(rig, line) && xf_now_ms() <= until)
		usleep(20000);
	if (xf_now_ms() <= until)
		return true;
	load = xf_server_text(rig->server, rig->lines[line].load);
	in = xf_server_text(rig->server, rig->lines[line].in);
	out = xf_server_text(rig->server, rig->lines[line].out);
	print_error("%s: what was sent does not all arrive\n%s\n%s\n%s\n", names[line], load, in, out);
	free(load);
	free(in);
	free(out);
	return false;
}

void
rig_idle(struct rig *rig)
{
	for (int i = 0; i < FAULTY; i++)
		route_turn(rig, (enum line_name)i, "pause");
	for (int i = 0; i < FAULTY; i++)
		assert_true(line_wait_rest(rig, (enum line_name)i));
}

void
rig_load(struct rig *rig)
{
	for (int i = 0; i < FAULTY; i++)
		route_turn(rig, (enum line_name)i, "resume");
}

static void
line_figures(struct line *line, const char *fault, unsigned count)
{
	figures_write(&(struct figures){.fault = fault,
	                                .broker = line->name,
	                                .acked = line->acked,
	                                .faults = count,
	                                .lost = line->lost,
	                                .reordered = line->reordered,
	                                .duplicates = line->duplicates,
	                                .notice = &line->downs,
	                                .recover = &line->backs});
}

void
rig_finish(struct rig *rig, const char *fault, unsigned count)
{
	bool all = true;

	for (int i = 0; i < LINES; i++)
		route_turn(rig, (enum line_name)i, "pause");
	for (int i = 0; i < LINES; i++)
		all &= line_wait_rest(rig, (enum line_name)i);
	for (int i = 0; i < LINES; i++) {
		enum line_name line = (enum line_name)i;

		rig->lines[i].acked = rig_report(rig, line, "acked");
		rig->lines[i].lost = rig_report(rig, line, "lost");
		rig->lines[i].reordered = rig_report(rig, line, "reordered");
		rig->lines[i].duplicates = rig_report(rig, line, "duplicates");
		printf("%s: %-5s sent %.0f, lost %.0f, reordered %.0f, duplicates %.0f, corrupted %.0f\n", fault, names[i],
		       rig_report(rig, line, "sent"), rig->lines[i].lost, rig->lines[i].reordered, rig->lines[i].duplicates,
		       rig_report(rig, line, "corrupted"));
		if (i < FAULTY)
			line_figures(&rig->lines[i], fault, count);
	}
	assert_true(all);
	for (int i = 0; i < LINES; i++) {
		enum line_name line = (enum line_name)i;

		assert_int_equal(rig->lines[i].lost, 0);
		assert_int_equal(rig_report(rig, line, "corrupted"), 0);
		assert_int_equal(rig_report(rig, line, "unexpected"), 0);
		assert_int_equal(rig_report(rig, line, "renamed"), 0);
		assert_int_equal(rig->lines[i].reordered, 0);
	}
	assert_int_equal(rig_report(rig, CALM, "duplicates"), 0);
	assert_int_equal(xf_server_stop(rig->server), 0);
	xf_server_destroy(&rig->server);
}

/* ---- Faults ------------------------------------------------------------------------ */

/* FIELD of what the API says of an end. */
static void
end_field(const struct rig *rig, int line, int end, const char *field, const char **path, char out[32])
{
	*path = end == WRITER ? rig->lines[line].in : rig->lines[line].out;
	snprintf(out, 32, "%s.0.%s", end == WRITER ? "sinks" : "sources", field);
}

static double
end_reconnects(struct rig *rig, int line, int end)
{
	const char *path;
	char field[32];

	end_field(rig, line, end, "reconnects", &path, field);
	return xf_server_number(rig->server, path, field);
}

static bool
end_is(struct rig *rig, int line, int end, const char *state)
{
	const char *path;
	char field[32], *text;
	bool is;

	end_field(rig, line, end, "state", &path, field);
	text = xf_server_string(rig->server, path, field);
	is = strcmp(text, state) == 0;
	free(text);
	return is;
}

static bool
end_is_down(struct rig *rig, int line, int end)
{
	return end_is(rig, line, end, "down");
}

static bool
end_is_back(struct rig *rig, int line, int end)
{
	return end_is(rig, line, end, "up") && end_reconnects(rig, line, end) > rig->lines[line].reconnects[end];
}

void
rig_mark(struct rig *rig, enum line_end end)
{
	rig->end = end;
	for (int i = 0; i < FAULTY; i++)
		for (int e = 0; e < ENDS; e++)
			rig->lines[i].reconnects[e] = end_reconnects(rig, i, e);
	rig->since = xf_now_ms();
}

void
rig_fault(struct rig *rig, enum line_end end, fault_fn *fault)
{
	rig_mark(rig, end);
	for (int i = 0; i < FAULTY; i++)
		for (int e = 0; e < ENDS; e++)
			if (end == ENDS || e == (int)end)
				fault(rig->lines[i].proxies[e]);
}

static void
sightings_print(const char *title, const struct sightings *s)
{
	printf("%s after", title);
	for (int i = 0; i < FAULTY; i++)
		for (int e = 0; e < ENDS; e++)
			if (s->seen[i][e])
				printf(" %s %s %.2f s,", names[i], end_names[e], (double)s->after[i][e] / 1000);
	printf("\n");
}

static struct sightings
wait_for(struct rig *rig, const char *title, bool (*is)(struct rig *rig, int line, int end))
{
	struct sightings s = {.seen = {{false}}};
	bool all = false;

	while (!all) {
		all = true;
		for (int i = 0; i < FAULTY; i++)
			for (int e = 0; e < ENDS; e++) {
				if ((rig->end != ENDS && e != (int)rig->end) || s.seen[i][e])
					continue;
				s.seen[i][e] = is(rig, i, e);
				s.after[i][e] = xf_now_ms() - rig->since;
				all &= s.seen[i][e];
			}
		if (xf_now_ms() - rig->since > PATIENCE_MS) {
			sightings_print(title, &s);
			fail_msg("%s: not all in time", title);
		}
		usleep(2000);
	}
	sightings_print(title, &s);
	return s;
}

static void
sightings_add(struct samples *samples, const struct sightings *s, int line)
{
	for (int e = 0; e < ENDS; e++)
		if (s->seen[line][e])
			samples_add(samples, (double)s->after[line][e] / 1000);
}

struct sightings
rig_wait_down(struct rig *rig, const char *title)
{
	struct sightings s = wait_for(rig, title, end_is_down);

	for (int i = 0; i < FAULTY; i++)
		sightings_add(&rig->lines[i].downs, &s, i);
	return s;
}

struct sightings
rig_wait_back(struct rig *rig, const char *title)
{
	struct sightings s = wait_for(rig, title, end_is_back);

	for (int i = 0; i < FAULTY; i++)
		sightings_add(&rig->lines[i].backs, &s, i);
	return s;
}

double
rig_reconnects(struct rig *rig)
{
	double sum = 0;

	for (int i = 0; i < FAULTY; i++)
		for (int e = 0; e < ENDS; e++)
			if (rig->end == ENDS || e == (int)rig->end)
				sum += end_reconnects(rig, i, e) - rig->lines[i].reconnects[e];
	return sum;
}

void
rig_print_reconnects(struct rig *rig, const char *title)
{
	printf("%s: reconnects", title);
	for (int i = 0; i < FAULTY; i++)
		for (int e = 0; e < ENDS; e++)
			if (rig->end == ENDS || e == (int)rig->end)
				printf(" %s %s %.0f,", names[i], end_names[e],
				       end_reconnects(rig, i, e) - rig->lines[i].reconnects[e]);
	printf("\n");
}
