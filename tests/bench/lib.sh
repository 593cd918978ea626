# lib.sh - what the cases share: the server, brokers, figures, rows of tables. Sourced by run, whose variables it uses.

cleanup() {
	local folder

	[[ -z $server ]] || kill -KILL "$server" 2>/dev/null || true
	for folder in "$work"/broker-*; do
		[[ ! -e $folder/kind ]] || "$broker" stop "$folder" || true
	done
	rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 1' INT TERM

fail() {
	printf 'bench: %s\n' "$*" >&2
	[[ ! -s $work/log ]] || tail -n 20 "$work/log" >&2
	exit 1
}

scaled() {
	echo $(($1 * scale / 100))
}

# ---- The server ----------------------------------------------------------------------------------

# Starts it with the YAML on standard input and waits for its socket. --keep: with the data of the last one.
server_start() { # [--keep]
	local tries=200

	[[ ${1:-} == --keep ]] || rm -rf "$work/data"
	{
		echo "server: {data_dir: $work/data}"
		cat
	} >"$work/crossfade.yaml"
	"$bin/crossfaded" -c "$work/crossfade.yaml" >"$work/log" 2>&1 &
	server=$!
	until [[ -S $work/data/admin.sock ]]; do
		kill -0 "$server" 2>/dev/null && ((tries-- > 0)) || fail "crossfaded did not start"
		sleep 0.05
	done
}

server_stop() {
	kill -TERM "$server"
	wait "$server" || true
	server=''
}

crossfade() {
	"$bin/crossfade" "$@" -c "$work/crossfade.yaml" >>"$work/verbs" || fail "crossfade $* failed"
}

# sample EVERY_MS SECONDS UNTIL SERIES...
sample() {
	"$bin/bench-sample" "$work/data/admin.sock" "$@"
}

acked() {
	echo "crossfade_route_acked_total{route=\"$1\"}"
}

# ---- Figures --------------------------------------------------------------------------------------

# Readings of sample on standard input: "rate cpu rss_begin rss_end" from the first with messages up to the last before
# $1 (0: the very last) was reached.
span() {
	awk -v until="$1" '
		$4 > 0 && !begun { begun = 1; t0 = $1; c0 = $2; r0 = $3; n0 = $4 }
		begun && (until == 0 || $4 < until) { t = $1; c = $2; r = $3; n = $4 }
		END {
			if (n > n0) printf "%.0f %.3f %d %d\n", (n - n0) / (t - t0), (c - c0) / (n - n0) * 1e6, r0 / 1048576, r / 1048576
		}'
}

# What a bridge prints, in the same form.
bridge_span() {
	awk '{printf "%.0f %.3f - %d\n", $1 / $2, $3 / $1 * 1e6, $4 / 1048576}'
}

# median FILE COLUMN
median() {
	awk -v column="$2" '{print $column}' "$1" | sort -n | awk '{v[NR] = $1} END {print v[int((NR + 1) / 2)]}'
}

# bar NAME VALUE RELATION LIMIT: "NAME VALUE (RELATION LIMIT)" for a cell, and **missed** behind it where it is not kept.
# What NAME is of stands in $subject.
bar() {
	local kept

	kept=$(awk -v value="$2" -v relation="$3" -v limit="$4" \
		'BEGIN {print relation == "≤" ? (value <= limit) : relation == "<" ? (value < limit) : (value >= limit)}')
	printf '%s %s (%s %s)' "$1" "$2" "$3" "$4"
	((kept)) || {
		printf ' **missed**'
		echo "$subject: $1 $2, not $3 $4" >>"$work/missed"
	}
}

# row NAME FILE NOTE
row() {
	[[ $headed ]] || echo "| case | messages/s | min – max | CPU µs/message | brokers' CPU µs/message | RSS MiB, first | RSS MiB, last | |
|---|---:|---:|---:|---:|---:|---:|---|"
	headed=1
	[[ -s $2 ]] || { echo "| $1 | too short to measure | | | | | | $3 |"; return; }
	printf '| %s | %s | %s – %s | %s | %s | %s | %s | %s |\n' "$1" "$(median "$2" 1)" \
		"$(sort -n "$2" | head -n 1 | cut -d' ' -f1)" "$(sort -n "$2" | tail -n 1 | cut -d' ' -f1)" \
		"$(median "$2" 2)" "$(median "$2" 5)" "$(median "$2" 3)" "$(median "$2" 4)" "$3"
}

# A table with other columns: HEAD is its line of names.
table() {
	echo
	headed='' # the next row has the usual columns again
	echo "$1"
	echo "$1" | sed 's/[^|]\+/---/g'
}

# ratio OURS THEIRS: rate and CPU beside those of the bridge, run by run, as a note with their bars.
ratio() {
	local rate cpu limit

	[[ -s $1 && -s $2 ]] || return 0
	paste -d' ' "$1" "$2" | awk 'NF == 10 {printf "%.2f %.2f\n", $1 / $6, $2 / $7}' >"$work/ratios"
	rate=$(median "$work/ratios" 1)
	cpu=$(median "$work/ratios" 2)
	limit=$(awk -v least="$(median "$2" 2)" 'BEGIN {print least < 1 ? 2 : 1.5}')
	echo "$(bar "rate ×" "$rate" ≥ 0.9), $(bar "CPU ×" "$cpu" ≤ "$limit") of the bridge's"
}

# ---- Brokers ---------------------------------------------------------------------------------------

# fresh KIND [ARG...]: that broker with nothing in it; prints its URL.
fresh() {
	local folder=$work/broker-$1

	if [[ -e $folder/kind ]]; then
		"$broker" stop "$folder"
		"$broker" wipe "$folder"
	fi
	"$broker" start "$1" "$folder" "${@:2}"
}

port() {
	cat "$work/broker-$1/port"
}

jetstream_yaml() { # URL
	echo "  jetstream: {plugin: nats, url: \"$1\", streams: [{name: BENCH, subjects: [bench.out], storage: file}]}"
}

# held URL NAME [--empty]
held() {
	"$bin/bench-held" "$@"
}

