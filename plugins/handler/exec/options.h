/*
 * options.h - the option table, and what was made of it.
 */
#ifndef EXEC_OPTIONS_H
#define EXEC_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

#include <crossfade/handler.h>

struct options {
	char **argv; /* ends with NULL */
	char **env;  /* all that a child gets; ends with NULL */
	size_t env_count;
	char *names[2]; /* those of env that are neither the server's nor the configuration's */
	const char *directory; /* NULL: the server's */
	bool once;
	bool json;
	uint32_t workers;
	uint32_t pipeline; /* tasks that a child has at most */
	size_t max_answer;
	uint64_t max_memory; /* 0: no limit; likewise the next */
	uint64_t max_cpu_ms;
	uint64_t max_files;
	uint32_t restart_delay_ms;
	uint32_t restart_delay_max_ms;
	uint32_t stop_timeout_ms;
};

extern const struct xf_option *const option_rows[];

/* 0, or -1 with a reason. */
int32_t options_check(const struct xf_host *host, const struct xf_config *config, struct xf_error *error);

/* CONFIG outlives them. False: no memory. */
bool options_init(struct options *options, const struct xf_host *host, const struct xf_config *config,
                  const struct xf_handler_info *info);
void options_fini(struct options *options);

#endif
