# core.sh - the server without any broker.

core_yaml() { # COUNT, of messages that are generated; MAX_BYTES; the handlers of the route
	cat <<-END
		transports:
		  load: {plugin: probe}
		  in: {plugin: local, max_messages: 100000000, max_bytes: ${2:-8GiB}}
		  old: {plugin: local}
		  new: {plugin: local}
		migrations:
		  half: {old: {transport: old}, new: {transport: new}, percent: 50, key: "{header.key}"}
		routes:
		  - {name: feed, from: {transport: load, count: $1, keys: 1000, size: 128}, to: {transport: in}}
		  - {name: main, from: {transport: in}, to: {migration: half}, handlers: [${3:-}]}
	END
}

# The source's queue is filled while the route is paused, then drained.
core_drain() { # HANDLERS COUNT
	local count resume

	count=$(scaled "${2:-3000000}")
	server_start < <(core_yaml "$count" 8GiB "${1:-}")
	crossfade route pause main
	sample 50 120 "$count" "$(acked feed)" >/dev/null || fail "the queue was not filled"
	(sleep 0.1 && crossfade route resume main) &
	resume=$!
	sample 20 120 "$count" "$(acked main)" >"$work/readings" || fail "the queue was not drained"
	wait "$resume"
	server_stop
	span "$count" <"$work/readings"
}

# The generator runs at the same time and shares the processors; what it gets ahead is bounded.
core_continuous() { # SECONDS
	server_start < <(core_yaml 0 8MiB)
	sleep 0.5
	sample 100 "$1" 0 "$(acked main)" | span 0
	server_stop
}

# What a handler that does nothing adds, run by run.
core_added() {
	paste -d' ' "$work/core-handler" "$work/core-drain" | awk 'NF == 8 {printf "%.2f\n", $2 - $6}' >"$work/added"
	subject='a handler that does nothing'
	[[ ! -s $work/added ]] || bar 'added CPU µs' "$(median "$work/added" 1)" '<' 1
}

case_core() {
	local i

	for ((i = 0; i < runs; i++)); do
		core_drain >>"$work/core-drain"
		core_drain "{plugin: filter, subject: '>'}" >>"$work/core-handler"
		core_continuous "$([[ $smoke ]] && echo 1 || echo 5)" >>"$work/core-continuous"
	done
	row "core, drained" "$work/core-drain" "RSS holds the queue"
	row "core, drained, through a handler" "$work/core-handler" "$(core_added)"
	row "core, generator included" "$work/core-continuous" "CPU of both routes"
	[[ -z $long ]] || {
		core_continuous 60 >>"$work/core-long"
		row "core, generator included, 60 s" "$work/core-long" ""
	}
}

# A worker in C that answers in batches that nothing is changed: messages of 1,000 keys, so many are out at once.
case_exec() {
	local i

	for ((i = 0; i < runs; i++)); do
		core_drain "{plugin: exec, command: ['$bin/exec-worker', pass]}" 300000 >>"$work/exec"
	done
	subject='exec, one child'
	row "exec, one child" "$work/exec" "$([[ ! -s $work/exec ]] || bar rate "$(median "$work/exec" 1)" ≥ 50000)"
}
