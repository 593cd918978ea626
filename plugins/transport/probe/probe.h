/*
 * probe.h - the parts of the plugin, as its entry (probe.c) joins them.
 */
#ifndef PROBE_PROBE_H
#define PROBE_PROBE_H

#include <crossfade/transport.h>

/* Rows of the option tables. */
enum {
	TRANSPORT_TRACK,
};

enum {
	SOURCE_RATE,
	SOURCE_COUNT,
	SOURCE_DURATION,
	SOURCE_SIZE,
	SOURCE_KEYS,
	SOURCE_PRODUCER,
	SOURCE_TO,
	SOURCE_HEADER,
};

enum {
	SINK_SIDE,
};

#define SIZE_MIN 48 /* of a payload: its stamp */

extern const struct xf_source_ops probe_generator;
extern const struct xf_sink_ops probe_checker;

#endif
