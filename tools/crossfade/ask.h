/*
 * ask.h - a verb that is one request to the running server, and shows the answer.
 */
#ifndef CROSSFADE_ASK_H
#define CROSSFADE_ASK_H

#include <stdbool.h>

#include <cjson/cJSON.h>

struct ask {
	const char *line;     /* behind "crossfade ": "route pause NAME" */
	const char *about;
	const char *examples; /* one a line */
	bool named;           /* a NAME is asked for, and stands for %s in path */
	const char *method;
	const char *path;
	void (*print)(const cJSON *answer); /* for a person; --json prints the answer itself */
};

int ask_run(const struct ask *ask, int argc, char **argv);

#endif
