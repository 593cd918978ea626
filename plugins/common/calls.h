/*
 * calls.h - HTTP calls that a handler makes for its tasks: several at once on connections that stay, none of which blocks.
 *
 * Each call is for one task, and ends with a verdict on it. What is not the task's affair (nothing connects, the server asks for a
 * pause, a token that it does not take) is found once: the task comes again LATER, and there is no room for others until a growing
 * pause, or the one that the server asked for, is over; then one call finds out. Meanwhile the handler shows as BLOCKED.
 *
 * Threads: the handler's own; calls_numbers() any.
 */
#ifndef PLUGINS_CALLS_H
#define PLUGINS_CALLS_H

#include <stdbool.h>

#include "tasks.h"

/* Rows of a handler's options that stand one after another, in the order of this list. */
enum {
	CALLS_CONCURRENCY,
	CALLS_REQUEST_TIMEOUT,
	CALLS_CONNECT_TIMEOUT,
	CALLS_MAX_ANSWER,
	CALLS_PROXY,
	CALLS_TLS,
	CALLS_ROWS,
};
extern const struct xf_option calls_concurrency, calls_request_timeout, calls_connect_timeout, calls_max_answer, calls_proxy,
	calls_tls;

/* One that is to be made. All but message is read before calls_begin() returns. */
struct call {
	uint64_t token;
	const struct xf_incoming *message; /* the task's; its payload is sent, unless there is a body */
	const char *method;
	struct xf_str url;
	const struct xf_header *headers;
	uint32_t header_count;
	struct bytes *body; /* its memory is taken; NULL: the message's payload */
	bool silent;        /* no body at all */
};

/* What came of it. Valid for the call of ended(). */
struct call_end {
	uint64_t token;
	const struct xf_incoming *message;
	uint32_t status; /* 0: no answer */
	struct xf_str body, content_type;
	void *easy;

	/* What becomes of the task: PASS where the status is 2xx; else FAIL, LATER or REFUSE, and the rest. */
	struct xf_outcome verdict;
};

/* The value of an answer's header; false: it has none. Valid for the call of ended(). */
bool call_end_header(const struct call_end *end, const char *name, struct xf_str *value);

struct calls;

/* From the rows FIRST on. USER may be empty. ENDED is called from calls_work() and finishes the task. */
struct calls *calls_create(const struct xf_host *host, struct xf_endpoint *endpoint, const struct xf_config *config, uint32_t first,
                           struct xf_str user, struct xf_str password,
                           void (*ended)(void *context, const struct call_end *end), void *context);
void calls_destroy(struct calls **calls);

/* How many may begin now. */
uint32_t calls_room(const struct calls *calls);

/* There is none because of the server, not because of how many are under way. */
bool calls_paused(const struct calls *calls);

/* False with a reason: nothing was taken, nothing is under way. */
bool calls_begin(struct calls *calls, const struct call *call, struct xf_error *error);

/* Ends that of TOKEN without a word. */
void calls_cancel(struct calls *calls, uint64_t token);

/* Once in each work(): calls ended() for those that have, reports the state, and says what to wait for and how much room there is. */
void calls_work(struct calls *calls, struct xf_work *work);

/* All were cancelled; closes connections. */
void calls_stop(struct calls *calls);

/* As in handler.h. */
#define CALLS_NUMBERS 5u
uint32_t calls_numbers(struct calls *calls, struct xf_number *numbers, uint32_t count);

#endif
