#include "daemon/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"

static enum xf_status
folder_make(const char *dir, struct xf_error *error)
{
	char *path = xf_strdup(dir);
	struct stat stat_;
	int failed = 0;

	for (char *slash = strchr(path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		mkdir(path, 0755); /* what cannot be made shows at the last one */
		*slash = '/';
	}
	free(path);
	if (mkdir(dir, 0750) != 0 && errno != EEXIST)
		failed = errno;
	if (failed == 0 && stat(dir, &stat_) != 0)
		failed = errno;
	if (failed == 0 && !S_ISDIR(stat_.st_mode))
		failed = ENOTDIR;
	if (failed == 0)
		return XF_OK;
	return xf_error_set(error, "data_dir %s: %s", dir, strerror(failed));
}

static enum xf_status
holder_explain(int file, const char *path, struct xf_error *error)
{
	char text[32] = "";
	ssize_t len = pread(file, text, sizeof(text) - 1, 0);
	long pid = len > 0 ? strtol(text, NULL, 10) : 0;

	if (pid > 0)
		return xf_error_set(error, "%s is held by process %ld: another crossfaded uses this data_dir; stop it, "
		                           "or give this one a data_dir of its own",
		                    path, pid);
	return xf_error_set(error, "%s is held by another process: another crossfaded uses this data_dir; stop it, or "
	                           "give this one a data_dir of its own",
	                    path);
}

int
xf_lock_take(const char *data_dir, struct xf_error *error)
{
	char *path, text[32];
	int file, len;

	if (folder_make(data_dir, error) != XF_OK)
		return -1;
	path = xf_format("%s/lock", data_dir);
	file = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
	if (file < 0) {
		xf_error_set(error, "%s: %s", path, strerror(errno));
		goto free_path;
	}
	if (flock(file, LOCK_EX | LOCK_NB) != 0) {
		if (errno == EWOULDBLOCK)
			holder_explain(file, path, error);
		else
			xf_error_set(error, "%s: cannot be locked: %s", path, strerror(errno));
		goto close_file;
	}
	len = snprintf(text, sizeof(text), "%ld\n", (long)getpid());
	if (ftruncate(file, 0) != 0 || pwrite(file, text, (size_t)len, 0) != len) {
		xf_error_set(error, "%s: cannot be written: %s", path, strerror(errno));
		goto close_file;
	}
	free(path);
	return file;

close_file:
	close(file);
free_path:
	free(path);
	return -1;
}

void
xf_lock_release(int *lock)
{
	if (*lock >= 0)
		close(*lock);
	*lock = -1;
}
