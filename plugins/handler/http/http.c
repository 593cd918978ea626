/*
 * http - calls a URL with each message, and sends on what it answers.
 */
#include <stdio.h>
#include <stdlib.h>

#include "calls.h"
#include "template.h"

enum { URL = CALLS_ROWS, METHOD, HEADERS, TOKEN, USER, PASSWORD, ANSWER, KEEP_HEADERS };
enum { HEADER_NAME, HEADER_VALUE };
enum { ANSWER_REPLACE, ANSWER_IGNORE };

static const char *const methods[] = {"POST", "PUT", "PATCH", "DELETE", "GET", NULL};
#define METHOD_GET 4
static const char *const answers[] = {"replace", "ignore", NULL};
static const char *const not_with_user[] = {"user", NULL};
static const char *const with_user[] = {"user", NULL};

static const struct xf_option *const header_fields[] = {
	[HEADER_NAME] = ROW(.type = XF_OPTION_STRING, .key = "name", .flags = XF_OPTION_REQUIRED, .help = "Name of the header"),
	[HEADER_VALUE] = ROW(.type = XF_OPTION_STRING, .key = "value", .flags = XF_OPTION_REQUIRED, .help = "Template of its value"),
	NULL,
};

static const struct xf_option *const options[] = {
	[CALLS_CONCURRENCY] = &calls_concurrency,
	[CALLS_REQUEST_TIMEOUT] = &calls_request_timeout,
	[CALLS_CONNECT_TIMEOUT] = &calls_connect_timeout,
	[CALLS_MAX_ANSWER] = &calls_max_answer,
	[CALLS_PROXY] = &calls_proxy,
	[CALLS_TLS] = &calls_tls,
	[URL] = ROW(.type = XF_OPTION_STRING, .key = "url", .flags = XF_OPTION_REQUIRED,
	            .help = "Template of what is called, http[s]://host[:port]/path; what fields give is percent-encoded"),
	[METHOD] = ROW(.type = XF_OPTION_ENUM, .key = "method", .def = "POST", .values = methods,
	               .help = "How it is called; GET sends no body"),
	[HEADERS] = ROW(.type = XF_OPTION_MAP, .key = "headers", .flags = XF_OPTION_LIST, .fields = header_fields,
	                .help = "Headers of the call, beside Content-Type and Message-Id"),
	[TOKEN] = ROW(.type = XF_OPTION_STRING, .key = "token", .flags = XF_OPTION_SECRET, .conflicts = not_with_user,
	              .help = "Bearer token"),
	[USER] = ROW(.type = XF_OPTION_STRING, .key = "user", .help = "User (Basic)"),
	[PASSWORD] = ROW(.type = XF_OPTION_STRING, .key = "password", .flags = XF_OPTION_SECRET, .requires_ = with_user,
	                 .help = "Password of the user"),
	[ANSWER] = ROW(.type = XF_OPTION_ENUM, .key = "answer", .def = "replace", .values = answers,
	               .help = "replace: the answer goes on in the message's place; ignore: the message goes on as it is"),
	[KEEP_HEADERS] = ROW(.type = XF_OPTION_STRING, .key = "keep_headers", .flags = XF_OPTION_LIST,
	                     .help = "Names of the answer's headers that the message gets"),
	NULL,
};

/* A header of the call. */
struct header {
	struct xf_str name;
	struct template *value;
	struct bytes scratch;
};

struct http {
	const struct xf_host *host;
	struct xf_endpoint *endpoint;
	struct calls *calls;
	struct template *url;
	int method;
	struct header *headers;
	uint32_t header_count;
	struct xf_str authorization; /* own memory; empty: none */
	bool replaces;
	const struct xf_value *kept; /* names */

	/* of the message that is looked at */
	struct view view;
	struct bytes address;
	struct xf_header *made; /* room for made_size */
	uint32_t made_size;
};

static struct xf_header *
headers_need(struct http *http, uint32_t count)
{
	if (count > http->made_size) {
		http->made_size = count;
		http->made = need(realloc(http->made, count * sizeof(*http->made)));
	}
	return http->made;
}

/* ---- Answers --------------------------------------------------------------------------------- */

static bool
is_kept(const struct http *http, struct xf_str name)
{
	for (uint32_t i = 0; i < http->kept->count; i++)
		if (str_equal_nocase(name, item(http->kept, i)->str))
			return true;
	return false;
}

/* The message's headers, with those of the answer in place of its own of that name. */
static void
headers_join(struct http *http, const struct call_end *end, struct xf_incoming *message)
{
	const struct xf_incoming *from = end->message;
	struct xf_header *made = headers_need(http, from->header_count + http->kept->count + 1);
	struct xf_str value;
	uint32_t count = 0;

	for (uint32_t i = 0; i < from->header_count; i++)
		if (!is_kept(http, from->headers[i].name))
			made[count++] = from->headers[i];
	for (uint32_t i = 0; i < http->kept->count; i++)
		if (call_end_header(end, item(http->kept, i)->str.data, &value))
			made[count++] = (struct xf_header){item(http->kept, i)->str, value};
	message->headers = made;
	message->header_count = count;
}

static void
http_ended(void *context, const struct call_end *end)
{
	struct http *http = context;
	struct xf_outcome outcome = end->verdict;
	struct xf_incoming message = *end->message;

	if (outcome.code == XF_OUTCOME_PASS && (http->replaces || http->kept->count > 0)) {
		if (http->replaces) {
			message.payload = end->body.data;
			message.payload_size = end->body.len;
			message.content_type = end->content_type;
		}
		headers_join(http, end, &message);
		outcome.messages = &message;
		outcome.count = 1;
		outcome.stride = sizeof(message);
	}
	http->host->finish(http->endpoint, &outcome, sizeof(outcome), 1);
}

/* ---- Calls ------------------------------------------------------------------------------------ */

/* As one segment of a path, or one value of a query. */
static void
percent_put(struct bytes *out, struct xf_str text)
{
	static const char digits[] = "0123456789ABCDEF";

	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.data[i];
		char escaped[3] = {'%', digits[c >> 4], digits[c & 15]};
		bool plain = (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || c == '-' || c == '.' || c == '_' ||
		             c == '~';

		bytes_add(out, plain ? text.data + i : escaped, plain ? 1 : 3);
	}
}

static bool
call_make(struct http *http, const struct xf_task *task, struct call *call, struct xf_error *error)
{
	const struct xf_incoming *m = task->message;
	struct xf_header *headers = headers_need(http, http->header_count + 3);

	view_open(&http->view, m);
	http->address.len = 0;
	if (!template_put(http->url, &http->view, percent_put, &http->address, error))
		return false;
	*call = (struct call){
		.token = task->token,
		.message = m,
		.method = methods[http->method],
		.url = {http->address.data, http->address.len},
		.headers = headers,
		.silent = http->method == METHOD_GET,
	};
	if (m->content_type.len > 0 && !call->silent)
		headers[call->header_count++] = (struct xf_header){str_of("Content-Type"), m->content_type};
	if (m->id.len > 0)
		headers[call->header_count++] = (struct xf_header){str_of("Message-Id"), m->id};
	if (http->authorization.len > 0)
		headers[call->header_count++] = (struct xf_header){str_of("Authorization"), http->authorization};
	for (uint32_t i = 0; i < http->header_count; i++) {
		struct header *h = &http->headers[i];

		headers[call->header_count].name = h->name;
		if (!template_value(h->value, &http->view, &h->scratch, &headers[call->header_count++].value, error))
			return false;
	}
	return true;
}

static void
http_work(void *instance, struct xf_work *work)
{
	struct http *http = instance;

	calls_work(http->calls, work);
}

static uint32_t
http_process(void *instance, const struct xf_task *tasks, uint32_t stride, uint32_t count)
{
	struct http *http = instance;
	uint32_t taken;

	for (taken = 0; taken < count && calls_room(http->calls) > 0; taken++) {
		const struct xf_task *task = task_at(tasks, stride, taken);
		struct xf_error error = {{0}};
		struct call call;

		if (!call_make(http, task, &call, &error) || !calls_begin(http->calls, &call, &error))
			task_finish(http->host, http->endpoint, task->token, XF_OUTCOME_REFUSE, error.text);
	}
	return taken;
}

static void
http_cancel(void *instance, uint64_t token)
{
	struct http *http = instance;

	calls_cancel(http->calls, token);
}

static void
http_stop(void *instance)
{
	struct http *http = instance;

	calls_stop(http->calls);
}

static uint32_t
http_numbers(void *instance, struct xf_number *numbers, uint32_t count)
{
	struct http *http = instance;

	return calls_numbers(http->calls, numbers, count);
}

/* ---- Settings ------------------------------------------------------------------------------------ */

static void
http_destroy(void *instance)
{
	struct http *http = instance;

	calls_destroy(&http->calls);
	template_destroy(&http->url);
	for (uint32_t i = 0; i < http->header_count; i++) {
		template_destroy(&http->headers[i].value);
		bytes_fini(&http->headers[i].scratch);
	}
	free(http->headers);
	free((char *)http->authorization.data);
	view_fini(&http->view);
	bytes_fini(&http->address);
	free(http->made);
	free(http);
}

/* Which server is called is never a message's to say. */
static bool
url_read(struct http *http, struct xf_str text, struct xf_error *error)
{
	struct xf_error why = {{0}};
	size_t scheme = strncmp(text.data, "http://", 7) == 0 ? 7 : strncmp(text.data, "https://", 8) == 0 ? 8 : 0;
	size_t host = strcspn(text.data + scheme, "/?#{ \t");

	if (scheme == 0 || host == 0 || text.data[scheme + host] == '{') {
		snprintf(error->text, sizeof(error->text),
		         "url: expected http://host/path or https://host/path, with fields only behind the host");
		return false;
	}
	http->url = template_create(text, &why);
	if (http->url == NULL)
		snprintf(error->text, sizeof(error->text), "url: %.480s", why.text);
	return http->url != NULL;
}

static bool
headers_read(struct http *http, const struct xf_value *list, struct xf_error *error)
{
	http->headers = need(calloc(list->count + 1u, sizeof(*http->headers)));
	for (; http->header_count < list->count; http->header_count++) {
		struct header *header = &http->headers[http->header_count];
		const struct xf_config *map = item(list, http->header_count)->map;
		struct xf_error why = {{0}};

		header->name = http->host->option(map, HEADER_NAME)->str;
		if (header->name.len == 0 || strpbrk(header->name.data, ": \t\r\n;") != NULL) {
			snprintf(error->text, sizeof(error->text), "headers: '%.*s' is no name of a header", STR_ARG(header->name));
			return false;
		}
		header->value = template_create(http->host->option(map, HEADER_VALUE)->str, &why);
		if (header->value != NULL)
			continue;
		snprintf(error->text, sizeof(error->text), "headers: %.*s: %.400s", STR_ARG(header->name), why.text);
		return false;
	}
	return true;
}

static void
token_read(struct http *http, struct xf_str token)
{
	struct bytes value = {NULL, 0, 0};

	if (token.len == 0)
		return;
	bytes_puts(&value, "Bearer ");
	bytes_str(&value, token);
	http->authorization = (struct xf_str){value.data, value.len};
}

static int32_t
http_create(const struct xf_host *host, struct xf_endpoint *endpoint, const struct xf_config *config,
            const struct xf_handler_info *info, void **instance, struct xf_error *error)
{
	struct http *http = need(calloc(1, sizeof(*http)));

	(void)info;
	http->host = host;
	http->endpoint = endpoint;
	http->method = (int)host->option(config, METHOD)->i64;
	http->replaces = host->option(config, ANSWER)->i64 == ANSWER_REPLACE;
	http->kept = host->option(config, KEEP_HEADERS);
	token_read(http, host->option(config, TOKEN)->str);
	if (!url_read(http, host->option(config, URL)->str, error) || !headers_read(http, host->option(config, HEADERS), error)) {
		http_destroy(http);
		return -1;
	}
	http->calls = calls_create(host, endpoint, config, 0, host->option(config, USER)->str, host->option(config, PASSWORD)->str,
	                           http_ended, http);
	*instance = http;
	return 0;
}

static int32_t
http_check(const struct xf_host *host, const struct xf_config *config, const struct xf_handler_info *info, struct xf_error *error)
{
	void *instance;

	if (http_create(host, NULL, config, info, &instance, error) != 0)
		return -1;
	http_destroy(instance);
	return 0;
}

static const struct xf_handler_ops ops = {
	.struct_size = sizeof(ops),
	.check = http_check,
	.create = http_create,
	.work = http_work,
	.process = http_process,
	.cancel = http_cancel,
	.stop = http_stop,
	.destroy = http_destroy,
	.numbers = http_numbers,
};

static const struct xf_handler_class http_class = {
	.head = {
		.struct_size = sizeof(http_class),
		.kind = XF_KIND_HANDLER,
		.name = "http",
		.summary = "Calls a URL with each message, and sends on what it answers",
	},
	.options = options,
	.ops = &ops,
};

const struct xf_entry *
xf_plugin_entry_v1(void)
{
	static const struct xf_class *const classes[] = {&http_class.head, NULL};
	static const struct xf_entry entry = {
		XF_ENTRY_HEAD,
		.id = "org.crossfade.handler-http",
		.version = XF_VERSION,
		.licence = "Apache-2.0",
		.url = "",
		.classes = classes,
	};

	return &entry;
}
