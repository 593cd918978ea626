# start.sh - how long a start takes, until /readyz is 200: every source has subscribed, every sink is connected.

start_yaml() { # COUNT FROM TO: the endpoints' transports
	cat <<-END
		server: {data_dir: $work/data}
		transports:
		  in: $2
		  out: $3
		routes:
	END
	awk -v count="$1" 'BEGIN {
		for (i = 1; i <= count; i++)
			printf "  - {name: r%d, from: {transport: in, subject: in.%d}, to: {transport: out, subject: out.%d}}\n", i, i, i
	}'
}

start_measure() { # COUNT FROM TO FILE
	local i

	for ((i = 0; i < runs; i++)); do
		rm -rf "$work/data"
		start_yaml "$1" "$2" "$3" >"$work/crossfade.yaml"
		"$bin/bench-start" "$work/data/admin.sock" /readyz 60 "$bin/crossfaded" -c "$work/crossfade.yaml" >>"$4" 2>"$work/log" ||
			{ tail -n 1 "$work/log" >"$4.failed"; return; }
	done
}

start_row() { # NAME FILE BAR: seconds, or nothing
	local ready

	subject="start, $1"
	if [[ -s $2.failed ]]; then
		echo "| $1 | $([[ -z $3 ]] && echo - || bar "none" inf '<' "$3") | | | | | $(cut -c1-120 "$2.failed") |"
		return
	fi
	ready=$(median "$2" 1)
	echo "| $1 | $([[ -z $3 ]] && echo "$ready" || bar "" "$ready" '<' "$3") | $(median "$2" 2) | $(median "$2" 4) | $((
		$(median "$2" 3) / 1048576)) | $(median "$2" 5) | |"
}

case_start() {
	local redis nats count many

	count=$(scaled 1000)
	many=$(scaled 10000)
	((many <= ($(ulimit -n) - 500) / 2)) || many=$((($(ulimit -n) - 500) / 2)) # two descriptors each
	start_measure "$count" '{plugin: local}' '{plugin: local}' "$work/start-local"
	start_measure "$many" '{plugin: local}' '{plugin: local}' "$work/start-many"
	if [[ ! $smoke ]]; then
		redis=$(fresh redis)
		nats=$(fresh nats)
		start_measure "$count" "{plugin: redis, url: \"$redis\"}" \
			"{plugin: nats, url: \"$nats\", streams: [{name: BENCH, subjects: [out.>]}]}" "$work/start-brokers"
	fi
	table "| start with routes | seconds until ready | CPU seconds | threads | RSS MiB | seconds to stop | |"
	start_row "$count, embedded broker to itself" "$work/start-local" 1
	[[ $smoke ]] || start_row "$count, Redis channels → JetStream" "$work/start-brokers" 1
	start_row "$many, embedded broker to itself" "$work/start-many" ''
	echo
}
