# handlers.sh - what handlers that answer at once cost by themselves.

case_handlers() {
	local i what ns

	for ((i = 0; i < runs; i++)); do
		"$bin/bench-handlers" "$build/lib/crossfade/plugins" "$(scaled 1000000)" >>"$work/handlers" || fail "a handler failed"
	done
	table "| handler | ns a message | the least of the runs |"
	sed -nE 's/^(\S.*\S) +([0-9]+) ns$/\1|\2/p' "$work/handlers" | sort -t'|' -k1,1 -k2,2n |
		awk -F'|' '$1 != what {print} {what = $1}' | while IFS='|' read -r what ns; do
		subject=$what
		echo "| $what | $ns | $([[ $what != "cache hit, key"*"}" ]] || bar ns "$ns" '<' 2000) |"
	done
	echo
}
