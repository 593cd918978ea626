/*
 * What the core lets in cannot break out of any broker's protocol: a message of the input's lines, split at a byte (0x1e) that is
 * neither of those that must not pass.
 */
#include "flow/accept.h"

#include "base/subject.h"
#include "fuzz.h"

static const struct xf_conf_server limits = {
	.max_subject = 1024, .max_header_value = 4096, .max_headers = 4, .max_payload = 1024};

static struct xf_str
part(struct xf_str *rest)
{
	const char *mark = rest->len > 0 ? memchr(rest->data, 0x1e, rest->len) : NULL;
	struct xf_str taken = {rest->data, mark != NULL ? (uint64_t)(mark - rest->data) : rest->len};
	uint64_t gone = taken.len + (mark != NULL);

	*rest = (struct xf_str){rest->data + gone, rest->len - gone};
	return fuzz_tight(taken);
}

static void
check(struct xf_str text, unsigned char above, const char *without)
{
	for (uint64_t i = 0; i < text.len; i++)
		XF_ASSERT((unsigned char)text.data[i] >= above && text.data[i] != '\0' &&
		          strchr(without, text.data[i]) == NULL);
}

void
fuzz_one(struct xf_str input)
{
	struct xf_header headers[12];
	struct xf_incoming message = {.subject = part(&input), .id = part(&input), .key = part(&input)};

	message.reply = part(&input);
	message.content_type = part(&input);
	message.payload_size = part(&input).len;
	for (; input.len > 0 && message.header_count < 12; message.header_count++)
		headers[message.header_count] = (struct xf_header){part(&input), part(&input)};
	message.headers = headers;
	if (xf_accept_check(&message, &limits) != NULL)
		return;
	XF_ASSERT(xf_subject_check(message.subject) == NULL && message.subject.len <= limits.max_subject);
	XF_ASSERT(message.header_count <= limits.max_headers + XF_OWN_HEADERS);
	check(message.id, 0, "\r\n");
	check(message.key, 0, "\r\n");
	check(message.content_type, 0, "\r\n");
	check(message.reply, '!', "\x7f");
	for (uint32_t i = 0; i < message.header_count; i++) {
		XF_ASSERT(headers[i].name.len > 0 && headers[i].name.len <= 256);
		check(headers[i].name, '!', "\x7f:()<>@,;\\\"/[]?={}");
		check(headers[i].value, 0, "\r\n");
	}
}
