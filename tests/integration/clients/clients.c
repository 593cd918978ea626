#include "clients.h"

#include <inttypes.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include <cmocka.h>

#include <amqp.h>
#include <amqp_tcp_socket.h>
#include <hiredis/hiredis.h>
#include <nats/nats.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/str.h"

#define ANSWER_SECONDS 60

void
side_arrived(void *arg, const struct arrival *arrival)
{
	const struct side *side = arg;

	ledger_arrived(side->ledger, side->side, arrival);
}

/* ---- RabbitMQ ------------------------------------------------------------------------------------ */

struct rabbit {
	amqp_connection_state_t connection;
	uint64_t published;
	uint64_t confirmed;
	uint8_t *done; /* by delivery tag: confirmed */
	uint64_t room;
	uint64_t low; /* all tags up to it are */
	const char *expiration; /* of what is published; NULL: none */
};

static void
rabbit_check(amqp_rpc_reply_t reply, const char *what)
{
	if (reply.reply_type == AMQP_RESPONSE_NORMAL)
		return;
	if (reply.reply_type == AMQP_RESPONSE_LIBRARY_EXCEPTION)
		fail_msg("RabbitMQ, %s: %s", what, amqp_error_string2(reply.library_error));
	fail_msg("RabbitMQ, %s: refused with method 0x%08x", what, reply.reply.id);
}

struct rabbit *
rabbit_open(const char *url)
{
	struct rabbit *rabbit = xf_alloc(sizeof(*rabbit));
	char *text = xf_strdup(url);
	struct amqp_connection_info info;
	amqp_socket_t *socket;

	rabbit->connection = amqp_new_connection();
	socket = amqp_tcp_socket_new(rabbit->connection);
	if (amqp_parse_url(text, &info) != AMQP_STATUS_OK)
		fail_msg("'%s' is no URL", url);
	if (amqp_socket_open(socket, info.host, info.port) != AMQP_STATUS_OK)
		fail_msg("no RabbitMQ at %s", url);
	rabbit_check(amqp_login(rabbit->connection, "/", 0, 131072, 0, AMQP_SASL_METHOD_PLAIN, info.user, info.password),
	             "login");
	amqp_channel_open(rabbit->connection, 1);
	rabbit_check(amqp_get_rpc_reply(rabbit->connection), "channel");
	amqp_confirm_select(rabbit->connection, 1);
	rabbit_check(amqp_get_rpc_reply(rabbit->connection), "confirms");
	free(text);
	return rabbit;
}

void
rabbit_close(struct rabbit **rabbit)
{
	if (*rabbit == NULL)
		return;
	amqp_connection_close((*rabbit)->connection, AMQP_REPLY_SUCCESS);
	amqp_destroy_connection((*rabbit)->connection);
	free((*rabbit)->done);
	free(*rabbit);
	*rabbit = NULL;
}

void
rabbit_declare(struct rabbit *rabbit, const char *queue)
{
	amqp_queue_declare(rabbit->connection, 1, amqp_cstring_bytes(queue), 0, 1, 0, 0, amqp_empty_table);
	rabbit_check(amqp_get_rpc_reply(rabbit->connection), "declare");
}

void
rabbit_exchange(struct rabbit *rabbit, const char *exchange)
{
	amqp_exchange_declare(rabbit->connection, 1, amqp_cstring_bytes(exchange), amqp_cstring_bytes("topic"), 0, 1, 0, 0,
	                      amqp_empty_table);
	rabbit_check(amqp_get_rpc_reply(rabbit->connection), "exchange");
}

void
rabbit_bind(struct rabbit *rabbit, const char *queue, const char *exchange, const char *key)
{
	amqp_queue_bind(rabbit->connection, 1, amqp_cstring_bytes(queue), amqp_cstring_bytes(exchange),
	                amqp_cstring_bytes(key), amqp_empty_table);
	rabbit_check(amqp_get_rpc_reply(rabbit->connection), "bind");
}

void
rabbit_delete(struct rabbit *rabbit, const char *queue)
{
	amqp_queue_delete(rabbit->connection, 1, amqp_cstring_bytes(queue), 0, 0);
	rabbit_check(amqp_get_rpc_reply(rabbit->connection), "delete");
}

uint64_t
rabbit_count(struct rabbit *rabbit, const char *queue)
{
	amqp_queue_declare_ok_t *ok =
		amqp_queue_declare(rabbit->connection, 1, amqp_cstring_bytes(queue), 1, 0, 0, 0, amqp_empty_table);
	uint64_t count;

	rabbit_check(amqp_get_rpc_reply(rabbit->connection), queue);
	count = ok->message_count;
	amqp_maybe_release_buffers(rabbit->connection);
	return count;
}

/* Confirms do not come in order: what a consumer has acknowledged already is confirmed at once. */
static void
ack_note(struct rabbit *rabbit, uint64_t tag, bool multiple)
{
	for (uint64_t i = multiple ? rabbit->low + 1 : tag; i <= tag; i++) {
		rabbit->confirmed += !rabbit->done[i];
		rabbit->done[i] = 1;
	}
	while (rabbit->low < rabbit->published && rabbit->done[rabbit->low + 1])
		rabbit->low++;
}

/* Takes in the confirms that are there; with WAIT, until some come. */
static void
confirms_take(struct rabbit *rabbit, bool wait)
{
	struct timeval limit = {.tv_sec = wait ? ANSWER_SECONDS : 0};
	amqp_frame_t frame;
	int status;

	while ((status = amqp_simple_wait_frame_noblock(rabbit->connection, &frame, &limit)) == AMQP_STATUS_OK) {
		limit.tv_sec = 0;
		if (frame.frame_type != AMQP_FRAME_METHOD)
			continue;
		if (frame.payload.method.id == AMQP_BASIC_ACK_METHOD) {
			const amqp_basic_ack_t *ack = frame.payload.method.decoded;

			ack_note(rabbit, ack->delivery_tag, ack->multiple != 0);
		} else {
			fail_msg("RabbitMQ sent method 0x%08x", frame.payload.method.id);
		}
	}
	if (status != AMQP_STATUS_TIMEOUT)
		fail_msg("RabbitMQ: %s", amqp_error_string2(status));
	amqp_maybe_release_buffers(rabbit->connection);
}

void
rabbit_confirm(struct rabbit *rabbit)
{
	while (rabbit->confirmed < rabbit->published) {
		uint64_t before = rabbit->confirmed;

		confirms_take(rabbit, true);
		if (rabbit->confirmed == before)
			fail_msg("RabbitMQ confirmed %" PRIu64 " of %" PRIu64, rabbit->confirmed, rabbit->published);
	}
}

static amqp_bytes_t
rabbit_bytes(struct xf_str text)
{
	return (amqp_bytes_t){text.len, (void *)(uintptr_t)text.data};
}

void
rabbit_expire(struct rabbit *rabbit, const char *milliseconds)
{
	rabbit->expiration = milliseconds;
}

void
rabbit_publish(struct rabbit *rabbit, const char *exchange, struct xf_str routing_key, const void *payload, size_t size,
               const char *id, struct xf_str key)
{
	amqp_basic_properties_t properties = {._flags = AMQP_BASIC_DELIVERY_MODE_FLAG, .delivery_mode = 1};
	amqp_table_entry_t entry;
	int status;

	if (id != NULL) {
		properties._flags |= AMQP_BASIC_MESSAGE_ID_FLAG;
		properties.message_id = amqp_cstring_bytes(id);
	}
	if (rabbit->expiration != NULL) {
		properties._flags |= AMQP_BASIC_EXPIRATION_FLAG;
		properties.expiration = amqp_cstring_bytes(rabbit->expiration);
	}
	if (key.len > 0) {
		entry.key = amqp_cstring_bytes("key");
		entry.value.kind = AMQP_FIELD_KIND_UTF8;
		entry.value.value.bytes = rabbit_bytes(key);
		properties._flags |= AMQP_BASIC_HEADERS_FLAG;
		properties.headers.num_entries = 1;
		properties.headers.entries = &entry;
	}
	status = amqp_basic_publish(rabbit->connection, 1, amqp_cstring_bytes(exchange), rabbit_bytes(routing_key), 0, 0,
	                            &properties, (amqp_bytes_t){size, (void *)(uintptr_t)payload});
	if (status != AMQP_STATUS_OK)
		fail_msg("RabbitMQ, publish: %s", amqp_error_string2(status));
	if (rabbit->published + 2 >= rabbit->room) {
		uint64_t room = rabbit->room * 2 + 4096;

		rabbit->done = xf_grow_array(rabbit->done, rabbit->room, room, 1);
		rabbit->room = room;
	}
	rabbit->published++;
	if (rabbit->published % 256 == 0)
		confirms_take(rabbit, false);
}

static void
number_publish(struct rabbit *rabbit, const char *exchange, const char *routing_key, const struct ledger *ledger,
               uint32_t number)
{
	char payload[LEDGER_PAYLOAD], id[32], key[16];

	ledger_message(ledger, number, payload, id, key);
	rabbit_publish(rabbit, exchange, xf_str(routing_key), payload, sizeof(payload), id, xf_str(key));
}

void
rabbit_feed_exchange(struct rabbit *rabbit, const char *exchange, const char *routing_key, const struct ledger *ledger,
                     uint32_t first, uint32_t end)
{
	for (uint32_t number = first; number < end; number++)
		number_publish(rabbit, exchange, routing_key, ledger, number);
	rabbit_confirm(rabbit);
}

void
rabbit_feed(struct rabbit *rabbit, const char *queue, const struct ledger *ledger, uint32_t first, uint32_t end)
{
	rabbit_feed_exchange(rabbit, "", queue, ledger, first, end);
}

static struct xf_buffer
table_text(const amqp_table_t *table, const char *name)
{
	struct xf_buffer text = {0};

	for (int i = 0; i < table->num_entries; i++) {
		const amqp_table_entry_t *entry = &table->entries[i];

		if (entry->key.len == strlen(name) && memcmp(entry->key.bytes, name, entry->key.len) == 0 &&
		    (entry->value.kind == AMQP_FIELD_KIND_UTF8 || entry->value.kind == AMQP_FIELD_KIND_BYTES))
			xf_buffer_append(&text, entry->value.value.bytes.bytes, entry->value.value.bytes.len);
	}
	return text;
}

static void
envelope_hand(const amqp_message_t *message, arrival_fn *each, void *arg)
{
	struct xf_buffer id = table_text(&message->properties.headers, "Crossfade-Id");
	struct xf_buffer key = table_text(&message->properties.headers, "key");
	struct xf_buffer copy = table_text(&message->properties.headers, "Crossfade-Copy");
	struct xf_buffer dedup = {0};
	struct arrival arrival = {.payload = message->body.bytes, .size = message->body.len};

	if (message->properties._flags & AMQP_BASIC_MESSAGE_ID_FLAG)
		xf_buffer_append(&dedup, message->properties.message_id.bytes, message->properties.message_id.len);
	arrival.id = id.len > 0 ? id.data : dedup.data;
	arrival.key = key.data;
	arrival.copy = copy.data;
	arrival.dedup = dedup.data;
	each(arg, &arrival);
	xf_buffer_fini(&id);
	xf_buffer_fini(&key);
	xf_buffer_fini(&copy);
	xf_buffer_fini(&dedup);
}

uint64_t
rabbit_read(struct rabbit *rabbit, const char *queue, arrival_fn *each, void *arg)
{
	uint64_t count = rabbit_count(rabbit, queue), read = 0;
	struct timeval limit = {.tv_sec = ANSWER_SECONDS};
	amqp_bytes_t tag;

	rabbit_confirm(rabbit);
	tag = amqp_bytes_malloc_dup(amqp_basic_consume(rabbit->connection, 1, amqp_cstring_bytes(queue),
	                                               amqp_empty_bytes, 0, 1, 0, amqp_empty_table)
	                                    ->consumer_tag);
	rabbit_check(amqp_get_rpc_reply(rabbit->connection), "consume");
	while (read < count) {
		amqp_envelope_t envelope;

		amqp_maybe_release_buffers(rabbit->connection);
		rabbit_check(amqp_consume_message(rabbit->connection, &envelope, &limit, 0), "read");
		envelope_hand(&envelope.message, each, arg);
		amqp_destroy_envelope(&envelope);
		read++;
	}
	amqp_basic_cancel(rabbit->connection, 1, tag);
	rabbit_check(amqp_get_rpc_reply(rabbit->connection), "cancel");
	amqp_bytes_free(tag);
	return read;
}

/* ---- a steady producer ---------------------------------------------------------------------------- */

struct feeder {
	pthread_t thread;
	char *url, *queue;
	const struct ledger *ledger;
	uint32_t first, end;
	unsigned rate;
	_Atomic uint32_t sent;
};

static void *
feeder_run(void *arg)
{
	struct feeder *feeder = arg;
	struct rabbit *rabbit = rabbit_open(feeder->url);
	uint64_t begin = xf_now_ms();
	uint32_t number = feeder->first;

	while (number < feeder->end) {
		uint64_t due = feeder->first + (xf_now_ms() - begin) * feeder->rate / 1000;

		for (; number < feeder->end && number < due; number++)
			number_publish(rabbit, "", feeder->queue, feeder->ledger, number);
		atomic_store(&feeder->sent, number - feeder->first);
		usleep(2000);
	}
	rabbit_confirm(rabbit);
	rabbit_close(&rabbit);
	return NULL;
}

struct feeder *
feeder_start(const char *url, const char *queue, const struct ledger *ledger, uint32_t first, uint32_t end,
             unsigned rate)
{
	struct feeder *feeder = xf_alloc(sizeof(*feeder));

	feeder->url = xf_strdup(url);
	feeder->queue = xf_strdup(queue);
	feeder->ledger = ledger;
	feeder->first = first;
	feeder->end = end;
	feeder->rate = rate;
	assert_int_equal(pthread_create(&feeder->thread, NULL, feeder_run, feeder), 0);
	return feeder;
}

uint32_t
feeder_sent(struct feeder *feeder)
{
	return atomic_load(&feeder->sent);
}

void
feeder_join(struct feeder **feeder)
{
	pthread_join((*feeder)->thread, NULL);
	free((*feeder)->url);
	free((*feeder)->queue);
	free(*feeder);
	*feeder = NULL;
}

/* ---- Redis --------------------------------------------------------------------------------------- */

struct cache {
	redisContext *context;
};

struct cache *
cache_open(const char *url)
{
	struct cache *cache = xf_alloc(sizeof(*cache));
	const char *colon = strrchr(url, ':');

	cache->context = redisConnect("127.0.0.1", atoi(colon + 1));
	if (cache->context == NULL || cache->context->err != 0)
		fail_msg("no Redis at %s", url);
	redisSetTimeout(cache->context, (struct timeval){.tv_sec = ANSWER_SECONDS});
	return cache;
}

void
cache_close(struct cache **cache)
{
	if (*cache == NULL)
		return;
	redisFree((*cache)->context);
	free(*cache);
	*cache = NULL;
}

static redisReply *
reply_check(struct cache *cache, redisReply *reply)
{
	if (reply == NULL)
		fail_msg("Redis: %s", cache->context->errstr);
	if (reply->type == REDIS_REPLY_ERROR)
		fail_msg("Redis: %s", reply->str);
	return reply;
}

static redisReply *
reply_next(struct cache *cache)
{
	redisReply *reply = NULL;

	redisGetReply(cache->context, (void **)&reply);
	return reply_check(cache, reply);
}

long long
cache_number(struct cache *cache, const char *format, ...)
{
	redisReply *reply;
	long long number;
	va_list args;

	va_start(args, format);
	reply = reply_check(cache, redisvCommand(cache->context, format, args));
	va_end(args);
	number = reply->integer;
	freeReplyObject(reply);
	return number;
}

uint64_t
cache_publish(struct cache *cache, const char *channel, const void *payload, size_t size, uint64_t count)
{
	uint64_t receivers = 0, waiting = 0;

	while (count > 0 || waiting > 0) {
		for (; count > 0 && waiting < 512; count--, waiting++)
			redisAppendCommand(cache->context, "PUBLISH %s %b", channel, payload, size);
		for (; waiting > 0; waiting--) {
			redisReply *reply = reply_next(cache);

			receivers += (uint64_t)reply->integer;
			freeReplyObject(reply);
		}
	}
	return receivers;
}

enum way {
	WAY_STREAM,
	WAY_CHANNEL,
	WAY_LIST,
};

static void
number_send(struct cache *cache, enum way way, const char *name, const struct ledger *ledger, uint32_t number)
{
	char payload[LEDGER_PAYLOAD], id[32], key[16];

	ledger_message(ledger, number, payload, id, key);
	if (way == WAY_STREAM)
		redisAppendCommand(cache->context, "XADD %s * payload %b id %s h:key %s", name, payload, sizeof(payload), id,
		                   key);
	else
		redisAppendCommand(cache->context, way == WAY_LIST ? "LPUSH %s %b" : "PUBLISH %s %b", name, payload,
		                   sizeof(payload));
}

static void
cache_send(struct cache *cache, enum way way, const char *name, const struct ledger *ledger, uint32_t first,
           uint32_t end)
{
	uint32_t number = first, waiting = 0;

	while (number < end || waiting > 0) {
		for (; number < end && waiting < 512; number++, waiting++)
			number_send(cache, way, name, ledger, number);
		for (; waiting > 0; waiting--)
			freeReplyObject(reply_next(cache));
	}
}

void
cache_feed(struct cache *cache, const char *stream, const struct ledger *ledger, uint32_t first, uint32_t end)
{
	cache_send(cache, WAY_STREAM, stream, ledger, first, end);
}

void
cache_feed_channel(struct cache *cache, const char *channel, const struct ledger *ledger, uint32_t first, uint32_t end)
{
	cache_send(cache, WAY_CHANNEL, channel, ledger, first, end);
}

void
cache_feed_list(struct cache *cache, const char *list, const struct ledger *ledger, uint32_t first, uint32_t end)
{
	cache_send(cache, WAY_LIST, list, ledger, first, end);
}

static void
entry_hand(const redisReply *entry, arrival_fn *each, void *arg)
{
	const redisReply *fields = entry->element[1];
	struct arrival arrival = {.time_ms = strtoll(entry->element[0]->str, NULL, 10)};
	const char *id = "";

	for (size_t i = 0; i + 1 < fields->elements; i += 2) {
		const char *name = fields->element[i]->str;
		const redisReply *value = fields->element[i + 1];

		if (strcmp(name, "payload") == 0) {
			arrival.payload = value->str;
			arrival.size = value->len;
		} else if (strcmp(name, "id") == 0) {
			id = value->str; /* a copy's is the message's own: Redis drops no duplicates */
		} else if (strcmp(name, "reply") == 0) {
			arrival.reply = value->str;
		} else if (strcmp(name, "h:key") == 0) {
			arrival.key = value->str;
		} else if (strcmp(name, "h:Crossfade-Id") == 0) {
			arrival.id = value->str;
		} else if (strcmp(name, "h:Crossfade-Copy") == 0) {
			arrival.copy = value->str;
		}
	}
	if (arrival.id != NULL && strcmp(arrival.id, id) != 0)
		arrival.id = id;
	each(arg, &arrival);
}

uint64_t
cache_read(struct cache *cache, const char *stream, arrival_fn *each, void *arg)
{
	char from[64] = "-";
	uint64_t read = 0;

	for (;;) {
		redisReply *page = reply_check(
			cache, redisCommand(cache->context, "XRANGE %s %s + COUNT 1000", stream, from));
		size_t count = page->elements;

		for (size_t i = 0; i < count; i++)
			entry_hand(page->element[i], each, arg);
		if (count > 0)
			snprintf(from, sizeof(from), "(%s", page->element[count - 1]->element[0]->str);
		freeReplyObject(page);
		read += count;
		if (count == 0)
			return read;
	}
}

static void
bare_hand(const redisReply *payload, arrival_fn *each, void *arg)
{
	each(arg, &(struct arrival){.payload = payload->str, .size = payload->len, .bare = true});
}

uint64_t
cache_read_list(struct cache *cache, const char *list, arrival_fn *each, void *arg)
{
	redisReply *all = reply_check(cache, redisCommand(cache->context, "LRANGE %s 0 -1", list));
	uint64_t count = all->elements;

	for (uint64_t i = count; i > 0; i--)
		bare_hand(all->element[i - 1], each, arg);
	freeReplyObject(all);
	return count;
}

struct cache *
cache_subscribe(const char *url, const char *channel)
{
	struct cache *cache = cache_open(url);

	freeReplyObject(reply_check(cache, redisCommand(cache->context, "SUBSCRIBE %s", channel)));
	return cache;
}

uint64_t
cache_heard(struct cache *cache, const char *end, arrival_fn *each, void *arg)
{
	uint64_t heard = 0;

	for (;;) {
		redisReply *push = reply_next(cache);
		bool last = push->elements == 3 && strcmp(push->element[2]->str, end) == 0;

		if (!last) {
			bare_hand(push->element[2], each, arg);
			heard++;
		}
		freeReplyObject(push);
		if (last)
			return heard;
	}
}

/* ---- NATS ------------------------------------------------------------------------------------------ */

struct jet {
	natsConnection *connection;
	jsCtx *js;
};

#define JET(call)                                                                                                      \
	do {                                                                                                                \
		natsStatus status_ = (call);                                                                                     \
		if (status_ != NATS_OK)                                                                                          \
			fail_msg("NATS, %s: %s", #call, natsStatus_GetText(status_));                                                 \
	} while (0)

struct jet *
jet_open(const char *url)
{
	struct jet *jet = xf_alloc(sizeof(*jet));
	jsOptions options;

	jsOptions_Init(&options);
	options.Wait = ANSWER_SECONDS * 1000;
	JET(natsConnection_ConnectTo(&jet->connection, url));
	JET(natsConnection_JetStream(&jet->js, jet->connection, &options));
	return jet;
}

void
jet_close(struct jet **jet)
{
	if (*jet == NULL)
		return;
	jsCtx_Destroy((*jet)->js);
	natsConnection_Destroy((*jet)->connection);
	free(*jet);
	*jet = NULL;
}

void
jet_create(struct jet *jet, const char *stream, const char *subject)
{
	jsStreamConfig config;

	jsStreamConfig_Init(&config);
	config.Name = stream;
	config.Subjects = &subject;
	config.SubjectsLen = 1;
	JET(js_AddStream(NULL, jet->js, &config, NULL, NULL));
}

void
jet_delete(struct jet *jet, const char *stream)
{
	natsStatus status = js_DeleteStream(jet->js, stream, NULL, NULL);

	if (status != NATS_NOT_FOUND)
		JET(status);
}

void
jet_feed(struct jet *jet, const char *subject, const struct ledger *ledger, uint32_t first, uint32_t end)
{
	for (uint32_t number = first; number < end; number++) {
		char payload[LEDGER_PAYLOAD], id[32], key[16];
		natsMsg *msg = NULL;

		ledger_message(ledger, number, payload, id, key);
		JET(natsMsg_Create(&msg, subject, NULL, payload, sizeof(payload)));
		JET(natsMsgHeader_Set(msg, "Nats-Msg-Id", id));
		JET(natsMsgHeader_Set(msg, "key", key));
		JET(js_PublishMsg(NULL, jet->js, msg, NULL, NULL));
		natsMsg_Destroy(msg);
	}
}

uint64_t
jet_count(struct jet *jet, const char *stream)
{
	jsStreamInfo *info = NULL;
	natsStatus status = js_GetStreamInfo(&info, jet->js, stream, NULL, NULL);
	uint64_t count;

	if (status == NATS_NOT_FOUND)
		return 0;
	JET(status);
	count = info->State.Msgs;
	jsStreamInfo_Destroy(info);
	return count;
}

static const char *
msg_header(natsMsg *msg, const char *name)
{
	const char *value = NULL;

	return natsMsgHeader_Get(msg, name, &value) == NATS_OK ? value : NULL;
}

uint64_t
jet_read(struct jet *jet, const char *stream, arrival_fn *each, void *arg)
{
	uint64_t count = jet_count(jet, stream), read = 0;
	natsSubscription *subscription = NULL;
	jsStreamInfo *info = NULL;
	jsSubOptions options;

	if (count == 0)
		return 0;
	JET(js_GetStreamInfo(&info, jet->js, stream, NULL, NULL));
	jsSubOptions_Init(&options);
	options.Stream = stream;
	options.Ordered = true;
	JET(js_SubscribeSync(&subscription, jet->js, info->Config->Subjects[0], NULL, &options, NULL));
	jsStreamInfo_Destroy(info);
	JET(natsSubscription_SetPendingLimits(subscription, -1, -1));
	while (read < count) {
		natsMsg *msg = NULL;
		jsMsgMetaData *meta = NULL;
		struct arrival arrival;

		JET(natsSubscription_NextMsg(&msg, subscription, ANSWER_SECONDS * 1000));
		JET(natsMsg_GetMetaData(&meta, msg));
		arrival = (struct arrival){
			.payload = natsMsg_GetData(msg),
			.size = (size_t)natsMsg_GetDataLength(msg),
			.id = msg_header(msg, "Crossfade-Id"),
			.dedup = msg_header(msg, "Nats-Msg-Id"),
			.key = msg_header(msg, "key"),
			.copy = msg_header(msg, "Crossfade-Copy"),
			.time_ms = meta->Timestamp / 1000000,
		};
		each(arg, &arrival);
		jsMsgMetaData_Destroy(meta);
		natsMsg_Destroy(msg);
		read++;
	}
	natsSubscription_Unsubscribe(subscription);
	natsSubscription_Destroy(subscription);
	return read;
}

struct ears {
	natsSubscription *subscription;
};

struct ears *
jet_listen(struct jet *jet, const char *subject)
{
	struct ears *ears = xf_alloc(sizeof(*ears));

	JET(natsConnection_SubscribeSync(&ears->subscription, jet->connection, subject));
	JET(natsConnection_Flush(jet->connection));
	return ears;
}

void
jet_answer(struct jet *jet, struct ears *ears, const char *answer)
{
	natsMsg *question = NULL;

	JET(natsSubscription_NextMsg(&question, ears->subscription, ANSWER_SECONDS * 1000));
	if (natsMsg_GetReply(question) == NULL)
		fail_msg("nobody waits for an answer");
	JET(natsConnection_PublishString(jet->connection, natsMsg_GetReply(question), answer));
	JET(natsConnection_Flush(jet->connection));
	natsMsg_Destroy(question);
}

void
ears_close(struct ears **ears)
{
	natsSubscription_Destroy((*ears)->subscription);
	free(*ears);
	*ears = NULL;
}
