#include "ask.h"

#include "args.h"
#include "client.h"
#include "tool.h"

int
ask_run(const struct ask *ask, int argc, char **argv)
{
	struct where where = {0};
	bool json = false;
	const struct arg args[] = {{"json", .help = "print the server's answer", .flag = &json}, ARGS_WHERE(where)};
	const struct usage usage = {
		.line = ask->line,
		.about = ask->about,
		.examples = ask->examples,
		.args = args,
		.arg_count = sizeof args / sizeof args[0],
		.words_min = ask->named,
		.words_max = ask->named,
	};
	const char *name = NULL;
	struct client *client;
	cJSON *answer;
	int status;

	if (!args_parse(&usage, argc, argv, &name, &status))
		return status;
	client = client_open(&where, &status);
	if (client == NULL)
		return status;
	answer = client_ask(client, ask->method, ask->path, name, NULL, &status);
	if (answer != NULL && json)
		json_print(answer);
	else if (answer != NULL)
		ask->print(answer);
	cJSON_Delete(answer);
	client_close(&client);
	return status;
}
