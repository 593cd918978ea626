# subjects.sh - memory after all of 100,000 subjects and keys have passed once, and after more rounds of them.
#
# One row for each way in and out that could remember subjects. Once: every subject was seen, and what is kept for each is there.

subjects_yaml() { # KIND URL COUNT
	local options='' out in

	case $1 in
	local) options=', max_bytes: 2MiB' out='' in='' ;; # what waits in it is not what is measured
	redis) out='' in='' ;;
	nats)
		options=', streams: [{name: BENCH, subjects: [probe.>], storage: file}]'
		out='' in=''
		;;
	amqp) out=', exchange: bench, declare: true' in=', queue: bench, exchange: bench, declare: true' ;;
	esac
	cat <<-END
		transports:
		  load: {plugin: probe}
		  other: {plugin: probe}
		  broker: {plugin: $1$([[ $1 == local ]] || echo ", url: \"$2\"")$options}
		routes:
		  - name: feed
		    key: "{header.key}"
		    from: {transport: load, count: $(($3 * rounds)), keys: $3, size: 128}
		    to: {transport: broker$out}
		  - name: main
		    key: "{subject}"
		    from: {transport: broker, subject: "probe.>"$in}
		    to: {transport: other}
	END
}

# Readings on standard input: resident MiB once $1 messages have passed, and at the end.
subjects_memory() {
	awk -v once="$1" '$4 >= once && !begun { begun = 1; first = $3 } { last = $3 }
		END { printf "%.1f %.1f %.1f\n", first / 1048576, last / 1048576, (last - first) / 1048576 }'
}

subjects_measure() { # KIND URL COUNT
	server_start < <(subjects_yaml "$1" "$2" "$3")
	sample 100 600 $(($3 * rounds)) "$(acked feed)" "$(acked main)" >"$work/readings" ||
		fail "$1: not every message was taken: $(tail -n 1 "$work/readings")"
	server_stop
	subjects_memory "$3" <"$work/readings"
}

case_subjects() {
	local kind url='' rounds=10 many
	declare -A title=([local]='embedded broker' [redis]='Redis channels' [nats]='JetStream' [amqp]='AMQP exchange')

	many=$(scaled 100000)
	for kind in local redis nats amqp; do
		[[ $kind == local ]] || url=$(fresh "$kind")
		[[ $kind != amqp ]] || rounds=4 # it takes long over topics
		subjects_measure "$kind" "$url" "$many" >"$work/subjects-$kind"
	done
	table "| memory over many subjects and keys | subjects | RSS MiB after once | RSS MiB at the end | grown MiB |"
	for kind in local redis nats amqp; do
		subject="subjects, ${title[$kind]}"
		echo "| ${title[$kind]} | $many | $(median "$work/subjects-$kind" 1) | $(median "$work/subjects-$kind" 2) | $(
			bar "" "$(median "$work/subjects-$kind" 3)" '<' 8) |"
	done
	echo
}
