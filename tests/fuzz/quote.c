/*
 * Quoted for YAML, any text that a configuration can hold is read back as it is.
 */
#include "base/utf8.h"
#include "conf_fake.h"
#include "fuzz.h"

void
fuzz_one(struct xf_str input)
{
	struct xf_conf_catalogue catalogue = conf_fake_catalogue();
	struct xf_buffer text = {0}, errors = {0};
	const struct xf_conf *conf;

	if (!xf_utf8_valid(input) || input.len == 0 || memchr(input.data, '\0', input.len) != NULL)
		return;
	xf_buffer_puts(&text, "{transports: {a: {plugin: alpha, url: 'alpha://h', password: p, user: ");
	xf_conf_quote(&text, input);
	xf_buffer_puts(&text, "}}, routes: []}");
	conf = xf_conf_load_text("quoted", fuzz_text(&text), &catalogue, &errors);
	XF_ASSERT(conf != NULL && xf_str_equal(xf_config_option(conf->transports[0].options, ALPHA_USER)->str, input));
	xf_conf_destroy(&conf);
	xf_buffer_fini(&text);
	xf_buffer_fini(&errors);
}
