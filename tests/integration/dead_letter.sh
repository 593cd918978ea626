#!/bin/bash
#
# What a route gives up goes where its dead_letter says: it waits in the store while that broker is away, and leaves it once it is
# confirmed there, with the reason, under the id that it had.
set -u

build=$1
tool=$build/bin/crossfade
broker=$(cd "$(dirname "$0")/../.." && pwd)/tools/broker
dir=$(mktemp -d /tmp/xf-dead-XXXXXX)
server=
failures=0

finish() {
	[ -z "$server" ] || kill "$server" 2>/dev/null
	"$broker" kill "$dir/redis" 2>/dev/null
	rm -rf "$dir"
}
trap finish EXIT

fail() {
	echo "FAILED: $*"
	failures=$((failures + 1))
}

# until_says PATTERN ARG...: two minutes for crossfade ARG... to print it
until_says() {
	local pattern=$1
	shift
	for _ in {1..1200}; do
		"$tool" "$@" 2>/dev/null | grep -q -- "$pattern" && return
		sleep 0.1
	done
	fail "crossfade $* does not come to say '$pattern':"
	"$tool" "$@"
}

url=$("$broker" start redis "$dir/redis") || exit 1
"$broker" stop "$dir/redis"
cat >"$dir/c.yaml" <<END
server: {data_dir: data}
transports:
  redis: {plugin: redis, url: "$url"}
  probe: {plugin: probe}
  there: {plugin: local}
routes:
  - name: picky
    from: {transport: probe, count: 200, to: "p.a"}
    to: {transport: there, subject: "{header.none}"}
    dead_letter: {transport: redis, mode: stream, subject: "dead.{subject}"}
END
mkdir "$dir/data"
"$build/bin/crossfaded" -c "$dir/c.yaml" 2>"$dir/log" &
server=$!
until_says '^200 in all' dead list -c "$dir/c.yaml"
id=$("$tool" dead show 7 --json -c "$dir/c.yaml" | sed -n 's/.*"id":	"\([^"]*\)".*/\1/p')
"$broker" restart "$dir/redis" >/dev/null
until_says '^0 in all' dead list -c "$dir/c.yaml"
count=$("$broker" ctl "$dir/redis" xlen dead.p.a)
[ "$count" = 200 ] || fail "$count of 200 messages arrived"
"$broker" ctl "$dir/redis" xrange dead.p.a - + >"$dir/all"
grep -qxF "${id:?}" "$dir/all" || fail "$id came with another id"
[ "$(grep -c 'no value for {header.none}' "$dir/all")" = 200 ] || fail "the reasons did not come along"
[ "$(grep -cx 'picky' "$dir/all")" = 200 ] || fail "the name of the route did not come along"
"$tool" drain -c "$dir/c.yaml" >/dev/null || fail "drain"
wait "$server" || fail "the server ended with $?"
server=

[ "$failures" = 0 ] && echo "dead letters arrive"
exit $((failures > 0))
