# pairs.sh - brokers' messages to other brokers, beside bridges written by hand. Server and bridge take turns.
#
# A pair NAME is given by functions:
#   NAME_fill            before each measurement: the source is as it is to be read; may set variables for the others
#   NAME_yaml RUN        the server's YAML, with a route `main`
#   NAME_feed            where the source is to be fed meanwhile: does it, and drains
#   NAME_bridge RUN      runs the bridge
#   NAME_held            what stands at the targets, as one number; they are empty then
# RUN differs from measurement to measurement, for consumers that remember where they were. $size, $count and the
# brokers' URLs $redis, $nats, $amqp are set.

# Messages as an application sends them: a payload, an id, and with KEYED a key, of 1,000.
fill() { # URL NAME [KEYED]
	"$bin/bench-fill" "$1" "$2" "$count" "$size" ${3:+1000} || fail "the source was not filled"
}

# Waits until all is acknowledged, reading every so many milliseconds.
drain() { # EVERY_MS [SERIES...]
	sample "$1" 300 "$count" "$(acked main)" "${@:2}" >"$work/readings" ||
		fail "not every message came through: $(tail -n 1 "$work/readings")"
}

pair_server() { # NAME RUN
	server_start < <("${1}_yaml" "$2")
	if declare -F "${1}_feed" >/dev/null; then
		"${1}_feed"
	else
		drain 50
	fi
	server_stop
	span "$count" <"$work/readings"
}

# The CPU of all brokers that run, in microseconds; a tick of the clock fine.
brokers_cpu() {
	local folder pid sum=0 fields

	for folder in "$work"/broker-*; do
		pid=$(cat "$folder/pid" 2>/dev/null) || continue
		read -ra fields < <(sed 's/.*) //' "/proc/$pid/stat")
		((sum += fields[11] + fields[12]))
	done
	echo $((sum * 1000000 / $(getconf CLK_TCK)))
}

# One measurement, into a file: server or bridge. Its last column is the brokers' CPU per message, starting and ending the
# server included.
pair_measure() { # NAME server|bridge RUN
	local held cpu figures

	"${1}_fill"
	cpu=$(brokers_cpu)
	if [[ $2 == server ]]; then
		figures=$(pair_server "$1" "$3")
	else
		figures=$("${1}_bridge" "$3" | bridge_span)
	fi
	cpu=$((($(brokers_cpu) - cpu) / count))
	[[ -z $figures ]] || echo "$figures $cpu" >>"$work/$1-$size-$2"
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

redis_jetstream_fill() {
	nats=$(fresh nats)
}

redis_jetstream_yaml() {
	cat <<-END
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
}

redis_jetstream_feed() {
	redis_publish
	BENCH_PROGRESS=$work/progress drain 20 'crossfade_route_overflow_total{'
	wait "$publisher"
}

redis_jetstream_bridge() {
	local publisher

	redis_publish
	"$bin/bench-bridge-redis-nats" "$(port redis)" bench.in "$count" "$nats" "$work/progress"
	wait "$publisher"
}

redis_jetstream_held() {
	held "$nats" BENCH
}

case_redis_jetstream() {
	local redis nats publisher

	redis=$(fresh redis --client-output-buffer-limit pubsub 0 0 0)
	pair redis_jetstream 1000000 "redis pub/sub → JetStream"
}
