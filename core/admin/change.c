/*
 * A change is read whole before anything of it counts: an unknown or repeated member, a wrong type or two
 * members that contradict each other refuse all of it, with the member's name in the reason.
 */
#include "admin/change.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>

const char *const xf_stage_words[] = {"off", "dualwrite", "live", "rampdown", "complete"};

enum stage {
	STAGE_NONE = -1,
	STAGE_OFF,
	STAGE_DUALWRITE,
	STAGE_LIVE,
	STAGE_RAMPDOWN,
	STAGE_COMPLETE,
};

static const char *const members[] = {"percent", "mirror", "stage", "force", "dry_run"};
#define MEMBERS (sizeof members / sizeof members[0])

static cJSON *
object_parse(struct xf_str body, struct xf_error *error)
{
	const char *end = NULL;
	cJSON *root = cJSON_ParseWithLengthOpts(body.data, body.len, &end, false);

	if (root == NULL) {
		xf_error_set(error, "the body is not JSON (near byte %zu)",
			     end != NULL ? (size_t)(end - body.data) : 0);
		return NULL;
	}
	while (end < body.data + body.len && (*end == ' ' || *end == '\t' || *end == '\r' || *end == '\n'))
		end++;
	if (end < body.data + body.len) {
		xf_error_set(error, "something stands behind the JSON value (at byte %zu)",
			     (size_t)(end - body.data));
	} else if (!cJSON_IsObject(root)) {
		xf_error_set(error, "the body must be a JSON object");
	} else {
		return root;
	}
	cJSON_Delete(root);
	return NULL;
}

static enum xf_status
member_unknown(const char *name, const char *const *known, size_t count, struct xf_error *error)
{
	const char *nearest = xf_str_nearest(xf_str(name), known, count);

	char list[128];
	size_t len = 0;

	if (nearest != NULL)
		return xf_error_set(error, "unknown member '%.100s'; did you mean '%s'?", name, nearest);
	for (size_t i = 0; i < count; i++)
		len += (size_t)snprintf(list + len, sizeof list - len, "%s%s", i ? ", " : "", known[i]);
	return xf_error_set(error, "unknown member '%.100s'; known: %s", name, list);
}

/* Every member is one of KNOWN and stands once. */
static enum xf_status
members_check(const cJSON *root, const char *const *known, size_t count, struct xf_error *error)
{
	unsigned seen = 0;
	const cJSON *member;

	cJSON_ArrayForEach(member, root) {
		size_t i = 0;

		while (i < count && strcmp(member->string, known[i]) != 0)
			i++;
		if (i == count)
			return member_unknown(member->string, known, count, error);
		if (seen & (1u << i))
			return xf_error_set(error, "member '%s' stands twice", known[i]);
		seen |= 1u << i;
	}
	return XF_OK;
}

static enum xf_status
percent_read(const cJSON *value, uint32_t *percent, struct xf_error *error)
{
	double hundredths;

	if (cJSON_IsString(value)) {
		enum xf_status st = xf_percent_parse(xf_str(value->valuestring), percent, error);

		if (st != XF_OK)
			xf_error_prefix(error, "percent");
		return st;
	}
	if (!cJSON_IsNumber(value))
		return xf_error_set(error, "percent must be a number from 0 to 100, or text as \"0.01%%\"");
	if (!(value->valuedouble >= 0 && value->valuedouble <= 100))
		return xf_error_set(error, "percent must be from 0 to 100, not %g", value->valuedouble);
	hundredths = round(value->valuedouble * 100);
	if (fabs(hundredths - value->valuedouble * 100) > 1e-6)
		return xf_error_set(error, "percent goes in steps of 0.01, not %.10g", value->valuedouble);
	*percent = (uint32_t)hundredths;
	return XF_OK;
}

static enum xf_status
mirror_read(const cJSON *value, enum xf_mirror *mirror, struct xf_error *error)
{
	if (cJSON_IsBool(value))
		*mirror = cJSON_IsTrue(value) ? XF_MIRROR_ON : XF_MIRROR_OFF;
	else if (cJSON_IsString(value) && strcmp(value->valuestring, "required") == 0)
		*mirror = XF_MIRROR_REQUIRED;
	else
		return xf_error_set(error, "mirror must be true, false or \"required\"");
	return XF_OK;
}

static enum xf_status
flag_read(const cJSON *root, const char *name, bool *flag, struct xf_error *error)
{
	const cJSON *value = cJSON_GetObjectItemCaseSensitive(root, name);

	if (value == NULL)
		return XF_OK;
	if (!cJSON_IsBool(value))
		return xf_error_set(error, "%s must be true or false", name);
	*flag = cJSON_IsTrue(value);
	return XF_OK;
}

static enum xf_status
stage_read(const cJSON *value, enum stage *stage, struct xf_error *error)
{
	const char *nearest;

	if (!cJSON_IsString(value))
		return xf_error_set(error, "stage must be one of off, dualwrite, live, rampdown, complete");
	for (int i = 0; i < XF_STAGE_WORDS; i++)
		if (strcmp(value->valuestring, xf_stage_words[i]) == 0) {
			*stage = (enum stage)i;
			return XF_OK;
		}
	nearest = xf_str_nearest(xf_str(value->valuestring), xf_stage_words, XF_STAGE_WORDS);
	if (nearest != NULL)
		return xf_error_set(error, "no stage '%.100s'; did you mean '%s'?", value->valuestring,
			            nearest);
	return xf_error_set(error, "no stage '%.100s'; it is one of off, dualwrite, live, rampdown, complete",
		            value->valuestring);
}

/* A stage sets what the two knobs leave open, and refuses what contradicts it. */
static enum xf_status
stage_apply(enum stage stage, struct xf_position now, struct xf_migration_change *change,
	    struct xf_error *error)
{
	const char *word = xf_stage_words[stage];
	bool mirrors = stage == STAGE_DUALWRITE || stage == STAGE_RAMPDOWN;
	uint32_t percent = stage == STAGE_RAMPDOWN || stage == STAGE_COMPLETE ? 10000 : 0;

	if (stage == STAGE_LIVE) {
		uint32_t share = change->has_percent ? change->to.percent : now.percent;

		if (share == 0 || share == 10000)
			return xf_error_set(error, "stage live needs a percent between 0 and 100");
		return XF_OK;
	}
	if (change->has_percent && change->to.percent != percent)
		return xf_error_set(error, "stage %s is percent %u; leave percent away, or give stage live",
			            word, (unsigned)(percent / 100));
	if (change->has_mirror && (change->to.mirror != XF_MIRROR_OFF) != mirrors)
		return xf_error_set(error, "stage %s is %s mirror; leave mirror away, or give another stage",
			            word, mirrors ? "with" : "without");
	if (!change->has_mirror) {
		change->to.mirror = XF_MIRROR_OFF;
		if (mirrors)
			change->to.mirror = now.mirror == XF_MIRROR_REQUIRED ? XF_MIRROR_REQUIRED
				                                             : XF_MIRROR_ON;
	}
	change->to.percent = percent;
	change->has_percent = true;
	change->has_mirror = true;
	return XF_OK;
}

static enum xf_status
change_read(const cJSON *root, struct xf_position now, struct xf_migration_change *change,
	    struct xf_error *error)
{
	const cJSON *percent = cJSON_GetObjectItemCaseSensitive(root, "percent");
	const cJSON *mirror = cJSON_GetObjectItemCaseSensitive(root, "mirror");
	const cJSON *word = cJSON_GetObjectItemCaseSensitive(root, "stage");
	enum stage stage = STAGE_NONE;

	if (members_check(root, members, MEMBERS, error) != XF_OK)
		return XF_FAILED;
	change->to = now;
	if (percent != NULL && percent_read(percent, &change->to.percent, error) != XF_OK)
		return XF_FAILED;
	if (mirror != NULL && mirror_read(mirror, &change->to.mirror, error) != XF_OK)
		return XF_FAILED;
	if (word != NULL && stage_read(word, &stage, error) != XF_OK)
		return XF_FAILED;
	if (flag_read(root, "force", &change->force, error) != XF_OK ||
	    flag_read(root, "dry_run", &change->dry_run, error) != XF_OK)
		return XF_FAILED;
	change->has_percent = percent != NULL;
	change->has_mirror = mirror != NULL;
	if (stage != STAGE_NONE && stage_apply(stage, now, change, error) != XF_OK)
		return XF_FAILED;
	if (!change->has_percent && !change->has_mirror && stage == STAGE_NONE)
		return xf_error_set(error, "nothing to change: give percent, mirror or stage");
	return XF_OK;
}

enum xf_status
xf_change_parse(struct xf_str body, struct xf_position now, struct xf_migration_change *change,
	        struct xf_error *error)
{
	struct xf_migration_change read = {0};
	cJSON *root = object_parse(body, error);
	enum xf_status st;

	if (root == NULL)
		return XF_FAILED;
	st = change_read(root, now, &read, error);
	cJSON_Delete(root);
	if (st == XF_OK)
		*change = read;
	return st;
}

enum xf_status
xf_change_parse_rollback(struct xf_str body, struct xf_migration_change *change, struct xf_error *error)
{
	static const char *const known[] = {"dry_run"};
	struct xf_migration_change read = {.has_percent = true, .force = true, .rollback = true};
	enum xf_status st = XF_OK;
	cJSON *root;

	if (body.len > 0) {
		root = object_parse(body, error);
		if (root == NULL)
			return XF_FAILED;
		st = members_check(root, known, 1, error);
		if (st == XF_OK)
			st = flag_read(root, "dry_run", &read.dry_run, error);
		cJSON_Delete(root);
	}
	if (st == XF_OK)
		*change = read;
	return st;
}
