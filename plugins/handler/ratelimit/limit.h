/*
 * limit.h - what both classes of limits have in common: whose limit it is, how many pass, and what happens to the others.
 *
 * Threads: the handler's; its numbers are read from any.
 */
#ifndef RATELIMIT_LIMIT_H
#define RATELIMIT_LIMIT_H

#include <stdatomic.h>

#include "tasks.h"
#include "template.h"

enum { LIMIT_KEY, LIMIT_RATE, LIMIT_PER, LIMIT_OVER, LIMIT_ROWS };

/* The first rows of a class's table. */
extern const struct xf_option limit_key, limit_rate, limit_per, limit_over;

struct limit {
	const struct xf_host *host;
	struct xf_endpoint *endpoint;
	struct template *key; /* NULL: one limit for all */
	uint32_t rate;
	uint64_t per_ms;
	int64_t over;
	struct view view;
	struct bytes scratch;
	char reason[96];
	_Atomic uint64_t limited;
};

/* -1 with a reason; limit_fini() in any case. */
int32_t limit_init(struct limit *limit, const struct xf_host *host, struct xf_endpoint *endpoint, const struct xf_config *config,
                   struct xf_error *error);
void limit_fini(struct limit *limit);

/* Whose limit MESSAGE counts against, valid until the next; false: it has no such field, which ERROR names. */
bool limit_key_of(struct limit *limit, const struct xf_incoming *message, struct xf_str *key, struct xf_error *error);

/* Finishes a task: within the limit where WAIT_MS is 0; else over it, for so long. */
void limit_finish(struct limit *limit, uint64_t token, uint64_t wait_ms);

#endif
