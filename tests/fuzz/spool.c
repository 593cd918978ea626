/*
 * A spool whose files were tampered with: it is opened, or refused with a reason, and no record that was called durable is changed, or
 * missing without a word.
 *
 * The first byte says whether the mark is hit or the files beside it: both at once may well hide what is gone. Then four bytes each: a
 * file, what is done to it, and where.
 */
#include "../unit/spool/fake_disk.h"
#include "../unit/spool/ledger.h"

#include <stdio.h>

#include "fuzz.h"

#define FOLDER "/data/spool"

enum { RECORDS = 24 };

static struct ledger ledger;
static struct entry kept[RECORDS]; /* as they are on the disk */

/* Some records in the file, some in its WAL, and holes. */
static void
sample_make(void)
{
	struct xf_error error;

	ledger_hush(true);
	fake_disk_reset(1);
	ledger_init(&ledger, &fake_disk, FOLDER, 1 << 20, 3);
	for (int life = 0; life < 2; life++) {
		XF_ASSERT(ledger_open(&ledger, &error));
		ledger_append(&ledger, RECORDS / 2, life == 0 ? 3000 : 300, xf_spool_generation(ledger.spool));
		ledger_wait(&ledger);
		if (life == 0)
			ledger_done(&ledger, 4, true);
		else
			fake_disk_cut_at(fake_disk_calls()); /* so that the WAL stays */
		ledger_close(&ledger);
	}
	fake_disk_restart();
	fake_disk_save();
	for (size_t i = 0; i < RECORDS; i++)
		kept[i] = *ledger.entries[i];
}

static void
tamper(const char *path, unsigned char what, uint64_t where)
{
	uint64_t size = fake_disk_size(path), at = size > 0 ? where * (size / 8192 + 1) % size : 0;

	if (size == 0)
		return;
	if (what % 8 == 0)
		fake_disk_zero(path, at, size - at < 64 ? size - at : 64);
	else if (what % 32 == 1)
		fake_disk_cut(path, at);
	else if (what == 255)
		fake_disk_remove(path);
	else
		fake_disk_flip(path, at * 8 + what / 8 % 8);
}

void
fuzz_one(struct xf_str input)
{
	static const char *const beside[] = {FOLDER "/records.db", FOLDER "/records.db-wal"};
	const unsigned char *bytes = (const unsigned char *)input.data;
	struct xf_error error = {{0}};

	if (ledger.settings.path == NULL)
		sample_make();
	fake_disk_load();
	ledger_forget(&ledger, RECORDS);
	for (size_t i = 0; i < RECORDS; i++)
		*ledger.entries[i] = kept[i];
	for (uint64_t i = 1; i + 4 <= input.len && i < 64; i += 4)
		tamper(bytes[0] % 2 == 0 ? FOLDER "/mark" : beside[bytes[i] % 2], bytes[i + 1],
		       (uint64_t)bytes[i + 2] << 8 | bytes[i + 3]);
	if (ledger_open(&ledger, &error)) {
		ledger_check(&ledger);
		ledger_close(&ledger);
		if (ledger.violation[0] != '\0')
			fprintf(stderr, "%s\n", ledger.violation);
		XF_ASSERT(ledger.violation[0] == '\0');
	} else {
		XF_ASSERT(error.text[0] != '\0');
	}
}
