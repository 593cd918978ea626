/*
 * wait.h - how long tests wait, and how much they do.
 *
 * A wait is for a condition, never for a time to pass, so the deadline only ends a test that hangs: it may be far longer than
 * anything that a machine with other work stalls for.
 */
#ifndef XF_TESTS_WAIT_H
#define XF_TESTS_WAIT_H

/* How much less there is to do where a sanitizer makes everything slow. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define XF_SCALE 10
#else
#define XF_SCALE 1
#endif

#define XF_WAIT_MS 120000 /* a virtual machine may be given no time for a minute */

#endif
