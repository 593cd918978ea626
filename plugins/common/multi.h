/*
 * multi.h - libcurl's transfers in a loop that has one descriptor to poll (struct xf_work).
 *
 * Threads: the loop's.
 */
#ifndef PLUGINS_MULTI_H
#define PLUGINS_MULTI_H

#include <stdbool.h>

#include <curl/curl.h>

#include <crossfade/transport.h>

struct multi {
	const struct xf_host *host;
	CURLM *curl; /* NULL: closed */
	int epoll_fd;
	bool timer_set;
	uint64_t timer_ms;
};

/* CONNECTIONS at most are kept for later transfers. False: out of memory or descriptors. */
bool multi_open(struct multi *multi, const struct xf_host *host, uint32_t connections);

/* Transfers were removed before. */
void multi_close(struct multi *multi);

/* Lets libcurl do what can be done now; then messages may be read. */
void multi_act(struct multi *multi);

/* Whether there is more to do at once. */
bool multi_is_due(const struct multi *multi);

/* Says what to wait for, no longer than WORK says. */
void multi_wait(const struct multi *multi, struct xf_work *work);

#endif
