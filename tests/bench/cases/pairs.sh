# pairs.sh - brokers' messages to other brokers, beside bridges written by hand. Server and bridge take turns.
#
# A pair NAME is given by functions:
#   NAME_fill SIZE       before each measurement: the source is as it is to be read; may set variables for the others
#   NAME_yaml RUN        the server's YAML, with a route `main`
#   NAME_bridge RUN      runs the bridge
#   NAME_held            what stands at the targets, as one number; they are empty then
# RUN differs from measurement to measurement, for consumers that remember where they were. $size, $count and the
# brokers' URLs $redis, $nats, $amqp are set.

# Messages as an application sends them: a payload, an id, and with KEYED a key, of 1,000.
fill() { # URL NAME [KEYED]
	"$bin/bench-fill" "$1" "$2" "$count" "$size" ${3:+1000} || fail "the source was not filled"
}

pair_server() { # NAME RUN
	server_start < <("${1}_yaml" "$2")
	sample 50 300 "$count" "$(acked main)" >"$work/readings" || fail "the source was not drained: $(tail -n 1 "$work/readings")"
	server_stop
	span "$count" <"$work/readings"
}

# One measurement, into a file: server or bridge.
pair_measure() { # NAME server|bridge RUN
	local held

	"${1}_fill" "$size"
	if [[ $2 == server ]]; then
		pair_server "$1" "$3" >>"$work/$1-$size-server"
	else
		"${1}_bridge" "$3" | bridge_span >>"$work/$1-$size-bridge"
	fi
	held=$("${1}_held")
	((held >= count)) || fail "$1, $2: $held of $count messages arrived"
	((held == count)) || echo "bench: $1, $2: $((held - count)) messages more than $count arrived" >&2
}

pair() { # NAME COUNT TITLE
	local size i count

	count=$(scaled "$2")
	for size in 128 1024; do
		for ((i = 0; i < runs; i++)); do
			pair_measure "$1" server "server$i-$size"
			pair_measure "$1" bridge "bridge$i-$size"
		done
		subject="$3, $size B"
		row "$subject" "$work/$1-$size-server" "$(ratio "$work/$1-$size-server" "$work/$1-$size-bridge")"
		row "$subject, bridge by hand" "$work/$1-$size-bridge" ""
	done
}

# ---- amqp-jetstream ---------------------------------------------------------------------------------

amqp_jetstream_fill() {
	fill "$amqp" bench.in
	nats=$(fresh nats)
}

amqp_jetstream_yaml() {
	cat <<-END
		transports:
		  rabbit: {plugin: amqp, url: "$amqp"}
		$(jetstream_yaml "$nats")
		routes:
		  - name: main
		    from: {transport: rabbit, queue: bench.in, declare: true}
		    to: {transport: jetstream, subject: bench.out}
	END
}

amqp_jetstream_bridge() {
	"$bin/bench-bridge-amqp-nats" "$(port amqp)" bench.in "$count" "$nats"
}

amqp_jetstream_held() {
	held "$nats" BENCH
}

case_amqp_jetstream() {
	local amqp nats

	amqp=$(fresh amqp)
	pair amqp_jetstream 200000 "amqp → JetStream"
}

# ---- jetstream-amqp ---------------------------------------------------------------------------------

# The stream stays; each measurement has a consumer of its own.
jetstream_amqp_fill() {
	[[ $filled != "$size" ]] || return 0
	nats=$(fresh nats)
	fill "$nats" bench.in
	filled=$size
}

jetstream_amqp_yaml() { # RUN
	cat <<-END
		transports:
		  source: {plugin: nats, url: "$nats"}
		  rabbit: {plugin: amqp, url: "$amqp"}
		routes:
		  - name: main
		    from: {transport: source, subject: bench.in, stream: IN, durable: $1}
		    to: {transport: rabbit, subject: bench.out, declare: true}
	END
}

jetstream_amqp_bridge() { # RUN
	"$bin/bench-bridge-nats-amqp" "$nats" IN "$1" "$count" "$(port amqp)" bench.out
}

jetstream_amqp_held() {
	held "$amqp" bench.out --empty
}

case_jetstream_amqp() {
	local amqp nats filled=''

	amqp=$(fresh amqp)
	pair jetstream_amqp 200000 "JetStream → amqp"
}

# ---- redis-stream-amqp ------------------------------------------------------------------------------

# The stream stays; each measurement has a group of its own.
redis_stream_fill() { # [KEYED]
	[[ $filled != "$size" ]] || return 0
	redis=$(fresh redis)
	fill "$redis" bench.in "${1:-}"
	filled=$size
}

redis_stream_amqp_fill() {
	redis_stream_fill
}

redis_stream_amqp_yaml() { # RUN
	cat <<-END
		transports:
		  source: {plugin: redis, url: "$redis"}
		  rabbit: {plugin: amqp, url: "$amqp"}
		routes:
		  - name: main
		    from: {transport: source, mode: stream, subject: bench.in, group: $1}
		    to: {transport: rabbit, subject: bench.out, declare: true}
	END
}

redis_stream_amqp_bridge() { # RUN
	"$bin/bench-bridge-redis-amqp" "$(port redis)" bench.in "$1" "$count" "$(port amqp)" bench.out
}

redis_stream_amqp_held() {
	held "$amqp" bench.out --empty
}

case_redis_stream_amqp() {
	local amqp redis filled=''

	amqp=$(fresh amqp)
	pair redis_stream_amqp 200000 "redis stream → amqp"
}

# ---- dual, split ------------------------------------------------------------------------------------

both_fill() {
	redis_stream_fill keyed
	nats=$(fresh nats)
}

both_yaml() { # RUN TO
	cat <<-END
		transports:
		  redis: {plugin: redis, url: "$redis"}
		$(jetstream_yaml "$nats")
		migrations:
		  quarter:
		    old: {transport: redis, mode: stream, subject: bench.out}
		    new: {transport: jetstream, subject: bench.out}
		    percent: 25
		    key: "{key}"
		routes:
		  - name: main
		    from: {transport: redis, mode: stream, subject: bench.in, group: $1}
		    to: $2
	END
}

both_bridge() { # RUN PERCENT
	"$bin/bench-bridge-redis-both" "$(port redis)" bench.in "$1" "$count" bench.out "$nats" "$2"
}

dual_fill() {
	both_fill
}

dual_yaml() { # RUN
	both_yaml "$1" "{all: [{transport: redis, mode: stream, subject: bench.out}, {transport: jetstream, subject: bench.out}]}"
}

dual_bridge() { # RUN
	both_bridge "$1" 100
}

# On the one that has less.
dual_held() {
	local a b

	a=$(held "$redis" bench.out --empty)
	b=$(held "$nats" BENCH)
	echo $((a < b ? a : b))
}

split_fill() {
	both_fill
}

split_yaml() { # RUN
	both_yaml "$1" '{migration: quarter}'
}

split_bridge() { # RUN
	both_bridge "$1" 25
}

split_held() {
	echo $(($(held "$redis" bench.out --empty) + $(held "$nats" BENCH)))
}

case_dual() {
	local redis nats filled=''

	pair dual 400000 "redis stream → redis stream and JetStream"
}

case_split() {
	local redis nats filled=''

	pair split 400000 "redis stream → 25 % JetStream, 75 % redis stream"
}

# ---- redis-jetstream ---------------------------------------------------------------------------------

# A channel is fed while it is read, at most so many messages ahead of the confirmations that nothing need be dropped.
redis_publish() {
	head -c 8 /dev/zero >"$work/progress"
	"$bin/bench-publish-redis" "$(port redis)" bench.in "$count" "$size" 50000 "$work/progress" &
	publisher=$!
}

redis_jetstream_server() {
	local publisher

	server_start <<-END
		transports:
		  redis: {plugin: redis, url: "$redis"}
		$(jetstream_yaml "$nats")
		routes:
		  - name: main
		    from: {transport: redis, subject: bench.in}
		    to: {transport: jetstream, subject: bench.out}
		    max_in_flight: 200000
		    max_in_flight_bytes: 1GiB
	END
	redis_publish
	BENCH_PROGRESS=$work/progress sample 10 300 "$count" "$(acked main)" 'crossfade_route_overflow_total{' \
		>"$work/readings" || fail "not every message came through: $(tail -n 1 "$work/readings")"
	wait "$publisher"
	server_stop
	span "$count" <"$work/readings"
}

redis_jetstream_bridge() {
	local publisher

	redis_publish
	"$bin/bench-bridge-redis-nats" "$(port redis)" bench.in "$count" "$nats" "$work/progress" | bridge_span
	wait "$publisher"
}

case_redis_jetstream() {
	local size i count redis nats

	count=$(scaled 1000000)
	redis=$(fresh redis --client-output-buffer-limit pubsub 0 0 0)
	for size in 128 1024; do
		for ((i = 0; i < runs; i++)); do
			nats=$(fresh nats)
			redis_jetstream_server >>"$work/redis-$size"
			nats=$(fresh nats)
			redis_jetstream_bridge >>"$work/redis-bridge-$size"
		done
		subject="redis pub/sub → JetStream, $size B"
		row "$subject" "$work/redis-$size" "$(ratio "$work/redis-$size" "$work/redis-bridge-$size")"
		row "$subject, bridge by hand" "$work/redis-bridge-$size" ""
	done
}
