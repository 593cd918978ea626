#include "fake_disk.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/assert.h"
#include "base/memory.h"

#define SECTOR 512
#define NAMES 64
#define NEVER UINT64_MAX

struct bytes {
	unsigned char *data;
	uint64_t len, size;
};

/* A write, or a change of length (data is NULL), that is not synced. */
struct change {
	uint64_t at, len;
	unsigned char *data;
};

struct inode {
	struct bytes now, durable;
	struct change *changes;
	size_t change_count;
	unsigned refs; /* names in either table, names to come, handles */
	bool folder;
	/* locks of handles, and of their shared memory */
	unsigned shared, reserved, exclusive;
	void *regions[32];
	unsigned shm_refs;
	int shm_shared[SQLITE_SHM_NLOCK];
	bool shm_exclusive[SQLITE_SHM_NLOCK];
};

struct name {
	char *path;
	struct inode *inode;
};

struct names {
	struct name at[NAMES];
	size_t count;
};

/* A change of names that is not synced. */
struct renaming {
	char *from, *to; /* FROM alone: deleted; TO alone: made, with the inode */
	struct inode *inode;
};

struct handle {
	sqlite3_file base;
	struct inode *inode;
	char *path; /* NULL: has none */
	bool sync_name;
	bool delete;
	int lock;
	bool shm;
	unsigned shm_shared, shm_exclusive; /* bits */
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct names now, durable, saved;
static struct renaming renamings[4096];
static size_t renaming_count;
static _Atomic uint64_t random_state; /* threads may lose each other's steps */
static uint64_t calls, fail_first, fail_last, cut_at, capacity, failures;
static int fail_code, last_error;
static bool lie_files, lie_folders;

uint64_t
fake_random(void)
{
	uint64_t x = random_state;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	random_state = x;
	return x * 0x2545f4914f6cdd1d;
}

uint64_t
fake_below(uint64_t n)
{
	return (fake_random() >> 11) % n;
}

/* ---- Bytes and inodes ------------------------------------------------------------------ */

static void
bytes_resize(struct bytes *bytes, uint64_t len)
{
	if (len > bytes->size) {
		uint64_t size = len + len / 2 + 4096;

		bytes->data = xf_grow_array(bytes->data, bytes->size, size, 1);
		bytes->size = size;
	}
	if (len > bytes->len)
		memset(bytes->data + bytes->len, 0, len - bytes->len);
	bytes->len = len;
}

static void
bytes_write(struct bytes *bytes, const void *data, uint64_t len, uint64_t at)
{
	if (len == 0)
		return;
	if (at + len > bytes->len)
		bytes_resize(bytes, at + len);
	memcpy(bytes->data + at, data, len);
}

static void
bytes_copy(struct bytes *to, const struct bytes *from)
{
	bytes_resize(to, 0);
	bytes_write(to, from->data, from->len, 0);
}

static void
change_apply(struct bytes *bytes, const struct change *change)
{
	if (change->data == NULL)
		bytes_resize(bytes, change->len);
	else
		bytes_write(bytes, change->data, change->len, change->at);
}

static void
changes_clear(struct inode *inode)
{
	for (size_t i = 0; i < inode->change_count; i++)
		free(inode->changes[i].data);
	free(inode->changes);
	inode->changes = NULL;
	inode->change_count = 0;
}

static void
change_add(struct inode *inode, const void *data, uint64_t len, uint64_t at)
{
	size_t count = inode->change_count;
	struct change *change;

	if ((count & (count - 1)) == 0)
		inode->changes = xf_grow_array(inode->changes, count, count > 0 ? 2 * count : 1, sizeof(*inode->changes));
	change = &inode->changes[inode->change_count++];
	*change = (struct change){.at = at, .len = len};
	if (data != NULL) {
		change->data = xf_alloc(len);
		memcpy(change->data, data, len);
	}
	change_apply(&inode->now, change);
}

static void
inode_drop(struct inode *inode)
{
	if (inode == NULL || --inode->refs > 0)
		return;
	changes_clear(inode);
	for (size_t i = 0; i < 32; i++)
		free(inode->regions[i]);
	free(inode->now.data);
	free(inode->durable.data);
	free(inode);
}

static struct inode *
inode_hold(struct inode *inode)
{
	inode->refs++;
	return inode;
}

/* Some of it arrives: all or nothing, up to a point, or sectors by chance. */
static void
inode_tear(struct inode *inode)
{
	uint64_t how = fake_below(5), odds = 1 + fake_below(9);
	size_t end = inode->change_count;

	if (how == 0)
		end = 0;
	else if (how == 1)
		end = (size_t)fake_below(end + 1);
	for (size_t i = 0; i < end; i++) {
		const struct change *change = &inode->changes[i];
		bool torn = how == 1 && i + 1 == end;

		if (change->data == NULL || how == 2 || (how == 1 && !torn)) {
			if (change->data != NULL || how <= 2 || fake_below(10) < odds)
				change_apply(&inode->durable, change);
			continue;
		}
		for (uint64_t at = 0; at < change->len;) {
			uint64_t len = SECTOR - (change->at + at) % SECTOR;

			len = len < change->len - at ? len : change->len - at;
			if (torn ? fake_below(2) == 0 : fake_below(10) < odds)
				bytes_write(&inode->durable, change->data + at, torn ? fake_below(len + 1) : len, change->at + at);
			else if (fake_below(8) == 0 && inode->durable.len < change->at + at + len)
				bytes_resize(&inode->durable, change->at + at + len); /* its length, and zeros */
			at += len;
		}
	}
	changes_clear(inode);
}

/* ---- Names ----------------------------------------------------------------------------- */

static struct name *
name_find(struct names *names, const char *path)
{
	for (size_t i = 0; i < names->count; i++)
		if (strcmp(names->at[i].path, path) == 0)
			return &names->at[i];
	return NULL;
}

static void
name_delete(struct names *names, const char *path)
{
	struct name *name = name_find(names, path);

	if (name == NULL)
		return;
	inode_drop(name->inode);
	free(name->path);
	*name = names->at[--names->count];
}

static void
name_put(struct names *names, const char *path, struct inode *inode)
{
	inode_hold(inode);
	name_delete(names, path);
	XF_ASSERT(names->count < NAMES);
	names->at[names->count++] = (struct name){xf_strdup(path), inode};
}

/* A folder with all that is in it, or a file. */
static void
name_move(struct names *names, const char *from, const char *to)
{
	size_t len = strlen(from);

	for (size_t i = 0; i < names->count; i++) {
		char *path = names->at[i].path;

		if (strncmp(path, from, len) != 0 || (path[len] != '\0' && path[len] != '/'))
			continue;
		names->at[i].path = xf_format("%s%s", to, path + len);
		free(path);
	}
}

static void
names_clear(struct names *names)
{
	while (names->count > 0)
		name_delete(names, names->at[0].path);
}

static void
renaming_apply(struct names *names, const struct renaming *renaming)
{
	if (renaming->to == NULL)
		name_delete(names, renaming->from);
	else if (renaming->from == NULL)
		name_put(names, renaming->to, renaming->inode);
	else
		name_move(names, renaming->from, renaming->to);
}

static void
renaming_free(struct renaming *renaming)
{
	free(renaming->from);
	free(renaming->to);
	inode_drop(renaming->inode);
}

static void
renaming_add(const char *from, const char *to, struct inode *inode)
{
	XF_ASSERT(renaming_count < sizeof(renamings) / sizeof(*renamings));
	renamings[renaming_count] = (struct renaming){from != NULL ? xf_strdup(from) : NULL, to != NULL ? xf_strdup(to) : NULL,
	                                              inode != NULL ? inode_hold(inode) : NULL};
	renaming_apply(&now, &renamings[renaming_count++]);
}

static bool
lies_in(const char *path, const char *folder)
{
	size_t len = strlen(folder);

	return path != NULL && strncmp(path, folder, len) == 0 && path[len] == '/' && strchr(path + len + 1, '/') == NULL;
}

/* The names in FOLDER are on disk, or the name PATH alone. */
static void
names_sync(const char *folder, const char *path)
{
	size_t kept = 0;

	for (size_t i = 0; i < renaming_count; i++) {
		const char *name = renamings[i].to != NULL ? renamings[i].to : renamings[i].from;

		if (folder != NULL ? lies_in(name, folder) : strcmp(name, path) == 0) {
			renaming_apply(&durable, &renamings[i]);
			renaming_free(&renamings[i]);
		} else {
			renamings[kept++] = renamings[i];
		}
	}
	renaming_count = kept;
}

/* All up to KEEP come onto the disk, and of the files made or deleted after that some. */
static void
renamings_clear(size_t keep, bool some)
{
	for (size_t i = 0; i < renaming_count; i++) {
		bool move = renamings[i].from != NULL && renamings[i].to != NULL;

		if (i < keep || (some && !move && fake_below(4) == 0))
			renaming_apply(&durable, &renamings[i]);
		renaming_free(&renamings[i]);
	}
	renaming_count = 0;
}

/* ---- Faults ---------------------------------------------------------------------------- */

/* Counts a call. 0, or the errno that it fails with. */
static int
call_fails(bool wants_space)
{
	uint64_t number = calls++;

	if (number >= cut_at)
		return last_error = EIO;
	if (number < fail_first || number > fail_last || (fail_code == ENOSPC && !wants_space))
		return 0;
	failures++;
	return last_error = fail_code;
}

static uint64_t
used(void)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < now.count; i++)
		sum += now.at[i].inode->now.len;
	return sum;
}

/* ---- Files ----------------------------------------------------------------------------- */

#define HANDLE(file) ((struct handle *)(file))

static int
file_close(sqlite3_file *file)
{
	struct handle *h = HANDLE(file);

	pthread_mutex_lock(&mutex);
	if (h->lock >= SQLITE_LOCK_SHARED)
		h->inode->shared--;
	if (h->lock >= SQLITE_LOCK_RESERVED)
		h->inode->reserved--;
	if (h->lock >= SQLITE_LOCK_EXCLUSIVE)
		h->inode->exclusive--;
	if (h->delete && h->path != NULL)
		renaming_add(h->path, NULL, NULL);
	inode_drop(h->inode);
	free(h->path);
	pthread_mutex_unlock(&mutex);
	return SQLITE_OK;
}

static int
file_read(sqlite3_file *file, void *into, int len, sqlite3_int64 at)
{
	const struct bytes *bytes = &HANDLE(file)->inode->now;
	uint64_t there = 0;
	int result = SQLITE_OK;

	pthread_mutex_lock(&mutex);
	if (call_fails(false) != 0) {
		result = SQLITE_IOERR_READ;
	} else {
		if ((uint64_t)at < bytes->len)
			there = bytes->len - (uint64_t)at;
		there = there < (uint64_t)len ? there : (uint64_t)len;
		if (there > 0)
			memcpy(into, bytes->data + at, there);
		memset((char *)into + there, 0, (size_t)len - there);
		if (there < (uint64_t)len)
			result = SQLITE_IOERR_SHORT_READ;
	}
	pthread_mutex_unlock(&mutex);
	return result;
}

static int
file_write(sqlite3_file *file, const void *from, int len, sqlite3_int64 at)
{
	struct inode *inode = HANDLE(file)->inode;
	uint64_t end = (uint64_t)at + (uint64_t)len, grows;
	int code, result = SQLITE_OK;

	pthread_mutex_lock(&mutex);
	grows = end > inode->now.len ? end - inode->now.len : 0;
	code = call_fails(grows > 0);
	if (code == 0 && grows > 0 && capacity > 0 && used() + grows > capacity)
		code = last_error = ENOSPC;
	if (code != 0) {
		result = code == ENOSPC ? SQLITE_FULL : SQLITE_IOERR_WRITE;
		len = code == ENOSPC || calls > cut_at ? 0 : (int)fake_below((uint64_t)len); /* a part of it */
	}
	if (len > 0)
		change_add(inode, from, (uint64_t)len, (uint64_t)at);
	pthread_mutex_unlock(&mutex);
	return result;
}

static int
file_truncate(sqlite3_file *file, sqlite3_int64 size)
{
	int result = SQLITE_OK;

	pthread_mutex_lock(&mutex);
	if (call_fails(false) != 0)
		result = SQLITE_IOERR_TRUNCATE;
	else
		change_add(HANDLE(file)->inode, NULL, (uint64_t)size, 0);
	pthread_mutex_unlock(&mutex);
	return result;
}

static int
file_sync(sqlite3_file *file, int flags)
{
	struct handle *h = HANDLE(file);
	struct inode *inode = h->inode;
	int result = SQLITE_OK;

	(void)flags;
	pthread_mutex_lock(&mutex);
	if (calls >= cut_at) {
		result = SQLITE_IOERR_FSYNC;
	} else if (lie_files) {
		calls++;
	} else if (call_fails(true) != 0) {
		inode_tear(inode); /* what did not arrive counts as clean, and is never tried again */
		result = SQLITE_IOERR_FSYNC;
	} else {
		for (size_t i = 0; i < inode->change_count; i++)
			change_apply(&inode->durable, &inode->changes[i]);
		changes_clear(inode);
		if (h->sync_name && h->path != NULL)
			names_sync(NULL, h->path);
		h->sync_name = false;
	}
	pthread_mutex_unlock(&mutex);
	return result;
}

static int
file_size(sqlite3_file *file, sqlite3_int64 *size)
{
	pthread_mutex_lock(&mutex);
	*size = (sqlite3_int64)HANDLE(file)->inode->now.len;
	pthread_mutex_unlock(&mutex);
	return SQLITE_OK;
}

static int
file_unlock(sqlite3_file *file, int level)
{
	struct handle *h = HANDLE(file);

	pthread_mutex_lock(&mutex);
	if (h->lock >= SQLITE_LOCK_EXCLUSIVE && level < SQLITE_LOCK_EXCLUSIVE)
		h->inode->exclusive--;
	if (h->lock >= SQLITE_LOCK_RESERVED && level < SQLITE_LOCK_RESERVED)
		h->inode->reserved--;
	if (h->lock >= SQLITE_LOCK_SHARED && level < SQLITE_LOCK_SHARED)
		h->inode->shared--;
	h->lock = level < h->lock ? level : h->lock;
	pthread_mutex_unlock(&mutex);
	return SQLITE_OK;
}

static int
file_lock(sqlite3_file *file, int level)
{
	struct handle *h = HANDLE(file);
	struct inode *inode = h->inode;
	int result = SQLITE_OK;

	pthread_mutex_lock(&mutex);
	if (level > h->lock) {
		unsigned others_shared = inode->shared - (h->lock >= SQLITE_LOCK_SHARED);
		unsigned others_reserved = inode->reserved - (h->lock >= SQLITE_LOCK_RESERVED);
		unsigned others_exclusive = inode->exclusive - (h->lock >= SQLITE_LOCK_EXCLUSIVE);

		if (others_exclusive > 0 || (level >= SQLITE_LOCK_RESERVED && others_reserved > 0) ||
		    (level >= SQLITE_LOCK_EXCLUSIVE && others_shared > 0)) {
			result = SQLITE_BUSY;
		} else {
			inode->shared += h->lock < SQLITE_LOCK_SHARED;
			inode->reserved += h->lock < SQLITE_LOCK_RESERVED && level >= SQLITE_LOCK_RESERVED;
			inode->exclusive += h->lock < SQLITE_LOCK_EXCLUSIVE && level >= SQLITE_LOCK_EXCLUSIVE;
			h->lock = level;
		}
	}
	pthread_mutex_unlock(&mutex);
	return result;
}

static int
file_is_reserved(sqlite3_file *file, int *reserved)
{
	pthread_mutex_lock(&mutex);
	*reserved = HANDLE(file)->inode->reserved > 0;
	pthread_mutex_unlock(&mutex);
	return SQLITE_OK;
}

static int
file_control(sqlite3_file *file, int what, void *argument)
{
	(void)file;
	(void)what;
	(void)argument;
	return SQLITE_NOTFOUND;
}

static int
file_sector_size(sqlite3_file *file)
{
	(void)file;
	return SECTOR;
}

static int
file_traits(sqlite3_file *file)
{
	(void)file;
	return SQLITE_IOCAP_POWERSAFE_OVERWRITE; /* as SQLite's own says of every disk */
}

static int
shm_map(sqlite3_file *file, int region, int size, int extend, void volatile **out)
{
	struct handle *h = HANDLE(file);
	struct inode *inode = h->inode;
	int result = SQLITE_OK;

	pthread_mutex_lock(&mutex);
	*out = NULL;
	if (!h->shm) {
		h->shm = true;
		if (inode->shm_refs++ == 0) /* whoever comes first makes it anew */
			for (size_t i = 0; i < 32; i++) {
				free(inode->regions[i]);
				inode->regions[i] = NULL;
			}
	}
	XF_ASSERT(region < 32);
	if (inode->regions[region] == NULL && extend) {
		if (call_fails(true) != 0)
			result = SQLITE_IOERR_SHMSIZE;
		else
			inode->regions[region] = xf_alloc((size_t)size);
	}
	*out = inode->regions[region];
	pthread_mutex_unlock(&mutex);
	return result;
}

static int
shm_lock(sqlite3_file *file, int first, int count, int flags)
{
	struct handle *h = HANDLE(file);
	struct inode *inode = h->inode;
	bool exclusive = (flags & SQLITE_SHM_EXCLUSIVE) != 0;
	int result = SQLITE_OK;

	pthread_mutex_lock(&mutex);
	for (int i = first; i < first + count; i++) {
		unsigned bit = 1u << i;

		if ((flags & SQLITE_SHM_UNLOCK) != 0) {
			inode->shm_shared[i] -= (h->shm_shared & bit) != 0;
			inode->shm_exclusive[i] &= (h->shm_exclusive & bit) == 0;
			h->shm_shared &= ~bit;
			h->shm_exclusive &= ~bit;
		} else if ((h->shm_exclusive & bit) == 0 && (inode->shm_exclusive[i] || (exclusive && inode->shm_shared[i] > ((h->shm_shared & bit) != 0)))) {
			result = SQLITE_BUSY;
		}
	}
	for (int i = first; i < first + count && result == SQLITE_OK && (flags & SQLITE_SHM_LOCK) != 0; i++) {
		unsigned bit = 1u << i;

		if (exclusive) {
			inode->shm_exclusive[i] = true;
			h->shm_exclusive |= bit;
		} else if ((h->shm_shared & bit) == 0) {
			inode->shm_shared[i]++;
			h->shm_shared |= bit;
		}
	}
	pthread_mutex_unlock(&mutex);
	return result;
}

static void
shm_barrier(sqlite3_file *file)
{
	(void)file;
	pthread_mutex_lock(&mutex);
	pthread_mutex_unlock(&mutex);
}

static int
shm_unmap(sqlite3_file *file, int delete)
{
	struct handle *h = HANDLE(file);

	(void)delete;
	pthread_mutex_lock(&mutex);
	if (h->shm) {
		h->shm = false;
		h->inode->shm_refs--;
	}
	pthread_mutex_unlock(&mutex);
	return SQLITE_OK;
}

static const sqlite3_io_methods methods = {
	.iVersion = 2,
	.xClose = file_close,
	.xRead = file_read,
	.xWrite = file_write,
	.xTruncate = file_truncate,
	.xSync = file_sync,
	.xFileSize = file_size,
	.xLock = file_lock,
	.xUnlock = file_unlock,
	.xCheckReservedLock = file_is_reserved,
	.xFileControl = file_control,
	.xSectorSize = file_sector_size,
	.xDeviceCharacteristics = file_traits,
	.xShmMap = shm_map,
	.xShmLock = shm_lock,
	.xShmBarrier = shm_barrier,
	.xShmUnmap = shm_unmap,
};

/* ---- The VFS --------------------------------------------------------------------------- */

static int
vfs_open(sqlite3_vfs *vfs, const char *path, sqlite3_file *file, int flags, int *out_flags)
{
	struct handle *h = HANDLE(file);
	struct name *name;
	int result = SQLITE_OK;

	(void)vfs;
	*h = (struct handle){.delete = (flags & SQLITE_OPEN_DELETEONCLOSE) != 0};
	pthread_mutex_lock(&mutex);
	name = path != NULL ? name_find(&now, path) : NULL;
	if (call_fails(name == NULL) != 0 || (name != NULL && name->inode->folder)) {
		result = SQLITE_CANTOPEN;
	} else if (name != NULL) {
		h->inode = inode_hold(name->inode);
	} else if ((flags & SQLITE_OPEN_CREATE) == 0) {
		last_error = ENOENT;
		result = SQLITE_CANTOPEN;
	} else {
		h->inode = inode_hold(xf_alloc(sizeof(*h->inode)));
		h->sync_name = (flags & (SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_SUPER_JOURNAL)) != 0;
		if (path != NULL)
			renaming_add(NULL, path, h->inode);
	}
	if (result == SQLITE_OK) {
		h->path = path != NULL ? xf_strdup(path) : NULL;
		file->pMethods = &methods;
		if (out_flags != NULL)
			*out_flags = flags;
	}
	pthread_mutex_unlock(&mutex);
	return result;
}

static int
vfs_delete(sqlite3_vfs *vfs, const char *path, int sync_folder)
{
	int result = SQLITE_OK;

	(void)vfs;
	pthread_mutex_lock(&mutex);
	if (call_fails(false) != 0) {
		result = SQLITE_IOERR_DELETE;
	} else if (name_find(&now, path) == NULL) {
		result = SQLITE_IOERR_DELETE_NOENT;
	} else {
		renaming_add(path, NULL, NULL);
		if (sync_folder)
			names_sync(NULL, path);
	}
	pthread_mutex_unlock(&mutex);
	return result;
}

static int
vfs_access(sqlite3_vfs *vfs, const char *path, int flags, int *there)
{
	struct name *name;

	(void)vfs;
	pthread_mutex_lock(&mutex);
	name = name_find(&now, path);
	*there = name != NULL && (flags != SQLITE_ACCESS_EXISTS || name->inode->folder || name->inode->now.len > 0);
	pthread_mutex_unlock(&mutex);
	return SQLITE_OK;
}

static int
vfs_full_path(sqlite3_vfs *vfs, const char *path, int size, char *out)
{
	(void)vfs;
	snprintf(out, (size_t)size, "%s", path);
	return SQLITE_OK;
}

static int
vfs_random(sqlite3_vfs *vfs, int size, char *out)
{
	(void)vfs;
	pthread_mutex_lock(&mutex);
	for (int i = 0; i < size; i++)
		out[i] = (char)fake_random();
	pthread_mutex_unlock(&mutex);
	return size;
}

static int
vfs_sleep(sqlite3_vfs *vfs, int microseconds)
{
	sqlite3_vfs *real = sqlite3_vfs_find(NULL);

	(void)vfs;
	return real->xSleep(real, microseconds);
}

static int
vfs_time(sqlite3_vfs *vfs, sqlite3_int64 *time)
{
	sqlite3_vfs *real = sqlite3_vfs_find(NULL);

	(void)vfs;
	return real->xCurrentTimeInt64(real, time);
}

static int
vfs_time_double(sqlite3_vfs *vfs, double *time)
{
	sqlite3_vfs *real = sqlite3_vfs_find(NULL);

	(void)vfs;
	return real->xCurrentTime(real, time);
}

static int
vfs_last_error(sqlite3_vfs *vfs, int size, char *out)
{
	(void)vfs;
	(void)size;
	(void)out;
	return last_error;
}

static sqlite3_vfs the_vfs = {
	.iVersion = 2,
	.szOsFile = sizeof(struct handle),
	.mxPathname = 512,
	.zName = "fake",
	.xOpen = vfs_open,
	.xDelete = vfs_delete,
	.xAccess = vfs_access,
	.xFullPathname = vfs_full_path,
	.xRandomness = vfs_random,
	.xSleep = vfs_sleep,
	.xCurrentTime = vfs_time_double,
	.xCurrentTimeInt64 = vfs_time,
	.xGetLastError = vfs_last_error,
};

static int
folder_make(const char *folder)
{
	struct inode *inode;
	int code;

	pthread_mutex_lock(&mutex);
	code = call_fails(true);
	if (code == 0 && name_find(&now, folder) == NULL) {
		inode = inode_hold(xf_alloc(sizeof(*inode)));
		inode->folder = true;
		renaming_add(NULL, folder, inode);
		inode_drop(inode);
	}
	pthread_mutex_unlock(&mutex);
	return code;
}

static int
folder_move(const char *from, const char *to)
{
	int code;

	pthread_mutex_lock(&mutex);
	code = call_fails(false);
	if (code == 0 && name_find(&now, from) == NULL)
		code = ENOENT;
	if (code == 0 && name_find(&now, to) != NULL)
		code = ENOTEMPTY;
	if (code == 0)
		renaming_add(from, to, NULL);
	pthread_mutex_unlock(&mutex);
	return code;
}

static int
folder_sync(const char *folder)
{
	int code;

	pthread_mutex_lock(&mutex);
	code = call_fails(true);
	if (code == 0 && !lie_folders)
		names_sync(folder, NULL);
	pthread_mutex_unlock(&mutex);
	return code;
}

const struct xf_disk fake_disk = {.vfs = "fake", .make = folder_make, .move = folder_move, .sync = folder_sync, .reserve = 64u << 10};

/* ---- For the test ---------------------------------------------------------------------- */

void
fake_disk_reset(uint64_t seed)
{
	if (sqlite3_vfs_find("fake") == NULL)
		XF_ASSERT(sqlite3_vfs_register(&the_vfs, 0) == SQLITE_OK);
	renamings_clear(0, false);
	names_clear(&now);
	names_clear(&durable);
	random_state = seed * 0x9e3779b97f4a7c15 + 0x1234567;
	for (int i = 0; i < 8; i++)
		fake_random();
	calls = failures = 0;
	fail_first = fail_last = cut_at = NEVER;
	capacity = 0;
	lie_files = lie_folders = false;
}

uint64_t
fake_disk_calls(void)
{
	return calls;
}

void
fake_disk_fail(uint64_t first, uint64_t last, int code)
{
	pthread_mutex_lock(&mutex);
	fail_first = first;
	fail_last = last;
	fail_code = code;
	pthread_mutex_unlock(&mutex);
}

uint64_t
fake_disk_failures(void)
{
	return failures;
}

void
fake_disk_cut_at(uint64_t number)
{
	pthread_mutex_lock(&mutex);
	cut_at = number;
	pthread_mutex_unlock(&mutex);
}

/* What is in memory is what came onto the disk. */
static void
names_reload(void)
{
	names_clear(&now);
	for (size_t i = 0; i < durable.count; i++) {
		struct inode *inode = durable.at[i].inode;

		changes_clear(inode);
		bytes_copy(&inode->now, &inode->durable);
		XF_ASSERT(inode->shared == 0 && inode->shm_refs == 0);
		name_put(&now, durable.at[i].path, inode);
	}
}

void
fake_disk_restart(void)
{
	renamings_clear((size_t)fake_below(renaming_count + 1), true);
	for (size_t i = 0; i < durable.count; i++)
		inode_tear(durable.at[i].inode);
	names_reload();
	fail_first = fail_last = cut_at = NEVER;
}

void
fake_disk_capacity(uint64_t bytes)
{
	pthread_mutex_lock(&mutex);
	capacity = bytes;
	pthread_mutex_unlock(&mutex);
}

uint64_t
fake_disk_used(void)
{
	uint64_t sum;

	pthread_mutex_lock(&mutex);
	sum = used();
	pthread_mutex_unlock(&mutex);
	return sum;
}

void
fake_disk_flip(const char *path, uint64_t bit)
{
	struct name *name = name_find(&now, path);

	XF_ASSERT(name != NULL && bit / 8 < name->inode->now.len);
	name->inode->now.data[bit / 8] ^= (unsigned char)(1u << bit % 8);
	bytes_copy(&name->inode->durable, &name->inode->now);
}

uint64_t
fake_disk_size(const char *path)
{
	struct name *name = name_find(&now, path);

	return name != NULL ? name->inode->now.len : 0;
}

void
fake_disk_zero(const char *path, uint64_t at, uint64_t len)
{
	struct inode *inode = name_find(&now, path)->inode;

	XF_ASSERT(at <= inode->now.len);
	memset(inode->now.data + at, 0, len < inode->now.len - at ? len : inode->now.len - at);
	bytes_copy(&inode->durable, &inode->now);
}

void
fake_disk_cut(const char *path, uint64_t len)
{
	struct inode *inode = name_find(&now, path)->inode;

	bytes_resize(&inode->now, len);
	bytes_copy(&inode->durable, &inode->now);
}

void
fake_disk_remove(const char *path)
{
	name_delete(&now, path);
	name_delete(&durable, path);
}

uint64_t
fake_disk_sum(const char *path)
{
	struct name *name = name_find(&now, path);

	return name != NULL ? XXH3_64bits(name->inode->now.data, name->inode->now.len) : 0;
}

const char *
fake_disk_find(const char *prefix, const char *suffix)
{
	for (size_t i = 0; i < now.count; i++) {
		const char *path = now.at[i].path;

		if (strncmp(path, prefix, strlen(prefix)) == 0 && strlen(path) >= strlen(suffix) &&
		    strcmp(path + strlen(path) - strlen(suffix), suffix) == 0)
			return path;
	}
	return NULL;
}

static void
names_copy(struct names *to, const struct names *from)
{
	names_clear(to);
	for (size_t i = 0; i < from->count; i++) {
		struct inode *inode = inode_hold(xf_alloc(sizeof(*inode)));

		inode->folder = from->at[i].inode->folder;
		bytes_copy(&inode->now, &from->at[i].inode->now);
		bytes_copy(&inode->durable, &inode->now);
		name_put(to, from->at[i].path, inode);
		inode_drop(inode);
	}
}

void
fake_disk_save(void)
{
	names_copy(&saved, &now);
}

void
fake_disk_load(void)
{
	renamings_clear(0, false);
	names_clear(&durable);
	names_copy(&now, &saved);
	for (size_t i = 0; i < now.count; i++)
		name_put(&durable, now.at[i].path, now.at[i].inode);
}

void
fake_disk_lie(bool files, bool folders)
{
	lie_files = files;
	lie_folders = folders;
}
