/*
 * broker.h - real brokers for tests, through tools/broker, and folders that vanish.
 *
 * Every broker has a folder and a loopback port of its own and keeps both across stop, kill and wipe. What goes
 * wrong fails the running cmocka test with the script's own words; outside a test it ends the program.
 * Brokers and folders still there at exit() are killed and removed; with XF_KEEP in the environment
 * folders stay, for looking into.
 *
 * Threads: the test's main thread only. Calls block until they are done: RabbitMQ takes seconds to start.
 */
#ifndef XF_TESTS_BROKER_H
#define XF_TESTS_BROKER_H

#include <stdbool.h>

struct xf_broker;

/* KIND is "redis", "sentinel", "nats" or "amqp". ARGS, which may be NULL and else ends with NULL, are the server's own;
 * for amqp and sentinel each is a line of its configuration. Returns when it answers. */
struct xf_broker *xf_broker_start(const char *kind, const char *const *args);

/* The same with TLS on its port. Its folder then holds ca.pem, server.pem server.key (for localhost and 127.0.0.1),
 * client.pem client.key, expired.pem expired.key (as the server's), and other-ca.pem, which signed nothing. */
struct xf_broker *xf_broker_start_tls(const char *kind, bool client_required);

/* Those files in the folder DIR, without a broker. */
void xf_certificates_make(const char *dir);

/* Kills it if it runs, and removes its folder. */
void xf_broker_destroy(struct xf_broker **broker);

/* Borrowed. */
const char *xf_broker_url(const struct xf_broker *broker);
const char *xf_broker_dir(const struct xf_broker *broker);

/* Waits until what was created a moment ago survives a kill: RabbitMQ keeps its list of queues in Erlang's disk_log, which
 * holds what it is to write back for seconds. No other broker does. */
void xf_broker_ripen(const struct xf_broker *broker);

void xf_broker_stop(struct xf_broker *broker);
void xf_broker_kill(struct xf_broker *broker);
void xf_broker_pause(struct xf_broker *broker);
void xf_broker_resume(struct xf_broker *broker);

/* NATS: it reads its configuration and its certificates again, soon. */
void xf_broker_reload(struct xf_broker *broker);

/* Stops it if it runs; the same port, the data that is there, the same arguments. */
void xf_broker_restart(struct xf_broker *broker);

/* Its data is gone; it is stopped. */
void xf_broker_wipe(struct xf_broker *broker);

/* Runs rabbitmqctl or redis-cli with ARGS, which end with NULL; returns what it printed, to be freed. */
char *xf_broker_ctl(struct xf_broker *broker, const char *const *args);

/* A new folder below TMPDIR or /tmp, on the heap. */
char *xf_temp_create(const char *name);
void xf_temp_destroy(char **dir);

#endif
