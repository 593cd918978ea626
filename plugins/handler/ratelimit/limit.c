#include "limit.h"

#include <stdio.h>

enum { OVER_DELAY, OVER_DROP, OVER_REJECT };

static const char *const over_words[] = {"delay", "drop", "reject", NULL};

const struct xf_option limit_key = {
	.struct_size = sizeof(struct xf_option),
	.type = XF_OPTION_STRING,
	.key = "key",
	.help = "Template of whose limit a message counts against; without it there is one for all",
};
const struct xf_option limit_rate = {
	.struct_size = sizeof(struct xf_option),
	.type = XF_OPTION_I64,
	.flags = XF_OPTION_REQUIRED,
	.key = "rate",
	.min = 1,
	.max = 1000000000,
	.unit = "messages",
	.help = "How many of a key pass within any span of the length that per says",
};
const struct xf_option limit_per = {
	.struct_size = sizeof(struct xf_option),
	.type = XF_OPTION_DURATION,
	.key = "per",
	.def = "1m",
	.min = 100,
	.max = INT64_C(31) * 24 * 3600 * 1000,
	.help = "The length of the window that slides",
};
const struct xf_option limit_over = {
	.struct_size = sizeof(struct xf_option),
	.type = XF_OPTION_ENUM,
	.key = "over",
	.def = "delay",
	.values = over_words,
	.help = "What happens to what is over the limit: delay holds it until there is room, drop confirms it to its source, reject refuses "
	        "it with the status 429 and the time when to try again",
};

static void
duration_text(char *out, size_t size, uint64_t milliseconds)
{
	if (milliseconds % 1000 != 0)
		snprintf(out, size, "%llu ms", (unsigned long long)milliseconds);
	else
		snprintf(out, size, "%llu s", (unsigned long long)milliseconds / 1000);
}

int32_t
limit_init(struct limit *limit, const struct xf_host *host, struct xf_endpoint *endpoint, const struct xf_config *config,
           struct xf_error *error)
{
	const struct xf_value *key = host->option(config, LIMIT_KEY);
	struct xf_error why = {{0}};
	char per[32];

	limit->host = host;
	limit->endpoint = endpoint;
	limit->rate = (uint32_t)host->option(config, LIMIT_RATE)->i64;
	limit->per_ms = (uint64_t)host->option(config, LIMIT_PER)->i64;
	limit->over = host->option(config, LIMIT_OVER)->i64;
	duration_text(per, sizeof(per), limit->per_ms);
	snprintf(limit->reason, sizeof(limit->reason), "more than %u messages in %s", limit->rate, per);
	if (!key->present)
		return 0;
	limit->key = template_create(key->str, &why);
	if (limit->key == NULL)
		snprintf(error->text, sizeof(error->text), "key: %.400s", why.text);
	return limit->key != NULL ? 0 : -1;
}

void
limit_fini(struct limit *limit)
{
	template_destroy(&limit->key);
	view_fini(&limit->view);
	bytes_fini(&limit->scratch);
}

bool
limit_key_of(struct limit *limit, const struct xf_incoming *message, struct xf_str *key, struct xf_error *error)
{
	*key = (struct xf_str){"", 0};
	if (limit->key == NULL)
		return true;
	view_open(&limit->view, message);
	return template_value(limit->key, &limit->view, &limit->scratch, key, error);
}

void
limit_finish(struct limit *limit, uint64_t token, uint64_t wait_ms)
{
	struct xf_outcome outcome = {.token = token, .code = XF_OUTCOME_PASS};

	if (wait_ms > 0) {
		atomic_fetch_add_explicit(&limit->limited, 1, memory_order_relaxed);
		outcome.code = limit->over == OVER_DELAY  ? XF_OUTCOME_LATER
		               : limit->over == OVER_DROP ? XF_OUTCOME_DROP
		                                          : XF_OUTCOME_REFUSE;
		outcome.delay_ms = wait_ms < UINT32_MAX ? (uint32_t)wait_ms : UINT32_MAX;
		outcome.reason = str_of(limit->reason);
		outcome.status = limit->over == OVER_REJECT ? 429 : 0;
	}
	limit->host->finish(limit->endpoint, &outcome, sizeof(outcome), 1);
}
