/*
 * What a url, or several, says of a place; and the words for what it cannot say, which never hold a password.
 */
#include "../../../plugins/common/redis/url.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

/* settings.c's, which needs the rest of the plugin. */
int
settings_fail(struct xf_error *error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(error->text, sizeof(error->text), format, args);
	va_end(args);
	return -1;
}

int
settings_text(struct xf_str text, char *out, size_t size, const char *what, struct xf_error *error)
{
	if (text.len >= size)
		return settings_fail(error, "%s is too long", what);
	memcpy(out, text.data, text.len);
	out[text.len] = '\0';
	return 0;
}

static struct place
read_all(const char *const *urls)
{
	struct place place = {0};
	struct xf_error error = {""};

	for (; *urls != NULL; urls++)
		if (url_read((struct xf_str){*urls, strlen(*urls)}, &place, &error) < 0)
			fail_msg("%s: %s", *urls, error.text);
	return place;
}

#define READ(...) read_all((const char *const[]){__VA_ARGS__, NULL})

static void
refuse_all(const char *words, const char *const *urls)
{
	struct place place = {0};
	struct xf_error error = {""};
	int result = 0;

	for (; result == 0 && *urls != NULL; urls++)
		result = url_read((struct xf_str){*urls, strlen(*urls)}, &place, &error);
	assert_int_equal(result, -1);
	if (strstr(error.text, words) == NULL)
		fail_msg("'%s' is not in: %s", words, error.text);
	assert_null(strstr(error.text, "s3cret"));
}

#define REFUSE(words, ...) refuse_all(words, (const char *const[]){__VA_ARGS__, NULL})

static void
test_a_server(void **state)
{
	struct place p = READ("redis://h");

	(void)state;
	assert_string_equal(p.servers[0].host, "h");
	assert_string_equal(p.servers[0].port, "6379");
	assert_false(p.tls);
	assert_string_equal(p.master, "");
	p = READ("REDISS://us%40er:p%3Aw@x/y@[::1]:7000/12");
	assert_string_equal(p.servers[0].host, "::1");
	assert_string_equal(p.servers[0].port, "7000");
	assert_string_equal(p.user, "us@er");
	assert_string_equal(p.password, "p:w@x/y");
	assert_int_equal(p.db, 12);
	assert_true(p.tls);
	p = READ("redis://:s3cret@h/");
	assert_string_equal(p.user, "");
	assert_string_equal(p.password, "s3cret");
}

static void
test_several_servers(void **state)
{
	struct place p = READ("redis://u:s3cret@a/2", "redis://b:1", "redis://u:s3cret@c/2");

	(void)state;
	assert_int_equal(p.server_count, 3);
	assert_string_equal(p.servers[1].host, "b");
	assert_string_equal(p.servers[2].port, "6379");
	assert_string_equal(p.password, "s3cret");
	assert_int_equal(p.db, 2);
	REFUSE("the database must be the same", "redis://a/2", "redis://b/3");
	REFUSE("whether there is TLS", "redis://a", "rediss://b");
	REFUSE("user and password", "redis://u:s3cret@a", "redis://u:s3cret2@b");
	REFUSE("the master", "redis://a", "redis+sentinel://b/m");
}

static void
test_sentinels(void **state)
{
	struct place p = READ("redis+sentinel://u:s3cret@h1,h2:7000,[::1]:26380/my%2Fmaster/4",
	                      "redis+sentinel://h4/my%2Fmaster");

	(void)state;
	assert_int_equal(p.server_count, 4);
	assert_string_equal(p.servers[0].port, "26379");
	assert_string_equal(p.servers[1].port, "7000");
	assert_string_equal(p.servers[2].host, "::1");
	assert_string_equal(p.servers[3].host, "h4");
	assert_string_equal(p.master, "my/master");
	assert_string_equal(p.password, "s3cret");
	assert_int_equal(p.db, 4);
	assert_true(READ("rediss+sentinel://h/m").tls);
	REFUSE("ends with the name", "redis+sentinel://h1");
	REFUSE("ends with the name", "redis+sentinel://h1/");
	REFUSE("ends with the name", "redis+sentinel://h1//3");
	REFUSE("no host", "redis+sentinel://h1,,h2/m");
	REFUSE("database", "redis+sentinel://h1/m/x");
	REFUSE("more than 16", "redis+sentinel://1,2,3,4,5,6,7,8,9,0,1,2,3,4,5,6,7/m");
}

static void
test_sockets(void **state)
{
	struct place p = READ("unix:///run/redis%20s.sock");
	char url[200] = "unix:///";

	(void)state;
	assert_string_equal(p.servers[0].host, "/run/redis s.sock");
	assert_string_equal(p.servers[0].port, "");
	p = READ("unix://u:s3cret@/s?db=3");
	assert_string_equal(p.servers[0].host, "/s");
	assert_string_equal(p.user, "u");
	assert_int_equal(p.db, 3);
	REFUSE("absolute path", "unix://run/redis.sock");
	REFUSE("absolute path", "unix://");
	REFUSE("?db=NUMBER", "unix:///s?x=3");
	REFUSE("database", "unix:///s?db=x");
	memset(url + 8, 'x', 120);
	REFUSE("107", url);
}

static void
test_what_is_none(void **state)
{
	(void)state;
	REFUSE("expected redis://", "http://h");
	REFUSE("expected redis://", "");
	REFUSE("expected redis://", "redis:/h");
	REFUSE("no host", "redis://");
	REFUSE("no host", "redis://u:s3cret@:6379");
	REFUSE("port", "redis://h:");
	REFUSE("port", "redis://h:65536");
	REFUSE("a list of urls", "redis://a,b:1");
	REFUSE("IPv6", "redis://[::1");
	REFUSE("IPv6", "redis://[::1]6379");
	REFUSE("database", "redis://h/1x");
	REFUSE("mean nothing here", "redis://h?db=1");
	REFUSE("the password has a '%'", "redis://u:s3cret%4@h");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_server),
		cmocka_unit_test(test_several_servers),
		cmocka_unit_test(test_sentinels),
		cmocka_unit_test(test_sockets),
		cmocka_unit_test(test_what_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
