/*
 * OpenSSL owns nothing but the cipher: the descriptor is the plugin's, and it is never waited on here.
 *
 * Records are read ahead, so bytes may have left the kernel that poll(2) will not speak of again. tls_read() therefore
 * goes on until the buffer is full or OpenSSL has nothing left; only a full buffer can leave something behind,
 * and tls_pending() tells of that.
 *
 * TLS 1.3 lets a client finish its handshake before the server has looked at the client's certificate: a refusal comes
 * as an alert at the first read. So reasons are found in one place for handshake, read and write.
 */
#include "tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

enum {
	ROW_CA,
	ROW_CERT,
	ROW_KEY,
	ROW_SERVER_NAME,
	ROW_VERIFY,
};

static const char *const needs_cert[] = {"cert", NULL};
static const struct xf_option option_ca = {
	.struct_size = sizeof(struct xf_option),
	.type = XF_OPTION_PATH,
	.key = "ca",
	.help = "Certificates (PEM) of the authorities that may have signed the server's; default: the system's",
};
static const struct xf_option option_cert = {
	.struct_size = sizeof(struct xf_option),
	.type = XF_OPTION_PATH,
	.key = "cert",
	.help = "Certificate (PEM) to show to the server, with the chain that it needs",
};
static const struct xf_option option_key = {
	.struct_size = sizeof(struct xf_option),
	.type = XF_OPTION_PATH,
	.key = "key",
	.help = "Private key (PEM) of cert; default: it stands in the file of cert",
	.requires_ = needs_cert,
};
static const struct xf_option option_server_name = {
	.struct_size = sizeof(struct xf_option),
	.type = XF_OPTION_STRING,
	.key = "server_name",
	.help = "Name that the server's certificate must be for; default: the host of the url",
};
static const struct xf_option option_verify = {
	.struct_size = sizeof(struct xf_option),
	.type = XF_OPTION_BOOL,
	.key = "verify",
	.def = "true",
	.help = "Whether the server's certificate must verify; false lets anybody be the server",
};

static const struct xf_option *const options[] = {
	&option_ca, &option_cert, &option_key, &option_server_name, &option_verify, NULL,
};

const struct xf_option xf_tls_option = {
	.struct_size = sizeof(struct xf_option),
	.type = XF_OPTION_MAP,
	.key = "tls",
	.fields = options,
	.help = "Certificates for TLS, where the url asks for it",
};

/* A file as it was when it was read. */
struct stamp {
	dev_t device;
	ino_t inode;
	off_t size;
	struct timespec changed;
};

enum {
	FILE_CA,
	FILE_CERT,
	FILE_KEY,
	FILES,
};

struct tls_context {
	SSL_CTX *ssl;
	struct xf_str files[FILES]; /* the configuration's; empty: none */
	struct stamp stamps[FILES]; /* of what SSL was made of */
	bool verify;
	char server_name[256]; /* empty: the host's */
};

struct tls {
	SSL *ssl;
	const struct tls_context *context;
	char name[256];
	bool greeted;           /* the handshake is over */
	bool heard;             /* and something was read since */
	bool ended;             /* the peer said goodbye, or is gone */
	bool more;              /* the last read left something */
	bool read_wants_write;  /* of the last read, handshake or write that has to come again */
	bool write_wants_read;
	int error; /* errno of what failed; for good */
	char reason[512];
};

/* ---- Contexts ------------------------------------------------------------------ */

/* A key that is encrypted is refused instead of asking a terminal. */
static int
passphrase_refuse(char *buffer, int size, int writing, void *context)
{
	(void)buffer;
	(void)size;
	(void)writing;
	(void)context;
	return -1;
}

static void
context_fail(struct xf_error *error, const char *key, struct xf_str path)
{
	unsigned long code = ERR_peek_last_error();
	const char *why = ERR_reason_error_string(code);
	const char *hint = "";

	if (ERR_SYSTEM_ERROR(ERR_peek_error()))
		why = strerror(ERR_GET_REASON(ERR_peek_error()));
	if (ERR_GET_LIB(code) == ERR_LIB_PEM)
		hint = "; a PEM file without a passphrase is expected";
	snprintf(error->text, sizeof(error->text), "tls.%s: '%.*s': %s%s", key, (int)path.len, path.data,
	         why != NULL ? why : "not usable", hint);
	ERR_clear_error();
}

static bool
authorities_load(SSL_CTX *ssl, struct xf_str ca, struct xf_error *error)
{
	if (ca.len == 0) {
		SSL_CTX_set_default_verify_paths(ssl); /* none there: nothing verifies, and says so */
		return true;
	}
	if (SSL_CTX_load_verify_locations(ssl, ca.data, NULL) == 1)
		return true;
	context_fail(error, "ca", ca);
	return false;
}

static bool
certificate_load(SSL_CTX *ssl, struct xf_str cert, struct xf_str key, struct xf_error *error)
{
	const char *of_key = key.len > 0 ? "key" : "cert";

	if (cert.len == 0)
		return true;
	if (key.len == 0)
		key = cert;
	if (SSL_CTX_use_certificate_chain_file(ssl, cert.data) != 1) {
		context_fail(error, "cert", cert);
		return false;
	}
	/* Also says so where the key is another certificate's. */
	if (SSL_CTX_use_PrivateKey_file(ssl, key.data, SSL_FILETYPE_PEM) != 1) {
		context_fail(error, of_key, key);
		return false;
	}
	return true;
}

static void
stamps_take(const struct tls_context *context, struct stamp stamps[FILES])
{
	memset(stamps, 0, FILES * sizeof(*stamps)); /* they are compared as bytes */
	for (int i = 0; i < FILES; i++) {
		struct stat now;

		if (context->files[i].len == 0 || stat(context->files[i].data, &now) != 0)
			continue;
		stamps[i].device = now.st_dev;
		stamps[i].inode = now.st_ino;
		stamps[i].size = now.st_size;
		stamps[i].changed = now.st_ctim;
	}
}

/* Reads the files. Where that fails, what was read before stays. */
static bool
context_load(struct tls_context *context, struct xf_error *error)
{
	struct stamp stamps[FILES];
	SSL_CTX *ssl;

	ERR_clear_error();
	stamps_take(context, stamps); /* first: what changes from here on is seen the next time */
	ssl = SSL_CTX_new(TLS_client_method());
	if (ssl == NULL) {
		snprintf(error->text, sizeof(error->text), "tls: no memory");
		return false;
	}
	SSL_CTX_set_min_proto_version(ssl, TLS1_2_VERSION);
	SSL_CTX_set_mode(ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_read_ahead(ssl, 1);
	SSL_CTX_set_default_read_buffer_len(ssl, 64 * 1024);
	SSL_CTX_set_default_passwd_cb(ssl, passphrase_refuse);
	SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_verify(ssl, context->verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
	if (!authorities_load(ssl, context->files[FILE_CA], error) ||
	    !certificate_load(ssl, context->files[FILE_CERT], context->files[FILE_KEY], error)) {
		SSL_CTX_free(ssl);
		return false;
	}
	ERR_clear_error();
	SSL_CTX_free(context->ssl); /* open connections hold it */
	context->ssl = ssl;
	memcpy(context->stamps, stamps, sizeof(stamps));
	return true;
}

/* Reads the files again where they are others now. */
static bool
context_follow(struct tls_context *context, struct xf_error *error)
{
	struct stamp stamps[FILES];

	stamps_take(context, stamps);
	return memcmp(stamps, context->stamps, sizeof(stamps)) == 0 || context_load(context, error);
}

struct tls_context *
tls_context_create(const struct xf_host *host, const struct xf_config *map, struct xf_error *error)
{
	struct tls_context *context = calloc(1, sizeof(*context));
	struct xf_str name = {NULL, 0};

	if (context == NULL) {
		snprintf(error->text, sizeof(error->text), "tls: no memory");
		return NULL;
	}
	context->verify = true;
	if (map != NULL) {
		name = host->option(map, ROW_SERVER_NAME)->str;
		context->verify = host->option(map, ROW_VERIFY)->i64 != 0;
		context->files[FILE_CA] = host->option(map, ROW_CA)->str;
		context->files[FILE_CERT] = host->option(map, ROW_CERT)->str;
		context->files[FILE_KEY] = host->option(map, ROW_KEY)->str;
	}
	if (name.len >= sizeof(context->server_name)) {
		snprintf(error->text, sizeof(error->text), "tls.server_name: longer than a host name can be");
		tls_context_destroy(&context);
		return NULL;
	}
	if (name.len > 0)
		memcpy(context->server_name, name.data, name.len);
	if (!context_load(context, error))
		tls_context_destroy(&context);
	return context;
}

void
tls_context_destroy(struct tls_context **context)
{
	if (*context == NULL)
		return;
	SSL_CTX_free((*context)->ssl);
	free(*context);
	*context = NULL;
}

/* ---- Connections ------------------------------------------------------------------ */

static bool
is_address(const char *host)
{
	unsigned char bytes[sizeof(struct in6_addr)];

	return inet_pton(AF_INET, host, bytes) == 1 || inet_pton(AF_INET6, host, bytes) == 1;
}

struct tls *
tls_create(struct tls_context *context, int fd, const char *host)
{
	struct tls *tls = calloc(1, sizeof(*tls));
	struct xf_error error;
	bool named;

	if (tls == NULL)
		return NULL;
	tls->context = context;
	if (!context_follow(context, &error)) {
		tls->error = EPROTO;
		snprintf(tls->reason, sizeof(tls->reason), "%s", error.text);
	}
	ERR_clear_error();
	snprintf(tls->name, sizeof(tls->name), "%s", context->server_name[0] != '\0' ? context->server_name : host);
	tls->ssl = SSL_new(context->ssl);
	if (tls->ssl == NULL || SSL_set_fd(tls->ssl, fd) != 1) {
		tls_destroy(&tls);
		return NULL;
	}
	SSL_set_connect_state(tls->ssl);
	if (is_address(tls->name))
		named = X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(tls->ssl), tls->name) == 1;
	else
		named = SSL_set1_host(tls->ssl, tls->name) == 1 && SSL_set_tlsext_host_name(tls->ssl, tls->name) == 1;
	if (!named)
		tls_destroy(&tls);
	return tls;
}

void
tls_destroy(struct tls **tls)
{
	struct tls *gone = *tls;

	if (gone == NULL)
		return;
	*tls = NULL;
	if (gone->greeted && gone->error == 0 && !gone->ended)
		SSL_shutdown(gone->ssl); /* one attempt; the answer is not waited for */
	SSL_free(gone->ssl);
	ERR_clear_error();
	free(gone);
}

/* ---- What went wrong ----------------------------------------------------------------- */

static const char *
verify_remedy(long code)
{
	switch (code) {
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
	case X509_V_ERR_CERT_SIGNATURE_FAILURE:
		return "set tls.ca to the certificate of the authority that signed it";
	case X509_V_ERR_CERT_HAS_EXPIRED:
		return "the server needs a new one, or a clock is wrong";
	case X509_V_ERR_CERT_NOT_YET_VALID:
		return "a clock is wrong, or the server got it too early";
	default:
		return NULL;
	}
}

static const char *
alert_remedy(const struct tls *tls, int reason)
{
	switch (reason) {
	case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
		return "the server wants a client certificate; set tls.cert and tls.key";
	case SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE:
	case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
	case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
	case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
	case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
	case SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE:
	case SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED:
		return tls->context->files[FILE_CERT].len > 0 ? "the server does not accept the certificate of tls.cert"
		                              : "the server may want a client certificate; set tls.cert and tls.key";
	case SSL_R_WRONG_VERSION_NUMBER:
	case SSL_R_HTTP_REQUEST:
		return "there is no TLS on this port; is the url's scheme right?";
	case SSL_R_UNSUPPORTED_PROTOCOL:
	case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION:
		return "the server has no TLS 1.2 or later";
	default:
		return NULL;
	}
}

static void
reason_find(struct tls *tls, int saved)
{
	unsigned long code = ERR_peek_error();
	long verified = SSL_get_verify_result(tls->ssl);
	const char *text, *remedy;

	if (ERR_GET_LIB(code) == ERR_LIB_SSL && ERR_GET_REASON(code) == SSL_R_CERTIFICATE_VERIFY_FAILED) {
		text = X509_verify_cert_error_string(verified);
		remedy = verify_remedy(verified);
		if (verified == X509_V_ERR_HOSTNAME_MISMATCH || verified == X509_V_ERR_IP_ADDRESS_MISMATCH)
			snprintf(tls->reason, sizeof(tls->reason), "certificate verify failed: it is not for '%s'; set "
			         "tls.server_name to a name that it is for", tls->name);
		else
			snprintf(tls->reason, sizeof(tls->reason), "certificate verify failed: %s%s%s", text,
			         remedy != NULL ? "; " : "", remedy != NULL ? remedy : "");
	} else if (code != 0 && !ERR_SYSTEM_ERROR(code)) {
		text = ERR_reason_error_string(code);
		remedy = ERR_GET_LIB(code) == ERR_LIB_SSL ? alert_remedy(tls, ERR_GET_REASON(code)) : NULL;
		snprintf(tls->reason, sizeof(tls->reason), "TLS: %s%s%s", text != NULL ? text : "failed",
		         remedy != NULL ? "; " : "", remedy != NULL ? remedy : "");
	} else if (tls->greeted && !tls->heard) {
		/* The alert that says so may be lost with the connection. */
		snprintf(tls->reason, sizeof(tls->reason), "the server hung up right after the TLS handshake; %s",
		         tls->context->files[FILE_CERT].len > 0 ? "it may not accept the certificate of tls.cert"
		                                : "it may want a client certificate; set tls.cert and tls.key");
	} else if (saved != 0) {
		snprintf(tls->reason, sizeof(tls->reason), "%s", strerror(saved));
	} else {
		snprintf(tls->reason, sizeof(tls->reason), "the server closed the connection%s",
		         tls->greeted ? "" : " during the TLS handshake");
	}
}

/* After RESULT <= 0 of an SSL call. Sets what is waited for, ended or error. 0 at the end, else -1 with errno. */
static int
call_ended(struct tls *tls, int result, bool writing)
{
	int saved = errno, kind = SSL_get_error(tls->ssl, result);
	unsigned long code = ERR_peek_error();

	switch (kind) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
		if (writing)
			tls->write_wants_read = kind == SSL_ERROR_WANT_READ;
		else
			tls->read_wants_write = kind == SSL_ERROR_WANT_WRITE;
		errno = EAGAIN;
		return -1;
	case SSL_ERROR_ZERO_RETURN:
		tls->ended = true;
		break;
	case SSL_ERROR_SYSCALL:
		if (code == 0 && saved == 0)
			tls->ended = true;
		break;
	case SSL_ERROR_SSL:
		if (ERR_GET_LIB(code) == ERR_LIB_SSL && ERR_GET_REASON(code) == SSL_R_UNEXPECTED_EOF_WHILE_READING) {
			ERR_clear_error();
			tls->ended = true;
			saved = 0;
		} else {
			saved = EPROTO;
		}
		break;
	}
	reason_find(tls, saved);
	ERR_clear_error();
	if (tls->ended && !writing && tls->greeted)
		return 0;
	tls->error = saved != 0 ? saved : EPIPE;
	errno = tls->error;
	return -1;
}

/* ---- At work ---------------------------------------------------------------------------- */

enum tls_progress
tls_handshake(struct tls *tls)
{
	int result;

	if (tls->greeted)
		return TLS_DONE;
	if (tls->error != 0) {
		errno = tls->error;
		return TLS_FAILED;
	}
	ERR_clear_error();
	errno = 0;
	result = SSL_do_handshake(tls->ssl);
	if (result == 1) {
		tls->greeted = true;
		tls->read_wants_write = false;
		return TLS_DONE;
	}
	return call_ended(tls, result, false) < 0 && errno == EAGAIN ? TLS_AGAIN : TLS_FAILED;
}

ssize_t
tls_read(struct tls *tls, void *buffer, size_t size)
{
	size_t got = 0;

	tls->more = false;
	while (got < size) {
		size_t n = 0;
		int result;

		if (tls->ended || tls->error != 0)
			break;
		ERR_clear_error();
		errno = 0;
		tls->read_wants_write = false;
		result = SSL_read_ex(tls->ssl, (char *)buffer + got, size - got, &n);
		if (result != 1) {
			int end = call_ended(tls, result, false);

			if (got > 0)
				return (ssize_t)got; /* an end or an error comes with the next call */
			return end;
		}
		got += n;
		tls->heard = true;
	}
	if (got > 0) {
		tls->more = SSL_has_pending(tls->ssl) == 1;
		return (ssize_t)got;
	}
	if (tls->error == 0)
		return 0;
	errno = tls->error;
	return -1;
}

ssize_t
tls_write(struct tls *tls, const void *buffer, size_t size)
{
	size_t put = 0;

	while (put < size) {
		size_t n = 0;
		int result, saved;

		if (tls->error != 0) {
			errno = tls->error;
			return put > 0 ? (ssize_t)put : -1;
		}
		ERR_clear_error();
		errno = 0;
		tls->write_wants_read = false;
		result = SSL_write_ex(tls->ssl, (const char *)buffer + put, size - put, &n);
		if (result != 1) {
			call_ended(tls, result, true);
			saved = errno;
			if (put > 0)
				return (ssize_t)put;
			errno = saved;
			return -1;
		}
		put += n;
	}
	return (ssize_t)put;
}

uint32_t
tls_events(const struct tls *tls, uint32_t wanted)
{
	uint32_t events = 0;

	if (!tls->greeted)
		return tls->read_wants_write ? POLLOUT : POLLIN;
	if (wanted & POLLIN)
		events |= POLLIN | (tls->read_wants_write ? POLLOUT : 0);
	if (wanted & POLLOUT)
		events |= tls->write_wants_read ? POLLIN : POLLOUT;
	return events;
}

size_t
tls_pending(const struct tls *tls)
{
	int pending = SSL_pending(tls->ssl);

	return pending > 0 ? (size_t)pending : tls->more;
}

const char *
tls_reason(const struct tls *tls)
{
	return tls->reason;
}
