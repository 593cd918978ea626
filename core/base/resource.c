#include "base/resource.h"

#include <errno.h>
#include <string.h>

enum xf_status
xf_no_descriptor(int code, struct xf_error *error)
{
	const char *raise = code == EMFILE   ? "; raise LimitNOFILE= of the service, or ulimit -n"
	                    : code == ENFILE ? "; raise the system's fs.file-max"
	                                     : "";

	return xf_error_set(error, "no file descriptor can be had: %s%s", strerror(code), raise);
}

enum xf_status
xf_thread_create(pthread_t *thread, void *(*run)(void *context), void *context, struct xf_error *error)
{
	int code = pthread_create(thread, NULL, run, context);

	if (code == 0)
		return XF_OK;
	return xf_error_set(error, "no thread can be made: %s; raise TasksMax= of the service, or ulimit -u, or give it more "
	                           "memory", strerror(code));
}
