/*
 * What a Redis server sends: one reply, a stream entry in it, or pushes. However it comes in pieces, a reply ends at the same byte, and
 * no more is asked for than it has.
 */
#include "common/redis/resp.h"

#include "transport/redis/entry.h"

#include "fuzz.h"

/* In the steps that the reader asks for. */
static void
pieces_check(struct xf_str reply)
{
	struct resp_scan scan = {0};
	size_t size = 0, need;
	ssize_t extent;

	while ((extent = resp_extent(reply.data, size, &scan, &need)) == 0) {
		XF_ASSERT(need > size && need <= reply.len);
		size = need;
	}
	XF_ASSERT((uint64_t)extent == reply.len);
}

static void
entry_check(struct xf_str reply)
{
	static const struct xf_str names[FIELDS] = {{"p", 1}, {"i", 1}, {"s", 1}, {"k", 1}, {"r", 1}};
	struct xf_header *headers;
	struct xf_incoming message = {0};
	struct entry entry;
	char id[ENTRY_ID_MAX];

	if (!entry_open(&entry, reply.data, reply.len))
		return;
	entry_id_write(id, entry.id);
	headers = calloc(entry.fields + 1, sizeof(*headers));
	if (entry_read(&entry, names, headers, &message)) {
		XF_ASSERT(message.header_count <= entry.fields);
		XF_ASSERT(message.payload_size <= reply.len && message.id.len <= reply.len);
	}
	free(headers);
}

static void
push_check(struct xf_str input, const char *prefix, int has_channel)
{
	struct resp_push push, whole;
	size_t size = 0, need;
	ssize_t n = resp_push_read((char *)input.data, input.len, prefix, strlen(prefix), has_channel, &whole, &need);

	if (n <= 0)
		return;
	XF_ASSERT((uint64_t)n <= input.len && (has_channel || whole.channel == NULL));
	while (resp_push_read((char *)input.data, size, prefix, strlen(prefix), has_channel, &push, &need) == 0) {
		XF_ASSERT(need > size && need <= (size_t)n);
		size = need;
	}
	XF_ASSERT(size == (size_t)n && push.payload == whole.payload && push.payload_len == whole.payload_len);
}

void
fuzz_one(struct xf_str input)
{
	struct xf_str reply = fuzz_tight(input);
	struct resp_scan scan = {0};
	size_t need;
	ssize_t extent = resp_extent(reply.data, reply.len, &scan, &need);

	XF_ASSERT(extent != 0 || need > reply.len);
	if (extent > 0) {
		reply = fuzz_tight((struct xf_str){reply.data, (uint64_t)extent});
		pieces_check(reply);
		entry_check(reply);
	}
	push_check(fuzz_tight(input), "*3\r\n$7\r\nmessage\r\n$1\r\na\r\n", 0);
	push_check(fuzz_tight(input), "*4\r\n$8\r\npmessage\r\n$1\r\n*\r\n", 1);
}
