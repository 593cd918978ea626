/*
 * spooled.h - a message as it stands in a spool: what its source gave, and what its leg was, so that whoever reads it can make the
 * same message again and send it where that leg was to go.
 *
 * The bytes are those of this machine's order and of this format's version; a reader refuses any other.
 */
#ifndef XF_FLOW_SPOOLED_H
#define XF_FLOW_SPOOLED_H

#include <crossfade/transport.h>

#include "base/error.h"
#include "base/str.h"

/* What a leg is to its message. */
enum xf_spooled_role {
	XF_SPOOLED_AUTHORITY, /* goes to whichever sink is the authority for its lane when it is sent */
	XF_SPOOLED_SINK,      /* goes to SINK, and nowhere else */
	XF_SPOOLED_COPY,      /* likewise, marked as a copy */
};

struct xf_spooled {
	struct xf_incoming message; /* handle, flags, attempt and release are not kept */
	uint8_t role;               /* enum xf_spooled_role */
	uint8_t sink;               /* number among the sinks of its route */
};

/* How many bytes RECORD takes. */
size_t xf_spooled_size(const struct xf_spooled *record);
/* Writes so many to OUT. */
void xf_spooled_write(const struct xf_spooled *record, char *out);

/* Headers that a record's message points to; grows, and is used again. */
struct xf_spooled_headers {
	struct xf_header *list;
	uint32_t size;
};

void xf_spooled_headers_fini(struct xf_spooled_headers *headers);

/* Borrows from BYTES and from HEADERS. Fails where they are no record. */
enum xf_status xf_spooled_read(struct xf_str bytes, struct xf_spooled_headers *headers, struct xf_spooled *record,
                              struct xf_error *error);

#endif
