/*
 * log.h - one event, one line, with key=value facts.
 *
 * Error: someone must act. Warning: it heals, or soon will not. Info: life
 * cycle. Debug: all the rest. Never payloads or secrets. Goes to standard error.
 *
 * Threads: any. A line is written with one system call, so lines do not mix.
 */
#ifndef XF_BASE_LOG_H
#define XF_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

/* Levels are those of the public header: XF_LOG_ERROR to XF_LOG_DEBUG. */
void xf_log_setup(uint32_t level, bool json);
bool xf_log_wants(uint32_t level);

/* WHO is the instance ("orders/from", "config", "migration orders"); NULL: the server itself. */
void xf_log(uint32_t level, const char *who, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
