/*
 * sight.h - asks Redis what stands behind an endpoint, about every two seconds, on the endpoint's own connection.
 *
 * The owner calls sight_ask() when sight_due(), expects as many replies as were asked for, in their place among the
 * others, and hands each to sight_answer() whole. After the last the core is told.
 *
 * Threads: [io] of its endpoint.
 */
#ifndef REDIS_SIGHT_H
#define REDIS_SIGHT_H

#include "connection.h"

struct sight {
	int mode; /* MODE_* */
	bool of_source;
	struct xf_str group; /* of a stream's source; borrowed */
	char *key;           /* the channel, stream or list; a sink's may be unknown, or change */
	size_t key_len, key_size;
	char *second;        /* another list that counts: what was taken and not settled */
	size_t second_len;

	bool drained;   /* the owner's: all that there was has been read */
	uint64_t at;    /* ask again */
	uint64_t asked_at;
	uint32_t asked; /* replies to come */
	uint32_t question; /* which is next */
	struct xf_sight found;
	uint64_t told_lag; /* UINT64_MAX: never told */
	uint64_t trimmed;  /* entries that are gone and were not read by GROUP, as last seen */
};

/* GROUP: of a stream's source, else empty. */
void sight_init(struct sight *sight, int mode, bool of_source, struct xf_str group);
void sight_fini(struct sight *sight);

/* Copies; "" is unknown. False: no memory, and it is unknown. */
bool sight_key_set(struct sight *sight, const char *key, size_t len);
bool sight_second_set(struct sight *sight, const char *key, size_t len);

/* Nothing is under way any more; begins with the next connection. */
void sight_forget(struct sight *sight);

static inline bool
sight_due(const struct sight *sight, uint64_t now)
{
	return sight->asked == 0 && sight->key_len > 0 && now >= sight->at;
}

/* Everything of a source is settled: the lag may have fallen to 0, and that is news. */
void sight_hasten(struct sight *sight, uint64_t now);

/* How many replies will come; 0: the connection was lost. */
uint32_t sight_ask(struct sight *sight, struct conn *conn, uint64_t now);

/* One whole reply of SIZE bytes. */
void sight_answer(struct sight *sight, struct conn *conn, const char *data, size_t size);

#endif
