/*
 * budget.h - how many requests and tokens were used within the last minute.
 */
#ifndef LLM_BUDGET_H
#define LLM_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

#define BUDGET_SECONDS 60

/* Zeroed at first; a bound of 0 is none. */
struct budget {
	uint64_t requests_max, tokens_max;
	struct {
		uint64_t second;
		uint64_t requests, tokens;
	} used[BUDGET_SECONDS];
};

void budget_use(struct budget *budget, uint64_t now_ms, uint64_t requests, uint64_t tokens);

/* How many requests may be made now. */
uint32_t budget_left(const struct budget *budget, uint64_t now_ms);

#endif
