#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../../../plugins/common/recent.h"

#define KEYS 300u

struct thing {
	struct recent_entry entry;
	uint64_t used;
};

/* The newest first, each once, and each found by its key. */
static void
check(const struct recent *recent, struct thing *const *things)
{
	size_t count = 0, there = 0;
	uint64_t used = UINT64_MAX;

	for (const struct recent_entry *entry = recent->newest; entry != NULL; entry = entry->older, count++) {
		assert_true(((const struct thing *)entry)->used < used);
		used = ((const struct thing *)entry)->used;
		assert_true(entry->older != NULL || entry == recent->oldest);
		assert_true(entry->older == NULL || entry->older->newer == entry);
	}
	for (unsigned i = 0; i < KEYS; i++) {
		char key[16];

		snprintf(key, sizeof(key), "key-%u", i);
		assert_ptr_equal(recent_find(recent, str_of(key)), things[i]);
		there += things[i] != NULL;
	}
	assert_int_equal(count, there);
	assert_int_equal(recent->count, there);
}

static void
test_random(void **state)
{
	struct recent recent = {.buckets = NULL};
	struct thing *things[KEYS] = {NULL};
	uint64_t random = 1;

	(void)state;
	for (uint64_t step = 1; step < 20000; step++) {
		unsigned i = (unsigned)((random = random * 6364136223846793005u + 1442695040888963407u) >> 33) % KEYS;
		char key[16];

		snprintf(key, sizeof(key), "key-%u", i);
		if (things[i] == NULL) {
			things[i] = need(calloc(1, sizeof(*things[i])));
			recent_add(&recent, &things[i]->entry, str_of(key));
			things[i]->used = step;
		} else if (random % 3 == 0) {
			recent_remove(&recent, &things[i]->entry);
			free(things[i]);
			things[i] = NULL;
		} else {
			recent_use(&recent, &things[i]->entry);
			things[i]->used = step;
		}
		if (step % 97 == 0)
			check(&recent, things);
	}
	for (unsigned i = 0; i < KEYS; i++)
		if (things[i] != NULL)
			recent_remove(&recent, &things[i]->entry), free(things[i]);
	assert_null(recent.oldest);
	recent_fini(&recent);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
