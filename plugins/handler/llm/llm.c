/*
 * llm - asks a model about each message.
 *
 * A message that gets no answer either fails, or is passed on for a handler that follows. What stands where the answer is to be put is never
 * the message's own: it is taken away first.
 */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "answer.h"
#include "budget.h"
#include "calls.h"
#include "pointer.h"
#include "template.h"

#define PASS_BATCH 256u /* messages a turn where none is asked about */

enum {
	BASE_URL = CALLS_ROWS,
	MODEL,
	KEY,
	SYSTEM,
	USER,
	TEMPERATURE,
	MAX_TOKENS,
	JSON,
	SCHEMA,
	INTO,
	ON_FAILURE,
	ATTEMPTS,
	BUDGET,
};
enum { BUDGET_REQUESTS, BUDGET_TOKENS, BUDGET_WHEN_SPENT };
enum { ON_FAILURE_FAIL, ON_FAILURE_PASS };
enum { WHEN_SPENT_WAIT, WHEN_SPENT_PASS };

static const char *const failure_words[] = {"fail", "pass", NULL};
static const char *const spent_words[] = {"wait", "pass", NULL};

static const struct xf_option *const budget_fields[] = {
	[BUDGET_REQUESTS] = ROW(.type = XF_OPTION_I64, .key = "requests", .min = 1, .max = 1000000, .unit = "requests",
	                        .help = "How many requests are made within a minute"),
	[BUDGET_TOKENS] = ROW(.type = XF_OPTION_I64, .key = "tokens", .min = 1, .max = INT64_C(1000000000000), .unit = "tokens",
	                      .help = "With so many used within a minute nothing more is asked"),
	[BUDGET_WHEN_SPENT] = ROW(.type = XF_OPTION_ENUM, .key = "when_spent", .def = "wait", .values = spent_words,
	                          .help = "wait: messages wait; pass: they go on without an answer"),
	NULL,
};

static const struct xf_option *const options[] = {
	[CALLS_CONCURRENCY] = &calls_concurrency,
	[CALLS_REQUEST_TIMEOUT] = &calls_request_timeout,
	[CALLS_CONNECT_TIMEOUT] = &calls_connect_timeout,
	[CALLS_MAX_ANSWER] = &calls_max_answer,
	[CALLS_PROXY] = &calls_proxy,
	[CALLS_TLS] = &calls_tls,
	[BASE_URL] = ROW(.type = XF_OPTION_URL, .key = "base_url", .flags = XF_OPTION_REQUIRED,
	                 .help = "What stands in front of /chat/completions, as https://api.example/v1"),
	[MODEL] = ROW(.type = XF_OPTION_STRING, .key = "model", .flags = XF_OPTION_REQUIRED, .help = "Name of the model"),
	[KEY] = ROW(.type = XF_OPTION_STRING, .key = "key", .flags = XF_OPTION_SECRET,
	            .help = "Key of the endpoint; without one nothing is asked, and all messages go on as they are"),
	[SYSTEM] = ROW(.type = XF_OPTION_STRING, .key = "system", .help = "Template of the system prompt"),
	[USER] = ROW(.type = XF_OPTION_STRING, .key = "user", .help = "Template of the user's prompt; without it that is the payload"),
	[TEMPERATURE] = ROW(.type = XF_OPTION_F64, .key = "temperature", .help = "As the endpoint takes it; without it that decides"),
	[MAX_TOKENS] = ROW(.type = XF_OPTION_I64, .key = "max_tokens", .min = 1, .max = 10000000, .unit = "tokens",
	                   .help = "The longest answer, likewise"),
	[JSON] = ROW(.type = XF_OPTION_BOOL, .key = "json", .def = "false",
	             .help = "Whether the model is asked for a JSON object, and anything else is a failure"),
	[SCHEMA] = ROW(.type = XF_OPTION_STRING, .key = "schema",
	               .help = "JSON Schema of the answer, as text; ${file:PATH} reads it from a file. Means json: true"),
	[INTO] = ROW(.type = XF_OPTION_STRING, .key = "into",
	             .help = "JSON pointer of where in the payload the answer is put; without it the answer is the payload"),
	[ON_FAILURE] = ROW(.type = XF_OPTION_ENUM, .key = "on_failure", .def = "fail", .values = failure_words,
	                   .help = "fail: the message comes again as the route's retry says; pass: it goes on without an answer"),
	[ATTEMPTS] = ROW(.type = XF_OPTION_I64, .key = "attempts", .def = "1", .min = 1, .max = 100, .unit = "attempts",
	                 .help = "With on_failure: pass, how often a message may fail before it goes on"),
	[BUDGET] = ROW(.type = XF_OPTION_MAP, .key = "budget", .fields = budget_fields, .help = "What may be used within a minute"),
	NULL,
};

enum { COUNT_TOKENS, COUNT_ANSWERED, COUNT_UNUSABLE, COUNT_PASSED, COUNTS };

struct llm {
	const struct xf_host *host;
	struct xf_endpoint *endpoint;
	struct calls *calls;
	bool told; /* its state, where it has no key */

	struct bytes url;
	struct xf_str model, into;
	struct bytes authorization; /* empty: there is no key */
	struct template *system, *user;
	const struct xf_value *temperature, *max_tokens;
	bool json, passes; /* on failure */
	uint32_t attempts;
	struct schema_file *schema; /* NULL: none */
	struct schema_file schema_file;
	struct budget budget;
	bool budget_passes;

	_Atomic uint64_t counts[COUNTS];

	/* of the message that is looked at */
	struct view view;
	struct bytes scratch, payload;
	struct document reply, content;
};

static void
count(struct llm *llm, int which, uint64_t by)
{
	atomic_fetch_add_explicit(&llm->counts[which], by, memory_order_relaxed);
}

/* ---- Messages --------------------------------------------------------------------------------- */

static void
node_remove(struct document *document, uint32_t node, void *context)
{
	(void)context;
	document_remove(document, node);
}

/* The payload, without what stands where the answer is to be put. False: that cannot be, since it is no JSON. */
static bool
payload_own(struct llm *llm, const struct xf_incoming *message, struct xf_str *payload)
{
	struct document *document;

	*payload = (struct xf_str){message->payload, message->payload_size};
	if (llm->into.len == 0)
		return true;
	view_open(&llm->view, message);
	document = view_document(&llm->view);
	if (document == NULL)
		return false;
	document_each(document, llm->into, node_remove, NULL);
	if (!document->touched)
		return true;
	llm->payload.len = 0;
	document_print(document, 1, &llm->payload);
	*payload = (struct xf_str){llm->payload.data, llm->payload.len};
	return true;
}

static void
pass_on(struct llm *llm, uint64_t token, const struct xf_incoming *message)
{
	struct xf_incoming made = *message;
	struct xf_outcome outcome = {.token = token, .code = XF_OUTCOME_PASS, .messages = &made, .stride = sizeof(made)};
	struct xf_str payload;

	payload_own(llm, message, &payload);
	if (payload.data != message->payload) {
		made.payload = payload.data;
		made.payload_size = payload.len;
		outcome.count = 1;
	}
	count(llm, COUNT_PASSED, 1);
	llm->host->finish(llm->endpoint, &outcome, sizeof(outcome), 1);
}

/* No answer came, or none that can be used. */
static void
failed(struct llm *llm, const struct xf_incoming *message, const struct xf_outcome *outcome)
{
	if (!llm->passes || (outcome->code == XF_OUTCOME_FAIL && message->attempt < llm->attempts))
		llm->host->finish(llm->endpoint, outcome, sizeof(*outcome), 1);
	else
		pass_on(llm, outcome->token, message);
}

/* ---- Answers -------------------------------------------------------------------------------------- */

/* The answer is in llm->reply, and in llm->content where it is JSON. */
static const char *
answer_place(struct llm *llm, struct xf_str content, struct xf_incoming *message)
{
	struct document *document;
	const char *wrong;

	if (llm->into.len == 0) {
		message->payload = content.data;
		message->payload_size = content.len;
		message->content_type = str_of(llm->json ? "application/json" : "text/plain; charset=utf-8");
		return NULL;
	}
	view_open(&llm->view, message);
	document = view_document(&llm->view); /* it was JSON when the model was asked */
	wrong = document_put(document, llm->into,
	                     llm->json ? document_make(document, content) : document_make_string(document, content));
	if (wrong != NULL)
		return wrong;
	llm->payload.len = 0;
	document_print(document, 1, &llm->payload);
	message->payload = llm->payload.data;
	message->payload_size = llm->payload.len;
	return NULL;
}

static void
answered(struct llm *llm, const struct call_end *end)
{
	struct xf_incoming message = *end->message;
	struct xf_outcome outcome = {
		.token = end->token, .code = XF_OUTCOME_PASS, .messages = &message, .count = 1, .stride = sizeof(message)};
	struct xf_error error = {{0}};
	struct answer answer;
	const char *wrong;
	bool sound = answer_read(&answer, &llm->reply, end->body, &error) &&
	             (!llm->json || answer_json(&answer.content, &llm->content, llm->schema, &error));

	count(llm, COUNT_TOKENS, answer.tokens);
	budget_use(&llm->budget, llm->host->now_ms(), 0, answer.tokens);
	if (!sound) {
		count(llm, COUNT_UNUSABLE, 1);
		outcome = (struct xf_outcome){
			.token = end->token, .code = XF_OUTCOME_FAIL, .reason = str_of(error.text), .status = 502};
		failed(llm, end->message, &outcome);
		return;
	}
	wrong = answer_place(llm, answer.content, &message);
	if (wrong != NULL) {
		snprintf(error.text, sizeof(error.text), "%.*s: %s", STR_ARG(llm->into), wrong);
		outcome = (struct xf_outcome){
			.token = end->token, .code = XF_OUTCOME_REFUSE, .reason = str_of(error.text), .status = 400};
		failed(llm, end->message, &outcome);
		return;
	}
	count(llm, COUNT_ANSWERED, 1);
	llm->host->finish(llm->endpoint, &outcome, sizeof(outcome), 1);
}

static void
llm_ended(void *context, const struct call_end *end)
{
	struct llm *llm = context;
	struct xf_outcome outcome = end->verdict;

	if (outcome.code == XF_OUTCOME_PASS) {
		answered(llm, end);
		return;
	}
	if (outcome.code == XF_OUTCOME_REFUSE)
		outcome.status = 502; /* what the endpoint does not like is no affair of whoever asked */
	failed(llm, end->message, &outcome);
}

/* ---- Questions --------------------------------------------------------------------------------------- */

static void
prompt_add(struct bytes *body, const char *role, struct xf_str text)
{
	bytes_puts(body, "{\"role\":\"");
	bytes_puts(body, role);
	bytes_puts(body, "\",\"content\":");
	bytes_json(body, text);
	bytes_puts(body, "}");
}

/* Both prompts are of the message as it came, but for what it has no right to. */
static bool
body_make(struct llm *llm, const struct xf_incoming *message, struct xf_str payload, struct bytes *body, struct xf_error *error)
{
	struct xf_incoming own = *message;
	struct xf_str prompt;
	char number[64];

	own.payload = payload.data;
	own.payload_size = payload.len;
	view_open(&llm->view, &own);
	bytes_puts(body, "{\"model\":");
	bytes_json(body, llm->model);
	bytes_puts(body, ",\"messages\":[");
	if (llm->system != NULL) {
		if (!template_value(llm->system, &llm->view, &llm->scratch, &prompt, error))
			return false;
		prompt_add(body, "system", prompt);
		bytes_puts(body, ",");
	}
	if (llm->user == NULL)
		prompt = payload;
	else if (!template_value(llm->user, &llm->view, &llm->scratch, &prompt, error))
		return false;
	prompt_add(body, "user", prompt);
	bytes_puts(body, "]");
	if (llm->temperature->present) {
		snprintf(number, sizeof(number), ",\"temperature\":%g", llm->temperature->f64);
		bytes_puts(body, number);
	}
	if (llm->max_tokens->present) {
		snprintf(number, sizeof(number), ",\"max_tokens\":%lld", (long long)llm->max_tokens->i64);
		bytes_puts(body, number);
	}
	bytes_puts(body, llm->json ? ",\"response_format\":{\"type\":\"json_object\"}}" : "}");
	return true;
}

/* False with a reason: this message cannot be asked about. */
static bool
ask(struct llm *llm, const struct xf_task *task, struct xf_error *error)
{
	const struct xf_header headers[] = {
		{str_of("Content-Type"), str_of("application/json")},
		{str_of("Authorization"), {llm->authorization.data, llm->authorization.len}},
	};
	struct bytes body = {NULL, 0, 0};
	const struct call call = {
		.token = task->token,
		.message = task->message,
		.method = "POST",
		.url = {llm->url.data, llm->url.len},
		.headers = headers,
		.header_count = 2,
		.body = &body,
	};
	struct xf_str payload;
	bool begun = false;

	if (!payload_own(llm, task->message, &payload))
		snprintf(error->text, sizeof(error->text), "the payload is no JSON: %s at byte %zu", llm->view.document.wrong,
		         llm->view.document.wrong_at);
	else
		begun = body_make(llm, task->message, payload, &body, error) && calls_begin(llm->calls, &call, error);
	bytes_fini(&body);
	if (begun)
		budget_use(&llm->budget, llm->host->now_ms(), 1, 0);
	return begun;
}

/* Whether messages go on without being asked about. */
static bool
passes_now(const struct llm *llm)
{
	return llm->authorization.len == 0 || (llm->passes && calls_paused(llm->calls)) ||
	       (llm->budget_passes && budget_left(&llm->budget, llm->host->now_ms()) == 0);
}

static uint32_t
room_now(const struct llm *llm)
{
	uint32_t room = calls_room(llm->calls), left = budget_left(&llm->budget, llm->host->now_ms());

	return room < left ? room : left;
}

static void
llm_work(void *instance, struct xf_work *work)
{
	struct llm *llm = instance;

	if (llm->authorization.len > 0) {
		calls_work(llm->calls, work);
	} else if (!llm->told) {
		llm->told = true;
		llm->host->log(llm->endpoint, XF_LOG_INFO, "no key: no model is asked, messages go on as they are");
		llm->host->state(llm->endpoint, XF_STATE_UP, NULL);
	}
	work->room = passes_now(llm) ? PASS_BATCH : room_now(llm);
}

static uint32_t
llm_process(void *instance, const struct xf_task *tasks, uint32_t stride, uint32_t n)
{
	struct llm *llm = instance;
	uint32_t taken;

	for (taken = 0; taken < n; taken++) {
		const struct xf_task *task = task_at(tasks, stride, taken);
		struct xf_error error = {{0}};

		if (passes_now(llm)) {
			pass_on(llm, task->token, task->message);
		} else if (room_now(llm) == 0) {
			break;
		} else if (!ask(llm, task, &error)) {
			const struct xf_outcome outcome = {
				.token = task->token, .code = XF_OUTCOME_REFUSE, .reason = str_of(error.text), .status = 400};

			failed(llm, task->message, &outcome);
		}
	}
	return taken;
}

static void
llm_cancel(void *instance, uint64_t token)
{
	struct llm *llm = instance;

	calls_cancel(llm->calls, token);
}

static void
llm_stop(void *instance)
{
	struct llm *llm = instance;

	calls_stop(llm->calls);
}

static uint32_t
llm_numbers(void *instance, struct xf_number *numbers, uint32_t size)
{
	static const struct xf_number shown[COUNTS] = {
		[COUNT_TOKENS] = {.name = "llm_tokens", .help = "Tokens that were used"},
		[COUNT_ANSWERED] = {.name = "llm_answered", .help = "Messages that got an answer of the model"},
		[COUNT_UNUSABLE] = {.name = "llm_unusable", .help = "Answers that were malformed, cut off or refusals"},
		[COUNT_PASSED] = {.name = "llm_passed", .help = "Messages that went on without an answer"},
	};
	struct llm *llm = instance;
	uint32_t first = calls_numbers(llm->calls, numbers, size);

	for (uint32_t i = 0; i < COUNTS && first + i < size; i++) {
		numbers[first + i] = shown[i];
		numbers[first + i].value = atomic_load_explicit(&llm->counts[i], memory_order_relaxed);
	}
	return first + COUNTS;
}

/* ---- Settings ------------------------------------------------------------------------------------------- */

static void
llm_destroy(void *instance)
{
	struct llm *llm = instance;

	calls_destroy(&llm->calls);
	bytes_fini(&llm->url);
	bytes_fini(&llm->authorization);
	template_destroy(&llm->system);
	template_destroy(&llm->user);
	if (llm->schema != NULL)
		schema_fini(llm->schema);
	view_fini(&llm->view);
	bytes_fini(&llm->scratch);
	bytes_fini(&llm->payload);
	document_fini(&llm->reply);
	document_fini(&llm->content);
	free(llm);
}

static bool
prompt_read(struct template **template, const struct xf_value *option, const char *key, struct xf_error *error)
{
	struct xf_error why = {{0}};

	if (!option->present)
		return true;
	*template = template_create(option->str, &why);
	if (*template == NULL)
		snprintf(error->text, sizeof(error->text), "%s: %.480s", key, why.text);
	return *template != NULL;
}

static bool
schema_option_read(struct llm *llm, const struct xf_value *option, struct xf_error *error)
{
	struct xf_error why = {{0}};

	if (!option->present)
		return true;
	llm->json = true;
	if (schema_read(&llm->schema_file, option->str, &why))
		llm->schema = &llm->schema_file;
	else
		snprintf(error->text, sizeof(error->text), "schema%s%.480s", why.text[0] == '/' ? " " : ": ", why.text);
	return llm->schema != NULL;
}

static bool
into_read(struct llm *llm, struct xf_str into, struct xf_error *error)
{
	const char *wrong = pointer_check(into);

	if (wrong == NULL && pointer_is_pattern(into))
		wrong = "an answer is put into one place; expected a pointer without *";
	llm->into = into;
	if (wrong != NULL)
		snprintf(error->text, sizeof(error->text), "into: '%.*s': %s", STR_ARG(into), wrong);
	return wrong == NULL;
}

static bool
failures_read(struct llm *llm, const struct xf_config *config, struct xf_error *error)
{
	const struct xf_config *budget = llm->host->option(config, BUDGET)->map;
	const struct xf_value *attempts = llm->host->option(config, ATTEMPTS);

	llm->passes = llm->host->option(config, ON_FAILURE)->i64 == ON_FAILURE_PASS;
	llm->attempts = (uint32_t)attempts->i64;
	if (budget != NULL) {
		llm->budget.requests_max = (uint64_t)llm->host->option(budget, BUDGET_REQUESTS)->i64;
		llm->budget.tokens_max = (uint64_t)llm->host->option(budget, BUDGET_TOKENS)->i64;
		llm->budget_passes = llm->host->option(budget, BUDGET_WHEN_SPENT)->i64 == WHEN_SPENT_PASS;
	}
	if (!attempts->present || llm->passes)
		return true;
	snprintf(error->text, sizeof(error->text), "attempts: with on_failure: fail the route's retry says how many");
	return false;
}

static bool
llm_read(struct llm *llm, const struct xf_config *config, struct xf_error *error)
{
	struct xf_str base = llm->host->option(config, BASE_URL)->str, key = llm->host->option(config, KEY)->str;

	while (base.len > 0 && base.data[base.len - 1] == '/')
		base.len--;
	bytes_str(&llm->url, base);
	bytes_puts(&llm->url, "/chat/completions");
	if (key.len > 0) {
		bytes_puts(&llm->authorization, "Bearer ");
		bytes_str(&llm->authorization, key);
	}
	llm->model = llm->host->option(config, MODEL)->str;
	llm->temperature = llm->host->option(config, TEMPERATURE);
	llm->max_tokens = llm->host->option(config, MAX_TOKENS);
	llm->json = llm->host->option(config, JSON)->i64;
	if (strncmp(base.data, "http://", 7) != 0 && strncmp(base.data, "https://", 8) != 0) {
		snprintf(error->text, sizeof(error->text), "base_url: expected http://... or https://...");
		return false;
	}
	return prompt_read(&llm->system, llm->host->option(config, SYSTEM), "system", error) &&
	       prompt_read(&llm->user, llm->host->option(config, USER), "user", error) &&
	       schema_option_read(llm, llm->host->option(config, SCHEMA), error) &&
	       into_read(llm, llm->host->option(config, INTO)->str, error) && failures_read(llm, config, error);
}

static int32_t
llm_create(const struct xf_host *host, struct xf_endpoint *endpoint, const struct xf_config *config,
           const struct xf_handler_info *info, void **instance, struct xf_error *error)
{
	struct llm *llm = need(calloc(1, sizeof(*llm)));

	(void)info;
	llm->host = host;
	llm->endpoint = endpoint;
	if (!llm_read(llm, config, error)) {
		llm_destroy(llm);
		return -1;
	}
	llm->calls = calls_create(host, endpoint, config, 0, (struct xf_str){NULL, 0}, (struct xf_str){NULL, 0}, llm_ended, llm);
	*instance = llm;
	return 0;
}

static int32_t
llm_check(const struct xf_host *host, const struct xf_config *config, const struct xf_handler_info *info, struct xf_error *error)
{
	void *instance;

	if (llm_create(host, NULL, config, info, &instance, error) != 0)
		return -1;
	llm_destroy(instance);
	return 0;
}

static const struct xf_handler_ops ops = {
	.struct_size = sizeof(ops),
	.check = llm_check,
	.create = llm_create,
	.work = llm_work,
	.process = llm_process,
	.cancel = llm_cancel,
	.stop = llm_stop,
	.destroy = llm_destroy,
	.numbers = llm_numbers,
};

static const struct xf_handler_class llm_class = {
	.head = {
		.struct_size = sizeof(llm_class),
		.kind = XF_KIND_HANDLER,
		.name = "llm",
		.summary = "Asks a model about each message, at a chat-completions endpoint",
	},
	.options = options,
	.ops = &ops,
};

const struct xf_entry *
xf_plugin_entry_v1(void)
{
	static const struct xf_class *const classes[] = {&llm_class.head, NULL};
	static const struct xf_entry entry = {
		XF_ENTRY_HEAD,
		.id = "org.crossfade.llm",
		.version = XF_VERSION,
		.licence = "Apache-2.0",
		.url = "",
		.classes = classes,
	};

	return &entry;
}
