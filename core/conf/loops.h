/*
 * loops.h - publishing loops inside one configuration.
 */
#ifndef XF_CONF_LOOPS_H
#define XF_CONF_LOOPS_H

#include "conf/places.h"

/* Reports each, once, at the destination that closes it. */
void xf_loops_check(struct xf_places *places);

#endif
