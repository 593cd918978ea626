/*
 * Which kind a source is its `mode` says; calls are passed on to it.
 */
#include "source.h"

#include <stdlib.h>
#include <string.h>

#include "fields.h"

enum {
	MODE_PUBSUB,
	MODE_STREAM,
};

static const char *const modes[] = {"pubsub", "stream", NULL};
static const struct xf_option option_mode = {
	.struct_size = sizeof(struct xf_option),
	.type = XF_OPTION_ENUM,
	.key = "mode",
	.def = "pubsub",
	.values = modes,
	.help = "What to read: pubsub (channels) or stream (a stream's consumer group); list is not built yet",
};
static const struct xf_option option_separator = {
	.struct_size = sizeof(struct xf_option),
	.type = XF_OPTION_STRING,
	.key = "separator",
	.help = "The character that names at Redis have between tokens instead of the dot: with \":\", a:b:c is a.b.c",
};
static const struct xf_option option_group = {
	.struct_size = sizeof(struct xf_option),
	.type = XF_OPTION_STRING,
	.key = "group",
	.help = "Consumer group of the stream, created where it does not exist; default: crossfade-ROUTE",
};
static const struct xf_option option_consumer = {
	.struct_size = sizeof(struct xf_option),
	.type = XF_OPTION_STRING,
	.key = "consumer",
	.help = "Name within the group, the same after a restart and no other's; default: server.name",
};
static const char *const delivers[] = {"all", "new", NULL};
static const struct xf_option option_deliver = {
	.struct_size = sizeof(struct xf_option),
	.type = XF_OPTION_ENUM,
	.key = "deliver",
	.def = "all",
	.values = delivers,
	.help = "Where a group that is created begins: all that the stream holds, or what is added from then on",
};
static const struct xf_option option_claim_idle = {
	.struct_size = sizeof(struct xf_option),
	.type = XF_OPTION_DURATION,
	.key = "claim_idle",
	.def = "60s",
	.min = 0,
	.max = 86400000,
	.help = "Entries that another consumer left unacknowledged for so long are taken over; 0: never",
};
const struct xf_option *const source_options[] = {
	&option_mode,    &option_separator,  &option_group,  &option_consumer,
	&option_deliver, &option_claim_idle, &fields_option, NULL,
};

struct source {
	const struct source_kind *kind;
	void *instance;
};

static int
mode_of(const struct xf_host *host, const struct xf_config *endpoint)
{
	return (int)host->option(endpoint, SOURCE_MODE)->i64;
}

static uint64_t
source_traits(const struct xf_host *host, const struct xf_config *transport, const struct xf_config *endpoint)
{
	(void)transport;
	return mode_of(host, endpoint) == MODE_STREAM ? XF_TRAIT_HEADERS | XF_TRAIT_IDS : XF_TRAIT_LOSSY;
}

static uint32_t
source_address(const struct xf_host *host, const struct xf_config *transport, const struct xf_config *endpoint,
               char *out, uint32_t size)
{
	int stream = mode_of(host, endpoint) == MODE_STREAM;
	struct settings settings;
	struct xf_error error;

	if (settings_read(host, transport, &settings, &error) < 0)
		return 0;
	/* Channels are the server's, streams a database's. */
	return settings_address(&settings, stream, stream ? "stream" : "pubsub", out, size);
}

static int
has_wildcard(struct xf_str subject)
{
	uint64_t start = 0;

	for (uint64_t i = 0; i <= subject.len; i++) {
		if (i < subject.len && subject.data[i] != '.')
			continue;
		if (i - start == 1 && (subject.data[start] == '*' || subject.data[start] == '>'))
			return 1;
		start = i + 1;
	}
	return 0;
}

static int32_t
source_check(const struct xf_host *host, const struct xf_config *transport, const struct xf_config *endpoint,
             const struct xf_endpoint_info *info, struct xf_error *error)
{
	static const struct {
		unsigned row;
		const char *key;
	} of_streams[] = {
		{SOURCE_GROUP, "group"},           {SOURCE_CONSUMER, "consumer"}, {SOURCE_DELIVER, "deliver"},
		{SOURCE_CLAIM_IDLE, "claim_idle"}, {SOURCE_FIELDS, "fields"},
	};
	struct settings settings;

	if (settings_read(host, transport, &settings, error) < 0)
		return -1;
	if (settings_separator(host, endpoint, SOURCE_SEPARATOR, error) < 0)
		return -1;
	if (mode_of(host, endpoint) == MODE_STREAM) {
		if (info != NULL && has_wildcard(info->subject))
			return settings_fail(error, "subject: a stream is one key; a pattern cannot be read with "
			                            "'mode: stream'");
		return 0;
	}
	for (size_t i = 0; i < sizeof(of_streams) / sizeof(of_streams[0]); i++)
		if (host->option(endpoint, of_streams[i].row)->present)
			return settings_fail(error, "%s: only with 'mode: stream'", of_streams[i].key);
	return 0;
}

static int32_t
source_create(const struct xf_host *host, struct xf_endpoint *endpoint, void *shared,
              const struct xf_config *transport, const struct xf_config *config,
              const struct xf_endpoint_info *info, void **instance, struct xf_error *error)
{
	struct settings settings;
	struct source *source;

	(void)shared;
	if (source_check(host, transport, config, info, error) < 0 ||
	    settings_read(host, transport, &settings, error) < 0)
		return -1;
	source = malloc(sizeof(*source));
	if (source == NULL)
		return settings_fail(error, "no memory");
	source->kind = mode_of(host, config) == MODE_STREAM ? &consume_kind : &subscribe_kind;
	source->instance = source->kind->create(host, endpoint, &settings, config, info);
	explicit_bzero(&settings, sizeof(settings));
	if (source->instance == NULL) {
		free(source);
		return settings_fail(error, "no memory");
	}
	*instance = source;
	return 0;
}

static void
source_start(void *instance)
{
	struct source *source = instance;

	source->kind->start(source->instance);
}

static void
source_work(void *instance, struct xf_work *work)
{
	struct source *source = instance;

	source->kind->work(source->instance, work);
}

static void
source_settle(void *instance, const struct xf_settlement *settlements, uint32_t count)
{
	struct source *source = instance;

	source->kind->settle(source->instance, settlements, count);
}

static void
source_stop(void *instance)
{
	struct source *source = instance;

	source->kind->stop(source->instance);
}

static void
source_destroy(void *instance)
{
	struct source *source = instance;

	source->kind->destroy(source->instance);
	free(source);
}

const struct xf_source_ops source_ops = {
	.struct_size = sizeof(struct xf_source_ops),
	.traits = source_traits,
	.address = source_address,
	.check = source_check,
	.create = source_create,
	.start = source_start,
	.work = source_work,
	.settle = source_settle,
	.stop = source_stop,
	.destroy = source_destroy,
};
