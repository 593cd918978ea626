/*
 * Both ends of a socket pair: the plugin's TLS here, OpenSSL's own server there, with certificates made for the test.
 */
#include "tls.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/ssl.h>

#include "broker.h"
#include "settings.h"

static char *folder;
static const struct xf_host host = {.struct_size = sizeof(host), .option = settings_option};
static const struct xf_option *const table[] = {&xf_tls_option, NULL};

struct pair {
	struct xf_config *settings;
	struct tls_context *context;
	struct tls *client;
	SSL_CTX *server_context;
	SSL *server;
	int fds[2];
};

static const char *
file(const char *key, const char *name)
{
	static char texts[64][256];
	static unsigned next;
	char *text = texts[next++ % 64];

	snprintf(text, 256, "%s%s/%s", key, folder, name);
	return text;
}

static const char *const none[] = {NULL};

/* NAME's certificate serves; WANTED: a client's is wanted. */
static void
pair_connect(struct pair *p, const char *name, const char *certificate, bool wanted)
{
	char path[64];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, p->fds), 0);
	p->client = tls_create(p->context, p->fds[0], name);
	assert_non_null(p->client);

	p->server_context = SSL_CTX_new(TLS_server_method());
	snprintf(path, sizeof(path), "%s.pem", certificate);
	assert_int_equal(SSL_CTX_use_certificate_chain_file(p->server_context, file("", path)), 1);
	snprintf(path, sizeof(path), "%s.key", certificate);
	assert_int_equal(SSL_CTX_use_PrivateKey_file(p->server_context, file("", path), SSL_FILETYPE_PEM), 1);
	assert_int_equal(SSL_CTX_load_verify_locations(p->server_context, file("", "ca.pem"), NULL), 1);
	if (wanted)
		SSL_CTX_set_verify(p->server_context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	p->server = SSL_new(p->server_context);
	SSL_set_fd(p->server, p->fds[1]);
	SSL_set_accept_state(p->server);
}

static void
pair_open(struct pair *p, const char *const *texts, const char *name, const char *certificate, bool wanted)
{
	struct xf_error error = {""};

	memset(p, 0, sizeof(*p));
	p->settings = settings_create(table, texts, &error);
	if (p->settings == NULL)
		fail_msg("%s", error.text);
	p->context = tls_context_create(&host, settings_option(p->settings, 0)->map, &error);
	if (p->context == NULL)
		fail_msg("%s", error.text);
	pair_connect(p, name, certificate, wanted);
}

static void
pair_disconnect(struct pair *p)
{
	tls_destroy(&p->client);
	tls_destroy(&p->client); /* NULL is fine */
	SSL_free(p->server);
	SSL_CTX_free(p->server_context);
	close(p->fds[0]);
	close(p->fds[1]);
}

static void
pair_close(struct pair *p)
{
	pair_disconnect(p);
	tls_context_destroy(&p->context);
	settings_destroy(&p->settings);
}

/* Both take turns until the client is through or has failed. */
static enum tls_progress
shake_hands(struct pair *p)
{
	enum tls_progress progress = TLS_AGAIN;

	for (int i = 0; i < 100; i++) {
		if (progress == TLS_AGAIN)
			progress = tls_handshake(p->client);
		SSL_do_handshake(p->server);
		if (progress == TLS_FAILED || (progress == TLS_DONE && SSL_is_init_finished(p->server)))
			break;
	}
	return progress;
}

static void
assert_refused(const char *const *texts, const char *name, const char *certificate, const char *words)
{
	struct pair p;

	pair_open(&p, texts, name, certificate, false);
	assert_int_equal(shake_hands(&p), TLS_FAILED);
	if (strstr(tls_reason(p.client), words) == NULL)
		fail_msg("'%s' is not in: %s", words, tls_reason(p.client));
	/* and for good */
	assert_int_equal(tls_handshake(p.client), TLS_FAILED);
	assert_int_equal(tls_read(p.client, &p, 1), -1);
	assert_int_not_equal(errno, EAGAIN);
	assert_int_equal(tls_write(p.client, "x", 1), -1);
	pair_close(&p);
}

static void
test_bytes_pass_both_ways(void **state)
{
	enum { SIZE = 1 << 20 };
	char *sent = malloc(SIZE), *got = malloc(SIZE);
	size_t put = 0, have = 0;
	struct pair p;
	int server_has;
	char byte;

	(void)state;
	assert_non_null(sent);
	assert_non_null(got);
	for (size_t i = 0; i < SIZE; i++)
		sent[i] = (char)(i * 7 + i / 251);
	pair_open(&p, (const char *[]){file("tls.ca=", "ca.pem"), NULL}, "localhost", "server", false);
	assert_int_equal(tls_events(p.client, POLLIN), POLLIN); /* nothing else before the handshake */
	assert_int_equal(shake_hands(&p), TLS_DONE);
	assert_int_equal(tls_handshake(p.client), TLS_DONE);
	assert_string_equal(SSL_get_servername(p.server, TLSEXT_NAMETYPE_host_name), "localhost");

	/* out: the kernel's buffer is far smaller, so there are many pauses */
	while (have < SIZE) {
		ssize_t n = put < SIZE ? tls_write(p.client, sent + put, SIZE - put) : 0;

		if (n > 0)
			put += (size_t)n;
		else if (n < 0)
			assert_int_equal(errno, EAGAIN);
		while ((server_has = SSL_read(p.server, got + have, (int)(SIZE - have))) > 0)
			have += (size_t)server_has;
	}
	assert_int_equal(put, SIZE);
	assert_memory_equal(sent, got, SIZE);

	/* in */
	assert_int_equal(tls_read(p.client, &byte, 1), -1);
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(tls_events(p.client, POLLIN), POLLIN);
	assert_int_equal(tls_events(p.client, POLLIN | POLLOUT), POLLIN | POLLOUT);
	memset(got, 0, SIZE);
	assert_int_equal(SSL_write(p.server, sent, 16000), 16000);
	assert_int_equal(SSL_write(p.server, sent + 16000, 16000), 16000);
	assert_int_equal(tls_read(p.client, got, 10), 10);
	assert_true(tls_pending(p.client) > 0); /* poll() would not tell */
	assert_int_equal(tls_read(p.client, got + 10, SIZE - 10), 31990);
	assert_int_equal(tls_pending(p.client), 0);
	assert_memory_equal(sent, got, 32000);

	/* the end */
	assert_int_equal(SSL_write(p.server, "last", 4), 4);
	SSL_shutdown(p.server);
	assert_int_equal(tls_read(p.client, got, SIZE), 4);
	assert_int_equal(tls_read(p.client, got, SIZE), 0);
	assert_int_equal(tls_read(p.client, got, SIZE), 0);
	pair_close(&p);
	free(sent);
	free(got);
}

static void
test_a_cut_line_is_an_end(void **state)
{
	struct pair p;
	char byte;

	(void)state;
	pair_open(&p, (const char *[]){file("tls.ca=", "ca.pem"), NULL}, "127.0.0.1", "server", false);
	assert_int_equal(shake_hands(&p), TLS_DONE);
	assert_null(SSL_get_servername(p.server, TLSEXT_NAMETYPE_host_name)); /* an address is no name */
	shutdown(p.fds[1], SHUT_RDWR);
	assert_int_equal(tls_read(p.client, &byte, 1), 0);
	pair_close(&p);

	pair_open(&p, (const char *[]){file("tls.ca=", "ca.pem"), NULL}, "127.0.0.1", "server", false);
	shutdown(p.fds[1], SHUT_RDWR);
	assert_int_equal(shake_hands(&p), TLS_FAILED);
	assert_true(strlen(tls_reason(p.client)) > 0);
	pair_close(&p);
}

static void
test_who_is_not_the_server_is_refused(void **state)
{
	const char *const ca[] = {file("tls.ca=", "ca.pem"), NULL};
	const char *const other[] = {file("tls.ca=", "other-ca.pem"), NULL};
	const char *const renamed[] = {file("tls.ca=", "ca.pem"), "tls.server_name=elsewhere.example", NULL};

	(void)state;
	assert_refused(other, "localhost", "server", "set tls.ca");
	assert_refused(none, "localhost", "server", "set tls.ca"); /* the system does not know it either */
	assert_refused(ca, "example.org", "server", "not for 'example.org'; set tls.server_name");
	assert_refused(ca, "127.0.0.2", "server", "not for '127.0.0.2'");
	assert_refused(renamed, "localhost", "server", "not for 'elsewhere.example'");
	assert_refused(ca, "localhost", "expired", "expired");
	assert_refused(ca, "localhost", "client", "certificate verify failed"); /* made for another purpose */
}

static void
test_settings_mend_it(void **state)
{
	struct pair p;

	(void)state;
	pair_open(&p, (const char *[]){file("tls.ca=", "ca.pem"), "tls.server_name=localhost", NULL}, "10.0.0.1", "server",
	          false);
	assert_int_equal(shake_hands(&p), TLS_DONE);
	pair_close(&p);
	pair_open(&p, (const char *[]){"tls.verify=false", NULL}, "10.0.0.1", "expired", false);
	assert_int_equal(shake_hands(&p), TLS_DONE);
	pair_close(&p);
}

static void
test_client_certificates(void **state)
{
	struct pair p;
	char byte;

	(void)state;
	pair_open(&p, (const char *[]){file("tls.ca=", "ca.pem"), file("tls.cert=", "client.pem"),
	                               file("tls.key=", "client.key"), NULL}, "localhost", "server", true);
	assert_int_equal(shake_hands(&p), TLS_DONE);
	assert_int_equal(SSL_write(p.server, "y", 1), 1);
	assert_int_equal(tls_read(p.client, &byte, 1), 1);
	pair_close(&p);

	pair_open(&p, (const char *[]){file("tls.ca=", "ca.pem"), NULL}, "localhost", "server", true);
	shake_hands(&p); /* may be through before the server refuses */
	assert_int_equal(tls_read(p.client, &byte, 1), -1);
	assert_non_null(strstr(tls_reason(p.client), "set tls.cert and tls.key"));
	pair_close(&p);
}

static void
assert_no_context(const char *const *texts, const char *words)
{
	struct xf_error error = {""};
	struct xf_config *settings = settings_create(table, texts, &error);

	assert_non_null(settings);
	assert_null(tls_context_create(&host, settings_option(settings, 0)->map, &error));
	if (strstr(error.text, words) == NULL)
		fail_msg("'%s' is not in: %s", words, error.text);
	settings_destroy(&settings);
}

static void
test_files_that_are_not_what_they_should_be(void **state)
{
	FILE *rubbish = fopen(file("", "rubbish"), "w");

	(void)state;
	assert_non_null(rubbish);
	fputs("no certificate\n", rubbish);
	fclose(rubbish);
	assert_no_context((const char *[]){file("tls.ca=", "missing"), NULL}, "No such file");
	assert_no_context((const char *[]){file("tls.ca=", "rubbish"), NULL}, "tls.ca");
	assert_no_context((const char *[]){file("tls.cert=", "missing"), NULL}, "tls.cert");
	assert_no_context((const char *[]){file("tls.cert=", "client.pem"), NULL}, "PEM"); /* no key in it */
	assert_no_context((const char *[]){file("tls.cert=", "client.pem"), file("tls.key=", "server.key"), NULL},
	                  "tls.key");
}

/* Puts the file NAME in the place of WHAT. */
static void
file_replace(const char *what, const char *name)
{
	char next[280];

	snprintf(next, sizeof(next), "%s.next", file("", what));
	unlink(next);
	assert_int_equal(link(file("", name), next), 0);
	assert_int_equal(rename(next, file("", what)), 0);
}

/* The next connection has the new ones, or says what is wrong with them. */
static void
test_files_that_are_replaced(void **state)
{
	struct pair p;

	(void)state;
	file_replace("now.pem", "other-ca.pem");
	pair_open(&p, (const char *[]){file("tls.ca=", "now.pem"), NULL}, "localhost", "server", false);
	assert_int_equal(shake_hands(&p), TLS_FAILED);
	pair_disconnect(&p);

	file_replace("now.pem", "ca.pem");
	pair_connect(&p, "localhost", "server", false);
	assert_int_equal(shake_hands(&p), TLS_DONE);
	pair_disconnect(&p);

	file_replace("now.pem", "rubbish");
	pair_connect(&p, "localhost", "server", false);
	assert_int_equal(tls_handshake(p.client), TLS_FAILED);
	assert_int_equal(errno, EPROTO);
	assert_non_null(strstr(tls_reason(p.client), "tls.ca"));
	pair_disconnect(&p);

	file_replace("now.pem", "ca.pem");
	pair_connect(&p, "localhost", "server", false);
	assert_int_equal(shake_hands(&p), TLS_DONE);
	pair_close(&p);
}

static void
test_no_tls_on_the_other_side(void **state)
{
	struct pair p;

	(void)state;
	pair_open(&p, none, "localhost", "server", false);
	assert_int_equal(tls_handshake(p.client), TLS_AGAIN);
	assert_int_equal(write(p.fds[1], "-ERR unknown command\r\n", 22), 22);
	assert_int_equal(tls_handshake(p.client), TLS_FAILED);
	assert_non_null(strstr(tls_reason(p.client), "no TLS on this port"));
	pair_close(&p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bytes_pass_both_ways),
		cmocka_unit_test(test_a_cut_line_is_an_end),
		cmocka_unit_test(test_who_is_not_the_server_is_refused),
		cmocka_unit_test(test_settings_mend_it),
		cmocka_unit_test(test_client_certificates),
		cmocka_unit_test(test_files_that_are_not_what_they_should_be),
		cmocka_unit_test(test_files_that_are_replaced),
		cmocka_unit_test(test_no_tls_on_the_other_side),
	};

	signal(SIGPIPE, SIG_IGN); /* as the core does */
	folder = xf_temp_create("tls");
	xf_certificates_make(folder);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
