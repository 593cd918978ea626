/*
 * handlers.h - `handlers` of a route: who works on its messages, in which order.
 */
#ifndef XF_CONF_HANDLERS_H
#define XF_CONF_HANDLERS_H

#include "conf/read.h"

/* LIST may be NULL. */
void xf_handlers_read(struct xf_loading *l, struct xf_conf_route *route, const struct xf_yaml *list, const char *scope);

#endif
