#include "flow/spooler.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "flow/runner.h"

struct xf_spooler {
	struct xf_spooler *next;
	char *name;
	unsigned users;
	struct xf_spool *spool;
	pthread_mutex_t lock; /* guards the rest */
	struct xf_endpoint *reader;
	struct xf_runner *waiting; /* to be started once there is something to read; NULL: nobody */
};

/* In the spool the copies of a bucket are a lane of their own, so many behind it. */
#define COPIES (XF_SPOOL_LANES / 2)
_Static_assert(XF_BUCKETS <= COPIES, "buckets have lanes of their own");

/* A leg on its way to the disk. */
struct item {
	struct xf_spool_write write; /* first */
	struct xf_leg *leg;
	char bytes[];
};

/* ---- Who reads it --------------------------------------------------------------------------------------- */

static enum xf_status
reader_start_locked(struct xf_spooler *spooler, struct xf_error *error)
{
	if (spooler->waiting != NULL && xf_runner_start_late(spooler->waiting, error) != XF_OK)
		return XF_FAILED;
	spooler->waiting = NULL;
	return XF_OK;
}

/* [the spool's writer] */
static enum xf_status
reader_start(void *context, struct xf_error *error)
{
	struct xf_spooler *spooler = context;
	enum xf_status status;

	pthread_mutex_lock(&spooler->lock);
	status = reader_start_locked(spooler, error);
	pthread_mutex_unlock(&spooler->lock);
	return status;
}

bool
xf_spooler_has_begun(const struct xf_spooler *spooler)
{
	return xf_spool_has_begun(spooler->spool);
}

void
xf_spooler_serve(struct xf_spooler *spooler, struct xf_runner *runner)
{
	struct xf_error error;

	pthread_mutex_lock(&spooler->lock);
	spooler->waiting = runner;
	if (xf_spool_has_begun(spooler->spool) && reader_start_locked(spooler, &error) != XF_OK)
		xf_log(XF_LOG_ERROR, spooler->name, "what is in the spool is not read yet: %s", error.text);
	pthread_mutex_unlock(&spooler->lock);
}

void
xf_spooler_serve_end(struct xf_spooler *spooler, const struct xf_runner *runner)
{
	pthread_mutex_lock(&spooler->lock);
	if (spooler->waiting == runner)
		spooler->waiting = NULL;
	pthread_mutex_unlock(&spooler->lock);
}

/* ---- On its way ------------------------------------------------------------------------------------- */

static struct item *
item_make(struct xf_leg *leg, uint32_t generation)
{
	const struct xf_delivery *delivery = leg->delivery;
	const struct xf_spooled record = {
		.message = {
			.subject = delivery->subject,
			.id = delivery->id,
			.key = delivery->key_given,
			.reply = delivery->reply,
			.content_type = delivery->content_type,
			.payload = delivery->payload,
			.payload_size = delivery->payload_size,
			.headers = delivery->headers_given,
			.header_count = delivery->headers_given_count,
			.time_ms = delivery->time_ms,
			.ttl_ms = delivery->ttl_ms,
			.priority = delivery->priority,
		},
		.role = leg->role,
		.sink = leg->sink,
	};
	size_t size = xf_spooled_size(&record);
	struct item *item = xf_alloc(sizeof(*item) + size);

	xf_spooled_write(&record, item->bytes);
	item->leg = leg;
	item->write = (struct xf_spool_write){
		.bytes = {item->bytes, size},
		.time_ms = (uint64_t)xf_steady_wall_ms(),
		.lane = delivery->bucket + (leg->role == XF_SPOOLED_COPY ? COPIES : 0u),
		.generation = generation,
	};
	return item;
}

void
xf_spooler_send(struct xf_spooler *spooler, struct xf_leg *first, struct xf_leg *last, uint32_t generation)
{
	struct item *chain = NULL, *end = NULL;

	for (struct xf_leg *leg = first;; leg = (struct xf_leg *)leg->node.next) {
		struct item *item = item_make(leg, generation);

		if (end != NULL)
			end->write.node.next = &item->write.node;
		else
			chain = item;
		end = item;
		if (leg == last)
			break;
	}
	xf_spool_append(spooler->spool, &chain->write, &end->write);
}

/* [the spool's writer] */
static void
legs_return(void *context, struct xf_spool_write *first)
{
	struct xf_spooler *spooler = context;
	struct xf_error error;
	bool durable = false;

	for (struct xf_spool_write *write = first, *next; write != NULL; write = next) {
		struct item *item = (struct item *)write;
		struct xf_leg *leg = item->leg;

		next = (struct xf_spool_write *)write->node.next;
		leg->result = write->result == XF_SPOOL_DURABLE ? XF_RESULT_STORED : XF_RESULT_NOT_SENT;
		leg->result_flags = 0;
		leg->bounced = true; /* whatever went wrong is no fault of the message */
		leg->down = false;
		durable = durable || write->result == XF_SPOOL_DURABLE;
		leg->node.next = NULL;
		free(item);
		xf_inbox_push(leg->delivery->home, &leg->node, &leg->node);
	}
	if (!durable)
		return;
	pthread_mutex_lock(&spooler->lock);
	reader_start_locked(spooler, &error); /* where there was no thread to be had for it */
	if (spooler->reader != NULL)
		xf_runner_wake(spooler->reader);
	pthread_mutex_unlock(&spooler->lock);
}

/* ---- Life --------------------------------------------------------------------------------------------- */

/* orders.to.old */
static char *
file_name(const char *name)
{
	char *file = xf_strdup(name);

	for (char *at = file; *at != '\0'; at++)
		if (*at == '/')
			*at = '.';
	return file;
}

/* data_dir/spools/orders.to.old, and the folder it lies in. */
static char *
folder_make(const char *data_dir, const char *name, struct xf_error *error)
{
	char *folder = xf_format("%s/spools", data_dir), *file = file_name(name), *path = xf_format("%s/%s", folder, file);

	free(file);
	if (mkdir(folder, 0700) != 0 && errno != EEXIST) {
		xf_error_set(error, "%s: %s", folder, strerror(errno));
		free(path);
		path = NULL;
	}
	free(folder);
	return path;
}

static void
found_log(const char *name, const struct xf_spool_found *found)
{
	if (found->messages > 0)
		xf_log(XF_LOG_INFO, name, "%llu messages were found in the spool", (unsigned long long)found->messages);
	for (size_t i = 0; i < found->missing_count; i++)
		xf_log(XF_LOG_ERROR, name, "the spool lost the messages %llu to %llu",
		       (unsigned long long)found->missing[i].first, (unsigned long long)found->missing[i].last);
}

static struct xf_spooler *
spooler_open(const char *data_dir, const char *name, const struct xf_conf_endpoint *sink, struct xf_error *error)
{
	struct xf_spooler *spooler = xf_alloc(sizeof(*spooler));
	char *path = folder_make(data_dir, name, error);
	struct xf_spool_found found = {.messages = 0};

	spooler->name = xf_strdup(name);
	pthread_mutex_init(&spooler->lock, NULL);
	if (path != NULL)
		spooler->spool = xf_spool_open(&(struct xf_spool_settings){
			.path = path,
			.name = spooler->name,
			.bytes_max = sink->spool_max_size,
			.written = legs_return,
			.begun = reader_start,
			.context = spooler,
		}, &found, error);
	free(path);
	if (spooler->spool == NULL) {
		xf_error_prefix(error, "the spool of '%s'", name);
		pthread_mutex_destroy(&spooler->lock);
		free(spooler->name);
		free(spooler);
		return NULL;
	}
	found_log(name, &found);
	free(found.missing);
	return spooler;
}

struct xf_spooler *
xf_spooler_use(struct xf_spoolers *spoolers, const char *data_dir, const char *name,
               const struct xf_conf_endpoint *sink, struct xf_error *error)
{
	struct xf_spooler *spooler = spoolers->first;

	while (spooler != NULL && strcmp(spooler->name, name) != 0)
		spooler = spooler->next;
	if (spooler == NULL) {
		spooler = spooler_open(data_dir, name, sink, error);
		if (spooler == NULL)
			return NULL;
		spooler->next = spoolers->first;
		spoolers->first = spooler;
	}
	spooler->users++;
	return spooler;
}

void
xf_spooler_follow(struct xf_spooler *spooler, const struct xf_conf_endpoint *sink)
{
	xf_spool_limit(spooler->spool, sink->spool_max_size);
}

void
xf_spooler_release(struct xf_spoolers *spoolers, struct xf_spooler *spooler)
{
	struct xf_spooler **at = &spoolers->first;

	if (spooler == NULL || --spooler->users > 0)
		return;
	while (*at != spooler)
		at = &(*at)->next;
	*at = spooler->next;
	xf_spool_close(&spooler->spool);
	pthread_mutex_destroy(&spooler->lock);
	free(spooler->name);
	free(spooler);
}

static bool
is_open(const struct xf_spoolers *spoolers, const char *file)
{
	bool open = false;

	for (const struct xf_spooler *at = spoolers->first; at != NULL && !open; at = at->next) {
		char *own = file_name(at->name);

		open = strcmp(own, file) == 0;
		free(own);
	}
	return open;
}

void
xf_spoolers_warn(const struct xf_spoolers *spoolers, const char *data_dir)
{
	char *folder = xf_format("%s/spools", data_dir);
	DIR *dir = opendir(folder);
	struct dirent *entry;

	while (dir != NULL && (entry = readdir(dir)) != NULL)
		/* One that was set aside is told of when that is done. */
		if (entry->d_name[0] != '.' && strstr(entry->d_name, ".damaged-") == NULL && !is_open(spoolers, entry->d_name))
			xf_log(XF_LOG_WARN, NULL,
			       "nothing in this configuration has the spool %s/%s: what is in it waits until a sink of that name says "
			       "'when_down: spool', or a source 'accept: spooled', again", folder, entry->d_name);
	if (dir != NULL)
		closedir(dir);
	free(folder);
}

/* ---- For others ----------------------------------------------------------------------------------------- */

uint32_t
xf_spooler_generation(const struct xf_spooler *spooler)
{
	return xf_spool_generation(spooler->spool);
}

uint32_t
xf_spooler_lane(const struct xf_spooler *spooler, uint16_t bucket, bool copies)
{
	return xf_spool_lane(spooler->spool, bucket + (copies ? COPIES : 0u));
}

bool
xf_spooler_lane_stands(const struct xf_spooler *spooler, uint16_t bucket)
{
	return xf_spool_lane_stands(spooler->spool, bucket);
}

uint64_t
xf_spooler_messages(const struct xf_spooler *spooler)
{
	struct xf_spool_numbers numbers;

	xf_spool_numbers(spooler->spool, &numbers);
	return numbers.messages;
}

bool
xf_spooler_fails(const struct xf_spooler *spooler)
{
	return xf_spool_fails(spooler->spool);
}

void
xf_spooler_numbers(struct xf_spooler *spooler, struct xf_spool_numbers *numbers, struct xf_error *reason)
{
	xf_spool_numbers(spooler->spool, numbers);
	xf_spool_reason(spooler->spool, reason);
}

const char *
xf_spooler_name(const struct xf_spooler *spooler)
{
	return spooler->name;
}

struct xf_spool *
xf_spooler_store(struct xf_spooler *spooler)
{
	return spooler->spool;
}

void
xf_spooler_reader(struct xf_spooler *spooler, struct xf_endpoint *reader)
{
	pthread_mutex_lock(&spooler->lock);
	spooler->reader = reader;
	pthread_mutex_unlock(&spooler->lock);
}
