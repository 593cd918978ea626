/*
 * bridge_amqp_nats.c - an AMQP queue to JetStream, by hand: rabbitmq-c and nats.c.
 *
 *   bench-bridge-amqp-nats PORT QUEUE COUNT NATS_URL
 *
 * Acknowledges a message after its PubAck, many at once. Message ids become Nats-Msg-Id.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#include "jetstream.h"
#include "rabbit.h"

#define ACK_EVERY 64

struct source {
	amqp_connection_state_t connection;
	uint64_t acked; /* delivery tags count from 1, as messages do */
};

static void
source_open(struct source *source, int port, const char *queue)
{
	*source = (struct source){.connection = rabbit_connect(port)};
	amqp_basic_qos(source->connection, 1, 0, BRIDGE_WINDOW, 0);
	rabbit_need(amqp_get_rpc_reply(source->connection), "qos");
	amqp_basic_consume(source->connection, 1, amqp_cstring_bytes(queue), amqp_empty_bytes, 0, 0, 0, amqp_empty_table);
	rabbit_need(amqp_get_rpc_reply(source->connection), "consume");
}

static void
source_ack(struct source *source, uint64_t confirmed, uint64_t least)
{
	if (confirmed < source->acked + least)
		return;
	if (amqp_basic_ack(source->connection, 1, confirmed, 1) != 0)
		bridge_fail("ack", "cannot be sent");
	source->acked = confirmed;
}

/* Waits for the broker's next bytes or for confirmations. */
static void
source_wait(struct source *source, struct jetstream *jetstream)
{
	struct pollfd fds[2] = {
		{.fd = amqp_get_sockfd(source->connection), .events = POLLIN},
		{.fd = jetstream->bell, .events = POLLIN},
	};

	jetstream_sleep(jetstream);
	source_ack(source, jetstream_confirmed(jetstream), 1);
	poll(fds, 2, 100);
	if (fds[1].revents != 0)
		jetstream_wake(jetstream);
}

static bool
source_next(struct source *source, amqp_envelope_t *envelope)
{
	amqp_rpc_reply_t reply;

	amqp_maybe_release_buffers(source->connection);
	reply = amqp_consume_message(source->connection, envelope, &(struct timeval){0, 0}, 0);
	if (reply.reply_type == AMQP_RESPONSE_LIBRARY_EXCEPTION && reply.library_error == AMQP_STATUS_TIMEOUT)
		return false;
	rabbit_need(reply, "consume");
	return true;
}

static void
message_pass(struct jetstream *jetstream, const amqp_message_t *message)
{
	char id[256] = "";

	if (message->properties._flags & AMQP_BASIC_MESSAGE_ID_FLAG && message->properties.message_id.len < sizeof(id))
		memcpy(id, message->properties.message_id.bytes, message->properties.message_id.len);
	jetstream_publish(jetstream, message->body.bytes, message->body.len, id);
}

int
main(int argc, char **argv)
{
	struct jetstream jetstream;
	struct source source;
	uint64_t count;

	if (argc != 5) {
		fprintf(stderr, "usage: bench-bridge-amqp-nats PORT QUEUE COUNT NATS_URL\n");
		return 2;
	}
	count = strtoull(argv[3], NULL, 10);
	jetstream_open(&jetstream, argv[4], "BENCH", "bench.out", NULL);
	source_open(&source, atoi(argv[1]), argv[2]);
	while (jetstream.published < count) {
		amqp_envelope_t envelope;

		if (!source_next(&source, &envelope)) {
			source_wait(&source, &jetstream);
			continue;
		}
		if (jetstream.published == 0)
			bridge_begin();
		message_pass(&jetstream, &envelope.message);
		amqp_destroy_envelope(&envelope);
		source_ack(&source, jetstream_confirmed(&jetstream), ACK_EVERY);
	}
	jetstream_finish(&jetstream);
	source_ack(&source, count, 1);
	bridge_end(count);
	rabbit_close(source.connection);
	jetstream_close(&jetstream);
	return 0;
}
