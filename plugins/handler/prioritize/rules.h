/*
 * rules.h - what gives a request points, and why.
 *
 * Points are counted in tenths, so that they add up to what the reasons say.
 */
#ifndef PRIORITIZE_RULES_H
#define PRIORITIZE_RULES_H

#include "request.h"
#include "tasks.h"

#define TENTHS_MAX 100 /* the highest score: 10.0 */

struct rules;

/* The rows of the plugin that say rules; they stand one after another, RULES_ROWS of them, in the order of this list. */
enum { RULES_BASE, RULES_CATEGORIES, RULES_ROLES, RULES_WORDS, RULES_DEADLINES, RULES_AGES, RULES_ROWS };
extern const struct xf_option rules_base, rules_categories, rules_roles, rules_words, rules_deadlines, rules_ages;

/* From the rows FIRST on; what is not given is as in defaults.c. NULL with a reason. */
struct rules *rules_create(const struct xf_host *host, const struct xf_config *config, uint32_t first,
                           struct xf_error *error);
void rules_destroy(struct rules **rules);

/* Points of REQUEST, from 0 to TENTHS_MAX. A JSON string is appended to REASONS for everything that counted, parted by commas. */
int rules_score(struct rules *rules, const struct request *request, int64_t now_ms, struct bytes *reasons);

/* Appends one more of them. */
void reason_add(struct bytes *reasons, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Whole tenths; false: POINTS has more than one decimal, or is past 100. */
bool tenths_read(double points, int *tenths);

/* ---- Defaults -------------------------------------------------------------------------- */

/* One of them in words: texts are parted by '|'. */
struct default_rule {
	const char *texts;
	int tenths;
};

/* A time is in milliseconds. */
struct default_step {
	int64_t time_ms;
	int tenths;
};

#define DEFAULT_BASE "1.0"
/* The first two end with texts NULL, the last with tenths 0. */
extern const struct default_rule default_categories[], default_roles[], default_words[];
extern const struct default_step default_deadlines[], default_ages[];

#endif
