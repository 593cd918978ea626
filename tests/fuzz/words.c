/*
 * The small change of HTTP: what is encoded is decoded as the same, and two decoders of base64 agree.
 */
#include "transport/http/words.h"
#include "common/base64.h"

#include "base/base64.h"
#include "base/memory.h"
#include "base/utf8.h"
#include "json.h"

#include "fuzz.h"

static void
base64_check(struct xf_str text)
{
	char *core = malloc(text.len + 1), *http = malloc(text.len + 1);
	int64_t core_len = xf_base64_decode(text, core);
	struct xf_buffer encoded = {0};
	uint64_t len = 0;
	bool fine = base64_decode(text, (unsigned char *)http, &len);

	/* the core does not mind bits that the padding cuts off */
	XF_ASSERT(fine == (core_len >= 0) || (!fine && text.data[text.len - 1] == '='));
	XF_ASSERT(!fine || (len == (uint64_t)core_len && memcmp(core, http, len) == 0));
	if (fine) {
		xf_base64_encode((struct xf_str){core, len}, &encoded);
		XF_ASSERT(xf_str_equal(fuzz_text(&encoded), text));
	}
	encoded.len = 0;
	xf_base64_encode(text, &encoded);
	core = realloc(core, encoded.len + 1);
	XF_ASSERT(xf_base64_decode(fuzz_text(&encoded), core) == (int64_t)text.len);
	XF_ASSERT(text.len == 0 || memcmp(core, text.data, text.len) == 0);
	xf_buffer_fini(&encoded);
	free(core);
	free(http);
}

static void
percent_check(struct xf_str text)
{
	struct text encoded = {0};
	uint64_t len;

	percent_encode(&encoded, text);
	len = encoded.len;
	if (len > 0 && memchr(text.data, '\0', text.len) == NULL) {
		XF_ASSERT(percent_decode(encoded.data, &len));
		XF_ASSERT(xf_str_equal((struct xf_str){encoded.data, len}, text));
	}
	text_fini(&encoded);
	len = text.len;
	if (percent_decode((char *)text.data, &len))
		XF_ASSERT(len <= text.len && (len == 0 || memchr(text.data, '\0', len) == NULL));
}

static void
json_check(struct xf_str text)
{
	struct text quoted = {0};
	struct xf_str string;
	char *decoded;
	uint64_t len;

	text_json(&quoted, text);
	string = (struct xf_str){quoted.data, quoted.len};
	decoded = malloc(quoted.len);
	XF_ASSERT(xf_utf8_valid(string) && json_is_string(string) && json_decode(string, decoded, &len));
	XF_ASSERT(!xf_utf8_valid(text) || xf_str_equal((struct xf_str){decoded, len}, text));
	text_fini(&quoted);
	free(decoded);
}

void
fuzz_one(struct xf_str input)
{
	char *terminated = xf_strndup(input.data, input.len);

	XF_ASSERT(duration_read(terminated) >= -1);
	free(terminated);
	base64_check(fuzz_tight(input));
	json_check(fuzz_tight(input));
	percent_check(fuzz_tight(input));
}
