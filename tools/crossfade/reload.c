#include <inttypes.h>
#include <stdio.h>

#include "ask.h"
#include "client.h"
#include "output.h"
#include "tool.h"

static void
reload_print(const cJSON *report)
{
	static const struct {
		const char *key;
		enum colour colour;
	} kinds[] = {{"added", GREEN}, {"changed", YELLOW}, {"removed", RED}};
	bool any = false;
	const cJSON *name;

	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
		cJSON_ArrayForEach(name, cJSON_GetObjectItemCaseSensitive(report, kinds[i].key)) {
			printf("%s%-8s%s %s\n", colour_on(kinds[i].colour), kinds[i].key, colour_off(),
			       cJSON_IsString(name) ? name->valuestring : "");
			any = true;
		}
	if (!any)
		printf("nothing has changed\n");
	cJSON_ArrayForEach(name, cJSON_GetObjectItemCaseSensitive(report, "warnings"))
		printf("%swarning%s  %s\n", colour_on(YELLOW), colour_off(), cJSON_IsString(name) ? name->valuestring : "");
	printf("%d kept as they are; generation %" PRIu64 "\n",
	       cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(report, "kept")),
	       json_count(report, "generation"));
}

static const struct ask reload = {
	.line = "reload",
	.about = "The running server reads its configuration again and swaps what changed, while all else runs on. A\n"
	         "file with an error changes nothing: every mistake is printed, and the exit status is 1.",
	.examples = "  crossfade reload\n  crossfade validate -c crossfade.yaml && crossfade reload -c crossfade.yaml\n",
	.method = "POST",
	.path = "/api/v1/reload",
	.print = reload_print,
};

const struct verb verb_reload = {"reload", "have the running server apply its changed file", .ask = &reload};
