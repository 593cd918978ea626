/*
 * resource.h - descriptors and threads, of which there are only so many: where none is left, what to raise is said.
 */
#ifndef XF_BASE_RESOURCE_H
#define XF_BASE_RESOURCE_H

#include <pthread.h>

#include "base/error.h"

/* A descriptor could not be had: CODE is errno's. Sets the text and returns XF_FAILED. */
enum xf_status xf_no_descriptor(int code, struct xf_error *error);

/* Makes THREAD, to be joined, unless it fails with a reason. */
enum xf_status xf_thread_create(pthread_t *thread, void *(*run)(void *context), void *context, struct xf_error *error);

#endif
