/* The file of what was refused: lines, its bound, moving it away, and what a sync vouches for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "flow/rejects.h"

struct place {
	char folder[64];
	char path[96];
	struct xf_rejects *rejects;
};

static int
place_make(void **state)
{
	struct place *place = xf_alloc(sizeof(*place));
	struct xf_error error;

	snprintf(place->folder, sizeof(place->folder), "/tmp/xf-rejects-XXXXXX");
	assert_non_null(mkdtemp(place->folder));
	snprintf(place->path, sizeof(place->path), "%s/rejected.ndjson", place->folder);
	place->rejects = xf_rejects_open(place->folder, &error);
	assert_non_null(place->rejects);
	*state = place;
	return 0;
}

static int
place_clear(void **state)
{
	struct place *place = *state;
	char command[128];

	xf_rejects_close(&place->rejects);
	snprintf(command, sizeof(command), "rm -rf '%s'", place->folder);
	assert_int_equal(system(command), 0);
	free(place);
	return 0;
}

static enum xf_status
append(struct place *place, struct xf_str payload)
{
	struct xf_fields message = {.subject = {"orders", 6}, .id = {"7", 1}, .payload = payload};
	struct xf_error error;

	return xf_rejects_append(place->rejects, "r", "because", &message, &error);
}

static size_t
file_size(const char *path)
{
	struct stat there;

	return stat(path, &there) == 0 ? (size_t)there.st_size : 0;
}

static void
assert_has(const char *path, const char *expected)
{
	char text[1024] = "";
	FILE *file = fopen(path, "r");

	assert_non_null(file);
	assert_true(fread(text, 1, sizeof(text) - 1, file) > 0);
	fclose(file);
	if (strstr(text, expected) == NULL)
		fail_msg("no %s in %s", expected, text);
}

static void
text_and_bytes_are_kept(void **state)
{
	struct place *place = *state;
	struct xf_error error;
	uint64_t losses = xf_rejects_losses(place->rejects);

	assert_int_equal(append(place, xf_str("caf\xc3\xa9")), XF_OK);
	assert_int_equal(append(place, xf_str("\xff\xfe")), XF_OK);
	assert_int_equal(append(place, (struct xf_str){"a\0b", 3}), XF_OK);
	assert_int_equal(xf_rejects_sync(place->rejects, losses, &error), XF_OK);
	assert_has(place->path, "\"route\":\"r\",\"reason\":\"because\",\"subject\":\"orders\",\"id\":\"7\"");
	assert_has(place->path, "\"payload\":\"caf\xc3\xa9\"}\n");
	assert_has(place->path, "\"payload_base64\":\"//4=\"}\n");
	assert_has(place->path, "\"payload_base64\":\"YQBi\"}\n");
}

static void
a_full_file_takes_no_more_until_it_is_moved_away(void **state)
{
	struct place *place = *state;
	struct xf_str large = {.len = XF_REJECTS_MAX - 1000};
	char elsewhere[128];
	size_t before;

	large.data = memset(xf_alloc(large.len), 'x', large.len);
	assert_int_equal(append(place, large), XF_OK);
	assert_true(xf_rejects_full(place->rejects));
	before = file_size(place->path);
	large.len = 1000;
	assert_int_equal(append(place, large), XF_FAILED);
	assert_int_equal(file_size(place->path), before);

	snprintf(elsewhere, sizeof(elsewhere), "%s/old", place->folder);
	assert_int_equal(rename(place->path, elsewhere), 0);
	assert_false(xf_rejects_full(place->rejects));
	assert_int_equal(append(place, large), XF_OK);
	assert_int_equal(file_size(elsewhere), before);
	free((char *)large.data);
}

static void
an_empty_file_takes_any_line(void **state)
{
	struct place *place = *state;
	struct xf_str large = {.len = XF_REJECTS_MAX};

	large.data = memset(xf_alloc(large.len), 'x', large.len);
	assert_int_equal(append(place, large), XF_OK);
	assert_true(file_size(place->path) > XF_REJECTS_MAX);
	free((char *)large.data);
}

/* What cannot be synced is vouched for to nobody who appended before, also where the next sync goes well. */
static void
a_lost_line_is_told_to_everybody(void **state)
{
	struct place *place = *state;
	uint64_t one = xf_rejects_losses(place->rejects), other = one;
	struct xf_error error;

	assert_int_equal(append(place, xf_str("one")), XF_OK);
	assert_int_equal(append(place, xf_str("other")), XF_OK);
	/* A folder in its place: the file is let go, and cannot be opened again. */
	assert_int_equal(unlink(place->path), 0);
	assert_int_equal(mkdir(place->path, 0700), 0);
	assert_int_equal(append(place, xf_str("third")), XF_FAILED);
	assert_int_equal(xf_rejects_sync(place->rejects, one, &error), XF_FAILED);
	assert_int_equal(rmdir(place->path), 0);
	assert_int_equal(append(place, xf_str("fourth")), XF_OK);
	assert_int_equal(xf_rejects_sync(place->rejects, other, &error), XF_FAILED);
	assert_int_equal(xf_rejects_sync(place->rejects, xf_rejects_losses(place->rejects), &error), XF_OK);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(text_and_bytes_are_kept, place_make, place_clear),
		cmocka_unit_test_setup_teardown(a_full_file_takes_no_more_until_it_is_moved_away, place_make, place_clear),
		cmocka_unit_test_setup_teardown(an_empty_file_takes_any_line, place_make, place_clear),
		cmocka_unit_test_setup_teardown(a_lost_line_is_told_to_everybody, place_make, place_clear),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
