/*
 * wire.h - one connection to an AMQP broker: how it comes, lives and goes.
 *
 * Connecting and logging in is one blocking step with a time limit (connect.h), a server of the list at a time. From
 * then on frames are gathered in one output buffer and parsed in place from one input buffer, never blocking,
 * heartbeats included.
 *
 * A connection that failed (wire_failed) stays as it is until its owner has drawn the consequences and calls
 * wire_drop(). The servers are tried in a shuffled order; once all have been, there is a pause that grows and has
 * jitter.
 *
 * Threads: the endpoint's own, all calls but wire_init() and wire_fini().
 */
#ifndef CROSSFADE_AMQP_WIRE_H
#define CROSSFADE_AMQP_WIRE_H

#include "codec.h"
#include "settings.h"

struct tls;
struct tls_context;

#define WIRE_CHANNEL 1u         /* publishes, deliveries, acks, confirms */
#define WIRE_CHANNEL_DECLARE 2u /* a sink's declarations, whose failure must not take the confirms along */
#define WIRE_CHANNEL_REPLY 2u   /* a source's replies, for the same reason */
#define WIRE_CHANNEL_SIGHT 3u   /* looks at queues; likewise */
#define WIRE_CHANNELS 3u

#define WIRE_REASON_MAX 400

struct wire {
	const struct xf_host *host;
	struct xf_endpoint *endpoint;
	struct settings settings;
	struct tls_context *tls_context; /* NULL: without TLS */
	char *name;                      /* as the broker shows the connection */
	bool pauses;                     /* its owner does not read at times; set before the first connect */

	uint8_t order[SETTINGS_SERVERS_MAX]; /* in which the servers are tried */
	uint32_t tried;                      /* of them, in this round */
	const struct settings_server *server; /* connected to, or tried last */
	char round[512];                      /* why the tries of this round failed */

	int fd; /* -1: not connected */
	struct tls *tls;
	uint32_t frame_max;
	uint32_t heartbeat_ms; /* as negotiated; 0: none */

	struct codec_buffer out;
	uint64_t sent; /* bytes that the kernel took on this connection */
	uint8_t *in;   /* WIRE_IN_SIZE bytes, of which in_start .. in_end are unread */
	size_t in_start;
	size_t in_end;
	uint64_t read_ms;  /* when something was last read, and written */
	uint64_t wrote_ms;

	bool failed;
	bool refused; /* wrong user, password or vhost: trying again soon helps nobody */
	bool blocked; /* the broker has a memory or disk alarm */
	char blocked_reason[WIRE_REASON_MAX];
	char error[WIRE_REASON_MAX];

	uint64_t connected_ms;
	uint64_t connect_at_ms; /* not before */
	uint32_t backoff_ms;
	uint64_t random;

	uint32_t state; /* as last reported */
	char reason[WIRE_REASON_MAX];
};

/* False with a reason; then wire_fini() is due all the same. Reads the files of `tls`. */
bool wire_init(struct wire *wire, const struct xf_host *host, struct xf_endpoint *endpoint,
               const struct xf_config *transport, const struct xf_endpoint_info *info, struct xf_error *error);
void wire_fini(struct wire *wire);

/* Connects to one server and logs in if its time has come; blocks up to the connect_timeout. Where the last of the
 * list fails, reports DOWN. */
bool wire_connect(struct wire *wire);

static inline bool
wire_connected(const struct wire *wire)
{
	return wire->fd >= 0;
}

/* Nothing can be read or written any more. The first reason stays. */
void wire_fail(struct wire *wire, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Closes without a word, reports DOWN with the reason of the failure, and sets the time of the next try. */
void wire_drop(struct wire *wire);

/* Says good-bye, so that the broker has read everything; waits for its answer for up to a second. */
void wire_close(struct wire *wire);

/* Sends what is there, as far as the socket takes it. */
void wire_flush(struct wire *wire);

/* Output that the socket did not take yet, in bytes. */
static inline size_t
wire_pending(const struct wire *wire)
{
	return wire->out.end - wire->out.start;
}

/* The position of the end of the output so far, to compare with sent. */
static inline uint64_t
wire_end(const struct wire *wire)
{
	return wire->sent + wire_pending(wire);
}

enum wire_news {
	WIRE_NOTHING, /* nothing was there, or the connection failed */
	WIRE_ALL,     /* read, and the socket is empty for now */
	WIRE_SOME,    /* read, and there may be more */
};

/* There is no room to read more before something is consumed. */
bool wire_full(const struct wire *wire);

/* The frame at BEHIND bytes after the unread start means nothing any more: it becomes a heartbeat. */
void wire_void(struct wire *wire, size_t behind);

/* Reads once. Moves what is unread: pointers into it die. */
enum wire_news wire_read(struct wire *wire);

/* The frame at BEHIND bytes after the unread start, not consumed. A malformed one fails the connection. */
enum codec_status wire_peek(struct wire *wire, size_t behind, struct codec_frame *frame);

static inline void
wire_consume(struct wire *wire, size_t size)
{
	wire->in_start += size;
}

/* The poll(2) events to wait for: input where READING, and what the output needs. */
uint32_t wire_events(const struct wire *wire, bool reading);

/* A frame of channel 0, which is the same for all: heartbeat, close, blocked. */
void wire_control(struct wire *wire, const struct codec_frame *frame);

/* Heartbeats both ways. READING: input is being read, so silence means something. Returns the
 * milliseconds until it wants to be called again. */
uint32_t wire_tick(struct wire *wire, uint64_t now, bool reading);

/* Reports a state if it is news; formatted like printf, "" for no reason. */
void wire_state(struct wire *wire, uint32_t state, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void wire_log(struct wire *wire, uint32_t level, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Tells what stands behind the endpoint, to a core that listens. */
void wire_sight(struct wire *wire, const struct xf_sight *sight);

/* BASE_MS give or take a quarter. */
uint32_t wire_jitter(struct wire *wire, uint32_t base_ms);

/* Has work() called again AT at the latest. */
static inline void
wire_call_at(struct xf_work *work, uint64_t now, uint64_t at)
{
	uint64_t wait = at > now ? at - now : 0;

	if (wait < work->timeout_ms)
		work->timeout_ms = (uint32_t)wait;
}

/* ---- For connect.c ------------------------------------------------------------- */

#define WIRE_FRAME_MAX 131072u /* of our own; the broker may want less */

void wire_blocked(struct wire *wire, struct xf_str reason);

#endif
