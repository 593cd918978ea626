/*
 * args.h - options of a verb: `--name VALUE`, `--name=VALUE`, `-n VALUE`, flags, and words.
 *
 * One table per verb both parses and prints --help, in which every option has a line of its own that begins
 * with its letter and name: completion reads it.
 */
#ifndef CROSSFADE_ARGS_H
#define CROSSFADE_ARGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How often an option may be given whose value ends in "..."; its texts end with NULL. */
#define ARGS_MANY 65

struct arg {
	const char *name;  /* without dashes */
	char letter;       /* 0: none */
	const char *value; /* what stands for the value in --help; NULL: a flag; "[N]": may be left out; "N...": may be
	                    * given again, and TEXT has room for ARGS_MANY */
	const char *help;
	bool *flag;        /* set where the option is given */
	const char **text; /* set by one with a value */
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

/* Numbers in the words of the configuration. TEXT NULL: *OUT stays. False: said what --NAME takes. */
bool args_count(const char *name, const char *text, uint64_t min, uint64_t max, uint64_t *out);
bool args_duration(const char *name, const char *text, uint64_t *ms);
bool args_size(const char *name, const char *text, uint64_t *bytes);

/* The two options that say which server is meant; what they set is in client.h. */
#define ARGS_WHERE(where)                                                                                    \
	{"socket", .value = "PATH", .help = "the server's admin socket", .text = &(where).socket},           \
	{                                                                                                    \
		"config", 'c', "FILE", "the file that names the socket (default " DEFAULT_FILE ")",          \
			.text = &(where).file                                                                \
	}

#endif
