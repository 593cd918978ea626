/*
 * The servers of a NATS transport: a url, and the list of others that a server tells of.
 */
#include "transport/nats/servers.h"

#include "transport/nats/json.h"
#include "transport/nats/link.h"
#include "transport/nats/nkey.h"
#include "transport/nats/settings.h"

#include "conf/scalar.h"
#include "fuzz.h"

/* settings.c's and link.c's, which need the rest of the plugin. */
char *
copy_string(struct xf_str string)
{
	char *copy = need(malloc(string.len + 1));

	if (string.len > 0)
		memcpy(copy, string.data, string.len);
	copy[string.len] = '\0';
	return copy;
}

uint32_t
random_below(uint32_t bound)
{
	return bound > 0 ? 7 % bound : 0;
}

void
fuzz_one(struct xf_str input)
{
	struct xf_str url = fuzz_line(&input);
	struct xf_error error = {{0}};
	struct server server;
	char address[300], *terminated = copy_string(url);
	struct settings settings = {.urls = &terminated, .url_count = 1};
	struct servers servers;

	if (xf_scalar_url(url, &error) == XF_OK && server_parse(url, &server, &error)) {
		XF_ASSERT(server.host[0] != '\0');
		server_address(&server, address, sizeof(address));
		server_fini(&server);
	}
	nkey_seed_check(terminated, &error);
	servers_init(&servers, &settings);
	while (servers.count > 0 && input.len > 0) {
		servers_learn(&servers, fuzz_line(&input));
		XF_ASSERT(servers.count > 0 && servers.at < servers.count && !servers.list[0].learnt);
		servers_next(&servers);
	}
	servers_fini(&servers);
	free(terminated);
}
