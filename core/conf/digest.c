/*
 * Each part is written as bytes, with the digests of the parts that it names in it, and those bytes are hashed.
 */
#include "conf/digest.h"

#include <stdlib.h>
#include <xxhash.h>

#include "base/memory.h"

/* ---- Pieces ----------------------------------------------------------------- */

static void
put_number(struct xf_buffer *out, uint64_t number)
{
	xf_buffer_append(out, &number, sizeof(number));
}

static void
put_str(struct xf_buffer *out, struct xf_str text)
{
	put_number(out, text.data != NULL ? text.len + 1 : 0);
	if (text.len > 0)
		xf_buffer_append(out, text.data, text.len);
}

static void
put_text(struct xf_buffer *out, const char *text)
{
	put_str(out, xf_str(text));
}

static void
put_template(struct xf_buffer *out, const struct xf_template *template)
{
	put_str(out, template != NULL ? xf_template_text(template) : (struct xf_str){NULL, 0});
}

static void
put_digest(struct xf_buffer *out, struct xf_digest digest)
{
	put_number(out, digest.low);
	put_number(out, digest.high);
}

/* Of what OUT has, which is then empty. */
static struct xf_digest
digest_take(struct xf_buffer *out)
{
	XXH128_hash_t hash = XXH3_128bits(out->data, out->len);

	out->len = 0;
	return (struct xf_digest){hash.low64, hash.high64};
}

/* ---- Parts ------------------------------------------------------------------ */

static struct xf_digest
server_digest(struct xf_buffer *out, const struct xf_conf_server *s)
{
	put_text(out, s->name);
	put_text(out, s->data_dir);
	put_text(out, s->admin_socket);
	put_text(out, s->admin_listen);
	put_text(out, s->admin_token);
	put_number(out, s->log_level);
	put_number(out, s->log_json);
	put_number(out, s->plugin_dir_count);
	for (size_t i = 0; i < s->plugin_dir_count; i++)
		put_text(out, s->plugin_dirs[i]);
	put_number(out, s->drain_timeout_ms);
	put_number(out, s->max_subject);
	put_number(out, s->max_header_value);
	put_number(out, s->max_headers);
	put_number(out, s->max_payload);
	put_number(out, s->dead_letters_max);
	return digest_take(out);
}

static struct xf_digest
transport_digest(struct xf_buffer *out, const struct xf_conf_transport *t)
{
	put_text(out, t->name);
	put_text(out, t->plugin);
	xf_config_write(t->options, out);
	return digest_take(out);
}

/* OWNER, NUMBER and COUNT make its name, and its plugin sees it; MAX_IN_FLIGHT is told to sources, and means nothing to one
 * that cannot be held back. */
static struct xf_digest
endpoint_digest(struct xf_buffer *out, const struct xf_conf_endpoint *ep, const char *owner, size_t number, size_t count,
                uint32_t max_in_flight)
{
	put_text(out, owner);
	put_number(out, count > 1 ? number + 1 : 0);
	put_number(out, ep->traits & XF_TRAIT_LOSSY ? 0 : max_in_flight);
	put_digest(out, ep->transport->digest);
	xf_config_write(ep->options, out);
	put_text(out, ep->subject);
	put_template(out, ep->template);
	put_number(out, ep->when_down);
	put_number(out, ep->accept_spooled);
	put_number(out, ep->spool_max_size);
	put_number(out, ep->spool_drops);
	put_number(out, ep->envelope);
	put_number(out, ep->subject_escape);
	put_number(out, ep->connections);
	put_number(out, ep->in_place);
	put_template(out, ep->message_id);
	put_number(out, ep->migration != NULL ? 1 + ep->side : 0);
	if (ep->migration != NULL)
		put_digest(out, ep->migration->digest);
	put_number(out, ep->traits);
	return digest_take(out);
}

static struct xf_digest
migration_digest(struct xf_buffer *out, struct xf_conf_migration *m)
{
	for (size_t i = 0; i < 2; i++)
		m->sides[i].digest = endpoint_digest(out, &m->sides[i], m->name, i, 2, 0);
	put_text(out, m->name);
	put_digest(out, m->sides[0].digest);
	put_digest(out, m->sides[1].digest);
	put_template(out, m->key);
	put_number(out, m->handover_timeout_ms);
	return digest_take(out);
}

static struct xf_digest
handler_digest(struct xf_buffer *out, const struct xf_conf_handler *handler)
{
	put_text(out, handler->name);
	put_text(out, handler->plugin);
	xf_config_write(handler->options, out);
	put_number(out, handler->timeout_ms);
	put_number(out, handler->holds);
	return digest_take(out);
}

static struct xf_digest
route_digest(struct xf_buffer *out, struct xf_conf_route *route)
{
	struct xf_conf_endpoint *sources = (struct xf_conf_endpoint *)route->sources;
	struct xf_conf_endpoint *sinks = (struct xf_conf_endpoint *)route->sinks;
	struct xf_conf_handler *handlers = (struct xf_conf_handler *)route->handlers;

	for (size_t i = 0; i < route->source_count; i++)
		sources[i].digest =
			endpoint_digest(out, &sources[i], route->name, i, route->source_count, route->max_in_flight);
	for (size_t i = 0; i < route->sink_count; i++)
		sinks[i].digest = endpoint_digest(out, &sinks[i], route->name, i, route->sink_count, 0);
	for (size_t i = 0; i < route->handler_count; i++)
		handlers[i].digest = handler_digest(out, &handlers[i]);
	put_text(out, route->name);
	put_number(out, route->handler_count);
	for (size_t i = 0; i < route->handler_count; i++)
		put_digest(out, handlers[i].digest);
	put_number(out, route->source_count);
	for (size_t i = 0; i < route->source_count; i++)
		put_digest(out, sources[i].digest);
	put_number(out, route->to);
	put_number(out, route->migration != NULL);
	if (route->migration != NULL)
		put_digest(out, route->migration->digest);
	put_number(out, route->sink_count);
	for (size_t i = 0; i < route->sink_count; i++) {
		put_digest(out, sinks[i].digest);
		put_number(out, route->weights != NULL ? route->weights[i] : 0);
	}
	put_number(out, route->require);
	put_template(out, route->key);
	put_number(out, route->order);
	put_number(out, route->drain_first);
	put_number(out, route->request_ms);
	put_text(out, route->pool != NULL ? route->pool->name : "");
	put_number(out, route->pool != NULL ? route->pool->concurrency : 0);
	put_number(out, route->pool != NULL ? route->pool->share : 0);
	put_number(out, route->pool_priority);
	put_number(out, route->dedupe_count);
	put_number(out, route->dedupe_window_ms);
	put_number(out, route->concurrency);
	put_number(out, route->retry.attempts);
	put_number(out, route->retry.constant);
	put_number(out, route->retry.jitter);
	put_number(out, route->retry.initial_ms);
	put_number(out, route->retry.max_ms);
	put_number(out, route->max_in_flight);
	put_number(out, route->max_in_flight_bytes);
	return digest_take(out);
}

/* ---- The whole -------------------------------------------------------------- */

static int
digest_compare(const void *left, const void *right)
{
	const struct xf_digest *a = left, *b = right;

	if (a->high != b->high)
		return a->high < b->high ? -1 : 1;
	return a->low < b->low ? -1 : a->low > b->low;
}

/* Names are in the parts, so their order says nothing more. */
static void
put_sorted(struct xf_buffer *out, struct xf_digest *digests, size_t count)
{
	if (count > 1)
		qsort(digests, count, sizeof(*digests), digest_compare);
	put_number(out, count);
	for (size_t i = 0; i < count; i++)
		put_digest(out, digests[i]);
}

/* With its first position, which is no part of a migration's own digest. */
static struct xf_digest
position_digest(struct xf_buffer *out, const struct xf_conf_migration *m)
{
	put_digest(out, m->digest);
	put_number(out, m->percent);
	put_number(out, m->mirror);
	return digest_take(out);
}

void
xf_digests_fill(struct xf_loading *l)
{
	struct xf_conf *conf = l->conf;
	size_t most = conf->transport_count + conf->migration_count + conf->route_count;
	struct xf_digest *digests = xf_alloc_array(most, sizeof(*digests));
	struct xf_digest *migrations = digests + conf->transport_count, *routes = migrations + conf->migration_count;
	struct xf_buffer out = {0};

	conf->server_digest = server_digest(&out, &conf->server);
	for (size_t i = 0; i < conf->transport_count; i++)
		digests[i] = l->transports[i].digest = transport_digest(&out, &l->transports[i]);
	for (size_t i = 0; i < conf->migration_count; i++) {
		l->migrations[i].digest = migration_digest(&out, &l->migrations[i]);
		migrations[i] = position_digest(&out, &l->migrations[i]);
	}
	for (size_t i = 0; i < conf->route_count; i++)
		routes[i] = l->routes[i].digest = route_digest(&out, &l->routes[i]);
	put_digest(&out, conf->server_digest);
	put_sorted(&out, digests, conf->transport_count);
	put_sorted(&out, migrations, conf->migration_count);
	put_sorted(&out, routes, conf->route_count);
	conf->digest = digest_take(&out);
	xf_buffer_fini(&out);
	free(digests);
}
