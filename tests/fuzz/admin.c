/*
 * Bodies of the admin API: a change keeps its bounds, and text is mended to what JSON can carry.
 */
#include "admin/change.h"

#include "admin/json.h"
#include "base/memory.h"
#include "base/utf8.h"
#include "fuzz.h"

void
fuzz_one(struct xf_str input)
{
	struct xf_position now = {.percent = 2500, .mirror = XF_MIRROR_ON};
	struct xf_migration_change change = {.force = false};
	struct xf_str body = fuzz_tight(input);
	struct xf_error error = {{0}};
	struct xf_buffer mended = {0};
	char *terminated = xf_strndup(input.data, input.len);

	if (xf_change_parse(body, now, &change, &error) == XF_OK) {
		XF_ASSERT(!change.has_percent || change.to.percent <= 10000);
		XF_ASSERT(!change.has_mirror || change.to.mirror <= XF_MIRROR_REQUIRED);
	} else {
		XF_ASSERT(error.text[0] != '\0');
	}
	xf_change_parse_rollback(body, &change, &error);
	xf_utf8_mend(terminated, &mended);
	XF_ASSERT(xf_utf8_valid(fuzz_text(&mended)));
	xf_buffer_fini(&mended);
	free(terminated);
}
