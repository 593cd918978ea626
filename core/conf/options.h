/*
 * options.h - option tables: from a YAML map and rows to typed values.
 *
 * One reader for the tables of plugins and for the core's own keys, so that defaults, bounds, words,
 * lists, nested maps, what conflicts and what must stand together, and the nearest spelling work
 * everywhere alike.
 */
#ifndef XF_CONF_OPTIONS_H
#define XF_CONF_OPTIONS_H

#include "conf/yaml.h"

/* Types of core rows beside those of the public header. */
enum {
	XF_OPTION_NODE = 1001,      /* read by whoever asks for the node; no value */
	XF_OPTION_LATER = 1002,     /* of the contract, not built yet: an error that says so */
	XF_OPTION_ELSEWHERE = 1003, /* a key of another place, which help names: likewise */
};

/* A row of a core table. */
#define XF_ROW(...) (&(const struct xf_option){.struct_size = sizeof(struct xf_option), __VA_ARGS__})

struct xf_table {
	const struct xf_option *const *rows; /* NULL: none */
	const struct xf_config *config;      /* the answer, never NULL */
};

struct xf_options_reader {
	struct xf_arena *arena;
	struct xf_report *report;
	const char *scope; /* "route 'orders': ": what the map describes; begins every finding; may be empty */
	bool open;         /* keys of no table are passed over: their table is not known */
};

/*
 * Reads MAP by all tables; a key belongs to the first that has it. A key of none, or a wrong value, is
 * reported and makes its configuration unsound.
 */
void xf_options_read(const struct xf_options_reader *reader, const struct xf_yaml *map, struct xf_table *tables,
                     size_t count);

/* False where something about it was reported: its values may be missing; no plugin may see it. */
bool xf_config_sound(const struct xf_config *config);

/* Where ROW was given: the value, or NULL where it was not. */
const struct xf_yaml *xf_config_node(const struct xf_config *config, uint32_t row);
struct xf_conf_place xf_config_key_place(const struct xf_config *config, uint32_t row);

/* Appends its values, given and default, in a form that is the same for the same ones. */
void xf_config_write(const struct xf_config *config, struct xf_buffer *out);

/*
 * Forms. Where a word is not all there is to say (deliver: all, but also: since a time), a table has further rows whose
 * keys go on from the first one's, K_MEMBER, and that may not stand beside it, as its `conflicts` say. Each is another
 * form of K, and is written `K: {MEMBER: value}`. MEMBER where ROW of ROWS is such a form, with the whole row in *WHOLE;
 * NULL where it is not.
 */
const char *xf_option_member(const struct xf_option *const *rows, const struct xf_option *row,
                             const struct xf_option **whole);

/* Same table, same values. */
bool xf_config_equal(const struct xf_config *a, const struct xf_config *b);

#endif
