/*
 * command.h - a message as the command that publishes it: PUBLISH, XADD, LPUSH or RPUSH.
 *
 * What is the same in every command of a sink is encoded once, when the sink is made.
 *
 * Threads: [io] of its sink.
 */
#ifndef REDIS_COMMAND_H
#define REDIS_COMMAND_H

#include "connection.h"
#include "fields.h"

struct command {
	int mode; /* MODE_* */
	char separator;
	const char *verb; /* up to the name: "*3", "PUBLISH" */
	size_t verb_len;
	char *head; /* of XADD, behind the name: "MAXLEN ~ n" and "*" */
	size_t head_len;
	uint32_t head_words;
	char *fields[FIELDS]; /* names of XADD's fields */
	size_t field_lens[FIELDS];
};

/* OPTIONS are a sink's; MAXLEN 0: no trimming. False: no memory; command_fini() in any case. */
bool command_init(struct command *command, const struct xf_host *host, const struct xf_config *options, int64_t maxlen);
void command_fini(struct command *command);

/* Appends it to the output of CONN. False: no memory, and nothing was appended. */
bool command_put(const struct command *command, struct conn *conn, const struct xf_outgoing *message);

#endif
