#include "args.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "conf/scalar.h"
#include "tool.h"

static void
help_print(const struct usage *usage)
{
	printf("usage: crossfade %s\n\n%s\n", usage->line, usage->about);
	printf("\noptions:\n");
	for (size_t i = 0; i < usage->arg_count; i++) {
		const struct arg *arg = &usage->args[i];
		char left[64];

		snprintf(left, sizeof left, "%s%c%s--%s%s%s", arg->letter ? "-" : " ",
			 arg->letter ? arg->letter : ' ', arg->letter ? ", " : "  ", arg->name,
			 arg->value ? " " : "", arg->value ? arg->value : "");
		printf("  %-24s %s\n", left, arg->help);
	}
	printf("  %-24s %s\n", "-h, --help", "this text");
	if (usage->examples != NULL)
		printf("\nexamples:\n%s", usage->examples);
}

static const struct arg *
long_find(const struct usage *usage, struct xf_str name)
{
	for (size_t i = 0; i < usage->arg_count; i++)
		if (xf_str_is(name, usage->args[i].name))
			return &usage->args[i];
	return NULL;
}

static const struct arg *
letter_find(const struct usage *usage, char letter)
{
	for (size_t i = 0; i < usage->arg_count; i++)
		if (usage->args[i].letter == letter)
			return &usage->args[i];
	return NULL;
}

static int
unknown(const struct usage *usage, struct xf_str name, const char *shown)
{
	const char *names[32], *nearest;
	size_t count = 0;

	for (; count < usage->arg_count && count < 31; count++)
		names[count] = usage->args[count].name;
	names[count++] = "help";
	nearest = xf_str_nearest(name, names, count);
	if (nearest != NULL)
		return complain(EXIT_USAGE, "unknown option %s; did you mean --%s?", shown, nearest);
	return complain(EXIT_USAGE, "unknown option %s; see crossfade %.*s --help", shown,
		        (int)strcspn(usage->line, "[NA-"), usage->line);
}

/* One more of an option that may be given again. */
static int
text_add(const struct arg *arg, const char *value)
{
	size_t count = 0;

	while (arg->text[count] != NULL)
		if (++count == ARGS_MANY - 1)
			return complain(EXIT_USAGE, "--%s is given more than %d times", arg->name, ARGS_MANY - 1);
	arg->text[count] = value;
	return EXIT_DONE;
}

/* The option at argv[*AT], which is moved past a value in the next argument. */
static int
option_read(const struct usage *usage, int argc, char **argv, int *at)
{
	const char *text = argv[*at], *value = NULL;
	bool is_long = text[1] == '-';
	struct xf_str name = is_long ? (struct xf_str){text + 2, strcspn(text + 2, "=")}
		                     : (struct xf_str){text + 1, 1};
	const struct arg *arg = is_long ? long_find(usage, name) : letter_find(usage, text[1]);

	if (arg == NULL)
		return unknown(usage, name, text);
	if (is_long && text[2 + name.len] == '=')
		value = text + 2 + name.len + 1;
	else if (!is_long && text[2] != '\0')
		value = text + 2;
	if (arg->value == NULL && value != NULL)
		return complain(EXIT_USAGE, "--%s takes no value", arg->name);
	if (arg->flag != NULL)
		*arg->flag = true;
	if (arg->value == NULL)
		return EXIT_DONE;
	if (value == NULL && *at + 1 < argc && (arg->value[0] != '[' || isdigit((unsigned char)argv[*at + 1][0])))
		value = argv[++*at];
	if (value == NULL && arg->value[0] == '[')
		return EXIT_DONE;
	if (value == NULL)
		return complain(EXIT_USAGE, "--%s needs a value: --%s %s", arg->name, arg->name, arg->value);
	if (strstr(arg->value, "...") != NULL)
		return text_add(arg, value);
	*arg->text = value;
	return EXIT_DONE;
}

bool
args_parse(const struct usage *usage, int argc, char **argv, const char **words, int *status)
{
	size_t count = 0;
	bool only_words = false;

	for (size_t i = 0; i < usage->words_max; i++)
		words[i] = NULL;
	for (int i = 1; i < argc; i++) {
		if (!only_words && strcmp(argv[i], "--") == 0) {
			only_words = true;
		} else if (!only_words && argv[i][0] == '-' && argv[i][1] != '\0') {
			if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
				help_print(usage);
				*status = EXIT_DONE;
				return false;
			}
			*status = option_read(usage, argc, argv, &i);
			if (*status != EXIT_DONE)
				return false;
		} else if (count == usage->words_max) {
			*status = complain(EXIT_USAGE, "'%s' is too much; usage: crossfade %s", argv[i],
				           usage->line);
			return false;
		} else {
			words[count++] = argv[i];
		}
	}
	if (count < usage->words_min) {
		*status = complain(EXIT_USAGE, "something is missing; usage: crossfade %s", usage->line);
		return false;
	}
	return true;
}

bool
args_count(const char *name, const char *text, uint64_t min, uint64_t max, uint64_t *out)
{
	struct xf_error error;
	int64_t value;

	if (text == NULL)
		return true;
	if (xf_scalar_i64(xf_str(text), &value, &error) == XF_OK && value >= 0 && (uint64_t)value >= min &&
	    (uint64_t)value <= max) {
		*out = (uint64_t)value;
		return true;
	}
	if (max == INT64_MAX)
		complain(EXIT_USAGE, "--%s takes a number from %" PRIu64 ", not '%s'", name, min, text);
	else
		complain(EXIT_USAGE, "--%s takes a number from %" PRIu64 " to %" PRIu64 ", not '%s'", name, min, max,
		         text);
	return false;
}

bool
args_duration(const char *name, const char *text, uint64_t *ms)
{
	struct xf_error error;
	int64_t value;

	if (text == NULL)
		return true;
	if (xf_scalar_duration(xf_str(text), &value, &error) == XF_OK && value >= 0) {
		*ms = (uint64_t)value;
		return true;
	}
	complain(EXIT_USAGE, "--%s takes a time like 500ms, 5s or 2m, not '%s'", name, text);
	return false;
}

bool
args_size(const char *name, const char *text, uint64_t *bytes)
{
	struct xf_error error;
	int64_t value;

	if (text == NULL)
		return true;
	if (xf_scalar_size(xf_str(text), &value, &error) == XF_OK && value >= 0) {
		*bytes = (uint64_t)value;
		return true;
	}
	complain(EXIT_USAGE, "--%s takes a size like 128B, 64KiB or 1MiB, not '%s'", name, text);
	return false;
}
