/*
 * Each kind of endpoint asks one or two questions that Redis answers in constant time, or nearly:
 *
 *   sink, channel    PUBSUB NUMSUB, PUBSUB NUMPAT    consumers
 *   sink, stream     XLEN, XINFO GROUPS              depth, the lag of the group furthest behind, consumers of all
 *   source, stream   the same                        depth, its own group's lag and consumers
 *   sink, list       LLEN                            depth and lag
 *   source, list     LLEN of it and of what is taken depth and lag
 *
 * A connection that subscribes may ask nothing, so a source of channels has no sight. Redis knows a group's lag from
 * 7.0 on, and not after entries were deleted; a source then still knows when it has read all there was.
 */
#include "sight.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "endpoint.h"

#define INTERVAL_MS 2000u
#define HASTE_MS 100u

void
sight_init(struct sight *sight, int mode, bool of_source, struct xf_str group)
{
	*sight = (struct sight){.mode = mode, .of_source = of_source, .group = group, .told_lag = UINT64_MAX};
}

void
sight_fini(struct sight *sight)
{
	free(sight->key);
	free(sight->second);
	sight->key = sight->second = NULL;
}

bool
sight_key_set(struct sight *sight, const char *key, size_t len)
{
	if (len > sight->key_size) {
		char *grown = realloc(sight->key, len);

		if (grown == NULL) {
			sight->key_len = 0;
			return false;
		}
		sight->key = grown;
		sight->key_size = len;
	}
	if (len > 0)
		memcpy(sight->key, key, len);
	sight->key_len = len;
	return true;
}

bool
sight_second_set(struct sight *sight, const char *key, size_t len)
{
	sight->second = malloc(len > 0 ? len : 1);
	if (sight->second == NULL)
		return false;
	memcpy(sight->second, key, len);
	sight->second_len = len;
	return true;
}

void
sight_forget(struct sight *sight)
{
	sight->asked = 0;
	sight->at = 0;
	sight->drained = false;
	sight->told_lag = UINT64_MAX;
}

void
sight_hasten(struct sight *sight, uint64_t now)
{
	uint64_t at = sight->asked_at + HASTE_MS > now ? sight->asked_at + HASTE_MS : now;

	if (sight->told_lag != 0 && at < sight->at)
		sight->at = at;
}

uint32_t
sight_ask(struct sight *sight, struct conn *conn, uint64_t now)
{
	const char *numsub[] = {"PUBSUB", "NUMSUB", sight->key}, *numpat[] = {"PUBSUB", "NUMPAT"};
	const char *xlen[] = {"XLEN", sight->key}, *groups[] = {"XINFO", "GROUPS", sight->key};
	const char *llen[] = {"LLEN", sight->key}, *second[] = {"LLEN", sight->second};
	const size_t numsub_len[] = {6, 6, sight->key_len}, groups_len[] = {5, 6, sight->key_len};
	const size_t lens[] = {4, sight->key_len}, second_len[] = {4, sight->second_len};
	bool fine;

	sight->question = 0;
	sight->found = (struct xf_sight){.struct_size = sizeof(sight->found)};
	sight->asked_at = now;
	sight->at = now + INTERVAL_MS;
	sight->asked = 2;
	if (sight->mode == MODE_PUBSUB) {
		fine = conn_command(conn, 3, numsub, numsub_len, now) && conn_command(conn, 2, numpat, NULL, now);
	} else if (sight->mode == MODE_STREAM) {
		fine = conn_command(conn, 2, xlen, lens, now) && conn_command(conn, 3, groups, groups_len, now);
	} else {
		fine = conn_command(conn, 2, llen, lens, now);
		if (sight->second == NULL)
			sight->asked = 1;
		else
			fine = fine && conn_command(conn, 2, second, second_len, now);
	}
	if (!fine)
		sight->asked = 0;
	return sight->asked;
}

/* ---- Answers -------------------------------------------------------------------------- */

/* A reply that is read token by token. */
struct reading {
	const char *data;
	size_t size;
};

static bool
token_next(struct reading *reading, struct resp_token *token)
{
	size_t need;
	ssize_t n = resp_token_read(reading->data, reading->size, token, &need);

	if (n <= 0)
		return false;
	reading->data += n;
	reading->size -= (size_t)n;
	return true;
}

/* One whole value, whatever is in it; TOKEN is its first. */
static bool
value_skip(struct reading *reading, struct resp_token *token)
{
	struct resp_token inner;
	int64_t open;

	if (!token_next(reading, token))
		return false;
	for (open = token->type == '*' ? token->number : 0; open > 0; open--) {
		if (!token_next(reading, &inner))
			return false;
		if (inner.type == '*' && inner.number > 0)
			open += inner.number;
	}
	return true;
}

static bool
number_answer(struct reading *reading, uint64_t *number)
{
	struct resp_token token;

	if (!token_next(reading, &token) || token.type != ':' || token.number < 0)
		return false;
	*number = (uint64_t)token.number;
	return true;
}

/* [channel, count] */
static bool
numsub_answer(struct reading *reading, uint64_t *number)
{
	struct resp_token token;

	return token_next(reading, &token) && token.type == '*' && token.number == 2 && token_next(reading, &token) &&
	       number_answer(reading, number);
}

struct group {
	struct xf_str name;
	uint64_t consumers;
	uint64_t pending;
	int64_t lag; /* -1: not known */
};

static bool
group_read(struct reading *reading, struct group *group)
{
	struct resp_token head, name, value;

	*group = (struct group){.lag = -1};
	if (!token_next(reading, &head) || head.type != '*')
		return false;
	for (int64_t i = 0; i + 1 < head.number; i += 2) {
		if (!token_next(reading, &name) || !value_skip(reading, &value) || name.type != '$')
			return false;
#define IS(text) (name.len == sizeof(text) - 1 && memcmp(name.data, text, name.len) == 0)
		if (IS("name") && value.type == '$')
			group->name = (struct xf_str){value.data, value.len};
		else if (IS("consumers") && value.type == ':')
			group->consumers = (uint64_t)value.number;
		else if (IS("pending") && value.type == ':')
			group->pending = (uint64_t)value.number;
		else if (IS("lag") && value.type == ':')
			group->lag = value.number;
#undef IS
	}
	return true;
}

/* What was trimmed away unread counts in a group's lag, and cannot be read any more. */
static void
trimming_note(struct sight *sight, struct conn *conn, const struct group *group)
{
	uint64_t lag = group->lag > 0 ? (uint64_t)group->lag : 0;
	uint64_t trimmed = lag > sight->found.depth ? lag - sight->found.depth : 0;
	char text[200];

	if (trimmed > sight->trimmed) {
		snprintf(text, sizeof(text),
		         "%llu entries were trimmed away from the stream before group '%.*s' read them; "
		         "raise maxlen where they are added", (unsigned long long)(trimmed - sight->trimmed),
		         (int)(group->name.len < 64 ? group->name.len : 64), group->name.data);
		conn->host->log(conn->endpoint, XF_LOG_WARN, text);
	}
	sight->trimmed = trimmed;
}

static void
own_group_take(struct sight *sight, struct conn *conn, const struct group *group)
{
	sight->found.known |= XF_SIGHT_CONSUMERS;
	sight->found.consumers = group->consumers;
	if (sight->found.known & XF_SIGHT_DEPTH)
		trimming_note(sight, conn, group);
	if (group->lag < 0 && !sight->drained)
		return;
	sight->found.known |= XF_SIGHT_LAG;
	sight->found.lag = group->pending;
	if (group->lag > 0 && !sight->drained && (uint64_t)group->lag > sight->trimmed)
		sight->found.lag += (uint64_t)group->lag - sight->trimmed;
}

static bool
groups_answer(struct sight *sight, struct conn *conn, struct reading *reading)
{
	struct xf_sight *found = &sight->found;
	struct resp_token head;
	struct group group;
	bool every = true;

	if (!token_next(reading, &head) || head.type != '*')
		return false;
	if (!sight->of_source)
		found->known |= XF_SIGHT_CONSUMERS;
	for (int64_t i = 0; i < head.number; i++) {
		if (!group_read(reading, &group))
			return false;
		if (sight->of_source) {
			if (group.name.len == sight->group.len &&
			    memcmp(group.name.data, sight->group.data, group.name.len) == 0)
				own_group_take(sight, conn, &group);
			continue;
		}
		found->consumers += group.consumers;
		every &= group.lag >= 0;
		if (group.lag >= 0 && group.pending + (uint64_t)group.lag > found->lag)
			found->lag = group.pending + (uint64_t)group.lag;
	}
	if (!sight->of_source && head.number > 0 && every)
		found->known |= XF_SIGHT_LAG;
	return true;
}

/* Each answer alone may be missing (a permission, an old server): then its part stays unknown. */
static void
answer_take(struct sight *sight, struct conn *conn, struct reading *reading)
{
	struct xf_sight *found = &sight->found;
	uint64_t number = 0;

	if (sight->mode == MODE_PUBSUB) {
		if (sight->question == 0 ? numsub_answer(reading, &number) : number_answer(reading, &number)) {
			found->known |= XF_SIGHT_CONSUMERS;
			found->consumers += number;
		}
	} else if (sight->mode == MODE_STREAM && sight->question == 1) {
		if (reading->data[0] == '-' && !sight->of_source && (found->known & XF_SIGHT_DEPTH) && found->depth == 0)
			found->known |= XF_SIGHT_CONSUMERS; /* no such key: no groups */
		else
			groups_answer(sight, conn, reading);
	} else if (number_answer(reading, &number)) {
		found->depth += number;
		found->known |= XF_SIGHT_DEPTH;
		if (sight->mode == MODE_LIST) {
			found->known |= XF_SIGHT_LAG;
			found->lag += number;
		}
	}
}

void
sight_answer(struct sight *sight, struct conn *conn, const char *data, size_t size)
{
	struct reading reading = {data, size};

	answer_take(sight, conn, &reading);
	sight->question++;
	if (--sight->asked > 0 || sight->found.known == 0)
		return;
	sight->told_lag = sight->found.known & XF_SIGHT_LAG ? sight->found.lag : UINT64_MAX;
	if (conn->host->struct_size >= offsetof(struct xf_host, sight) + sizeof(conn->host->sight) &&
	    conn->host->sight != NULL)
		conn->host->sight(conn->endpoint, &sight->found);
}
