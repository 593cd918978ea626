/*
 * bench.h - what a test of the contract runs on: a row's transport, with a source and a sink of a word of their own.
 */
#ifndef XF_CONTRACT_BENCH_H
#define XF_CONTRACT_BENCH_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "broker.h"
#include "harness.h"
#include "wait.h"
#include "rows.h"

#define SOON XF_WAIT_MS
#define LATE 60000 /* a broker starts, or gives back what a dead connection held */

struct bench {
	char word[32];
	char texts[3][128];
	char *folder; /* NULL: the row needs none */
	char transport_texts[ROW_OPTIONS + 1][256];
	const char *transport_options[ROW_OPTIONS + 2];
	char options[2][ROW_OPTIONS][128];
	const char *source_options[ROW_OPTIONS + 1];
	const char *sink_options[ROW_OPTIONS + 1];
	const char *subject;
	const char *pattern;
	struct harness *harness;
	struct harness_endpoint *source;
	struct harness_endpoint *sink;
};

/* Of this run; the broker is NULL where the row has none. */
extern const struct row *row;
extern struct xf_broker *broker;

/* The transport alone; URL NULL: the broker's. */
struct bench *bench_create(const char *url);

/* With both endpoints, which are UP. */
struct bench *bench_begin(void);
void bench_source(struct bench *b);
void bench_sink(struct bench *b);
void bench_destroy(struct bench *b);

/* XF_TRAIT_*; a row without a source has LOSSY. */
uint64_t bench_source_traits(struct bench *b);
uint64_t bench_sink_traits(struct bench *b);

/* Puts WORD in the place of "%s". */
const char *bench_fill(const char *text, const char *word, char *out, size_t size);

/* Numbers as payloads, offered in one batch. */
void bench_publish(struct bench *b, size_t first, size_t count);
size_t number_of(struct harness_endpoint *source, size_t index);

void assert_all_stored(struct harness_endpoint *sink);
void assert_received(struct harness_endpoint *source, size_t count);

/* Acknowledges what the source has from FIRST on, and waits until that is through. */
void bench_ack(struct bench *b, size_t first, size_t count);

/* Whether it is marked as one that was offered before. */
bool is_marked(const struct harness_message *message);

#endif
