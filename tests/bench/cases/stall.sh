# stall.sh - what others notice of a broker that stands still (SIGSTOP): the latency of a route between two subjects of another
# broker, while a route to the one that stands still has a thousand messages a second to publish.
#
# Windows with and without the stop take turns. The least quantiles of each are compared, as what the machine does beside only adds.

STALL_SECONDS=6

stall_yaml() { # STOPPED OTHER
	local options='' sink='mode: stream, maxlen: 10000'

	case $1 in
	nats) options=', streams: [{name: STALL, subjects: [bench.stall], storage: memory, max_messages: 10000}]' sink='mode: jetstream' ;;
	amqp) sink='declare: true' ;;
	esac
	cat <<-END
		transports:
		  load: {plugin: probe}
		  still: {plugin: $1, url: "$(broker_url "$1")"$options}
		  other: {plugin: $2, url: "$(broker_url "$2")"}
		routes:
		  - {name: still, from: {transport: load, rate: 1000}, to: {transport: still, subject: bench.stall, $sink}}
		  - {name: other, from: {transport: other, subject: bench.in$3}, to: {transport: other, subject: bench.out$3}}
	END
}

broker_url() { # KIND
	"$broker" url "$work/broker-$1"
}

# One window: "RATE P50 P99" in µs.
stall_window() { # STOPPED OTHER FILE
	local url

	url=$(broker_url "$2")
	latency_bench "$2" "$url" --from "$url" bench.in --read bench.out --duration "$([[ $smoke ]] && echo 1 || echo $STALL_SECONDS)s" \
		--rate 5000 >"$work/stall-window"
	[[ -s $work/stall-window ]] || fail "nothing came back while $1 stood still: $(tail -n 2 "$work/verbs")"
	cat "$work/stall-window" >>"$work/stall-$1-$3"
}

stall_measure() { # STOPPED OTHER
	local i mode=''

	[[ $2 != nats ]] || mode=', mode: core'
	server_start < <(stall_yaml "$1" "$2" "$mode")
	sample 50 60 500 "$(acked still)" >/dev/null || fail "$1: nothing was published"
	for ((i = 0; i < 2 * runs; i++)); do
		stall_window "$1" "$2" running
		"$broker" pause "$work/broker-$1"
		stall_window "$1" "$2" stopped
		"$broker" resume "$work/broker-$1"
		sleep 2 # what waited for it is published
	done
	server_stop
}

# The least milliseconds of a column in both files, and what becomes of the first with the second.
stall_cells() { # STOPPED COLUMN
	local running stopped

	running=$(latency_least "$work/stall-$1-running" "$2")
	stopped=$(latency_least "$work/stall-$1-stopped" "$2")
	echo "$running | $stopped | $(bar "×" "$(awk "BEGIN {printf \"%.2f\", $stopped / $running}")" '<' 1.1)"
}

case_stall() {
	local kind other
	declare -A title=([redis]='Redis' [nats]='NATS' [amqp]='RabbitMQ')

	for kind in redis nats amqp; do
		fresh "$kind" >/dev/null
	done
	for kind in redis nats amqp; do
		other=$([[ $kind == redis ]] && echo nats || echo redis)
		stall_measure "$kind" "$other"
	done
	table "| stands still | the other route on | p50 ms | meanwhile | | p99 ms | meanwhile | |"
	for kind in redis nats amqp; do
		subject="stall, $kind"
		echo "| ${title[$kind]} | $([[ $kind == redis ]] && echo NATS || echo Redis) | $(stall_cells "$kind" 2) | $(stall_cells "$kind" 3) |"
	done
	echo
}
