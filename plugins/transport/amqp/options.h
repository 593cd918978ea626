/*
 * options.h - what the YAML may say about an AMQP transport, and about a source and a sink on it.
 *
 * Sources and sinks share the rows that say what stands at the broker, and what to create there (topology.h).
 */
#ifndef CROSSFADE_AMQP_OPTIONS_H
#define CROSSFADE_AMQP_OPTIONS_H

#include <crossfade/transport.h>

/* Rows of the tables. */
enum {
	TRANSPORT_URL,
	TRANSPORT_USER,
	TRANSPORT_PASSWORD,
	TRANSPORT_VHOST,
	TRANSPORT_AUTH,
	TRANSPORT_TLS,
	TRANSPORT_HEARTBEAT,
	TRANSPORT_CONNECT_TIMEOUT,
	TRANSPORT_CONFIRM_TIMEOUT,
	TRANSPORT_DECLARE,
};
enum {
	ENDPOINT_EXCHANGE,
	ENDPOINT_QUEUE,
	ENDPOINT_ROUTING_KEY,
	ENDPOINT_DECLARE,
	ENDPOINT_EXCHANGE_TYPE,
	ENDPOINT_QUEUE_TYPE,
	ENDPOINT_ARGUMENTS,
	ENDPOINT_ROWS,
};
enum {
	SOURCE_EXCLUSIVE = ENDPOINT_ROWS,
	SOURCE_AUTO_DELETE,
	SOURCE_PREFETCH,
};
enum {
	SINK_PERSISTENT = ENDPOINT_ROWS,
	SINK_WINDOW,
};

/* Words of `auth`. */
enum {
	AUTH_PLAIN,
	AUTH_EXTERNAL,
};

extern const struct xf_option *const options_of_transport[];
extern const struct xf_option *const options_of_source[];
extern const struct xf_option *const options_of_sink[];

/* Of the map `arguments`: each key is the broker's own name of a queue's argument. */
extern const struct xf_option *const options_of_arguments[];

#endif
