/*
 * tls.h - TLS over a descriptor that never blocks, for plugins that frame their own traffic.
 *
 * A plugin puts xf_tls_option among its transport's options, makes one context per instance before it connects,
 * and one struct tls per connection once the descriptor is connected. tls_read() and tls_write() then stand
 * where read(2) and write(2) stood.
 *
 * The server's certificate has to be signed by a known authority (tls.ca, else the system's), be valid
 * today, and name the host that was asked for (tls.server_name, else HOST). What is not is TLS_FAILED with words
 * that say what to set; there is no way past it but tls.verify: false.
 *
 * Threads: none of this is shared; a context and its connections belong to one endpoint's thread. tls_context_create()
 * reads files and may stand in create(). SIGPIPE is ignored by the core.
 */
#ifndef XF_PLUGINS_TLS_H
#define XF_PLUGINS_TLS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <crossfade/plugin.h>

/* tls: {ca: PATH, cert: PATH, key: PATH, server_name: TEXT, verify: BOOL} */
extern const struct xf_option xf_tls_option;

struct tls_context;

/* MAP is the value of xf_tls_option, which has to outlive the context; NULL: the defaults. NULL with a reason that names the file. */
struct tls_context *tls_context_create(const struct xf_host *host, const struct xf_config *map, struct xf_error *error);

/* After the last of its connections. */
void tls_context_destroy(struct tls_context **context);

struct tls;

/* Borrows FD, connected and non-blocking, and CONTEXT. HOST is a name or an address. NULL: no memory. Files that were replaced since they were
 * read are read again; where that fails, so does the handshake, and it says why. */
struct tls *tls_create(struct tls_context *context, int fd, const char *host);

enum tls_progress {
	TLS_DONE,
	TLS_AGAIN,  /* once tls_events() came */
	TLS_FAILED, /* tls_reason(); errno is EPROTO where the two do not agree, which time alone does not mend */
};

/* Called again and again until it is not AGAIN. */
enum tls_progress tls_handshake(struct tls *tls);

/*
 * As read(2) and write(2) on a socket: 0 at the end, -1 with EAGAIN, or with another errno and tls_reason(). A read
 * that fills less than SIZE has found all there was. What tls_write() counts was handed to the kernel, and the peer
 * can make nothing of the rest. After EAGAIN the same bytes come first again, at any address, with more behind
 * them or not.
 */
ssize_t tls_read(struct tls *tls, void *buffer, size_t size);
ssize_t tls_write(struct tls *tls, const void *buffer, size_t size);

/* The poll(2) events to wait for where the caller waits for WANTED (POLLIN, POLLOUT), or for the handshake. */
uint32_t tls_events(const struct tls *tls, uint32_t wanted);

/* Not 0: something can be read that poll(2) does not show, since it was taken from the kernel already. */
size_t tls_pending(const struct tls *tls);

/* Why it failed, for a person; "" while it has not. Lives as long as TLS. */
const char *tls_reason(const struct tls *tls);

/* Says goodbye where that can be done at once. The descriptor stays open. */
void tls_destroy(struct tls **tls);

#endif
