#!/bin/bash
# seeded: faults that are made on purpose (seeded/plugin.c) are found, counted exactly, and are the only ones that are found. By
# `crossfade bench`, and by the checker in a server whose route is changed while messages flow.
#
# usage: seeded.sh BUILD-FOLDER
set -u

build=${1:?usage: seeded.sh BUILD-FOLDER}
tool=$build/bin/crossfade
dir=$(mktemp -d "${TMPDIR:-/tmp}/xf-seeded-XXXXXX")
server=
failures=0

finish() {
	[ -n "$server" ] && kill -KILL "$server" && wait "$server"
	rm -rf "$dir"
} 2>/dev/null
trap finish EXIT

wrong() {
	echo "FAILED: $*"
	failures=$((failures + 1))
}

# ---- bench: 20,000 messages, one fault in 10,000 --------------------------------------------------------

{
	echo "server: {data_dir: $dir/data, plugin_dirs: [$build/tests/fault/plugins]}"
	echo "transports:"
	for fault in none drop swap flip repeat; do
		echo "  $fault: {plugin: seeded, fault: $fault}"
	done
	echo "routes: []"
} >"$dir/bench.yaml"

# At the same time, since what is lost is waited for.
declare -A running
for fault in none drop swap flip repeat; do
	timeout 300 "$tool" bench --via "$fault" 'seeded.{k}' --count 20000 --keys 100 --json -c "$dir/bench.yaml" \
		>"$dir/$fault" 2>&1 &
	running[$fault]=$!
done

# found FAULT STATUS RECEIVED LOST DUPLICATES CORRUPTED REORDERED
found() {
	local status=0 head='"sent":20000,"confirmed":20000,"refused":0,"unconfirmed":0'

	wait "${running[$1]}" || status=$?
	((status == $2)) || wrong "bench with $1: status $status, expected $2"
	grep -qF -- "$head,\"received\":$3,\"lost\":$4,\"duplicates\":$5,\"corrupted\":$6,\"reordered\":$7,\"unexpected\":0" \
		"$dir/$1" || wrong "bench with $1: $(cat "$dir/$1")"
}

found none 0 20000 0 0 0 0
found drop 1 19998 2 0 0 0
found swap 1 20000 0 0 0 2
found flip 1 19998 2 0 2 0 # what is damaged has not arrived
found repeat 0 20002 0 2 0 0 # which at-least-once allows

# ---- a server: what a sink confirmed and did not pass on is lost when its route changes --------------------

server_yaml() { # FAULT KEY
	cat <<-END
		server: {data_dir: $dir/data, plugin_dirs: [$build/tests/fault/plugins]}
		transports:
		  load: {plugin: probe}
		  between: {plugin: seeded, fault: $1}
		routes:
		  - {name: in, from: {transport: load, rate: 2000, keys: 10}, to: between, key: "$2"}
		  - {name: out, from: {transport: between}, to: load, key: "{header.key}"}
	END
}

report() {
	"$tool" transport show load --json -c "$dir/server.yaml" 2>/dev/null | tr -d '\t\n'
}

# until_is EXPRESSION: of the report's numbers by their names.
until_is() {
	local tries=600 name value
	local -A number=()

	while ((tries-- > 0)); do
		while read -r name value; do
			[ -n "${number[$name]:-}" ] || number[$name]=$value # those of sides come later
		done < <(report | grep -oE '"[a-z_]+":[0-9]+' | tr -d '"' | tr : ' ')
		((${#number[@]} > 0)) && (($(sed -E 's/([a-z_]+)/number[\1]/g' <<<"$1"))) && return
		number=()
		sleep 0.1
	done
	wrong "with $fault it never came to $1: $(report)"
	return 1
}

for fault in none early; do
	server_yaml "$fault" '{header.key}' >"$dir/server.yaml"
	"$build/bin/crossfaded" -c "$dir/server.yaml" >"$dir/log" 2>&1 &
	server=$!
	until_is 'received > 500' || break
	server_yaml "$fault" '{header.key|id}' >"$dir/server.yaml"
	"$tool" reload -c "$dir/server.yaml" >"$dir/said" 2>&1 || wrong "reload: $(cat "$dir/said")"
	after=$(report | grep -oE '"sent":[0-9]+' | cut -d: -f2)
	until_is "received > $after" || break
	"$tool" route pause in -c "$dir/server.yaml" >/dev/null
	case $fault in
	none) until_is 'unresolved == 0 && received == sent && lost == 0' ;;
	early) until_is 'unresolved == 0 && lost > 0 && received + lost == sent' ;;
	esac
	until_is 'duplicates + corrupted + reordered + unexpected + renamed == 0'
	kill -TERM "$server"
	wait "$server" || wrong "crossfaded with $fault ended with $?"
	server=
done

((failures == 0)) && echo "what is seeded is found, and nothing else"
exit $((failures > 0))
