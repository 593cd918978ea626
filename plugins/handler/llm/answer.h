/*
 * answer.h - what a chat-completions endpoint answers.
 */
#ifndef LLM_ANSWER_H
#define LLM_ANSWER_H

#include "document.h"
#include "schema.h"

struct answer {
	struct xf_str content; /* what the model says; of the document */
	uint64_t tokens;       /* that were used; 0: it does not say */
};

/* From BODY, which is parsed into DOCUMENT. False with a reason: it is none, or the model has not answered; tokens are
 * there all the same. */
bool answer_read(struct answer *answer, struct document *document, struct xf_str body, struct xf_error *error);

/* Leaves of CONTENT what is JSON: models put it between fences. DOCUMENT has it then. False with a reason: it is no object, or not
 * as SCHEMA says, which may be NULL. */
bool answer_json(struct xf_str *content, struct document *document, struct schema_file *schema, struct xf_error *error);

#endif
