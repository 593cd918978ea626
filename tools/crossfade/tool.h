/*
 * tool.h - what every verb of the operator's tool is made from.
 *
 * A verb is one file with one `const struct verb`, and one line in main.c.
 */
#ifndef CROSSFADE_TOOL_H
#define CROSSFADE_TOOL_H

#include <stdbool.h>
#include <stddef.h>

/* The exit status of both programs. */
enum {
	EXIT_DONE = 0,
	EXIT_FAILED = 1,
	EXIT_USAGE = 2,
	EXIT_CONFIG = 78,
};

#define DEFAULT_FILE "/etc/crossfade/crossfade.yaml"

struct ask;

/* One of run, ask and subverbs. */
struct verb {
	const char *name;
	const char *summary;
	int (*run)(int argc, char **argv); /* argv[0] is the verb; returns the exit status */
	const struct ask *ask;             /* one request to the running server (ask.h) */
	const struct verb *subverbs;       /* ends with one without a name */
};

extern const struct verb verb_bench, verb_dead, verb_drain, verb_help, verb_migration, verb_plugin, verb_pub, verb_reload,
	verb_request, verb_route, verb_status, verb_sub, verb_transport;
int verb_validate(int argc, char **argv);

/* All of them, ends with NULL. */
extern const struct verb *const verbs[];

/* Runs VERB, or the one of its subverbs that argv[1] names. */
int verb_run(const struct verb *verb, int argc, char **argv);

/* "crossfade: ..." to standard error. Returns STATUS. */
int complain(int status, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
