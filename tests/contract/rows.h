/*
 * rows.h - the transports that the contract suite runs on.
 *
 * A new transport, or a mode of one, is a row in rows.c and its name in CMakeLists.txt. In every text of a row "%s" stands
 * for a word that no other test of the run has, so that nothing of one test is found by the next.
 */
#ifndef XF_CONTRACT_ROWS_H
#define XF_CONTRACT_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ROW_OPTIONS 8

struct row {
	const char *name;
	const char *plugin;
	const char *broker;                   /* what tools/broker starts; NULL: none */
	const char *broker_args[ROW_OPTIONS]; /* of the server */
	const char *nowhere;                  /* a URL where nothing listens */
	const char *transport[ROW_OPTIONS];   /* beside the url */
	const char *source[ROW_OPTIONS];
	const char *sink[ROW_OPTIONS];
	const char *pattern; /* a source's subject */
	const char *subject; /* what is published to */
	size_t largest;      /* payload that is tried */
	bool no_source;      /* there is a sink only */
	bool keeps;          /* a killed broker has all that it confirmed */
	bool carries_id;     /* the id comes out as it went in */
	bool carries_reply;  /* and reply and content type */
};

/* NULL: no such row. */
const struct row *row_find(const char *name);

#endif
