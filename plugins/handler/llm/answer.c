#include "answer.h"

#include <stdarg.h>
#include <stdio.h>

#include "bytes.h"

__attribute__((format(printf, 2, 3))) static bool
fail(struct xf_error *error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(error->text, sizeof(error->text), format, args);
	va_end(args);
	return false;
}

/* The string at POINTER; empty: none. */
static struct xf_str
string_at(struct document *document, const char *pointer)
{
	uint32_t node = document_find(document, str_of(pointer));

	if (node == 0 || document_node(document, node)->type != NODE_STRING)
		return (struct xf_str){NULL, 0};
	return document_string(document, node);
}

static uint64_t
tokens_read(const struct document *document)
{
	uint32_t node = document_find(document, str_of("/usage/total_tokens"));
	double number;

	if (node == 0 || document_node(document, node)->type != NODE_NUMBER ||
	    !str_number((struct xf_str){document_node(document, node)->text, document_node(document, node)->text_len}, &number) ||
	    number < 0 || number > 1e12)
		return 0;
	return (uint64_t)number;
}

bool
answer_read(struct answer *answer, struct document *document, struct xf_str body, struct xf_error *error)
{
	struct xf_str refusal, finish;

	*answer = (struct answer){.tokens = 0};
	if (!document_parse(document, body))
		return fail(error, "the endpoint's answer is no JSON: %s at byte %zu", document->wrong, document->wrong_at);
	answer->tokens = tokens_read(document);
	refusal = string_at(document, "/choices/0/message/refusal");
	finish = string_at(document, "/choices/0/finish_reason");
	answer->content = string_at(document, "/choices/0/message/content");
	if (refusal.len > 0)
		return fail(error, "the model refuses: %.*s", (int)(refusal.len < 200 ? refusal.len : 200), refusal.data);
	if (str_equal(finish, str_of("content_filter")))
		return fail(error, "the model's answer was held back by a content filter");
	if (str_equal(finish, str_of("length")))
		return fail(error, "the model's answer was cut off; give it more max_tokens");
	if (answer->content.len == 0)
		return fail(error, "the endpoint's answer has no /choices/0/message/content");
	return true;
}

static bool
is_space(char c)
{
	return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static void
trim(struct xf_str *text)
{
	while (text->len > 0 && is_space(text->data[text->len - 1]))
		text->len--;
	while (text->len > 0 && is_space(text->data[0])) {
		text->data++;
		text->len--;
	}
}

/* "```json\n...\n```" */
static void
fence_take(struct xf_str *text)
{
	const char *line;

	if (text->len < 6 || memcmp(text->data, "```", 3) != 0 || memcmp(text->data + text->len - 3, "```", 3) != 0)
		return;
	line = memchr(text->data, '\n', text->len - 3);
	if (line == NULL)
		return;
	text->len -= (uint64_t)(line + 1 - text->data) + 3;
	text->data = line + 1;
}

bool
answer_json(struct xf_str *content, struct document *document, struct schema_file *schema, struct xf_error *error)
{
	struct xf_error why = {{0}};

	trim(content);
	fence_take(content);
	trim(content);
	if (!document_parse(document, *content))
		return fail(error, "the model's answer is no JSON: %s at byte %zu", document->wrong, document->wrong_at);
	if (document_node(document, 1)->type != NODE_OBJECT)
		return fail(error, "the model's answer is no JSON object");
	if (schema != NULL && !schema_holds(schema, document, &why))
		return fail(error, "the model's answer is not as the schema says: %.400s", why.text);
	return true;
}
