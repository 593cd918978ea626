/*
 * str.h - borrowed strings, and a buffer that grows.
 */
#ifndef XF_BASE_STR_H
#define XF_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include <crossfade/plugin.h>

/* For printf: printf("%.*s", XF_STR_ARG(s)). */
#define XF_STR_ARG(s) (int)(s).len, (s).len ? (s).data : ""

static inline struct xf_str
xf_str(const char *text)
{
	return (struct xf_str){text, text != NULL ? strlen(text) : 0};
}

static inline bool
xf_str_equal(struct xf_str a, struct xf_str b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static inline bool
xf_str_is(struct xf_str a, const char *text)
{
	return xf_str_equal(a, xf_str(text));
}

/* Without regard to ASCII case. */
bool xf_str_equal_nocase(struct xf_str a, struct xf_str b);

/* The nearest of COUNT words to WORD, or NULL where none is near enough to be meant. */
const char *xf_str_nearest(struct xf_str word, const char *const *words, size_t count);

/* A growing string. Zero is empty; data is terminated once anything was appended. */
struct xf_buffer {
	char *data;
	size_t len;
	size_t size;
};

void xf_buffer_fini(struct xf_buffer *buffer);
void xf_buffer_append(struct xf_buffer *buffer, const void *data, size_t len);
void xf_buffer_puts(struct xf_buffer *buffer, const char *text);
void xf_buffer_printf(struct xf_buffer *buffer, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
