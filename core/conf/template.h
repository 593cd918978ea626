/*
 * template.h - values taken from a message: "{header.order-id|subject}".
 *
 * Text and fields in turn. A field is `subject`, `subject.N`, `id`, `key`,
 * `header.NAME`, `json./pointer` (RFC 6901 into a JSON payload), `payload.hash` (XXH3_64, 16 hexadecimal
 * digits) or a quoted literal; alternatives are tried in order. A field without a value and
 * without an alternative left is an error of that message.
 */
#ifndef XF_CONF_TEMPLATE_H
#define XF_CONF_TEMPLATE_H

#include <stdbool.h>

#include "base/error.h"
#include "base/str.h"

/* What a template can take values from; all borrowed. */
struct xf_fields {
	struct xf_str subject;
	struct xf_str id;
	struct xf_str key;
	struct xf_str payload;
	const struct xf_header *headers;
	uint32_t header_count;
};

struct xf_template;

/* NULL with a reason in ERROR; *COLUMN is then the byte of TEXT, from 0, where it stands. */
struct xf_template *xf_template_create(struct xf_str text, size_t *column, struct xf_error *error);
void xf_template_destroy(struct xf_template **template);

/*
 * The value, borrowed from FIELDS where the template is one plain field, else built in SCRATCH, which
 * is emptied first and stays the caller's. Valid until either changes. Fails with the name
 * of the missing field in ERROR. Any thread; SCRATCH per thread.
 */
enum xf_status xf_template_eval(const struct xf_template *template, const struct xf_fields *fields,
                                struct xf_buffer *scratch, struct xf_str *value, struct xf_error *error);

/* The text that it was made from. */
struct xf_str xf_template_text(const struct xf_template *template);

/* True and the text in *VALUE where it takes nothing from a message. */
bool xf_template_constant(const struct xf_template *template, struct xf_str *value);

/* True where the last alternative of some field is the message's id. */
bool xf_template_uses_id(const struct xf_template *template);

/* A subject pattern that every value matches: fields become `*` tokens, or `>` where they may be several. */
void xf_template_pattern(const struct xf_template *template, struct xf_buffer *out);

/* The same where the message's subject is known to match SOURCE: {subject} and {subject.N} are then as narrow as
 * it is. */
void xf_template_pattern_from(const struct xf_template *template, struct xf_str source, struct xf_buffer *out);

/* Whether some message could give the same value by both templates, as far as their texts tell. */
bool xf_template_may_equal(const struct xf_template *a, const struct xf_template *b);

/* What keeps its values from being subjects, whatever the message ("has a space or control character"), or NULL. */
const char *xf_template_subject_check(const struct xf_template *template);

#endif
