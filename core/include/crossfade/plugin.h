/*
 * plugin.h - what every crossfade plugin is built from.
 *
 * A plugin is a shared object with one exported function, xf_plugin_entry_v1().
 * It returns a static description: who the plugin is, against which version
 * of this header it was built, and its classes (transport.h,
 * handler.h). The core reads
 * the description without running anything else, refuses politely what it
 * cannot serve, and hands every instance a table of functions, struct xf_host.
 * A plugin links to nothing of crossfade.
 *
 * Compatibility. This header only grows: nothing is reordered, retyped or given
 * another meaning within a major version. Every structure that may grow begins
 * with its size; whoever reads one takes the smaller of the two sizes and treats
 * the rest as zero, which always means the documented default. Structures
 * marked "frozen" never grow and stand in arrays. Where an array of structures
 * may grow, a stride in bytes comes with it.
 *
 * Threads. Every function is marked with who calls it, and where:
 *   [control]  one thread of the core, never two calls at once for an instance;
 *              may block for a moment (5 s is the limit), touches no network
 *   [io]       the endpoint's own thread, made by the core; all [io] calls of one
 *              endpoint come one after the other, so they need no lock between them
 *   [any]      callable from every thread, never blocks
 *   [pure]     from any thread, even before anything is created: reads its arguments
 *              only, no network, no files, no threads
 * The core never calls a plugin from inside a host function that the plugin called.
 *
 * Forbidden in a plugin: signal handlers, fork without exec at once (posix_spawn is
 * best), waiting for processes that are not its own, exit, abort by design, setlocale,
 * chdir, umask, setenv, writing to standard output or error. SIGPIPE is ignored
 * by the core for the whole process.
 */
#ifndef CROSSFADE_PLUGIN_H
#define CROSSFADE_PLUGIN_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The version of this header. Majors break, minors only add. */
#define XF_ABI_MAJOR 1u
#define XF_ABI_MINOR 0u

#define XF_ENTRY_MAGIC 0x78666531u /* "xfe1" */

/* Bytes that are borrowed: not terminated, may be empty, then data may be NULL. Frozen. */
struct xf_str {
	const char *data;
	uint64_t len;
};

/* One header of a message. Names repeat and keep their order. Frozen. */
struct xf_header {
	struct xf_str name;
	struct xf_str value;
};

/* Where a call that fails says why, for a person; always terminated. Supplied by the caller. Frozen. */
struct xf_error {
	char text[512];
};

/* ---- Options --------------------------------------------------------------
 * A class declares its options in static tables. From them the core checks the
 * YAML, fills in defaults, writes manuals and the schema, and hides secrets.
 * The plugin reads typed values by the row's index and never sees YAML.
 */

enum {
	XF_OPTION_BOOL = 1,     /* i64: 0 or 1 */
	XF_OPTION_I64 = 2,      /* i64 */
	XF_OPTION_F64 = 3,      /* f64 */
	XF_OPTION_STRING = 4,   /* str */
	XF_OPTION_ENUM = 5,     /* i64: index into values; str: the word */
	XF_OPTION_DURATION = 6, /* i64: milliseconds */
	XF_OPTION_BYTES = 7,    /* i64: bytes */
	XF_OPTION_PERCENT = 8,  /* i64: hundredths of a percent, 0 to 10000 */
	XF_OPTION_URL = 9,      /* str: has a scheme; user info in it is hidden in logs */
	XF_OPTION_PATH = 10,    /* str: absolute, resolved against the file that names it */
	XF_OPTION_SUBJECT = 11, /* str: a subject or subject pattern, checked */
	XF_OPTION_MAP = 12,     /* map: a configuration of its own, by the rows of fields */
};

/* Flags of an option. */
#define XF_OPTION_REQUIRED 0x01u   /* the YAML must give it */
#define XF_OPTION_SECRET 0x02u     /* never printed */
#define XF_OPTION_LIST 0x04u       /* a list of the type; one bare value is a list of one */
#define XF_OPTION_DEPRECATED 0x08u /* still read, with a warning */
#define XF_OPTION_RESOLVED 0x10u   /* reserved */

/* One row of an option table. Tables are arrays of pointers that end with NULL. */
struct xf_option {
	uint32_t struct_size;
	uint32_t type;
	uint32_t flags;
	uint32_t reserved;
	const char *key;
	const char *def; /* as it would stand in YAML; NULL: no value unless given */
	int64_t min;     /* bounds of numbers, durations (ms), sizes; min == max == 0: none */
	int64_t max;
	const char *const *values;              /* words of an ENUM, ends with NULL */
	const struct xf_option *const *fields;  /* rows of a MAP, ends with NULL */
	const char *unit;                       /* "messages"; NULL where the type says it */
	const char *help;                       /* one sentence, no final stop */
	const char *const *conflicts;           /* keys that may not stand beside it; NULL or ends with NULL. Of a row K
	                                         * one that is called K_MEMBER is another form of it, which users write as
	                                         * `K: {MEMBER: value}` */
	const char *const *requires_;           /* keys that must stand beside it; likewise */
};

struct xf_config;

/* A value, checked against its row. Owned by the core; lives as long as its configuration. */
struct xf_value {
	uint32_t struct_size;
	uint32_t type;                       /* XF_OPTION_*; of the elements in a list */
	uint32_t present;                    /* 1: the YAML gave it; 0: the default, or nothing (then len, i64 are 0) */
	uint32_t count;                      /* elements of a list; 1 for a single value that exists, else 0 */
	int64_t i64;
	double f64;
	struct xf_str str;                   /* terminated as a courtesy to C libraries */
	const struct xf_value *const *items; /* of a list, count of them; NULL otherwise */
	const struct xf_config *map;         /* of a MAP; NULL otherwise */
};

/* ---- The host: what a plugin may call -------------------------------------- */

struct xf_endpoint; /* the core's side of an instance; handed to create, given back in every call */

struct xf_incoming;
struct xf_result;
struct xf_sight;
struct xf_outcome;
struct xf_replied;

enum {
	XF_LOG_ERROR = 0, /* someone must act */
	XF_LOG_WARN = 1,  /* heals, or soon will not */
	XF_LOG_INFO = 2,  /* life cycle */
	XF_LOG_DEBUG = 3,
};

/* State of an endpoint as its plugin sees it. */
enum {
	XF_STATE_DOWN = 0,    /* no connection; the core sends nothing and holds what it has */
	XF_STATE_UP = 1,      /* works */
	XF_STATE_BLOCKED = 2, /* connected, but something outside must be mended (a missing queue, no
	                       * permission, a memory alarm). The core goes on offering messages, as
	                       * many as the plugin says it has room for. */
};

struct xf_host {
	uint32_t struct_size;
	uint32_t abi_minor; /* of the running core */
	uint64_t caps;      /* reserved, 0 */

	/* [pure] The value of row ROW of the table that CONFIG was read by; never NULL. */
	const struct xf_value *(*option)(const struct xf_config *config, uint32_t row);

	/* [any] Monotonic milliseconds; wall-clock milliseconds since 1970. Tests turn them. */
	uint64_t (*now_ms)(void);
	int64_t (*wall_ms)(void);

	/* [any] One event, one line, TEXT terminated and without newline; the core adds the instance.
	 * No payloads, no secrets. ENDPOINT may be NULL. */
	void (*log)(struct xf_endpoint *endpoint, uint32_t level, const char *text);

	/* [any] Has the endpoint's work() called soon, from its own thread. Costs a system call
	 * only where that thread sleeps. */
	void (*wake)(struct xf_endpoint *endpoint);

	/* [io] Tells a change of state. REASON (terminated, may be NULL when UP) is shown to the
	 * operator. A sink reports DOWN only after it has completed every token it took. */
	void (*state)(struct xf_endpoint *endpoint, uint32_t state, const char *reason);

	/* [io], only from within work(). Hands in COUNT messages, STRIDE bytes apart. Returns how many
	 * from the front were taken; the rest remain the plugin's, to be offered again. The core
	 * never takes fewer than the credit that this work() call was given, and from a LOSSY source
	 * takes all (what exceeds the bound it drops and counts). Everything pointed to is read before
	 * the call returns, except a payload with a release function. */
	uint32_t (*emit)(struct xf_endpoint *endpoint, const struct xf_incoming *messages, uint32_t stride,
	                 uint32_t count);

	/* [any] The outcome of published messages, in any order. Exactly one for each token taken;
	 * another for the same token is ignored and counted. */
	void (*complete)(struct xf_endpoint *endpoint, const struct xf_result *results, uint32_t count);

	/* [io], sources. How long the broker waits for a settlement before it offers a message to
	 * somebody else; 0 (the start value): for ever. The core sends XF_SETTLE_EXTEND in good time. */
	void (*settle_within)(struct xf_endpoint *endpoint, uint32_t milliseconds);

	/* [any] An extension by name, or NULL. */
	const void *(*get_ext)(const char *name);

	/* [io] Optional. What stands at the broker behind the endpoint (transport.h), found out by requests that
	 * delay no message. The core shows the newest to operators, with its age, and decides nothing by it but
	 * what a source's drain_first waits for. */
	void (*sight)(struct xf_endpoint *endpoint, const struct xf_sight *sight);

	/* [any], handlers. What became of tasks, STRIDE bytes apart, in any order. Exactly one for each task taken;
	 * another for the same is ignored. */
	void (*finish)(struct xf_endpoint *endpoint, const struct xf_outcome *outcomes, uint32_t stride, uint32_t count);

	/* [any], sinks. Replies to requests, STRIDE bytes apart, in any order, before or after the request is completed. One that nobody
	 * waits for any more is counted. */
	void (*replied)(struct xf_endpoint *endpoint, const struct xf_replied *replies, uint32_t stride, uint32_t count);
};

/* ---- The entry ---------------------------------------------------------------- */

enum {
	XF_KIND_TRANSPORT = 1,
	XF_KIND_HANDLER = 2,
};

/* Build flags, for diagnosis and for refusing what cannot work together. */
#define XF_BUILD_ASAN 0x1u
#define XF_BUILD_TSAN 0x2u

#if defined(__SANITIZE_ADDRESS__)
#define XF_BUILD_FLAGS XF_BUILD_ASAN
#elif defined(__SANITIZE_THREAD__)
#define XF_BUILD_FLAGS XF_BUILD_TSAN
#else
#define XF_BUILD_FLAGS 0u
#endif

/* What a class of either kind begins with. */
struct xf_class {
	uint32_t struct_size; /* of the whole class */
	uint32_t kind;        /* XF_KIND_* */
	const char *name;     /* what `plugin: NAME` says */
	const char *summary;  /* one line */
};

struct xf_entry {
	uint32_t magic; /* XF_ENTRY_MAGIC; this and the next three never move */
	uint32_t struct_size;
	uint32_t abi_major; /* built against */
	uint32_t abi_minor;
	uint32_t pointer_size;
	uint32_t build_flags;   /* XF_BUILD_FLAGS */
	uint64_t caps_required; /* reserved, 0: a bit that the core does not know is a refusal */
	const char *id;         /* reverse DNS: "org.example.fax" */
	const char *version;
	const char *licence;
	const char *url;
	const struct xf_class *const *classes; /* ends with NULL */
};

/* Fills the fields that only the compiler knows. */
#define XF_ENTRY_HEAD                                                                              \
	.magic = XF_ENTRY_MAGIC, .struct_size = sizeof(struct xf_entry), .abi_major = XF_ABI_MAJOR,      \
	.abi_minor = XF_ABI_MINOR, .pointer_size = sizeof(void *), .build_flags = XF_BUILD_FLAGS

#define XF_EXPORT __attribute__((visibility("default")))

/* [pure] The one exported symbol. Returns static data. */
XF_EXPORT const struct xf_entry *xf_plugin_entry_v1(void);

#ifdef __cplusplus
}
#endif

#endif
