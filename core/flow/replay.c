/*
 * In the spool of a migration's side, what that side is to have may stand before what the other one takes: copies for a side that is down,
 * and behind them what was turned away from it. So what would go to a sink that is down is passed over, and read again once something has
 * changed; and what goes to the spool's own sink takes no more room in flight than it leaves, since it stays there when that sink goes down.
 */
#include "flow/replay.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/memory.h"
#include "flow/inlet.h"
#include "spool/runs.h"

#define READ_MESSAGES 256u
#define READ_BYTES (1u << 20)
#define LOOK_MS 1000 /* without a bell */

/* What was read and is not settled, by its handle. */
struct slot {
	struct xf_spool_place place;
	uint64_t retry_at; /* 0: it is under way */
	uint32_t next;     /* in the list of the free, or of those to be tried again */
	bool used;
	bool own; /* counted as bound for the spool's own sink */
};

struct replay {
	const struct xf_host *host;
	struct xf_endpoint *endpoint;
	struct xf_spooler *spooler;
	uint64_t after;
	uint64_t passed;      /* the first that was passed over; 0: none */
	uint32_t turns;       /* of the way, since when that holds */
	bool waits;           /* what comes next is for the own sink, and finds no room */
	struct xf_runs taken; /* sorted: of those that are read again, the ones that were not passed over */
	uint32_t own;         /* under way, or to be tried again: bound for the own sink */
	uint64_t own_bytes;
	struct xf_spool_batch batch;
	struct xf_spooled_headers headers;
	struct slot *slots;
	uint32_t slot_count;
	uint32_t free; /* list; UINT32_MAX: none */
	uint32_t again_first, again_last;
	struct xf_spool_place *done;
	uint32_t done_size;
	bool failed; /* said so */
};

static int32_t
replay_create(const struct xf_host *host, struct xf_endpoint *endpoint, void *shared, const struct xf_config *transport,
              const struct xf_config *config, const struct xf_endpoint_info *info, void **instance, struct xf_error *error)
{
	struct replay *replay = xf_alloc(sizeof(*replay));

	(void)transport, (void)config, (void)info, (void)error;
	replay->host = host;
	replay->endpoint = endpoint;
	replay->spooler = shared;
	replay->free = replay->again_first = UINT32_MAX;
	*instance = replay;
	return 0;
}

static void
replay_start(void *instance)
{
	struct replay *replay = instance;

	xf_spooler_reader(replay->spooler, replay->endpoint);
	replay->host->state(replay->endpoint, XF_STATE_UP, "");
}

/* ---- Slots ------------------------------------------------------------------------------------------ */

static uint32_t
slot_take(struct replay *replay, const struct xf_spool_place *place, bool own)
{
	uint32_t number = replay->free;

	if (number == UINT32_MAX) {
		uint32_t more = replay->slot_count > 0 ? replay->slot_count : READ_MESSAGES;

		replay->slots = xf_grow_array(replay->slots, replay->slot_count, replay->slot_count + more, sizeof(*replay->slots));
		for (uint32_t i = 0; i < more; i++)
			replay->slots[replay->slot_count + i].next = i + 1 < more ? replay->slot_count + i + 1 : UINT32_MAX;
		number = replay->slot_count;
		replay->slot_count += more;
	}
	replay->free = replay->slots[number].next;
	replay->slots[number].place = *place;
	replay->slots[number].retry_at = 0;
	replay->slots[number].used = true;
	replay->slots[number].own = own;
	replay->own += own;
	replay->own_bytes += own ? place->len : 0;
	return number;
}

static void
slot_free(struct replay *replay, uint32_t number)
{
	struct slot *slot = &replay->slots[number];

	replay->own -= slot->own;
	replay->own_bytes -= slot->own ? slot->place.len : 0;
	slot->used = false;
	slot->next = replay->free;
	replay->free = number;
}

static void
slot_again(struct replay *replay, uint32_t number, uint64_t at)
{
	struct slot *slot = &replay->slots[number];

	slot->retry_at = at;
	slot->next = UINT32_MAX;
	if (replay->again_first == UINT32_MAX)
		replay->again_first = number;
	else
		replay->slots[replay->again_last].next = number;
	replay->again_last = number;
}

static void
replay_settle(void *instance, const struct xf_settlement *settlements, uint32_t count)
{
	struct replay *replay = instance;
	uint64_t now = replay->host->now_ms();
	uint32_t done = 0;

	if (count > replay->done_size) {
		replay->done = xf_grow_array(replay->done, replay->done_size, count, sizeof(*replay->done));
		replay->done_size = count;
	}
	for (uint32_t i = 0; i < count; i++) {
		uint32_t number = (uint32_t)settlements[i].handle;

		if (settlements[i].outcome == XF_SETTLE_EXTEND)
			continue;
		if (settlements[i].outcome == XF_SETTLE_RETRY) {
			slot_again(replay, number, now + settlements[i].delay_ms);
			continue;
		}
		replay->done[done++] = replay->slots[number].place;
		slot_free(replay, number);
	}
	if (done > 0)
		xf_spool_done(xf_spooler_store(replay->spooler), replay->done, done);
}

/* ---- Reading -------------------------------------------------------------------------------------------- */

static bool
batch_read(struct replay *replay, uint64_t after, size_t count, size_t bytes)
{
	struct xf_error error;

	if (xf_spool_read(xf_spooler_store(replay->spooler), after, count, bytes, &replay->batch, &error) == XF_OK) {
		if (replay->failed)
			replay->host->state(replay->endpoint, XF_STATE_UP, "");
		replay->failed = false;
		return true;
	}
	replay->failed = true;
	replay->host->state(replay->endpoint, XF_STATE_DOWN, error.text);
	return false;
}

/* What is left of TTL_MS for what came at THEN_MS; never nothing, which would be no end. Another process may have had a later clock. */
static uint64_t
ttl_left(uint64_t ttl_ms, uint64_t then_ms)
{
	uint64_t now_ms = (uint64_t)xf_steady_wall_ms(), waited = now_ms > then_ms ? now_ms - then_ms : 0;

	if (ttl_ms == 0)
		return 0;
	return waited < ttl_ms ? ttl_ms - waited : 1;
}

static enum xf_status
record_read(struct replay *replay, const struct xf_spool_record *read, struct xf_spooled *record, struct xf_error *error)
{
	if (xf_spooled_read(read->bytes, &replay->headers, record, error) != XF_OK) {
		xf_error_prefix(error, "what stood in the spool is no message");
		return XF_FAILED;
	}
	record->message.ttl_ms = ttl_left(record->message.ttl_ms, read->time_ms);
	record->message.flags = (uint32_t)record->role << 28 | (uint32_t)record->sink << 20;
	return XF_OK;
}

static void
record_emit(struct replay *replay, struct xf_spooled *record, uint32_t number)
{
	record->message.handle = number;
	replay->host->emit(replay->endpoint, &record->message, sizeof(record->message), 1);
}

/* Those that are to be tried once more; only what is due, and one by one, since they are few. */
static uint32_t
again_emit(struct replay *replay, uint32_t credit, uint64_t now)
{
	struct xf_spooled record;
	struct xf_error error;
	uint32_t sent = 0;

	while (sent < credit && replay->again_first != UINT32_MAX && replay->slots[replay->again_first].retry_at <= now) {
		uint32_t number = replay->again_first;
		struct slot *slot = &replay->slots[number];

		if (!batch_read(replay, slot->place.seq - 1, 1, 1))
			break;
		replay->again_first = slot->next;
		slot->retry_at = 0;
		if (replay->batch.count == 0 || replay->batch.records[0].place.seq != slot->place.seq) {
			slot_free(replay, number); /* damaged meanwhile: the spool says so */
			continue;
		}
		if (record_read(replay, &replay->batch.records[0], &record, &error) == XF_OK)
			record_emit(replay, &record, number);
		else
			xf_inlet_refuse(replay->endpoint, number, replay->batch.records[0].bytes, error.text);
		sent++;
	}
	return sent;
}

/* What was passed over is read again. */
static void
passed_again(struct replay *replay)
{
	xf_runs_clear(&replay->taken);
	for (uint32_t i = 0; i < replay->slot_count; i++) {
		const struct slot *slot = &replay->slots[i];

		if (slot->used && slot->place.seq >= replay->passed)
			xf_runs_add(&replay->taken, (struct xf_run){slot->place.seq, slot->place.seq, 0});
	}
	xf_runs_sort(&replay->taken);
	replay->after = replay->passed - 1;
	replay->passed = 0;
}

/* What goes where may be otherwise now. */
static void
turns_follow(struct replay *replay)
{
	uint32_t turns = xf_inlet_its_way(replay->endpoint)->turns;

	if (turns == replay->turns)
		return;
	replay->turns = turns;
	replay->waits = false;
	if (replay->passed != 0)
		passed_again(replay);
}

static bool
own_has_room(const struct replay *replay, const struct xf_work *work)
{
	return replay->own < work->credit_messages && replay->own_bytes < work->credit_bytes;
}

/* False: READ finds no room now, and nothing is to pass it. */
static bool
record_take(struct replay *replay, const struct xf_spool_record *read, const struct xf_work *work)
{
	uint64_t seq = read->place.seq;
	struct xf_spooled record;
	struct xf_error error;
	unsigned sink;
	bool up, own;

	if (xf_runs_have(&replay->taken, seq))
		return true;
	if (record_read(replay, read, &record, &error) != XF_OK) {
		xf_inlet_refuse(replay->endpoint, slot_take(replay, &read->place, false), read->bytes, error.text);
		return true;
	}
	up = xf_way_takes(xf_inlet_its_way(replay->endpoint), &record.message, &sink);
	own = sink == record.sink;
	if (up && own && !own_has_room(replay, work))
		return false;
	if (up)
		record_emit(replay, &record, slot_take(replay, &read->place, own));
	else if (replay->passed == 0)
		replay->passed = seq;
	return true;
}

static void
replay_work(void *instance, struct xf_work *work)
{
	struct replay *replay = instance;
	uint32_t count;
	uint64_t bytes;

	work->timeout_ms = LOOK_MS;
	if (work->draining || work->credit_messages == 0)
		return;
	turns_follow(replay);
	work->credit_messages -= again_emit(replay, work->credit_messages, replay->host->now_ms());
	if (replay->waits && !own_has_room(replay, work))
		return;
	count = work->credit_messages - (replay->waits ? replay->own : 0);
	bytes = work->credit_bytes - (replay->waits ? replay->own_bytes : 0);
	if (count == 0 || !batch_read(replay, replay->after, count < READ_MESSAGES ? count : READ_MESSAGES,
	                              bytes < READ_BYTES ? bytes : READ_BYTES))
		return;
	replay->after = replay->batch.next;
	replay->waits = false;
	for (size_t i = 0; i < replay->batch.count && !replay->waits; i++) {
		const struct xf_spool_record *record = &replay->batch.records[i];

		replay->waits = !record_take(replay, record, work);
		if (replay->waits)
			replay->after = record->place.seq - 1;
		else
			work->timeout_ms = 0;
	}
}

static void
replay_stop(void *instance)
{
	xf_spooler_reader(((struct replay *)instance)->spooler, NULL);
}

static void
replay_destroy(void *instance)
{
	struct replay *replay = instance;

	xf_spool_batch_fini(&replay->batch);
	xf_spooled_headers_fini(&replay->headers);
	xf_runs_fini(&replay->taken);
	free(replay->slots);
	free(replay->done);
	free(replay);
}

static const struct xf_source_ops replay_ops = {
	.struct_size = sizeof(replay_ops),
	.create = replay_create,
	.start = replay_start,
	.work = replay_work,
	.settle = replay_settle,
	.stop = replay_stop,
	.destroy = replay_destroy,
};

const struct xf_transport_class xf_replay_class = {
	.head = {.struct_size = sizeof(xf_replay_class), .name = "spool"},
	.source = &replay_ops,
};
