#!/usr/bin/env bash
# Each layer of core includes only itself and those above it; plugins include only the public headers and their
# own; the core links no broker library.
set -euo pipefail
cd "$1"

layers=(base spool conf dead host flow admin daemon)
failed=0

complain() {
	echo "$1"
	failed=1
}

for i in "${!layers[@]}"; do
	allowed=$(IFS='|'; echo "${layers[*]:0:i+1}")
	while IFS= read -r line; do
		complain "core/${layers[i]} may include only ${allowed//|/, }: $line"
	done < <(grep -rnE '#include "' "core/${layers[i]}" --include='*.[ch]' | grep -vE "#include \"($allowed)/" || true)
done

while IFS= read -r line; do
	complain "a public header includes only public headers and the C library: $line"
done < <(grep -rnE '#include' core/include | grep -vE '#include <(crossfade/[a-z]+|stdint|stddef)\.h>' || true)

while IFS= read -r line; do
	complain "a plugin includes only its own headers, the public ones and libraries: $line"
done < <(grep -rnE '#include "[^"]*/' plugins --include='*.[ch]' || true)

while IFS= read -r line; do
	complain "the core knows no broker library: $line"
done < <(grep -rnE '#include <(nats|hiredis|amqp|rabbitmq)' core tools || true)

exit $failed
