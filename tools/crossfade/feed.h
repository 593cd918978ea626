/*
 * feed.h - what `pub` publishes: one payload any number of times, or every line of an input.
 *
 * Threads: the source's of the terminal. Reads its input only when there is some.
 */
#ifndef CROSSFADE_FEED_H
#define CROSSFADE_FEED_H

#include "message.h"
#include "terminal.h"

enum feed_kind {
	FEED_ONE,    /* the payload of COMMON, COUNT times */
	FEED_LINES,  /* each line is a payload */
	FEED_NDJSON, /* each line is a message (message.h); what it does not say is as in COMMON */
};

struct feed {
	enum feed_kind kind;
	struct message common;
	uint64_t count;
	int fd; /* of lines */

	uint64_t number; /* of the last line or message */
	_Atomic uint64_t bad; /* lines that are no message, each told to standard error */
	bool at_end;
	struct xf_buffer input; /* read and not used yet, from `used` on */
	size_t used;
	struct message line;
};

/* As the terminal's next(); CONTEXT is the feed. */
enum terminal_next feed_next(void *context, struct xf_incoming *message, int *fd);

/* Each says what is wrong; the payload is all that comes from FD, which PATH names. */
int feed_payload(struct message *message, const char *path, int fd);
bool feed_headers(struct message *message, const char *const *headers);
bool feed_subject(const char *subject, const char *const *options);

void feed_fini(struct feed *feed);

#endif
