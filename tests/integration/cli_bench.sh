#!/bin/bash
# bench: load and check over each broker, over a bridge made on the spot and through a running server; and what it finds
# when something is wrong.
#
# usage: cli_bench.sh BUILD-FOLDER
set -u

build=${1:-${XF_BINARY_DIR:?usage: cli_bench.sh BUILD-FOLDER}}
tool=$build/bin/crossfade
broker=$(dirname "$0")/../../tools/broker
dir=$(mktemp -d "${TMPDIR:-/tmp}/xf-bench-XXXXXX")
server=
failures=0

finish() {
	local kind

	[ -n "$server" ] && kill "$server" 2>/dev/null && wait "$server"
	for kind in nats redis; do
		[ -d "$dir/$kind" ] && "$broker" kill "$dir/$kind"
	done
	rm -rf "$dir"
}
trap finish EXIT

# check STATUS PATTERN ARGUMENTS
check() {
	local want=$1 pattern=$2 got
	shift 2
	timeout 100 "$tool" bench "$@" >"$dir/out" 2>&1
	got=$?
	if [ "$got" != "$want" ] || ! grep -qF -- "$pattern" "$dir/out"; then
		echo "FAILED: crossfade bench $*: status $got, expected $want; expected '$pattern' in:"
		sed 's/^/    /' "$dir/out"
		failures=$((failures + 1))
	fi
}

nats=$("$broker" start nats "$dir/nats") || exit 1
redis=$("$broker" start redis "$dir/redis") || exit 1

check 0 '"sent":2000,"confirmed":2000,"refused":0,"unconfirmed":0,"received":2000,"lost":0' \
	--via "$nats" bench.a --count 2000 --rate 2000 --json
check 0 'reordered     0 within their key' --via "$redis" 'bench.{k}' --count 3000 --rate 1000 --keys 10 --producers 3
grep -qE '^[0-9:]{8}  sent .*p99' "$dir/out" || { echo 'FAILED: no line a second'; failures=$((failures + 1)); }
check 0 'lost          0' --via "$redis" --to "$nats" bench.b --count 1000 --rate 1000 --size 1KiB
check 0 '"lost":0' --via "$nats" -o mode=jetstream -o durable=bench -o 'streams=[{name: B, subjects: ["jb.>"], storage: memory}]' \
	'jb.{k}' --count 2000 --json
check 0 '"lost":0' --via "$nats" bench.c --duration 1s --rate 500 --json

# through a server, in at redis, out at nats
cat >"$dir/c.yaml" <<END
server: {data_dir: data}
transports:
  old: {plugin: redis, url: "$redis"}
  new: {plugin: nats, url: "$nats"}
routes:
  - {name: r, from: {transport: old, subject: "in.>"}, to: {transport: new, mode: core, subject: "out.{subject.2}"}}
END
mkdir "$dir/data"
"$build/bin/crossfaded" -c "$dir/c.yaml" 2>"$dir/log" &
server=$!
for _ in {1..200}; do
	"$tool" status -c "$dir/c.yaml" 2>/dev/null | grep -q ' ready ' && break
	sleep 0.1
done
check 0 'lost          0' --via old --from new 'in.{k}' --read 'out.*' --count 1000 --rate 1000 -c "$dir/c.yaml"

# a paused route lets nothing through: everything is lost, and it says so
"$tool" route pause r -c "$dir/c.yaml" >/dev/null
check 1 '"received":0,"lost":100,' --via old --from new 'in.{k}' --read 'out.*' --count 100 -c "$dir/c.yaml" --json

check 1 'efused' --via redis://127.0.0.1:1 a.b
check 1 'no stream' --via "$nats" -o mode=jetstream -o durable=x nowhere.a --count 10
check 2 'one of them' --via "$nats" --to "$redis" --from "$redis" a.b
check 2 '-O goes with' --via "$nats" -O mode=core a.b
check 2 '--size' --via "$nats" --size huge a.b
check 2 '--size' --via "$nats" --size 1B a.b
check 2 '--keys takes a number from 1' --via "$nats" --keys 0 a.b
check 2 "SUBJECT 'a..{k}'" --via "$nats" 'a..{k}'

[ "$failures" = 0 ] && echo "bench finds what is there and what is not"
exit $((failures > 0))
