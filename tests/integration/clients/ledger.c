#include "ledger.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/memory.h"

#define MAGIC 0x63726f73u

struct stamp {
	uint64_t checksum; /* of all behind it */
	uint32_t magic;
	uint32_t producer;
	uint32_t number;
	uint32_t key;
	uint32_t within; /* number within the key */
	uint32_t unused;
};

struct mark {
	uint32_t seen;
	uint32_t copies;
	int64_t first_ms;
	uint32_t place; /* first seen as the so many-th of its side */
};

struct ledger {
	uint32_t producer, count, keys;
	struct mark *marks[2];
	uint32_t *next[2]; /* by key: number within the key that may come next */
	uint64_t reordered[2];
	uint32_t places[2];
	uint64_t corrupted, unexpected;
	bool json;
	unsigned told; /* of what is wrong, on the terminal */
};

struct ledger *
ledger_create(uint32_t producer, uint32_t count, uint32_t keys)
{
	struct ledger *ledger = xf_alloc(sizeof(*ledger));

	*ledger = (struct ledger){.producer = producer, .count = count, .keys = keys};
	for (int side = OLD; side <= NEW; side++) {
		ledger->marks[side] = xf_alloc_array(count, sizeof(struct mark));
		ledger->next[side] = xf_alloc_array(keys, sizeof(uint32_t));
	}
	return ledger;
}

void
ledger_destroy(struct ledger **ledger)
{
	struct ledger *gone = *ledger;

	if (gone == NULL)
		return;
	*ledger = NULL;
	for (int side = OLD; side <= NEW; side++) {
		free(gone->marks[side]);
		free(gone->next[side]);
	}
	free(gone);
}

void
ledger_reset(struct ledger *ledger)
{
	for (int side = OLD; side <= NEW; side++) {
		memset(ledger->marks[side], 0, ledger->count * sizeof(struct mark));
		memset(ledger->next[side], 0, ledger->keys * sizeof(uint32_t));
		ledger->reordered[side] = 0;
		ledger->places[side] = 0;
	}
	ledger->corrupted = ledger->unexpected = 0;
}

void
ledger_json(struct ledger *ledger)
{
	ledger->json = true;
}

void
ledger_message(const struct ledger *ledger, uint32_t number, char payload[LEDGER_PAYLOAD], char id[32], char key[16])
{
	struct stamp stamp = {
		.magic = MAGIC,
		.producer = ledger->producer,
		.number = number,
		.key = number % ledger->keys,
		.within = number / ledger->keys,
	};

	snprintf(id, 32, "%u-%u", ledger->producer, number);
	snprintf(key, 16, "k%u", stamp.key);
	if (ledger->json) {
		int len = snprintf(payload, LEDGER_PAYLOAD, "{\"id\":\"%s\",\"customer\":\"%s\"}", id, key);

		memset(payload + len, ' ', (size_t)(LEDGER_PAYLOAD - len));
		return;
	}
	for (size_t i = sizeof(stamp); i < LEDGER_PAYLOAD; i++)
		payload[i] = (char)(number + i * 7);
	memcpy(payload, &stamp, sizeof(stamp));
	stamp.checksum = XXH3_64bits(payload + sizeof(stamp.checksum), LEDGER_PAYLOAD - sizeof(stamp.checksum));
	memcpy(payload, &stamp, sizeof(stamp));
}

static void
wrong(struct ledger *ledger, int side, const char *what, const struct arrival *arrival)
{
	ledger->corrupted++;
	if (ledger->told++ < 5)
		fprintf(stderr, "on the %s side: %s is wrong: size %zu, id '%s', broker's id '%s', key '%s', copy '%s'\n",
		        side == OLD ? "old" : "new", what, arrival->size, arrival->id ? arrival->id : "-",
		        arrival->dedup ? arrival->dedup : "-", arrival->key ? arrival->key : "-",
		        arrival->copy ? arrival->copy : "-");
}

/* False: it is none of a ledger's. */
static bool
stamp_read(const struct ledger *ledger, const struct arrival *arrival, struct stamp *stamp)
{
	char text[LEDGER_PAYLOAD + 1] = "";

	if (!ledger->json) {
		memcpy(stamp, arrival->payload, sizeof(*stamp));
		return stamp->magic == MAGIC &&
		       stamp->checksum == XXH3_64bits((const char *)arrival->payload + sizeof(stamp->checksum),
		                                      LEDGER_PAYLOAD - sizeof(stamp->checksum));
	}
	memcpy(text, arrival->payload, LEDGER_PAYLOAD);
	if (sscanf(text, "{\"id\":\"%u-%u\",\"customer\":\"k%u\"}", &stamp->producer, &stamp->number,
	           &stamp->key) != 3)
		return false;
	stamp->within = stamp->number / ledger->keys;
	return true;
}

/* What is wrong with it, or NULL. */
static const char *
arrival_check(const struct ledger *ledger, const struct arrival *arrival, struct stamp *stamp)
{
	char expected[LEDGER_PAYLOAD], id[32], key[16], dedup[40];

	if (arrival->size != LEDGER_PAYLOAD)
		return "the size";
	if (!stamp_read(ledger, arrival, stamp))
		return "the stamp";
	if (stamp->producer != ledger->producer || stamp->number >= ledger->count)
		return NULL;
	ledger_message(ledger, stamp->number, expected, id, key);
	if (memcmp(expected, arrival->payload, LEDGER_PAYLOAD) != 0)
		return "the payload";
	/* From a broker without headers comes none. */
	if (arrival->key == NULL ? !ledger->json : strcmp(arrival->key, key) != 0)
		return "the key";
	if (arrival->bare)
		return NULL;
	if (arrival->id == NULL || strcmp(arrival->id, id) != 0)
		return "the id";
	snprintf(dedup, sizeof(dedup), "%s%s", id, arrival->copy != NULL ? "/copy" : "");
	if (arrival->dedup != NULL && strcmp(arrival->dedup, dedup) != 0)
		return "the broker's id";
	return NULL;
}

void
ledger_arrived(struct ledger *ledger, int side, const struct arrival *arrival)
{
	struct stamp stamp = {0};
	const char *what = arrival_check(ledger, arrival, &stamp);
	struct mark *mark;

	if (what != NULL) {
		wrong(ledger, side, what, arrival);
		return;
	}
	if (stamp.producer != ledger->producer || stamp.number >= ledger->count) {
		ledger->unexpected++;
		return;
	}
	mark = &ledger->marks[side][stamp.number];
	if (arrival->copy != NULL) {
		mark->copies++;
		return;
	}
	if (mark->seen++ > 0)
		return;
	mark->first_ms = arrival->time_ms;
	mark->place = ++ledger->places[side];
	if (stamp.within < ledger->next[side][stamp.key]) {
		if (ledger->told++ < 5)
			fprintf(stderr, "on the %s side: message %u, number %u of key %u, came after number %u\n",
			        side == OLD ? "old" : "new", stamp.number, stamp.within, stamp.key,
			        ledger->next[side][stamp.key] - 1);
		ledger->reordered[side]++;
	} else {
		ledger->next[side][stamp.key] = stamp.within + 1;
	}
}

bool
ledger_has(const struct ledger *ledger, int side, uint32_t number)
{
	return ledger->marks[side][number].seen > 0;
}

/* The side that has NUMBER alone; -1: none or both. */
static int
side_of(const struct ledger *ledger, uint32_t number)
{
	bool old = ledger_has(ledger, OLD, number), new = ledger_has(ledger, NEW, number);

	return old == new ? -1 : old ? OLD : NEW;
}

uint32_t
ledger_turns(const struct ledger *ledger, uint32_t key)
{
	uint32_t turns = 0;
	int last = -1;

	for (uint32_t number = key; number < ledger->count; number += ledger->keys) {
		int side = side_of(ledger, number);

		if (side < 0)
			continue;
		turns += last >= 0 && side != last;
		last = side;
	}
	return turns;
}

/* A broker's clock ticks in milliseconds, rounded down: two sides of the same moment may differ by one. */
static uint64_t
across_count(const struct ledger *ledger)
{
	uint64_t count = 0;

	for (uint32_t number = ledger->keys; number < ledger->count; number++) {
		int side = side_of(ledger, number), before = side_of(ledger, number - ledger->keys);

		if (side < 0 || before < 0 || side == before)
			continue;
		if (ledger->marks[side][number].first_ms + 1 < ledger->marks[before][number - ledger->keys].first_ms)
			count++;
	}
	return count;
}

/* Of KEY: those behind a later one, on the one side that has them. */
static uint64_t
strayed_count(const struct ledger *ledger, uint32_t key)
{
	uint32_t first[2] = {UINT32_MAX, UINT32_MAX}; /* place of the later ones */
	uint64_t count = 0;

	for (uint32_t i = (ledger->count - 1 - key) / ledger->keys + 1; i-- > 0;)
		for (int side = OLD; side <= NEW; side++) {
			uint32_t number = key + i * ledger->keys, place = ledger->marks[side][number].place;

			if (place == 0)
				continue;
			count += place > first[side] && side_of(ledger, number) == side;
			first[side] = place < first[side] ? place : first[side];
		}
	return count;
}

struct ledger_sum
ledger_sum(const struct ledger *ledger)
{
	struct ledger_sum sum = {.corrupted = ledger->corrupted, .unexpected = ledger->unexpected};

	for (uint32_t i = 0; i < ledger->count; i++) {
		bool has[2];

		for (int side = OLD; side <= NEW; side++) {
			const struct mark *mark = &ledger->marks[side][i];

			has[side] = mark->seen > 0;
			sum.here[side] += mark->seen > 0;
			sum.copies[side] += mark->copies > 0;
			sum.duplicates[side] += mark->seen > 1 ? mark->seen - 1 : 0;
			sum.copies_again[side] += mark->copies > 1 ? mark->copies - 1 : 0;
		}
		sum.lost += !has[OLD] && !has[NEW];
		sum.both += has[OLD] && has[NEW];
	}
	for (int side = OLD; side <= NEW; side++)
		sum.reordered[side] = ledger->reordered[side];
	sum.across = across_count(ledger);
	for (uint32_t key = 0; key < ledger->keys; key++) {
		uint32_t turns = ledger_turns(ledger, key);

		sum.strayed += strayed_count(ledger, key);
		sum.turns_max = turns > sum.turns_max ? turns : sum.turns_max;
	}
	return sum;
}

void
ledger_print(const char *title, const struct ledger_sum *sum)
{
	printf("%s: old %lu (+%lu again, %lu copies), new %lu (+%lu again, %lu copies), lost %lu, on both %lu, "
	       "reordered %lu/%lu (%lu of them there alone), across %lu, corrupted %lu, unexpected %lu, turns of a key at most %lu\n",
	       title, sum->here[OLD], sum->duplicates[OLD], sum->copies[OLD], sum->here[NEW], sum->duplicates[NEW],
	       sum->copies[NEW], sum->lost, sum->both, sum->reordered[OLD], sum->reordered[NEW], sum->strayed, sum->across,
	       sum->corrupted, sum->unexpected, sum->turns_max);
	fflush(stdout);
}

uint32_t
ledger_bucket(const char *name, const char *key)
{
	XXH64_hash_t seed = XXH3_64bits_withSeed(name, strlen(name), 0);

	return (uint32_t)(XXH3_64bits_withSeed(key, strlen(key), seed) % 10000);
}
