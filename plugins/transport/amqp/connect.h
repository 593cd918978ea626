/*
 * connect.h - from an address to a connection that is logged in: TCP, TLS where asked for, AMQP's handshake.
 *
 * Threads: the endpoint's own.
 */
#ifndef CROSSFADE_AMQP_CONNECT_H
#define CROSSFADE_AMQP_CONNECT_H

#include "wire.h"

/* Connects to wire->server. Blocks, at most UNTIL. False: the wire has failed; fd and tls are its owner's to close. */
bool connect_open(struct wire *wire, uint64_t until);

#endif
