/*
 * declare.c - see declare.h.
 */
#include "declare.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KNOWN_MAX 65536
#define MISMATCH_HOLD_MS 2000

void
declare_init(struct declare *declare, struct wire *wire, const struct topology *topology)
{
	memset(declare, 0, sizeof(*declare));
	declare->wire = wire;
	declare->topology = topology;
}

/* ---- What is known ------------------------------------------------------------------ */

static uint32_t
name_hash(struct xf_str name)
{
	uint64_t hash = 14695981039346656037u;
	uint64_t i;

	for (i = 0; i < name.len; i++)
		hash = (hash ^ (uint8_t)name.data[i]) * 1099511628211u;
	return (uint32_t)(hash ^ hash >> 32);
}

/* Where NAME stands in the table, or the empty place for it. */
static struct declared *
known_place(const struct declare *declare, struct xf_str name)
{
	uint32_t i = name_hash(name) & (declare->known_size - 1);

	while (declare->known[i].name != NULL && !settings_is(name, declare->known[i].name))
		i = (i + 1) & (declare->known_size - 1);
	return &declare->known[i];
}

const struct declared *
declare_find(const struct declare *declare, struct xf_str name, uint64_t now)
{
	const struct declared *queue;

	if (declare->known_size == 0)
		return NULL;
	queue = known_place(declare, name);
	return queue->name != NULL && (queue->mismatch == NULL || now < queue->until_ms) ? queue : NULL;
}

void
declare_forget(struct declare *declare)
{
	uint32_t i;

	for (i = 0; i < declare->known_size; i++) {
		free(declare->known[i].name);
		free(declare->known[i].mismatch);
	}
	free(declare->known);
	declare->known = NULL;
	declare->known_size = declare->known_count = 0;
}

static bool
known_grow(struct declare *declare)
{
	uint32_t old_size = declare->known_size, i;
	struct declared *old = declare->known;

	declare->known_size = old_size > 0 ? 2 * old_size : 64;
	declare->known = calloc(declare->known_size, sizeof(*declare->known));
	if (declare->known == NULL) {
		declare->known = old;
		declare->known_size = old_size;
		return false;
	}
	for (i = 0; i < old_size; i++)
		if (old[i].name != NULL)
			*known_place(declare, settings_str(old[i].name)) = old[i];
	free(old);
	return true;
}

/* Takes NAME, and MISMATCH, which may be NULL. */
static void
known_add(struct declare *declare, char *name, char *mismatch)
{
	struct declared *queue;

	if (declare->known_count >= KNOWN_MAX)
		declare_forget(declare);
	if (2 * declare->known_count >= declare->known_size && !known_grow(declare)) {
		free(name);
		free(mismatch);
		wire_fail(declare->wire, "out of memory");
		return;
	}
	queue = known_place(declare, settings_str(name));
	if (queue->name != NULL) {
		free(queue->name);
		free(queue->mismatch);
	} else {
		declare->known_count++;
	}
	*queue = (struct declared){name, mismatch, declare->wire->host->now_ms() + MISMATCH_HOLD_MS};
}

/* ---- Requests ------------------------------------------------------------------------- */

static void
clock_start(struct declare *declare)
{
	declare->due_ms = declare->wire->host->now_ms() + declare->wire->settings.confirm_timeout_ms;
}

void
declare_reset(struct declare *declare)
{
	uint32_t i;

	for (i = 0; i < declare->waiting_count; i++)
		free(declare->waiting[i]);
	declare->waiting_count = 0;
	declare->open = false;
	declare->forbidden[0] = '\0';
	declare_forget(declare);
}

static void
request_write(struct declare *declare, const char *name)
{
	if (!declare->open)
		codec_write_channel_open(&declare->wire->out, WIRE_CHANNEL_DECLARE);
	declare->open = true;
	topology_queue_write(declare->topology, &declare->wire->out, WIRE_CHANNEL_DECLARE, settings_str(name));
}

void
declare_begin(struct declare *declare, struct xf_str name)
{
	uint32_t i;
	char *copy;

	for (i = 0; i < declare->waiting_count; i++)
		if (settings_is(name, declare->waiting[i]))
			return;
	copy = settings_copy(name);
	if (copy == NULL) {
		wire_fail(declare->wire, "out of memory");
		return;
	}
	if (declare->waiting_count == 0)
		clock_start(declare);
	declare->waiting[declare->waiting_count++] = copy;
	request_write(declare, copy);
}

/* The first of those under way is answered. Takes MISMATCH. */
static void
request_done(struct declare *declare, char *mismatch)
{
	char *name = declare->waiting[0];

	declare->waiting_count--;
	memmove(declare->waiting, declare->waiting + 1, declare->waiting_count * sizeof(declare->waiting[0]));
	clock_start(declare);
	known_add(declare, name, mismatch);
}

/* The first was refused, and those behind it went down with the channel. */
static void
request_refused(struct declare *declare, const struct codec_frame *frame)
{
	char words[WIRE_REASON_MAX], *mismatch = NULL;
	struct codec_close reason;
	uint32_t i;

	if (!codec_close_read(frame, &reason)) {
		wire_fail(declare->wire, "the broker sent a malformed channel.close");
		return;
	}
	codec_write_empty(&declare->wire->out, WIRE_CHANNEL_DECLARE, CODEC_CHANNEL_CLOSE_OK);
	declare->open = false;
	if (declare->waiting_count == 0)
		return;
	if (reason.code == 406) {
		topology_mismatch(settings_str(declare->waiting[0]), reason.text, words, sizeof(words));
		mismatch = settings_copy(settings_str(words));
		if (mismatch == NULL)
			wire_fail(declare->wire, "out of memory");
	} else {
		snprintf(declare->forbidden, sizeof(declare->forbidden), "%.*s", SETTINGS_STR(reason.text));
	}
	request_done(declare, mismatch);
	for (i = 0; i < declare->waiting_count; i++)
		request_write(declare, declare->waiting[i]);
}

void
declare_frame(struct declare *declare, const struct codec_frame *frame)
{
	switch (frame->type == CODEC_FRAME_METHOD ? frame->method : 0) {
	case CODEC_CHANNEL_OPEN_OK:
		break;
	case CODEC_QUEUE_DECLARE_OK:
		if (declare->waiting_count > 0)
			request_done(declare, NULL);
		break;
	case CODEC_CHANNEL_CLOSE:
		request_refused(declare, frame);
		break;
	default:
		wire_fail(declare->wire, "the broker sent an unexpected method %u.%u", frame->method >> 16,
		          frame->method & 0xFFFF);
	}
}
