# requests.sh - ten thousand requests that are open at once, over and over: how long a round takes, and whether memory stays where it was.

REQUESTS=10000

requests_yaml() { # URL
	cat <<-END
		transports:
		  nats: {plugin: nats, url: "$1"}
		routes:
		  - name: main
		    from: {transport: nats, mode: core, subject: bench.ask}
		    to: {transport: nats, mode: core, subject: bench.work}
		    order: none
		    max_in_flight: 40000
		    request: {timeout: 2m}
	END
}

case_requests() {
	local nats rounds first last

	rounds=$([[ $smoke ]] && echo 2 || echo $((4 * runs)))
	nats=$(fresh nats)
	server_start < <(requests_yaml "$nats")
	"$bin/bench-ask" "$nats" "$REQUESTS" "$rounds" "$server" >"$work/requests" || fail 'replies are missing'
	server_stop
	first=$(sed -n 2p "$work/requests" | cut -d' ' -f1) # the first round makes room
	last=$(tail -n 1 "$work/requests" | cut -d' ' -f1)
	table "| requests open at once | rounds | s a round | RSS MiB, second round | last | |"
	subject='requests'
	echo "| $REQUESTS | $rounds | $(median "$work/requests" 2) | $first | $last | $(bar 'grown by MiB' $((last - first)) ≤ 8) |"
	echo
}
