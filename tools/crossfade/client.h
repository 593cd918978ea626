/*
 * client.h - asks the running server, over its admin socket.
 *
 * Whatever goes wrong is told to standard error in words that say what to do; the caller only learns
 * the exit status.
 */
#ifndef CROSSFADE_CLIENT_H
#define CROSSFADE_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include <cjson/cJSON.h>

/* Which server is meant: from the command line. */
struct where {
	const char *socket;
	const char *file;
};

struct client;

/* NULL: *STATUS is the exit status. Does not connect yet. */
struct client *client_open(const struct where *where, int *status);
void client_close(struct client **client);

/* " -c FILE", " --socket PATH" or "", as the user gave it: what a command that is suggested must end with. */
const char *client_where(const struct client *client);

/*
 * METHOD on PATH, in which %s is replaced by NAME, encoded. BODY (JSON) may be NULL. The answer is the
 * caller's to delete. NULL: told why, and *STATUS is the exit status.
 */
cJSON *client_ask(struct client *client, const char *method, const char *path, const char *name,
	          const char *body, int *status);

/* GET PATH from a server that may be gone by now: NULL, and not a word. */
cJSON *client_try(struct client *client, const char *path);

/* Prints ANSWER as it is, readable, for --json. */
void json_print(const cJSON *answer);

/* The same on one line, as they are watched. */
void json_print_line(const cJSON *answer);

/* Values of an answer; missing ones are 0, "" and false. */
uint64_t json_count(const cJSON *object, const char *key);
double json_number(const cJSON *object, const char *key);
const char *json_text(const cJSON *object, const char *key);
bool json_true(const cJSON *object, const char *key);

/* "off", "on", "required" of a migration. */
const char *json_mirror(const cJSON *migration);

#endif
