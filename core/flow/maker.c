/*
 * What crossfade adds to a message's headers stands behind the message's own, Crossfade-Copy last, so that the message and
 * its copy share one array: the copy's is one longer. What came of the kind that crossfade adds stands in front: no sink is
 * shown it, and in a reload the message is made again from what came.
 */
#include "flow/maker.h"

#include <stdlib.h>
#include <sys/random.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/clock.h"
#include "base/subject.h"
#include "flow/accept.h"
#include "flow/escape.h"

#define ADOPT_BYTES 2048 /* a payload this large stays where the plugin has it, if it may */
#define HOPS_MAX 16
#define TURN_STEP 6181 /* visits all buckets, and neighbours far apart, so that the parts of a split take turns */

void
xf_maker_init(struct xf_maker *maker, const struct xf_conf_server *limits, const struct xf_conf_route *route,
              const struct xf_destination *destination, struct xf_inbox *home)
{
	const char *seed = route->migration != NULL ? route->migration->name : route->name;
	uint64_t random = 0;

	*maker = (struct xf_maker){.limits = limits, .home = home, .destination = *destination};
	maker->migration = route->migration != NULL ? route->migration->name : NULL;
	maker->key = route->migration != NULL ? route->migration->key : route->key;
	maker->key_seed = XXH3_64bits(seed, strlen(seed));
	maker->spreads = maker->key == NULL && route->order == XF_ORDER_NONE;
	if (getrandom(&random, sizeof(random), 0) != (ssize_t)sizeof(random))
		random = xf_now_ns();
	for (unsigned i = 0; i < sizeof(maker->id_prefix); i++)
		maker->id_prefix[i] = "0123456789abcdef"[random >> (60 - 4 * i) & 15];
}

void
xf_maker_add_sink(struct xf_maker *maker, const struct xf_conf_endpoint *sink)
{
	unsigned number = maker->sink_count++;

	maker->to[number].transport = sink->transport->name;
	maker->to[number].subject = xf_str_is(xf_template_text(sink->template), "{subject}") ? NULL : sink->template;
	maker->to[number].unescape = sink->subject_escape;
	maker->headers = maker->headers || (sink->traits & XF_TRAIT_HEADERS) || sink->envelope == XF_ENVELOPE_JSON;
}

void
xf_maker_fini(struct xf_maker *maker)
{
	xf_chunks_fini(&maker->chunks);
	for (unsigned sink = 0; sink < maker->sink_count; sink++) {
		xf_buffer_fini(&maker->to[sink].scratch);
		xf_buffer_fini(&maker->to[sink].name);
	}
	xf_buffer_fini(&maker->scratch);
}

uint64_t
xf_maker_bytes(const struct xf_maker *maker)
{
	return maker->chunks.bytes + maker->adopted_bytes;
}

/* ---- Drafting --------------------------------------------------------------------------------- */

static unsigned
hops_parse(struct xf_str text)
{
	unsigned hops = 0;

	for (uint64_t i = 0; i < text.len && hops <= HOPS_MAX; i++)
		if (text.data[i] >= '0' && text.data[i] <= '9')
			hops = hops * 10 + (unsigned)(text.data[i] - '0');
	return hops;
}

static bool
header_is_own(const struct xf_maker *maker, const struct xf_header *header, struct xf_own_headers *own)
{
	static const char prefix[] = "Crossfade-"; /* as crossfade itself writes them, so that no letter need be looked at */
	struct xf_str name = header->name;

	if (name.len < sizeof(prefix) || (name.data[0] | 0x20) != 'c' || name.data[sizeof(prefix) - 2] != '-' ||
	    !xf_str_equal_nocase((struct xf_str){name.data, sizeof(prefix) - 1}, xf_str(prefix)))
		return false;
	name.data += sizeof(prefix) - 1;
	name.len -= sizeof(prefix) - 1;
	if (xf_str_equal_nocase(name, xf_str("Id"))) {
		own->id = header->value;
		return true;
	}
	if (xf_str_equal_nocase(name, xf_str("Key"))) {
		own->key = header->value;
		return true;
	}
	if (xf_str_equal_nocase(name, xf_str("Hops"))) {
		own->hops = hops_parse(header->value);
		return true;
	}
	/* The marks of a copy are for whoever consumes it; a migration sets its own. */
	return maker->migration != NULL &&
	       (xf_str_equal_nocase(name, xf_str("Copy")) || xf_str_equal_nocase(name, xf_str("Migration")));
}

static void
own_find(const struct xf_maker *maker, const struct xf_incoming *message, struct xf_own_headers *own)
{
	*own = (struct xf_own_headers){.hops = 0};
	for (uint32_t i = 0; i < message->header_count; i++) {
		if (!header_is_own(maker, &message->headers[i], own))
			continue;
		own->count++;
		own->which |= i < 64 ? UINT64_C(1) << i : 0;
	}
}

static bool
own_has(const struct xf_maker *maker, const struct xf_own_headers *own, const struct xf_incoming *message, uint32_t i)
{
	struct xf_own_headers ignored;

	return i < 64 ? own->which >> i & 1 : header_is_own(maker, &message->headers[i], &ignored);
}

static struct xf_str
id_make(struct xf_maker *maker, char *out)
{
	static const char digits[] = "0123456789abcdef";
	uint64_t number = ++maker->id_number;

	memcpy(out, maker->id_prefix, 16);
	for (unsigned i = 0; i < 12; i++)
		out[16 + i] = digits[number >> (44 - 4 * i) & 15];
	return (struct xf_str){out, 28};
}

/* The key and the bucket. */
static enum xf_status
draft_place(struct xf_maker *maker, struct xf_draft *draft, struct xf_error *error)
{
	const char *wrong;

	draft->bucket = 0;
	draft->key = draft->fields.key;
	if (maker->spreads) {
		maker->turn = (maker->turn + TURN_STEP) % XF_BUCKETS;
		draft->bucket = (uint16_t)maker->turn;
	}
	if (maker->key == NULL)
		return XF_OK;
	if (xf_template_eval(maker->key, &draft->fields, &maker->scratch, &draft->key, error) != XF_OK) {
		xf_error_prefix(error, "key");
		return XF_FAILED;
	}
	/* It may come from a payload, which nobody has looked at. */
	wrong = xf_accept_check_key(draft->key, maker->limits);
	if (wrong != NULL)
		return xf_error_set(error, "%s", wrong);
	draft->bucket = (uint16_t)(XXH3_64bits_withSeed(draft->key.data, draft->key.len, maker->key_seed) % XF_BUCKETS);
	return XF_OK;
}

/* VALUE as its broker is to see it. */
static struct xf_str
draft_unescape(struct xf_maker *maker, unsigned sink, struct xf_str value)
{
	struct xf_buffer *out = &maker->to[sink].name;

	out->len = 0;
	xf_unescape(value, out);
	return (struct xf_str){out->data, out->len};
}

/* The subject for each sink that may get the message. */
static enum xf_status
draft_address(struct xf_maker *maker, struct xf_draft *draft, struct xf_error *error)
{
	unsigned first = 0, end = maker->sink_count;

	draft->made = 0;
	if (maker->destination.to == XF_TO_SPLIT) {
		first = xf_destination_authority(&maker->destination, draft->bucket);
		end = first + 1;
	}
	for (unsigned sink = first; sink < end; sink++) {
		struct xf_str value;
		const char *wrong;

		if (maker->to[sink].subject == NULL && !maker->to[sink].unescape)
			continue;
		value = draft->fields.subject;
		if (maker->to[sink].subject != NULL &&
		    xf_template_eval(maker->to[sink].subject, &draft->fields, &maker->to[sink].scratch, &value, error) != XF_OK)
			return XF_FAILED;
		wrong = value.len > maker->limits->max_subject ? "is too long" : xf_subject_check(value);
		if (wrong != NULL)
			return xf_error_set(error, "the subject for '%s' %s", maker->to[sink].transport, wrong);
		if (maker->to[sink].unescape)
			value = draft_unescape(maker, sink, value);
		draft->to[sink] = value;
		draft->made |= (uint8_t)(1u << sink);
	}
	return XF_OK;
}

/* What it is known by; its id may be none. */
static void
draft_fields(const struct xf_maker *maker, const struct xf_incoming *message, struct xf_draft *draft)
{
	draft->fields = (struct xf_fields){
		.subject = message->subject,
		.id = message->id,
		.key = message->key,
		.payload = {message->payload, message->payload_size},
		.headers = message->headers,
		.header_count = message->header_count,
	};
	own_find(maker, message, &draft->own);
	if (draft->own.id.len > 0)
		draft->fields.id = draft->own.id;
	if (draft->own.key.len > 0)
		draft->fields.key = draft->own.key;
}

struct xf_str
xf_maker_id(struct xf_maker *maker, const struct xf_incoming *message, char id[28])
{
	struct xf_own_headers own;

	own_find(maker, message, &own);
	if (own.id.len > 0)
		return own.id;
	return message->id.len > 0 ? message->id : id_make(maker, id);
}

uint16_t
xf_maker_bucket(struct xf_maker *maker, const struct xf_incoming *message)
{
	struct xf_draft draft = {.bucket = 0};
	struct xf_error error;

	draft_fields(maker, message, &draft);
	return draft_place(maker, &draft, &error) == XF_OK ? draft.bucket : 0;
}

enum xf_status
xf_maker_draft(struct xf_maker *maker, const struct xf_incoming *message, struct xf_draft *draft, struct xf_error *error)
{
	draft_fields(maker, message, draft);
	if (draft->own.hops >= HOPS_MAX)
		return xf_error_set(error, "it has passed %d crossfade servers: this is a loop", HOPS_MAX);
	if (draft->fields.id.len == 0)
		draft->fields.id = id_make(maker, draft->id);
	if (draft_place(maker, draft, error) != XF_OK)
		return XF_FAILED;
	return draft_address(maker, draft, error);
}

/* ---- Making ------------------------------------------------------------------------------------- */

/* Most texts are short, and calling memcpy costs more than two words that may overlap. */
static inline void
bytes_copy(char *to, const char *from, uint64_t len)
{
	uint64_t head, tail;

	if (len < 8 || len > 16) {
		memcpy(to, from, len);
		return;
	}
	memcpy(&head, from, sizeof(head));
	memcpy(&tail, from + len - sizeof(tail), sizeof(tail));
	memcpy(to, &head, sizeof(head));
	memcpy(to + len - sizeof(tail), &tail, sizeof(tail));
}

static struct xf_str
bytes_put(char **at, struct xf_str bytes)
{
	struct xf_str copy = {*at, bytes.len};

	if (bytes.len == 0)
		return (struct xf_str){NULL, 0};
	bytes_copy(*at, bytes.data, bytes.len);
	*at += bytes.len;
	return copy;
}

static void
headers_put(struct xf_maker *maker, struct xf_delivery *delivery, const struct xf_incoming *message,
            const struct xf_own_headers *own, struct xf_header *headers, char **at)
{
	static const char *const hops[HOPS_MAX + 1] = {"0", "1", "2", "3", "4", "5", "6", "7", "8",
	                                              "9", "10", "11", "12", "13", "14", "15", "16"};
	struct xf_header *given = headers;
	uint32_t n = 0;

	headers += own->count;
	delivery->headers_given = given;
	delivery->headers_given_count = message->header_count;
	for (uint32_t i = 0; i < message->header_count; i++) {
		const struct xf_header *header = &message->headers[i];
		struct xf_header *copy = own_has(maker, own, message, i) ? given++ : &headers[n++];

		copy->name = bytes_put(at, header->name);
		copy->value = bytes_put(at, header->value);
	}
	delivery->headers = headers;
	delivery->header_count = n;
	if (!maker->headers)
		return;
	headers[n++] = (struct xf_header){{"Crossfade-Id", 12}, delivery->id};
	headers[n++] = (struct xf_header){{"Crossfade-Hops", 14}, xf_str(hops[own->hops + 1])};
	if (delivery->key.len > 0)
		headers[n++] = (struct xf_header){{"Crossfade-Key", 13}, delivery->key};
	if (maker->migration != NULL) {
		struct xf_str name = xf_str(maker->migration);

		headers[n++] = (struct xf_header){{"Crossfade-Migration", 19}, name};
		headers[n] = (struct xf_header){{"Crossfade-Copy", 14}, name};
	}
	delivery->header_count = n;
}

/*
 * The lanes' part as a whole, in two pieces: for a larger one the compiler takes a string instruction, which is slow to
 * start. Further legs are cleared when they are made; xf_maker_make() sets all of the maker's part but this.
 */
static void
delivery_clear(struct xf_delivery *delivery)
{
	memset(delivery, 0, offsetof(struct xf_delivery, leg));
	delivery->leg = (struct xf_leg){.sink = 0};
	delivery->release = NULL;
	delivery->release_context = NULL;
}

struct xf_delivery *
xf_maker_make(struct xf_maker *maker, const struct xf_incoming *message, const struct xf_draft *draft)
{
	bool adopt = message->release != NULL && message->payload_size >= ADOPT_BYTES;
	size_t legs_size = (xf_destination_legs_max(&maker->destination) - 1) * sizeof(struct xf_leg);
	size_t header_slots = message->header_count + (maker->headers ? XF_OWN_HEADERS : 0);
	bool key_as_given = xf_str_equal(draft->key, message->key);
	size_t header_bytes = 0, size;
	struct xf_delivery *delivery;
	struct xf_header *headers;
	struct xf_chunk *chunk;
	struct xf_str *to;
	char *at;

	for (uint32_t i = 0; i < message->header_count; i++)
		header_bytes += message->headers[i].name.len + message->headers[i].value.len;
	size = legs_size + sizeof(*delivery) + maker->sink_count * sizeof(*to) + header_slots * sizeof(*headers) + header_bytes +
	       message->subject.len + draft->fields.id.len + sizeof("/copy") + draft->key.len + (key_as_given ? 0 : message->key.len) +
	       message->reply.len + message->content_type.len + (adopt ? 0 : message->payload_size);
	for (unsigned sink = 0; sink < maker->sink_count; sink++)
		size += draft->made >> sink & 1 ? draft->to[sink].len : 0;

	delivery = (struct xf_delivery *)((char *)xf_chunks_alloc(&maker->chunks, size, &chunk) + legs_size);
	delivery_clear(delivery);
	delivery->home = maker->home;
	delivery->chunk = chunk;
	delivery->handle = message->handle;
	delivery->to = to = (struct xf_str *)(delivery + 1);
	headers = (struct xf_header *)(to + maker->sink_count);
	at = (char *)(headers + header_slots);
	delivery->subject = bytes_put(&at, message->subject);
	for (unsigned sink = 0; sink < maker->sink_count; sink++)
		to[sink] = draft->made >> sink & 1 ? bytes_put(&at, draft->to[sink]) : delivery->subject;
	delivery->id = bytes_put(&at, draft->fields.id);
	bytes_put(&at, xf_str("/copy"));
	delivery->key = bytes_put(&at, draft->key);
	delivery->key_given = key_as_given ? delivery->key : bytes_put(&at, message->key);
	delivery->reply = bytes_put(&at, message->reply);
	delivery->content_type = bytes_put(&at, message->content_type);
	headers_put(maker, delivery, message, &draft->own, headers, &at);
	delivery->payload_size = message->payload_size;
	if (adopt) {
		delivery->payload = message->payload;
		delivery->release = message->release;
		delivery->release_context = message->release_context;
		maker->adopted_bytes += message->payload_size;
	} else
		delivery->payload = bytes_put(&at, (struct xf_str){message->payload, message->payload_size}).data;
	delivery->time_ms = message->time_ms;
	delivery->ttl_ms = message->ttl_ms;
	delivery->priority = message->priority;
	delivery->id_made = draft->fields.id.data == draft->id;
	delivery->bucket = draft->bucket;
	return delivery;
}

void
xf_maker_release(struct xf_maker *maker, struct xf_delivery *delivery)
{
	if (delivery->release != NULL) {
		maker->adopted_bytes -= delivery->payload_size;
		delivery->release(delivery->release_context);
	}
	xf_chunks_free(&maker->chunks, delivery->chunk);
}
