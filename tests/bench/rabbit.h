/*
 * rabbit.h - a bridge's AMQP side, by rabbitmq-c: one connection with one channel, and on it publishes to a durable
 * queue that are confirmed, or a queue that is consumed.
 */
#ifndef BENCH_RABBIT_H
#define BENCH_RABBIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <amqp.h>

#include "bridge.h"

#define RABBIT_ID_MAX 256

void rabbit_need(amqp_rpc_reply_t reply, const char *what);
/* Channel 1 is open. */
amqp_connection_state_t rabbit_connect(int port);
void rabbit_close(amqp_connection_state_t connection);

/* Publishes are numbered from 1, as delivery tags are. All below or at LOW are confirmed. */
struct rabbit_sink {
	amqp_connection_state_t connection;
	const char *queue;
	uint64_t published, low;
	bool confirmed[BRIDGE_WINDOW]; /* of those above low, at their number modulo the window */
};

/* Declares the queue and asks for confirms. */
void rabbit_sink_open(struct rabbit_sink *sink, int port, const char *queue);
static inline size_t
rabbit_sink_room(const struct rabbit_sink *sink)
{
	return BRIDGE_WINDOW - (size_t)(sink->published - sink->low);
}
/* Persistent and mandatory. There must be room. ID: "" for none. */
void rabbit_sink_publish(struct rabbit_sink *sink, const void *data, size_t size, const char *id);
/* Reads the confirms that are here; WAIT: at least one. */
void rabbit_sink_confirms(struct rabbit_sink *sink, bool wait);

/* Deliveries are numbered from 1, as their tags are. */
struct rabbit_source {
	amqp_connection_state_t connection;
	uint64_t acked;
};

/* Declares the queue and consumes it. */
void rabbit_source_open(struct rabbit_source *source, int port, const char *queue);
/* False: nothing is here. */
bool rabbit_source_next(struct rabbit_source *source, amqp_envelope_t *envelope);
/* All up to number CONFIRMED, if those are at least LEAST more than were acknowledged. */
void rabbit_source_ack(struct rabbit_source *source, uint64_t confirmed, uint64_t least);
/* The message's id, in ID; "" for none. */
const char *rabbit_message_id(const amqp_message_t *message, char id[static RABBIT_ID_MAX]);

#endif
