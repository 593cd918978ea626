#include "terminal.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "small.h"

#define ROOM 256u

struct terminal terminal;

/* ---- Both ------------------------------------------------------------------------------------------------- */

struct end {
	const struct xf_host *host;
	struct xf_endpoint *endpoint;
	bool up;
	/* the source's */
	struct xf_incoming waiting; /* had no room */
	bool waits;
	/* the sink's */
	uint64_t *kept;
	size_t kept_count, kept_size;
};

static int32_t
end_create(const struct xf_host *host, struct xf_endpoint *endpoint, void *shared, const struct xf_config *transport,
           const struct xf_config *config, const struct xf_endpoint_info *info, void **instance, struct xf_error *error)
{
	struct end *end = calloc(1, sizeof *end);

	(void)shared, (void)transport, (void)config, (void)info;
	if (end == NULL) {
		snprintf(error->text, sizeof error->text, "no memory");
		return -1;
	}
	end->host = host;
	end->endpoint = endpoint;
	*instance = end;
	return 0;
}

static void
end_start(void *instance)
{
	(void)instance;
}

static void
end_up(struct end *end)
{
	if (!end->up)
		end->host->state(end->endpoint, XF_STATE_UP, NULL);
	end->up = true;
}

static void
end_destroy(void *instance)
{
	struct end *end = instance;

	free(end->kept);
	free(end);
}

static uint64_t
end_traits(const struct xf_host *host, const struct xf_config *transport, const struct xf_config *endpoint)
{
	(void)host, (void)transport, (void)endpoint;
	return XF_TRAIT_HEADERS;
}

/* Input and output are two places: what is printed does not come back. */
static uint32_t
address_write(const char *address, char *out, uint32_t size)
{
	uint32_t len = (uint32_t)strlen(address);

	if (len > size)
		return 0;
	memcpy(out, address, len);
	return len;
}

static uint32_t
source_address(const struct xf_host *host, const struct xf_config *transport, const struct xf_config *endpoint, char *out,
               uint32_t size)
{
	(void)host, (void)transport, (void)endpoint;
	return address_write("terminal:in", out, size);
}

static uint32_t
sink_address(const struct xf_host *host, const struct xf_config *transport, const struct xf_config *endpoint, char *out,
             uint32_t size)
{
	(void)host, (void)transport, (void)endpoint;
	return address_write("terminal:out", out, size);
}

/* ---- The source ------------------------------------------------------------------------------------------------ */

/* False: nothing more now. */
static bool
message_emit(struct end *end, struct xf_work *work)
{
	int fd = -1;

	if (!end->waits) {
		end->waiting = (struct xf_incoming){0};
		switch (terminal.next(terminal.next_context, &end->waiting, &fd)) {
		case TERMINAL_LATER:
			work->fd = fd;
			work->events = POLLIN;
			work->timeout_ms = fd >= 0 ? 1000 : 10;
			return false;
		case TERMINAL_END:
			terminal.ended = true;
			small_ring();
			return false;
		case TERMINAL_MESSAGE:
			break;
		}
		end->waiting.handle = terminal.emitted + 1;
		end->waits = true;
	}
	if (end->host->emit(end->endpoint, &end->waiting, sizeof end->waiting, 1) != 1)
		return false;
	end->waits = false;
	terminal.emitted++;
	return true;
}

static void
source_work(void *instance, struct xf_work *work)
{
	struct end *end = instance;

	end_up(end);
	if (terminal.hold) {
		work->timeout_ms = 5;
		return;
	}
	for (uint32_t i = 0; !terminal.ended && work->draining == 0 && i < work->credit_messages; i++)
		if (!message_emit(end, work))
			break;
}

static void
source_settle(void *instance, const struct xf_settlement *settlements, uint32_t count)
{
	(void)instance;
	for (uint32_t i = 0; i < count; i++) {
		if (settlements[i].outcome == XF_SETTLE_ACK)
			terminal.confirmed++;
		else if (settlements[i].outcome != XF_SETTLE_EXTEND)
			terminal.refused++;
	}
	small_ring();
}

static void
source_stop(void *instance)
{
	(void)instance;
}

/* ---- The sink ---------------------------------------------------------------------------------------------------- */

static uint32_t
sink_room(const struct end *end)
{
	uint64_t left = terminal.take_max - terminal.taken;

	(void)end;
	if (terminal.broken)
		return 0;
	return terminal.take_max == 0 || left > ROOM ? ROOM : (uint32_t)left;
}

static void
sink_work(void *instance, struct xf_work *work)
{
	struct end *end = instance;

	end_up(end);
	work->room = sink_room(end);
}

static void
token_keep(struct end *end, uint64_t token)
{
	if (end->kept_count == end->kept_size) {
		size_t size = end->kept_size ? end->kept_size * 2 : 64;
		uint64_t *kept = realloc(end->kept, size * sizeof *kept);

		if (kept == NULL)
			abort();
		end->kept = kept;
		end->kept_size = size;
	}
	end->kept[end->kept_count++] = token;
}

static uint32_t
sink_publish(void *instance, const struct xf_outgoing *messages, uint32_t stride, uint32_t count)
{
	struct xf_result results[ROOM];
	struct end *end = instance;
	uint32_t room = sink_room(end), taken = 0;

	while (taken < count && taken < room) {
		const struct xf_outgoing *message = (const void *)((const char *)messages + (size_t)taken * stride);

		if (!terminal.take(terminal.take_context, message)) {
			terminal.broken = true;
			break;
		}
		results[taken++] = (struct xf_result){.token = message->token, .code = XF_RESULT_STORED};
	}
	terminal.flush(terminal.take_context);
	if (terminal.broken || terminal.keep)
		for (uint32_t i = 0; i < taken; i++)
			token_keep(end, results[i].token);
	else if (taken > 0)
		end->host->complete(end->endpoint, results, taken);
	terminal.taken += taken;
	if (taken > 0)
		end->host->wake(end->endpoint); /* to be asked for room again */
	small_ring();
	return taken;
}

static void
sink_stop(void *instance)
{
	struct end *end = instance;

	for (size_t i = 0; i < end->kept_count; i++) {
		struct xf_result result = {.token = end->kept[i], .code = XF_RESULT_NOT_SENT};

		end->host->complete(end->endpoint, &result, 1);
	}
	end->kept_count = 0;
}

static const struct xf_source_ops source_ops = {
	.struct_size = sizeof source_ops,
	.traits = end_traits,
	.address = source_address,
	.create = end_create,
	.start = end_start,
	.work = source_work,
	.settle = source_settle,
	.stop = source_stop,
	.destroy = end_destroy,
};

static const struct xf_sink_ops sink_ops = {
	.struct_size = sizeof sink_ops,
	.traits = end_traits,
	.address = sink_address,
	.create = end_create,
	.start = end_start,
	.work = sink_work,
	.publish = sink_publish,
	.stop = sink_stop,
	.destroy = end_destroy,
};

const struct xf_transport_class *
terminal_class(void)
{
	static const struct xf_transport_class class = {
		.head = {.struct_size = sizeof class,
		         .kind = XF_KIND_TRANSPORT,
		         .name = "terminal",
		         .summary = "This program's own input and output"},
		.source = &source_ops,
		.sink = &sink_ops,
	};

	return &class;
}
