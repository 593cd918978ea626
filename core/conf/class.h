/*
 * class.h - what a transport class says about itself, read within the sizes that it was built with.
 *
 * Plugins may be older than this core: whatever lies past their own structures is as if it were NULL.
 */
#ifndef XF_CONF_CLASS_H
#define XF_CONF_CLASS_H

#include <stdbool.h>

#include <crossfade/transport.h>

#include "conf/conf.h"

/* One side of a class: its sources, or its sinks. */
struct xf_class_side {
	bool exists;
	const struct xf_option *const *options; /* NULL: none */
	uint64_t (*traits)(const struct xf_host *host, const struct xf_config *transport,
	                   const struct xf_config *endpoint);
	uint32_t (*address)(const struct xf_host *host, const struct xf_config *transport,
	                    const struct xf_config *endpoint, char *out, uint32_t size);
	int32_t (*check)(const struct xf_host *host, const struct xf_config *transport,
	                 const struct xf_config *endpoint, const struct xf_endpoint_info *info,
	                 struct xf_error *error);
	uint64_t lacks; /* traits whose functions it does not have */
};

struct xf_class_side xf_class_source(const struct xf_transport_class *class);
struct xf_class_side xf_class_sink(const struct xf_transport_class *class);

/* The address of ENDPOINT as its plugin writes it, terminated. False: it gives none. */
bool xf_class_address(const struct xf_class_side *side, const struct xf_host *host, const struct xf_conf_endpoint *endpoint,
                      char *out, size_t size);

/* Options of the transport itself; NULL: none. */
const struct xf_option *const *xf_class_options(const struct xf_transport_class *class);

#endif
