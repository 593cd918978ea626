/*
 * options.c - the option tables of the amqp transport.
 */
#include "options.h"

#include <stddef.h>

#include "tls.h"

#define OPTION .struct_size = sizeof(struct xf_option)

/* ---- The transport -------------------------------------------------------------- */

static const char *const auth_words[] = {[AUTH_PLAIN] = "plain", [AUTH_EXTERNAL] = "external", NULL};

static const struct xf_option option_url = {
	OPTION, .type = XF_OPTION_URL, .flags = XF_OPTION_REQUIRED | XF_OPTION_LIST, .key = "url",
	.help = "where the broker is: amqp://USER:PASSWORD@HOST:PORT/VHOST, or amqps:// for TLS, percent-encoded "
	        "where needed; a list is a cluster, tried in an order that differs from client to client",
};
static const struct xf_option option_user = {
	OPTION, .type = XF_OPTION_STRING, .key = "user",
	.help = "user to log in as; default: the URL's, else guest",
};
static const struct xf_option option_password = {
	OPTION, .type = XF_OPTION_STRING, .flags = XF_OPTION_SECRET, .key = "password",
	.help = "the user's password; default: the URL's, else guest",
};
static const struct xf_option option_vhost = {
	OPTION, .type = XF_OPTION_STRING, .key = "vhost",
	.help = "virtual host; default: the URL's path, else /",
};
static const struct xf_option option_auth = {
	OPTION, .type = XF_OPTION_ENUM, .key = "auth", .def = "plain", .values = auth_words,
	.help = "external: the client certificate of tls.cert says who logs in, without user and password",
};
static const struct xf_option option_heartbeat = {
	OPTION, .type = XF_OPTION_DURATION, .key = "heartbeat", .def = "10s", .min = 2000, .max = 600000,
	.help = "a broker that says nothing for twice as long is given up and connected to anew",
};
static const struct xf_option option_connect_timeout = {
	OPTION, .type = XF_OPTION_DURATION, .key = "connect_timeout", .def = "4s", .min = 100, .max = 5000,
	.help = "how long connecting to one host and logging in may take together",
};
static const struct xf_option option_confirm_timeout = {
	OPTION, .type = XF_OPTION_DURATION, .key = "confirm_timeout", .def = "30s", .min = 1000, .max = 3600000,
	.help = "how long a publisher confirm or another answer of the broker may take before the connection "
	        "is given up; a memory or disk alarm stops the clock",
};

static const struct xf_option option_declare = {
	OPTION, .type = XF_OPTION_BOOL, .key = "declare", .def = "false",
	.help = "what endpoints do that do not say it themselves: create the queues, exchanges and bindings that are missing",
};

const struct xf_option *const options_of_transport[] = {
	[TRANSPORT_URL] = &option_url,
	[TRANSPORT_USER] = &option_user,
	[TRANSPORT_PASSWORD] = &option_password,
	[TRANSPORT_VHOST] = &option_vhost,
	[TRANSPORT_AUTH] = &option_auth,
	[TRANSPORT_TLS] = &xf_tls_option,
	[TRANSPORT_HEARTBEAT] = &option_heartbeat,
	[TRANSPORT_CONNECT_TIMEOUT] = &option_connect_timeout,
	[TRANSPORT_CONFIRM_TIMEOUT] = &option_confirm_timeout,
	[TRANSPORT_DECLARE] = &option_declare,
	NULL,
};

/* ---- A queue's arguments ---------------------------------------------------------- */

static const char *const overflow_words[] = {"drop-head", "reject-publish", "reject-publish-dlx", NULL};

#define ARGUMENT(symbol, name, kind, least, most, text)                                                    \
	static const struct xf_option symbol = {                                                           \
		OPTION, .type = kind, .key = name, .min = least, .max = most, .help = text,                \
	}

ARGUMENT(argument_max_length, "x-max-length", XF_OPTION_I64, 0, INT32_MAX, "how many messages the queue keeps");
ARGUMENT(argument_max_bytes, "x-max-length-bytes", XF_OPTION_BYTES, 0, INT64_MAX,
         "how many bytes of messages the queue keeps");
ARGUMENT(argument_ttl, "x-message-ttl", XF_OPTION_I64, 0, UINT32_MAX, "how long a message may wait, in milliseconds");
ARGUMENT(argument_expires, "x-expires", XF_OPTION_I64, 1, UINT32_MAX,
         "how long the queue stays while nobody uses it, in milliseconds");
ARGUMENT(argument_dead_exchange, "x-dead-letter-exchange", XF_OPTION_STRING, 0, 0,
         "where the broker publishes what expires, overflows or is refused");
ARGUMENT(argument_dead_key, "x-dead-letter-routing-key", XF_OPTION_STRING, 0, 0,
         "under which routing key; default: the message's own");
ARGUMENT(argument_priority, "x-max-priority", XF_OPTION_I64, 1, 255,
         "messages with a higher priority, up to this one, come first; classic queues only");
ARGUMENT(argument_delivery_limit, "x-delivery-limit", XF_OPTION_I64, 0, INT32_MAX,
         "how often a quorum queue offers a message again before it gives it up");
ARGUMENT(argument_single, "x-single-active-consumer", XF_OPTION_BOOL, 0, 0,
         "one consumer at a time gets the messages, the next one when it goes");
static const struct xf_option argument_overflow = {
	OPTION, .type = XF_OPTION_ENUM, .key = "x-overflow", .values = overflow_words,
	.help = "what becomes of messages beyond x-max-length",
};

const struct xf_option *const options_of_arguments[] = {
	&argument_max_length, &argument_max_bytes, &argument_overflow,       &argument_ttl,
	&argument_expires,    &argument_dead_exchange, &argument_dead_key,   &argument_priority,
	&argument_delivery_limit, &argument_single,    NULL,
};

/* ---- Endpoints --------------------------------------------------------------------- */

static const char *const exchange_types[] = {"topic", "direct", "fanout", "headers", NULL};
static const char *const queue_types[] = {"classic", "quorum", NULL};

static const struct xf_option endpoint_exchange_type = {
	OPTION, .type = XF_OPTION_ENUM, .key = "exchange_type", .def = "topic", .values = exchange_types,
	.help = "with declare: what a new exchange is",
};
static const struct xf_option endpoint_queue_type = {
	OPTION, .type = XF_OPTION_ENUM, .key = "queue_type", .values = queue_types,
	.help = "with declare: what a new queue is; default: as the broker decides",
};
static const struct xf_option endpoint_arguments = {
	OPTION, .type = XF_OPTION_MAP, .key = "arguments", .fields = options_of_arguments,
	.help = "with declare: a new queue's arguments, by the broker's own names",
};

static const struct xf_option source_exchange = {
	OPTION, .type = XF_OPTION_STRING, .key = "exchange", .def = "",
	.help = "with declare: the exchange that the queue is bound to",
};
static const struct xf_option source_queue = {
	OPTION, .type = XF_OPTION_STRING, .key = "queue",
	.help = "the queue to consume; default: the subject, where that is no pattern; \"\" with declare: one of "
	        "its own that the broker names and that goes with the connection",
};
static const struct xf_option source_routing_key = {
	OPTION, .type = XF_OPTION_STRING, .flags = XF_OPTION_LIST, .key = "routing_key",
	.help = "with declare and exchange: what the queue is bound by; default: the subject pattern",
};
static const struct xf_option source_declare = {
	OPTION, .type = XF_OPTION_BOOL, .key = "declare", .def = "false",
	.help = "create what is missing: the queue (durable), and where an exchange is named that and the binding",
};
static const struct xf_option source_exclusive = {
	OPTION, .type = XF_OPTION_BOOL, .key = "exclusive",
	.help = "with declare: the queue is this connection's alone and goes with it; default: true where the "
	        "broker names the queue",
};
static const struct xf_option source_auto_delete = {
	OPTION, .type = XF_OPTION_BOOL, .key = "auto_delete", .def = "false",
	.help = "with declare: the queue goes when its last consumer goes",
};
static const struct xf_option source_prefetch = {
	OPTION, .type = XF_OPTION_I64, .key = "prefetch", .min = 1, .max = 65535, .unit = "messages",
	.help = "how many unacknowledged messages the broker may have out here; default: the route's "
	        "max_in_flight, at most 4096",
};

const struct xf_option *const options_of_source[] = {
	[ENDPOINT_EXCHANGE] = &source_exchange,
	[ENDPOINT_QUEUE] = &source_queue,
	[ENDPOINT_ROUTING_KEY] = &source_routing_key,
	[ENDPOINT_DECLARE] = &source_declare,
	[ENDPOINT_EXCHANGE_TYPE] = &endpoint_exchange_type,
	[ENDPOINT_QUEUE_TYPE] = &endpoint_queue_type,
	[ENDPOINT_ARGUMENTS] = &endpoint_arguments,
	[SOURCE_EXCLUSIVE] = &source_exclusive,
	[SOURCE_AUTO_DELETE] = &source_auto_delete,
	[SOURCE_PREFETCH] = &source_prefetch,
	NULL,
};

static const struct xf_option sink_exchange = {
	OPTION, .type = XF_OPTION_STRING, .key = "exchange", .def = "",
	.help = "exchange to publish to, with the subject as routing key; default: the default exchange, "
	        "where the subject names a queue",
};
static const struct xf_option sink_queue = {
	OPTION, .type = XF_OPTION_STRING, .key = "queue",
	.help = "with exchange: the queue behind it whose depth and consumers are shown; with declare it is created "
	        "and bound too",
};
static const struct xf_option sink_routing_key = {
	OPTION, .type = XF_OPTION_STRING, .flags = XF_OPTION_LIST, .key = "routing_key",
	.help = "with declare and queue: what that queue is bound by; default: #, everything",
};
static const struct xf_option sink_declare = {
	OPTION, .type = XF_OPTION_BOOL, .key = "declare", .def = "false",
	.help = "create the exchange (durable), or without one the queue of each subject (durable), if missing",
};
static const struct xf_option sink_persistent = {
	OPTION, .type = XF_OPTION_BOOL, .key = "persistent", .def = "true",
	.help = "ask the broker to keep messages on disk, so that a confirmed one survives its restart",
};
static const struct xf_option sink_window = {
	OPTION, .type = XF_OPTION_I64, .key = "window", .def = "4096", .min = 1, .max = 65536, .unit = "messages",
	.help = "how many published messages may wait for their confirms",
};

const struct xf_option *const options_of_sink[] = {
	[ENDPOINT_EXCHANGE] = &sink_exchange,
	[ENDPOINT_QUEUE] = &sink_queue,
	[ENDPOINT_ROUTING_KEY] = &sink_routing_key,
	[ENDPOINT_DECLARE] = &sink_declare,
	[ENDPOINT_EXCHANGE_TYPE] = &endpoint_exchange_type,
	[ENDPOINT_QUEUE_TYPE] = &endpoint_queue_type,
	[ENDPOINT_ARGUMENTS] = &endpoint_arguments,
	[SINK_PERSISTENT] = &sink_persistent,
	[SINK_WINDOW] = &sink_window,
	NULL,
};
