/*
 * line.h - the protocol between the plugin and a worker: a task as a line of JSON, and a line as an answer.
 *
 * Payloads and values are passed on as they stand; nothing is parsed and printed again.
 */
#ifndef EXEC_LINE_H
#define EXEC_LINE_H

#include <crossfade/handler.h>

#include "text.h"

/* Appends TASK with its line feed. False: JSON was asked for, and its payload is none; nothing was appended. */
bool line_write(struct text *out, const struct xf_task *task, bool json);

/* A message as it stands in an answer. */
struct said {
	struct xf_str subject, id, key, reply, content_type, headers, asker, payload, payload_base64;
};

struct answer {
	struct xf_str token;
	uint64_t number; /* of the token; 0: it is none of ours */
	struct xf_str pass, drop, fail, refuse, later, delay_ms, status, messages, attempt;
	struct said said;
	struct xf_incoming message; /* where it is one */
	const char *wrong;
};

/* Splits LINE, which the answer points into. False: it is no JSON object, and wrong says why. What a member cannot be is not found here. */
bool answer_split(struct answer *answer, struct xf_str line);

/* What becomes of the task whose message is GIVEN; the outcome points into the line, the answer and ARENA. False: it cannot
 * be told, and wrong says why. */
bool answer_read(struct answer *answer, const struct xf_incoming *given, bool json, struct arena *arena,
                 struct xf_outcome *outcome);

#endif
