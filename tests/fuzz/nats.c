/*
 * What a NATS server sends, in one piece and in many: the same messages and answers come of it, up to the same failure.
 */
#include "transport/nats/link.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "transport/nats/json.h"

#include "fuzz.h"

/* settings.c's, which needs the rest of the plugin. */
char *
copy_string(struct xf_str string)
{
	char *copy = need(malloc(string.len + 1));

	memcpy(copy, string.data, string.len);
	copy[string.len] = '\0';
	return copy;
}

static uint64_t
now_ms(void)
{
	return 1;
}

static void
note(struct xf_buffer *seen, struct xf_str text)
{
	xf_buffer_printf(seen, "%llu:", (unsigned long long)text.len);
	xf_buffer_append(seen, text.data, text.len);
}

static void
message_note(struct xf_buffer *seen, const struct link_message *m)
{
	struct xf_str cursor = m->headers;
	struct xf_header header;

	xf_buffer_printf(seen, "\nM%u %u ", m->sid, m->status);
	note(seen, m->subject);
	note(seen, m->reply);
	note(seen, m->status_text);
	while (link_header(&cursor, &header)) {
		XF_ASSERT(header.name.len > 0 && memchr(header.name.data, '\n', header.name.len) == NULL);
		XF_ASSERT(header.value.len == 0 || memchr(header.value.data, '\n', header.value.len) == NULL);
		note(seen, header.name);
		note(seen, header.value);
	}
	note(seen, m->payload);
}

/* Notes all that comes of INPUT when PIECE bytes are there at a time. */
static void
hear(struct xf_str input, uint64_t piece, struct xf_buffer *seen)
{
	static const struct xf_host host = {.struct_size = sizeof(host), .now_ms = now_ms};
	static char url_text[] = "nats://u:p@h", *url = url_text;
	struct settings settings = {.host = &host, .urls = &url, .url_count = 1};
	struct link link = {.settings = &settings, .greeting = true, .max_payload = 1 << 20};
	struct link_message message;
	enum link_event event;
	int ends[2];

	XF_ASSERT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) == 0);
	servers_init(&link.servers, &settings);
	link.servers.at = 0;
	link.fd = ends[0];
	link.in = malloc(LINK_IN_SIZE);
	while (!link.failed && input.len > 0) {
		uint64_t size = piece < input.len ? piece : input.len;

		XF_ASSERT(write(ends[1], input.data, size) == (ssize_t)size);
		input = (struct xf_str){input.data + size, input.len - size};
		link_read(&link);
		while ((event = link_next(&link, &message)) != LINK_NOTHING) {
			if (event == LINK_MESSAGE)
				message_note(seen, &message);
			else
				xf_buffer_printf(seen, "\nE%d %s %s", event, link.refusal, link.refused_subject);
		}
	}
	xf_buffer_printf(seen, "\n%d %s %s %u %lld", link.failed, link.reason, link.server_id, link.servers.count,
	                 (long long)link.max_payload);
	close(ends[0]);
	close(ends[1]);
	servers_fini(&link.servers);
	free(link.lent);
	free(link.large);
	free(link.in);
	free(link.out);
}

void
fuzz_one(struct xf_str input)
{
	struct xf_buffer whole = {0}, pieces = {0};
	uint64_t piece = input.len > 0 ? 1 + (unsigned char)input.data[input.len - 1] % 61 : 1;

	hear(input, input.len, &whole);
	hear(input, input.len > 2000 ? piece * 64 : piece, &pieces);
	XF_ASSERT(xf_str_equal(fuzz_text(&whole), fuzz_text(&pieces)));
	xf_buffer_fini(&whole);
	xf_buffer_fini(&pieces);
}
