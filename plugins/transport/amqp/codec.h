/*
 * codec.h - AMQP 0-9-1 as bytes: frames, the methods that bulk traffic uses, properties, tables.
 *
 * Reading trusts nothing: every length is checked against the frame that holds it, what is left out
 * is an empty string, and no structure is followed by recursion. What is read points into the
 * bytes that were given. Writing appends to a growing buffer.
 *
 * Knows no sockets and no time. Threads: none of its own, no state.
 */
#ifndef CROSSFADE_AMQP_CODEC_H
#define CROSSFADE_AMQP_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <crossfade/plugin.h>

#define CODEC_FRAME_OVERHEAD 8u /* type, channel, size; and the end mark */
#define CODEC_FRAME_END 0xCE
#define CODEC_SHORT_MAX 255u    /* the longest short string */

enum {
	CODEC_FRAME_METHOD = 1,
	CODEC_FRAME_HEADER = 2,
	CODEC_FRAME_BODY = 3,
	CODEC_FRAME_HEARTBEAT = 8,
};

#define CODEC_METHOD(class_id, method_id) ((uint32_t)(class_id) << 16 | (uint32_t)(method_id))

enum {
	CODEC_CONNECTION_START = CODEC_METHOD(10, 10),
	CODEC_CONNECTION_START_OK = CODEC_METHOD(10, 11),
	CODEC_CONNECTION_TUNE = CODEC_METHOD(10, 30),
	CODEC_CONNECTION_TUNE_OK = CODEC_METHOD(10, 31),
	CODEC_CONNECTION_OPEN = CODEC_METHOD(10, 40),
	CODEC_CONNECTION_OPEN_OK = CODEC_METHOD(10, 41),
	CODEC_CONNECTION_CLOSE = CODEC_METHOD(10, 50),
	CODEC_CONNECTION_CLOSE_OK = CODEC_METHOD(10, 51),
	CODEC_CONNECTION_BLOCKED = CODEC_METHOD(10, 60),
	CODEC_CONNECTION_UNBLOCKED = CODEC_METHOD(10, 61),
	CODEC_CHANNEL_OPEN = CODEC_METHOD(20, 10),
	CODEC_CHANNEL_OPEN_OK = CODEC_METHOD(20, 11),
	CODEC_CHANNEL_FLOW = CODEC_METHOD(20, 20),
	CODEC_CHANNEL_FLOW_OK = CODEC_METHOD(20, 21),
	CODEC_CHANNEL_CLOSE = CODEC_METHOD(20, 40),
	CODEC_CHANNEL_CLOSE_OK = CODEC_METHOD(20, 41),
	CODEC_EXCHANGE_DECLARE = CODEC_METHOD(40, 10),
	CODEC_EXCHANGE_DECLARE_OK = CODEC_METHOD(40, 11),
	CODEC_QUEUE_DECLARE = CODEC_METHOD(50, 10),
	CODEC_QUEUE_DECLARE_OK = CODEC_METHOD(50, 11),
	CODEC_QUEUE_BIND = CODEC_METHOD(50, 20),
	CODEC_QUEUE_BIND_OK = CODEC_METHOD(50, 21),
	CODEC_BASIC_QOS = CODEC_METHOD(60, 10),
	CODEC_BASIC_QOS_OK = CODEC_METHOD(60, 11),
	CODEC_BASIC_CONSUME = CODEC_METHOD(60, 20),
	CODEC_BASIC_CONSUME_OK = CODEC_METHOD(60, 21),
	CODEC_BASIC_CANCEL = CODEC_METHOD(60, 30),
	CODEC_BASIC_PUBLISH = CODEC_METHOD(60, 40),
	CODEC_BASIC_RETURN = CODEC_METHOD(60, 50),
	CODEC_BASIC_DELIVER = CODEC_METHOD(60, 60),
	CODEC_BASIC_ACK = CODEC_METHOD(60, 80),
	CODEC_BASIC_NACK = CODEC_METHOD(60, 120),
	CODEC_CONFIRM_SELECT = CODEC_METHOD(85, 10),
	CODEC_CONFIRM_SELECT_OK = CODEC_METHOD(85, 11),
};

/* ---- Reading ---------------------------------------------------------------- */

/* A place in bytes that are not trusted. Reading past the end gives zeros and sets bad, for good. */
struct codec_cursor {
	const uint8_t *at;
	const uint8_t *end;
	bool bad;
};

struct codec_cursor codec_cursor(const void *data, size_t size);
uint8_t codec_u8(struct codec_cursor *cursor);
uint16_t codec_u16(struct codec_cursor *cursor);
uint32_t codec_u32(struct codec_cursor *cursor);
uint64_t codec_u64(struct codec_cursor *cursor);
struct xf_str codec_short(struct codec_cursor *cursor);
struct xf_str codec_long(struct codec_cursor *cursor);

struct codec_frame {
	uint8_t type;
	uint16_t channel;
	uint32_t method; /* CODEC_METHOD() of a method frame, else 0 */
	const uint8_t *payload;
	uint32_t size;  /* of the payload */
	uint32_t total; /* of the whole frame */
};

enum codec_status {
	CODEC_BAD = -1, /* nothing that AMQP allows */
	CODEC_MORE = 0, /* not all there yet */
	CODEC_OK = 1,
};

/* The frame at DATA. One that is larger than FRAME_MAX is bad as soon as its size is seen. */
enum codec_status codec_frame_read(const uint8_t *data, size_t size, uint32_t frame_max,
                                   struct codec_frame *frame);

/* The arguments of a method frame, after its class and method. */
struct codec_cursor codec_arguments(const struct codec_frame *frame);

/* Of connection.close and channel.close. */
struct codec_close {
	uint16_t code;
	struct xf_str text;
	uint32_t method; /* the one that failed, or 0 */
};

struct codec_deliver {
	uint64_t tag;
	bool redelivered;
	struct xf_str exchange;
	struct xf_str routing_key;
};

struct codec_return {
	uint16_t code;
	struct xf_str text;
	struct xf_str exchange;
	struct xf_str routing_key;
};

struct codec_confirm {
	uint64_t tag;
	bool multiple;
};

struct codec_tune {
	uint16_t channel_max; /* these three: 0 is no limit, or none */
	uint32_t frame_max;
	uint16_t heartbeat; /* in seconds */
};

/* Of queue.declare-ok. */
struct codec_queue {
	struct xf_str name;
	uint32_t messages; /* ready: not those that consumers have */
	uint32_t consumers;
};

/* Each: false if the frame is malformed. */
bool codec_start_read(const struct codec_frame *frame, struct xf_str *mechanisms);
bool codec_tune_read(const struct codec_frame *frame, struct codec_tune *out);
bool codec_queue_read(const struct codec_frame *frame, struct codec_queue *out);
bool codec_close_read(const struct codec_frame *frame, struct codec_close *out);
bool codec_deliver_read(const struct codec_frame *frame, struct codec_deliver *out);
bool codec_return_read(const struct codec_frame *frame, struct codec_return *out);
bool codec_confirm_read(const struct codec_frame *frame, struct codec_confirm *out);

/* Presence bits of the basic class, in the order in which the properties stand. */
#define CODEC_HAS_CONTENT_TYPE 0x8000u
#define CODEC_HAS_CONTENT_ENCODING 0x4000u
#define CODEC_HAS_HEADERS 0x2000u
#define CODEC_HAS_DELIVERY_MODE 0x1000u
#define CODEC_HAS_PRIORITY 0x0800u
#define CODEC_HAS_CORRELATION_ID 0x0400u
#define CODEC_HAS_REPLY_TO 0x0200u
#define CODEC_HAS_EXPIRATION 0x0100u
#define CODEC_HAS_MESSAGE_ID 0x0080u
#define CODEC_HAS_TIMESTAMP 0x0040u
#define CODEC_HAS_TYPE 0x0020u
#define CODEC_HAS_USER_ID 0x0010u
#define CODEC_HAS_APP_ID 0x0008u
#define CODEC_HAS_CLUSTER_ID 0x0004u
#define CODEC_HAS_MORE_FLAGS 0x0001u

/* A content header. Strings are empty and numbers 0 where the publisher gave none. */
struct codec_properties {
	uint64_t body_size;
	struct xf_str content_type;
	struct xf_str content_encoding;
	struct xf_str correlation_id;
	struct xf_str reply_to;
	struct xf_str expiration;
	struct xf_str message_id;
	struct xf_str type;
	struct xf_str user_id;
	struct xf_str app_id;
	struct xf_str table; /* the bytes of the headers table, without its length */
	uint64_t timestamp;
	uint32_t priority; /* 0: none, else 1 + the number */
	uint8_t delivery_mode;
};

bool codec_properties_read(const void *payload, size_t size, struct codec_properties *out);

enum codec_kind {
	CODEC_TEXT,
	CODEC_BOOL,
	CODEC_SIGNED,
	CODEC_UNSIGNED,
	CODEC_FLOAT,
	CODEC_DECIMAL, /* number / 10^scale */
	CODEC_BYTES,
	CODEC_VOID,
	CODEC_ARRAY, /* bytes: values, one after the other */
	CODEC_TABLE, /* bytes: fields */
};

struct codec_value {
	enum codec_kind kind;
	uint8_t scale;
	struct xf_str bytes; /* TEXT, BYTES, ARRAY, TABLE */
	int64_t number;      /* BOOL, SIGNED, DECIMAL; UNSIGNED as its bits */
	double real;
};

/* The next field of a table, or value of an array. False at the end and, with bad set, where malformed. */
bool codec_field_next(struct codec_cursor *table, struct xf_str *name, struct codec_value *value);
bool codec_value_next(struct codec_cursor *array, struct codec_value *value);

/* A value as text: its own bytes, or written to OUT; no data (NULL) for kinds that are no text. */
#define CODEC_VALUE_TEXT_MAX 40u
struct xf_str codec_value_text(const struct codec_value *value, char out[CODEC_VALUE_TEXT_MAX]);

/* ---- Writing ----------------------------------------------------------------- */

/* Bytes on their way out: data[start .. end). Zero is empty. */
struct codec_buffer {
	uint8_t *data;
	size_t start;
	size_t end;
	size_t size;
};

/* Room for SIZE bytes at the end, or NULL where there is no memory. What stood there keeps standing. */
uint8_t *codec_buffer_reserve(struct codec_buffer *buffer, size_t size);
void codec_buffer_fini(struct codec_buffer *buffer);

/* Each appends a field to a table that is being made, without its length, as the writers below take it. */
bool codec_put_text(struct codec_buffer *table, const char *name, struct xf_str value);
bool codec_put_number(struct codec_buffer *table, const char *name, int64_t value);
bool codec_put_bool(struct codec_buffer *table, const char *name, bool value);
bool codec_put_table(struct codec_buffer *table, const char *name, struct xf_str fields);

/* What has been made so far. */
struct xf_str codec_buffer_bytes(const struct codec_buffer *buffer);

/* What a client says first. No frame. */
bool codec_write_greeting(struct codec_buffer *out);

/* Each appends one frame; false where there is no memory. Strings are at most CODEC_SHORT_MAX long, except tables and
 * RESPONSE. */
bool codec_write_start_ok(struct codec_buffer *out, struct xf_str properties, const char *mechanism,
                          struct xf_str response);
bool codec_write_tune_ok(struct codec_buffer *out, const struct codec_tune *tune);
bool codec_write_open(struct codec_buffer *out, struct xf_str vhost);
bool codec_write_heartbeat(struct codec_buffer *out);
bool codec_write_empty(struct codec_buffer *out, uint16_t channel, uint32_t method);
bool codec_write_close(struct codec_buffer *out, uint16_t channel, uint32_t method, uint16_t code,
                       const char *text);
bool codec_write_channel_open(struct codec_buffer *out, uint16_t channel);
bool codec_write_flow_ok(struct codec_buffer *out, uint16_t channel, bool active);
bool codec_write_exchange_declare(struct codec_buffer *out, uint16_t channel, struct xf_str exchange,
                                  struct xf_str type, bool passive);

/* Flags of queue.declare. */
#define CODEC_QUEUE_PASSIVE 1u /* only look */
#define CODEC_QUEUE_DURABLE 2u
#define CODEC_QUEUE_EXCLUSIVE 4u /* of this connection, and gone with it */
#define CODEC_QUEUE_AUTO_DELETE 8u

bool codec_write_queue_declare(struct codec_buffer *out, uint16_t channel, struct xf_str queue, uint8_t flags,
                               struct xf_str arguments);
bool codec_write_queue_bind(struct codec_buffer *out, uint16_t channel, struct xf_str queue,
                            struct xf_str exchange, struct xf_str routing_key);
bool codec_write_qos(struct codec_buffer *out, uint16_t channel, uint16_t prefetch);
bool codec_write_consume(struct codec_buffer *out, uint16_t channel, struct xf_str queue, struct xf_str tag, bool no_ack);
bool codec_write_confirm_select(struct codec_buffer *out, uint16_t channel);
bool codec_write_ack(struct codec_buffer *out, uint16_t channel, uint64_t tag, bool multiple);
bool codec_write_nack(struct codec_buffer *out, uint16_t channel, uint64_t tag, bool requeue);

/* A message to publish. Of the headers those named in codec_property_headers become properties. */
struct codec_publish {
	struct xf_str exchange;
	struct xf_str routing_key;
	struct xf_str content_type;
	struct xf_str reply_to;
	struct xf_str message_id; /* left out where it is longer than a short string */
	struct xf_str correlation_id; /* of its own; the header of that name is then a header only */
	const struct xf_header *headers;
	uint32_t header_count;
	uint32_t priority; /* 0: none, else 1 + the number */
	uint64_t timestamp;
	uint64_t expiration_ms;
	bool persistent;
	bool may_vanish; /* not mandatory */
	const void *payload;
	uint64_t payload_size;
};

/* Headers that are properties in AMQP; the source makes them, the sink takes them back. */
#define CODEC_HEADER_CORRELATION_ID "Correlation-Id"
#define CODEC_HEADER_CONTENT_ENCODING "Content-Encoding"
#define CODEC_HEADER_TYPE "Message-Type"
#define CODEC_HEADER_APP_ID "App-Id"

/* Crossfade's own. The id is the property message_id where that says the same; the hops are a byte where they can be. */
#define CODEC_HEADER_ID "Crossfade-Id"
#define CODEC_HEADER_HOPS "Crossfade-Hops"

enum codec_refusal {
	CODEC_TAKEN = 0,
	CODEC_NO_MEMORY,
	CODEC_SUBJECT_LONG,
	CODEC_REPLY_LONG,
	CODEC_TYPE_LONG,
	CODEC_NAME_LONG,
	CODEC_HEADERS_LARGE,
};

/* Appends method, header and body frames, or nothing. */
enum codec_refusal codec_write_publish(struct codec_buffer *out, uint16_t channel, uint32_t frame_max,
                                       const struct codec_publish *publish);

/* What a refusal means, for a person. */
const char *codec_refusal_text(enum codec_refusal refusal);

#endif
