/*
 * bytes.h - small things for plugins that work on text: memory that is there, strings compared, bytes that grow.
 */
#ifndef PLUGINS_BYTES_H
#define PLUGINS_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include <crossfade/plugin.h>

/* For printf, what is long is cut off: printf("%.*s", STR_ARG(s)). */
#define STR_ARG(s) (int)((s).len < 4096 ? (s).len : 4096), (s).len > 0 ? (s).data : ""

/* MEMORY, fresh from an allocator. Where that had none the process ends, as it does in the core. */
void *need(void *memory);

/* A terminated copy on the heap. */
struct xf_str str_copy(struct xf_str text);

static inline struct xf_str
str_of(const char *text)
{
	return (struct xf_str){text, strlen(text)};
}

static inline bool
str_equal(struct xf_str a, struct xf_str b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

/* Without regard to ASCII case. */
bool str_equal_nocase(struct xf_str a, struct xf_str b);

/* The decimal number that all of TEXT is. */
bool str_number(struct xf_str text, double *number);

/* A growing string. Zero is empty; data is not terminated. */
struct bytes {
	char *data;
	size_t len;
	size_t size;
};

void bytes_fini(struct bytes *bytes);
void bytes_add(struct bytes *bytes, const void *data, size_t len);
void bytes_str(struct bytes *bytes, struct xf_str text);
void bytes_puts(struct bytes *bytes, const char *text);

/* TEXT as a JSON string, with its quotation marks; bytes past ASCII stay as they are. */
void bytes_json(struct bytes *bytes, struct xf_str text);

/* What stands between the marks of a JSON string that was checked, into OUT, which has room for its length; returns how many bytes.
 * An escape that makes no character is U+FFFD. */
size_t json_unescape(struct xf_str text, char *out);

#endif
