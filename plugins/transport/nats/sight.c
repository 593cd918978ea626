/*
 * sight.c - a walk of questions, begun anew every two seconds; see sight.h. The first comes a while after the connection, not
 * the same for all endpoints: a server that a thousand of them connect to has enough to do.
 *
 *   source: STREAM.INFO -> CONSUMER.INFO
 *   sink:   STREAM.NAMES (only while no PubAck has told) -> for each stream: STREAM.INFO -> CONSUMER.LIST, page by page
 *
 * Lag is what a consumer has yet to get and what it got and has not acked; of several consumers, the one that is
 * furthest behind.
 */
#include "sight.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"

#define INTERVAL_MS 2000u
#define FIRST_MS 500u
#define HURRY_MS 250u
#define ANSWER_MS 5000u
#define PAGES_MAX 16u /* of 256 consumers each: beyond that lag is not known */

#define NEVER UINT64_MAX

#define ERR_STREAM_NOT_FOUND 10059

enum {
	STEP_NAMES,
	STEP_STREAM,
	STEP_CONSUMER,
	STEP_CONSUMERS,
};

void
sight_init(struct sight *sight, const struct settings *settings, struct xf_endpoint *endpoint,
           const struct xf_str *subject, const char *durable)
{
	*sight = (struct sight){.settings = settings, .endpoint = endpoint, .durable = durable};
	if (subject != NULL) {
		const char *brace = subject->len > 0 ? memchr(subject->data, '{', subject->len) : NULL;
		struct text pattern = {0};
		size_t len = brace != NULL ? (size_t)(brace - subject->data) : subject->len;

		/* Whole tokens before the first that a message decides, and anything behind. */
		while (brace != NULL && len > 0 && subject->data[len - 1] != '.')
			len--;
		text_add(&pattern, subject->data, len);
		if (brace != NULL)
			text_add(&pattern, ">", 1);
		sight->pattern = pattern.data;
		sight->guessed = true;
	}
}

void
sight_fini(struct sight *sight)
{
	free(sight->pattern);
	sight->pattern = NULL;
}

void
sight_begin(struct sight *sight, const char *stream)
{
	sight->running = false;
	sight->due_ms = sight->settings->host->now_ms() + FIRST_MS + random_below(INTERVAL_MS - FIRST_MS);
	sight->asked++;
	sight->list_refused = false;
	sight->behind = true;
	sight->sample = sight->durable == NULL;
	if (stream != NULL) {
		snprintf(sight->streams[0], sizeof(sight->streams[0]), "%s", stream);
		sight->stream_count = 1;
	}
}

bool
sight_hurry(struct sight *sight, uint64_t now)
{
	if (!sight->behind || sight->running || sight->due_ms == NEVER || sight->due_ms <= now + HURRY_MS)
		return false;
	sight->due_ms = now + HURRY_MS;
	return true;
}

static void __attribute__((format(printf, 5, 6)))
ask(struct sight *sight, struct link *link, uint32_t step, struct text *body, const char *subject, ...)
{
	char *name = sight->question, reply[64];
	va_list args;
	int len;

	len = snprintf(name, sizeof(sight->question), "%s.", sight->settings->api);
	va_start(args, subject);
	vsnprintf(name + len, sizeof(sight->question) - (size_t)len, subject, args);
	va_end(args);
	sight->step = step;
	snprintf(reply, sizeof(reply), "%si%u", link->inbox, ++sight->asked);
	link_publish(link, (struct xf_str){name, strlen(name)}, (struct xf_str){reply, strlen(reply)},
	             body != NULL ? body->data : NULL, body != NULL ? body->len : 0);
	sight->deadline_ms = link->settings->host->now_ms() + ANSWER_MS;
}

static void
ask_names(struct sight *sight, struct link *link)
{
	struct text body = {0};

	text_printf(&body, "{\"subject\":");
	text_quote(&body, sight->pattern);
	text_add(&body, "}", 1);
	ask(sight, link, STEP_NAMES, &body, "STREAM.NAMES");
	text_fini(&body);
}

static void
ask_consumers(struct sight *sight, struct link *link)
{
	struct text body = {0};

	text_printf(&body, "{\"offset\":%u}", sight->offset);
	ask(sight, link, STEP_CONSUMERS, &body, "CONSUMER.LIST.%s", sight->streams[sight->stream]);
	text_fini(&body);
}

/* The walk is over. */
static void
finish(struct sight *sight, uint64_t now)
{
	const struct xf_host *host = sight->settings->host;

	sight->running = false;
	sight->due_ms = now + INTERVAL_MS;
	sight->sample = sight->durable == NULL;
	if (sight->failed || sight->sum.known == 0)
		return;
	sight->behind = sight->sum.lag != 0;
	if (host->struct_size > offsetof(struct xf_host, sight) && host->sight != NULL)
		host->sight(sight->endpoint, &sight->sum);
}

static void
next_stream(struct sight *sight, struct link *link)
{
	if (sight->stream == sight->stream_count) {
		finish(sight, link->settings->host->now_ms());
		return;
	}
	ask(sight, link, STEP_STREAM, NULL, "STREAM.INFO.%s", sight->streams[sight->stream]);
}

static void
begin(struct sight *sight, struct link *link)
{
	sight->running = true;
	sight->failed = false;
	sight->stream = 0;
	sight->sum = (struct xf_sight){.struct_size = sizeof(sight->sum)};
	if (sight->guessed)
		ask_names(sight, link);
	else
		next_stream(sight, link);
}

uint32_t
sight_tick(struct sight *sight, struct link *link, uint64_t now)
{
	if (sight->running && now >= sight->deadline_ms) {
		/* Nobody answers who may: ask again, without hurry. */
		sight->failed = true;
		sight->asked++;
		finish(sight, now);
	} else if (!sight->running && now >= sight->due_ms) {
		begin(sight, link);
	}
	if (!sight->running && sight->due_ms >= now + INTERVAL_MS)
		return INTERVAL_MS;
	return (uint32_t)((sight->running ? sight->deadline_ms : sight->due_ms) - now);
}

/* ---- Answers --------------------------------------------------------------------- */

static uint64_t
count_of(struct xf_str answer, const char *path)
{
	int64_t count = json_get_int(answer, path, 0);

	return count > 0 ? (uint64_t)count : 0;
}

static bool
listed(const struct settings *settings, const char *name)
{
	for (uint32_t i = 0; i < settings->stream_count; i++) {
		if (strcmp(settings->streams[i].name, name) == 0)
			return true;
	}
	return false;
}

/* Of several streams that may be meant, those that the settings name are. */
static void
names_came(struct sight *sight, struct xf_str answer)
{
	uint64_t total = 0;
	struct xf_str names = {0}, element;
	char *name;

	sight->stream_count = 0;
	json_get(answer, "streams", &names);
	for (struct xf_str cursor = names; json_each(&cursor, &element);)
		total++;
	while (json_each(&names, &element) && sight->stream_count < SIGHT_STREAMS) {
		name = sight->streams[sight->stream_count];
		if (json_string(element, name, sizeof(sight->streams[0])) &&
		    (total == 1 || listed(sight->settings, name)))
			sight->stream_count++;
	}
}

static void
stream_came(struct sight *sight, struct link *link, struct xf_str answer)
{
	sight->sum.known |= XF_SIGHT_DEPTH | XF_SIGHT_CONSUMERS;
	sight->sum.depth += count_of(answer, "state.messages");
	sight->sum.consumers += count_of(answer, "state.consumer_count");
	if (sight->durable != NULL) {
		ask(sight, link, STEP_CONSUMER, NULL, "CONSUMER.INFO.%s.%s", sight->streams[0], sight->durable);
		return;
	}
	sight->offset = sight->pages = 0;
	if (!sight->list_refused) {
		ask_consumers(sight, link);
		return;
	}
	sight->stream++;
	next_stream(sight, link);
}

static uint64_t
consumer_lag(struct xf_str consumer)
{
	return count_of(consumer, "num_pending") + count_of(consumer, "num_ack_pending");
}

static void
consumers_came(struct sight *sight, struct link *link, struct xf_str answer)
{
	struct xf_str consumers = {0}, consumer;
	uint64_t total = count_of(answer, "total");
	uint32_t seen = 0;

	json_get(answer, "consumers", &consumers);
	while (json_each(&consumers, &consumer)) {
		uint64_t lag = consumer_lag(consumer);

		sight->sum.known |= XF_SIGHT_LAG;
		if (lag > sight->sum.lag)
			sight->sum.lag = lag;
		seen++;
	}
	sight->offset += seen;
	if (seen > 0 && sight->offset < total) {
		if (++sight->pages < PAGES_MAX) {
			ask_consumers(sight, link);
			return;
		}
		sight->failed = true;
	}
	sight->stream++;
	next_stream(sight, link);
}

/* A stream that is gone is none of ours any more; where it was the last, guess anew. */
static void
stream_gone(struct sight *sight, struct link *link)
{
	uint32_t left = sight->stream_count - sight->stream - 1;

	memmove(sight->streams[sight->stream], sight->streams[sight->stream + 1], left * sizeof(sight->streams[0]));
	sight->stream_count--;
	sight->guessed = sight->stream_count == 0;
	next_stream(sight, link);
}

void
sight_answer(struct sight *sight, struct link *link, const struct link_message *message)
{
	struct xf_str answer = message->payload, error;
	char number[16];
	size_t len = (size_t)snprintf(number, sizeof(number), "i%u", sight->asked);

	if (!sight->running || message->subject.len != link->inbox_len + len ||
	    memcmp(message->subject.data + link->inbox_len, number, len) != 0)
		return;
	if (message->status != 0 || json_get(answer, "error", &error)) {
		if (message->status == 0 && sight->durable == NULL && sight->step != STEP_NAMES &&
		    json_get_int(error, "err_code", 0) == ERR_STREAM_NOT_FOUND) {
			stream_gone(sight, link);
			return;
		}
		sight->failed = true;
		finish(sight, link->settings->host->now_ms());
		return;
	}
	switch (sight->step) {
	case STEP_NAMES:
		names_came(sight, answer);
		next_stream(sight, link);
		break;
	case STEP_STREAM:
		stream_came(sight, link, answer);
		break;
	case STEP_CONSUMER:
		sight->sum.known |= XF_SIGHT_LAG;
		sight->sum.lag = consumer_lag(answer);
		finish(sight, link->settings->host->now_ms());
		break;
	default:
		consumers_came(sight, link, answer);
		break;
	}
}

bool
sight_refused(struct sight *sight, struct link *link, const char *reason)
{
	const char *quoted = strchr(reason, '"');
	size_t len = strlen(sight->question);

	if (!sight->running || quoted == NULL || strncmp(quoted + 1, sight->question, len) != 0 ||
	    quoted[1 + len] != '"')
		return false;
	sight->asked++;
	if (sight->step == STEP_CONSUMERS) {
		sight->list_refused = true;
		sight->stream++;
		next_stream(sight, link);
	} else {
		/* Without its stream there is nothing to tell; the next connection may be let to look. */
		sight->failed = true;
		finish(sight, 0);
		sight->due_ms = NEVER;
	}
	return true;
}

void
sight_sample(struct sight *sight, struct xf_str ack)
{
	char name[256];

	sight->sample = false;
	if (!json_get_string(ack, "stream", name, sizeof(name)) || name[0] == '\0')
		return;
	if (sight->guessed) {
		/* A walk about what was guessed is not finished as if it were about this. */
		sight->guessed = sight->running = false;
		sight->asked++;
		sight->stream_count = 0;
		sight->due_ms = 0;
	}
	for (uint32_t i = 0; i < sight->stream_count; i++) {
		if (strcmp(sight->streams[i], name) == 0)
			return;
	}
	if (sight->stream_count < SIGHT_STREAMS)
		snprintf(sight->streams[sight->stream_count++], sizeof(sight->streams[0]), "%s", name);
}
