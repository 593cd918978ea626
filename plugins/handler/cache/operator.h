/*
 * operator.h - what operators ask of a cache: its numbers, its keys, and that keys be removed.
 *
 *   GET                               {"hits": 1, ...}
 *   GET keys?match=PATTERN&limit=N    {"keys": [{"key": ...}, ...], "complete": true}
 *   DELETE keys?match=PATTERN         {"removed": 1, "complete": true}
 *
 * Threads: any.
 */
#ifndef CACHE_OPERATOR_H
#define CACHE_OPERATOR_H

#include <crossfade/handler.h>

#include "bytes.h"

enum wish_kind { WISH_NUMBERS, WISH_LIST, WISH_REMOVE };

struct wish {
	enum wish_kind kind;
	char match[512];
	uint32_t limit;
};

/* -1: it is none, and RESPONSE and ERROR say so. */
int32_t wish_read(const struct xf_operator_request *request, struct wish *wish, struct xf_operator_response *response,
                  struct xf_error *error);

/* Answers WISH_NUMBERS. */
void numbers_write(const struct xf_number *numbers, uint32_t count, struct xf_operator_response *response);

/* Appends KEY, with MEMBERS behind it (', "bytes": 1', or ""), to a list. */
void key_write(struct bytes *list, struct xf_str key, const char *members);

/* Answers WISH_LIST, with LIST as key_write() made it, and WISH_REMOVE. */
void list_write(const struct bytes *list, bool complete, struct xf_operator_response *response);
void removed_write(uint64_t count, bool complete, struct xf_operator_response *response);

#endif
