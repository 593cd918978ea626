/*
 * The rules of a handler that is given none. README.md shows them as they would stand in YAML.
 */
#include "rules.h"

#define HOUR INT64_C(3600000)

const struct default_rule default_categories[] = {
	{"incident|outage|security", 30},
	{"infrastructure|bug|compliance|legal", 20},
	{"billing|finance|support", 15},
	{"feature|maintenance|hr", 5},
	{NULL, 0},
};

const struct default_rule default_roles[] = {
	{"executive|ceo|cto|cfo|coo|ciso", 20},
	{"director|vp|head", 15},
	{"manager|team lead|lead|customer", 10},
	{"engineer|developer|analyst", 5},
	{NULL, 0},
};

const struct default_rule default_words[] = {
	{"outage|production down|production is down|system down|system is down|service down|service is down|site is down|data loss|"
	 "data breach|security breach|breach|ransomware",
	 30},
	{"urgent|urgently|emergency|critical|immediately|asap|as soon as possible|right away", 25},
	{"blocked|blocker|blocking|crash|crashes|crashed|failure|failing|broken|cannot log in|can't log in|not working", 15},
	{"today|tonight|end of day|eod|deadline", 10},
	{"customer|customers|client|clients|revenue", 5},
	{"not urgent|non-urgent|no rush|no hurry|low priority|nice to have|when you have time|whenever you have time|someday", -30},
	{NULL, 0},
};

const struct default_step default_deadlines[] = {
	{0, 35}, {4 * HOUR, 30}, {24 * HOUR, 20}, {72 * HOUR, 10}, {168 * HOUR, 5}, {0, 0},
};

const struct default_step default_ages[] = {
	{4 * HOUR, 5}, {24 * HOUR, 10}, {72 * HOUR, 15}, {0, 0},
};
