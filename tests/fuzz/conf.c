/*
 * A whole configuration, with the transports of conf_fake.h: settings that keep their bounds and are the same when read again, or
 * findings, each a line with its place, of which nothing would upset a terminal or a log.
 */
#include "conf/conf.h"

#include "base/subject.h"
#include "base/utf8.h"
#include "conf/scalar.h"
#include "conf_fake.h"
#include "fuzz.h"

#define FILE_NAME "/nowhere/crossfade.yaml"

static void
line_check(struct xf_str line)
{
	XF_ASSERT(line.len > sizeof(FILE_NAME) && memcmp(line.data, FILE_NAME, sizeof(FILE_NAME) - 1) == 0);
	XF_ASSERT(xf_utf8_valid(line));
	for (uint64_t i = 0; i < line.len; i++)
		XF_ASSERT((unsigned char)line.data[i] >= ' ' && line.data[i] != 0x7f);
}

/* But for the last, which may say how many more there are. */
static void
findings_check(struct xf_str findings)
{
	XF_ASSERT(findings.len > 0 && findings.len < 256 << 10);
	while (findings.len > 0) {
		const char *feed = memchr(findings.data, '\n', findings.len);
		struct xf_str line = {findings.data, (uint64_t)(feed - findings.data)};

		XF_ASSERT(feed != NULL);
		findings = (struct xf_str){feed + 1, findings.len - line.len - 1};
		if (findings.len > 0 || memcmp(line.data, FILE_NAME, 8) == 0)
			line_check(line);
	}
}

static void
settings_check(const struct xf_conf *conf)
{
	for (size_t i = 0; i < conf->warning_count; i++)
		line_check(xf_str(conf->warnings[i]));
	for (size_t i = 0; i < conf->transport_count; i++)
		XF_ASSERT(xf_scalar_name(xf_str(conf->transports[i].name), NULL) == XF_OK);
	for (size_t i = 0; i < conf->migration_count; i++)
		XF_ASSERT(conf->migrations[i].percent <= 10000 && conf->migrations[i].key != NULL);
	for (size_t i = 0; i < conf->route_count; i++) {
		const struct xf_conf_route *route = &conf->routes[i];
		uint32_t weight = 0;

		XF_ASSERT(route->source_count > 0 && route->sink_count <= XF_CONF_SINKS_MAX);
		XF_ASSERT((route->migration != NULL) == (route->sink_count == 0));
		for (size_t s = 0; s < route->source_count; s++)
			XF_ASSERT(xf_subject_pattern_check(xf_str(route->sources[s].subject)) == NULL);
		for (size_t s = 0; s < route->sink_count; s++) {
			XF_ASSERT(route->sinks[s].template != NULL && route->sinks[s].connections > 0);
			weight += route->to == XF_TO_SPLIT ? route->weights[s] : 0;
		}
		XF_ASSERT(route->to != XF_TO_SPLIT || weight == 10000);
	}
}

void
fuzz_one(struct xf_str input)
{
	struct xf_conf_catalogue catalogue = conf_fake_catalogue();
	struct xf_buffer errors = {0};
	const struct xf_conf *conf = xf_conf_load_text(FILE_NAME, input, &catalogue, &errors), *again;

	XF_ASSERT((conf != NULL) == (errors.len == 0));
	if (conf == NULL) {
		findings_check(fuzz_text(&errors));
	} else {
		settings_check(conf);
		again = xf_conf_load_text(FILE_NAME, input, &catalogue, &errors);
		XF_ASSERT(again != NULL && xf_digest_equal(conf->digest, again->digest));
		xf_conf_destroy(&again);
		xf_conf_destroy(&conf);
	}
	xf_buffer_fini(&errors);
}
