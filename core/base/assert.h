/*
 * assert.h - assertions that stay on in releases.
 *
 * For what only a bug of our own could break; never for what a network, a file
 * or a plugin sends.
 */
#ifndef XF_BASE_ASSERT_H
#define XF_BASE_ASSERT_H

_Noreturn void xf_assert_failed(const char *what, const char *file, int line);

#define XF_ASSERT(condition)                                                                       \
	((condition) ? (void)0 : xf_assert_failed(#condition, __FILE__, __LINE__))

#endif
