#include "carry.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/memory.h"

#define PATIENCE_MS (2 * XF_WAIT_MS) /* a broker may offer again what a dead connection had only after half a minute */

static const char *
or_nothing(const char *text)
{
	return text != NULL ? text : "";
}

void
carry_configure(struct xf_server *server, const struct carry *lines, size_t count, const char *transports, const char *routes)
{
	struct xf_buffer yaml = {0};

	xf_buffer_puts(&yaml, "transports:\n");
	for (const struct carry *line = lines; line < lines + count; line++)
		xf_buffer_printf(&yaml, "  %1$s-load: {plugin: probe}\n  %1$s: {%2$s}\n", line->name, line->broker);
	xf_buffer_puts(&yaml, transports);
	xf_buffer_puts(&yaml, "routes:\n");
	for (const struct carry *line = lines; line < lines + count; line++)
		xf_buffer_printf(&yaml,
		                 "  - name: %1$s-in\n"
		                 "    from: {transport: %1$s-load, rate: %2$u, keys: 20%3$s}\n"
		                 "    to: {transport: %1$s, %4$s%5$s}\n"
		                 "    key: '{header.key}'\n%6$s"
		                 "  - name: %1$s-out\n"
		                 "    from: {transport: %1$s, %4$s}\n"
		                 "    to: %1$s-load\n"
		                 "    key: '{header.key}'\n",
		                 line->name, line->rate, or_nothing(line->from), line->place, or_nothing(line->sink),
		                 or_nothing(line->route));
	xf_buffer_puts(&yaml, routes);
	xf_server_configure(server, "", "%s", yaml.data);
	xf_buffer_fini(&yaml);
}

void
carry_start(struct xf_server *server, const struct carry *lines, size_t count)
{
	carry_configure(server, lines, count, "", "");
	xf_server_start(server);
	xf_server_wait_ready(server);
}

double
carry_report(struct xf_server *server, const char *name, const char *field)
{
	char *path = xf_format("/api/v1/transports/%s-load", name), *at = xf_format("report.%s", field);
	double number = xf_server_number(server, path, at);

	free(path);
	free(at);
	return number;
}

double
carry_number(struct xf_server *server, const char *name, const char *field)
{
	char *path = xf_format("/api/v1/routes/%s-in", name);
	double number = xf_server_number(server, path, field);

	free(path);
	return number;
}

void
carry_delivers(struct xf_server *server, const char *name, double count)
{
	char *path = xf_format("/api/v1/transports/%s-load", name);

	xf_server_wait_number(server, path, "report.received", carry_report(server, name, "received") + count);
	free(path);
}

void
carry_wait_number(struct xf_server *server, const char *name, const char *field, double least)
{
	char *path = xf_format("/api/v1/routes/%s-in", name);

	xf_server_wait_number(server, path, field, least);
	free(path);
}

void
carry_wait_string(struct xf_server *server, const char *name, const char *field, const char *part)
{
	char *path = xf_format("/api/v1/routes/%s-in", name);

	xf_server_wait_string(server, path, field, part);
	free(path);
}

unsigned
carry_warnings(struct xf_server *server, const char *name)
{
	char *path = xf_format("%s/log", xf_server_dir(server)), *about = xf_format(" warning %s-", name), text[1024];
	FILE *log = fopen(path, "r");
	unsigned count = 0;

	assert_non_null(log);
	while (fgets(text, sizeof(text), log) != NULL)
		count += strstr(text, about) != NULL;
	fclose(log);
	free(path);
	free(about);
	return count;
}

static bool
rests(struct xf_server *server, const char *name)
{
	return carry_number(server, name, "in_flight") == 0 && carry_report(server, name, "unresolved") == 0 &&
	       carry_report(server, name, "lost") == 0;
}

void
carry_finish(struct xf_server *server, const char *name, struct figures *figures)
{
	uint64_t until = xf_now_ms() + PATIENCE_MS;
	char *in = xf_format("%s-in", name);

	XF_CLI_DONE(server, "route", "pause", in);
	while (!rests(server, name) && xf_now_ms() < until)
		usleep(20000);
	printf("%s: sent %.0f, acked %.0f, lost %.0f, rejected %.0f, unresolved %.0f, reordered %.0f, duplicates %.0f (by %.0f), corrupted "
	       "%.0f\n",
	       name, carry_report(server, name, "sent"), carry_report(server, name, "acked"), carry_report(server, name, "lost"),
	       carry_report(server, name, "rejected"), carry_report(server, name, "unresolved"),
	       carry_report(server, name, "reordered"), carry_report(server, name, "duplicates"),
	       carry_report(server, name, "duplicate_distance"), carry_report(server, name, "corrupted"));
	figures->acked = carry_report(server, name, "acked");
	figures->lost = carry_report(server, name, "lost");
	figures->reordered = carry_report(server, name, "reordered");
	figures->duplicates = carry_report(server, name, "duplicates");
	figures_write(figures);
	assert_true(figures->acked > 0);
	assert_true(carry_report(server, name, "acked") == carry_report(server, name, "sent"));
	assert_int_equal(carry_report(server, name, "lost"), 0);
	assert_int_equal(carry_report(server, name, "reordered"), 0);
	assert_int_equal(carry_report(server, name, "corrupted") + carry_report(server, name, "unexpected"), 0);
	assert_int_equal(carry_report(server, name, "renamed"), 0);
	free(in);
}
