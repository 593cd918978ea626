/*
 * catalogue.h - the plugins that are there.
 *
 * Finds a class by name or path, checks file, folder, handshake and description, loads it once, and
 * keeps it for the life of the process (nothing is ever unloaded; sanitizer builds do, to find leaks).
 *
 * A name NAME of kind transport is class NAME in crossfade-transport-NAME.so, one of kind handler in crossfade-handler-NAME.so, searched in server.plugin_dirs
 * in order, then in CROSSFADE_PLUGIN_DIR, then in the build tree's or the installed lib/crossfade/plugins. A text with a
 * slash is a path to a file, which then has exactly one class of the kind, or one with the file's NAME.
 */
#ifndef XF_HOST_CATALOGUE_H
#define XF_HOST_CATALOGUE_H

#include <crossfade/handler.h>

#include "base/error.h"
#include "base/str.h"
#include "conf/conf.h"

struct xf_catalogue;

/* Loads nothing yet. */
struct xf_catalogue *xf_catalogue_create(void);
void xf_catalogue_destroy(struct xf_catalogue **catalogue);

/* Folders to look in first, in order; replaces those given before. */
void xf_catalogue_search(struct xf_catalogue *catalogue, const char *const *dirs, size_t count);

/* NULL with a reason that names the file, what was found, what was expected, and the nearest name. */
const struct xf_transport_class *xf_catalogue_transport(struct xf_catalogue *catalogue, const char *name,
                                                        struct xf_error *error);

const struct xf_handler_class *xf_catalogue_handler(struct xf_catalogue *catalogue, const char *name, struct xf_error *error);

/* CLASS, which outlives the catalogue, is found by its name before any file is looked for. For programs that bring a
 * transport of their own; it is not listed among the plugins. */
void xf_catalogue_builtin(struct xf_catalogue *catalogue, const struct xf_transport_class *class);

/* Names of KIND that a search would find a file for, each once, in order; the caller frees each and the array. */
char **xf_catalogue_names(const struct xf_catalogue *catalogue, uint32_t kind, size_t *count);

/* The catalogue as the configuration wants it; CONTEXT is the catalogue. */
struct xf_conf_catalogue xf_catalogue_for_conf(struct xf_catalogue *catalogue);

/* One loaded or found plugin, for `crossfade plugin list`. */
struct xf_plugin_info {
	const char *file;
	const char *class_name;
	const char *summary;
	const char *version;
	const char *id;
	uint32_t kind;
	uint32_t abi_major;
	uint32_t abi_minor;
};

/* [any thread] Everything loaded so far, COUNT of them; the catalogue's own. */
const struct xf_plugin_info *xf_catalogue_loaded(const struct xf_catalogue *catalogue, size_t *count);

#endif
