/*
 * proxy.h - the network between crossfade and a real broker, which fails when the test says so.
 *
 * It listens on a port of 127.0.0.1 and passes every byte on, at once and unchanged. A fault holds for the connections that
 * are open and for those to come, and beside other faults, until proxy_clean().
 *
 * Threads: the test's main thread only; the proxy's own thread moves the bytes. A call has taken effect when it returns.
 */
#ifndef XF_TESTS_PROXY_H
#define XF_TESTS_PROXY_H

#include <stddef.h>
#include <stdint.h>

struct proxy;

enum proxy_way {
	PROXY_TO_BROKER,
	PROXY_FROM_BROKER,
};

/* In front of the broker at URL, which names 127.0.0.1 and a port. */
struct proxy *proxy_create(const char *url);
void proxy_destroy(struct proxy **proxy);

/* The broker's URL with the proxy's port in it. Borrowed. */
const char *proxy_url(const struct proxy *proxy);
unsigned proxy_port(const struct proxy *proxy);

/* ---- Faults ------------------------------------------------------------------ */

/* No latency, no limit, nothing refused or swallowed. A connection that something was swallowed of is reset, as by a
 * firewall that has forgotten it; one that nothing came over in that time goes on. */
void proxy_clean(struct proxy *proxy);

/* Every byte takes MS longer, each way. */
void proxy_delay(struct proxy *proxy, unsigned ms);

/* So many bytes a second, each way of each connection; 0: no limit. */
void proxy_slow(struct proxy *proxy, unsigned bytes_per_second);

/* Half-open: both ends may say what they like, even goodbye, and the other hears nothing. New connections are accepted,
 * and the broker does not learn of them. */
void proxy_swallow(struct proxy *proxy);

/* Those that are open now are half-open, as by proxy_swallow(). New ones are not, so a client can be there twice. */
void proxy_strand(struct proxy *proxy);

/* Nobody listens. What is open goes on. */
void proxy_refuse(struct proxy *proxy);

/* Every connection is reset, at both ends, once. */
void proxy_cut(struct proxy *proxy);

/* Every connection is reset, and the next one is right behind its first BYTES that way, 1 at least; once. */
void proxy_cut_after(struct proxy *proxy, enum proxy_way way, size_t bytes);

/* ---- What it has seen ---------------------------------------------------------- */

/* Connections that were made since proxy_create(). */
uint64_t proxy_accepted(struct proxy *proxy);

/* Those that proxy_cut_after() has reset. */
uint64_t proxy_cuts(struct proxy *proxy);

/* Bytes that the newest connection has passed on. */
uint64_t proxy_passed(struct proxy *proxy, enum proxy_way way);

#endif
