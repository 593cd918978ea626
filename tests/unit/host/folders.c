/*
 * Names of plugins in folders, and classes that no file holds.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/memory.h"
#include "broker.h"
#include "host/catalogue.h"
#include "host/folders.h"

static void
touch(const char *folder, const char *name)
{
	char *path = xf_format("%s/%s", folder, name);
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	fclose(file);
	free(path);
}

static void
names_stand_once_and_in_order(void **state)
{
	char *a = xf_temp_create("a"), *b = xf_temp_create("b");
	char *folders[] = {a, b, xf_strdup("/nowhere/at/all")};
	size_t count;
	char **names;

	(void)state;
	touch(a, "crossfade-transport-nats.so");
	touch(a, "crossfade-transport-.so");
	touch(a, "crossfade-handler-x.so");
	touch(b, "crossfade-transport-nats.so");
	touch(b, "crossfade-transport-amqp.so");
	touch(b, "crossfade-transport-amqp.so.bak");
	names = xf_folders_names(folders, 3, XF_KIND_TRANSPORT, &count);
	assert_int_equal(count, 2);
	assert_string_equal(names[0], "amqp");
	assert_string_equal(names[1], "nats");
	xf_folders_free(names, count);
	names = xf_folders_names(folders, 3, XF_KIND_HANDLER, &count);
	assert_int_equal(count, 1);
	assert_string_equal(names[0], "x");
	xf_folders_free(names, count);
	names = xf_folders_names(folders + 2, 1, XF_KIND_TRANSPORT, &count);
	assert_int_equal(count, 0);
	xf_folders_free(names, count);
	free(folders[2]);
	xf_temp_destroy(&a);
	xf_temp_destroy(&b);
}

static void
the_first_folder_wins(void **state)
{
	char *a = xf_temp_create("a"), *b = xf_temp_create("b"), *file;
	char *folders[] = {a, b};
	struct xf_error error;

	(void)state;
	touch(a, "crossfade-transport-nats.so");
	touch(b, "crossfade-transport-nats.so");
	file = xf_folders_find(folders, 2, XF_KIND_TRANSPORT, "nats", &error);
	assert_non_null(file);
	assert_memory_equal(file, a, strlen(a));
	free(file);
	assert_null(xf_folders_find(folders, 2, XF_KIND_HANDLER, "nats", &error));
	assert_non_null(strstr(error.text, "no handler plugin 'nats' (crossfade-handler-nats.so)"));
	assert_null(xf_folders_find(folders, 2, XF_KIND_TRANSPORT, "natz", &error));
	assert_non_null(strstr(error.text, "did you mean 'nats'?"));
	assert_null(xf_folders_find(folders, 2, XF_KIND_TRANSPORT, "na;ts", &error));
	assert_non_null(strstr(error.text, "no plugin's name"));
	xf_temp_destroy(&a);
	xf_temp_destroy(&b);
}

static void
a_builtin_class_needs_no_file(void **state)
{
	static const struct xf_transport_class mine = {
		.head = {.struct_size = sizeof mine, .kind = XF_KIND_TRANSPORT, .name = "mine", .summary = ""}};
	struct xf_catalogue *catalogue = xf_catalogue_create();
	struct xf_error error;
	size_t count;
	char **names;

	(void)state;
	assert_null(xf_catalogue_transport(catalogue, "mine", &error));
	xf_catalogue_builtin(catalogue, &mine);
	assert_ptr_equal(xf_catalogue_transport(catalogue, "mine", &error), &mine);
	xf_catalogue_loaded(catalogue, &count);
	assert_int_equal(count, 0);
	names = xf_catalogue_names(catalogue, XF_KIND_TRANSPORT, &count);
	for (size_t i = 0; i < count; i++)
		assert_string_not_equal(names[i], "mine");
	xf_folders_free(names, count);
	xf_catalogue_destroy(&catalogue);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_stand_once_and_in_order),
		cmocka_unit_test(the_first_folder_wins),
		cmocka_unit_test(a_builtin_class_needs_no_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
