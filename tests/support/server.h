/*
 * server.h - the real crossfaded as a process of its own, with its configuration and data in a folder that vanishes.
 *
 * Steered as an operator would: through the crossfade program and the admin socket. What goes wrong fails the
 * running cmocka test, with the end of the server's log. A server that still runs at exit() is killed.
 *
 * Threads: the test's main thread only.
 */
#ifndef XF_TESTS_SERVER_H
#define XF_TESTS_SERVER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <cjson/cJSON.h>

#include "base/str.h"
#include "wait.h"

struct xf_server;

/* A folder; nothing runs yet. */
struct xf_server *xf_server_create(const char *name);
void xf_server_destroy(struct xf_server **server);

const char *xf_server_dir(const struct xf_server *server);
pid_t xf_server_pid(const struct xf_server *server);

/* Writes crossfade.yaml. Its `server:` block comes first: data_dir is DIR/data; EXTRA are more of its lines, each
 * indented by two, or "". */
__attribute__((format(printf, 3, 4))) void
xf_server_configure(struct xf_server *server, const char *extra, const char *format, ...);

/* Takes another file as it stands; its data_dir is found at DATA. Both are copied. */
void xf_server_adopt(struct xf_server *server, const char *config, const char *data);

/* NAME=VALUE, in the environment of the server alone from its next start on; any number of them. NULL: none any more. Copied. */
void xf_server_environ(struct xf_server *server, const char *variable);

/* Starts and waits until it says so. The log goes on in the same file. */
void xf_server_start(struct xf_server *server);

/* Until /readyz is 200. */
void xf_server_wait_ready(struct xf_server *server);

/* SIGTERM; returns the exit status, -1 where it ended by a signal or not within XF_WAIT_MS. */
int xf_server_stop(struct xf_server *server);
void xf_server_kill(struct xf_server *server);

/* The HTTP status; *JSON (which may be NULL) is the body, to be deleted, or NULL where it is none. */
int xf_server_request(struct xf_server *server, const char *method, const char *path, const char *body, cJSON **json);

/* The body of a GET, to be freed. */
char *xf_server_text(struct xf_server *server, const char *path);

/* A number in the answer to GET PATH, at FIELD: "sides.old.confirmed", "sinks.0.state". -1 where there is none. */
double xf_server_number(struct xf_server *server, const char *path, const char *field);

/* The same for a text, to be freed; "" where there is none. */
char *xf_server_string(struct xf_server *server, const char *path, const char *field);

/* Polls until the number is at least LEAST, or fails the test. */
void xf_server_wait_number(struct xf_server *server, const char *path, const char *field, double least);

/* Until the text at FIELD contains PART, or fails the test. */
void xf_server_wait_string(struct xf_server *server, const char *path, const char *field, const char *part);

/* Until no message of ROUTE is in flight and it has settled LEAST in all. */
void xf_server_wait_settled(struct xf_server *server, const char *route, double least);

/* Runs `crossfade ARGS... -c FILE`; ARGS end with NULL. Returns the exit status; what it prints is appended to OUT,
 * which may be NULL. */
int xf_server_cli(struct xf_server *server, struct xf_buffer *out, const char *const *args);
#define XF_CLI(server, out, ...) xf_server_cli(server, out, (const char *const[]){__VA_ARGS__, NULL})

/* The same, which has to end with 0; else the test fails with what was printed. */
void xf_server_cli_done(struct xf_server *server, const char *const *args);
#define XF_CLI_DONE(server, ...) xf_server_cli_done(server, (const char *const[]){__VA_ARGS__, NULL})

bool xf_server_logged(struct xf_server *server, const char *part);
void xf_server_wait_logged(struct xf_server *server, const char *part);

/* The dead letters, a JSON object a line, to be freed; "" where there are none. */
char *xf_server_rejected(struct xf_server *server);

#endif
