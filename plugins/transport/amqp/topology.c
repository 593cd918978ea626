/*
 * topology.c - see topology.h. Exchanges are durable, and queues too unless they are exclusive.
 *
 * A refusal tells its method and a code. 404: something is missing. 406: it is there, in another form; to use it all the
 * same would hide from the operator that what the YAML says is not so. 403: this user may not create or bind; since what
 * is asked for may be there, the request is left out, and consuming or publishing shows it.
 */
#include "topology.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Options ---------------------------------------------------------------------- */

static bool
subject_is_pattern(struct xf_str subject)
{
	uint64_t i;

	for (i = 0; i < subject.len; i++)
		if ((subject.data[i] == '*' || subject.data[i] == '>') && (i == 0 || subject.data[i - 1] == '.') &&
		    (i + 1 == subject.len || subject.data[i + 1] == '.'))
			return true;
	return subject.len == 0;
}

static bool
refuse(struct xf_error *error, const char *reason)
{
	settings_fail(error, "%s", reason);
	return false;
}

/* What the endpoint says, or else its transport. */
static bool
topology_declares(const struct xf_host *host, const struct xf_config *transport, const struct xf_config *endpoint)
{
	const struct xf_value *own = host->option(endpoint, ENDPOINT_DECLARE);

	return (own->present ? own : host->option(transport, TRANSPORT_DECLARE))->i64 != 0;
}

/* Options that shape what is created need the order to create it. */
static bool
declare_check(const struct xf_host *host, const struct xf_config *transport, const struct xf_config *endpoint,
              enum topology_side side, struct xf_error *error)
{
	static const uint32_t rows[] = {ENDPOINT_EXCHANGE_TYPE, ENDPOINT_ROUTING_KEY, ENDPOINT_QUEUE_TYPE,
	                                ENDPOINT_ARGUMENTS};
	const struct xf_option *const *table = side == TOPOLOGY_SOURCE ? options_of_source : options_of_sink;
	size_t i;

	if (topology_declares(host, transport, endpoint))
		return true;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (host->option(endpoint, rows[i])->present != 0) {
			settings_fail(error, "%s: says what to create, and needs 'declare: true'", table[rows[i]]->key);
			return false;
		}
	if (side == TOPOLOGY_SINK)
		return true;
	if (host->option(endpoint, SOURCE_EXCLUSIVE)->i64 != 0 || host->option(endpoint, SOURCE_AUTO_DELETE)->i64 != 0)
		return refuse(error, "exclusive, auto_delete: say what to create, and need 'declare: true'");
	if (host->option(endpoint, ENDPOINT_EXCHANGE)->str.len > 0)
		return refuse(error, "exchange: a source reads from a queue; an exchange to bind it to needs "
		                     "'declare: true'");
	return true;
}

static bool
keys_check(const struct xf_host *host, const struct xf_config *endpoint, struct xf_error *error)
{
	const struct xf_value *keys = host->option(endpoint, ENDPOINT_ROUTING_KEY);
	uint32_t i;

	for (i = 0; i < keys->count; i++)
		if (keys->items[i]->str.len > CODEC_SHORT_MAX) {
			settings_fail(error, "routing_key: has at most %u bytes", CODEC_SHORT_MAX);
			return false;
		}
	if (keys->count > 0 && settings_exchange(host->option(endpoint, ENDPOINT_EXCHANGE)->str).len == 0)
		return refuse(error, "routing_key: binds a queue to an exchange; say which with 'exchange'");
	return true;
}

static bool
source_check(const struct xf_host *host, const struct xf_config *transport, const struct xf_config *endpoint,
             const struct xf_endpoint_info *info, struct xf_error *error)
{
	const struct xf_value *queue = host->option(endpoint, ENDPOINT_QUEUE);
	bool declare = topology_declares(host, transport, endpoint);
	bool passing = host->option(endpoint, SOURCE_EXCLUSIVE)->i64 != 0 ||
	               host->option(endpoint, SOURCE_AUTO_DELETE)->i64 != 0 || (queue->count > 0 && queue->str.len == 0);

	if (queue->count == 0 && subject_is_pattern(info->subject)) {
		settings_fail(error, "the subject '%.*s' is a pattern and cannot name a queue; say which with 'queue'",
		              SETTINGS_STR(info->subject));
		return false;
	}
	if (queue->count > 0 && queue->str.len == 0 && !declare)
		return refuse(error, "queue: the broker names a queue ('') only where it creates one, with 'declare: true'");
	if (info->subject.len > CODEC_SHORT_MAX) {
		settings_fail(error, "the subject is longer than AMQP allows (%u bytes)", CODEC_SHORT_MAX);
		return false;
	}
	if (passing && settings_is(host->option(endpoint, ENDPOINT_QUEUE_TYPE)->str, "quorum"))
		return refuse(error, "queue_type: a quorum queue has a name, and is neither exclusive nor auto_delete");
	return true;
}

bool
topology_check(const struct xf_host *host, const struct xf_config *transport, const struct xf_config *endpoint,
               enum topology_side side, const struct xf_endpoint_info *info, struct xf_error *error)
{
	struct xf_str exchange = settings_exchange(host->option(endpoint, ENDPOINT_EXCHANGE)->str);
	struct xf_str queue = host->option(endpoint, ENDPOINT_QUEUE)->str;

	if (exchange.len > CODEC_SHORT_MAX || queue.len > CODEC_SHORT_MAX) {
		settings_fail(error, "exchange, queue: a name has at most %u bytes", CODEC_SHORT_MAX);
		return false;
	}
	if (!declare_check(host, transport, endpoint, side, error) || !keys_check(host, endpoint, error))
		return false;
	if (side == TOPOLOGY_SOURCE)
		return source_check(host, transport, endpoint, info, error);
	if (queue.len > 0 && exchange.len == 0)
		return refuse(error, "queue: on the default exchange the subject names the queue; give that as 'subject', or "
		                     "an 'exchange' that the queue is bound to");
	return true;
}

/* A last `>` is `#` there; `*` is the same. */
static char *
key_copy(struct xf_str pattern)
{
	char *key = settings_copy(pattern);
	size_t len = key != NULL ? strlen(key) : 0;

	if (len > 0 && key[len - 1] == '>' && (len == 1 || key[len - 2] == '.'))
		key[len - 1] = '#';
	return key;
}

static bool
keys_read(struct topology *topology, const struct xf_value *keys, struct xf_str otherwise)
{
	uint32_t i;

	topology->keys = calloc(keys->count + 1u, sizeof(*topology->keys));
	if (topology->keys == NULL)
		return false;
	topology->key_count = keys->count > 0 ? keys->count : 1;
	for (i = 0; i < topology->key_count; i++) {
		topology->keys[i] = key_copy(keys->count > 0 ? keys->items[i]->str : otherwise);
		if (topology->keys[i] == NULL)
			return false;
	}
	return true;
}

static bool
arguments_read(struct topology *topology, const struct xf_host *host, const struct xf_config *endpoint)
{
	const struct xf_value *type = host->option(endpoint, ENDPOINT_QUEUE_TYPE);
	const struct xf_config *map = host->option(endpoint, ENDPOINT_ARGUMENTS)->map;
	bool whole = true;
	uint32_t i;

	if (type->count > 0)
		whole = codec_put_text(&topology->arguments, "x-queue-type", type->str);
	for (i = 0; map != NULL && options_of_arguments[i] != NULL; i++) {
		const struct xf_value *value = host->option(map, i);
		const char *key = options_of_arguments[i]->key;

		if (value->count == 0)
			continue;
		switch (options_of_arguments[i]->type) {
		case XF_OPTION_BOOL:
			whole = codec_put_bool(&topology->arguments, key, value->i64 != 0) && whole;
			break;
		case XF_OPTION_STRING:
		case XF_OPTION_ENUM:
			whole = codec_put_text(&topology->arguments, key, value->str) && whole;
			break;
		default:
			whole = codec_put_number(&topology->arguments, key, value->i64) && whole;
		}
	}
	return whole;
}

static uint8_t
source_queue_flags(const struct xf_host *host, const struct xf_config *endpoint, bool named_there)
{
	const struct xf_value *exclusive = host->option(endpoint, SOURCE_EXCLUSIVE);
	bool alone = exclusive->count > 0 ? exclusive->i64 != 0 : named_there;

	return (uint8_t)((alone ? CODEC_QUEUE_EXCLUSIVE : CODEC_QUEUE_DURABLE) |
	                 (host->option(endpoint, SOURCE_AUTO_DELETE)->i64 != 0 ? CODEC_QUEUE_AUTO_DELETE : 0));
}

bool
topology_init(struct topology *topology, const struct xf_host *host, const struct xf_config *transport,
              const struct xf_config *endpoint, enum topology_side side, const struct xf_endpoint_info *info)
{
	const struct xf_value *queue = host->option(endpoint, ENDPOINT_QUEUE);
	bool source = side == TOPOLOGY_SOURCE;
	struct xf_str everything = {">", 1};

	memset(topology, 0, sizeof(*topology));
	topology->side = side;
	topology->exchange = settings_copy(settings_exchange(host->option(endpoint, ENDPOINT_EXCHANGE)->str));
	topology->exchange_type = settings_copy(host->option(endpoint, ENDPOINT_EXCHANGE_TYPE)->str);
	topology->declare = topology_declares(host, transport, endpoint);
	if (source || queue->str.len > 0) {
		topology->queue = settings_copy(queue->count > 0 ? queue->str : info->subject);
		if (topology->queue == NULL)
			return false;
	}
	topology->queue_flags = source ? source_queue_flags(host, endpoint, topology->queue[0] == '\0')
	                               : CODEC_QUEUE_DURABLE;
	return keys_read(topology, host->option(endpoint, ENDPOINT_ROUTING_KEY),
	                 source && info->subject.len > 0 ? info->subject : everything) &&
	       arguments_read(topology, host, endpoint) && topology->exchange != NULL && topology->exchange_type != NULL;
}

void
topology_fini(struct topology *topology)
{
	uint32_t i;

	for (i = 0; topology->keys != NULL && i < topology->key_count; i++)
		free(topology->keys[i]);
	free(topology->keys);
	free(topology->exchange);
	free(topology->exchange_type);
	free(topology->queue);
	codec_buffer_fini(&topology->arguments);
}

void
topology_reset(struct topology *topology)
{
	topology->skip_exchange = topology->skip_queue = false;
}

/* ---- Requests ------------------------------------------------------------------------ */

void
topology_queue_write(const struct topology *topology, struct codec_buffer *out, uint16_t channel, struct xf_str name)
{
	codec_write_queue_declare(out, channel, name, topology->queue_flags, codec_buffer_bytes(&topology->arguments));
}

void
topology_write(const struct topology *topology, struct codec_buffer *out, uint16_t channel)
{
	struct xf_str exchange = settings_str(topology->exchange);
	struct xf_str queue = settings_str(topology->queue != NULL ? topology->queue : "");
	uint32_t i;

	/* A sink's exchange that is missing is then known before anything is taken, not by a channel that breaks. */
	if (exchange.len > 0 && !topology->skip_exchange)
		codec_write_exchange_declare(out, channel, exchange, settings_str(topology->exchange_type),
		                             !topology->declare);
	if (!topology->declare || topology->queue == NULL)
		return;
	if (!topology->skip_queue)
		topology_queue_write(topology, out, channel, queue);
	for (i = 0; exchange.len > 0 && i < topology->key_count; i++)
		codec_write_queue_bind(out, channel, queue, exchange, settings_str(topology->keys[i]));
}

/* ---- Refusals ------------------------------------------------------------------------- */

void
topology_mismatch(struct xf_str name, struct xf_str words, char *reason, size_t size)
{
	if (words.len > 0 && memmem(words.data, words.len, "inequivalent", 12) != NULL)
		snprintf(reason, size, "queue '%.*s' exists in another form; say what it is with queue_type, arguments, "
		         "exclusive and auto_delete, or leave out 'declare' (%.*s)",
		         SETTINGS_STR(name), SETTINGS_STR(words));
	else
		snprintf(reason, size, "the broker does not create queue '%.*s'; change its queue_type or arguments (%.*s)",
		         SETTINGS_STR(name), SETTINGS_STR(words));
}

static void
exchange_refused(const struct topology *topology, const struct codec_close *close, char *reason, size_t size)
{
	if (close->code == 404)
		snprintf(reason, size, "no exchange '%s'; create it, or set declare: true", topology->exchange);
	else if (close->code == 406)
		snprintf(reason, size, "exchange '%s' exists in another form; say what it is with exchange_type, or "
		         "leave out 'declare' (%.*s)", topology->exchange, SETTINGS_STR(close->text));
	else
		snprintf(reason, size, "exchange '%s': %u %.*s", topology->exchange, close->code, SETTINGS_STR(close->text));
}

static void
queue_refused(const struct topology *topology, const struct codec_close *close, const char *user, char *reason,
              size_t size)
{
	const char *queue = topology->queue != NULL ? topology->queue : "";

	if (close->code == 404 && close->method == CODEC_BASIC_CONSUME)
		snprintf(reason, size, "no queue '%s'; create it, or set declare: true", queue);
	else if (close->code == 404)
		snprintf(reason, size, "%.*s; create it", SETTINGS_STR(close->text));
	else if (close->code == 403)
		snprintf(reason, size, "no permission for queue '%s': %.*s; grant it to user '%s'", queue,
		         SETTINGS_STR(close->text), user);
	else if (close->code == 405)
		snprintf(reason, size, "queue '%s' belongs to another connection alone; it is free once that ends, or take "
		         "another name (%.*s)", queue, SETTINGS_STR(close->text));
	else if (close->code == 406 && close->method == CODEC_QUEUE_DECLARE)
		topology_mismatch(settings_str(queue), close->text, reason, size);
	else
		snprintf(reason, size, "queue '%s': %u %.*s", queue, close->code, SETTINGS_STR(close->text));
}

bool
topology_refused(struct topology *topology, const struct codec_close *close, const char *user, char *reason,
                 size_t size)
{
	if (close->code == 403 && close->method == CODEC_EXCHANGE_DECLARE && !topology->skip_exchange) {
		topology->skip_exchange = true;
		return true;
	}
	if (close->code == 403 && close->method == CODEC_QUEUE_DECLARE && !topology->skip_queue &&
	    topology->queue != NULL && topology->queue[0] != '\0') {
		topology->skip_queue = true;
		return true;
	}
	if (close->method == CODEC_EXCHANGE_DECLARE)
		exchange_refused(topology, close, reason, size);
	else
		queue_refused(topology, close, user, reason, size);
	return false;
}
