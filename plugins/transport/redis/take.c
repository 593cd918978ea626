/*
 * A list as a source: LMOVE into a processing list of this consumer's own, LREM from there once it is settled.
 *
 *   KEY                      the list: messages enter at one end, leave at the other
 *   KEY:processing:CONSUMER  what this consumer was given and has not settled, in the same order
 *   KEY:processing           sorted set: all consumers, each with the time (the server's) when it was last seen
 *
 * Nothing is lost: a message is in the list or in a processing list until it is settled. On a new connection the
 * processing list is read first, from the oldest on ("history"): what is under way here already is passed over, the rest
 * is offered; nothing is removed until that is done, so places in it stay what they are. What a consumer left that was
 * not seen for claim_idle is moved into the own processing list, oldest first. What is unsettled at stop()
 * stays there, for the next start or for another.
 *
 * Who was not seen may have been kept from it by what kept us: a server that was away, a machine that stood still. So a
 * consumer judges others only after it has itself been seen without a gap for half of claim_idle.
 *
 * Redis has no move of many, so LMOVEs are sent in bursts, which grow while the list has messages; and it looks at no
 * further commands while a BLMOVE waits, so that is sent only when nothing is left that could be settled meanwhile.
 * Else the list is tried every POLL_MS.
 *
 * A settled message is removed by its content. Of equal messages any will do: they have no ids.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kept.h"
#include "sight.h"
#include "source.h"

#define INPUT_SIZE (256u * 1024u)
#define BATCH 256u
#define BURST_MAX 256u
#define READS_PER_WORK 16
#define ASKED_MAX 8192u /* commands without a reply; a power of two */
#define BLOCK_MAX_MS 1000u
#define POLL_MS 10u
#define STOP_MS 500u
#define BEAT_MAX_MS 10000u
#define REPLIES_MAX (16 * 1024 * 1024) /* bytes that a burst brings, about */
#define SIZE_FIRST (64 * 1024)         /* of a message, until it is known better */

enum asked {
	ASKED_MESSAGE, /* LMOVE, BLMOVE from the list */
	ASKED_HISTORY, /* LINDEX of the own processing list */
	ASKED_CLAIM,   /* LMOVE from that of the dead */
	ASKED_ACK,     /* LREM */
	ASKED_TYPE,    /* LLEN of the list, to see that it is one */
	ASKED_LENGTH,  /* LLEN of the own processing list */
	ASKED_TIME,
	ASKED_BEAT,    /* ZADD of our own */
	ASKED_DEAD,    /* names in the sorted set */
	ASKED_SIGHT,
	ASKED_OTHER,
};

struct asked_entry {
	uint8_t what;
	uint32_t slot; /* of an ACK */
};

struct taker {
	const struct xf_host *host;
	struct xf_endpoint *endpoint;
	struct conn conn;
	struct sight sight;

	struct xf_str subject;
	struct xf_str name;        /* of this consumer */
	char *name_text;           /* where it is made here */
	char *keys;                /* the memory of the next three */
	struct xf_str list;
	struct xf_str processing;  /* own */
	struct xf_str registry;
	struct xf_str dead;        /* of the one whose list is taken over; empty: none */
	size_t dead_size;          /* room for it */
	const char *out_end;       /* where messages are taken: "RIGHT" */
	const char *in_end;
	uint64_t claim_idle_ms;
	uint64_t beat_ms;
	uint64_t seen_ms;   /* when we were, by the server's clock; 0: not yet */
	uint64_t steady_ms; /* and since when without a gap */
	uint32_t block_ms;

	struct slots slots;
	uint64_t again_next; /* the earliest again_at, or before */
	uint32_t *acks;      /* slots that are DONE and whose LREM was not sent */
	size_t ack_count, ack_size;

	/* of this connection */
	bool begun; /* the first questions are asked */
	bool up;
	struct asked_entry asked[ASKED_MAX];
	uint32_t asked_first, asked_next;
	uint32_t reads;    /* commands under way whose replies are messages */
	int64_t history;   /* messages of it that are still to be asked for; -1: not known yet */
	bool reviewed;     /* all of it was read */
	uint32_t burst;    /* how many to ask for next */
	bool empty;        /* the last one had nothing */
	bool held;         /* a message waits in the buffer for credit */
	uint64_t read_at;  /* not before */
	uint64_t beat_at;
	uint64_t progress_at;

	uint32_t credit; /* of this work() */
	int64_t credit_bytes;
	uint32_t size; /* of messages, of late */
	bool settled;  /* something was, since the lag was looked at */
	uint32_t count;
	struct xf_incoming batch[BATCH];
};

/* ---- Acknowledgements -------------------------------------------------------------------------- */

static void
ack_add(struct taker *t, uint32_t slot)
{
	if (t->ack_count == t->ack_size) {
		size_t size = t->ack_size > 0 ? t->ack_size * 2 : 256;
		uint32_t *acks = realloc(t->acks, size * sizeof(*acks));

		if (acks == NULL)
			return; /* with the next connection */
		t->acks = acks;
		t->ack_size = size;
	}
	t->acks[t->ack_count++] = slot;
}

/* ---- Birth and death --------------------------------------------------------------------------- */

static void
taker_destroy(void *instance)
{
	struct taker *t = instance;

	conn_fini(&t->conn);
	sight_fini(&t->sight);
	slots_fini(&t->slots);
	free(t->acks);
	free(t->name_text);
	free(t->keys);
	free((char *)(uintptr_t)t->dead.data);
	free(t);
}

/* `consumer`, else SERVER:ENDPOINT: two routes of a server may share a list, but never a processing list. */
static bool
name_make(struct taker *t, const struct source_making *making)
{
	struct xf_str server = source_consumer(making), place = making->info->name;
	char *at;

	t->name = server;
	if (making->host->option(making->config, SOURCE_CONSUMER)->str.len > 0)
		return true;
	t->name_text = malloc(server.len + 1 + place.len);
	if (t->name_text == NULL)
		return false;
	at = resp_put(t->name_text, server.data, server.len);
	*at++ = ':';
	resp_put(at, place.data, place.len);
	t->name = (struct xf_str){t->name_text, server.len + 1 + place.len};
	return true;
}

/* "KEY", "KEY:processing", "KEY:processing:CONSUMER", one behind the other. */
static bool
keys_make(struct taker *t, char separator)
{
	static const char processing[] = ":processing";
	char *list = endpoint_key(t->subject, separator), *at;
	size_t len = t->subject.len, registry_len = len + sizeof(processing) - 1;

	t->keys = malloc(len + registry_len + registry_len + 1 + t->name.len);
	if (list == NULL || t->keys == NULL) {
		free(list);
		return false;
	}
	at = t->keys;
	t->list = (struct xf_str){at, len};
	at = resp_put(at, list, len);
	t->registry = (struct xf_str){at, registry_len};
	at = resp_put(resp_put(at, list, len), processing, sizeof(processing) - 1);
	t->processing = (struct xf_str){at, registry_len + 1 + t->name.len};
	at = resp_put(resp_put(at, list, len), processing, sizeof(processing) - 1);
	*at++ = ':';
	resp_put(at, t->name.data, t->name.len);
	free(list);
	return sight_key_set(&t->sight, t->list.data, t->list.len) &&
	       sight_second_set(&t->sight, t->processing.data, t->processing.len);
}

static void *
taker_create(const struct source_making *making, struct xf_error *error)
{
	struct taker *t = calloc(1, sizeof(*t));
	bool left = endpoint_pushes_left(making->host, making->config);

	if (t == NULL) {
		settings_fail(error, "no memory");
		return NULL;
	}
	if (!source_connection(&t->conn, making, INPUT_SIZE, error)) {
		taker_destroy(t);
		return NULL;
	}
	t->host = making->host;
	t->endpoint = making->endpoint;
	t->subject = making->info->subject;
	t->out_end = left ? "RIGHT" : "LEFT";
	t->in_end = left ? "LEFT" : "RIGHT";
	t->claim_idle_ms = (uint64_t)making->host->option(making->config, SOURCE_CLAIM_IDLE)->i64;
	t->beat_ms = BEAT_MAX_MS;
	if (t->claim_idle_ms > 0 && t->claim_idle_ms / 4 < BEAT_MAX_MS)
		t->beat_ms = t->claim_idle_ms / 4 + 1;
	t->block_ms = making->settings->heartbeat_ms < BLOCK_MAX_MS ? making->settings->heartbeat_ms : BLOCK_MAX_MS;
	if (t->beat_ms < t->block_ms)
		t->block_ms = (uint32_t)t->beat_ms;
	slots_init(&t->slots);
	t->size = SIZE_FIRST;
	t->burst = 1;
	t->history = -1;
	sight_init(&t->sight, MODE_LIST, true, (struct xf_str){NULL, 0});
	if (!name_make(t, making) || !keys_make(t, endpoint_separator(making->host, making->config))) {
		settings_fail(error, "no memory");
		taker_destroy(t);
		return NULL;
	}
	return t;
}

static void
taker_start(void *instance)
{
	struct taker *t = instance;

	t->conn.retry_at = 0;
}

/* ---- Commands ------------------------------------------------------------------------------------ */

static uint32_t
asked_room(const struct taker *t)
{
	return ASKED_MAX - (t->asked_next - t->asked_first);
}

static void
asked_add(struct taker *t, enum asked what, uint32_t slot, uint64_t now)
{
	if (t->asked_next == t->asked_first)
		t->progress_at = now;
	t->asked[t->asked_next++ & (ASKED_MAX - 1)] = (struct asked_entry){(uint8_t)what, slot};
	t->reads += what <= ASKED_CLAIM;
}

static struct xf_str
word(const char *text)
{
	return (struct xf_str){text, strlen(text)};
}

static struct xf_str
number_word(char out[24], uint64_t number)
{
	return (struct xf_str){out, (uint64_t)snprintf(out, 24, "%llu", (unsigned long long)number)};
}

/* Where there is no memory the connection is lost. */
static void
command_send(struct taker *t, enum asked what, uint32_t slot, int count, const struct xf_str *words, uint64_t now)
{
	size_t size = RESP_HEAD_MAX;
	char *at;

	for (int i = 0; i < count; i++)
		size += RESP_BULK_SIZE(words[i].len);
	at = conn_reserve(&t->conn, size);
	if (at == NULL) {
		conn_lose(&t->conn, now, "no memory for a command");
		return;
	}
	at = resp_put_head(at, '*', (uint64_t)count);
	for (int i = 0; i < count; i++)
		at = resp_put_bulk(at, words[i].data, words[i].len);
	conn_commit(&t->conn, at);
	asked_add(t, what, slot, now);
}

static void
begin_send(struct taker *t, uint64_t now)
{
	const struct xf_str type[] = {word("LLEN"), t->list}, length[] = {word("LLEN"), t->processing};
	const struct xf_str time[] = {word("TIME")};

	t->begun = true;
	t->beat_at = now + t->beat_ms;
	command_send(t, ASKED_TIME, 0, 1, time, now);
	command_send(t, ASKED_TYPE, 0, 2, type, now);
	command_send(t, ASKED_LENGTH, 0, 2, length, now);
}

/* The answer to TIME was MS: says that this consumer lives, and asks who does not. */
static void
beat_send(struct taker *t, uint64_t ms, uint64_t now)
{
	char score[24], until[24];
	const struct xf_str add[] = {word("ZADD"), t->registry, number_word(score, ms), t->name};
	const struct xf_str dead[] = {word("ZRANGEBYSCORE"), t->registry, word("-inf"),
	                              number_word(until, ms > t->claim_idle_ms ? ms - t->claim_idle_ms : 0),
	                              word("LIMIT"), word("0"), word("2")};

	if (t->seen_ms == 0 || ms - t->seen_ms > t->claim_idle_ms / 2)
		t->steady_ms = ms;
	t->seen_ms = ms;
	command_send(t, ASKED_BEAT, 0, 4, add, now);
	if (t->claim_idle_ms > 0 && t->dead.len == 0 && ms - t->steady_ms >= t->claim_idle_ms / 2)
		command_send(t, ASKED_DEAD, 0, 7, dead, now);
}

static void
moves_send(struct taker *t, enum asked what, struct xf_str from, uint32_t count, uint64_t now)
{
	const struct xf_str words[] = {word("LMOVE"), from, t->processing, word(t->out_end), word(t->in_end)};

	for (uint32_t i = 0; i < count && t->conn.phase == CONN_READY; i++)
		command_send(t, what, 0, 5, words, now);
}

/* The next COUNT of the history. Places are counted from the end where new ones come in, as at the other
 * end somebody may be taking them over. */
static void
history_send(struct taker *t, uint32_t count, uint64_t now)
{
	char place[24];

	for (; count > 0 && t->conn.phase == CONN_READY; count--, t->history--) {
		int n = snprintf(place, sizeof(place), "%lld",
		                 (long long)(t->in_end[0] == 'L' ? t->history - 1 : -t->history));
		const struct xf_str words[] = {word("LINDEX"), t->processing, {place, (uint64_t)n}};

		command_send(t, ASKED_HISTORY, 0, 3, words, now);
	}
}

static void
waiting_send(struct taker *t, uint64_t now)
{
	char seconds[24];
	int n = snprintf(seconds, sizeof(seconds), "%u.%03u", t->block_ms / 1000, t->block_ms % 1000);
	const struct xf_str words[] = {word("BLMOVE"),  t->list,         t->processing,
	                               word(t->out_end), word(t->in_end), {seconds, (uint64_t)n}};

	command_send(t, ASKED_MESSAGE, 0, 6, words, now);
}

static void
acks_send(struct taker *t, uint64_t now)
{
	size_t sent = 0;

	while (sent < t->ack_count && asked_room(t) > 16 && t->conn.phase == CONN_READY) {
		const struct kept *kept = t->slots.at[t->acks[sent]].kept;
		/* From the end where the oldest are. */
		const struct xf_str words[] = {word("LREM"), t->processing, word(t->out_end[0] == 'R' ? "-1" : "1"),
		                               {kept->data, kept->size}};

		command_send(t, ASKED_ACK, t->acks[sent], 4, words, now);
		sent++;
	}
	if (sent == 0)
		return;
	t->ack_count -= sent;
	memmove(t->acks, t->acks + sent, t->ack_count * sizeof(*t->acks));
	t->settled = true;
	t->read_at = now; /* there is room again */
}

/* ---- Messages ---------------------------------------------------------------------------------------- */

static bool
can_take(const struct taker *t)
{
	return t->credit > t->count && t->credit_bytes > 0;
}

static void
batch_emit(struct taker *t)
{
	if (t->count > 0)
		t->host->emit(t->endpoint, t->batch, sizeof(t->batch[0]), t->count);
	t->credit -= t->count < t->credit ? t->count : t->credit;
	t->count = 0;
}

static void
slot_emit(struct taker *t, uint32_t i, uint32_t flags)
{
	struct slot *slot = &t->slots.at[i];
	struct kept *kept = slot->kept;

	slot->turn++;
	kept_hold(kept);
	t->batch[t->count++] = (struct xf_incoming){
		.handle = (uint64_t)slot->turn << 32 | i,
		.subject = t->subject,
		.payload = kept->data,
		.payload_size = kept->size,
		.flags = flags,
		.release = kept_drop,
		.release_context = kept,
	};
	t->credit_bytes -= (int64_t)kept->size;
	if (t->count == BATCH)
		batch_emit(t);
}

/* The messages whose RETRY is due. */
static void
again_emit(struct taker *t, uint64_t now)
{
	uint64_t next = UINT64_MAX;

	if (t->slots.again == 0 || now < t->again_next)
		return;
	for (uint32_t i = 0; i < t->slots.count; i++) {
		struct slot *slot = &t->slots.at[i];

		if (slot->state != SLOT_AGAIN)
			continue;
		if (slot->again_at <= now && can_take(t)) {
			slot->state = SLOT_OUT;
			t->slots.again--;
			t->slots.out++;
			slot_emit(t, i, XF_MESSAGE_REDELIVERED);
		} else if (slot->again_at < next) {
			next = slot->again_at;
		}
	}
	t->again_next = next;
	batch_emit(t);
}

/* Whether a message of the history is one that is here already, and was not met yet. */
static bool
history_known(struct taker *t, const char *data, size_t size)
{
	uint32_t hash = kept_hash(data, size);

	for (uint32_t i = 0; i < t->slots.count; i++) {
		struct slot *slot = &t->slots.at[i];

		if (slot->state == SLOT_FREE || slot->seen || slot->kept->hash != hash || slot->kept->size != size ||
		    memcmp(slot->kept->data, data, size) != 0)
			continue;
		slot->seen = true;
		return true;
	}
	return false;
}

static void
history_begin(struct taker *t, int64_t length)
{
	for (uint32_t i = 0; i < t->slots.count; i++)
		t->slots.at[i].seen = false;
	t->ack_count = 0;
	t->history = length;
}

static void
history_end(struct taker *t)
{
	t->reviewed = true;
	for (uint32_t i = 0; i < t->slots.count; i++) {
		if (t->slots.at[i].state != SLOT_DONE)
			continue;
		if (t->slots.at[i].seen)
			ack_add(t, i);
		else
			slot_free(&t->slots, i); /* it was removed; only the answer was lost */
	}
}

/* A message that came. 1: taken; 0: it has to wait for credit; -1: the connection was lost. */
static int
message_take(struct taker *t, enum asked what, const char *data, size_t size, uint64_t now)
{
	struct kept *kept;
	uint32_t slot = NO_SLOT;

	if (what == ASKED_HISTORY && history_known(t, data, size))
		return 1;
	if (!can_take(t)) {
		t->held = true;
		return 0;
	}
	kept = kept_create(data, size);
	if (kept != NULL)
		slot = slot_take(&t->slots, kept);
	if (slot == NO_SLOT) {
		free(kept);
		conn_lose(&t->conn, now, "no memory for a message of %zu bytes", size);
		return -1;
	}
	t->size = (uint32_t)((t->size * 7ull + size) / 8);
	slot_emit(t, slot, what == ASKED_MESSAGE ? 0 : XF_MESSAGE_REDELIVERED);
	return 1;
}

/* ---- Replies ---------------------------------------------------------------------------------------------- */

/* False: the connection is over. */
static bool
error_take(struct taker *t, enum asked what, const struct resp_token *token, uint64_t now)
{
	static const char *const lasting[] = {"NOPERM", "WRONGTYPE", "ERR unknown command", "MOVED", "CROSSSLOT"};
	char said[200];

	if (what == ASKED_OTHER)
		return true;
	reason_from_reply(said, sizeof(said), token->data, token->len);
	for (size_t i = 0; i < sizeof(lasting) / sizeof(lasting[0]); i++) {
		if (strncmp(said, lasting[i], strlen(lasting[i])) != 0)
			continue;
		conn_blocked(&t->conn, now, "the server refuses the list: %s%s", said,
		             i == 2 ? "; lists need Redis 6.2" : "");
		return false;
	}
	conn_lose(&t->conn, now, "the server says: %s", said);
	return false;
}

/* Names of consumers that were not seen for long. The first that is another one's is chosen. */
static bool
dead_take(struct taker *t, const char *data, size_t size)
{
	struct resp_token token;
	size_t need, at = (size_t)resp_token_read(data, size, &token, &need);
	int64_t count = token.type == '*' ? token.number : -1;

	for (int64_t i = 0; i < count && t->dead.len == 0; i++) {
		size_t len = t->registry.len + 1;
		char *dead;

		at += (size_t)resp_token_read(data + at, size - at, &token, &need);
		if (token.type != '$' || token.len == 0)
			return false;
		if (token.len == t->name.len && memcmp(token.data, t->name.data, token.len) == 0)
			continue;
		len += token.len;
		dead = realloc((char *)(uintptr_t)t->dead.data, len);
		if (dead == NULL)
			return true; /* next time */
		resp_put(dead, t->registry.data, t->registry.len);
		dead[t->registry.len] = ':';
		resp_put(dead + t->registry.len + 1, token.data, token.len);
		t->dead = (struct xf_str){dead, len};
	}
	return count >= 0;
}

/* Nothing is left of it. */
static void
dead_forget(struct taker *t, uint64_t now)
{
	const struct xf_str rem[] = {word("ZREM"), t->registry,
	                             {t->dead.data + t->registry.len + 1, t->dead.len - t->registry.len - 1}};

	if (t->dead.len == 0)
		return; /* several commands found it empty */
	command_send(t, ASKED_OTHER, 0, 3, rem, now);
	t->dead.len = 0;
	t->beat_at = now; /* there may be another */
}

/* A reply that is a message, or nil. As message_take(). */
static int
move_take(struct taker *t, enum asked what, const struct resp_token *token, uint64_t now)
{
	if (token->type == '$' && token->number != -1) {
		t->empty = false;
		return message_take(t, what, token->data, token->len, now);
	}
	if (token->number != -1) {
		conn_lose(&t->conn, now, "the reply of %s is not understood; is this a Redis server?", t->conn.who);
		return -1;
	}
	if (what == ASKED_MESSAGE) {
		t->empty = true;
		t->sight.drained = true;
	} else if (what == ASKED_CLAIM) {
		dead_forget(t, now);
	} /* of the history: another took it over meanwhile */
	return 1;
}

/* After the last of a burst. */
static void
burst_done(struct taker *t, enum asked what, uint64_t now)
{
	if (what == ASKED_HISTORY && t->history == 0 && !t->reviewed) {
		history_end(t);
	} else if (what == ASKED_MESSAGE) {
		t->sight.drained &= t->empty;
		t->burst = t->empty ? 1 : t->burst * 2 < BURST_MAX ? t->burst * 2 : BURST_MAX;
		t->read_at = t->empty && t->slots.out + t->slots.again + t->slots.done > 0 ? now + POLL_MS : now;
	}
}

static void
length_take(struct taker *t, int64_t length)
{
	history_begin(t, length);
	if (length == 0)
		history_end(t);
	t->up = true;
	conn_tell(&t->conn, XF_STATE_UP, NULL);
}

/* [seconds, microseconds] */
static void
time_take(struct taker *t, const char *data, size_t size, uint64_t now)
{
	uint64_t parts[2] = {0, 0};
	struct resp_token token;
	size_t need, at = (size_t)resp_token_read(data, size, &token, &need);

	if (token.type != '*' || token.number != 2)
		return;
	for (int i = 0; i < 2; i++) {
		at += (size_t)resp_token_read(data + at, size - at, &token, &need);
		for (size_t j = 0; token.type == '$' && j < token.len && j < 12; j++)
			parts[i] = parts[i] * 10 + (uint64_t)(token.data[j] - '0');
	}
	beat_send(t, parts[0] * 1000 + parts[1] / 1000, now);
}

/* One whole reply at DATA to WHAT. As message_take(). */
static int
reply_take(struct taker *t, struct asked_entry asked, const char *data, size_t size, uint64_t now)
{
	struct resp_token token;
	size_t need;

	resp_token_read(data, size, &token, &need);
	if (asked.what == ASKED_SIGHT)
		sight_answer(&t->sight, &t->conn, data, size);
	else if (token.type == '-')
		return error_take(t, asked.what, &token, now) ? 1 : -1;
	else if (asked.what <= ASKED_CLAIM)
		return move_take(t, asked.what, &token, now);
	else if (asked.what == ASKED_ACK)
		slot_free(&t->slots, asked.slot);
	else if (asked.what == ASKED_LENGTH && token.type == ':')
		length_take(t, token.number);
	else if (asked.what == ASKED_TIME)
		time_take(t, data, size, now);
	else if (asked.what == ASKED_DEAD)
		dead_take(t, data, size);
	return t->conn.phase == CONN_READY ? 1 : -1;
}

/* Takes whole replies, as far as credit lasts. False: the connection was lost. */
static bool
input_take(struct taker *t, uint64_t now)
{
	struct conn *conn = &t->conn;

	t->held = false;
	while (conn->in.pos < conn->in.len) {
		const char *data = conn->in.data + conn->in.pos;
		struct asked_entry asked = t->asked[t->asked_first & (ASKED_MAX - 1)];
		size_t need = 0;
		ssize_t n = -1;
		int taken;

		if (t->asked_first != t->asked_next)
			n = resp_extent(data, conn->in.len - conn->in.pos, &conn->scan, &need);
		if (n == 0) {
			batch_emit(t);
			return conn_need(conn, need, now);
		}
		if (n < 0) {
			batch_emit(t);
			conn_lose(conn, now, "the reply of %s is not understood; is this a Redis server?", conn->who);
			return false;
		}
		t->progress_at = now;
		taken = reply_take(t, asked, data, (size_t)n, now);
		if (taken < 0) {
			batch_emit(t);
			return false;
		}
		if (taken == 0)
			break; /* it waits in the buffer */
		conn_consume(conn, (size_t)n);
		t->asked_first++;
		if (asked.what <= ASKED_CLAIM && --t->reads == 0)
			burst_done(t, asked.what, now);
	}
	batch_emit(t);
	return true;
}

/* ---- The loop ------------------------------------------------------------------------------------ */

/* How many messages to ask for at once. */
static uint32_t
burst_size(const struct taker *t, uint32_t count)
{
	int64_t fit = (t->credit_bytes < REPLIES_MAX ? t->credit_bytes : REPLIES_MAX) / (t->size + 1);

	if (t->credit < count)
		count = t->credit;
	if (asked_room(t) / 2 < count)
		count = asked_room(t) / 2;
	if (fit < count)
		count = (uint32_t)fit;
	return count > 0 ? count : 1;
}

static void
messages_ask(struct taker *t, uint64_t now)
{
	uint32_t count;

	if (t->history > 0) {
		count = burst_size(t, BURST_MAX);
		history_send(t, t->history < count ? (uint32_t)t->history : count, now);
	} else if (t->dead.len > 0) {
		moves_send(t, ASKED_CLAIM, t->dead, burst_size(t, BURST_MAX), now);
	} else if (now >= t->read_at) {
		if (t->empty && t->slots.out == 0 && t->slots.again == 0 && t->slots.done == 0)
			waiting_send(t, now);
		else
			moves_send(t, ASKED_MESSAGE, t->list, burst_size(t, t->burst), now);
	}
}

/* Whether the next messages can be asked for; perhaps only at read_at. */
static bool
can_ask(const struct taker *t)
{
	return t->conn.phase == CONN_READY && t->up && t->reads == 0 && !t->held && can_take(t) && asked_room(t) > 8;
}

static void
sight_look(struct taker *t, uint64_t now)
{
	uint32_t replies;

	if (t->settled && t->sight.drained && t->slots.out == 0 && t->slots.again == 0 && t->slots.done == 0) {
		t->settled = false;
		sight_hasten(&t->sight, now);
	}
	if (!sight_due(&t->sight, now) || asked_room(t) < 4)
		return;
	replies = sight_ask(&t->sight, &t->conn, now);
	for (uint32_t i = 0; i < replies; i++)
		asked_add(t, ASKED_SIGHT, 0, now);
}

static void
requests_send(struct taker *t, bool draining, uint64_t now)
{
	const struct xf_str time[] = {word("TIME")}, ping[] = {word("PING")};
	struct conn *conn = &t->conn;

	if (!t->begun)
		begin_send(t, now);
	if (t->up && now >= t->beat_at && asked_room(t) > 8) {
		t->beat_at = now + t->beat_ms;
		command_send(t, ASKED_TIME, 0, 1, time, now);
	}
	if (t->reviewed)
		acks_send(t, now);
	if (conn->phase == CONN_READY && t->up)
		sight_look(t, now);
	if (!draining && can_ask(t))
		messages_ask(t, now);
	if (conn->phase == CONN_READY && t->asked_first == t->asked_next &&
	    now - conn->heard_at >= conn->settings.heartbeat_ms)
		command_send(t, ASKED_OTHER, 0, 1, ping, now);
	if (conn->phase == CONN_READY && conn_unwritten(conn) > 0)
		conn_flush(conn, now);
}

/* A BLMOVE that waits answers after block_ms at the latest. */
static void
deadline_check(struct taker *t, uint64_t now)
{
	uint64_t limit = t->conn.settings.timeout_ms, since = t->progress_at;

	if (limit > t->conn.settings.heartbeat_ms)
		limit = t->conn.settings.heartbeat_ms;
	if (conn_unwritten(&t->conn) > 0 && t->conn.wrote_at > since)
		since = t->conn.wrote_at;
	if (t->asked_first == t->asked_next || t->held || now - since < limit + t->block_ms)
		return;
	conn_lose(&t->conn, now, "no reply within %u ms", (unsigned)(limit + t->block_ms));
}

static void
connection_forget(struct taker *t)
{
	t->begun = t->up = t->reviewed = t->held = t->empty = false;
	t->asked_first = t->asked_next = 0;
	t->reads = 0;
	t->history = -1;
	t->burst = 1;
	t->read_at = 0;
	t->dead.len = 0;
	sight_forget(&t->sight);
}

static void
taker_work(void *instance, struct xf_work *work)
{
	struct taker *t = instance;
	struct conn *conn = &t->conn;
	uint64_t now = t->host->now_ms();

	t->credit = work->draining ? 0 : work->credit_messages;
	t->credit_bytes = work->credit_bytes < INT64_MAX ? (int64_t)work->credit_bytes : INT64_MAX;
	conn_work(conn, work->ready, now);
	if (conn->phase == CONN_READY) {
		again_emit(t, now);
		if (t->held)
			input_take(t, now);
	}
	if (conn->phase == CONN_READY) {
		for (int i = 0; conn_readable(conn, work->ready) && i < READS_PER_WORK && !t->held; i++) {
			size_t space = conn->in.size - (conn->in.len - conn->in.pos);
			ssize_t n = conn_read(conn, now);

			if (n <= 0 || !input_take(t, now) || (size_t)n < space)
				break;
		}
	}
	conn_settle(conn, now);
	if (conn->phase == CONN_READY)
		requests_send(t, work->draining, now);
	if (conn->phase == CONN_READY)
		deadline_check(t, now);
	if (conn->phase != CONN_READY) {
		connection_forget(t);
		if (conn->phase == CONN_WAITING)
			conn_tell_waiting(conn);
	}
	conn_wait(conn, work, !t->held, now);
	if (!work->draining && can_ask(t))
		work_until(work, t->read_at, now);
	if (t->up)
		work_until(work, t->beat_at, now);
	if (t->slots.again > 0 && can_take(t))
		work_until(work, t->again_next, now);
}

static void
taker_settle(void *instance, const struct xf_settlement *settlements, uint32_t count)
{
	struct taker *t = instance;
	uint64_t now = t->host->now_ms();

	for (uint32_t i = 0; i < count; i++) {
		uint32_t index = (uint32_t)settlements[i].handle;
		struct slot *slot = index < t->slots.count ? &t->slots.at[index] : NULL;

		if (slot == NULL || slot->state != SLOT_OUT ||
		    ((uint64_t)slot->turn << 32 | index) != settlements[i].handle)
			continue;
		switch (settlements[i].outcome) {
		case XF_SETTLE_RETRY:
			slot->state = SLOT_AGAIN;
			slot->again_at = now + settlements[i].delay_ms;
			if (t->slots.again == 0 || slot->again_at < t->again_next)
				t->again_next = slot->again_at;
			t->slots.out--;
			t->slots.again++;
			break;
		case XF_SETTLE_EXTEND:
			break; /* this consumer is seen to be alive, and that is enough */
		default:
			slot->state = SLOT_DONE;
			t->slots.out--;
			t->slots.done++;
			if (t->reviewed)
				ack_add(t, index); /* else at the end of the history */
			break;
		}
	}
	t->host->wake(t->endpoint); /* work() tells the server */
}

static void
taker_stop(void *instance)
{
	struct taker *t = instance;
	struct conn *conn = &t->conn;
	uint64_t now = t->host->now_ms(), end = now + STOP_MS;

	t->credit = 0;
	/* In the middle of a history nothing can be removed: the next start goes on with it. */
	while (t->reviewed && !conn->failing && t->slots.done > 0 && now < end) {
		struct pollfd poll_fd = {.fd = conn->fd, .events = POLLIN};

		acks_send(t, now);
		conn_flush(conn, now);
		if (conn->phase != CONN_READY || t->held) /* the answers stand behind what nobody takes */
			break;
		if (conn_unwritten(conn) > 0)
			poll_fd.events |= POLLOUT;
		if (!conn_readable(conn, 0))
			poll(&poll_fd, 1, (int)(end - now));
		now = t->host->now_ms();
		if (conn_read(conn, now) < 0 || !input_take(t, now))
			break;
	}
	conn_close(conn);
}

const struct source_kind take_kind = {
	.create = taker_create,
	.start = taker_start,
	.work = taker_work,
	.settle = taker_settle,
	.stop = taker_stop,
	.destroy = taker_destroy,
};
