/*
 * yaml.h - YAML text to a tree of nodes, each with its place.
 *
 * Only what a configuration needs: maps with text keys, lists and scalars. Anchors, aliases, tags,
 * duplicate keys and further documents are refused, each with its place.
 *
 * Bounds: 4 MiB of text, 32 levels, 4096 entries of a map, 16384 items of a list.
 */
#ifndef XF_CONF_YAML_H
#define XF_CONF_YAML_H

#include <stdbool.h>

#include "conf/arena.h"
#include "conf/conf.h"
#include "conf/report.h"

#define XF_YAML_SIZE_MAX (4u << 20)
#define XF_YAML_DEPTH_MAX 32u
#define XF_YAML_ENTRIES_MAX 4096u
#define XF_YAML_ITEMS_MAX 16384u

enum xf_yaml_kind {
	XF_YAML_SCALAR,
	XF_YAML_LIST,
	XF_YAML_MAP,
};

struct xf_yaml_entry {
	const char *key;
	struct xf_conf_place place; /* of the key */
	struct xf_yaml *value;
};

struct xf_yaml {
	enum xf_yaml_kind kind;
	struct xf_conf_place place;
	bool null;       /* scalar: plain and empty, `~` or `null` */
	bool secret;     /* scalar: (partly) from a file that ${file:} names */
	bool bad;        /* reported already: whoever reads it stays silent */
	struct xf_str text; /* scalar, terminated */
	size_t count;    /* entries or items */
	struct xf_yaml_entry *entries;
	struct xf_yaml **items;
};

/* NULL with at least one finding in REPORT, or the tree (then there may be findings, too). An empty
 * document gives a null scalar. */
struct xf_yaml *xf_yaml_parse(struct xf_arena *arena, struct xf_report *report, const char *file,
                              struct xf_str text);

/* The entry of KEY, or NULL; MAP may be of any kind. */
const struct xf_yaml_entry *xf_yaml_entry(const struct xf_yaml *map, const char *key);

/* "a map", "a list", "nothing", "text" */
const char *xf_yaml_kind_name(const struct xf_yaml *node);

/* How a scalar's value may be shown: 'value', shortened, or *** where it is secret. */
const char *xf_yaml_show(struct xf_report *report, struct xf_arena *arena, const struct xf_yaml *node);

#endif
