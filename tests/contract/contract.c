/*
 * The contract: what every transport promises to the core, one test for each promise, on a real broker.
 *
 *   contract ROW|FILE [TEST]   status 77: the plugin was not built, or its broker is not installed
 *
 * PROMISES.md lists the promises with their numbers, README.md says how a transport is put to the test. A test that
 * cannot be tried on a row is named, with the reason, and not run.
 *
 * The harness itself watches over the rest, in every test: credit, one completion for each token, threads, DOWN only
 * with no token out, nothing after stop().
 */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "promises.h"

#define SKIPPED 77
#define NUMBER_LEN 3 /* "p01" */

struct promise {
	const char *name;
	CMUnitTestFunction test;
	unsigned needs;
};

#define PROMISE_ROW(test, needs) {#test, test, needs},
static const struct promise promises[] = {PROMISES(PROMISE_ROW)};

#define COUNT (sizeof(promises) / sizeof(promises[0]))

/* What the row can be tried with; the needs that it does not meet are missing. */
static unsigned
row_offers(void)
{
	struct bench *b = bench_create(row->nowhere);
	uint64_t source = bench_source_traits(b), sink = bench_sink_traits(b);
	unsigned offers = 0;

	offers |= row->broker != NULL ? NEEDS_BROKER : 0;
	offers |= !row->no_source ? NEEDS_SOURCE : 0;
	offers |= !row->no_source && !(source & XF_TRAIT_LOSSY) ? NEEDS_ACKS : 0;
	offers |= !row->no_source && (source & sink & XF_TRAIT_HEADERS) ? NEEDS_HEADERS : 0;
	offers |= sink & XF_TRAIT_DEDUP ? NEEDS_DEDUP : 0;
	offers |= !row->no_source && (source & XF_TRAIT_IDS) ? NEEDS_IDS : 0;
	offers |= row->denied != NULL ? NEEDS_DENIED : 0;
	offers |= row->source_sight != 0 || row->sink_sight != 0 ? NEEDS_SIGHT : 0;
	offers |= !row->no_source && (source & XF_TRAIT_REPLIES) && (sink & XF_TRAIT_REQUESTS) ? NEEDS_REQUESTS : 0;
	bench_destroy(b);
	return offers;
}

static const char *
need_words(unsigned missing)
{
	static const struct {
		unsigned need;
		const char *words;
	} words[] = {
		{NEEDS_BROKER, "there is no broker that could fail"},
		{NEEDS_SOURCE, "there is no source"},
		{NEEDS_ACKS, "its source is lossy: nothing is acknowledged"},
		{NEEDS_HEADERS, "it does not carry headers"},
		{NEEDS_DEDUP, "it does not de-duplicate"},
		{NEEDS_IDS, "its messages have no ids of their own"},
		{NEEDS_DENIED, "the row names no refused login"},
		{NEEDS_SIGHT, "the row names no numbers that are told"},
		{NEEDS_REQUESTS, "it does not make requests, or send replies"},
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (missing & words[i].need)
			return words[i].words;
	return "";
}

/* Puts the tests that apply into TESTS, and names the others. */
static size_t
tests_choose(struct CMUnitTest *tests)
{
	unsigned offers = row_offers();
	size_t count = 0;

	for (size_t i = 0; i < COUNT; i++) {
		char number[NUMBER_LEN + 1];
		const char *why;

		snprintf(number, sizeof(number), "%s", promises[i].name);
		why = row_exemption(row, number);
		if (why == NULL && (promises[i].needs & ~offers) != 0)
			why = need_words(promises[i].needs & ~offers);
		if (why == NULL)
			tests[count++] = (struct CMUnitTest){promises[i].name, promises[i].test, NULL, NULL, NULL};
		else
			printf("%s does not apply to %s: %s\n", promises[i].name, row->name, why);
	}
	fflush(stdout);
	return count;
}

/* Every promise of the list has its test, and every test its promise. */
static bool
list_is_complete(void)
{
	FILE *file = fopen(XF_SOURCE_DIR "/tests/contract/PROMISES.md", "r");
	bool listed[100] = {false}, tested[100] = {false}, complete = true;
	char line[1024];

	if (file == NULL) {
		fprintf(stderr, "contract: cannot read PROMISES.md\n");
		return false;
	}
	while (fgets(line, sizeof(line), file) != NULL)
		if (strncmp(line, "| P", 3) == 0)
			listed[strtoul(line + 3, NULL, 10) % 100] = true;
	fclose(file);
	for (size_t i = 0; i < COUNT; i++)
		tested[strtoul(promises[i].name + 1, NULL, 10) % 100] = true;
	for (int i = 0; i < 100; i++) {
		if (listed[i] == tested[i])
			continue;
		fprintf(stderr, "contract: promise %d %s\n", i, listed[i] ? "has no test" : "is not in PROMISES.md");
		complete = false;
	}
	return complete;
}

static int
suite_begin(void **state)
{
	(void)state;
	if (row->broker != NULL)
		broker = xf_broker_start(row->broker, row->broker_args);
	return 0;
}

static int
suite_end(void **state)
{
	(void)state;
	xf_broker_destroy(&broker);
	return 0;
}

int
main(int argc, char **argv)
{
	struct CMUnitTest tests[COUNT];
	size_t count;

	row = argc > 1 ? row_find(argv[1]) : NULL;
	if (row == NULL) {
		fprintf(stderr, "usage: contract ROW|FILE [TEST], a row of rows.c or a file as README.md says\n");
		return 2;
	}
	if (!harness_available(row->plugin)) {
		fprintf(stderr, "contract: plugin %s was not built\n", row->plugin);
		return SKIPPED;
	}
	if (!list_is_complete())
		return 1;
	if (argc > 2)
		cmocka_set_test_filter(argv[2]);
	count = tests_choose(tests);
	return _cmocka_run_group_tests(row->name, tests, count, suite_begin, suite_end);
}
