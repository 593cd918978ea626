/*
 * The class that `plugin: redis` names. What it does stands in publish.c (sinks), subscribe.c, consume.c and
 * take.c (sources) and connection.c (what all stand on).
 */
#include <stddef.h>

#include <crossfade/transport.h>

#include "publish.h"
#include "settings.h"
#include "source.h"

static const struct xf_transport_class class_redis = {
	.head =
		{
			.struct_size = sizeof(struct xf_transport_class),
			.kind = XF_KIND_TRANSPORT,
			.name = "redis",
			.summary = "Redis: pub/sub channels, streams and lists, in and out",
		},
	.options = settings_options,
	.source_options = source_options,
	.sink_options = publish_options,
	.source = &source_ops,
	.sink = &publish_ops,
};

const struct xf_entry *
xf_plugin_entry_v1(void)
{
	static const struct xf_class *const classes[] = {&class_redis.head, NULL};
	static const struct xf_entry entry = {
		XF_ENTRY_HEAD,
		.id = "org.crossfade.redis",
		.version = XF_VERSION,
		.licence = "Apache-2.0",
		.url = "",
		.classes = classes,
	};

	return &entry;
}
