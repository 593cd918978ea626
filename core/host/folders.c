#include "host/folders.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <crossfade/plugin.h>

#include "base/memory.h"
#include "base/str.h"

#define FILE_PREFIX "crossfade-"
#define FILE_SUFFIX ".so"

void
xf_folders_free(char **strings, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(strings[i]);
	free(strings);
}

const char *
xf_plugin_kind_name(uint32_t kind)
{
	return kind == XF_KIND_HANDLER ? "handler" : "transport";
}

char *
xf_plugin_file_name(uint32_t kind, const char *file)
{
	const char *word = xf_plugin_kind_name(kind);
	const size_t after = sizeof(FILE_SUFFIX) - 1;
	size_t before = sizeof(FILE_PREFIX) - 1, len = strlen(file), word_len = strlen(word);

	if (strncmp(file, FILE_PREFIX, before) != 0 || strncmp(file + before, word, word_len) != 0 ||
	    file[before + word_len] != '-')
		return NULL;
	before += word_len + 1;
	if (len <= before + after || strcmp(file + len - after, FILE_SUFFIX) != 0)
		return NULL;
	return xf_strndup(file + before, len - before - after);
}

static int
word_order(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

char **
xf_folders_names(char *const *folders, size_t folder_count, uint32_t kind, size_t *count)
{
	char **names = NULL;
	size_t found = 0, kept = 0;

	for (size_t i = 0; i < folder_count; i++) {
		DIR *dir = opendir(folders[i]);
		struct dirent *at;

		while (dir != NULL && (at = readdir(dir)) != NULL) {
			char *name = xf_plugin_file_name(kind, at->d_name);

			if (name == NULL)
				continue;
			names = xf_grow_array(names, found, found + 1, sizeof(*names));
			names[found++] = name;
		}
		if (dir != NULL)
			closedir(dir);
	}
	if (found > 0)
		qsort(names, found, sizeof(*names), word_order);
	for (size_t i = 0; i < found; i++) {
		if (kept > 0 && strcmp(names[kept - 1], names[i]) == 0)
			free(names[i]);
		else
			names[kept++] = names[i];
	}
	*count = kept;
	return names;
}

/* "no transport plugin 'natz'; ..." */
static void
missing_explain(char *const *folders, size_t folder_count, uint32_t kind, const char *name, struct xf_error *error)
{
	struct xf_buffer text = {0};
	const char *nearest;
	char **names;
	size_t count;

	names = xf_folders_names(folders, folder_count, kind, &count);
	xf_buffer_printf(&text, "no %s plugin '%.64s' (" FILE_PREFIX "%s-%.64s" FILE_SUFFIX ") in ", xf_plugin_kind_name(kind),
	                 name, xf_plugin_kind_name(kind), name);
	for (size_t i = 0; i < folder_count; i++)
		xf_buffer_printf(&text, "%s%s", i > 0 ? ", " : "", folders[i]);
	nearest = xf_str_nearest(xf_str(name), (const char *const *)names, count);
	if (nearest != NULL) {
		xf_buffer_printf(&text, "; did you mean '%s'?", nearest);
	} else if (count > 0) {
		xf_buffer_puts(&text, "; there are ");
		for (size_t i = 0; i < count; i++)
			xf_buffer_printf(&text, "%s%s", i > 0 ? ", " : "", names[i]);
	} else {
		xf_buffer_puts(&text, "; there is none at all");
	}
	xf_error_set(error, "%s", text.data);
	xf_buffer_fini(&text);
	xf_folders_free(names, count);
}

static bool
name_valid(const char *name)
{
	if (name[0] == '\0' || strlen(name) > 64)
		return false;
	for (; *name != '\0'; name++)
		if (!isalnum((unsigned char)*name) && *name != '_' && *name != '-')
			return false;
	return true;
}

char *
xf_folders_find(char *const *folders, size_t count, uint32_t kind, const char *name, struct xf_error *error)
{
	char *file = NULL;

	if (!name_valid(name)) {
		xf_error_set(error,
		             "'%.64s' is no plugin's name; expected letters, digits, - and _, or a path with a slash",
		             name);
		return NULL;
	}
	for (size_t i = 0; file == NULL && i < count; i++) {
		struct stat stat_;

		file = xf_format("%s/" FILE_PREFIX "%s-%s" FILE_SUFFIX, folders[i], xf_plugin_kind_name(kind), name);
		if (lstat(file, &stat_) != 0 && (errno == ENOENT || errno == ENOTDIR)) {
			free(file);
			file = NULL;
		}
	}
	if (file == NULL)
		missing_explain(folders, count, kind, name, error);
	return file;
}
