/*
 * nkey.c - base-32, a checksum and OpenSSL's Ed25519; see nkey.h.
 *
 * The text of a key is base-32 of: a prefix (one byte; a seed's is two, the second kind folded in), 32 bytes
 * of key, and a CRC-16 of all before it, low byte first.
 */
#include "nkey.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "json.h"

#define PREFIX_SEED (18u << 3) /* 'S' */
#define PREFIX_USER (20u << 3) /* 'U' */
#define SEED_BYTES 36u         /* two of prefix, 32, two of checksum */
#define SEED_TEXT 58u
#define PUBLIC_BYTES 35u
#define CREDENTIALS_MAX 65536u

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/* CRC-16/XMODEM. */
static uint16_t
checksum(const unsigned char *bytes, size_t size)
{
	uint32_t crc = 0;

	for (size_t i = 0; i < size; i++) {
		crc ^= (uint32_t)bytes[i] << 8;
		for (int bit = 0; bit < 8; bit++)
			crc = (crc << 1 ^ (crc & 0x8000u ? 0x1021u : 0u)) & 0xffffu;
	}
	return (uint16_t)crc;
}

/* False: a letter that is none, or another length than LEN letters for SIZE bytes. */
static bool
base32_decode(const char *text, size_t len, unsigned char *out, size_t size)
{
	uint32_t bits = 0, held = 0;
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		const char *letter = text[i] != '\0' ? strchr(alphabet, text[i]) : NULL;

		if (letter == NULL)
			return false;
		bits = (bits << 5 | (uint32_t)(letter - alphabet)) & 0xfffu;
		held += 5;
		if (held >= 8) {
			if (n == size)
				return false;
			held -= 8;
			out[n++] = (unsigned char)(bits >> held);
		}
	}
	return n == size;
}

static void
base32_encode(const unsigned char *bytes, size_t size, char *out)
{
	uint32_t bits = 0, held = 0;

	for (size_t i = 0; i < size; i++) {
		bits = (bits << 8 | bytes[i]) & 0xfffu;
		held += 8;
		while (held >= 5) {
			held -= 5;
			*out++ = alphabet[bits >> held & 31];
		}
	}
	if (held > 0)
		*out++ = alphabet[bits << (5 - held) & 31];
	*out = '\0';
}

/* KEY gets the 32 bytes. */
static bool
seed_decode(const char *seed, unsigned char *key, struct xf_error *error)
{
	unsigned char bytes[SEED_BYTES];
	const char *wrong = NULL;
	uint16_t sum;

	if (strlen(seed) != SEED_TEXT || !base32_decode(seed, SEED_TEXT, bytes, sizeof(bytes)) ||
	    (bytes[0] & 0xf8u) != PREFIX_SEED) {
		wrong = "is malformed: expected SU and 56 more of A-Z and 2-7";
	} else {
		sum = (uint16_t)(bytes[SEED_BYTES - 2] | bytes[SEED_BYTES - 1] << 8);
		if (sum != checksum(bytes, SEED_BYTES - 2))
			wrong = "has a letter wrong: its checksum does not fit";
		else if (((bytes[0] & 7u) << 5 | (bytes[1] & 0xf8u) >> 3) != PREFIX_USER)
			wrong = "is not that of a user: expected one that begins with SU";
		else
			memcpy(key, bytes + 2, 32);
	}
	OPENSSL_cleanse(bytes, sizeof(bytes));
	if (wrong != NULL)
		snprintf(error->text, sizeof(error->text), "the nkey seed %s", wrong);
	return wrong == NULL;
}

bool
nkey_seed_check(const char *seed, struct xf_error *error)
{
	unsigned char key[32];
	bool valid = seed_decode(seed, key, error);

	OPENSSL_cleanse(key, sizeof(key));
	return valid;
}

static void
public_encode(const unsigned char *key, char *out)
{
	unsigned char bytes[PUBLIC_BYTES] = {PREFIX_USER};
	uint16_t sum;

	memcpy(bytes + 1, key, 32);
	sum = checksum(bytes, PUBLIC_BYTES - 2);
	bytes[PUBLIC_BYTES - 2] = (unsigned char)sum;
	bytes[PUBLIC_BYTES - 1] = (unsigned char)(sum >> 8);
	base32_encode(bytes, sizeof(bytes), out);
}

/* The URL alphabet, without padding. */
static void
base64_encode(const unsigned char *bytes, size_t size, char *out)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	uint32_t bits = 0, held = 0;

	for (size_t i = 0; i < size; i++) {
		bits = (bits << 8 | bytes[i]) & 0xffffu;
		held += 8;
		while (held >= 6) {
			held -= 6;
			*out++ = letters[bits >> held & 63];
		}
	}
	if (held > 0)
		*out++ = letters[bits << (6 - held) & 63];
	*out = '\0';
}

bool
nkey_sign(const char *seed, const char *nonce, char public[NKEY_PUBLIC_SIZE],
          char signature[NKEY_SIGNATURE_SIZE], struct xf_error *error)
{
	unsigned char key[32], open[32], sign[64];
	size_t open_size = sizeof(open), sign_size = sizeof(sign);
	EVP_MD_CTX *context = NULL;
	EVP_PKEY *pair = NULL;
	bool done = false;

	if (!seed_decode(seed, key, error))
		return false;
	pair = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, key, sizeof(key));
	context = EVP_MD_CTX_new();
	if (pair != NULL && context != NULL && EVP_PKEY_get_raw_public_key(pair, open, &open_size) == 1 &&
	    EVP_DigestSignInit(context, NULL, NULL, NULL, pair) == 1 &&
	    EVP_DigestSign(context, sign, &sign_size, (const unsigned char *)nonce, strlen(nonce)) == 1) {
		public_encode(open, public);
		base64_encode(sign, sign_size, signature);
		done = true;
	} else {
		snprintf(error->text, sizeof(error->text), "this OpenSSL cannot sign with Ed25519");
	}
	EVP_MD_CTX_free(context);
	EVP_PKEY_free(pair);
	OPENSSL_cleanse(key, sizeof(key));
	return done;
}

/* ---- Credentials ------------------------------------------------------------- */

/* The text between the line "-----BEGIN NAME-----" and the next line of dashes, without white space; NULL:
 * there is none. Lines of dashes differ in how many they have. */
static char *
section_copy(const char *file, const char *name)
{
	char begin[64], *copy;
	const char *at, *end;
	size_t len = 0;

	snprintf(begin, sizeof(begin), "BEGIN %s", name);
	at = strstr(file, begin);
	if (at == NULL || (at = strchr(at, '\n')) == NULL || (end = strstr(at, "---")) == NULL)
		return NULL;
	copy = need(malloc((size_t)(end - at) + 1));
	for (; at < end; at++) {
		if ((unsigned char)*at > ' ')
			copy[len++] = *at;
	}
	copy[len] = '\0';
	if (len == 0)
		nkey_forget(&copy);
	return copy;
}

bool
nkey_credentials_read(const char *path, char **jwt, char **seed, struct xf_error *error)
{
	FILE *stream = fopen(path, "re");
	char *file, *user, *key;
	size_t len;

	if (stream == NULL) {
		snprintf(error->text, sizeof(error->text), "credentials: cannot open %.300s: %s", path, strerror(errno));
		return false;
	}
	setvbuf(stream, NULL, _IONBF, 0); /* no copy of a secret that nobody overwrites */
	file = need(calloc(1, CREDENTIALS_MAX));
	len = fread(file, 1, CREDENTIALS_MAX - 1, stream);
	fclose(stream);
	user = section_copy(file, "NATS USER JWT");
	key = section_copy(file, "USER NKEY SEED");
	OPENSSL_cleanse(file, len);
	free(file);
	if (user != NULL && key != NULL) {
		*jwt = user;
		*seed = key;
		return true;
	}
	nkey_forget(&user);
	nkey_forget(&key);
	snprintf(error->text, sizeof(error->text),
	         "credentials: %.300s holds no user JWT with its nkey seed, as 'nsc generate creds' writes them", path);
	return false;
}

void
nkey_forget(char **secret)
{
	if (*secret != NULL)
		OPENSSL_cleanse(*secret, strlen(*secret));
	free(*secret);
	*secret = NULL;
}
