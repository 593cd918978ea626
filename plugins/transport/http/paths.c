#include "paths.h"

#include <stdio.h>
#include <string.h>

#include "settings.h"
#include "words.h"

#define NAMES_MAX 8

enum { PATH, METHOD, SUBJECT, WAIT, ASYNC, LOCATION };

#define OPTION(kind, name, ...)                                                                                    \
	{.struct_size = sizeof(struct xf_option), .type = XF_OPTION_##kind, .key = name, __VA_ARGS__}

static const char *const methods[] = {"POST", "GET", "PUT", "DELETE", NULL};

static const struct xf_option field_path = OPTION(STRING, "path", .flags = XF_OPTION_REQUIRED,
	.help = "As /api/v1/tasks/{id}; a name in braces stands for one segment");
static const struct xf_option field_method = OPTION(ENUM, "method", .def = "POST", .values = methods,
	.help = "The one method that is answered there");
static const struct xf_option field_subject = OPTION(STRING, "subject", .flags = XF_OPTION_REQUIRED,
	.help = "The subject of the message, in which names in braces stand for what the path had there");
static const struct xf_option field_wait = OPTION(BOOL, "wait", .def = "true",
	.help = "The client gets the reply; false: it is told, with 202 and an id, that the message was accepted");
static const struct xf_option field_async = OPTION(STRING, "async",
	.help = "The subject instead where the client says 'Prefer: respond-async'; it is answered with 202 and an id then");
static const struct xf_option field_location = OPTION(STRING, "location",
	.help = "Where a client that does not wait can look: the Location of the 202, in which {id} is the message's id");

const struct xf_option *const paths_fields[] = {
	[PATH] = &field_path,
	[METHOD] = &field_method,
	[SUBJECT] = &field_subject,
	[WAIT] = &field_wait,
	[ASYNC] = &field_async,
	[LOCATION] = &field_location,
	NULL,
};

/* What the names of a path stand for. */
struct names {
	struct xf_str name[NAMES_MAX], value[NAMES_MAX];
	unsigned count;
};

static bool
is_token_byte(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '-' || c == '~' || c == ':';
}

static bool
pattern_match(struct xf_str pattern, const char *url, struct names *names)
{
	const char *at = pattern.data, *end = at + pattern.len;

	names->count = 0;
	while (at < end) {
		const char *close, *value = url;

		if (*at != '{') {
			if (*at++ != *url++)
				return false;
			continue;
		}
		close = memchr(at, '}', (size_t)(end - at));
		while (is_token_byte(*url))
			url++;
		if (close == NULL || url == value || names->count == NAMES_MAX)
			return false;
		names->name[names->count] = (struct xf_str){at + 1, (uint64_t)(close - at - 1)};
		names->value[names->count++] = (struct xf_str){value, (uint64_t)(url - value)};
		at = close + 1;
	}
	return *url == '\0';
}

static const struct xf_str *
name_find(const struct names *names, struct xf_str name)
{
	for (unsigned i = 0; i < names->count; i++)
		if (names->name[i].len == name.len && memcmp(names->name[i].data, name.data, name.len) == 0)
			return &names->value[i];
	return NULL;
}

/* False: a name that NAMES do not have, or it is too long. */
static bool
template_fill(struct xf_str template, const struct names *names, char *out, size_t size)
{
	const char *at = template.data, *end = at + template.len;
	size_t len = 0;

	while (at < end) {
		const char *close = *at == '{' ? memchr(at, '}', (size_t)(end - at)) : NULL;
		struct xf_str piece = {at, 1};

		if (*at == '{') {
			const struct xf_str *value =
				close != NULL ? name_find(names, (struct xf_str){at + 1, (uint64_t)(close - at - 1)}) : NULL;

			if (value == NULL)
				return false;
			piece = *value;
			at = close;
		}
		if (len + piece.len >= size)
			return false;
		memcpy(out + len, piece.data, piece.len);
		len += piece.len;
		at++;
	}
	out[len] = '\0';
	return true;
}

static bool
target_fill(const struct xf_host *host, const struct xf_config *entry, const struct names *names, bool prefers_async,
            struct path_target *target)
{
	const struct xf_value *async = host->option(entry, ASYNC);
	bool apart = prefers_async && async->str.len > 0;

	target->waits = !apart && host->option(entry, WAIT)->i64 != 0;
	target->location = host->option(entry, LOCATION)->str;
	return template_fill(apart ? async->str : host->option(entry, SUBJECT)->str, names, target->subject, sizeof(target->subject));
}

enum path_found
paths_find(const struct xf_host *host, const struct xf_value *paths, const char *url, const char *method, bool prefers_async,
           struct path_target *target, const char **allowed)
{
	enum path_found found = PATH_NONE;
	struct names names;

	for (uint32_t i = 0; i < paths->count; i++) {
		const struct xf_config *entry = paths->items[i]->map;

		if (!pattern_match(host->option(entry, PATH)->str, url, &names))
			continue;
		*allowed = host->option(entry, METHOD)->str.data;
		if (strcmp(*allowed, method) == 0)
			return target_fill(host, entry, &names, prefers_async, target) ? PATH_FOUND : PATH_NONE;
		found = PATH_METHOD;
	}
	return found;
}

/* ---- What is written wrong ------------------------------------------------------------------ */

/* The path with a value in the place of each name, and the names. */
static int
path_try(struct xf_str path, struct names *names, struct xf_error *error)
{
	const char *at = path.data, *end = at + path.len;

	names->count = 0;
	if (path.len == 0 || path.data[0] != '/' || memchr(path.data, '?', path.len) != NULL)
		return settings_fail(error, "paths: path: expected one that begins with '/', as /api/v1/tasks/{id}, without a query");
	if (strncmp(path.data, "/publish", 8) == 0 || strncmp(path.data, "/request/", 9) == 0)
		return settings_fail(error, "paths: path: /publish and /request are the listener's own");
	for (; at < end; at++) {
		const char *close;

		if (*at != '{')
			continue;
		close = memchr(at, '}', (size_t)(end - at));
		if (close == NULL || close == at + 1 || names->count == NAMES_MAX)
			return settings_fail(error, "paths: path: '{' without a name and '}', or more than %d of them", NAMES_MAX);
		if (at[-1] != '/' || (close + 1 < end && close[1] != '/'))
			return settings_fail(error, "paths: path: a name in braces stands for a whole segment, as /tasks/{id}");
		names->name[names->count] = (struct xf_str){at + 1, (uint64_t)(close - at - 1)};
		names->value[names->count++] = (struct xf_str){"x", 1};
		at = close;
	}
	return 0;
}

static int
subject_try(const char *option, struct xf_str subject, const struct names *names, struct xf_error *error)
{
	char made[PATHS_SUBJECT_SIZE];

	if (!template_fill(subject, names, made, sizeof(made)))
		return settings_fail(error, "paths: %s: '%.100s' is too long, or names in braces what its path does not", option, subject.data);
	if (subject_wrong((struct xf_str){made, strlen(made)}) != NULL)
		return settings_fail(error, "paths: %s: '%.100s' makes no subject: %s", option, subject.data,
		                     subject_wrong((struct xf_str){made, strlen(made)}));
	return 0;
}

int
paths_check(const struct xf_host *host, const struct xf_value *paths, struct xf_error *error)
{
	struct names names;

	for (uint32_t i = 0; i < paths->count; i++) {
		const struct xf_config *entry = paths->items[i]->map;
		struct xf_str async = host->option(entry, ASYNC)->str;

		if (path_try(host->option(entry, PATH)->str, &names, error) < 0 ||
		    subject_try("subject", host->option(entry, SUBJECT)->str, &names, error) < 0 ||
		    (async.len > 0 && subject_try("async", async, &names, error) < 0))
			return -1;
	}
	return 0;
}
