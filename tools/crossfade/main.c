/*
 * crossfade: the operator's tool. One verb, one file; this one finds the verb.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "ask.h"
#include "base/str.h"
#include "tool.h"

static const struct verb validate = {"validate", "check a configuration file and show what it says",
                                     .run = verb_validate};

const struct verb *const verbs[] = {
	&validate, &verb_status, &verb_migration, &verb_route, &verb_dead, &verb_transport, &verb_plugin, &verb_reload,
	&verb_drain, &verb_pub, &verb_sub, &verb_request, &verb_bench, &verb_help, NULL,
};

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

static int
verb_unknown(const char *parent, const char *const *names, size_t count, const char *name)
{
	const char *nearest = xf_str_nearest(xf_str(name), names, count), *gap = parent[0] != '\0' ? " " : "";

	if (nearest != NULL)
		return complain(EXIT_USAGE, "no verb '%s%s%s'; did you mean 'crossfade %s%s%s'?", parent, gap,
		                name, parent, gap, nearest);
	return complain(EXIT_USAGE, "no verb '%s%s%s'; see crossfade %s%s--help", parent, gap, name, parent, gap);
}

static bool
asks_for_help(const char *word)
{
	return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0;
}

static int
subverb_run(const struct verb *parent, int argc, char **argv)
{
	bool help = argc > 1 && asks_for_help(argv[1]);
	FILE *to = help ? stdout : stderr;
	const char *names[16];
	size_t count = 0;

	if (argc < 2 || help) {
		fprintf(to, "usage: crossfade %s VERB\n\n%s\n\n", parent->name, parent->summary);
		for (const struct verb *verb = parent->subverbs; verb->name != NULL; verb++)
			fprintf(to, "  %-10s %s\n", verb->name, verb->summary);
		fprintf(to, "\ncrossfade %s VERB --help tells more.\n", parent->name);
		return help ? EXIT_DONE : EXIT_USAGE;
	}
	for (const struct verb *verb = parent->subverbs; verb->name != NULL; verb++) {
		if (strcmp(verb->name, argv[1]) == 0)
			return verb_run(verb, argc - 1, argv + 1);
		names[count++] = verb->name;
	}
	return verb_unknown(parent->name, names, count, argv[1]);
}

int
verb_run(const struct verb *verb, int argc, char **argv)
{
	if (verb->subverbs != NULL)
		return subverb_run(verb, argc, argv);
	return verb->ask != NULL ? ask_run(verb->ask, argc, argv) : verb->run(argc, argv);
}

static int
named_run(int argc, char **argv)
{
	const char *names[sizeof verbs / sizeof verbs[0]];
	size_t count = 0;

	for (; verbs[count] != NULL; count++) {
		if (strcmp(verbs[count]->name, argv[0]) == 0)
			return verb_run(verbs[count], argc, argv);
		names[count] = verbs[count]->name;
	}
	return verb_unknown("", names, count, argv[0]);
}

int
main(int argc, char **argv)
{
	int status;

	if (argc < 2) {
		verb_run(&verb_help, 0, NULL);
		return EXIT_USAGE;
	}
	if (strcmp(argv[1], "--version") == 0) {
		puts("crossfade " XF_VERSION);
		return EXIT_DONE;
	}
	if (asks_for_help(argv[1]))
		status = verb_run(&verb_help, argc - 1, argv + 1);
	else
		status = named_run(argc - 1, argv + 1);
	/* What could not be written was not shown. */
	if ((fflush(stdout) != 0 || ferror(stdout)) && status == EXIT_DONE)
		status = complain(EXIT_FAILED, "standard output: %s", strerror(errno));
	return status;
}
