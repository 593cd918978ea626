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

#include "jetstream.h"
#include "rabbit.h"

#define ACK_EVERY 64

/* Waits for the broker's next bytes or for confirmations. */
static void
source_wait(struct rabbit_source *source, struct jetstream *jetstream)
{
	struct pollfd fds[2] = {
		{.fd = amqp_get_sockfd(source->connection), .events = POLLIN},
		{.fd = jetstream->bell, .events = POLLIN},
	};

	jetstream_sleep(jetstream);
	rabbit_source_ack(source, jetstream_confirmed(jetstream), 1);
	poll(fds, 2, 100);
	if (fds[1].revents != 0)
		jetstream_wake(jetstream);
}

int
main(int argc, char **argv)
{
	struct jetstream jetstream;
	struct rabbit_source source;
	uint64_t count;

	if (argc != 5) {
		fprintf(stderr, "usage: bench-bridge-amqp-nats PORT QUEUE COUNT NATS_URL\n");
		return 2;
	}
	count = strtoull(argv[3], NULL, 10);
	jetstream_open(&jetstream, jetstream_connect(argv[4], false), "BENCH", "bench.out", NULL);
	rabbit_source_open(&source, atoi(argv[1]), argv[2]);
	while (jetstream.published < count) {
		char id[RABBIT_ID_MAX];
		amqp_envelope_t envelope;

		if (!rabbit_source_next(&source, &envelope)) {
			source_wait(&source, &jetstream);
			continue;
		}
		if (jetstream.published == 0)
			bridge_begin();
		jetstream_publish(&jetstream, envelope.message.body.bytes, envelope.message.body.len,
		                  rabbit_message_id(&envelope.message, id));
		amqp_destroy_envelope(&envelope);
		rabbit_source_ack(&source, jetstream_confirmed(&jetstream), ACK_EVERY);
	}
	jetstream_finish(&jetstream);
	rabbit_source_ack(&source, count, 1);
	bridge_end(count);
	rabbit_close(source.connection);
	jetstream_close(&jetstream);
	return 0;
}
