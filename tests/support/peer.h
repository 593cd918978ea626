/*
 * peer.h - the far end of a connection, played by the test: for what a real broker does not do when it is asked to.
 *
 * The test listens, reads and answers itself, step by step, while the plugin runs on the harness's threads. What does not
 * come within XF_WAIT_MS, or is not what was expected, fails the running cmocka test.
 *
 * Threads: the test's main thread only.
 */
#ifndef XF_TESTS_PEER_H
#define XF_TESTS_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct peer;

/* On a port of 127.0.0.1, with nobody connected. */
struct peer *peer_create(void);
void peer_destroy(struct peer **peer);
unsigned peer_port(const struct peer *peer);

/* The next one to connect; one that was there before is hung up on. */
void peer_accept(struct peer *peer);
void peer_hang_up(struct peer *peer);
/* Hangs up, and stays until the other side has done so too: what it was sent arrives for certain. */
void peer_hang_up_last(struct peer *peer);

/* Whether somebody wants to connect; waits MS for it. */
bool peer_wanted(struct peer *peer, unsigned ms);

/* Whether the other end has hung up, with all it said before read and forgotten; waits MS for it. */
bool peer_gone(struct peer *peer, unsigned ms);

void peer_write(struct peer *peer, const void *data, size_t size);
void peer_say(struct peer *peer, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The next SIZE bytes; the next line, terminated and without its CR LF. Valid until the next call. */
const uint8_t *peer_bytes(struct peer *peer, size_t size);
const char *peer_line(struct peer *peer);

/* ---- As a NATS server -------------------------------------------------------- */

/* A message that was published. */
struct peer_message {
	char subject[1100];
	char reply[256]; /* "" for none */
	char *body;      /* headers and payload, terminated; on the heap */
};

/* Accepts, and lets in; INFO is added to what the server says of itself, as ',"ldm":true'. */
void peer_nats_welcome(struct peer *peer, const char *info);

/* The next message published to a subject that begins with PREFIX; pings are answered and all else is passed over. */
struct peer_message peer_nats_message(struct peer *peer, const char *prefix);
void peer_nats_message_fini(struct peer_message *message);

/* Delivers BODY to the subscription SID. */
void peer_nats_deliver(struct peer *peer, unsigned sid, const char *subject, const char *reply, const char *body);

/* Answers MESSAGE at the inbox that it named. */
void peer_nats_answer(struct peer *peer, const struct peer_message *message, const char *body);

/* ---- As an AMQP broker --------------------------------------------------------- */

#define PEER_AMQP(class_id, method_id) ((uint32_t)(class_id) << 16 | (uint32_t)(method_id))

/* Accepts, and lets in, up to connection.open-ok; the broker wants HEARTBEAT seconds. */
void peer_amqp_welcome(struct peer *peer, unsigned heartbeat);

/* Sends a method. Of its arguments TYPES tells each: b, w, d, q are 1, 2, 4 and 8 bytes (the last a uint64_t), s and l a
 * short and a long string. */
void peer_amqp_send(struct peer *peer, unsigned channel, uint32_t method, const char *types, ...);

/* Sends the header of a content without properties. */
void peer_amqp_header(struct peer *peer, unsigned channel, uint64_t size);

/* Sends a frame of a body, or of anything. */
void peer_amqp_frame(struct peer *peer, unsigned type, unsigned channel, const void *payload, size_t size);

/* The next method. */
uint32_t peer_amqp_next(struct peer *peer, unsigned *channel);

/* Reads up to METHOD, and passes over all before it; returns its channel. */
unsigned peer_amqp_expect(struct peer *peer, uint32_t method);

#endif
