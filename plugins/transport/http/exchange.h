/*
 * exchange.h - where the requests of a listener meet the routes that want them.
 *
 * A call is one HTTP request: one message, or a batch of them, or one that waits for a reply. Submitted, each of its
 * messages goes to every route whose source's pattern it matches, once per route, and the call is done when all of
 * them have settled all of it, when its time is over, or when its reply is there. What is done stands in a list that
 * the listener's thread takes.
 *
 * Several sources of one route (over a reload the old and the new one) count as one: the newest that runs gets the
 * message, or else the one that is about to; what an ended one had not emitted yet goes there too. A route whose only
 * source has ended makes its messages unavailable, not unknown: their publisher is to come again.
 *
 * Threads: one lock, held for a batch, guards what is marked so. The rest of a call belongs to whoever made it
 * until it is submitted, and again once it came out of exchange_done_take(). A source is woken with the lock held, so
 * never after it has stopped.
 */
#ifndef HTTP_EXCHANGE_H
#define HTTP_EXCHANGE_H

#include <pthread.h>
#include <stdatomic.h>

#include "settings.h"
#include "subjects.h"
#include "words.h"

#define EXCHANGE_BUCKETS 1024u

struct exchange;
struct source;

/* A message on its way to one route. */
struct delivery {
	struct item *item;
	/* lock */
	struct source *source; /* NULL: settled, or given up */
	struct delivery *prev, *next; /* in the queue of the source */
	bool out;                     /* emitted */
	uint32_t attempt;
	uint64_t due_ms; /* not to be emitted before */
};

/* A message. */
struct item {
	struct call *call;
	struct item *next;
	uint32_t line; /* in a batch, from 1 */
	struct xf_str subject, id, key, reply, content_type, payload;
	const struct xf_header *headers;
	uint32_t header_count;
	int64_t time_ms;
	/* lock, then whoever has the call when it is done */
	struct delivery *deliveries;
	uint32_t delivery_count;
	uint32_t open;    /* deliveries that are not settled */
	bool unknown;     /* no route wants its subject */
	bool refused;     /* by a route, for good */
	unsigned status;  /* then: what it said of it, and in why, on the heap; 0: nothing */
	char *why;
	bool unavailable; /* not accepted in time */
	bool under_way;   /* and yet it may be, later: a route has it */
};

enum call_kind { CALL_PUBLISH, CALL_BATCH, CALL_REQUEST };

struct call {
	struct exchange *exchange;
	atomic_uint refs; /* the maker's, and one of each delivery that is not settled */
	enum call_kind kind;
	void *owner; /* of the listener; means nothing here */
	struct arena arena;
	char *body; /* what payloads point into */
	size_t body_len, body_size;
	uint64_t charged; /* bytes of it that count against max_bytes */
	struct item *items, **items_end;
	uint32_t item_count;
	uint64_t deadline_ms;
	char reply_id[WORDS_ID_SIZE];
	/* lock */
	struct call *prev, *next; /* waiting, or done */
	struct call *bucket_next;
	bool submitted, done, pending;
	uint32_t open; /* items with open deliveries */
	bool replied;
	bool overfull; /* a reply came, and there was no room for it */
	/* the reply, of whoever took it out of the pending ones; the listener's once it is done and replied is set */
	struct arena reply_arena;
	uint32_t reply_status;   /* 0: it is one; else it says by HTTP's number that there is none */
	uint32_t reply_delay_ms; /* then: asking sooner is of no use */
	struct xf_str reply, reply_type, reply_message_id;
	const struct xf_header *reply_headers;
	uint32_t reply_header_count;
};

struct exchange_numbers {
	uint64_t published, accepted, refused, unavailable, requests, replies, late_replies, timeouts, late_settlements;
};

struct exchange {
	const struct xf_host *host;
	const struct settings *settings;
	int bell; /* readable when something is done; the listener's to empty */
	_Atomic uint64_t bytes;
	pthread_mutex_t lock;
	/* the rest is guarded by lock */
	char reply_prefix[256]; /* "": nobody said what the server's name is */
	struct source *sources; /* newest first */
	uint64_t source_count;  /* ever added */
	struct subjects *index; /* of the sources by pattern */
	void **matches;         /* room for as many as there are sources: of the message being submitted */
	uint64_t submitted;     /* messages, ever */
	struct call *waiting;
	uint64_t waiting_count;
	struct call *done;
	struct call *pending[EXCHANGE_BUCKETS];
	unsigned repliers; /* sources that can reply, and sinks that bring replies */
	uint64_t next_deadline_ms; /* no call that waits ends before */
	struct exchange_numbers numbers;
};

enum source_stage { SOURCE_NEW, SOURCE_LIVE, SOURCE_ENDED };

/* The sources of one route. */
struct route {
	struct source *sources; /* newest first */
	uint64_t message;       /* the number of the last that matched */
	struct source *chosen;  /* to get it */
};

/* A source, as the exchange sees it. */
struct source {
	struct exchange *exchange;
	struct xf_endpoint *endpoint;
	struct xf_str pattern, route_name;
	/* lock */
	struct source *next, *previous;
	uint64_t number; /* the newer, the higher */
	struct route *route;
	struct source *route_next;
	enum source_stage stage;
	bool waiting; /* is to be woken when there is one */
	struct delivery *first, *last;
};

/* False: no memory or descriptors. */
bool exchange_init(struct exchange *exchange, const struct xf_host *host, const struct settings *settings);
void exchange_fini(struct exchange *exchange);

/* ---- Calls: the listener's thread ------------------------------------------------------- */

struct call *call_create(struct exchange *exchange, enum call_kind kind);
void call_drop(struct call **call);

/* More bytes of the call count; false: there would be too many. Everything counted is given back with the call. */
bool call_charge(struct call *call, uint64_t bytes);

/* Adds a message; NULL: no memory. */
struct item *call_item(struct call *call);

enum submit {
	SUBMIT_WAITS,       /* it will come out of exchange_done_take() */
	SUBMIT_DONE,        /* there is nothing to wait for: what became of each item stands in it */
	SUBMIT_NO_REPLIES,  /* a request, and no route brings replies */
};

/* Hands the messages to their routes; the call waits until deadline_ms at the longest. */
enum submit exchange_submit(struct exchange *exchange, struct call *call);

/* Ends what is over; returns in how many milliseconds to look again. */
uint32_t exchange_expire(struct exchange *exchange, uint64_t now);

/* Calls that are done, by their next, or NULL. */
struct call *exchange_done_take(struct exchange *exchange);

/* Ends every call that waits. */
void exchange_abandon(struct exchange *exchange);

/* Whether a source takes messages, or will. */
bool exchange_is_open(struct exchange *exchange);

/* ---- Sources: their own threads ----------------------------------------------------------- */

/* Adds a new source. False: no memory. [control] */
bool exchange_add(struct exchange *exchange, struct source *source);
void exchange_remove(struct exchange *exchange, struct source *source);

/* From now on it takes messages; it takes no more. */
void source_begin(struct source *source);
void source_end(struct source *source);

/* Up to COUNT messages of at most BYTES of payload, but one in any case; each is out until it is settled. 0: there
 * is none; wake() comes once there is, except for what is due in *due_in_ms (0: nothing). */
uint32_t source_take(struct source *source, struct delivery **out, uint32_t count, uint64_t bytes, uint32_t *due_in_ms);

/* Back to the front: they were not emitted. */
void source_untake(struct source *source, struct delivery **out, uint32_t count);

/* OUTCOMES are XF_SETTLE_ACK, _RETRY or _REJECT, delays stand beside them. */
struct verdict {
	struct delivery *delivery;
	uint32_t outcome;
	uint32_t delay_ms;
};
void source_settle(struct source *source, const struct verdict *verdicts, uint32_t count);

/* It has ended: these will not be settled. */
void source_give_up(struct source *source, struct delivery *const *out, uint32_t count);

/* ---- Replies --------------------------------------------------------------------------------- */

/* [control] Counts those who bring replies; SERVER makes the prefix where no option gives it. */
void exchange_repliers(struct exchange *exchange, int change);
void exchange_name(struct exchange *exchange, struct xf_str server);

/* True: a request had waited for it. */
bool exchange_reply(struct exchange *exchange, const struct xf_outgoing *message);
/* To the request that DELIVERY, which is out, is of; of a message that is none only a failure is told, as a refusal. */
void exchange_reply_to(struct exchange *exchange, const struct delivery *delivery, const struct xf_reply *reply);

#endif
