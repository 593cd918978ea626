/*
 * nats_security.c - who the nats plugin talks to and as whom: TLS, client certificates, passwords, tokens, nkeys,
 * credentials. What does not fit is said once, with what would mend it, and tried again without a word.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/evp.h>

#include "broker.h"
#include "harness.h"
#include "wait.h"

#define WAIT_MS XF_WAIT_MS
#define RETRIES_MS 2500 /* several attempts fit in */

static struct xf_str
str(const char *text)
{
	return (struct xf_str){text, strlen(text)};
}

/* "KEY=DIR/FILE"; a few at a time. */
static const char *
file_option(const char *key, const char *dir, const char *file)
{
	static char texts[8][400];
	static unsigned next;
	char *text = texts[next++ % 8];

	snprintf(text, sizeof(texts[0]), "%s=%s/%s", key, dir, file);
	return text;
}

/* The broker's URL as an option, with another SCHEME, and USER ("name@") before the host. */
static const char *
url_option(const struct xf_broker *broker, const char *scheme, const char *user)
{
	static char texts[8][200];
	static unsigned next;
	char *text = texts[next++ % 8];
	const char *place = strstr(xf_broker_url(broker), "://") + 3;

	snprintf(text, sizeof(texts[0]), "url=%s://%s%s", scheme, user, place);
	return text;
}

static void
expect_up(const char *const *options)
{
	struct harness *harness = harness_open("nats", options);
	struct harness_endpoint *sink = harness_sink(harness, "s/to", NULL, OPTIONS("mode=core"));

	if (!harness_wait_state(sink, XF_STATE_UP, WAIT_MS))
		fail_msg("not UP: %s", harness_state_reason(sink));
	harness_publish_text(sink, "s.a", "hello");
	assert_true(harness_wait_completed(sink, 1, WAIT_MS));
	assert_int_equal(harness_result(sink, 0).code, XF_RESULT_STORED);
	harness_destroy(&sink);
	harness_close(&harness);
}

/* DOWN for REASON, told once for however many attempts. */
static void
expect_down(const char *const *options, const char *reason)
{
	struct harness *harness = harness_open("nats", options);
	struct harness_endpoint *sink = harness_sink(harness, "s/to", NULL, OPTIONS("mode=core"));

	assert_true(harness_wait_state_count(sink, XF_STATE_DOWN, 1, WAIT_MS));
	if (strstr(harness_state_reason(sink), reason) == NULL)
		fail_msg("'%s' lacks '%s'", harness_state_reason(sink), reason);
	harness_sleep_ms(RETRIES_MS);
	if (harness_state_count(sink, XF_STATE_DOWN) != 1)
		fail_msg("said again: '%s'", harness_state_reason(sink));
	assert_int_equal(harness_log_count(sink, XF_LOG_INFO), 0);
	harness_destroy(&sink);
	harness_close(&harness);
}

static void
expect_refused(const char *const *options, const char *reason)
{
	struct xf_error error = {{0}};
	struct harness *harness = harness_try_open("nats", options, &error);

	assert_null(harness);
	if (strstr(error.text, reason) == NULL)
		fail_msg("'%s' lacks '%s'", error.text, reason);
}

/* ---- TLS ---------------------------------------------------------------------------- */

/* Everything that passes through a stream passes through TLS, in whatever pieces. */
static void
test_tls_carries(void **state)
{
	enum { SMALL = 5000, LARGE = 40 };
	struct xf_broker *broker = xf_broker_start_tls("nats", false);
	const char *dir = xf_broker_dir(broker);
	struct harness *harness = harness_open("nats",
	                                       OPTIONS(url_option(broker, "tls", ""), file_option("tls.ca", dir, "ca.pem"),
	                                               "streams[0].name=T", "streams[0].subjects=t.>"));
	struct harness_endpoint *sink = harness_sink(harness, "t/to", NULL, NULL);
	struct harness_endpoint *source = harness_source(harness, "t/from", "t.>", NULL);
	char *bytes = malloc(900000);
	struct xf_outgoing message = {.subject = str("t.large"), .payload = bytes};
	size_t i;

	(void)state;
	for (i = 0; i < 900000; i++)
		bytes[i] = (char)(i * 13 + i / 1021);
	harness_settle_auto(source, XF_SETTLE_ACK, true);
	for (i = 0; i < SMALL; i++) {
		char text[32];

		snprintf(text, sizeof(text), "%zu", i);
		harness_publish_text(sink, "t.small", text);
	}
	for (i = 0; i < LARGE; i++) {
		message.payload_size = 900000 - i * 22500;
		harness_publish(sink, &message);
	}
	assert_true(harness_wait_completed(sink, SMALL + LARGE, 3 * WAIT_MS));
	assert_int_equal(harness_completed_as(sink, XF_RESULT_STORED), SMALL + LARGE);
	assert_true(harness_wait_received(source, SMALL + LARGE, 3 * WAIT_MS));
	for (i = 0; i < SMALL; i++)
		assert_int_equal(atoi(harness_message(source, i)->in.payload), i);
	for (i = 0; i < LARGE; i++) {
		const struct harness_message *got = harness_message(source, SMALL + i);

		assert_int_equal(got->in.payload_size, 900000 - i * 22500);
		assert_memory_equal(got->in.payload, bytes, got->in.payload_size);
	}
	assert_int_equal(harness_state_count(sink, XF_STATE_DOWN), 0);

	/* A killed server: the handshake is done anew. */
	xf_broker_kill(broker);
	assert_true(harness_wait_state(sink, XF_STATE_DOWN, WAIT_MS));
	xf_broker_restart(broker);
	assert_true(harness_wait_state(sink, XF_STATE_UP, WAIT_MS));
	assert_true(harness_wait_state(source, XF_STATE_UP, WAIT_MS));
	free(bytes);
	harness_destroy(&source);
	harness_destroy(&sink);
	harness_close(&harness);
	xf_broker_destroy(&broker);
}

static void
test_certificates(void **state)
{
	struct xf_broker *broker = xf_broker_start_tls("nats", false);
	const char *dir = xf_broker_dir(broker), *url = url_option(broker, "tls", "");
	const char *ca = file_option("tls.ca", dir, "ca.pem");

	(void)state;
	expect_up(OPTIONS(url, ca));
	/* `tls` alone asks for it too. */
	expect_up(OPTIONS(url_option(broker, "nats", ""), ca));
	expect_up(OPTIONS(url, "tls.verify=false"));
	expect_down(OPTIONS(url), "certificate");
	expect_down(OPTIONS(url, file_option("tls.ca", dir, "other-ca.pem")), "certificate");
	expect_down(OPTIONS(url, ca, "tls.server_name=elsewhere.example"), "elsewhere.example");
	expect_down(OPTIONS(url_option(broker, "nats", "")), "wants TLS");
	xf_broker_destroy(&broker);

	broker = xf_broker_start("nats", NULL);
	expect_down(OPTIONS(url_option(broker, "tls", ""), "tls.verify=false"), "offers no TLS");
	xf_broker_destroy(&broker);
}

static void
test_expired_certificate(void **state)
{
	char *dir = xf_temp_create("nats-expired"), cert[400], key[400];
	const char *arguments[] = {"--tls", "--tlscert", cert, "--tlskey", key, NULL};
	struct xf_broker *broker;

	(void)state;
	xf_certificates_make(dir);
	snprintf(cert, sizeof(cert), "%s/expired.pem", dir);
	snprintf(key, sizeof(key), "%s/expired.key", dir);
	broker = xf_broker_start("nats", arguments);
	expect_down(OPTIONS(url_option(broker, "tls", ""), file_option("tls.ca", dir, "ca.pem")), "expired");
	xf_broker_destroy(&broker);
	xf_temp_destroy(&dir);
}

static void
test_client_certificate(void **state)
{
	struct xf_broker *broker = xf_broker_start_tls("nats", true);
	const char *dir = xf_broker_dir(broker), *url = url_option(broker, "tls", "");
	const char *ca = file_option("tls.ca", dir, "ca.pem");

	(void)state;
	expect_down(OPTIONS(url, ca), "certificate");
	expect_up(OPTIONS(url, ca, file_option("tls.cert", dir, "client.pem"), file_option("tls.key", dir, "client.key")));
	xf_broker_destroy(&broker);
}

/* ---- Names and secrets ----------------------------------------------------------------- */

static void
test_token(void **state)
{
	const char *const arguments[] = {"--auth", "s3\"cr\\et", NULL};
	struct xf_broker *broker = xf_broker_start("nats", arguments);

	(void)state;
	expect_up(OPTIONS(url_option(broker, "nats", ""), "token=s3\"cr\\et"));
	expect_up(OPTIONS(url_option(broker, "nats", "s3%22cr%5cet@")));
	expect_down(OPTIONS(url_option(broker, "nats", ""), "token=wrong"), "refuses our token");
	expect_down(OPTIONS(url_option(broker, "nats", "")), "Authorization Violation");
	xf_broker_destroy(&broker);
}

/* A broker with the configuration TEXT in DIR. */
static struct xf_broker *
broker_with(const char *dir, const char *text)
{
	char path[400];
	const char *arguments[] = {"-c", path, NULL};
	FILE *file;

	snprintf(path, sizeof(path), "%s/nats.conf", dir);
	file = fopen(path, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
	return xf_broker_start("nats", arguments);
}

/* ---- Keys, made here and not with the plugin's own code --------------------------------- */

#define PREFIX_OPERATOR (14u << 3)
#define PREFIX_ACCOUNT 0u
#define PREFIX_USER (20u << 3)

struct key {
	EVP_PKEY *pair;
	char public[64];
	char seed[64];
};

static void
base32(const unsigned char *bytes, size_t size, char *out)
{
	for (size_t bit = 0; bit < size * 8; bit += 5) {
		unsigned value = 0;

		for (size_t i = 0; i < 5; i++) {
			size_t at = bit + i;

			value = value << 1 | (at < size * 8 ? bytes[at / 8] >> (7 - at % 8) & 1u : 0u);
		}
		*out++ = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"[value];
	}
	*out = '\0';
}

/* SIZE bytes and two of checksum behind them. */
static void
key_text(unsigned char *bytes, size_t size, char *out)
{
	unsigned crc = 0;

	for (size_t i = 0; i < size; i++) {
		crc ^= (unsigned)bytes[i] << 8;
		for (int bit = 0; bit < 8; bit++)
			crc = crc & 0x8000u ? (crc << 1 ^ 0x1021u) & 0xffffu : crc << 1 & 0xffffu;
	}
	bytes[size] = (unsigned char)crc;
	bytes[size + 1] = (unsigned char)(crc >> 8);
	base32(bytes, size + 2, out);
}

static struct key
key_make(unsigned prefix, unsigned char number)
{
	unsigned char bytes[40], secret[32];
	size_t size = 32;
	struct key key;

	for (size_t i = 0; i < sizeof(secret); i++)
		secret[i] = (unsigned char)(number * 37 + i * 11);
	key.pair = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, secret, sizeof(secret));
	assert_non_null(key.pair);
	bytes[0] = (unsigned char)prefix;
	assert_int_equal(EVP_PKEY_get_raw_public_key(key.pair, bytes + 1, &size), 1);
	key_text(bytes, 33, key.public);
	bytes[0] = (unsigned char)(18u << 3 | prefix >> 5);
	bytes[1] = (unsigned char)((prefix & 31u) << 3);
	memcpy(bytes + 2, secret, sizeof(secret));
	key_text(bytes, 34, key.seed);
	return key;
}

static void
base64(const void *bytes, size_t size, char *out)
{
	EVP_EncodeBlock((unsigned char *)out, bytes, (int)size);
	for (; *out != '\0'; out++) {
		if (*out == '+')
			*out = '-';
		else if (*out == '/')
			*out = '_';
		else if (*out == '=')
			*out-- = '\0';
	}
}

/* What ISSUER says of SUBJECT. */
static char *
jwt_make(const struct key *issuer, const struct key *subject, const char *name, const char *nats)
{
	static const char header[] = "{\"typ\":\"JWT\",\"alg\":\"ed25519-nkey\"}";
	char claims[1024], *jwt = calloc(1, 4096);
	unsigned char signature[64];
	size_t size = sizeof(signature);
	EVP_MD_CTX *context = EVP_MD_CTX_new();

	snprintf(claims, sizeof(claims), "{\"jti\":\"%s\",\"iat\":1700000000,\"iss\":\"%s\",\"name\":\"%s\",\"sub\":\"%s\",\"nats\":%s}",
	         name, issuer->public, name, subject->public, nats);
	base64(header, strlen(header), jwt);
	strcat(jwt, ".");
	base64(claims, strlen(claims), jwt + strlen(jwt));
	assert_int_equal(EVP_DigestSignInit(context, NULL, NULL, NULL, issuer->pair), 1);
	assert_int_equal(EVP_DigestSign(context, signature, &size, (unsigned char *)jwt, strlen(jwt)), 1);
	EVP_MD_CTX_free(context);
	strcat(jwt, ".");
	base64(signature, sizeof(signature), jwt + strlen(jwt));
	return jwt;
}

static void
test_nkey(void **state)
{
	struct key ours = key_make(PREFIX_USER, 1), other = key_make(PREFIX_USER, 2), account = key_make(PREFIX_ACCOUNT, 3);
	char *dir = xf_temp_create("nats-nkey"), text[400], seed[100];
	struct xf_broker *broker;
	const char *url;

	(void)state;
	snprintf(text, sizeof(text), "authorization: {users: [{nkey: %s}]}\n", ours.public);
	broker = broker_with(dir, text);
	url = url_option(broker, "nats", "");
	snprintf(seed, sizeof(seed), "nkey_seed=%s", ours.seed);
	expect_up(OPTIONS(url, seed));
	snprintf(seed, sizeof(seed), "nkey_seed=%s", other.seed);
	expect_down(OPTIONS(url, seed), "refuses our nkey");
	snprintf(seed, sizeof(seed), "nkey_seed=%s", account.seed);
	expect_refused(OPTIONS(url, seed), "not that of a user");
	snprintf(seed, sizeof(seed), "nkey_seed=%s", ours.seed);
	seed[20] = seed[20] == 'A' ? 'B' : 'A';
	expect_refused(OPTIONS(url, seed), "checksum");
	expect_refused(OPTIONS(url, "nkey_seed=SUNNY"), "is malformed");
	xf_broker_destroy(&broker);

	broker = xf_broker_start("nats", NULL);
	snprintf(seed, sizeof(seed), "nkey_seed=%s", ours.seed);
	expect_down(OPTIONS(url_option(broker, "nats", ""), seed), "takes no nkeys");
	xf_broker_destroy(&broker);
	xf_temp_destroy(&dir);
	EVP_PKEY_free(ours.pair);
	EVP_PKEY_free(other.pair);
	EVP_PKEY_free(account.pair);
}

static void
credentials_write(const char *dir, const char *file, const char *jwt, const char *seed)
{
	char path[400];
	FILE *out;

	snprintf(path, sizeof(path), "%s/%s", dir, file);
	out = fopen(path, "w");
	assert_non_null(out);
	fprintf(out,
	        "-----BEGIN NATS USER JWT-----\n%s\n------END NATS USER JWT------\n\n"
	        "************************* IMPORTANT *************************\nNKEY Seed printed below.\n\n"
	        "-----BEGIN USER NKEY SEED-----\n%s\n------END USER NKEY SEED------\n",
	        jwt, seed);
	fclose(out);
}

static void
test_credentials(void **state)
{
	struct key operator = key_make(PREFIX_OPERATOR, 4), account = key_make(PREFIX_ACCOUNT, 5);
	struct key user = key_make(PREFIX_USER, 6), other = key_make(PREFIX_USER, 7), system = key_make(PREFIX_ACCOUNT, 8);
	static const char limits[] = "{\"type\":\"account\",\"version\":2,\"limits\":{\"subs\":-1,\"data\":-1,\"payload\":-1,"
	                             "\"imports\":-1,\"exports\":-1,\"wildcards\":true,\"conn\":-1,\"leaf\":-1}}";
	static const char user_claims[] = "{\"type\":\"user\",\"version\":2,\"subs\":-1,\"data\":-1,\"payload\":-1}";
	char *operator_jwt = jwt_make(&operator, &operator, "op", "{\"type\":\"operator\",\"version\":2}");
	char *account_jwt = jwt_make(&operator, &account, "acc", limits);
	char *system_jwt = jwt_make(&operator, &system, "SYS", limits);
	char *user_jwt = jwt_make(&account, &user, "us", user_claims);
	char *dir = xf_temp_create("nats-creds"), *text = malloc(16384);
	struct xf_broker *broker;
	const char *url;

	(void)state;
	snprintf(text, 16384, "operator: \"%s\"\nsystem_account: %s\nresolver: MEMORY\nresolver_preload: {\n%s: \"%s\"\n%s: \"%s\"\n}\n",
	         operator_jwt, system.public, account.public, account_jwt, system.public, system_jwt);
	broker = broker_with(dir, text);
	url = url_option(broker, "nats", "");
	credentials_write(dir, "good.creds", user_jwt, user.seed);
	credentials_write(dir, "bad.creds", user_jwt, other.seed);
	expect_up(OPTIONS(url, file_option("credentials", dir, "good.creds")));
	expect_down(OPTIONS(url, file_option("credentials", dir, "bad.creds")), "refuses our credentials");
	expect_down(OPTIONS(url, file_option("credentials", dir, "missing.creds")), "cannot open");
	expect_down(OPTIONS(url, file_option("credentials", dir, "nats.conf")), "no user JWT");
	xf_broker_destroy(&broker);
	xf_temp_destroy(&dir);
	free(text);
	free(operator_jwt);
	free(account_jwt);
	free(system_jwt);
	free(user_jwt);
	EVP_PKEY_free(operator.pair);
	EVP_PKEY_free(account.pair);
	EVP_PKEY_free(system.pair);
	EVP_PKEY_free(user.pair);
	EVP_PKEY_free(other.pair);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tls_carries),
		cmocka_unit_test(test_certificates),
		cmocka_unit_test(test_expired_certificate),
		cmocka_unit_test(test_client_certificate),
		cmocka_unit_test(test_token),
		cmocka_unit_test(test_nkey),
		cmocka_unit_test(test_credentials),
	};

	if (getenv("ONLY") != NULL)
		cmocka_set_test_filter(getenv("ONLY"));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
