/*
 * flights.h - who waits for which answer.
 *
 * A flight is one look-up of a key, and then the work on it: its first guest is the one that asks and works for all, the others came
 * while it was away. Guests are found by their tokens.
 *
 * Threads: the handler's.
 */
#ifndef CACHE_FLIGHTS_H
#define CACHE_FLIGHTS_H

#include <crossfade/handler.h>

#include "recent.h"

struct guest {
	struct recent_entry entry; /* by token */
	uint64_t token;
	const struct xf_incoming *message; /* until the task is finished */
	struct flight *flight;
	struct guest *before, *next; /* of the flight */
};

struct flight {
	struct recent_entry entry; /* by key, where others may join */
	struct flight *older, *newer; /* all there are */
	bool listed;
	bool working; /* the first has been passed on, and is followed */
	struct xf_str key; /* own memory */
	struct xf_incoming asked; /* subject and headers of the first, in its own memory */
	uint64_t ttl_ms;
	struct guest *first, *last; /* NULL: all were taken back */
};

/* Zeroed at first. */
struct flights {
	struct recent keys;
	struct recent guests;
	struct flight *newest;
};

/* All flights and guests of it are gone; nobody is told. */
void flights_fini(struct flights *flights);

/* The flight of KEY that others may join; NULL: there is none. */
struct flight *flight_find(const struct flights *flights, struct xf_str key);

/* A flight with one guest. With JOINED it is found by others. */
struct flight *flight_begin(struct flights *flights, struct xf_str key, const struct xf_task *task, uint64_t ttl_ms, bool joined);

/* One more. */
void flight_join(struct flights *flights, struct flight *flight, const struct xf_task *task);

/* The first works from now on: what is to be known of its message is kept. */
void flight_work(struct flight *flight);

/* NULL: it is nobody's. */
struct guest *guest_find(const struct flights *flights, uint64_t token);

/* Out of its flight, which stays. */
void guest_leave(struct flights *flights, struct guest **guest);

/* Its guests have left. */
void flight_end(struct flights *flights, struct flight **flight);

#endif
