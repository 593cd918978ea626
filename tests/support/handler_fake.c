#include "handler_fake.h"

#include <stdlib.h>

#include "base/memory.h"

#define HELD_MAX 8
#define LATER_MS 5

struct fake {
	const struct xf_host *host;
	struct xf_endpoint *endpoint;
	uint64_t held[HELD_MAX]; /* tokens */
	uint32_t held_count;
	uint64_t random;
};

static uint64_t
random_next(struct fake *fake)
{
	fake->random ^= fake->random << 13;
	fake->random ^= fake->random >> 7;
	fake->random ^= fake->random << 17;
	return fake->random;
}

static int32_t
fake_create(const struct xf_host *host, struct xf_endpoint *endpoint, const struct xf_config *config,
            const struct xf_handler_info *info, void **instance, struct xf_error *error)
{
	struct fake *fake = xf_alloc(sizeof(*fake));

	(void)config, (void)info, (void)error;
	fake->host = host;
	fake->endpoint = endpoint;
	fake->random = 88172645463325252u;
	*instance = fake;
	return 0;
}

static void
fake_start(void *instance)
{
	struct fake *fake = instance;

	fake->host->state(fake->endpoint, XF_STATE_UP, NULL);
}

static uint64_t
held_take(struct fake *fake, uint32_t index)
{
	uint64_t token = fake->held[index];

	fake->held[index] = fake->held[--fake->held_count];
	return token;
}

static void
fake_work(void *instance, struct xf_work *work)
{
	struct fake *fake = instance;
	uint64_t chance = random_next(fake);

	for (uint32_t i = 0; i < 1 + chance % 3 && fake->held_count > 0; i++) {
		uint64_t fate = random_next(fake);
		const struct xf_outcome outcome = {
			.token = held_take(fake, (uint32_t)(fate >> 32) % fake->held_count),
			.code = fate % 512 == 0 ? XF_OUTCOME_FAIL : fate % 512 == 1 ? XF_OUTCOME_LATER : XF_OUTCOME_PASS,
			.delay_ms = fate % 512 == 1 ? LATER_MS : 0,
		};

		fake->host->finish(fake->endpoint, &outcome, sizeof(outcome), 1);
	}
	work->room = HELD_MAX - fake->held_count;
	if (fake->held_count > 0)
		work->timeout_ms = 0;
}

static uint32_t
fake_process(void *instance, const struct xf_task *tasks, uint32_t stride, uint32_t count)
{
	struct fake *fake = instance;
	uint32_t takes = count > 1 && random_next(fake) % 4 == 0 ? count / 2 : count;

	for (uint32_t i = 0; i < takes; i++)
		fake->held[fake->held_count++] = ((const struct xf_task *)((const char *)tasks + (size_t)i * stride))->token;
	return takes;
}

static void
fake_cancel(void *instance, uint64_t token)
{
	struct fake *fake = instance;

	for (uint32_t i = 0; i < fake->held_count; i++)
		if (fake->held[i] == token) {
			held_take(fake, i);
			return;
		}
}

static void
fake_destroy(void *instance)
{
	free(instance);
}

static const struct xf_handler_ops ops = {
	.struct_size = sizeof(ops),
	.create = fake_create,
	.start = fake_start,
	.work = fake_work,
	.process = fake_process,
	.cancel = fake_cancel,
	.destroy = fake_destroy,
};

const struct xf_handler_class handler_fake = {{sizeof(handler_fake), XF_KIND_HANDLER, "fake", "is hard to work with"}, NULL, &ops};

struct xf_conf_handler
handler_fake_conf(const char *name)
{
	return (struct xf_conf_handler){.name = name, .plugin = "fake", .class = &handler_fake, .holds = true};
}
