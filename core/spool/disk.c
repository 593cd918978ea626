#include "spool/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"

static int
real_make(const char *folder)
{
	return mkdir(folder, 0750) == 0 || errno == EEXIST ? 0 : errno;
}

static int
real_move(const char *from, const char *to)
{
	return rename(from, to) == 0 ? 0 : errno;
}

static int
real_sync(const char *folder)
{
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int failed = fd < 0 || fsync(fd) != 0 ? errno : 0;

	if (fd >= 0)
		close(fd);
	return failed;
}

const struct xf_disk xf_disk_real = {.make = real_make, .move = real_move, .sync = real_sync, .reserve = 8u << 20};

bool
xf_disk_exists(const struct xf_disk *disk, const char *path)
{
	sqlite3_vfs *vfs = sqlite3_vfs_find(disk->vfs);
	int there = 0;

	return vfs->xAccess(vfs, path, SQLITE_ACCESS_EXISTS, &there) == SQLITE_OK && there;
}

int
xf_disk_sync_parent(const struct xf_disk *disk, const char *path)
{
	const char *slash = strrchr(path, '/');
	char *parent = slash == NULL ? xf_strdup(".") : xf_strndup(path, slash == path ? 1 : (size_t)(slash - path));
	int failed = disk->sync(parent);

	free(parent);
	return failed;
}

const char *
xf_disk_reason(sqlite3_vfs *vfs, int result)
{
	int code = vfs->xGetLastError != NULL ? vfs->xGetLastError(vfs, 0, NULL) : 0;

	return code != 0 ? strerror(code) : sqlite3_errstr(result);
}
