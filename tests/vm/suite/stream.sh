# SPDX-License-Identifier: GPL-2.0
# stream.sh: kpy trace's lines against the heap's counters, its lists and known workloads.
# needs: tests/vm/suite/do build/tests/wr build/tests/jsonl build/tests/short.trace build/tests/churn.trace build/tests/nobtf
# group: tracing
# kernels: 6.12 6.1
#
# Programs are attached and detached while nothing is going on: where processors are
# emulated, changing code that another one runs can kill the guest.
. ./lib.sh

# trace ARG... -- COMMAND...: of the workload, while kpy trace looks on; all went well
trace() {
	under trace "$@"
	is "trace $*" "$? $(sed 1d said | grep -vc 'events, 0 dropped$')" "0 0"
}

# ops: how many lines of each
ops() { sed 's/.*"op":"\([a-z]*\)".*/\1/; /^{/d' | sort | uniq -c | awk '{ print $2 ":" $1 }' | xargs; }

json() { ./jsonl "$@" < shown; }

# callers OP: and how often
callers() { sed -n "s/.*\"op\":\"$1\".*\"caller\":\"\([a-z_]*\)+0x[0-9a-f]* \[kpylab\]\".*/\1/p" shown | sort | uniq -c | awk '{ print $2 ":" $1 }' | xargs; }

# The heap's counters as `ops` would say it.
counted() {
	set -- $(counters allocs large_allocs frees large_frees reallocs)
	echo "alloc:$1 free:$3 large:$2 lfree:$4 realloc:$5"
}

total() { set -- $(counters allocs large_allocs frees large_frees reallocs); echo $(($1 + $2 + $3 + $4 + $5)); }

# A call's last event has its time; a realloc that moves has two events before that.
test_counts() {
	start
	kpy trace -j -H h -- kpy replay -H h short.trace 2> said | grep '^{' > shown
	is "$1as many lines of each as the heap counts" "$(ops < shown)" "$(counted)"
	is "$1  all of them JSON, and a last object" "$(json) $(tail -n 1 shown | ./jsonl /events /dropped)" "$(($(total) + 1)) $(total) 0"
	is "$1  and a last word" "$(tail -n 1 said)" "$(total) events, 0 dropped"
	set -- $(counters reallocs reallocs_in_place) "$1"
	is "$3  latency: of every call" "$(grep -c '"latency_us":null' shown)" $((2 * ($1 - $2)))
	is "$3  latency: more than nothing, less than a second" "$(json /latency_us |
		awk '$1 != "-" && ($1 <= 0 || $1 > 1e6) { bad++ } END { print bad + 0, (NR > 7000) }')" "0 1"
	end
}

test_order() {
	start
	kpy trace -jL -H h -- kpy replay -H h short.trace 2> /dev/null | grep '^{"ts' > shown
	is "without latency: in the order of events" "$(json /ts | sort -cn 2>&1) $(json /latency_us | sort -u)" " -"
	is "  blocks come and go" "$(json /op /ptr /old /class /pool | awk '
		$1 == "alloc" { if (live[$2]++) bad++; class[$2] = $4; pool[$2] = $5 }
		$1 == "free" { if (--live[$2] || class[$2] != $4 || pool[$2] != $5) bad++ }
		$1 ~ "^(large|fallback)$" { if (live[$2]++) bad++ }
		$1 == "lfree" { if (--live[$2]) bad++ }
		$1 == "realloc" { if (!live[$2] || ($2 != $3 && live[$3])) bad++ }
		END { for (p in live) left += live[p]; print bad + 0, left + 0 }')" "0 0"
	end
}

test_callers() {
	start
	trace -j -- 'alloc a 3 100' 'alloc b 2 5000' 'realloc a 90' 'realloc a 400' 'free a 1' 'free b' 'churn 1 1'
	is "${1}callers of alloc" "$(callers alloc)" "kpylab_churn:1 kpylab_realloc:3 kpylab_site_a:3"
	is "${1}callers of large" "$(callers large)" "kpylab_site_b:2"
	is "${1}callers of realloc" "$(callers realloc)" "kpylab_realloc:6"
	is "${1}callers of free" "$(callers free)" "kpylab_churn:1 kpylab_free_a:1 kpylab_realloc:3"
	is "${1}callers of lfree" "$(callers lfree)" "kpylab_free_b:2"
	trace -k -L -- 'alloc a 1 100'
	is "${1}a stack" "$(sed -n 's/^    \([a-z_]*\)+0x.* \[kpylab\]$/\1/p' shown | head -n 2 | xargs)" "kpylab_site_a lab_work_alloc"
	trace -k -j -- 'alloc a 1 100'
	is "${1}  in JSON, with latency" "$(head -n 1 shown | ./jsonl /stack/0 /stack/1 | sed 's/+0x[0-9a-f]*//g')" "kpylab_site_a [kpylab] lab_work_alloc [kpylab]"
	trace --pools -k -- 'scatter b 1 512 1'
	end
}

test_text() {
	start
	trace -T -- 'alloc a 1 100' 'alloc b 1 1000' 'realloc a 90' 'realloc a 200'
	is "columns" "$(sed 's/^[0-9:]\{8\} *[0-9]*\.[0-9]\{6\} *[01] sh *[0-9]* //; s/ff[0-9a-f]\{14\}/PTR/g; s/ [0-9]*\.[0-9]\{3\} / LAT /; s/+0x[0-9a-f]*/+N/; s/  */ /g' shown)" "\
TIME TIME(s) CPU COMM PID HEAP OP SIZE→CLASS PTR POOL ARENA LAT(us) CALLER
h alloc 100→6 PTR PTR 0 LAT kpylab_site_a+N [kpylab]
h large 1000→- PTR - - LAT kpylab_site_b+N [kpylab]
h realloc 90→- PTR - - LAT kpylab_realloc+N [kpylab]
h alloc 200→12 PTR PTR 0 - kpylab_realloc+N [kpylab]
h free 112→6 PTR PTR 0 - kpylab_realloc+N [kpylab]
h realloc 200→- PTR - - LAT kpylab_realloc+N [kpylab] from PTR"
	end
}

test_filters() {
	start
	trace -j -z 100 -Z 200 -- 'alloc a 1 99' 'alloc b 2 100' 'alloc c 3 200' 'alloc d 4 201' 'alloc d 5 1000'
	is "  sizes" "$(ops < shown)" "alloc:5"
	trace -jL -C 6 -- 'free b' 'alloc b 1 96' 'alloc b 2 97' 'alloc b 3 112' 'alloc b 4 113' 'alloc b 1 800'
	is "  a class" "$(ops < shown)" "alloc:5 free:2"
	trace -jL -n wr -- 'alloc a 1 100'
	is "  tasks of another name" "$(ops < shown)" ""
	trace -jL -n sh -- 'alloc a 1 100'
	is "  tasks of this name" "$(ops < shown)" "alloc:1"
	trace -jL -p 1 -- 'alloc a 1 100'
	is "  another process" "$(ops < shown)" ""
	must $K/create 'other preset=cpython-3.10'
	trace -jL -H other -- 'alloc a 1 100'
	is "  another heap" "$(ops < shown)" ""
	must $K/destroy other
	trace -N 5 -- 'alloc a 100 100'
	is "  the first five" "$(grep -c ' alloc ' shown) $(tail -n 1 said)" "5 5 events, 0 dropped"
	end
}

# A name is whatever somebody has chosen.
test_names() {
	local name='q"\	e'

	start
	cp wr "$name"
	kpy trace -jL -- sh -c "printf 'alloc a 1 64' | ./'$name' $W/control" 2> /dev/null | grep '^{' > shown
	is "a name to be escaped" "$(json) $(head -n 1 shown | ./jsonl /comm)" "2 $name"
	kpy trace -L -- sh -c "printf 'alloc a 1 64' | ./'$name' $W/control" 2> /dev/null | grep alloc > shown
	is "  as text" "$(grep -cF 'q"\?e ' shown)" 1
	end
}

# pools STATE: how many the heap has
pools() { awk -v state="$1" '$NF == state { n++ } END { print n + 0 }' $H/pools; }

test_pools() {
	start
	trace -j --pools -- 'alloc a 100 100' 'alloc b 300 512' 'free b 120' 'scatter c 500 40 9' 'realloc a 300' 'free b 50'
	is "  steps of each pool" "$(json /pool /from /to /class | awk '
		/^-/ { next }
		{
			if (($1 in state ? state[$1] : "empty") != $2) bad++
			if ($2 != "empty" && class[$1] != $4) bad++
			if (index(" empty used full used empty ", " " $2 " " $3 " ") == 0) bad++
			state[$1] = $3; class[$1] = $4
		}
		END { for (p in state) n[state[p]]++; print bad + 0, n["used"] + 0, n["full"] + 0 }')" \
		"0 $(pools used) $(pools full)"
	trace -j --pools -C 29 -- 'alloc d 200 480' 'alloc a 200 64'
	is "  of one class" "$(json /class | sort | uniq -c | awk '$1 > 20 { $1 = "many" } { print }' | xargs)" "1 - many 29"
	trace --pools -- 'free d'
	is "  as text" "$(grep -c ' full→used     29 ' shown) $(grep -c ' used→empty    29 ' shown)" "25 25"
	end
}

# usable: the heap's list
usable() { sed -n 's/^slot \([0-9]*\) nfree \([0-9]*\)$/[ \1, \2 ]/p' $H/arenas | xargs | sed 's/\] \[/], [/g; s/.*/[ & ]/; s/^\[  \]$/[ ]/'; }

drawn() { sed -n 's/.*usable: //p' shown | tail -n 1 | sed 's/nfree //; s/[][]//g; s/(\([0-9]*\))/ \1/g'; }

# Each list is the one before with one arena moved, and in order.
lists() {
	json /op /arena /nfree_after /usable | sed 's/[][,]//g' | awk '
		/^-/ { next }
		{
			if ($4 == "-") { unknown++; next }
			at = ""; last = 0
			for (i = 4; i < NF; i += 2) {
				if ($(i + 1) < last) bad++
				last = $(i + 1)
				if ($i == $2) at = $(i + 1)
			}
			if ($1 == "move" && (at == "" ? 0 : at) != $3) bad++
			if ($1 == "new" && NF != 5) bad++
			if ($1 == "release" && at != "") bad++
		}
		END { print bad + 0, unknown + 0 }'
}

test_arenas() {
	start
	trace -j --arenas -- 'scatter a 1120 512 112' 'alloc b 900 300' 'free a 3' 'scatter c 700 64 50' 'free b 500'
	is "  lists in order" "$(lists)" "0 0"
	is "  the last one is the heap's" "$(grep '"usable"' shown | tail -n 1 | ./jsonl /usable)" "$(usable)"
	is "  arenas come and go" "$(ops < shown | sed 's/move:[0-9]* //')" "new:$(awk -F= '/arenas allocated total/ { print $2 + 0 }' $H/stats) release:$(awk -F= '/arenas reclaimed/ { print $2 + 0 }' $H/stats)"
	trace --arenas -- 'free a' 'free c 7' 'alloc d 30 200'
	is "  from what was there before" "$(drawn)" "$(sed -n 's/^slot \([0-9]*\) nfree/\1/p' $H/arenas | xargs)"
	is "  nothing is unknown" "$(grep -c 'usable: ?' shown)" 0
	trace --arenas -k -- 'scatter d 2000 512 100'
	is "  with stacks" "$(($(grep -c '^    lab_work_alloc+0x.*\[kpylab\]$' shown) > 100))" 1
	end
}

test_arenas_of_new_heap() {
	kpy trace -j --arenas -- kpy replay -p cpython-3.8 churn.trace 2> said | grep '^{' > shown
	is "a heap's whole life" "$(json) $(lists) $(ops < shown | tr ' ' '\n' | sed 's/move:.*//' | xargs)" \
		"$(($(sed -n 's/ events, 0 dropped$//p' said) + 1)) 0 0 end:1 new:$(grep -c '"op":"new"' shown) release:$(grep -c '"op":"release"' shown)"
	is "  every arena had been given back but for one" "$(grep '"op":"end"' shown | ./jsonl /usable)" "[ ]"
}

# begin ARG...: kpy trace in the background, at work
begin() {
	: > said	# the last one's words are not this one's
	kpy trace "$@" > shown 2> said &
	tracer=$!
	while ! grep -q tracing said; do sleep 0.1; done
	sleep 0.2
}

# stop: by SIGTERM; a shell has what is in its background ignore ^C
stop() { kill $tracer; wait $tracer; }

# A stopped reader: what does not fit is gone, and said.
test_drops() {
	start
	begin -j -b 1 -H h
	kill -STOP $tracer
	kpy replay -H h churn.trace > /dev/null
	kill -CONT $tracer
	stop
	is "a reader that stands still: ends well" "$?" 0
	set -- $(tail -n 1 shown | ./jsonl /events /dropped)
	is "  printed and dropped are all events" "$(($1 + $2))" "$(total)"
	is "  many were dropped" "$(($2 > 1000)) $(($1 > 1000))" "1 1"
	is "  printed is printed" "$(grep -c '"op"' shown)" "$1"
	is "  the last word" "$(sed -n '$s/ (.*//p' said)" "$1 events, $2 dropped"
	is "  by processor" "$(tail -n 1 shown | ./jsonl /dropped_by_cpu | tr -d '[],' | awk '{ print $1 + $2 }')" "$2"
	end
}

# The list is lost with an event, and found again.
test_drops_of_arenas() {
	start
	begin -j -b 1 --arenas -H h
	kill -STOP $tracer
	for round in 1 2 3 4 5 6 7 8 9 10 11 12; do work 'alloc a 6000 512' 'free a'; done
	work 'scatter b 1120 512 112'
	kill -CONT $tracer
	for i in $(seq 100); do
		! grep -q '"usable":null' shown || break
		sleep 0.2
		work 'alloc c 7 300' 'free c'
	done
	sleep 0.5
	work 'alloc c 700 300' 'free b 3'
	sleep 0.5
	stop
	is "lists where events were dropped" "$(($(tail -n 1 shown | ./jsonl /dropped) > 0)) $(lists | sed 's/ .*//')" "1 0"
	is "  the last one is the heap's again" "$(grep '"usable"' shown | tail -n 1 | ./jsonl /usable)" "$(usable)"
	end
}

digest() { sed -n 's/.* digest //p'; }

test_full_load() {
	local plain="$(kpy replay -g arena=64K,pool=4K,release=always churn.trace | digest)"

	start
	kpy trace -H h -- sh -c 'kpy replay -H h churn.trace > replayed' > /dev/null 2> said
	is "full load: the replay is the same" "$(digest < replayed)" "$plain"
	is "  printed and dropped are all events" "$(tail -n 1 said | awk '{ print $1 + $3 }')" "$(total)"
	echo "# $(tail -n 1 said)"
	end
}

test_lonely() {
	start
	begin
	work 'alloc a 1 100'
	sleep 0.5
	is "a lonely event is there soon" "$(grep -c ' alloc ' shown)" 1
	stop
	is "  a signal ends it well" "$? $(tail -n 1 said)" "0 1 events, 0 dropped"
	end
}

test_ends() {
	start
	rm -f piped
	(while [ ! -e piped ]; do sleep 0.3; work 'alloc a 1 100'; done) &
	kpy trace -jL 2> said | head -n 1 > shown
	touch piped
	is "a closed pipe ends it quietly" "$(./jsonl < shown) $(wc -l < said)" "1 1"
	wait
	begin -L -H h
	work drop
	must $K/destroy h
	wait $tracer
	is "a heap that goes ends it" "$? $(sed -n 2p said)" "0 kpy: h: the heap is gone"
	is "the command's status" "$(kpy trace -L -- sh -c 'exit 7' > /dev/null 2>&1; echo $?)" 7
}

test_options() {
	bad_usage "trace --pools --arenas" "--pools or --arenas, not both"
	bad_usage "trace --pools -z 3" "--pools takes no sizes"
	bad_usage "trace --arenas -n sh" "--arenas takes no filter but -H: the list is made of all events"
	bad_usage "trace -b 0" "'0' is no number from 1 to 1024"
	bad_usage "trace -i 1" "invalid option -- 'i'"
	is "kpy trace -H nope" "$(kpy trace -H nope 2>&1)" "kpy: nope: there is no such heap, see: kpy heap list"
}

nothing_left() { is "nothing is left attached" "$(bpftool prog show | grep -c -e on_ -e end_of -e begin_of)" 0; }

insmod kpymalloc.ko
insmod kpylab.ko
test_counts
test_order
test_callers
test_text
test_filters
test_names
test_pools
test_arenas
test_arenas_of_new_heap
test_drops
test_drops_of_arenas
test_full_load
test_lonely
test_ends
test_options
nothing_left
unload
insmod nobtf/$(uname -r | cut -d. -f1,2)/kpymalloc.ko
insmod kpylab.ko
is "a module without BTF" "$(ls /sys/kernel/btf | grep -c kpymalloc)" 0
test_counts "no BTF: "
test_callers "no BTF: "
is "no BTF: kpy says so" "$(head -n 1 said)" "tracing kpymalloc by raw_tp (the module has no BTF), 1 programs"
nothing_left
unload
finish
