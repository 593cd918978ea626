/*
 * plugin.c - the entry of the amqp transport.
 */
#include "endpoints.h"
#include "options.h"

#include <stddef.h>

static const struct xf_transport_class amqp_class = {
	.head = {sizeof(amqp_class), XF_KIND_TRANSPORT, "amqp", "AMQP 0-9-1: RabbitMQ and its kin"},
	.options = options_of_transport,
	.source_options = options_of_source,
	.sink_options = options_of_sink,
	.source = &source_ops,
	.sink = &sink_ops,
};

static const struct xf_class *const classes[] = {&amqp_class.head, NULL};

static const struct xf_entry entry = {
	XF_ENTRY_HEAD,
	.id = "org.crossfade.transport.amqp",
	.version = XF_VERSION,
	.classes = classes,
};

const struct xf_entry *
xf_plugin_entry_v1(void)
{
	return &entry;
}
