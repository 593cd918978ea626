#include "base/clock.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

uint64_t
xf_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t
xf_now_ms(void)
{
	return xf_now_ns() / 1000000u;
}

int64_t
xf_wall_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t
xf_steady_wall_ms(void)
{
	static _Atomic int64_t begin_ms; /* of the monotonic clock; 0: nobody has asked */
	int64_t now_ms = (int64_t)xf_now_ms(), none = 0;

	atomic_compare_exchange_strong(&begin_ms, &none, xf_wall_ms() - now_ms);
	return atomic_load(&begin_ms) + now_ms;
}

void
xf_sleep_ms(unsigned milliseconds)
{
	struct timespec time = {.tv_sec = milliseconds / 1000, .tv_nsec = (long)(milliseconds % 1000) * 1000000};

	nanosleep(&time, NULL);
}

void
xf_wall_format(int64_t wall_ms, char *out)
{
	time_t seconds = (time_t)(wall_ms / 1000);
	struct tm tm;

	gmtime_r(&seconds, &tm);
	snprintf(out, 32, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", (tm.tm_year + 1900) % 10000, (tm.tm_mon + 1) % 100,
	         tm.tm_mday % 100, tm.tm_hour % 100, tm.tm_min % 100, tm.tm_sec % 100, (int)(wall_ms % 1000));
}

int64_t
xf_wall_parse(const char *text)
{
	struct tm tm = {0};
	int millis = 0, end = 0, all = 0;

	if (sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour, &tm.tm_min,
	           &tm.tm_sec, &end) != 6)
		return -1;
	if (text[end] == '.' && sscanf(text + end, ".%3d%n", &millis, &all) != 1)
		return -1;
	if (strcmp(text + end + all, "Z") != 0 || tm.tm_year < 1970 || tm.tm_mon < 1 || tm.tm_mon > 12 || tm.tm_mday < 1 ||
	    tm.tm_mday > 31 || tm.tm_hour > 23 || tm.tm_min > 59 || tm.tm_sec > 60 || millis < 0)
		return -1;
	for (int digits = all; digits > 0 && digits < 4; digits++)
		millis *= 10;
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	return (int64_t)timegm(&tm) * 1000 + millis;
}
