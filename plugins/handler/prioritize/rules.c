/*
 * Texts are compared as words: in small letters (of ASCII), with one space for any white space, and with no letter or digit right before or
 * behind them.
 */
#include "rules.h"

#include <ctype.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { NAMED_NAME, NAMED_POINTS };
enum { WORDS_TEXT, WORDS_IN, WORDS_POINTS };
enum { IN_BOTH, IN_TITLE, IN_DESCRIPTION };
enum { STEP_TIME, STEP_POINTS };

static const char *const in_words[] = {"both", "title", "description", NULL};

static const struct xf_option *const named_fields[] = {
	[NAMED_NAME] = ROW(.type = XF_OPTION_STRING, .key = "name", .flags = XF_OPTION_REQUIRED | XF_OPTION_LIST,
	                   .help = "A name or a list of them, in whatever case"),
	[NAMED_POINTS] = ROW(.type = XF_OPTION_F64, .key = "points", .flags = XF_OPTION_REQUIRED,
	                     .help = "Points, with one decimal; negative ones too"),
	NULL,
};

static const struct xf_option *const words_fields[] = {
	[WORDS_TEXT] = ROW(.type = XF_OPTION_STRING, .key = "text", .flags = XF_OPTION_REQUIRED | XF_OPTION_LIST,
	                   .help = "A word or phrase, or a list of them; all of a list together count once"),
	[WORDS_IN] = ROW(.type = XF_OPTION_ENUM, .key = "in", .def = "both", .values = in_words, .help = "Where it has to stand"),
	[WORDS_POINTS] = ROW(.type = XF_OPTION_F64, .key = "points", .flags = XF_OPTION_REQUIRED,
	                     .help = "Points, with one decimal; negative ones too"),
	NULL,
};

static const struct xf_option *const deadline_fields[] = {
	[STEP_TIME] = ROW(.type = XF_OPTION_DURATION, .key = "within", .flags = XF_OPTION_REQUIRED,
	                  .help = "So much time is left, or less; 0s is a deadline that has passed"),
	[STEP_POINTS] = ROW(.type = XF_OPTION_F64, .key = "points", .flags = XF_OPTION_REQUIRED,
	                    .help = "Points, with one decimal; of several steps the nearest counts"),
	NULL,
};

static const struct xf_option *const age_fields[] = {
	[STEP_TIME] = ROW(.type = XF_OPTION_DURATION, .key = "after", .flags = XF_OPTION_REQUIRED,
	                  .help = "So much time has gone by since the request's timestamp"),
	[STEP_POINTS] = ROW(.type = XF_OPTION_F64, .key = "points", .flags = XF_OPTION_REQUIRED,
	                    .help = "Points, with one decimal; of several steps the last counts"),
	NULL,
};

#define OPTION(kind, name, ...)                                                                                    \
	{.struct_size = sizeof(struct xf_option), .type = XF_OPTION_##kind, .key = name, __VA_ARGS__}

const struct xf_option rules_base = OPTION(F64, "base", .def = DEFAULT_BASE, .help = "Points that every request has");
const struct xf_option rules_categories = OPTION(MAP, "categories", .flags = XF_OPTION_LIST, .fields = named_fields,
	.help = "Points of categories; they take the place of those that the manual shows");
const struct xf_option rules_roles = OPTION(MAP, "roles", .flags = XF_OPTION_LIST, .fields = named_fields,
	.help = "Points of requesters' roles, likewise");
const struct xf_option rules_words = OPTION(MAP, "words", .flags = XF_OPTION_LIST, .fields = words_fields,
	.help = "Points of words and phrases in title and description, likewise");
const struct xf_option rules_deadlines = OPTION(MAP, "deadlines", .flags = XF_OPTION_LIST, .fields = deadline_fields,
	.help = "Points of a deadline by the time that is left, likewise");
const struct xf_option rules_ages = OPTION(MAP, "ages", .flags = XF_OPTION_LIST, .fields = age_fields,
	.help = "Points of a request's age, likewise");

struct rule {
	struct xf_str *texts; /* as compared; own memory */
	uint32_t count;
	int tenths;
	int in; /* IN_*; of words */
};

struct rule_list {
	struct rule *rules;
	uint32_t count;
};

struct step {
	int64_t time_ms;
	int tenths;
};

struct step_list {
	struct step *steps;
	uint32_t count;
};

struct rules {
	const struct xf_host *host;
	int base;
	struct rule_list categories, roles, words;
	struct step_list deadlines, ages;
	struct bytes title, description, name; /* as compared, of the request that is looked at */
};

/* ---- Texts ---------------------------------------------------------------------------- */

static void
compared_make(struct bytes *out, struct xf_str text)
{
	out->len = 0;
	for (size_t i = 0; i < text.len; i++) {
		char c = (char)tolower((unsigned char)text.data[i]);

		if (isspace((unsigned char)c))
			c = ' ';
		if (c != ' ' || (out->len > 0 && out->data[out->len - 1] != ' '))
			bytes_add(out, &c, 1);
	}
	if (out->len > 0 && out->data[out->len - 1] == ' ')
		out->len--;
}

static bool
in_word(char c)
{
	return isalnum((unsigned char)c) || (unsigned char)c >= 0x80 || c == '_';
}

/* WORDS are a few letters and so is what they are looked for in: memmem() would take longer to prepare itself. */
static bool
text_has(const struct bytes *text, struct xf_str words)
{
	const char *at = text->data, *end = at + text->len;

	for (; at != NULL && (size_t)(end - at) >= words.len; at++) {
		const char *behind;

		at = memchr(at, words.data[0], (size_t)(end - at) - words.len + 1);
		if (at == NULL)
			return false;
		behind = at + words.len;
		if ((at == text->data || !in_word(at[-1])) && (behind == end || !in_word(*behind)) &&
		    memcmp(at, words.data, words.len) == 0)
			return true;
	}
	return false;
}

/* ---- Settings -------------------------------------------------------------------------- */

bool
tenths_read(double points, int *tenths)
{
	double scaled = points * 10;

	if (!(fabs(points) <= 100) || fabs(scaled - nearbyint(scaled)) > 1e-6)
		return false;
	*tenths = (int)nearbyint(scaled);
	return true;
}

static bool
points_read(double points, const char *key, int *tenths, struct xf_error *error)
{
	if (tenths_read(points, tenths))
		return true;
	snprintf(error->text, sizeof(error->text), "%s: %g points; expected at most 100, with one decimal", key, points);
	return false;
}

static struct rule *
rule_add(struct rule_list *list, int tenths)
{
	list->rules = need(realloc(list->rules, (list->count + 1) * sizeof(*list->rules)));
	list->rules[list->count] = (struct rule){.tenths = tenths};
	return &list->rules[list->count++];
}

static void
rule_text_add(struct rule *rule, struct xf_str text)
{
	struct bytes compared = {NULL, 0, 0};

	compared_make(&compared, text);
	rule->texts = need(realloc(rule->texts, (rule->count + 1) * sizeof(*rule->texts)));
	rule->texts[rule->count++] = str_copy((struct xf_str){compared.data, compared.len});
	bytes_fini(&compared);
}

static void
rules_default(struct rule_list *list, const struct default_rule *rules)
{
	for (; rules->texts != NULL; rules++) {
		struct rule *rule = rule_add(list, rules->tenths);

		for (const char *at = rules->texts; *at != '\0';) {
			size_t len = strcspn(at, "|");

			rule_text_add(rule, (struct xf_str){at, len});
			at += len + (at[len] == '|');
		}
	}
}

static bool
rule_read(struct rule_list *list, const struct xf_value *texts, double points, const char *key, struct xf_error *error)
{
	struct rule *rule = rule_add(list, 0);

	for (uint32_t i = 0; i < texts->count; i++) {
		rule_text_add(rule, item(texts, i)->str);
		if (rule->texts[i].len > 0)
			continue;
		snprintf(error->text, sizeof(error->text), "%s: an empty text; expected a word", key);
		return false;
	}
	return points_read(points, key, &rule->tenths, error);
}

static bool
named_read(struct rules *rules, struct rule_list *list, const struct xf_value *option, const char *key,
           const struct default_rule *defaults, struct xf_error *error)
{
	if (!option->present)
		rules_default(list, defaults);
	for (uint32_t i = 0; option->present && i < option->count; i++) {
		const struct xf_config *map = item(option, i)->map;

		if (!rule_read(list, rules->host->option(map, NAMED_NAME), rules->host->option(map, NAMED_POINTS)->f64, key, error))
			return false;
	}
	return true;
}

static bool
words_read(struct rules *rules, const struct xf_value *option, struct xf_error *error)
{
	if (!option->present)
		rules_default(&rules->words, default_words);
	for (uint32_t i = 0; option->present && i < option->count; i++) {
		const struct xf_config *map = item(option, i)->map;

		if (!rule_read(&rules->words, rules->host->option(map, WORDS_TEXT), rules->host->option(map, WORDS_POINTS)->f64,
		               "words", error))
			return false;
		rules->words.rules[i].in = (int)rules->host->option(map, WORDS_IN)->i64;
	}
	return true;
}

static void
step_add(struct step_list *list, int64_t time_ms, int tenths)
{
	list->steps = need(realloc(list->steps, (list->count + 1) * sizeof(*list->steps)));
	list->steps[list->count++] = (struct step){time_ms, tenths};
}

static bool
steps_read(struct rules *rules, struct step_list *list, const struct xf_value *option, const char *key,
           const struct default_step *defaults, struct xf_error *error)
{
	int tenths;

	for (; !option->present && defaults->tenths != 0; defaults++)
		step_add(list, defaults->time_ms, defaults->tenths);
	for (uint32_t i = 0; option->present && i < option->count; i++) {
		const struct xf_config *map = item(option, i)->map;

		if (!points_read(rules->host->option(map, STEP_POINTS)->f64, key, &tenths, error))
			return false;
		step_add(list, rules->host->option(map, STEP_TIME)->i64, tenths);
	}
	return true;
}

struct rules *
rules_create(const struct xf_host *host, const struct xf_config *config, uint32_t first, struct xf_error *error)
{
	struct rules *rules = need(calloc(1, sizeof(*rules)));

	rules->host = host;
	if (points_read(host->option(config, first + RULES_BASE)->f64, "base", &rules->base, error) &&
	    named_read(rules, &rules->categories, host->option(config, first + RULES_CATEGORIES), "categories",
	               default_categories, error) &&
	    named_read(rules, &rules->roles, host->option(config, first + RULES_ROLES), "roles", default_roles, error) &&
	    words_read(rules, host->option(config, first + RULES_WORDS), error) &&
	    steps_read(rules, &rules->deadlines, host->option(config, first + RULES_DEADLINES), "deadlines", default_deadlines,
	               error) &&
	    steps_read(rules, &rules->ages, host->option(config, first + RULES_AGES), "ages", default_ages, error))
		return rules;
	rules_destroy(&rules);
	return NULL;
}

static void
rule_list_fini(struct rule_list *list)
{
	for (uint32_t i = 0; i < list->count; i++) {
		for (uint32_t t = 0; t < list->rules[i].count; t++)
			free((char *)list->rules[i].texts[t].data);
		free(list->rules[i].texts);
	}
	free(list->rules);
}

void
rules_destroy(struct rules **pointer)
{
	struct rules *rules = *pointer;

	*pointer = NULL;
	if (rules == NULL)
		return;
	rule_list_fini(&rules->categories);
	rule_list_fini(&rules->roles);
	rule_list_fini(&rules->words);
	free(rules->deadlines.steps);
	free(rules->ages.steps);
	bytes_fini(&rules->title);
	bytes_fini(&rules->description);
	bytes_fini(&rules->name);
	free(rules);
}

/* ---- Scoring ------------------------------------------------------------------------------ */

void
reason_add(struct bytes *reasons, const char *format, ...)
{
	char text[600];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (reasons->len > 0)
		bytes_puts(reasons, ",");
	bytes_json(reasons, str_of(text));
}

/* "+2.5" */
struct shown {
	char text[32];
};

static struct shown
points_shown(int tenths)
{
	struct shown shown;

	snprintf(shown.text, sizeof(shown.text), "%c%d.%d", tenths < 0 ? '-' : '+', abs(tenths) / 10, abs(tenths) % 10);
	return shown;
}

static struct shown
span_shown(int64_t ms)
{
	struct shown shown;
	long long minutes = ms / 60000;

	if (minutes < 120)
		snprintf(shown.text, sizeof(shown.text), "%lld min", minutes);
	else if (minutes < 48 * 60)
		snprintf(shown.text, sizeof(shown.text), "%lld h", minutes / 60);
	else
		snprintf(shown.text, sizeof(shown.text), "%lld d", minutes / 60 / 24);
	return shown;
}

/* The first rule that NAME is one of. */
static int
name_score(struct rules *rules, const struct rule_list *list, struct xf_str name, const char *what, struct bytes *reasons)
{
	struct xf_str compared;

	compared_make(&rules->name, name);
	compared = (struct xf_str){rules->name.data, rules->name.len};
	for (uint32_t i = 0; i < list->count; i++)
		for (uint32_t t = 0; t < list->rules[i].count; t++)
			if (str_equal(list->rules[i].texts[t], compared)) {
				reason_add(reasons, "%s '%.200s': %s", what, list->rules[i].texts[t].data,
				           points_shown(list->rules[i].tenths).text);
				return list->rules[i].tenths;
			}
	return 0;
}

static int
words_score(struct rules *rules, const struct rule *rule, struct bytes *reasons)
{
	for (uint32_t t = 0; t < rule->count; t++) {
		bool title = rule->in != IN_DESCRIPTION && text_has(&rules->title, rule->texts[t]);

		if (!title && (rule->in == IN_TITLE || !text_has(&rules->description, rule->texts[t])))
			continue;
		reason_add(reasons, "'%.200s' in the %s: %s", rule->texts[t].data, title ? "title" : "description",
		           points_shown(rule->tenths).text);
		return rule->tenths;
	}
	return 0;
}

/* The step with the least time that is not below LEFT. */
static int
deadline_score(const struct rules *rules, int64_t left_ms, struct bytes *reasons)
{
	const struct step *best = NULL;

	for (uint32_t i = 0; i < rules->deadlines.count; i++) {
		const struct step *step = &rules->deadlines.steps[i];

		if (left_ms <= step->time_ms && (best == NULL || step->time_ms < best->time_ms))
			best = step;
	}
	if (best == NULL)
		return 0;
	if (left_ms <= 0)
		reason_add(reasons, "deadline passed %s ago: %s", span_shown(-left_ms).text, points_shown(best->tenths).text);
	else
		reason_add(reasons, "deadline in %s: %s", span_shown(left_ms).text, points_shown(best->tenths).text);
	return best->tenths;
}

/* The step with the most time that is not above AGE. */
static int
age_score(const struct rules *rules, int64_t age_ms, struct bytes *reasons)
{
	const struct step *best = NULL;

	for (uint32_t i = 0; i < rules->ages.count; i++) {
		const struct step *step = &rules->ages.steps[i];

		if (age_ms >= step->time_ms && (best == NULL || step->time_ms > best->time_ms))
			best = step;
	}
	if (best == NULL)
		return 0;
	reason_add(reasons, "waiting for %s: %s", span_shown(age_ms).text, points_shown(best->tenths).text);
	return best->tenths;
}

int
rules_score(struct rules *rules, const struct request *request, int64_t now_ms, struct bytes *reasons)
{
	int tenths = rules->base;

	if (rules->base != 0)
		reason_add(reasons, "every request: %s", points_shown(rules->base).text);
	tenths += name_score(rules, &rules->categories, request->text[REQUEST_CATEGORY], "category", reasons);
	tenths += name_score(rules, &rules->roles, request->text[REQUEST_ROLE], "role", reasons);
	compared_make(&rules->title, request->text[REQUEST_TITLE]);
	compared_make(&rules->description, request->text[REQUEST_DESCRIPTION]);
	for (uint32_t i = 0; i < rules->words.count; i++)
		tenths += words_score(rules, &rules->words.rules[i], reasons);
	if (request->has_deadline)
		tenths += deadline_score(rules, request->deadline_ms - now_ms, reasons);
	if (request->has_time && request->time_ms <= now_ms)
		tenths += age_score(rules, now_ms - request->time_ms, reasons);
	if (tenths > TENTHS_MAX) {
		reason_add(reasons, "no more than 10.0: %s", points_shown(TENTHS_MAX - tenths).text);
		tenths = TENTHS_MAX;
	} else if (tenths < 0) {
		reason_add(reasons, "no less than 0.0: %s", points_shown(-tenths).text);
		tenths = 0;
	}
	return tenths;
}
