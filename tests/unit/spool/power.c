/*
 * The power goes at any moment, again and again: what was called durable is there each time, and nothing else than what was
 * appended. By seeds; the printed one can be tried by itself: XF_SEED=N.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "fake_disk.h"
#include "ledger.h"

#define SEEDS_MS 8000
#define SEEDS_LONG 10000
#define SEEDS_LONG_MS 200000

static uint64_t cuts;

/* Appends, reads and says done until the power goes, or long enough. */
static void
live(struct ledger *l)
{
	for (unsigned steps = 1 + (unsigned)fake_below(30); steps > 0; steps--) {
		ledger_append(l, 1 + (size_t)fake_below(20), 1 + (size_t)fake_below(6000), xf_spool_generation(l->spool));
		if (fake_below(2) == 0) /* shares the commit */
			ledger_done(l, (size_t)fake_below(20), fake_below(2) == 0);
		ledger_wait(l);
		if (fake_below(3) == 0)
			ledger_done(l, (size_t)fake_below(40), fake_below(2) == 0);
	}
}

static void
seed_run(struct ledger *l, uint64_t seed)
{
	struct xf_error error;

	fake_disk_reset(seed);
	for (uint64_t lives = 1 + fake_below(4); lives > 0 && l->violation[0] == '\0'; lives--) {
		bool early = fake_below(3) == 0;

		if (early)
			fake_disk_cut_at(fake_disk_calls() + fake_below(60));
		if (ledger_open(l, &error)) {
			if (l->found.damaged)
				snprintf(l->violation, sizeof(l->violation), "taken for damaged");
			if (!early) {
				ledger_check(l);
				fake_disk_cut_at(fake_disk_calls() + fake_below(300));
			}
			live(l);
			ledger_close(l);
		} else if (!early) {
			snprintf(l->violation, sizeof(l->violation), "not opened: %.200s", error.text);
		}
		cuts++;
		fake_disk_restart();
	}
	if (l->violation[0] != '\0')
		return;
	if (!ledger_open(l, &error)) {
		snprintf(l->violation, sizeof(l->violation), "not opened: %.200s", error.text);
		return;
	}
	ledger_check(l);
	if (l->found.damaged)
		snprintf(l->violation, sizeof(l->violation), "taken for damaged");
}

static void
power_cuts_lose_nothing(void **state)
{
	const char *one = getenv("XF_SEED");
	uint64_t seed = one != NULL ? strtoull(one, NULL, 10) : 1, until, durable = 0, seeds = 0;
	bool is_long = getenv("XF_LONG") != NULL;

	(void)state;
	until = xf_now_ms() + (is_long ? SEEDS_LONG_MS : SEEDS_MS);
	ledger_hush(one == NULL);
	for (;; seed++) {
		struct ledger l;

		ledger_init(&l, &fake_disk, "/data/spool", 1 << 20, 7);
		seed_run(&l, seed);
		durable += l.durable;
		seeds++;
		if (l.violation[0] != '\0') {
			ledger_hush(false);
			fail_msg("seed %llu: %s", (unsigned long long)seed, l.violation);
		}
		ledger_fini(&l);
		if (one != NULL || seeds >= SEEDS_LONG || xf_now_ms() > until)
			break;
	}
	ledger_hush(false);
	print_message("%llu seeds, %llu cuts, %llu records called durable, none lost\n", (unsigned long long)seeds,
	              (unsigned long long)cuts, (unsigned long long)durable);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(power_cuts_lose_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
