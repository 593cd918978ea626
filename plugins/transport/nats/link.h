/*
 * link.h - one connection to a NATS server, for one thread.
 *
 * The protocol is spoken here, over one buffer each way, plain or through TLS: nothing is queued behind our
 * back, so nothing can be replayed or reordered; no call blocks on a full socket; no other thread calls in; and a
 * message costs a tenth of what it costs through the client library's own publish and subscribe.
 *
 * A link that failed says so once (link_failed) and is closed and opened anew by its owner, who decides when; each
 * time it goes to the next server of its list. Each open is an epoch: inboxes carry a fresh name, and nothing of an
 * earlier one can arrive.
 *
 * Threads: all calls from the endpoint's own.
 */
#ifndef NATS_LINK_H
#define NATS_LINK_H

#include <stdbool.h>
#include <stddef.h>

#include <crossfade/transport.h>

#include "servers.h"
#include "settings.h"

#define LINK_IN_SIZE (256u * 1024u)
#define LINK_OUT_SIZE (256u * 1024u)

/* Payloads from here on get memory of their own, which can be handed on without a copy. */
#define LINK_LARGE 4096u

/* Subscriptions: answers to requests and confirmations come to INBOX.TOKEN, the rest is the owner's. */
#define LINK_SID_INBOX 1u
#define LINK_SID_FIRST 10u

#define LINK_NAME_SIZE 40u

struct link_message {
	struct xf_str subject;
	struct xf_str reply;
	struct xf_str headers; /* the lines after the first, each with CR LF; empty: none */
	struct xf_str payload;
	uint32_t sid;
	uint32_t status;   /* of a message of the server's own: 503, 408, ...; 0: an ordinary one */
	struct xf_str status_text;
	void *owned; /* memory of its own that all this stands in, freed by the link unless taken; or NULL */
};

enum link_event {
	LINK_NOTHING, /* read more */
	LINK_MESSAGE,
	LINK_PONG,
	LINK_REFUSAL, /* a permission: see link->refusal */
};

struct tls;
struct tls_context;

struct link {
	const struct settings *settings;
	char *name;
	struct servers servers;
	struct tls_context *tls_context; /* NULL: no TLS is asked for */
	struct tls *tls;                 /* of this connection; NULL: plain */
	int fd;
	bool failed;
	bool greeting;    /* not let in yet */
	char reason[384]; /* why it failed */
	char round[480];  /* why one server after the other failed */
	char refusal[512];
	char refused_subject[1100]; /* what it is about; "": that is not said */
	bool refused;               /* the servers do not let us in as who we are */
	uint32_t refusals;          /* by so many of this round */
	char inbox[LINK_NAME_SIZE]; /* "_INBOX.NAME." */
	size_t inbox_len;
	char server[128]; /* whom we are connected to */
	char server_id[80]; /* as it calls itself since its start; "" where that is unknown */
	unsigned setups;    /* walks (setup.h) that were begun on this connection */
	int64_t max_payload;

	char *in;
	size_t in_at, in_end;
	/* A large message that is being read: header line parsed, bytes still missing. */
	char *large;
	size_t large_len, large_size;
	struct link_message pending;
	bool have_pending;
	void *lent; /* memory of the message returned last */
	size_t header_len;

	char *out;
	size_t out_at, out_end, out_size;
	uint64_t out_base; /* position in the stream of bytes of out[0] */

	uint64_t asked_ms; /* when the first ping went of those that are not answered */
	uint64_t heard_ms;
	uint64_t wrote_ms; /* when the socket last took something */
	uint64_t pings, pongs;
};

/* Reads the files that TLS needs. False with a reason. */
bool link_init(struct link *link, const struct settings *settings, const struct xf_config *transport,
               struct xf_str name, struct xf_error *error);
void link_fini(struct link *link);

enum link_opened {
	LINK_OPENED,
	LINK_TRY_NEXT,  /* there are servers that were not tried since the last success, or the last NONE_LEFT */
	LINK_NONE_LEFT, /* see round */
};

/* Tries one server. Blocks for as long as connect_timeout, and for the resolver. */
enum link_opened link_open(struct link *link);
void link_close(struct link *link);

static inline bool
link_is_open(const struct link *link)
{
	return link->fd >= 0;
}

/* A name below which nobody else has anything: "_INBOX.NAME.". */
void link_name(char out[LINK_NAME_SIZE]);

/* Marks it as lost; the first reason stays. */
void link_fail(struct link *link, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---- In ---- */

/* Reads once. What link_next() gave before is gone. Returns whether there may be more to read. */
bool link_read(struct link *link);

/* The next thing that was read. Strings of a message are valid until link_read(); its owned memory until
 * the next call, unless taken. */
enum link_event link_next(struct link *link, struct link_message *message);

/* Takes the owned memory of the message that link_next() gave last; free() it. */
void link_take(struct link *link);

/* What the server says of itself, in its greeting and later. */
void link_info(struct link *link, struct xf_str info);

/* Whether there is something to read that poll() does not show. */
bool link_buffered(const struct link *link);

/* The events to poll for where EVENTS are wanted. */
uint32_t link_events(const struct link *link, uint32_t events);

/* The next header line of a message; CURSOR starts as its headers. */
bool link_header(struct xf_str *cursor, struct xf_header *header);

/* ---- Out ---- */

/* Room for SIZE bytes at the end of what is to be sent; link_put() says where the writing ended. */
char *link_room(struct link *link, size_t size);

static inline void
link_put(struct link *link, const char *end)
{
	link->out_end = (size_t)(end - link->out);
}

void link_printf(struct link *link, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Publishes; reply may be empty. */
void link_publish(struct link *link, struct xf_str subject, struct xf_str reply, const void *payload,
                  size_t size);

/* Sends what the socket takes. False: some is left, poll for POLLOUT (or it failed). */
bool link_flush(struct link *link);

static inline size_t
link_unsent(const struct link *link)
{
	return link->out_end - link->out_at;
}

/* Positions in the stream of bytes: of what will be written next, and up to where the kernel has it. */
static inline uint64_t
link_position(const struct link *link)
{
	return link->out_base + link->out_end;
}

static inline uint64_t
link_sent_position(const struct link *link)
{
	return link->out_base + link->out_at;
}

/* Asks; returns the number of the PONG that will answer. */
uint64_t link_ping(struct link *link);

/* Keeps the connection honest: asks where it is silent, fails it where answers are missing. Returns the milliseconds until
 * it wants to be called again. */
uint32_t link_tick(struct link *link, uint64_t now);

/* Decimal digits of VALUE at OUT; returns their end. */
char *put_number(char *out, uint64_t value);

/* ---- Backoff ---- */

struct backoff {
	uint32_t step;
	uint64_t until_ms;
};

/* From 100 ms to 1.5 s, doubling, with jitter: who returns is found within two seconds. REFUSED: only a person can mend it,
 * from 5 to 10 s. */
void backoff_next(struct backoff *backoff, bool refused, uint64_t now);

static inline uint32_t
backoff_left(const struct backoff *backoff, uint64_t now)
{
	return now < backoff->until_ms ? (uint32_t)(backoff->until_ms - now) : 0;
}

uint32_t random_below(uint32_t bound);

#endif
