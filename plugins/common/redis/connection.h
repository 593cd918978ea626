/*
 * connection.h - one socket to Redis: finding the server, connecting, greeting, buffers, and dying.
 *
 * The owner (a sink or a source) calls conn_work() in its work(), then reads and writes while the phase is
 * READY. A connection that failed is back in WAITING, closed, with a reason, and tries again by itself when
 * its backoff is over; what was under way on it is the owner's to answer for. Nothing here blocks, except the
 * look-up of a host name.
 *
 * Of several servers each is tried once, then comes the backoff. With sentinels a first socket asks one of them for
 * the master, a second goes there, and another connection (watch.h) sees to it that it stays the master.
 *
 * Threads: [io] of its endpoint only.
 */
#ifndef REDIS_CONNECTION_H
#define REDIS_CONNECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/un.h>

#include <hiredis/hiredis.h>

#include "resp.h"
#include "settings.h"
#include "tls.h"

enum conn_phase {
	CONN_WAITING,    /* closed; connects at retry_at */
	CONN_CONNECTING, /* the handshake of TCP is under way */
	CONN_SECURING,   /* that of TLS */
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
	struct tls_context *tls_context; /* NULL: no TLS */
	char name[96];                   /* shown by CLIENT LIST */

	/* which server */
	bool wants_master;          /* a replica will not do */
	uint8_t order[SERVERS_MAX]; /* of this round */
	uint32_t tried;             /* of the round, and failed */
	bool patient;               /* one of them refused: only a person can mend it */
	bool found;                 /* a sentinel said where the master is */
	struct server master;
	bool to_stay;               /* with the sentinel: this is a watch's connection */
	struct watch *watch;        /* NULL: there are no sentinels, or this is itself one's connection */
	uint32_t reason_of;         /* whose the reason is, as an index; the lowest of the round */

	int fd; /* -1 in WAITING */
	struct tls *tls;
	enum conn_phase phase;
	bool blocked; /* WAITING, and not since the server is away: BLOCKED, not DOWN */
	struct addrinfo *addresses; /* of the look-up under way */
	struct addrinfo *address;   /* to be tried next */
	struct sockaddr_un path;
	char who[288];              /* the server, for people */
	uint64_t began_at;          /* of connecting; then of READY */
	uint64_t retry_at;
	uint32_t backoff_ms;
	bool failing; /* a write failed: what can still be read is read, then it is lost */
	unsigned greetings; /* replies still due, as bits (greeting.c) */

	struct conn_buffer in;
	struct conn_buffer out;
	size_t in_size;         /* what in has when nothing large passes through */
	uint64_t queued;        /* bytes put into out since it connected */
	uint64_t written;       /* of these, taken by the kernel */
	uint64_t heard_at;      /* bytes came in */
	uint64_t wrote_at;      /* bytes went out */
	uint64_t pinged_at;     /* a PING without answer so far; 0: none */
	struct resp_scan scan;
	redisReader *reader;

	uint64_t seed;
	char reason[320]; /* why it is not READY */

	/* the last state that was told, so that it is told once */
	bool was_ready; /* and its end has not been told */
	bool told;
	uint32_t told_state;
	char told_reason[400];
};

/* No network. -1 with a reason (a certificate's file, memory). Afterwards conn_fini() in any case. */
int conn_init(struct conn *conn, const struct xf_host *host, struct xf_endpoint *endpoint,
              const struct settings *settings, const struct xf_endpoint_info *info, size_t in_size,
              struct xf_error *error);
void conn_fini(struct conn *conn);

/* Connects, greets, flushes. READY events are those of the loop. Look at conn->phase afterwards. */
void conn_work(struct conn *conn, uint32_t ready, uint64_t now);

/* Reads once into conn->in. Bytes that came; 0: none now; -1: it was lost, unread input is still in conn->in.
 * What fills less than there was room for was all there is. */
ssize_t conn_read(struct conn *conn, uint64_t now);

/* Whether reading is worth a try, READY being what poll() told. */
static inline bool
conn_readable(const struct conn *conn, uint32_t ready)
{
	return ready != 0 || (conn->tls != NULL && tls_pending(conn->tls) > 0);
}

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

/* The same where the server works, but something at it must be mended: the state to tell is BLOCKED. */
void conn_blocked(struct conn *conn, uint64_t now, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Closes for good. */
void conn_close(struct conn *conn);

/* Fills in fd, events and the time until conn_work() has to be called again. READING false: the owner takes
 * nothing that comes, for now. */
void conn_wait(const struct conn *conn, struct xf_work *work, bool reading, uint64_t now);

/* Lowers the timeout of WORK to what is left until AT. */
static inline void
work_until(struct xf_work *work, uint64_t at, uint64_t now)
{
	uint64_t left = at > now ? at - now : 0;

	if (left < work->timeout_ms)
		work->timeout_ms = (uint32_t)left;
}

/* Tells the endpoint's state where it is another than the last. REASON may be NULL. */
void conn_tell(struct conn *conn, uint32_t state, const char *reason);

/* Tells DOWN or BLOCKED, with the reason: when it was READY, and once all servers of a round have failed. */
void conn_tell_waiting(struct conn *conn);

/* A reply of an error, cut to its first line and to a length for people. */
void reason_from_reply(char *out, size_t size, const char *text, size_t len);

#endif
