#include "flow/rejects.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cjson/cJSON.h>

#include "base/base64.h"
#include "base/clock.h"
#include "base/memory.h"
#include "base/utf8.h"

struct xf_rejects {
	const char *folder;
	pthread_mutex_t lock; /* guards all below */
	char *path;
	int fd;
	uint64_t size;
	uint64_t losses;
};

/* So that the name of a new file is on disk too. */
static enum xf_status
folder_sync(const char *folder)
{
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int failed = fd < 0 || fsync(fd) != 0;

	if (fd >= 0)
		close(fd);
	return failed ? XF_FAILED : XF_OK;
}

/* Opens the file that stands at the path now; a file that was moved away is let go. */
static enum xf_status
rejects_reopen_locked(struct xf_rejects *rejects, struct xf_error *error)
{
	struct stat there, ours;

	if (rejects->fd >= 0 && stat(rejects->path, &there) == 0 && fstat(rejects->fd, &ours) == 0 &&
	    there.st_ino == ours.st_ino && there.st_dev == ours.st_dev) {
		rejects->size = (uint64_t)there.st_size;
		return XF_OK;
	}
	if (rejects->fd >= 0) {
		rejects->losses += fsync(rejects->fd) != 0;
		close(rejects->fd);
	}
	rejects->fd = open(rejects->path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
	if (rejects->fd < 0 || fstat(rejects->fd, &ours) != 0 || folder_sync(rejects->folder) != XF_OK) {
		xf_error_set(error, "cannot open '%s': %s", rejects->path, strerror(errno));
		if (rejects->fd >= 0)
			close(rejects->fd);
		rejects->fd = -1;
		return XF_FAILED;
	}
	rejects->size = (uint64_t)ours.st_size;
	return XF_OK;
}

struct xf_rejects *
xf_rejects_open(const char *data_dir, struct xf_error *error)
{
	struct xf_rejects *rejects = xf_alloc(sizeof(*rejects));

	pthread_mutex_init(&rejects->lock, NULL);
	rejects->folder = data_dir;
	rejects->path = xf_format("%s/rejected.ndjson", data_dir);
	rejects->fd = -1;
	if (rejects_reopen_locked(rejects, error) != XF_OK)
		xf_rejects_close(&rejects);
	return rejects;
}

void
xf_rejects_close(struct xf_rejects **rejects)
{
	if (*rejects == NULL)
		return;
	if ((*rejects)->fd >= 0)
		close((*rejects)->fd);
	pthread_mutex_destroy(&(*rejects)->lock);
	free((*rejects)->path);
	free(*rejects);
	*rejects = NULL;
}

/* As text where it is text, else as NAME_base64. */
static void
bytes_add(cJSON *object, const char *name, struct xf_str bytes)
{
	if (xf_utf8_valid(bytes) && (bytes.len == 0 || memchr(bytes.data, '\0', bytes.len) == NULL)) {
		char *text = xf_strndup(bytes.data, bytes.len);

		cJSON_AddStringToObject(object, name, text);
		free(text);
	} else {
		struct xf_buffer text = {0};
		char *key = xf_format("%s_base64", name);

		xf_base64_encode(bytes, &text);
		cJSON_AddStringToObject(object, key, text.data);
		xf_buffer_fini(&text);
		free(key);
	}
}

/* NULL: it is larger than cJSON can print. */
static char *
line_format(const char *route, const char *reason, const struct xf_fields *message)
{
	cJSON *object = cJSON_CreateObject(), *headers;
	char when[32], *text, *line;

	xf_wall_format(xf_wall_ms(), when);
	cJSON_AddStringToObject(object, "time", when);
	cJSON_AddStringToObject(object, "route", route);
	cJSON_AddStringToObject(object, "reason", reason);
	bytes_add(object, "subject", message->subject);
	bytes_add(object, "id", message->id);
	if (message->key.len > 0)
		bytes_add(object, "key", message->key);
	headers = cJSON_AddArrayToObject(object, "headers");
	for (uint32_t i = 0; i < message->header_count; i++) {
		cJSON *header = cJSON_CreateObject();

		bytes_add(header, "name", message->headers[i].name);
		bytes_add(header, "value", message->headers[i].value);
		cJSON_AddItemToArray(headers, header);
	}
	bytes_add(object, "payload", message->payload);
	text = cJSON_PrintUnformatted(object);
	cJSON_Delete(object);
	line = text != NULL ? xf_format("%s\n", text) : NULL;
	cJSON_free(text);
	return line;
}

enum xf_status
xf_rejects_append(struct xf_rejects *rejects, const char *route, const char *reason, const struct xf_fields *message,
                  struct xf_error *error)
{
	char *line = line_format(route, reason, message);
	size_t len = line != NULL ? strlen(line) : 0, done = 0;
	enum xf_status status;

	if (line == NULL)
		return xf_error_set(error, "a message is too large for '%s'", rejects->path);
	pthread_mutex_lock(&rejects->lock);
	status = rejects_reopen_locked(rejects, error);
	/* An empty file takes any line: a large message must not come back for ever. */
	if (status == XF_OK && rejects->size > 0 && rejects->size + len > XF_REJECTS_MAX)
		status = xf_error_set(error, "'%s' is full (64 MiB); look at it, then move it away", rejects->path);
	while (status == XF_OK && done < len) {
		ssize_t n = write(rejects->fd, line + done, len - done);

		if (n > 0)
			done += (size_t)n;
		else if (errno != EINTR)
			status = xf_error_set(error, "cannot write '%s': %s", rejects->path, strerror(errno));
	}
	if (status != XF_OK && done > 0 && ftruncate(rejects->fd, (off_t)rejects->size) != 0)
		xf_error_prefix(error, "half a line was left");
	if (status == XF_OK)
		rejects->size += len;
	pthread_mutex_unlock(&rejects->lock);
	free(line);
	return status;
}

uint64_t
xf_rejects_losses(struct xf_rejects *rejects)
{
	uint64_t losses;

	pthread_mutex_lock(&rejects->lock);
	losses = rejects->losses;
	pthread_mutex_unlock(&rejects->lock);
	return losses;
}

enum xf_status
xf_rejects_sync(struct xf_rejects *rejects, uint64_t losses, struct xf_error *error)
{
	enum xf_status status = XF_OK;

	pthread_mutex_lock(&rejects->lock);
	if (fdatasync(rejects->fd) != 0) {
		status = xf_error_set(error, "cannot sync '%s': %s", rejects->path, strerror(errno));
		rejects->losses++;
	} else if (rejects->losses != losses) /* the kernel tells of a failure once; the other routes hear of it here */
		status = xf_error_set(error, "what was written to '%s' may be lost", rejects->path);
	pthread_mutex_unlock(&rejects->lock);
	return status;
}

bool
xf_rejects_full(struct xf_rejects *rejects)
{
	bool full;

	pthread_mutex_lock(&rejects->lock);
	full = rejects_reopen_locked(rejects, NULL) != XF_OK || rejects->size >= XF_REJECTS_MAX - (16u << 20);
	pthread_mutex_unlock(&rejects->lock);
	return full;
}
