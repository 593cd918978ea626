/*
 * The url of a Redis transport: whatever it says fits its place and is named again, and no reason shows the password.
 */
#include "common/redis/url.h"

#include <stdarg.h>
#include <stdio.h>

#include "common/redis/settings.h"

#include "conf/scalar.h"
#include "fuzz.h"

/* settings.c's, which needs the rest of the plugin. */
int
settings_fail(struct xf_error *error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(error->text, sizeof(error->text), format, args);
	va_end(args);
	return -1;
}

int
settings_text(struct xf_str text, char *out, size_t size, const char *what, struct xf_error *error)
{
	if (text.len >= size)
		return settings_fail(error, "%s is too long", what);
	memcpy(out, text.data, text.len);
	out[text.len] = '\0';
	return 0;
}

void
fuzz_one(struct xf_str input)
{
	struct place place = {.server_count = 0};
	struct xf_error error = {{0}};

	while (input.len > 0) { /* as many as the option may list */
		struct xf_str url = fuzz_line(&input);

		if (xf_scalar_url(url, &error) != XF_OK)
			return; /* the configuration lets no such url through */
		if (url_read(url, &place, &error) != 0) {
			XF_ASSERT(error.text[0] != '\0');
			XF_ASSERT(strlen(place.password) < 32 || strstr(error.text, place.password) == NULL);
			return;
		}
		XF_ASSERT(place.server_count > 0 && place.server_count <= SERVERS_MAX);
		for (uint32_t i = 0; i < place.server_count; i++)
			XF_ASSERT(place.servers[i].host[0] != '\0');
	}
}
