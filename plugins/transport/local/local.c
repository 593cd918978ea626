/*
 * local - the embedded broker.
 *
 * A transport is a broker in memory; its sources and sinks are what connects to it. See broker.h.
 */
#include "local.h"

#include <stdio.h>

#include "broker.h"

static const struct xf_option max_messages = {
	.struct_size = sizeof(struct xf_option),
	.type = XF_OPTION_I64,
	.key = "max_messages",
	.def = "1000000",
	.min = 1,
	.max = 1000000000,
	.unit = "messages",
	.help = "How many messages the broker keeps; one that two subscriptions keep counts twice",
};

static const struct xf_option max_bytes = {
	.struct_size = sizeof(struct xf_option),
	.type = XF_OPTION_BYTES,
	.key = "max_bytes",
	.def = "256MiB",
	.min = 64 << 10,
	.max = 1ll << 40,
	.help = "How much memory the broker's messages may take",
};

static const struct xf_option dedup_window = {
	.struct_size = sizeof(struct xf_option),
	.type = XF_OPTION_I64,
	.key = "dedup_window",
	.def = "16384",
	.min = 0,
	.max = 100000000,
	.unit = "messages",
	.help = "A message whose id was among so many last ones on its subject is stored once; 0 turns this off",
};

static const struct xf_option group = {
	.struct_size = sizeof(struct xf_option),
	.type = XF_OPTION_STRING,
	.key = "group",
	.help = "Sources of one group and subject share their messages; without it a source has a copy of each",
};

static const struct xf_option *const transport_options[] = {
	[TRANSPORT_MAX_MESSAGES] = &max_messages,
	[TRANSPORT_MAX_BYTES] = &max_bytes,
	[TRANSPORT_DEDUP_WINDOW] = &dedup_window,
	NULL,
};

static const struct xf_option *const source_options[] = {
	[SOURCE_GROUP] = &group,
	NULL,
};

uint32_t
local_address(const struct xf_host *host, const struct xf_config *transport, const struct xf_config *endpoint,
              char *out, uint32_t size)
{
	char text[48];
	int n = snprintf(text, sizeof(text), "local:%p", (const void *)transport);

	(void)host;
	(void)endpoint;
	if (n < 0 || (uint32_t)n > size)
		return 0;
	for (int i = 0; i < n; i++)
		out[i] = text[i];
	return (uint32_t)n;
}

static int32_t
local_open(const struct xf_host *host, const struct xf_config *transport, struct xf_str name, void **shared,
           struct xf_error *error)
{
	struct broker *broker = broker_create(host, (uint64_t)host->option(transport, TRANSPORT_MAX_MESSAGES)->i64,
	                                      (uint64_t)host->option(transport, TRANSPORT_MAX_BYTES)->i64,
	                                      (uint32_t)host->option(transport, TRANSPORT_DEDUP_WINDOW)->i64);

	(void)name;
	if (broker == NULL) {
		snprintf(error->text, sizeof(error->text), "no memory for the broker");
		return -1;
	}
	*shared = broker;
	return 0;
}

static void
local_close(void *shared)
{
	struct broker *broker = shared;

	broker_destroy(&broker);
}

static uint32_t
local_report(void *shared, char *out, uint32_t size)
{
	return broker_report(shared, out, size);
}

static const struct xf_transport_class local_class = {
	.head = {
		.struct_size = sizeof(local_class),
		.kind = XF_KIND_TRANSPORT,
		.name = "local",
		.summary = "The embedded broker: subjects, groups, acknowledgements, in memory",
	},
	.options = transport_options,
	.source_options = source_options,
	.source = &local_source,
	.sink = &local_sink,
	.open = local_open,
	.close = local_close,
	.report = local_report,
};

const struct xf_entry *
xf_plugin_entry_v1(void)
{
	static const struct xf_class *const classes[] = {&local_class.head, NULL};
	static const struct xf_entry entry = {
		XF_ENTRY_HEAD,
		.id = "org.crossfade.local",
		.version = XF_VERSION,
		.licence = "Apache-2.0",
		.url = "",
		.classes = classes,
	};

	return &entry;
}
