#!/bin/bash
# Every verb says what it takes, in a form that stays, and the completion knows all of it.
#
# usage: cli_help.sh BUILD-FOLDER
set -u

build=${1:-${XF_BINARY_DIR:?usage: cli_help.sh BUILD-FOLDER}}
tool=$build/bin/crossfade
completion=$(dirname "$0")/../../packaging/completion/crossfade
failures=0

fail() {
	echo "FAILED: $*"
	failures=$((failures + 1))
}

# what the completion offers for the words given, the last of which is being typed
offers() {
	COMP_WORDS=("$@")
	COMP_CWORD=$(($# - 1))
	COMPREPLY=()
	_crossfade
	printf '%s\n' "${COMPREPLY[@]}"
}

# shellcheck disable=SC1090
source "$completion"
PATH=$build/bin:$PATH

count=0
while IFS=$'\t' read -r path summary; do
	count=$((count + 1))
	[ -n "$summary" ] || fail "$path has no summary"
	# shellcheck disable=SC2086
	help=$("$tool" $path --help </dev/null) || fail "$path --help ends with $?"
	[ "$path" = help ] || [[ $help == "usage: crossfade $path"* ]] || fail "$path --help begins otherwise"
	verb=${path%% *} sub=${path#* }
	offers crossfade '' | grep -qx -- "$verb" || fail "the completion does not offer $verb"
	if [ "$sub" != "$path" ]; then
		offers crossfade "$verb" '' | grep -qx -- "$sub" || fail "the completion does not offer $path"
		words=(crossfade "$verb" "$sub" name -)
		[ "$sub" = list ] && words=(crossfade "$verb" list -)
	else
		words=(crossfade "$verb" -)
	fi
	offered=$(offers "${words[@]}")
	# one line each: "  -c, --config FILE   text"
	for option in $(sed -n 's/^  \(-.,\|   \) \(--[a-z-]*\).*/\2/p' <<<"$help"); do
		grep -qx -- "$option" <<<"$offered" || fail "the completion does not offer $path $option"
	done
	[ "$path" = help ] || grep -q '^examples:' <<<"$help" || fail "$path --help has no examples"
done < <("$tool" help --verbs)
[ "$count" -ge 20 ] || fail "help --verbs names $count verbs only"
offers crossfade migration set orders --stage '' | grep -qx rampdown || fail 'no stages are offered'
offers crossfade plugin show na | grep -qx nats || fail 'no plugins are offered'

[ "$failures" = 0 ] && echo "$count verbs explain themselves, and the completion knows them"
exit $((failures > 0))
