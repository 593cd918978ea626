/*
 * rows.h - the transports that the contract suite runs on.
 *
 * A new transport, or a mode of one, is a row in rows.c and its name in CMakeLists.txt, or a file (README.md). In every text of a row "%s" stands
 * for a word that no other test of the run has, so that nothing of one test is found by the next.
 */
#ifndef XF_CONTRACT_ROWS_H
#define XF_CONTRACT_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ROW_OPTIONS 8

/* A promise that a row does not keep, because it cannot. */
struct exemption {
	const char *promise; /* "p17" */
	const char *why;
};

struct row {
	const char *name;
	const char *plugin;
	const char *broker;                   /* what tools/broker starts; NULL: none */
	const char *broker_args[ROW_OPTIONS]; /* of the server */
	const char *url;                      /* without `broker`: of one that runs already, and that no test may stop */
	const char *nowhere;                  /* a URL where nothing listens, with port 1 */
	const char *transport[ROW_OPTIONS];   /* beside the url; here "%s" is a folder of the test's own */
	const char *source[ROW_OPTIONS];
	const char *sink[ROW_OPTIONS];
	const char *other[ROW_OPTIONS];       /* of a source that knows nothing of the first; none: the same, by another name */
	const char *denied;                   /* a URL that is refused, with "%s" for host and port; "wrong-secret" in it */
	const char *denied_args[ROW_OPTIONS]; /* of the server that refuses; none: the one that runs */
	const char *pattern; /* a source's subject */
	const char *subject; /* what is published to */
	const char *wide;    /* a pattern of `subject` and all below it; NULL: a source cannot have that */
	size_t largest;      /* payload that is carried for certain; a larger one may be refused */
	unsigned ack_wait_ms; /* how long the broker waits for a settlement, by `source`; 0: for ever */
	uint32_t source_sight; /* what is told of XF_SIGHT_* */
	uint32_t sink_sight;
	bool no_source;      /* there is a sink only */
	bool keeps;          /* a killed broker has all that it confirmed */
	bool carries_id;     /* the id comes out as it went in */
	bool carries_reply;  /* and reply and content type */
	bool carries_priority;
	bool carries_ttl;
	bool replies_whole;     /* a reply has its headers, id and content type */
	bool tells_no_receiver; /* where it is published to nobody */
	struct exemption exempt[ROW_OPTIONS];
};

/* By name, or read from a file: see README.md. NULL: no such row; what is wrong with a file is said on standard error. */
const struct row *row_find(const char *name);

/* A row from a file. */
const struct row *row_read(const char *file);

/* Why PROMISE does not apply to ROW; NULL: it does. */
const char *row_exemption(const struct row *row, const char *promise);

#endif
