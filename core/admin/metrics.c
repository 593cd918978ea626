/*
 * One row of a table is one metric family; a family is written whole before the next begins, as
 * the format wants it. A row says where in its structure the number stands.
 */
#include "admin/metrics.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>

enum unit {
	COUNT,   /* a uint64_t as it is */
	MILLIS,  /* a uint64_t in milliseconds, shown in seconds */
	BOOLEAN, /* a bool */
	LANES,   /* a uint32_t as it is */
};

struct row {
	const char *name;
	const char *type;
	const char *help;
	enum unit unit;
	size_t offset;
};

#define FIELD(structure, field) offsetof(struct structure, field)

static const struct row route_rows[] = {
	{"route_ok", "gauge", "1 while the route can do its work.", BOOLEAN, FIELD(xf_route_status, ok)},
	{"route_paused", "gauge", "1 while the route is paused by an operator.", BOOLEAN,
	 FIELD(xf_route_status, paused)},
	{"route_accepted_total", "counter", "Messages that sources handed in.", COUNT,
	 FIELD(xf_route_status, accepted)},
	{"route_acked_total", "counter",
	 "Messages acknowledged at their source after every confirmation needed.", COUNT,
	 FIELD(xf_route_status, acked)},
	{"route_rejected_total", "counter", "Messages refused for good and kept as dead letters.", COUNT,
	 FIELD(xf_route_status, rejected)},
	{"route_overflow_total", "counter", "Messages dropped because their source cannot be held back.",
	 COUNT, FIELD(xf_route_status, overflow)},
	{"route_filtered_total", "counter", "Messages that are not of the route's subject.", COUNT,
	 FIELD(xf_route_status, filtered)},
	{"route_copies_total", "counter", "Marked copies of a migration that is read, acknowledged and not sent on.",
	 COUNT, FIELD(xf_route_status, copies)},
	{"route_duplicates_total", "counter",
	 "Messages whose id had already come, acknowledged and not sent on.", COUNT,
	 FIELD(xf_route_status, duplicates)},
	{"route_redelivered_total", "counter", "Messages that the source's broker flagged as offered before.",
	 COUNT, FIELD(xf_route_status, redelivered)},
	{"route_replies_total", "counter", "Replies given back to those who asked.", COUNT, FIELD(xf_route_status, replies.sent)},
	{"route_replies_failed_total", "counter", "Replies that said that it failed.", COUNT,
	 FIELD(xf_route_status, replies.failed)},
	{"route_requests_timed_out_total", "counter", "Requests that the destination did not reply to in time.", COUNT,
	 FIELD(xf_route_status, replies.timed_out)},
	{"route_replies_unasked_total", "counter", "Replies dropped, for nobody waited for them.", COUNT,
	 FIELD(xf_route_status, replies.unasked)},
	{"route_requests_open", "gauge", "Requests that the destination has not replied to yet.", COUNT,
	 FIELD(xf_route_status, replies.awaited)},
	{"route_pool_waiting_messages", "gauge", "Messages that wait for a slot of the route's pool.", COUNT,
	 FIELD(xf_route_status, pool_waiting)},
	{"route_pool_busy_messages", "gauge", "Messages that have a slot of the route's pool.", COUNT,
	 FIELD(xf_route_status, pool_busy)},
	{"route_in_flight_messages", "gauge", "Messages accepted and not settled yet.", COUNT,
	 FIELD(xf_route_status, in_flight)},
	{"route_in_flight_bytes", "gauge", "Payload bytes accepted and not settled yet.", COUNT,
	 FIELD(xf_route_status, in_flight_bytes)},
};

static const struct row handler_rows[] = {
	{"taken_total", "counter", "Messages that the handler was given.", COUNT, FIELD(xf_handler_status, taken)},
	{"passed_total", "counter", "Messages that went on, changed or not.", COUNT, FIELD(xf_handler_status, passed)},
	{"dropped_total", "counter", "Messages that the handler ended.", COUNT, FIELD(xf_handler_status, dropped)},
	{"failed_total", "counter", "Attempts that failed.", COUNT, FIELD(xf_handler_status, failed)},
	{"delayed_total", "counter", "Messages put off without a failed attempt.", COUNT, FIELD(xf_handler_status, delayed)},
	{"refused_total", "counter", "Messages refused for good.", COUNT, FIELD(xf_handler_status, refused)},
	{"cancelled_total", "counter", "Messages taken back, for their time was up or for a reload.", COUNT,
	 FIELD(xf_handler_status, cancelled)},
	{"violations_total", "counter", "Promises of the plugin interface that the plugin broke.", COUNT,
	 FIELD(xf_handler_status, violations)},
};

static const struct row endpoint_rows[] = {
	{"endpoint_was_up", "gauge", "1 once the endpoint has been up.", BOOLEAN,
	 FIELD(xf_endpoint_status, was_up)},
	{"endpoint_reconnects_total", "counter", "Connections made again after one was lost.", COUNT,
	 FIELD(xf_endpoint_status, reconnects)},
	{"endpoint_violations_total", "counter", "Promises that the plugin broke, each ignored.", COUNT,
	 FIELD(xf_endpoint_status, violations)},
};

/* Of a source that accepts into a spool. */
static const struct row source_spool_rows[] = {
	{"spool_messages", "gauge", "Messages that were accepted and wait in the spool.", COUNT,
	 FIELD(xf_endpoint_status, spool.messages)},
	{"spool_bytes", "gauge", "Bytes in the spool.", COUNT, FIELD(xf_endpoint_status, spool.bytes)},
	{"spool_bytes_max", "gauge", "Bytes that the spool may hold.", COUNT, FIELD(xf_endpoint_status, spool.bytes_max)},
	{"spool_refused_total", "counter", "Messages that found no room in the spool or on its disk, and wait.", COUNT,
	 FIELD(xf_endpoint_status, spool.refused)},
	{"spool_oldest_seconds", "gauge", "Age of the oldest message in the spool.", MILLIS,
	 FIELD(xf_endpoint_status, spool_age_ms)},
};

/* The names go behind "sink_" for a route's sink, behind "migration_side_" for the sum over routes. */
static const struct row leg_rows[] = {
	{"accepted_total", "counter", "Messages and copies meant for this sink.", COUNT,
	 FIELD(xf_leg_status, accepted)},
	{"confirmed_total", "counter", "Messages and copies that the broker confirmed.", COUNT,
	 FIELD(xf_leg_status, confirmed)},
	{"refused_total", "counter", "Messages and copies that the broker refused for good.", COUNT,
	 FIELD(xf_leg_status, refused)},
	{"dropped_total", "counter",
	 "Copies that were not required, and messages under when_down: drop, that were dropped.", COUNT,
	 FIELD(xf_leg_status, dropped)},
	{"crossed_total", "counter", "Messages taken over by the other side with their outcome here unknown.",
	 COUNT, FIELD(xf_leg_status, crossed)},
	{"moved_total", "counter",
	 "Messages taken over by the other side that were certainly never sent here.", COUNT,
	 FIELD(xf_leg_status, moved)},
	{"spooled_total", "counter", "Messages and copies that went to the spool.", COUNT, FIELD(xf_leg_status, spooled)},
	{"spool_messages", "gauge", "Messages and copies that wait in the spool.", COUNT, FIELD(xf_leg_status, sink.spool.messages)},
	{"spool_bytes", "gauge", "Bytes in the spool.", COUNT, FIELD(xf_leg_status, sink.spool.bytes)},
	{"spool_bytes_max", "gauge", "Bytes that the spool may hold.", COUNT, FIELD(xf_leg_status, sink.spool.bytes_max)},
	{"spool_refused_total", "counter", "Messages and copies that found no room in the spool or on its disk; they wait, or were dropped.",
	 COUNT, FIELD(xf_leg_status, sink.spool.refused)},
	{"spool_oldest_seconds", "gauge", "Age of the oldest message in the spool.", MILLIS,
	 FIELD(xf_leg_status, sink.spool_age_ms)},
	{"retried_total", "counter", "Messages and copies offered to the broker again.", COUNT,
	 FIELD(xf_leg_status, retried)},
	{"copies_total", "counter", "Mirror copies among the accepted.", COUNT, FIELD(xf_leg_status, copies)},
	{"no_receiver_total", "counter", "Confirmed messages for which nobody was subscribed.", COUNT,
	 FIELD(xf_leg_status, no_receiver)},
	{"only_total", "counter", "Messages of a migration that this side alone holds.", COUNT, FIELD(xf_leg_status, only)},
	{"late_replies_total", "counter", "Replies that came when nobody waited for them any more.", COUNT,
	 FIELD(xf_leg_status, sink.late)},
	{"in_flight_messages", "gauge", "Messages and copies sent or held, without an outcome yet.", COUNT,
	 FIELD(xf_leg_status, in_flight)},
	{"oldest_unconfirmed_seconds", "gauge", "Age of the oldest message without an outcome.", MILLIS,
	 FIELD(xf_leg_status, oldest_ms)},
};

#define ROWS(table) (sizeof(table) / sizeof(table)[0])

static void
family(struct xf_buffer *out, const char *prefix, const char *name, const char *type, const char *help)
{
	xf_buffer_printf(out, "# HELP crossfade_%s%s %s\n# TYPE crossfade_%s%s %s\n", prefix, name, help,
		         prefix, name, type);
}

/* NAME="VALUE" with the value's quotes, backslashes and newlines escaped. */
static void
label(struct xf_buffer *out, const char *name, const char *value)
{
	bool first = out->data[out->len - 1] == '{';

	xf_buffer_printf(out, "%s%s=\"", first ? "" : ",", name);
	for (; value != NULL && *value != '\0'; value++) {
		if (*value == '\n')
			xf_buffer_puts(out, "\\n");
		else if (*value == '"' || *value == '\\')
			xf_buffer_printf(out, "\\%c", *value);
		else
			xf_buffer_append(out, value, 1);
	}
	xf_buffer_puts(out, "\"");
}

static void
number(struct xf_buffer *out, const struct row *row, const void *structure)
{
	const char *field = (const char *)structure + row->offset;
	uint64_t value;

	switch (row->unit) {
	case BOOLEAN:
		xf_buffer_puts(out, *(const bool *)field ? "1\n" : "0\n");
		break;
	case LANES:
		xf_buffer_printf(out, "%" PRIu32 "\n", *(const uint32_t *)field);
		break;
	case MILLIS:
		memcpy(&value, field, sizeof value);
		xf_buffer_printf(out, "%" PRIu64 ".%03u\n", value / 1000, (unsigned)(value % 1000));
		break;
	default:
		memcpy(&value, field, sizeof value);
		xf_buffer_printf(out, "%" PRIu64 "\n", value);
	}
}

static void
open_labels(struct xf_buffer *out, const char *prefix, const char *name)
{
	xf_buffer_printf(out, "crossfade_%s%s{", prefix, name);
}

/* LABELS writes the labels that say whose histogram it is. */
static void
histogram(struct xf_buffer *out, const char *name, const struct xf_histogram_snapshot *h,
	  void (*labels)(struct xf_buffer *out, const void *whose, size_t index), const void *whose,
	  size_t index)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < XF_HISTOGRAM_BUCKETS; i++) {
		char bound[32] = "+Inf";

		sum += h->counts[i];
		if (i < XF_HISTOGRAM_BUCKETS - 1)
			snprintf(bound, sizeof bound, "%.9g", (double)((uint64_t)1 << i) / 1e6);
		open_labels(out, name, "_bucket");
		labels(out, whose, index);
		label(out, "le", bound);
		xf_buffer_printf(out, "} %" PRIu64 "\n", sum);
	}
	open_labels(out, name, "_sum");
	labels(out, whose, index);
	xf_buffer_printf(out, "} %" PRIu64 ".%06u\n", h->sum_us / 1000000, (unsigned)(h->sum_us % 1000000));
	open_labels(out, name, "_count");
	labels(out, whose, index);
	xf_buffer_printf(out, "} %" PRIu64 "\n", sum);
}

/* ---- routes ------------------------------------------------------------------------------------- */

static void
route_labels(struct xf_buffer *out, const void *whose, size_t index)
{
	const struct xf_route_status *route = whose;

	(void)index;
	label(out, "route", route->name);
}

static void
sink_labels(struct xf_buffer *out, const void *whose, size_t index)
{
	const struct xf_route_status *route = whose;

	label(out, "route", route->name);
	label(out, "side", xf_side_word(route, index));
	label(out, "transport", route->legs[index].sink.transport);
	label(out, "migration", route->migration);
}

static void
render_routes(const struct xf_snapshot *snapshot, struct xf_buffer *out)
{
	family(out, "", "route_info", "gauge", "What stands fixed about a route; always 1.");
	for (size_t i = 0; i < snapshot->route_count; i++) {
		open_labels(out, "", "route_info");
		route_labels(out, &snapshot->routes[i], 0);
		label(out, "migration", snapshot->routes[i].migration);
		label(out, "promise", snapshot->routes[i].promise);
		xf_buffer_puts(out, "} 1\n");
	}
	for (size_t r = 0; r < ROWS(route_rows); r++) {
		const struct row *row = &route_rows[r];

		family(out, "", row->name, row->type, row->help);
		for (size_t i = 0; i < snapshot->route_count; i++) {
			open_labels(out, "", row->name);
			route_labels(out, &snapshot->routes[i], 0);
			xf_buffer_puts(out, "} ");
			number(out, row, &snapshot->routes[i]);
		}
	}
	family(out, "", "route_handover_seconds", "histogram",
	       "How long a lane that changed sides was held.");
	for (size_t i = 0; i < snapshot->route_count; i++)
		histogram(out, "route_handover_seconds", &snapshot->routes[i].handover, route_labels,
			  &snapshot->routes[i], 0);
}

static void
render_handlers(const struct xf_snapshot *snapshot, struct xf_buffer *out)
{
	for (size_t r = 0; r < ROWS(handler_rows); r++) {
		const struct row *row = &handler_rows[r];

		family(out, "handler_", row->name, row->type, row->help);
		for (size_t i = 0; i < snapshot->route_count; i++)
			for (size_t j = 0; j < snapshot->routes[i].handler_count; j++) {
				const struct xf_handler_status *handler = &snapshot->routes[i].handlers[j];

				open_labels(out, "handler_", row->name);
				route_labels(out, &snapshot->routes[i], 0);
				label(out, "handler", handler->name);
				label(out, "plugin", handler->plugin);
				xf_buffer_puts(out, "} ");
				number(out, row, handler);
			}
	}
}

/* The number of that name of HANDLER, or NULL. */
static const struct xf_number *
own_find(const struct xf_handler_status *handler, const char *name)
{
	for (uint32_t i = 0; i < handler->number_count; i++)
		if (strcmp(handler->numbers[i].name, name) == 0)
			return &handler->numbers[i];
	return NULL;
}

/* All handlers' numbers of the name of NUMBER, which is that of route FIRST's handler AT; of another one before it there is none. */
static void
render_own_family(const struct xf_snapshot *snapshot, size_t first, size_t at, const struct xf_number *number,
	          struct xf_buffer *out)
{
	const char *end = number->gauge ? "" : "_total";
	char name[128];

	for (size_t i = 0; i <= first; i++)
		for (size_t j = 0; j < (i < first ? snapshot->routes[i].handler_count : at); j++)
			if (own_find(&snapshot->routes[i].handlers[j], number->name) != NULL)
				return;
	snprintf(name, sizeof name, "%s%s", number->name, end);
	family(out, "handler_", name, number->gauge ? "gauge" : "counter", number->help);
	for (size_t i = first; i < snapshot->route_count; i++)
		for (size_t j = i == first ? at : 0; j < snapshot->routes[i].handler_count; j++) {
			const struct xf_handler_status *handler = &snapshot->routes[i].handlers[j];
			const struct xf_number *own = own_find(handler, number->name);

			if (own == NULL)
				continue;
			open_labels(out, "handler_", name);
			route_labels(out, &snapshot->routes[i], 0);
			label(out, "handler", handler->name);
			label(out, "plugin", handler->plugin);
			xf_buffer_printf(out, "} %" PRIu64 "\n", own->value);
		}
}

/* What plugins count themselves. */
static void
render_own(const struct xf_snapshot *snapshot, struct xf_buffer *out)
{
	for (size_t i = 0; i < snapshot->route_count; i++)
		for (size_t j = 0; j < snapshot->routes[i].handler_count; j++)
			for (uint32_t n = 0; n < snapshot->routes[i].handlers[j].number_count; n++)
				render_own_family(snapshot, i, j, &snapshot->routes[i].handlers[j].numbers[n], out);
}

static void
render_sinks(const struct xf_snapshot *snapshot, struct xf_buffer *out)
{
	for (size_t r = 0; r < ROWS(leg_rows); r++) {
		const struct row *row = &leg_rows[r];

		family(out, "sink_", row->name, row->type, row->help);
		for (size_t i = 0; i < snapshot->route_count; i++)
			for (size_t j = 0; j < snapshot->routes[i].leg_count; j++) {
				open_labels(out, "sink_", row->name);
				sink_labels(out, &snapshot->routes[i], j);
				xf_buffer_puts(out, "} ");
				number(out, row, &snapshot->routes[i].legs[j]);
			}
	}
	family(out, "", "sink_publish_latency_seconds", "histogram",
	       "From taken by the plugin to confirmed by the broker.");
	for (size_t i = 0; i < snapshot->route_count; i++)
		for (size_t j = 0; j < snapshot->routes[i].leg_count; j++)
			histogram(out, "sink_publish_latency_seconds", &snapshot->routes[i].legs[j].publish,
				  sink_labels, &snapshot->routes[i], j);
}

/* ---- sight: what stands at the broker ------------------------------------------------------------- */

static const struct {
	const char *name;
	const char *help;
	uint32_t known;
	size_t offset;
} sight_rows[] = {
	{"depth", "Messages that the place at the broker holds.", XF_SIGHT_DEPTH, FIELD(xf_sight, depth)},
	{"lag", "Of those, what its consumers have not got or not acknowledged.", XF_SIGHT_LAG, FIELD(xf_sight, lag)},
	{"consumers", "Consumers or subscribers at the broker.", XF_SIGHT_CONSUMERS, FIELD(xf_sight, consumers)},
};

static void
sight_number(struct xf_buffer *out, size_t row, const struct xf_sight *sight)
{
	uint64_t value;

	memcpy(&value, (const char *)sight + sight_rows[row].offset, sizeof value);
	xf_buffer_printf(out, "} %" PRIu64 "\n", value);
}

/* A number that the broker has not told has no line. */
static void
render_sights(const struct xf_snapshot *snapshot, struct xf_buffer *out)
{
	for (size_t r = 0; r < ROWS(sight_rows); r++) {
		family(out, "source_", sight_rows[r].name, "gauge", sight_rows[r].help);
		for (size_t i = 0; i < snapshot->route_count; i++)
			for (size_t j = 0; j < snapshot->routes[i].source_count; j++) {
				const struct xf_endpoint_status *source = &snapshot->routes[i].sources[j];

				if ((source->sight.known & sight_rows[r].known) == 0)
					continue;
				open_labels(out, "source_", sight_rows[r].name);
				route_labels(out, &snapshot->routes[i], 0);
				label(out, "endpoint", source->name);
				label(out, "transport", source->transport);
				sight_number(out, r, &source->sight);
			}
	}
	for (size_t r = 0; r < ROWS(sight_rows); r++) {
		family(out, "sink_", sight_rows[r].name, "gauge", sight_rows[r].help);
		for (size_t i = 0; i < snapshot->route_count; i++)
			for (size_t j = 0; j < snapshot->routes[i].leg_count; j++) {
				const struct xf_sight *sight = &snapshot->routes[i].legs[j].sink.sight;

				if ((sight->known & sight_rows[r].known) == 0)
					continue;
				open_labels(out, "sink_", sight_rows[r].name);
				sink_labels(out, &snapshot->routes[i], j);
				sight_number(out, r, sight);
			}
	}
}

static void
render_source_spools(const struct xf_snapshot *snapshot, struct xf_buffer *out)
{
	for (size_t r = 0; r < ROWS(source_spool_rows); r++) {
		const struct row *row = &source_spool_rows[r];

		family(out, "source_", row->name, row->type, row->help);
		for (size_t i = 0; i < snapshot->route_count; i++)
			for (size_t j = 0; j < snapshot->routes[i].source_count; j++) {
				const struct xf_endpoint_status *source = &snapshot->routes[i].sources[j];

				if (!source->spools)
					continue;
				open_labels(out, "source_", row->name);
				route_labels(out, &snapshot->routes[i], 0);
				label(out, "endpoint", source->name);
				label(out, "transport", source->transport);
				number(out, row, source);
			}
	}
}

/* ---- endpoints: sources and sinks alike ----------------------------------------------------------- */

typedef void endpoint_line(struct xf_buffer *out, const struct xf_route_status *route, const char *kind,
	                   const char *side, const struct xf_endpoint_status *endpoint,
	                   const struct row *row);

static void
each_endpoint(const struct xf_snapshot *snapshot, struct xf_buffer *out, endpoint_line *line,
	      const struct row *row)
{
	for (size_t i = 0; i < snapshot->route_count; i++) {
		const struct xf_route_status *route = &snapshot->routes[i];

		for (size_t j = 0; j < route->source_count; j++)
			line(out, route, "source", "", &route->sources[j], row);
		for (size_t j = 0; j < route->leg_count; j++)
			line(out, route, "sink", xf_side_word(route, j), &route->legs[j].sink, row);
	}
}

static void
endpoint_labels(struct xf_buffer *out, const struct xf_route_status *route, const char *kind,
	        const char *side, const struct xf_endpoint_status *endpoint)
{
	label(out, "route", route->name);
	label(out, "endpoint", endpoint->name);
	label(out, "kind", kind);
	label(out, "side", side);
	label(out, "transport", endpoint->transport);
}

static void
endpoint_info_line(struct xf_buffer *out, const struct xf_route_status *route, const char *kind,
	           const char *side, const struct xf_endpoint_status *endpoint, const struct row *row)
{
	(void)row;
	open_labels(out, "", "endpoint_info");
	endpoint_labels(out, route, kind, side, endpoint);
	label(out, "plugin", endpoint->plugin);
	label(out, "subject", endpoint->subject);
	xf_buffer_puts(out, "} 1\n");
}

static void
endpoint_state_lines(struct xf_buffer *out, const struct xf_route_status *route, const char *kind,
	             const char *side, const struct xf_endpoint_status *endpoint, const struct row *row)
{
	static const uint32_t states[] = {XF_STATE_UP, XF_STATE_BLOCKED, XF_STATE_DOWN};

	(void)row;
	for (size_t i = 0; i < ROWS(states); i++) {
		open_labels(out, "", "endpoint_state");
		endpoint_labels(out, route, kind, side, endpoint);
		label(out, "state", xf_state_word(states[i]));
		xf_buffer_puts(out, xf_state_word(endpoint->state) == xf_state_word(states[i]) ? "} 1\n"
			                                                                       : "} 0\n");
	}
}

static void
endpoint_row_line(struct xf_buffer *out, const struct xf_route_status *route, const char *kind,
	          const char *side, const struct xf_endpoint_status *endpoint, const struct row *row)
{
	open_labels(out, "", row->name);
	endpoint_labels(out, route, kind, side, endpoint);
	xf_buffer_puts(out, "} ");
	number(out, row, endpoint);
}

static void
render_endpoints(const struct xf_snapshot *snapshot, struct xf_buffer *out)
{
	family(out, "", "endpoint_info", "gauge", "What stands fixed about a source or sink; always 1.");
	each_endpoint(snapshot, out, endpoint_info_line, NULL);
	family(out, "", "endpoint_state", "gauge", "1 for the state that a source or sink is in.");
	each_endpoint(snapshot, out, endpoint_state_lines, NULL);
	for (size_t r = 0; r < ROWS(endpoint_rows); r++) {
		family(out, "", endpoint_rows[r].name, endpoint_rows[r].type, endpoint_rows[r].help);
		each_endpoint(snapshot, out, endpoint_row_line, &endpoint_rows[r]);
	}
}

/* ---- migrations ------------------------------------------------------------------------------------ */

static void
migration_line(struct xf_buffer *out, const char *name, const struct xf_migration_status *migration,
	       const char *extra, const char *value)
{
	open_labels(out, "", name);
	label(out, "migration", migration->name);
	if (extra != NULL)
		label(out, extra, value);
	xf_buffer_puts(out, "} ");
}

/* Hundredths of a percent in whole percents, as many digits as needed. */
static void
render_percents(const struct xf_snapshot *snapshot, struct xf_buffer *out)
{
	family(out, "", "migration_percent", "gauge",
	       "Share of keys for which the new side is authoritative, 0 to 100.");
	for (size_t i = 0; i < snapshot->migration_count; i++) {
		char text[16];

		xf_percent_format(snapshot->migrations[i].percent, text);
		migration_line(out, "migration_percent", &snapshot->migrations[i], NULL, NULL);
		xf_buffer_printf(out, "%s\n", text);
	}
}

static void
render_stages(const struct xf_snapshot *snapshot, struct xf_buffer *out)
{
	static const char *const stages[] = {"off", "dualwrite", "live", "rampdown", "complete"};

	family(out, "", "migration_mirror", "gauge", "1 for the mirror setting that holds.");
	for (size_t i = 0; i < snapshot->migration_count; i++)
		for (int mode = XF_MIRROR_OFF; mode <= XF_MIRROR_REQUIRED; mode++) {
			migration_line(out, "migration_mirror", &snapshot->migrations[i], "mode",
				       xf_mirror_name((enum xf_mirror)mode));
			xf_buffer_puts(out, snapshot->migrations[i].mirror == (enum xf_mirror)mode ? "1\n"
				                                                                   : "0\n");
		}
	family(out, "", "migration_stage", "gauge", "1 for the stage that the migration is in.");
	for (size_t i = 0; i < snapshot->migration_count; i++) {
		const struct xf_migration_status *migration = &snapshot->migrations[i];
		const char *stage = xf_stage_name(migration->percent, migration->mirror);

		for (size_t j = 0; j < ROWS(stages); j++) {
			migration_line(out, "migration_stage", migration, "stage", stages[j]);
			xf_buffer_puts(out, strcmp(stage, stages[j]) == 0 ? "1\n" : "0\n");
		}
	}
}

static void
render_buckets(const struct xf_snapshot *snapshot, struct xf_buffer *out)
{
	static const struct {
		const char *state;
		size_t offset;
	} states[] = {
		{"new", FIELD(xf_migration_status, lanes_new)},
		{"moving", FIELD(xf_migration_status, lanes_moving)},
		{"stuck", FIELD(xf_migration_status, lanes_stuck)},
	};

	family(out, "", "migration_buckets", "gauge",
	       "Of 10000 buckets: settled on the new side, changing sides, stuck.");
	for (size_t i = 0; i < snapshot->migration_count; i++)
		for (size_t j = 0; j < ROWS(states); j++) {
			const struct row row = {.unit = LANES, .offset = states[j].offset};

			migration_line(out, "migration_buckets", &snapshot->migrations[i], "state",
				       states[j].state);
			number(out, &row, &snapshot->migrations[i]);
		}
	family(out, "", "migration_crossed_total", "counter",
	       "Messages that a side took over while their outcome on the other was unknown.");
	for (size_t i = 0; i < snapshot->migration_count; i++) {
		migration_line(out, "migration_crossed_total", &snapshot->migrations[i], NULL, NULL);
		xf_buffer_printf(out, "%" PRIu64 "\n", snapshot->migrations[i].crossed);
	}
}

static void
side_labels(struct xf_buffer *out, const void *whose, size_t index)
{
	const struct xf_migration_status *migration = whose;

	label(out, "migration", migration->name);
	label(out, "side", index == 0 ? "old" : "new");
	label(out, "transport", migration->sides[index].sink.transport);
}

static void
render_sides(const struct xf_snapshot *snapshot, struct xf_buffer *out)
{
	family(out, "", "migration_side_up", "gauge", "1 while every route's sink of this side is up.");
	for (size_t i = 0; i < snapshot->migration_count; i++)
		for (size_t side = 0; side < 2; side++) {
			open_labels(out, "", "migration_side_up");
			side_labels(out, &snapshot->migrations[i], side);
			xf_buffer_puts(out, snapshot->migrations[i].sides[side].sink.state == XF_STATE_UP
				                    ? "} 1\n"
				                    : "} 0\n");
		}
	for (size_t r = 0; r < ROWS(leg_rows); r++) {
		const struct row *row = &leg_rows[r];

		family(out, "migration_side_", row->name, row->type, row->help);
		for (size_t i = 0; i < snapshot->migration_count; i++)
			for (size_t side = 0; side < 2; side++) {
				open_labels(out, "migration_side_", row->name);
				side_labels(out, &snapshot->migrations[i], side);
				xf_buffer_puts(out, "} ");
				number(out, row, &snapshot->migrations[i].sides[side]);
			}
	}
	family(out, "", "migration_side_publish_latency_seconds", "histogram",
	       "From taken by the plugin to confirmed by the broker, over all routes of the migration.");
	for (size_t i = 0; i < snapshot->migration_count; i++)
		for (size_t side = 0; side < 2; side++)
			histogram(out, "migration_side_publish_latency_seconds",
				  &snapshot->migrations[i].sides[side].publish, side_labels,
				  &snapshot->migrations[i], side);
}

/* ---- the process --------------------------------------------------------------------------------- */

static void
gauge(struct xf_buffer *out, const char *name, const char *type, const char *help, int decimals, double value)
{
	char text[64];

	family(out, "", name, type, help);
	snprintf(text, sizeof text, "%.*f", decimals, value);
	xf_buffer_printf(out, "crossfade_%s %s\n", name, text);
}

static void
render_process(const struct xf_snapshot *snapshot, struct xf_buffer *out)
{
	const struct xf_process *process = &snapshot->process;

	family(out, "", "build_info", "gauge", "The running program; always 1.");
	open_labels(out, "", "build_info");
	label(out, "version", XF_VERSION);
	label(out, "server", snapshot->server);
	xf_buffer_puts(out, "} 1\n");
	gauge(out, "ready", "gauge",
	      "1 once every source has subscribed and every sink connected, until draining.", 0,
	      snapshot->ready);
	if (snapshot->reload.generation > 0)
		gauge(out, "config_generation", "gauge",
		      "1 at the start, one more after each reload that was applied.", 0,
		      (double)snapshot->reload.generation);
	if (snapshot->reload.time_ms > 0)
		gauge(out, "config_last_reload_successful", "gauge", "1 where the last reload was applied.", 0,
		      snapshot->reload.ok);
	gauge(out, "process_start_time_seconds", "gauge", "When the process started, in seconds since 1970.",
	      3, (double)process->start_ms / 1000);
	gauge(out, "process_cpu_seconds_total", "counter", "Processor time, user and system.", 3,
	      process->cpu_seconds);
	gauge(out, "process_resident_memory_bytes", "gauge", "Resident memory.", 0,
	      (double)process->resident_bytes);
	gauge(out, "process_open_fds", "gauge", "Open file descriptors.", 0, (double)process->open_fds);
	gauge(out, "process_max_fds", "gauge", "How many file descriptors may be open.", 0,
	      (double)process->max_fds);
	gauge(out, "process_threads", "gauge", "Threads.", 0, (double)process->threads);
}

static void
render_dead(const struct xf_snapshot *snapshot, struct xf_buffer *out)
{
	family(out, "", "dead_letters", "gauge", "Messages refused for good that are kept.");
	xf_buffer_printf(out, "crossfade_dead_letters %" PRIu64 "\n", snapshot->dead.count);
	family(out, "", "dead_letters_bytes", "gauge", "Bytes of their store that are in use.");
	xf_buffer_printf(out, "crossfade_dead_letters_bytes %" PRIu64 "\n", snapshot->dead.bytes);
	family(out, "", "dead_letters_max_bytes", "gauge", "Bytes of their store at which it takes no more.");
	xf_buffer_printf(out, "crossfade_dead_letters_max_bytes %" PRIu64 "\n", snapshot->dead.bytes_max);
}

void
xf_metrics_render(const struct xf_snapshot *snapshot, struct xf_buffer *out)
{
	render_process(snapshot, out);
	render_routes(snapshot, out);
	render_endpoints(snapshot, out);
	render_handlers(snapshot, out);
	render_own(snapshot, out);
	render_sinks(snapshot, out);
	render_sights(snapshot, out);
	render_source_spools(snapshot, out);
	render_percents(snapshot, out);
	render_stages(snapshot, out);
	render_buckets(snapshot, out);
	render_sides(snapshot, out);
	render_dead(snapshot, out);
}
