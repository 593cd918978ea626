#include "patience.h"

#include <stdio.h>

#include "base/clock.h"

void
patience_begin(struct patience *patience, const char *timeout, uint64_t timeout_ms)
{
	*patience = (struct patience){.timeout_ms = timeout_ms, .given = timeout != NULL};
	patience->begun_ms = patience->moved_ms = xf_now_ms();
}

bool
patience_ends(struct patience *patience, struct small *small, uint64_t progress)
{
	uint64_t now = xf_now_ms();
	struct small_trouble trouble;

	if (progress != patience->progress) {
		patience->progress = progress;
		patience->moved_ms = now;
		patience->trouble_ms = 0;
	}
	if (!small_trouble(small, &trouble)) {
		patience->trouble_ms = 0;
		patience->reason[0] = '\0';
		patience->certain = false;
	} else {
		if (patience->trouble_ms == 0)
			patience->trouble_ms = now;
		snprintf(patience->reason, sizeof patience->reason, "%s", trouble.reason);
		patience->certain = trouble.blocked || !trouble.was_up;
	}
	if (!patience->given && patience->trouble_ms != 0 && now - patience->trouble_ms >= PATIENCE_MS)
		return true;
	if (now - patience->moved_ms < patience->timeout_ms)
		return false;
	if (patience->reason[0] == '\0')
		snprintf(patience->reason, sizeof patience->reason, "no answer within %.3g s",
		         (double)patience->timeout_ms / 1000);
	return true;
}
