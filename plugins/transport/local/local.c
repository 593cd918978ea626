/*
 * local - the embedded broker.
 *
 * A transport is a broker in this process; its sources and sinks are what connects to it. See broker.h.
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

static const struct xf_option max_age = {
	.struct_size = sizeof(struct xf_option),
	.type = XF_OPTION_DURATION,
	.key = "max_age",
	.def = "0s",
	.min = 0,
	.max = 10ll * 365 * 24 * 3600 * 1000,
	.help = "Messages that nobody settled for so long are dropped and counted as expired; 0s is never",
};

static const struct xf_option file = {
	.struct_size = sizeof(struct xf_option),
	.type = XF_OPTION_PATH,
	.key = "file",
	.help = "Keeps messages and the subscriptions of groups in this file, across restarts; without it in memory only",
};

static const char *const needs_file[] = {"file", NULL};

static const struct xf_option forget = {
	.struct_size = sizeof(struct xf_option),
	.type = XF_OPTION_STRING,
	.flags = XF_OPTION_LIST,
	.key = "forget",
	.requires_ = needs_file,
	.help = "Groups whose remembered subscriptions are deleted at start, with the messages that wait for them",
};

static const struct xf_option group = {
	.struct_size = sizeof(struct xf_option),
	.type = XF_OPTION_STRING,
	.key = "group",
	.help = "Sources of one group and subject share their messages; without it a source has a copy of each",
};

static const struct xf_option ack_wait = {
	.struct_size = sizeof(struct xf_option),
	.type = XF_OPTION_DURATION,
	.key = "ack_wait",
	.def = "0s",
	.min = 0,
	.max = 24ll * 3600 * 1000,
	.help = "A message that is not settled within this time is offered again; 0s is never, while its source runs",
};

static const struct xf_option *const transport_options[] = {
	[TRANSPORT_MAX_MESSAGES] = &max_messages,
	[TRANSPORT_MAX_BYTES] = &max_bytes,
	[TRANSPORT_DEDUP_WINDOW] = &dedup_window,
	[TRANSPORT_MAX_AGE] = &max_age,
	[TRANSPORT_FILE] = &file,
	[TRANSPORT_FORGET] = &forget,
	NULL,
};

static const struct xf_option *const source_options[] = {
	[SOURCE_GROUP] = &group,
	[SOURCE_ACK_WAIT] = &ack_wait,
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
	const struct broker_settings settings = {
		.messages_max = (uint64_t)host->option(transport, TRANSPORT_MAX_MESSAGES)->i64,
		.bytes_max = (uint64_t)host->option(transport, TRANSPORT_MAX_BYTES)->i64,
		.max_age_ms = (uint64_t)host->option(transport, TRANSPORT_MAX_AGE)->i64,
		.dedup_window = (uint32_t)host->option(transport, TRANSPORT_DEDUP_WINDOW)->i64,
		.file = host->option(transport, TRANSPORT_FILE)->str,
		.forget = host->option(transport, TRANSPORT_FORGET),
	};
	struct broker *broker = broker_create(host, &settings, error);

	(void)name;
	if (broker == NULL)
		return -1;
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
		.summary = "The embedded broker: subjects, groups, acknowledgements, in memory or with a file",
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
