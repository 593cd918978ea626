# spool.sh - a route whose sink is down: what its spool takes and gives back, beside what brokers confirm that write to disk; and a
# start with a spool that is full.
#
# The generator is in the server. What is read back goes to the embedded broker, which another start of the server has in the place
# of the dead one: the spool is that of the route's sink, whatever its transport.

SPOOL_SIZE=1024 # bytes of payload

spool_yaml() { # TRANSPORT COUNT
	cat <<-END
		transports:
		  load: {plugin: probe}
		  to: $1
		routes:
		  - name: main
		    from: {transport: load, size: ${SPOOL_SIZE}B, count: $2}
		    to: {transport: to, subject: bench.out, when_down: spool, spool: {max_size: 64GiB}}
		    key: "{header.key}"
	END
}

spool_confirmed() {
	echo 'crossfade_sink_confirmed_total{route="main"'
}

# Nobody listens there.
spool_dead='{plugin: redis, url: "redis://127.0.0.1:1"}'

# COUNT messages into an empty spool; the readings are of its acks, each after a sync.
spool_write() {
	server_start < <(spool_yaml "$spool_dead" "$count")
	sample 50 600 "$count" "$(acked main)" >"$work/readings" || fail "not every message was spooled"
	server_stop
}

spool_replay() {
	server_start --keep < <(spool_yaml '{plugin: local}' 1)
	sample 50 600 "$count" "$(spool_confirmed)" >"$work/readings" || fail "not every message was read back"
	server_stop
}

# Messages a second that the broker at URL confirms to one connection, 4096 unconfirmed.
spool_broker() { # URL
	local from to

	from=$EPOCHREALTIME
	"$bin/bench-fill" "$1" bench.in "$count" "$SPOOL_SIZE" || fail "the broker did not take all"
	to=$EPOCHREALTIME
	awk -v from="$from" -v to="$to" -v count="$count" 'BEGIN {printf "%.0f - - -\n", count / (to - from)}'
}

spool_row() { # NAME FILE NOTE
	echo "| $1 | $(median "$2" 1) | $(sort -n "$2" | head -n 1 | cut -d' ' -f1) – $(sort -n "$2" | tail -n 1 | cut -d' ' -f1) | $(
		median "$2" 2) | $3 |"
}

case_spool() {
	local i count slowest least

	count=$(scaled 300000)
	for ((i = 0; i < runs; i++)); do
		spool_write
		span "$count" <"$work/readings" >>"$work/spool-write"
		spool_replay
		span "$count" <"$work/readings" >>"$work/spool-replay"
		[[ $smoke ]] && continue
		spool_broker "$(fresh nats)" >>"$work/spool-jetstream"
		"$broker" stop "$work/broker-nats"
		spool_broker "$(fresh amqp)" >>"$work/spool-amqp"
		"$broker" stop "$work/broker-amqp"
	done
	subject='spool'
	table "| $SPOOL_SIZE bytes | messages/s | min – max | CPU µs/message | |"
	if [[ ! $smoke ]]; then
		least=$(sort -n <(median "$work/spool-jetstream" 1) <(median "$work/spool-amqp" 1) | head -n 1)
		slowest=$(bar "×" "$(awk -v ours="$(median "$work/spool-write" 1)" -v least="$least" 'BEGIN {printf "%.2f", ours / least}')" ≥ 1)
		slowest+=" of the slowest broker below"
	fi
	[[ -s $work/spool-write ]] || { echo "| too short to measure | | | | |"; return; }
	spool_row "into the spool, each acked after a sync" "$work/spool-write" "${slowest:-}"
	spool_row "out of the spool, to the embedded broker" "$work/spool-replay" ""
	[[ $smoke ]] || spool_row "JetStream, file storage, confirms" "$work/spool-jetstream" "stored, synced by the minute"
	[[ $smoke ]] || spool_row "RabbitMQ, durable queue, persistent, confirms" "$work/spool-amqp" ""
	echo
}

# Until it answers: the spool is checked before. /readyz waits for the sink.
case_spool_restart() {
	local i count

	count=$(scaled 1000000)
	spool_write
	{
		echo "server: {data_dir: $work/data}"
		spool_yaml "$spool_dead" 1
	} >"$work/crossfade.yaml"
	for ((i = 0; i < runs; i++)); do
		"$bin/bench-start" "$work/data/admin.sock" /livez 120 "$bin/crossfaded" -c "$work/crossfade.yaml" \
			>>"$work/spool-restart" 2>"$work/log" || fail "the server was not ready: $(tail -n 1 "$work/log")"
	done
	grep -q 'were found in the spool' "$work/log" || fail "the spool was empty"
	table "| start with a spool | seconds until it answers | CPU seconds | RSS MiB | on disk, MiB | seconds to stop |"
	echo "| of $count messages, $SPOOL_SIZE bytes | $(median "$work/spool-restart" 1) | $(median "$work/spool-restart" 2) | $((
		$(median "$work/spool-restart" 3) / 1048576)) | $(du -sm "$work/data/spools" | cut -f1) | $(median "$work/spool-restart" 5) |"
	echo
}
