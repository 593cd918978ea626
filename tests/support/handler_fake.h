/*
 * handler_fake.h - a handler with a thread of its own that is hard to work with, under a seed: it takes some of what it is
 * offered, finishes whichever it likes, and now and then fails, or wants to be asked later.
 */
#ifndef HANDLER_FAKE_H
#define HANDLER_FAKE_H

#include "conf/conf.h"

extern const struct xf_handler_class handler_fake;

/* As the configuration would have it. */
struct xf_conf_handler handler_fake_conf(const char *name);

#endif
