/*
 * cache-redis - answers from Redis what was answered before, by any server.
 *
 * Each look-up is a flight, which the question's tag points to; what comes of the same key meanwhile joins it.
 */
#include <stdio.h>
#include <stdlib.h>

#include "cache.h"
#include "client.h"
#include "sweep.h"

#define BATCH 256u
#define AWAY_MS 1000u /* where Redis is away and the message waits */

enum { REDIS = CACHE_ROWS, WHEN_DOWN };
enum { DOWN_PASS, DOWN_DELAY };

static const char *const down_words[] = {"pass", "delay", NULL};

static const struct xf_option *const options[] = {
	CACHE_OPTIONS,
	[REDIS] = &client_option,
	[WHEN_DOWN] = ROW(.type = XF_OPTION_ENUM, .key = "when_down", .def = "pass", .values = down_words,
	                  .help = "What happens while Redis is away: pass takes every message for one that is not there, delay holds it until "
	                          "Redis is back"),
	NULL,
};

struct shared {
	struct cache cache; /* first */
	struct client *client;
	struct sweep *sweep;
	struct bytes key; /* begins with the prefix */
	size_t prefix_len;
	int64_t when_down;
	_Atomic uint64_t away;
};

/* ---- Redis is away ----------------------------------------------------------------------------- */

static bool
is_away(const struct shared *s)
{
	return client_down(s->client);
}

/* Whoever looks something up, and would be refused what is not there, has to know that nobody knows. */
static void
away_finish(struct shared *s, uint64_t token)
{
	struct xf_outcome outcome = {.token = token, .code = XF_OUTCOME_PASS};

	atomic_fetch_add_explicit(&s->away, 1, memory_order_relaxed);
	if (s->when_down == DOWN_DELAY || s->cache.refuses) {
		outcome.code = s->when_down == DOWN_DELAY ? XF_OUTCOME_LATER : XF_OUTCOME_FAIL;
		outcome.delay_ms = AWAY_MS;
		outcome.status = 503;
		outcome.reason = str_of("Redis cannot say whether there is something of this key");
	}
	s->cache.host->finish(s->cache.endpoint, &outcome, sizeof(outcome), 1);
}

static void
flight_away(struct shared *s, struct flight *flight)
{
	while (flight->first != NULL) {
		struct guest *guest = flight->first;
		uint64_t token = guest->token;

		guest_leave(&s->cache.flights, &guest);
		away_finish(s, token);
	}
	flight_end(&s->cache.flights, &flight);
}

/* ---- Questions ----------------------------------------------------------------------------------- */

static struct xf_str
redis_key(struct shared *s, struct xf_str key)
{
	s->key.len = s->prefix_len;
	bytes_str(&s->key, key);
	return (struct xf_str){s->key.data, s->key.len};
}

static bool
ask(struct shared *s, struct flight *flight)
{
	return client_ask(s->client, (uint64_t)(uintptr_t)flight, 2,
	                  (const struct xf_str[]){str_of("GET"), redis_key(s, flight->key)});
}

static bool
shared_keep(struct cache *cache, struct xf_str key, struct xf_str data, uint64_t ttl_ms)
{
	struct shared *s = (struct shared *)cache;
	char ttl[24];
	bool asked;

	snprintf(ttl, sizeof(ttl), "%llu", (unsigned long long)ttl_ms);
	asked = client_ask(s->client, 0, 5,
	                   (const struct xf_str[]){str_of("SET"), redis_key(s, key), data, str_of("PX"), str_of(ttl)});
	client_flush(s->client);
	return asked;
}

static void
shared_answered(void *context, uint64_t tag, const redisReply *reply)
{
	struct shared *s = context;
	struct flight *flight = (struct flight *)(uintptr_t)tag;

	if (tag == SWEEP_TAG)
		sweep_answered(s->sweep, reply);
	else if (reply != NULL && reply->type == REDIS_REPLY_STRING)
		cache_found(&s->cache, flight, (struct xf_str){reply->str, (uint64_t)reply->len});
	else if (reply != NULL && reply->type == REDIS_REPLY_NIL)
		cache_found(&s->cache, flight, (struct xf_str){NULL, 0});
	else
		flight_away(s, flight);
}

static bool
task_take(struct shared *s, const struct xf_task *task)
{
	struct flight *flight;
	struct xf_str key;
	uint64_t ttl_ms;

	if (is_away(s)) {
		away_finish(s, task->token);
		return true;
	}
	if (client_room(s->client) == 0)
		return false;
	if (!cache_begin(&s->cache, task, &key, &ttl_ms))
		return true;
	flight = s->cache.single_flight ? flight_find(&s->cache.flights, key) : NULL;
	if (flight != NULL) {
		atomic_fetch_add_explicit(&s->cache.waited, 1, memory_order_relaxed);
		flight_join(&s->cache.flights, flight, task);
		return true;
	}
	flight = flight_begin(&s->cache.flights, key, task, ttl_ms, s->cache.single_flight);
	if (!ask(s, flight))
		flight_away(s, flight);
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
	cache_cancel(&((struct shared *)instance)->cache, token);
}

static void
shared_work(void *instance, struct xf_work *work)
{
	struct shared *s = instance;

	client_work(s->client, work);
	sweep_work(s->sweep);
	work->room = is_away(s) ? BATCH : client_room(s->client);
}

/* ---- Life ------------------------------------------------------------------------------------------ */

static void
shared_stop(void *instance)
{
	struct shared *s = instance;

	sweep_stop(s->sweep);
	client_close(s->client);
}

static void
shared_destroy(void *instance)
{
	struct shared *s = instance;

	cache_fini(&s->cache);
	sweep_destroy(&s->sweep);
	client_destroy(&s->client);
	bytes_fini(&s->key);
	free(s);
}

static int32_t
shared_create(const struct xf_host *host, struct xf_endpoint *endpoint, const struct xf_config *config,
              const struct xf_handler_info *info, void **instance, struct xf_error *error)
{
	struct shared *s = need(calloc(1, sizeof(*s)));

	s->cache.keep = shared_keep;
	if (cache_init(&s->cache, host, endpoint, config, error) == 0)
		s->client = client_create(host, endpoint, host->option(config, REDIS)->map, info, NULL, shared_answered, s, error);
	if (s->client == NULL) {
		shared_destroy(s);
		return -1;
	}
	bytes_puts(&s->key, "crossfade:cache:");
	bytes_str(&s->key, cache_store_name(host, config, info));
	bytes_puts(&s->key, ":");
	s->prefix_len = s->key.len;
	s->sweep = sweep_create(host, endpoint, s->client, (struct xf_str){s->key.data, s->key.len});
	s->when_down = host->option(config, WHEN_DOWN)->i64;
	*instance = s;
	return 0;
}

static int32_t
shared_check(const struct xf_host *host, const struct xf_config *config, const struct xf_handler_info *info, struct xf_error *error)
{
	struct cache cache = {.host = host};
	int32_t result = cache_init(&cache, host, NULL, config, error);

	(void)info;
	cache_fini(&cache);
	return result == 0 ? client_check(host, host->option(config, REDIS)->map, error) : -1;
}

static uint32_t
shared_numbers(void *instance, struct xf_number *numbers, uint32_t count)
{
	struct shared *s = instance;
	const struct xf_number more[] = {
		{"cache_away", "Messages that were not looked up, since Redis could not say.", atomic_load(&s->away), 0, 0},
	};

	return cache_numbers(&s->cache, more, 1, numbers, count);
}

static int32_t
shared_serve(void *instance, const struct xf_operator_request *request, struct xf_operator_response *response,
             struct xf_error *error)
{
	struct shared *s = instance;
	struct xf_number numbers[16];
	struct wish wish;

	if (wish_read(request, &wish, response, error) != 0)
		return -1;
	if (wish.kind != WISH_NUMBERS)
		return sweep_run(s->sweep, &wish, response, error);
	numbers_write(numbers, shared_numbers(s, numbers, 16), response);
	return 0;
}

static const struct xf_handler_ops ops = {
	.struct_size = sizeof(ops),
	.traits = cache_traits,
	.check = shared_check,
	.create = shared_create,
	.work = shared_work,
	.process = shared_process,
	.cancel = shared_cancel,
	.stop = shared_stop,
	.destroy = shared_destroy,
	.settled = cache_settled,
	.numbers = shared_numbers,
	.serve = shared_serve,
};

static const struct xf_handler_class shared_class = {
	.head = {
		.struct_size = sizeof(shared_class),
		.kind = XF_KIND_HANDLER,
		.name = "cache-redis",
		.summary = "Answers from Redis what was answered before, by any server",
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
		.id = "org.crossfade.cache-redis",
		.version = XF_VERSION,
		.licence = "Apache-2.0",
		.url = "",
		.classes = classes,
	};

	return &entry;
}
