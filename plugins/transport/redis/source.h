/*
 * source.h - the two kinds of source behind one class: a channel subscription, or a stream's consumer group.
 *
 * source.c owns the options and what can be said without an instance; subscribe.c and consume.c are the kinds.
 */
#ifndef REDIS_SOURCE_H
#define REDIS_SOURCE_H

#include "settings.h"

/* Rows of source_options. */
enum {
	SOURCE_MODE,
	SOURCE_SEPARATOR,
	SOURCE_GROUP,
	SOURCE_CONSUMER,
	SOURCE_DELIVER,
	SOURCE_CLAIM_IDLE,
	SOURCE_FIELDS,
};

enum {
	DELIVER_ALL,
	DELIVER_NEW,
};

/* As in struct xf_source_ops, once everything was checked. create: NULL where memory is short. */
struct source_kind {
	void *(*create)(const struct xf_host *host, struct xf_endpoint *endpoint, const struct settings *settings,
	                const struct xf_config *config, const struct xf_endpoint_info *info);
	void (*start)(void *instance);
	void (*work)(void *instance, struct xf_work *work);
	void (*settle)(void *instance, const struct xf_settlement *settlements, uint32_t count);
	void (*stop)(void *instance);
	void (*destroy)(void *instance);
};

extern const struct source_kind subscribe_kind;
extern const struct source_kind consume_kind;

extern const struct xf_option *const source_options[];
extern const struct xf_source_ops source_ops;

#endif
