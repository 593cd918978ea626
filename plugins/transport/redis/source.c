/*
 * Which kind a source is its `mode` says; calls are passed on to it.
 */
#include "source.h"

#include <stdlib.h>
#include <string.h>

#include "fields.h"
#include "replies.h"

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
	.help = "Name within the group, or of the list's processing list, the same after a restart and no other's; "
	        "default: server.name (a list's: server.name:ROUTE/PLACE)",
};
static const char *const delivers[] = {"all", "new", NULL};
static const struct xf_option option_deliver = {
	.struct_size = sizeof(struct xf_option),
	.type = XF_OPTION_ENUM,
	.key = "deliver",
	.def = "all",
	.values = delivers,
	.help = "Where a group that is created begins, or an ephemeral source: at all that the stream holds, or behind it",
};
static const struct xf_option option_claim_idle = {
	.struct_size = sizeof(struct xf_option),
	.type = XF_OPTION_DURATION,
	.key = "claim_idle",
	.def = "60s",
	.min = 0,
	.max = 86400000,
	.help = "What another consumer left unacknowledged for so long is taken over; 0: never",
};
static const struct xf_option option_ephemeral = {
	.struct_size = sizeof(struct xf_option),
	.type = XF_OPTION_BOOL,
	.key = "ephemeral",
	.def = "false",
	.help = "A look at the stream without a group: nothing is acknowledged, and nothing stays behind",
};
const struct xf_option *const source_options[] = {
	ENDPOINT_OPTIONS, &option_group, &option_consumer, &option_deliver, &option_claim_idle, &option_ephemeral, NULL,
};

static const struct mode_row source_rows[] = {
	{"group", SOURCE_GROUP, 1 << MODE_STREAM, "mode: stream"},
	{"deliver", SOURCE_DELIVER, 1 << MODE_STREAM, "mode: stream"},
	{"ephemeral", SOURCE_EPHEMERAL, 1 << MODE_STREAM, "mode: stream"},
	{"consumer", SOURCE_CONSUMER, 1 << MODE_STREAM | 1 << MODE_LIST, "mode: stream' or 'mode: list"},
	{"claim_idle", SOURCE_CLAIM_IDLE, 1 << MODE_STREAM | 1 << MODE_LIST, "mode: stream' or 'mode: list"},
	{NULL, 0, 0, NULL},
};

static const struct source_kind *const kinds[] = {
	[MODE_PUBSUB] = &subscribe_kind, [MODE_STREAM] = &consume_kind, [MODE_LIST] = &take_kind};

struct source {
	const struct source_kind *kind;
	void *instance;
	const struct xf_host *host;
	struct replies replies;
};

static uint64_t
source_traits(const struct xf_host *host, const struct xf_config *transport, const struct xf_config *endpoint)
{
	static const uint64_t traits[] = {[MODE_PUBSUB] = XF_TRAIT_LOSSY,
	                                  [MODE_STREAM] = XF_TRAIT_HEADERS | XF_TRAIT_IDS,
	                                  [MODE_LIST] = XF_TRAIT_TAKES};

	(void)transport;
	return traits[endpoint_mode(host, endpoint)] | XF_TRAIT_REPLIES;
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

/* Who has no group has nothing of one. */
static int
ephemeral_check(const struct xf_host *host, const struct xf_config *endpoint, struct xf_error *error)
{
	static const uint32_t of_group[] = {SOURCE_GROUP, SOURCE_CONSUMER, SOURCE_CLAIM_IDLE};

	if (host->option(endpoint, SOURCE_EPHEMERAL)->i64 == 0)
		return 0;
	for (size_t i = 0; i < sizeof(of_group) / sizeof(of_group[0]); i++)
		if (host->option(endpoint, of_group[i])->present)
			return settings_fail(error, "%s: an ephemeral source has no group; leave out one of them",
			                     source_options[of_group[i]]->key);
	return 0;
}

/* As in the table of operations, and SETTINGS, the caller's to clear. */
static int
checked(const struct xf_host *host, const struct xf_config *transport, const struct xf_config *endpoint,
        const struct xf_endpoint_info *info, struct settings *settings, struct xf_error *error)
{
	if (endpoint_check(host, transport, endpoint, source_rows, settings, error) < 0 ||
	    ephemeral_check(host, endpoint, error) < 0)
		return -1;
	if (endpoint_mode(host, endpoint) != MODE_PUBSUB && info != NULL && has_wildcard(info->subject))
		return settings_fail(error, "subject: 'mode: %s' reads one key, no pattern; name several sources under 'from'",
		                     endpoint_mode(host, endpoint) == MODE_STREAM ? "stream" : "list");
	return 0;
}

static int32_t
source_check(const struct xf_host *host, const struct xf_config *transport, const struct xf_config *endpoint,
             const struct xf_endpoint_info *info, struct xf_error *error)
{
	struct settings settings;
	int result = checked(host, transport, endpoint, info, &settings, error);

	settings_clear(&settings);
	return result;
}

struct xf_str
source_consumer(const struct source_making *making)
{
	struct xf_str name = making->host->option(making->config, SOURCE_CONSUMER)->str;

	if (name.len == 0)
		name = making->info->server;
	return name.len > 0 ? name : (struct xf_str){"crossfade", 9};
}

static void
source_destroy(void *instance)
{
	struct source *source = instance;

	if (source->instance != NULL)
		source->kind->destroy(source->instance);
	replies_fini(&source->replies);
	free(source);
}

static int32_t
source_create(const struct xf_host *host, struct xf_endpoint *endpoint, void *shared,
              const struct xf_config *transport, const struct xf_config *config,
              const struct xf_endpoint_info *info, void **instance, struct xf_error *error)
{
	struct settings settings;
	const struct source_making making = {host, endpoint, &settings, config, info};
	bool made = true;
	struct source *source = calloc(1, sizeof(*source));

	(void)shared;
	if (source == NULL)
		return settings_fail(error, "no memory");
	source->kind = kinds[endpoint_mode(host, config)];
	source->host = host;
	if (checked(host, transport, config, info, &settings, error) == 0)
		source->instance = source->kind->create(&making, error);
	if (source->instance != NULL && info->replies)
		made = replies_init(&source->replies, source->kind, source->instance, &making, error);
	settings_clear(&settings);
	if (source->instance == NULL || !made) {
		source_destroy(source);
		return -1;
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

	if (source->replies.wanted) {
		work->ready = side_begin(&source->replies.side, work->ready);
		replies_work(&source->replies, source->host->now_ms());
	}
	source->kind->work(source->instance, work);
	if (source->replies.wanted)
		side_wait(&source->replies.side, work, source->host->now_ms());
}

static void
source_settle(void *instance, const struct xf_settlement *settlements, uint32_t count)
{
	struct source *source = instance;

	if (source->replies.wanted)
		replies_settle(&source->replies, settlements, count);
	else
		source->kind->settle(source->instance, settlements, count);
}

static void
source_reply(void *instance, const struct xf_reply *replies, uint32_t stride, uint32_t count)
{
	struct source *source = instance;
	uint64_t now = source->host->now_ms();

	if (!source->replies.wanted)
		return;
	for (uint32_t i = 0; i < count; i++)
		replies_publish(&source->replies, (const struct xf_reply *)(const void *)((const char *)replies + (size_t)stride * i), now);
	if (source->replies.side.conn.phase == CONN_READY)
		conn_flush(&source->replies.side.conn, now);
	source->host->wake(source->replies.side.conn.endpoint); /* what is left needs POLLOUT */
}

static void
source_stop(void *instance)
{
	struct source *source = instance;

	if (source->replies.wanted)
		replies_stop(&source->replies);
	source->kind->stop(source->instance);
}

const struct xf_source_ops source_ops = {
	.struct_size = sizeof(struct xf_source_ops),
	.traits = source_traits,
	.address = endpoint_address,
	.check = source_check,
	.create = source_create,
	.start = source_start,
	.work = source_work,
	.settle = source_settle,
	.stop = source_stop,
	.destroy = source_destroy,
	.reply = source_reply,
};
