/*
 * subjects.h - an index from subject patterns to those who want what they match.
 *
 * A pattern is tokens parted by dots; `*` stands for one token, a last `>` for one or more. Who has few patterns can
 * compare each; this is for those who may have ten thousand: what a look-up costs depends on the number of tokens and on
 * how many wildcards can stand beside them, not on how many patterns there are.
 *
 * Values are the caller's pointers; a value may stand under several patterns, and several under one. Patterns and subjects
 * were checked by the core.
 *
 * Threads: the caller's lock. Look-ups change nothing, so several may run at a time while nobody adds or removes.
 */
#ifndef PLUGINS_SUBJECTS_H
#define PLUGINS_SUBJECTS_H

#include <stdbool.h>
#include <stddef.h>

#include <crossfade/plugin.h>

struct subjects;

/* NULL: no memory. */
struct subjects *subjects_create(void);
void subjects_destroy(struct subjects **subjects);

/* PATTERN is copied. False: no memory; nothing was changed. */
bool subjects_add(struct subjects *subjects, struct xf_str pattern, void *value);

/* Takes VALUE from PATTERN, once. False: it was not there. */
bool subjects_remove(struct subjects *subjects, struct xf_str pattern, void *value);

/* How many pairs of pattern and value there are: as many as a look-up can find. */
size_t subjects_count(const struct subjects *subjects);

/* Writes the values of all patterns that match SUBJECT, in no particular order, and returns how many. OUT has room for
 * subjects_count() of them. */
size_t subjects_match(const struct subjects *subjects, struct xf_str subject, void **out);

/* The values that stand under PATTERN itself, *COUNT of them. Borrowed until the next change; NULL: none. */
void *const *subjects_under(const struct subjects *subjects, struct xf_str pattern, size_t *count);

#endif
