/*
 * dedupe-redis - the same memory for all servers that use the same Redis.
 *
 * Whoever comes first writes his mark under the id, for as long as `lease` says, and everybody asks whose stands there: both go out together.
 * What has come to stand writes STOOD in its place. Marks are numbers that nobody else has, so a mark that is found again is one's own.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#include "client.h"
#include "ids.h"

#define BATCH 256u
#define TWIN_MS 100u /* where the first is under way */
#define AWAY_MS 1000u /* where Redis is away and the message waits */
#define STOOD "stood"

enum { REDIS = IDS_ROWS, PREFIX, LEASE, WHEN_DOWN };
enum { DOWN_PASS, DOWN_DELAY };

static const char *const down_words[] = {"pass", "delay", NULL};

static const struct xf_option *const options[] = {
	[IDS_ID] = &ids_id,
	[IDS_WITHIN] = &ids_within,
	[REDIS] = &client_option,
	[PREFIX] = ROW(.type = XF_OPTION_STRING, .key = "prefix",
	               .help = "What the keys in Redis begin with; crossfade:dedupe:ROUTE/NAME: where it is not given"),
	[LEASE] = ROW(.type = XF_OPTION_DURATION, .key = "lease", .def = "1m", .min = 100, .max = 86400000,
	              .help = "For so long at most others wait for the first of an id, whose server may have died"),
	[WHEN_DOWN] = ROW(.type = XF_OPTION_ENUM, .key = "when_down", .def = "delay", .values = down_words,
	                  .help = "What happens while Redis is away: delay holds messages until it is back, pass lets all through"),
	NULL,
};

/* What was asked about a task; in the order of the answers. */
struct question {
	uint64_t token; /* 0: nobody waits for the answer */
	const struct xf_incoming *message;
	uint64_t number; /* of its mark */
	uint32_t next_free;
};

struct shared {
	struct ids ids;
	struct client *client;
	struct bytes key; /* begins with the prefix */
	size_t prefix_len;
	char within[24], lease[24];
	uint64_t lease_ms;
	int64_t when_down;
	uint64_t mine, number; /* what makes a mark */
	uint32_t free;         /* the first free question; CLIENT_WINDOW: none */
	struct question questions[CLIENT_WINDOW];
	_Atomic uint64_t unchecked;
};

/* ---- Questions ------------------------------------------------------------------------------ */

static struct xf_str
redis_key(struct shared *s, struct xf_str id)
{
	s->key.len = s->prefix_len;
	bytes_str(&s->key, id);
	return (struct xf_str){s->key.data, s->key.len};
}

static struct xf_str
mark_text(const struct shared *s, uint64_t number, char text[48])
{
	return (struct xf_str){text, (uint64_t)snprintf(text, 48, "%016" PRIx64 "-%" PRIu64, s->mine, number)};
}

static bool
ask(struct shared *s, uint32_t index, struct xf_str id)
{
	struct xf_str key = redis_key(s, id);
	char text[48];

	return client_room(s->client) >= 2 &&
	       client_ask(s->client, 0, 6,
	                  (const struct xf_str[]){str_of("SET"), key, mark_text(s, s->questions[index].number, text), str_of("NX"),
	                                          str_of("PX"), str_of(s->lease)}) &&
	       client_ask(s->client, index + 1, 2, (const struct xf_str[]){str_of("GET"), key});
}

/* Redis is away, or cannot say. */
static void
down_finish(struct shared *s, uint64_t token)
{
	if (s->when_down == DOWN_DELAY) {
		ids_wait(&s->ids, token, "Redis cannot say whether it came before", AWAY_MS);
		return;
	}
	atomic_fetch_add_explicit(&s->unchecked, 1, memory_order_relaxed);
	task_finish(s->ids.host, s->ids.endpoint, token, XF_OUTCOME_PASS, NULL);
}

static void
answer_take(struct shared *s, const struct question *question, const redisReply *reply)
{
	struct xf_str found = {NULL, 0}, id;
	char text[48];

	if (reply == NULL || (reply->type != REDIS_REPLY_STRING && reply->type != REDIS_REPLY_NIL)) {
		down_finish(s, question->token);
		return;
	}
	if (reply->type == REDIS_REPLY_STRING)
		found = (struct xf_str){reply->str, (uint64_t)reply->len};
	if (str_equal(found, str_of(STOOD))) {
		ids_drop(&s->ids, question->token);
	} else if (!str_equal(found, mark_text(s, question->number, text))) {
		ids_wait(&s->ids, question->token, "another of this id is under way", TWIN_MS);
	} else {
		view_open(&s->ids.view, question->message);
		template_value(s->ids.id, &s->ids.view, &s->ids.scratch, &id, NULL);
		ids_pass(&s->ids, question->token, id);
	}
}

static void
shared_answered(void *context, uint64_t tag, const redisReply *reply)
{
	struct shared *s = context;
	uint32_t index = (uint32_t)tag - 1;
	struct question question = s->questions[index];

	s->questions[index] = (struct question){.next_free = s->free};
	s->free = index;
	if (question.token != 0)
		answer_take(s, &question, reply);
}

static bool
task_take(struct shared *s, const struct xf_task *task)
{
	uint32_t index = s->free;
	struct xf_str id;

	if (client_down(s->client)) {
		down_finish(s, task->token);
		return true;
	}
	if (index == CLIENT_WINDOW || client_room(s->client) < 2)
		return false;
	if (!ids_of(&s->ids, task, &id))
		return true;
	s->free = s->questions[index].next_free;
	s->questions[index] = (struct question){.token = task->token, .message = task->message, .number = ++s->number};
	if (!ask(s, index, id))
		shared_answered(s, index + 1, NULL);
	return true;
}

static uint32_t
shared_process(void *instance, const struct xf_task *tasks, uint32_t stride, uint32_t count)
{
	struct shared *s = instance;
	uint32_t taken = 0;

	while (taken < count && task_take(s, task_at(tasks, stride, taken)))
		taken++;
	client_flush(s->client);
	return taken;
}

/* Its mark stays where nobody waits for it any more, until its lease is over, or it comes again and is told to wait for that. */
static void
shared_cancel(void *instance, uint64_t token)
{
	struct shared *s = instance;

	for (uint32_t i = 0; i < CLIENT_WINDOW; i++)
		if (s->questions[i].token == token)
			s->questions[i].token = 0;
}

/* A mark whose lease may be over is not ours to take away. */
static void
settle(struct shared *s, const struct xf_settled *settled)
{
	struct passed *passed = ids_settled(&s->ids, settled->token);
	struct xf_str key;

	if (passed == NULL)
		return;
	key = redis_key(s, passed->id);
	if (settled->code == XF_SETTLED_STOOD)
		client_ask(s->client, 0, 5,
		           (const struct xf_str[]){str_of("SET"), key, str_of(STOOD), str_of("PX"), str_of(s->within)});
	else if (s->ids.host->now_ms() - passed->at_ms < s->lease_ms / 2)
		client_ask(s->client, 0, 2, (const struct xf_str[]){str_of("DEL"), key});
	ids_forget(&passed);
}

static void
shared_settled(void *instance, const struct xf_settled *settled, uint32_t stride, uint32_t count)
{
	struct shared *s = instance;

	for (uint32_t i = 0; i < count; i++)
		settle(s, (const void *)((const char *)settled + (size_t)i * stride));
	client_flush(s->client);
}

static void
shared_work(void *instance, struct xf_work *work)
{
	struct shared *s = instance;

	client_work(s->client, work);
	work->room = client_down(s->client) ? BATCH : client_room(s->client) / 2;
}

/* ---- Life ------------------------------------------------------------------------------------- */

static void
shared_stop(void *instance)
{
	client_close(((struct shared *)instance)->client);
}

static void
shared_destroy(void *instance)
{
	struct shared *s = instance;

	ids_fini(&s->ids);
	client_destroy(&s->client);
	bytes_fini(&s->key);
	free(s);
}

static void
prefix_read(struct shared *s, const struct xf_value *prefix, const struct xf_handler_info *info)
{
	if (prefix->present) {
		bytes_str(&s->key, prefix->str);
	} else {
		bytes_puts(&s->key, "crossfade:dedupe:");
		bytes_str(&s->key, info->name);
		bytes_puts(&s->key, ":");
	}
	s->prefix_len = s->key.len;
}

static int32_t
shared_create(const struct xf_host *host, struct xf_endpoint *endpoint, const struct xf_config *config,
              const struct xf_handler_info *info, void **instance, struct xf_error *error)
{
	struct shared *s = need(calloc(1, sizeof(*s)));

	if (ids_init(&s->ids, host, endpoint, config, error) == 0)
		s->client = client_create(host, endpoint, host->option(config, REDIS)->map, info, NULL, shared_answered, s, error);
	if (s->client == NULL) {
		shared_destroy(s);
		return -1;
	}
	prefix_read(s, host->option(config, PREFIX), info);
	s->lease_ms = (uint64_t)host->option(config, LEASE)->i64;
	snprintf(s->lease, sizeof(s->lease), "%" PRIu64, s->lease_ms);
	snprintf(s->within, sizeof(s->within), "%" PRIu64, s->ids.within_ms);
	s->when_down = host->option(config, WHEN_DOWN)->i64;
	if (getrandom(&s->mine, sizeof(s->mine), 0) != sizeof(s->mine))
		s->mine = (uint64_t)host->wall_ms() ^ (uint64_t)(uintptr_t)s;
	for (uint32_t i = 0; i < CLIENT_WINDOW; i++)
		s->questions[i].next_free = i + 1;
	*instance = s;
	return 0;
}

static int32_t
shared_check(const struct xf_host *host, const struct xf_config *config, const struct xf_handler_info *info, struct xf_error *error)
{
	struct ids ids = {.host = host};
	int32_t result = ids_init(&ids, host, NULL, config, error);

	(void)info;
	ids_fini(&ids);
	return result == 0 ? client_check(host, host->option(config, REDIS)->map, error) : -1;
}

static uint32_t
shared_numbers(void *instance, struct xf_number *numbers, uint32_t count)
{
	struct shared *s = instance;
	const struct xf_number all[] = {
		{"dedupe_dropped", "Messages that were dropped, since one of their id stood.", atomic_load(&s->ids.dropped), 0, 0},
		{"dedupe_waited", "Messages that came while one of their id was under way, or Redis away, each time.",
		 atomic_load(&s->ids.waited), 0, 0},
		{"dedupe_unchecked", "Messages that passed because Redis could not say.", atomic_load(&s->unchecked), 0, 0},
	};

	return numbers_copy(numbers, count, all, sizeof(all) / sizeof(*all));
}

static const struct xf_handler_ops ops = {
	.struct_size = sizeof(ops),
	.check = shared_check,
	.create = shared_create,
	.work = shared_work,
	.process = shared_process,
	.cancel = shared_cancel,
	.stop = shared_stop,
	.destroy = shared_destroy,
	.settled = shared_settled,
	.numbers = shared_numbers,
};

static const struct xf_handler_class shared_class = {
	.head = {
		.struct_size = sizeof(shared_class),
		.kind = XF_KIND_HANDLER,
		.name = "dedupe-redis",
		.summary = "Drops messages that came before, and stood, at any server that shares a Redis",
	},
	.options = options,
	.ops = &ops,
};

const struct xf_entry *
xf_plugin_entry_v1(void)
{
	static const struct xf_class *const classes[] = {&shared_class.head, NULL};
	static const struct xf_entry entry = {
		XF_ENTRY_HEAD,
		.id = "org.crossfade.dedupe-redis",
		.version = XF_VERSION,
		.licence = "Apache-2.0",
		.url = "",
		.classes = classes,
	};

	return &entry;
}
