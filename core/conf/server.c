/*
 * `server`: what cannot change while it runs.
 */
#include <stdlib.h>
#include <sys/un.h>
#include <unistd.h>

#include "conf/read.h"
#include "conf/scalar.h"

enum { ADMIN_SOCKET, ADMIN_LISTEN, ADMIN_TOKEN };

static const struct xf_option *const admin_rows[] = {
	XF_ROW(.type = XF_OPTION_PATH, .key = "socket"),
	XF_ROW(.type = XF_OPTION_STRING, .key = "listen"),
	XF_ROW(.type = XF_OPTION_STRING, .flags = XF_OPTION_SECRET, .key = "token"),
	XF_LATER("tls"),
	NULL,
};

enum { LOG_LEVEL, LOG_FORMAT };

/* in the order of XF_LOG_* */
static const char *const log_levels[] = {"error", "warn", "info", "debug", NULL};
static const char *const log_formats[] = {"text", "json", NULL};

static const struct xf_option *const log_rows[] = {
	XF_ROW(.type = XF_OPTION_ENUM, .key = "level", .def = "info", .values = log_levels),
	XF_ROW(.type = XF_OPTION_ENUM, .key = "format", .def = "text", .values = log_formats),
	NULL,
};

enum { LIMITS_SUBJECT, LIMITS_HEADER_VALUE, LIMITS_HEADERS, LIMITS_PAYLOAD };

static const struct xf_option *const limits_rows[] = {
	XF_ROW(.type = XF_OPTION_BYTES, .key = "subject", .def = "1024", .min = 1, .max = 65535),
	XF_ROW(.type = XF_OPTION_BYTES, .key = "header_value", .def = "4KiB", .min = 1, .max = 1 << 20),
	XF_ROW(.type = XF_OPTION_I64, .key = "headers", .def = "64", .min = 0, .max = 1024),
	XF_ROW(.type = XF_OPTION_BYTES, .key = "payload", .def = "8MiB", .min = 1, .max = 1 << 30),
	NULL,
};

enum { DEAD_LETTERS_MAX_SIZE };

static const struct xf_option *const dead_letters_rows[] = {
	XF_ROW(.type = XF_OPTION_BYTES, .key = "max_size", .def = "64MiB", .min = 1 << 20, .max = INT64_C(1) << 40),
	NULL,
};

enum {
	SERVER_NAME,
	SERVER_DATA_DIR,
	SERVER_ADMIN,
	SERVER_LOG,
	SERVER_PLUGIN_DIRS,
	SERVER_DRAIN,
	SERVER_LIMITS,
	SERVER_DEAD_LETTERS,
};

static const struct xf_option *const server_rows[] = {
	XF_ROW(.type = XF_OPTION_STRING, .key = "name"),
	XF_ROW(.type = XF_OPTION_PATH, .key = "data_dir", .def = "/var/lib/crossfade"),
	XF_ROW(.type = XF_OPTION_MAP, .key = "admin", .def = "{}", .fields = admin_rows),
	XF_ROW(.type = XF_OPTION_MAP, .key = "log", .def = "{}", .fields = log_rows),
	XF_ROW(.type = XF_OPTION_PATH, .flags = XF_OPTION_LIST, .key = "plugin_dirs"),
	XF_ROW(.type = XF_OPTION_DURATION, .key = "drain_timeout", .def = "30s", .min = 0, .max = 86400000),
	XF_ROW(.type = XF_OPTION_MAP, .key = "limits", .def = "{}", .fields = limits_rows),
	XF_ROW(.type = XF_OPTION_MAP, .key = "dead_letters", .def = "{}", .fields = dead_letters_rows),
	NULL,
};

/* The host's name where it can be a name, cut down to one where it cannot. */
static const char *
host_name(struct xf_loading *l)
{
	char name[65] = {0};
	struct xf_error error;

	if (gethostname(name, sizeof(name) - 1) != 0 || xf_scalar_name(xf_str(name), &error) != XF_OK)
		return "crossfade";
	return xf_arena_copy(l->arena, name, strlen(name));
}

static void
admin_read(struct xf_loading *l, const struct xf_config *server, const struct xf_config *admin)
{
	struct xf_conf_server *s = &l->conf->server;
	const struct xf_yaml *at = xf_config_node(server, SERVER_ADMIN);
	const struct xf_yaml *token = xf_config_node(admin, ADMIN_TOKEN);
	const struct xf_yaml *listen = xf_config_node(admin, ADMIN_LISTEN);
	const struct xf_yaml *socket = xf_config_node(admin, ADMIN_SOCKET);
	struct xf_error error = {{0}};
	bool loopback = true;

	s->admin_socket = xf_read_text(admin, ADMIN_SOCKET);
	s->admin_listen = xf_read_text(admin, ADMIN_LISTEN);
	s->admin_token = xf_read_text(admin, ADMIN_TOKEN);
	if (s->admin_socket == NULL && s->data_dir != NULL)
		s->admin_socket = xf_arena_format(l->arena, "%s/admin.sock", s->data_dir);
	if (s->admin_socket != NULL && strlen(s->admin_socket) >= sizeof(((struct sockaddr_un *)0)->sun_path))
		xf_report_error(l->report, socket != NULL ? socket->place : xf_config_node(server, SERVER_DATA_DIR)->place,
		                "server: the path of 'admin.socket' has %zu bytes; expected at most %zu%s",
		                strlen(s->admin_socket), sizeof(((struct sockaddr_un *)0)->sun_path) - 1,
		                socket != NULL ? "" : ", or a shorter admin.socket than the one in data_dir");
	if (s->admin_listen != NULL && listen != NULL && !listen->bad &&
	    xf_scalar_listen(listen->text, &loopback, &error) != XF_OK) {
		xf_report_error(l->report, listen->place, "server: 'admin.listen' is %s; %s", xf_read_shown(l, listen), error.text);
		loopback = true;
	}
	if (!loopback && token == NULL && at != NULL)
		xf_report_error(l->report, at->place,
		                "server: 'admin.token' is missing; expected one, since 'admin.listen' %s is not loopback",
		                xf_read_shown(l, listen));
	if (token == NULL || token->bad || s->admin_token == NULL)
		return;
	if (token->text.len == 0)
		xf_report_error(l->report, token->place, "server: 'admin.token' is empty; expected a secret");
	for (size_t i = 0; i < token->text.len; i++)
		if (token->text.data[i] <= ' ' || token->text.data[i] >= 0x7f) {
			xf_report_error(l->report, token->place,
			                "server: 'admin.token' is ***; expected printable characters without spaces");
			break;
		}
}

void
xf_server_read(struct xf_loading *l, const struct xf_yaml *root)
{
	const struct xf_yaml *node = xf_read_section(l, root, "server", XF_YAML_MAP, "a map");
	struct xf_conf_server *s = &l->conf->server;
	const struct xf_config *config, *part;
	const struct xf_value *dirs;
	const char **list;

	config = xf_read_rows(l, node != NULL ? node : xf_read_empty_map(l, root->place), "server: ", server_rows);
	s->name = xf_read_text(config, SERVER_NAME);
	if (s->name == NULL)
		s->name = host_name(l);
	else
		xf_read_name(l, xf_config_node(config, SERVER_NAME)->place, "server: name", s->name);
	s->data_dir = xf_read_text(config, SERVER_DATA_DIR);
	s->drain_timeout_ms = (uint64_t)xf_config_option(config, SERVER_DRAIN)->i64;

	dirs = xf_config_option(config, SERVER_PLUGIN_DIRS);
	list = xf_arena_array(l->arena, dirs->count, sizeof(*list));
	for (uint32_t i = 0; i < dirs->count; i++)
		if (dirs->items[i]->str.data != NULL)
			list[s->plugin_dir_count++] = dirs->items[i]->str.data;
	s->plugin_dirs = list;

	part = xf_config_option(config, SERVER_ADMIN)->map;
	if (part != NULL)
		admin_read(l, config, part);
	part = xf_config_option(config, SERVER_LOG)->map;
	s->log_level = (uint32_t)xf_config_option(part, LOG_LEVEL)->i64;
	s->log_json = xf_config_option(part, LOG_FORMAT)->i64 == 1;
	part = xf_config_option(config, SERVER_LIMITS)->map;
	s->max_subject = (uint64_t)xf_config_option(part, LIMITS_SUBJECT)->i64;
	s->max_header_value = (uint64_t)xf_config_option(part, LIMITS_HEADER_VALUE)->i64;
	s->max_headers = (uint64_t)xf_config_option(part, LIMITS_HEADERS)->i64;
	s->max_payload = (uint64_t)xf_config_option(part, LIMITS_PAYLOAD)->i64;
	part = xf_config_option(config, SERVER_DEAD_LETTERS)->map;
	s->dead_letters_max = (uint64_t)xf_config_option(part, DEAD_LETTERS_MAX_SIZE)->i64;
}
