/*
 * siege.h - a migration from RabbitMQ to a Redis stream and JetStream, whose brokers, lines and crossfaded itself fail, and the
 * ledger of what came through.
 *
 * What the clients feed and read does not pass the lines. A side keeps what it confirmed when it is killed; the source's broker is
 * never killed, since what it was fed is transient.
 *
 * Threads: the test's main thread only.
 */
#ifndef XF_TESTS_SIEGE_H
#define XF_TESTS_SIEGE_H

#include <stdbool.h>

#include "figures.h"
#include "world.h"

struct siege {
	struct world *world;
	struct xf_broker *brokers[PLACES]; /* the world's */
	enum { RUNS, STOPPED, DEAD } broker_state[PLACES];
	bool line_whole[PLACES];
	struct ledger *ledger;
	struct feeder *feeder;    /* that siege_feed() started; NULL: none */
	uint32_t messages;
	unsigned rate;            /* a second */
	unsigned delay_ms;        /* of every line that is whole, so that there is always something on it */
	struct samples moments;   /* of siege_moment(), as brokers date what they store */
	bool percent_moves;       /* the test moves the share, so a message may stand on both sides */
};

/* For cmocka. */
int siege_setup(void **state);
int siege_teardown(void **state);

#define SPOOLS ", when_down: spool"

/* A migration NAME at half and half, whose sides have the settings SIDES beside their own, and a ledger for MESSAGES. Nothing is fed
 * yet. */
void siege_begin(struct siege *s, const char *name, const char *sides, uint32_t messages, unsigned rate, unsigned delay_ms);

/* Messages FIRST to END, beside the caller. */
void siege_feed(struct siege *s, uint32_t first, uint32_t end);

/* A fault of crossfaded begins: what comes again from here on to the next is counted for it. */
void siege_moment(struct siege *s);

/* The seed in the environment's XF_SEED, else a new one. Printed, to be set there. */
unsigned siege_seed(const char *title);

/* SIGTERM; calls MEANWHILE again and again until the process has ended. Returns its exit status, -1 after a signal. */
int siege_terminate(struct siege *s, void (*meanwhile)(void *arg), void *arg);

void broker_stop(struct siege *s, int place); /* SIGSTOP */
void broker_kill(struct siege *s, int place);
void broker_heal(struct siege *s, int place);
void line_fault(struct siege *s, int place, void (*fault)(struct proxy *proxy));
void line_heal(struct siege *s, int place);

struct siege_sum {
	struct ledger_sum ledger;
	uint64_t reordered; /* where the share moves, of those on one side alone: what a side that is left had unconfirmed may stand on both */
	uint64_t duplicates;
	uint64_t duplicates_max; /* between one moment and the next */
	double drain_seconds;
};

/* Ends all faults, waits until everything has drained, and stops the server. Prints the sums. */
struct siege_sum siege_finish(struct siege *s);

/* Nothing is lost, broken, or out of the order of its key. Comes last: figures are written of a run that fails, too. */
void siege_check(const struct siege *s, const struct siege_sum *sum);

#endif
