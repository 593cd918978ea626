# return.sh - a broker is killed and comes back once pauses have grown: how long until something is delivered to it, and from it.
#
# The time counts from the first connection that its port takes again. One route publishes to the broker a thousand
# messages a second, another reads them there.

return_yaml() { # KIND URL
	local sink source options=''

	case $1 in
	redis)
		sink='mode: stream, subject: bench.return, maxlen: 10000'
		source='mode: stream, subject: bench.return'
		;;
	nats)
		options=', streams: [{name: RETURN, subjects: [bench.return], storage: file}]'
		sink='subject: bench.return'
		source='subject: bench.return'
		;;
	amqp)
		sink='subject: bench.return, declare: true'
		source='queue: bench.return, declare: true'
		;;
	esac
	cat <<-END
		transports:
		  broker: {plugin: $1, url: "$2"$options}
		  load: {plugin: probe}
		routes:
		  - {name: to, from: {transport: load, rate: 1000}, to: {transport: broker, $sink}}
		  - {name: from, from: {transport: broker, $source}, to: {transport: load}}
	END
}

# Readings on standard input: how many seconds after $1 column $2 first rose; nothing where it did not.
risen() {
	awk -v begin="$1" -v column="$2" '
		$1 <= begin { last = $column }
		$1 > begin && $column > last && !done { printf "%.3f\n", $1 - begin; done = 1 }'
}

return_measure() { # KIND URL AWAY
	local begin sampler deadline

	server_start < <(return_yaml "$1" "$2")
	sample 50 60 500 "$(acked from)" >/dev/null || fail "$1: nothing was delivered"
	"$broker" kill "$work/broker-$1"
	sleep "$3"
	"$bin/bench-sample" "$work/data/admin.sock" 10 600 0 "$(acked to)" "$(acked from)" >"$work/readings" &
	sampler=$!
	sleep 0.2
	"$broker" restart "$work/broker-$1" >/dev/null &
	begin=$("$bin/bench-reach" "$(port "$1")" 120) || fail "$1 did not come back"
	wait $!
	deadline=$((SECONDS + 60))
	until [[ -n $(risen "$begin" 5 <"$work/readings") ]]; do
		((SECONDS < deadline)) || fail "$1: nothing was delivered within a minute of its return"
		sleep 0.2
	done
	kill "$sampler"
	wait "$sampler" || true
	server_stop
	echo "$(risen "$begin" 4 <"$work/readings") $(risen "$begin" 5 <"$work/readings")" >>"$work/return-$1"
}

case_return() {
	local kind url i away

	away=$([[ $smoke ]] && echo 1 || echo 12)
	for kind in redis nats amqp; do
		url=$(fresh "$kind")
		for ((i = 0; i < runs; i++)); do
			return_measure "$kind" "$url" "$away"
		done
	done
	table "| a broker returns after $away s | seconds until delivered to it | worst | seconds until delivered from it | worst |"
	for kind in redis nats amqp; do
		subject="return, $kind"
		echo "| $kind | $(median "$work/return-$kind" 1) | $(
			bar "" "$(cut -d' ' -f1 "$work/return-$kind" | sort -n | tail -n 1)" '<' 2) | $(
			median "$work/return-$kind" 2) | $(bar "" "$(cut -d' ' -f2 "$work/return-$kind" | sort -n | tail -n 1)" '<' 2) |"
	done
	echo
}
