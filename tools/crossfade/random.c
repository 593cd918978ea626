#include "random.h"

#include <stdint.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/memory.h"

char *
random_name(const char *head)
{
	uint64_t bits;

	if (getrandom(&bits, sizeof bits, 0) != (ssize_t)sizeof bits)
		bits = xf_now_ns() ^ (uint64_t)getpid() << 40;
	return xf_format("%s%016llx", head, (unsigned long long)bits);
}
