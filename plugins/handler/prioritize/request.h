/*
 * request.h - a request that is to be given a priority, as it stands in a payload.
 */
#ifndef PRIORITIZE_REQUEST_H
#define PRIORITIZE_REQUEST_H

#include <stdbool.h>

#include "document.h"

enum request_field {
	REQUEST_ID,
	REQUEST_TITLE,
	REQUEST_DESCRIPTION,
	REQUEST_CATEGORY,
	REQUEST_ROLE,
	REQUEST_NAME,
	REQUEST_CORRELATION_ID,
	REQUEST_TIMESTAMP,
	REQUEST_FIELDS,
};

/* Their names in a payload; ends with NULL. */
extern const char *const request_names[];

/* Texts are the document's; empty: none. */
struct request {
	struct xf_str text[REQUEST_TIMESTAMP];
	bool has_time, has_deadline;
	int64_t time_ms;     /* since 1970 */
	int64_t deadline_ms;
};

/* DOCUMENT was parsed. REQUIRED has a bit for each field that may not be missing; DEADLINE is a checked pointer, empty: none.
 * False with a reason that names the field. */
bool request_read(struct request *request, struct document *document, uint32_t required, struct xf_str deadline,
                  struct xf_error *error);

#endif
