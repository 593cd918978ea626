/*
 * reader.h - reading from a broker for one run, so that nothing stays behind there and nobody misses what was read.
 */
#ifndef CROSSFADE_READER_H
#define CROSSFADE_READER_H

#include "small.h"
#include "via.h"

/*
 * The options of a source on VIA, indented by INDENT: what the user gave, and where he gave nothing
 *   nats   core, what passes; a stream where he asks for what only a stream has: by a consumer of its own, from now on
 *   redis  channels; a stream likewise, without a group
 *   amqp   a queue of its own, if he named an exchange; else, if QUEUE is not NULL, one of that name
 * Returns the exit status: 2, with what to add, where something would stay behind after all.
 */
int reader_write(struct small *small, const struct via *via, int indent, const char *queue);

/* What is read is nobody else's, even where reading takes it away. */
bool reader_is_private(const struct via *via);

#endif
