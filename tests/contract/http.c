/*
 * The contract of the http sink: starts a server that takes every POST, and runs the suite on a row that posts there. The
 * listener is no place that keeps messages, so the suite's other half does not fit it; integration/http_*.c is its own.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "broker.h"

extern char **environ;

static enum MHD_Result
on_request(void *context, struct MHD_Connection *connection, const char *url, const char *method, const char *version,
           const char *data, size_t *size, void **state)
{
	static int seen;
	struct MHD_Response *response;
	enum MHD_Result result;

	(void)context, (void)url, (void)method, (void)version, (void)data;
	if (*state == NULL || *size > 0) {
		*state = &seen;
		*size = 0;
		return MHD_YES;
	}
	response = MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
	result = MHD_queue_response(connection, 204, response);
	MHD_destroy_response(response);
	return result;
}

/* Its port, or 0. */
static unsigned
server_start(struct MHD_Daemon **server)
{
	const union MHD_DaemonInfo *info;
	struct sockaddr_in address = {.sin_family = AF_INET};

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	*server = MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD, 0, NULL, NULL, on_request, NULL, MHD_OPTION_SOCK_ADDR,
	                           &address, MHD_OPTION_END);
	info = *server != NULL ? MHD_get_daemon_info(*server, MHD_DAEMON_INFO_BIND_PORT) : NULL;
	return info != NULL ? info->port : 0;
}

static int
row_write(const char *path, unsigned port)
{
	FILE *file = fopen(path, "w");

	if (file == NULL)
		return -1;
	fprintf(file,
	        "plugin http\n"
	        "url http://127.0.0.1:%u/\n"
	        "nowhere http://127.0.0.1:1/\n"
	        "sink path=/{subject}\n"
	        "pattern contract.%%s\n"
	        "subject contract.%%s\n"
	        "largest 8388608\n"
	        "no_source true\n",
	        port);
	return fclose(file);
}

int
main(void)
{
	char program[] = XF_BINARY_DIR "/bin/contract", *dir = xf_temp_create("contract-http"), row[512];
	char *argv[] = {program, row, NULL};
	struct MHD_Daemon *server;
	unsigned port = server_start(&server);
	int status = 1, failure;
	pid_t pid;

	snprintf(row, sizeof(row), "%s/http", dir);
	if (port == 0 || row_write(row, port) != 0) {
		fprintf(stderr, "contract-http: cannot start: %s\n", strerror(errno));
		return 1;
	}
	failure = posix_spawn(&pid, program, NULL, NULL, argv, environ);
	if (failure != 0)
		fprintf(stderr, "contract-http: %s: %s\n", program, strerror(failure));
	else
		waitpid(pid, &status, 0);
	MHD_stop_daemon(server);
	xf_temp_destroy(&dir);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
