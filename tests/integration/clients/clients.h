/*
 * clients.h - the brokers' own client libraries, as applications use them: to feed what crossfade reads, and to read
 * what it wrote. Nothing here is crossfade's.
 *
 * Whatever a broker refuses ends the running cmocka test, where nothing else is said.
 *
 * Threads: each client belongs to one thread at a time.
 */
#ifndef XF_TESTS_CLIENTS_H
#define XF_TESTS_CLIENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "ledger.h"

typedef void arrival_fn(void *arg, const struct arrival *arrival);

/* ---- RabbitMQ ------------------------------------------------------------------------------------ */

struct rabbit;

struct rabbit *rabbit_open(const char *url);
void rabbit_close(struct rabbit **rabbit);
void rabbit_declare(struct rabbit *rabbit, const char *queue);
void rabbit_exchange(struct rabbit *rabbit, const char *exchange); /* durable, topic */
void rabbit_bind(struct rabbit *rabbit, const char *queue, const char *exchange, const char *key);
void rabbit_delete(struct rabbit *rabbit, const char *queue); /* if it is there */
uint64_t rabbit_count(struct rabbit *rabbit, const char *queue);

/* Transient, which is quick: no test kills the broker that feeds. With an id where it is not NULL, and a header `key`
 * where it is not empty. */
void rabbit_publish(struct rabbit *rabbit, const char *exchange, struct xf_str routing_key, const void *payload,
                    size_t size, const char *id, struct xf_str key);

/* What is published from here on is good for so many MILLISECONDS; NULL: for ever. Borrowed. */
void rabbit_expire(struct rabbit *rabbit, const char *milliseconds);

/* Messages FIRST to END of the ledger, as fast as the broker takes them; returns once all are confirmed. */
void rabbit_feed(struct rabbit *rabbit, const char *queue, const struct ledger *ledger, uint32_t first, uint32_t end);
void rabbit_feed_exchange(struct rabbit *rabbit, const char *exchange, const char *routing_key,
                          const struct ledger *ledger, uint32_t first, uint32_t end);

/* Waits until the broker has confirmed all that was published. */
void rabbit_confirm(struct rabbit *rabbit);

/* Takes everything out of the queue. Returns how many there were. */
uint64_t rabbit_read(struct rabbit *rabbit, const char *queue, arrival_fn *each, void *arg);

/* ---- a steady producer, on a thread of its own ------------------------------------------------------ */

struct feeder;

/* Messages FIRST to END of the ledger into QUEUE at RATE a second. */
struct feeder *feeder_start(const char *url, const char *queue, const struct ledger *ledger, uint32_t first,
                            uint32_t end, unsigned rate);
uint32_t feeder_sent(struct feeder *feeder);

/* Waits for the last. */
void feeder_join(struct feeder **feeder);

/* ---- Redis --------------------------------------------------------------------------------------- */

struct cache;

struct cache *cache_open(const char *url);
void cache_close(struct cache **cache);

/* The number that a command answers. */
long long cache_number(struct cache *cache, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Publishes COUNT times PAYLOAD to CHANNEL in pipelines; returns the sum of receivers. */
uint64_t cache_publish(struct cache *cache, const char *channel, const void *payload, size_t size, uint64_t count);

/* XADD as crossfade's own streams look. */
void cache_feed(struct cache *cache, const char *stream, const struct ledger *ledger, uint32_t first, uint32_t end);

uint64_t cache_read(struct cache *cache, const char *stream, arrival_fn *each, void *arg);

/* PUBLISH; LPUSH: payloads alone. */
void cache_feed_channel(struct cache *cache, const char *channel, const struct ledger *ledger, uint32_t first,
                        uint32_t end);
void cache_feed_list(struct cache *cache, const char *list, const struct ledger *ledger, uint32_t first, uint32_t end);

/* Looks at a list in the order in which workers will take it, with RPOP. */
uint64_t cache_read_list(struct cache *cache, const char *list, arrival_fn *each, void *arg);

/* A connection that hears a channel, from now on, and can do nothing else. */
struct cache *cache_subscribe(const char *url, const char *channel);

/* All that it has heard up to the payload END, which somebody published last. */
uint64_t cache_heard(struct cache *cache, const char *end, arrival_fn *each, void *arg);

/* ---- NATS ------------------------------------------------------------------------------------------ */

struct jet;

struct jet *jet_open(const char *url);
void jet_close(struct jet **jet);

/* SUBJECT alone. */
void jet_create(struct jet *jet, const char *stream, const char *subject);

void jet_delete(struct jet *jet, const char *stream); /* if it is there */

/* To whatever stream stores SUBJECT; returns once all are confirmed. */
void jet_feed(struct jet *jet, const char *subject, const struct ledger *ledger, uint32_t first, uint32_t end);

/* Messages in the stream; 0 where there is no such stream. */
uint64_t jet_count(struct jet *jet, const char *stream);
uint64_t jet_read(struct jet *jet, const char *stream, arrival_fn *each, void *arg);

/* A service on a core subject. */
struct ears;

struct ears *jet_listen(struct jet *jet, const char *subject);
void ears_close(struct ears **ears);

/* Waits for a question, and answers it. */
void jet_answer(struct jet *jet, struct ears *ears, const char *answer);

/* ---- into a ledger ----------------------------------------------------------------------------------- */

struct side {
	struct ledger *ledger;
	int side;
};

/* An arrival_fn whose argument is a struct side. */
void side_arrived(void *arg, const struct arrival *arrival);

#endif
