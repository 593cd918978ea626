/*
 * Bodies of the admin API: a change keeps its bounds and is the same when it is asked for in the plainest words, what is refused changes
 * nothing, and text is mended to what JSON can carry.
 */
#include "admin/change.h"

#include "admin/json.h"
#include "base/memory.h"
#include "base/utf8.h"
#include "fuzz.h"

static const struct xf_position now = {.percent = 2500, .mirror = XF_MIRROR_ON};

static void
change_again(const struct xf_migration_change *change)
{
	struct xf_migration_change again = {.force = !change->force};
	struct xf_buffer body = {0};
	struct xf_error error;

	xf_buffer_printf(&body, "{\"force\":%s,\"dry_run\":%s", change->force ? "true" : "false", change->dry_run ? "true" : "false");
	if (change->has_percent)
		xf_buffer_printf(&body, ",\"percent\":%u.%02u", change->to.percent / 100, change->to.percent % 100);
	if (change->has_mirror)
		xf_buffer_printf(&body, ",\"mirror\":%s%s%s", change->to.mirror == XF_MIRROR_REQUIRED ? "\"" : "",
		                 xf_mirror_name(change->to.mirror), change->to.mirror == XF_MIRROR_REQUIRED ? "\"" : "");
	/* `live` alone keeps both knobs. */
	xf_buffer_puts(&body, change->has_percent || change->has_mirror ? "}" : ",\"stage\":\"live\"}");
	XF_ASSERT(xf_change_parse(fuzz_text(&body), now, &again, &error) == XF_OK);
	XF_ASSERT(again.force == change->force && again.dry_run == change->dry_run && again.rollback == change->rollback);
	XF_ASSERT(again.has_percent == change->has_percent && again.has_mirror == change->has_mirror);
	XF_ASSERT(again.to.percent == change->to.percent && again.to.mirror == change->to.mirror);
	xf_buffer_fini(&body);
}

void
fuzz_one(struct xf_str input)
{
	struct xf_migration_change change = {.to = {.percent = 77}}, before = change;
	struct xf_str body = fuzz_tight(input);
	struct xf_error error = {{0}};
	struct xf_buffer mended = {0};
	char *terminated = xf_strndup(input.data, input.len);

	if (xf_change_parse(body, now, &change, &error) == XF_OK) {
		XF_ASSERT(!change.has_percent || change.to.percent <= 10000);
		XF_ASSERT(!change.has_mirror || change.to.mirror <= XF_MIRROR_REQUIRED);
		change_again(&change);
	} else {
		XF_ASSERT(error.text[0] != '\0' && memcmp(&change, &before, sizeof(change)) == 0);
	}
	change = before;
	if (xf_change_parse_rollback(body, &change, &error) == XF_OK)
		XF_ASSERT(change.rollback && change.force && change.has_percent && change.to.percent == 0 && !change.has_mirror);
	else
		XF_ASSERT(memcmp(&change, &before, sizeof(change)) == 0);
	xf_utf8_mend(terminated, &mended);
	XF_ASSERT(xf_utf8_valid(fuzz_text(&mended)));
	xf_buffer_fini(&mended);
	free(terminated);
}
