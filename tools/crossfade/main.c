/*
 * crossfade: the operator's tool. One verb, one file; this one finds the verb.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "tool.h"

static const struct verb all[] = {
	{"validate", "check a configuration file and show what it says", verb_validate},
	{"status", "the running server at a glance", verb_status},
	{"migration", "list, show, set, rollback: steer the way from old to new", verb_migration},
	{"route", "list, pause, resume", verb_route},
	{"transport", "list, show: the brokers as the server sees them", verb_transport},
	{"plugin", "list, show: what is installed, and its options", verb_plugin},
	{"help", "this text, or that of a verb", verb_help},
};

const struct verb *
verbs(size_t *count)
{
	*count = sizeof all / sizeof all[0];
	return all;
}

int
complain(int status, const char *format, ...)
{
	va_list args;

	fputs("crossfade: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	return status;
}

static const struct verb *
verb_find(const struct verb *list, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(list[i].name, name) == 0)
			return &list[i];
	return NULL;
}

static int
verb_unknown(const char *parent, const struct verb *list, size_t count, const char *name)
{
	const char *names[32], *nearest, *gap = parent[0] != '\0' ? " " : "";

	for (size_t i = 0; i < count && i < 32; i++)
		names[i] = list[i].name;
	nearest = xf_str_nearest(xf_str(name), names, count < 32 ? count : 32);
	if (nearest != NULL)
		return complain(EXIT_USAGE, "no verb '%s%s%s'; did you mean 'crossfade %s%s%s'?", parent, gap,
			        name, parent, gap, nearest);
	return complain(EXIT_USAGE, "no verb '%s%s%s'; see crossfade %s%s--help", parent, gap, name, parent,
		        gap);
}

static bool
asks_for_help(const char *word)
{
	return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0;
}

int
subverb_run(const char *parent, const char *about, const struct verb *subverbs, size_t count, int argc,
	    char **argv)
{
	bool help = argc > 1 && asks_for_help(argv[1]);
	const struct verb *verb;
	FILE *to = help ? stdout : stderr;

	if (argc < 2 || help) {
		fprintf(to, "usage: crossfade %s VERB\n\n%s\n\n", parent, about);
		for (size_t i = 0; i < count; i++)
			fprintf(to, "  %-10s %s\n", subverbs[i].name, subverbs[i].summary);
		fprintf(to, "\ncrossfade %s VERB --help tells more.\n", parent);
		return help ? EXIT_DONE : EXIT_USAGE;
	}
	verb = verb_find(subverbs, count, argv[1]);
	if (verb == NULL)
		return verb_unknown(parent, subverbs, count, argv[1]);
	return verb->run(argc - 1, argv + 1);
}

int
main(int argc, char **argv)
{
	const struct verb *verb;
	size_t count;
	int status;

	if (argc < 2) {
		verb_help(0, NULL);
		return EXIT_USAGE;
	}
	if (strcmp(argv[1], "--version") == 0) {
		puts("crossfade " XF_VERSION);
		return EXIT_DONE;
	}
	if (asks_for_help(argv[1])) {
		status = verb_help(argc - 1, argv + 1);
	} else {
		verb = verb_find(verbs(&count), sizeof all / sizeof all[0], argv[1]);
		status = verb != NULL ? verb->run(argc - 1, argv + 1)
			              : verb_unknown("", all, sizeof all / sizeof all[0], argv[1]);
	}
	/* What could not be written was not shown. */
	if ((fflush(stdout) != 0 || ferror(stdout)) && status == EXIT_DONE)
		status = complain(EXIT_FAILED, "standard output: %s", strerror(errno));
	return status;
}
