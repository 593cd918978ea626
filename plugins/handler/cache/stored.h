/*
 * stored.h - an answer as bytes, to be given to others than the one who asked first.
 *
 * Of the first asker nothing stays in it: where the answer has the asker's subject, or a header just as the asker had it, that is
 * noted, and whoever gets the answer has his own there. Subject and id apart, a message that nobody asked for is kept as it is.
 */
#ifndef CACHE_STORED_H
#define CACHE_STORED_H

#include <crossfade/transport.h>

#include "bytes.h"

/* ANSWER in place of what is in OUT. ASKED may be NULL; of it the payload is not looked at. */
void stored_write(struct bytes *out, const struct xf_incoming *answer, const struct xf_incoming *asked);

/* Zeroed at first; one is used for one after another. */
struct stored {
	struct xf_incoming message;
	struct xf_header *headers;
	uint32_t header_size;
};

/* The answer in DATA for ASKER, both borrowed. False: DATA is none. */
bool stored_read(struct stored *stored, struct xf_str data, const struct xf_incoming *asker);
void stored_fini(struct stored *stored);

#endif
