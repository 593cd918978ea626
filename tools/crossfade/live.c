/*
 * Each sink is the core's own, with its plugin and its thread, and no source that could give it a message. All of them
 * connect at once; what is not up after a while tells why.
 */
#include "live.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "conf/options.h"
#include "flow/sink.h"
#include "flow/transports.h"

enum { WAIT_MS = 6000, LOOK_MS = 20 };

struct attempt {
	struct live *live;
	struct xf_transport *transport;
	struct xf_sink *sink;
};

struct trial {
	const struct xf_conf *conf;
	struct xf_holder *holder;
	struct xf_transports transports;
	struct live *lives;
	size_t count;
};

static void
live_add(struct trial *t, const struct xf_conf_transport *transport, const struct xf_conf_endpoint *sink)
{
	if (sink != NULL && (sink->transport != transport || sink->in_place))
		return;
	for (size_t i = 0; i < t->count; i++)
		if (t->lives[i].transport == transport &&
		    (sink == NULL || xf_config_equal(t->lives[i].sink->options, sink->options)))
			return;
	t->lives = xf_grow_array(t->lives, t->count, t->count + 1, sizeof *t->lives);
	t->lives[t->count++] = (struct live){.transport = transport, .sink = sink};
}

static void
lives_gather(struct trial *t)
{
	const struct xf_conf *conf = t->conf;

	for (size_t i = 0; i < conf->transport_count; i++) {
		const struct xf_conf_transport *transport = &conf->transports[i];

		for (size_t m = 0; m < conf->migration_count; m++)
			for (size_t s = 0; s < 2; s++)
				live_add(t, transport, &conf->migrations[m].sides[s]);
		for (size_t r = 0; r < conf->route_count; r++)
			for (size_t s = 0; s < conf->routes[r].sink_count; s++)
				live_add(t, transport, &conf->routes[r].sinks[s]);
		live_add(t, transport, NULL); /* where nothing was */
	}
}

static void
attempt_begin(struct trial *t, struct attempt *attempt)
{
	struct live *live = attempt->live;
	struct xf_error error = {{0}};

	if (live->sink == NULL)
		return;
	attempt->transport = xf_transport_use(&t->transports, live->transport, t->holder, &error);
	if (attempt->transport != NULL)
		attempt->sink = xf_sink_create(xf_format("validate/%s", live->transport->name),
		                               &(struct xf_sink_setup){
			                               .conf = live->sink,
			                               .route = "validate",
			                               .server = t->conf->server.name,
			                               .shared = attempt->transport->shared,
		                               },
		                               &error);
	if (attempt->sink != NULL)
		xf_sink_start(attempt->sink);
	else
		snprintf(live->reason, sizeof live->reason, "%.255s", error.text);
}

static void
attempt_end(struct trial *t, struct attempt *attempt)
{
	struct xf_endpoint_status status = {.state = XF_STATE_DOWN};

	if (attempt->sink != NULL) {
		xf_sink_status(attempt->sink, &status);
		attempt->live->state = status.state;
		memcpy(attempt->live->reason, status.reason, sizeof attempt->live->reason);
		xf_sink_stop(attempt->sink);
		xf_sink_destroy(&attempt->sink);
	}
	if (attempt->transport != NULL)
		xf_transport_release(&t->transports, attempt->transport);
}

static bool
all_up(const struct attempt *attempts, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (attempts[i].sink != NULL && xf_sink_state(attempts[i].sink) != XF_STATE_UP)
			return false;
	return true;
}

struct live *
live_try(const struct xf_conf *conf, size_t *count)
{
	struct trial t = {.conf = conf, .holder = xf_holder_create(conf, false)};
	const struct timespec look = {.tv_nsec = LOOK_MS * 1000000L};
	struct attempt *attempts;
	uint64_t until;

	xf_log_setup(XF_LOG_ERROR, false); /* what is wrong stands in the result */
	signal(SIGPIPE, SIG_IGN);
	lives_gather(&t);
	attempts = xf_alloc_array(t.count, sizeof *attempts);
	for (size_t i = 0; i < t.count; i++) {
		attempts[i].live = &t.lives[i];
		attempt_begin(&t, &attempts[i]);
	}
	for (until = xf_now_ms() + WAIT_MS; !all_up(attempts, t.count) && xf_now_ms() < until;)
		nanosleep(&look, NULL);
	for (size_t i = 0; i < t.count; i++)
		attempt_end(&t, &attempts[i]);
	free(attempts);
	xf_holder_release(&t.holder);
	*count = t.count;
	return t.lives;
}
