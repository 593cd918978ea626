/*
 * visit.h - one HTTP request, from its head to its answer, on the listener's thread.
 *
 * request.c reads it and makes a call of it (exchange.h); batch.c reads the lines of a batch; answer.c answers. What can
 * be refused by the head is, but only after the body has come in where that is short: so the connection can
 * go on, and the client reads the answer instead of an error while it writes.
 */
#ifndef HTTP_VISIT_H
#define HTTP_VISIT_H

#include <microhttpd.h>

#include "exchange.h"

/* Why a request, or a line of it, is not taken. status 0: it is. */
struct refusal {
	unsigned status;
	char detail[256];
};

/* A line of a batch that is no message. */
struct bad_line {
	struct bad_line *next;
	uint32_t line;
	struct refusal refusal;
};

enum visit_phase {
	VISIT_BODY,     /* it comes in */
	VISIT_WAITING,  /* the connection is suspended */
	VISIT_DONE,     /* the call is done */
	VISIT_ANSWERED,
};

struct client;

struct visit {
	struct exchange *exchange;
	struct MHD_Connection *connection;
	struct client *client;
	enum visit_phase phase;
	struct call *call;      /* NULL where the head was refused */
	struct refusal refusal;
	uint64_t swallowed;     /* bytes of a body that nobody wants */
	uint64_t timeout_ms;
	bool closes;            /* the connection, after the answer */
	uint64_t answer_len;    /* of its body, once it is answered */
	struct xf_str location; /* of a 202, with {id} for the message's id; empty: none */
	const char *allowed;    /* of a 405: the method that there is; NULL: POST */
	/* of a batch */
	struct bad_line *bad, **bad_end;
	uint32_t bad_count; /* more than are listed */
	bool bad_transient; /* some may be taken later */
};

/* refuse.. writes the first refusal only. */
void visit_refuse(struct visit *visit, unsigned status, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* The head is there. False: the body shall not come, answer at once. */
bool request_begin(struct visit *visit, const char *url, const char *method, const char *version);

/* A piece of the body; false: close the connection. */
bool request_body(struct visit *visit, const char *data, size_t size);

/* All is there: the call has its messages, or refusal says why not. */
void request_end(struct visit *visit);

/* Reads the lines of the body. */
void batch_read(struct visit *visit);

/* What a message's fields may be like; false: REFUSAL says what is wrong. */
bool item_check(const struct settings *settings, const struct item *item, struct refusal *refusal);

void refusal_set(struct refusal *refusal, unsigned status, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* The call is done, or was refused; MHD_NO closes the connection. */
enum MHD_Result answer_send(struct visit *visit);

#endif
