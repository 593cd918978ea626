/*
 * A spool is damaged in each of its regions: every record is delivered as it was or reported as missing, and what is damaged stays
 * as it is, beside.
 */
#include "spool/salvage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/memory.h"
#include "fake_disk.h"
#include "ledger.h"
#include "server.h"

#define DB "/data/spool/records.db"
#define WAL "/data/spool/records.db-wal"
#define MARK "/data/spool/mark"
#define ASIDE "/data/spool.damaged-"
#define PAGES (XF_SCALE > 1 ? 9 * 4096 : 4096) /* each, or some */
#define RUNS_MS 5000
#define RUNS_LONG_MS 150000

/* A spool as a crash leaves it, records and holes in the file, newer ones in its WAL; or as it is when it was closed. */
struct sample {
	struct ledger ledger;
	struct entry *entries; /* as they were */
	size_t count;
	uint64_t harmless, damaged, refused, missing, kept;
};

static void
violated(struct sample *s, const char *what)
{
	if (s->ledger.violation[0] == '\0')
		snprintf(s->ledger.violation, sizeof(s->ledger.violation), "%s", what);
}

static void
sample_make(struct sample *s, bool closed)
{
	struct ledger *l = &s->ledger;
	struct xf_error error;

	*s = (struct sample){0};
	ledger_hush(true);
	fake_disk_reset(99);
	ledger_init(l, &fake_disk, "/data/spool", 1 << 22, 5);
	for (int life = 0; life < 2; life++) {
		if (!ledger_open(l, &error))
			fail_msg("%s", error.text);
		for (int i = 0; i < 10; i++) {
			ledger_append(l, 12, i % 4 == 0 ? 6000 : 200, xf_spool_generation(l->spool));
			ledger_wait(l);
			ledger_done(l, 6, i % 3 == 0);
		}
		if (life == 1)
			fake_disk_cut_at(fake_disk_calls());
		ledger_close(l);
		fake_disk_restart();
	}
	if (!ledger_open(l, &error)) /* which says what of all that is there */
		fail_msg("%s", error.text);
	ledger_check(l);
	ledger_append(l, 30, 2000, xf_spool_generation(l->spool));
	ledger_wait(l);
	if (!closed)
		fake_disk_cut_at(fake_disk_calls()); /* so that the WAL stays */
	ledger_close(l);
	fake_disk_restart();
	if (!closed)
		assert_true(fake_disk_size(WAL) > 4096);
	fake_disk_save();
	s->count = l->count;
	s->entries = xf_alloc_array(l->count, sizeof(*s->entries));
	for (size_t i = 0; i < l->count; i++)
		s->entries[i] = *l->entries[i];
	l->violation[0] = '\0';
}

static void
sample_free(struct sample *s)
{
	ledger_fini(&s->ledger);
	free(s->entries);
	ledger_hush(false);
}

static void
sample_load(struct sample *s)
{
	fake_disk_load();
	ledger_forget(&s->ledger, s->count);
	for (size_t i = 0; i < s->count; i++)
		*s->ledger.entries[i] = s->entries[i];
}

/* Opens what was damaged, and looks. */
static void
sample_try(struct sample *s)
{
	uint64_t sums[] = {fake_disk_sum(DB), fake_disk_sum(WAL), fake_disk_sum(MARK)};
	struct ledger *l = &s->ledger;
	uint64_t before = l->missing;
	size_t durable;
	const char *aside;
	struct xf_error error;

	if (!ledger_open(l, &error)) {
		s->refused++;
		if (fake_disk_sum(DB) != sums[0] || fake_disk_sum(WAL) != sums[1] || fake_disk_sum(MARK) != sums[2])
			violated(s, "refused, and changed");
		return;
	}
	ledger_check(l);
	s->harmless += !l->found.damaged;
	s->damaged += l->found.damaged;
	s->missing += l->missing - before;
	s->kept += l->found.messages;
	if (l->found.damaged) {
		aside = fake_disk_find(ASIDE, "/records.db");
		if (sums[0] != 0 && (aside == NULL || fake_disk_sum(aside) != sums[0]))
			violated(s, "the records are not set aside whole");
		aside = fake_disk_find(ASIDE, "-wal");
		if (sums[1] != 0 && (aside == NULL || fake_disk_sum(aside) != sums[1]))
			violated(s, "the WAL is not set aside whole");
		aside = fake_disk_find(ASIDE, "/mark");
		if (sums[2] != 0 && (aside == NULL || fake_disk_sum(aside) != sums[2]))
			violated(s, "the mark is not set aside whole");
	} else if (fake_disk_find(ASIDE, "") != NULL) {
		violated(s, "set aside, and not reported");
	}

	/* It goes on as a sound one: what is free in it is used. */
	l->found.missing_count = 0;
	durable = l->durable;
	ledger_append(l, 40, 6000, xf_spool_generation(l->spool));
	ledger_wait(l);
	ledger_done(l, 60, true);
	ledger_append(l, 40, 300, xf_spool_generation(l->spool));
	ledger_wait(l);
	if (l->durable != durable + 80)
		violated(s, "it does not take anything");
	ledger_check(l);
	ledger_close(l);
	if (!ledger_open(l, &error)) {
		violated(s, error.text);
		return;
	}
	if (l->found.damaged)
		violated(s, "damaged again");
	ledger_check(l);
	ledger_close(l);
}

static void
sample_end(struct sample *s, const char *what, uint64_t where)
{
	if (s->ledger.violation[0] == '\0')
		return;
	ledger_hush(false);
	fail_msg("%s %llu: %s", what, (unsigned long long)where, s->ledger.violation);
}

static void
flip(struct sample *s, const char *path, uint64_t bit)
{
	sample_load(s);
	fake_disk_flip(path, bit);
	sample_try(s);
	sample_end(s, path, bit);
}

/* Heads byte by byte, and the rest by chance. */
static void
flipped_bits_are_seen(void **state)
{
	static const char *const files[] = {DB, WAL};
	bool is_long = getenv("XF_LONG") != NULL;
	uint64_t until = xf_now_ms() + (is_long ? RUNS_LONG_MS : RUNS_MS), sizes[2];
	struct sample s;

	(void)state;
	sample_make(&s, false);
	for (int i = 0; i < 2; i++)
		sizes[i] = fake_disk_size(files[i]);
	for (uint64_t byte = 0; byte < 112; byte += is_long ? 1 : 3) {
		flip(&s, DB, 8 * byte + fake_below(8));
		flip(&s, WAL, 8 * byte + fake_below(8));
		if (byte < 48) {
			flip(&s, MARK, 8 * byte + fake_below(8));
			flip(&s, MARK, 8 * (4096 + byte) + fake_below(8));
		}
	}
	for (unsigned i = 0; xf_now_ms() < until; i++)
		flip(&s, files[i % 2], fake_below(8 * sizes[i % 2]));
	assert_true(s.damaged > s.harmless / 4);
	assert_true(s.missing > 0);
	ledger_hush(false);
	print_message("%llu flips: %llu harmless, %llu set aside, %llu refused; %llu records delivered, %llu reported missing, "
	              "0 silently lost\n",
	              (unsigned long long)(s.harmless + s.damaged + s.refused), (unsigned long long)s.harmless,
	              (unsigned long long)s.damaged, (unsigned long long)s.refused, (unsigned long long)s.kept,
	              (unsigned long long)s.missing);
	assert_int_equal(s.refused, 0);
	sample_free(&s);
}

/* A spool that was closed has nothing in its WAL that would hide what the file has: its head, and its list of free pages. */
static void
closed_spool_is_looked_through(void **state)
{
	uint64_t size, step = getenv("XF_LONG") != NULL ? 1 : 2;
	struct sample s;

	(void)state;
	sample_make(&s, true);
	size = fake_disk_size(DB);
	for (uint64_t byte = 0; byte < 112; byte += step)
		flip(&s, DB, 8 * byte + fake_below(8));
	for (uint64_t at = 0; at < size; at += PAGES) {
		sample_load(&s);
		fake_disk_zero(DB, at, 4096);
		sample_try(&s);
		sample_end(&s, "zeros at", at);
		flip(&s, DB, 8 * (at + fake_below(16)) + fake_below(8)); /* where a page says what it is */
	}
	assert_int_equal(s.refused, 0);
	assert_true(s.damaged > 20);
	sample_free(&s);
}

/* Where a page lies that costs records: what is on it, and not more. */
static uint64_t
page_find(struct sample *s)
{
	uint64_t all = ledger_open_count(&s->ledger);

	for (uint64_t at = 4096;; at += 4096) {
		sample_load(s);
		assert_true(at < fake_disk_size(DB));
		s->missing = s->kept = 0;
		fake_disk_zero(DB, at, 4096);
		sample_try(s);
		sample_end(s, "a page", at);
		if (s->missing > 0 && s->missing < all / 4)
			return at;
	}
}

static void
worse_damage_is_seen(void **state)
{
	uint64_t all, db_size, wal_size;
	struct sample s;

	(void)state;
	sample_make(&s, false);
	all = ledger_open_count(&s.ledger);
	db_size = fake_disk_size(DB);
	wal_size = fake_disk_size(WAL);
	assert_true(all > 100);

	/* Undamaged: the yardstick. */
	sample_load(&s);
	sample_try(&s);
	sample_end(&s, "nothing", 0);
	assert_int_equal(s.harmless, 1);
	assert_int_equal(s.kept, all);

	/* The mark alone is lost: all is there, and nobody knows whether that is all. */
	sample_load(&s);
	fake_disk_remove(MARK);
	sample_try(&s);
	sample_end(&s, "no mark", 0);
	assert_int_equal(s.damaged, 1);
	assert_int_equal(s.kept, 2 * all);
	sample_load(&s);
	fake_disk_zero(MARK, 0, UINT64_MAX / 2);
	sample_try(&s);
	sample_end(&s, "zero mark", 0);
	assert_int_equal(s.damaged, 2);
	assert_int_equal(s.kept, 3 * all);

	assert_int_equal(s.missing, 0);

	/* All records are lost. */
	sample_load(&s);
	fake_disk_remove(DB);
	sample_try(&s);
	sample_end(&s, "no records", 0);
	assert_int_equal(s.missing, all);
	sample_load(&s);
	fake_disk_remove(WAL);
	fake_disk_zero(DB, 0, 4096);
	sample_try(&s);
	sample_end(&s, "no head", 0);
	assert_int_equal(s.missing, 2 * all);

	sample_load(&s);
	fake_disk_remove(WAL);
	sample_try(&s);
	sample_end(&s, "no WAL", 0);
	assert_int_equal(s.damaged, 5);
	assert_true(s.missing >= 2 * all + 30);
	for (uint64_t at = 0; at < db_size; at += PAGES) {
		sample_load(&s);
		fake_disk_zero(DB, at, 4096);
		sample_try(&s);
		sample_end(&s, "zeros at", at);
		sample_load(&s);
		fake_disk_cut(DB, at + 100);
		sample_try(&s);
		sample_end(&s, "cut at", at);
		sample_load(&s);
		fake_disk_zero(DB, at, 4096);
		fake_disk_remove(MARK);
		sample_try(&s);
		sample_end(&s, "no mark, and zeros at", at);
	}
	for (uint64_t at = 0; at < wal_size; at += PAGES) {
		sample_load(&s);
		fake_disk_cut(WAL, at + 100);
		sample_try(&s);
		sample_end(&s, "WAL cut at", at);
	}
	assert_int_equal(s.refused, 0);

	sample_free(&s);
}

static void
sql_run(const char *sql)
{
	sqlite3 *db;

	assert_int_equal(sqlite3_open_v2(DB, &db, SQLITE_OPEN_READWRITE, "fake"), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	assert_true(sqlite3_changes(db) > 0);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

/* Nothing that SQLite could find fault with. */
static void
forged_rows_are_seen(void **state)
{
	static const char *const forgeries[] = {
		"DELETE FROM record WHERE seq = (SELECT max(last) + 1 FROM hole);"
		"UPDATE hole SET last = last + 1 WHERE last = (SELECT max(last) FROM hole)",
		"DELETE FROM record WHERE seq = (SELECT max(last) + 1 FROM hole);"
		"INSERT INTO hole SELECT max(last) + 1, max(last) + 1, sum FROM hole",
		"DELETE FROM record WHERE seq = (SELECT max(seq) FROM record)",
		"DELETE FROM record WHERE seq = (SELECT max(seq) - 3 FROM record)",
		"UPDATE record SET lane = lane + 1 WHERE seq = (SELECT max(seq) FROM record)",
		"UPDATE record SET time = time + 1 WHERE seq = (SELECT max(seq) FROM record)",
		"UPDATE record SET lane = lane + 4294967296 WHERE seq = (SELECT max(seq) FROM record)",
		"UPDATE record SET bytes = CAST('' AS BLOB) WHERE seq = (SELECT max(seq) FROM record)",
	};
	struct xf_error error;
	struct xf_mark mark;
	struct sample s;

	(void)state;
	sample_make(&s, false);
	for (size_t i = 0; i < sizeof(forgeries) / sizeof(*forgeries); i++) {
		sample_load(&s);
		sql_run(forgeries[i]);
		sample_try(&s);
		sample_end(&s, "forgery", i);
		assert_int_equal(s.damaged, i + 1);
		assert_int_equal(s.missing, i + 1);
	}

	/* A gap, and as many records behind the mark as it is wide. */
	sample_load(&s);
	sql_run("DELETE FROM record WHERE seq = (SELECT max(seq) - 3 FROM record)");
	assert_int_equal(xf_mark_open(&mark, &fake_disk, MARK, false, &error), XF_OK);
	assert_int_equal(xf_mark_write(&mark, XF_RECORDS_VERSION, mark.low, mark.high - 1, &error), XF_OK);
	xf_mark_close(&mark);
	s.missing = 0;
	sample_try(&s);
	sample_end(&s, "gap", 0);
	assert_int_equal(s.missing, 1);
	sample_free(&s);
}

static void
newer_versions_are_refused(void **state)
{
	struct xf_error error = {{0}};
	struct xf_mark mark;
	struct sample s;

	(void)state;
	sample_make(&s, false);
	sample_load(&s);
	assert_int_equal(xf_mark_open(&mark, &fake_disk, MARK, false, &error), XF_OK);
	assert_int_equal(xf_mark_write(&mark, XF_RECORDS_VERSION + 1, mark.low, mark.high, &error), XF_OK);
	xf_mark_close(&mark);
	assert_false(ledger_open(&s.ledger, &error));
	assert_non_null(strstr(error.text, "newer crossfade"));
	assert_non_null(strstr(error.text, "move the folder away"));
	assert_null(fake_disk_find(ASIDE, ""));
	sample_free(&s);
}

/* The power goes while a spool is made, and while that is done again over what the first attempt left: the next one who opens it finds an
 * empty one, not a damaged one. */
static void
birth_survives_cuts(void **state)
{
	(void)state;
	ledger_hush(true);
	for (uint64_t seed = 1; seed <= (XF_SCALE > 1 ? 3 : 40); seed++) {
		bool ended = false;

		for (uint64_t at = 0; !ended; at++) {
			struct xf_error error;
			struct ledger l;
			bool damaged;

			fake_disk_reset(seed * 1000 + at);
			ledger_init(&l, &fake_disk, "/data/spool", 1 << 22, 5);
			fake_disk_cut_at(at);
			ended = ledger_open(&l, &error);
			ledger_close(&l);
			fake_disk_restart();
			fake_disk_cut_at(fake_disk_calls() + fake_below(60));
			damaged = ledger_open(&l, &error) && l.found.damaged;
			ledger_close(&l);
			fake_disk_restart();
			if (!ledger_open(&l, &error) || l.found.damaged || damaged) {
				ledger_hush(false);
				fail_msg("cut at %llu: %s", (unsigned long long)at, l.spool == NULL ? error.text : "damaged");
			}
			ledger_fini(&l);
		}
	}
	ledger_hush(false);
}

/* Salvaging is cut off at each of its calls: what is found at last is the same, and was reported. */
static void
salvage_survives_cuts(void **state)
{
	uint64_t page, messages, step = getenv("XF_LONG") != NULL ? 1 : 5 * XF_SCALE;
	bool ended = false;
	struct sample s;

	(void)state;
	sample_make(&s, false);
	page = page_find(&s);
	messages = s.kept;
	for (uint64_t at = 0; !ended; at += 1 + fake_below(step)) {
		struct xf_error error;

		sample_load(&s);
		fake_disk_zero(DB, page, 4096);
		fake_disk_cut_at(fake_disk_calls() + at);
		ended = ledger_open(&s.ledger, &error);
		ledger_close(&s.ledger);
		fake_disk_restart();
		if (!ledger_open(&s.ledger, &error))
			fail_msg("cut at %llu: %s", (unsigned long long)at, error.text);
		/* Set aside and logged before the cut, if not reported now. */
		if (!s.ledger.found.damaged && fake_disk_find(ASIDE, "/records.db") == NULL)
			violated(&s, "neither reported nor set aside");
		if (s.ledger.found.messages != messages)
			violated(&s, "it matters when it was cut off");
		sample_end(&s, "cut at", at);
		ledger_close(&s.ledger);
	}
	sample_free(&s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(flipped_bits_are_seen),
		cmocka_unit_test(closed_spool_is_looked_through),
		cmocka_unit_test(worse_damage_is_seen),
		cmocka_unit_test(forged_rows_are_seen),
		cmocka_unit_test(newer_versions_are_refused),
		cmocka_unit_test(birth_survives_cuts),
		cmocka_unit_test(salvage_survives_cuts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
