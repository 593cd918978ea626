/*
 * probe - a generator and a checker of messages, for tests, demonstrations and measurements.
 *
 * A transport is a ledger (ledger.h). Its sources generate, its sinks check; what lies between them is what is
 * tried.
 */
#include "probe.h"

#include <stdio.h>

#include "ledger.h"

_Static_assert(sizeof(struct stamp) == SIZE_MIN, "a payload begins with a stamp");

#define OPTION(name, ...)                                                                          \
	static const struct xf_option option_##name = {                                            \
		.struct_size = sizeof(struct xf_option), .key = #name, __VA_ARGS__}

OPTION(track, .type = XF_OPTION_I64, .def = "67108864", .min = 1 << 19, .max = 1ll << 36, .unit = "messages",
       .help = "How many messages per producer the ledger follows at most; older ones that are missing count as lost");

OPTION(rate, .type = XF_OPTION_I64, .def = "0", .min = 0, .max = 100000000, .unit = "messages",
       .help = "Messages per second; 0 is as many as are taken");
OPTION(count, .type = XF_OPTION_I64, .def = "0", .min = 0, .max = 1ll << 48, .unit = "messages",
       .help = "How many messages to send; 0 is without end");
OPTION(duration, .type = XF_OPTION_DURATION, .def = "0s", .min = 0, .max = 30ll * 24 * 3600 * 1000,
       .help = "For how long to send, from the first message on; 0s is without end");
OPTION(size, .type = XF_OPTION_BYTES, .def = "128", .min = SIZE_MIN, .max = 64 << 20,
       .help = "Length of each payload, rounded up to a multiple of 8");
OPTION(keys, .type = XF_OPTION_I64, .def = "1000", .min = 1, .max = 1000000, .unit = "keys",
       .help = "Number of different keys, which take turns");
OPTION(producer, .type = XF_OPTION_I64, .def = "0", .min = 0, .max = PRODUCERS_MAX - 1,
       .help = "Number of this generator; each on one transport has its own");
OPTION(to, .type = XF_OPTION_STRING, .def = "probe.{k}",
       .help = "Subject of the messages; {k} is the number of the key");
OPTION(header, .type = XF_OPTION_STRING, .def = "key", .help = "Name of the header that holds the key; empty for none");

OPTION(side, .type = XF_OPTION_STRING, .def = "new",
       .help = "Name under which arrivals are counted, such as old or new; up to 8 different ones");

static const struct xf_option *const transport_options[] = {
	[TRANSPORT_TRACK] = &option_track,
	NULL,
};

static const struct xf_option *const source_options[] = {
	[SOURCE_RATE] = &option_rate,
	[SOURCE_COUNT] = &option_count,
	[SOURCE_DURATION] = &option_duration,
	[SOURCE_SIZE] = &option_size,
	[SOURCE_KEYS] = &option_keys,
	[SOURCE_PRODUCER] = &option_producer,
	[SOURCE_TO] = &option_to,
	[SOURCE_HEADER] = &option_header,
	NULL,
};

static const struct xf_option *const sink_options[] = {
	[SINK_SIDE] = &option_side,
	NULL,
};

static int32_t
probe_open(const struct xf_host *host, const struct xf_config *transport, struct xf_str name, void **shared,
           struct xf_error *error)
{
	struct ledger *ledger = ledger_create(host, (uint64_t)host->option(transport, TRANSPORT_TRACK)->i64, error);

	(void)name;
	if (ledger == NULL)
		return -1;
	*shared = ledger;
	return 0;
}

static void
probe_close(void *shared)
{
	struct ledger *ledger = shared;

	ledger_destroy(&ledger);
}

static uint32_t
probe_report(void *shared, char *out, uint32_t size)
{
	return ledger_report(shared, out, size);
}

static const struct xf_transport_class probe_class = {
	.head = {
		.struct_size = sizeof(probe_class),
		.kind = XF_KIND_TRANSPORT,
		.name = "probe",
		.summary = "Generates messages and checks what arrives of them",
	},
	.options = transport_options,
	.source_options = source_options,
	.sink_options = sink_options,
	.source = &probe_generator,
	.sink = &probe_checker,
	.open = probe_open,
	.close = probe_close,
	.report = probe_report,
};

const struct xf_entry *
xf_plugin_entry_v1(void)
{
	static const struct xf_class *const classes[] = {&probe_class.head, NULL};
	static const struct xf_entry entry = {
		XF_ENTRY_HEAD,
		.id = "org.crossfade.probe",
		.version = XF_VERSION,
		.licence = "Apache-2.0",
		.url = "",
		.classes = classes,
	};

	return &entry;
}
