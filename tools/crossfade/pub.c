/*
 * A route from the terminal to a broker. It ends when the core has settled every message, which it does once the broker
 * has confirmed it: so the exit status says that it is stored, not that it was sent.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "args.h"
#include "feed.h"
#include "patience.h"
#include "tool.h"
#include "via.h"

struct wanted {
	const char *via, *config, *file, *id, *key, *reply, *content_type, *count, *timeout;
	const char *options[ARGS_MANY], *headers[ARGS_MANY];
	bool lines, ndjson, json;
};

/* ---- What is published -------------------------------------------------------------------------------------- */

static int
input_open(struct feed *feed, const struct wanted *wanted, const char *payload)
{
	bool one = !wanted->lines && !wanted->ndjson;
	int status = EXIT_DONE;

	if (payload != NULL) {
		feed->common.in.payload = payload;
		feed->common.in.payload_size = strlen(payload);
		return EXIT_DONE;
	}
	feed->fd = STDIN_FILENO;
	if (wanted->file != NULL && strcmp(wanted->file, "-") != 0) {
		feed->fd = open(wanted->file, O_RDONLY | O_CLOEXEC);
		if (feed->fd < 0)
			return complain(EXIT_FAILED, "%s: %s", wanted->file, strerror(errno));
	}
	if (one) {
		status = feed_payload(&feed->common, wanted->file != NULL ? wanted->file : "standard input", feed->fd);
		if (feed->fd != STDIN_FILENO)
			close(feed->fd);
		feed->fd = -1;
	}
	return status;
}

static int
feed_init(struct feed *feed, const struct wanted *wanted, const char *subject, const char *payload)
{
	bool lines = wanted->lines || wanted->ndjson;

	*feed = (struct feed){.kind = wanted->ndjson  ? FEED_NDJSON
	                              : wanted->lines ? FEED_LINES
	                                              : FEED_ONE,
	                      .count = 1,
	                      .fd = -1};
	if (wanted->lines && wanted->ndjson)
		return complain(EXIT_USAGE, "--lines and --ndjson: one of them");
	if (lines && (payload != NULL || wanted->count != NULL || wanted->id != NULL))
		return complain(EXIT_USAGE, "with --lines and --ndjson there is no PAYLOAD, --count or --id; the lines say it");
	if (payload != NULL && wanted->file != NULL)
		return complain(EXIT_USAGE, "a PAYLOAD and --file: one of them");
	if (subject == NULL && !wanted->ndjson)
		return complain(EXIT_USAGE, "which subject? Only with --ndjson can it be left out");
	if (!args_count("count", wanted->count, 1, INT64_MAX, &feed->count) || !feed_subject(subject, wanted->options))
		return EXIT_USAGE;
	if (wanted->id != NULL && feed->count > 1)
		return complain(EXIT_USAGE, "--id is of one message; with --count each gets one of its own");
	feed->common.in.subject = xf_str(subject);
	feed->common.in.id = xf_str(wanted->id);
	feed->common.in.key = xf_str(wanted->key);
	feed->common.in.reply = xf_str(wanted->reply);
	feed->common.in.content_type = xf_str(wanted->content_type);
	if (!feed_headers(&feed->common, wanted->headers))
		return EXIT_USAGE;
	return input_open(feed, wanted, payload);
}

/* ---- The route -------------------------------------------------------------------------------------------------- */

/* A server of our own kind has its entry at /publish; a URL with a path is a webhook. */
static void
route_write(struct small *small, const struct via *via)
{
	const char *host = via->known == NULL ? strstr(via->given, "://") + 3 : "/";
	bool bare = host[strcspn(host, "/")] == '\0' || strcmp(host + strcspn(host, "/"), "/") == 0;
	const struct via_default http[] = {{"path", "/publish/{subject}"}, {0}};

	small_write_server(small);
	small_line(small, NULL, "transports:");
	small_line(small, NULL, "  terminal: {plugin: terminal}");
	via_write_transport(via, small);
	small_line(small, NULL, "routes:");
	small_line(small, NULL, "  - name: pub");
	small_line(small, NULL, "    from: {transport: terminal}");
	small_line(small, NULL, "    to:");
	small_line(small, NULL, "      transport: %s", via->name);
	small_line(small, NULL, "      subject: \"{subject}\"");
	via_write_endpoint(via, small, VIA_SINK, 6, via_is(via, "http") && via->known == NULL && bare ? http : NULL);
}

/* Until all is settled, or there is no point in waiting. True: it was given up, and the reason stands in PATIENCE. */
static bool
settle_wait(struct small *small, struct patience *patience)
{
	while (!terminal.ended || terminal.confirmed + terminal.refused < terminal.emitted) {
		bool idle = !terminal.ended && terminal.confirmed + terminal.refused == terminal.emitted;

		if (!small_wait(small, 50)) {
			snprintf(patience->reason, sizeof patience->reason, "interrupted");
			return true;
		}
		/* Whoever types lines may take as long as he likes. */
		if (patience_ends(patience, small, terminal.confirmed + terminal.refused) &&
		    (!idle || patience->trouble_ms != 0))
			return true;
	}
	return false;
}

static int
result_print(struct small *small, const struct patience *patience, const struct feed *feed, bool gave_up, bool json)
{
	uint64_t rejected = small_rejects_print(small), open = terminal.emitted - terminal.confirmed - terminal.refused;
	bool good = !gave_up && rejected + terminal.refused + feed->bad == 0;

	if (gave_up)
		complain(EXIT_FAILED, "%s", patience->reason);
	if (json)
		printf("{\"confirmed\":%" PRIu64 ",\"refused\":%" PRIu64 ",\"unconfirmed\":%" PRIu64 ",\"bad_lines\":%" PRIu64
		       "}\n", terminal.confirmed, terminal.refused, open, feed->bad);
	else if (good || terminal.confirmed > 0)
		printf("%" PRIu64 " confirmed\n", terminal.confirmed);
	if (!json && open > 0)
		complain(EXIT_FAILED, "%" PRIu64 " not confirmed%s", open,
		         patience->certain ? "" : "; the broker may have some of them all the same");
	return good ? EXIT_DONE : EXIT_FAILED;
}

static int
publish(const struct wanted *wanted, const char *subject, const char *payload)
{
	uint64_t timeout_ms = PATIENCE_TIMEOUT_MS;
	struct patience patience;
	struct small small;
	struct feed feed = {.fd = -1};
	struct via via = {0};
	bool gave_up;
	int status;

	if (!args_duration("timeout", wanted->timeout, &timeout_ms))
		return EXIT_USAGE;
	if (!small_init(&small, wanted->config, strstr(wanted->via, "://") == NULL, &status))
		return status;
	if (!via_init(&via, &small, "--via", wanted->via, wanted->options, VIA_SINK, "via", &status))
		goto forget;
	status = feed_init(&feed, wanted, subject, payload);
	if (status != EXIT_DONE)
		goto forget;
	route_write(&small, &via);
	terminal.next = feed_next;
	terminal.next_context = &feed;
	status = small_create(&small);
	if (status != EXIT_DONE)
		goto forget;
	small_start(&small);
	patience_begin(&patience, wanted->timeout, timeout_ms);
	gave_up = settle_wait(&small, &patience);
	status = result_print(&small, &patience, &feed, gave_up, wanted->json);
forget:
	small_fini(&small, 0);
	via_fini(&via);
	feed_fini(&feed);
	return status;
}

static int
pub_run(int argc, char **argv)
{
	struct wanted wanted = {0};
	const struct arg args[] = {
		{"via", 'v', "URL|NAME", "the broker: a URL, or a transport of the file", NULL, &wanted.via},
		{"option", 'o', "KEY=VALUE...", "an option of the plugin: -o mode=stream, -o exchange=x, -o tls.ca=ca.pem", NULL,
		 wanted.options},
		{"header", 'H', "'NAME: VALUE'...", "a header of every message", NULL, wanted.headers},
		{"file", 'f', "FILE", "the payload, or the lines, are in it; - is standard input", NULL, &wanted.file},
		{"lines", 'l', NULL, "each line of the input is a message", &wanted.lines, NULL},
		{"ndjson", 0, NULL, "each line of the input is a message as sub --json prints it", &wanted.ndjson, NULL},
		{"id", 0, "ID", "message id; random otherwise", NULL, &wanted.id},
		{"key", 'k', "KEY", "what keeps messages together and in order", NULL, &wanted.key},
		{"reply", 0, "SUBJECT", "where an answer is expected", NULL, &wanted.reply},
		{"content-type", 0, "TYPE", "of the payload: application/json", NULL, &wanted.content_type},
		{"count", 'n', "N", "publish it so many times", NULL, &wanted.count},
		{"timeout", 't', "TIME", "give up after so long without a confirmation (10s; a refusal: 1s)", NULL,
		 &wanted.timeout},
		{"config", 'c', "FILE", "the file that has the transport NAME (default " DEFAULT_FILE ")", NULL, &wanted.config},
		{"json", 0, NULL, "print the result as JSON", &wanted.json, NULL},
	};
	const struct usage usage = {
		.line = "pub --via URL|NAME SUBJECT [PAYLOAD] [-o KEY=VALUE]... [-H 'NAME: VALUE']...",
		.about = "Publishes to a broker through its plugin, without a server. The payload is PAYLOAD, else a file's, else\n"
		         "standard input's. Ends with 0 once the broker has confirmed everything, with 1 and its reason\n"
		         "otherwise.",
		.examples = "  crossfade pub --via nats://127.0.0.1:4222 orders.eu '{\"n\": 1}'\n"
		            "  crossfade pub --via redis://127.0.0.1 -o mode=stream orders.eu --file order.json\n"
		            "  crossfade pub --via amqp://127.0.0.1 -o declare=true -H 'tenant: a' backlog hello\n"
		            "  crossfade sub --via redis-old --json '>' | crossfade pub --via nats-new --ndjson\n",
		.args = args,
		.arg_count = sizeof args / sizeof args[0],
		.words_max = 2,
	};
	const char *words[2];
	int status;

	if (!args_parse(&usage, argc, argv, words, &status))
		return status;
	if (wanted.via == NULL)
		return complain(EXIT_USAGE, "which broker? Give --via URL, or --via NAME with -c FILE");
	return publish(&wanted, words[0], words[1]);
}

const struct verb verb_pub = {"pub", "publish to any broker, without a server", .run = pub_run};
