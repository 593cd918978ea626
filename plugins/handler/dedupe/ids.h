/*
 * ids.h - what both classes of dedupe have in common: by what a message is known, and which of those that passed are not settled.
 *
 * Threads: the handler's; its numbers are read from any.
 */
#ifndef DEDUPE_IDS_H
#define DEDUPE_IDS_H

#include <stdatomic.h>

#include "recent.h"
#include "tasks.h"
#include "template.h"

enum { IDS_ID, IDS_WITHIN, IDS_ROWS };

/* The first rows of a class's table. */
extern const struct xf_option ids_id, ids_within;

/* A message that passed, and is followed. */
struct passed {
	struct recent_entry entry; /* by token */
	uint64_t token;
	struct xf_str id; /* own memory */
	uint64_t at_ms;
};

struct ids {
	const struct xf_host *host;
	struct xf_endpoint *endpoint;
	struct template *id;
	uint64_t within_ms;
	struct view view;
	struct bytes scratch;
	struct recent passed;
	_Atomic uint64_t dropped, waited;
};

/* -1 with a reason; ids_fini() in any case. */
int32_t ids_init(struct ids *ids, const struct xf_host *host, struct xf_endpoint *endpoint, const struct xf_config *config,
                 struct xf_error *error);
void ids_fini(struct ids *ids);

/* By what TASK is known, valid until the next; false: it has nothing of the kind, and is finished. */
bool ids_of(struct ids *ids, const struct xf_task *task, struct xf_str *id);

/* Finish a task: it is the first of its id; came before, and stood; has a twin under way; or nobody can say. */
void ids_pass(struct ids *ids, uint64_t token, struct xf_str id);
void ids_drop(struct ids *ids, uint64_t token);
void ids_wait(struct ids *ids, uint64_t token, const char *reason, uint32_t delay_ms);

/* What passed under TOKEN is settled: the caller's, to be given to ids_forget(); NULL: none did. */
struct passed *ids_settled(struct ids *ids, uint64_t token);
void ids_forget(struct passed **passed);

#endif
