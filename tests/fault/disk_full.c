/*
 * disk_full.c - a disk that fills up under a spool: nothing is acknowledged that is not on it, the source is held back, and that is said;
 * a kill changes nothing of it; and it goes on by itself once there is room, to the last message.
 *
 * The disk is an ext4 of its own in a file, or a tmpfs where there are no loop devices, mounted where no other process sees it: with the last
 * of ours it is gone. Skipped where mounting is not allowed.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/memory.h"
#include "broker.h"
#include "carry.h"

#define DISK_MB 40
#define FILLER_MB 12
#define RATE (4000 / XF_SCALE)
#define BOUND 500

struct disk {
	struct xf_server *server; /* its data folder is the disk */
	struct xf_broker *broker;
	char *filler;
};

/* False: said why not. */
static bool
disk_mount(struct xf_server *server, const char *at)
{
	char *image = xf_format("%s/image", xf_server_dir(server));
	char *make = xf_format("truncate -s %dM '%s' && mkfs.ext4 -q -F '%s' && mount -o loop '%s' '%s'", DISK_MB, image, image, image, at);
	char *size = xf_format("size=%dm", DISK_MB);
	bool done = system(make) == 0;

	if (!done && mount("none", at, "tmpfs", 0, size) == 0) {
		printf("no loop device: a tmpfs\n");
		done = true;
	} else if (!done) {
		printf("skipped: no mount: %s\n", strerror(errno));
	}
	free(image);
	free(make);
	free(size);
	return done;
}

/* Takes all but some of the disk. */
static void
disk_fill(struct disk *disk)
{
	int fd = open(disk->filler, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(posix_fallocate(fd, 0, FILLER_MB << 20), 0);
	close(fd);
}

static void
configure(struct disk *disk, const char *more)
{
	char *broker = xf_format("plugin: redis, url: '%s', heartbeat: 1s", xf_broker_url(disk->broker));
	char *from = xf_format(", size: 1KiB%s", more), *bound = xf_format("    max_in_flight: %d\n", BOUND);

	carry_configure(disk->server,
	                &(struct carry){
				.name = "full",
				.broker = broker,
				.place = "mode: stream, subject: full",
				.from = from,
				.sink = ", when_down: spool",
				.route = bound,
				.rate = RATE,
	                },
	                1, "", "");
	free(broker);
	free(from);
	free(bound);
}

static int
setup(void **state)
{
	static const char *const durable[] = {"--appendonly", "yes", "--appendfsync", "no", NULL};
	struct disk *disk = xf_alloc(sizeof(*disk));
	char *at;

	if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) {
		printf("skipped: no mounts of one's own: %s\n", strerror(errno));
		exit(77);
	}
	disk->server = xf_server_create("disk-full");
	at = xf_format("%s/data", xf_server_dir(disk->server));
	disk->filler = xf_format("%s/filler", at);
	if (mkdir(at, 0700) != 0 || !disk_mount(disk->server, at))
		exit(77);
	free(at);
	disk->broker = xf_broker_start("redis", durable);
	*state = disk;
	return 0;
}

static int
teardown(void **state)
{
	struct disk *disk = *state;
	char *at = xf_format("%s/data", xf_server_dir(disk->server));

	if (xf_server_pid(disk->server) > 0)
		xf_server_kill(disk->server);
	umount2(at, MNT_DETACH);
	xf_server_destroy(&disk->server);
	xf_broker_destroy(&disk->broker);
	free(disk->filler);
	free(disk);
	free(at);
	return 0;
}

static double
number(struct disk *disk, const char *field)
{
	return carry_number(disk->server, "full", field);
}

/* The spool takes nothing more, the source is held back, and what was acked lies with the broker or in the spool. */
static void
wait_full(struct disk *disk, double at_broker)
{
	double acked;

	carry_wait_number(disk->server, "full", "sinks.0.spool.failed", 1);
	carry_wait_string(disk->server, "full", "reason", "full");
	carry_wait_number(disk->server, "full", "in_flight", BOUND);
	acked = number(disk, "acked");
	xf_sleep_ms(1000); /* several attempts at it */
	assert_true(number(disk, "acked") == acked);
	assert_true(number(disk, "in_flight") == BOUND);
	assert_true(number(disk, "sinks.0.spool.failed") == 1);
	assert_true(number(disk, "rejected") + number(disk, "overflow") + number(disk, "sinks.0.dropped") == 0);
	assert_true(number(disk, "acked") <= at_broker + number(disk, "sinks.0.spool.messages"));
	assert_int_equal(xf_server_request(disk->server, "GET", "/healthz", NULL, NULL), 503);
}

static void
test_room_comes_back(void **state)
{
	struct disk *disk = *state;
	struct samples recover = {0};
	uint64_t begun;
	double before;

	configure(disk, "");
	disk_fill(disk);
	xf_server_start(disk->server);
	xf_server_wait_ready(disk->server);
	carry_delivers(disk->server, "full", RATE);
	xf_broker_kill(disk->broker);
	begun = xf_now_ms();
	carry_wait_number(disk->server, "full", "sinks.0.spool.messages", 1);
	printf("in the spool %.2f s after\n", (double)(xf_now_ms() - begun) / 1000);
	wait_full(disk, number(disk, "sinks.0.confirmed"));
	printf("full with %.0f messages\n", number(disk, "sinks.0.spool.messages"));

	before = number(disk, "acked");
	assert_int_equal(unlink(disk->filler), 0);
	begun = xf_now_ms();
	carry_wait_number(disk->server, "full", "acked", before + BOUND);
	samples_add(&recover, (double)(xf_now_ms() - begun) / 1000);
	printf("goes on %.2f s after there is room\n", (double)(xf_now_ms() - begun) / 1000);
	wait_full(disk, number(disk, "sinks.0.confirmed"));
	xf_broker_restart(disk->broker);
	begun = xf_now_ms();
	while (number(disk, "sinks.0.spool.messages") > 0 && xf_now_ms() - begun < XF_WAIT_MS)
		xf_sleep_ms(20);
	printf("empty %.2f s after the broker is back\n", (double)(xf_now_ms() - begun) / 1000);
	carry_finish(disk->server, "full",
	             &(struct figures){.fault = "spool's disk full", .broker = "redis", .faults = 2, .recover = &recover});
	samples_fini(&recover);
	assert_int_equal(xf_server_stop(disk->server), 0);
}

static double
at_broker(struct disk *disk)
{
	char *said = xf_broker_ctl(disk->broker, (const char *const[]){"XLEN", "full", NULL});
	double count = atof(said);

	free(said);
	return count;
}

/* What was acked before a kill is there after it, on a disk that is as full. */
static void
test_killed_while_full(void **state)
{
	struct disk *disk = *state;
	double acked, there;
	uint64_t until;

	free(xf_broker_ctl(disk->broker, (const char *const[]){"DEL", "full", NULL}));
	configure(disk, "");
	disk_fill(disk);
	xf_server_start(disk->server);
	carry_delivers(disk->server, "full", 1);
	XF_CLI_DONE(disk->server, "route", "pause", "full-in");
	xf_server_wait_settled(disk->server, "full-in", 1);
	xf_broker_kill(disk->broker);
	XF_CLI_DONE(disk->server, "route", "resume", "full-in");
	wait_full(disk, number(disk, "sinks.0.confirmed"));
	acked = number(disk, "acked");
	there = number(disk, "sinks.0.confirmed");
	xf_server_kill(disk->server);
	configure(disk, ", count: 1");
	xf_server_start(disk->server);
	assert_true(number(disk, "sinks.0.spool.messages") >= acked - there);
	assert_int_equal(unlink(disk->filler), 0);
	xf_broker_restart(disk->broker);
	xf_server_wait_settled(disk->server, "full-in", 1);
	until = xf_now_ms() + XF_WAIT_MS;
	while ((number(disk, "sinks.0.spool.messages") > 0 || number(disk, "sinks.0.in_flight") > 0) && xf_now_ms() < until)
		xf_sleep_ms(20);
	there = at_broker(disk);
	printf("acked %.0f before the kill and 1 after it, at the broker %.0f\n", acked, there);
	assert_true(there >= acked + 1);
	assert_int_equal(xf_server_stop(disk->server), 0);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_room_comes_back),
		cmocka_unit_test(test_killed_while_full),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
