/*
 * transport.h - what a transport plugin implements.
 *
 * A transport is the settings of a broker under a name, and whatever its endpoints
 * share. An endpoint is one source or one sink on it: an instance with a connection
 * and a thread of its own. Life of an instance:
 *
 *   create [control] -> start [io] -> ( work | publish | settle [io] )* -> stop [io] -> destroy [control]
 *
 * The thread belongs to the core and runs one loop: it calls work(), which does what
 * can be done at once and says what to wait for (a descriptor, a time, a wake()); hands
 * over what has gathered with publish() or settle(); and waits. No call may block for
 * longer than it takes to do its work, except that work() may block while connecting,
 * for at most five seconds. A broker that is away is no error: the instance reports DOWN
 * and keeps trying, with a backoff that grows and has jitter, for ever.
 */
#ifndef CROSSFADE_TRANSPORT_H
#define CROSSFADE_TRANSPORT_H

#include <crossfade/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Messages in -------------------------------------------------------------- */

#define XF_MESSAGE_REDELIVERED 0x1u /* the broker says that it offered it before */
#define XF_MESSAGE_REPLY 0x2u       /* what a handler made (handler.h): goes back to whoever asked, not to the destination */
#define XF_MESSAGE_TELL 0x4u        /* of a source with REPLIES: whoever sent it waits for no reply, but is to be told by one that it failed */

/*
 * One message that a source hands in. Empty strings mean "none".
 * The core checks subject, header names and values, and sizes; what no broker could
 * carry is refused there, with a reason, and settled. Nothing is asked of the plugin.
 */
struct xf_incoming {
	uint64_t handle; /* the plugin's own name for it in settle(); unique while unsettled */
	struct xf_str subject;
	struct xf_str id;  /* the broker's or publisher's message id */
	struct xf_str key; /* the broker's own notion of a key */
	struct xf_str reply;
	struct xf_str content_type;
	const void *payload;
	uint64_t payload_size;
	const struct xf_header *headers;
	uint32_t header_count;
	uint32_t flags;   /* XF_MESSAGE_* */
	int64_t time_ms;  /* when the publisher or broker got it, wall clock; 0: unknown */
	uint64_t ttl_ms;  /* what is left of its life; 0: unlimited */
	uint32_t attempt; /* how often the broker offered it, 1 at first; 0: unknown */
	uint32_t priority; /* 0: none, else 1 + the broker's number */
	/* NULL: the payload is copied. Else it stays valid until the core has called this, once,
	 * from any thread, perhaps before emit() returns; it must not block, nor take a lock of a
	 * client library, nor call the host. */
	void (*release)(void *context);
	void *release_context;
};

enum {
	XF_SETTLE_ACK = 1,    /* done */
	XF_SETTLE_RETRY = 2,  /* offer it again, not before delay_ms */
	XF_SETTLE_REJECT = 3, /* never again; it is kept elsewhere */
	XF_SETTLE_EXTEND = 4, /* still at it: do not offer it to anybody else. Not final. */
};

/* Frozen. */
struct xf_settlement {
	uint64_t handle;
	uint32_t outcome; /* XF_SETTLE_* */
	uint32_t delay_ms;
};

/*
 * The reply to a message that was emitted and is not settled. Of a failure, message is what to send to somebody who sees nothing but
 * messages: {"error": REASON} as application/json, with the headers Crossfade-Status and Crossfade-Error. Strings, headers and payloads are
 * valid for the call only; both messages come without handle and release.
 */
struct xf_reply {
	uint64_t handle;                   /* of the request */
	const struct xf_incoming *request; /* as it was emitted */
	const struct xf_incoming *message; /* payload, content type, headers, and an id that the same work has again; no subject */
	uint32_t message_size;             /* of the core's struct xf_incoming, for both; as in struct xf_task */
	uint32_t status;                   /* 0: it is a reply; else a failure, by HTTP's numbers: 400, 404, 429, 500, 503, 504, ... */
	uint32_t delay_ms;                 /* of a failure: asking sooner is of no use; 0: unknown */
	uint32_t reserved;
	struct xf_str reason;              /* of a failure, for a person */
};

/* ---- Messages out --------------------------------------------------------------- */

#define XF_OUTGOING_COPY 0x1u  /* a mirror copy */
#define XF_OUTGOING_RETRY 0x2u /* was offered before; its outcome then may be unknown */

/*
 * One message to publish. The structure lives for the call only; what it points to (strings, headers,
 * payload) stays valid and unchanged until its token is completed.
 * headers are complete: crossfade's own are among them where the sink has the trait HEADERS.
 */
struct xf_outgoing {
	uint64_t token;
	struct xf_str subject; /* resolved from the sink's template */
	struct xf_str id;       /* Crossfade-Id */
	struct xf_str dedup_id; /* for the broker's de-duplication: the id, ID/copy, or with the subject behind it */
	struct xf_str key;      /* may be empty */
	struct xf_str reply;
	struct xf_str content_type;
	const void *payload;
	uint64_t payload_size;
	const struct xf_header *headers;
	uint32_t header_count;
	uint32_t flags; /* XF_OUTGOING_* */
	int64_t time_ms;
	uint64_t ttl_ms;
	uint32_t priority; /* as in xf_incoming */
	uint32_t reserved;
	/* Not 0: a request, whose reply is awaited, and is to be handed to struct xf_host.replied under this number. reply is what reply_to() said
	 * of it. The same request may be published again. */
	uint64_t request;
};

/*
 * What became of a published message. UNKNOWN and NOT_SENT differ: only the first
 * may be stored already.
 */
enum {
	XF_RESULT_STORED = 1,   /* the broker took responsibility */
	XF_RESULT_UNKNOWN = 2,  /* sent, then a time-out or a lost connection */
	XF_RESULT_NOT_SENT = 3, /* certainly not stored; may work later (a missing queue or stream too) */
	XF_RESULT_REJECTED = 4, /* never will be: too big, malformed for this broker */
	/* Was taken and worked on, and that failed; may work later. Alone of these it uses up one of the route's attempts. */
	XF_RESULT_FAILED = 5,
};

#define XF_RESULT_DUPLICATE 0x1u   /* with STORED: the broker had it already */
#define XF_RESULT_NO_RECEIVER 0x2u /* with STORED: nobody was subscribed */

/* Frozen. reason is read before complete() returns; empty where there is nothing to say. */
struct xf_result {
	uint64_t token;
	uint32_t code;
	uint32_t flags;
	struct xf_str reason;
};

/*
 * The reply to a request that a sink has published. Everything is read before replied() returns.
 */
struct xf_replied {
	uint64_t request;                  /* struct xf_outgoing.request */
	const struct xf_incoming *message; /* payload, content type, headers, id if it has one; NULL with a failure that brought none */
	uint32_t message_size;             /* sizeof(struct xf_incoming) as the plugin knows it */
	uint32_t status;                   /* 0: a reply; else what the broker or the other side says instead, by HTTP's numbers */
	struct xf_str reason;              /* of a failure */
};

/*
 * What an operator asks before traffic moves: how much stands where the endpoint reads or writes, and who
 * reads it. Reported while UP or BLOCKED, when it is known first and then about every two seconds; a source
 * reports also when lag falls to 0. Numbers that the broker does not tell are left out of known.
 */
#define XF_SIGHT_DEPTH 0x1u     /* messages that the place holds: a queue's length, a stream's entries */
#define XF_SIGHT_LAG 0x2u       /* of those, what its consumers have not got or not acked; of several groups the one
                                 * that is furthest behind; for a source, its own group */
#define XF_SIGHT_CONSUMERS 0x4u /* consumers or subscribers, crossfade's own among them */

struct xf_sight {
	uint32_t struct_size;
	uint32_t known; /* XF_SIGHT_* */
	uint64_t depth;
	uint64_t lag;
	uint64_t consumers;
};

/* ---- The loop --------------------------------------------------------------------- */

/* work()'s view of the loop: first what the core tells, then what the plugin answers. */
struct xf_work {
	uint32_t struct_size;
	uint32_t ready;           /* poll(2) events of fd that woke the loop; 0: a wake, a timer, or the first call */
	uint32_t credit_messages; /* sources: emit at most so many in this call; 0 also while draining or paused */
	uint32_t draining;        /* sources: 1: about to stop; nothing new is to come in */
	uint64_t credit_bytes;    /* sources: and about so many payload bytes, except for a first large one */

	int32_t fd;          /* to poll; starts at -1, none */
	uint32_t events;     /* POLLIN, POLLOUT */
	uint32_t timeout_ms; /* call again after this at the latest; starts at 1000. 0: at once */
	uint32_t room;       /* sinks: how many messages publish() would take now; starts at 0 */
};

/* ---- Classes ------------------------------------------------------------------------ */

/* What an endpoint with these settings is like; the answer of traits(). */
#define XF_TRAIT_LOSSY 0x01u     /* source: cannot be held back (pub/sub) */
#define XF_TRAIT_EPHEMERAL 0x02u /* sink: only who is subscribed at that moment gets it */
#define XF_TRAIT_HEADERS 0x04u   /* carries headers */
#define XF_TRAIT_DEDUP 0x08u     /* sink: stores a dedup_id once within its window */
#define XF_TRAIT_IDS 0x10u       /* source: every message comes with an id that survives redelivery */
#define XF_TRAIT_TAKES 0x20u     /* source: consuming takes the message away from others (queue, list) */
#define XF_TRAIT_REPLIES 0x40u   /* source: sends replies to whoever asked, by reply() */
#define XF_TRAIT_REQUESTS 0x80u  /* sink: makes requests, and brings their replies */

/* Who the endpoint is; lives as long as the instance. */
struct xf_endpoint_info {
	uint32_t struct_size;
	uint32_t max_in_flight;  /* sources: the route's bound in messages; a prefetch need not exceed it */
	struct xf_str name;      /* "orders/from", for names that the broker shows */
	struct xf_str route;
	struct xf_str transport; /* the transport's name in the YAML */
	struct xf_str server;    /* server.name */
	struct xf_str subject;   /* source: the pattern to subscribe to; sink: the template, as text */
	uint32_t request_ms;     /* sinks: for so long at most a reply is awaited; 0: the route makes no requests */
	uint32_t replies;        /* sources: 1: reply() may be called */
};

struct xf_source_ops {
	uint32_t struct_size;
	uint32_t reserved;

	/* [pure] XF_TRAIT_*. */
	uint64_t (*traits)(const struct xf_host *host, const struct xf_config *transport,
	                   const struct xf_config *endpoint);

	/* [pure] Optional. Where it reads from, in a form that compares: scheme, host, port, namespace and
	 * kind, not the subject. Two endpoints with the same address and overlapping subjects are the
	 * same place. Where the subject does not say what is read (a queue with a name of its own), a line
	 * feed follows, and the subject that would. Returns the length written to OUT (at most SIZE, not
	 * terminated). */
	uint32_t (*address)(const struct xf_host *host, const struct xf_config *transport,
	                    const struct xf_config *endpoint, char *out, uint32_t size);

	/* [pure] Optional. What the table cannot say; 0, or -1 with a reason in ERROR. */
	int32_t (*check)(const struct xf_host *host, const struct xf_config *transport,
	                 const struct xf_config *endpoint, const struct xf_endpoint_info *info,
	                 struct xf_error *error);

	/* [control] No network. SHARED is what the class's open() returned. 0, or -1 with a reason;
	 * after -1 nothing else is called. */
	int32_t (*create)(const struct xf_host *host, struct xf_endpoint *endpoint, void *shared,
	                  const struct xf_config *transport, const struct xf_config *config,
	                  const struct xf_endpoint_info *info, void **instance, struct xf_error *error);

	/* [io] */
	void (*start)(void *instance);

	/* [io] Connects, reads, emits, keeps heartbeats, reports state. */
	void (*work)(void *instance, struct xf_work *work);

	/* [io] Outcomes of emitted messages, any order, many at once. A handle whose connection is
	 * gone is ignored: the broker offers the message again. Never fails. */
	void (*settle)(void *instance, const struct xf_settlement *settlements, uint32_t count);

	/* [io] The last [io] call: flushes settlements, closes the connection. Anything unsettled
	 * goes back to the broker. Afterwards no host function is called with this endpoint. */
	void (*stop)(void *instance);

	/* [control] */
	void (*destroy)(void *instance);

	/* [io] With the trait REPLIES: sends COUNT replies, STRIDE bytes apart, each to whoever asked; at most one for a handle, before that is
	 * settled. Where the broker confirms what is published and the request came from something that keeps it, an ACK that follows is
	 * held until the reply is confirmed, and the request is offered again where it cannot be. What nobody waits for any
	 * more is dropped. Never fails. */
	void (*reply)(void *instance, const struct xf_reply *replies, uint32_t stride, uint32_t count);
};

struct xf_sink_ops {
	uint32_t struct_size;
	uint32_t reserved;

	/* As in xf_source_ops. */
	uint64_t (*traits)(const struct xf_host *host, const struct xf_config *transport,
	                   const struct xf_config *endpoint);
	uint32_t (*address)(const struct xf_host *host, const struct xf_config *transport,
	                    const struct xf_config *endpoint, char *out, uint32_t size);
	int32_t (*check)(const struct xf_host *host, const struct xf_config *transport,
	                 const struct xf_config *endpoint, const struct xf_endpoint_info *info,
	                 struct xf_error *error);
	int32_t (*create)(const struct xf_host *host, struct xf_endpoint *endpoint, void *shared,
	                  const struct xf_config *transport, const struct xf_config *config,
	                  const struct xf_endpoint_info *info, void **instance, struct xf_error *error);
	void (*start)(void *instance);

	/* [io] Connects, reads confirmations, completes, reports state and room. */
	void (*work)(void *instance, struct xf_work *work);

	/* [io] Takes up to COUNT messages from the front, STRIDE bytes apart, and returns how many. Each
	 * one taken is completed exactly once. They reach the broker in this order. A connection that
	 * was lost takes nothing more until its tokens are completed and DOWN, then UP were reported;
	 * so no later message can overtake one whose fate is open. */
	uint32_t (*publish)(void *instance, const struct xf_outgoing *messages, uint32_t stride, uint32_t count);

	/* [io] The last [io] call. Completes what is still out (UNKNOWN or NOT_SENT), closes. */
	void (*stop)(void *instance);
	void (*destroy)(void *instance);

	/* [io] With the trait REQUESTS: the address to which REQUEST is to be answered, so that its reply comes here; stands in
	 * xf_outgoing.reply then, and in the envelope where there is one. Returns the length written to OUT (at most SIZE, not terminated); 0: none is
	 * needed. Perhaps without a connection. */
	uint32_t (*reply_to)(void *instance, uint64_t request, char *out, uint32_t size);
};

struct xf_transport_class {
	struct xf_class head;
	const struct xf_option *const *options;        /* of the transport; each may be NULL: none */
	const struct xf_option *const *source_options; /* of an endpoint, beside the core's own keys */
	const struct xf_option *const *sink_options;
	const struct xf_source_ops *source; /* NULL: cannot be consumed from */
	const struct xf_sink_ops *sink;     /* NULL: cannot be published to */

	/* [control] Optional, both or neither: what the endpoints of one transport share. */
	int32_t (*open)(const struct xf_host *host, const struct xf_config *transport, struct xf_str name,
	                void **shared, struct xf_error *error);
	void (*close)(void *shared); /* after the last endpoint is destroyed */

	/* [any] Optional. A JSON object about the transport as a whole, for `crossfade transport show` and
	 * the API; returns the length written to OUT, at most SIZE, or 0. */
	uint32_t (*report)(void *shared, char *out, uint32_t size);
};

#ifdef __cplusplus
}
#endif

#endif
