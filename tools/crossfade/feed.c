#include "feed.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include "base/subject.h"
#include "tool.h"

enum {
	PAYLOAD_BYTES_MAX = 64 * 1024 * 1024,
	PIECE_BYTES = 64 * 1024,
	LINE_BYTES_MAX = 16 * 1024 * 1024, /* twice the largest message, for base64 */
};

/* The next line in the input, terminated, without its end; false: there is none whole. */
static bool
line_take(struct feed *feed, struct xf_str *line)
{
	size_t left = feed->input.len - feed->used;
	char *begin, *end;

	if (left == 0)
		return false;
	begin = feed->input.data + feed->used;
	end = memchr(begin, '\n', left);
	if (end == NULL && !feed->at_end)
		return false;
	if (end == NULL) { /* the last one has no end */
		xf_buffer_append(&feed->input, "\n", 1);
		begin = feed->input.data + feed->used;
		end = begin + left;
	}
	feed->used += (size_t)(end - begin) + 1;
	if (end > begin && end[-1] == '\r')
		end--;
	*end = '\0';
	*line = (struct xf_str){begin, (size_t)(end - begin)};
	return true;
}

/* False: nothing can be read now. */
static bool
input_read(struct feed *feed)
{
	struct pollfd ready = {.fd = feed->fd, .events = POLLIN};
	char piece[PIECE_BYTES];
	ssize_t len;

	if (feed->used > 0) {
		memmove(feed->input.data, feed->input.data + feed->used, feed->input.len - feed->used);
		feed->input.len -= feed->used;
		feed->used = 0;
	}
	if (feed->input.len > LINE_BYTES_MAX) {
		complain(EXIT_FAILED, "line %" PRIu64 " is longer than %d MiB; nothing more is read", feed->number + 1,
		         LINE_BYTES_MAX / 1024 / 1024);
		feed->bad++;
		feed->input.len = 0;
		feed->at_end = true;
		return true;
	}
	if (poll(&ready, 1, 0) == 0)
		return false;
	len = read(feed->fd, piece, sizeof piece);
	if (len > 0)
		xf_buffer_append(&feed->input, piece, (size_t)len);
	else if (len == 0 || (errno != EINTR && errno != EAGAIN))
		feed->at_end = true;
	return true;
}

/* Headers of the command line go with every message. */
static void
line_complete(struct feed *feed)
{
	const struct xf_incoming *common = &feed->common.in;
	struct xf_incoming *in = &feed->line.in;

	if (in->subject.len == 0)
		in->subject = common->subject;
	if (in->key.len == 0)
		in->key = common->key;
	if (in->reply.len == 0)
		in->reply = common->reply;
	if (in->content_type.len == 0)
		in->content_type = common->content_type;
	for (uint32_t i = 0; i < common->header_count; i++)
		message_header(&feed->line, common->headers[i].name, common->headers[i].value);
}

/* False: the line is no message, which was said. */
static bool
line_read(struct feed *feed, struct xf_str line)
{
	struct xf_error error = {{0}};

	message_fini(&feed->line);
	feed->number++;
	if (feed->kind == FEED_LINES) {
		feed->line.in.payload = line.data;
		feed->line.in.payload_size = line.len;
	} else if (line.len == 0) {
		return false; /* an empty line says nothing */
	} else if (message_parse(&feed->line, line, &error) != XF_OK) {
		complain(EXIT_FAILED, "line %" PRIu64 ": %s", feed->number, error.text);
		feed->bad++;
		return false;
	}
	line_complete(feed);
	if (feed->line.in.subject.len > 0)
		return true;
	complain(EXIT_FAILED, "line %" PRIu64 ": it has no subject, and none was given", feed->number);
	feed->bad++;
	return false;
}

enum terminal_next
feed_next(void *context, struct xf_incoming *message, int *fd)
{
	struct feed *feed = context;
	struct xf_str line;

	if (feed->kind == FEED_ONE) {
		if (feed->number == feed->count)
			return TERMINAL_END;
		feed->number++;
		*message = feed->common.in;
		return TERMINAL_MESSAGE;
	}
	for (;;) {
		while (line_take(feed, &line))
			if (line_read(feed, line)) {
				*message = feed->line.in;
				return TERMINAL_MESSAGE;
			}
		if (feed->at_end)
			return TERMINAL_END;
		if (!input_read(feed)) {
			*fd = feed->fd;
			return TERMINAL_LATER;
		}
	}
}

/* ---- What the command line says ------------------------------------------------------------------------------- */

int
feed_payload(struct message *message, const char *path, int fd)
{
	struct xf_buffer bytes = {0};
	char piece[65536];
	ssize_t len;

	while ((len = read(fd, piece, sizeof piece)) > 0 && bytes.len <= PAYLOAD_BYTES_MAX)
		xf_buffer_append(&bytes, piece, (size_t)len);
	if (len == 0) {
		struct xf_str kept = message_keep(message, bytes.data, bytes.len);

		message->in.payload = kept.data;
		message->in.payload_size = kept.len;
	}
	xf_buffer_fini(&bytes);
	if (len == 0)
		return EXIT_DONE;
	return complain(EXIT_FAILED, "%s: %s", path, len < 0 ? strerror(errno) : "too large for a message");
}

bool
feed_headers(struct message *message, const char *const *headers)
{
	for (; *headers != NULL; headers++) {
		size_t len = strcspn(*headers, ":");
		const char *value = *headers + len + 1;

		if ((*headers)[len] != ':' || len == 0) {
			complain(EXIT_USAGE, "-H takes 'Name: value', not '%s'", *headers);
			return false;
		}
		value += strspn(value, " \t");
		message_header(message, (struct xf_str){*headers, len}, xf_str(value));
	}
	return true;
}

bool
feed_subject(const char *subject, const char *const *options)
{
	const char *wrong = subject != NULL ? xf_subject_check(xf_str(subject)) : NULL;

	for (; wrong != NULL && *options != NULL; options++)
		if (strncmp(*options, "subject_escape=", 15) == 0)
			return true; /* foreign names are what it is for */
	if (wrong == NULL)
		return true;
	complain(EXIT_USAGE, "subject '%s': it %s", subject, wrong);
	return false;
}

void
feed_fini(struct feed *feed)
{
	message_fini(&feed->line);
	message_fini(&feed->common);
	xf_buffer_fini(&feed->input);
}
