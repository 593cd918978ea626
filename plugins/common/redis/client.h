/*
 * client.h - questions to a Redis server, many under way at a time, each answered once: for handlers that keep something there.
 *
 * What is asked goes out with the next client_flush(), all in one write; answers come in the order of the questions, from within
 * client_work(). A connection that is lost answers all that is under way with NULL, which may have been done or not.
 *
 * Threads: [io] of its endpoint only.
 */
#ifndef REDIS_CLIENT_H
#define REDIS_CLIENT_H

#include <crossfade/handler.h>

#include "connection.h"

#define CLIENT_WINDOW 2048u /* questions that may be under way */

/* `redis: {url: ...}` with all that a transport's settings have. */
extern const struct xf_option client_option;

/* What the server runs for the question EVALSHA. Loaded with each connection, and again when it has lost it. */
struct client_script {
	const char *text;
	char sha[41];
};

struct client;

/* REPLY is valid for the call; NULL: the connection was lost. After an error that client_repeats() the same may be asked again at once. */
typedef void client_answered(void *context, uint64_t tag, const redisReply *reply);

/* [pure] What is wrong with MAP, the value of client_option; 0, or -1 with a reason. */
int client_check(const struct xf_host *host, const struct xf_config *map, struct xf_error *error);

/* No network. NULL with a reason. SCRIPT may be NULL; else its sha is filled in. */
struct client *client_create(const struct xf_host *host, struct xf_endpoint *endpoint, const struct xf_config *map,
                             const struct xf_handler_info *info, struct client_script *script, client_answered *answered,
                             void *context, struct xf_error *error);
void client_destroy(struct client **client);

/* Connects, reads, answers, tells the endpoint's state, and fills in what WORK waits for. */
void client_work(struct client *client, struct xf_work *work);

/* How many more questions it takes now. */
uint32_t client_room(const struct client *client);

/* The server is away: it was lost, or could not be reached. Before the first attempt has ended it is neither that nor is there room. */
bool client_down(const struct client *client);

/* False: there is no room, and nothing was asked. TAG comes back with the answer; 0: nobody wants to know it. */
bool client_ask(struct client *client, uint64_t tag, int count, const struct xf_str *words);
void client_flush(struct client *client);

/* REPLY says that the script was not there; it is loaded again by now. */
bool client_repeats(const redisReply *reply);

/* Closes; nothing is answered any more. */
void client_close(struct client *client);

#endif
