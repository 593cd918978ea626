#include "options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	ROW_COMMAND,
	ROW_MODE,
	ROW_WORKERS,
	ROW_PIPELINE,
	ROW_PAYLOAD,
	ROW_ENV,
	ROW_DIRECTORY,
	ROW_MAX_ANSWER,
	ROW_MAX_MEMORY,
	ROW_MAX_CPU,
	ROW_MAX_FILES,
	ROW_RESTART_DELAY,
	ROW_RESTART_DELAY_MAX,
	ROW_STOP_TIMEOUT,
};

#define OPTION(kind, name, ...)                                                                                    \
	{.struct_size = sizeof(struct xf_option), .type = XF_OPTION_##kind, .key = name, __VA_ARGS__}

static const char *const modes[] = {"lines", "once", NULL};
static const char *const payloads[] = {"text", "json", NULL};

static const struct xf_option option_command = OPTION(STRING, "command", .flags = XF_OPTION_LIST | XF_OPTION_REQUIRED,
	.help = "The worker: a program and its arguments as a list, or one string that /bin/sh runs");
static const struct xf_option option_mode = OPTION(ENUM, "mode", .def = "lines", .values = modes,
	.help = "lines: processes that stay get a line of JSON a message; once: a process a message");
static const struct xf_option option_workers = OPTION(I64, "workers", .def = "1", .min = 1, .max = 256,
	.unit = "processes", .help = "How many run at once");
static const struct xf_option option_pipeline = OPTION(I64, "pipeline", .def = "64", .min = 1, .max = 4096,
	.unit = "messages", .help = "How many a worker is given before it has answered the first");
static const struct xf_option option_payload = OPTION(ENUM, "payload", .def = "text", .values = payloads,
	.help = "text: payloads are strings in a line; json: they are JSON, and stand there as they are");
static const struct xf_option option_env = OPTION(STRING, "env", .flags = XF_OPTION_LIST | XF_OPTION_SECRET,
	.help = "NAME=VALUE: what is added to, or replaced in, the server's environment");
static const struct xf_option option_directory = OPTION(PATH, "directory", .help = "Where it runs");
static const struct xf_option option_max_answer = OPTION(BYTES, "max_answer", .def = "16MiB", .min = 256, .max = 1 << 30,
	.help = "The longest line that a worker may print; with mode once its whole output");
static const struct xf_option option_max_memory = OPTION(BYTES, "max_memory", .min = 1 << 20, .max = INT64_MAX,
	.help = "Address space of each process");
static const struct xf_option option_max_cpu = OPTION(DURATION, "max_cpu", .min = 1000, .max = INT64_MAX,
	.help = "CPU time of each process, after which it is killed");
static const struct xf_option option_max_files = OPTION(I64, "max_files", .min = 4, .max = 1 << 20, .unit = "descriptors",
	.help = "Open files of each process");
static const struct xf_option option_restart_delay = OPTION(DURATION, "restart_delay", .def = "100ms", .min = 1, .max = 60000,
	.help = "Pause before a worker that ended is started again; doubles while it ends without having answered");
static const struct xf_option option_restart_delay_max = OPTION(DURATION, "restart_delay_max", .def = "10s", .min = 1,
	.max = 600000, .help = "The longest such pause");
static const struct xf_option option_stop_timeout = OPTION(DURATION, "stop_timeout", .def = "5s", .min = 0, .max = 9000,
	.help = "How long workers may take to end when their input does; after half of it they get SIGTERM, then SIGKILL");

const struct xf_option *const option_rows[] = {
	[ROW_COMMAND] = &option_command,
	[ROW_MODE] = &option_mode,
	[ROW_WORKERS] = &option_workers,
	[ROW_PIPELINE] = &option_pipeline,
	[ROW_PAYLOAD] = &option_payload,
	[ROW_ENV] = &option_env,
	[ROW_DIRECTORY] = &option_directory,
	[ROW_MAX_ANSWER] = &option_max_answer,
	[ROW_MAX_MEMORY] = &option_max_memory,
	[ROW_MAX_CPU] = &option_max_cpu,
	[ROW_MAX_FILES] = &option_max_files,
	[ROW_RESTART_DELAY] = &option_restart_delay,
	[ROW_RESTART_DELAY_MAX] = &option_restart_delay_max,
	[ROW_STOP_TIMEOUT] = &option_stop_timeout,
	NULL,
};

static int32_t
refuse(struct xf_error *error, const char *reason)
{
	snprintf(error->text, sizeof(error->text), "%s", reason);
	return -1;
}

int32_t
options_check(const struct xf_host *host, const struct xf_config *config, struct xf_error *error)
{
	const struct xf_value *command = host->option(config, ROW_COMMAND);
	const struct xf_value *env = host->option(config, ROW_ENV);
	bool once = host->option(config, ROW_MODE)->i64 != 0;

	if (command->count == 0 || command->items[0]->str.len == 0)
		return refuse(error, "'command' is empty; expected a program like [python3, worker.py]");
	for (uint32_t i = 0; i < env->count; i++) {
		struct xf_str entry = env->items[i]->str;

		if (entry.len == 0 || entry.data[0] == '=' || memchr(entry.data, '=', entry.len) == NULL)
			return refuse(error, "'env' has an entry that is no NAME=VALUE");
	}
	if (once && host->option(config, ROW_PIPELINE)->present)
		return refuse(error, "'pipeline' is of mode lines; with mode once a process has one message");
	if (once && host->option(config, ROW_PAYLOAD)->present)
		return refuse(error, "'payload' is of mode lines; with mode once the payload is read from standard input");
	return 0;
}

/* One string is the shell's. */
static bool
argv_make(struct options *options, const struct xf_value *command)
{
	static char shell[] = "/bin/sh", flag[] = "-c";
	size_t count = 0;

	options->argv = calloc(command->count + 3u, sizeof(*options->argv));
	if (options->argv == NULL)
		return false;
	if (command->count == 1) {
		options->argv[count++] = shell;
		options->argv[count++] = flag;
	}
	for (uint32_t i = 0; i < command->count; i++)
		options->argv[count++] = (char *)command->items[i]->str.data;
	return true;
}

static bool
same_name(const char *a, const char *b)
{
	size_t len = strcspn(a, "=");

	return strncmp(a, b, len + 1) == 0;
}

static void
env_set(struct options *options, char *entry)
{
	size_t i = 0;

	while (i < options->env_count && !same_name(entry, options->env[i]))
		i++;
	options->env[i] = entry;
	options->env_count += i == options->env_count;
}

static bool
env_make(struct options *options, const struct xf_value *own, const struct xf_handler_info *info)
{
	char **names = options->names;
	size_t count = 0;

	while (environ[count] != NULL)
		count++;
	options->env = calloc(count + own->count + 3, sizeof(*options->env));
	if (options->env == NULL)
		return false;
	if (asprintf(&names[0], "CROSSFADE_ROUTE=%.*s", (int)info->route.len, info->route.data) < 0)
		names[0] = NULL;
	if (asprintf(&names[1], "CROSSFADE_HANDLER=%.*s", (int)info->name.len, info->name.data) < 0)
		names[1] = NULL;
	if (names[0] == NULL || names[1] == NULL)
		return false;
	for (size_t i = 0; i < count; i++)
		options->env[options->env_count++] = environ[i];
	env_set(options, names[0]);
	env_set(options, names[1]);
	for (uint32_t i = 0; i < own->count; i++)
		env_set(options, (char *)own->items[i]->str.data);
	return true;
}

bool
options_init(struct options *options, const struct xf_host *host, const struct xf_config *config,
             const struct xf_handler_info *info)
{
	const struct xf_value *directory = host->option(config, ROW_DIRECTORY);

	*options = (struct options){
		.directory = directory->str.len > 0 ? directory->str.data : NULL,
		.once = host->option(config, ROW_MODE)->i64 != 0,
		.json = host->option(config, ROW_PAYLOAD)->i64 != 0,
		.workers = (uint32_t)host->option(config, ROW_WORKERS)->i64,
		.pipeline = (uint32_t)host->option(config, ROW_PIPELINE)->i64,
		.max_answer = (size_t)host->option(config, ROW_MAX_ANSWER)->i64,
		.max_memory = (uint64_t)host->option(config, ROW_MAX_MEMORY)->i64,
		.max_cpu_ms = (uint64_t)host->option(config, ROW_MAX_CPU)->i64,
		.max_files = (uint64_t)host->option(config, ROW_MAX_FILES)->i64,
		.restart_delay_ms = (uint32_t)host->option(config, ROW_RESTART_DELAY)->i64,
		.restart_delay_max_ms = (uint32_t)host->option(config, ROW_RESTART_DELAY_MAX)->i64,
		.stop_timeout_ms = (uint32_t)host->option(config, ROW_STOP_TIMEOUT)->i64,
	};
	if (options->once)
		options->pipeline = 1;
	if (argv_make(options, host->option(config, ROW_COMMAND)) &&
	    env_make(options, host->option(config, ROW_ENV), info))
		return true;
	options_fini(options);
	return false;
}

void
options_fini(struct options *options)
{
	free(options->argv);
	free(options->env);
	free(options->names[0]);
	free(options->names[1]);
}
