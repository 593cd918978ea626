/*
 * topology.h - what an endpoint wants to stand at the broker: an exchange, a queue, the bindings between them.
 *
 * With `declare` they are created where they are missing; else they are only looked for. What is there in another
 * form is not touched, and what would mend that is said. Both kinds of endpoint send these requests as the first on
 * their channel, all in one go: the broker answers in order, or closes the channel at what it refuses.
 *
 * Threads: the endpoint's own; topology_check() is pure.
 */
#ifndef CROSSFADE_AMQP_TOPOLOGY_H
#define CROSSFADE_AMQP_TOPOLOGY_H

#include "codec.h"
#include "settings.h"

enum topology_side {
	TOPOLOGY_SOURCE,
	TOPOLOGY_SINK,
};

struct topology {
	enum topology_side side;
	char *exchange; /* "" is the default one */
	char *exchange_type;
	char *queue; /* source: to consume, "" where the broker is to name it; sink: behind the exchange, or NULL */
	char **keys; /* what the queue is bound by */
	uint32_t key_count;
	bool declare;
	uint8_t queue_flags; /* CODEC_QUEUE_* of a new one */
	struct codec_buffer arguments;

	/* May not be declared by this user; whether they are there will show. Until the connection ends. */
	bool skip_exchange;
	bool skip_queue;
};

/* Whether the options fit together; else false with a reason. */
bool topology_check(const struct xf_host *host, const struct xf_config *transport, const struct xf_config *endpoint,
                    enum topology_side side, const struct xf_endpoint_info *info, struct xf_error *error);

/* False where there is no memory; then topology_fini() is due all the same. The options passed their check. */
bool topology_init(struct topology *topology, const struct xf_host *host, const struct xf_config *transport,
                   const struct xf_config *endpoint, enum topology_side side, const struct xf_endpoint_info *info);
void topology_fini(struct topology *topology);

/* A new connection, or what was there has gone: everything is tried again. */
void topology_reset(struct topology *topology);

/* Writes the requests for all that was asked for. */
void topology_write(const struct topology *topology, struct codec_buffer *out, uint16_t channel);

/* The one for queue NAME, in the form that was asked for. */
void topology_queue_write(const struct topology *topology, struct codec_buffer *out, uint16_t channel,
                          struct xf_str name);

/* The broker closed the channel at one of them. True: the same again at once, without what is not allowed. False: not
 * before something is mended, which REASON says. USER logged in. */
bool topology_refused(struct topology *topology, const struct codec_close *close, const char *user, char *reason,
                      size_t size);

/* Why queue NAME was refused with 406, and what would mend it. */
void topology_mismatch(struct xf_str name, struct xf_str words, char *reason, size_t size);

#endif
