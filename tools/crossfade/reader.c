#include "reader.h"

#include <stdbool.h>
#include <stdlib.h>

#include "random.h"
#include "tool.h"

/* Something is asked for that only a stream has. */
static bool
wants_stream(const struct via *via)
{
	static const char *const of_nats[] = {"stream", "durable", "deliver", "ack_wait", NULL};
	static const char *const of_redis[] = {"group", "deliver", "ephemeral", "fields", NULL};
	static const char *const none[] = {NULL};
	const char *const *key = via_is(via, "nats") ? of_nats : via_is(via, "redis") ? of_redis : none;
	const char *mode = via_option(via, "mode");

	if (mode != NULL)
		return strcmp(mode, "jetstream") == 0 || strcmp(mode, "stream") == 0;
	for (; *key != NULL; key++)
		if (via_gives(via, *key))
			return true;
	return false;
}

/* A consumer or group remembers how far it has read. Where the user names none, one that goes when we go, or none at all. */
static int
stream_write(struct small *small, const struct via *via, int indent)
{
	const char *reader = via_is(via, "nats") ? "durable" : "group", *mode = via_is(via, "nats") ? "jetstream" : "stream";
	bool named = via_option(via, reader) != NULL; /* it may be there, and go on from its place */
	char *name = random_name("crossfade-");
	bool groups = via_is(via, "redis"); /* an ephemeral source has none there */
	const struct via_default ours[] = {
		{"mode", mode}, {"deliver", "new"}, {"ephemeral", "true"}, {groups ? NULL : reader, name}, {0}};
	const struct via_default theirs[] = {{"mode", mode}, {0}};

	via_write_endpoint(via, small, VIA_SOURCE, indent, named ? theirs : ours);
	free(name);
	if (named || via_knows(via, VIA_SOURCE, "ephemeral"))
		return EXIT_DONE;
	return complain(EXIT_USAGE, "reading a stream leaves a %s behind at the broker; name it with -o %s=NAME", reader,
	                reader);
}

int
reader_write(struct small *small, const struct via *via, int indent, const char *queue)
{
	const struct via_default core[] = {{"mode", "core"}, {0}};
	const struct via_default channel[] = {{"mode", "pubsub"}, {0}};
	const struct via_default bound[] = {{"queue", ""}, {"declare", "true"}, {0}};
	const struct via_default named[] = {{"queue", queue}, {"declare", "true"}, {"exclusive", "true"}, {0}};
	const struct via_default *defaults = NULL;

	if (wants_stream(via))
		return stream_write(small, via, indent);
	if (via_is(via, "nats"))
		defaults = core;
	else if (via_is(via, "redis"))
		defaults = channel;
	else if (via_is(via, "amqp") && via_option(via, "exchange") != NULL)
		defaults = bound;
	else if (via_is(via, "amqp") && queue != NULL && via_option(via, "queue") == NULL)
		defaults = named;
	via_write_endpoint(via, small, VIA_SOURCE, indent, defaults);
	return EXIT_DONE;
}

bool
reader_is_private(const struct via *via)
{
	return via_is(via, "http") ||
	       (via_is(via, "amqp") && via_option(via, "exchange") != NULL && via_option(via, "queue") == NULL);
}
