/*
 * clock.h - the time, and a way to turn it in tests.
 *
 * Time-outs use the monotonic clock only; the wall clock is for what people and
 * other machines read.
 */
#ifndef XF_BASE_CLOCK_H
#define XF_BASE_CLOCK_H

#include <stdint.h>

uint64_t xf_now_ns(void);
uint64_t xf_now_ms(void);
int64_t xf_wall_ms(void);

/* The wall clock as it stood when the process first asked, and the time that has passed since: who sets the clock does not change it. For
 * ages of what outlives the process. */
int64_t xf_steady_wall_ms(void);

/* Sleeps; a signal may end it early. */
void xf_sleep_ms(unsigned milliseconds);

/* "2026-01-31T12:00:00.123Z"; OUT has room for 32 bytes. */
void xf_wall_format(int64_t wall_ms, char *out);

/* What xf_wall_format() wrote, with or without milliseconds; -1 where TEXT is no such time. */
int64_t xf_wall_parse(const char *text);

#endif
