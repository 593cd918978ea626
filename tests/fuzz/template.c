/*
 * Two templates and a pattern, a line each, then a message: subject, id, key, a header, and the payload, which a pointer may look
 * into. What is said of a template without a message holds for its values.
 */
#include "conf/template.h"

#include "base/subject.h"
#include "fuzz.h"

struct made {
	struct xf_template *template;
	struct xf_buffer scratch;
	struct xf_str value;
	bool has_value;
};

static void
pattern_check(struct made *made, struct xf_str source, struct xf_str subject)
{
	struct xf_buffer pattern = {0};

	if (xf_subject_check(made->value) != NULL)
		return;
	xf_template_pattern(made->template, &pattern);
	if (xf_subject_pattern_check(fuzz_text(&pattern)) == NULL)
		XF_ASSERT(xf_subject_match(fuzz_text(&pattern), made->value));
	pattern.len = 0;
	if (xf_subject_pattern_check(source) == NULL && xf_subject_match(source, subject)) {
		xf_template_pattern_from(made->template, source, &pattern);
		if (xf_subject_pattern_check(fuzz_text(&pattern)) == NULL)
			XF_ASSERT(xf_subject_match(fuzz_text(&pattern), made->value));
	}
	xf_buffer_fini(&pattern);
}

static bool
make(struct made *made, struct xf_str text, const struct xf_fields *fields)
{
	struct xf_error error = {{0}};
	struct xf_str constant;
	size_t column = text.len + 1;

	made->template = xf_template_create(text, &column, &error);
	XF_ASSERT(made->template != NULL || (column <= text.len && error.text[0] != '\0'));
	if (made->template == NULL)
		return false;
	XF_ASSERT(xf_str_equal(xf_template_text(made->template), text));
	made->has_value = xf_template_eval(made->template, fields, &made->scratch, &made->value, &error) == XF_OK;
	if (xf_template_constant(made->template, &constant))
		XF_ASSERT(made->has_value && xf_str_equal(made->value, constant));
	XF_ASSERT(xf_template_may_equal(made->template, made->template));
	xf_template_uses_id(made->template);
	xf_template_subject_check(made->template);
	return true;
}

void
fuzz_one(struct xf_str input)
{
	struct xf_str a = fuzz_line(&input), b = fuzz_line(&input), source = fuzz_line(&input), subject = fuzz_line(&input);
	struct xf_str id = fuzz_line(&input), key = fuzz_line(&input), name = fuzz_line(&input), value = fuzz_line(&input);
	struct xf_header header = {name, value};
	struct xf_fields fields = {subject, id, key, fuzz_tight(input), &header, 1};
	struct made first = {0}, second = {0};

	if (make(&first, a, &fields) && make(&second, b, &fields) && first.has_value && second.has_value) {
		if (xf_subject_check(subject) == NULL) {
			pattern_check(&first, source, subject);
			pattern_check(&second, source, subject);
		}
		if (xf_str_equal(first.value, second.value) && xf_subject_check(first.value) == NULL)
			XF_ASSERT(xf_template_may_equal(first.template, second.template));
	}
	xf_template_destroy(&first.template);
	xf_template_destroy(&second.template);
	xf_buffer_fini(&first.scratch);
	xf_buffer_fini(&second.scratch);
}
