#include "base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <crossfade/plugin.h>

#include "base/clock.h"

static const char *const level_words[] = {"error", "warning", "info", "debug"};

static _Atomic uint32_t log_level = XF_LOG_INFO;
static _Atomic bool log_json;

void
xf_log_setup(uint32_t level, bool json)
{
	atomic_store(&log_level, level);
	atomic_store(&log_json, json);
}

bool
xf_log_wants(uint32_t level)
{
	return level <= atomic_load_explicit(&log_level, memory_order_relaxed);
}

/* Appends TEXT as the inside of a JSON string, or, in plain form, with control bytes made visible. */
static size_t
text_append(char *line, size_t at, size_t size, const char *text, bool json)
{
	for (; *text != '\0' && at + 7 < size; text++) {
		unsigned char c = (unsigned char)*text;

		if (c < 0x20 || c == 0x7f)
			at += (size_t)snprintf(line + at, size - at, json ? "\\u%04x" : "\\x%02x", c);
		else {
			if (json && (c == '"' || c == '\\'))
				line[at++] = '\\';
			line[at++] = (char)c;
		}
	}
	return at;
}

void
xf_log(uint32_t level, const char *who, const char *format, ...)
{
	char text[1024], line[2400], when[32];
	bool json = atomic_load_explicit(&log_json, memory_order_relaxed);
	size_t at;
	va_list args;

	if (level > XF_LOG_DEBUG || !xf_log_wants(level))
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (who == NULL)
		who = "server";
	xf_wall_format(xf_wall_ms(), when);
	at = (size_t)snprintf(line, sizeof(line), json ? "{\"time\":\"%s\",\"level\":\"%s\",\"instance\":\"" : "%s %-7s ",
	                      when, level_words[level]);
	at = text_append(line, at, 512, who, json);
	at += (size_t)snprintf(line + at, sizeof(line) - at, json ? "\",\"event\":\"" : ": ");
	at = text_append(line, at, sizeof(line) - 8, text, json);
	at += (size_t)snprintf(line + at, sizeof(line) - at, json ? "\"}\n" : "\n");
	if (write(STDERR_FILENO, line, at) < 0)
		return; /* nowhere left to complain to */
}
