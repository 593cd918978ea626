/*
 * via.h - a broker named on the command line: by its URL, or by the name of a transport in a file.
 *
 * It becomes lines of a small configuration (small.h), with the options that the user gave (-o KEY=VALUE) put where
 * their plugin declares them: into the transport, or into the source or sink that uses it.
 */
#ifndef CROSSFADE_VIA_H
#define CROSSFADE_VIA_H

#include <stdbool.h>

#include "small.h"

enum via_side {
	VIA_SOURCE = 1,
	VIA_SINK = 2,
};

struct via {
	const char *option; /* "--via": what it is called in complaints */
	const char *given;  /* a URL or a name; borrowed */
	char *name;         /* of the transport in the small configuration */
	const struct xf_conf_transport *known; /* by name: as the file says; NULL: by URL */
	const struct xf_transport_class *class;
	unsigned sides;       /* what the verb uses of it */
	const char *const *options; /* "KEY=VALUE", as given, ends with NULL */
};

/* An option of an endpoint that holds unless the user says otherwise; none where the plugin does not have it. */
struct via_default {
	const char *key;
	const char *value;
};

/* SIDES is what the verb uses of it. False: *STATUS is the exit status, and it was said what is wrong. The caller gives
 * back what was filled with via_fini(). */
bool via_init(struct via *via, struct small *small, const char *option, const char *given, const char *const *options,
              unsigned sides, const char *name, int *status);
void via_fini(struct via *via);

/* "nats", "redis": what the transport's class is called. */
bool via_is(const struct via *via, const char *plugin);

/* The value that the user gave for KEY, or NULL. */
const char *via_option(const struct via *via, const char *key);

/* Whether the user gave KEY, in whatever form: KEY=VALUE, KEY.MEMBER=VALUE. */
bool via_gives(const struct via *via, const char *key);

/* "KEY=VALUE" is of the transport, so every endpoint on it has it. */
bool via_is_transports(const struct via *via, const char *option);

/* The broker's first URL, or NULL; borrowed. */
const char *via_url(const struct via *via);

/* Whether the plugin has KEY for that side. */
bool via_knows(const struct via *via, enum via_side side, const char *key);

/* Appends it to `transports:`. */
void via_write_transport(const struct via *via, struct small *small);

/* Appends the options of an endpoint, indented by INDENT; DEFAULTS ends with a NULL key, or is NULL. */
void via_write_endpoint(const struct via *via, struct small *small, enum via_side side, int indent,
                        const struct via_default *defaults);

#endif
