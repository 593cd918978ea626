/*
 * keeper.h - the thread that brings a broker's messages to disk before they count.
 *
 * Sinks and sources leave their work with it under the broker's lock; it takes all that has gathered, writes
 * that as one transaction, and while the disk is busy with it the next gathers. Then it puts the messages into their
 * queues, in the order in which they came, and completes them.
 *
 * When the file cannot be written, what was on its way is completed as NOT_SENT or UNKNOWN, nothing more is taken, and it
 * is tried again every second. Settlements wait meanwhile; none is lost but by the end of the process, and then its
 * message comes again.
 *
 * Threads: one of its own. Functions that end in _locked are called with the broker's lock held.
 */
#ifndef LOCAL_KEEPER_H
#define LOCAL_KEEPER_H

#include "broker.h"

struct keeper_counts {
	uint64_t recovered; /* messages found in the file */
	uint64_t damaged;   /* that could not be read */
	uint64_t commits;
};

/* Opens the file of BROKER's settings, puts all that stands there into its queues, and starts the thread; sets
 * broker->keeper. Blocks while reading. False with a reason. */
bool keeper_open(struct broker *broker, struct xf_error *error);

/* Writes what is left, and ends the thread. */
void keeper_close(struct keeper **keeper);

/* A message for whoever it is for. Once it is on disk producer->out falls and TOKEN is completed. False: no memory. */
bool keeper_arrived_locked(struct keeper *keeper, struct producer *producer, struct record *record, uint64_t token,
                           struct dedup_key key);

/* One of the queues that RECORD was for needs it no longer. */
void keeper_settled_locked(struct keeper *keeper, const struct queue *queue, struct record *record);

/* A subscription that is to be known after a restart; it gets its id. False: no memory. And one that went. */
bool keeper_subscribed_locked(struct keeper *keeper, struct queue *queue);
void keeper_unsubscribed_locked(struct keeper *keeper, const struct queue *queue);

/* Until nothing of PRODUCER is on its way; lets go of the lock meanwhile. */
void keeper_wait_locked(struct keeper *keeper, const struct producer *producer);

/* Whether the file could not be written last time, and why. */
bool keeper_failed_locked(const struct keeper *keeper);
bool keeper_failed(struct keeper *keeper, char *text, size_t size);

struct keeper_counts keeper_counts_locked(const struct keeper *keeper);

#endif
