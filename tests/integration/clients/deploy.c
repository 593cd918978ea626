#include "deploy.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/memory.h"

#define END "end"
#define ROUTING_KEY "events.made"
#define READER "events.reader" /* the queue of an exchange's consumers */

int
deploy_setup(void **state)
{
	struct world *w;

	world_setup(state);
	w = *state;
	setenv("AMQP_URL", xf_broker_url(w->rabbit), 1);
	setenv("REDIS_URL", xf_broker_url(w->redis), 1);
	setenv("NATS_URL", xf_broker_url(w->nats), 1);
	return 0;
}

void
deploy_clear(struct world *w)
{
	static const char *const queues[] = {"orders.in", "orders", "orders.work", "events.in", READER};
	static const char *const streams[] = {"ORDERS_IN", "ORDERS", "EVENTS_IN", "EVENTS"};

	xf_server_destroy(&w->server);
	/* What RabbitMQ refused a test that failed has closed the channel. */
	rabbit_close(&w->queue);
	w->queue = rabbit_open(xf_broker_url(w->rabbit));
	cache_number(w->old, "FLUSHALL");
	for (size_t i = 0; i < sizeof(queues) / sizeof(queues[0]); i++)
		rabbit_delete(w->queue, queues[i]);
	for (size_t i = 0; i < sizeof(streams) / sizeof(streams[0]); i++)
		jet_delete(w->new, streams[i]);
}

unsigned
port_choose(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&address, len), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
	close(fd);
	return ntohs(address.sin_port);
}

static void
deploy_start(struct world *w, const char *file)
{
	char *config = xf_format("%s/config/%s", XF_SOURCE_DIR, file), *admin = xf_format("127.0.0.1:%u", port_choose());
	char *data = xf_format("%s/data", xf_server_dir(w->server));

	setenv("CROSSFADE_DATA", data, 1);
	setenv("CROSSFADE_ADMIN", admin, 1);
	xf_server_adopt(w->server, config, data);
	XF_CLI_DONE(w->server, "validate");
	xf_server_start(w->server);
	xf_server_wait_ready(w->server);
	free(config);
	free(admin);
	free(data);
}

void
deploy(struct world *w, const char *file)
{
	xf_server_destroy(&w->server);
	w->server = xf_server_create("config");
	deploy_start(w, file);
}

void
deploy_next(struct world *w, const char *file)
{
	assert_int_equal(xf_server_stop(w->server), 0);
	deploy_start(w, file);
}

void
deploy_rest(struct world *w, const char *migration, const char *side)
{
	char *path = xf_format("/api/v1/migrations/%s", migration), *field = xf_format("sides.%s.in_flight", side);
	uint64_t until = xf_now_ms() + XF_WAIT_MS;

	while (xf_server_number(w->server, path, field) > 0 && xf_now_ms() < until)
		usleep(20000);
	assert_int_equal((int)xf_server_number(w->server, path, field), 0);
	free(path);
	free(field);
}

void
place_feed(struct world *w, const struct place *place, const struct ledger *ledger, uint32_t first, uint32_t end)
{
	switch (place->kind) {
	case PLACE_CHANNEL:
		cache_feed_channel(w->old, place->name, ledger, first, end);
		break;
	case PLACE_STREAM:
		cache_feed(w->old, place->name, ledger, first, end);
		break;
	case PLACE_LIST:
		cache_feed_list(w->old, place->name, ledger, first, end);
		break;
	case PLACE_QUEUE:
		rabbit_feed(w->queue, place->name, ledger, first, end);
		break;
	case PLACE_EXCHANGE:
		rabbit_feed_exchange(w->queue, place->name, ROUTING_KEY, ledger, first, end);
		break;
	case PLACE_SUBJECT:
		jet_feed(w->new, place->name, ledger, first, end);
		break;
	}
}

struct cache *
place_attach(struct world *w, const struct place *place)
{
	if (place->kind == PLACE_CHANNEL)
		return cache_subscribe(xf_broker_url(w->redis), place->name);
	if (place->kind == PLACE_EXCHANGE) {
		rabbit_exchange(w->queue, place->name);
		rabbit_declare(w->queue, READER);
		rabbit_bind(w->queue, READER, place->name, "events.*");
	}
	return NULL;
}

uint64_t
place_read(struct world *w, const struct place *place, struct cache **attached, arrival_fn *each, void *arg)
{
	uint64_t count = 0;

	switch (place->kind) {
	case PLACE_CHANNEL:
		cache_publish(w->old, place->name, END, strlen(END), 1);
		count = cache_heard(*attached, END, each, arg);
		cache_close(attached);
		break;
	case PLACE_STREAM:
		count = cache_read(w->old, place->name, each, arg);
		break;
	case PLACE_LIST:
		count = cache_read_list(w->old, place->name, each, arg);
		break;
	case PLACE_QUEUE:
		count = rabbit_read(w->queue, place->name, each, arg);
		break;
	case PLACE_EXCHANGE:
		count = rabbit_read(w->queue, READER, each, arg);
		break;
	case PLACE_SUBJECT:
		count = jet_read(w->new, place->stream, each, arg);
		break;
	}
	return count;
}

bool
place_marks(const struct place *place)
{
	return place->kind != PLACE_CHANNEL && place->kind != PLACE_LIST;
}
