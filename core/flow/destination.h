/*
 * destination.h - which sinks a message goes to, and which of them it waits for: the one place that knows what a
 * migration, `all`, `split` and a single sink are. Pure.
 *
 * Everything hard (order, retry, outage, hand-over) is the lanes', and the same for all of them.
 */
#ifndef XF_FLOW_DESTINATION_H
#define XF_FLOW_DESTINATION_H

#include "conf/conf.h"

#define XF_BUCKETS 10000

struct xf_destination {
	enum xf_to to;
	uint8_t sink_count;
	enum xf_require require;               /* of TO_ALL */
	uint16_t below[XF_CONF_SINKS_MAX];     /* of TO_SPLIT: a sink has the buckets from the one before it to here */
	/* of TO_MIGRATION: sink 0 is the old side, sink 1 the new one */
	uint32_t percent;
	enum xf_mirror mirror;
};

/* Whether a message waits for a leg. */
enum xf_need {
	XF_NEED_NOT, /* nobody waits: it is dropped where it would have to be held */
	XF_NEED_IT,  /* it must confirm */
	XF_NEED_ANY, /* one of these must confirm; then the others are not needed */
};

/* The legs of a message. */
struct xf_legs_plan {
	uint8_t further; /* sinks beside the authority that get one, as bits */
	uint8_t authority_need, further_need; /* XF_NEED_* */
	bool copies;     /* the further ones are marked as copies */
};

/* MIGRATION: may be NULL. It starts with the knobs as the YAML has them. */
void xf_destination_init(struct xf_destination *destination, const struct xf_conf_route *route,
                         const struct xf_conf_migration *migration);

/* The sink that is the authority for BUCKET. */
uint8_t xf_destination_authority(const struct xf_destination *destination, uint16_t bucket);

/* What a message of a lane gets whose authority is the sink AUTHORITY. */
struct xf_legs_plan xf_destination_legs(const struct xf_destination *destination, uint8_t authority);

/* How many legs a message has at most. */
unsigned xf_destination_legs_max(const struct xf_destination *destination);

#endif
