#include "conf/names.h"

#include <stdlib.h>
#include <uthash.h>

#include "base/memory.h"

struct xf_name {
	const char *text;
	size_t number;
	UT_hash_handle hh;
};

void
xf_names_fini(struct xf_names *names)
{
	struct xf_name *name, *next;

	HASH_ITER(hh, names->table, name, next)
	{
		HASH_DEL(names->table, name);
		free(name);
	}
	free(names->list);
	*names = (struct xf_names){0};
}

size_t
xf_names_find(const struct xf_names *names, struct xf_str name)
{
	struct xf_name *found;

	HASH_FIND(hh, names->table, name.data, (unsigned)name.len, found);
	return found != NULL ? found->number : XF_NAMES_NONE;
}

size_t
xf_names_add(struct xf_names *names, const char *text)
{
	size_t number = xf_names_find(names, xf_str(text));
	struct xf_name *name;

	if (number != XF_NAMES_NONE)
		return number;
	if (names->count == names->size) {
		size_t size = names->size > 0 ? names->size * 2 : 16;

		names->list = xf_grow_array(names->list, names->size, size, sizeof(*names->list));
		names->size = size;
	}
	name = xf_alloc(sizeof(*name));
	name->text = text;
	name->number = names->count;
	HASH_ADD_KEYPTR(hh, names->table, name->text, (unsigned)strlen(text), name);
	names->list[names->count] = text;
	return names->count++;
}
