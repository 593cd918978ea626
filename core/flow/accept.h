/*
 * accept.h - what the core lets in.
 *
 * A subject, header, id or reply that would break out of a broker's protocol is refused here, before any
 * plugin sees it.
 */
#ifndef XF_FLOW_ACCEPT_H
#define XF_FLOW_ACCEPT_H

#include <crossfade/transport.h>

#include "conf/conf.h"

#define XF_OWN_HEADERS 5 /* Crossfade-Id -Hops -Key -Migration -Copy */

/* NULL, or what is wrong: a static text. */
const char *xf_accept_check(const struct xf_incoming *message, const struct xf_conf_server *limits);

/* The same for a key, also for one that a template made. */
const char *xf_accept_check_key(struct xf_str key, const struct xf_conf_server *limits);

#endif
