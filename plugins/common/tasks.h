/*
 * tasks.h - what handlers have in common: rows of options, tasks one after another, what became of them, and numbers.
 */
#ifndef PLUGINS_TASKS_H
#define PLUGINS_TASKS_H

#include <crossfade/handler.h>

#include "bytes.h"

#define ROW(...) (&(const struct xf_option){.struct_size = sizeof(struct xf_option), __VA_ARGS__})

/* Of a list. */
static inline const struct xf_value *
item(const struct xf_value *list, uint32_t index)
{
	return list->items != NULL ? list->items[index] : list;
}

static inline const struct xf_task *
task_at(const struct xf_task *tasks, uint32_t stride, uint32_t index)
{
	return (const struct xf_task *)(const void *)((const char *)tasks + (size_t)index * stride);
}

/* REASON may be NULL. */
static inline void
task_finish(const struct xf_host *host, struct xf_endpoint *endpoint, uint64_t token, uint32_t code, const char *reason)
{
	const struct xf_outcome outcome = {
		.token = token,
		.code = code,
		.reason = str_of(reason != NULL ? reason : ""),
	};

	host->finish(endpoint, &outcome, sizeof(outcome), 1);
}

/* Answers numbers(): those of ALL that there is room for. */
static inline uint32_t
numbers_copy(struct xf_number *numbers, uint32_t count, const struct xf_number *all, uint32_t there_are)
{
	for (uint32_t i = 0; i < count && i < there_are; i++)
		numbers[i] = all[i];
	return there_are;
}

#endif
