#include "client.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/memory.h"
#include "load.h"
#include "tool.h"

enum {
	CONNECT_MS_MAX = 5000,
	ANSWER_MS_MAX = 60000, /* a change waits for the server's disk */
	ANSWER_BYTES_MAX = 64 * 1024 * 1024,
};

struct client {
	CURL *curl;
	char *socket;
	char *where;
};

/* The socket that a file names, or NULL with *STATUS. */
static char *
socket_of_file(const char *file, int *status)
{
	struct loaded loaded;
	char *socket = NULL;

	if (loaded_init(&loaded, file)) {
		socket = xf_strdup(loaded.conf->server.admin_socket);
	} else {
		fputs(loaded.errors.data != NULL ? loaded.errors.data : "", stderr);
		*status = complain(EXIT_CONFIG,
			           "%s does not say where the server listens; mend it, or name the socket "
			           "with --socket PATH",
			           file);
	}
	loaded_fini(&loaded);
	return socket;
}

static char *
socket_find(const struct where *where, int *status)
{
	if (where->socket != NULL)
		return xf_strdup(where->socket);
	if (where->file == NULL && access(DEFAULT_FILE, F_OK) != 0) {
		*status = complain(EXIT_USAGE, "which server? There is no " DEFAULT_FILE
			                       "; give -c FILE or --socket PATH");
		return NULL;
	}
	return socket_of_file(where->file != NULL ? where->file : DEFAULT_FILE, status);
}

struct client *
client_open(const struct where *where, int *status)
{
	char *socket = socket_find(where, status);
	struct client *client;

	if (socket == NULL)
		return NULL;
	if (strlen(socket) >= sizeof((struct sockaddr_un *)0)->sun_path) {
		*status = complain(EXIT_USAGE, "%s: too long for a socket's path", socket);
		free(socket);
		return NULL;
	}
	curl_global_init(CURL_GLOBAL_DEFAULT);
	client = xf_alloc(sizeof *client);
	client->socket = socket;
	client->where = where->socket != NULL ? xf_format(" --socket %s", where->socket)
	                : where->file != NULL ? xf_format(" -c %s", where->file)
	                                      : xf_strdup("");
	client->curl = curl_easy_init();
	if (client->curl == NULL) {
		*status = complain(EXIT_FAILED, "libcurl does not start");
		client_close(&client);
	}
	return client;
}

void
client_close(struct client **client)
{
	if (*client == NULL)
		return;
	if ((*client)->curl != NULL)
		curl_easy_cleanup((*client)->curl);
	curl_global_cleanup();
	free((*client)->socket);
	free((*client)->where);
	free(*client);
	*client = NULL;
}

const char *
client_where(const struct client *client)
{
	return client->where;
}

static size_t
on_data(char *data, size_t one, size_t len, void *context)
{
	struct xf_buffer *answer = context;

	(void)one;
	if (answer->len + len > ANSWER_BYTES_MAX)
		return 0;
	xf_buffer_append(answer, data, len);
	return len;
}

/* "http://localhost" and the path with the name in place, encoded. */
static char *
url_make(struct client *client, const char *path, const char *name)
{
	const char *hole = strstr(path, "%s");
	char *encoded, *url;

	if (hole == NULL)
		return xf_format("http://localhost%s", path);
	encoded = curl_easy_escape(client->curl, name, 0);
	url = xf_format("http://localhost%.*s%s%s", (int)(hole - path), path, encoded != NULL ? encoded : "",
		        hole + 2);
	curl_free(encoded);
	return url;
}

static int
nobody_answers(const struct client *client, CURLcode result)
{
	long os = 0;

	curl_easy_getinfo(client->curl, CURLINFO_OS_ERRNO, &os);
	if (result != CURLE_COULDNT_CONNECT)
		return complain(EXIT_FAILED, "%s: %s", client->socket, curl_easy_strerror(result));
	if (access(client->socket, F_OK) != 0 && errno != EACCES)
		return complain(EXIT_FAILED,
			        "no server at %s: %s; is crossfaded running with this configuration?",
			        client->socket, strerror(errno));
	/* The folder may hide the socket, too. */
	if (os == EACCES || access(client->socket, W_OK) != 0)
		return complain(EXIT_FAILED,
			        "%s: permission denied; be in the group of the socket, or use sudo",
			        client->socket);
	return complain(EXIT_FAILED, "nobody answers at %s; crossfaded has stopped: start it again",
		        client->socket);
}

static cJSON *
answer_read(const struct client *client, const struct xf_buffer *answer, int *status)
{
	cJSON *root = answer->len > 0 ? cJSON_ParseWithLength(answer->data, answer->len) : NULL;
	const cJSON *error;
	long code = 0;

	curl_easy_getinfo(client->curl, CURLINFO_RESPONSE_CODE, &code);
	if (root == NULL) {
		*status = complain(EXIT_FAILED,
			           "%s: no crossfade server, or one that is not understood (HTTP %ld)",
			           client->socket, code);
	} else if (code >= 400 && cJSON_HasObjectItem(root, "title")) {
		const char *detail = json_text(root, "detail");

		cJSON_ArrayForEach(error, cJSON_GetObjectItemCaseSensitive(root, "errors"))
			fprintf(stderr, "%s\n", cJSON_IsString(error) ? error->valuestring : "");
		*status = complain(EXIT_FAILED, "%s", detail[0] != '\0' ? detail : json_text(root, "title"));
		cJSON_Delete(root);
		root = NULL;
	}
	return root;
}

static CURLcode
request_perform(struct client *client, const char *method, const char *path, const char *name, const char *body,
	        struct xf_buffer *answer)
{
	char *url = url_make(client, path, name);
	struct curl_slist *headers = curl_slist_append(NULL, "Expect:");
	CURLcode result;

	if (body != NULL)
		headers = curl_slist_append(headers, "Content-Type: application/json");
	curl_easy_reset(client->curl);
	curl_easy_setopt(client->curl, CURLOPT_UNIX_SOCKET_PATH, client->socket);
	curl_easy_setopt(client->curl, CURLOPT_URL, url);
	curl_easy_setopt(client->curl, CURLOPT_CUSTOMREQUEST, method);
	curl_easy_setopt(client->curl, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(client->curl, CURLOPT_PROXY, "");
	curl_easy_setopt(client->curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(client->curl, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS_MAX);
	curl_easy_setopt(client->curl, CURLOPT_TIMEOUT_MS, (long)ANSWER_MS_MAX);
	curl_easy_setopt(client->curl, CURLOPT_WRITEFUNCTION, on_data);
	curl_easy_setopt(client->curl, CURLOPT_WRITEDATA, answer);
	if (strcmp(method, "GET") != 0)
		curl_easy_setopt(client->curl, CURLOPT_POSTFIELDS, body != NULL ? body : "");
	result = curl_easy_perform(client->curl);
	curl_slist_free_all(headers);
	free(url);
	return result;
}

cJSON *
client_ask(struct client *client, const char *method, const char *path, const char *name, const char *body,
	   int *status)
{
	struct xf_buffer answer = {0};
	CURLcode result = request_perform(client, method, path, name, body, &answer);
	cJSON *root = NULL;

	if (result != CURLE_OK)
		*status = nobody_answers(client, result);
	else
		root = answer_read(client, &answer, status);
	xf_buffer_fini(&answer);
	return root;
}

cJSON *
client_try(struct client *client, const char *path)
{
	struct xf_buffer answer = {0};
	cJSON *root = NULL;

	if (request_perform(client, "GET", path, NULL, NULL, &answer) == CURLE_OK && answer.len > 0)
		root = cJSON_ParseWithLength(answer.data, answer.len);
	xf_buffer_fini(&answer);
	return root;
}

void
json_print(const cJSON *answer)
{
	char *text = cJSON_Print(answer);

	puts(text != NULL ? text : "{}");
	cJSON_free(text);
}

void
json_print_line(const cJSON *answer)
{
	char *text = cJSON_PrintUnformatted(answer);

	puts(text != NULL ? text : "{}");
	cJSON_free(text);
}

double
json_number(const cJSON *object, const char *key)
{
	const cJSON *value = cJSON_GetObjectItemCaseSensitive(object, key);

	return cJSON_IsNumber(value) ? value->valuedouble : 0;
}

uint64_t
json_count(const cJSON *object, const char *key)
{
	double value = json_number(object, key);

	return value >= 0 && value < 1.8e19 ? (uint64_t)value : 0;
}

const char *
json_text(const cJSON *object, const char *key)
{
	const cJSON *value = cJSON_GetObjectItemCaseSensitive(object, key);

	return cJSON_IsString(value) ? value->valuestring : "";
}

bool
json_true(const cJSON *object, const char *key)
{
	return cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(object, key));
}

const char *
json_mirror(const cJSON *migration)
{
	const cJSON *mirror = cJSON_GetObjectItemCaseSensitive(migration, "mirror");

	if (cJSON_IsString(mirror))
		return mirror->valuestring;
	return cJSON_IsTrue(mirror) ? "on" : "off";
}
