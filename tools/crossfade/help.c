/*
 * `crossfade help --verbs` is for completion: every verb with its subverb a line, a tab, what it does.
 */
#include <stdio.h>
#include <string.h>

#include "tool.h"

static void
verbs_list(void)
{
	for (size_t i = 0; verbs[i] != NULL; i++) {
		if (verbs[i]->subverbs == NULL)
			printf("%s\t%s\n", verbs[i]->name, verbs[i]->summary);
		for (const struct verb *sub = verbs[i]->subverbs; sub != NULL && sub->name != NULL; sub++)
			printf("%s %s\t%s\n", verbs[i]->name, sub->name, sub->summary);
	}
}

static int
help_run(int argc, char **argv)
{
	char help[] = "--help", *args[] = {NULL, help, NULL};

	if (argc > 1 && strcmp(argv[1], "--verbs") == 0) {
		verbs_list();
		return EXIT_DONE;
	}
	for (size_t i = 0; argc > 1 && verbs[i] != NULL; i++)
		if (strcmp(verbs[i]->name, argv[1]) == 0 && verbs[i] != &verb_help) {
			args[0] = argv[1];
			if (argc > 2 && verbs[i]->subverbs != NULL)
				return verb_run(verbs[i], 3, (char *[]){argv[1], argv[2], help, NULL});
			return verb_run(verbs[i], 2, args);
		}
	if (argc > 1 && argv[1][0] != '-' && strcmp(argv[1], "help") != 0)
		return complain(EXIT_USAGE, "no verb '%s'; see crossfade help", argv[1]);
	printf("crossfade " XF_VERSION ": moves live message traffic from one broker to another.\n\n"
	       "usage: crossfade VERB [options]\n\n");
	for (size_t i = 0; verbs[i] != NULL; i++)
		printf("  %-10s %s\n", verbs[i]->name, verbs[i]->summary);
	printf("\nEvery verb has --help, and --json where it prints a table.\n"
	       "Verbs that need the running server find it by --socket PATH, by the file that -c FILE\n"
	       "names, or by " DEFAULT_FILE ". The server itself is crossfaded.\n"
	       "\nexit status: 0 done, 1 failed while running, 2 usage, 78 configuration\n");
	return EXIT_DONE;
}

const struct verb verb_help = {"help", "this text, or that of a verb", .run = help_run};
