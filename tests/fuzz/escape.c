/*
 * Foreign names: escaped they are subjects, and are turned back into what they were.
 */
#include "flow/escape.h"

#include "base/subject.h"
#include "fuzz.h"

void
fuzz_one(struct xf_str input)
{
	struct xf_str name = fuzz_tight(input);
	struct xf_buffer subject = {0}, back = {0};

	xf_escape(name, &subject);
	XF_ASSERT(xf_subject_check(fuzz_text(&subject)) == NULL && subject.len <= 3 * name.len + 1);
	XF_ASSERT(xf_escape_needed(name) || xf_str_equal(fuzz_text(&subject), name));
	xf_unescape(fuzz_text(&subject), &back);
	XF_ASSERT(xf_str_equal(fuzz_text(&back), name));
	XF_ASSERT(xf_unescape_needed(fuzz_text(&subject)) || xf_str_equal(fuzz_text(&subject), name));
	back.len = 0;
	xf_unescape(name, &back); /* of what nobody escaped */
	XF_ASSERT(back.len <= name.len);
	xf_buffer_fini(&subject);
	xf_buffer_fini(&back);
}
