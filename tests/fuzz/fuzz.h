/*
 * fuzz.h - what fuzz targets share: each is a file with fuzz_one(), to which fuzz.c brings inputs.
 *
 * Whatever the input, fuzz_one() must return: what must hold is said with XF_ASSERT, memory is left to the sanitizers.
 */
#ifndef XF_TESTS_FUZZ_H
#define XF_TESTS_FUZZ_H

#include <stdlib.h>

#include "base/assert.h"
#include "base/error.h"
#include "base/str.h"

void fuzz_one(struct xf_str input);

/* Most parsers take several texts: each is a line of the input, the last one all that is left. */
struct xf_str fuzz_line(struct xf_str *rest);

/* A copy that ends where its allocation ends, so that a sanitizer sees every byte read beyond; freed after the input. */
struct xf_str fuzz_tight(struct xf_str text);

static inline struct xf_str
fuzz_text(const struct xf_buffer *buffer)
{
	return (struct xf_str){buffer->data, buffer->len};
}

#endif
