/*
 * Only regular files are read, and their size is known before the first byte is: a device, a pipe or
 * a file of gigabytes costs nothing.
 */
#include "conf/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"

enum xf_status
xf_file_read(const char *path, size_t max, struct xf_buffer *out, struct xf_file_identity *identity,
             struct xf_error *error)
{
	enum xf_status status = XF_FAILED;
	struct stat info;
	char piece[8192];
	ssize_t got;
	int fd;

	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return xf_error_set(error, "cannot be read: %s", strerror(errno));
	if (fstat(fd, &info) != 0) {
		xf_error_set(error, "cannot be read: %s", strerror(errno));
		goto close_file;
	}
	if (!S_ISREG(info.st_mode)) {
		xf_error_set(error, "is %s; expected a regular file",
		             S_ISDIR(info.st_mode) ? "a folder" : "no regular file");
		goto close_file;
	}
	if ((unsigned long long)info.st_size > max) {
		xf_error_set(error, "has %llu bytes; expected at most %zu", (unsigned long long)info.st_size, max);
		goto close_file;
	}
	while ((got = read(fd, piece, sizeof(piece))) != 0) {
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0) {
			xf_error_set(error, "cannot be read: %s", strerror(errno));
			goto close_file;
		}
		xf_buffer_append(out, piece, (size_t)got);
		if (out->len > max) {
			xf_error_set(error, "grows while it is read; expected at most %zu bytes", max);
			goto close_file;
		}
	}
	if (identity != NULL)
		*identity = (struct xf_file_identity){info.st_dev, info.st_ino};
	status = XF_OK;

close_file:
	close(fd);
	return status;
}

char *
xf_file_beside(const char *file, const char *path)
{
	const char *slash = strrchr(file, '/');

	if (path[0] == '/' || slash == NULL)
		return xf_strdup(path);
	return xf_format("%.*s/%s", (int)(slash - file), file, path);
}

char *
xf_file_resolve(const char *file, const char *path)
{
	char *beside, *folder, *absolute;

	while (strncmp(path, "./", 2) == 0 && path[2] != '\0')
		path += 2;
	beside = xf_file_beside(file, path);
	if (beside[0] == '/')
		return beside;
	folder = getcwd(NULL, 0);
	absolute = xf_format("%s/%s", folder != NULL ? folder : ".", beside);
	free(folder);
	free(beside);
	return absolute;
}
