/*
 * An allocator that refuses when it is told to. Preloaded; all else is glibc's.
 */
#include "starve.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *memory, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

static struct starve *_Atomic starve; /* NULL: nobody tells us anything yet */

__attribute__((constructor)) static void
starve_begin(void)
{
	const char *path = getenv(STARVE_VARIABLE);
	int fd = path != NULL ? open(path, O_RDWR | O_CLOEXEC) : -1;
	void *shared;

	if (fd < 0)
		return;
	shared = mmap(NULL, sizeof(*starve), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (shared != MAP_FAILED)
		starve = shared;
}

static bool
refused(size_t size)
{
	struct starve *s = starve;

	if (s == NULL || size < atomic_load(&s->least) || atomic_load(&s->refusals) <= 0 || atomic_fetch_sub(&s->before, 1) > 0 ||
	    atomic_fetch_sub(&s->refusals, 1) <= 0)
		return false;
	atomic_fetch_add(&s->refused, 1);
	errno = ENOMEM;
	return true;
}

void *
malloc(size_t size)
{
	return refused(size) ? NULL : __libc_malloc(size);
}

void *
calloc(size_t count, size_t size)
{
	return size > 0 && refused(count * size) ? NULL : __libc_calloc(count, size);
}

void *
realloc(void *memory, size_t size)
{
	return size > 0 && refused(size) ? NULL : __libc_realloc(memory, size);
}

int
posix_memalign(void **memory, size_t alignment, size_t size)
{
	void *got = refused(size) ? NULL : __libc_memalign(alignment, size);

	if (got == NULL)
		return ENOMEM;
	*memory = got;
	return 0;
}

void *
aligned_alloc(size_t alignment, size_t size)
{
	return refused(size) ? NULL : __libc_memalign(alignment, size);
}
