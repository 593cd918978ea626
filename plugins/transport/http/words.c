#include "words.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

bool
str_is(struct xf_str a, const char *b)
{
	return a.len == strlen(b) && (a.len == 0 || memcmp(a.data, b, a.len) == 0);
}

bool
str_is_word(struct xf_str a, const char *b)
{
	return a.len == strlen(b) && (a.len == 0 || strncasecmp(a.data, b, a.len) == 0);
}

static bool
str_begins_word(struct xf_str a, const char *b)
{
	size_t len = strlen(b);

	return a.len >= len && strncasecmp(a.data, b, len) == 0;
}

/* ---- Headers ---------------------------------------------------------------------- */

bool
header_is_https(struct xf_str name)
{
	static const char *const whole[] = {
		"host", "connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "expect",
		"content-length", "content-md5", "accept", "user-agent", "server", "date", "via", "forwarded", "from", "dnt",
		"authorization", "www-authenticate", "cookie", "set-cookie", "origin", "referer", "cache-control",
		"pragma", "range", "max-forwards", "warning", "priority", "http2-settings", "upgrade-insecure-requests",
		"retry-after", "idempotency-key", "allow", "age", "x-real-ip", "alt-used", NULL,
	};
	static const char *const beginnings[] = {
		"accept-", "proxy-", "if-", "sec-", "x-forwarded-", "access-control-", NULL,
	};

	for (const char *const *word = whole; *word != NULL; word++)
		if (str_is_word(name, *word))
			return true;
	for (const char *const *word = beginnings; *word != NULL; word++)
		if (str_begins_word(name, *word))
			return true;
	return false;
}

bool
header_is_mapped(struct xf_str name)
{
	return str_is_word(name, "Message-Id") || str_is_word(name, "Message-Key") || str_is_word(name, "Reply-To") ||
	       str_is_word(name, "Content-Type") || str_is_word(name, "Crossfade-Subject");
}

bool
header_is_safe(struct xf_str name, struct xf_str value)
{
	static const char marks[] = "!#$%&'*+-.^_`|~";

	if (name.len == 0)
		return false;
	for (uint64_t i = 0; i < name.len; i++) {
		unsigned char c = (unsigned char)name.data[i];

		if (c >= 0x80 || c == '\0' || (!isalnum(c) && strchr(marks, c) == NULL))
			return false;
	}
	for (uint64_t i = 0; i < value.len; i++) {
		unsigned char c = (unsigned char)value.data[i];

		if ((c < ' ' && c != '\t') || c == 0x7f)
			return false;
	}
	return true;
}

struct xf_str
header_canonical(struct xf_str name)
{
	static const char *const own[] = {"Crossfade-Id", "Crossfade-Key", "Crossfade-Copy", "Crossfade-Migration",
	                                  "Crossfade-Hops"};

	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		if (str_is_word(name, own[i]))
			return str_of(own[i]);
	return name;
}

/* ---- Subjects ---------------------------------------------------------------------- */

const char *
subject_wrong(struct xf_str subject)
{
	uint64_t start = 0;

	if (subject.len == 0)
		return "the subject is empty";
	for (uint64_t i = 0; i <= subject.len; i++) {
		unsigned char c = i < subject.len ? (unsigned char)subject.data[i] : '.';

		if (c <= ' ' || c == 0x7f)
			return "the subject has a space or a control character";
		if (c != '.')
			continue;
		if (i == start)
			return "the subject has an empty token";
		if (i == start + 1 && (subject.data[start] == '*' || subject.data[start] == '>'))
			return "the subject has a wildcard token";
		start = i + 1;
	}
	return NULL;
}

static struct xf_str
token_take(struct xf_str *rest)
{
	const char *dot = memchr(rest->data, '.', rest->len);
	struct xf_str token = {rest->data, dot != NULL ? (uint64_t)(dot - rest->data) : rest->len};
	uint64_t gone = token.len + (dot != NULL);

	rest->data += gone;
	rest->len -= gone;
	return token;
}

bool
subject_matches(struct xf_str pattern, struct xf_str subject)
{
	while (pattern.len > 0 && subject.len > 0) {
		struct xf_str want = token_take(&pattern), have;

		if (str_is(want, ">"))
			return true;
		have = token_take(&subject);
		if (!str_is(want, "*") && (want.len != have.len || memcmp(want.data, have.data, want.len) != 0))
			return false;
	}
	return pattern.len == 0 && subject.len == 0;
}

/* ---- Encodings --------------------------------------------------------------------- */

static int
hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)tolower((unsigned char)c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool
percent_decode(char *text, uint64_t *len)
{
	uint64_t n = 0;

	for (uint64_t i = 0; i < *len; i++) {
		char c = text[i];

		if (c == '%') {
			int high = i + 2 < *len ? hex_value(text[i + 1]) : -1;
			int low = i + 2 < *len ? hex_value(text[i + 2]) : -1;

			if (high < 0 || low < 0)
				return false;
			c = (char)(high * 16 + low);
			i += 2;
		}
		if (c == '\0')
			return false;
		text[n++] = c;
	}
	*len = n;
	return true;
}

void
percent_encode(struct text *out, struct xf_str text)
{
	static const char digits[] = "0123456789ABCDEF";

	for (uint64_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.data[i];
		char three[3] = {'%', digits[c >> 4], digits[c & 15]};

		if (c < 0x80 && (isalnum(c) || (c != '\0' && strchr("-._~", c) != NULL)))
			text_add(out, &text.data[i], 1);
		else
			text_add(out, three, sizeof(three));
	}
}

int64_t
duration_read(const char *text)
{
	static const struct {
		const char *unit;
		int64_t milliseconds;
	} units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}};
	int64_t value = 0;
	const char *at = text;

	for (; isdigit((unsigned char)*at); at++) {
		value = value * 10 + (*at - '0');
		if (value > 1000000000)
			return -1;
	}
	if (at == text)
		return -1;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (strcmp(at, units[i].unit) == 0)
			return value * units[i].milliseconds;
	return -1;
}

/* ---- Secrets ------------------------------------------------------------------------ */

bool
secret_equal(struct xf_str given, struct xf_str secret)
{
	volatile unsigned char difference = given.len != secret.len;

	for (uint64_t i = 0; i < given.len; i++)
		difference |= (unsigned char)(given.data[i] ^ (secret.len > 0 ? secret.data[i % secret.len] : 0));
	return difference == 0;
}

void
id_make(char out[WORDS_ID_SIZE])
{
	static const char digits[] = "0123456789abcdef";
	static __thread unsigned char pool[256];
	static __thread size_t left;
	const unsigned char *at;

	if (left < 16) {
		/* 256 bytes at most come whole, and never fail once the kernel's pool is filled. */
		while (getrandom(pool, sizeof(pool), 0) < 0)
			if (errno != EINTR)
				abort();
		left = sizeof(pool);
	}
	left -= 16;
	at = pool + left;
	for (unsigned i = 0; i < 16; i++) {
		out[2 * i] = digits[at[i] >> 4];
		out[2 * i + 1] = digits[at[i] & 15];
	}
	out[32] = '\0';
}
