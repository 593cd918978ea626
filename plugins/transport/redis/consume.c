/*
 * A stream as a source, through a consumer group: XREADGROUP, XACK, XAUTOCLAIM.
 *
 * Redis keeps for each consumer what it was given and has not acknowledged. So nothing is lost here: after a restart
 * or a broken connection the consumer's own pending entries are read again first ("history"), then new
 * ones. An entry may be acknowledged on any connection; those still under way when the line broke stay valid, and
 * the history skips them. Entries that another consumer left behind are taken over after claim_idle.
 *
 * One connection. Redis does not look at further commands while an XREADGROUP waits for entries, so it is told to
 * wait only when nothing is left that could have to be acknowledged meanwhile; else it is asked again every
 * POLL_MS, and whenever something was settled.
 *
 * An ephemeral source has no group: it reads with XREAD from a place that it keeps itself, and what is settled is
 * forgotten here alone. So there is nothing that could stay behind, however it ends.
 *
 * How long an entry is idle only its own consumer can reset, and only while the server can be reached. So whoever
 * has just connected takes over nothing at first: after an outage the others have to come back, too.
 *
 * Replies come in the order of the commands: a ring of what was asked says how to read each. An array of entries is
 * taken apart entry by entry as credit allows; what exceeds it waits in the input buffer.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "connection.h"
#include "entry.h"
#include "fields.h"
#include "sight.h"
#include "source.h"

#define INPUT_SIZE (256u * 1024u)
#define BATCH 256u
#define READS_PER_WORK 16
#define READ_MAX 1000u /* entries asked for at once */
#define CLAIM_MAX 100u
#define IDS_MAX 512u   /* in one command */
#define BLOCK_MAX_MS 1000u
#define POLL_MS 10u
#define STOP_MS 500u
#define ASKED_MAX 64u /* commands without a reply; a power of two */
#define REPLY_MAX (16 * 1024 * 1024) /* bytes that are asked for at once, about */
#define ENTRY_SIZE_FIRST (64 * 1024) /* until it is known better */

enum asked {
	ASKED_READ,    /* XREADGROUP >, or XREAD */
	ASKED_HISTORY, /* XREADGROUP of what is pending */
	ASKED_CLAIM,   /* XAUTOCLAIM */
	ASKED_AGAIN,   /* XCLAIM, or XRANGE, of one entry that is to be offered again */
	ASKED_GROUP,   /* XGROUP CREATE */
	ASKED_LAST,    /* XREVRANGE of the last entry: behind it is new */
	ASKED_SIGHT,   /* a question of sight.c */
	ASKED_OTHER,   /* XACK, XCLAIM JUSTID, PING: any answer will do */
};

/* Its reply holds entries. Only one such command is under way at a time. */
static inline bool
asks_for_entries(enum asked asked)
{
	return asked <= ASKED_AGAIN;
}

enum slot_state {
	SLOT_FREE,
	SLOT_OUT,   /* emitted, not settled */
	SLOT_AGAIN, /* settled with RETRY: offered again at again_at */
	SLOT_DONE,  /* acknowledged while a reply was under way that may still name it */
};

struct slot {
	struct entry_id id;
	uint64_t again_at;
	uint32_t turn; /* part of the handle, so that an old one is told from a new one */
	uint32_t next; /* free list */
	enum slot_state state;
};

struct consumer {
	const struct xf_host *host;
	struct xf_endpoint *endpoint;
	struct conn conn;
	struct sight sight;

	char *key;
	size_t key_len;
	struct xf_str subject;
	struct xf_str group;
	char *group_text; /* where it is made here */
	struct xf_str name;
	bool from_new;
	bool ephemeral; /* no group; read on behind `seen` */
	bool placed;    /* where that is is known */
	uint64_t claim_idle_ms;
	uint32_t block_ms; /* how long Redis waits for an entry */
	struct xf_str fields[FIELDS];

	struct slot *slots;
	uint32_t slot_count;
	uint32_t free_first;
	uint32_t out;   /* slots in SLOT_OUT */
	uint32_t again; /* slots in SLOT_AGAIN */
	uint32_t done;  /* slots in SLOT_DONE */
	struct entry_id *acks; /* settled, XACK not sent */
	size_t ack_count, ack_size;
	struct entry_id *extends; /* still at work on, and Redis is to be told */
	size_t extend_count, extend_size;

	/* of this connection */
	bool been_up; /* on any */
	bool up;
	uint8_t asked[ASKED_MAX];
	uint32_t asked_first, asked_next;
	bool reading;         /* a READ, HISTORY, CLAIM or AGAIN is not answered in full */
	enum asked reading_of; /* which of them */
	bool unsure;          /* the group may not be there: no memory to make it, if need be */
	bool history;         /* still to be read */
	struct entry_id seen; /* the last of the history; of an ephemeral source, the last read at all */
	char claim_from[ENTRY_ID_MAX];
	bool claiming; /* more to be taken over, from claim_from on */
	bool claim_unknown; /* the server is too old */
	uint64_t claim_at;
	uint64_t read_at; /* not before */
	uint64_t progress_at;
	uint32_t again_slot;

	/* the reply being taken apart */
	int64_t entries; /* to come */
	int64_t trailing; /* whole replies to skip after them */
	enum asked entries_of;
	uint32_t entries_taken;

	uint32_t credit; /* of this work() */
	int64_t credit_bytes;
	uint32_t entry_size; /* how large entries are of late */
	bool settled;        /* something was, since the lag was looked at */
	uint64_t deleted;    /* entries that were gone before they were acknowledged, not said yet */
	uint32_t count;  /* in batch */
	uint32_t header_count;
	uint32_t header_size;
	struct xf_header *headers;
	struct xf_incoming batch[BATCH];
};

/* ---- Slots ------------------------------------------------------------------------- */

#define NO_SLOT UINT32_MAX

static bool
slots_grow(struct consumer *c)
{
	uint32_t count = c->slot_count > 0 ? c->slot_count * 2 : 256;
	struct slot *slots = realloc(c->slots, count * sizeof(*slots));

	if (slots == NULL)
		return false;
	for (uint32_t i = c->slot_count; i < count; i++)
		slots[i] = (struct slot){.next = i + 1 < count ? i + 1 : NO_SLOT};
	c->free_first = c->slot_count;
	c->slots = slots;
	c->slot_count = count;
	return true;
}

static uint32_t
slot_take(struct consumer *c, struct entry_id id)
{
	uint32_t i;

	if (c->free_first == NO_SLOT && !slots_grow(c))
		return NO_SLOT;
	i = c->free_first;
	c->free_first = c->slots[i].next;
	c->slots[i].id = id;
	c->slots[i].state = SLOT_OUT;
	c->slots[i].turn++;
	c->out++;
	return i;
}

static void
slot_free(struct consumer *c, uint32_t i)
{
	c->slots[i].state = SLOT_FREE;
	c->slots[i].next = c->free_first;
	c->free_first = i;
}

static uint64_t
slot_handle(const struct consumer *c, uint32_t i)
{
	return (uint64_t)c->slots[i].turn << 32 | i;
}

/* The reply that may have named them has been read. */
static void
slots_sweep(struct consumer *c)
{
	for (uint32_t i = 0; c->done > 0 && i < c->slot_count; i++) {
		if (c->slots[i].state != SLOT_DONE)
			continue;
		slot_free(c, i);
		c->done--;
	}
}

/* Only for entries that come a second time, so it may look at all of them. */
static bool
id_known(const struct consumer *c, struct entry_id id)
{
	for (uint32_t i = 0; i < c->slot_count; i++)
		if (c->slots[i].state != SLOT_FREE && c->slots[i].id.ms == id.ms && c->slots[i].id.seq == id.seq)
			return true;
	return false;
}

/* ---- Birth and death ------------------------------------------------------------------ */

static void
consumer_destroy(void *instance)
{
	struct consumer *c = instance;

	conn_fini(&c->conn);
	sight_fini(&c->sight);
	free(c->key);
	free(c->group_text);
	free(c->slots);
	free(c->acks);
	free(c->extends);
	free(c->headers);
	free(c);
}

/* Leaves the group empty where memory is short. */
static void
group_make(struct consumer *c, struct xf_str route)
{
	static const char prefix[] = "crossfade-";
	size_t len = sizeof(prefix) - 1;

	c->group_text = malloc(len + route.len);
	if (c->group_text == NULL)
		return;
	resp_put(resp_put(c->group_text, prefix, len), route.data, route.len);
	c->group = (struct xf_str){c->group_text, len + route.len};
}

static void *
consumer_create(const struct source_making *making, struct xf_error *error)
{
	const struct xf_host *host = making->host;
	struct consumer *c = calloc(1, sizeof(*c));

	if (c == NULL) {
		settings_fail(error, "no memory");
		return NULL;
	}
	if (!source_connection(&c->conn, making, INPUT_SIZE, error)) {
		consumer_destroy(c);
		return NULL;
	}
	c->host = host;
	c->endpoint = making->endpoint;
	c->free_first = NO_SLOT;
	c->entry_size = ENTRY_SIZE_FIRST;
	c->subject = making->info->subject;
	c->block_ms = making->settings->heartbeat_ms < BLOCK_MAX_MS ? making->settings->heartbeat_ms : BLOCK_MAX_MS;
	c->group = host->option(making->config, SOURCE_GROUP)->str;
	c->name = source_consumer(making);
	c->from_new = host->option(making->config, SOURCE_DELIVER)->i64 == DELIVER_NEW;
	c->ephemeral = host->option(making->config, SOURCE_EPHEMERAL)->i64 != 0;
	c->claim_idle_ms = c->ephemeral ? 0 : (uint64_t)host->option(making->config, SOURCE_CLAIM_IDLE)->i64;
	for (unsigned i = 0; i < FIELDS; i++)
		c->fields[i] = fields_name(host, host->option(making->config, ROW_FIELDS), i);
	c->header_size = 1024;
	c->headers = malloc(c->header_size * sizeof(*c->headers));
	c->key_len = making->info->subject.len;
	c->key = endpoint_key(making->info->subject, endpoint_separator(host, making->config));
	if (c->group.len == 0)
		group_make(c, making->info->route);
	sight_init(&c->sight, MODE_STREAM, true, c->group);
	if (c->key == NULL || c->headers == NULL || c->group.len == 0 ||
	    !sight_key_set(&c->sight, c->key, c->key_len)) {
		settings_fail(error, "no memory");
		consumer_destroy(c);
		return NULL;
	}
	return c;
}

static void
consumer_start(void *instance)
{
	struct consumer *c = instance;

	c->conn.retry_at = 0;
	if (c->claim_idle_ms > 0)
		c->host->settle_within(c->endpoint, (uint32_t)c->claim_idle_ms);
}

/* ---- Commands ---------------------------------------------------------------------------- */

static bool
asked_full(const struct consumer *c)
{
	return c->asked_next - c->asked_first >= ASKED_MAX;
}

static bool
command_send(struct consumer *c, enum asked asked, int count, const struct xf_str *words, uint64_t now)
{
	const char *texts[16];
	size_t lens[16];

	for (int i = 0; i < count; i++) {
		texts[i] = words[i].data;
		lens[i] = words[i].len;
	}
	if (c->asked_next == c->asked_first)
		c->progress_at = now;
	if (!conn_command(&c->conn, count, texts, lens, now))
		return false;
	c->asked[c->asked_next++ & (ASKED_MAX - 1)] = (uint8_t)asked;
	if (asks_for_entries(asked))
		c->reading_of = asked;
	return true;
}

static struct xf_str
word(const char *text)
{
	return (struct xf_str){text, strlen(text)};
}

static struct xf_str
number_word(char *out, uint64_t number)
{
	return (struct xf_str){out, (uint64_t)snprintf(out, ENTRY_ID_MAX, "%llu", (unsigned long long)number)};
}

/* It can be read from now on. */
static void
consumer_up(struct consumer *c)
{
	c->been_up = true;
	c->up = true;
	if (!c->unsure)
		conn_tell(&c->conn, XF_STATE_UP, NULL);
}

/* Where an ephemeral source begins, or goes on. */
static void
place_find(struct consumer *c, uint64_t now)
{
	const struct xf_str words[] = {word("XREVRANGE"), {c->key, c->key_len}, word("+"), word("-"), word("COUNT"),
	                               word("1")};

	if (!c->placed && c->from_new) {
		command_send(c, ASKED_LAST, 6, words, now);
		return;
	}
	c->placed = true;
	consumer_up(c);
}

static void
group_send(struct consumer *c, uint64_t now)
{
	const struct xf_str words[] = {word("XGROUP"), word("CREATE"), {c->key, c->key_len}, c->group,
	                               word(c->from_new ? "$" : "0"), word("MKSTREAM")};

	command_send(c, ASKED_GROUP, 6, words, now);
}

/* How many entries to ask for: as many as credit allows, and no reply that fills the server's memory. */
static uint32_t
wanted(const struct consumer *c, uint32_t max)
{
	int64_t bytes = c->credit_bytes < REPLY_MAX ? c->credit_bytes : REPLY_MAX;
	int64_t fit = bytes / (c->entry_size > 0 ? c->entry_size : 1);

	if (c->credit < max)
		max = c->credit;
	if (fit < max)
		max = (uint32_t)fit;
	return max > 0 ? max : 1;
}

static void
read_send(struct consumer *c, uint64_t now)
{
	char count[ENTRY_ID_MAX], block[ENTRY_ID_MAX], from[ENTRY_ID_MAX];
	struct xf_str words[12];
	int n = 0;

	words[n++] = word(c->ephemeral ? "XREAD" : "XREADGROUP");
	if (!c->ephemeral) {
		words[n++] = word("GROUP");
		words[n++] = c->group;
		words[n++] = c->name;
	}
	words[n++] = word("COUNT");
	words[n++] = number_word(count, wanted(c, READ_MAX));
	if (!c->history && (c->out == 0 || c->ephemeral) && c->again == 0 && c->ack_count == 0) {
		words[n++] = word("BLOCK");
		words[n++] = number_word(block, c->block_ms);
	}
	words[n++] = word("STREAMS");
	words[n++] = (struct xf_str){c->key, c->key_len};
	if (c->history || c->ephemeral)
		words[n++] = (struct xf_str){from, entry_id_write(from, c->seen)};
	else
		words[n++] = word(">");
	c->reading = command_send(c, c->history ? ASKED_HISTORY : ASKED_READ, n, words, now);
	c->read_at = now + POLL_MS;
}

static void
claim_send(struct consumer *c, uint64_t now)
{
	char idle[ENTRY_ID_MAX], count[ENTRY_ID_MAX];
	const struct xf_str words[] = {
		word("XAUTOCLAIM"), {c->key, c->key_len}, c->group, c->name, number_word(idle, c->claim_idle_ms),
		word(c->claim_from), word("COUNT"), number_word(count, wanted(c, CLAIM_MAX))};

	c->reading = command_send(c, ASKED_CLAIM, 8, words, now);
}

/* XCLAIM by this consumer itself: the entry's content once more. Without a group the entry is simply looked up. */
static bool
own_claim_send(struct consumer *c, struct entry_id id, uint64_t now)
{
	char text[ENTRY_ID_MAX];
	const struct xf_str name = {text, entry_id_write(text, id)};
	const struct xf_str words[] = {word("XCLAIM"), {c->key, c->key_len}, c->group, c->name, word("0"), name};
	const struct xf_str range[] = {word("XRANGE"), {c->key, c->key_len}, name, name};

	return c->ephemeral ? command_send(c, ASKED_AGAIN, 4, range, now) : command_send(c, ASKED_AGAIN, 6, words, now);
}

/* A command about many entries: HEAD, their ids, and TAIL where there is one. False: not now. */
static bool
ids_send(struct consumer *c, const struct xf_str *head, int heads, const struct entry_id *ids, size_t count,
         struct xf_str tail, uint64_t now)
{
	size_t size = RESP_HEAD_MAX + RESP_BULK_SIZE(tail.len) + count * RESP_BULK_SIZE(ENTRY_ID_MAX);
	char *at;

	for (int i = 0; i < heads; i++)
		size += RESP_BULK_SIZE(head[i].len);
	at = conn_reserve(&c->conn, size);
	if (at == NULL)
		return false;
	at = resp_put_head(at, '*', (uint64_t)heads + count + (tail.len > 0));
	for (int i = 0; i < heads; i++)
		at = resp_put_bulk(at, head[i].data, head[i].len);
	for (size_t i = 0; i < count; i++) {
		char text[ENTRY_ID_MAX];
		size_t len = entry_id_write(text, ids[i]);

		at = resp_put_bulk(at, text, len);
	}
	if (tail.len > 0)
		at = resp_put_bulk(at, tail.data, tail.len);
	conn_commit(&c->conn, at);
	if (c->asked_next == c->asked_first)
		c->progress_at = now;
	c->asked[c->asked_next++ & (ASKED_MAX - 1)] = ASKED_OTHER;
	return true;
}

/* As many of *COUNT ids as there is room for commands; the rest moves to the front. True: some went. */
static bool
ids_drain(struct consumer *c, const struct xf_str *head, int heads, struct entry_id *ids, size_t *count,
          struct xf_str tail, uint64_t now)
{
	size_t sent = 0;

	while (sent < *count && !asked_full(c)) {
		size_t n = *count - sent < IDS_MAX ? *count - sent : IDS_MAX;

		if (!ids_send(c, head, heads, ids + sent, n, tail, now))
			break;
		sent += n;
	}
	if (sent == 0)
		return false;
	*count -= sent;
	memmove(ids, ids + sent, *count * sizeof(*ids));
	return true;
}

static void
acks_send(struct consumer *c, uint64_t now)
{
	const struct xf_str head[] = {word("XACK"), {c->key, c->key_len}, c->group};

	if (!ids_drain(c, head, 3, c->acks, &c->ack_count, (struct xf_str){NULL, 0}, now))
		return;
	c->read_at = now; /* there is room again */
	c->settled = true;
}

/* XCLAIM by this consumer itself: their idle time begins anew. What was settled meanwhile is not pending any more, and
 * passed over. */
static void
extends_send(struct consumer *c, uint64_t now)
{
	const struct xf_str head[] = {word("XCLAIM"), {c->key, c->key_len}, c->group, c->name, word("0")};

	ids_drain(c, head, 5, c->extends, &c->extend_count, word("JUSTID"), now);
}

static void
again_send(struct consumer *c, uint64_t now)
{
	for (uint32_t i = 0; c->again > 0 && i < c->slot_count; i++) {
		if (c->slots[i].state != SLOT_AGAIN || c->slots[i].again_at > now)
			continue;
		c->again_slot = i;
		c->reading = own_claim_send(c, c->slots[i].id, now);
		return;
	}
}

/* ---- Entries --------------------------------------------------------------------------------- */

static void
batch_emit(struct consumer *c)
{
	if (c->count > 0)
		c->host->emit(c->endpoint, c->batch, sizeof(c->batch[0]), c->count);
	c->credit -= c->count < c->credit ? c->count : c->credit;
	c->count = 0;
	c->header_count = 0;
}

/* Room for COUNT headers of the next message; those of the batch stay where they are, or have been emitted. */
static bool
headers_room(struct consumer *c, uint32_t count)
{
	struct xf_header *headers;

	if (c->header_size - c->header_count >= count)
		return true;
	batch_emit(c);
	if (c->header_size >= count)
		return true;
	headers = realloc(c->headers, count * sizeof(*headers));
	if (headers == NULL)
		return false;
	c->headers = headers;
	c->header_size = count;
	return true;
}

/* False: no memory. */
static bool
id_add(struct entry_id **ids, size_t *count, size_t *size, struct entry_id id)
{
	if (*count == *size) {
		size_t more = *size > 0 ? *size * 2 : 256;
		struct entry_id *grown = realloc(*ids, more * sizeof(*grown));

		if (grown == NULL)
			return false;
		*ids = grown;
		*size = more;
	}
	(*ids)[(*count)++] = id;
	return true;
}

static void
ack_add(struct consumer *c, struct entry_id id)
{
	if (c->ephemeral)
		return;
	/* without memory it stays pending at Redis, and comes again */
	id_add(&c->acks, &c->ack_count, &c->ack_size, id);
}

/* The entry's slot, where it is to be emitted; NO_SLOT where not. */
static uint32_t
entry_slot(struct consumer *c, struct entry_id id)
{
	if (c->entries_of == ASKED_AGAIN) {
		struct slot *slot = &c->slots[c->again_slot];

		if (slot->state != SLOT_AGAIN || slot->id.ms != id.ms || slot->id.seq != id.seq)
			return NO_SLOT;
		slot->state = SLOT_OUT;
		slot->turn++;
		c->again--;
		c->out++;
		return c->again_slot;
	}
	if (c->entries_of != ASKED_READ && id_known(c, id))
		return NO_SLOT;
	return slot_take(c, id);
}

/* One entry, whole, of SIZE bytes. False: malformed. */
static bool
entry_take(struct consumer *c, const char *data, size_t size)
{
	struct entry entry;
	struct xf_incoming *m;
	uint32_t slot;

	if (!entry_open(&entry, data, size))
		return false;
	if (entry.deleted && entry.id_text.len == 0) {
		c->deleted++; /* XAUTOCLAIM of 6.2 says no more */
		return true;
	}
	c->entries_taken++;
	if (!c->ephemeral || c->entries_of == ASKED_READ)
		c->seen = entry.id;
	if (entry.deleted) {
		ack_add(c, entry.id); /* and still pending: over */
		c->deleted++;
		return true;
	}
	if (!headers_room(c, entry.fields))
		return true; /* stays pending */
	m = &c->batch[c->count];
	*m = (struct xf_incoming){
		.subject = c->subject,
		.headers = c->headers + c->header_count,
		.flags = c->entries_of == ASKED_READ ? 0 : XF_MESSAGE_REDELIVERED,
	};
	if (!entry_read(&entry, c->fields, c->headers + c->header_count, m))
		return false;
	slot = entry_slot(c, entry.id);
	if (slot == NO_SLOT)
		return true;
	m->handle = slot_handle(c, slot);
	c->credit_bytes -= (int64_t)m->payload_size;
	c->entry_size = (uint32_t)((c->entry_size * 7ull + size) / 8);
	c->header_count += m->header_count;
	if (++c->count == BATCH)
		batch_emit(c);
	return true;
}

/* ---- Replies -------------------------------------------------------------------------------------- */

static void
reply_done(struct consumer *c)
{
	enum asked asked = c->asked[c->asked_first++ & (ASKED_MAX - 1)];

	if (asked == ASKED_HISTORY && c->entries_taken == 0) {
		c->history = false;
	} else if (asked == ASKED_CLAIM) {
		c->claiming = strcmp(c->claim_from, "0-0") != 0;
	} else if (asked == ASKED_AGAIN && c->slots[c->again_slot].state == SLOT_AGAIN) {
		c->again--; /* the entry is gone */
		c->deleted++;
		slot_free(c, c->again_slot);
	}
	if (asked == ASKED_READ) {
		c->sight.drained = c->entries_taken == 0;
		if (c->entries_taken > 0)
			c->read_at = 0; /* where there was one there may be more */
	}
	if (asks_for_entries(asked)) {
		c->reading = false;
		slots_sweep(c);
	}
}

/* An error reply. False: the connection is over. */
static bool
error_take(struct consumer *c, enum asked asked, const char *text, size_t len, uint64_t now)
{
	char said[200];

	reason_from_reply(said, sizeof(said), text, len);
	if (asked == ASKED_OTHER || (asked == ASKED_GROUP && strncmp(said, "BUSYGROUP", 9) == 0))
		return true;
	if (asked == ASKED_GROUP && strncmp(said, "OOM", 3) == 0) {
		c->unsure = true; /* said before it has looked; to read takes no memory */
		return true;
	}
	if (c->unsure && strncmp(said, "NOGROUP", 7) == 0) {
		conn_blocked(&c->conn, now, "the server has no memory for the stream's group; raise maxmemory");
		return false;
	}
	if (asked == ASKED_CLAIM && strncmp(said, "ERR unknown command", 19) == 0) {
		c->claim_unknown = true;
		c->host->log(c->endpoint, XF_LOG_WARN,
		             "the server has no XAUTOCLAIM (Redis 6.2); what other consumers leave is not taken over");
		memcpy(c->claim_from, "0-0", 4);
		return true;
	}
	if (strncmp(said, "NOPERM", 6) == 0 || strncmp(said, "WRONGTYPE", 9) == 0 ||
	    strncmp(said, "ERR unknown command", 19) == 0) {
		conn_blocked(&c->conn, now, "the server refuses the stream: %s", said);
	} else {
		conn_lose(&c->conn, now, "the server says: %s", said);
	}
	return false;
}

/* The tokens before the entries of a reply. 1: read, and consumed; 0: not all there yet; -1: malformed. */
static int
prelude_read(struct consumer *c, enum asked asked, const char *data, size_t size, size_t *need)
{
	struct resp_token token[4];
	size_t at = 0;
	unsigned n = 0, wanted = asked == ASKED_CLAIM ? 3 : asked == ASKED_AGAIN ? 1 : 4;

	c->entries = c->trailing = 0;
	while (n < wanted) {
		ssize_t got = resp_token_read(data + at, size - at, &token[n], need);

		if (got == 0)
			*need += at;
		if (got <= 0)
			return (int)got;
		at += (size_t)got;
		if (n == 0 && token[0].type != '*')
			return -1;
		if (n == 0 && token[0].number <= 0)
			wanted = 1; /* nothing there */
		n++;
	}
	if (asked == ASKED_CLAIM && n == 3) {
		if (token[1].type != '$' || token[1].len >= sizeof(c->claim_from) || token[2].type != '*' ||
		    token[0].number < 2)
			return -1;
		memcpy(c->claim_from, token[1].data, token[1].len);
		c->claim_from[token[1].len] = '\0';
		c->entries = token[2].number;
		c->trailing = token[0].number - 2;
	} else if (asked == ASKED_AGAIN) {
		c->entries = token[0].number;
	} else if (n == 4) {
		if (token[0].number != 1 || token[1].type != '*' || token[1].number != 2 || token[3].type != '*')
			return -1;
		c->entries = token[3].number;
	}
	if (c->entries < 0)
		c->entries = 0;
	if (c->unsure)
		conn_tell(&c->conn, XF_STATE_UP, NULL);
	c->unsure = false;
	conn_consume(&c->conn, at);
	return 1;
}

/* [[id, [...]]], or nothing where nothing was ever added. */
static void
last_take(struct consumer *c, const char *data, size_t size)
{
	struct resp_token head;
	struct entry entry;
	size_t need;
	ssize_t n = resp_token_read(data, size, &head, &need);

	c->placed = true;
	if (n > 0 && head.type == '*' && head.number == 1 && entry_open(&entry, data + n, size - (size_t)n))
		c->seen = entry.id;
}

/* Begins with the next reply. As prelude_read(), or -2 where the connection is over already. */
static int
reply_begin(struct consumer *c, uint64_t now, size_t *need)
{
	struct conn *conn = &c->conn;
	const char *data = conn->in.data + conn->in.pos;
	size_t size = conn->in.len - conn->in.pos;
	enum asked asked;
	struct resp_token token;
	ssize_t n;

	if (c->asked_first == c->asked_next)
		return -1;
	asked = c->asked[c->asked_first & (ASKED_MAX - 1)];
	c->entries = c->trailing = 0;
	c->entries_of = asked;
	c->entries_taken = 0;
	if (data[0] != '-' && asks_for_entries(asked))
		return prelude_read(c, asked, data, size, need);
	if (data[0] != '-' || asked == ASKED_SIGHT) {
		n = resp_extent(data, size, &conn->scan, need);
	} else {
		n = resp_token_read(data, size, &token, need);
		if (n > 0 && !error_take(c, asked, token.data, token.len, now))
			return -2;
	}
	if (n <= 0)
		return (int)n;
	if (asked == ASKED_SIGHT)
		sight_answer(&c->sight, conn, data, (size_t)n);
	conn_consume(conn, (size_t)n);
	if (asked == ASKED_GROUP) {
		if (data[0] == '+' && c->been_up)
			c->host->log(c->endpoint, XF_LOG_WARN,
			             c->from_new ? "the stream's group was gone; made again, it begins with what comes now"
			                         : "the stream's group was gone; made again, it begins with all that is there");
		c->history = true;
		c->seen = (struct entry_id){0, 0};
		c->claim_at = now + c->claim_idle_ms / 2 + 1;
		consumer_up(c);
	} else if (asked == ASKED_LAST) {
		last_take(c, data, (size_t)n);
		consumer_up(c);
	}
	return 1;
}

/* What follows the entries of an XAUTOCLAIM from 7.0 on: the ids of those that were deleted. */
static void
deleted_count(struct consumer *c, const char *data, size_t size)
{
	struct resp_token token;
	size_t need;

	if (resp_token_read(data, size, &token, &need) > 0 && token.type == '*' && token.number > 0)
		c->deleted += (uint64_t)token.number;
}

static bool
can_take(const struct consumer *c)
{
	return c->credit > c->count && c->credit_bytes > 0;
}

/* Takes replies apart as far as they are there and credit lasts. False: the connection was lost. */
static bool
input_take(struct consumer *c, uint64_t now)
{
	struct conn *conn = &c->conn;
	bool open = c->entries > 0 || c->trailing > 0;

	while (open || conn->in.pos < conn->in.len) {
		size_t need = 0;
		ssize_t n;

		c->progress_at = now;
		if (!open) {
			n = reply_begin(c, now, &need);
			if (n == -2) {
				batch_emit(c);
				return false;
			}
		} else {
			if (c->entries > 0 && !can_take(c))
				break; /* the rest waits in the buffer */
			n = resp_extent(conn->in.data + conn->in.pos, conn->in.len - conn->in.pos, &conn->scan, &need);
			if (n > 0 && c->entries > 0 && !entry_take(c, conn->in.data + conn->in.pos, (size_t)n))
				n = -1;
			if (n > 0) {
				if (c->entries > 0) {
					c->entries--;
				} else {
					deleted_count(c, conn->in.data + conn->in.pos, (size_t)n);
					c->trailing--;
				}
				conn_consume(conn, (size_t)n);
			}
		}
		if (n == 0) {
			batch_emit(c); /* before the buffer moves */
			return conn_need(conn, need, now);
		}
		if (n < 0) {
			batch_emit(c);
			conn_lose(conn, now, "the reply of %s is not understood; is this a Redis server?", conn->who);
			return false;
		}
		open = c->entries > 0 || c->trailing > 0;
		if (!open)
			reply_done(c);
	}
	batch_emit(c);
	return true;
}

/* ---- The loop ---------------------------------------------------------------------------------------- */

static void
sight_look(struct consumer *c, uint64_t now)
{
	uint32_t replies;

	if (!c->reading && !can_take(c))
		c->sight.drained = false; /* what came since the last reading is not known */
	if (c->settled && c->sight.drained && c->out == 0 && c->again == 0 && c->ack_count == 0) {
		c->settled = false;
		sight_hasten(&c->sight, now);
	}
	if (!sight_due(&c->sight, now) || c->asked_next - c->asked_first + 2 > ASKED_MAX)
		return;
	if (c->asked_next == c->asked_first)
		c->progress_at = now;
	replies = sight_ask(&c->sight, &c->conn, now);
	for (uint32_t i = 0; i < replies; i++)
		c->asked[c->asked_next++ & (ASKED_MAX - 1)] = ASKED_SIGHT;
	if (c->deleted > 0 && replies > 0) {
		char text[128];

		snprintf(text, sizeof(text), "%llu entries were deleted from the stream before they were acknowledged",
		         (unsigned long long)c->deleted);
		c->host->log(c->endpoint, XF_LOG_WARN, text);
		c->deleted = 0;
	}
}

static void
requests_send(struct consumer *c, bool draining, uint64_t now)
{
	const struct xf_str ping[] = {word("PING")};
	struct conn *conn = &c->conn;

	if (c->up) {
		acks_send(c, now);
		extends_send(c, now);
	}
	if (c->up && !c->unsure)
		sight_look(c, now);
	if (c->up && !draining && !c->reading && can_take(c) && !asked_full(c)) {
		if (c->history)
			read_send(c, now);
		else if (c->again > 0)
			again_send(c, now);
		if (!c->reading && !c->history && !c->claim_unknown && c->claim_idle_ms > 0 &&
		    (c->claiming || now >= c->claim_at)) {
			if (!c->claiming)
				memcpy(c->claim_from, "0-0", 4);
			c->claim_at = now + c->claim_idle_ms / 2 + 1;
			claim_send(c, now);
		}
		if (!c->reading && now >= c->read_at)
			read_send(c, now);
	}
	if (conn->phase == CONN_READY && c->asked_first == c->asked_next &&
	    now - conn->heard_at >= conn->settings.heartbeat_ms)
		command_send(c, ASKED_OTHER, 1, ping, now);
	if (conn->phase == CONN_READY && conn_unwritten(conn) > 0)
		conn_flush(conn, now);
}

/* A reading that waits at Redis answers after block_ms at the latest. */
static void
deadline_check(struct consumer *c, uint64_t now)
{
	uint64_t limit = c->conn.settings.timeout_ms;

	if (limit > c->conn.settings.heartbeat_ms)
		limit = c->conn.settings.heartbeat_ms;
	if (c->asked_first == c->asked_next || c->entries > 0 || now - c->progress_at < limit + c->block_ms)
		return;
	conn_lose(&c->conn, now, "no reply within %u ms", (unsigned)(limit + c->block_ms));
}

static void
connection_forget(struct consumer *c)
{
	c->up = false;
	c->unsure = false;
	c->reading = false;
	c->history = false;
	c->claiming = false;
	c->asked_first = c->asked_next = 0;
	c->extend_count = 0;
	sight_forget(&c->sight);
	slots_sweep(c);
	c->entries = c->trailing = 0;
	c->read_at = 0;
}

/* Entries are there that credit does not allow. */
static bool
held(const struct consumer *c)
{
	return c->entries > 0 && !can_take(c);
}

static void
consumer_work(void *instance, struct xf_work *work)
{
	struct consumer *c = instance;
	struct conn *conn = &c->conn;
	uint64_t now = c->host->now_ms();

	c->credit = work->draining ? 0 : work->credit_messages;
	c->credit_bytes = work->credit_bytes < INT64_MAX ? (int64_t)work->credit_bytes : INT64_MAX;
	conn_work(conn, work->ready, now);
	if (conn->phase == CONN_READY && !c->up && c->asked_first == c->asked_next) {
		if (c->ephemeral)
			place_find(c, now);
		else
			group_send(c, now);
	}
	if (conn->phase == CONN_READY && (c->entries == 0 || input_take(c, now))) {
		for (int i = 0; conn_readable(conn, work->ready) && i < READS_PER_WORK && !held(c); i++) {
			size_t space = conn->in.size - (conn->in.len - conn->in.pos);
			ssize_t n = conn_read(conn, now);

			if (n <= 0 || !input_take(c, now) || (size_t)n < space)
				break;
		}
	}
	conn_settle(conn, now);
	if (conn->phase == CONN_READY)
		requests_send(c, work->draining, now);
	if (conn->phase == CONN_READY)
		deadline_check(c, now);
	if (conn->phase != CONN_READY) {
		connection_forget(c);
		if (conn->phase == CONN_WAITING)
			conn_tell_waiting(conn);
	}
	conn_wait(conn, work, !held(c), now); /* held back, nothing can be taken; a settlement calls again */
	if (c->up && !c->reading && can_take(c))
		work_until(work, c->read_at > now ? c->read_at : now, now);
}

static void
consumer_settle(void *instance, const struct xf_settlement *settlements, uint32_t count)
{
	struct consumer *c = instance;
	uint64_t now = c->host->now_ms();

	for (uint32_t i = 0; i < count; i++) {
		uint32_t index = (uint32_t)settlements[i].handle;
		struct slot *slot = index < c->slot_count ? &c->slots[index] : NULL;

		if (slot == NULL || slot->state != SLOT_OUT || slot_handle(c, index) != settlements[i].handle)
			continue;
		switch (settlements[i].outcome) {
		case XF_SETTLE_RETRY:
			slot->state = SLOT_AGAIN;
			slot->again_at = now + settlements[i].delay_ms;
			c->out--;
			c->again++;
			break;
		case XF_SETTLE_EXTEND:
			if (c->up && !c->ephemeral) /* what is pending is read again when it is up, which does the same */
				id_add(&c->extends, &c->extend_count, &c->extend_size, slot->id);
			break;
		default:
			ack_add(c, slot->id);
			c->out--;
			if (c->reading && c->reading_of != ASKED_READ) {
				slot->state = SLOT_DONE;
				c->done++;
			} else {
				slot_free(c, index);
			}
			break;
		}
	}
	c->host->wake(c->endpoint); /* acks go out, and the next are asked for, in work() */
}

/* Whether an acknowledgement is not known to have arrived. */
static bool
acks_open(const struct consumer *c)
{
	for (uint32_t i = c->asked_first; i != c->asked_next; i++)
		if (c->asked[i & (ASKED_MAX - 1)] == ASKED_OTHER)
			return true;
	return c->ack_count > 0;
}

static void
consumer_stop(void *instance)
{
	struct consumer *c = instance;
	struct conn *conn = &c->conn;
	uint64_t now = c->host->now_ms(), end = now + STOP_MS;

	c->credit = 0;
	while (c->up && !conn->failing && acks_open(c) && !held(c) && now < end) {
		struct pollfd poll_fd = {.fd = conn->fd, .events = POLLIN};

		acks_send(c, now);
		conn_flush(conn, now);
		if (conn_unwritten(conn) > 0)
			poll_fd.events |= POLLOUT;
		poll(&poll_fd, 1, (int)(end - now));
		now = c->host->now_ms();
		if (conn_read(conn, now) < 0 || !input_take(c, now))
			break;
	}
	conn_close(conn);
}

const struct source_kind consume_kind = {
	.create = consumer_create,
	.start = consumer_start,
	.work = consumer_work,
	.settle = consumer_settle,
	.stop = consumer_stop,
	.destroy = consumer_destroy,
};
