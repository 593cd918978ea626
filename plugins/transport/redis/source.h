/*
 * source.h - the kinds of source behind one class: a channel subscription, a stream's consumer group, a list.
 *
 * source.c owns the options and what can be said without an instance; subscribe.c, consume.c and take.c are the kinds.
 */
#ifndef REDIS_SOURCE_H
#define REDIS_SOURCE_H

#include "connection.h"
#include "endpoint.h"

/* Rows of source_options behind the shared ones. */
enum {
	SOURCE_GROUP = ROWS_SHARED,
	SOURCE_CONSUMER,
	SOURCE_DELIVER,
	SOURCE_CLAIM_IDLE,
	SOURCE_EPHEMERAL,
};

enum {
	DELIVER_ALL,
	DELIVER_NEW,
};

/* What a kind is made of, once everything was checked. */
struct source_making {
	const struct xf_host *host;
	struct xf_endpoint *endpoint;
	const struct settings *settings;
	const struct xf_config *config;
	const struct xf_endpoint_info *info;
};

/* As in struct xf_source_ops. create: NULL with a reason. */
struct source_kind {
	void *(*create)(const struct source_making *making, struct xf_error *error);
	void (*start)(void *instance);
	void (*work)(void *instance, struct xf_work *work);
	void (*settle)(void *instance, const struct xf_settlement *settlements, uint32_t count);
	void (*stop)(void *instance);
	void (*destroy)(void *instance);
};

/* conn_init() for a kind. */
static inline bool
source_connection(struct conn *conn, const struct source_making *making, size_t in_size, struct xf_error *error)
{
	return conn_init(conn, making->host, making->endpoint, making->settings, making->info, in_size, error) == 0;
}

/* The consumer's name: `consumer`, else the server's. */
struct xf_str source_consumer(const struct source_making *making);

extern const struct source_kind subscribe_kind;
extern const struct source_kind consume_kind;
extern const struct source_kind take_kind;

extern const struct xf_option *const source_options[];
extern const struct xf_source_ops source_ops;

#endif
