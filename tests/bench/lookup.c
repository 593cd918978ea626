/*
 * lookup - what it costs to find the subscriptions of a subject, among 1 and among 10,000.
 *
 *   bench-lookup [LOOKUPS]
 *
 * Prints a line per kind of subscription: "KIND ns_among_1 ns_among_10000 ratio". The two are measured in turns, in
 * short spans, and the fastest span of each counts: what the machine does beside only ever adds. The subjects of a span
 * are looked up in an order that no cache guesses, each matches exactly one subscription in both cases.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "subjects.h"

#define MANY 10000
#define SUBJECTS 4096 /* asked for, of those there are */
#define SPANS 40

struct kind {
	const char *name;
	const char *pattern;
	const char *subject;
};

static const struct kind kinds[] = {
	{"literal", "orders.%d.created", "orders.%d.created"},
	{"star", "orders.%d.*", "orders.%d.created"},
	{"tail", "orders.%d.>", "orders.%d.created"},
};

static char subjects[SUBJECTS][48];

static struct subjects *
index_make(const struct kind *kind, int count)
{
	struct subjects *s = subjects_create();
	char text[64];

	for (int i = 0; s != NULL && i < count; i++) {
		snprintf(text, sizeof(text), kind->pattern, i);
		if (!subjects_add(s, (struct xf_str){text, strlen(text)}, s))
			subjects_destroy(&s);
	}
	if (s == NULL) {
		fprintf(stderr, "bench-lookup: no memory\n");
		exit(1);
	}
	return s;
}

/* Nanoseconds per look-up; the subject of number N is asked for where N is below COUNT. */
static double
span(const struct subjects *s, int lookups)
{
	struct timespec from, to;
	void *out[MANY];
	unsigned random = 12345;
	size_t found = 0;

	clock_gettime(CLOCK_MONOTONIC, &from);
	for (int i = 0; i < lookups; i++) {
		const char *subject = subjects[(random >> 8) % SUBJECTS];

		random = random * 1664525u + 1013904223u;
		found += subjects_match(s, (struct xf_str){subject, strlen(subject)}, out);
	}
	clock_gettime(CLOCK_MONOTONIC, &to);
	if (found != (size_t)lookups) {
		fprintf(stderr, "bench-lookup: %zu found in %d look-ups\n", found, lookups);
		exit(1);
	}
	return ((double)(to.tv_sec - from.tv_sec) * 1e9 + (double)(to.tv_nsec - from.tv_nsec)) / lookups;
}

static void
subjects_write(const struct kind *kind, int count)
{
	for (int i = 0; i < SUBJECTS; i++)
		snprintf(subjects[i], sizeof(subjects[i]), kind->subject, i % count);
}

static void
measure(const struct kind *kind, int lookups)
{
	struct subjects *one = index_make(kind, 1), *many = index_make(kind, MANY);
	double best_one = 1e9, best_many = 1e9, ns;

	for (int i = 0; i < SPANS; i++) {
		subjects_write(kind, 1);
		ns = span(one, lookups / SPANS);
		best_one = ns < best_one ? ns : best_one;
		subjects_write(kind, MANY);
		ns = span(many, lookups / SPANS);
		best_many = ns < best_many ? ns : best_many;
	}
	printf("%s %.1f %.1f %.2f\n", kind->name, best_one, best_many, best_many / best_one);
	subjects_destroy(&one);
	subjects_destroy(&many);
}

int
main(int argc, char **argv)
{
	int lookups = argc > 1 ? atoi(argv[1]) : 4000000;

	if (lookups < SPANS) {
		fprintf(stderr, "usage: bench-lookup [LOOKUPS], at least %d\n", SPANS);
		return 2;
	}
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		measure(&kinds[i], lookups);
	return 0;
}
