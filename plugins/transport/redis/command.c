/*
 * A command is written straight into the connection's output, in one pass; its size is reckoned before, so there is
 * one look for room per message.
 */
#include "command.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "endpoint.h"

static bool
head_make(struct command *command, int64_t maxlen)
{
	char digits[24], *at;

	command->head = malloc(128);
	if (command->head == NULL)
		return false;
	at = command->head;
	if (maxlen > 0) {
		at = resp_put_bulk(at, "MAXLEN", 6);
		at = resp_put_bulk(at, "~", 1);
		at = resp_put_bulk(at, digits, (size_t)snprintf(digits, sizeof(digits), "%lld", (long long)maxlen));
	}
	at = resp_put_bulk(at, "*", 1);
	command->head_len = (size_t)(at - command->head);
	command->head_words = maxlen > 0 ? 4 : 1;
	return true;
}

/* A field with an empty name is not written. */
static bool
fields_make(struct command *command, const struct xf_host *host, const struct xf_value *option)
{
	for (unsigned i = 0; i < FIELDS; i++) {
		struct xf_str name = fields_name(host, option, i);

		command->fields[i] = malloc(RESP_BULK_SIZE(name.len));
		if (command->fields[i] == NULL)
			return false;
		if (name.len > 0)
			command->field_lens[i] =
				(size_t)(resp_put_bulk(command->fields[i], name.data, name.len) - command->fields[i]);
	}
	return true;
}

bool
command_init(struct command *command, const struct xf_host *host, const struct xf_config *options, int64_t maxlen)
{
	static const struct {
		const char *text;
		size_t len;
	} verbs[] = {
#define VERB(text) {text, sizeof(text) - 1}
		VERB("*3\r\n$7\r\nPUBLISH\r\n"),
		VERB("*3\r\n$5\r\nLPUSH\r\n"),
		VERB("*3\r\n$5\r\nRPUSH\r\n"),
#undef VERB
	};
	unsigned verb = 0;

	*command = (struct command){0};
	command->mode = endpoint_mode(host, options);
	command->separator = endpoint_separator(host, options);
	if (command->mode == MODE_LIST)
		verb = endpoint_pushes_left(host, options) ? 1 : 2;
	command->verb = verbs[verb].text;
	command->verb_len = verbs[verb].len;
	return head_make(command, maxlen) && fields_make(command, host, host->option(options, ROW_FIELDS));
}

void
command_fini(struct command *command)
{
	for (unsigned i = 0; i < FIELDS; i++)
		free(command->fields[i]);
	free(command->head);
}

/* The subject as a name at Redis. */
static inline char *
name_put(char *at, struct xf_str subject, char separator)
{
	char *end;

	at = resp_put_head(at, '$', subject.len);
	end = resp_put(at, subject.data, subject.len);
	if (separator != 0)
		while ((at = memchr(at, '.', (size_t)(end - at))) != NULL)
			*at++ = separator;
	*end++ = '\r';
	*end++ = '\n';
	return end;
}

/* PUBLISH, LPUSH, RPUSH: a name, and the payload bare. */
static bool
bare_put(const struct command *command, struct conn *conn, const struct xf_outgoing *message)
{
	char *at = conn_reserve(conn, command->verb_len + RESP_BULK_SIZE(message->subject.len) +
	                                      RESP_BULK_SIZE(message->payload_size));

	if (at == NULL)
		return false;
	at = resp_put(at, command->verb, command->verb_len);
	at = name_put(at, message->subject, command->separator);
	at = resp_put_bulk(at, message->payload, message->payload_size);
	conn_commit(conn, at);
	return true;
}

/* Whether FIELD is written for a message in which its VALUE is this. */
static inline bool
field_wanted(const struct command *command, unsigned field, struct xf_str value)
{
	return command->field_lens[field] > 0 && (value.len > 0 || field == FIELD_PAYLOAD);
}

static bool
has_content_type(const struct xf_outgoing *message)
{
	for (uint32_t i = 0; i < message->header_count; i++)
		if (message->headers[i].name.len == 12 &&
		    strncasecmp(message->headers[i].name.data, "Content-Type", 12) == 0)
			return true;
	return false;
}

static char *
header_put(char *at, struct xf_str name, struct xf_str value)
{
	at = resp_put_head(at, '$', name.len + 2);
	at = resp_put(at, "h:", 2);
	at = resp_put(at, name.data, name.len);
	at = resp_put(at, "\r\n", 2);
	return resp_put_bulk(at, value.data, value.len);
}

static bool
xadd_put(const struct command *command, struct conn *conn, const struct xf_outgoing *message)
{
	static const struct xf_str content_type = {"Content-Type", 12};
	const struct xf_str values[FIELDS] = {
		[FIELD_PAYLOAD] = {message->payload, message->payload_size},
		[FIELD_ID] = message->id,
		[FIELD_SUBJECT] = message->subject,
		[FIELD_KEY] = message->key,
		[FIELD_REPLY] = message->reply,
	};
	bool typed = message->content_type.len > 0 && !has_content_type(message);
	uint32_t words = 2 + command->head_words + 2 * (message->header_count + typed);
	size_t size = RESP_HEAD_MAX + RESP_BULK_SIZE(4) + RESP_BULK_SIZE(message->subject.len) + command->head_len;
	char *at;

	for (unsigned i = 0; i < FIELDS; i++) {
		if (!field_wanted(command, i, values[i]))
			continue;
		words += 2;
		size += command->field_lens[i] + RESP_BULK_SIZE(values[i].len);
	}
	for (uint32_t i = 0; i < message->header_count; i++)
		size += RESP_BULK_SIZE(message->headers[i].name.len + 2) +
		        RESP_BULK_SIZE(message->headers[i].value.len);
	if (typed)
		size += RESP_BULK_SIZE(content_type.len + 2) + RESP_BULK_SIZE(message->content_type.len);

	at = conn_reserve(conn, size);
	if (at == NULL)
		return false;
	at = resp_put_head(at, '*', words);
	at = resp_put_bulk(at, "XADD", 4);
	at = name_put(at, message->subject, command->separator);
	at = resp_put(at, command->head, command->head_len);
	for (unsigned i = 0; i < FIELDS; i++) {
		if (!field_wanted(command, i, values[i]))
			continue;
		at = resp_put(at, command->fields[i], command->field_lens[i]);
		at = resp_put_bulk(at, values[i].data, values[i].len);
	}
	for (uint32_t i = 0; i < message->header_count; i++)
		at = header_put(at, message->headers[i].name, message->headers[i].value);
	if (typed)
		at = header_put(at, content_type, message->content_type);
	conn_commit(conn, at);
	return true;
}

bool
command_put(const struct command *command, struct conn *conn, const struct xf_outgoing *message)
{
	return command->mode == MODE_STREAM ? xadd_put(command, conn, message) : bare_put(command, conn, message);
}
