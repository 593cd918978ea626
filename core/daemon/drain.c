/*
 * The flow drains on the thread that made it, which then hears no signals; so a second thread listens for
 * them, tells how far it is, and keeps the supervisor patient. It ends when its own bell is rung. Where there is none to
 * be had the drain goes its way unwatched.
 */
#include "daemon/drain.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/resource.h"
#include "daemon/notify.h"

struct watch {
	struct xf_flow *flow;
	int signals;
	int bell;
	uint64_t began_ms;
};

static uint64_t
flow_in_flight(struct xf_flow *flow)
{
	uint64_t sum = 0;

	xf_flow_enter(flow);
	for (size_t i = 0; i < xf_flow_route_count(flow); i++) {
		struct xf_route_status status;

		xf_flow_route_status(flow, i, &status);
		sum += status.in_flight;
		xf_route_status_fini(&status);
	}
	xf_flow_leave(flow);
	return sum;
}

static void
signal_take(struct watch *watch)
{
	struct signalfd_siginfo info;

	if (read(watch->signals, &info, sizeof(info)) != sizeof(info))
		return;
	if (info.ssi_signo == SIGHUP) {
		xf_log(XF_LOG_WARN, NULL, "this server is stopping: no reload");
		return;
	}
	xf_log(XF_LOG_WARN, NULL, "stopping now signal=%s", strsignal((int)info.ssi_signo));
	xf_flow_drain_now(watch->flow);
}

/* How long to sleep: a second at most, less where the watchdog wants to hear of us sooner. */
static int
tick_ms(void)
{
	uint32_t watchdog = xf_notify_watchdog_ms();

	return watchdog > 0 && watchdog < 1000 ? (int)watchdog : 1000;
}

static void *
watch_run(void *context)
{
	struct watch *watch = context;
	struct pollfd fds[] = {{.fd = watch->bell, .events = POLLIN}, {.fd = watch->signals, .events = POLLIN}};
	uint64_t told_ms = watch->began_ms;

	for (;;) {
		uint64_t now;

		if (poll(fds, 2, tick_ms()) > 0 && (fds[0].revents & POLLIN) != 0)
			return NULL;
		if ((fds[1].revents & POLLIN) != 0)
			signal_take(watch);
		/* 5 s more than systemd would wait otherwise; the limit is our own drain_timeout. */
		xf_notify("WATCHDOG=1\nEXTEND_TIMEOUT_USEC=5000000");
		now = xf_now_ms();
		if (now - told_ms < 1000)
			continue;
		told_ms = now;
		xf_log(XF_LOG_INFO, NULL, "draining in_flight=%llu seconds=%llu",
		       (unsigned long long)flow_in_flight(watch->flow),
		       (unsigned long long)((now - watch->began_ms) / 1000));
	}
}

uint64_t
xf_drain(struct xf_flow *flow, int signals, uint64_t timeout_ms)
{
	struct watch watch = {.flow = flow, .signals = signals, .began_ms = xf_now_ms()};
	const uint64_t one = 1;
	struct xf_error error;
	pthread_t thread;
	uint64_t left;
	bool watched;

	xf_log(XF_LOG_INFO, NULL, "draining in_flight=%llu timeout_ms=%llu", (unsigned long long)flow_in_flight(flow),
	       (unsigned long long)timeout_ms);
	watch.bell = eventfd(0, EFD_CLOEXEC);
	watched = (watch.bell >= 0 || xf_no_descriptor(errno, &error) == XF_OK) &&
	          xf_thread_create(&thread, watch_run, &watch, &error) == XF_OK;
	if (!watched)
		xf_log(XF_LOG_WARN, NULL, "a second signal is not heard: %s", error.text);
	left = xf_flow_drain(flow, timeout_ms);
	if (watched) {
		XF_ASSERT(write(watch.bell, &one, sizeof(one)) == sizeof(one));
		pthread_join(thread, NULL);
	}
	if (watch.bell >= 0)
		close(watch.bell);
	return left;
}
