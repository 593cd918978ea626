/*
 * libcurl tells which sockets it waits for, and they stand in an epoll descriptor, which the loop polls.
 */
#include "multi.h"

#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>
#include <unistd.h>

#define EVENTS 64

static int
on_socket(CURL *easy, curl_socket_t fd, int what, void *context, void *socket_context)
{
	struct multi *multi = context;
	struct epoll_event event = {.data.fd = fd};

	(void)easy, (void)socket_context;
	if (what == CURL_POLL_REMOVE) {
		epoll_ctl(multi->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
		return 0;
	}
	event.events = (what != CURL_POLL_OUT ? EPOLLIN : 0u) | (what != CURL_POLL_IN ? EPOLLOUT : 0u);
	if (epoll_ctl(multi->epoll_fd, EPOLL_CTL_MOD, fd, &event) < 0 && errno == ENOENT)
		epoll_ctl(multi->epoll_fd, EPOLL_CTL_ADD, fd, &event);
	return 0;
}

static int
on_timer(CURLM *curl, long timeout_ms, void *context)
{
	struct multi *multi = context;

	(void)curl;
	multi->timer_set = timeout_ms >= 0;
	if (multi->timer_set)
		multi->timer_ms = multi->host->now_ms() + (uint64_t)timeout_ms;
	return 0;
}

bool
multi_open(struct multi *multi, const struct xf_host *host, uint32_t connections)
{
	*multi = (struct multi){.host = host, .epoll_fd = epoll_create1(EPOLL_CLOEXEC)};
	multi->curl = multi->epoll_fd >= 0 ? curl_multi_init() : NULL;
	if (multi->curl == NULL) {
		if (multi->epoll_fd >= 0)
			close(multi->epoll_fd);
		multi->epoll_fd = -1;
		return false;
	}
	curl_multi_setopt(multi->curl, CURLMOPT_SOCKETFUNCTION, on_socket);
	curl_multi_setopt(multi->curl, CURLMOPT_SOCKETDATA, multi);
	curl_multi_setopt(multi->curl, CURLMOPT_TIMERFUNCTION, on_timer);
	curl_multi_setopt(multi->curl, CURLMOPT_TIMERDATA, multi);
	curl_multi_setopt(multi->curl, CURLMOPT_MAXCONNECTS, (long)connections);
	return true;
}

void
multi_close(struct multi *multi)
{
	if (multi->curl == NULL)
		return;
	curl_multi_cleanup(multi->curl);
	multi->curl = NULL;
	close(multi->epoll_fd);
	multi->epoll_fd = -1;
}

bool
multi_is_due(const struct multi *multi)
{
	return multi->timer_set && multi->host->now_ms() >= multi->timer_ms;
}

void
multi_act(struct multi *multi)
{
	struct epoll_event events[EVENTS];
	int running, n = epoll_wait(multi->epoll_fd, events, EVENTS, 0);

	for (int i = 0; i < n; i++) {
		int what = ((events[i].events & EPOLLIN) != 0 ? CURL_CSELECT_IN : 0) |
		           ((events[i].events & EPOLLOUT) != 0 ? CURL_CSELECT_OUT : 0) |
		           ((events[i].events & (EPOLLERR | EPOLLHUP)) != 0 ? CURL_CSELECT_ERR : 0);

		curl_multi_socket_action(multi->curl, events[i].data.fd, what, &running);
	}
	if (multi_is_due(multi)) {
		multi->timer_set = false;
		curl_multi_socket_action(multi->curl, CURL_SOCKET_TIMEOUT, 0, &running);
	}
}

void
multi_wait(const struct multi *multi, struct xf_work *work)
{
	uint64_t now = multi->host->now_ms();

	if (multi->timer_set && multi->timer_ms < now + work->timeout_ms)
		work->timeout_ms = multi->timer_ms > now ? (uint32_t)(multi->timer_ms - now) : 0;
	work->fd = multi->epoll_fd;
	work->events = POLLIN;
}
