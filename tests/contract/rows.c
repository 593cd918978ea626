#include "rows.h"

#include <string.h>

static const struct row rows[] = {
	{
		.name = "local",
		.plugin = "local",
		.pattern = "contract.%s",
		.subject = "contract.%s",
		.largest = 1 << 20,
		.carries_id = true,
		.carries_reply = true,
	},
	{
		.name = "nats",
		.plugin = "nats",
		.broker = "nats",
		.nowhere = "nats://127.0.0.1:1",
		.transport = {"streams[0].name=CONTRACT", "streams[0].subjects=contract.>"},
		.source = {"durable=contract-%s", "ack_wait=2s"},
		.pattern = "contract.%s",
		.subject = "contract.%s",
		.largest = 1000000, /* the server's bound is 1 MiB with the headers */
		.keeps = true,
		.carries_id = true,
		.carries_reply = true,
	},
	{
		.name = "nats-core",
		.plugin = "nats",
		.broker = "nats",
		.nowhere = "nats://127.0.0.1:1",
		.source = {"mode=core"},
		.sink = {"mode=core"},
		.pattern = "contract.%s",
		.subject = "contract.%s",
		.largest = 1000000,
		.carries_reply = true,
	},
	{
		.name = "redis-stream",
		.plugin = "redis",
		.broker = "redis",
		.broker_args = {"--appendonly", "yes", "--appendfsync", "always"},
		.nowhere = "redis://127.0.0.1:1",
		.source = {"mode=stream", "group=contract", "claim_idle=1s"},
		.sink = {"mode=stream"},
		.pattern = "contract.%s",
		.subject = "contract.%s",
		.largest = 1 << 20,
		.keeps = true,
		.carries_id = true,
	},
	{
		.name = "redis-pubsub",
		.plugin = "redis",
		.broker = "redis",
		.nowhere = "redis://127.0.0.1:1",
		.source = {"mode=pubsub"},
		.sink = {"mode=pubsub"},
		.pattern = "contract.%s",
		.subject = "contract.%s",
		.largest = 1 << 20,
	},
	{
		.name = "amqp",
		.plugin = "amqp",
		.broker = "amqp",
		.nowhere = "amqp://guest:guest@127.0.0.1:1/",
		.source = {"queue=contract.%s", "declare=true"},
		.sink = {"declare=true"},
		.pattern = ">",
		.subject = "contract.%s",
		.largest = 1 << 20,
		.keeps = true,
		.carries_id = true,
		.carries_reply = true,
	},
};

const struct row *
row_find(const char *name)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (strcmp(rows[i].name, name) == 0)
			return &rows[i];
	return NULL;
}
