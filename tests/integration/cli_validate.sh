#!/bin/bash
# What `crossfade validate` says of a configuration with every kind of destination, over the real plugins and without
# any broker; and with --live, of one broker that is there and one that is not.
#
# usage: cli_validate.sh BUILD-FOLDER
set -u

here=$(cd "$(dirname "$0")" && pwd)
build=${1:-${XF_BINARY_DIR:?usage: cli_validate.sh BUILD-FOLDER}}
tool=$build/bin/crossfade
dir=$(mktemp -d "${TMPDIR:-/tmp}/xf-validate-XXXXXX")
failures=0
trap '"$here/../../tools/broker" stop "$dir/redis" >/dev/null 2>&1; rm -rf "$dir"' EXIT
cd "$dir" || exit 1

# same NAME: the file NAME.want is what the tool printed
same() {
	if ! diff -u "$1.want" "$1.got"; then
		echo "FAILED: $1"
		failures=$((failures + 1))
	fi
}

cat >c.yaml <<'END'
server: {name: edge, data_dir: /data}
transports:
  cache: {plugin: redis, url: "redis://127.0.0.1:6379"}
  jet: {plugin: nats, url: "nats://127.0.0.1:4222"}
  rabbit: {plugin: amqp, url: "amqp://guest:guest@127.0.0.1:5672/"}
  inside: {plugin: local}
migrations:
  orders:
    old: {transport: rabbit, subject: orders, declare: true}
    new: {transport: jet, subject: orders.placed}
    percent: 12.5
    mirror: required
    key: "{header.order-id|subject}"
  events: {old: {transport: cache, in_place: true}, new: jet, stage: dualwrite, key: "{subject}"}
routes:
  - name: move
    from: {transport: inside, subject: "in.>"}
    to: {migration: orders}
    order: strict
  - name: read
    from: {migration: orders, group: workers, drain_first: true}
    concurrency: 8
    to: {all: [{transport: inside, subject: done}, {transport: cache, mode: stream, subject: done}], require: first}
  - name: part
    from: [{transport: inside, subject: part}, {transport: cache, subject: part, envelope: json}]
    to:
      key: "{header.k|subject}"
      split:
        - {weight: 99.5, transport: cache, mode: pubsub, subject: a, envelope: json, subject_escape: true}
        - {weight: 0.5, transport: rabbit, subject: b, connections: 4, when_down: drop}
  - name: tap
    from: {transport: cache, subject: "events.*", message_id: "{json./id}"}
    to: {migration: events}
END
cat >text.want <<'END'
c.yaml: good
  server edge, data in /data, socket /data/admin.sock

routes:
  move
    from  inside (local)  in.>
    to    migration orders: live, 12.5 % new, mirror required
    old   rabbit (amqp)  orders
    new   jet (nats)  orders.placed
    old promise: at least once
    new promise: at least once; duplicates are stored once within the broker's window
    order strict: one message of a key under way
  read
    from  rabbit (amqp)  orders, the old side of migration orders
    from  jet (nats)  orders.placed, the new side of migration orders
    to    all of these, settled by the first
    1     inside (local)  done
      promise: from rabbit: at least once; duplicates are stored once within the broker's window
      promise: from jet: at least once; duplicates are stored once within the broker's window
    2     cache (redis)  done
      promise: from rabbit: a copy as it can be delivered; never waited for
      promise: from jet: a copy as it can be delivered; never waited for
    at most 8 messages worked on at once
    keys that moved wait until the side they left is read to its end
    no id twice, of the last 100000
  part
    from  inside (local)  part
    from  cache (redis)  part, envelope json
    to    one of these, by key {header.k|subject}
    99.5% cache (redis)  a, envelope json, subjects escaped
      promise: from inside: as the broker: those subscribed at that moment
      promise: from cache: as the broker: those subscribed at that moment
    0.5%  rabbit (amqp)  b, 4 connections, dropped while down
      promise: from inside: at least once while the sink is up; dropped and counted while it is down
      promise: from cache: what the broker delivered, bounded; overflow is dropped and counted
  tap
    from  cache (redis)  events.*, id {json./id}
    to    migration events: dualwrite, 0 % new, mirror on
    old   cache (redis)  {subject}, in place
    new   jet (nats)  {subject}
    old promise: stands there already; nothing is published
    new promise: what the broker delivered, at least once, as long as the spool has room
END
"$tool" validate -c c.yaml >text.got 2>/dev/null
same text

cat >json.want <<'END'
true read first 2 true 8
[["orders","old"],["orders","new"]]
{"weight":99.5,"envelope":"json"} {"weight":0.5,"connections":4}
true ["stands there already; nothing is published"]
lane strict
END
"$tool" validate -c c.yaml --json >out.json 2>/dev/null
python3 - out.json >json.got <<'END'
import json, sys
d = json.load(open(sys.argv[1]))
move, read, part, tap = d["routes"]
short = lambda o: json.dumps(o, separators=(",", ":"))
print(str(d["valid"]).lower(), read["name"], read["to"]["require"], len(read["to"]["all"]),
      str(read["drain_first"]).lower(), read["concurrency"])
print(short([[s["migration"], s["side"]] for s in read["from"]]))
a, b = part["to"]["split"]
print(short({"weight": a["weight"], "envelope": a["envelope"]}),
      short({"weight": b["weight"], "connections": b["connections"]}))
print(str(tap["to"]["old"]["in_place"]).lower(), json.dumps(tap["to"]["old"]["promises"]))
print(part["order"], move["order"])
END
same json

sed -e 's/require: first/require: frist/' -e 's/weight: 0.5/weight: 0.6/' c.yaml >bad.yaml
cat >bad.want <<'END'
bad.yaml:23:111: route 'read': to: 'require' is 'frist'; expected all, any or first; did you mean 'first'?
bad.yaml:29:9: route 'part': to: 'split': the weights make 100.1; expected 100 in all
2 mistakes; nothing would start
status 78
END
"$tool" validate -c bad.yaml >bad.all 2>&1
status=$?
{ sed "/ warning plugins: /d" bad.all; echo "status $status"; } >bad.got # a sanitizer may be named
same bad

url=$("$here/../../tools/broker" start redis "$dir/redis") || exit 1
cat >live.yaml <<END
server: {data_dir: /data}
transports:
  cache: {plugin: redis, url: "$url"}
  gone: {plugin: redis, url: "redis://127.0.0.1:1"}
  read: {plugin: redis, url: "$url"}
migrations:
  m: {old: {transport: cache, subject: "m.{subject}"}, new: {transport: gone}, key: "{subject}"}
routes:
  - {name: r, from: {transport: read, subject: x}, to: {migration: m}}
END
cat >live.want <<'END'
  cache (redis)  up
  gone (redis)  down: 
  read (redis)  not tried: nothing is published to it, and to read would be to take
status 1
END
"$tool" validate -c live.yaml --live >out.live 2>&1
status=$?
sed -n '/^brokers:/,$p' out.live | sed -e 1d -e 's/\(down: \).*refused.*/\1/' >live.got
echo "status $status" >>live.got
same live
sed -i -e 's/{transport: gone}/{transport: read, subject: "n.{subject}"}/' live.yaml
cat >up.want <<'END'
valid True, up not tried up
status 0
END
"$tool" validate -c live.yaml --live --json >out.json 2>out.error
status=$?
python3 - out.json >up.got <<'END'
import json, sys
d = json.load(open(sys.argv[1]))
print("valid", str(d["valid"]) + ",", *[b["state"] for b in d["brokers"]])
END
echo "status $status" >>up.got
same up

exit $((failures > 0))
