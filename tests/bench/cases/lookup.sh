# lookup.sh - finding a subject's subscription.

case_lookup() {
	local i kind one many ratio

	for ((i = 0; i < runs; i++)); do
		"$bin/bench-lookup" "$(scaled 4000000)" >>"$work/lookup" || fail "the look-up failed"
	done
	table "| look-up of a subject | ns among 1 | ns among 10,000 | the least of the runs |"
	sort -k1,1 -k4,4n "$work/lookup" | awk '$1 != kind {print} {kind = $1}' | while read -r kind one many ratio; do
		subject="look-up, $kind"
		echo "| $kind | $one | $many | $(bar "×" "$ratio" '<' 2) |"
	done
	echo
}
