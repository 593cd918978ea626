/*
 * A transport that does nothing, in one shape per definition of XF_VARIANT_...: each is one way in which a plugin can
 * be older, newer or wrong. It is never run, only looked at.
 */
#include <stddef.h>
#include <string.h>

#include <crossfade/transport.h>

#ifndef XF_CLASS
#define XF_CLASS "test"
#endif

static uint64_t
traits(const struct xf_host *host, const struct xf_config *transport, const struct xf_config *endpoint)
{
	(void)host;
	(void)transport;
	(void)endpoint;
	return XF_TRAIT_HEADERS;
}

static int32_t
create(const struct xf_host *host, struct xf_endpoint *endpoint, void *shared, const struct xf_config *transport,
       const struct xf_config *config, const struct xf_endpoint_info *info, void **instance, struct xf_error *error)
{
	(void)host;
	(void)endpoint;
	(void)shared;
	(void)transport;
	(void)config;
	(void)info;
	(void)error;
	*instance = NULL;
	return 0;
}

static void
start(void *instance)
{
	(void)instance;
}

static void
work(void *instance, struct xf_work *at)
{
	(void)instance;
	(void)at;
}

static void
settle(void *instance, const struct xf_settlement *settlements, uint32_t count)
{
	(void)instance;
	(void)settlements;
	(void)count;
}

static uint32_t
publish(void *instance, const struct xf_outgoing *messages, uint32_t stride, uint32_t count)
{
	(void)instance;
	(void)messages;
	(void)stride;
	(void)count;
	return 0;
}

/* Under one name in the table, so that a variant can leave it out. */
#ifdef XF_VARIANT_NO_WORK
#define WORK NULL
#else
#define WORK work
#endif

static const struct xf_source_ops source = {
	.struct_size = sizeof(struct xf_source_ops),
	.traits = traits,
	.create = create,
	.start = start,
	.work = work,
	.settle = settle,
	.stop = start,
	.destroy = start,
};

#ifdef XF_VARIANT_LARGER
/* A later minor's: more at the end, and sizes that say so. */
static const struct {
	struct xf_sink_ops known;
	void (*later)(void *instance);
} larger_sink = {
	.known = {
		.struct_size = sizeof(larger_sink),
		.traits = traits,
		.create = create,
		.start = start,
		.work = work,
		.publish = publish,
		.stop = start,
		.destroy = start,
	},
	.later = start,
};
#define SINK &larger_sink.known
#else
static const struct xf_sink_ops sink = {
#ifdef XF_VARIANT_SHORT_OPS
	.struct_size = offsetof(struct xf_sink_ops, stop),
#else
	.struct_size = sizeof(struct xf_sink_ops),
#endif
	.traits = traits,
	.create = create,
	.start = start,
	.work = WORK,
	.publish = publish,
	.stop = start,
	.destroy = start,
};
#define SINK &sink
#endif

#if defined(XF_VARIANT_LARGER)
static const struct {
	struct xf_option known;
	const char *since;
} larger_option = {
	.known = {.struct_size = sizeof(larger_option), .type = XF_OPTION_I64, .key = "size", .def = "7", .help = "Some number"},
	.since = "1.9",
};
static const struct xf_option *const options[] = {&larger_option.known, NULL};
#else
static const struct xf_option field = {
	.struct_size = sizeof(struct xf_option), .type = XF_OPTION_STRING, .key = "name", .help = "Some name"};
static const struct xf_option *const fields[] = {&field, NULL};
static const struct xf_option first = {
#if defined(XF_VARIANT_SMALLER)
	/* as if conflicts and requires had come later; what stands in their place must not be read */
	.struct_size = offsetof(struct xf_option, conflicts),
	.conflicts = (const char *const *)1,
	.requires_ = (const char *const *)1,
#else
	.struct_size = sizeof(struct xf_option),
#endif
#if defined(XF_VARIANT_OPTION_TYPE)
	.type = 77,
#elif defined(XF_VARIANT_OPTION_ENUM)
	.type = XF_OPTION_ENUM,
	.values = (const char *const[]){"one", "two", NULL},
#else
	.type = XF_OPTION_I64,
#endif
	.key = "size",
#if defined(XF_VARIANT_OPTION_ENUM)
	.def = "three",
#else
	.def = "7",
#endif
#if !defined(XF_VARIANT_OPTION_HELP)
	.help = "Some number",
#endif
};
static const struct xf_option second = {
	.struct_size = sizeof(struct xf_option),
	.type = XF_OPTION_MAP,
#if defined(XF_VARIANT_OPTION_TWICE)
	.key = "size",
#else
	.key = "map",
#endif
	.fields = fields,
	.help = "Some map",
};
static const struct xf_option *const options[] = {&first, &second, NULL};
#endif

#ifdef XF_VARIANT_SMALLER
#define CLASS_SIZE offsetof(struct xf_transport_class, open)
#else
#define CLASS_SIZE sizeof(struct xf_transport_class)
#endif

#ifdef XF_VARIANT_NO_ENDS
#define END(ops) (sizeof(ops) == 0 ? (ops) : NULL)
#else
#define END(ops) (ops)
#endif

static const struct xf_transport_class class = {
#ifdef XF_VARIANT_KIND
	.head = {CLASS_SIZE, XF_KIND_HANDLER, XF_CLASS, "A handler"},
#else
	.head = {CLASS_SIZE, XF_KIND_TRANSPORT, XF_CLASS, "Does nothing"},
#endif
	.options = options,
	.source = END(&source),
	.sink = END(SINK),
#ifdef XF_VARIANT_SMALLER
	/* past the size: an old build would have something else here */
	.open = (int32_t(*)(const struct xf_host *, const struct xf_config *, struct xf_str, void **, struct xf_error *))1,
#endif
#ifdef XF_VARIANT_NO_CLOSE
	.open = (int32_t(*)(const struct xf_host *, const struct xf_config *, struct xf_str, void **, struct xf_error *))1,
#endif
};

static const struct xf_class *const classes[] = {&class.head, NULL};

static const struct
#ifdef XF_VARIANT_LARGER
{
	struct xf_entry known;
	uint64_t later;
} larger_entry = {
	.known =
#else
	xf_entry entry =
#endif
	{
		.magic =
#ifdef XF_VARIANT_MAGIC
			0x12345678,
#else
			XF_ENTRY_MAGIC,
#endif
#ifdef XF_VARIANT_LARGER
		.struct_size = sizeof(larger_entry),
		.abi_minor = 9,
#else
		.struct_size = sizeof(struct xf_entry),
		.abi_minor = XF_ABI_MINOR,
#endif
#ifdef XF_VARIANT_MAJOR
		.abi_major = 3,
#else
		.abi_major = XF_ABI_MAJOR,
#endif
#ifdef XF_VARIANT_POINTERS
		.pointer_size = 4,
#else
		.pointer_size = sizeof(void *),
#endif
#ifdef XF_VARIANT_SANITIZER
		.build_flags = XF_BUILD_ASAN | XF_BUILD_TSAN,
#else
		.build_flags = XF_BUILD_FLAGS,
#endif
#ifdef XF_VARIANT_CAPS
		.caps_required = 0x20,
#endif
		.id = "org.example.test",
		.version = "1.2.3",
#if defined(XF_VARIANT_MAJOR)
		.classes = classes + 1000000, /* of another major nothing behind the version may be read */
#else
		.classes = classes,
#endif
	}
#ifdef XF_VARIANT_LARGER
	, .later = 1
}
#endif
;

#ifdef XF_VARIANT_UNDEFINED
void nobody_has_this(void);
#endif

#if defined(XF_VARIANT_V2)
#define xf_plugin_entry_v1 xf_plugin_entry_v2
XF_EXPORT const struct xf_entry *xf_plugin_entry_v2(void);
#elif defined(XF_VARIANT_NO_SYMBOL)
#define xf_plugin_entry_v1 something_else
XF_EXPORT const struct xf_entry *something_else(void);
#endif

const struct xf_entry *
xf_plugin_entry_v1(void)
{
#ifdef XF_VARIANT_UNDEFINED
	nobody_has_this();
#endif
#ifdef XF_VARIANT_NULL
	return entry.struct_size == 0 ? &entry : NULL;
#elif defined(XF_VARIANT_LARGER)
	return &larger_entry.known;
#else
	return &entry;
#endif
}
