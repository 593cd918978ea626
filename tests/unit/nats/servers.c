/*
 * servers.c - which servers a link goes to, in which order, and what their URLs say.
 */
#include "../../../plugins/transport/nats/servers.c"
#include "../../../plugins/transport/nats/json.c"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* What servers.c has of the rest of the plugin. */
char *
copy_string(struct xf_str string)
{
	char *copy = need(malloc(string.len + 1));

	memcpy(copy, string.data, string.len);
	copy[string.len] = '\0';
	return copy;
}

uint32_t
random_below(uint32_t bound)
{
	static uint32_t last = 12345;

	last = last * 1664525u + 1013904223u;
	return (last >> 8) % bound;
}

static struct xf_str
str(const char *text)
{
	return (struct xf_str){text, strlen(text)};
}

static void
test_urls(void **state)
{
	static const struct {
		const char *url, *address, *user, *password;
		bool tls;
	} good[] = {
		{"nats://Host", "host:4222", NULL, NULL, false},
		{"nats://host:1", "host:1", NULL, NULL, false},
		{"tls://host:65535/", "host:65535", NULL, NULL, true},
		{"NATS://localhost:7", "127.0.0.1:7", NULL, NULL, false},
		{"nats://u:p@host", "host:4222", "u", "p", false},
		{"nats://u:@host", "host:4222", "u", "", false},
		{"nats://token@host", "host:4222", "token", NULL, false},
		{"nats://u%40x:p%2Fq%3@host", "host:4222", "u@x", "p/q%3", false},
		{"nats://u:p@x@host", "host:4222", "u", "p@x", false},
		{"nats://[::1]", "[::1]:4222", NULL, NULL, false},
		{"nats://[FE80::1]:9", "[fe80::1]:9", NULL, NULL, false},
	};
	static const char *const bad[] = {
		"", "nats://", "nats://:4222", "http://host", "nats://host:", "nats://host:0", "nats://host:65536",
		"nats://host:12x", "nats://host/path", "nats://host?x", "nats://[::1", "nats://[::1]x", "nats://u@", "nats://[]:1",
	};
	struct xf_error error;
	struct server server;
	char address[512];

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		if (!server_parse(str(good[i].url), &server, &error))
			fail_msg("%s: %s", good[i].url, error.text);
		server_address(&server, address, sizeof(address));
		assert_string_equal(address, good[i].address);
		assert_int_equal(server.tls, good[i].tls);
		assert_true((server.user == NULL) == (good[i].user == NULL));
		assert_true((server.password == NULL) == (good[i].password == NULL));
		if (server.user != NULL)
			assert_string_equal(server.user, good[i].user);
		if (server.password != NULL)
			assert_string_equal(server.password, good[i].password);
		server_fini(&server);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		error.text[0] = '\0';
		if (server_parse(str(bad[i]), &server, &error))
			fail_msg("%s passes", bad[i]);
		assert_non_null(strstr(error.text, "url: "));
	}
}

/* The places of a round as a text, each once; the round is over after the last. */
static void
round_check(struct servers *servers, uint32_t count)
{
	char seen[64][64];

	for (uint32_t i = 0; i < count; i++) {
		const struct server *server = servers_next(servers);

		snprintf(seen[i], sizeof(seen[i]), "%s:%s", server->host, server->port);
		for (uint32_t j = 0; j < i; j++)
			assert_string_not_equal(seen[i], seen[j]);
		assert_int_equal(servers_round_over(servers), i + 1 == count);
	}
}

static bool
is_known(const struct servers *servers, const char *host)
{
	for (uint32_t i = 0; i < servers->count; i++) {
		if (strcmp(servers->list[i].host, host) == 0)
			return true;
	}
	return false;
}

static void
test_rounds(void **state)
{
	char one[] = "tls://u:p@a.example", two[] = "tls://u:p@b.example:9";
	char *urls[] = {one, two};
	struct settings settings = {.urls = urls, .url_count = 2};
	const struct server *server;
	struct servers servers;

	(void)state;
	servers_init(&servers, &settings);
	round_check(&servers, 2);
	round_check(&servers, 2);

	/* What is learnt joins, what is known already does not, and what makes no sense is passed over. */
	server = servers_next(&servers);
	servers_reached(&servers);
	servers_learn(&servers, str("[\"10.0.0.1:4222\",\"A.example:4222\",\"c.example:4222\",\"nonsense:x\",7,\"[::2]:1\"]"));
	assert_int_equal(servers.count, 5);
	round_check(&servers, 5);
	for (uint32_t i = 0; i < servers.count; i++) {
		server = &servers.list[i];
		if (!server->learnt)
			continue;
		assert_true(server->tls);
		assert_string_equal(server->user, "u");
		assert_string_equal(server->password, "p");
		/* A certificate names the host that the settings trust, for an address. */
		assert_true((server->tls_name != NULL) == (strcmp(server->host, "c.example") != 0));
	}

	/* What is not named any more goes, but not the one in use, nor those of the settings. */
	while (strcmp(servers_next(&servers)->host, "c.example") != 0)
		;
	servers_reached(&servers);
	servers_learn(&servers, str("[\"10.0.0.1:4222\"]"));
	assert_int_equal(servers.count, 4);
	assert_true(is_known(&servers, "c.example") && is_known(&servers, "10.0.0.1"));
	assert_string_equal(servers.list[servers.at].host, "c.example");
	round_check(&servers, 4);
	while (strcmp(servers_next(&servers)->host, "10.0.0.1") != 0)
		;
	servers_learn(&servers, str("[]"));
	assert_int_equal(servers.count, 3);
	assert_false(is_known(&servers, "c.example"));
	servers_fini(&servers);
}

/* However many a cluster names, the list is bounded. */
static void
test_many(void **state)
{
	char one[] = "nats://a.example";
	char *urls[] = {one};
	struct settings settings = {.urls = urls, .url_count = 1};
	struct text named = {0};
	struct servers servers;

	(void)state;
	servers_init(&servers, &settings);
	servers_next(&servers);
	for (unsigned round = 0; round < 5; round++) {
		named.len = 0;
		for (unsigned i = 0; i < 500; i++)
			text_printf(&named, "%s\"10.%u.1.%u:4222\"", i == 0 ? "[" : ",", round, i);
		text_add(&named, "]", 1);
		servers_learn(&servers, (struct xf_str){named.data, named.len});
		assert_true(servers.count <= SERVERS_MAX);
		assert_string_equal(servers.list[servers.at].host, "a.example");
	}
	text_fini(&named);
	servers_fini(&servers);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_urls),
		cmocka_unit_test(test_rounds),
		cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
