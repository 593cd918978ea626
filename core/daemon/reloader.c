#include "daemon/reloader.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cjson/cJSON.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/resource.h"
#include "daemon/notify.h"

struct xf_reloader {
	const char *file;
	struct xf_catalogue *catalogue;
	struct xf_flow *flow;
	struct xf_control control;
	pthread_t thread;
	pthread_mutex_t reload_lock; /* one reload at a time; taken before lock */
	pthread_mutex_t lock;        /* guards what follows */
	pthread_cond_t asked;
	bool wanted, ending;
	struct xf_reload_status status;
};

static void
status_set(struct xf_reloader *reloader, bool ok, const struct xf_buffer *errors)
{
	struct xf_reload_status *status = &reloader->status;

	pthread_mutex_lock(&reloader->lock);
	xf_buffer_fini(&status->errors);
	if (!ok)
		xf_buffer_append(&status->errors, errors->data, errors->len);
	status->generation += ok;
	status->time_ms = xf_wall_ms();
	status->ok = ok;
	pthread_mutex_unlock(&reloader->lock);
}

static void
report_list(cJSON *object, const char *key, char **list, size_t count)
{
	cJSON *array = cJSON_AddArrayToObject(object, key);

	for (size_t i = 0; i < count; i++)
		cJSON_AddItemToArray(array, cJSON_CreateString(list[i]));
}

static void
report_write(uint64_t generation, const struct xf_reload_report *report, const struct xf_conf *conf, struct xf_buffer *out)
{
	cJSON *object = cJSON_CreateObject(), *warnings;
	char *text;

	cJSON_AddNumberToObject(object, "generation", (double)generation);
	report_list(object, "added", report->added, report->added_count);
	report_list(object, "changed", report->changed, report->changed_count);
	report_list(object, "removed", report->removed, report->removed_count);
	report_list(object, "kept", report->kept, report->kept_count);
	warnings = cJSON_AddArrayToObject(object, "warnings");
	if (report->server_differs)
		cJSON_AddItemToArray(warnings, cJSON_CreateString("what 'server' says has changed; it takes effect at "
		                                                  "the next start"));
	for (size_t i = 0; i < report->late_count; i++)
		cJSON_AddItemToArray(warnings, cJSON_CreateString(report->late[i]));
	for (size_t i = 0; i < conf->warning_count; i++)
		cJSON_AddItemToArray(warnings, cJSON_CreateString(conf->warnings[i]));
	text = cJSON_PrintUnformatted(object);
	XF_ASSERT(text != NULL);
	xf_buffer_puts(out, text);
	cJSON_free(text);
	cJSON_Delete(object);
}

static void
refused_log(const char *who, const struct xf_buffer *errors)
{
	char *text = xf_strndup(errors->data, errors->len), *rest = text, *line;

	xf_log(XF_LOG_ERROR, NULL, "reload refused, nothing was changed by=%s", who);
	while ((line = strsep(&rest, "\n")) != NULL)
		if (*line != '\0')
			xf_log(XF_LOG_ERROR, NULL, "reload: %s", line);
	free(text);
}

/* XF_OK with the report, or XF_FAILED with the errors; holds reload_lock. */
static enum xf_status
reload_do(struct xf_reloader *reloader, const char *who, struct xf_buffer *out, struct xf_buffer *errors)
{
	struct xf_conf_catalogue catalogue = xf_catalogue_for_conf(reloader->catalogue);
	const struct xf_conf *conf = xf_conf_load(reloader->file, &catalogue, errors);
	struct xf_reload_report report;
	struct xf_error error;

	if (conf == NULL)
		return XF_FAILED;
	if (xf_flow_reload(reloader->flow, conf, &report, &error) != XF_OK) {
		xf_buffer_printf(errors, "%s\n", error.text);
		xf_conf_destroy(&conf);
		return XF_FAILED;
	}
	/* It lives at least until the next reload, which waits. */
	report_write(reloader->status.generation + 1, &report, conf, out);
	for (size_t i = 0; i < report.late_count; i++)
		xf_log(XF_LOG_ERROR, NULL, "reload: %s", report.late[i]);
	xf_log(XF_LOG_INFO, NULL, "reloaded by=%s generation=%llu added=%zu changed=%zu removed=%zu kept=%zu%s", who,
	       (unsigned long long)reloader->status.generation + 1, report.added_count, report.changed_count,
	       report.removed_count, report.kept_count, report.server_differs ? " (server: at the next start)" : "");
	xf_reload_report_fini(&report);
	return XF_OK;
}

static enum xf_status
control_reload(void *context, const char *who, struct xf_buffer *report, struct xf_buffer *errors)
{
	struct xf_reloader *reloader = context;
	enum xf_status status;

	pthread_mutex_lock(&reloader->reload_lock);
	status = reload_do(reloader, who, report, errors);
	if (status != XF_OK)
		refused_log(who, errors);
	status_set(reloader, status == XF_OK, errors);
	pthread_mutex_unlock(&reloader->reload_lock);
	return status;
}

static void
control_drain(void *context, const char *who)
{
	(void)context;
	xf_log(XF_LOG_INFO, NULL, "drain asked for by=%s", who);
	kill(getpid(), SIGTERM); /* the main thread reads it */
}

static void
control_status(void *context, struct xf_reload_status *status)
{
	struct xf_reloader *reloader = context;

	pthread_mutex_lock(&reloader->lock);
	*status = reloader->status;
	status->errors = (struct xf_buffer){0};
	xf_buffer_append(&status->errors, reloader->status.errors.data, reloader->status.errors.len);
	pthread_mutex_unlock(&reloader->lock);
}

static void *
reloader_run(void *context)
{
	struct xf_reloader *reloader = context;

	pthread_mutex_lock(&reloader->lock);
	while (!reloader->ending) {
		struct xf_buffer report = {0}, errors = {0};

		if (!reloader->wanted) {
			pthread_cond_wait(&reloader->asked, &reloader->lock);
			continue;
		}
		reloader->wanted = false;
		pthread_mutex_unlock(&reloader->lock);
		xf_notify_reloading();
		control_reload(reloader, "SIGHUP", &report, &errors);
		xf_notify("READY=1");
		xf_buffer_fini(&report);
		xf_buffer_fini(&errors);
		pthread_mutex_lock(&reloader->lock);
	}
	pthread_mutex_unlock(&reloader->lock);
	return NULL;
}

static void
reloader_free(struct xf_reloader *reloader)
{
	xf_buffer_fini(&reloader->status.errors);
	pthread_cond_destroy(&reloader->asked);
	pthread_mutex_destroy(&reloader->lock);
	pthread_mutex_destroy(&reloader->reload_lock);
	free(reloader);
}

struct xf_reloader *
xf_reloader_create(const char *file, struct xf_catalogue *catalogue, struct xf_flow *flow, struct xf_error *error)
{
	struct xf_reloader *reloader = xf_alloc(sizeof(*reloader));

	reloader->file = file;
	reloader->catalogue = catalogue;
	reloader->flow = flow;
	reloader->control = (struct xf_control){control_reload, control_drain, control_status, reloader};
	reloader->status.generation = 1;
	reloader->status.ok = true;
	pthread_mutex_init(&reloader->reload_lock, NULL);
	pthread_mutex_init(&reloader->lock, NULL);
	pthread_cond_init(&reloader->asked, NULL);
	if (xf_thread_create(&reloader->thread, reloader_run, reloader, error) == XF_OK)
		return reloader;
	xf_error_prefix(error, "reload");
	reloader_free(reloader);
	return NULL;
}

void
xf_reloader_destroy(struct xf_reloader **pointer)
{
	struct xf_reloader *reloader = *pointer;

	*pointer = NULL;
	pthread_mutex_lock(&reloader->lock);
	reloader->ending = true;
	pthread_cond_signal(&reloader->asked);
	pthread_mutex_unlock(&reloader->lock);
	pthread_join(reloader->thread, NULL);
	reloader_free(reloader);
}

void
xf_reloader_ask(struct xf_reloader *reloader)
{
	pthread_mutex_lock(&reloader->lock);
	reloader->wanted = true;
	pthread_cond_signal(&reloader->asked);
	pthread_mutex_unlock(&reloader->lock);
}

const struct xf_control *
xf_reloader_control(const struct xf_reloader *reloader)
{
	return &reloader->control;
}
