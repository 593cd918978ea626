/*
 * args.h - options of a verb: `--name VALUE`, `--name=VALUE`, `-n VALUE`, flags, and words.
 *
 * One table per verb both parses and prints --help.
 */
#ifndef CROSSFADE_ARGS_H
#define CROSSFADE_ARGS_H

#include <stdbool.h>
#include <stddef.h>

struct arg {
	const char *name;   /* without dashes */
	char letter;        /* 0: none */
	const char *value;  /* what stands for the value in --help; NULL: a flag */
	const char *help;
	bool *flag;         /* set by a flag */
	const char **text;  /* set by an option with a value */
};

struct usage {
	const char *line;     /* behind "crossfade ": "migration set NAME [--percent P]" */
	const char *about;
	const char *examples; /* one a line */
	const struct arg *args;
	size_t arg_count;
	size_t words_min;
	size_t words_max;
};

/*
 * True: parsed, with the words (what is no option) in WORDS, which has room for words_max, and the rest of
 * WORDS NULL. False: *STATUS is the exit status, 0 after --help, 2 after a mistake that was named.
 */
bool args_parse(const struct usage *usage, int argc, char **argv, const char **words, int *status);

/* The two options that say which server is meant; what they set is in where.h. */
#define ARGS_WHERE(where)                                                                                    \
	{"socket", 0, "PATH", "the server's admin socket", NULL, &(where).socket},                           \
	{                                                                                                    \
		"config", 'c', "FILE", "the file that names the socket (default " DEFAULT_FILE ")", NULL,    \
			&(where).file                                                                        \
	}

#endif
