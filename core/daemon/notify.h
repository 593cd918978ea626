/*
 * notify.h - what systemd is told, where it started us: datagrams to NOTIFY_SOCKET.
 *
 * Without systemd nothing happens. Nothing here fails: a supervisor that does not listen is no
 * reason to stop serving.
 */
#ifndef XF_DAEMON_NOTIFY_H
#define XF_DAEMON_NOTIFY_H

#include <stdint.h>

/* One datagram of lines, "READY=1\nSTATUS=...". */
void xf_notify(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* A reload has begun; READY=1 says that it is over. */
void xf_notify_reloading(void);

/* How often a sign of life is to be sent, in milliseconds: half of what systemd asks for; 0: never. */
uint32_t xf_notify_watchdog_ms(void);

#endif
