/*
 * load.h - a configuration file and the plugins it names.
 */
#ifndef CROSSFADE_LOAD_H
#define CROSSFADE_LOAD_H

#include "conf/conf.h"
#include "host/catalogue.h"

struct loaded {
	struct xf_catalogue *catalogue;
	const struct xf_conf *conf; /* NULL: ERRORS says why, a mistake a line */
	struct xf_buffer errors;
};

/* True: conf is there. The caller gives back what was filled with loaded_fini() in either case. */
bool loaded_init(struct loaded *loaded, const char *file);
void loaded_fini(struct loaded *loaded);

#endif
