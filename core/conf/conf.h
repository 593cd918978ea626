/*
 * conf.h - the configuration: YAML in, checked and immutable settings out.
 *
 * xf_conf_load() reads a file with its includes, expands ${...}, checks every
 * key, type, bound and name, and returns settings, or all of the file's errors
 * at once. What is returned never changes; whoever uses it lives shorter.
 *
 * Plugins are known here only by their static tables, through a catalogue: this layer
 * loads nothing.
 */
#ifndef XF_CONF_CONF_H
#define XF_CONF_CONF_H

#include <stdbool.h>

#include <crossfade/handler.h>

#include "base/error.h"
#include "base/str.h"
#include "conf/template.h"

/* Finds the class NAME (or path) for a transport, or a handler. NULL with the reason in ERROR, which may end in a
 * suggestion. Called while loading, on its thread. */
struct xf_conf_catalogue {
	const struct xf_transport_class *(*transport)(void *context, const char *name, struct xf_error *error);
	const struct xf_handler_class *(*handler)(void *context, const char *name, struct xf_error *error);
	/* server.plugin_dirs, once they are known and before the first look-up. Optional. */
	void (*search)(void *context, const char *const *dirs, size_t count);
	const struct xf_host *host; /* for the pure functions of a class */
	void *context;
};

struct xf_conf_place {
	const char *file;
	unsigned line; /* from 1 */
	unsigned column;
};

struct xf_conf_server {
	const char *name;
	const char *data_dir;
	const char *admin_socket;
	const char *admin_listen; /* "127.0.0.1:8480"; NULL: no TCP */
	const char *admin_token;  /* NULL: none */
	uint32_t log_level;       /* XF_LOG_* */
	bool log_json;
	const char *const *plugin_dirs;
	size_t plugin_dir_count;
	uint64_t drain_timeout_ms;
	uint64_t dead_letters_max; /* bytes */
	/* per message */
	uint64_t max_subject;
	uint64_t max_header_value;
	uint64_t max_headers;
	uint64_t max_payload;
};

/* Of everything that a part's behaviour depends on, secrets and what it names included; two parts of two
 * configurations with the same digest are alike. XXH3_128. */
struct xf_digest {
	uint64_t low, high;
};

static inline bool
xf_digest_equal(struct xf_digest a, struct xf_digest b)
{
	return a.low == b.low && a.high == b.high;
}

struct xf_conf_transport {
	const char *name;
	const char *plugin;
	const struct xf_transport_class *class;
	const struct xf_config *options;
	struct xf_digest digest;
	struct xf_conf_place place;
};

enum xf_when_down {
	XF_WHEN_DOWN_WAIT,
	XF_WHEN_DOWN_DROP,
	XF_WHEN_DOWN_SPOOL,
	XF_WHEN_DOWN_UNSAID, /* at a migration's side: as each route needs it, xf_conf_when_down() */
};

/* How a message stands in a broker that carries no headers. */
enum xf_envelope {
	XF_ENVELOPE_NONE, /* the payload, bare */
	XF_ENVELOPE_JSON,
};

/* A source, or a sink. */
struct xf_conf_endpoint {
	const struct xf_conf_transport *transport;
	const struct xf_config *options;
	const char *subject;          /* source: a pattern; sink: the template's text */
	const char *shown;            /* for people: the subject, or what a source reads instead: a queue's name */
	struct xf_template *template; /* sink: never NULL; source: NULL */
	enum xf_when_down when_down;
	bool accept_spooled;             /* source: what it brings is settled once it stands in a spool of its own */
	uint64_t spool_max_size;         /* of the source's spool, or of a sink that spools: bytes */
	bool spool_drops;                /* what finds it full is dropped; else it waits */
	struct xf_conf_place spool_place; /* sink: where it says something of its spool; line 0: nowhere */
	enum xf_envelope envelope;
	bool subject_escape;             /* source: foreign names are escaped; sink: such subjects are turned back */
	uint32_t connections;            /* sink: its lanes are spread over so many; at least 1 */
	bool in_place;                   /* a migration's old side: what comes already stands there; percent stays 0 */
	struct xf_template *message_id;  /* source: where to find the id of a message that has none; NULL: nowhere */
	const struct xf_conf_migration *migration; /* source: one side of it is read, its copies are dropped; or NULL */
	uint8_t side;                    /* with it: 0 old, 1 new */
	uint64_t traits; /* XF_TRAIT_* */
	struct xf_digest digest; /* its transport's in it */
	struct xf_conf_place place;
};

enum xf_mirror {
	XF_MIRROR_OFF,
	XF_MIRROR_ON,
	XF_MIRROR_REQUIRED,
};

struct xf_conf_migration {
	const char *name;
	struct xf_conf_endpoint sides[2]; /* old, new */
	uint32_t percent;                 /* hundredths: 0 to 10000 */
	enum xf_mirror mirror;
	struct xf_template *key; /* never NULL; default {key|id} */
	uint64_t handover_timeout_ms;
	struct xf_digest digest; /* without percent, mirror and stage: they are first values only */
	struct xf_conf_place place;
};

#define XF_CONF_HANDLERS_MAX 16 /* of one route */

/* One that works on a route's messages, at its place in the route's list. */
struct xf_conf_handler {
	const char *name;   /* "orders/filter"; with a number behind it where the route has several of that plugin */
	const char *plugin;
	const struct xf_handler_class *class;
	const struct xf_config *options;
	uint64_t timeout_ms; /* how long it may have a message; 0: for ever */
	bool holds;          /* it may have one for longer than a call */
	struct xf_digest digest;
	struct xf_conf_place place;
};

/* Slots that several routes share for what their handlers work on. */
struct xf_conf_pool {
	const char *name;
	uint32_t concurrency; /* slots */
	uint32_t share;       /* hundredths of a percent of the slots that go by time alone, whatever the priorities */
	struct xf_conf_place place;
};

#define XF_CONF_SINKS_MAX 8 /* of one route */
#define XF_CONF_CONNECTIONS_MAX 32 /* of all of them together */

enum xf_to {
	XF_TO_SINK,
	XF_TO_ALL,
	XF_TO_SPLIT,
	XF_TO_MIGRATION,
	XF_TO_REPLY, /* back to whoever asked, by its source; no sinks */
};

/* Which sinks of `all` a message waits for. */
enum xf_require {
	XF_REQUIRE_ALL,
	XF_REQUIRE_ANY,   /* one, whichever it is */
	XF_REQUIRE_FIRST, /* the first one; the others get copies as they can */
};

enum xf_order {
	XF_ORDER_LANE,   /* many of a lane under way */
	XF_ORDER_STRICT, /* one of a lane under way */
	XF_ORDER_NONE,
};

/* How often and when a sink is tried again. An outage, and what was not sent or has an unknown outcome, uses up no attempt. */
struct xf_conf_retry {
	uint32_t attempts; /* after so many the message is a dead letter; 0: there is no end */
	bool constant;     /* always `initial`; else doubled each time up to `max` */
	bool jitter;       /* the latter half of a delay is left to chance */
	uint64_t initial_ms;
	uint64_t max_ms;
};

struct xf_conf_route {
	const char *name;
	const struct xf_conf_endpoint *sources;
	size_t source_count;
	enum xf_to to;
	const struct xf_conf_migration *migration; /* of TO_MIGRATION, else NULL */
	const struct xf_conf_endpoint *sinks;      /* of the others */
	size_t sink_count;                         /* 1 to XF_CONF_SINKS_MAX; 0 with a migration, and where there is no sink */
	const uint32_t *weights;                   /* of TO_SPLIT: hundredths of a percent for each sink, 10000 together */
	enum xf_require require;                   /* of TO_ALL */
	const struct xf_conf_handler *handlers;    /* in their order */
	size_t handler_count;
	const struct xf_conf_pool *pool;           /* NULL: its handlers share no slots with others */
	uint32_t pool_priority;                    /* the higher, the sooner */
	struct xf_template *key;                   /* without a migration; NULL: one ordered stream */
	enum xf_order order;
	uint32_t dedupe_count;     /* ids that are remembered; 0: duplicates are not looked for */
	uint64_t dedupe_window_ms; /* for how long; 0: without a bound in time */
	const struct xf_conf_endpoint *dead_letter; /* a sink for what is given up; NULL: that stays in the store */
	const char *dead_of;  /* the route whose dead letters this one brings to its sink; NULL: it is one of the file's */
	bool drain_first;     /* from a migration: moved lanes wait for the side they left to be read to its end */
	uint64_t request_ms;  /* of messages with a reply address the destination's reply is awaited for so long; 0: of none */
	uint32_t concurrency; /* messages worked on at once; 0: max_in_flight */
	struct xf_conf_retry retry;
	uint32_t max_in_flight;
	uint64_t max_in_flight_bytes;
	struct xf_digest digest; /* all of it */
	struct xf_conf_place place;
};

struct xf_conf {
	const char *file;
	struct xf_digest digest;        /* of all */
	struct xf_digest server_digest; /* of what a running server cannot change: all of `server` */
	struct xf_conf_server server;
	const struct xf_conf_transport *transports;
	size_t transport_count;
	const struct xf_conf_migration *migrations;
	size_t migration_count;
	const struct xf_conf_pool *pools;
	size_t pool_count;
	const struct xf_conf_route *routes; /* those of the file, and behind them one for each that has a dead_letter */
	size_t route_count;
	const char *const *warnings; /* lines for the log: "FILE:LINE:COLUMN: ..." */
	size_t warning_count;
};

/*
 * NULL with one line per mistake in ERRORS ("FILE:LINE:COLUMN: found; expected; nearest"), or the
 * settings. Blocks on the file system only.
 */
const struct xf_conf *xf_conf_load(const char *file, const struct xf_conf_catalogue *catalogue,
                                   struct xf_buffer *errors);
void xf_conf_destroy(const struct xf_conf **conf);

/*
 * The same of TEXT, for programs that make a small configuration of their own: NAME stands for the file in
 * findings, and relative paths are seen from its folder.
 */
const struct xf_conf *xf_conf_load_text(const char *name, struct xf_str text, const struct xf_conf_catalogue *catalogue,
                                        struct xf_buffer *errors);

/* Appends TEXT as a YAML scalar that is read back as it is: quoted, and with nothing in it expanded. */
void xf_conf_quote(struct xf_buffer *out, struct xf_str text);

/* The first source of any route that reads MIGRATION where a copy could not be told from a message; NULL: none, so
 * it may mirror. */
const struct xf_conf_endpoint *xf_conf_unmarked(const struct xf_conf *conf, const struct xf_conf_migration *migration);

/* What struct xf_host.option promises. */
const struct xf_value *xf_config_option(const struct xf_config *config, uint32_t row);

/* What becomes of a message of ROUTE for SINK, one of its own or a side of its migration, that the sink cannot take. Where that is
 * not said, it waits; of a source that cannot be held back it goes to a spool. Never UNSAID. */
enum xf_when_down xf_conf_when_down(const struct xf_conf_route *route, const struct xf_conf_endpoint *sink);

/* The promise of one way of a route in words, DESIGN "Promises": from its source number SOURCE to its sink number SINK, or to its
 * migration's side: "at least once", ... Static. */
const char *xf_conf_way_promise(const struct xf_conf_route *route, size_t source, size_t sink);

/* Of the route as a whole: that of its weakest way, without copies that nobody waits for. */
const char *xf_conf_route_promise(const struct xf_conf_route *route);

/* "all", "any", "first". Static. */
const char *xf_require_name(enum xf_require require);

/* "off" "dualwrite" "live" "rampdown" "complete": the name of the two knobs' position. Static. */
const char *xf_stage_name(uint32_t percent, enum xf_mirror mirror);

/* "false", "true", "required". Static. */
const char *xf_mirror_name(enum xf_mirror mirror);

/* "25", "25%", "0.01%" to hundredths of a percent. */
enum xf_status xf_percent_parse(struct xf_str text, uint32_t *percent, struct xf_error *error);

/* "25", "0.01": no more digits than needed. OUT has room for 16 bytes. */
void xf_percent_format(uint32_t percent, char *out);

#endif
