/*
 * A worker in C. `worker pass` answers that nothing is changed, many lines at a time; `worker reverse N` the same in batches of N, last
 * first; `worker slow` gives every task back as it is, and takes a rest before each.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Of {"token":"17",... */
static void
token_find(const char *line, char token[32])
{
	if (sscanf(line, "{\"token\":\"%31[0-9]\"", token) != 1)
		exit(2);
}

static void
write_all(const char *data, size_t len)
{
	while (len > 0) {
		ssize_t n = write(STDOUT_FILENO, data, len);

		if (n <= 0)
			exit(3);
		data += n;
		len -= (size_t)n;
	}
}

static int
pass(void)
{
	static char in[1 << 16], out[1 << 17];
	size_t len = 0;
	ssize_t n;

	while ((n = read(STDIN_FILENO, in + len, sizeof(in) - len)) > 0) {
		char *at = in, *end = in + len + n, *feed;
		size_t out_len = 0;

		while ((feed = memchr(at, '\n', (size_t)(end - at))) != NULL) {
			size_t digits;

			if ((size_t)(feed - at) < 12 || memcmp(at, "{\"token\":\"", 10) != 0)
				return 2;
			digits = (size_t)((char *)memchr(at + 10, '"', (size_t)(feed - at) - 10) - at) + 1;
			memcpy(out + out_len, at, digits);
			memcpy(out + out_len + digits, ",\"pass\":true}\n", 14);
			out_len += digits + 14;
			at = feed + 1;
		}
		write_all(out, out_len);
		len = (size_t)(end - at);
		memmove(in, at, len);
	}
	return 0;
}

static int
reverse(size_t batch)
{
	char (*tokens)[32] = calloc(batch, sizeof(*tokens));
	char *line = NULL;
	size_t size = 0, count = 0;

	while (tokens != NULL && getline(&line, &size, stdin) > 0) {
		token_find(line, tokens[count]);
		if (++count < batch)
			continue;
		while (count > 0)
			printf("{\"token\":\"%s\",\"subject\":\"of.%s\"}\n", tokens[count - 1], tokens[count - 1]), count--;
		fflush(stdout);
	}
	free(line);
	free(tokens);
	return 0;
}

static int
slow(void)
{
	char *line = NULL;
	size_t size = 0;
	ssize_t len;

	while ((len = getline(&line, &size, stdin)) > 0) {
		usleep(10000);
		write_all(line, (size_t)len);
	}
	free(line);
	return 0;
}

int
main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "pass") == 0)
		return pass();
	if (argc > 2 && strcmp(argv[1], "reverse") == 0)
		return reverse((size_t)atoi(argv[2]));
	return argc > 1 && strcmp(argv[1], "slow") == 0 ? slow() : 1;
}
