/*
 * setup.c - streams and consumers, asked for, compared, created; see setup.h.
 *
 *   for each stream of the settings: STREAM_INFO -> there: compare | missing: STREAM_CREATE
 *   for a source: FIND_STREAM -> READ_STREAM -> CONSUMER_INFO -> there: compare | missing: CONSUMER_CREATE
 *
 * Endpoints of one transport walk at the same time. Creating what another one has just created succeeds
 * where the settings are the same, and where they are not, the server says so.
 */
#include "setup.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "json.h"

#define ANSWER_MS 5000u
#define MS 1000000LL

#define ERR_CONSUMER_NOT_FOUND 10014
#define ERR_STREAM_NOT_FOUND 10059

enum step {
	STEP_STREAM_INFO,
	STEP_STREAM_CREATE,
	STEP_FIND_STREAM,
	STEP_READ_STREAM,
	STEP_CONSUMER_INFO,
	STEP_CONSUMER_CREATE,
	STEP_CONSUMER_UPDATE,
};

static void __attribute__((format(printf, 2, 3)))
block(struct setup *setup, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(setup->reason, sizeof(setup->reason), format, args);
	va_end(args);
	setup->state = SETUP_BLOCKED;
}

static void __attribute__((format(printf, 5, 6)))
ask(struct setup *setup, struct link *link, enum step step, struct text *body, const char *subject, ...)
{
	char name[1000], reply[64];
	struct xf_str to, inbox;
	va_list args;
	int len;

	len = snprintf(name, sizeof(name), "%s.", setup->settings->api);
	va_start(args, subject);
	vsnprintf(name + len, sizeof(name) - (size_t)len, subject, args);
	va_end(args);
	setup->step = step;
	setup->asked++;
	snprintf(reply, sizeof(reply), "%sr%u", link->inbox, setup->asked);
	to = (struct xf_str){name, strlen(name)};
	inbox = (struct xf_str){reply, strlen(reply)};
	link_publish(link, to, inbox, body != NULL ? body->data : NULL, body != NULL ? body->len : 0);
	setup->deadline_ms = link->settings->host->now_ms() + ANSWER_MS;
}

/* ---- Streams --------------------------------------------------------------------- */

static void
stream_create(struct setup *setup, struct link *link)
{
	const struct stream_settings *stream = &setup->settings->streams[setup->stream];
	struct text body = {0};
	uint32_t i;

	text_printf(&body, "{\"name\":");
	text_quote(&body, stream->name);
	text_printf(&body, ",\"subjects\":[");
	for (i = 0; i < stream->subject_count; i++) {
		if (i > 0)
			text_add(&body, ",", 1);
		text_quote(&body, stream->subjects[i]);
	}
	text_printf(&body,
	            "],\"retention\":\"%s\",\"storage\":\"%s\",\"discard\":\"%s\",\"max_consumers\":-1,"
	            "\"max_msgs_per_subject\":-1,\"max_msg_size\":-1,\"max_msgs\":%lld,\"max_bytes\":%lld,"
	            "\"max_age\":%lld,\"duplicate_window\":%lld,\"num_replicas\":%lld}",
	            stream->retention, stream->storage, stream->discard, (long long)stream->max_messages,
	            (long long)stream->max_bytes,
	            (long long)stream->max_age_ms * MS, (long long)stream->duplicate_window_ms * MS,
	            (long long)stream->replicas);
	ask(setup, link, STEP_STREAM_CREATE, &body, "STREAM.CREATE.%s", stream->name);
	text_fini(&body);
}

static bool
subjects_differ(const struct stream_settings *stream, struct xf_str array)
{
	struct xf_str cursor = array, element;
	uint32_t count = 0, i;
	char subject[1100];

	while (json_each(&cursor, &element)) {
		count++;
		json_string(element, subject, sizeof(subject));
		for (i = 0; i < stream->subject_count && strcmp(stream->subjects[i], subject) != 0; i++)
			;
		if (i == stream->subject_count)
			return true;
	}
	return count != stream->subject_count;
}

static bool
word_differs(struct setup *setup, struct xf_str config, const char *key, const char *wanted, bool given)
{
	char found[64];

	if (!given || !json_get_string(config, key, found, sizeof(found)) || strcmp(found, wanted) == 0)
		return false;
	block(setup, "stream %s has %s %s, not %s as the settings say; it is left as it is",
	      setup->settings->streams[setup->stream].name, key, found, wanted);
	return true;
}

static bool
number_differs(struct setup *setup, struct xf_str config, const char *key, const char *option, int64_t unit,
               int64_t wanted, int64_t absent, bool given)
{
	int64_t found = json_get_int(config, key, absent);

	if (!given || found == wanted * unit)
		return false;
	block(setup, "stream %s has %s %lld%s, not %lld%s as the settings say; it is left as it is",
	      setup->settings->streams[setup->stream].name, option, (long long)(found / unit),
	      unit == MS ? "ms" : "",
	      (long long)wanted, unit == MS ? "ms" : "");
	return true;
}

/* Blocks at the first difference. */
static bool
stream_fits(struct setup *setup, struct xf_str config)
{
	const struct stream_settings *stream = &setup->settings->streams[setup->stream];
	struct xf_str subjects = {0};

	json_get(config, "subjects", &subjects);
	if (subjects_differ(stream, subjects)) {
		block(setup, "stream %s has other subjects (%.*s) than the settings say; it is left as it is",
		      stream->name, subjects.len > 200 ? 200 : (int)subjects.len,
		      subjects.len > 0 ? subjects.data : "");
		return false;
	}
	return !word_differs(setup, config, "storage", stream->storage, stream->storage_given) &&
	       !word_differs(setup, config, "retention", stream->retention, stream->retention_given) &&
	       !word_differs(setup, config, "discard", stream->discard, stream->discard_given) &&
	       !number_differs(setup, config, "max_age", "max_age", MS, stream->max_age_ms, 0,
	                       stream->max_age_given) &&
	       !number_differs(setup, config, "max_bytes", "max_bytes", 1, stream->max_bytes, -1,
	                       stream->max_bytes_given) &&
	       !number_differs(setup, config, "max_msgs", "max_messages", 1, stream->max_messages, -1,
	                       stream->max_messages_given) &&
	       !number_differs(setup, config, "duplicate_window", "duplicate_window", MS,
	                       stream->duplicate_window_ms, 0,
	                       stream->window_given) &&
	       !number_differs(setup, config, "num_replicas", "replicas", 1, stream->replicas, 1,
	                       stream->replicas_given);
}

/* ---- A source's consumer --------------------------------------------------------- */

static void
ask_consumer(struct setup *setup, struct link *link)
{
	ask(setup, link, STEP_CONSUMER_INFO, NULL, "CONSUMER.INFO.%s.%s", setup->consumer.stream,
	    setup->want->durable);
}

static void
find_stream(struct setup *setup, struct link *link)
{
	struct text body = {0};

	if (setup->want->stream != NULL) {
		snprintf(setup->consumer.stream, sizeof(setup->consumer.stream), "%s", setup->want->stream);
		ask(setup, link, STEP_READ_STREAM, NULL, "STREAM.INFO.%s", setup->consumer.stream);
		return;
	}
	text_printf(&body, "{\"subject\":");
	text_quote(&body, setup->want->subject);
	text_add(&body, "}", 1);
	ask(setup, link, STEP_FIND_STREAM, &body, "STREAM.NAMES");
	text_fini(&body);
}

static void
stream_found(struct setup *setup, struct link *link, struct xf_str answer)
{
	struct xf_str names = {0}, element;
	char name[256];
	uint32_t count = 0;

	json_get(answer, "streams", &names);
	while (json_each(&names, &element)) {
		if (!json_string(element, name, sizeof(name)))
			continue;
		if (count++ == 0)
			snprintf(setup->consumer.stream, sizeof(setup->consumer.stream), "%s", name);
	}
	if (count == 0)
		block(setup,
		      "no stream stores '%s'; create one, or have it created by listing it under 'streams' of the "
		             "transport", setup->want->subject);
	else if (count > 1)
		block(setup, "%u streams store '%s' (%s, %s, ...); say which with 'stream'", count,
		      setup->want->subject,
		      setup->consumer.stream, name);
	else
		ask(setup, link, STEP_READ_STREAM, NULL, "STREAM.INFO.%s", setup->consumer.stream);
}

/* Whether every subject that NARROW allows, WIDE allows too. */
static bool
pattern_covers(const char *wide, const char *narrow)
{
	for (;;) {
		size_t w = strcspn(wide, "."), n = strcspn(narrow, ".");

		if (w == 1 && *wide == '>')
			return true;
		if (n == 1 && *narrow == '>')
			return false;
		if (w == 1 && *wide == '*')
			;
		else if (w != n || memcmp(wide, narrow, n) != 0)
			return false;
		if (wide[w] == '\0' || narrow[n] == '\0')
			return wide[w] == narrow[n];
		wide += w + 1;
		narrow += n + 1;
	}
}

/* The server wants a filter to lie within the stream's subjects; where the pattern takes all of them, it is
 * none. */
static bool
covers_stream(const char *pattern, struct xf_str subjects)
{
	struct xf_str element;
	char subject[1100];

	if (strcmp(pattern, ">") == 0)
		return true;
	if (subjects.len <= 2)
		return false;
	while (json_each(&subjects, &element)) {
		json_string(element, subject, sizeof(subject));
		if (!pattern_covers(pattern, subject))
			return false;
	}
	return true;
}

/* As JetStream calls it. */
static const char *const deliver_policies[] = {
	[DELIVER_ALL] = "all",
	[DELIVER_NEW] = "new",
	[DELIVER_LAST] = "last",
	[DELIVER_SINCE] = "by_start_time",
	[DELIVER_SEQUENCE] = "by_start_sequence",
};

static void
deliver_add(struct text *body, const struct consumer_want *want, int64_t wall_ms)
{
	int64_t begin_ms = wall_ms - want->deliver_since_ms;
	time_t seconds = (time_t)((begin_ms > 0 ? begin_ms : 0) / 1000);
	struct tm tm;
	char date[32];

	text_printf(body, ",\"deliver_policy\":\"%s\"", deliver_policies[want->deliver]);
	if (want->deliver == DELIVER_SEQUENCE)
		text_printf(body, ",\"opt_start_seq\":%llu", (unsigned long long)want->deliver_sequence);
	if (want->deliver != DELIVER_SINCE)
		return;
	gmtime_r(&seconds, &tm);
	strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%SZ", &tm);
	text_printf(body, ",\"opt_start_time\":\"%s\"", date);
}

static void
consumer_create(struct setup *setup, struct link *link)
{
	const struct consumer_want *want = setup->want;
	struct text body = {0};

	text_printf(&body, "{\"stream_name\":");
	text_quote(&body, setup->consumer.stream);
	text_printf(&body, ",\"config\":{\"durable_name\":");
	text_quote(&body, want->durable);
	if (setup->filter[0] != '\0') {
		text_printf(&body, ",\"filter_subject\":");
		text_quote(&body, setup->filter);
	}
	deliver_add(&body, want, setup->settings->host->wall_ms());
	if (want->ephemeral)
		text_printf(&body, ",\"inactive_threshold\":%lld", 60000ll * MS);
	text_printf(&body,
	            ",\"ack_policy\":\"explicit\",\"replay_policy\":\"instant\","
	            "\"ack_wait\":%lld,\"max_deliver\":-1,\"max_ack_pending\":%lld,\"max_waiting\":512}}",
	            (long long)want->ack_wait_ms * MS, (long long)want->max_ack_pending);
	ask(setup, link, STEP_CONSUMER_CREATE, &body, "CONSUMER.DURABLE.CREATE.%s.%s",
	    setup->consumer.stream,
	    want->durable);
	text_fini(&body);
}

/* CONFIG with the number KEY set to VALUE. */
static void
replace_number(struct text *out, struct xf_str config, const char *key, int64_t value)
{
	struct xf_str old;

	if (json_get(config, key, &old)) {
		text_add(out, config.data, (size_t)(old.data - config.data));
		text_printf(out, "%lld", (long long)value);
		text_add(out, old.data + old.len, (size_t)(config.data + config.len - (old.data + old.len)));
	} else {
		text_printf(out, "{\"%s\":%lld,", key, (long long)value);
		text_add(out, config.data + 1, config.len - 1);
	}
}

static void
consumer_update(struct setup *setup, struct link *link, struct xf_str config, int64_t ack_wait,
                int64_t max_ack_pending)
{
	struct text first = {0}, second = {0}, body = {0};

	replace_number(&first, config, "ack_wait", ack_wait);
	replace_number(&second, (struct xf_str){first.data, first.len}, "max_ack_pending", max_ack_pending);
	text_printf(&body, "{\"stream_name\":");
	text_quote(&body, setup->consumer.stream);
	text_printf(&body, ",\"config\":");
	text_add(&body, second.data, second.len);
	text_add(&body, "}", 1);
	ask(setup, link, STEP_CONSUMER_UPDATE, &body, "CONSUMER.DURABLE.CREATE.%s.%s",
	    setup->consumer.stream,
	    setup->want->durable);
	text_fini(&first);
	text_fini(&second);
	text_fini(&body);
}

/* Where the consumer began is where it was created to; it cannot begin anew. */
static bool
consumer_began_so(struct setup *setup, struct xf_str config)
{
	const struct consumer_want *want = setup->want;
	int64_t sequence = json_get_int(config, "opt_start_seq", 0);
	char policy[64];

	if (!want->deliver_given || !json_get_string(config, "deliver_policy", policy, sizeof(policy)))
		return true;
	if (strcmp(policy, deliver_policies[want->deliver]) == 0 &&
	    (want->deliver != DELIVER_SEQUENCE || (uint64_t)sequence == want->deliver_sequence))
		return true;
	block(setup,
	      "consumer %s of stream %s was created to deliver %s, not as the settings say, and goes on from its "
	      "place; take 'deliver' out of them, name another with 'durable', or delete this one to begin anew",
	      want->durable, setup->consumer.stream, policy);
	return false;
}

static bool
consumer_fits(struct setup *setup, struct xf_str config)
{
	const char *stream = setup->consumer.stream, *durable = setup->want->durable;
	char word[1100];
	int64_t max_deliver;

	if (json_get_string(config, "deliver_subject", word, sizeof(word)) && word[0] != '\0') {
		block(setup, "consumer %s of stream %s is a push consumer; name another with 'durable'",
		      durable, stream);
		return false;
	}
	json_get_string(config, "ack_policy", word, sizeof(word));
	if (strcmp(word, "explicit") != 0) {
		block(setup,
		      "consumer %s of stream %s has ack_policy %s, not explicit; name another with 'durable'", durable,
		      stream, word);
		return false;
	}
	max_deliver = json_get_int(config, "max_deliver", -1);
	if (max_deliver > 0) {
		block(setup,
		      "consumer %s of stream %s has max_deliver %lld and would lose messages, it must be -1; mend it or "
		             "name another with 'durable'", durable, stream, (long long)max_deliver);
		return false;
	}
	json_get_string(config, "filter_subject", word, sizeof(word));
	if (strcmp(word, setup->filter) != 0 &&
	    !(setup->filter[0] == '\0' && strcmp(word, setup->want->subject) == 0)) {
		block(setup,
		      "consumer %s of stream %s has filter_subject '%s', not '%s'; name another with 'durable', or delete "
		      "this one if nobody needs its place", durable, stream, word, setup->filter);
		return false;
	}
	return consumer_began_so(setup, config);
}

/* 2026-11-21T23:44:36.363591014Z, in ns since 1970; 0 where it is none. */
static int64_t
time_read(const char *text)
{
	struct tm tm = {0};
	const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
	int64_t ns = 0, unit = 100000000;

	if (rest == NULL)
		return 0;
	if (*rest == '.') {
		for (rest++; *rest >= '0' && *rest <= '9'; rest++, unit /= 10)
			ns += (*rest - '0') * unit;
	}
	return (int64_t)timegm(&tm) * 1000000000 + ns;
}

static void
consumer_read(struct setup *setup, struct xf_str answer)
{
	struct consumer_state *consumer = &setup->consumer;
	char created[64];

	json_get_string(answer, "created", created, sizeof(created));
	consumer->created_ns = time_read(created);
	consumer->ack_wait_ms = (uint64_t)(json_get_int(answer, "config.ack_wait", 30000 * MS) / MS);
	consumer->max_ack_pending = json_get_int(answer, "config.max_ack_pending", -1);
	consumer->delivered_stream = (uint64_t)json_get_int(answer, "delivered.stream_seq", 0);
	consumer->delivered_consumer = (uint64_t)json_get_int(answer, "delivered.consumer_seq", 0);
	consumer->floor_stream = (uint64_t)json_get_int(answer, "ack_floor.stream_seq", 0);
	consumer->ack_pending = json_get_int(answer, "num_ack_pending", 0);
	consumer->waiting = json_get_int(answer, "num_waiting", 0);
	setup->state = SETUP_DONE;
}

static void
consumer_found(struct setup *setup, struct link *link, struct xf_str answer)
{
	const struct consumer_want *want = setup->want;
	struct xf_str config = {0};
	int64_t ack_wait, max_ack_pending, wanted_wait, wanted_pending;

	json_get(answer, "config", &config);
	if (!consumer_fits(setup, config))
		return;
	consumer_read(setup, answer);
	ack_wait = json_get_int(config, "ack_wait", 30000 * MS);
	max_ack_pending = setup->consumer.max_ack_pending;
	wanted_wait = want->ack_wait_given ? (int64_t)want->ack_wait_ms * MS : ack_wait;
	wanted_pending =
	    max_ack_pending > 0 && max_ack_pending < want->max_ack_pending ? want->max_ack_pending
	                                                                  : max_ack_pending;
	if (wanted_wait == ack_wait && wanted_pending == max_ack_pending)
		return;
	setup->state = SETUP_RUNNING;
	consumer_update(setup, link, config, wanted_wait, wanted_pending);
}

/* ---- What helps ------------------------------------------------------------------- */

/* Errors that a person has to do something about, by the server's err_code. */
static const struct advice {
	int64_t code;
	const char *words;
} advices[] = {
	{10002, "the account's JetStream limits are reached: raise them, or delete what is not needed"},
	{10005, "no server of the cluster has room for it: add servers, or ask for fewer replicas"},
	{10023, "the server's JetStream limits are reached: raise max_file_store or max_memory_store"},
	{10026, "the account or the stream may have no more consumers: raise max_consumers, or delete some"},
	{10027, "the account may have no more streams: raise its limit, or delete some"},
	{10028, "the account's or server's memory for JetStream is used up: raise it, or use storage: file"},
	{10039, "the account may not use JetStream: enable it for the account"},
	{10047, "the account's or server's storage for JetStream is used up: raise it, or lower max_bytes"},
	{10065, "another stream stores some of these subjects already: change one of the two"},
	{10074, "this server is no cluster: set replicas to 1"},
	{10076, "start the server with JetStream"},
	{10077, "if its bounds are reached, raise them, or let its consumers catch up"},
	{10099, "a workqueue has one consumer for each subject: use that one's 'durable', or delete it"},
	{10100, "a workqueue has one consumer for each subject: use that one's 'durable', or delete it"},
	{10101, "a workqueue is read from its beginning only: take 'deliver' out"},
	{10113, "the account wants a bound for each stream: set max_bytes"},
	{10120, "the account has no JetStream limits for this: set them"},
	{10122, "the account allows no stream of this size: lower max_bytes"},
};

const char *
setup_advice(int64_t code)
{
	for (size_t i = 0; i < sizeof(advices) / sizeof(advices[0]); i++) {
		if (advices[i].code == code)
			return advices[i].words;
	}
	return NULL;
}

/* ---- The walk ---------------------------------------------------------------------- */

/*
 * The first walk of a connection believes what other endpoints of the transport found at the same server. One that is begun
 * anew does not: something is missing, or was not as it should be.
 */
static bool
streams_are_seen(const struct link *link)
{
	struct streams_seen *seen = link->settings->seen;
	bool same;

	pthread_mutex_lock(&seen->lock);
	same = link->setups == 1 && link->server_id[0] != '\0' && strcmp(seen->server, link->server_id) == 0;
	pthread_mutex_unlock(&seen->lock);
	return same;
}

static void
streams_see(const struct link *link)
{
	struct streams_seen *seen = link->settings->seen;

	pthread_mutex_lock(&seen->lock);
	memcpy(seen->server, link->server_id, sizeof(seen->server));
	pthread_mutex_unlock(&seen->lock);
}

static void
next_stream(struct setup *setup, struct link *link)
{
	if (setup->stream == 0 && streams_are_seen(link))
		setup->stream = setup->settings->stream_count;
	if (setup->stream < setup->settings->stream_count)
		ask(setup, link, STEP_STREAM_INFO, NULL, "STREAM.INFO.%s",
		    setup->settings->streams[setup->stream].name);
	else if (setup->want != NULL)
		find_stream(setup, link);
	else
		setup->state = SETUP_DONE;
}

void
setup_begin(struct setup *setup, struct link *link, const struct settings *settings,
            const struct consumer_want *want)
{
	uint32_t asked = setup->asked;

	*setup = (struct setup){.settings = settings, .want = want, .state = SETUP_RUNNING, .asked = asked};
	link->setups++;
	next_stream(setup, link);
}

/* What the server said instead of an answer, unless it is that something is not there. */
static bool
answer_error(struct setup *setup, const struct link_message *message, int64_t *code)
{
	struct xf_str error;
	char said[256], description[480];
	const char *advice;

	*code = 0;
	if (message->status == 503) {
		if (setup->settings->domain != NULL)
			block(setup, "no JetStream answers for domain %s; is it spelt as the server's, and reachable from there?",
			      setup->settings->domain);
		else
			block(setup, "JetStream is not enabled at the server, or not for this account");
		return true;
	}
	if (!json_get(message->payload, "error", &error))
		return false;
	*code = json_get_int(error, "err_code", 1);
	json_get_string(error, "description", said, sizeof(said));
	advice = setup_advice(*code);
	snprintf(description, sizeof(description), "%s%s%s", said, advice != NULL ? "; " : "",
	         advice != NULL ? advice : "");
	switch (setup->step) {
	case STEP_STREAM_INFO:
	case STEP_STREAM_CREATE:
		block(setup, "stream %s: %s", setup->settings->streams[setup->stream].name, description);
		break;
	case STEP_READ_STREAM:
		block(setup,
		      "stream %s: %s; create it, or have it created by listing it under 'streams' of the transport",
		      setup->consumer.stream, description);
		break;
	case STEP_FIND_STREAM:
		block(setup, "looking for a stream that stores '%s': %s", setup->want->subject, description);
		break;
	default:
		block(setup, "consumer %s of stream %s: %s", setup->want->durable, setup->consumer.stream,
		      description);
		break;
	}
	return true;
}

void
setup_answer(struct setup *setup, struct link *link, const struct link_message *message)
{
	struct xf_str answer = message->payload, value = {0};
	char number[16];
	int64_t code;
	size_t len;

	len = (size_t)snprintf(number, sizeof(number), "r%u", setup->asked);
	if (setup->state != SETUP_RUNNING || message->subject.len != link->inbox_len + len ||
	    memcmp(message->subject.data + link->inbox_len, number, len) != 0)
		return;
	if (answer_error(setup, message, &code)) {
		if (setup->step == STEP_STREAM_INFO && code == ERR_STREAM_NOT_FOUND) {
			setup->state = SETUP_RUNNING;
			stream_create(setup, link);
		} else if (setup->step == STEP_CONSUMER_INFO && code == ERR_CONSUMER_NOT_FOUND) {
			setup->state = SETUP_RUNNING;
			consumer_create(setup, link);
		} else if (setup->step == STEP_CONSUMER_UPDATE) {
			/* It works as it is. */
			snprintf(setup->notice, sizeof(setup->notice),
			         "%.*s; ack_wait and max_ack_pending stay as they were",
			         220, setup->reason);
			setup->state = SETUP_DONE;
		}
		return;
	}
	switch (setup->step) {
	case STEP_STREAM_INFO:
		json_get(answer, "config", &value);
		if (!stream_fits(setup, value))
			return;
		/* fall through */
	case STEP_STREAM_CREATE:
		setup->stream++;
		if (setup->stream == setup->settings->stream_count)
			streams_see(link);
		next_stream(setup, link);
		break;
	case STEP_FIND_STREAM:
		stream_found(setup, link, answer);
		break;
	case STEP_READ_STREAM:
		json_get(answer, "config.subjects", &value);
		if (!covers_stream(setup->want->subject, value))
			snprintf(setup->filter, sizeof(setup->filter), "%s", setup->want->subject);
		ask_consumer(setup, link);
		break;
	case STEP_CONSUMER_INFO:
		consumer_found(setup, link, answer);
		break;
	default:
		consumer_read(setup, answer);
		break;
	}
}

void
setup_refused(struct setup *setup, const char *reason)
{
	if (setup->state == SETUP_RUNNING)
		block(setup, "%s", reason);
}

void
setup_tick(struct setup *setup, struct link *link, uint64_t now)
{
	if (setup->state == SETUP_RUNNING && now >= setup->deadline_ms)
		link_fail(link, "%s: no answer from JetStream within %u ms", link->server, ANSWER_MS);
}
