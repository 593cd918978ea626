/*
 * harness.h - runs the endpoints of one plugin as the core would, for tests.
 *
 * Loads a plugin file, reads settings by its option tables, opens the transport, and gives every
 * source and sink the thread and the loop that transport.h describes:
 *
 *   work() -> publish() while there is room -> settle() -> wait for the descriptor, the time or a wake()
 *
 * The loop is literal: after publish() or settle() it waits for what the work() before them asked for. A plugin
 * that leaves something undone there calls wake() itself; so it works under any core.
 *
 * What the header forbids ends the test program with a line that says which rule was broken: a host function on the
 * wrong thread or after stop(), more messages than credit, a handle or token twice, a token not completed at stop(), DOWN
 * with tokens out. The bytes of a published message are freed when its token is completed, so that a
 * sanitizer finds whoever reads them later.
 *
 * Threads: a test calls from one thread; the endpoints have their own. Functions that wait have a deadline and
 * return false when it passes.
 */
#ifndef XF_TESTS_HARNESS_H
#define XF_TESTS_HARNESS_H

#include <stdbool.h>
#include <stddef.h>

#include <crossfade/transport.h>

/*
 * Settings as "key=value" texts that end with NULL; NULL is none. Values read as in YAML (30s, 64KiB, true). A list
 * is made by giving its key again; a key within a map is "tls.cert=FILE", within a list of maps
 * "streams[0].name=ORDERS".
 */
#define OPTIONS(...) ((const char *const[]){__VA_ARGS__, NULL})

/* ---- A transport ------------------------------------------------------------ */

struct harness;

/* Whether the plugin was built. */
bool harness_available(const char *plugin);

/* Loads lib/crossfade/plugins/crossfade-transport-PLUGIN.so and opens a transport. Ends the test program where that
 * fails; try_open returns NULL with a reason instead. */
struct harness *harness_open(const char *plugin, const char *const *options);
struct harness *harness_try_open(const char *plugin, const char *const *options, struct xf_error *error);

/* Every endpoint has been destroyed. */
void harness_close(struct harness **harness);

const struct xf_transport_class *harness_class(const struct harness *harness);

/* The transport's report, terminated; "" where it has none. Valid until the next call. */
const char *harness_report(struct harness *harness);

uint64_t harness_source_traits(struct harness *harness, const char *const *options);
uint64_t harness_sink_traits(struct harness *harness, const char *const *options);

/* ---- Endpoints ----------------------------------------------------------------- */

struct harness_endpoint;

/* Endpoints that are created from now on are told that requests are made (for REQUEST_MS at most), and that replies are sent. */
void harness_requests(struct harness *harness, uint32_t request_ms);

/* Creates; start and stop run and end the thread; destroy stops where that was not done. ERROR: create's
 * refusal, then NULL is returned; with ERROR NULL a refusal ends the test program. SUBJECT: the pattern of a source,
 * the template's text of a sink; NULL: ">" and "{subject}". */
struct harness_endpoint *harness_source_create(struct harness *harness, const char *name, const char *subject,
                                               const char *const *options, struct xf_error *error);
struct harness_endpoint *harness_sink_create(struct harness *harness, const char *name, const char *subject,
                                             const char *const *options, struct xf_error *error);
void harness_start(struct harness_endpoint *endpoint);
void harness_stop(struct harness_endpoint *endpoint);
void harness_destroy(struct harness_endpoint **endpoint);

/* Created and started. */
struct harness_endpoint *harness_source(struct harness *harness, const char *name, const char *subject,
                                        const char *const *options);
struct harness_endpoint *harness_sink(struct harness *harness, const char *name, const char *subject,
                                      const char *const *options);

/* XF_STATE_* as last reported (DOWN at first); how often that state was reported; the last reason, "" for none. */
uint32_t harness_state(struct harness_endpoint *endpoint);
size_t harness_state_count(struct harness_endpoint *endpoint, uint32_t state);
const char *harness_state_reason(struct harness_endpoint *endpoint);
bool harness_wait_state(struct harness_endpoint *endpoint, uint32_t state, unsigned deadline_ms);
/* Until it was reported COUNT times. */
bool harness_wait_state_count(struct harness_endpoint *endpoint, uint32_t state, size_t count, unsigned deadline_ms);

/* The next sight that comes and tells KNOWN (XF_SIGHT_*); ends the test program where none comes. */
struct xf_sight harness_wait_sight(struct harness_endpoint *endpoint, uint32_t known, unsigned deadline_ms);

/* work() is told that the endpoint is about to stop. */
void harness_drain(struct harness_endpoint *endpoint);

/* While held no queued message is offered and no settlement is handed over: a test builds a large batch. */
void harness_hold(struct harness_endpoint *endpoint, bool held);

/* What a plugin logged about the endpoint at LEVEL or worse. */
size_t harness_log_count(struct harness_endpoint *endpoint, uint32_t level);

/* ---- Sources -------------------------------------------------------------------- */

/* A message as it was emitted, copied. Lives until its endpoint is destroyed. */
struct harness_message {
	struct xf_incoming in; /* strings are terminated; release is not set */
	bool settled;          /* finally: ACK, RETRY or REJECT was asked for */
	char reply_to[512];    /* by harness_unwrap() */
};

/* How much may be unsettled at once: the credit of a work() is what is left of it. At first 4096 messages, 64 MiB,
 * and that many is what the plugin is told as max_in_flight. 0 messages: a pause. Returns once no work() with another
 * credit is under way. */
void harness_window(struct harness_endpoint *source, uint32_t messages, uint64_t bytes);

/* Settles everything with OUTCOME (XF_SETTLE_*) as it comes; 0: the test settles, as at first. KEEP false: such
 * messages are counted only, for tests of many. */
void harness_settle_auto(struct harness_endpoint *source, uint32_t outcome, bool keep);

size_t harness_received(struct harness_endpoint *source);
bool harness_wait_received(struct harness_endpoint *source, size_t count, unsigned deadline_ms);

/* The INDEX-th since create, from 0; NULL: not there (yet). */
const struct harness_message *harness_message(struct harness_endpoint *source, size_t index);

/* The value of its first header NAME, or NULL. */
const char *harness_header(const struct harness_message *message, const char *name);

/* Settles messages by index, in the order given. They reach the plugin in one batch where the calls come quickly. */
void harness_settle(struct harness_endpoint *source, size_t index, uint32_t outcome, uint32_t delay_ms);
void harness_settle_range(struct harness_endpoint *source, size_t first, size_t count, uint32_t outcome);

/* Replies to the message at INDEX, before what is settled later; STATUS other than 0: with a failure. */
void harness_reply(struct harness_endpoint *source, size_t index, const struct xf_incoming *reply, uint32_t status);
void harness_reply_text(struct harness_endpoint *source, size_t index, const char *payload);

/* The message at INDEX is to be replied to at ADDRESS, as an envelope would have said. */
void harness_unwrap(struct harness_endpoint *source, size_t index, const char *address);

/* A handle of any age. */
void harness_settle_handle(struct harness_endpoint *source, uint64_t handle, uint32_t outcome);

/* Until the plugin has been handed every settlement, and work() ran once after. */
bool harness_wait_settled(struct harness_endpoint *source, unsigned deadline_ms);

/* ---- Sinks ------------------------------------------------------------------------- */

/* What became of a message. */
struct harness_result {
	uint32_t code;   /* XF_RESULT_*; 0: not completed */
	uint32_t flags;
	bool taken;      /* by publish() */
	char reason[200];
};

/* Queues a message; everything is copied; its token is chosen here (message->token is not read), 0 for the first,
 * then 1, and so on. It is offered once the sink is UP or BLOCKED and has room. */
size_t harness_publish(struct harness_endpoint *sink, const struct xf_outgoing *message);
size_t harness_publish_text(struct harness_endpoint *sink, const char *subject, const char *payload);

/* Queues the message of TOKEN once more, with XF_OUTGOING_RETRY, under a new token. */
size_t harness_republish(struct harness_endpoint *sink, size_t token);

/* A reply that a sink brought. Lives until its endpoint is destroyed. */
struct harness_replied {
	uint64_t request;
	uint32_t status;
	char reason[200];
	struct harness_message *message; /* NULL: none */
};

/* Where REQUEST is to be replied to, once it was offered; NULL before. Lives as long as the endpoint. */
const char *harness_address(struct harness_endpoint *sink, uint64_t request);

/* Replies so far; the INDEX-th of them, NULL: not there (yet). A message is a request where its `request` is not 0; its address is asked for here. */
size_t harness_replied(struct harness_endpoint *sink);
bool harness_wait_replied(struct harness_endpoint *sink, size_t count, unsigned deadline_ms);
const struct harness_replied *harness_replied_at(struct harness_endpoint *sink, size_t index);

size_t harness_published(struct harness_endpoint *sink);
size_t harness_completed(struct harness_endpoint *sink);
/* Completed with CODE. */
size_t harness_completed_as(struct harness_endpoint *sink, uint32_t code);
bool harness_wait_completed(struct harness_endpoint *sink, size_t count, unsigned deadline_ms);
struct harness_result harness_result(struct harness_endpoint *sink, size_t token);

/* ---- The process ----------------------------------------------------------------------- */

/* Open descriptors; threads. */
size_t harness_count_fds(void);
size_t harness_count_threads(void);

/* Turns what plugins see as now_ms and wall_ms. */
void harness_clock_advance(uint64_t milliseconds);

/* While held it stands still but for that. */
void harness_clock_hold(bool held);

uint64_t harness_now_ms(void);
void harness_sleep_ms(unsigned milliseconds);

/* Ends the program with a line. */
_Noreturn void harness_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
