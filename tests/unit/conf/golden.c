/*
 * Every golden/NAME.yaml beside the exact text that it must produce, golden/NAME.txt. Files whose name begins
 * with '_' are included by others. XF_GOLDEN_UPDATE=1 writes the texts anew: read each before it is committed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <glob.h>

#include <cmocka.h>

#include "conf/conf.h"
#include "conf_fake.h"

static char *
text_read(const char *path)
{
	FILE *file = fopen(path, "r");
	char *text = calloc(1, 65536);

	if (file != NULL) {
		text[fread(text, 1, 65535, file)] = '\0';
		fclose(file);
	}
	return text;
}

static void
text_write(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

/* Errors of a file that is refused, or the warnings of one that is not. */
static void
outcome(const char *file, struct xf_buffer *out)
{
	struct xf_conf_catalogue catalogue = conf_fake_catalogue();
	const struct xf_conf *conf = xf_conf_load(file, &catalogue, out);

	if (conf == NULL) {
		assert_true(out->len > 0);
		return;
	}
	assert_int_equal(out->len, 0);
	xf_buffer_puts(out, "good\n");
	for (size_t i = 0; i < conf->warning_count; i++)
		xf_buffer_printf(out, "warning: %s\n", conf->warnings[i]);
	xf_conf_destroy(&conf);
}

static void
test_golden_files(void **state)
{
	bool update = getenv("XF_GOLDEN_UPDATE") != NULL;
	size_t bad = 0, wrong = 0;
	glob_t found;

	(void)state;
	assert_int_equal(glob("*.yaml", 0, NULL, &found), 0);
	for (size_t i = 0; i < found.gl_pathc; i++) {
		const char *file = found.gl_pathv[i];
		struct xf_buffer got = {0};
		char path[256];
		char *expected;

		if (file[0] == '_')
			continue;
		snprintf(path, sizeof(path), "%.*s.txt", (int)(strlen(file) - 5), file);
		outcome(file, &got);
		if (update)
			text_write(path, got.data);
		expected = text_read(path);
		if (strcmp(got.data, expected) != 0) {
			print_error("%s: expected\n%sgot\n%s", file, expected, got.data);
			wrong++;
		}
		bad += strncmp(got.data, "good\n", 5) != 0;
		free(expected);
		xf_buffer_fini(&got);
	}
	globfree(&found);
	assert_int_equal(wrong, 0);
	assert_true(bad >= 90);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_golden_files),
	};

	if (chdir(XF_SOURCE_DIR "/tests/unit/conf/golden") != 0)
		return 1;
	setenv("SECRET_ENV", "env-hunter2", 1);
	setenv("BROKER_URL", "alpha://joe:env-hunter2@broker:1", 1);
	unsetenv("NOT_SET");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
