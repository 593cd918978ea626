/*
 * handler.h - what a handler plugin implements.
 *
 * A handler works on messages between a route's sources and its destination. An instance belongs to one place in
 * the list of one route's handlers, and serves all sources of the route. Life:
 *
 *   create [control] -> start [io] -> ( process | work [io] )* -> stop [io] -> destroy [control]
 *
 * Where it runs. A class without work() has no thread: process() and cancel() are called on the thread of whatever source the
 * messages came from, never two of them at once for an instance, so that it needs no lock against itself; nor may it hold one of another
 * library's across them. start() and stop() are [control] there. A class with work() has a thread of its own, with the loop that
 * transports have (transport.h: struct xf_work, where `room` says how many tasks process() would take now); all of its [io] calls come
 * from there, and it reports its state: until it is UP the route shows that it waits. No call may block for longer than it takes
 * to do its work. Once stop() has returned, nothing of the host is called for the instance, from any thread.
 *
 * What it answers. Each task taken is finished exactly once, by struct xf_host.finish, from any thread, in any order. An
 * instance that has the trait HOLDS may do so after process() has returned; any other does before. The core
 * settles the message with its source only when all that became of it is confirmed, so nothing need be remembered here: what is
 * not finished when the server ends comes again.
 *
 * Order. Of one lane of a route (the messages of a key; without a key, all of the route) all handlers together have one task at a
 * time, one that is to come again included; with `order: none` as many as the route lets in. Tasks of other lanes never wait for it.
 */
#ifndef CROSSFADE_HANDLER_H
#define CROSSFADE_HANDLER_H

#include <crossfade/transport.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * One message to be worked on. Of message, handle and release are not set; attempt counts how often this handler has been given it, LATER
 * apart, 1 at first. What it points to stays valid and unchanged until the task is finished, or cancel() has returned. message_size
 * is that of the core's structure: who copies it copies no more, and takes the rest for zero.
 */
struct xf_task {
	uint64_t token;
	const struct xf_incoming *message;
	uint32_t message_size;
	uint32_t flags; /* XF_TASK_* */
};

#define XF_TASK_ASKED 0x1u /* somebody waits for a reply, and has got none */

/* What becomes of a task. */
enum {
	XF_OUTCOME_PASS = 1,   /* goes on to the next handler, as it is or as messages say */
	XF_OUTCOME_DROP = 2,   /* is done with, and goes nowhere: its source is told that it is done */
	XF_OUTCOME_FAIL = 3,   /* this attempt has failed: comes again as the route's `retry` says, and after its last attempt is a dead letter */
	XF_OUTCOME_LATER = 4,  /* no fault of the message: comes again after delay_ms (0: soon), and uses up no attempt */
	XF_OUTCOME_REFUSE = 5, /* never will succeed: a dead letter with the reason */
	XF_OUTCOME_DONE = 6,   /* as PASS, but past the handlers that follow, to the destination */
};

/*
 * Of PASS and DONE: with count 0 the message goes on as it is; else the messages, STRIDE bytes apart, at most 4096, go on in its place, in
 * this order, each through the rest of the way. Empty strings are empty there, so who changes a message begins with a copy of what the task
 * has. One without an id gets that of the task's message; of several, the first gets ID/1, the second ID/2: whenever the work is done
 * again, they are the same. The headers Crossfade-Id, -Key and -Hops are the core's, whatever stands there. Everything pointed to is read
 * before finish() returns; release is not called.
 *
 * A message with the flag XF_MESSAGE_REPLY goes back to whoever asked and is done with; where nobody did, it is dropped. Where the route says
 * `to: reply`, all that comes to the destination does so. Of several the first counts. Who is refused a
 * request, or whose request has failed for the last time, is told so with the reason and the status.
 */
struct xf_outcome {
	uint64_t token;
	uint32_t code;     /* XF_OUTCOME_* */
	uint32_t delay_ms; /* of LATER; of FAIL: no sooner than this, 0: as the route says */
	const struct xf_incoming *messages;
	uint32_t count;
	uint32_t stride;
	struct xf_str reason; /* for a person; of FAIL, LATER and REFUSE */
	/* Of FAIL and REFUSE, for whoever asked: what went wrong, by HTTP's numbers; 0: 500 of FAIL, 422 of REFUSE. With a number from 400
	 * to 499 a refusal is the asker's affair, who is told: the message is then no dead letter. delay_ms of REFUSE: when to ask again. */
	uint32_t status;
	uint32_t flags; /* XF_OUTCOME_* as below */
};

#define XF_OUTCOME_FOLLOWED 0x1u /* of PASS and DONE: the handler is told by settled() what became of it */

/* What became of a message that a handler passed on. */
enum {
	XF_SETTLED_STOOD = 1,   /* all of it was confirmed, or replied, or dropped by a handler that followed */
	XF_SETTLED_REFUSED = 2, /* something of it has failed, or was refused */
	XF_SETTLED_UNKNOWN = 3, /* nobody will know: it comes again, or its route goes on without this instance */
};

struct xf_settled {
	uint64_t token; /* the task's */
	uint32_t code;  /* XF_SETTLED_* */
	uint32_t message_size;
	/* The first that went to the destination, or the reply that came from there, or was made, which has XF_MESSAGE_REPLY; NULL: none.
	 * Valid for the call. */
	const struct xf_incoming *message;
};

#define XF_HANDLER_HOLDS 0x1u /* may finish a task after process() has returned; a class with work() always may */

/* Who the instance is; lives as long as it does. */
struct xf_handler_info {
	uint32_t struct_size;
	uint32_t reserved;
	struct xf_str name;  /* "orders/filter", in logs */
	struct xf_str route;
	struct xf_str server; /* server.name */
};

/* One number of a handler. Frozen. */
struct xf_number {
	const char *name; /* static, as a part of a metric's name: "cache_hits" */
	const char *help; /* static, one sentence */
	uint64_t value;
	uint32_t gauge;   /* 1: goes up and down; 0: only up */
	uint32_t reserved;
};

/* What an operator asks of a handler, by HTTP. */
struct xf_operator_request {
	uint32_t struct_size;
	uint32_t argument_count;
	struct xf_str method; /* "GET", "POST", "DELETE" */
	struct xf_str path;   /* what follows the handler's name, decoded, without the first slash; may be empty */
	const struct xf_header *arguments; /* of the query, decoded */
	struct xf_str body;
};

struct xf_operator_response {
	uint32_t struct_size;
	uint32_t status; /* by HTTP's numbers; starts at 200 */
	/* Appends to the body, which is JSON. May be called often. */
	void (*write)(void *context, const char *data, uint64_t size);
	void *context;
};

struct xf_handler_ops {
	uint32_t struct_size;
	uint32_t reserved;

	/* [pure] Optional. XF_HANDLER_*. */
	uint64_t (*traits)(const struct xf_host *host, const struct xf_config *config);

	/* [pure] Optional. What the table cannot say; 0, or -1 with a reason in ERROR. */
	int32_t (*check)(const struct xf_host *host, const struct xf_config *config, const struct xf_handler_info *info,
	                 struct xf_error *error);

	/* [control] No network. 0, or -1 with a reason; after -1 nothing else is called. ENDPOINT is what finish, log, and with a thread
	 * wake and state, are called with. */
	int32_t (*create)(const struct xf_host *host, struct xf_endpoint *endpoint, const struct xf_config *config,
	                  const struct xf_handler_info *info, void **instance, struct xf_error *error);

	/* [io] Optional. */
	void (*start)(void *instance);

	/* [io] Optional: the loop, on a thread of its own. */
	void (*work)(void *instance, struct xf_work *work);

	/* [io], without work() a source's thread. Takes up to COUNT tasks from the front, STRIDE bytes apart, and returns how many; without work()
	 * it takes all. */
	uint32_t (*process)(void *instance, const struct xf_task *tasks, uint32_t stride, uint32_t count);

	/* [io] Required where tasks are held. The core has taken TOKEN back (its time is up, or the route goes on without this instance):
	 * finishing it means nothing any more. What it points to is valid until this returns, so other threads of the plugin are off it
	 * by then. */
	void (*cancel)(void *instance, uint64_t token);

	/* [io] Optional. The last [io] call; what was not finished was cancelled. */
	void (*stop)(void *instance);

	/* [control] */
	void (*destroy)(void *instance);

	/* [io] Required where FOLLOWED is set: what became of COUNT messages, STRIDE bytes apart, each once. It may finish tasks. */
	void (*settled)(void *instance, const struct xf_settled *settled, uint32_t stride, uint32_t count);

	/* [any] Optional. Up to COUNT numbers about the instance, for status and metrics; returns how many there are. Always the same ones in the
	 * same order. */
	uint32_t (*numbers)(void *instance, struct xf_number *numbers, uint32_t count);

	/* [any] Optional. Answers an operator, who called /api/v1/routes/ROUTE/handlers/NAME/PATH, where NAME is its plugin's, "cache", and "cache.2" of
	 * the second one. It may take a second, on the thread that serves him; 0, or -1 with a reason in ERROR and a status in RESPONSE. */
	int32_t (*serve)(void *instance, const struct xf_operator_request *request, struct xf_operator_response *response,
	                 struct xf_error *error);
};

struct xf_handler_class {
	struct xf_class head;
	const struct xf_option *const *options; /* NULL: none */
	const struct xf_handler_ops *ops;
};

#ifdef __cplusplus
}
#endif

#endif
