#include "conf_fake.h"

#include <ftw.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define ROW(...) (&(const struct xf_option){.struct_size = sizeof(struct xf_option), __VA_ARGS__})
#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

static const struct xf_option *const stream_rows[] = {
	ROW(.type = XF_OPTION_STRING, .key = "name", .flags = XF_OPTION_REQUIRED, .help = "the stream's name"),
	ROW(.type = XF_OPTION_SUBJECT, .key = "subjects", .flags = XF_OPTION_LIST),
	ROW(.type = XF_OPTION_ENUM, .key = "storage", .def = "file", .values = WORDS("file", "memory")),
	ROW(.type = XF_OPTION_DURATION, .key = "max_age", .def = "24h"),
	NULL,
};

static const struct xf_option *const alpha_rows[] = {
	ROW(.type = XF_OPTION_URL, .key = "url", .flags = XF_OPTION_LIST | XF_OPTION_REQUIRED,
	    .help = "the broker's address"),
	ROW(.type = XF_OPTION_STRING, .key = "user", .requires_ = WORDS("password")),
	ROW(.type = XF_OPTION_STRING, .key = "password", .flags = XF_OPTION_SECRET, .conflicts = WORDS("token")),
	ROW(.type = XF_OPTION_STRING, .key = "token", .flags = XF_OPTION_SECRET, .conflicts = WORDS("password")),
	ROW(.type = XF_OPTION_I64, .key = "retries", .def = "3", .min = 0, .max = 10),
	ROW(.type = XF_OPTION_F64, .key = "ratio", .def = "0.5", .min = 0, .max = 1),
	ROW(.type = XF_OPTION_BOOL, .key = "tls", .def = "false"),
	ROW(.type = XF_OPTION_DURATION, .key = "timeout", .def = "5s", .min = 100, .max = 60000),
	ROW(.type = XF_OPTION_BYTES, .key = "buffer", .def = "64KiB", .min = 1024, .max = INT64_MAX),
	ROW(.type = XF_OPTION_PERCENT, .key = "share", .def = "12.5%"),
	ROW(.type = XF_OPTION_PATH, .key = "ca"),
	ROW(.type = XF_OPTION_ENUM, .key = "flavour", .def = "sweet", .values = WORDS("sweet", "sour", "salty")),
	ROW(.type = XF_OPTION_SUBJECT, .key = "prefix"),
	ROW(.type = XF_OPTION_MAP, .key = "streams", .flags = XF_OPTION_LIST, .fields = stream_rows),
	ROW(.type = XF_OPTION_STRING, .key = "peers", .flags = XF_OPTION_LIST, .def = "[a, b]"),
	ROW(.type = XF_OPTION_STRING, .key = "old_name", .flags = XF_OPTION_DEPRECATED, .help = "use 'prefix'"),
	ROW(.type = XF_OPTION_I64, .key = "weights", .flags = XF_OPTION_LIST, .min = 1, .max = 100, .unit = "kg"),
	NULL,
};

static const struct xf_option *const alpha_source_rows[] = {
	ROW(.type = XF_OPTION_ENUM, .key = "mode", .def = "stream", .values = WORDS("stream", "pubsub")),
	ROW(.type = XF_OPTION_STRING, .key = "group"),
	ROW(.type = XF_OPTION_I64, .key = "prefetch", .def = "256", .min = 1, .max = 65535, .unit = "messages"),
	ROW(.type = XF_OPTION_ENUM, .key = "begin", .def = "first", .values = WORDS("first", "last"),
	    .conflicts = WORDS("begin_since", "begin_at")),
	ROW(.type = XF_OPTION_DURATION, .key = "begin_since", .min = 1000, .max = 60000,
	    .conflicts = WORDS("begin", "begin_at")),
	ROW(.type = XF_OPTION_I64, .key = "begin_at", .conflicts = WORDS("begin", "begin_since")),
	NULL,
};

static const struct xf_option *const alpha_sink_rows[] = {
	ROW(.type = XF_OPTION_ENUM, .key = "mode", .def = "stream", .values = WORDS("stream", "pubsub")),
	ROW(.type = XF_OPTION_I64, .key = "maxlen", .min = 1, .max = INT64_MAX, .unit = "messages"),
	NULL,
};

static const char *
mode_of(const struct xf_host *host, const struct xf_config *endpoint)
{
	return host->option(endpoint, 0)->i64 == 0 ? "stream" : "pubsub";
}

static uint32_t
alpha_address(const struct xf_host *host, const struct xf_config *transport, const struct xf_config *endpoint,
              char *out, uint32_t size)
{
	int len = snprintf(out, size, "%s#%s", host->option(transport, ALPHA_URL)->items[0]->str.data,
	                   mode_of(host, endpoint));

	return (uint32_t)len < size ? (uint32_t)len : size;
}

static uint64_t
alpha_source_traits(const struct xf_host *host, const struct xf_config *transport, const struct xf_config *endpoint)
{
	(void)transport;
	return host->option(endpoint, ALPHA_SOURCE_MODE)->i64 == 0 ? XF_TRAIT_IDS | XF_TRAIT_HEADERS : XF_TRAIT_LOSSY;
}

static uint64_t
alpha_sink_traits(const struct xf_host *host, const struct xf_config *transport, const struct xf_config *endpoint)
{
	(void)transport;
	return host->option(endpoint, ALPHA_SINK_MODE)->i64 == 0 ? XF_TRAIT_DEDUP | XF_TRAIT_HEADERS
	                                                         : XF_TRAIT_EPHEMERAL;
}

static int32_t
alpha_source_check(const struct xf_host *host, const struct xf_config *transport, const struct xf_config *endpoint,
                   const struct xf_endpoint_info *info, struct xf_error *error)
{
	if (host->option(endpoint, ALPHA_SOURCE_GROUP)->count == 0 ||
	    strcmp(host->option(endpoint, ALPHA_SOURCE_GROUP)->str.data, "forbidden") != 0)
		return 0;
	/* a careless plugin that repeats what it should not */
	snprintf(error->text, sizeof(error->text), "%.*s: group 'forbidden' is refused for '%s' at %s",
	         XF_STR_ARG(info->name), host->option(transport, ALPHA_PASSWORD)->count
	                                         ? host->option(transport, ALPHA_PASSWORD)->str.data
	                                         : "",
	         host->option(transport, ALPHA_URL)->items[0]->str.data);
	return -1;
}

static const struct xf_source_ops alpha_source = {
	.struct_size = sizeof(struct xf_source_ops),
	.traits = alpha_source_traits,
	.address = alpha_address,
	.check = alpha_source_check,
};

static const struct xf_sink_ops alpha_sink = {
	.struct_size = sizeof(struct xf_sink_ops),
	.traits = alpha_sink_traits,
	.address = alpha_address,
};

static const struct xf_transport_class alpha = {
	.head = {sizeof(struct xf_transport_class), XF_KIND_TRANSPORT, "alpha", "all there is"},
	.options = alpha_rows,
	.source_options = alpha_source_rows,
	.sink_options = alpha_sink_rows,
	.source = &alpha_source,
	.sink = &alpha_sink,
};

static const struct xf_source_ops bare_source = {.struct_size = sizeof(struct xf_source_ops)};
static const struct xf_sink_ops bare_sink = {.struct_size = sizeof(struct xf_sink_ops)};

static const struct xf_option *const tag_rows[] = {ROW(.type = XF_OPTION_STRING, .key = "tag"), NULL};

static const struct xf_transport_class plain = {
	.head = {sizeof(struct xf_transport_class), XF_KIND_TRANSPORT, "plain", "no address"},
	.sink_options = tag_rows,
	.source = &bare_source,
	.sink = &bare_sink,
};

static const struct xf_transport_class listener = {
	.head = {sizeof(struct xf_transport_class), XF_KIND_TRANSPORT, "listener", "sources only"},
	.source = &bare_source,
};

static const struct xf_transport_class speaker = {
	.head = {sizeof(struct xf_transport_class), XF_KIND_TRANSPORT, "speaker", "sinks only"},
	.sink = &bare_sink,
};

static uint64_t
queue_source_traits(const struct xf_host *host, const struct xf_config *transport, const struct xf_config *endpoint)
{
	(void)host;
	(void)transport;
	(void)endpoint;
	return XF_TRAIT_TAKES | XF_TRAIT_HEADERS;
}

static int32_t
queue_source_check(const struct xf_host *host, const struct xf_config *transport, const struct xf_config *endpoint,
                   const struct xf_endpoint_info *info, struct xf_error *error)
{
	(void)transport;
	(void)info;
	if (host->option(endpoint, QUEUE_SOURCE_GROUP)->count == 0)
		return 0;
	snprintf(error->text, sizeof(error->text), "group: only for some; expected durable");
	return -1;
}

static const struct xf_source_ops queue_source = {
	.struct_size = sizeof(struct xf_source_ops),
	.traits = queue_source_traits,
	.check = queue_source_check,
};

static const struct xf_option *const queue_source_rows[] = {
	ROW(.type = XF_OPTION_STRING, .key = "group"),
	ROW(.type = XF_OPTION_STRING, .key = "durable"),
	NULL,
};

static const struct xf_transport_class queue = {
	.head = {sizeof(struct xf_transport_class), XF_KIND_TRANSPORT, "queue", "whoever reads, takes"},
	.source_options = queue_source_rows,
	.source = &queue_source,
	.sink = &bare_sink,
};

/* Sizes end before what a newer header added: what lies behind must never be read. */
static const struct xf_option ancient_row = {
	.struct_size = offsetof(struct xf_option, conflicts),
	.type = XF_OPTION_STRING,
	.key = "relic",
	.conflicts = (const char *const *)16,
	.requires_ = (const char *const *)16,
};
static const struct xf_option *const ancient_rows[] = {&ancient_row, NULL};

static const struct xf_source_ops ancient_source = {
	.struct_size = offsetof(struct xf_source_ops, address),
	.traits = alpha_source_traits,
	.address = alpha_address,
	.check = alpha_source_check,
};

static const struct xf_transport_class ancient = {
	.head = {offsetof(struct xf_transport_class, sink), XF_KIND_TRANSPORT, "ancient", "built long ago"},
	.options = ancient_rows,
	.source_options = alpha_source_rows,
	.source = &ancient_source,
	.sink = (const struct xf_sink_ops *)16,
};

static const struct xf_option *const broken_rows[] = {
	ROW(.type = XF_OPTION_DURATION, .key = "wait", .def = "soon"),
	NULL,
};

static const struct xf_transport_class broken = {
	.head = {sizeof(struct xf_transport_class), XF_KIND_TRANSPORT, "broken", "a default that is none"},
	.options = broken_rows,
	.sink = &bare_sink,
};

static size_t searched;

static const struct xf_transport_class *
catalogue_transport(void *context, const char *name, struct xf_error *error)
{
	static const struct xf_transport_class *const classes[] = {&alpha, &plain,   &listener, &speaker,
	                                                           &queue, &ancient, &broken};
	const char *names[sizeof(classes) / sizeof(*classes)];
	const char *nearest;

	(void)context;
	for (size_t i = 0; i < sizeof(classes) / sizeof(*classes); i++) {
		names[i] = classes[i]->head.name;
		if (strcmp(name, names[i]) == 0)
			return classes[i];
	}
	nearest = xf_str_nearest(xf_str(name), names, sizeof(names) / sizeof(*names));
	if (nearest != NULL)
		xf_error_set(error, "no plugin '%s'; did you mean '%s'?", name, nearest);
	else
		xf_error_set(error, "no plugin '%s'", name);
	return NULL;
}

/* ---- A handler -------------------------------------------------------------- */

static const struct xf_option worker_text = {
	.struct_size = sizeof(struct xf_option), .type = XF_OPTION_STRING, .flags = XF_OPTION_REQUIRED, .key = "text", .help = "a text"};
static const struct xf_option worker_limit = {
	.struct_size = sizeof(struct xf_option), .type = XF_OPTION_I64, .key = "limit", .def = "5", .min = 1, .max = 10,
	.help = "a limit"};
static const struct xf_option *const worker_rows[] = {&worker_text, &worker_limit, NULL};

static int32_t
worker_check(const struct xf_host *host, const struct xf_config *config, const struct xf_handler_info *info,
             struct xf_error *error)
{
	if (!xf_str_is(host->option(config, 0)->str, "wrong"))
		return 0;
	xf_error_set(error, "%.*s has the wrong text", (int)info->name.len, info->name.data);
	return -1;
}

static uint64_t
worker_traits(const struct xf_host *host, const struct xf_config *config)
{
	(void)host, (void)config;
	return XF_HANDLER_HOLDS;
}

static void
worker_cancel(void *instance, uint64_t token)
{
	(void)instance, (void)token;
}

static const struct xf_handler_ops worker_ops = {
	.struct_size = sizeof(worker_ops),
	.traits = worker_traits,
	.check = worker_check,
	.cancel = worker_cancel,
};
static const struct xf_handler_ops quick_ops = {.struct_size = sizeof(quick_ops)};
static const struct xf_handler_ops keeper_ops = {.struct_size = sizeof(keeper_ops), .traits = worker_traits};
static const struct xf_handler_class worker = {
	.head = {sizeof(struct xf_handler_class), XF_KIND_HANDLER, "worker", "works"},
	.options = worker_rows,
	.ops = &worker_ops,
};

static const struct xf_handler_class quick = {.head = {sizeof(struct xf_handler_class), XF_KIND_HANDLER, "quick", "answers at once"},
                                              .ops = &quick_ops};
static const struct xf_handler_class keeper = {.head = {sizeof(struct xf_handler_class), XF_KIND_HANDLER, "keeper", "gives nothing back"},
                                               .ops = &keeper_ops};

static const struct xf_handler_class *
catalogue_handler(void *context, const char *name, struct xf_error *error)
{
	static const struct xf_handler_class *const classes[] = {&worker, &quick, &keeper};

	(void)context;
	for (size_t i = 0; i < sizeof(classes) / sizeof(*classes); i++)
		if (strcmp(name, classes[i]->head.name) == 0)
			return classes[i];
	xf_error_set(error, "no handler '%s'", name);
	return NULL;
}

static void
catalogue_search(void *context, const char *const *dirs, size_t count)
{
	(void)context;
	(void)dirs;
	searched = count;
}

size_t
conf_fake_search_count(void)
{
	return searched;
}

struct xf_conf_catalogue
conf_fake_catalogue(void)
{
	static const struct xf_host host = {.struct_size = sizeof(host), .option = xf_config_option};

	return (struct xf_conf_catalogue){
		.transport = catalogue_transport,
		.handler = catalogue_handler,
		.search = catalogue_search,
		.host = &host,
	};
}

/* ---- Files ------------------------------------------------------------------ */

static char folder[64];

const char *
conf_fake_file(const char *name, const char *content)
{
	static char path[256];
	FILE *file;

	if (folder[0] == '\0') {
		strcpy(folder, "/tmp/crossfade-conf-XXXXXX");
		if (mkdtemp(folder) == NULL)
			abort();
	}
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	file = fopen(path, "w");
	if (file == NULL || fputs(content, file) < 0 || fclose(file) != 0)
		abort();
	return path;
}

static int
entry_remove(const char *path, const struct stat *info, int type, struct FTW *where)
{
	(void)info;
	(void)type;
	(void)where;
	return remove(path);
}

void
conf_fake_clean(void)
{
	if (folder[0] != '\0')
		nftw(folder, entry_remove, 16, FTW_DEPTH | FTW_PHYS);
	folder[0] = '\0';
}
