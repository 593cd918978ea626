/*
 * Scalars: what is read is written and read back as the same; what is accepted holds no byte that it must not.
 */
#include "conf/scalar.h"

#include <math.h>
#include <stdint.h>

#include "conf/conf.h"
#include "fuzz.h"

static bool
has_only(struct xf_str text, const char *set)
{
	for (uint64_t i = 0; i < text.len; i++)
		if (text.data[i] == '\0' || strchr(set, text.data[i]) == NULL)
			return false;
	return true;
}

static void
numbers(struct xf_str text)
{
	int64_t value, again;
	uint32_t percent, percent_again;
	double real;
	char out[32], terminated[64] = "";

	memcpy(terminated, text.data, text.len < sizeof(terminated) ? text.len : 0);
	if (xf_scalar_duration(text, &value, NULL) == XF_OK) {
		xf_scalar_duration_format(value, out);
		XF_ASSERT(value >= 0 && xf_scalar_duration(xf_str(out), &again, NULL) == XF_OK && again == value);
	}
	if (xf_scalar_size(text, &value, NULL) == XF_OK) {
		xf_scalar_size_format(value, out);
		XF_ASSERT(value >= 0 && xf_scalar_size(xf_str(out), &again, NULL) == XF_OK && again == value);
	}
	if (xf_percent_parse(text, &percent, NULL) == XF_OK) {
		xf_percent_format(percent, out);
		XF_ASSERT(percent <= 10000 && xf_percent_parse(xf_str(out), &percent_again, NULL) == XF_OK);
		XF_ASSERT(percent == percent_again);
	}
	if (xf_scalar_i64(text, &value, NULL) == XF_OK)
		XF_ASSERT(has_only(text, "-0123456789") && (text.len >= sizeof(terminated) || value == strtoll(terminated, NULL, 10)));
	if (xf_scalar_f64(text, &real, NULL) == XF_OK)
		XF_ASSERT(isfinite(real) && has_only(text, "0123456789+-.eE"));
}

void
fuzz_one(struct xf_str input)
{
	static const char word[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.";
	static const char address[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.:%[]";
	struct xf_str text = fuzz_tight(input);
	struct xf_error error;
	int64_t value;
	bool loopback;

	numbers(text);
	if (xf_scalar_bool(text, &value, &error) == XF_OK)
		XF_ASSERT(xf_str_is(text, value ? "true" : "false"));
	if (xf_scalar_name(text, &error) == XF_OK)
		XF_ASSERT(text.len >= 1 && text.len <= 64 && has_only(text, word));
	if (xf_scalar_listen(text, &loopback, &error) == XF_OK)
		XF_ASSERT(has_only(text, address));
	if (xf_scalar_url(text, &error) == XF_OK)
		for (uint64_t i = 0; i < text.len; i++)
			XF_ASSERT((unsigned char)text.data[i] > ' ' && text.data[i] != 0x7f);
}
