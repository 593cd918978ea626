#include "sweep.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define RUN_MS 1000
#define PAGE "1000"
#define REMOVED_MAX 15 /* keys of one UNLINK: as many words as a question has, but one */

enum { IDLE, WISHED, RUNS, DONE, FAILED, STOPPED };

struct sweep {
	const struct xf_host *host;
	struct xf_endpoint *endpoint;
	struct client *client;
	struct xf_str prefix;
	struct bytes pattern; /* of the keys in Redis; the handler's thread alone */

	pthread_mutex_t lock; /* guards the rest */
	pthread_cond_t changed;
	int state;
	bool left; /* nobody waits for it any more */
	struct wish wish;
	struct bytes keys;
	uint64_t count;
	bool complete;
};

struct sweep *
sweep_create(const struct xf_host *host, struct xf_endpoint *endpoint, struct client *client, struct xf_str prefix)
{
	struct sweep *sweep = need(calloc(1, sizeof(*sweep)));
	pthread_condattr_t monotonic;

	sweep->host = host;
	sweep->endpoint = endpoint;
	sweep->client = client;
	sweep->prefix = str_copy(prefix);
	pthread_mutex_init(&sweep->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&sweep->changed, &monotonic);
	pthread_condattr_destroy(&monotonic);
	return sweep;
}

void
sweep_destroy(struct sweep **pointer)
{
	struct sweep *sweep = *pointer;

	*pointer = NULL;
	if (sweep == NULL)
		return;
	pthread_cond_destroy(&sweep->changed);
	pthread_mutex_destroy(&sweep->lock);
	bytes_fini(&sweep->pattern);
	bytes_fini(&sweep->keys);
	free((char *)sweep->prefix.data);
	free(sweep);
}

/* ---- The operator's thread ------------------------------------------------------------------ */

static int32_t
fail(struct xf_operator_response *response, uint32_t status, const char *reason, struct xf_error *error)
{
	response->status = status;
	snprintf(error->text, sizeof(error->text), "%s", reason);
	return -1;
}

static void
wait_locked(struct sweep *sweep)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += RUN_MS / 1000;
	while (sweep->state == WISHED || sweep->state == RUNS)
		if (pthread_cond_timedwait(&sweep->changed, &sweep->lock, &until) != 0)
			return;
}

static int32_t
answer_locked(struct sweep *sweep, struct xf_operator_response *response, struct xf_error *error)
{
	if (sweep->state == STOPPED)
		return fail(response, 503, "the handler has stopped", error);
	if (sweep->state == FAILED || sweep->state == WISHED)
		return fail(response, 503, "Redis is away, or refuses to do so", error);
	if (sweep->wish.kind == WISH_LIST)
		list_write(&sweep->keys, sweep->complete, response);
	else
		removed_write(sweep->count, sweep->complete, response);
	return 0;
}

int32_t
sweep_run(struct sweep *sweep, const struct wish *wish, struct xf_operator_response *response, struct xf_error *error)
{
	int32_t result;

	pthread_mutex_lock(&sweep->lock);
	if (sweep->state != IDLE) {
		result = fail(response, sweep->state == STOPPED ? 503 : 409, "another call is under way", error);
		pthread_mutex_unlock(&sweep->lock);
		return result;
	}
	sweep->wish = *wish;
	sweep->state = WISHED;
	sweep->left = false;
	sweep->complete = false;
	sweep->count = 0;
	sweep->keys.len = 0;
	sweep->host->wake(sweep->endpoint);
	wait_locked(sweep);
	result = answer_locked(sweep, response, error);
	if (sweep->state == RUNS)
		sweep->left = true; /* a question is out */
	else if (sweep->state != STOPPED)
		sweep->state = IDLE;
	pthread_mutex_unlock(&sweep->lock);
	return result;
}

/* ---- The handler's thread ---------------------------------------------------------------------- */

static void
end_locked(struct sweep *sweep, int state)
{
	sweep->complete = state == DONE;
	sweep->state = sweep->left ? IDLE : state;
	pthread_cond_signal(&sweep->changed);
}

/* The prefix stands for itself, the wish for what it matches. */
static void
pattern_make(struct sweep *sweep)
{
	sweep->pattern.len = 0;
	for (uint64_t i = 0; i < sweep->prefix.len; i++) {
		if (strchr("*?[]\\^", sweep->prefix.data[i]) != NULL)
			bytes_puts(&sweep->pattern, "\\");
		bytes_add(&sweep->pattern, sweep->prefix.data + i, 1);
	}
	bytes_puts(&sweep->pattern, sweep->wish.match);
}

static bool
page_ask(struct sweep *sweep, struct xf_str cursor)
{
	bool asked = client_ask(sweep->client, SWEEP_TAG, 6,
	                        (const struct xf_str[]){
					str_of("SCAN"),
					cursor,
					str_of("MATCH"),
					{sweep->pattern.data, sweep->pattern.len},
					str_of("COUNT"),
					str_of(PAGE),
				});

	client_flush(sweep->client);
	return asked;
}

void
sweep_work(struct sweep *sweep)
{
	pthread_mutex_lock(&sweep->lock);
	if (sweep->state == WISHED && client_room(sweep->client) > 0) {
		pattern_make(sweep);
		sweep->state = RUNS;
		if (!page_ask(sweep, str_of("0")))
			end_locked(sweep, FAILED);
	}
	pthread_mutex_unlock(&sweep->lock);
}

/* False: no more is to be listed. */
static bool
keys_take_locked(struct sweep *sweep, const redisReply *keys)
{
	for (size_t i = 0; i < keys->elements; i++) {
		const redisReply *key = keys->element[i];

		if (key->type != REDIS_REPLY_STRING || (size_t)key->len < sweep->prefix.len)
			continue;
		if (sweep->count == sweep->wish.limit)
			return false;
		sweep->count++;
		key_write(&sweep->keys, (struct xf_str){key->str + sweep->prefix.len, (size_t)key->len - sweep->prefix.len}, "");
	}
	return true;
}

/* False: the connection is lost, or full. */
static bool
keys_remove_locked(struct sweep *sweep, const redisReply *keys)
{
	struct xf_str words[1 + REMOVED_MAX] = {str_of("UNLINK")};

	for (size_t i = 0; i < keys->elements;) {
		int count = 1;

		for (; i < keys->elements && count <= REMOVED_MAX; i++)
			words[count++] = (struct xf_str){keys->element[i]->str, (uint64_t)keys->element[i]->len};
		if (!client_ask(sweep->client, 0, count, words))
			return false;
		sweep->count += (uint64_t)count - 1;
	}
	return true;
}

void
sweep_answered(struct sweep *sweep, const redisReply *reply)
{
	const redisReply *cursor;
	bool more;

	pthread_mutex_lock(&sweep->lock);
	if (reply == NULL || reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 || sweep->state != RUNS || sweep->left) {
		end_locked(sweep, FAILED);
		pthread_mutex_unlock(&sweep->lock);
		return;
	}
	cursor = reply->element[0];
	more = sweep->wish.kind == WISH_LIST ? keys_take_locked(sweep, reply->element[1])
	                                     : keys_remove_locked(sweep, reply->element[1]);
	if (more && strcmp(cursor->str, "0") == 0) {
		end_locked(sweep, DONE);
	} else if (!more || !page_ask(sweep, (struct xf_str){cursor->str, (uint64_t)cursor->len})) {
		end_locked(sweep, DONE);
		sweep->complete = false;
	}
	pthread_mutex_unlock(&sweep->lock);
}

void
sweep_stop(struct sweep *sweep)
{
	pthread_mutex_lock(&sweep->lock);
	sweep->state = STOPPED;
	pthread_cond_broadcast(&sweep->changed);
	pthread_mutex_unlock(&sweep->lock);
}
