/*
 * broker.h - the embedded broker: what the endpoints of one transport share.
 *
 * A sink publishes messages; each lands in the queue of every subscription whose pattern it matches. A source takes
 * from the queue of its subscription, and settles. Sources of one group and pattern share a queue.
 *
 * Bounds: messages_max places in queues (a message in two queues has two) and bytes_max bytes of segments.
 * When either is reached publishing takes no more, until something is settled.
 *
 * With a file (keeper.h) a message is on disk before it is in a queue, and only then confirmed. Without one
 * nothing of that is touched.
 *
 * Threads: every function from any; one lock, held for a batch. wake() is called with it held, so that nobody is
 * woken after it has stopped.
 */
#ifndef LOCAL_BROKER_H
#define LOCAL_BROKER_H

#include <pthread.h>

#include "subjects.h"

#include "dedup.h"
#include "queue.h"
#include "store.h"

#define BROKER_BATCH 128
#define BROKER_SIGHT_MS 2000

struct keeper;

/* What a transport's settings say. */
struct broker_settings {
	uint64_t messages_max;
	uint64_t bytes_max;
	uint64_t max_age_ms; /* 0: messages do not grow old */
	uint32_t dedup_window;
	struct xf_str file; /* empty: nothing is kept on disk */
	const struct xf_value *forget; /* groups whose subscriptions are not to be remembered any longer */
};

struct broker {
	const struct xf_host *host;
	struct broker_settings settings;
	uint64_t born; /* wall clock; sets the ids that it makes apart from those of other runs */
	struct keeper *keeper; /* NULL: no file */
	pthread_mutex_t lock;
	/* the rest is guarded by lock */
	struct store store;
	struct dedup dedup;
	struct subjects *index; /* of the queues by pattern */
	struct queue *queues;
	void **matches; /* room for as many as there are queues: of the message being admitted */
	struct producer *producers;
	unsigned producers_waiting;
	bool mortal;       /* some message may have been born with a death */
	uint64_t swept_ms; /* when queues were last looked through for dead ones */
	uint64_t messages; /* places in queues, handed out ones and those on their way to the disk included */
	uint64_t sequence;
	uint64_t published, delivered, settled, retried, rejected, overdue, expired, duplicates, no_receiver;
};

/* A sink, or what a source replies by. Its fields belong to its thread but where said otherwise. */
struct producer {
	struct broker *broker;
	struct xf_endpoint *endpoint; /* NULL: nobody is told what became of its messages */
	struct producer *next; /* lock */
	bool running;          /* lock: may be woken */
	bool waiting;          /* lock: for room */
	uint64_t out;          /* lock: messages on their way to the disk */
	struct segment *open;
	uint32_t room;  /* what is left of what the last producer_room() said */
	uint64_t needs; /* bytes that publishing lacked; 0: nothing */
	struct record *records[BROKER_BATCH];
	struct dedup_key keys[BROKER_BATCH];
	struct xf_result results[BROKER_BATCH];
};

/* A source. Likewise. */
struct member {
	struct broker *broker;
	struct queue *queue;
	struct xf_endpoint *endpoint;
	uint32_t ack_wait_ms;    /* 0: what it was handed stays its own */
	struct member *next;     /* lock; of the queue */
	bool running;            /* lock: may be woken */
	bool waiting;            /* lock: for messages */
	struct ring out;         /* what it was handed; a handle is a position */
	uint64_t *deadlines;     /* of those, where ack_wait_ms is set; deadline_count places, as many as of `out` */
	uint64_t deadline_count;
};

/* NULL with a reason. */
struct broker *broker_create(const struct xf_host *host, const struct broker_settings *settings, struct xf_error *error);
void broker_destroy(struct broker **broker);
uint32_t broker_report(struct broker *broker, char *out, uint32_t size);

/* Why nothing can be kept on disk just now, in TEXT; false: it can, or nothing is to be. */
bool broker_blocked(struct broker *broker, char *text, size_t size);

/* What stands behind a sink that publishes where PATTERN says; behind a source. */
struct xf_sight broker_sight(struct broker *broker, struct xf_str pattern);
struct xf_sight member_sight(struct member *member);

/* PRODUCER is zeroed storage of the caller's. */
void producer_init(struct producer *producer, struct broker *broker, struct xf_endpoint *endpoint);
void producer_fini(struct producer *producer);
void producer_start(struct producer *producer);

/* Returns once nothing of it is on its way to the disk. */
void producer_stop(struct producer *producer);

/* How many messages would be taken now. 0: wake() comes once there is room. */
uint32_t producer_room(struct producer *producer);

/* As publish() of a sink. Fewer than COUNT: wake() comes once there is room. */
uint32_t producer_publish(struct producer *producer, const struct xf_outgoing *messages, uint32_t stride,
                          uint32_t count);

/* MEMBER is zeroed storage. Subscribes: what is published from now on is kept for it. DURABLE: a broker with a file
 * remembers the subscription while nobody has it. False: no memory. */
bool member_init(struct member *member, struct broker *broker, struct xf_endpoint *endpoint, struct xf_str group,
                 struct xf_str pattern, bool durable);
void member_fini(struct member *member);
void member_start(struct member *member);

/* What is unsettled goes back to its queue. */
void member_stop(struct member *member);

/*
 * Takes up to COUNT (at most BROKER_BATCH) messages of up to BYTES of payload into member->out, from position
 * *at on, and returns how many. With ALONE the first may be larger. 0: there is nothing now; wake() comes once
 * there is, except for what is due in *due_in_ms (UINT32_MAX: nothing; 0: its size is in the way).
 */
uint32_t member_take(struct member *member, uint32_t count, uint64_t bytes, bool alone, uint64_t *at,
                     uint32_t *due_in_ms);

/* The last COUNT of those taken were not wanted after all; they go back as if they had never been out. */
void member_untake(struct member *member, uint32_t count);

/* True: nothing is left of the subscription, waiting or handed out. */
bool member_settle(struct member *member, const struct xf_settlement *settlements, uint32_t count);

/* ---- Among the broker's own files ------------------------------------------------------ */

/* The subscription of a group and pattern, which is made if need be; NULL: no memory. */
struct queue *broker_queue_locked(struct broker *broker, struct xf_str group, struct xf_str pattern, bool durable);

/* Takes a subscription away, with all that waits in it; nobody is a member of it. */
void broker_queue_remove_locked(struct broker *broker, struct queue *queue);

/* One place of a message is given up: settled, dropped, or of a subscription that goes. */
void broker_place_drop_locked(struct broker *broker, const struct queue *queue, struct record *record);

/* Whether a subscription ends: nobody is a member of it, and nothing waits for the next. */
bool broker_queue_is_over_locked(const struct broker *broker, const struct queue *queue);

/* Drops what has died from the front of a queue. */
void broker_bury_locked(struct broker *broker, struct queue *queue, uint64_t now_ms);

void broker_wake_members_locked(struct broker *broker, const struct queue *queue);
void broker_wake_producers_locked(struct broker *broker);
void producer_complete(const struct producer *producer, const struct xf_result *results, uint32_t count);

/* A message that came at NOW_MS is as old as AGE_MS: when it dies. */
void broker_record_age(struct broker *broker, struct record *record, uint64_t now_ms, uint64_t age_ms);

/* The queues that RECORD is for, in broker->matches; BEFORE (or NULL) had MATCHES of them. */
size_t broker_match_locked(struct broker *broker, const struct record *record, const struct record *before,
                           size_t matches);

static inline struct entry
entry_of(struct record *record)
{
	return (struct entry){record, record->payload_size, 0, record->dies_ms > 0};
}

#endif
