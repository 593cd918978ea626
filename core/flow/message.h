/*
 * message.h - a message with its bytes in one block, for as long as somebody works on it.
 */
#ifndef XF_FLOW_MESSAGE_H
#define XF_FLOW_MESSAGE_H

#include <crossfade/transport.h>

/* A copy of MESSAGE and of all that it points to, to be given to free(); without release. */
struct xf_incoming *xf_message_copy(const struct xf_incoming *message);

/* What such a copy takes. */
uint64_t xf_message_bytes(const struct xf_incoming *message);

#endif
