#!/usr/bin/env bash
# Every plugin exports its entry and nothing else.
set -euo pipefail

failed=0
for plugin in "$1"/*.so; do
	exported=$(nm -D --defined-only "$plugin" | awk '{print $3}' | grep -vE '^(__(a|t|ub)san|___asan|_fini$|_init$)' || true)
	if [ "$exported" != xf_plugin_entry_v1 ]; then
		echo "$plugin exports: ${exported:-nothing}"
		failed=1
	fi
done
exit $failed
