/*
 * Every way in which a plugin can be wrong is refused with words that say what was found, what was expected and what
 * helps; older and newer minors load.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/memory.h"
#include "broker.h"
#include "host/catalogue.h"

struct fixture {
	struct xf_catalogue *catalogue;
	char *dir; /* searched */
};

static int
setup(void **state)
{
	struct fixture *fixture = xf_alloc(sizeof(*fixture));

	fixture->catalogue = xf_catalogue_create();
	fixture->dir = xf_temp_create("plugins");
	xf_catalogue_search(fixture->catalogue, (const char *const *)&fixture->dir, 1);
	*state = fixture;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *fixture = *state;

	xf_catalogue_destroy(&fixture->catalogue);
	assert_null(fixture->catalogue);
	xf_temp_destroy(&fixture->dir);
	free(fixture);
	return 0;
}

/* Puts the built plugin VARIANT, or TEXT, into DIR as plugin NAME. */
static char *
install(const char *dir, const char *name, const char *variant, const char *text)
{
	char *to = xf_format("%s/crossfade-transport-%s.so", dir, name);
	FILE *out = fopen(to, "w");

	assert_non_null(out);
	if (variant != NULL) {
		char *from = xf_format(XF_ABI_PLUGINS "/crossfade-transport-%s.so", variant), bytes[65536];
		FILE *in = fopen(from, "r");
		size_t got;

		assert_non_null(in);
		while ((got = fread(bytes, 1, sizeof(bytes), in)) > 0)
			assert_int_equal(fwrite(bytes, 1, got, out), got);
		fclose(in);
		free(from);
	} else {
		fputs(text, out);
	}
	assert_int_equal(fchmod(fileno(out), 0644), 0);
	assert_int_equal(fclose(out), 0);
	return to;
}

static void
assert_holds(const char *text, const char *part)
{
	if (strstr(text, part) == NULL)
		fail_msg("'%s' does not hold '%s'", text, part);
}

/* NAME is refused, with both PARTS in the reason. */
static void
assert_refused(struct fixture *fixture, const char *name, const char *part, const char *more)
{
	struct xf_error error = {{0}};
	size_t count;

	if (xf_catalogue_transport(fixture->catalogue, name, &error) != NULL)
		fail_msg("%s was not refused", name);
	assert_holds(error.text, part);
	assert_holds(error.text, more);
	xf_catalogue_loaded(fixture->catalogue, &count);
	assert_int_equal(count, 0);
}

static const struct xf_transport_class *
assert_loads(struct fixture *fixture, const char *name)
{
	struct xf_error error = {{0}};
	const struct xf_transport_class *class = xf_catalogue_transport(fixture->catalogue, name, &error);

	if (class == NULL)
		fail_msg("%s: %s", name, error.text);
	assert_int_equal(class->head.struct_size, sizeof(struct xf_transport_class));
	assert_int_equal(class->source->struct_size, sizeof(struct xf_source_ops));
	assert_int_equal(class->sink->struct_size, sizeof(struct xf_sink_ops));
	assert_int_equal(class->options[0]->struct_size, sizeof(struct xf_option));
	assert_string_equal(class->options[0]->key, "size");
	assert_non_null(class->sink->publish);
	return class;
}

static void
good_loads_once(void **state)
{
	struct fixture *fixture = *state;
	const struct xf_transport_class *class;
	const struct xf_plugin_info *info;
	size_t count;

	free(install(fixture->dir, "good", "good", NULL));
	class = assert_loads(fixture, "good");
	assert_ptr_equal(assert_loads(fixture, "good"), class);
	assert_string_equal(class->options[1]->fields[0]->key, "name");
	assert_null(class->options[2]);
	assert_null(class->source_options);

	info = xf_catalogue_loaded(fixture->catalogue, &count);
	assert_int_equal(count, 1);
	assert_string_equal(info->class_name, "good");
	assert_string_equal(info->id, "org.example.test");
	assert_string_equal(info->version, "1.2.3");
	assert_int_equal(info->abi_major, XF_ABI_MAJOR);
	assert_holds(info->file, "/crossfade-transport-good.so");
}

static void
path_is_taken_as_it_is(void **state)
{
	struct fixture *fixture = *state;
	char *file = install(fixture->dir, "other-name", "good", NULL); /* one class: any name of the file will do */

	assert_loads(fixture, file);
	free(file);
}

static void
first_folder_wins(void **state)
{
	struct fixture *fixture = *state;
	char *first = xf_temp_create("first");
	const char *dirs[] = {first, fixture->dir};
	size_t count;

	free(install(fixture->dir, "good", "good", NULL));
	free(install(first, "good", "good", NULL));
	xf_catalogue_search(fixture->catalogue, dirs, 2);
	assert_loads(fixture, "good");
	assert_holds(xf_catalogue_loaded(fixture->catalogue, &count)->file, first);
	xf_temp_destroy(&first);
}

static void
environment_names_a_folder(void **state)
{
	struct fixture *fixture = *state;

	setenv("CROSSFADE_PLUGIN_DIR", XF_ABI_PLUGINS, 1);
	xf_catalogue_search(fixture->catalogue, NULL, 0);
	assert_loads(fixture, "good");
	unsetenv("CROSSFADE_PLUGIN_DIR");
}

static void
newer_minor_loads(void **state)
{
	struct fixture *fixture = *state;
	const struct xf_plugin_info *info;
	size_t count;

	free(install(fixture->dir, "larger", "larger", NULL));
	assert_loads(fixture, "larger");
	info = xf_catalogue_loaded(fixture->catalogue, &count);
	assert_int_equal(info->abi_minor, 9);
}

static void
older_minor_loads(void **state)
{
	struct fixture *fixture = *state;
	const struct xf_transport_class *class;

	free(install(fixture->dir, "smaller", "smaller", NULL));
	class = assert_loads(fixture, "smaller");
	assert_null(class->open); /* past what it knew: zero, not what stands there */
	assert_null(class->close);
	assert_null(class->report);
	assert_null(class->options[0]->conflicts);
	assert_null(class->options[0]->requires_);
}

static void
wrong_plugins_are_named(void **state)
{
	static const struct {
		const char *variant, *part, *more;
	} cases[] = {
		{"major", "plugin ABI 3.0", "serves 1.0"},
		{"v2", "xf_plugin_entry_v2", "ABI 2, this crossfade serves 1.0"},
		{"no-symbol", "exports no xf_plugin_entry_v1", "no crossfade plugin"},
		{"null", "returned no description", ""},
		{"magic", "12345678", "78666531"},
		{"pointers", "pointers of 4 bytes", "expected 8"},
		{"caps", "capabilities 0x20", "does not know"},
		{"sanitizer", "two sanitizers", "build both alike"},
		{"kind", "class 'kind' is a handler", "expected a transport"},
		{"no-ends", "neither a source nor a sink", ""},
		{"no-work", "its sink has no work()", "required"},
		{"no-close", "open() or close() without the other", ""},
		{"short-ops", "its sink says that it has 64 bytes", "expected 80"},
		{"undefined", "cannot be opened", "nobody_has_this"},
		{"option-type", "options: 'size'", "type that this crossfade does not know"},
		{"option-enum", "options: 'size'", "default that is none of its words"},
		{"option-help", "options: 'size'", "has no help"},
		{"option-twice", "the key 'size'", "twice"},
	};
	struct fixture *fixture = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *file = install(fixture->dir, cases[i].variant, cases[i].variant, NULL);

		assert_refused(fixture, cases[i].variant, cases[i].part, cases[i].more);
		assert_refused(fixture, cases[i].variant, file, "");
		free(file);
	}
}

static void
class_is_not_the_files(void **state)
{
	struct fixture *fixture = *state;

	free(install(fixture->dir, "wrong", "good", NULL));
	assert_refused(fixture, "wrong", "holds class 'good'", "expected 'wrong'");
}

static void
text_is_no_plugin(void **state)
{
	struct fixture *fixture = *state;

	free(install(fixture->dir, "text", NULL, "This is a text file, long enough to hold what would be a header.\n"));
	assert_refused(fixture, "text", "no shared object", "expected a compiled plugin");
	free(install(fixture->dir, "empty", NULL, ""));
	assert_refused(fixture, "empty", "no shared object", "");
	assert_refused(fixture, "/proc/self/exe", "symbolic link", "expected the file itself");
	assert_refused(fixture, "/dev/null", "no regular file", "expected a file");
	assert_refused(fixture, fixture->dir, "a folder", "expected a file");
	assert_refused(fixture, "/no/such/file.so", "No such file", "");
}

static void
other_machine_is_named(void **state)
{
	struct fixture *fixture = *state;
	char *file = install(fixture->dir, "machine", "good", NULL);
	FILE *stream = fopen(file, "r+");

	assert_non_null(stream);
	assert_int_equal(fseek(stream, 18, SEEK_SET), 0);
	fputc(0xf3, stream); /* e_machine: RISC-V */
	fclose(stream);
	assert_refused(fixture, "machine", "another machine", "machine 243");
	free(file);
}

static void
writable_is_refused(void **state)
{
	struct fixture *fixture = *state;
	char *file = install(fixture->dir, "good", "good", NULL), *deep, *link;

	assert_int_equal(chmod(file, 0666), 0);
	assert_refused(fixture, "good", "writable by everybody (mode 0666)", "chmod o-w");
	assert_int_equal(chmod(file, 0644), 0);

	assert_int_equal(chmod(fixture->dir, 0777), 0);
	assert_refused(fixture, "good", "folder", "writable by everybody (mode 0777)");

	/* the same further up */
	deep = xf_format("%s/deep", fixture->dir);
	assert_int_equal(mkdir(deep, 0755), 0);
	link = install(deep, "good", "good", NULL);
	assert_refused(fixture, link, "folder", "0777");
	free(link);
	free(deep);

	assert_int_equal(chmod(fixture->dir, 0755), 0);
	assert_loads(fixture, "good");
	free(file);
}

static void
link_is_refused(void **state)
{
	struct fixture *fixture = *state;
	char *link = xf_format("%s/crossfade-transport-good.so", fixture->dir);

	assert_int_equal(symlink(XF_ABI_PLUGINS "/crossfade-transport-good.so", link), 0);
	assert_refused(fixture, "good", "symbolic link", link);
	free(link);
}

/* A folder reached by a link counts as both: where the link stands, and where it leads. */
static void
linked_folder_is_looked_at(void **state)
{
	struct fixture *fixture = *state;
	char *other = xf_temp_create("other"), *link = xf_format("%s/link", fixture->dir);
	const char *dir = link;

	free(install(other, "good", "good", NULL));
	assert_int_equal(symlink(other, link), 0);
	xf_catalogue_search(fixture->catalogue, &dir, 1);
	assert_int_equal(chmod(other, 0777), 0);
	assert_refused(fixture, "good", "writable by everybody", "0777");
	assert_int_equal(chmod(other, 0755), 0);
	assert_int_equal(chmod(fixture->dir, 0757), 0);
	assert_refused(fixture, "good", "writable by everybody", "0757");
	assert_int_equal(chmod(fixture->dir, 0755), 0);
	assert_loads(fixture, "good");
	free(link);
	xf_temp_destroy(&other);
}

static void
foreign_owner_is_refused(void **state)
{
	struct fixture *fixture = *state;
	char *file;

	if (geteuid() != 0)
		skip();
	file = install(fixture->dir, "good", "good", NULL);
	assert_int_equal(chown(file, 54321, 54321), 0);
	assert_refused(fixture, "good", "belongs to user id 54321", "expected root or user id 0");
	assert_int_equal(chown(file, 0, 0), 0);
	assert_int_equal(chown(fixture->dir, 54321, 54321), 0);
	assert_refused(fixture, "good", "folder", "belongs to user id 54321");
	free(file);
}

static void
missing_says_where_and_what(void **state)
{
	struct fixture *fixture = *state;

	assert_refused(fixture, "natz-zz", "no transport plugin 'natz-zz'", fixture->dir);
	free(install(fixture->dir, "good", "good", NULL));
	assert_refused(fixture, "goood", "did you mean 'good'?", "lib/crossfade/plugins");
	assert_refused(fixture, "a b", "no plugin's name", "");
	assert_refused(fixture, "", "no plugin's name", "");
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	static const struct CMUnitTest tests[] = {
		TEST(good_loads_once),
		TEST(path_is_taken_as_it_is),
		TEST(first_folder_wins),
		TEST(environment_names_a_folder),
		TEST(newer_minor_loads),
		TEST(older_minor_loads),
		TEST(wrong_plugins_are_named),
		TEST(class_is_not_the_files),
		TEST(text_is_no_plugin),
		TEST(other_machine_is_named),
		TEST(writable_is_refused),
		TEST(link_is_refused),
		TEST(linked_folder_is_looked_at),
		TEST(foreign_owner_is_refused),
		TEST(missing_says_where_and_what),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
