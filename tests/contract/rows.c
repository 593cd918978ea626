#include "rows.h"

#include <string.h>

#include <crossfade/transport.h>

static const struct row rows[] = {
	{
		.name = "local",
		.plugin = "local",
		.pattern = "contract.%s",
		.subject = "contract.%s",
		.source = {"ack_wait=2s"},
		.largest = 8 << 20,
		.wide = "contract.%s.>",
		.ack_wait_ms = 2000,
		.source_sight = XF_SIGHT_DEPTH | XF_SIGHT_LAG | XF_SIGHT_CONSUMERS,
		.sink_sight = XF_SIGHT_LAG | XF_SIGHT_CONSUMERS,
		.carries_id = true,
		.carries_reply = true,
		.carries_priority = true,
		.carries_ttl = true,
		.tells_no_receiver = true,
		.exempt = {{"p17", "a subscription keeps what comes after it was made; until then nobody is there to keep it for"}},
	},
	{
		.name = "local-file",
		.plugin = "local",
		.transport = {"file=%s/inside.db"},
		.source = {"group=contract", "ack_wait=2s"},
		.other = {"group=other"},
		.pattern = "contract.%s",
		.subject = "contract.%s",
		.wide = "contract.%s.>",
		.largest = 8 << 20,
		.ack_wait_ms = 2000,
		.source_sight = XF_SIGHT_DEPTH | XF_SIGHT_LAG | XF_SIGHT_CONSUMERS,
		.sink_sight = XF_SIGHT_LAG | XF_SIGHT_CONSUMERS,
		.carries_id = true,
		.carries_reply = true,
		.carries_priority = true,
		.carries_ttl = true,
		.tells_no_receiver = true,
		.exempt = {{"p17", "a subscription keeps what comes after it was made; until then nobody is there to keep it for"}},
	},
	{
		.name = "nats",
		.plugin = "nats",
		.broker = "nats",
		.nowhere = "nats://127.0.0.1:1",
		.denied = "nats://user:wrong-secret@%s",
		.denied_args = {"--user", "user", "--pass", "right-secret"},
		.transport = {"streams[0].name=CONTRACT", "streams[0].subjects=contract.>"},
		.source = {"durable=contract-%s", "ack_wait=2s"},
		.other = {"durable=other-%s", "ack_wait=2s"},
		.ack_wait_ms = 2000,
		.wide = "contract.%s.>",
		.pattern = "contract.%s",
		.source_sight = XF_SIGHT_DEPTH | XF_SIGHT_LAG | XF_SIGHT_CONSUMERS,
		.sink_sight = XF_SIGHT_DEPTH | XF_SIGHT_LAG | XF_SIGHT_CONSUMERS,
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
		.denied = "redis://:wrong-secret@%s",
		.denied_args = {"--requirepass", "right-secret"},
		.other = {"mode=stream", "group=other"},
		.ack_wait_ms = 1000,
		.source = {"mode=stream", "group=contract", "claim_idle=1s"},
		.sink = {"mode=stream"},
		.pattern = "contract.%s",
		.source_sight = XF_SIGHT_DEPTH | XF_SIGHT_LAG | XF_SIGHT_CONSUMERS,
		.sink_sight = XF_SIGHT_DEPTH | XF_SIGHT_LAG | XF_SIGHT_CONSUMERS,
		.subject = "contract.%s",
		.largest = 1 << 20,
		.keeps = true,
		.carries_id = true,
	},
	{
		.name = "redis-list",
		.plugin = "redis",
		.broker = "redis",
		.broker_args = {"--appendonly", "yes", "--appendfsync", "always"},
		.nowhere = "redis://127.0.0.1:1",
		.source = {"mode=list", "claim_idle=1s"},
		.sink = {"mode=list"},
		.pattern = "contract.%s",
		.source_sight = XF_SIGHT_DEPTH | XF_SIGHT_LAG,
		.sink_sight = 0, /* it cannot know what consumers have taken */
		.subject = "contract.%s",
		.largest = 1 << 20,
		.keeps = true,
	},
	{
		.name = "redis-pubsub",
		.plugin = "redis",
		.broker = "redis",
		.nowhere = "redis://127.0.0.1:1",
		.source = {"mode=pubsub"},
		.sink = {"mode=pubsub"},
		.pattern = "contract.%s",
		.sink_sight = XF_SIGHT_CONSUMERS,
		.subject = "contract.%s",
		.largest = 1 << 20,
	},
	{
		.name = "amqp",
		.plugin = "amqp",
		.broker = "amqp",
		.nowhere = "amqp://guest:guest@127.0.0.1:1/",
		.denied = "amqp://guest:wrong-secret@%s/",
		.transport = {"heartbeat=2s"}, /* a consumer beside another is made to wait for three */
		.source = {"queue=contract.%s", "declare=true"},
		.sink = {"declare=true"},
		.pattern = ">",
		.source_sight = XF_SIGHT_DEPTH | XF_SIGHT_LAG | XF_SIGHT_CONSUMERS,
		.sink_sight = XF_SIGHT_CONSUMERS,
		.subject = "contract.%s",
		.largest = 1 << 20,
		.keeps = true,
		.carries_id = true,
		.carries_reply = true,
	},
	{
		.name = "amqp-exchange",
		.plugin = "amqp",
		.broker = "amqp",
		.nowhere = "amqp://guest:guest@127.0.0.1:1/",
		.denied = "amqp://guest:wrong-secret@%s/",
		.transport = {"heartbeat=2s"}, /* a consumer beside another is made to wait for three */
		.source = {"declare=true", "exchange=front.%s", "queue=behind.%s"},
		.sink = {"declare=true", "exchange=front.%s", "queue=behind.%s"},
		.pattern = ">",
		.source_sight = XF_SIGHT_DEPTH | XF_SIGHT_LAG | XF_SIGHT_CONSUMERS,
		.sink_sight = XF_SIGHT_CONSUMERS,
		.subject = "contract.%s",
		.largest = 1 << 20,
		.keeps = true,
		.carries_id = true,
		.carries_reply = true,
	},
	{
		.name = "amqp-quorum",
		.plugin = "amqp",
		.broker = "amqp",
		.nowhere = "amqp://guest:guest@127.0.0.1:1/",
		.denied = "amqp://guest:wrong-secret@%s/",
		.transport = {"heartbeat=2s"}, /* a consumer beside another is made to wait for three */
		.source = {"queue=contract.%s", "declare=true", "queue_type=quorum"},
		.sink = {"declare=true", "queue_type=quorum"},
		.pattern = ">",
		.source_sight = XF_SIGHT_DEPTH | XF_SIGHT_LAG | XF_SIGHT_CONSUMERS,
		.sink_sight = XF_SIGHT_CONSUMERS,
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
	return row_read(name);
}

const char *
row_exemption(const struct row *row, const char *promise)
{
	for (size_t i = 0; i < ROW_OPTIONS && row->exempt[i].promise != NULL; i++)
		if (strcmp(row->exempt[i].promise, promise) == 0)
			return row->exempt[i].why;
	return NULL;
}
