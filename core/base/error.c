#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum xf_status
xf_error_set(struct xf_error *error, const char *format, ...)
{
	va_list args;

	if (error != NULL) {
		va_start(args, format);
		vsnprintf(error->text, sizeof(error->text), format, args);
		va_end(args);
	}
	return XF_FAILED;
}

void
xf_error_prefix(struct xf_error *error, const char *format, ...)
{
	char text[sizeof(error->text)];
	va_list args;
	size_t len;

	if (error == NULL)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	len = strlen(text);
	snprintf(text + len, sizeof(text) - len, ": %.*s", (int)(sizeof(text) - len), error->text);
	memcpy(error->text, text, sizeof(text));
}
