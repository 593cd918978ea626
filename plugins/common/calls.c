#include "calls.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "multi.h"

#define PAUSE_FIRST_MS 200u
#define PAUSE_MAX_MS 10000u
#define RETRY_AFTER_MAX_S 3600
#define KEPT_MAX (256u << 10) /* memory for answers that a slot keeps */
#define QUOTED_MAX 200

enum { TLS_CA, TLS_CERT, TLS_KEY, TLS_VERIFY };

static const struct xf_option *const tls_fields[] = {
	[TLS_CA] = ROW(.type = XF_OPTION_PATH, .key = "ca",
	               .help = "Certificates in PEM that the server must be signed by; without it the system's"),
	[TLS_CERT] = ROW(.type = XF_OPTION_PATH, .key = "cert", .help = "Client certificate in PEM, with the chain behind it"),
	[TLS_KEY] = ROW(.type = XF_OPTION_PATH, .key = "key", .help = "Its private key in PEM"),
	[TLS_VERIFY] = ROW(.type = XF_OPTION_BOOL, .key = "verify", .def = "true",
	                   .help = "Whether the server's certificate is checked; false is for tests only"),
	NULL,
};

#define OPTION(kind, name, ...)                                                                                    \
	{.struct_size = sizeof(struct xf_option), .type = XF_OPTION_##kind, .key = name, __VA_ARGS__}

const struct xf_option calls_concurrency = OPTION(I64, "concurrency", .def = "16", .min = 1, .max = 1024, .unit = "calls",
	.help = "How many calls are under way at once, each on a connection of its own, which stays");
const struct xf_option calls_request_timeout = OPTION(DURATION, "request_timeout", .def = "30s", .min = 10, .max = 3600000,
	.help = "How long a call may take, from connecting to the end of its answer");
const struct xf_option calls_connect_timeout = OPTION(DURATION, "connect_timeout", .def = "5s", .min = 10, .max = 60000,
	.help = "How long connecting may take, the TLS handshake included");
const struct xf_option calls_max_answer = OPTION(BYTES, "max_answer", .def = "8MiB", .min = 1, .max = 1 << 30,
	.help = "The longest answer that is taken");
const struct xf_option calls_proxy = OPTION(URL, "proxy",
	.help = "Proxy that calls go through, http://host:port or socks5h://host:port; the environment's is not asked");
const struct xf_option calls_tls = OPTION(MAP, "tls", .fields = tls_fields, .help = "How the server proves who it is, and we to it");

struct slot {
	CURL *easy;
	bool busy;
	bool probing; /* begun after a pause, to see whether that is over */
	uint64_t token;
	const struct xf_incoming *message;
	struct curl_slist *headers;
	struct bytes body, answer;
	bool too_long;
	char wrong[CURL_ERROR_SIZE];
};

enum { COUNT_MADE, COUNT_FAILED, COUNT_LATER, COUNT_REFUSED, COUNT_OPEN };

struct calls {
	const struct xf_host *host;
	struct xf_endpoint *endpoint;
	void (*ended)(void *context, const struct call_end *end);
	void *context;
	struct xf_str user, password;

	uint32_t concurrency;
	long request_timeout_ms, connect_timeout_ms;
	uint64_t max_answer;
	struct xf_str proxy, ca, cert, key;
	bool verify;

	struct multi multi;
	struct slot *slots;
	uint32_t busy;
	struct bytes line;

	/* the server */
	bool told, fault; /* FAULT until a call shows that it is over */
	uint64_t pause_until_ms;
	uint32_t pause_ms;

	_Atomic uint64_t counts[CALLS_NUMBERS];
};

/* ---- Life ----------------------------------------------------------------------------------- */

struct calls *
calls_create(const struct xf_host *host, struct xf_endpoint *endpoint, const struct xf_config *config, uint32_t first,
             struct xf_str user, struct xf_str password, void (*ended)(void *context, const struct call_end *end), void *context)
{
	struct calls *calls = need(calloc(1, sizeof(*calls)));
	const struct xf_config *tls = host->option(config, first + CALLS_TLS)->map;

	calls->host = host;
	calls->endpoint = endpoint;
	calls->ended = ended;
	calls->context = context;
	calls->user = user;
	calls->password = password;
	calls->concurrency = (uint32_t)host->option(config, first + CALLS_CONCURRENCY)->i64;
	calls->request_timeout_ms = (long)host->option(config, first + CALLS_REQUEST_TIMEOUT)->i64;
	calls->connect_timeout_ms = (long)host->option(config, first + CALLS_CONNECT_TIMEOUT)->i64;
	calls->max_answer = (uint64_t)host->option(config, first + CALLS_MAX_ANSWER)->i64;
	calls->proxy = host->option(config, first + CALLS_PROXY)->str;
	calls->verify = true;
	if (tls != NULL) {
		calls->ca = host->option(tls, TLS_CA)->str;
		calls->cert = host->option(tls, TLS_CERT)->str;
		calls->key = host->option(tls, TLS_KEY)->str;
		calls->verify = host->option(tls, TLS_VERIFY)->i64;
	}
	calls->slots = need(calloc(calls->concurrency, sizeof(*calls->slots)));
	return calls;
}

static void
slot_end(struct calls *calls, struct slot *slot)
{
	curl_multi_remove_handle(calls->multi.curl, slot->easy);
	curl_slist_free_all(slot->headers);
	slot->headers = NULL;
	bytes_fini(&slot->body);
	if (slot->answer.size > KEPT_MAX)
		bytes_fini(&slot->answer);
	slot->busy = false;
	calls->busy--;
}

void
calls_stop(struct calls *calls)
{
	for (uint32_t i = 0; i < calls->concurrency; i++) {
		struct slot *slot = &calls->slots[i];

		if (slot->busy)
			slot_end(calls, slot);
		if (slot->easy != NULL)
			curl_easy_cleanup(slot->easy);
		slot->easy = NULL;
	}
	multi_close(&calls->multi);
}

void
calls_destroy(struct calls **pointer)
{
	struct calls *calls = *pointer;

	*pointer = NULL;
	if (calls == NULL)
		return;
	for (uint32_t i = 0; i < calls->concurrency; i++)
		bytes_fini(&calls->slots[i].answer);
	free(calls->slots);
	bytes_fini(&calls->line);
	free(calls);
}

/* ---- Beginning -------------------------------------------------------------------------------- */

bool
calls_paused(const struct calls *calls)
{
	return calls->fault && (calls->busy > 0 || calls->host->now_ms() < calls->pause_until_ms);
}

uint32_t
calls_room(const struct calls *calls)
{
	if (calls->multi.curl == NULL || calls_paused(calls))
		return 0;
	return calls->fault ? 1 : calls->concurrency - calls->busy;
}

static size_t
on_answer(char *data, size_t size, size_t count, void *context)
{
	struct slot *slot = context;
	struct calls *calls = NULL;
	size_t bytes = size * count;

	curl_easy_getinfo(slot->easy, CURLINFO_PRIVATE, (char **)&calls);
	slot->too_long = slot->answer.len + bytes > calls->max_answer;
	if (slot->too_long)
		return 0;
	bytes_add(&slot->answer, data, bytes);
	return bytes;
}

static bool
header_is_safe(struct xf_str text)
{
	for (size_t i = 0; i < text.len; i++)
		if (((unsigned char)text.data[i] < ' ' && text.data[i] != '\t') || text.data[i] == 0x7f)
			return false;
	return true;
}

static bool
header_add(struct calls *calls, struct slot *slot, struct xf_str name, struct xf_str value, struct xf_error *error)
{
	if (!header_is_safe(name) || !header_is_safe(value)) {
		snprintf(error->text, sizeof(error->text), "header '%.*s' has a control character", STR_ARG(name));
		return false;
	}
	calls->line.len = 0;
	bytes_str(&calls->line, name);
	/* libcurl's way to say that there is a header without a value */
	bytes_puts(&calls->line, value.len > 0 ? ": " : ";");
	bytes_str(&calls->line, value);
	bytes_add(&calls->line, "", 1);
	slot->headers = need(curl_slist_append(slot->headers, calls->line.data));
	return true;
}

static bool
headers_make(struct calls *calls, struct slot *slot, const struct call *call, struct xf_error *error)
{
	/* An empty one takes away what libcurl would say itself. */
	slot->headers = need(curl_slist_append(NULL, "Expect:"));
	slot->headers = need(curl_slist_append(slot->headers, "Content-Type:"));
	for (uint32_t i = 0; i < call->header_count; i++)
		if (!header_add(calls, slot, call->headers[i].name, call->headers[i].value, error)) {
			curl_slist_free_all(slot->headers);
			slot->headers = NULL;
			return false;
		}
	return true;
}

static void
easy_prepare(const struct calls *calls, struct slot *slot)
{
	CURL *easy = slot->easy;

	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, slot->wrong);
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(easy, CURLOPT_PROXY, calls->proxy.len > 0 ? calls->proxy.data : "");
	curl_easy_setopt(easy, CURLOPT_USERAGENT, "crossfade/" XF_VERSION);
	curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, calls->connect_timeout_ms);
	curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, calls->request_timeout_ms);
	curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, calls->verify ? 1L : 0L);
	curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, calls->verify ? 2L : 0L);
	if (calls->ca.len > 0) { /* in the place of the system's, not beside them */
		curl_easy_setopt(easy, CURLOPT_CAINFO, calls->ca.data);
		curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
	}
	if (calls->cert.len > 0) {
		curl_easy_setopt(easy, CURLOPT_SSLCERT, calls->cert.data);
		if (calls->key.len > 0)
			curl_easy_setopt(easy, CURLOPT_SSLKEY, calls->key.data);
	}
	if (calls->user.len > 0) {
		curl_easy_setopt(easy, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
		curl_easy_setopt(easy, CURLOPT_USERNAME, calls->user.data);
		curl_easy_setopt(easy, CURLOPT_PASSWORD, calls->password.len > 0 ? calls->password.data : "");
	}
}

static void
body_set(struct slot *slot, const struct call *call)
{
	const void *data = call->message->payload;
	uint64_t size = call->message->payload_size;

	if (call->body != NULL) {
		slot->body = *call->body;
		*call->body = (struct bytes){NULL, 0, 0};
		data = slot->body.data;
		size = slot->body.len;
	}
	if (call->silent) {
		curl_easy_setopt(slot->easy, CURLOPT_HTTPGET, 1L);
	} else {
		curl_easy_setopt(slot->easy, CURLOPT_POST, 1L);
		curl_easy_setopt(slot->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)size);
		curl_easy_setopt(slot->easy, CURLOPT_POSTFIELDS, size > 0 ? data : "");
	}
	curl_easy_setopt(slot->easy, CURLOPT_CUSTOMREQUEST, call->method);
}

bool
calls_begin(struct calls *calls, const struct call *call, struct xf_error *error)
{
	struct slot *slot = calls->slots;

	while (slot->busy)
		slot++; /* there is room */
	if (slot->easy == NULL)
		slot->easy = need(curl_easy_init());
	if (!headers_make(calls, slot, call, error))
		return false;
	curl_easy_reset(slot->easy);
	slot->token = call->token;
	slot->message = call->message;
	slot->probing = calls->fault;
	slot->too_long = false;
	slot->wrong[0] = '\0';
	slot->answer.len = 0;
	easy_prepare(calls, slot);
	body_set(slot, call);
	calls->line.len = 0;
	bytes_str(&calls->line, call->url);
	bytes_add(&calls->line, "", 1);
	curl_easy_setopt(slot->easy, CURLOPT_URL, calls->line.data);
	curl_easy_setopt(slot->easy, CURLOPT_HTTPHEADER, slot->headers);
	curl_easy_setopt(slot->easy, CURLOPT_PRIVATE, calls);
	curl_easy_setopt(slot->easy, CURLOPT_WRITEFUNCTION, on_answer);
	curl_easy_setopt(slot->easy, CURLOPT_WRITEDATA, slot);
	if (curl_multi_add_handle(calls->multi.curl, slot->easy) != CURLM_OK)
		need(NULL);
	slot->busy = true;
	calls->busy++;
	atomic_fetch_add_explicit(&calls->counts[COUNT_MADE], 1, memory_order_relaxed);
	atomic_store_explicit(&calls->counts[COUNT_OPEN], calls->busy, memory_order_relaxed);
	calls->host->wake(calls->endpoint);
	return true;
}

void
calls_cancel(struct calls *calls, uint64_t token)
{
	for (uint32_t i = 0; i < calls->concurrency; i++)
		if (calls->slots[i].busy && calls->slots[i].token == token) {
			slot_end(calls, &calls->slots[i]);
			calls->host->wake(calls->endpoint); /* there is room again */
			return;
		}
}

/* ---- Verdicts ----------------------------------------------------------------------------------- */

struct verdict {
	uint32_t code;      /* XF_OUTCOME_* */
	uint32_t status;    /* for whoever asked */
	uint32_t delay_ms;  /* asked for by the server; 0: none */
	bool all;           /* it is no affair of this task */
	char reason[400];
	char why[300];      /* of ALL: what the operator sees */
};

/* Doubles, with jitter, up to a bound. */
static uint32_t
pause_next(struct calls *calls)
{
	calls->pause_ms = calls->pause_ms == 0 ? PAUSE_FIRST_MS : calls->pause_ms * 2;
	if (calls->pause_ms > PAUSE_MAX_MS)
		calls->pause_ms = PAUSE_MAX_MS;
	return calls->pause_ms - (uint32_t)((calls->host->now_ms() * 2654435761u >> 8) % (calls->pause_ms / 4 + 1));
}

/* Of several that run into the same the first makes the pause; one that was to find out whether it is over makes it longer. */
static void
fault_set(struct calls *calls, const struct slot *slot, struct verdict *verdict)
{
	uint64_t now = calls->host->now_ms(), until = now + verdict->delay_ms;

	if (verdict->delay_ms == 0 && (!calls->fault || slot->probing))
		until = now + pause_next(calls);
	calls->fault = true;
	if (until > calls->pause_until_ms)
		calls->pause_until_ms = until;
	verdict->delay_ms = (uint32_t)(calls->pause_until_ms - now) + 1;
	calls->host->state(calls->endpoint, XF_STATE_BLOCKED, verdict->why);
}

/* The server worked on a task. One that was sent before it asked for a pause does not end that. */
static void
fault_clear(struct calls *calls, const struct slot *slot)
{
	if (!calls->fault || !slot->probing)
		return;
	calls->fault = false;
	calls->pause_ms = 0;
	calls->pause_until_ms = 0;
	calls->host->state(calls->endpoint, XF_STATE_UP, NULL);
}

/* The beginning of an answer, on one line. */
static void
answer_quote(const struct slot *slot, char *out)
{
	size_t len = slot->answer.len < QUOTED_MAX ? slot->answer.len : QUOTED_MAX;

	for (size_t i = 0; i < len; i++)
		out[i] = (unsigned char)slot->answer.data[i] < ' ' || slot->answer.data[i] == 0x7f ? ' ' : slot->answer.data[i];
	/* not within a character */
	while (len > 0 && len < slot->answer.len && ((unsigned char)slot->answer.data[len] & 0xc0) == 0x80)
		len--;
	out[len] = '\0';
}

static void
status_judge(struct slot *slot, uint32_t status, struct verdict *v)
{
	char quoted[QUOTED_MAX + 1];
	const char *remedy = "";
	curl_off_t retry_after_s = 0;

	curl_easy_getinfo(slot->easy, CURLINFO_RETRY_AFTER, &retry_after_s);
	if (retry_after_s > RETRY_AFTER_MAX_S)
		retry_after_s = RETRY_AFTER_MAX_S;
	v->delay_ms = (uint32_t)retry_after_s * 1000;
	v->code = XF_OUTCOME_FAIL;
	v->status = status == 503 || status == 504 ? status : 502;
	if (status >= 200 && status < 300) {
		v->code = XF_OUTCOME_PASS;
		return;
	}
	if (status == 401 || status == 407) {
		v->code = XF_OUTCOME_LATER;
		v->all = true;
		remedy = "; it wants other credentials";
	} else if (status == 429 || (status == 503 && retry_after_s > 0)) {
		v->code = XF_OUTCOME_LATER;
		v->all = true;
	} else if (status >= 300 && status < 400) {
		remedy = "; redirections are not followed";
	} else if (status >= 400 && status < 500 && status != 408 && status != 425) {
		v->code = XF_OUTCOME_REFUSE;
		v->status = status;
		v->delay_ms = 0;
	}
	answer_quote(slot, quoted);
	snprintf(v->why, sizeof(v->why), "the server answers HTTP status %u%s", status, remedy);
	snprintf(v->reason, sizeof(v->reason), "HTTP status %u%s%s%s", status, remedy, quoted[0] != '\0' ? ": " : "", quoted);
}

static void
failure_judge(const struct calls *calls, struct slot *slot, CURLcode why, struct verdict *v)
{
	const char *remedy = "";
	long sent = 0;

	curl_easy_getinfo(slot->easy, CURLINFO_REQUEST_SIZE, &sent);
	if (why == CURLE_PEER_FAILED_VERIFICATION && calls->ca.len == 0)
		remedy = "; set tls.ca where the server's CA is not the system's";
	else if (why == CURLE_SSL_CERTPROBLEM)
		remedy = "; look at tls.cert and tls.key";
	else if (why == CURLE_SSL_CACERT_BADFILE)
		remedy = "; look at tls.ca";
	v->code = sent > 0 || why == CURLE_URL_MALFORMAT ? XF_OUTCOME_FAIL : XF_OUTCOME_LATER;
	v->all = v->code == XF_OUTCOME_LATER;
	v->status = why == CURLE_OPERATION_TIMEDOUT ? 504 : 502;
	if (slot->too_long)
		snprintf(v->reason, sizeof(v->reason), "the answer is longer than %llu bytes (max_answer)",
		         (unsigned long long)calls->max_answer);
	else if (why == CURLE_OPERATION_TIMEDOUT && sent > 0)
		snprintf(v->reason, sizeof(v->reason), "no answer within %ld ms (request_timeout)", calls->request_timeout_ms);
	else
		snprintf(v->reason, sizeof(v->reason), "%.250s%s", slot->wrong[0] != '\0' ? slot->wrong : curl_easy_strerror(why), remedy);
	/* Without libcurl's words, which tell milliseconds and so differ each time. */
	snprintf(v->why, sizeof(v->why), "%s%s", curl_easy_strerror(why), remedy);
}

/* ---- Ending --------------------------------------------------------------------------------------- */

static void
verdict_count(struct calls *calls, uint32_t code)
{
	int which = code == XF_OUTCOME_FAIL ? COUNT_FAILED : code == XF_OUTCOME_LATER ? COUNT_LATER : COUNT_REFUSED;

	if (code != XF_OUTCOME_PASS)
		atomic_fetch_add_explicit(&calls->counts[which], 1, memory_order_relaxed);
}

static void
slot_take(struct calls *calls, struct slot *slot, CURLcode why)
{
	struct verdict verdict = {.code = 0};
	struct call_end end = {.token = slot->token, .message = slot->message, .easy = slot->easy};
	const char *type = NULL;
	long status = 0;

	if (why == CURLE_OK) {
		curl_easy_getinfo(slot->easy, CURLINFO_RESPONSE_CODE, &status);
		status_judge(slot, (uint32_t)status, &verdict);
	} else {
		failure_judge(calls, slot, why, &verdict);
	}
	if (verdict.all)
		fault_set(calls, slot, &verdict);
	else
		fault_clear(calls, slot);
	verdict_count(calls, verdict.code);
	curl_easy_getinfo(slot->easy, CURLINFO_CONTENT_TYPE, &type);
	end.status = (uint32_t)status;
	end.body = (struct xf_str){slot->answer.data, slot->answer.len};
	end.content_type = str_of(type != NULL ? type : "");
	end.verdict = (struct xf_outcome){
		.token = slot->token,
		.code = verdict.code,
		.delay_ms = verdict.delay_ms,
		.reason = str_of(verdict.reason),
		.status = verdict.status,
	};
	curl_multi_remove_handle(calls->multi.curl, slot->easy); /* its answer stays */
	calls->ended(calls->context, &end);
	slot_end(calls, slot);
}

bool
call_end_header(const struct call_end *end, const char *name, struct xf_str *value)
{
	struct curl_header *header = NULL;

	if (curl_easy_header(end->easy, name, 0, CURLH_HEADER, -1, &header) != CURLHE_OK)
		return false;
	*value = str_of(header->value);
	return true;
}

static void
done_take(struct calls *calls)
{
	const CURLMsg *message;
	int left;

	while ((message = curl_multi_info_read(calls->multi.curl, &left)) != NULL)
		for (uint32_t i = 0; i < calls->concurrency && message->msg == CURLMSG_DONE; i++)
			if (calls->slots[i].busy && calls->slots[i].easy == message->easy_handle) {
				slot_take(calls, &calls->slots[i], message->data.result);
				break;
			}
}

void
calls_work(struct calls *calls, struct xf_work *work)
{
	uint64_t now;

	if (calls->multi.curl == NULL && !multi_open(&calls->multi, calls->host, calls->concurrency)) {
		calls->host->state(calls->endpoint, XF_STATE_DOWN, "out of memory or descriptors");
		return;
	}
	if (!calls->told) {
		calls->told = true;
		calls->host->state(calls->endpoint, XF_STATE_UP, NULL);
	}
	for (int i = 0; i < 8 && (i == 0 || multi_is_due(&calls->multi)); i++) {
		multi_act(&calls->multi);
		done_take(calls);
	}
	atomic_store_explicit(&calls->counts[COUNT_OPEN], calls->busy, memory_order_relaxed);
	now = calls->host->now_ms();
	work->room = calls_room(calls);
	if (calls->pause_until_ms > now && calls->pause_until_ms - now < work->timeout_ms)
		work->timeout_ms = (uint32_t)(calls->pause_until_ms - now);
	multi_wait(&calls->multi, work);
}

uint32_t
calls_numbers(struct calls *calls, struct xf_number *numbers, uint32_t count)
{
	static const struct xf_number shown[CALLS_NUMBERS] = {
		[COUNT_MADE] = {.name = "calls", .help = "Calls that were begun"},
		[COUNT_FAILED] = {.name = "calls_failed", .help = "Calls that failed and used up an attempt"},
		[COUNT_LATER] = {.name = "calls_later", .help = "Calls that are made again, since the server was away or asked for a pause"},
		[COUNT_REFUSED] = {.name = "calls_refused", .help = "Calls that the server refused (4xx)"},
		[COUNT_OPEN] = {.name = "calls_open", .help = "Calls under way", .gauge = 1},
	};

	for (uint32_t i = 0; i < CALLS_NUMBERS && i < count; i++) {
		numbers[i] = shown[i];
		numbers[i].value = atomic_load_explicit(&calls->counts[i], memory_order_relaxed);
	}
	return CALLS_NUMBERS;
}
