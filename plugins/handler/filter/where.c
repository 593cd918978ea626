#include "where.h"

#include <stdio.h>
#include <stdlib.h>

enum { FIELD, EQUALS, MATCHES, EXISTS, LESS, GREATER };

const struct xf_option *const where_fields[] = {
	[FIELD] = ROW(.type = XF_OPTION_STRING, .key = "field", .flags = XF_OPTION_REQUIRED,
	              .help = "Template of the value, like \"{json./type}\""),
	[EQUALS] = ROW(.type = XF_OPTION_STRING, .key = "equals", .flags = XF_OPTION_LIST,
	               .help = "The value is one of these texts"),
	[MATCHES] = ROW(.type = XF_OPTION_STRING, .key = "matches", .flags = XF_OPTION_LIST,
	                .help = "The value fits one of these, where * stands for any characters and ? for one byte"),
	[EXISTS] = ROW(.type = XF_OPTION_BOOL, .key = "exists", .help = "Whether there is a value at all"),
	[LESS] = ROW(.type = XF_OPTION_F64, .key = "less", .help = "The value is a number below this"),
	[GREATER] = ROW(.type = XF_OPTION_F64, .key = "greater", .help = "The value is a number above this"),
	NULL,
};

struct condition {
	struct template *field;
	const struct xf_value *equals, *matches, *exists, *less, *greater;
};

struct where {
	struct condition *conditions;
	uint32_t count;
	bool any;
};

static bool
condition_read(struct condition *c, const struct xf_host *host, const struct xf_config *map, struct xf_error *error)
{
	bool asks;

	c->equals = host->option(map, EQUALS);
	c->matches = host->option(map, MATCHES);
	c->exists = host->option(map, EXISTS);
	c->less = host->option(map, LESS);
	c->greater = host->option(map, GREATER);
	asks = c->equals->present || c->matches->present || c->less->present || c->greater->present;
	if (!asks && !c->exists->present) {
		snprintf(error->text, sizeof(error->text),
		         "it asks nothing; expected equals, matches, exists, less or greater");
		return false;
	}
	if (asks && c->exists->present && !c->exists->i64) {
		snprintf(error->text, sizeof(error->text), "what does not exist has no value to compare");
		return false;
	}
	c->field = template_create(host->option(map, FIELD)->str, error);
	return c->field != NULL;
}

struct where *
where_create(const struct xf_host *host, const struct xf_value *list, bool any, struct xf_error *error)
{
	struct where *where = need(calloc(1, sizeof(*where)));
	struct xf_error why = {{0}};

	where->any = any;
	where->conditions = need(calloc(list->count + 1u, sizeof(*where->conditions)));
	for (; where->count < list->count; where->count++)
		if (!condition_read(&where->conditions[where->count], host, item(list, where->count)->map, &why)) {
			snprintf(error->text, sizeof(error->text), "where: condition %u: %.450s", where->count + 1, why.text);
			where_destroy(&where);
			return NULL;
		}
	return where;
}

void
where_destroy(struct where **where)
{
	struct where *w = *where;

	*where = NULL;
	if (w == NULL)
		return;
	for (uint32_t i = 0; i < w->count; i++)
		template_destroy(&w->conditions[i].field);
	free(w->conditions);
	free(w);
}

bool
glob_matches(struct xf_str glob, struct xf_str text)
{
	size_t g = 0, t = 0, star = SIZE_MAX, from = 0;

	while (t < text.len) {
		if (g < glob.len && glob.data[g] == '*') {
			star = g++;
			from = t;
		} else if (g < glob.len && (glob.data[g] == '?' || glob.data[g] == text.data[t])) {
			g++;
			t++;
		} else if (star != SIZE_MAX) { /* the last star takes one byte more */
			g = star + 1;
			t = ++from;
		} else {
			return false;
		}
	}
	while (g < glob.len && glob.data[g] == '*')
		g++;
	return g == glob.len;
}

static bool
any_of(const struct xf_value *list, struct xf_str value, bool (*fits)(struct xf_str wanted, struct xf_str value))
{
	for (uint32_t i = 0; i < list->count; i++)
		if (fits(item(list, i)->str, value))
			return true;
	return !list->present;
}

static bool
condition_holds(const struct condition *c, struct view *view, struct bytes *scratch)
{
	struct xf_str value;
	double number;

	if (!template_value(c->field, view, scratch, &value, NULL))
		return c->exists->present && !c->exists->i64;
	if (c->exists->present && !c->exists->i64)
		return false;
	if (!any_of(c->equals, value, str_equal) || !any_of(c->matches, value, glob_matches))
		return false;
	if (!c->less->present && !c->greater->present)
		return true;
	return str_number(value, &number) && (!c->less->present || number < c->less->f64) &&
	       (!c->greater->present || number > c->greater->f64);
}

bool
where_holds(const struct where *where, struct view *view, struct bytes *scratch, uint32_t *failed)
{
	for (uint32_t i = 0; i < where->count; i++) {
		bool holds = condition_holds(&where->conditions[i], view, scratch);

		if (holds && where->any)
			return true;
		if (holds)
			continue;
		*failed = i + 1;
		if (!where->any)
			return false;
	}
	return !where->any || where->count == 0;
}
