/*
 * greeting.h - the first words on a new connection: to a server, or to a sentinel.
 *
 * Threads: as connection.h, which alone uses this.
 */
#ifndef REDIS_GREETING_H
#define REDIS_GREETING_H

#include "connection.h"

/* Puts all of it into the output and flushes. */
void greeting_send(struct conn *conn, uint64_t now);

/* Reads answers. True: all are there, and fine; with a sentinel conn->master is filled in. False: not yet, or the
 * connection is lost. */
bool greeting_read(struct conn *conn, uint64_t now);

/* The question that a sentinel is greeted with, once more. False: the connection is lost. */
bool greeting_master_ask(struct conn *conn, uint64_t now);

/* Its answer, into conn->master. False: the connection is lost. */
bool greeting_master_read(struct conn *conn, const redisReply *reply, uint64_t now);

#endif
