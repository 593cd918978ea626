/*
 * crossfaded: reads the configuration, starts everything in order, waits for a signal, stops everything in
 * the other order.
 *
 * Nothing is touched before the configuration has passed: its mistakes go to standard error and the status is
 * 78. Then comes the lock on data_dir, before anything in it is opened, a stale socket included.
 *
 * Signals that mean something are blocked before the first plugin is opened, so that every thread there will
 * be has them blocked, and are read by this one from a descriptor.
 */
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "admin/admin.h"
#include "base/assert.h"
#include "base/log.h"
#include "base/resource.h"
#include "daemon/drain.h"
#include "daemon/lock.h"
#include "daemon/notify.h"
#include "daemon/reloader.h"
#include "flow/flow.h"
#include "host/catalogue.h"

#define WATCH_MS 1000
#define CONFIG_DEFAULT "/etc/crossfade/crossfade.yaml"

enum {
	EXIT_USAGE = 2,
	EXIT_CONFIG = 78,
};

static const char usage[] =
	"usage: crossfaded [-c FILE]\n"
	"\n"
	"Serves in the foreground what FILE describes; FILE is " CONFIG_DEFAULT " by default.\n"
	"\n"
	"  -c FILE     the configuration\n"
	"  --help      this text\n"
	"  --version   the version, and that of the plugin ABI\n"
	"\n"
	"SIGTERM and SIGINT drain and stop; a second one stops at once. SIGHUP reads the file again and applies what\n"
	"has changed, while messages flow; what `server:` says waits for a restart.\n"
	"Exit status: 0 done, 1 failed while running, 2 usage, 78 configuration.\n";

/* Returns -1 to go on, else the exit status. */
static int
arguments_read(int argc, char **argv, const char **file)
{
	static const struct option options[] = {
		{"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'v'},
		{0},
	};
	int option;

	*file = CONFIG_DEFAULT;
	while ((option = getopt_long(argc, argv, "c:h", options, NULL)) != -1) {
		switch (option) {
		case 'c':
			*file = optarg;
			break;
		case 'h':
			fputs(usage, stdout);
			return EXIT_SUCCESS;
		case 'v':
			printf("crossfaded %s (plugin ABI %u.%u)\n", XF_VERSION, XF_ABI_MAJOR, XF_ABI_MINOR);
			return EXIT_SUCCESS;
		default:
			fputs("crossfaded: try crossfaded --help\n", stderr);
			return EXIT_USAGE;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "crossfaded: unexpected argument '%s'; a configuration is given as -c FILE\n",
		        argv[optind]);
		return EXIT_USAGE;
	}
	return -1;
}

/* A descriptor from which the signals that mean something are read, or -1 with a reason. */
static int
signals_open(struct xf_error *error)
{
	sigset_t set;
	int signals;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	XF_ASSERT(pthread_sigmask(SIG_BLOCK, &set, NULL) == 0);
	signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (signals < 0)
		xf_no_descriptor(errno, error);
	return signals;
}

/* Until SIGTERM or SIGINT. */
static void
signals_wait(int signals, struct xf_flow *flow, struct xf_reloader *reloader)
{
	struct pollfd fd = {.fd = signals, .events = POLLIN};
	uint32_t watchdog_ms = xf_notify_watchdog_ms();

	for (;;) {
		struct signalfd_siginfo info;

		poll(&fd, 1, watchdog_ms > 0 && watchdog_ms < WATCH_MS ? (int)watchdog_ms : WATCH_MS);
		if (watchdog_ms > 0)
			xf_notify("WATCHDOG=1");
		xf_flow_watch(flow);
		if (read(signals, &info, sizeof(info)) != sizeof(info))
			continue;
		if (info.ssi_signo == SIGHUP) {
			xf_reloader_ask(reloader);
			continue;
		}
		xf_log(XF_LOG_INFO, NULL, "stopping signal=%s", strsignal((int)info.ssi_signo));
		return;
	}
}

/* Fails with a line in the log; the supervisor sees it as well. */
static int
failed(const struct xf_error *error)
{
	xf_log(XF_LOG_ERROR, NULL, "cannot start: %s", error->text);
	xf_notify("STATUS=cannot start: %s", error->text);
	return EXIT_FAILURE;
}

static void
started_log(const struct xf_conf *conf, const struct xf_admin *admin)
{
	char listen[64] = "";

	if (xf_admin_port(admin) != 0)
		snprintf(listen, sizeof(listen), " port=%u", xf_admin_port(admin));
	xf_log(XF_LOG_INFO, NULL,
	       "started version=%s name=%s config=%s routes=%zu migrations=%zu transports=%zu data_dir=%s socket=%s%s",
	       XF_VERSION, conf->server.name, conf->file, conf->route_count, conf->migration_count,
	       conf->transport_count, conf->server.data_dir, conf->server.admin_socket, listen);
}

static int
flow_serve(const struct xf_conf *conf, struct xf_catalogue *catalogue, struct xf_flow *flow, int signals)
{
	struct xf_error error = {{0}};
	struct xf_reloader *reloader = xf_reloader_create(conf->file, catalogue, flow, &error);
	struct xf_admin_setup setup = {.conf = conf, .flow = flow, .catalogue = catalogue};
	struct xf_admin *admin;
	uint64_t left;

	if (reloader == NULL)
		return failed(&error);
	setup.control = xf_reloader_control(reloader);
	admin = xf_admin_start(&setup, &error);
	if (admin == NULL) {
		xf_reloader_destroy(&reloader);
		return failed(&error);
	}
	xf_flow_start(flow);
	started_log(conf, admin);
	/* Ready to be asked; whether every broker is there, which /readyz tells, must not fail the unit. */
	xf_notify("READY=1\nSTATUS=serving %zu routes", conf->route_count);

	signals_wait(signals, flow, reloader);

	xf_notify("STOPPING=1\nSTATUS=draining");
	xf_admin_draining(admin);
	left = xf_drain(flow, signals, conf->server.drain_timeout_ms);
	if (left > 0)
		xf_log(XF_LOG_WARN, NULL,
		       "stopped before all was settled; the brokers they came from have them still, and some may come "
		       "twice left=%llu",
		       (unsigned long long)left);
	else
		xf_log(XF_LOG_INFO, NULL, "stopped, all settled");
	xf_admin_stop(&admin);
	xf_reloader_destroy(&reloader);
	if (!xf_flow_stopped(flow))
		_exit(EXIT_FAILURE); /* a plugin is at work still, on memory that would be gone; what is on disk is so */
	return EXIT_SUCCESS;
}

static int
conf_serve(const struct xf_conf *conf, struct xf_catalogue *catalogue, int signals)
{
	struct xf_error error = {{0}};
	struct xf_state *state;
	struct xf_flow *flow;
	int lock, status = EXIT_FAILURE;

	xf_log_setup(conf->server.log_level, conf->server.log_json);
	for (size_t i = 0; i < conf->warning_count; i++)
		xf_log(XF_LOG_WARN, "config", "%s", conf->warnings[i]);

	lock = xf_lock_take(conf->server.data_dir, &error);
	if (lock < 0)
		return failed(&error);
	state = xf_state_open(conf->server.data_dir, &error);
	if (state == NULL) {
		failed(&error);
		goto release_lock;
	}
	flow = xf_flow_create(conf, state, &error);
	if (flow == NULL) {
		failed(&error);
		goto close_state;
	}
	status = flow_serve(conf, catalogue, flow, signals);

	xf_flow_destroy(&flow);
close_state:
	xf_state_close(&state);
release_lock:
	xf_lock_release(&lock);
	return status;
}

int
main(int argc, char **argv)
{
	struct xf_catalogue *catalogue;
	struct xf_conf_catalogue for_conf;
	struct xf_buffer errors = {0};
	struct xf_error error = {{0}};
	const struct xf_conf *conf;
	const char *file;
	int signals, status;

	status = arguments_read(argc, argv, &file);
	if (status >= 0)
		return status;
	umask(027);
	signals = signals_open(&error);
	if (signals < 0)
		return failed(&error);
	catalogue = xf_catalogue_create();
	for_conf = xf_catalogue_for_conf(catalogue);
	conf = xf_conf_load(file, &for_conf, &errors);
	if (conf != NULL) {
		status = conf_serve(conf, catalogue, signals);
		xf_conf_destroy(&conf);
	} else {
		fputs(errors.data != NULL ? errors.data : "", stderr);
		if (strcmp(file, CONFIG_DEFAULT) == 0 && access(file, F_OK) != 0)
			fputs("crossfaded: another file is named by -c FILE\n", stderr);
		xf_notify("STATUS=the configuration has errors");
		status = EXIT_CONFIG;
	}
	xf_buffer_fini(&errors);
	xf_catalogue_destroy(&catalogue);
	close(signals);
	return status;
}
