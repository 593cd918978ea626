# accept.sh - `accept: spooled` beside what brokers take with the promise that they keep it: how many a second, and how long each
# publisher waits.
#
# Publishers send one message at a time, each on a connection of its own. To the server they speak HTTP, so its answer has the
# request's parsing in it, the message's way into the spool, a sync of the disk that all share who wait at that moment, and the
# 202. Its sink is down: nothing is carried on meanwhile, as nobody consumes at the brokers.

ACCEPT_SIZE=1024 # bytes of payload

accept_yaml() {
	cat <<-END
		transports:
		  api: {plugin: http, listen: "127.0.0.1:0"}
		  to: $spool_dead
		routes:
		  - name: main
		    from: {transport: api, subject: bench.accept, accept: spooled, spool: {max_size: 64GiB}}
		    to: {transport: to}
	END
}

accept_measure() { # KIND URL PUBLISHERS
	"$bin/bench-accept" "$1" "$2" "$3" "$([[ $smoke ]] && echo 1 || echo 3)" "$ACCEPT_SIZE" >>"$work/accept-$1-$3" ||
		fail "$1: not every message was taken"
}

accept_server() { # PUBLISHERS
	server_start < <(accept_yaml)
	crossfade transport show api
	accept_measure http "http://127.0.0.1:$(sed -n 's/^port: //p' "$work/verbs" | tail -n 1)" "$1"
	server_stop
}

accept_row() { # KIND PUBLISHERS NOTE
	local file=$work/accept-$1-$2
	declare -A title=([http]='crossfade, `accept: spooled`, HTTP' [nats]='JetStream, file storage' [redis]='Redis stream, appendfsync always'
		[amqp]='RabbitMQ, durable queue, persistent')

	echo "| ${title[$1]} | $2 | $(median "$file" 1) | $(sort -n "$file" | head -n 1 | cut -d' ' -f1) – $(
		sort -n "$file" | tail -n 1 | cut -d' ' -f1) | $(median "$file" 2) | $(median "$file" 3) | $3 |"
}

case_accept() {
	local i publishers kind least note
	declare -A url

	if [[ ! $smoke ]]; then
		url[nats]=$(fresh nats)
		url[redis]=$(fresh redis --appendonly yes --appendfsync always)
		url[amqp]=$(fresh amqp)
	fi
	for ((i = 0; i < runs; i++)); do
		for publishers in 1 100; do
			accept_server "$publishers"
			for kind in "${!url[@]}"; do
				accept_measure "$kind" "${url[$kind]}" "$publishers"
			done
		done
	done
	table "| accepted, $ACCEPT_SIZE bytes | publishers | messages/s | min – max | p50 µs | p99 µs | |"
	for publishers in 1 100; do
		note=''
		subject="accept, $publishers publishers"
		if [[ ! $smoke ]]; then
			least=$(sort -n <(median "$work/accept-redis-$publishers" 1) <(median "$work/accept-amqp-$publishers" 1) | head -n 1)
			note="$(bar "×" "$(awk -v ours="$(median "$work/accept-http-$publishers" 1)" -v least="$least" \
				'BEGIN {printf "%.2f", ours / least}')" ≥ 1) of the slower one that syncs"
		fi
		accept_row http "$publishers" "$note"
		[[ $smoke ]] || accept_row redis "$publishers" "synced"
		[[ $smoke ]] || accept_row amqp "$publishers" "synced"
		[[ $smoke ]] || accept_row nats "$publishers" "stored, synced by the minute"
	done
	echo
}
