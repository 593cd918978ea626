#include "side.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define INPUT_SIZE (64u * 1024u)
#define OF_FIRST 0u
#define OF_SECOND 1u

bool
side_init(struct side *side, const struct xf_host *host, struct xf_endpoint *endpoint, const struct settings *settings,
          const struct xf_endpoint_info *info, struct xf_error *error)
{
	side->conn.fd = -1;
	side->both = epoll_create1(EPOLL_CLOEXEC);
	if (side->both < 0) {
		settings_fail(error, "epoll: %s", strerror(errno));
		return false;
	}
	return conn_init(&side->conn, host, endpoint, settings, info, INPUT_SIZE, error) == 0;
}

void
side_fini(struct side *side)
{
	conn_fini(&side->conn);
	if (side->both >= 0)
		close(side->both);
	side->both = -1;
}

uint32_t
side_begin(struct side *side, uint32_t ready)
{
	struct epoll_event events[2];
	uint32_t first = 0;
	int count = ready != 0 ? epoll_wait(side->both, events, 2, 0) : 0;

	side->ready = 0;
	for (int i = 0; i < count; i++)
		*(events[i].data.u32 == OF_FIRST ? &first : &side->ready) = events[i].events;
	return first;
}

/* The bits of poll(2) and epoll(7) are the same. A socket that was closed has left by itself. */
static void
watch_for(struct side *side, int fd, uint32_t events, uint32_t of)
{
	struct epoll_event event = {.events = events, .data.u32 = of};

	if (fd >= 0 && epoll_ctl(side->both, EPOLL_CTL_MOD, fd, &event) < 0 && errno == ENOENT)
		epoll_ctl(side->both, EPOLL_CTL_ADD, fd, &event);
}

void
side_wait(struct side *side, struct xf_work *work, uint64_t now)
{
	struct xf_work own = {.fd = -1};

	conn_wait(&side->conn, &own, true, now);
	watch_for(side, work->fd, work->events, OF_FIRST);
	watch_for(side, own.fd, own.events, OF_SECOND);
	if (own.timeout_ms < work->timeout_ms)
		work->timeout_ms = own.timeout_ms;
	work->fd = side->both;
	work->events = POLLIN;
}
