/*
 * Whatever stands in a payload, what comes of it is a request or a reason: no field is taken for something else.
 */
#include "request.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include "bytes.h"

#define MILLISECONDS_FROM 1e11 /* a number below is taken for seconds since 1970 */
#define NUMBER_END 1e15
#define DAY_MS 86400000

const char *const request_names[] = {
	[REQUEST_ID] = "id",
	[REQUEST_TITLE] = "title",
	[REQUEST_DESCRIPTION] = "description",
	[REQUEST_CATEGORY] = "category",
	[REQUEST_ROLE] = "requester_role",
	[REQUEST_NAME] = "requester_name",
	[REQUEST_CORRELATION_ID] = "correlation_id",
	[REQUEST_TIMESTAMP] = "timestamp",
	[REQUEST_FIELDS] = NULL,
};

__attribute__((format(printf, 2, 3))) static bool
fail(struct xf_error *error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(error->text, sizeof(error->text), format, args);
	va_end(args);
	return false;
}

static const char *
type_shown(enum node_type type)
{
	static const char *const shown[] = {
		[NODE_NULL] = "null",       [NODE_BOOL] = "a boolean", [NODE_NUMBER] = "a number",
		[NODE_STRING] = "a string", [NODE_ARRAY] = "an array", [NODE_OBJECT] = "an object",
	};

	return shown[type];
}

/* ---- Points in time -------------------------------------------------------------------- */

struct text {
	const char *at, *end;
};

static bool
number_take(struct text *text, int digits, int least, int most, int *number)
{
	*number = 0;
	if (text->end - text->at < digits)
		return false;
	for (; digits > 0; digits--, text->at++) {
		if (*text->at < '0' || *text->at > '9')
			return false;
		*number = *number * 10 + (*text->at - '0');
	}
	return *number >= least && *number <= most;
}

static bool
mark_take(struct text *text, const char *marks)
{
	if (text->at == text->end || *text->at == '\0' || strchr(marks, *text->at) == NULL)
		return false;
	text->at++;
	return true;
}

static bool
date_take(struct text *text, struct tm *tm)
{
	static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	int year, month, leap;

	if (!number_take(text, 4, 1970, 9999, &year) || !mark_take(text, "-") || !number_take(text, 2, 1, 12, &month))
		return false;
	leap = month == 2 && year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
	tm->tm_year = year - 1900;
	tm->tm_mon = month - 1;
	return mark_take(text, "-") && number_take(text, 2, 1, days[month - 1] + leap, &tm->tm_mday);
}

static bool
clock_take(struct text *text, struct tm *tm, int *ms)
{
	if (!number_take(text, 2, 0, 23, &tm->tm_hour) || !mark_take(text, ":") || !number_take(text, 2, 0, 59, &tm->tm_min))
		return false;
	if (!mark_take(text, ":"))
		return true;
	if (!number_take(text, 2, 0, 60, &tm->tm_sec))
		return false;
	if (!mark_take(text, ".,"))
		return true;
	if (text->at == text->end || *text->at < '0' || *text->at > '9')
		return false;
	for (int scale = 100; text->at < text->end && *text->at >= '0' && *text->at <= '9'; text->at++, scale /= 10)
		*ms += scale * (*text->at - '0');
	return true;
}

/* How far the clock that was written is ahead of UTC. */
static bool
zone_take(struct text *text, int *ahead_s)
{
	int sign, hours, minutes;

	*ahead_s = 0;
	if (text->at == text->end || mark_take(text, "Zz"))
		return true;
	sign = *text->at == '-' ? -1 : 1;
	if (!mark_take(text, "+-") || !number_take(text, 2, 0, 23, &hours))
		return false;
	mark_take(text, ":");
	if (!number_take(text, 2, 0, 59, &minutes))
		return false;
	*ahead_s = sign * (hours * 3600 + minutes * 60);
	return true;
}

/* RFC 3339; without a zone it is UTC, and without a time the end of that day. */
static bool
time_parse(struct xf_str string, int64_t *time_ms)
{
	struct text text = {string.data, string.data + string.len};
	struct tm tm = {.tm_mday = 1};
	int ms = 0, ahead_s;

	if (!date_take(&text, &tm))
		return false;
	if (text.at == text.end) {
		*time_ms = (int64_t)timegm(&tm) * 1000 + DAY_MS - 1;
		return true;
	}
	if (!mark_take(&text, "Tt ") || !clock_take(&text, &tm, &ms) || !zone_take(&text, &ahead_s) || text.at != text.end)
		return false;
	*time_ms = ((int64_t)timegm(&tm) - ahead_s) * 1000 + ms;
	return true;
}

static bool
time_read(struct document *document, uint32_t node, const char *name, int64_t *time_ms, struct xf_error *error)
{
	const struct node *n = document_node(document, node);
	struct xf_str text;
	double number;

	if (n->type == NODE_NUMBER) {
		if (!str_number((struct xf_str){n->text, n->text_len}, &number) || number < 0 || number >= NUMBER_END)
			return fail(error, "%s: is no time; expected seconds or milliseconds since 1970", name);
		*time_ms = (int64_t)(number < MILLISECONDS_FROM ? number * 1000 : number);
		return true;
	}
	if (n->type != NODE_STRING)
		return fail(error, "%s: is %s; expected a time like \"2026-01-31T08:00:00Z\"", name, type_shown(n->type));
	text = document_string(document, node);
	return time_parse(text, time_ms) || fail(error, "%s: is no time; expected one like \"2026-01-31T08:00:00Z\"", name);
}

/* ---- Fields ------------------------------------------------------------------------------ */

/* 0 where it is missing or null. */
static uint32_t
field_find(const struct document *document, struct xf_str pointer)
{
	uint32_t node = document_find(document, pointer);

	return node != 0 && document_node(document, node)->type != NODE_NULL ? node : 0;
}

static bool
text_read(struct document *document, uint32_t node, const char *name, struct xf_str *text, struct xf_error *error)
{
	if (document_node(document, node)->type != NODE_STRING)
		return fail(error, "%s: is %s; expected a string", name, type_shown(document_node(document, node)->type));
	*text = document_string(document, node);
	return true;
}

/* Of what is written about there must be something; a description may be empty. */
static bool
field_read(struct request *request, struct document *document, enum request_field field, bool required,
           struct xf_error *error)
{
	const char *name = request_names[field];
	char pointer[32];
	uint32_t node;

	snprintf(pointer, sizeof(pointer), "/%s", name);
	node = field_find(document, str_of(pointer));
	if (node == 0)
		return !required || fail(error, "%s: is missing", name);
	if (field == REQUEST_TIMESTAMP) {
		request->has_time = true;
		return time_read(document, node, name, &request->time_ms, error);
	}
	if (!text_read(document, node, name, &request->text[field], error))
		return false;
	return !required || field == REQUEST_DESCRIPTION || request->text[field].len > 0 || fail(error, "%s: is empty", name);
}

bool
request_read(struct request *request, struct document *document, uint32_t required, struct xf_str deadline,
             struct xf_error *error)
{
	uint32_t node;
	char name[64];

	*request = (struct request){.has_time = false};
	if (document_node(document, 1)->type != NODE_OBJECT)
		return fail(error, "the request is %s; expected an object", type_shown(document_node(document, 1)->type));
	for (enum request_field field = 0; field < REQUEST_FIELDS; field++)
		if (!field_read(request, document, field, (required & 1u << field) != 0, error))
			return false;
	if (request->text[REQUEST_CORRELATION_ID].len == 0)
		request->text[REQUEST_CORRELATION_ID] = request->text[REQUEST_ID];
	node = deadline.len > 0 ? field_find(document, deadline) : 0;
	if (node == 0)
		return true;
	snprintf(name, sizeof(name), "%.*s", STR_ARG(((struct xf_str){deadline.data + 1, deadline.len - 1})));
	request->has_deadline = true;
	return time_read(document, node, name, &request->deadline_ms, error);
}
