/*
 * "XFC1", the flags, subject, content type, number of headers, name and value of each, and the payload up to the end. Numbers are 32 bits, the
 * lowest byte first; a string is its length and its bytes, and the length ASKERS is that of what the asker has.
 */
#include "stored.h"

#include <endian.h>
#include <stdlib.h>
#include <strings.h>

#define MAGIC "XFC1"
#define ASKERS UINT32_MAX
#define HEADERS_MAX 4096u

static const struct xf_str nothing = {NULL, 0};

static void
number_write(struct bytes *out, uint32_t number)
{
	uint32_t le = htole32(number);

	bytes_add(out, &le, sizeof(le));
}

static void
string_write(struct bytes *out, struct xf_str text)
{
	number_write(out, (uint32_t)text.len);
	bytes_str(out, text);
}

/* The server's own are made anew for each message. */
static bool
header_is_ours(struct xf_str name)
{
	return name.len >= 10 && strncasecmp(name.data, "Crossfade-", 10) == 0;
}

static const struct xf_header *
header_find(const struct xf_incoming *message, struct xf_str name)
{
	for (uint32_t i = 0; message != NULL && i < message->header_count; i++)
		if (str_equal_nocase(message->headers[i].name, name))
			return &message->headers[i];
	return NULL;
}

static void
header_write(struct bytes *out, const struct xf_header *header, const struct xf_incoming *asked)
{
	const struct xf_header *same = header_find(asked, header->name);

	string_write(out, header->name);
	if (same != NULL && str_equal(same->value, header->value))
		number_write(out, ASKERS);
	else
		string_write(out, header->value);
}

void
stored_write(struct bytes *out, const struct xf_incoming *answer, const struct xf_incoming *asked)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < answer->header_count && count < HEADERS_MAX; i++)
		count += !header_is_ours(answer->headers[i].name);
	out->len = 0;
	bytes_puts(out, MAGIC);
	number_write(out, answer->flags & XF_MESSAGE_REPLY);
	if (answer->subject.len == 0 || (asked != NULL && str_equal(answer->subject, asked->subject)))
		number_write(out, ASKERS);
	else
		string_write(out, answer->subject);
	string_write(out, answer->content_type);
	number_write(out, count);
	for (uint32_t i = 0; count > 0; i++)
		if (!header_is_ours(answer->headers[i].name)) {
			header_write(out, &answer->headers[i], asked);
			count--;
		}
	bytes_add(out, answer->payload, answer->payload_size);
}

/* ---- Reading ---------------------------------------------------------------------------- */

struct reading {
	const char *at, *end;
	bool wrong;
};

static uint32_t
number_read(struct reading *r)
{
	uint32_t le = 0;

	if ((size_t)(r->end - r->at) < sizeof(le)) {
		r->wrong = true;
		return 0;
	}
	memcpy(&le, r->at, sizeof(le));
	r->at += sizeof(le);
	return le32toh(le);
}

/* Where it is the asker's, *ASKERS is set and nothing returned. */
static struct xf_str
string_read(struct reading *r, bool *askers)
{
	uint32_t len = number_read(r);
	struct xf_str text = {r->at, len};

	*askers = len == ASKERS && !r->wrong;
	if (*askers)
		return nothing;
	if (r->wrong || len > (size_t)(r->end - r->at)) {
		r->wrong = true;
		return nothing;
	}
	r->at += len;
	return text;
}

static void
headers_read(struct stored *stored, struct reading *r, const struct xf_incoming *asker)
{
	uint32_t there_are = number_read(r), count = 0;
	bool askers;

	if (there_are > HEADERS_MAX)
		r->wrong = true;
	if (!r->wrong && there_are > stored->header_size) {
		stored->headers = need(realloc(stored->headers, there_are * sizeof(*stored->headers)));
		stored->header_size = there_are;
	}
	for (uint32_t i = 0; i < there_are && !r->wrong; i++) {
		struct xf_str name = string_read(r, &askers), value = string_read(r, &askers);
		const struct xf_header *own = askers ? header_find(asker, name) : NULL;

		if (!askers || own != NULL)
			stored->headers[count++] = (struct xf_header){name, own != NULL ? own->value : value};
	}
	stored->message.headers = stored->headers;
	stored->message.header_count = count;
}

bool
stored_read(struct stored *stored, struct xf_str data, const struct xf_incoming *asker)
{
	struct reading r = {data.data, data.data + data.len, false};
	struct xf_str subject;
	bool askers, none;

	if (data.len < 4 || memcmp(data.data, MAGIC, 4) != 0)
		return false;
	r.at += 4;
	stored->message = *asker;
	stored->message.flags = number_read(&r) & XF_MESSAGE_REPLY;
	subject = string_read(&r, &askers);
	if (!askers)
		stored->message.subject = subject;
	stored->message.content_type = string_read(&r, &none);
	headers_read(stored, &r, asker);
	stored->message.payload = r.at;
	stored->message.payload_size = (uint64_t)(r.end - r.at);
	return !r.wrong && !none;
}

void
stored_fini(struct stored *stored)
{
	free(stored->headers);
}
