/*
 * tool.h - what every verb of the operator's tool is made from.
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

struct verb {
	const char *name;
	const char *summary;
	int (*run)(int argc, char **argv); /* argv[0] is the verb; returns the exit status */
};

int verb_help(int argc, char **argv);
int verb_migration(int argc, char **argv);
int verb_plugin(int argc, char **argv);
int verb_route(int argc, char **argv);
int verb_status(int argc, char **argv);
int verb_transport(int argc, char **argv);
int verb_validate(int argc, char **argv);

/* All of them, COUNT. */
const struct verb *verbs(size_t *count);

/*
 * Runs the one of COUNT subverbs that argv[1] names; without one, or with --help, says which there are.
 * PARENT is "migration".
 */
int subverb_run(const char *parent, const char *about, const struct verb *subverbs, size_t count, int argc,
                char **argv);

/* "crossfade: ..." to standard error. Returns STATUS. */
int complain(int status, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
