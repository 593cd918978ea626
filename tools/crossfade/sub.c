/*
 * A route from a broker to the terminal. What would be left behind at the broker is made for this one run and goes with
 * it, or is asked for by the user; what consuming would take from others is not consumed unless he says so.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "args.h"
#include "base/clock.h"
#include "base/subject.h"
#include "message.h"
#include "patience.h"
#include "reader.h"
#include "terminal.h"
#include "tool.h"
#include "via.h"

enum { IN_FLIGHT_MAX = 1024 };

struct printer {
	bool json, headers;
	struct xf_buffer line;
};

/* ---- Printing -------------------------------------------------------------------------------------------- */

static void
headers_print(struct xf_buffer *out, const struct xf_outgoing *message)
{
	xf_buffer_printf(out, "subject: %.*s\n", XF_STR_ARG(message->subject));
	for (uint32_t i = 0; i < message->header_count; i++)
		xf_buffer_printf(out, "%.*s: %.*s\n", XF_STR_ARG(message->headers[i].name),
		                 XF_STR_ARG(message->headers[i].value));
	if (message->reply.len > 0)
		xf_buffer_printf(out, "reply: %.*s\n", XF_STR_ARG(message->reply));
	if (message->content_type.len > 0)
		xf_buffer_printf(out, "content-type: %.*s\n", XF_STR_ARG(message->content_type));
	xf_buffer_puts(out, "\n");
}

static bool
message_print(void *context, const struct xf_outgoing *message)
{
	struct printer *printer = context;
	struct xf_buffer *line = &printer->line;

	line->len = 0;
	if (printer->json) {
		message_format(message, line);
	} else {
		if (printer->headers)
			headers_print(line, message);
		xf_buffer_append(line, message->payload != NULL ? message->payload : "", message->payload_size);
	}
	xf_buffer_puts(line, "\n");
	return fwrite(line->data, 1, line->len, stdout) == line->len;
}

static void
print_flush(void *context)
{
	(void)context;
	if (fflush(stdout) != 0)
		terminal.broken = true;
}

/* ---- The route ---------------------------------------------------------------------------------------------- */

struct wanted {
	const char *via, *config, *count, *timeout;
	const char *options[ARGS_MANY];
	bool json, headers, take, peek;
};

static int
route_write(struct small *small, const struct via *via, const char *subject, uint64_t in_flight)
{
	char *quoted = small_quote(subject);
	int status;

	small_write_server(small);
	small_line(small, NULL, "transports:");
	small_line(small, NULL, "  terminal: {plugin: terminal}");
	via_write_transport(via, small);
	small_line(small, NULL, "routes:");
	small_line(small, NULL, "  - name: sub");
	small_line(small, NULL, "    max_in_flight: %" PRIu64, in_flight);
	small_line(small, NULL, "    from:");
	small_line(small, NULL, "      transport: %s", via->name);
	small_line(small, "SUBJECT", "      subject: %s", quoted);
	status = reader_write(small, via, 6, NULL);
	small_line(small, NULL, "    to: {transport: terminal}");
	free(quoted);
	return status;
}

/* ---- Running --------------------------------------------------------------------------------------------------- */

/* Consuming a queue takes from those whose it is. */
static int
taking_check(const struct small *small, const struct via *via, const struct wanted *wanted, const char *subject)
{
	bool takes = (small->conf->routes[0].sources[0].traits & XF_TRAIT_TAKES) != 0 && !reader_is_private(via);

	if (!takes && wanted->peek)
		return complain(EXIT_USAGE, "--peek is for queues and lists; here nothing is taken from anybody");
	if (!takes || wanted->take || wanted->peek)
		return EXIT_DONE;
	return complain(EXIT_USAGE,
	                "'%s' is a queue: what is consumed from it is gone for its consumers. Give --take for that, or\n"
	                "--peek to look and put back (it then counts as redelivered and may change its place), or\n"
	                "-o exchange=NAME to get a copy of what passes from now on",
	                subject);
}

/* A broker that goes away is waited for; it is said once, and once when it is back. */
static void
trouble_tell(struct small *small, bool *told)
{
	struct small_trouble trouble;
	bool now = small_trouble(small, &trouble);

	if (now && !*told)
		complain(EXIT_FAILED, "%s; trying again", trouble.reason);
	else if (!now && *told)
		complain(EXIT_FAILED, "connected again");
	*told = now;
}

static bool
done_counting(uint64_t count)
{
	return count > 0 && terminal.taken >= count;
}

/* True: it failed, which was said. IDLE_MS 0: for ever. */
static bool
messages_wait(struct small *small, uint64_t count, uint64_t idle_ms)
{
	uint64_t seen = 0, since = xf_now_ms();
	struct patience patience;
	bool told = false, up = false;

	patience_begin(&patience, NULL, PATIENCE_TIMEOUT_MS);
	while (!terminal.broken && !done_counting(count) && small_wait(small, 100)) {
		uint64_t now = xf_now_ms();

		if (!up && small_is_up(small, "sub")) {
			up = true;
			since = now;
		} else if (!up && patience_ends(&patience, small, 0)) {
			complain(EXIT_FAILED, "%s", patience.reason);
			return true;
		}
		if (up)
			trouble_tell(small, &told);
		if (terminal.taken != seen) {
			seen = terminal.taken;
			since = now;
		}
		if (up && idle_ms > 0 && now - since >= idle_ms)
			break;
	}
	return terminal.broken;
}

/* The broker has been told of everything that was printed. */
static void
acks_wait(struct small *small)
{
	uint64_t until = xf_now_ms() + 5000;

	while (!terminal.keep && !terminal.broken && small_acked(small) < terminal.taken && xf_now_ms() < until)
		small_wait(small, 5);
}

static int
subscribe(const struct wanted *wanted, const char *subject)
{
	uint64_t count = 0, idle_ms = 0;
	struct printer printer = {.json = wanted->json, .headers = wanted->headers};
	struct small small;
	struct via via = {0};
	bool failed;
	int status;

	if (wanted->take && wanted->peek)
		return complain(EXIT_USAGE, "--take and --peek: one of them");
	if (!args_count("count", wanted->count, 1, INT64_MAX, &count) ||
	    !args_duration("timeout", wanted->timeout, &idle_ms))
		return EXIT_USAGE;
	if (!small_init(&small, wanted->config, strstr(wanted->via, "://") == NULL, &status))
		return status;
	if (!via_init(&via, &small, "--via", wanted->via, wanted->options, VIA_SOURCE, "via", &status))
		goto forget;
	status = route_write(&small, &via, subject, count > 0 && count < IN_FLIGHT_MAX ? count : IN_FLIGHT_MAX);
	if (status == EXIT_DONE)
		status = small_create(&small);
	if (status == EXIT_DONE)
		status = taking_check(&small, &via, wanted, subject);
	if (status != EXIT_DONE)
		goto forget;
	terminal.take = message_print;
	terminal.flush = print_flush;
	terminal.take_context = &printer;
	terminal.take_max = count;
	terminal.keep = wanted->peek;
	small_start(&small);
	failed = messages_wait(&small, count, idle_ms);
	acks_wait(&small);
	if (failed || (count > 0 && terminal.taken < count))
		status = EXIT_FAILED;
	if (!failed && status == EXIT_FAILED)
		complain(status, "%" PRIu64 " of %" PRIu64 " messages came", terminal.taken, count);
forget:
	small_fini(&small, 0);
	via_fini(&via);
	xf_buffer_fini(&printer.line);
	return status;
}

static int
sub_run(int argc, char **argv)
{
	struct wanted wanted = {0};
	const struct arg args[] = {
		{"via", 'v', "URL|NAME", "the broker: a URL, or a transport of the file", NULL, &wanted.via},
		{"option", 'o', "KEY=VALUE...", "an option of the plugin: -o mode=stream, -o exchange=x, -o deliver=all", NULL,
		 wanted.options},
		{"count", 'n', "N", "end after N messages", NULL, &wanted.count},
		{"timeout", 't', "TIME", "end when nothing has come for so long", NULL, &wanted.timeout},
		{"headers", 0, NULL, "print subject and headers above each payload", &wanted.headers, NULL},
		{"take", 0, NULL, "consume a queue: what is printed is gone from it", &wanted.take, NULL},
		{"peek", 0, NULL, "look into a queue: what is printed goes back to it", &wanted.peek, NULL},
		{"config", 'c', "FILE", "the file that has the transport NAME (default " DEFAULT_FILE ")", NULL, &wanted.config},
		{"json", 0, NULL, "print each message as JSON on a line", &wanted.json, NULL},
	};
	const struct usage usage = {
		.line = "sub --via URL|NAME SUBJECT [-o KEY=VALUE]... [--count N] [--timeout TIME]",
		.about = "Prints what a broker has for a subject, through its plugin, without a server, and leaves nothing behind.\n"
		         "  nats   what passes from now on; with -o mode=jetstream a stream, from now on, -o deliver=all or\n"
		         "         -o deliver.since=2h, by a consumer of its own (or -o durable=NAME, which stays and goes on where it was)\n"
		         "  redis  channels; with -o mode=stream a stream, from now on or -o deliver=all, without a group\n"
		         "         (or by -o group=NAME, which stays and goes on where it was)\n"
		         "  amqp   with -o exchange=NAME what passes there from now on, by a queue of its own;\n"
		         "         else SUBJECT is a queue, and needs --take or --peek\n"
		         "  http   listens at the URL and prints what is posted to /publish/SUBJECT there\n"
		         "With --count, 1 is returned where fewer came.",
		.examples = "  crossfade sub --via nats://127.0.0.1:4222 'orders.>' --headers\n"
		            "  crossfade sub --via redis://127.0.0.1 'orders.>' --json | jq .payload\n"
		            "  crossfade sub --via amqp://127.0.0.1 -o exchange=orders '>' --count 10\n"
		            "  crossfade sub --via amqp://127.0.0.1 backlog --peek --timeout 1s\n",
		.args = args,
		.arg_count = sizeof args / sizeof args[0],
		.words_min = 1,
		.words_max = 1,
	};
	const char *subject, *wrong;
	int status;

	if (!args_parse(&usage, argc, argv, &subject, &status))
		return status;
	if (wanted.via == NULL)
		return complain(EXIT_USAGE, "which broker? Give --via URL, or --via NAME with -c FILE");
	wrong = xf_subject_pattern_check(xf_str(subject));
	if (wrong != NULL)
		return complain(EXIT_USAGE, "subject '%s': it %s; expected one like orders.eu, orders.* or orders.>", subject,
		                wrong);
	return subscribe(&wanted, subject);
}

const struct verb verb_sub = {"sub", "print what passes at any broker, without a server", .run = sub_run};
