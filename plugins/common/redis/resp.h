/*
 * resp.h - the Redis protocol (RESP2) as bytes: commands out, replies in.
 *
 * What every message passes through is written and read here, straight in the connection's buffers:
 * no allocation, no copy but the one into the output. Control replies (greeting, subscription) go through
 * hiredis instead; resp_extent() says how many bytes to give it, and keeps sizes that would hurt away from it.
 *
 * Threads: pure functions on their arguments. No other file is needed, so tests include resp.c alone.
 */
#ifndef REDIS_RESP_H
#define REDIS_RESP_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>

/* The longest bulk string that is taken to be meant, and most elements of an array. */
#define RESP_BULK_MAX ((int64_t)512 * 1024 * 1024)
#define RESP_ARRAY_MAX ((int64_t)1024 * 1024)
#define RESP_LINE_MAX 65536u

/* ---- Out ------------------------------------------------------------------- */

/* Room that a bulk string of LEN bytes, or an array's head, takes at most. */
#define RESP_HEAD_MAX 32u
#define RESP_BULK_SIZE(len) ((size_t)(len) + RESP_HEAD_MAX)

static inline char *
resp_put(char *at, const void *data, size_t len)
{
	if (len > 0)
		memcpy(at, data, len);
	return at + len;
}

/* TYPE ('$' or '*'), NUMBER, CR LF. */
static inline char *
resp_put_head(char *at, char type, uint64_t number)
{
	char digits[20];
	unsigned n = sizeof(digits);

	do
		digits[--n] = (char)('0' + number % 10);
	while ((number /= 10) > 0);
	*at++ = type;
	at = resp_put(at, digits + n, sizeof(digits) - n);
	*at++ = '\r';
	*at++ = '\n';
	return at;
}

static inline char *
resp_put_bulk(char *at, const void *data, size_t len)
{
	at = resp_put_head(at, '$', len);
	at = resp_put(at, data, len);
	*at++ = '\r';
	*at++ = '\n';
	return at;
}

/* ---- In -------------------------------------------------------------------- */

/* One token: a whole scalar, or the head of an array. Points into the bytes that it was read from. */
struct resp_token {
	char type;        /* + - : $ *; a nil is $ or * with number -1 */
	int64_t number;   /* of ':', the length of '$', the count of '*' */
	const char *data; /* of + - $ */
	size_t len;
};

/* Bytes consumed; 0: not all there yet, NEED bytes (from DATA on) are the least that will do; -1: malformed. */
ssize_t resp_token_read(const char *data, size_t size, struct resp_token *token, size_t *need);

/* How far a look for the end of one reply has come; zero to begin with, and again after each success. */
struct resp_scan {
	size_t at;
	int64_t open; /* tokens still to come, once at > 0 */
};

/* Bytes of the one whole reply at DATA; 0: not all there yet; -1: malformed. The same DATA, grown, each time. */
ssize_t resp_extent(const char *data, size_t size, struct resp_scan *scan, size_t *need);

/* A message that a subscription pushed. */
struct resp_push {
	char *channel; /* NULL where the prefix holds it */
	size_t channel_len;
	char *payload;
	size_t payload_len;
};

/*
 * Reads a push that begins with PREFIX (everything up to what varies), followed by the channel where
 * HAS_CHANNEL, and the payload. Bytes consumed; 0: not all there yet, as above; -1: something else.
 */
ssize_t resp_push_read(char *data, size_t size, const char *prefix, size_t prefix_len, int has_channel,
                       struct resp_push *push, size_t *need);

#endif
