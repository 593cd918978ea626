# latency.sh - what the server adds between publisher and subscriber.
#
# `crossfade bench` publishes and reads in one process, through the same plugins each time: to the broker and back from it; with
# a bridge by hand between two subjects of it; and with the server there. Machines and brokers stall by themselves, and then
# whatever passes twice is late twice: so the server is judged beside the bridge, at half of what it carries and at 1,000
# messages a second. The three take turns. Of several runs the least quantile counts, since what the machine does beside only ever
# adds.

latency_yaml() { # KIND URL
	local options='' from to

	case $1 in
	redis) from='' to='' ;;
	nats) from=', mode: core' to=', mode: core' ;;
	jetstream)
		options=', streams: [{name: IN, subjects: [bench.in], storage: memory}, {name: OUT, subjects: [bench.out, bench.alone], storage: memory}]'
		from='' to=''
		;;
	amqp) from=', queue: bench.in, declare: true' to=', declare: true' ;;
	esac
	cat <<-END
		transports:
		  broker: {plugin: ${1/jetstream/nats}, url: "$2"$options}
		routes:
		  - name: main
		    from: {transport: broker, subject: bench.in$from}
		    to: {transport: broker, subject: bench.out$to}
	END
}

# latency_bench KIND URL ARG...: "rate p50 p99" in messages/s and µs.
latency_bench() {
	local sink=() source=() through='' option args=()

	case $1 in
	nats) sink=(mode=core) source=(mode=core) ;;
	jetstream) sink=(mode=jetstream) source=(mode=jetstream deliver=new "durable=bench-$RANDOM$RANDOM") ;;
	esac
	[[ " ${*:3} " != *" --from "* ]] || through=1
	[[ $through || $1 != jetstream ]] || sink=("${source[@]}") # one set for both
	for option in "${sink[@]}"; do
		args+=(-o "$option")
	done
	for option in "${source[@]}"; do
		[[ ! $through ]] || args+=(-O "$option")
	done
	"$bin/crossfade" bench --via "$2" "${@:3}" "${args[@]}" --size 128B --json >"$work/bench.json" 2>>"$work/verbs" || true
	sed -n 's/.*"rate":\([0-9.]*\).*"p50":\([0-9]*\),"p99":\([0-9]*\).*/\1 \2 \3/p' "$work/bench.json"
}

# One turn: alone, bridge or server.
latency_turn() { # WAY KIND URL RATE
	local seconds bridge='' figures

	seconds=$([[ $smoke ]] && echo 1 || echo 3)
	case $1 in
	alone) figures=$(latency_bench "$2" "$3" bench.alone --duration "${seconds}s" --rate "$4") ;;
	bridge)
		: >"$work/bridge"
		"$bin/bench-bridge-same" "$2" "$3" >"$work/bridge" &
		bridge=$!
		until [[ -s $work/bridge ]]; do
			kill -0 "$bridge" 2>/dev/null || fail "$2: the bridge did not start"
			sleep 0.02
		done
		;;
	server) server_start < <(latency_yaml "$2" "$3") ;;
	esac
	[[ $1 == alone ]] ||
		figures=$(latency_bench "$2" "$3" --from "$3" bench.in --read bench.out --duration "${seconds}s" --rate "$4")
	[[ $1 != server ]] || server_stop
	if [[ $bridge ]]; then
		kill "$bridge"
		wait "$bridge" 2>/dev/null || true
	fi
	[[ $figures && ${figures##* } -gt 0 ]] || fail "$2, $1: nothing came back: $(tail -n 2 "$work/verbs")"
	[[ $2 != jetstream ]] || held "$3" IN --empty >/dev/null # who reads next has nothing to catch up with
	echo "$4 ${figures#* }" >>"$work/latency-$2-$load-$1"
}

latency_measure() { # KIND URL TURN
	local peak load way ways=(alone bridge server)

	server_start < <(latency_yaml "$1" "$2")
	peak=$(latency_bench "$1" "$2" --from "$2" bench.in --read bench.out --duration 2s)
	server_stop
	[[ -n $peak ]] || fail "$1: crossfade bench said nothing: $(tail -n 2 "$work/verbs")"
	[[ $1 != jetstream ]] || held "$2" IN --empty >/dev/null
	for load in half low; do
		for way in "${ways[@]:$3 % 3}" "${ways[@]:0:$3 % 3}"; do
			latency_turn "$way" "$1" "$2" "$([[ $load == half ]] && echo $((${peak%% *} / 2)) || echo 1000)"
		done
	done
}

# The least milliseconds of a column.
latency_least() { # FILE COLUMN
	cut -d' ' -f"$2" "$1" | sort -n | awk 'NR == 1 {printf "%.2f\n", $1 / 1000}'
}

latency_row() { # KIND LOAD TITLE
	local way quantile

	declare -A ms
	for way in alone bridge server; do
		for quantile in 2 3; do
			ms[$way$quantile]=$(latency_least "$work/latency-$1-$2-$way" $quantile)
		done
	done
	subject="latency, $3, $2"
	echo "| $3 | $(median "$work/latency-$1-$2-server" 1) | ${ms[alone2]} | ${ms[bridge2]} | ${ms[server2]} | $(
		bar "" "$(awk "BEGIN {printf \"%.2f\", ${ms[server2]} - ${ms[alone2]}}")" '<' 1) | ${ms[alone3]} | ${ms[bridge3]} | ${ms[server3]} | $(
		bar "" "$(awk "BEGIN {printf \"%.2f\", ${ms[server3]} - ${ms[bridge3]}}")" '<' 5) |"
}

case_latency() {
	local kind load url i
	declare -A title=([redis]='Redis pub/sub' [nats]='NATS core' [jetstream]='JetStream' [amqp]='AMQP')

	for kind in redis nats jetstream amqp; do
		url=$(fresh "${kind/jetstream/nats}")
		for ((i = 0; i < runs; i++)); do
			latency_measure "$kind" "$url" "$i"
		done
	done
	table "| latency, 128 B, ms | messages/s | p50 alone | bridge | server | added | p99 alone | bridge | server | more than the bridge |"
	for load in half low; do
		for kind in redis nats jetstream amqp; do
			latency_row "$kind" "$load" "${title[$kind]}"
		done
	done
	echo
}
