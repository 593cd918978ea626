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
#include <unistd.h>

#include <amqp.h>
#include <amqp_tcp_socket.h>

#include "bridge.h"

#define ACK_EVERY 64

struct amqp {
	amqp_connection_state_t connection;
	uint64_t acked; /* delivery tags count from 1, as messages do */
};

static void
amqp_need(amqp_rpc_reply_t reply, const char *what)
{
	if (reply.reply_type != AMQP_RESPONSE_NORMAL)
		bridge_fail(what, reply.reply_type == AMQP_RESPONSE_LIBRARY_EXCEPTION
		                          ? amqp_error_string2(reply.library_error)
		                          : "the broker refused");
}

static void
amqp_open_queue(struct amqp *amqp, int port, const char *queue)
{
	amqp_socket_t *socket;

	amqp->connection = amqp_new_connection();
	socket = amqp_tcp_socket_new(amqp->connection);
	if (socket == NULL || amqp_socket_open(socket, "127.0.0.1", port) != AMQP_STATUS_OK)
		bridge_fail("amqp", "cannot connect");
	amqp_need(amqp_login(amqp->connection, "/", 0, 131072, 0, AMQP_SASL_METHOD_PLAIN, "guest", "guest"), "login");
	amqp_channel_open(amqp->connection, 1);
	amqp_need(amqp_get_rpc_reply(amqp->connection), "channel");
	amqp_basic_qos(amqp->connection, 1, 0, BRIDGE_WINDOW, 0);
	amqp_need(amqp_get_rpc_reply(amqp->connection), "qos");
	amqp_basic_consume(amqp->connection, 1, amqp_cstring_bytes(queue), amqp_empty_bytes, 0, 0, 0, amqp_empty_table);
	amqp_need(amqp_get_rpc_reply(amqp->connection), "consume");
}

static void
amqp_acks(struct amqp *amqp, struct bridge *bridge, uint64_t least)
{
	uint64_t confirmed = atomic_load_explicit(&bridge->confirmed, memory_order_acquire);

	if (confirmed < amqp->acked + least)
		return;
	if (amqp_basic_ack(amqp->connection, 1, confirmed, 1) != 0)
		bridge_fail("ack", "cannot be sent");
	amqp->acked = confirmed;
}

/* Waits for the broker's next bytes or for confirmations. */
static void
amqp_wait(struct amqp *amqp, struct bridge *bridge)
{
	struct pollfd fds[2] = {
		{.fd = amqp_get_sockfd(amqp->connection), .events = POLLIN},
		{.fd = bridge->bell, .events = POLLIN},
	};
	uint64_t count;

	atomic_store(&bridge->wanted, bridge->published);
	amqp_acks(amqp, bridge, 1);
	poll(fds, 2, 100);
	if (fds[1].revents != 0 && read(bridge->bell, &count, sizeof(count)) < 0)
		bridge_fail("bell", "read failed");
}

static bool
amqp_next(struct amqp *amqp, amqp_envelope_t *envelope)
{
	amqp_rpc_reply_t reply;

	amqp_maybe_release_buffers(amqp->connection);
	reply = amqp_consume_message(amqp->connection, envelope, &(struct timeval){0, 0}, 0);
	if (reply.reply_type == AMQP_RESPONSE_LIBRARY_EXCEPTION && reply.library_error == AMQP_STATUS_TIMEOUT)
		return false;
	amqp_need(reply, "consume");
	return true;
}

static void
message_pass(struct bridge *bridge, const amqp_message_t *message)
{
	char id[256] = "";

	if (message->properties._flags & AMQP_BASIC_MESSAGE_ID_FLAG && message->properties.message_id.len < sizeof(id))
		memcpy(id, message->properties.message_id.bytes, message->properties.message_id.len);
	bridge_publish(bridge, message->body.bytes, message->body.len, id);
}

int
main(int argc, char **argv)
{
	struct amqp amqp = {NULL, 0};
	struct bridge bridge;
	uint64_t count;

	if (argc != 5) {
		fprintf(stderr, "usage: bench-bridge-amqp-nats PORT QUEUE COUNT NATS_URL\n");
		return 2;
	}
	count = strtoull(argv[3], NULL, 10);
	bridge_open(&bridge, argv[4], NULL);
	amqp_open_queue(&amqp, atoi(argv[1]), argv[2]);
	while (bridge.published < count) {
		amqp_envelope_t envelope;

		if (!amqp_next(&amqp, &envelope)) {
			amqp_wait(&amqp, &bridge);
			continue;
		}
		if (bridge.published == 0)
			bridge_begin(&bridge);
		message_pass(&bridge, &envelope.message);
		amqp_destroy_envelope(&envelope);
		amqp_acks(&amqp, &bridge, ACK_EVERY);
	}
	while (atomic_load(&bridge.confirmed) < count)
		amqp_wait(&amqp, &bridge);
	amqp_acks(&amqp, &bridge, 1);
	bridge_end(&bridge);
	amqp_need(amqp_connection_close(amqp.connection, AMQP_REPLY_SUCCESS), "close");
	amqp_destroy_connection(amqp.connection);
	return 0;
}
