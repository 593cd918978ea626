/*
 * http - applications publish over HTTP, and messages are posted to a URL.
 *
 * Sources share one listener per transport (listener.h); what arrives there is spread by exchange.h. Sinks are webhooks
 * (webhook.c) or bring the replies of requests (reply.c).
 */
#include <curl/curl.h>
#include <pthread.h>
#include <stdlib.h>

#include "plugin.h"

/* ---- Sinks: one of two ------------------------------------------------------------------------ */

static uint64_t
sink_traits(const struct xf_host *host, const struct xf_config *transport, const struct xf_config *endpoint)
{
	struct sink_settings sink;

	(void)transport;
	sink_settings_read(host, endpoint, &sink);
	return XF_TRAIT_HEADERS | (sink.mode == SINK_REPLY ? XF_TRAIT_EPHEMERAL : XF_TRAIT_REQUESTS);
}

static uint32_t
sink_address(const struct xf_host *host, const struct xf_config *transport, const struct xf_config *endpoint, char *out,
             uint32_t size)
{
	struct settings settings;
	struct sink_settings sink;
	struct xf_error error;

	sink_settings_read(host, endpoint, &sink);
	if (settings_read(host, transport, &settings, &error) < 0 || settings_check_sink(&settings, &sink, &error) < 0)
		return 0;
	return sink.mode == SINK_REPLY ? settings_address_reply(&settings, out, size)
	                               : settings_address_url(&settings, &sink, out, size);
}

static int32_t
sink_check(const struct xf_host *host, const struct xf_config *transport, const struct xf_config *endpoint,
           const struct xf_endpoint_info *info, struct xf_error *error)
{
	struct settings settings;
	struct sink_settings sink;

	(void)info;
	sink_settings_read(host, endpoint, &sink);
	if (settings_read(host, transport, &settings, error) < 0)
		return -1;
	return settings_check_sink(&settings, &sink, error);
}

static int32_t
sink_create(const struct xf_host *host, struct xf_endpoint *endpoint, void *shared, const struct xf_config *transport,
            const struct xf_config *config, const struct xf_endpoint_info *info, void **instance, struct xf_error *error)
{
	const struct transport *t = shared;
	struct sink_settings sink;

	sink_settings_read(host, config, &sink);
	if (settings_check_sink(&t->settings, &sink, error) < 0)
		return -1;
	return (sink.mode == SINK_REPLY ? &reply_sink : &webhook_sink)
		->create(host, endpoint, shared, transport, config, info, instance, error);
}

static void
sink_start(void *instance)
{
	((struct sink_head *)instance)->ops->start(instance);
}

static void
sink_work(void *instance, struct xf_work *work)
{
	((struct sink_head *)instance)->ops->work(instance, work);
}

static uint32_t
sink_publish(void *instance, const struct xf_outgoing *messages, uint32_t stride, uint32_t count)
{
	return ((struct sink_head *)instance)->ops->publish(instance, messages, stride, count);
}

static void
sink_stop(void *instance)
{
	((struct sink_head *)instance)->ops->stop(instance);
}

static void
sink_destroy(void *instance)
{
	((struct sink_head *)instance)->ops->destroy(instance);
}

/* Who posts gets the reply as the answer. */
static uint32_t
sink_reply_to(void *instance, uint64_t request, char *out, uint32_t size)
{
	(void)instance, (void)request, (void)out, (void)size;
	return 0;
}

static const struct xf_sink_ops http_sink = {
	.struct_size = sizeof(http_sink),
	.traits = sink_traits,
	.address = sink_address,
	.check = sink_check,
	.create = sink_create,
	.start = sink_start,
	.work = sink_work,
	.publish = sink_publish,
	.stop = sink_stop,
	.destroy = sink_destroy,
	.reply_to = sink_reply_to,
};

/* ---- The transport ------------------------------------------------------------------------------ */

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;
static CURLcode curl_begun;

static void
curl_begin(void)
{
	curl_begun = curl_global_init(CURL_GLOBAL_DEFAULT);
}

static int32_t
http_open(const struct xf_host *host, const struct xf_config *config, struct xf_str name, void **shared,
          struct xf_error *error)
{
	struct transport *transport = calloc(1, sizeof(*transport));

	pthread_once(&curl_once, curl_begin);
	if (transport == NULL)
		return settings_fail(error, "no memory");
	if (settings_read(host, config, &transport->settings, error) < 0)
		goto free_transport;
	if (curl_begun != CURLE_OK) {
		settings_fail(error, "libcurl does not start: %s", curl_easy_strerror(curl_begun));
		goto free_transport;
	}
	if (!exchange_init(&transport->exchange, host, &transport->settings)) {
		settings_fail(error, "out of memory or descriptors");
		goto free_transport;
	}
	transport->listener = listener_create(&transport->exchange, name);
	if (transport->listener == NULL) {
		settings_fail(error, "no memory");
		goto end_exchange;
	}
	*shared = transport;
	return 0;
end_exchange:
	exchange_fini(&transport->exchange);
free_transport:
	free(transport);
	return -1;
}

static void
http_close(void *shared)
{
	struct transport *transport = shared;

	listener_destroy(&transport->listener);
	exchange_fini(&transport->exchange);
	free(transport);
}

static uint32_t
http_report(void *shared, char *out, uint32_t size)
{
	const struct transport *transport = shared;

	if (transport->settings.listen.len == 0)
		return 0;
	return listener_report(transport->listener, out, size);
}

static const struct xf_transport_class http_class = {
	.head = {
		.struct_size = sizeof(http_class),
		.kind = XF_KIND_TRANSPORT,
		.name = "http",
		.summary = "HTTP: publish, batches and requests come in, messages are posted to a URL",
	},
	.options = settings_transport_options,
	.source_options = NULL,
	.sink_options = settings_sink_options,
	.source = &http_source,
	.sink = &http_sink,
	.open = http_open,
	.close = http_close,
	.report = http_report,
};

const struct xf_entry *
xf_plugin_entry_v1(void)
{
	static const struct xf_class *const classes[] = {&http_class.head, NULL};
	static const struct xf_entry entry = {
		XF_ENTRY_HEAD,
		.id = "org.crossfade.http",
		.version = XF_VERSION,
		.licence = "Apache-2.0",
		.url = "",
		.classes = classes,
	};

	return &entry;
}
