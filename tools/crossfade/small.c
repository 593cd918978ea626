#include "small.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/log.h"
#include "base/memory.h"
#include "client.h"
#include "terminal.h"
#include "tool.h"

/* For what the core keeps on disk, which is empty when all goes well. */
static char *
folder_create(void)
{
	const char *base = getenv("TMPDIR");
	char *dir = xf_format("%s/crossfade-XXXXXX", base != NULL && base[0] == '/' ? base : "/tmp");

	if (mkdtemp(dir) == NULL) {
		complain(EXIT_FAILED, "%s: %s", dir, strerror(errno));
		free(dir);
		return NULL;
	}
	return dir;
}

static void
folder_remove(const char *path)
{
	struct dirent *entry;
	DIR *dir = opendir(path);

	while (dir != NULL && (entry = readdir(dir)) != NULL)
		unlinkat(dirfd(dir), entry->d_name, 0);
	if (dir != NULL)
		closedir(dir);
	rmdir(path);
}

static int bell = -1; /* one per process, for threads that know nothing of who waits */

bool
small_init(struct small *small, const char *file, bool needed, int *status)
{
	sigset_t set;

	*small = (struct small){.signals = -1};
	if (file == NULL && needed && access(DEFAULT_FILE, F_OK) == 0)
		file = DEFAULT_FILE;
	if (file == NULL) {
		small->loaded.catalogue = xf_catalogue_create();
	} else if (!loaded_init(&small->loaded, file)) {
		fputs(small->loaded.errors.data != NULL ? small->loaded.errors.data : "", stderr);
		loaded_fini(&small->loaded);
		*status = EXIT_CONFIG;
		return false;
	}
	small->dir = folder_create();
	if (small->dir == NULL) {
		loaded_fini(&small->loaded);
		*status = EXIT_FAILED;
		return false;
	}
	xf_catalogue_builtin(small->loaded.catalogue, terminal_class());
	xf_log_setup(XF_LOG_ERROR, false);
	signal(SIGPIPE, SIG_IGN); /* a reader that goes away is an error of write(), and nothing else ends */
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	small->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (bell < 0)
		bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return true;
}

/* ---- The text -------------------------------------------------------------------------------------------- */

void
small_line(struct small *small, const char *origin, const char *format, ...)
{
	va_list args;
	char *line;

	va_start(args, format);
	if (vasprintf(&line, format, args) < 0)
		line = xf_strdup("");
	va_end(args);
	xf_buffer_printf(&small->text, "%s\n", line);
	free(line);
	small->origin = xf_grow_array(small->origin, small->line_count, small->line_count + 1, sizeof *small->origin);
	small->origin[small->line_count++] = origin != NULL ? xf_strdup(origin) : NULL;
}

char *
small_quote(const char *text)
{
	struct xf_buffer out = {0};

	xf_conf_quote(&out, xf_str(text));
	return out.data;
}

void
small_write_server(struct small *small)
{
	const struct xf_conf *conf = small->loaded.conf;
	char *dir = small_quote(small->dir), *folder;

	small_line(small, NULL, "server:");
	small_line(small, NULL, "  data_dir: %s", dir);
	free(dir);
	if (conf == NULL)
		return;
	folder = small_quote(conf->server.name);
	small_line(small, NULL, "  name: %s", folder);
	free(folder);
	if (conf->server.plugin_dir_count > 0)
		small_line(small, NULL, "  plugin_dirs:");
	for (size_t i = 0; i < conf->server.plugin_dir_count; i++) {
		folder = small_quote(conf->server.plugin_dirs[i]);
		small_line(small, NULL, "    - %s", folder);
		free(folder);
	}
}

/* ---- From the text to the flow ------------------------------------------------------------------------------ */

/* "NAME:LINE:COLUMN: what is wrong" becomes "crossfade: ORIGIN: what is wrong". */
static int
errors_print(const struct small *small, const char *name, char *errors)
{
	size_t head = strlen(name);
	char *line;

	while ((line = strsep(&errors, "\n")) != NULL) {
		const char *origin = NULL, *text = line;
		unsigned number, column;
		int len = 0;

		if (line[0] == '\0')
			continue;
		if (strncmp(line, name, head) == 0 && sscanf(line + head, ":%u:%u: %n", &number, &column, &len) == 2 &&
		    len > 0) {
			text = line + head + len;
			if (number >= 1 && number <= small->line_count)
				origin = small->origin[number - 1];
		}
		complain(EXIT_USAGE, "%s%s%s", origin != NULL ? origin : "", origin != NULL ? ": " : "", text);
	}
	return EXIT_USAGE;
}

static int
conf_load(struct small *small)
{
	static const char name[] = "command line";
	struct xf_conf_catalogue classes = xf_catalogue_for_conf(small->loaded.catalogue);
	struct xf_buffer errors = {0};
	int status = EXIT_DONE;

	small->conf = xf_conf_load_text(name, (struct xf_str){small->text.data, small->text.len}, &classes, &errors);
	if (small->conf == NULL && errors.data != NULL)
		status = errors_print(small, name, errors.data);
	xf_buffer_fini(&errors);
	return status;
}

int
small_create(struct small *small)
{
	struct xf_error error = {{0}};
	int status = conf_load(small);

	if (status != EXIT_DONE)
		return status;
	small->state = xf_state_open(small->dir, &error);
	if (small->state != NULL)
		small->flow = xf_flow_create(small->conf, small->state, &error);
	return small->flow != NULL ? EXIT_DONE : complain(EXIT_FAILED, "%s", error.text);
}

void
small_start(struct small *small)
{
	xf_flow_start(small->flow);
}

/* ---- While it runs ------------------------------------------------------------------------------------------- */

bool
small_wait(struct small *small, uint64_t ms)
{
	struct pollfd fds[] = {{.fd = small->signals, .events = POLLIN}, {.fd = bell, .events = POLLIN}};
	uint64_t rings;

	poll(fds, 2, ms > 3600000 ? 3600000 : (int)ms);
	if (fds[1].revents & POLLIN && read(bell, &rings, sizeof rings) < 0)
		rings = 0;
	return (fds[0].revents & POLLIN) == 0;
}

void
small_ring(void)
{
	const uint64_t one = 1;

	if (write(bell, &one, sizeof one) < 0)
		return; /* it rings already */
}

/* "not connected yet" is what every endpoint begins with. */
static bool
endpoint_works(const struct xf_endpoint_status *endpoint)
{
	return endpoint->state == XF_STATE_UP || endpoint->reason[0] == '\0' ||
	       strcmp(endpoint->reason, "not connected yet") == 0;
}

bool
small_trouble(struct small *small, struct small_trouble *trouble)
{
	bool found = false;

	for (size_t i = 0; i < xf_flow_route_count(small->flow) && !found; i++) {
		struct xf_route_status route;

		xf_flow_route_status(small->flow, i, &route);
		for (size_t j = 0; j < route.source_count + route.leg_count && !found; j++) {
			const struct xf_endpoint_status *endpoint =
				j < route.source_count ? &route.sources[j] : &route.legs[j - route.source_count].sink;

			if (endpoint_works(endpoint))
				continue;
			snprintf(trouble->reason, sizeof trouble->reason, "%s", endpoint->reason);
			trouble->was_up = endpoint->was_up;
			trouble->blocked = endpoint->state == XF_STATE_BLOCKED;
			found = true;
		}
		xf_route_status_fini(&route);
	}
	return found;
}

bool
small_is_up(struct small *small, const char *route)
{
	size_t index = xf_flow_route_find(small->flow, xf_str(route));
	struct xf_route_status status;
	bool up = true;

	xf_flow_route_status(small->flow, index, &status);
	for (size_t j = 0; j < status.source_count; j++)
		up = up && status.sources[j].state == XF_STATE_UP;
	xf_route_status_fini(&status);
	return up;
}

uint64_t
small_acked(struct small *small)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < xf_flow_route_count(small->flow); i++) {
		struct xf_route_status route;

		xf_flow_route_status(small->flow, i, &route);
		sum += route.acked;
		xf_route_status_fini(&route);
	}
	return sum;
}

static void
refused_print(void *count, const struct xf_letter *letter)
{
	complain(EXIT_FAILED, "refused: %.*s (subject %.*s, id %.*s)", XF_STR_ARG(letter->reason),
	         XF_STR_ARG(letter->message.subject), XF_STR_ARG(letter->message.id));
	++*(uint64_t *)count;
}

uint64_t
small_rejects_print(struct small *small)
{
	struct xf_error error;
	uint64_t count = 0;

	if (xf_letters_list(xf_flow_letters(small->flow), NULL, 0, INT64_MAX, refused_print, &count, &error) != XF_OK)
		complain(EXIT_FAILED, "%s", error.text);
	return count;
}

/* ---- The end -------------------------------------------------------------------------------------------------- */

void
small_fini(struct small *small, uint64_t ms)
{
	if (small->flow != NULL) {
		xf_flow_drain(small->flow, ms);
		if (!xf_flow_stopped(small->flow))
			_exit(EXIT_FAILED); /* a plugin is at work still, and the log has said which */
		xf_flow_destroy(&small->flow);
	}
	if (small->state != NULL)
		xf_state_close(&small->state);
	if (small->conf != NULL)
		xf_conf_destroy(&small->conf);
	loaded_fini(&small->loaded);
	if (small->dir != NULL)
		folder_remove(small->dir);
	free(small->dir);
	for (size_t i = 0; i < small->line_count; i++)
		free(small->origin[i]);
	free(small->origin);
	xf_buffer_fini(&small->text);
	if (small->signals >= 0)
		close(small->signals);
}
