/*
 * Confirms come many at once, usually in order, which nobody promises: hence a mark for each number.
 */
#include "rabbit.h"

#include <string.h>
#include <sys/time.h>

#include <amqp_tcp_socket.h>

void
rabbit_need(amqp_rpc_reply_t reply, const char *what)
{
	if (reply.reply_type != AMQP_RESPONSE_NORMAL)
		bridge_fail(what, reply.reply_type == AMQP_RESPONSE_LIBRARY_EXCEPTION
		                          ? amqp_error_string2(reply.library_error)
		                          : "the broker refused");
}

amqp_connection_state_t
rabbit_connect(int port)
{
	amqp_connection_state_t connection = amqp_new_connection();
	amqp_socket_t *socket = amqp_tcp_socket_new(connection);

	if (socket == NULL || amqp_socket_open(socket, "127.0.0.1", port) != AMQP_STATUS_OK)
		bridge_fail("amqp", "cannot connect");
	rabbit_need(amqp_login(connection, "/", 0, 131072, 0, AMQP_SASL_METHOD_PLAIN, "guest", "guest"), "login");
	amqp_channel_open(connection, 1);
	rabbit_need(amqp_get_rpc_reply(connection), "channel");
	return connection;
}

void
rabbit_close(amqp_connection_state_t connection)
{
	rabbit_need(amqp_connection_close(connection, AMQP_REPLY_SUCCESS), "close");
	amqp_destroy_connection(connection);
}

static void
declare(amqp_connection_state_t connection, const char *queue)
{
	amqp_queue_declare(connection, 1, amqp_cstring_bytes(queue), 0, 1, 0, 0, amqp_empty_table);
	rabbit_need(amqp_get_rpc_reply(connection), "queue");
}

void
rabbit_sink_open(struct rabbit_sink *sink, int port, const char *queue)
{
	*sink = (struct rabbit_sink){.connection = rabbit_connect(port), .queue = queue};
	declare(sink->connection, queue);
	amqp_confirm_select(sink->connection, 1);
	rabbit_need(amqp_get_rpc_reply(sink->connection), "confirms");
}

void
rabbit_sink_publish(struct rabbit_sink *sink, const void *data, size_t size, const char *id)
{
	amqp_basic_properties_t properties = {
		._flags = AMQP_BASIC_DELIVERY_MODE_FLAG | (*id != '\0' ? AMQP_BASIC_MESSAGE_ID_FLAG : 0),
		.delivery_mode = 2,
		.message_id = amqp_cstring_bytes(id),
	};
	amqp_bytes_t body = {size, (void *)(uintptr_t)data};

	if (amqp_basic_publish(sink->connection, 1, amqp_empty_bytes, amqp_cstring_bytes(sink->queue), 1, 0, &properties,
	                       body) != AMQP_STATUS_OK)
		bridge_fail("publish", "cannot be sent");
	sink->published++;
}

static void
sink_confirm(struct rabbit_sink *sink, const amqp_basic_ack_t *ack)
{
	if (ack->multiple)
		for (uint64_t tag = sink->low + 1; tag <= ack->delivery_tag; tag++)
			sink->confirmed[tag % BRIDGE_WINDOW] = true;
	else
		sink->confirmed[ack->delivery_tag % BRIDGE_WINDOW] = true;
	while (sink->low < sink->published && sink->confirmed[(sink->low + 1) % BRIDGE_WINDOW])
		sink->confirmed[++sink->low % BRIDGE_WINDOW] = false;
}

void
rabbit_sink_confirms(struct rabbit_sink *sink, bool wait)
{
	amqp_frame_t frame;
	int status;

	amqp_maybe_release_buffers(sink->connection);
	for (;;) {
		status = wait ? amqp_simple_wait_frame(sink->connection, &frame)
		              : amqp_simple_wait_frame_noblock(sink->connection, &frame, &(struct timeval){0, 0});
		if (status == AMQP_STATUS_TIMEOUT)
			return;
		if (status != AMQP_STATUS_OK)
			bridge_fail("confirms", amqp_error_string2(status));
		if (frame.frame_type != AMQP_FRAME_METHOD || frame.payload.method.id != AMQP_BASIC_ACK_METHOD)
			bridge_fail("confirms", "a message was returned or refused");
		sink_confirm(sink, frame.payload.method.decoded);
		if (!amqp_frames_enqueued(sink->connection) && !amqp_data_in_buffer(sink->connection))
			return;
		wait = false;
	}
}

void
rabbit_source_open(struct rabbit_source *source, int port, const char *queue)
{
	*source = (struct rabbit_source){.connection = rabbit_connect(port)};
	declare(source->connection, queue);
	amqp_basic_qos(source->connection, 1, 0, BRIDGE_WINDOW, 0);
	rabbit_need(amqp_get_rpc_reply(source->connection), "qos");
	amqp_basic_consume(source->connection, 1, amqp_cstring_bytes(queue), amqp_empty_bytes, 0, 0, 0, amqp_empty_table);
	rabbit_need(amqp_get_rpc_reply(source->connection), "consume");
}

bool
rabbit_source_next(struct rabbit_source *source, amqp_envelope_t *envelope)
{
	amqp_rpc_reply_t reply;

	amqp_maybe_release_buffers(source->connection);
	reply = amqp_consume_message(source->connection, envelope, &(struct timeval){0, 0}, 0);
	if (reply.reply_type == AMQP_RESPONSE_LIBRARY_EXCEPTION && reply.library_error == AMQP_STATUS_TIMEOUT)
		return false;
	rabbit_need(reply, "consume");
	return true;
}

void
rabbit_source_ack(struct rabbit_source *source, uint64_t confirmed, uint64_t least)
{
	if (confirmed < source->acked + least)
		return;
	if (amqp_basic_ack(source->connection, 1, confirmed, 1) != 0)
		bridge_fail("ack", "cannot be sent");
	source->acked = confirmed;
}

const char *
rabbit_message_id(const amqp_message_t *message, char id[static RABBIT_ID_MAX])
{
	amqp_bytes_t given = message->properties.message_id;
	size_t len = message->properties._flags & AMQP_BASIC_MESSAGE_ID_FLAG && given.len < RABBIT_ID_MAX ? given.len : 0;

	if (len > 0)
		memcpy(id, given.bytes, len);
	id[len] = '\0';
	return id;
}
