# dead-sink.sh - memory while a sink is dead: what the route may have in flight, and what the server needs beside it.
#
# A source that can be held back (a Redis stream) and one that cannot (a channel, whose overflow is dropped) go on while
# the JetStream server that they go to is killed.

DEAD_BOUND=256 # MiB in flight

dead_yaml() { # FROM
	cat <<-END
		transports:
		  redis: {plugin: redis, url: "$redis"}
		$(jetstream_yaml "$nats")
		routes:
		  - name: main
		    from: {transport: redis, subject: bench.in$1}
		    to: {transport: jetstream, subject: bench.out}
		    max_in_flight: 1000000
		    max_in_flight_bytes: ${DEAD_BOUND}MiB
	END
}

# The most resident MiB of the readings on standard input, above the first one's.
dead_growth() {
	awk 'NR == 1 { first = $3 } $3 > most { most = $3 } END { printf "%.0f\n", (most - first) / 1048576 }'
}

dead_measure() { # NAME FROM
	local nats sampler publisher='' seconds

	seconds=$([[ $smoke ]] && echo 2 || echo 15)
	nats=$(fresh nats)
	held "$redis" bench.in --empty >/dev/null
	server_start < <(dead_yaml "$2")
	sleep 1
	sample 100 "$seconds" 0 "crossfade_route_accepted_total{route=\"main\"}" "crossfade_route_overflow_total{" \
		>"$work/readings" &
	sampler=$!
	sleep 0.5
	"$broker" kill "$work/broker-nats"
	if [[ $1 == channel ]]; then
		head -c 8 /dev/zero >"$work/progress"
		"$bin/bench-publish-redis" "$(port redis)" bench.in "$count" "$size" "$count" "$work/progress" &
		publisher=$!
	else
		fill "$redis" bench.in
	fi
	wait "$sampler"
	[[ -z $publisher ]] || wait "$publisher"
	server_stop
	echo "$(dead_growth <"$work/readings") $(tail -n 1 "$work/readings" | cut -d' ' -f4-)" >>"$work/dead-$1"
}

dead_row() { # NAME TITLE
	subject="dead sink, $2"
	echo "| $2 | $(median "$work/dead-$1" 2) | $(median "$work/dead-$1" 3) | $(
		bar "" "$(median "$work/dead-$1" 1)" ≤ $((DEAD_BOUND + 64))) |"
}

case_dead_sink() {
	local redis count size=1024

	count=$(scaled 500000)
	redis=$(fresh redis --client-output-buffer-limit pubsub 0 0 0)
	dead_measure stream ', mode: stream'
	dead_measure channel ''
	table "| memory while the sink is dead, $DEAD_BOUND MiB allowed in flight | accepted | dropped | grown MiB |"
	dead_row stream "a Redis stream, held back"
	dead_row channel "a Redis channel, dropped"
	echo
}
