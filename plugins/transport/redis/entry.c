/*
 * A field that has no meaning here is a header of its name, so entries that others wrote lose nothing.
 */
#include "entry.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

static bool
id_read(const char *text, size_t len, struct entry_id *id)
{
	uint64_t parts[2] = {0, 0};
	unsigned part = 0;

	for (size_t i = 0; i < len; i++) {
		if (text[i] == '-' && part == 0 && i > 0)
			part = 1;
		else if (text[i] >= '0' && text[i] <= '9')
			parts[part] = parts[part] * 10 + (uint64_t)(text[i] - '0');
		else
			return false;
	}
	*id = (struct entry_id){parts[0], parts[1]};
	return part == 1;
}

size_t
entry_id_write(char *out, struct entry_id id)
{
	return (size_t)snprintf(out, ENTRY_ID_MAX, "%llu-%llu", (unsigned long long)id.ms, (unsigned long long)id.seq);
}

bool
entry_open(struct entry *entry, const char *data, size_t size)
{
	struct resp_token token;
	size_t need, at = 0;

	*entry = (struct entry){.deleted = true};
	at += (size_t)resp_token_read(data, size, &token, &need);
	if (token.number == -1)
		return true;
	if (token.type != '*' || token.number != 2)
		return false;
	at += (size_t)resp_token_read(data + at, size - at, &token, &need);
	if (token.type != '$' || !id_read(token.data, token.len, &entry->id))
		return false;
	entry->id_text = (struct xf_str){token.data, token.len};
	at += (size_t)resp_token_read(data + at, size - at, &token, &need);
	if (token.number <= 0)
		return true;
	if (token.type != '*' || token.number % 2 != 0)
		return false;
	entry->deleted = false;
	entry->fields = (uint32_t)token.number / 2;
	entry->data = data + at;
	entry->size = size - at;
	return true;
}

static bool
is_name(const struct resp_token *token, struct xf_str name)
{
	return name.len > 0 && token->len == name.len && memcmp(token->data, name.data, name.len) == 0;
}

static void
header_add(struct xf_header *headers, struct xf_incoming *m, const struct resp_token *name,
           const struct resp_token *value)
{
	struct xf_str text = {name->data, name->len};

	if (text.len > 2 && memcmp(text.data, "h:", 2) == 0) {
		text.data += 2;
		text.len -= 2;
	}
	if (text.len == 12 && strncasecmp(text.data, "Content-Type", 12) == 0) {
		m->content_type = (struct xf_str){value->data, value->len};
		return;
	}
	headers[m->header_count] = (struct xf_header){text, {value->data, value->len}};
	m->header_count++;
}

static void
field_add(const struct xf_str *names, struct xf_header *headers, struct xf_incoming *m, const struct resp_token *name,
          const struct resp_token *value)
{
	struct xf_str text = {value->data, value->len};

	if (is_name(name, names[FIELD_PAYLOAD])) {
		m->payload = text.data;
		m->payload_size = text.len;
	} else if (is_name(name, names[FIELD_ID])) {
		if (text.len > 0)
			m->id = text; /* else the entry's */
	} else if (is_name(name, names[FIELD_KEY])) {
		m->key = text;
	} else if (is_name(name, names[FIELD_REPLY])) {
		m->reply = text;
	} else if (!is_name(name, names[FIELD_SUBJECT])) { /* which is the key of the stream */
		header_add(headers, m, name, value);
	}
}

bool
entry_read(const struct entry *entry, const struct xf_str names[FIELDS], struct xf_header *headers,
           struct xf_incoming *m)
{
	size_t need, at = 0;

	m->id = entry->id_text;
	m->time_ms = (int64_t)entry->id.ms;
	for (uint32_t i = 0; i < entry->fields; i++) {
		struct resp_token name, value;

		at += (size_t)resp_token_read(entry->data + at, entry->size - at, &name, &need);
		if (name.type != '$')
			return false;
		at += (size_t)resp_token_read(entry->data + at, entry->size - at, &value, &need);
		if (value.type != '$')
			return false;
		field_add(names, headers, m, &name, &value);
	}
	return true;
}
