#include "web.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>
#include <cmocka.h>
#include <microhttpd.h>

#include "base/memory.h"

#define SAID_MAX 256
#define HELD_MAX 64

struct said {
	bool cut;
	unsigned status;
	char *headers, *body;
};

/* A request that comes in, or waits for its answer. */
struct exchange {
	char *path; /* as it was sent; taken where it was remembered */
	char *body;
	size_t len;
	bool begun;
	bool whole; /* it was remembered */
};

struct web {
	struct MHD_Daemon *daemon;
	unsigned port;

	pthread_mutex_t lock; /* of all below */
	struct said said[SAID_MAX];
	size_t said_count, said_next;
	struct web_request *requests;
	size_t count, connections;
	struct MHD_Connection *held[HELD_MAX];
	size_t held_count;
	bool hold;
};

static enum MHD_Result
header_note(void *context, enum MHD_ValueKind kind, const char *name, const char *value)
{
	char **headers = context, *grown;
	size_t len = strlen(*headers);

	(void)kind;
	if (asprintf(&grown, "%s%s: %s\n", *headers, name, value) < 0)
		abort();
	for (char *at = grown + len; *at != ':'; at++)
		*at = (char)tolower((unsigned char)*at);
	free(*headers);
	*headers = grown;
	return MHD_YES;
}

static void
remember_locked(struct web *web, struct MHD_Connection *connection, const char *method, struct exchange *exchange)
{
	struct web_request *request;

	web->requests = xf_grow_array(web->requests, web->count, web->count + 1, sizeof(*web->requests));
	request = &web->requests[web->count++];
	request->method = xf_strdup(method);
	request->path = exchange->path;
	exchange->path = NULL;
	request->headers = xf_strdup("");
	MHD_get_connection_values(connection, MHD_HEADER_KIND, header_note, &request->headers);
	request->body = xf_strdup(exchange->body != NULL ? exchange->body : "");
	exchange->whole = true;
}

static enum MHD_Result
answer_locked(struct web *web, struct MHD_Connection *connection, const struct exchange *exchange)
{
	static const struct said echo = {.status = 200};
	const struct said *said = web->said_next < web->said_count ? &web->said[web->said_next++] : &echo;
	const char *body = said->body != NULL ? said->body : exchange->body != NULL ? exchange->body : "";
	struct MHD_Response *response;
	enum MHD_Result result;

	if (said->cut)
		return MHD_NO;
	response = MHD_create_response_from_buffer(strlen(body), (void *)(uintptr_t)body, MHD_RESPMEM_MUST_COPY);
	for (const char *at = said->headers; at != NULL && *at != '\0'; at = strchr(at, '\n') + 1) {
		char name[100], value[200];

		assert_int_equal(sscanf(at, "%99[^:]: %199[^\n]", name, value), 2);
		MHD_add_response_header(response, name, value);
	}
	result = MHD_queue_response(connection, said->status, response);
	MHD_destroy_response(response);
	return result;
}

static void *
on_uri(void *context, const char *uri, struct MHD_Connection *connection)
{
	struct exchange *exchange = xf_alloc(sizeof(*exchange));

	(void)context, (void)connection;
	exchange->path = xf_strdup(uri);
	return exchange;
}

static enum MHD_Result
on_request(void *context, struct MHD_Connection *connection, const char *url, const char *method, const char *version,
           const char *data, size_t *size, void **state)
{
	struct web *web = context;
	struct exchange *exchange = *state;
	enum MHD_Result result = MHD_YES;

	(void)version, (void)url;
	if (!exchange->begun) {
		exchange->begun = true;
		return MHD_YES;
	}
	if (*size > 0) {
		exchange->body = xf_grow_array(exchange->body, exchange->len, exchange->len + *size + 1, 1);
		memcpy(exchange->body + exchange->len, data, *size);
		exchange->len += *size;
		exchange->body[exchange->len] = '\0';
		*size = 0;
		return MHD_YES;
	}
	pthread_mutex_lock(&web->lock);
	if (!exchange->whole)
		remember_locked(web, connection, method, exchange);
	if (web->hold && web->held_count < HELD_MAX) {
		MHD_suspend_connection(connection);
		web->held[web->held_count++] = connection;
	} else {
		result = answer_locked(web, connection, exchange);
	}
	pthread_mutex_unlock(&web->lock);
	return result;
}

static void
on_completed(void *context, struct MHD_Connection *connection, void **state, enum MHD_RequestTerminationCode why)
{
	struct exchange *exchange = *state;

	(void)context, (void)connection, (void)why;
	if (exchange == NULL)
		return;
	free(exchange->path);
	free(exchange->body);
	free(exchange);
	*state = NULL;
}

static void
on_connection(void *context, struct MHD_Connection *connection, void **state, enum MHD_ConnectionNotificationCode what)
{
	struct web *web = context;

	(void)connection, (void)state;
	pthread_mutex_lock(&web->lock);
	web->connections += what == MHD_CONNECTION_NOTIFY_STARTED;
	pthread_mutex_unlock(&web->lock);
}

/* NULL: without TLS. */
static struct web *
web_start(const char *cert, const char *key)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	const struct MHD_OptionItem tls[] = {{MHD_OPTION_HTTPS_MEM_CERT, 0, (void *)(uintptr_t)cert},
	                                     {MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)(uintptr_t)key},
	                                     {MHD_OPTION_END, 0, NULL}};
	struct web *web = xf_alloc(sizeof(*web));

	pthread_mutex_init(&web->lock, NULL);
	web->daemon = MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD | MHD_ALLOW_SUSPEND_RESUME | (cert != NULL ? MHD_USE_TLS : 0), 0,
	                               NULL, NULL, on_request, web, MHD_OPTION_SOCK_ADDR, &address, MHD_OPTION_URI_LOG_CALLBACK, on_uri,
	                               web, MHD_OPTION_NOTIFY_COMPLETED, on_completed, web, MHD_OPTION_NOTIFY_CONNECTION, on_connection,
	                               web, MHD_OPTION_ARRAY, cert != NULL ? tls : &tls[2], MHD_OPTION_END);
	if (web->daemon == NULL)
		fail_msg("the HTTP server does not start");
	web->port = MHD_get_daemon_info(web->daemon, MHD_DAEMON_INFO_BIND_PORT)->port;
	return web;
}

struct web *
web_create(void)
{
	return web_start(NULL, NULL);
}

static void
file_read(const char *dir, const char *name, char *text, size_t size)
{
	char path[512];
	size_t len;
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	file = fopen(path, "r");
	if (file == NULL)
		fail_msg("%s cannot be read", path);
	len = fread(text, 1, size - 1, file);
	text[len] = '\0';
	fclose(file);
}

struct web *
web_create_tls(const char *dir)
{
	char cert[16384], key[16384];

	file_read(dir, "server.pem", cert, sizeof(cert));
	file_read(dir, "server.key", key, sizeof(key));
	return web_start(cert, key);
}

unsigned
web_port(const struct web *web)
{
	return web->port;
}

void
web_destroy(struct web **pointer)
{
	struct web *web = *pointer;

	*pointer = NULL;
	web_hold(web, false);
	MHD_stop_daemon(web->daemon);
	for (size_t i = 0; i < web->count; i++) {
		free(web->requests[i].method);
		free(web->requests[i].path);
		free(web->requests[i].headers);
		free(web->requests[i].body);
	}
	free(web->requests);
	for (size_t i = 0; i < web->said_count; i++) {
		free(web->said[i].headers);
		free(web->said[i].body);
	}
	pthread_mutex_destroy(&web->lock);
	free(web);
}

static void
said_add(struct web *web, struct said said)
{
	pthread_mutex_lock(&web->lock);
	assert_true(web->said_count < SAID_MAX);
	web->said[web->said_count++] = said;
	pthread_mutex_unlock(&web->lock);
}

void
web_say(struct web *web, unsigned status, const char *headers, const char *body)
{
	said_add(web, (struct said){.status = status, .headers = xf_strdup(headers), .body = xf_strdup(body)});
}

void
web_cut(struct web *web)
{
	said_add(web, (struct said){.cut = true});
}

void
web_hold(struct web *web, bool hold)
{
	pthread_mutex_lock(&web->lock);
	web->hold = hold;
	while (!hold && web->held_count > 0)
		MHD_resume_connection(web->held[--web->held_count]);
	pthread_mutex_unlock(&web->lock);
}

void
web_chat(struct web *web, const char *content, unsigned tokens)
{
	cJSON *root = cJSON_CreateObject(), *usage = cJSON_CreateObject(), *message = cJSON_CreateObject();
	cJSON *choice = cJSON_CreateObject(), *choices = cJSON_CreateArray();
	char *text;

	cJSON_AddStringToObject(message, "role", "assistant");
	cJSON_AddStringToObject(message, "content", content);
	cJSON_AddNumberToObject(choice, "index", 0);
	cJSON_AddItemToObject(choice, "message", message);
	cJSON_AddStringToObject(choice, "finish_reason", "stop");
	cJSON_AddItemToArray(choices, choice);
	cJSON_AddNumberToObject(usage, "prompt_tokens", tokens / 2);
	cJSON_AddNumberToObject(usage, "completion_tokens", tokens - tokens / 2);
	cJSON_AddNumberToObject(usage, "total_tokens", tokens);
	cJSON_AddStringToObject(root, "id", "chatcmpl-1");
	cJSON_AddStringToObject(root, "object", "chat.completion");
	cJSON_AddItemToObject(root, "choices", choices);
	cJSON_AddItemToObject(root, "usage", usage);
	text = cJSON_PrintUnformatted(root);
	web_say(web, 200, "Content-Type: application/json\n", text);
	cJSON_free(text);
	cJSON_Delete(root);
}

size_t
web_count(struct web *web)
{
	size_t count;

	pthread_mutex_lock(&web->lock);
	count = web->count;
	pthread_mutex_unlock(&web->lock);
	return count;
}

struct web_request
web_request(struct web *web, size_t index)
{
	struct web_request request;

	pthread_mutex_lock(&web->lock);
	assert_true(index < web->count);
	request = web->requests[index];
	pthread_mutex_unlock(&web->lock);
	return request;
}

bool
web_has_header(const struct web_request *request, const char *line)
{
	size_t len = strlen(line);

	for (const char *at = request->headers; (at = strstr(at, line)) != NULL; at++)
		if ((at == request->headers || at[-1] == '\n') && at[len] == '\n')
			return true;
	return false;
}

size_t
web_connections(struct web *web)
{
	size_t connections;

	pthread_mutex_lock(&web->lock);
	connections = web->connections;
	pthread_mutex_unlock(&web->lock);
	return connections;
}
