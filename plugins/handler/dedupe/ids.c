#include "ids.h"

#include <stdio.h>
#include <stdlib.h>

const struct xf_option ids_id = {
	.struct_size = sizeof(struct xf_option),
	.type = XF_OPTION_STRING,
	.key = "id",
	.def = "{id}",
	.help = "Template of what two messages have in common that are the same",
};
const struct xf_option ids_within = {
	.struct_size = sizeof(struct xf_option),
	.type = XF_OPTION_DURATION,
	.key = "within",
	.def = "10m",
	.min = 1,
	.max = INT64_C(31) * 24 * 3600 * 1000,
	.help = "For so long after a message has come to stand others of its id are dropped",
};

int32_t
ids_init(struct ids *ids, const struct xf_host *host, struct xf_endpoint *endpoint, const struct xf_config *config,
         struct xf_error *error)
{
	struct xf_error why = {{0}};

	ids->host = host;
	ids->endpoint = endpoint;
	ids->within_ms = (uint64_t)host->option(config, IDS_WITHIN)->i64;
	ids->id = template_create(host->option(config, IDS_ID)->str, &why);
	if (ids->id == NULL)
		snprintf(error->text, sizeof(error->text), "id: %.400s", why.text);
	return ids->id != NULL ? 0 : -1;
}

void
ids_fini(struct ids *ids)
{
	while (ids->passed.oldest != NULL) {
		struct passed *passed = ids_settled(ids, ((struct passed *)ids->passed.oldest)->token);

		ids_forget(&passed);
	}
	recent_fini(&ids->passed);
	template_destroy(&ids->id);
	view_fini(&ids->view);
	bytes_fini(&ids->scratch);
}

bool
ids_of(struct ids *ids, const struct xf_task *task, struct xf_str *id)
{
	struct xf_error error = {{0}};

	view_open(&ids->view, task->message);
	if (template_value(ids->id, &ids->view, &ids->scratch, id, &error))
		return true;
	task_finish(ids->host, ids->endpoint, task->token, XF_OUTCOME_REFUSE, error.text);
	return false;
}

static struct xf_str
token_key(const uint64_t *token)
{
	return (struct xf_str){(const char *)token, sizeof(*token)};
}

void
ids_pass(struct ids *ids, uint64_t token, struct xf_str id)
{
	const struct xf_outcome outcome = {.token = token, .code = XF_OUTCOME_PASS, .flags = XF_OUTCOME_FOLLOWED};
	struct passed *passed = need(calloc(1, sizeof(*passed)));

	passed->token = token;
	passed->id = str_copy(id);
	passed->at_ms = ids->host->now_ms();
	recent_add(&ids->passed, &passed->entry, token_key(&token));
	ids->host->finish(ids->endpoint, &outcome, sizeof(outcome), 1);
}

void
ids_drop(struct ids *ids, uint64_t token)
{
	atomic_fetch_add_explicit(&ids->dropped, 1, memory_order_relaxed);
	task_finish(ids->host, ids->endpoint, token, XF_OUTCOME_DROP, NULL);
}

void
ids_wait(struct ids *ids, uint64_t token, const char *reason, uint32_t delay_ms)
{
	const struct xf_outcome outcome = {
		.token = token, .code = XF_OUTCOME_LATER, .delay_ms = delay_ms, .reason = str_of(reason)};

	atomic_fetch_add_explicit(&ids->waited, 1, memory_order_relaxed);
	ids->host->finish(ids->endpoint, &outcome, sizeof(outcome), 1);
}

struct passed *
ids_settled(struct ids *ids, uint64_t token)
{
	struct passed *passed = (struct passed *)recent_find(&ids->passed, token_key(&token));

	if (passed != NULL)
		recent_remove(&ids->passed, &passed->entry);
	return passed;
}

void
ids_forget(struct passed **passed)
{
	free((char *)(*passed)->id.data);
	free(*passed);
	*passed = NULL;
}
