/*
 * maker.h - from what a source hands in to a delivery: one allocation with the message's bytes, headers, id, key and the
 * subject for each sink.
 *
 * In two steps: a draft says what the message is known by, and in which bucket it is, or why it can go nowhere; making it
 * copies it. In between its lane can be fetched.
 *
 * Threads: the source's. An inlet has one.
 */
#ifndef XF_FLOW_MAKER_H
#define XF_FLOW_MAKER_H

#include "conf/conf.h"
#include "flow/chunk.h"
#include "flow/delivery.h"
#include "flow/destination.h"

struct xf_maker {
	const struct xf_conf_server *limits;
	struct xf_inbox *home;         /* where the legs of what is made come back to */
	struct xf_destination destination; /* its kind; the knobs do not matter here */
	const char *migration;         /* its name; NULL: plain sinks */
	const struct xf_template *key; /* NULL: all in bucket 0, or anywhere where no order is kept */
	uint64_t key_seed;
	bool spreads;   /* without a key: over all buckets, for no order is kept */
	uint32_t turn;  /* and the last of them */
	bool headers;   /* some sink carries them */
	unsigned sink_count;
	struct {
		const char *transport;             /* its name, for errors */
		const struct xf_template *subject; /* NULL: the subject as it is */
		bool unescape;                     /* the broker gets the name that the subject was made from */
		struct xf_buffer scratch;          /* what it made of the message at hand */
		struct xf_buffer name;             /* and that unescaped */
	} to[XF_CONF_SINKS_MAX];
	struct xf_buffer scratch; /* the key of the message at hand */
	struct xf_chunks chunks;
	uint64_t adopted_bytes; /* payloads that stayed where their plugin has them */
	char id_prefix[16];
	uint64_t id_number;
};

/* What a message brought of crossfade's own headers. */
struct xf_own_headers {
	struct xf_str id;
	struct xf_str key;
	unsigned hops;
	uint32_t count;
	uint64_t which; /* a bit per header; there are at most 64 that can have one, the others are looked at again */
};

/* Borrows from the message and from the maker's scratch: valid until the next draft. */
struct xf_draft {
	struct xf_fields fields; /* what it is known by */
	struct xf_own_headers own;
	struct xf_str key;
	struct xf_str to[XF_CONF_SINKS_MAX];
	uint8_t made; /* sinks, as bits, for which to[] is not the message's own subject */
	uint16_t bucket;
	char id[28]; /* where it had none */
};

void xf_maker_init(struct xf_maker *maker, const struct xf_conf_server *limits, const struct xf_conf_route *route,
                   const struct xf_destination *destination, struct xf_inbox *home);
/* The sinks of the destination, in their order. */
void xf_maker_add_sink(struct xf_maker *maker, const struct xf_conf_endpoint *sink);
/* Everything made is released before. */
void xf_maker_fini(struct xf_maker *maker);

/* MESSAGE has passed xf_accept_check(). Fails with the reason in ERROR; the fields are set all the same. */
enum xf_status xf_maker_draft(struct xf_maker *maker, const struct xf_incoming *message, struct xf_draft *draft,
                              struct xf_error *error);

/* What MESSAGE is known by: its own id, or one made in ID. */
struct xf_str xf_maker_id(struct xf_maker *maker, const struct xf_incoming *message, char id[28]);
/* The bucket of MESSAGE; one whose key cannot be told is in the first. */
uint16_t xf_maker_bucket(struct xf_maker *maker, const struct xf_incoming *message);

/* Where delivery->release is set the payload was adopted: it is the source's until then. */
struct xf_delivery *xf_maker_make(struct xf_maker *maker, const struct xf_incoming *message,
                                  const struct xf_draft *draft);
void xf_maker_release(struct xf_maker *maker, struct xf_delivery *delivery);

/* What is pinned in memory; the route's bound counts it. */
uint64_t xf_maker_bytes(const struct xf_maker *maker);

#endif
