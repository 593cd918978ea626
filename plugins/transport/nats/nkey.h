/*
 * nkey.h - who we are to a server that asks for a signature instead of a password.
 *
 * A server sends a nonce; the answer is its Ed25519 signature. The private key is a "seed" in NATS' own base-32
 * text (SU...). It stands in the settings, together with nothing else, or in a credentials file with a JWT
 * that says which user of which account it belongs to.
 *
 * Threads: any; nothing is kept.
 */
#ifndef NATS_NKEY_H
#define NATS_NKEY_H

#include <stdbool.h>
#include <stddef.h>

#include <crossfade/plugin.h>

#define NKEY_PUBLIC_SIZE 57    /* "U..." and its end */
#define NKEY_SIGNATURE_SIZE 87 /* base-64 without padding, and its end */

/* Whether SEED is the seed of a user; false with a reason that shows nothing of it. */
bool nkey_seed_check(const char *seed, struct xf_error *error);

/* Signs NONCE; PUBLIC gets the public key that belongs to SEED. False with a reason. */
bool nkey_sign(const char *seed, const char *nonce, char public[NKEY_PUBLIC_SIZE],
               char signature[NKEY_SIGNATURE_SIZE], struct xf_error *error);

/* Reads a credentials file; both are on the heap, the seed for nkey_forget(). False with a reason. */
bool nkey_credentials_read(const char *path, char **jwt, char **seed, struct xf_error *error);

/* Overwrites and frees; NULL inside is fine. */
void nkey_forget(char **secret);

#endif
