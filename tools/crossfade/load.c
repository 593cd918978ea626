#include "load.h"

bool
loaded_init(struct loaded *loaded, const char *file)
{
	struct xf_conf_catalogue classes;

	*loaded = (struct loaded){.catalogue = xf_catalogue_create()};
	classes = xf_catalogue_for_conf(loaded->catalogue);
	loaded->conf = xf_conf_load(file, &classes, &loaded->errors);
	return loaded->conf != NULL;
}

void
loaded_fini(struct loaded *loaded)
{
	if (loaded->conf != NULL)
		xf_conf_destroy(&loaded->conf);
	xf_buffer_fini(&loaded->errors);
	xf_catalogue_destroy(&loaded->catalogue);
}
