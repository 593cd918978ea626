#!/bin/bash
# pub, sub and request against real brokers, by nothing but a URL; and what they say when it does not work.
#
# usage: cli_pubsub.sh BUILD-FOLDER
set -u

build=${1:-${XF_BINARY_DIR:?usage: cli_pubsub.sh BUILD-FOLDER}}
tool=$build/bin/crossfade
broker=$(dirname "$0")/../../tools/broker
dir=$(mktemp -d "${TMPDIR:-/tmp}/xf-pubsub-XXXXXX")
failures=0

finish() {
	local kind

	for kind in nats redis amqp tls-nats tls-redis tls-amqp; do
		[ -d "$dir/$kind" ] && "$broker" kill "$dir/$kind"
	done
	rm -rf "$dir"
}
trap finish EXIT

fail() {
	echo "FAILED: $1"
	sed 's/^/    /' "$2"
	failures=$((failures + 1))
}

# check STATUS PATTERN ARGUMENTS: runs the tool; status and a piece of what it printed are as expected.
check() {
	local want=$1 pattern=$2 got
	shift 2
	timeout 60 "$tool" "$@" >"$dir/out" 2>&1
	got=$?
	[ "$got" = "$want" ] && grep -qF -- "$pattern" "$dir/out" ||
		fail "crossfade $*: status $got, expected $want; expected '$pattern' in:" "$dir/out"
}

# until COMMAND...: it succeeds within 20 seconds
until_true() {
	for _ in {1..200}; do
		"$@" >/dev/null 2>&1 && return 0
		sleep 0.1
	done
	return 1
}

# listen FILE READY ARGUMENTS: `sub` in the background, once READY, a command, says that it has subscribed
listen() {
	local out=$1 ready=$2
	shift 2
	timeout 60 "$tool" "$@" >"$out" 2>"$out.errors" &
	listener=$!
	until_true eval "$ready" || fail "crossfade $*: it does not subscribe:" "$out.errors"
}

heard() { # STATUS PATTERN FILE
	wait "$listener"
	local got=$?
	[ "$got" = "$1" ] && grep -qF -- "$2" "$3" || fail "a listener ended with $got, expected $1; expected '$2' in:" "$3"
}

# what a NATS server says to one line, such as how many subscribe
nats_varz() {
	curl -s "http://127.0.0.1:$monitor/$1"
}

redis() { "$broker" ctl "$dir/redis" "$@"; }
amqp_queues() { "$broker" ctl "$dir/amqp" -q list_queues name; }

# ---- brokers -------------------------------------------------------------------------------------------------

monitor=$((33000 + RANDOM % 20000))
nats=$("$broker" start nats "$dir/nats" -m "$monitor") || exit 1
redis=$("$broker" start redis "$dir/redis") || exit 1
amqp=$("$broker" start amqp "$dir/amqp") || exit 1

# ---- nats ------------------------------------------------------------------------------------------------------

subscribed='nats_varz subsz?subs=1 | grep -q "\"subject\": \"orders"'
listen "$dir/heard" "$subscribed" sub --via "$nats" 'orders.>' --headers --count 2
check 0 '2 confirmed' pub --via "$nats" -o mode=core orders.eu hello --count 2 -H 'a: b' --content-type text/plain
heard 0 'subject: orders.eu' "$dir/heard"
grep -qx 'a: b' "$dir/heard" && grep -qx 'hello' "$dir/heard" || fail 'headers and payload' "$dir/heard"

check 1 "no stream for subject 'orders.eu'" pub --via "$nats" orders.eu hello
check 0 '1 confirmed' pub --via "$nats" -o 'streams=[{name: ORDERS, subjects: ["orders.>"]}]' orders.eu one --id 1
check 0 '{"confirmed":2,' pub --via "$nats" --json --ndjson <<END
{"subject": "orders.eu", "id": "2", "headers": {"x": ["1", "2"]}, "payload": {"n":  1.50}}
{"subject": "orders.eu", "payload_base64": "AP8="}
END
check 0 'one' sub --via "$nats" -o durable=kept -o deliver=all 'orders.>' --count 1
check 0 '"payload":{"n":  1.50}' sub --via "$nats" -o durable=kept -o deliver=all 'orders.>' --count 2 --json
grep -qF '"x":["1","2"]' "$dir/out" && grep -qF '"payload_base64":"AP8="' "$dir/out" || fail 'what came as JSON' "$dir/out"
check 1 '0 of 1 messages came' sub --via "$nats" -o durable=kept 'orders.>' --count 1 --timeout 500ms
check 0 '"payload":{"n":  1.50}' sub --via "$nats" -o deliver.sequence=2 'orders.>' --count 1 --json
check 0 'one' sub --via "$nats" -o deliver.since=1h 'orders.>' --count 1
check 0 'one' sub --via "$nats" -o deliver_since=1h 'orders.>' --count 1
check 2 "'deliver.sequence' cannot stand beside 'deliver.since'" sub --via "$nats" -o deliver.since=1h -o deliver.sequence=2 'orders.>'
check 0 '1 confirmed' pub --via "$nats" orders.eu --file "$0" --key k

listen "$dir/asked" 'nats_varz subsz?subs=1 | grep -q "\"subject\": \"ask"' sub --via "$nats" ask.me --count 1 --json
timeout 60 "$tool" request --via "$nats" ask.me question >"$dir/answer" 2>&1 &
asker=$!
heard 0 '"reply":"crossfade.reply.' "$dir/asked"
check 0 '1 confirmed' pub --via "$nats" -o mode=core "$(sed 's/.*"reply":"\([^"]*\)".*/\1/' "$dir/asked")" forty-two
wait "$asker" && grep -qx forty-two "$dir/answer" || fail 'the answer' "$dir/answer"
check 1 'no answer within 0.5 s' request --via "$nats" nobody.there hello --timeout 500ms

# ---- redis ---------------------------------------------------------------------------------------------------------

listen "$dir/heard" 'redis pubsub numpat | grep -q 1' sub --via "$redis" 'orders.>' --json --count 3
printf 'one\n{"a": 1.00}\nlast' | timeout 60 "$tool" pub --via "$redis" --lines orders.eu >"$dir/out" || fail 'lines' "$dir/out"
heard 0 '"payload":{"a": 1.00}' "$dir/heard"
grep -qF '"payload_text":"last"' "$dir/heard" || fail 'a last line without its end' "$dir/heard"
check 0 '3 confirmed' pub --via "$redis" -o mode=stream log.a entry --count 3
[ "$(redis xlen log.a)" = 3 ] || fail 'XADD' "$dir/out"
check 0 'entry' sub --via "$redis" -o mode=stream -o group=kept -o deliver=all log.a --count 3
[ "$(grep -c entry "$dir/out")" = 3 ] || fail 'a stream' "$dir/out"
check 0 'entry' sub --via "$redis" -o deliver=all log.a --count 3
[ "$(grep -c entry "$dir/out")" = 3 ] || fail 'a stream without a group' "$dir/out"
listen "$dir/heard" 'redis client list | grep -q cmd=xread' sub --via "$redis" -o mode=stream log.a --count 1
check 0 '1 confirmed' pub --via "$redis" -o mode=stream log.a news
heard 0 'news' "$dir/heard"
listen "$dir/heard" 'redis client list | grep -q cmd=xread' sub --via "$redis" -o mode=stream log.none --count 1
check 0 '1 confirmed' pub --via "$redis" -o mode=stream log.none first
heard 0 'first' "$dir/heard"
redis xinfo groups log.a >"$dir/after"
[ "$(grep -c last-delivered-id "$dir/after")" = 1 ] || fail 'a group stayed behind' "$dir/after"

listen "$dir/asked" 'redis pubsub channels ask.me | grep -q ask' sub --via "$redis" -o envelope=json ask.me --count 1 --json
timeout 60 "$tool" request --via "$redis" ask.me question >"$dir/answer" 2>&1 &
asker=$!
heard 0 '"reply":"crossfade.reply.' "$dir/asked"
check 0 '1 confirmed' pub --via "$redis" -o envelope=json "$(sed 's/.*"reply":"\([^"]*\)".*/\1/' "$dir/asked")" forty-two
wait "$asker" && grep -qx forty-two "$dir/answer" || fail 'the answer over redis' "$dir/answer"

# ---- amqp ------------------------------------------------------------------------------------------------------------

check 1 "no queue 'backlog'" pub --via "$amqp" backlog hello
check 0 '3 confirmed' pub --via "$amqp" -o declare=true backlog --lines <<<$'one\ntwo\nthree'
check 2 'is a queue: what is consumed from it is gone' sub --via "$amqp" backlog
check 0 'three' sub --via "$amqp" backlog --peek --timeout 1s
check 0 'one' sub --via "$amqp" backlog --take --count 1
check 1 '2 of 3 messages came' sub --via "$amqp" backlog --take --count 3 --timeout 1s
amqp_queues >"$dir/before"
listen "$dir/heard" 'amqp_queues | grep -q amq.gen' sub --via "$amqp" -o exchange=amq.topic 'orders.>' --json --count 1
check 0 '1 confirmed' pub --via "$amqp" -o exchange=amq.topic orders.eu.x hello --id 7 --reply back
heard 0 '"id":"7"' "$dir/heard"
listen "$dir/asked" 'amqp_queues | grep -q amq.gen' sub --via "$amqp" -o exchange=amq.topic ask.me --count 1 --json
timeout 60 "$tool" request --via "$amqp" -o exchange=amq.topic ask.me question >"$dir/answer" 2>&1 &
asker=$!
heard 0 '"reply":"crossfade.reply.' "$dir/asked"
check 0 '1 confirmed' pub --via "$amqp" "$(sed 's/.*"reply":"\([^"]*\)".*/\1/' "$dir/asked")" forty-two
wait "$asker" && grep -qx forty-two "$dir/answer" || fail 'the answer over amqp' "$dir/answer"
until_true eval 'amqp_queues | diff -q - "$dir/before"' || fail 'queues are left behind:' <(amqp_queues)

check 1 'ACCESS_REFUSED' pub --via "${amqp/guest:guest/guest:wrong}" a.b hello
grep -q wrong "$dir/out" && fail 'a password is shown' "$dir/out"

# ---- by name, of a file ------------------------------------------------------------------------------------------------

cat >"$dir/c.yaml" <<END
server: {data_dir: data}
transports:
  old: {plugin: redis, url: "$redis", timeout: 3s}
  new: {plugin: nats, url: ["$nats"]}
END
check 0 '1 confirmed' pub --via old -c "$dir/c.yaml" orders.eu hello
check 0 '1 confirmed' pub --via new -c "$dir/c.yaml" orders.eu hello
check 2 "has no transport 'odl'; did you mean 'old'?" pub --via odl -c "$dir/c.yaml" orders.eu hello
check 78 'none.yaml' pub --via old -c "$dir/none.yaml" orders.eu hello
check 2 'give -c FILE' sub --via ould orders.eu

# ---- http: a listener of our own, and a server's entry -----------------------------------------------------------------------

port=$((33000 + RANDOM % 20000))
listen "$dir/heard" "curl -s http://127.0.0.1:$port/" sub --via "http://127.0.0.1:$port" 'orders.>' --json --count 1
check 0 '1 confirmed' pub --via "http://127.0.0.1:$port" orders.eu '{"a": 1.00}' -H 'x: y' --id 5 --key k
heard 0 '"subject":"orders.eu","id":"5","key":"k"' "$dir/heard"
grep -qF '"payload":{"a": 1.00}' "$dir/heard" && grep -qF '"x":"y"' "$dir/heard" || fail 'over http' "$dir/heard"

cat >"$dir/front.yaml" <<END
server: {data_dir: front}
transports:
  api: {plugin: http, listen: "127.0.0.1:$port"}
  new: {plugin: nats, url: "$nats"}
routes:
  - {name: ask, from: {transport: api, subject: "ask.>"}, to: {transport: new, mode: core}}
  - {name: answers, from: {transport: new, mode: core, subject: "crossfade.reply.>"}, to: {transport: api, mode: reply}}
END
mkdir "$dir/front"
"$build/bin/crossfaded" -c "$dir/front.yaml" 2>"$dir/log" &
server=$!
until_true eval '"$tool" status -c "$dir/front.yaml" | grep -q " ready "' || fail 'the server' "$dir/log"
listen "$dir/asked" 'nats_varz subsz?subs=1 | grep -q "\"subject\": \"ask"' sub --via "$nats" ask.me --count 1 --json
timeout 60 "$tool" request --via "http://127.0.0.1:$port" ask.me question >"$dir/answer" 2>&1 &
asker=$!
heard 0 '"reply":"crossfade.reply.' "$dir/asked"
check 0 '1 confirmed' pub --via "$nats" -o mode=core "$(sed 's/.*"reply":"\([^"]*\)".*/\1/' "$dir/asked")" forty-two
wait "$asker" && grep -qx forty-two "$dir/answer" || fail 'the answer over http' "$dir/answer"
check 1 'no answer in time' request --via "http://127.0.0.1:$port" ask.nobody question --timeout 500ms
check 0 'stopped after' drain -c "$dir/front.yaml"
wait "$server"

# ---- TLS -----------------------------------------------------------------------------------------------------------------

for kind in nats redis; do
	secure=$("$broker" start "$kind" "$dir/tls-$kind" --tls) || exit 1
	mode=pubsub
	[ "$kind" = nats ] && mode=core
	check 1 'certificate verify failed' pub --via "$secure" -o mode=$mode a.b hello
	check 0 '1 confirmed' pub --via "$secure" -o mode=$mode -o "tls.ca=$dir/tls-$kind/ca.pem" a.b hello
	(cd "$dir" && "$tool" pub --via "$secure" -o mode=$mode -o "tls.ca=tls-$kind/ca.pem" a.b hello) >"$dir/out" 2>&1 ||
		fail 'a path from here' "$dir/out"
done
check 2 "unknown key 'tls.cq'" pub --via "$secure" -o tls.cq=x a.b hello
"$broker" stop "$dir/amqp"
secure=$("$broker" start amqp "$dir/tls-amqp" --tls) || exit 1
check 0 '1 confirmed' pub --via "$secure" -o declare=true -o "tls.ca=$dir/tls-amqp/ca.pem" a.b hello
check 0 'hello' sub --via "$secure" --take -o "tls.ca=$dir/tls-amqp/ca.pem" a.b --count 1

# ---- mistakes ------------------------------------------------------------------------------------------------------------

check 1 'refused' pub --via nats://127.0.0.1:1 a.b hello
check 1 'efused' sub --via redis://127.0.0.1:1 a.b
check 1 'efused' request --via amqp://127.0.0.1:1 a.b hello
redis config set requirepass secret >/dev/null
check 1 'NOAUTH' pub --via "$redis" a.b hello
check 1 'WRONGPASS' pub --via "redis://:hidden@${redis#redis://}" a.b hello
grep -q hidden "$dir/out" && fail 'a password is shown' "$dir/out"
check 0 '1 confirmed' pub --via "$redis" -o password=secret a.b hello
check 2 "did you mean nats://?" pub --via natz://x a.b hello
check 2 'no plugin speaks kafka://' pub --via kafka://x a.b hello
check 2 "nats has no option 'mod'; did you mean 'mode'?" pub --via "$nats" -o mod=core a.b hello
check 2 "-o mode: route 'pub': to: 'mode' is 'cor'" pub --via "$nats" -o mode=cor a.b hello
check 2 "'ack_wait' is for consuming only" pub --via "$nats" -o ack_wait=1s a.b hello
check 2 '-o takes KEY=VALUE' pub --via "$nats" -o mode a.b hello
check 2 "subject 'a b'" pub --via "$nats" 'a b' hello
check 2 "subject 'a..b'" sub --via "$nats" 'a..b'
check 2 'which broker?' pub a.b hello
check 2 "did you mean --header?" pub --via "$nats" --heder 'a: b' a.b hello
check 2 "'Name: value'" pub --via "$nats" -H nothing a.b hello
check 2 '--count takes a number' pub --via "$nats" --count 0 a.b hello
check 2 '--timeout takes a time' pub --via "$nats" --timeout soon a.b hello
check 1 "line 2: unknown member 'subjcet'; did you mean 'subject'?" pub --via "$nats" -o mode=core --ndjson <<END
{"subject": "a.b", "payload": 1}
{"subjcet": "a.b", "payload": 1}
{"payload": 1}
END
grep -qF 'line 3: it has no subject' "$dir/out" && grep -qF '1 confirmed' "$dir/out" || fail 'bad lines' "$dir/out"
"$tool" sub --via "$nats" 'a.>' --count 1 </dev/null >/dev/full 2>"$dir/out" &
listener=$!
until_true eval 'nats_varz subsz?subs=1 | grep -q "\"subject\": \"a\."'
check 0 '1 confirmed' pub --via "$nats" -o mode=core a.b hello
wait "$listener" && fail 'a full disk is no success' "$dir/out"

[ "$failures" = 0 ] && echo "pub, sub and request do as they say"
exit $((failures > 0))
