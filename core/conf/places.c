#include "conf/places.h"

#include <stdio.h>

#include "base/subject.h"
#include "conf/class.h"
#include "conf/endpoint.h"

void
xf_places_fini(struct xf_places *places)
{
	xf_names_fini(&places->texts);
}

static bool
address_ask(const struct xf_loading *l, const struct xf_conf_endpoint *ep, bool sink, char *out, size_t size)
{
	struct xf_class_side side = sink ? xf_class_sink(ep->transport->class) : xf_class_source(ep->transport->class);

	return xf_class_address(&side, l->catalogue->host, ep, out, size);
}

static size_t
text_number(struct xf_places *places, const char *what, const char *text)
{
	char all[1100];

	snprintf(all, sizeof(all), "%s %s", what, text);
	if (xf_names_find(&places->texts, xf_str(all)) != XF_NAMES_NONE)
		return xf_names_find(&places->texts, xf_str(all));
	return xf_names_add(&places->texts, xf_arena_copy(places->l->arena, all, strlen(all)));
}

size_t
xf_places_number(struct xf_places *places, const struct xf_conf_endpoint *ep, bool sink, const char **subject)
{
	char text[1024], *end;

	if (!address_ask(places->l, ep, sink, text, sizeof(text)))
		return text_number(places, "transport", ep->transport->name);
	end = strchr(text, '\n');
	if (end != NULL) {
		*end = '\0';
		*subject = xf_arena_copy(places->l->arena, end + 1, strlen(end + 1));
	}
	return text_number(places, "at", text);
}

/* Whether both are published to under patterns that meet, given what PATTERN lets in. */
static bool
subjects_meet(const struct xf_conf_endpoint *a, const struct xf_conf_endpoint *b, const char *pattern)
{
	struct xf_buffer left = {0}, right = {0};
	bool meet;

	xf_template_pattern_from(a->template, xf_str(pattern), &left);
	xf_template_pattern_from(b->template, xf_str(pattern), &right);
	meet = xf_subject_overlap((struct xf_str){left.data, left.len}, (struct xf_str){right.data, right.len});
	xf_buffer_fini(&left);
	xf_buffer_fini(&right);
	return meet;
}

bool
xf_places_meet(struct xf_places *places, const struct xf_conf_endpoint *a, const struct xf_conf_endpoint *b,
               const char *const *patterns, size_t count)
{
	const char *subject;
	char text[1024];

	if (!xf_endpoint_sound(a) || !xf_endpoint_sound(b) ||
	    xf_places_number(places, a, true, &subject) != xf_places_number(places, b, true, &subject))
		return false;
	/* without an address, only the options can tell two places of one transport apart */
	if (!address_ask(places->l, a, true, text, sizeof(text)) && !xf_config_equal(a->options, b->options))
		return false;
	if (!xf_template_may_equal(a->template, b->template))
		return false;
	for (size_t i = 0; i < count; i++)
		if (subjects_meet(a, b, patterns[i]))
			return true;
	return false;
}
