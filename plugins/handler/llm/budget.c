#include "budget.h"

void
budget_use(struct budget *budget, uint64_t now_ms, uint64_t requests, uint64_t tokens)
{
	uint64_t second = now_ms / 1000, place = second % BUDGET_SECONDS;

	if (budget->used[place].second != second) {
		budget->used[place].second = second;
		budget->used[place].requests = budget->used[place].tokens = 0;
	}
	budget->used[place].requests += requests;
	budget->used[place].tokens += tokens;
}

uint32_t
budget_left(const struct budget *budget, uint64_t now_ms)
{
	uint64_t second = now_ms / 1000, requests = 0, tokens = 0;

	for (int i = 0; i < BUDGET_SECONDS; i++)
		if (second - budget->used[i].second < BUDGET_SECONDS) {
			requests += budget->used[i].requests;
			tokens += budget->used[i].tokens;
		}
	if (budget->tokens_max > 0 && tokens >= budget->tokens_max)
		return 0;
	if (budget->requests_max == 0)
		return UINT32_MAX;
	return requests < budget->requests_max ? (uint32_t)(budget->requests_max - requests) : 0;
}
