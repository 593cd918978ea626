/*
 * runner.h - the thread of an endpoint, and its loop.
 *
 * What a source (inlet.h) and a sink (sink.h) have in common: an instance of a plugin, a thread that makes
 * every [io] call to it, an inbox with a bell, and a state that others can see.
 */
#ifndef XF_FLOW_RUNNER_H
#define XF_FLOW_RUNNER_H

#include <pthread.h>

#include "base/inbox.h"
#include "flow/status.h"
#include "host/host.h"

#define XF_HANGS_MS 10000 /* no call of a plugin that is UP takes so long, whatever its broker does */

struct xf_runner;

struct xf_runner_ops {
	void (*start)(struct xf_runner *runner);
	/* One turn of the loop; calls the plugin's work(). Returns true where there is more to do at once. */
	bool (*turn)(struct xf_runner *runner, struct xf_work *work);
	void (*stop)(struct xf_runner *runner);
};

struct xf_runner {
	struct xf_endpoint endpoint; /* first: what the plugin knows it by */
	const struct xf_runner_ops *ops;
	struct xf_inbox inbox;
	pthread_t thread; /* until start it waits, and touches nothing but its inbox */
	bool has_thread;  /* from init on, or where it is started late */
	_Atomic bool running; /* started, and not joined */
	_Atomic bool started;
	_Atomic bool stopping;
	_Atomic bool called; /* to come by its loop; it takes this back */
	_Atomic bool ended;
	_Atomic uint64_t turn_ms; /* when the turn that it is at began; 0: it waits */
	_Atomic bool hangs; /* its plugin has kept it for XF_HANGS_MS, which is said */

	const struct xf_conf_endpoint *conf;
	char *name;
	struct xf_endpoint_info info;
	void *instance;

	/* for others to read */
	_Atomic uint32_t state;
	_Atomic bool was_up;
	_Atomic uint64_t reconnects;
	_Atomic uint64_t violations;
	pthread_mutex_t reason_lock; /* guards reason */
	char reason[256];
	struct xf_sight sight; /* reason_lock guards it too */
	uint64_t sight_ms;     /* when it came; 0: never */
};

/* NAME is taken. Has all that a start needs, so that none can fail: where a descriptor or a thread is missing this does, with
 * the reason and nothing to be given back. LATE: without a thread, for xf_runner_start_late(). */
enum xf_status xf_runner_init(struct xf_runner *runner, const struct xf_runner_ops *ops,
                              const struct xf_endpoint_calls *calls, char *name, const struct xf_conf_endpoint *conf, bool late,
                              struct xf_error *error);
void xf_runner_fini(struct xf_runner *runner);

/* [control] */
void xf_runner_start(struct xf_runner *runner);
/* On a thread of another's, which the control thread excludes when it ends this one. Fails where there is no thread to be had. */
enum xf_status xf_runner_start_late(struct xf_runner *runner, struct xf_error *error);
bool xf_runner_has_started(const struct xf_runner *runner); /* [any] */
/* A plugin may keep the thread for ever: whoever asks for something waits no longer than it has patience. */
void xf_runner_call(struct xf_runner *runner);
bool xf_runner_answered(const struct xf_runner *runner); /* has come by its loop since it was called */
void xf_runner_end(struct xf_runner *runner);
bool xf_runner_ended(struct xf_runner *runner); /* as it was asked to, or it was not asked */
void xf_runner_stop(struct xf_runner *runner);  /* waits for the thread's end */

/* [io] Notes and logs a change of state; true where it is one. */
bool xf_runner_state(struct xf_runner *runner, uint32_t state, const char *reason);

/* [io] As calls->sight. */
void xf_runner_sight(struct xf_endpoint *endpoint, const struct xf_sight *sight);

/* [control] Says when a plugin does not come back, and when it has; to be called every second or so. Meanwhile its state is
 * BLOCKED for who looks, where the plugin said UP. */
void xf_runner_watch(struct xf_runner *runner);

/* [any] */
void xf_runner_wake(struct xf_endpoint *endpoint);
void xf_runner_violation(struct xf_runner *runner, const char *what);
void xf_runner_status(struct xf_runner *runner, struct xf_endpoint_status *status);

#endif
