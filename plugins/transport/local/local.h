/*
 * local.h - the parts of the plugin, as its entry (local.c) joins them.
 */
#ifndef LOCAL_LOCAL_H
#define LOCAL_LOCAL_H

#include <crossfade/transport.h>

/* Rows of the option tables. */
enum {
	TRANSPORT_MAX_MESSAGES,
	TRANSPORT_MAX_BYTES,
	TRANSPORT_DEDUP_WINDOW,
	TRANSPORT_MAX_AGE,
	TRANSPORT_FILE,
	TRANSPORT_FORGET,
};

enum {
	SOURCE_GROUP,
	SOURCE_ACK_WAIT,
};

extern const struct xf_source_ops local_source;
extern const struct xf_sink_ops local_sink;

/* Where an endpoint of a transport reads or writes: the broker in this process that the settings stand for. */
uint32_t local_address(const struct xf_host *host, const struct xf_config *transport,
                       const struct xf_config *endpoint, char *out, uint32_t size);

#endif
