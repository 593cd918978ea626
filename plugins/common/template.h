/*
 * template.h - values taken from a message by a plugin: "{header.order-id|subject}".
 *
 * The language is that of the configuration: text and fields in turn. A field is `subject`, `subject.N`, `id`, `key`, `header.NAME`,
 * `json./pointer`, `payload.hash` (XXH3_64, 16 hexadecimal digits) or a quoted literal; alternatives parted by `|` are tried in
 * order, and what is empty counts as missing. A string, a number up to 2^53 and a boolean are values of a JSON payload; null, and
 * what has members or elements, are none.
 */
#ifndef PLUGINS_TEMPLATE_H
#define PLUGINS_TEMPLATE_H

#include <stdbool.h>

#include <crossfade/transport.h>

#include "bytes.h"
#include "document.h"

/* A message that is looked at. Its payload is parsed when that is first asked for, and once. Zeroed at first; one is used for one
 * message after another. */
struct view {
	const struct xf_incoming *message;
	struct document document;
	bool parsed;
	bool sound; /* it was JSON */
	char digits[64];
};

/* MESSAGE is borrowed until the next call. */
void view_open(struct view *view, const struct xf_incoming *message);
void view_fini(struct view *view);

/* NULL: the payload is no JSON; then view->document says why. */
struct document *view_document(struct view *view);

struct template;

/* NULL with a reason in ERROR. */
struct template *template_create(struct xf_str text, struct xf_error *error);
void template_destroy(struct template **template);

/*
 * The value, borrowed from the message, its document or the template where it is one plain field, else built in SCRATCH, which
 * is emptied first. Valid until one of them changes. False: a field has no value; its name is in ERROR, which may be NULL.
 */
bool template_value(const struct template *template, struct view *view, struct bytes *scratch, struct xf_str *value,
                    struct xf_error *error);

/* Appends the value to OUT, where PUT appends what comes of fields, in a form of its own; the template's text is copied as it stands. */
bool template_put(const struct template *template, struct view *view, void (*put)(struct bytes *out, struct xf_str value),
                  struct bytes *out, struct xf_error *error);

#endif
