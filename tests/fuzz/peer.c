/*
 * Whatever a broker says, over several connections, to an endpoint of the real plugin: nothing breaks, what is emitted can be read and is
 * no more than was asked for, and each token is completed once: before the end of its connection is told, and as stored only where
 * the broker said something that can mean so.
 *
 * The first byte chooses the route; PART ends what is sent before the next wait. There is no network, time or chance:
 * getaddrinfo(), connect(), poll() and getrandom() are the ones below, and what is played is over when nothing is left to be said.
 */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <crossfade/transport.h>

#include "conf_fake.h"
#include "fuzz.h"

#define PART "<~>"
#define TOKENS 64

enum { STEPS_MAX = 80, MESSAGES = 2 };

/* Routes whose one end is played with; the first byte of the input chooses. CONFIRMS is in every confirmation. */
static const struct {
	const char *route;
	struct xf_str confirms;
} routes[] = {
#if defined(PEER_nats)
#define URL "nats://u:p@127.0.0.1:4222"
	{"from: {transport: p}, to: {transport: t, mode: jetstream}", {"{\"stream\":", 10}},
	{"from: {transport: p}, to: {transport: t, mode: core}", {"PONG", 4}},
	{"from: {transport: t, mode: jetstream, stream: S, durable: D}, to: p", {NULL, 0}},
	{"from: {transport: t, mode: core, subject: 'a.*'}, to: p", {NULL, 0}},
#elif defined(PEER_redis)
#define URL "redis://u:p@127.0.0.1:6379/1"
	{"from: {transport: p}, to: {transport: t, mode: stream}", {"$", 1}},
	{"from: {transport: p}, to: {transport: t, mode: pubsub}", {":", 1}},
	{"from: {transport: t, mode: stream, group: g, subject: a}, to: p", {NULL, 0}},
	{"from: {transport: t, mode: list, subject: a}, to: p", {NULL, 0}},
	{"from: {transport: t, mode: pubsub, subject: 'a.*'}, to: p", {NULL, 0}},
#else
#define URL "amqp://u:p@127.0.0.1:5672/v"
	{"from: {transport: p}, to: {transport: t, exchange: e}", {"\0\x3c\0\x50", 4}}, /* basic.ack */
	{"from: {transport: t, queue: q}, to: p", {NULL, 0}},
#endif
};

enum { ROUTES = sizeof(routes) / sizeof(*routes) };

static struct {
	struct xf_str left; /* to be said */
	int fd;             /* of the broker; -1: not connected */
	uint64_t now;
	const struct xf_source_ops *source;
	void *instance;
	struct xf_settlement settlements[TOKENS];
	uint32_t settlement_count;
	uint32_t credit;                /* that is left in this call of work() */
	bool lossy;
	bool can_confirm;               /* it is said */
	uint64_t taken;                 /* tokens, from 1 */
	bool completed[TOKENS + 1];
} play;

/* ---- The world ------------------------------------------------------------------ */

/* Says the next part. False: there is none, and the broker hangs up. */
static bool
say(void)
{
	const char *mark = play.left.len > 0 ? memmem(play.left.data, play.left.len, PART, sizeof(PART) - 1) : NULL;
	uint64_t size = mark != NULL ? (uint64_t)(mark - play.left.data) : play.left.len;
	uint64_t gone = size + (mark != NULL ? sizeof(PART) - 1 : 0);

	if (play.fd < 0)
		return false;
	if (gone == 0) {
		shutdown(play.fd, SHUT_WR);
		return false;
	}
	if (send(play.fd, play.left.data, size, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		size = 0; /* they have hung up */
	play.left = (struct xf_str){play.left.data + gone, play.left.len - gone};
	return true;
}

static void
hang_up(void)
{
	if (play.fd >= 0)
		close(play.fd);
	play.fd = -1;
}

/* In the place of the C library's, for libraries too. */
#define OURS __attribute__((visibility("default")))

OURS int
getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **list)
{
	static struct sockaddr_in address = {.sin_family = AF_INET};
	static struct addrinfo found = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM, .ai_addrlen = sizeof(address),
	                                .ai_addr = (struct sockaddr *)(void *)&address};

	(void)name;
	(void)service;
	(void)hints;
	*list = &found;
	return 0;
}

OURS void
freeaddrinfo(struct addrinfo *list)
{
	(void)list;
}

OURS int
connect(int fd, const struct sockaddr *address, socklen_t len)
{
	int pair[2];

	(void)address;
	(void)len;
	hang_up();
	if (play.left.len == 0) {
		errno = ECONNREFUSED;
		return -1;
	}
	XF_ASSERT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0);
	XF_ASSERT(dup2(pair[0], fd) == fd);
	close(pair[0]);
	play.fd = pair[1];
	return 0;
}

OURS int
poll(struct pollfd *fds, nfds_t count, int timeout)
{
	struct timespec none = {0, 0};
	int ready;

	do
		ready = (int)syscall(SYS_ppoll, fds, count, &none, NULL, 0);
	while (ready == 0 && timeout != 0 && say());
	play.now += ready == 0 && timeout > 0 ? (uint64_t)timeout : 0;
	return ready != 0 || timeout == 0 || play.fd < 0 ? ready : (int)syscall(SYS_ppoll, fds, count, &none, NULL, 0);
}

OURS ssize_t
getrandom(void *out, size_t size, unsigned flags)
{
	(void)flags;
	memset(out, 7, size);
	return (ssize_t)size;
}

/* ---- The host ------------------------------------------------------------------- */

static uint64_t
now_ms(void)
{
	return play.now++;
}

static int64_t
wall_ms(void)
{
	return 1700000000000;
}

static void
log_text(struct xf_endpoint *endpoint, uint32_t level, const char *text)
{
	(void)endpoint;
	(void)level;
	XF_ASSERT(strchr(text, '\n') == NULL);
}

static void
wake(struct xf_endpoint *endpoint)
{
	(void)endpoint;
}

static void
state(struct xf_endpoint *endpoint, uint32_t now, const char *reason)
{
	(void)endpoint;
	XF_ASSERT(now <= XF_STATE_BLOCKED && (reason != NULL || now == XF_STATE_UP));
	for (uint64_t token = 1; now == XF_STATE_DOWN && token <= play.taken; token++)
		XF_ASSERT(play.completed[token]);
}

static uint64_t sum; /* of all bytes, so that they are read */

static void
touch(struct xf_str text)
{
	for (uint64_t i = 0; i < text.len; i++)
		sum += (unsigned char)text.data[i];
}

/* Takes all while there is room, and settles each in one way or another. */
static uint32_t
emit(struct xf_endpoint *endpoint, const struct xf_incoming *messages, uint32_t stride, uint32_t count)
{
	(void)endpoint;
	XF_ASSERT(play.lossy || count <= play.credit);
	play.credit -= play.lossy ? 0 : count;
	for (uint32_t i = 0; i < count; i++) {
		const struct xf_incoming *m = (const struct xf_incoming *)((const char *)messages + (size_t)i * stride);
		uint32_t outcome = XF_SETTLE_ACK + (uint32_t)m->handle % 3;

		touch(m->subject);
		touch(m->id);
		touch(m->key);
		touch(m->reply);
		touch(m->content_type);
		touch((struct xf_str){m->payload, m->payload_size});
		for (uint32_t h = 0; h < m->header_count; h++) {
			touch(m->headers[h].name);
			touch(m->headers[h].value);
		}
		if (m->release != NULL)
			m->release(m->release_context);
		if (play.settlement_count < TOKENS)
			play.settlements[play.settlement_count++] =
				(struct xf_settlement){m->handle, outcome, outcome == XF_SETTLE_RETRY ? 5 : 0};
	}
	return count;
}

static void
complete(struct xf_endpoint *endpoint, const struct xf_result *results, uint32_t count)
{
	(void)endpoint;
	for (uint32_t i = 0; i < count; i++) {
		XF_ASSERT(results[i].token >= 1 && results[i].token <= TOKENS && !play.completed[results[i].token]);
		XF_ASSERT(results[i].code >= XF_RESULT_STORED && results[i].code <= XF_RESULT_REJECTED);
		XF_ASSERT(results[i].code != XF_RESULT_STORED || play.can_confirm);
		play.completed[results[i].token] = true;
		touch(results[i].reason);
	}
}

static void
settle_within(struct xf_endpoint *endpoint, uint32_t milliseconds)
{
	(void)endpoint;
	(void)milliseconds;
}

static const void *
get_ext(const char *name)
{
	(void)name;
	return NULL;
}

static void
sight(struct xf_endpoint *endpoint, const struct xf_sight *seen)
{
	(void)endpoint;
	XF_ASSERT(seen->struct_size == sizeof(*seen));
}

static const struct xf_host host = {
	.struct_size = sizeof(host), .option = xf_config_option, .now_ms = now_ms, .wall_ms = wall_ms, .log = log_text,
	.wake = wake, .state = state, .emit = emit, .complete = complete, .settle_within = settle_within,
	.get_ext = get_ext, .sight = sight,
};

/* ---- The play --------------------------------------------------------------------- */

static void
publish(const struct xf_sink_ops *sink, uint32_t room)
{
	static const struct xf_header headers[] = {{{"Crossfade-Id", 12}, {"i", 1}}, {{"X-A", 3}, {"v", 1}}};
	struct xf_outgoing messages[MESSAGES];
	uint32_t count = room < MESSAGES ? room : MESSAGES, taken;

	if (play.taken + count > TOKENS)
		return;
	for (uint32_t i = 0; i < count; i++)
		messages[i] = (struct xf_outgoing){.token = play.taken + 1 + i, .subject = {"a.b", 3}, .id = {"i", 1},
		                                   .dedup_id = {"i", 1}, .payload = "x", .payload_size = 1,
		                                   .headers = headers, .header_count = 2};
	taken = sink->publish(play.instance, messages, sizeof(messages[0]), count);
	XF_ASSERT(taken <= count);
	play.taken += taken;
}

static const struct xf_transport_class *
class_find(void *context, const char *name, struct xf_error *error)
{
	const struct xf_class *const *classes = xf_plugin_entry_v1()->classes;

	(void)context;
	if (strcmp(name, "tested") == 0)
		return (const struct xf_transport_class *)(const void *)classes[0];
	return conf_fake_catalogue().transport(NULL, name, error);
}

/* Kept for the life of the process. */
static const struct xf_conf *
conf_of(size_t route)
{
	static const struct xf_conf *made[ROUTES];
	struct xf_conf_catalogue catalogue = {.transport = class_find, .host = &host};
	struct xf_buffer text = {0}, errors = {0};

	if (made[route] != NULL)
		return made[route];
	xf_buffer_printf(&text, "transports: {p: {plugin: plain}, t: {plugin: tested, url: '%s'}}\nroutes: [{name: r, %s}]\n",
	                 URL, routes[route].route);
	made[route] = xf_conf_load_text("peer.yaml", fuzz_text(&text), &catalogue, &errors);
	if (made[route] == NULL)
		fputs(errors.data, stderr);
	XF_ASSERT(made[route] != NULL);
	xf_buffer_fini(&text);
	return made[route];
}

/* One end of a route, as both kinds of endpoint have it. */
struct end {
	const struct xf_transport_class *class;
	const struct xf_conf_endpoint *conf;
	bool sink;
};

static struct end
end_of(size_t route)
{
	const struct xf_conf *conf = conf_of(route);
	bool sink = conf->routes[0].sinks[0].transport->name[0] == 't';
	const struct xf_conf_endpoint *end = sink ? &conf->routes[0].sinks[0] : &conf->routes[0].sources[0];

	return (struct end){end->transport->class, end, sink};
}

static void
begin(const struct end *end, void *shared)
{
	static const struct xf_endpoint_info info = {
		.struct_size = sizeof(info), .max_in_flight = 64, .name = {"r/x", 3}, .route = {"r", 1}, .transport = {"t", 1},
		.server = {"s", 1}, .subject = {"a", 1}};
	static char place[16];
	struct xf_endpoint *endpoint = (struct xf_endpoint *)(void *)place;
	struct xf_error error = {{0}};
	int32_t status = (end->sink ? end->class->sink->create : end->class->source->create)(
		&host, endpoint, shared, end->conf->transport->options, end->conf->options, &info, &play.instance, &error);

	XF_ASSERT(status == 0);
	(end->sink ? end->class->sink->start : end->class->source->start)(play.instance);
}

static void
work(const struct end *end)
{
	play.lossy = end->conf->traits & XF_TRAIT_LOSSY;
	for (int step = 0, silent = 0; step < STEPS_MAX && silent < 3; step++) {
		struct xf_work now = {.struct_size = sizeof(now), .ready = POLLIN, .credit_messages = 2,
		                      .credit_bytes = 1 << 20, .fd = -1, .timeout_ms = 1000};

		play.credit = now.credit_messages;
		(end->sink ? end->class->sink->work : end->class->source->work)(play.instance, &now);
		if (end->sink && now.room > 0)
			publish(end->class->sink, now.room);
		if (play.settlement_count > 0)
			end->class->source->settle(play.instance, play.settlements, play.settlement_count);
		play.settlement_count = 0;
		play.now += now.timeout_ms;
		silent = play.left.len == 0 ? silent + 1 : 0;
		say();
	}
}

/* Whether WORD is in what is said, over the ends of its parts. */
static bool
is_said(struct xf_str input, struct xf_str word)
{
	struct xf_buffer said = {0};
	bool found;

	while (input.len > 0) {
		const char *mark = memmem(input.data, input.len, PART, sizeof(PART) - 1);
		uint64_t size = mark != NULL ? (uint64_t)(mark - input.data) : input.len;
		uint64_t gone = size + (mark != NULL ? sizeof(PART) - 1 : 0);

		xf_buffer_append(&said, input.data, size);
		input = (struct xf_str){input.data + gone, input.len - gone};
	}
	found = word.len > 0 && said.len >= word.len && memmem(said.data, said.len, word.data, word.len) != NULL;
	xf_buffer_fini(&said);
	return found;
}

void
fuzz_one(struct xf_str input)
{
	size_t route = input.len > 0 ? (unsigned char)input.data[0] % ROUTES : 0;
	struct end end = end_of(route);
	struct xf_error error = {{0}};
	void *shared = NULL;

	play = (typeof(play)){.fd = -1, .now = 1000000};
	play.left = input.len > 0 ? (struct xf_str){input.data + 1, input.len - 1} : input;
	play.can_confirm = is_said(play.left, routes[route].confirms);
	if (end.class->open != NULL)
		XF_ASSERT(end.class->open(&host, end.conf->transport->options, xf_str("t"), &shared, &error) == 0);
	begin(&end, shared);
	work(&end);
	(end.sink ? end.class->sink->stop : end.class->source->stop)(play.instance);
	for (uint64_t token = 1; token <= play.taken; token++)
		XF_ASSERT(play.completed[token]);
	(end.sink ? end.class->sink->destroy : end.class->source->destroy)(play.instance);
	if (end.class->close != NULL)
		end.class->close(shared);
	hang_up();
}
