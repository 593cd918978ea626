/*
 * words.h - the small change of HTTP: which headers are its own, how subjects stand in a path, ids.
 */
#ifndef HTTP_WORDS_H
#define HTTP_WORDS_H

#include <stdbool.h>
#include <stdint.h>

#include <crossfade/plugin.h>

#include "text.h"

#define WORDS_ID_SIZE 33 /* terminated */

bool str_is(struct xf_str a, const char *b);
/* Without regard to case. */
bool str_is_word(struct xf_str a, const char *b);

/* A header that belongs to one hop, to the client or to the framing, not to the message. */
bool header_is_https(struct xf_str name);

/* A header that this plugin makes of, or makes into, a message's own fields: Message-Id, Message-Key, Reply-To,
 * Content-Type, Crossfade-Subject. */
bool header_is_mapped(struct xf_str name);

/* Whether NAME is a token and VALUE has no control character but the tab. */
bool header_is_safe(struct xf_str name, struct xf_str value);

/* The name as the core writes it where it is one of crossfade's own (case is lost on the way), else NAME. */
struct xf_str header_canonical(struct xf_str name);

/* What is wrong with a subject that a message is to have, or NULL. */
const char *subject_wrong(struct xf_str subject);
bool subject_matches(struct xf_str pattern, struct xf_str subject);

/* In place; false: a '%' without two digits behind it, or a NUL. */
bool percent_decode(char *text, uint64_t *len);
void percent_encode(struct text *out, struct xf_str text);


/* "250ms", "5s", "2m", "1h". -1: none. */
int64_t duration_read(const char *text);

/* Takes as long for every wrong guess of the same length. */
bool secret_equal(struct xf_str given, struct xf_str secret);

/* 128 random bits as hexadecimal digits. */
void id_make(char out[WORDS_ID_SIZE]);

#endif
