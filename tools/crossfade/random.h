/*
 * random.h - names that nobody else has, for what is made at a broker for one run.
 */
#ifndef CROSSFADE_RANDOM_H
#define CROSSFADE_RANDOM_H

/* HEAD and 16 hexadecimal digits, on the heap. */
char *random_name(const char *head);

#endif
