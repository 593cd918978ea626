#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "admin/listen.h"

static char dir[64];

static int
dir_make(void **state)
{
	(void)state;
	snprintf(dir, sizeof dir, "/tmp/xf-listen-XXXXXX");
	return mkdtemp(dir) == NULL;
}

static int
dir_remove(void **state)
{
	(void)state;
	return rmdir(dir); /* fails where a test left something behind */
}

static char *
in_dir(const char *name)
{
	static char path[108];

	snprintf(path, sizeof path, "%s/%s", dir, name);
	return path;
}

static int
client_of(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	memcpy(address.sun_path, path, strlen(path) + 1);
	if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
		return fd;
	close(fd);
	return -1;
}

static void
socket_has_its_mode(void **state)
{
	struct xf_error error = {{0}};
	struct stat made;
	int fd = xf_listen_unix(in_dir("a.sock"), &made, &error);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(made.st_mode & 07777, 0660);
	close(fd);
	xf_listen_unix_remove(in_dir("a.sock"), &made);
	assert_int_equal(access(in_dir("a.sock"), F_OK), -1);
}

static void
stale_socket_is_replaced_and_a_live_one_is_not(void **state)
{
	struct xf_error error = {{0}};
	struct stat first, second;
	char *path = in_dir("b.sock");
	int fd = xf_listen_unix(path, &first, &error);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(xf_listen_unix(path, &second, &error), -1);
	assert_non_null(strstr(error.text, "another server answers"));
	close(fd); /* and leaves the file, as a server that was killed does */
	fd = xf_listen_unix(path, &second, &error);
	assert_true(fd >= 0);
	close(fd);
	xf_listen_unix_remove(path, &first); /* not the one that it made */
	if (first.st_ino != second.st_ino)
		assert_int_equal(access(path, F_OK), 0);
	unlink(path);
}

static void
other_files_are_left_alone(void **state)
{
	struct xf_error error = {{0}};
	struct stat made;
	FILE *file = fopen(in_dir("c.sock"), "w");

	(void)state;
	fclose(file);
	assert_int_equal(xf_listen_unix(in_dir("c.sock"), &made, &error), -1);
	assert_non_null(strstr(error.text, "no socket"));
	assert_int_equal(unlink(in_dir("c.sock")), 0);
}

static void
long_paths_are_refused_in_words(void **state)
{
	struct xf_error error = {{0}};
	struct stat made;
	char path[200];

	(void)state;
	memset(path, 'x', sizeof path - 1);
	path[0] = '/';
	path[sizeof path - 1] = '\0';
	assert_int_equal(xf_listen_unix(path, &made, &error), -1);
	assert_non_null(strstr(error.text, "199 bytes, a Unix socket's at most 107"));
}

static void
missing_folders_are_named(void **state)
{
	struct xf_error error = {{0}};
	struct stat made;

	(void)state;
	assert_int_equal(xf_listen_unix(in_dir("no/d.sock"), &made, &error), -1);
	assert_non_null(strstr(error.text, "/no/d.sock: No such file"));
}

static void
addresses(void **state)
{
	static const struct {
		const char *text;
		bool loopback;
	} good[] = {{"127.0.0.1:0", true}, {"localhost:0", true}, {"0.0.0.0:0", false}, {":0", false}};
	static const char *const bad[] = {"127.0.0.1", "127.0.0.1:",     "::1:80",
		                          "[::1:80",   "127.0.0.1:http", "no such host:1"};
	struct xf_error error = {{0}};
	bool loopback;

	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
		int fd = xf_listen_tcp(good[i].text, &loopback, &error);

		if (fd < 0)
			fail_msg("%s", error.text);
		assert_int_equal(loopback, good[i].loopback);
		assert_true(xf_listen_port(fd) > 0);
		close(fd);
	}
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		error.text[0] = '\0';
		assert_int_equal(xf_listen_tcp(bad[i], &loopback, &error), -1);
		assert_non_null(strstr(error.text, bad[i]));
	}
}

static void
peers_are_named(void **state)
{
	struct xf_error error = {{0}};
	struct stat made;
	int fd = xf_listen_unix(in_dir("e.sock"), &made, &error), client, server;
	char name[64];

	(void)state;
	client = client_of(in_dir("e.sock"));
	assert_true(client >= 0);
	server = accept(fd, NULL, NULL);
	assert_true(server >= 0);
	xf_peer_name(server, name, sizeof name);
	if (geteuid() == 0)
		assert_string_equal(name, "root");
	assert_string_not_equal(name, "unknown");
	close(client);
	close(server);
	close(fd);
	xf_listen_unix_remove(in_dir("e.sock"), &made);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(socket_has_its_mode),
		cmocka_unit_test(stale_socket_is_replaced_and_a_live_one_is_not),
		cmocka_unit_test(other_files_are_left_alone),
		cmocka_unit_test(long_paths_are_refused_in_words),
		cmocka_unit_test(missing_folders_are_named),
		cmocka_unit_test(addresses),
		cmocka_unit_test(peers_are_named),
	};

	return cmocka_run_group_tests(tests, dir_make, dir_remove);
}
