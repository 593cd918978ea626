/*
 * ledger.h - what was sent, and what each side of a migration holds of it: the independent checker.
 *
 * Message N of COUNT has key N mod KEYS and number N / KEYS within it. Its payload says so, with a checksum over all of
 * it; its id is "PRODUCER-N". Whoever reads a broker hands in every message in the broker's order.
 *
 * With ledger_json() payloads are JSON objects that carry `id` and `customer` (the key) themselves, as they have to where
 * brokers without headers are between.
 *
 * Threads: whoever has it.
 */
#ifndef XF_TESTS_LEDGER_H
#define XF_TESTS_LEDGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LEDGER_PAYLOAD 128

enum { OLD, NEW };

/* As a broker's client found it. */
struct arrival {
	const void *payload;
	size_t size;
	const char *id;    /* Crossfade-Id; NULL: none */
	const char *dedup; /* the id that the broker knows it by; NULL: none */
	const char *key;   /* the header `key`; NULL: none */
	const char *copy;  /* Crossfade-Copy; NULL: none */
	const char *reply; /* where an answer is wanted; of entries in Redis alone */
	int64_t time_ms;   /* when the broker stored it; 0: it does not say */
	bool bare;         /* there is no place for headers */
};

struct ledger_sum {
	uint64_t here[2];       /* messages that the side has, without copies, each once */
	uint64_t copies[2];     /* messages of which the side has a copy, each once */
	uint64_t duplicates[2]; /* more of them */
	uint64_t copies_again[2];
	uint64_t lost;          /* on no side */
	uint64_t both;          /* on both, neither a copy */
	uint64_t reordered[2];  /* first seen behind a later one of its key, on its side */
	uint64_t strayed;       /* of those reordered: on that side alone, so none that was sent to both by force */
	uint64_t across;        /* stored by one side before the other stored its predecessor */
	uint64_t corrupted;     /* no stamp, checksum, id, key or mark is wrong */
	uint64_t unexpected;    /* intact, but nobody sent it */
	uint64_t turns_max;     /* how often a key changed sides, at most */
};

struct ledger;

struct ledger *ledger_create(uint32_t producer, uint32_t count, uint32_t keys);
void ledger_destroy(struct ledger **ledger);

/* Before the first message. */
void ledger_json(struct ledger *ledger);

/* Writes message NUMBER. */
void ledger_message(const struct ledger *ledger, uint32_t number, char payload[LEDGER_PAYLOAD], char id[32], char key[16]);

void ledger_arrived(struct ledger *ledger, int side, const struct arrival *arrival);

/* Forgets all that arrived. */
void ledger_reset(struct ledger *ledger);

struct ledger_sum ledger_sum(const struct ledger *ledger);
void ledger_print(const char *title, const struct ledger_sum *sum);

/* Whether SIDE has message NUMBER, copies aside. */
bool ledger_has(const struct ledger *ledger, int side, uint32_t number);

/* How often KEY's messages change sides in the order in which they were sent. */
uint32_t ledger_turns(const struct ledger *ledger, uint32_t key);

/* The bucket of KEY in the migration NAME, by the book. */
uint32_t ledger_bucket(const char *name, const char *key);

#endif
