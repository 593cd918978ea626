/*
 * control.h - what the admin interface asks of whoever started everything: to read the file again, and to end.
 *
 * The daemon fills it in and hands it to xf_admin_start(). Every function is called from any thread, without a
 * lock of the admin interface, and is there.
 */
#ifndef XF_ADMIN_CONTROL_H
#define XF_ADMIN_CONTROL_H

#include <stdbool.h>

#include "base/error.h"
#include "base/str.h"

/* Which configuration runs, and how the last attempt to load another ended. */
struct xf_reload_status {
	uint64_t generation; /* 1 at the start; one more after each reload that was applied */
	int64_t time_ms;     /* of the last attempt, wall clock; 0: there was none */
	bool ok;
	struct xf_buffer errors; /* of one that was refused, a mistake a line; the caller gives it back */
};

struct xf_control {
	/*
	 * Reads the configuration again and applies what changed. XF_OK with a JSON object in REPORT:
	 * {"generation": 2, "added": ["route 'a'"], "changed": [], "removed": [], "kept": ["route 'b'"],
	 * "warnings": []}; or
	 * XF_FAILED, with a mistake a line in ERRORS, and nothing was changed. One at a time; blocks until the
	 * old endpoints are gone.
	 */
	enum xf_status (*reload)(void *context, const char *who, struct xf_buffer *report,
	                         struct xf_buffer *errors);

	/* As SIGTERM: intake stops, what is in flight is settled, the process ends. Returns at once. */
	void (*drain)(void *context, const char *who);

	/* *STATUS is empty before. */
	void (*status)(void *context, struct xf_reload_status *status);

	void *context;
};

#endif
