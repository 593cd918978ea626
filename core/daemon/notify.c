#include "daemon/notify.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

void
xf_notify(const char *format, ...)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	char text[512];
	size_t len;
	va_list args;
	int sock;

	if (path == NULL || (path[0] != '/' && path[0] != '@'))
		return;
	len = strlen(path);
	if (len < 2 || len >= sizeof(address.sun_path))
		return;
	memcpy(address.sun_path, path, len);
	if (path[0] == '@') /* the abstract name space */
		address.sun_path[0] = '\0';

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	sock = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (sock < 0)
		return;
	sendto(sock, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT, (struct sockaddr *)&address,
	       (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len));
	close(sock);
}

void
xf_notify_reloading(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	xf_notify("RELOADING=1\nMONOTONIC_USEC=%lld", (long long)now.tv_sec * 1000000 + now.tv_nsec / 1000);
}

uint32_t
xf_notify_watchdog_ms(void)
{
	const char *interval = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
	unsigned long long microseconds;

	if (interval == NULL || (pid != NULL && strtol(pid, NULL, 10) != (long)getpid()))
		return 0;
	microseconds = strtoull(interval, NULL, 10);
	if (microseconds == 0 || microseconds / 2000 > INT32_MAX)
		return 0;
	return microseconds < 2000 ? 1 : (uint32_t)(microseconds / 2000);
}
