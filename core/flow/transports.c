#include "flow/transports.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "host/host.h"

struct xf_holder *
xf_holder_create(const struct xf_conf *conf, bool own)
{
	struct xf_holder *holder = xf_alloc(sizeof(*holder));

	*holder = (struct xf_holder){.conf = conf, .own = own, .count = 1};
	return holder;
}

struct xf_holder *
xf_holder_keep(struct xf_holder *holder)
{
	holder->count++;
	return holder;
}

void
xf_holder_release(struct xf_holder **pointer)
{
	struct xf_holder *holder = *pointer;

	*pointer = NULL;
	if (holder == NULL || --holder->count > 0)
		return;
	if (holder->own)
		xf_conf_destroy(&holder->conf);
	free(holder);
}

static bool
transport_is(const struct xf_transport *transport, const struct xf_conf_transport *conf)
{
	return transport->conf == conf ||
	       (strcmp(transport->conf->name, conf->name) == 0 && xf_digest_equal(transport->conf->digest, conf->digest));
}

const struct xf_transport *
xf_transport_find(const struct xf_transports *transports, const struct xf_conf_transport *conf)
{
	const struct xf_transport *at = atomic_load(&transports->first);

	while (at != NULL && !transport_is(at, conf))
		at = at->next;
	return at;
}

struct xf_transport *
xf_transport_use(struct xf_transports *transports, const struct xf_conf_transport *conf, struct xf_holder *holder,
                 struct xf_error *error)
{
	struct xf_transport *transport = atomic_load(&transports->first);

	while (transport != NULL && !transport_is(transport, conf))
		transport = transport->next;
	if (transport == NULL) {
		void *shared = NULL;

		if (conf->class->open != NULL &&
		    conf->class->open(xf_host(), conf->options, xf_str(conf->name), &shared, error) != 0) {
			xf_error_prefix(error, "transport '%s'", conf->name);
			return NULL;
		}
		transport = xf_alloc(sizeof(*transport));
		*transport = (struct xf_transport){
			.conf = conf, .holder = xf_holder_keep(holder), .shared = shared, .next = atomic_load(&transports->first)};
		atomic_store(&transports->first, transport);
	}
	transport->users++;
	return transport;
}

void
xf_transport_release(struct xf_transports *transports, struct xf_transport *transport)
{
	struct xf_transport *before;

	if (transport == NULL || --transport->users > 0)
		return;
	before = atomic_load(&transports->first);
	if (before == transport) {
		atomic_store(&transports->first, transport->next);
	} else {
		while (before->next != transport)
			before = before->next;
		before->next = transport->next;
	}
	if (transport->conf->class->close != NULL)
		transport->conf->class->close(transport->shared);
	xf_holder_release(&transport->holder);
	free(transport);
}
