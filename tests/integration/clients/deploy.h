/*
 * deploy.h - the files below config/ as they stand, against the world's brokers, which the environment names.
 *
 * Places are what applications have: where their producers publish, where their consumers read. Threads: the test's own.
 */
#ifndef XF_TESTS_DEPLOY_H
#define XF_TESTS_DEPLOY_H

#include "world.h"

enum place_kind {
	PLACE_CHANNEL,  /* Redis */
	PLACE_STREAM,   /* Redis */
	PLACE_LIST,     /* Redis */
	PLACE_QUEUE,    /* RabbitMQ */
	PLACE_EXCHANGE, /* RabbitMQ: what is published there with the key `events.made`; consumers have a queue of their own */
	PLACE_SUBJECT,  /* JetStream; consumers read the stream */
};

struct place {
	enum place_kind kind;
	const char *name;
	const char *stream; /* of a subject */
};

/* For cmocka: the world, and its addresses in the environment. */
int deploy_setup(void **state);

/* Nothing of another deployment is left at the brokers. */
void deploy_clear(struct world *w);

/* Validates and starts config/FILE as it stands, with data of its own; returns once it is ready. */
void deploy(struct world *w, const char *file);

/* Another file in the place of the one that runs, with the same data. */
void deploy_next(struct world *w, const char *file);

/* Until SIDE of a migration, "old" or "new", has nothing under way: copies are nobody's to wait for. */
void deploy_rest(struct world *w, const char *migration, const char *side);

/* A port that nobody listens on, a moment ago. */
unsigned port_choose(void);

void place_feed(struct world *w, const struct place *place, const struct ledger *ledger, uint32_t first, uint32_t end);

/* Consumers attach, where without them nothing would be kept. Returns what place_read() wants. */
struct cache *place_attach(struct world *w, const struct place *place);

/* All that consumers of PLACE see. ATTACHED is closed and cleared. */
uint64_t place_read(struct world *w, const struct place *place, struct cache **attached, arrival_fn *each, void *arg);

/* Whether a copy there can say that it is one. */
bool place_marks(const struct place *place);

#endif
