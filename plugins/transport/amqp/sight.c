/*
 * sight.c - see sight.h.
 *
 * The requests of a round go out together and are answered in order, up to one that is refused: that closes the
 * channel, which is opened again for those behind it. A queue that is not there any more is forgotten, unless it is
 * the only one: that may come yet.
 */
#include "sight.h"

#include <string.h>

#define EVERY_MS 2000

void
sight_init(struct sight *sight, struct wire *wire)
{
	memset(sight, 0, sizeof(*sight));
	sight->wire = wire;
}

void
sight_reset(struct sight *sight, uint64_t now)
{
	sight->open = false;
	sight->asked = sight->answered = 0;
	sight->due_ms = now;
}

static bool
name_is(const char *name, struct xf_str text)
{
	return name[text.len] == '\0' && memcmp(name, text.data, text.len) == 0;
}

static void
name_set(char *place, struct xf_str name)
{
	memset(place, 0, CODEC_SHORT_MAX + 1);
	memcpy(place, name.data, name.len);
}

void
sight_note(struct sight *sight, struct xf_str name)
{
	uint32_t i;

	if (sight->asked > 0 || name.len == 0 || name.len > CODEC_SHORT_MAX)
		return;
	for (i = 0; i < sight->count; i++)
		if (name_is(sight->names[i], name))
			return;
	if (sight->count < SIGHT_QUEUES) {
		name_set(sight->names[sight->count++], name);
	} else {
		name_set(sight->names[sight->oldest], name);
		sight->oldest = (sight->oldest + 1) % SIGHT_QUEUES;
	}
}

void
sight_only(struct sight *sight, struct xf_str name)
{
	if (name.len == 0 || name.len > CODEC_SHORT_MAX)
		return;
	name_set(sight->names[0], name);
	sight->count = 1;
}

void
sight_hurry(struct sight *sight, uint64_t at)
{
	if (at < sight->due_ms)
		sight->due_ms = at;
}

/* Asks for the queues that are not answered for. */
static void
round_write(struct sight *sight)
{
	struct codec_buffer *out = &sight->wire->out;
	struct xf_str none = {NULL, 0};
	uint32_t i;

	if (!sight->open)
		codec_write_channel_open(out, WIRE_CHANNEL_SIGHT);
	sight->open = true;
	for (i = sight->answered; i < sight->asked; i++)
		codec_write_queue_declare(out, WIRE_CHANNEL_SIGHT, settings_str(sight->names[i]), CODEC_QUEUE_PASSIVE, none);
}

uint64_t
sight_tick(struct sight *sight, uint64_t now)
{
	/* An alarmed broker does not read; the answers of a round that is under way bring their own wake-up. */
	if (sight->count == 0 || sight->asked > 0 || sight->wire->blocked)
		return now + EVERY_MS;
	if (now < sight->due_ms)
		return sight->due_ms;
	sight->due_ms = now + EVERY_MS;
	sight->asked = sight->count;
	sight->answered = sight->found = 0;
	sight->messages = sight->consumers = 0;
	round_write(sight);
	return sight->due_ms;
}

/* Whether that was the last of the round. */
static bool
round_step(struct sight *sight)
{
	if (sight->answered < sight->asked)
		return false;
	sight->asked = sight->answered = 0;
	return true;
}

/* The queue that is answered for is not to be seen: it is missing, or another connection's alone. */
static bool
queue_refused(struct sight *sight)
{
	codec_write_empty(&sight->wire->out, WIRE_CHANNEL_SIGHT, CODEC_CHANNEL_CLOSE_OK);
	sight->open = false;
	if (sight->asked == 0)
		return false;
	if (sight->count > 1) {
		memmove(sight->names[sight->answered], sight->names[sight->answered + 1],
		        (sight->count - sight->answered - 1) * sizeof(sight->names[0]));
		sight->count--;
		sight->asked--;
		sight->oldest = 0;
	} else {
		sight->answered++;
	}
	if (sight->answered < sight->asked)
		round_write(sight);
	return round_step(sight);
}

bool
sight_frame(struct sight *sight, const struct codec_frame *frame)
{
	struct codec_queue queue;

	switch (frame->type == CODEC_FRAME_METHOD ? frame->method : 0) {
	case CODEC_CHANNEL_OPEN_OK:
		return false;
	case CODEC_CHANNEL_CLOSE:
		return queue_refused(sight);
	case CODEC_QUEUE_DECLARE_OK:
		if (sight->asked == 0 || !codec_queue_read(frame, &queue))
			break;
		sight->answered++;
		sight->found++;
		sight->messages += queue.messages;
		sight->consumers += queue.consumers;
		return round_step(sight);
	default:
		break;
	}
	wire_fail(sight->wire, "the broker sent an unexpected method %u.%u", frame->method >> 16, frame->method & 0xFFFF);
	return false;
}
