#include <stdio.h>
#include <string.h>

#include "tool.h"

int
verb_help(int argc, char **argv)
{
	const struct verb *list;
	size_t count;

	list = verbs(&count);
	for (size_t i = 0; argc > 1 && i < count; i++)
		if (strcmp(list[i].name, argv[1]) == 0 && list[i].run != verb_help) {
			char help[] = "--help";
			char *args[] = {argv[1], help, NULL};

			return list[i].run(2, args);
		}
	if (argc > 1 && argv[1][0] != '-' && strcmp(argv[1], "help") != 0)
		return complain(EXIT_USAGE, "no verb '%s'; see crossfade help", argv[1]);
	printf("crossfade " XF_VERSION ": moves live message traffic from one broker to another.\n\n"
	       "usage: crossfade VERB [options]\n\n");
	for (size_t i = 0; i < count; i++)
		printf("  %-10s %s\n", list[i].name, list[i].summary);
	printf("\nEvery verb has --help, and --json where it prints a table.\n"
	       "Verbs that need the running server find it by --socket PATH, by the file that -c FILE\n"
	       "names, or by " DEFAULT_FILE ". The server itself is crossfaded.\n"
	       "\nexit status: 0 done, 1 failed while running, 2 usage, 78 configuration\n");
	return EXIT_DONE;
}
