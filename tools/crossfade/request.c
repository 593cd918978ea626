/*
 * Two routes: one from the terminal to the broker, with a reply address, and one from that address to the terminal. The
 * first waits until the second listens. HTTP answers on the same connection, so there it is one plain request.
 */
#include <cjson/cJSON.h>
#include <curl/curl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "args.h"
#include "base/memory.h"
#include "feed.h"
#include "message.h"
#include "patience.h"
#include "random.h"
#include "terminal.h"
#include "tool.h"
#include "via.h"

enum { ANSWER_BYTES_MAX = 64 * 1024 * 1024 };

struct wanted {
	const char *via, *config, *timeout, *content_type, *id;
	const char *options[ARGS_MANY], *headers[ARGS_MANY];
	bool json;
};

/* ---- Over a broker ---------------------------------------------------------------------------------------- */

struct answer {
	bool json;
	struct xf_buffer line;
};

static bool
answer_print(void *context, const struct xf_outgoing *message)
{
	struct answer *answer = context;

	if (answer->json)
		message_format(message, &answer->line);
	else
		xf_buffer_append(&answer->line, message->payload != NULL ? message->payload : "", message->payload_size);
	xf_buffer_puts(&answer->line, "\n");
	return fwrite(answer->line.data, 1, answer->line.len, stdout) == answer->line.len;
}

static void
answer_flush(void *context)
{
	(void)context;
	if (fflush(stdout) != 0)
		terminal.broken = true;
}

/* Redis channels carry a reply address only in an envelope; a queue for answers is ours and goes with us. */
static void
routes_write(struct small *small, const struct via *via, const struct via *back, const char *inbox)
{
	const struct via_default ask[] = {{"mode", via_is(via, "nats") ? "core" : "pubsub"}, {"envelope", "json"}, {0}};
	const struct via_default core[] = {{"mode", "core"}, {0}};
	const struct via_default channel[] = {{"mode", "pubsub"}, {"envelope", "json"}, {0}};
	const struct via_default queue[] = {{"queue", inbox}, {"declare", "true"}, {"exclusive", "true"}, {0}};
	const char *mode = via_option(via, "mode");
	bool stream = mode != NULL && strcmp(mode, "stream") == 0;

	small_write_server(small);
	small_line(small, NULL, "transports:");
	small_line(small, NULL, "  terminal: {plugin: terminal}");
	via_write_transport(via, small);
	via_write_transport(back, small);
	small_line(small, NULL, "routes:");
	small_line(small, NULL, "  - name: ask");
	small_line(small, NULL, "    from: {transport: terminal}");
	small_line(small, NULL, "    to:");
	small_line(small, NULL, "      transport: %s", via->name);
	via_write_endpoint(via, small, VIA_SINK, 6, via_is(via, "redis") && !stream ? ask : via_is(via, "nats") ? core : NULL);
	small_line(small, NULL, "  - name: answers");
	small_line(small, NULL, "    from:");
	small_line(small, NULL, "      transport: %s", back->name);
	small_line(small, NULL, "      subject: \"%s\"", inbox);
	via_write_endpoint(back, small, VIA_SOURCE, 6,
	                   via_is(via, "amqp") ? queue : via_is(via, "redis") ? channel : core);
	small_line(small, NULL, "    to: {transport: terminal}");
}

/* True: an answer came. */
static bool
answer_wait(struct small *small, struct patience *patience)
{
	while (terminal.taken == 0 && !terminal.broken) {
		if (terminal.hold && small_is_up(small, "answers"))
			terminal.hold = false;
		if (!small_wait(small, terminal.hold ? 5 : 50)) {
			complain(EXIT_FAILED, "interrupted");
			return false;
		}
		if (terminal.refused > 0) {
			small_rejects_print(small);
			return false;
		}
		if (terminal.taken == 0 && patience_ends(patience, small, 0)) {
			if (terminal.confirmed > 0)
				complain(EXIT_FAILED, "no answer within %.3g s", (double)patience->timeout_ms / 1000);
			else
				complain(EXIT_FAILED, "%s", patience->reason);
			return false;
		}
	}
	return !terminal.broken;
}

/* ---- Over HTTP ---------------------------------------------------------------------------------------------- */

static size_t
on_data(char *data, size_t one, size_t len, void *context)
{
	struct xf_buffer *answer = context;

	(void)one;
	if (answer->len + len > ANSWER_BYTES_MAX)
		return 0;
	xf_buffer_append(answer, data, len);
	return len;
}

/* "http://host:8080" is a server of our own kind, with its entry at /request; a URL with a path is taken as it is. */
static char *
http_url(CURL *curl, const char *base, const char *subject, uint64_t timeout_ms)
{
	size_t len = strlen(base);
	char *escaped, *url;

	while (len > 0 && base[len - 1] == '/')
		len--;
	if (memchr(strstr(base, "://") + 3, '/', (size_t)(base + len - (strstr(base, "://") + 3))) != NULL)
		return xf_format("%s", base);
	escaped = curl_easy_escape(curl, subject, 0);
	url = xf_format("%.*s/request/%s?timeout=%" PRIu64 "ms", (int)len, base, escaped, timeout_ms);
	curl_free(escaped);
	return url;
}

static struct curl_slist *
http_headers(const struct wanted *wanted)
{
	struct curl_slist *headers = curl_slist_append(NULL, "Expect:");
	char *line = xf_format("Content-Type: %s",
	                       wanted->content_type != NULL ? wanted->content_type : "application/octet-stream");

	headers = curl_slist_append(headers, line);
	free(line);
	if (wanted->id != NULL) {
		line = xf_format("Message-Id: %s", wanted->id);
		headers = curl_slist_append(headers, line);
		free(line);
	}
	for (size_t i = 0; wanted->headers[i] != NULL; i++)
		headers = curl_slist_append(headers, wanted->headers[i]);
	return headers;
}

static void
http_options(CURL *curl, const struct via *via)
{
	const char *ca = via_option(via, "tls.ca"), *cert = via_option(via, "tls.cert"), *key = via_option(via, "tls.key"),
	           *verify = via_option(via, "tls.verify");

	if (ca != NULL)
		curl_easy_setopt(curl, CURLOPT_CAINFO, ca);
	if (cert != NULL)
		curl_easy_setopt(curl, CURLOPT_SSLCERT, cert);
	if (key != NULL)
		curl_easy_setopt(curl, CURLOPT_SSLKEY, key);
	if (verify != NULL && strcmp(verify, "false") == 0) {
		curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 0L);
		curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 0L);
	}
	if (via_option(via, "token") != NULL) {
		curl_easy_setopt(curl, CURLOPT_HTTPAUTH, CURLAUTH_BEARER);
		curl_easy_setopt(curl, CURLOPT_XOAUTH2_BEARER, via_option(via, "token"));
	}
}

static int
http_answer(const struct wanted *wanted, CURL *curl, CURLcode result, const char *subject, struct xf_buffer *answer)
{
	long code = 0;

	if (result != CURLE_OK)
		return complain(EXIT_FAILED, "%s: %s", wanted->via, curl_easy_strerror(result));
	curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &code);
	if (code < 200 || code > 299) {
		cJSON *problem = answer->len > 0 ? cJSON_ParseWithLength(answer->data, answer->len) : NULL;
		const cJSON *detail = cJSON_GetObjectItemCaseSensitive(problem, "detail");
		int status = code == 504 ? complain(EXIT_FAILED, "no answer in time (HTTP 504)")
		                         : complain(EXIT_FAILED, "HTTP %ld%s%s", code, cJSON_IsString(detail) ? ": " : "",
		                                    cJSON_IsString(detail) ? detail->valuestring : "");

		cJSON_Delete(problem);
		return status;
	}
	if (wanted->json) {
		struct xf_outgoing message = {.subject = xf_str(subject), .payload = answer->data, .payload_size = answer->len};
		struct xf_buffer line = {0};

		message_format(&message, &line);
		puts(line.data);
		xf_buffer_fini(&line);
	} else {
		fwrite(answer->data != NULL ? answer->data : "", 1, answer->len, stdout);
		putchar('\n');
	}
	return EXIT_DONE;
}

static int
http_request(const struct wanted *wanted, struct feed *feed, const struct via *via, uint64_t timeout_ms)
{
	struct curl_slist *headers = http_headers(wanted);
	struct xf_buffer answer = {0};
	const char *base = via_url(via);
	char *subject = xf_strndup(feed->common.in.subject.data, feed->common.in.subject.len), *url;
	CURL *curl;
	int status;

	if (base == NULL) {
		curl_slist_free_all(headers);
		free(subject);
		return complain(EXIT_USAGE, "--via: transport '%s' has no url to ask", wanted->via);
	}
	curl_global_init(CURL_GLOBAL_DEFAULT);
	curl = curl_easy_init();
	url = http_url(curl, base, subject, timeout_ms);
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_POST, 1L);
	curl_easy_setopt(curl, CURLOPT_POSTFIELDS, feed->common.in.payload != NULL ? feed->common.in.payload : "");
	curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)feed->common.in.payload_size);
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	/* a moment more than the server, whose answer says more */
	curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)(timeout_ms < 86400000 ? timeout_ms + 1000 : 86400000));
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_data);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, &answer);
	http_options(curl, via);
	status = http_answer(wanted, curl, curl_easy_perform(curl), subject, &answer);
	free(url);
	free(subject);
	xf_buffer_fini(&answer);
	curl_slist_free_all(headers);
	curl_easy_cleanup(curl);
	curl_global_cleanup();
	return status;
}

/* ---- Either ------------------------------------------------------------------------------------------------- */

static int
ask(const struct wanted *wanted, struct feed *feed, uint64_t timeout_ms)
{
	char *inbox = NULL;
	struct answer answer = {.json = wanted->json};
	struct via via = {0}, back = {0};
	struct patience patience;
	const char *none[] = {NULL};
	const char **shared = xf_alloc_array(ARGS_MANY, sizeof *shared);
	struct small small;
	size_t count = 0;
	int status;

	if (!small_init(&small, wanted->config, strstr(wanted->via, "://") == NULL, &status)) {
		free(shared);
		return status;
	}
	if (!via_init(&via, &small, "--via", wanted->via, wanted->options, VIA_SINK, "via", &status))
		goto forget;
	if (via_is(&via, "http")) {
		status = http_request(wanted, feed, &via, timeout_ms);
		goto forget;
	}
	/* the way back takes the options of the transport, such as tls.ca, and none of the sink */
	for (size_t i = 0; wanted->options[i] != NULL; i++)
		if (via_is_transports(&via, wanted->options[i]))
			shared[count++] = wanted->options[i];
	if (!via_init(&back, &small, "--via", wanted->via, count > 0 ? shared : none, VIA_SOURCE, "back", &status))
		goto forget;
	inbox = random_name("crossfade.reply.");
	feed->common.in.reply = xf_str(inbox);
	routes_write(&small, &via, &back, inbox);
	terminal.next = feed_next;
	terminal.next_context = feed;
	terminal.take = answer_print;
	terminal.flush = answer_flush;
	terminal.take_context = &answer;
	terminal.hold = true;
	terminal.take_max = 1;
	status = small_create(&small);
	if (status != EXIT_DONE)
		goto forget;
	small_start(&small);
	patience_begin(&patience, wanted->timeout, timeout_ms);
	status = answer_wait(&small, &patience) ? EXIT_DONE : EXIT_FAILED;
forget:
	small_fini(&small, 0);
	via_fini(&via);
	via_fini(&back);
	xf_buffer_fini(&answer.line);
	free(shared);
	free(inbox);
	return status;
}

/* ---- The verb --------------------------------------------------------------------------------------------------- */

static int
request_run(int argc, char **argv)
{
	struct wanted wanted = {0};
	const struct arg args[] = {
		{"via", 'v', "URL|NAME", "the broker: a URL, or a transport of the file", NULL, &wanted.via},
		{"option", 'o', "KEY=VALUE...", "an option of the plugin: -o exchange=x, -o tls.ca=ca.pem", NULL, wanted.options},
		{"header", 'H', "'NAME: VALUE'...", "a header of the message", NULL, wanted.headers},
		{"id", 0, "ID", "message id; random otherwise", NULL, &wanted.id},
		{"content-type", 0, "TYPE", "of the payload: application/json", NULL, &wanted.content_type},
		{"timeout", 't', "TIME", "how long to wait for the answer (10s)", NULL, &wanted.timeout},
		{"config", 'c', "FILE", "the file that has the transport NAME (default " DEFAULT_FILE ")", NULL, &wanted.config},
		{"json", 0, NULL, "print the answer as JSON, with its headers", &wanted.json, NULL},
	};
	const struct usage usage = {
		.line = "request --via URL|NAME SUBJECT [PAYLOAD] [-o KEY=VALUE]... [--timeout TIME]",
		.about = "Publishes with a reply address and prints the first answer; 1 where none comes in time. The payload is\n"
		         "PAYLOAD, else standard input's.\n"
		         "  nats   core publish, answered to an inbox\n"
		         "  redis  on a channel, in an envelope that has the reply channel; -o mode=stream: an entry with the field reply\n"
		         "  amqp   answered to a queue of its own, which reply_to names\n"
		         "  http   POST /request/SUBJECT, or to the URL as it is where it has a path",
		.examples = "  crossfade request --via nats://127.0.0.1:4222 time.now ''\n"
		            "  crossfade request --via http://127.0.0.1:8080 orders.price '{\"item\": 7}' --timeout 2s\n",
		.args = args,
		.arg_count = sizeof args / sizeof args[0],
		.words_min = 1,
		.words_max = 2,
	};
	uint64_t timeout_ms = PATIENCE_TIMEOUT_MS;
	struct feed feed = {.kind = FEED_ONE, .count = 1, .fd = -1};
	const char *words[2];
	int status = EXIT_DONE;

	if (!args_parse(&usage, argc, argv, words, &status))
		return status;
	if (wanted.via == NULL)
		return complain(EXIT_USAGE, "which broker? Give --via URL, or --via NAME with -c FILE");
	if (!args_duration("timeout", wanted.timeout, &timeout_ms))
		return EXIT_USAGE;
	if (!feed_subject(words[0], wanted.options) || !feed_headers(&feed.common, wanted.headers))
		status = EXIT_USAGE;
	else if (words[1] != NULL)
		feed.common.in.payload = words[1], feed.common.in.payload_size = strlen(words[1]);
	else
		status = feed_payload(&feed.common, "standard input", STDIN_FILENO);
	feed.common.in.subject = xf_str(words[0]);
	feed.common.in.id = xf_str(wanted.id);
	feed.common.in.content_type = xf_str(wanted.content_type);
	if (status == EXIT_DONE)
		status = ask(&wanted, &feed, timeout_ms);
	feed_fini(&feed);
	return status;
}

const struct verb verb_request = {"request", "ask over any broker and wait for the answer", .run = request_run};
