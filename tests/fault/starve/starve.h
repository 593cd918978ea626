/*
 * starve.h - what a test and the allocator that it puts into crossfaded (starve.c) tell each other, in a file that both have mapped.
 *
 * Threads: any.
 */
#ifndef XF_TESTS_STARVE_H
#define XF_TESTS_STARVE_H

#include <stdatomic.h>
#include <stdint.h>

#define STARVE_VARIABLE "XF_STARVE" /* names the file */

struct starve {
	_Atomic uint64_t least;  /* only requests for so many bytes count */
	_Atomic int64_t before;  /* so many of them are still granted, */
	_Atomic int64_t refusals; /* and of those behind them so many are not */
	_Atomic uint64_t refused; /* in all */
};

#endif
