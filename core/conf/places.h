/*
 * places.h - where endpoints lead: their address as a number, equal for the same place.
 *
 * The address is the plugin's word, "the same broker, namespace and kind" as text; a plugin without one is
 * known by its transport alone.
 */
#ifndef XF_CONF_PLACES_H
#define XF_CONF_PLACES_H

#include "conf/schema.h"

struct xf_places {
	struct xf_loading *l;
	struct xf_names texts;
};

void xf_places_fini(struct xf_places *places);

/* *SUBJECT becomes what is read there instead of the endpoint's subject, if the address says so. */
size_t xf_places_number(struct xf_places *places, const struct xf_conf_endpoint *ep, bool sink, const char **subject);

/* Whether two sinks can publish to the same subject of the same place, given one of the patterns that is let in. */
bool xf_places_meet(struct xf_places *places, const struct xf_conf_endpoint *a, const struct xf_conf_endpoint *b,
                    const char *const *patterns, size_t count);

#endif
