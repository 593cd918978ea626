/*
 * json.h - just enough JSON for the answers of the JetStream API.
 *
 * Values are slices of the text they stand in: nothing is built, nothing is allocated. A text that
 * is no JSON gives "not there", never a read past its end.
 */
#ifndef NATS_JSON_H
#define NATS_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <crossfade/plugin.h>

/* The value at PATH ("config.retention") below the object TEXT; false: there is none. */
bool json_get(struct xf_str text, const char *path, struct xf_str *value);

/* The number at PATH, or FALLBACK where there is none. Fractions are cut off. */
int64_t json_get_int(struct xf_str text, const char *path, int64_t fallback);

/* True for the literal true at PATH. */
bool json_get_true(struct xf_str text, const char *path);

/* The string at PATH, unescaped and terminated, cut to SIZE; "" where there is none. Returns whether it was
 * there. */
bool json_get_string(struct xf_str text, const char *path, char *out, size_t size);

/* A value that is a string, likewise. */
bool json_string(struct xf_str value, char *out, size_t size);

/* Steps through an array: CURSOR starts as the array's text. False at its end. */
bool json_each(struct xf_str *cursor, struct xf_str *element);

/* ---- Texts that grow -------------------------------------------------------- */

/* Zero is empty; data is terminated once anything was added. */
struct text {
	char *data;
	size_t len;
	size_t size;
};

void text_fini(struct text *text);
void text_add(struct text *text, const void *data, size_t len);
void text_printf(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* With quotation marks, escaped. */
void text_quote(struct text *text, const char *string);

/* Memory or the end of the process: what is asked for here is small. */
void *need(void *memory);

#endif
