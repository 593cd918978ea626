/*
 * ratelimit-redis - the same limit for all servers that use the same Redis.
 *
 * A key's window is a hash in Redis, slot by slot, and a script counts within it: whoever asks, the answer takes all that was counted
 * before into account. The clock is the Redis server's, the same for all.
 *
 * A task that was asked for is a question, found by its tag; one that was cancelled meanwhile has no token.
 */
#include <stdio.h>
#include <stdlib.h>

#include "client.h"
#include "limit.h"

#define BATCH 256u
#define AWAY_MS 1000u /* where Redis is away and the message waits */
#define TRIES_MAX 3u

enum { REDIS = LIMIT_ROWS, PREFIX, WHEN_DOWN };
enum { DOWN_ALLOW, DOWN_DELAY };

static const char *const down_words[] = {"allow", "delay", NULL};

static const struct xf_option *const options[] = {
	[LIMIT_KEY] = &limit_key,
	[LIMIT_RATE] = &limit_rate,
	[LIMIT_PER] = &limit_per,
	[LIMIT_OVER] = &limit_over,
	[REDIS] = &client_option,
	[PREFIX] = ROW(.type = XF_OPTION_STRING, .key = "prefix",
	               .help = "What the keys in Redis begin with; crossfade:ratelimit:ROUTE/NAME: where it is not given"),
	[WHEN_DOWN] = ROW(.type = XF_OPTION_ENUM, .key = "when_down", .def = "allow", .values = down_words,
	                  .help = "What happens while Redis is away: allow lets everything through, delay holds it until Redis is back"),
	NULL,
};

/* With 60 slots a window, as windows.h has it. Returns the milliseconds until there is room; 0: it was counted. */
static const char script_text[] =
	"local time = redis.call('TIME')\n"
	"local now = time[1] * 1000 + math.floor(time[2] / 1000)\n"
	"local rate, per = tonumber(ARGV[1]), tonumber(ARGV[2])\n"
	"local slot = math.floor(now * 60 / per)\n"
	"local all, counts, gone, sum = redis.call('HGETALL', KEYS[1]), {}, {}, 0\n"
	"for i = 1, #all, 2 do\n"
	"  local at, count = tonumber(all[i]), tonumber(all[i + 1])\n"
	"  if at < slot - 60 then gone[#gone + 1] = all[i]\n"
	"  else counts[#counts + 1] = {at, count}; sum = sum + count end\n"
	"end\n"
	"if #gone > 0 then redis.call('HDEL', KEYS[1], unpack(gone)) end\n"
	"if sum < rate then\n"
	"  redis.call('HINCRBY', KEYS[1], string.format('%.0f', slot), 1)\n"
	"  redis.call('PEXPIRE', KEYS[1], math.ceil(per * 61 / 60))\n"
	"  return 0\n"
	"end\n"
	"table.sort(counts, function(a, b) return a[1] < b[1] end)\n"
	"for _, each in ipairs(counts) do\n"
	"  sum = sum - each[2]\n"
	"  if sum < rate then return math.max(1, math.ceil((each[1] + 61) * per / 60) - now) end\n"
	"end\n"
	"return 1\n";

struct question {
	uint64_t token; /* 0: nobody waits for the answer */
	const struct xf_incoming *message;
	uint32_t tries;
	uint32_t next_free;
};

struct shared {
	struct limit limit;
	struct client_script script;
	struct client *client;
	struct bytes key; /* begins with the prefix */
	size_t prefix_len;
	char rate[24], per[24];
	int64_t when_down;
	uint32_t free; /* the first free question; CLIENT_WINDOW: none */
	struct question questions[CLIENT_WINDOW];
	_Atomic uint64_t unchecked;
};

/* ---- Questions ------------------------------------------------------------------------------ */

/* Redis is away, or cannot say. */
static void
down_finish(struct shared *s, uint64_t token)
{
	const struct xf_outcome later = {
		.token = token,
		.code = XF_OUTCOME_LATER,
		.delay_ms = AWAY_MS,
		.reason = str_of("Redis cannot say whether it is within the limit"),
	};

	if (s->when_down == DOWN_ALLOW) {
		atomic_fetch_add_explicit(&s->unchecked, 1, memory_order_relaxed);
		task_finish(s->limit.host, s->limit.endpoint, token, XF_OUTCOME_PASS, NULL);
	} else {
		s->limit.host->finish(s->limit.endpoint, &later, sizeof(later), 1);
	}
}

static bool
ask(struct shared *s, uint32_t index, struct xf_str key)
{
	s->key.len = s->prefix_len;
	bytes_str(&s->key, key);
	return client_ask(s->client, index + 1, 6,
	                  (const struct xf_str[]){
				  str_of("EVALSHA"),
				  str_of(s->script.sha),
				  str_of("1"),
				  {s->key.data, s->key.len},
				  str_of(s->rate),
				  str_of(s->per),
			  });
}

static void
question_end(struct shared *s, uint32_t index)
{
	s->questions[index].token = 0;
	s->questions[index].next_free = s->free;
	s->free = index;
}

/* The script is being loaded again; the same question goes behind it. */
static bool
asked_again(struct shared *s, uint32_t index)
{
	struct question *question = &s->questions[index];
	struct xf_str key;

	return ++question->tries < TRIES_MAX && limit_key_of(&s->limit, question->message, &key, NULL) && ask(s, index, key);
}

static void
shared_answered(void *context, uint64_t tag, const redisReply *reply)
{
	struct shared *s = context;
	uint32_t index = (uint32_t)tag - 1;
	uint64_t token = s->questions[index].token;

	if (token != 0 && client_repeats(reply) && asked_again(s, index))
		return;
	question_end(s, index);
	if (token == 0)
		return;
	if (reply != NULL && reply->type == REDIS_REPLY_INTEGER)
		limit_finish(&s->limit, token, reply->integer > 0 ? (uint64_t)reply->integer : 0);
	else
		down_finish(s, token);
}

static bool
task_take(struct shared *s, const struct xf_task *task)
{
	struct xf_error error = {{0}};
	uint32_t index = s->free;
	struct xf_str key;

	if (client_down(s->client)) {
		down_finish(s, task->token);
		return true;
	}
	if (!limit_key_of(&s->limit, task->message, &key, &error)) {
		task_finish(s->limit.host, s->limit.endpoint, task->token, XF_OUTCOME_REFUSE, error.text);
		return true;
	}
	if (index == CLIENT_WINDOW || !ask(s, index, key))
		return false;
	s->free = s->questions[index].next_free;
	s->questions[index] = (struct question){.token = task->token, .message = task->message};
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

static void
shared_cancel(void *instance, uint64_t token)
{
	struct shared *s = instance;

	for (uint32_t i = 0; i < CLIENT_WINDOW; i++)
		if (s->questions[i].token == token)
			s->questions[i].token = 0;
}

static void
shared_work(void *instance, struct xf_work *work)
{
	struct shared *s = instance;

	client_work(s->client, work);
	work->room = client_down(s->client) ? BATCH : client_room(s->client);
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

	limit_fini(&s->limit);
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
		bytes_puts(&s->key, "crossfade:ratelimit:");
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

	s->script.text = script_text;
	if (limit_init(&s->limit, host, endpoint, config, error) == 0)
		s->client = client_create(host, endpoint, host->option(config, REDIS)->map, info, &s->script, shared_answered, s, error);
	if (s->client == NULL) {
		shared_destroy(s);
		return -1;
	}
	prefix_read(s, host->option(config, PREFIX), info);
	snprintf(s->rate, sizeof(s->rate), "%u", s->limit.rate);
	snprintf(s->per, sizeof(s->per), "%llu", (unsigned long long)s->limit.per_ms);
	s->when_down = host->option(config, WHEN_DOWN)->i64;
	for (uint32_t i = 0; i < CLIENT_WINDOW; i++)
		s->questions[i].next_free = i + 1;
	*instance = s;
	return 0;
}

static int32_t
shared_check(const struct xf_host *host, const struct xf_config *config, const struct xf_handler_info *info, struct xf_error *error)
{
	struct limit limit = {.host = host};
	int32_t result = limit_init(&limit, host, NULL, config, error);

	(void)info;
	limit_fini(&limit);
	return result == 0 ? client_check(host, host->option(config, REDIS)->map, error) : -1;
}

static uint32_t
shared_numbers(void *instance, struct xf_number *numbers, uint32_t count)
{
	struct shared *s = instance;
	const struct xf_number all[] = {
		{"ratelimit_limited", "Messages that were over the limit, each time they came.", atomic_load(&s->limit.limited), 0, 0},
		{"ratelimit_unchecked", "Messages that passed because Redis could not say.", atomic_load(&s->unchecked), 0, 0},
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
	.numbers = shared_numbers,
};

static const struct xf_handler_class shared_class = {
	.head = {
		.struct_size = sizeof(shared_class),
		.kind = XF_KIND_HANDLER,
		.name = "ratelimit-redis",
		.summary = "Lets through so many messages of a key within a sliding window, of all servers that share a Redis",
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
		.id = "org.crossfade.ratelimit-redis",
		.version = XF_VERSION,
		.licence = "Apache-2.0",
		.url = "",
		.classes = classes,
	};

	return &entry;
}
