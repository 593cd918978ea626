#include "cache.h"

#include <stdio.h>
#include <stdlib.h>

enum { MISS_PASS, MISS_REFUSE };
enum { KIND_SUBJECT, KIND_FIELD, KIND_EQUALS, KIND_TTL };

static const char *const mode_words[] = {"through", "lookup", "store", NULL};
static const char *const miss_words[] = {"pass", "refuse", NULL};
static const char *const needs_field[] = {"field", NULL};
static const char *const needs_equals[] = {"equals", NULL};
#define TTL_MAX (INT64_C(366) * 24 * 3600 * 1000)

static const struct xf_option *const kind_fields[] = {
	[KIND_SUBJECT] = ROW(.type = XF_OPTION_SUBJECT, .key = "subject", .help = "Pattern that the message's subject matches"),
	[KIND_FIELD] = ROW(.type = XF_OPTION_STRING, .key = "field", .requires_ = needs_equals, .help = "Template of a value"),
	[KIND_EQUALS] = ROW(.type = XF_OPTION_STRING, .key = "equals", .flags = XF_OPTION_LIST, .requires_ = needs_field,
	                    .help = "What it is, or one of a list"),
	[KIND_TTL] = ROW(.type = XF_OPTION_DURATION, .key = "ttl", .flags = XF_OPTION_REQUIRED, .min = 0, .max = TTL_MAX,
	                 .help = "For so long answers of this kind are kept; 0: not at all"),
	NULL,
};

const struct xf_option cache_key = {
	.struct_size = sizeof(struct xf_option),
	.type = XF_OPTION_STRING,
	.flags = XF_OPTION_REQUIRED,
	.key = "key",
	.help = "Template of what an answer is kept under",
};
const struct xf_option cache_mode = {
	.struct_size = sizeof(struct xf_option),
	.type = XF_OPTION_ENUM,
	.key = "mode",
	.def = "through",
	.values = mode_words,
	.help = "through looks up, and keeps what becomes of those that pass; lookup only looks up; store keeps the messages themselves",
};
const struct xf_option cache_miss = {
	.struct_size = sizeof(struct xf_option),
	.type = XF_OPTION_ENUM,
	.key = "miss",
	.def = "pass",
	.values = miss_words,
	.help = "Of mode lookup: what is not there passes, or is refused with the status 404",
};
const struct xf_option cache_ttl = {
	.struct_size = sizeof(struct xf_option),
	.type = XF_OPTION_DURATION,
	.key = "ttl",
	.def = "5m",
	.min = 1,
	.max = TTL_MAX,
	.help = "For so long an answer is kept",
};
const struct xf_option cache_kinds = {
	.struct_size = sizeof(struct xf_option),
	.type = XF_OPTION_MAP,
	.flags = XF_OPTION_LIST,
	.key = "kinds",
	.fields = kind_fields,
	.help = "Messages whose answers are kept for another time; the first that fits counts",
};
const struct xf_option cache_private = {
	.struct_size = sizeof(struct xf_option),
	.type = XF_OPTION_STRING,
	.flags = XF_OPTION_LIST,
	.key = "private",
	.help = "Templates: a message or answer where one has a value, other than false, no or 0, is neither looked up nor kept",
};
const struct xf_option cache_patch = {
	.struct_size = sizeof(struct xf_option),
	.type = XF_OPTION_MAP,
	.key = "patch",
	.fields = edits_fields,
	.help = "What is changed in an answer before it goes to another asker; templates are of his message",
};
const struct xf_option cache_single_flight = {
	.struct_size = sizeof(struct xf_option),
	.type = XF_OPTION_BOOL,
	.key = "single_flight",
	.def = "true",
	.help = "Whether those that come while an answer to the same is being made wait for it",
};
const struct xf_option cache_max_entry = {
	.struct_size = sizeof(struct xf_option),
	.type = XF_OPTION_BYTES,
	.key = "max_entry",
	.def = "1MiB",
	.min = 64,
	.max = INT64_C(64) << 20,
	.help = "A larger answer is not kept",
};
const struct xf_option cache_store = {
	.struct_size = sizeof(struct xf_option),
	.type = XF_OPTION_STRING,
	.key = "store",
	.help = "Caches that name the same store share what they keep; else each has its own",
};

struct kind {
	bool any_subject;
	struct template *field; /* NULL: any */
	const struct xf_value *equals;
	uint64_t ttl_ms;
};

/* ---- Settings --------------------------------------------------------------------------------- */

static struct template *
template_read(struct xf_str text, const char *what, struct xf_error *error)
{
	struct xf_error why = {{0}};
	struct template *template = template_create(text, &why);

	if (template == NULL)
		snprintf(error->text, sizeof(error->text), "%s: %.400s", what, why.text);
	return template;
}

static bool
kind_read(struct cache *cache, const struct xf_config *map, struct xf_error *error)
{
	const struct xf_value *subject = cache->host->option(map, KIND_SUBJECT), *field = cache->host->option(map, KIND_FIELD);
	struct kind *kind = &cache->kinds[cache->kind_count++];

	kind->any_subject = !subject->present;
	kind->equals = cache->host->option(map, KIND_EQUALS);
	kind->ttl_ms = (uint64_t)cache->host->option(map, KIND_TTL)->i64;
	if (!subject->present && !field->present) {
		snprintf(error->text, sizeof(error->text), "kinds: expected subject or field, which say what is of the kind");
		return false;
	}
	if (subject->present && !subjects_add(cache->subjects, subject->str, kind))
		need(NULL);
	return !field->present || (kind->field = template_read(field->str, "kinds: field", error)) != NULL;
}

static bool
kinds_read(struct cache *cache, const struct xf_value *kinds, struct xf_error *error)
{
	cache->kinds = need(calloc(kinds->count + 1u, sizeof(*cache->kinds)));
	cache->found = need(calloc(kinds->count + 1u, sizeof(*cache->found)));
	cache->subjects = need(subjects_create());
	for (uint32_t i = 0; i < kinds->count; i++)
		if (!kind_read(cache, item(kinds, i)->map, error))
			return false;
	return true;
}

static bool
private_read(struct cache *cache, const struct xf_value *list, struct xf_error *error)
{
	cache->private = need(calloc(list->count + 1u, sizeof(struct template *)));
	for (; cache->private_count < list->count; cache->private_count++) {
		struct template *template = template_read(item(list, cache->private_count)->str, "private", error);

		if (template == NULL)
			return false;
		cache->private[cache->private_count] = template;
	}
	return true;
}

static bool
patch_read(struct cache *cache, const struct xf_config *map, struct xf_error *error)
{
	struct xf_error why = {{0}};

	if (map == NULL)
		return true;
	cache->patch = edits_create(cache->host, map, &why);
	if (cache->patch == NULL)
		snprintf(error->text, sizeof(error->text), "patch: %.400s", why.text);
	return cache->patch != NULL;
}

int32_t
cache_init(struct cache *cache, const struct xf_host *host, struct xf_endpoint *endpoint, const struct xf_config *config,
           struct xf_error *error)
{
	cache->host = host;
	cache->endpoint = endpoint;
	cache->mode = host->option(config, CACHE_MODE)->i64;
	cache->refuses = host->option(config, CACHE_MISS)->i64 == MISS_REFUSE;
	cache->single_flight = host->option(config, CACHE_SINGLE_FLIGHT)->i64;
	cache->ttl_ms = (uint64_t)host->option(config, CACHE_TTL)->i64;
	cache->entry_max = (uint64_t)host->option(config, CACHE_MAX_ENTRY)->i64;
	if (cache->refuses && cache->mode != MODE_LOOKUP) {
		snprintf(error->text, sizeof(error->text), "miss: only with mode: lookup");
		return -1;
	}
	cache->key = template_read(host->option(config, CACHE_KEY)->str, "key", error);
	if (cache->key == NULL || !kinds_read(cache, host->option(config, CACHE_KINDS), error) ||
	    !private_read(cache, host->option(config, CACHE_PRIVATE), error) ||
	    !patch_read(cache, host->option(config, CACHE_PATCH)->map, error))
		return -1;
	return 0;
}

void
cache_fini(struct cache *cache)
{
	flights_fini(&cache->flights);
	template_destroy(&cache->key);
	for (uint32_t i = 0; i < cache->kind_count; i++)
		template_destroy(&cache->kinds[i].field);
	for (uint32_t i = 0; i < cache->private_count; i++)
		template_destroy(&cache->private[i]);
	free(cache->kinds);
	free(cache->found);
	free(cache->private);
	subjects_destroy(&cache->subjects);
	edits_destroy(&cache->patch);
	stored_fini(&cache->stored);
	view_fini(&cache->view);
	view_fini(&cache->answer);
	bytes_fini(&cache->scratch);
	bytes_fini(&cache->key_text);
	bytes_fini(&cache->data);
	bytes_fini(&cache->payload);
}

uint64_t
cache_traits(const struct xf_host *host, const struct xf_config *config)
{
	bool waits = host->option(config, CACHE_MODE)->i64 == MODE_THROUGH && host->option(config, CACHE_SINGLE_FLIGHT)->i64;

	return waits ? XF_HANDLER_HOLDS : 0;
}

struct xf_str
cache_store_name(const struct xf_host *host, const struct xf_config *config, const struct xf_handler_info *info)
{
	const struct xf_value *store = host->option(config, CACHE_STORE);

	return store->present ? store->str : info->name;
}

/* ---- What is kept ------------------------------------------------------------------------------ */

static void
count(_Atomic uint64_t *number)
{
	atomic_fetch_add_explicit(number, 1, memory_order_relaxed);
}

static bool
means_no(struct xf_str value)
{
	return value.len == 0 || str_equal_nocase(value, str_of("false")) || str_equal_nocase(value, str_of("no")) ||
	       str_equal(value, str_of("0"));
}

static bool
is_private(struct cache *cache, struct view *view)
{
	struct xf_str value;

	for (uint32_t i = 0; i < cache->private_count; i++)
		if (template_value(cache->private[i], view, &cache->scratch, &value, NULL) && !means_no(value)) {
			count(&cache->private_seen);
			return true;
		}
	return false;
}

static bool
kind_fits(struct cache *cache, const struct kind *kind, struct view *view, size_t found)
{
	struct xf_str value;
	bool fits = kind->any_subject;

	for (size_t i = 0; i < found && !fits; i++)
		fits = cache->found[i] == kind;
	if (!fits || kind->field == NULL)
		return fits;
	if (!template_value(kind->field, view, &cache->scratch, &value, NULL))
		return false;
	for (uint32_t i = 0; i < kind->equals->count; i++)
		if (str_equal(value, item(kind->equals, i)->str))
			return true;
	return false;
}

static uint64_t
ttl_of(struct cache *cache, struct view *view)
{
	size_t found = cache->kind_count > 0 ? subjects_match(cache->subjects, view->message->subject, cache->found) : 0;

	for (uint32_t i = 0; i < cache->kind_count; i++)
		if (kind_fits(cache, &cache->kinds[i], view, found))
			return cache->kinds[i].ttl_ms;
	return cache->ttl_ms;
}

/* MESSAGE as bytes in cache->data; false: it is none that may be kept. */
static bool
answer_write(struct cache *cache, const struct xf_incoming *message, const struct xf_incoming *asked)
{
	view_open(&cache->answer, message);
	if (is_private(cache, &cache->answer) || (cache->patch != NULL && view_document(&cache->answer) == NULL))
		return false;
	stored_write(&cache->data, message, asked);
	return cache->data.len <= cache->entry_max;
}

static struct xf_str
data_of(const struct cache *cache)
{
	return (struct xf_str){cache->data.data, cache->data.len};
}

static void
message_keep(struct cache *cache, const struct xf_incoming *message, struct xf_str key, uint64_t ttl_ms)
{
	if (answer_write(cache, message, NULL) && cache->keep(cache, key, data_of(cache), ttl_ms))
		count(&cache->kept);
}

/* ---- Tasks --------------------------------------------------------------------------------------- */

static void
pass(struct cache *cache, uint64_t token, uint32_t flags)
{
	const struct xf_outcome outcome = {.token = token, .code = XF_OUTCOME_PASS, .flags = flags};

	cache->host->finish(cache->endpoint, &outcome, sizeof(outcome), 1);
}

bool
cache_begin(struct cache *cache, const struct xf_task *task, struct xf_str *key, uint64_t *ttl_ms)
{
	struct xf_error error = {{0}};

	view_open(&cache->view, task->message);
	cache->viewed = task->token;
	*ttl_ms = ttl_of(cache, &cache->view);
	if (*ttl_ms == 0 || is_private(cache, &cache->view)) {
		pass(cache, task->token, 0);
		return false;
	}
	if (!template_value(cache->key, &cache->view, &cache->key_text, key, &error)) {
		task_finish(cache->host, cache->endpoint, task->token, XF_OUTCOME_REFUSE, error.text);
		return false;
	}
	if (cache->mode != MODE_STORE)
		return true;
	message_keep(cache, task->message, *key, *ttl_ms);
	pass(cache, task->token, 0);
	return false;
}

/* With the asker's own in it. False: ERROR says what he did not say. */
static bool
answer_patch(struct cache *cache, uint64_t token, const struct xf_incoming *asker, struct xf_incoming *answer,
             struct xf_error *error)
{
	if (cache->patch == NULL)
		return true;
	if (cache->viewed != token)
		view_open(&cache->view, asker);
	cache->viewed = token;
	view_open(&cache->answer, answer);
	if (!edits_eval(cache->patch, &cache->view, error) || !edits_apply(cache->patch, &cache->answer, error))
		return false;
	cache->payload.len = 0;
	document_print(&cache->answer.document, 1, &cache->payload);
	answer->payload = cache->payload.data;
	answer->payload_size = cache->payload.len;
	return true;
}

bool
cache_hit(struct cache *cache, uint64_t token, const struct xf_incoming *message, struct xf_str data)
{
	const struct xf_outcome outcome = {
		.token = token,
		.code = XF_OUTCOME_DONE,
		.messages = &cache->stored.message,
		.count = 1,
		.stride = sizeof(cache->stored.message),
	};
	struct xf_error error = {{0}};

	if (!stored_read(&cache->stored, data, message))
		return false;
	count(&cache->hits);
	if (answer_patch(cache, token, message, &cache->stored.message, &error))
		cache->host->finish(cache->endpoint, &outcome, sizeof(outcome), 1);
	else
		task_finish(cache->host, cache->endpoint, token, XF_OUTCOME_REFUSE, error.text);
	return true;
}

static void
miss_finish(struct cache *cache, uint64_t token)
{
	const struct xf_outcome refused = {
		.token = token,
		.code = XF_OUTCOME_REFUSE,
		.reason = str_of("there is nothing of this key"),
		.status = 404,
	};

	if (cache->refuses)
		cache->host->finish(cache->endpoint, &refused, sizeof(refused), 1);
	else
		pass(cache, token, 0);
}

/* The first of FLIGHT goes to work. */
static void
flight_go(struct cache *cache, struct flight *flight)
{
	uint64_t token = flight->first->token;

	count(&cache->misses);
	flight_work(flight);
	pass(cache, token, XF_OUTCOME_FOLLOWED);
}

void
cache_missed(struct cache *cache, const struct xf_task *task, struct xf_str key, uint64_t ttl_ms)
{
	struct flight *flight;

	if (cache->mode == MODE_LOOKUP) {
		count(&cache->misses);
		miss_finish(cache, task->token);
		return;
	}
	flight = cache->single_flight ? flight_find(&cache->flights, key) : NULL;
	if (flight != NULL) {
		count(&cache->waited);
		flight_join(&cache->flights, flight, task);
		return;
	}
	flight_go(cache, flight_begin(&cache->flights, key, task, ttl_ms, cache->single_flight));
}

/* All of FLIGHT get DATA; or, where that is none, what a miss gets. */
static void
flight_answer(struct cache *cache, struct flight *flight, struct xf_str data)
{
	while (flight->first != NULL) {
		struct guest *guest = flight->first;
		uint64_t token = guest->token;
		const struct xf_incoming *message = guest->message;

		guest_leave(&cache->flights, &guest);
		if (data.data != NULL && cache_hit(cache, token, message, data))
			continue;
		count(&cache->misses);
		miss_finish(cache, token);
	}
	flight_end(&cache->flights, &flight);
}

void
cache_found(struct cache *cache, struct flight *flight, struct xf_str data)
{
	static const struct xf_incoming anybody;

	if (data.data != NULL && !stored_read(&cache->stored, data, &anybody))
		data = (struct xf_str){NULL, 0};
	if (data.data != NULL || cache->mode == MODE_LOOKUP || flight->first == NULL)
		flight_answer(cache, flight, data);
	else
		flight_go(cache, flight);
}

/* What became of the first of FLIGHT, which has left it: all others get that; or where it cannot be kept, each goes his own way. */
static void
flight_stood(struct cache *cache, struct flight *flight, const struct xf_incoming *message)
{
	struct xf_str data = {NULL, 0};

	if (message != NULL && answer_write(cache, message, &flight->asked)) {
		data = data_of(cache);
		if (cache->keep(cache, flight->key, data, flight->ttl_ms))
			count(&cache->kept);
	}
	flight_answer(cache, flight, data);
}

static void
settle(struct cache *cache, const struct xf_settled *settled)
{
	struct guest *guest = guest_find(&cache->flights, settled->token);
	struct xf_incoming message = {.handle = 0};
	struct flight *flight;

	if (guest == NULL)
		return;
	flight = guest->flight;
	guest_leave(&cache->flights, &guest);
	if (settled->message != NULL)
		memcpy(&message, settled->message, settled->message_size < sizeof(message) ? settled->message_size : sizeof(message));
	if (settled->code == XF_SETTLED_STOOD)
		flight_stood(cache, flight, settled->message != NULL ? &message : NULL);
	else if (flight->first != NULL)
		flight_go(cache, flight); /* the next may fare better */
	else
		flight_end(&cache->flights, &flight);
}

void
cache_settled(void *instance, const struct xf_settled *settled, uint32_t stride, uint32_t settled_count)
{
	for (uint32_t i = 0; i < settled_count; i++)
		settle(instance, (const void *)((const char *)settled + (size_t)i * stride));
}

void
cache_cancel(struct cache *cache, uint64_t token)
{
	struct guest *guest = guest_find(&cache->flights, token);

	if (guest != NULL)
		guest_leave(&cache->flights, &guest);
}

uint32_t
cache_numbers(struct cache *cache, const struct xf_number *more, uint32_t more_count, struct xf_number *numbers, uint32_t room)
{
	const struct xf_number all[] = {
		{"cache_hits", "Messages that were answered by what was kept.", atomic_load(&cache->hits), 0, 0},
		{"cache_misses", "Messages for which nothing was kept.", atomic_load(&cache->misses), 0, 0},
		{"cache_waited", "Messages that waited for the answer to another.", atomic_load(&cache->waited), 0, 0},
		{"cache_kept", "Answers that were kept.", atomic_load(&cache->kept), 0, 0},
		{"cache_private", "Messages and answers that were private.", atomic_load(&cache->private_seen), 0, 0},
	};
	uint32_t count_all = sizeof(all) / sizeof(*all);

	numbers_copy(numbers, room, all, count_all);
	numbers_copy(numbers + count_all, room > count_all ? room - count_all : 0, more, more_count);
	return count_all + more_count;
}
