/*
 * nats.c - what the plugin is: its entry, its class, and what the endpoints of a transport share.
 */
#include "settings.h"
#include "sink.h"
#include "source.h"

static int32_t
transport_open(const struct xf_host *host, const struct xf_config *transport, struct xf_str name,
               void **shared,
               struct xf_error *error)
{
	struct settings *settings = settings_create(host, transport, error);

	(void)name;
	if (settings == NULL)
		return -1;
	*shared = settings;
	return 0;
}

static void
transport_close(void *shared)
{
	struct settings *settings = shared;

	settings_destroy(&settings);
}

static const struct xf_transport_class nats_class = {
	.head = {.struct_size = sizeof(struct xf_transport_class),
	         .kind = XF_KIND_TRANSPORT,
	         .name = "nats",
	         .summary = "NATS: JetStream streams with acknowledgement, and core subjects"},
	.options = transport_options,
	.source_options = source_options,
	.sink_options = sink_options,
	.source = &nats_source_ops,
	.sink = &nats_sink_ops,
	.open = transport_open,
	.close = transport_close,
};

static const struct xf_class *const classes[] = {&nats_class.head, NULL};

static const struct xf_entry entry = {
	XF_ENTRY_HEAD,
	.id = "org.crossfade.nats",
	.version = XF_VERSION,
	.licence = "Apache-2.0",
	.url = "https://crossfade.example/plugins/nats",
	.classes = classes,
};

const struct xf_entry *
xf_plugin_entry_v1(void)
{
	return &entry;
}
