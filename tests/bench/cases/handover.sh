# handover.sh - what a change of the share costs those whose lane moves, and everybody else.

handover_routes() { # OLD NEW: the endpoints
	cat <<-END
		migrations:
		  moving: {old: $1, new: $2, percent: 0, key: "{header.key}"}
		routes:
		  - name: main
		    from: {transport: load, rate: 20000, keys: 1000, size: 128}
		    to: {migration: moving}
	END
}

# The upper bound of the bucket in which the quantile $1 of the hold lies, in milliseconds, and how many were held.
hold_quantile() {
	curl -s --unix-socket "$work/data/admin.sock" http://localhost/metrics |
		awk -v q="$1" -F'[" ]' '/^crossfade_route_handover_seconds_bucket\{route="main"/ {
				for (i = 1; i <= NF; i++) if ($i ~ /le=$/) { n++; bound[n] = $(i + 1); sum[n] = $NF }
			}
			END {
				for (i = 1; i <= n; i++) if (sum[i] >= q * sum[n]) break
				printf "%s %d", bound[i] == "+Inf" ? "inf" : bound[i] * 1000, sum[n]
			}'
}

# The readings on standard input: the worst window against the median in percent, and the median.
worst_window() {
	awk 'NR > 1 && $1 > t {print ($4 - n) / ($1 - t)} {t = $1; n = $4}' | sort -n |
		awk '{v[NR] = $1} END {m = v[int((NR + 1) / 2)]; printf "%.1f %.0f", (1 - v[1] / m) * 100, m}'
}

# As long without a change, then ten changes, one a second; prints
# "p50_ms p99_ms held worst_percent rate worst_percent_at_rest cpu".
handover_measure() {
	local sampler change pause seconds

	pause=$([[ $smoke ]] && echo 0.2 || echo 1)
	seconds=$([[ $smoke ]] && echo 3 || echo 12)
	sleep "$pause"
	sample 100 "$seconds" 0 "$(acked main)" >"$work/readings-rest"
	sample 100 "$seconds" 0 "$(acked main)" >"$work/readings" &
	sampler=$!
	for change in 50 0 50 0 50 0 50 0 50 0; do
		sleep "$pause"
		crossfade migration set moving --percent "$change"
	done
	wait "$sampler"
	echo "$(hold_quantile 0.5 | cut -d' ' -f1) $(hold_quantile 0.99) $(worst_window <"$work/readings") $(
		worst_window <"$work/readings-rest" | cut -d' ' -f1) $(span 0 <"$work/readings" | cut -d' ' -f2)"
	server_stop
}

case_handover() {
	local redis nats i

	for ((i = 0; i < runs; i++)); do
		server_start < <(
			echo "transports: {load: {plugin: probe}, old: {plugin: local}, new: {plugin: local}}"
			handover_routes '{transport: old}' '{transport: new}'
		)
		handover_measure >>"$work/handover-local"
	done
	if [[ ! $smoke ]]; then
		redis=$(fresh redis)
		for ((i = 0; i < runs; i++)); do
			nats=$(fresh nats)
			server_start < <(
				echo "transports:"
				echo "  load: {plugin: probe}"
				echo "  redis: {plugin: redis, url: \"$redis\"}"
				jetstream_yaml "$nats"
				handover_routes '{transport: redis, mode: stream, subject: bench.out, maxlen: 100000}' \
					'{transport: jetstream, subject: bench.out}'
			)
			handover_measure >>"$work/handover-brokers"
		done
	fi
	handover_rows
}

handover_rows() {
	local kind

	table "| hand-over at 20,000 messages/s | messages/s | CPU µs/message | hold p50 ms | hold p99 ms | lanes held | worst 100 ms window | without changes |"
	for kind in local brokers; do
		[[ -s $work/handover-$kind ]] || continue
		awk -v kind="$([[ $kind == local ]] && echo 'local ↔ local' || echo 'Redis stream ↔ JetStream')" \
			'{printf "| %s | %s | %s | ≤ %s | ≤ %s | %s | −%s %% | −%s %% |\n",
			kind, $5, $7, $1, $2, $3, $4, $6}' "$work/handover-$kind"
	done
}
