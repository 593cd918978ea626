/*
 * url.h - where a transport's servers are, as its urls say.
 *
 *   redis://[user:password@]host[:port][/db]                     rediss:// with TLS
 *   unix://[user:password@]/path/of/the/socket[?db=N]
 *   redis+sentinel://[user:password@]host[:port][,host...]/MASTER[/db]    rediss+sentinel:// with TLS
 *
 * User info is percent-encoded. Threads: pure.
 */
#ifndef REDIS_URL_H
#define REDIS_URL_H

#include <stdbool.h>

#include <crossfade/plugin.h>

#define SERVERS_MAX 16

struct server {
	char host[256]; /* or the path of a socket */
	char port[8];   /* empty: it is a path */
};

/* What one url says, or all of a transport together. */
struct place {
	struct server servers[SERVERS_MAX];
	uint32_t server_count;
	char master[128]; /* the servers are sentinels, and this is the name that they know it by; empty: they are not */
	bool tls;
	uint32_t db;
	char user[256]; /* empty: none */
	char password[512];
};

/* Adds what URL says to PLACE, all zero at first. Several must agree in everything but their servers. 0, or -1 with
 * a reason that holds no secret. */
int url_read(struct xf_str url, struct place *place, struct xf_error *error);

#endif
