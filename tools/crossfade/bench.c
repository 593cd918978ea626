/*
 * Load and its check, by the probe plugin inside this program: its generators publish at one place, its checker reads at
 * another, and what lies between them is tried: a broker alone, a bridge made here (--to), or a running server (--from).
 *
 * Generators wait until the reader has subscribed, so that nothing is lost for nobody being there.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "args.h"
#include "base/clock.h"
#include "base/memory.h"
#include "base/subject.h"
#include "client.h"
#include "output.h"
#include "patience.h"
#include "reader.h"
#include "tool.h"
#include "via.h"

enum {
	PRODUCERS_MAX = 16,
	SETTLE_MS = 5000, /* without an arrival, after the last was sent: what has not come then is lost */
};

struct wanted {
	const char *via, *to, *from, *read, *config, *subject;
	const char *options[ARGS_MANY], *other_options[ARGS_MANY];
	uint64_t rate, size, keys, duration_ms, count, producers;
	bool json;
};

/* What the ledger says. */
struct figures {
	uint64_t sent, confirmed, refused, received, lost, duplicates, corrupted, reordered, unexpected;
	uint64_t p50_us, p99_us, max_us;
};

/* ---- The routes --------------------------------------------------------------------------------------------- */

/* "bench.{k}" is read as "bench.*". On the heap. */
static char *
pattern_of(const char *subject)
{
	const char *hole = strstr(subject, "{k}");

	if (hole == NULL)
		return xf_strdup(subject);
	return xf_format("%.*s*%s", (int)(hole - subject), subject, hole + 3);
}

static void
producer_write(struct small *small, const struct wanted *wanted, const struct via *via, uint64_t number)
{
	const struct via_default nats[] = {{"mode", "core"}, {0}};
	uint64_t share = wanted->count / wanted->producers + (number < wanted->count % wanted->producers);
	uint64_t rate = wanted->rate / wanted->producers + (number < wanted->rate % wanted->producers);
	char *subject = small_quote(wanted->subject);

	small_line(small, NULL, "  - name: publish-%" PRIu64, number);
	small_line(small, NULL, "    key: \"{key|header.key|subject}\"");
	small_line(small, NULL, "    from:");
	small_line(small, NULL, "      transport: probe");
	small_line(small, NULL, "      producer: %" PRIu64, number);
	small_line(small, "SUBJECT", "      to: %s", subject);
	small_line(small, "--rate", "      rate: %" PRIu64, wanted->rate == 0 ? 0 : rate > 0 ? rate : 1);
	small_line(small, "--count", "      count: %" PRIu64, share);
	small_line(small, "--size", "      size: %" PRIu64 "B", wanted->size);
	small_line(small, "--keys", "      keys: %" PRIu64, wanted->keys);
	small_line(small, NULL, "    to:");
	small_line(small, NULL, "      transport: %s", via->name);
	via_write_endpoint(via, small, VIA_SINK, 6, via_is(via, "nats") && via_option(via, "mode") == NULL ? nats : NULL);
	free(subject);
}

static int
reader_route_write(struct small *small, const char *name, const struct via *via, const char *pattern, bool own_queue)
{
	char *quoted = small_quote(pattern);
	int status;

	small_line(small, NULL, "  - name: %s", name);
	small_line(small, NULL, "    from:");
	small_line(small, NULL, "      transport: %s", via->name);
	small_line(small, "SUBJECT", "      subject: %s", quoted);
	status = reader_write(small, via, 6, own_queue && strpbrk(pattern, "*>") == NULL ? pattern : NULL);
	free(quoted);
	return status;
}

static int
routes_write(struct small *small, const struct wanted *wanted, const struct via *via, const struct via *other)
{
	char *pattern = pattern_of(wanted->subject);
	const struct via *at = wanted->to != NULL || wanted->from != NULL ? other : via;
	int status = EXIT_DONE;

	small_write_server(small);
	small_line(small, NULL, "transports:");
	small_line(small, NULL, "  probe: {plugin: probe}");
	via_write_transport(via, small);
	if (other->class != NULL)
		via_write_transport(other, small);
	small_line(small, NULL, "routes:");
	if (wanted->to != NULL) {
		status = reader_route_write(small, "bridge", via, pattern, true);
		small_line(small, NULL, "    to:");
		small_line(small, NULL, "      transport: %s", other->name);
		via_write_endpoint(other, small, VIA_SINK, 6,
		                   via_is(other, "nats") && via_option(other, "mode") == NULL
		                           ? (const struct via_default[]){{"mode", "core"}, {0}}
		                           : NULL);
	}
	if (status == EXIT_DONE)
		status = reader_route_write(small, "read", at, wanted->read != NULL ? wanted->read : pattern,
		                            wanted->from == NULL);
	small_line(small, NULL, "    to: {transport: probe, side: read}");
	for (uint64_t i = 0; i < wanted->producers; i++)
		producer_write(small, wanted, via, i);
	free(pattern);
	return status;
}

/* ---- Figures ------------------------------------------------------------------------------------------------- */

static void
figures_read(struct small *small, struct figures *figures)
{
	struct xf_buffer text = {0};
	const cJSON *latency;
	cJSON *report = NULL;

	for (size_t i = 0; i < small->conf->transport_count; i++)
		if (strcmp(small->conf->transports[i].name, "probe") == 0)
			xf_flow_transport_report(small->flow, &small->conf->transports[i], &text);
	if (text.len > 0)
		report = cJSON_ParseWithLength(text.data, text.len);
	latency = cJSON_GetObjectItemCaseSensitive(report, "latency_us");
	*figures = (struct figures){
		.sent = json_count(report, "sent"),
		.confirmed = json_count(report, "acked"),
		.refused = json_count(report, "rejected"),
		.received = json_count(report, "received"),
		.lost = json_count(report, "lost"),
		.duplicates = json_count(report, "duplicates"),
		.corrupted = json_count(report, "corrupted"),
		.reordered = json_count(report, "reordered"),
		.unexpected = json_count(report, "unexpected"),
		.p50_us = json_count(latency, "p50"),
		.p99_us = json_count(latency, "p99"),
		.max_us = json_count(latency, "max"),
	};
	cJSON_Delete(report);
	xf_buffer_fini(&text);
}

static void
second_print(const struct figures *now, const struct figures *before, double seconds)
{
	char clock[16], sent[32], received[32], behind[32];
	time_t wall = time(NULL);
	struct tm tm;

	localtime_r(&wall, &tm);
	strftime(clock, sizeof clock, "%H:%M:%S", &tm);
	number_format((uint64_t)((double)(now->sent - before->sent) / seconds + 0.5), sent);
	number_format((uint64_t)((double)(now->received - before->received) / seconds + 0.5), received);
	number_format(now->sent > now->received ? now->sent - now->received : 0, behind);
	printf("%s  sent %10s/s  received %10s/s  behind %9s  p50 %7.2f ms  p99 %7.2f ms\n", clock, sent, received, behind,
	       (double)now->p50_us / 1000, (double)now->p99_us / 1000);
	fflush(stdout);
}

static void
result_print(const struct figures *f, double seconds, bool json)
{
	uint64_t unconfirmed = f->sent - f->confirmed - f->refused;
	double rate = seconds > 0 ? (double)(f->received - f->duplicates) / seconds : 0;
	char number[32];

	if (json) {
		printf("{\"sent\":%" PRIu64 ",\"confirmed\":%" PRIu64 ",\"refused\":%" PRIu64 ",\"unconfirmed\":%" PRIu64
		       ",\"received\":%" PRIu64 ",\"lost\":%" PRIu64 ",\"duplicates\":%" PRIu64 ",\"corrupted\":%" PRIu64
		       ",\"reordered\":%" PRIu64 ",\"unexpected\":%" PRIu64 ",\"seconds\":%.3f,\"rate\":%.0f,\"latency_us\":"
		       "{\"p50\":%" PRIu64 ",\"p99\":%" PRIu64 ",\"max\":%" PRIu64 "}}\n",
		       f->sent, f->confirmed, f->refused, unconfirmed, f->received, f->lost, f->duplicates, f->corrupted,
		       f->reordered, f->unexpected, seconds, rate, f->p50_us, f->p99_us, f->max_us);
		return;
	}
	printf("\nsent          %s\n", number_format(f->sent, number));
	printf("confirmed     %s\n", number_format(f->confirmed, number));
	if (f->refused + unconfirmed > 0)
		printf("refused       %" PRIu64 ", unconfirmed %" PRIu64 "\n", f->refused, unconfirmed);
	printf("received      %s\n", number_format(f->received, number));
	printf("%slost          %" PRIu64 "%s\n", f->lost ? colour_on(RED) : "", f->lost, f->lost ? colour_off() : "");
	printf("duplicates    %" PRIu64 "\n", f->duplicates);
	printf("corrupted     %" PRIu64 "\nreordered     %" PRIu64 " within their key\n", f->corrupted, f->reordered);
	if (f->unexpected > 0)
		printf("unexpected    %" PRIu64 " messages that are not of this run\n", f->unexpected);
	printf("latency       p50 %.2f ms, p99 %.2f ms, max %.2f ms\n", (double)f->p50_us / 1000, (double)f->p99_us / 1000,
	       (double)f->max_us / 1000);
	printf("rate          %s/s over %.1f s\n", number_format((uint64_t)(rate + 0.5), number), seconds);
}

/* ---- Running -------------------------------------------------------------------------------------------------- */

static void
producers_pause(struct small *small, const struct wanted *wanted, bool paused)
{
	for (uint64_t i = 0; i < wanted->producers; i++) {
		char name[32];

		snprintf(name, sizeof name, "publish-%" PRIu64, i);
		xf_flow_route_pause(small->flow, xf_flow_route_find(small->flow, xf_str(name)), paused, "bench");
	}
}

/* False: it was said why not. */
static bool
readers_wait(struct small *small, const struct wanted *wanted)
{
	struct patience patience;

	patience_begin(&patience, NULL, PATIENCE_TIMEOUT_MS);
	while (!small_is_up(small, "read") || (wanted->to != NULL && !small_is_up(small, "bridge"))) {
		if (!small_wait(small, 5)) {
			complain(EXIT_FAILED, "interrupted");
			return false;
		}
		if (patience_ends(&patience, small, 0)) {
			complain(EXIT_FAILED, "%s", patience.reason);
			return false;
		}
	}
	return true;
}

/* What is measured, and when. */
struct run {
	struct figures now, before;
	uint64_t begun_ms, shown_ms, moved_ms; /* moved: the last arrival */
	bool sending, failed;
};

/* Looks, and prints a line a second. */
static void
run_look(struct run *run, struct small *small, bool json)
{
	uint64_t received = run->now.received, now_ms;

	figures_read(small, &run->now);
	now_ms = xf_now_ms();
	if (run->now.received != received)
		run->moved_ms = now_ms;
	if (now_ms - run->shown_ms < 1000)
		return;
	if (!json)
		second_print(&run->now, &run->before, (double)(now_ms - run->shown_ms) / 1000);
	run->before = run->now;
	run->shown_ms = now_ms;
}

static bool
run_has_arrived(const struct run *run)
{
	const struct figures *f = &run->now;

	return f->confirmed + f->refused >= f->sent && f->received - f->duplicates >= f->confirmed;
}

static void
run_do(struct run *run, struct small *small, const struct wanted *wanted)
{
	struct patience patience;

	*run = (struct run){.begun_ms = xf_now_ms(), .sending = true};
	run->shown_ms = run->moved_ms = run->begun_ms;
	producers_pause(small, wanted, false);
	patience_begin(&patience, NULL, UINT64_MAX);
	for (;;) {
		bool asked_to_end = !small_wait(small, 20);
		uint64_t now_ms;

		run_look(run, small, wanted->json);
		now_ms = xf_now_ms();
		if (run->sending && (asked_to_end || now_ms - run->begun_ms >= wanted->duration_ms ||
		                     (wanted->count > 0 && run->now.sent >= wanted->count))) {
			run->sending = false;
			run->moved_ms = now_ms;
			producers_pause(small, wanted, true);
		} else if (run->sending && patience_ends(&patience, small, run->now.confirmed)) {
			complain(EXIT_FAILED, "%s", patience.reason);
			run->failed = true;
			return;
		} else if (!run->sending && (run_has_arrived(run) || now_ms - run->moved_ms >= SETTLE_MS)) {
			return;
		}
	}
}

static int
bench(const struct wanted *wanted)
{
	const char *given = wanted->to != NULL ? wanted->to : wanted->from;
	struct via via = {0}, other = {0};
	bool needed = strstr(wanted->via, "://") == NULL || (given != NULL && strstr(given, "://") == NULL);
	struct small small;
	struct run run;
	int status;

	if (!small_init(&small, wanted->config, needed, &status))
		return status;
	if (!via_init(&via, &small, "--via", wanted->via, wanted->options,
	              wanted->from != NULL ? VIA_SINK : VIA_SINK | VIA_SOURCE, "via", &status))
		goto forget;
	if (given != NULL &&
	    !via_init(&other, &small, wanted->to != NULL ? "--to" : "--from", given, wanted->other_options,
	              wanted->to != NULL ? VIA_SINK | VIA_SOURCE : VIA_SOURCE, "other", &status))
		goto forget;
	status = routes_write(&small, wanted, &via, &other);
	if (status == EXIT_DONE)
		status = small_create(&small);
	if (status != EXIT_DONE)
		goto forget;
	producers_pause(&small, wanted, true);
	small_start(&small);
	status = EXIT_FAILED;
	if (!readers_wait(&small, wanted))
		goto forget;
	run_do(&run, &small, wanted);
	result_print(&run.now, (double)(run.moved_ms - run.begun_ms) / 1000, wanted->json);
	if (!run.failed && run.now.sent > 0 && run.now.sent == run.now.confirmed &&
	    run.now.lost + run.now.corrupted + run.now.reordered == 0)
		status = EXIT_DONE;
forget:
	small_fini(&small, 0);
	via_fini(&via);
	via_fini(&other);
	return status;
}

/* "bench.{k}" makes subjects; with a token for the hole it is one. */
static bool
subject_check(const char *option, const char *subject, bool pattern)
{
	char *whole = pattern ? xf_strdup(subject) : pattern_of(subject);
	const char *wrong;

	for (char *star = strchr(whole, '*'); !pattern && star != NULL && strstr(subject, "{k}") != NULL; star = NULL)
		*star = 'k';
	wrong = pattern ? xf_subject_pattern_check(xf_str(whole)) : xf_subject_check(xf_str(whole));
	free(whole);
	if (wrong != NULL)
		complain(EXIT_USAGE, "%s '%s': it %s", option, subject, wrong);
	return wrong == NULL;
}

static int
bench_run(int argc, char **argv)
{
	struct wanted wanted = {.size = 128, .keys = 1000, .duration_ms = UINT64_MAX, .producers = 1};
	const char *rate = NULL, *size = NULL, *keys = NULL, *duration = NULL, *count = NULL, *producers = NULL;
	const struct arg args[] = {
		{"via", 'v', "URL|NAME", "where to publish, and to read back unless --to or --from says otherwise", NULL,
		 &wanted.via},
		{"to", 0, "URL|NAME", "bridge from there to here in this program, and read here", NULL, &wanted.to},
		{"from", 0, "URL|NAME", "read here: a running server carries it", NULL, &wanted.from},
		{"read", 0, "SUBJECT", "the subject to read, where it is another", NULL, &wanted.read},
		{"option", 'o', "KEY=VALUE...", "an option of the plugin of --via", NULL, wanted.options},
		{"other-option", 'O', "KEY=VALUE...", "an option of the plugin of --to or --from", NULL, wanted.other_options},
		{"rate", 'r', "N", "messages a second; as many as are taken otherwise", NULL, &rate},
		{"size", 's', "SIZE", "of a payload, from 48B (128B)", NULL, &size},
		{"keys", 'k', "N", "how many keys take turns (1000)", NULL, &keys},
		{"duration", 'd', "TIME", "how long to publish (10s, with --count: until that)", NULL, &duration},
		{"count", 'n', "N", "how many messages to publish", NULL, &count},
		{"producers", 'p', "N", "connections to publish by (1)", NULL, &producers},
		{"config", 'c', "FILE", "the file that has the transport NAME (default " DEFAULT_FILE ")", NULL, &wanted.config},
		{"json", 0, NULL, "print the result as JSON", &wanted.json, NULL},
	};
	const struct usage usage = {
		.line = "bench --via URL|NAME [--to URL|NAME | --from URL|NAME] SUBJECT [--rate N] [--duration TIME] [--count N]",
		.about = "Publishes numbered messages and checks what arrives: loss, order within each key, duplicates, damage,\n"
		         "latency and rate. {k} in SUBJECT is the number of the key. 1 is returned where a message was lost,\n"
		         "damaged, not confirmed, or out of order.",
		.examples =
			"  crossfade bench --via nats://127.0.0.1:4222 bench.a --duration 5s\n"
			"  crossfade bench --via redis://127.0.0.1 --to amqp://127.0.0.1 bench.a --rate 10000\n"
			"  crossfade bench --via amqp://127.0.0.1 --from nats://127.0.0.1:4222 'in.orders.{k}' --read 'orders.*'\n"
			"  crossfade bench --via nats://127.0.0.1 -o mode=jetstream -o durable=bench \\\n"
			"    -o 'streams=[{name: BENCH, subjects: [bench.>], storage: memory}]' 'bench.{k}' --count 100000\n",
		.args = args,
		.arg_count = sizeof args / sizeof args[0],
		.words_min = 1,
		.words_max = 1,
	};
	int status;

	if (!args_parse(&usage, argc, argv, &wanted.subject, &status))
		return status;
	if (wanted.via == NULL)
		return complain(EXIT_USAGE, "which broker? Give --via URL, or --via NAME with -c FILE");
	if (wanted.to != NULL && wanted.from != NULL)
		return complain(EXIT_USAGE, "--to and --from: one of them");
	if (wanted.other_options[0] != NULL && wanted.to == NULL && wanted.from == NULL)
		return complain(EXIT_USAGE, "-O goes with --to or --from");
	if (!args_count("rate", rate, 1, 100000000, &wanted.rate) || !args_size("size", size, &wanted.size) ||
	    !args_count("keys", keys, 1, 1000000, &wanted.keys) ||
	    !args_count("count", count, 1, (uint64_t)1 << 47, &wanted.count) ||
	    !args_count("producers", producers, 1, PRODUCERS_MAX, &wanted.producers) ||
	    !subject_check("SUBJECT", wanted.subject, false) ||
	    (wanted.read != NULL && !subject_check("--read", wanted.read, true)))
		return EXIT_USAGE;
	if (count == NULL)
		wanted.duration_ms = 10000;
	if (!args_duration("duration", duration, &wanted.duration_ms))
		return EXIT_USAGE;
	if (wanted.count > 0 && wanted.count < wanted.producers)
		return complain(EXIT_USAGE, "--count is less than --producers");
	return bench(&wanted);
}

const struct verb verb_bench = {"bench", "load any broker or a server, and check what arrives", .run = bench_run};
