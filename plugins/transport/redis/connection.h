/*
 * connection.h - one socket to Redis: connecting, greeting, buffers, and dying.
 *
 * The owner (a sink or a source) calls conn_work() in its work(), then reads and writes while the phase is
 * READY. A connection that failed is back in WAITING, closed, with a reason, and tries again by itself when
 * its backoff is over; what was under way on it is the owner's to answer for. Nothing here blocks, except the
 * look-up of a host name.
 *
 * Threads: [io] of its endpoint only.
 */
#ifndef REDIS_CONNECTION_H
#define REDIS_CONNECTION_H

#include <stdbool.h>
#include <stddef.h>

#include <hiredis/hiredis.h>

#include "resp.h"
#include "settings.h"

enum conn_phase {
	CONN_WAITING,    /* closed; connects at retry_at */
	CONN_CONNECTING, /* the handshake of TCP is under way */
	CONN_GREETING,   /* AUTH, SELECT and so on are sent, not all answered */
	CONN_READY,
};

/* Bytes at [pos, len) of size. */
struct conn_buffer {
	char *data;
	size_t pos;
	size_t len;
	size_t size;
};

struct conn {
	const struct xf_host *host;
	struct xf_endpoint *endpoint;
	struct settings settings;
	char name[96]; /* shown by CLIENT LIST */

	int fd; /* -1 in WAITING */
	enum conn_phase phase;
	struct addrinfo *addresses; /* of the look-up under way */
	struct addrinfo *address;   /* to be tried next */
	uint64_t began_at;          /* of connecting; then of READY */
	uint64_t retry_at;
	uint32_t backoff_ms;
	bool failing; /* a write failed: what can still be read is read, then it is lost */
	unsigned greetings; /* replies still due, as bits GREET_* */

	struct conn_buffer in;
	struct conn_buffer out;
	size_t in_size;         /* what in has when nothing large passes through */
	uint64_t queued;        /* bytes put into out since it connected */
	uint64_t written;       /* of these, taken by the kernel */
	uint64_t heard_at;      /* bytes came in, or went out */
	uint64_t pinged_at;     /* a PING without answer so far; 0: none */
	struct resp_scan scan;
	redisReader *reader;

	uint64_t seed;
	char reason[256]; /* why it is not READY */
};

/* No network. -1 where memory is short. */
int conn_init(struct conn *conn, const struct xf_host *host, struct xf_endpoint *endpoint,
              const struct settings *settings, const struct xf_endpoint_info *info, size_t in_size);
void conn_fini(struct conn *conn);

/* Connects, greets, flushes. READY events are those of the loop. Look at conn->phase afterwards. */
void conn_work(struct conn *conn, uint32_t ready, uint64_t now);

/* Reads once into conn->in. Bytes that came; 0: none now; -1: it was lost, unread input is still in conn->in. */
ssize_t conn_read(struct conn *conn, uint64_t now);

/* Tells that the reply at hand needs NEED bytes from in.pos on. False: more than is allowed, and it is lost. */
bool conn_need(struct conn *conn, size_t need, uint64_t now);

/* N bytes at in.pos are done with. */
static inline void
conn_consume(struct conn *conn, size_t n)
{
	conn->in.pos += n;
}

/* The next whole reply, by hiredis; the caller frees it. NULL: not there yet, or malformed, and then it is lost. */
redisReply *conn_reply(struct conn *conn, uint64_t now);

/* Room for SIZE bytes at the end of out: where to write. NULL: no memory. */
char *conn_reserve(struct conn *conn, size_t size);

/* What was written in that room ends at END. */
static inline void
conn_commit(struct conn *conn, const char *end)
{
	size_t len = (size_t)(end - conn->out.data);

	conn->queued += len - conn->out.len;
	conn->out.len = len;
}

static inline size_t
conn_unwritten(const struct conn *conn)
{
	return conn->out.len - conn->out.pos;
}

/* Puts a control command into out. False: no memory, and it is lost. */
bool conn_command(struct conn *conn, int count, const char *const *words, const size_t *lens, uint64_t now);

/* Writes what the kernel takes now. A failure shows at the next conn_work(). */
void conn_flush(struct conn *conn, uint64_t now);

/* Loses it where a write failed; called when all that could be read has been. */
void conn_settle(struct conn *conn, uint64_t now);

/* Sends a PING when it was silent for long; loses it when a PING went unanswered. */
void conn_heartbeat(struct conn *conn, uint64_t now);

/* Closes it; the next attempt comes after the backoff. Unread input stays until then. */
void conn_lose(struct conn *conn, uint64_t now, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* The same where only a person can mend it (password, permission): the next attempt comes much later. */
void conn_refused(struct conn *conn, uint64_t now, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Closes for good. */
void conn_close(struct conn *conn);

/* Fills in fd, events and the time until conn_work() has to be called again. */
void conn_wait(const struct conn *conn, struct xf_work *work, uint64_t now);

/* Lowers the timeout of WORK to what is left until AT. */
static inline void
work_until(struct xf_work *work, uint64_t at, uint64_t now)
{
	uint64_t left = at > now ? at - now : 0;

	if (left < work->timeout_ms)
		work->timeout_ms = (uint32_t)left;
}

/* The last known state of an endpoint, so that it is told once. */
struct state_memory {
	uint32_t state;
	bool told;
	char reason[320];
};

void state_tell(struct state_memory *memory, const struct conn *conn, uint32_t state, const char *reason);

/* A reply of an error, cut to its first line and to a length for people. */
void reason_from_reply(char *out, size_t size, const char *text, size_t len);

#endif
