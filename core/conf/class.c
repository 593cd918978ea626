#include "conf/class.h"

#include <string.h>

/* The first bytes of FROM that both it and INTO have; the rest of INTO stays zero. */
static void
prefix_copy(void *into, size_t size, const void *from, uint32_t from_size)
{
	memcpy(into, from, from_size < size ? from_size : size);
}

static struct xf_transport_class
class_copy(const struct xf_transport_class *class)
{
	struct xf_transport_class copy = {.head = {0}};

	prefix_copy(&copy, sizeof(copy), class, class->head.struct_size);
	return copy;
}

struct xf_class_side
xf_class_source(const struct xf_transport_class *class)
{
	struct xf_transport_class c = class_copy(class);
	struct xf_source_ops ops = {0};

	if (c.source == NULL)
		return (struct xf_class_side){.exists = false};
	prefix_copy(&ops, sizeof(ops), c.source, c.source->struct_size);
	return (struct xf_class_side){true, c.source_options, ops.traits, ops.address, ops.check,
	                              ops.reply == NULL ? XF_TRAIT_REPLIES : 0};
}

struct xf_class_side
xf_class_sink(const struct xf_transport_class *class)
{
	struct xf_transport_class c = class_copy(class);
	struct xf_sink_ops ops = {0};

	if (c.sink == NULL)
		return (struct xf_class_side){.exists = false};
	prefix_copy(&ops, sizeof(ops), c.sink, c.sink->struct_size);
	return (struct xf_class_side){true, c.sink_options, ops.traits, ops.address, ops.check,
	                              ops.reply_to == NULL ? XF_TRAIT_REQUESTS : 0};
}

bool
xf_class_address(const struct xf_class_side *side, const struct xf_host *host, const struct xf_conf_endpoint *endpoint,
                 char *out, size_t size)
{
	uint32_t len;

	if (side->address == NULL)
		return false;
	len = side->address(host, endpoint->transport->options, endpoint->options, out, (uint32_t)size - 1);
	out[len < size ? len : size - 1] = '\0';
	return len > 0;
}

const struct xf_option *const *
xf_class_options(const struct xf_transport_class *class)
{
	return class_copy(class).options;
}
