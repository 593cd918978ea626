# latency.sh - what the server adds between publisher and subscriber.
#
# `crossfade bench` publishes and reads in one process, through the same plugins both times: to the broker and back
# from it, and with a server between that carries from one subject to another on the same broker. The load is half of
# what that way carries, found in the same run. Of several runs the least quantile counts, alone as with the server: what
# the machine does beside only ever adds.

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

latency_measure() { # KIND URL
	local peak alone through seconds

	seconds=$([[ $smoke ]] && echo 1 || echo 4)
	server_start < <(latency_yaml "$1" "$2")
	peak=$(latency_bench "$1" "$2" --from "$2" bench.in --read bench.out --duration 2s)
	[[ -n $peak ]] || fail "$1: crossfade bench said nothing: $(tail -n 2 "$work/verbs")"
	peak=$((${peak%% *} / 2))
	through=$(latency_bench "$1" "$2" --from "$2" bench.in --read bench.out --duration "${seconds}s" --rate $peak)
	alone=$(latency_bench "$1" "$2" bench.alone --duration "${seconds}s" --rate $peak)
	server_stop
	[[ $through && $alone && ${alone##* } -gt 0 && ${through##* } -gt 0 ]] ||
		fail "$1: nothing came back: $(tail -n 2 "$work/verbs")"
	echo "$peak $alone $through"
}

case_latency() {
	local kind url i
	declare -A title=([redis]='Redis pub/sub' [nats]='NATS core' [jetstream]='JetStream' [amqp]='AMQP')

	for kind in redis nats jetstream amqp; do
		url=$(fresh "${kind/jetstream/nats}")
		for ((i = 0; i < runs; i++)); do
			latency_measure "$kind" "$url" >>"$work/latency-$kind"
		done
	done
	table "| latency at half load, 128 B | messages/s | alone p50 ms | alone p99 ms | added p50 ms | added p99 ms |"
	for kind in redis nats jetstream amqp; do
		subject="latency, ${title[$kind]}"
		awk 'NR == 1 || $3 < p50 { p50 = $3 } NR == 1 || $4 < p99 { p99 = $4 }
			NR == 1 || $6 < through50 { through50 = $6 } NR == 1 || $7 < through99 { through99 = $7 }
			{ rate += $1 }
			END { printf "%d %.2f %.2f %.2f %.2f\n", rate / NR, p50 / 1000, p99 / 1000,
				(through50 - p50) / 1000, (through99 - p99) / 1000 }' "$work/latency-$kind" >"$work/latency"
		echo "| ${title[$kind]} | $(median "$work/latency" 1) | $(median "$work/latency" 2) | $(median "$work/latency" 3) | $(
			bar "" "$(median "$work/latency" 4)" '<' 1) | $(bar "" "$(median "$work/latency" 5)" '<' 5) |"
	done
	echo
}
