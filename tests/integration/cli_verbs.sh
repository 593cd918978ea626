#!/bin/bash
# The operator's tool against a running server: what each verb prints and how it ends.
#
# usage: cli_verbs.sh BUILD-FOLDER
set -u

build=${1:-${XF_BINARY_DIR:?usage: cli_verbs.sh BUILD-FOLDER}}
tool=$build/bin/crossfade
dir=$(mktemp -d "${TMPDIR:-/tmp}/xf-cli-XXXXXX")
server=
failures=0

finish() {
	[ -n "$server" ] && kill "$server" 2>/dev/null && wait "$server"
	rm -rf "$dir"
}
trap finish EXIT

# check STATUS PATTERN ARGUMENTS: runs the tool; status and a piece of what it printed are as expected.
check() {
	local want=$1 pattern=$2 got
	shift 2
	"$tool" "$@" >"$dir/out" 2>&1
	got=$?
	if [ "$got" != "$want" ] || ! grep -qF -- "$pattern" "$dir/out"; then
		echo "FAILED: crossfade $*: status $got, expected $want; expected '$pattern' in:"
		sed 's/^/    /' "$dir/out"
		failures=$((failures + 1))
	fi
}

cat >"$dir/c.yaml" <<END
server: {name: cli, data_dir: data}
transports:
  in: {plugin: local}
  left: {plugin: local}
  right: {plugin: local}
migrations:
  orders: {old: {transport: left}, new: {transport: right}}
routes:
  - {name: orders, from: {transport: in, subject: "orders.>"}, to: {migration: orders}}
END
sed 's/transport: left/transport: lefd/' "$dir/c.yaml" >"$dir/bad.yaml"
mkdir "$dir/data"
c="-c $dir/c.yaml"

# without a server
check 0 'usage: crossfade VERB' help
check 2 'usage: crossfade VERB'
check 0 'crossfade ' --version
check 2 "did you mean 'crossfade migration'?" migraton list
check 2 "did you mean 'crossfade migration set'?" migration sett
check 2 'did you mean --percent?' migration set orders --percnt 5
check 2 'usage: crossfade migration VERB' migration
check 2 'something is missing' migration set
check 2 "did you mean 'crossfade route show'?" route shwo
check 2 '--watch takes a number' status --watch 0
check 2 'say which' dead purge
check 2 'say which' dead purge 1 --all
check 2 'say which' dead purge --all --route orders
check 2 '--older' dead purge --older soon
check 2 '--limit' dead list --limit 1001
check 2 'something is missing' dead show
check 2 'is too much' reload now
check 0 'usage: crossfade migration set' help migration set
check 2 'nothing to set' migration set orders
check 2 '--percent' migration set orders --percent 101
check 2 '--percent' migration set orders --percent=-1
check 2 '--percent' migration set orders --percent nan
check 2 "did you mean 'dualwrite'?" migration set orders --stage dualwrit
check 2 'on, off or required' migration set orders --mirror maybe
check 2 '--count' migration show orders --count 3
check 2 'needs a value' migration set orders --percent
for verb in validate status 'migration list' 'migration show' 'migration set' 'migration rollback' 'route list' \
	'route show' 'route pause' 'route resume' 'dead list' 'dead show' 'dead replay' 'dead purge' reload drain 'transport list' 'transport show' 'plugin list' 'plugin show'; do
	# shellcheck disable=SC2086
	check 0 "usage: crossfade $verb" $verb --help
	grep -q '^examples:' "$dir/out" || { echo "FAILED: $verb --help has no examples"; failures=$((failures + 1)); }
done
check 0 'usage: crossfade status' help status
check 0 'promise: at least once' validate $c
check 0 '"valid":	true' validate $c --json
check 78 "did you mean 'left'?" validate -c "$dir/bad.yaml"
check 78 '"valid":	false' validate -c "$dir/bad.yaml" --json
check 78 'none.yaml' validate -c "$dir/none.yaml"
check 78 "name the socket with --socket" status -c "$dir/bad.yaml"
check 0 'local' plugin list
check 0 '"name":	"local"' plugin list --json
check 0 'max_messages' plugin show local
check 0 '"key":	"max_messages"' plugin show local --json
check 1 "did you mean 'local'?" plugin show locl
check 1 'no server at' status $c
check 1 'no server at' status --socket "$dir/nobody.sock"
check 2 'too long' status --socket "/$(printf 'x%.0s' {1..200})"
touch "$dir/file"
check 1 "$dir/file" status --socket "$dir/file"

# with one
"$build/bin/crossfaded" -c "$dir/c.yaml" 2>"$dir/log" &
server=$!
for _ in {1..100}; do
	"$tool" status $c 2>/dev/null | grep -q ' ready ' && break
	sleep 0.05
done
check 0 'ready' status $c
check 0 '"status":	"ok"' status --json $c
check 0 'orders' status --socket "$dir/data/admin.sock"
check 0 'left up' migration list $c
check 0 '"migrations"' migration list --json $c
check 0 'orders: off, 0 % new, mirror off' migration show orders $c
check 1 "did you mean 'orders'?" migration show ordrs $c
check 0 '2500 of 10000 lanes (25 % of keys) move from old (left) to new (right)' migration set orders -p 25 --dry-run $c
grep -q 'nothing was changed' "$dir/out" || { echo "FAILED: --dry-run"; failures=$((failures + 1)); }
grep -q '  new (right):' "$dir/out" || { echo "FAILED: --dry-run does not say what stands on new"; failures=$((failures + 1)); }
check 0 'orders: off, 0 % new' migration show orders $c
check 0 'done: orders is at 25 % new, mirror required (live)' migration set orders -p 25 --mirror required --wait $c
grep -q 'nothing moves any more' "$dir/out" || { echo "FAILED: --wait"; failures=$((failures + 1)); }
check 0 'no lane changes sides' migration set orders --mirror on $c
check 0 '"percent":	0.01' migration set orders --percent 0.01% --json $c
check 1 'needs a percent' migration set orders --stage live --percent 100 $c
check 0 'done: orders is at 100 % new, mirror on (rampdown)' migration set orders --stage rampdown $c
check 0 'move from new (right) to old (left)' migration rollback orders --wait $c
check 0 'orders     0 % new  mirror on' migration show orders --watch --count 2 $c
[ "$(grep -c "  orders " "$dir/out")" = 2 ] || { echo "FAILED: --count 2 printed otherwise:"; cat "$dir/out"; failures=$((failures + 1)); }
check 0 'at least once' route list $c
check 0 'orders/to/new' route show orders $c
check 0 '"sinks":' route show orders --json $c
check 1 "did you mean 'orders'?" route show ordres $c
timeout 3 "$tool" status --watch 1 $c >"$dir/out" 2>&1
grep -q 'IN/S' "$dir/out" || { echo "FAILED: status --watch shows no rates"; failures=$((failures + 1)); }
check 0 'orders: paused' route pause orders $c
check 0 'paused' status $c
check 0 'orders: ok' route resume orders $c
check 0 'left' transport list $c
check 0 'published: 0' transport show left $c
check 0 '"published":	0' transport show left --json $c
check 1 "did you mean 'left'?" transport show lefd $c
"$tool" status $c 2>/dev/null | grep -q $'\033' && { echo "FAILED: colour in a pipe"; failures=$((failures + 1)); }
grep -q 'changed by=' "$dir/log" || { echo "FAILED: the log does not say who changed it"; failures=$((failures + 1)); }

# reload: what is new is there, a bad file changes nothing and says why
check 0 'nothing has changed' reload $c
cp "$dir/c.yaml" "$dir/before.yaml"
echo '  - {name: more, from: {transport: in, subject: "more.>"}, to: {transport: right, subject: "x.{subject}"}}' >>"$dir/c.yaml"
check 0 "added    route 'more'" reload $c
check 0 'more' route list $c
sed -i 's/transport: left/transport: lefd/' "$dir/c.yaml"
check 1 "did you mean 'left'?" reload --socket "$dir/data/admin.sock"
check 0 'the last reload' status --socket "$dir/data/admin.sock"
check 0 'more' route list --socket "$dir/data/admin.sock"
cp "$dir/before.yaml" "$dir/c.yaml"
check 0 '"removed":' reload --json $c
check 1 "no route 'more'" route show more $c

# it was killed: the socket is left behind, and replaced
{ kill -9 "$server"; wait "$server"; } 2>/dev/null
server=
check 1 'nobody answers at' status $c
"$build/bin/crossfaded" -c "$dir/c.yaml" 2>"$dir/log" &
server=$!
for _ in {1..100}; do
	"$tool" status $c >/dev/null 2>&1 && break
	sleep 0.05
done
check 0 'orders: dualwrite, 0 % new, mirror on' migration show orders $c

check 0 'stopped after' drain $c
wait "$server" || { echo "FAILED: the server ended with $?:"; cat "$dir/log"; failures=$((failures + 1)); }
server=
[ -e "$dir/data/admin.sock" ] && { echo "FAILED: the socket is left behind"; failures=$((failures + 1)); }

# dead letters: what a route cannot place is kept, shown and removed
mkdir "$dir/kept"
cat >"$dir/d.yaml" <<END
server: {name: cli, data_dir: kept}
transports:
  probe: {plugin: probe}
  there: {plugin: local}
  other: {plugin: local}
routes:
  - {name: picky, from: {transport: probe, count: 3, to: "p.a"}, to: {transport: there, subject: "{header.none}"}}
  - {name: after, from: {transport: there, subject: "mended"}, to: {transport: other, subject: "{header.never}"}}
END
d="-c $dir/d.yaml"
"$build/bin/crossfaded" -c "$dir/d.yaml" 2>"$dir/log" &
server=$!
for _ in {1..600}; do
	"$tool" dead list $d 2>/dev/null | grep -q '^3 in all' && break
	sleep 0.05
done
check 0 'picky 3' dead list $d
grep -q "^ *2  .*  picky  *p\.a  .*header.none" "$dir/out" || { echo "FAILED: dead list:"; cat "$dir/out"; failures=$((failures + 1)); }
check 0 'perhaps more: --after 2' dead list --after 1 --limit 1 --route picky $d
check 0 '"letters":	[]' dead list --route 'no such' --json $d
check 0 'header:       key: k0' dead show 1 $d
grep -q '^base64:' "$dir/out" || { echo "FAILED: dead show has no payload:"; cat "$dir/out"; failures=$((failures + 1)); }
check 0 '"payload_base64":' dead show 1 --json $d
check 1 "no dead letter '9'" dead show 9 $d
check 1 "no dead letter '9'" dead replay 9 $d
check 1 "no route 'orders'" dead replay --route orders $d
check 0 '1 on their way' dead replay 2 $d
for _ in {1..600}; do # refused once more: it stays, with one more attempt
	"$tool" dead show 2 $d 2>/dev/null | grep -q '^attempts: *1$' && break
	sleep 0.05
done
check 0 'attempts:     1' dead show 2 $d
check 0 '0 removed' dead purge --route picky --older 1h $d
check 0 '1 removed' dead purge 1 $d
check 1 "no dead letter '1'" dead purge 1 $d
sed -i "s/{header.none}/{header.none|'mended'}/" "$dir/d.yaml"
check 0 '' reload $d
id=$("$tool" dead show 2 --json $d | sed -n 's/.*"id":	"\([^"]*\)".*/\1/p')
check 0 '"replaying":	0' dead replay --route picky --older 1h --json $d
check 0 '2 on their way' dead replay --route picky $d
for _ in {1..600}; do
	"$tool" dead list $d 2>/dev/null | grep -q 'after 2$' && break
	sleep 0.05
done
check 0 'after 2' dead list $d
grep -q " after .* ${id:?} " "$dir/out" || { echo "FAILED: $id came through with another id:"; cat "$dir/out"; failures=$((failures + 1)); }
check 0 '"confirmed":	2' route show picky --json $d
check 0 '2 removed' dead purge --older 0s $d
check 0 '"removed":	0' dead purge --all --json $d
check 0 '0 in all' dead list $d
grep -q 'dead letters removed by=' "$dir/log" || { echo "FAILED: the log does not say who removed them"; failures=$((failures + 1)); }
check 0 'stopped after' drain $d
wait "$server"
server=

[ "$failures" = 0 ] && echo "all verbs do as they say"
exit $((failures > 0))
