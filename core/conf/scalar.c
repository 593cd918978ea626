#include "conf/scalar.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "conf/conf.h"

struct unit {
	const char *name;
	int64_t factor;
};

static const struct unit durations[] = {
	{"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}, {"d", 86400000}, /* read, never written */
};

static const struct unit sizes[] = {
	{"TiB", (int64_t)1 << 40}, {"GiB", (int64_t)1 << 30}, {"MiB", (int64_t)1 << 20},
	{"KiB", (int64_t)1 << 10}, {"B", 1},
};

enum { UNITS_DURATION = sizeof(durations) / sizeof(*durations), UNITS_SIZE = sizeof(sizes) / sizeof(*sizes) };

/* A NUL is none of them. */
static bool
is_one_of(char c, const char *set)
{
	return c != '\0' && strchr(set, c) != NULL;
}

/* Leading digits of TEXT; false where there are none or too many. */
static bool
digits_take(struct xf_str *text, int64_t *value)
{
	int64_t sum = 0;
	size_t n = 0;

	for (; n < text->len && isdigit((unsigned char)text->data[n]); n++)
		if (__builtin_mul_overflow(sum, 10, &sum) ||
		    __builtin_add_overflow(sum, text->data[n] - '0', &sum))
			return false;
	text->data += n;
	text->len -= n;
	*value = sum;
	return n > 0;
}

enum xf_status
xf_scalar_bool(struct xf_str text, int64_t *value, struct xf_error *error)
{
	static const char *const yes[] = {"yes", "on", "y", "1", "True", "TRUE", "tru", "ture", "Yes", "On"};
	static const char *const no[] = {"no", "off", "n", "0", "False", "FALSE", "flase", "fals", "No", "Off"};

	if (xf_str_is(text, "true") || xf_str_is(text, "false")) {
		*value = xf_str_is(text, "true");
		return XF_OK;
	}
	for (size_t i = 0; i < sizeof(yes) / sizeof(*yes); i++) {
		if (xf_str_is(text, yes[i]))
			return xf_error_set(error, "expected true or false; did you mean 'true'?");
		if (xf_str_is(text, no[i]))
			return xf_error_set(error, "expected true or false; did you mean 'false'?");
	}
	return xf_error_set(error, "expected true or false");
}

enum xf_status
xf_scalar_i64(struct xf_str text, int64_t *value, struct xf_error *error)
{
	struct xf_str rest = text;
	bool negative = text.len > 0 && text.data[0] == '-';
	int64_t number;

	if (negative) {
		rest.data++;
		rest.len--;
	}
	if (!digits_take(&rest, &number) || rest.len > 0)
		return xf_error_set(error, "expected a whole number");
	*value = negative ? -number : number;
	return XF_OK;
}

enum xf_status
xf_scalar_f64(struct xf_str text, double *value, struct xf_error *error)
{
	char copy[64];
	char *end;
	double number;

	if (text.len == 0 || text.len >= sizeof(copy) || isspace((unsigned char)text.data[0]))
		return xf_error_set(error, "expected a number");
	for (size_t i = 0; i < text.len; i++)
		if (!is_one_of(text.data[i], "0123456789+-.eE"))
			return xf_error_set(error, "expected a number");
	memcpy(copy, text.data, text.len);
	copy[text.len] = '\0';
	errno = 0;
	number = strtod(copy, &end);
	if (*end != '\0' || end == copy || errno == ERANGE || !isfinite(number))
		return xf_error_set(error, "expected a number");
	*value = number;
	return XF_OK;
}

static bool
unit_apply(const struct unit *units, size_t count, struct xf_str name, int64_t number, int64_t *value)
{
	int64_t product;

	for (size_t i = 0; i < count; i++)
		if (xf_str_is(name, units[i].name)) {
			if (__builtin_mul_overflow(number, units[i].factor, &product))
				return false;
			*value = product;
			return true;
		}
	return false;
}

enum xf_status
xf_scalar_duration(struct xf_str text, int64_t *ms, struct xf_error *error)
{
	static const char expected[] = "expected a duration like 250ms, 30s, 10m or 24h";
	struct xf_str rest = text;
	const char *unit = NULL;
	int64_t number;

	if (!digits_take(&rest, &number))
		return xf_error_set(error, "%s", expected);
	if (unit_apply(durations, UNITS_DURATION, rest, number, ms))
		return XF_OK;
	if (rest.len == 0 && number == 0) {
		*ms = 0;
		return XF_OK;
	}
	if (rest.len == 0 || rest.data[0] == 's' || rest.data[0] == 'S')
		unit = "s";
	else if (xf_str_is(rest, "msec") || xf_str_equal_nocase(rest, xf_str("ms")))
		unit = "ms";
	else if (xf_str_is(rest, "min") || xf_str_is(rest, "mins") || xf_str_is(rest, "minutes"))
		unit = "m";
	else if (rest.data[0] == 'h' || rest.data[0] == 'H')
		unit = "h";
	if (unit == NULL)
		return xf_error_set(error, "%s", expected);
	return xf_error_set(error, "%s; did you mean '%lld%s'?", expected, (long long)number, unit);
}

enum xf_status
xf_scalar_size(struct xf_str text, int64_t *bytes, struct xf_error *error)
{
	static const char expected[] = "expected a size like 512B, 64KiB or 1GiB";
	struct xf_str rest = text;
	int64_t number;

	if (!digits_take(&rest, &number))
		return xf_error_set(error, "%s", expected);
	if (rest.len == 0) {
		*bytes = number;
		return XF_OK;
	}
	if (unit_apply(sizes, UNITS_SIZE, rest, number, bytes))
		return XF_OK;
	for (size_t i = 0; i < UNITS_SIZE; i++)
		if (rest.len <= 3 && toupper((unsigned char)rest.data[0]) == sizes[i].name[0])
			return xf_error_set(error, "%s; did you mean '%lld%s'?", expected, (long long)number,
			                    sizes[i].name);
	return xf_error_set(error, "%s", expected);
}

static bool
is_port(struct xf_str text)
{
	int64_t port;

	return digits_take(&text, &port) && text.len == 0 && port > 0 && port <= 65535;
}

/* The last ':' of HOST:PORT, not one inside of brackets; NULL: none. */
static const char *
port_colon(struct xf_str text)
{
	const char *colon = text.len > 0 ? memrchr(text.data, ':', text.len) : NULL;
	const char *bracket = text.len > 0 ? memrchr(text.data, ']', text.len) : NULL;

	return colon != NULL && bracket != NULL && bracket > colon ? NULL : colon;
}

enum xf_status
xf_scalar_url(struct xf_str text, struct xf_error *error)
{
	const char *mark = text.len > 0 ? memmem(text.data, text.len, "://", 3) : NULL;
	struct xf_str authority;
	const char *at, *colon;

	if (mark == NULL || mark == text.data)
		return xf_error_set(error, "expected a URL like scheme://host:port");
	for (const char *c = text.data; c < mark; c++)
		if (!isalnum((unsigned char)*c) && *c != '+' && *c != '-' && *c != '.')
			return xf_error_set(error, "expected a URL like scheme://host:port");
	for (size_t i = 0; i < text.len; i++)
		if ((unsigned char)text.data[i] <= ' ' || text.data[i] == 0x7f)
			return xf_error_set(error, "expected a URL without spaces and control characters");
	authority = (struct xf_str){mark + 3, text.len - (uint64_t)(mark + 3 - text.data)};
	if (authority.len == 0)
		return xf_error_set(error, "expected a URL with a host behind '://'");
	for (size_t i = 0; i < authority.len; i++)
		if (is_one_of(authority.data[i], "/?#"))
			authority.len = i;
	at = authority.len > 0 ? memrchr(authority.data, '@', authority.len) : NULL;
	if (at != NULL) {
		authority.len -= (uint64_t)(at + 1 - authority.data);
		authority.data = at + 1;
	}
	colon = port_colon(authority);
	if (colon != NULL &&
	    !is_port((struct xf_str){colon + 1, authority.len - (uint64_t)(colon + 1 - authority.data)}))
		return xf_error_set(error, "expected a port from 1 to 65535 behind the host");
	return XF_OK;
}

static bool
is_loopback(struct xf_str host)
{
	char copy[64];
	struct in_addr v4;
	struct in6_addr v6;

	if (host.len >= sizeof(copy))
		return false;
	memcpy(copy, host.data, host.len);
	copy[host.len] = '\0';
	if (inet_pton(AF_INET, copy, &v4) == 1)
		return ntohl(v4.s_addr) >> 24 == 127;
	if (inet_pton(AF_INET6, copy, &v6) == 1)
		return IN6_IS_ADDR_LOOPBACK(&v6);
	return strcmp(copy, "localhost") == 0;
}

enum xf_status
xf_scalar_listen(struct xf_str text, bool *loopback, struct xf_error *error)
{
	static const char expected[] = "expected HOST:PORT, like 127.0.0.1:8480 or [::1]:8480";
	const char *colon = port_colon(text);
	struct xf_str host;

	if (colon == NULL)
		return xf_error_set(error, "%s", expected);
	host = (struct xf_str){text.data, (uint64_t)(colon - text.data)};
	if (!is_port((struct xf_str){colon + 1, text.len - host.len - 1}))
		return xf_error_set(error, "%s; the port is 1 to 65535", expected);
	if (host.len > 2 && host.data[0] == '[' && host.data[host.len - 1] == ']') {
		host.data++;
		host.len -= 2;
	} else if (host.len == 0 || memchr(host.data, ':', host.len) != NULL) {
		return xf_error_set(error, "%s", expected);
	}
	for (size_t i = 0; i < host.len; i++)
		if (!isalnum((unsigned char)host.data[i]) && !is_one_of(host.data[i], ".:-_%"))
			return xf_error_set(error, "%s", expected);
	*loopback = is_loopback(host);
	return XF_OK;
}

enum xf_status
xf_scalar_name(struct xf_str text, struct xf_error *error)
{
	if (text.len == 0 || text.len > 64)
		return xf_error_set(error, "expected a name of 1 to 64 characters");
	for (size_t i = 0; i < text.len; i++)
		if (!isalnum((unsigned char)text.data[i]) && !is_one_of(text.data[i], "-_."))
			return xf_error_set(error, "expected a name of letters, digits, '-', '_' and '.'");
	return XF_OK;
}

static void
units_format(const struct unit *units, size_t count, int64_t value, char *out)
{
	for (size_t i = 0; i < count; i++)
		if (value % units[i].factor == 0 && (value != 0 || i + 1 == count)) {
			snprintf(out, 32, "%lld%s", (long long)(value / units[i].factor), units[i].name);
			return;
		}
}

void
xf_scalar_duration_format(int64_t ms, char *out)
{
	units_format(durations, UNITS_DURATION - 1, ms, out);
}

void
xf_scalar_size_format(int64_t bytes, char *out)
{
	units_format(sizes, UNITS_SIZE, bytes, out);
}

/* ---- conf.h ----------------------------------------------------------------- */

enum xf_status
xf_percent_parse(struct xf_str text, uint32_t *percent, struct xf_error *error)
{
	static const char expected[] = "expected 0 to 100 with at most two decimals, like 25, 25% or 0.01%";
	struct xf_str rest = text;
	int64_t whole, value;

	if (!digits_take(&rest, &whole) || whole > 100)
		return xf_error_set(error, "%s", expected);
	value = whole * 100;
	if (rest.len > 0 && rest.data[0] == '.') {
		int64_t factor = 10;

		rest.data++;
		rest.len--;
		if (rest.len == 0 || !isdigit((unsigned char)rest.data[0]))
			return xf_error_set(error, "%s", expected);
		for (; rest.len > 0 && isdigit((unsigned char)rest.data[0]); rest.data++, rest.len--) {
			if (factor == 0 && rest.data[0] != '0')
				return xf_error_set(error, "%s", expected);
			value += (rest.data[0] - '0') * factor;
			factor /= 10;
		}
	}
	if ((rest.len > 0 && !xf_str_is(rest, "%")) || value > 10000)
		return xf_error_set(error, "%s", expected);
	*percent = (uint32_t)value;
	return XF_OK;
}

void
xf_percent_format(uint32_t percent, char *out)
{
	if (percent % 100 == 0)
		snprintf(out, 16, "%u", percent / 100);
	else if (percent % 10 == 0)
		snprintf(out, 16, "%u.%u", percent / 100, percent / 10 % 10);
	else
		snprintf(out, 16, "%u.%02u", percent / 100, percent % 100);
}
