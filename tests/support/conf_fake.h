/*
 * conf_fake.h - a catalogue of transport classes that exist only as tables, for tests of the configuration.
 *
 * `alpha` has every type of option, sources and sinks, and addresses; `plain` has no address and no options;
 * `listener` has only sources, `speaker` only sinks; from a `queue` messages are taken; `ancient` was built with an older, shorter header.
 * The handler `worker` refuses the text "wrong"; `quick` answers at once; `keeper` has no cancel().
 */
#ifndef CONF_FAKE_H
#define CONF_FAKE_H

#include "conf/conf.h"

/* Rows of alpha's transport options, in order. */
enum {
	ALPHA_URL,
	ALPHA_USER,
	ALPHA_PASSWORD,
	ALPHA_TOKEN,
	ALPHA_RETRIES,
	ALPHA_RATIO,
	ALPHA_TLS,
	ALPHA_TIMEOUT,
	ALPHA_BUFFER,
	ALPHA_SHARE,
	ALPHA_CA,
	ALPHA_FLAVOUR,
	ALPHA_PREFIX,
	ALPHA_STREAMS,
	ALPHA_PEERS,
	ALPHA_OLD_NAME,
	ALPHA_WEIGHTS,
};

/* Of its streams' fields. */
enum { STREAM_NAME, STREAM_SUBJECTS, STREAM_STORAGE, STREAM_MAX_AGE };

/* Of its sources and its sinks. */
enum {
	ALPHA_SOURCE_MODE,
	ALPHA_SOURCE_GROUP,
	ALPHA_SOURCE_PREFETCH,
	ALPHA_SOURCE_BEGIN,
	ALPHA_SOURCE_BEGIN_SINCE,
	ALPHA_SOURCE_BEGIN_AT,
};
enum { ALPHA_SINK_MODE, ALPHA_SINK_MAXLEN };

/* Of a queue's sources: it refuses the first. */
enum { QUEUE_SOURCE_GROUP, QUEUE_SOURCE_DURABLE };

struct xf_conf_catalogue conf_fake_catalogue(void);

/* What search() was given last. */
size_t conf_fake_search_count(void);

/* Writes CONTENT to NAME in a folder of this process (made at first use) and returns its path. Static. */
const char *conf_fake_file(const char *name, const char *content);

/* Removes that folder. */
void conf_fake_clean(void);

#endif
