/*
 * small.h - a small configuration, written on the spot, and the core that runs it inside this program.
 *
 * So `pub` is a route from the terminal to a broker and `sub` one from a broker to the terminal: connecting, confirming,
 * acknowledging, checking and every message about what is wrong are the core's own and its plugins'.
 *
 * The text never touches a disk, since there may be passwords in it. Each of its lines knows what on the command line
 * it came from, so that what the configuration's reader finds wrong is said in the user's terms.
 *
 * Threads: main only. SIGINT and SIGTERM end small_wait().
 */
#ifndef CROSSFADE_SMALL_H
#define CROSSFADE_SMALL_H

#include <stdint.h>

#include "flow/flow.h"
#include "load.h"

struct small {
	struct loaded loaded; /* the catalogue; and the file of -c, if one was given */
	struct xf_buffer text;
	char **origin; /* of each line; NULL: ours */
	size_t line_count;
	char *dir;
	const struct xf_conf *conf;
	struct xf_state *state;
	struct xf_flow *flow;
	int signals;
};

/* FILE may be NULL. NEEDED: there must be one, else the default file. False: *STATUS, and it was said why. */
bool small_init(struct small *small, const char *file, bool needed, int *status);

/* One line, without its end; ORIGIN (copied, may be NULL) is what complaints about it begin with. */
void small_line(struct small *small, const char *origin, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* TEXT in quotes that the configuration's reader takes off again, with nothing expanded. On the heap. */
char *small_quote(const char *text);

/* The `server:` block; comes first. */
void small_write_server(struct small *small);

/* Reads the text and makes the flow; no network yet. Returns the exit status. */
int small_create(struct small *small);
void small_start(struct small *small);

/* Until small_ring(), a signal or MS. False: a signal asks to end. */
bool small_wait(struct small *small, uint64_t ms);

/* [any] */
void small_ring(void);

/* The first endpoint that does not work. */
struct small_trouble {
	char reason[256];
	bool was_up;  /* it has worked before */
	bool blocked; /* connected; its broker refuses */
};

/* False: all work, or are about to connect for the first time. */
bool small_trouble(struct small *small, struct small_trouble *trouble);

/* Every source of ROUTE reads. */
bool small_is_up(struct small *small, const char *route);

/* Sum over the routes of what sources had settled with ack. */
uint64_t small_acked(struct small *small);

/* Says why each message that was refused for good was refused; returns how many. */
uint64_t small_rejects_print(struct small *small);

/* Stops, within MS for what is under way, and forgets all. */
void small_fini(struct small *small, uint64_t ms);

#endif
