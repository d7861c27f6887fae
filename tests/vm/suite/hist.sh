# SPDX-License-Identifier: GPL-2.0
# hist.sh: kpy hist's numbers against the heap's counters and known workloads.
# needs: tests/vm/suite/do build/tests/wr build/tests/jsonl build/tests/short.trace
# group: tracing
# kernels: 6.12 6.1
. ./lib.sh

# hist ARG... -- COMMAND...: of the workload, while kpy hist looks on
hist() {
	under hist -d 60 -j "$@"
	is "hist $*" "$? $(./jsonl < shown > /dev/null || ./jsonl < shown)" "0 "
}

# field POINTER...: of the first object that was printed
field() { head -n 1 shown | ./jsonl "$@"; }

# call OP POINTER...
call() { local op=$1; shift; grep "\"call\":\"$op\"" shown | ./jsonl "$@"; }

# slots: LOW:COUNT of what came on standard input
slots() { tr '{' '\n' | sed -n 's/.*"low":\([0-9]*\),.*"count":\([0-9]*\).*/\1:\2/p' | xargs; }

sum() { tr ' ' '\n' | awk -F: '{ n += $NF } END { print n + 0 }'; }

test_size() {
	start
	hist -H h -- 'alloc a 10 100' 'alloc b 20 5000' 'alloc c 1 1' 'alloc c 3 512' 'alloc d 2 1048576'
	is "sizes by powers of two" "$(slots < shown)" "0:1 64:10 512:3 4096:20 1048576:2"
	is "as many as the heap counts" "$(field /requests)" "$(($(value allocs $H/counters) + $(value large_allocs $H/counters)))"
	is "nothing is lost" "$(last /lost)" 0
	hist -H h -L -- 'alloc a 7 16' 'alloc a 5 17' 'alloc b 3 512' 'alloc b 2 513' 'alloc b 1 2000'
	is "sizes by class" "$(slots < shown)" "0:7 17:5 497:3 513:2 1025:1"
	hist -L1000 -- 'alloc a 1 1000' 'alloc a 2 1001'
	is "in steps of 1000" "$(slots < shown)" "0:1 1001:2"
	hist -z 100 -Z 200 -- 'alloc a 1 99' 'alloc a 2 100' 'alloc a 3 200' 'alloc a 4 201'
	is "sizes filtered" "$(slots < shown)" "64:2 128:3"
	hist -C 6 -- 'alloc a 1 96' 'alloc a 2 97' 'alloc a 3 112' 'alloc a 4 113'
	is "a class filtered" "$(slots < shown)" "64:5"
	hist -n other -- 'alloc a 1 96'
	is "no task of that name" "$(slots < shown)" ""
	must $K/create 'other arena=64K pool=4K'
	hist -H other -- 'alloc a 1 96'
	is "nothing in another heap" "$(slots < shown)" ""
	must $K/destroy other
	end
}

# waste: HEAP:CLASS:SIZE:BLOCKS:REQUESTED:BYTES:WASTE
waste() { sed '$d' shown | ./jsonl /heap /class /size /blocks /requested /bytes /waste | tr ' ' : | sort | xargs; }

test_waste() {
	start
	must $K/create 'eight arena=64K pool=4K align=8'
	hist waste -- 'alloc a 10 100' 'alloc b 5 16' 'alloc c 5 600' drop 'heap eight' 'alloc a 10 100'
	is "bytes that classes lose" "$(waste)" "eight:12:104:10:1000:1040:40 h:0:16:5:80:80:0 h:6:112:10:1000:1120:120"
	work drop "heap h"
	must $K/destroy eight
	kpy hist waste -- kpy replay short.trace > shown 2>&1
	is "of a heap that came and went" "$(awk '$1 == "total" { print $3 } /^replay-/ { n += $4; c++ } END { print n, c }' shown | xargs)" \
		"2988 2988 32"
	kpy hist waste -d 60 -- sh do 'alloc a 10 100' > shown 2> said
	is "as a table" "$(awk '/^h / { print $1, $2, $3, $4, $5, $6, $7, $8 }' shown)" "h 6 112 10 1000 1120 120 10.71"
	end
}

# The slots hold as many calls, and as much time as was added up can be.
plausible() {
	call $1 /slots /paths/all/calls /paths/all/ns | tr '{' '\n' | awk '
		{ ns = calls = 0 }
		match($0, /"low": ?[0-9]+/) { low = substr($0, RSTART + 6, RLENGTH - 6) + 0
			match($0, /"high": ?[0-9]+/); high = substr($0, RSTART + 7, RLENGTH - 7) + 0
			match($0, /"count": ?[0-9]+/); count = substr($0, RSTART + 8, RLENGTH - 8) + 0
			n += count; least += count * low; most += count * (high + 1) }
		{ calls_ns = $(NF - 1) " " $NF }
		END { split(calls_ns, v, " "); if (n == v[1] && n > 0 && v[2] >= least && v[2] <= most) print "yes"
			else print n, least, most, calls_ns }'
}

all_paths() { call $1 /paths/all/calls /paths/new_pool/calls /paths/new_arena/calls /paths/released_arena/calls; }

# latencies ARG...: known slow paths
latencies() {
	start
	hist latency "$@" -- 'alloc a 14 512' 'alloc b 3 1000' 'realloc a 500' 'realloc a 300' 'free a' 'free b'
	is "  allocs: 2 new pools, 1 new arena" "$(all_paths alloc)" "17 2 1 0"
	is "  reallocs: 14 stayed, 14 moved to 2 new pools" "$(all_paths realloc)" "28 2 0 0"
	is "  frees: the arena went" "$(all_paths free)" "17 0 0 1"
	is "  allocs: time" "$(plausible alloc)" yes
	is "  reallocs: time" "$(plausible realloc)" yes
	is "  frees: time" "$(plausible free)" yes
	is "  nothing is lost, all was timed" "$(last /lost /not_timed)" "0 0"
	end
}

test_latency() {
	latencies
	latencies -H h
	start
	hist latency -H h -z 600 -- 'alloc a 14 512' 'alloc b 3 1000' 'free a' 'free b'
	is "large ones only" "$(call alloc /paths/all/calls) $(call free /paths/all/calls)" "3 3"
	end
}

# On two processors.
test_latency_busy() {
	start
	load short.trace
	must $L/control "backend kpymalloc:h"
	kpy hist latency -H h -j -- sh -c "
		(for i in 1 2 3 4 5 6; do printf run > $L/control; printf rewind > $L/control; done) &
		printf 'churn 30000 7' > $W/control; wait" > shown 2> said
	is "two writers at once" "$(last /lost /not_timed)" "0 0"
	set -- $(counters allocs large_allocs frees large_frees reallocs reallocs_in_place)
	is "  every call was timed" \
		"$(call alloc /paths/all/calls) $(call realloc /paths/all/calls) $(call free /paths/all/calls)" \
		"$(($1 + $2 - $5 + $6)) $5 $(($3 + $4 - $5 + $6))"
	must $L/control rewind
	must $L/control "backend kmalloc"
	end
}

# lives: CLASS:BLOCKS
lives() { grep -o '"classes":.*' shown | tr '{' '\n' | sed -n 's/.*"class":\([0-9a-z]*\),"blocks":\([0-9]*\).*/\1:\2/p' | xargs; }

test_life() {
	start
	work 'alloc a 5 100'
	hist life -m -- 'alloc b 10 100' 'alloc c 4 1000' 'free a' sleep 'free b' 'free c'
	is "all lived for a second" "$(slots < shown | tr ' ' '\n' | awk -F: '$1 >= 512 { n += $2 } $1 < 512 { bad += $2 } END { print n, bad + 0 }')" "14 0"
	is "by class" "$(lives)" "6:10 null:4"
	is "frees of blocks from before" "$(last /lost /not_seen_born)" "0 5"
	hist life -- 'alloc b 10 100' 'free b'
	is "in microseconds" "$(field /unit /blocks)" "us 10"
	hist life --max-blocks 4 -- 'alloc b 10 100' 'free b'
	is "more blocks than it may follow" "$(field /blocks) $(last /lost /not_seen_born)" "4 6 6"
	hist life -H h -Z 100 -- 'alloc a 3 100' 'alloc b 2 200' 'alloc c 1 1000' 'free a' 'free b' 'free c'
	is "filtered" "$(lives)" "6:3"
	kpy hist life -- kpy replay short.trace > shown 2>&1
	is "of a heap that came and went" "$(awk '/^replay-/ { n += $4; c++ } END { print n, c }' shown)" "3390 33"
	end
}

test_intervals() {
	start
	kpy hist -j -T -H h -i 0.5 3 -- sh -c "printf 'alloc a 10 100' > $W/control; sleep 0.7
		printf 'alloc a 7 100' > $W/control; sleep 2" > shown 2> said
	is "three reports" "$? $(./jsonl < shown) $(./jsonl /requests < shown | sum)" "0 4 17"
	is "with the time" "$(field /time | grep -c '^[0-9][0-9]:[0-9][0-9]:[0-9][0-9]$')" 1
	kpy hist -H h -T -i 0.2 2 > shown 2> said
	is "as text" "$? $(grep -c '^[0-9:]*$' shown)" "0 4"
	kpy hist -d 60 -- sh do 'alloc a 3 100' 'alloc a 6 200' > shown 2> said
	is "laid out as bcc does" "$(tail -n 3 shown | sed 's/  */ /g')" " 32 -> 63 : 0 | |
 64 -> 127 : 3 |******************** |
 128 -> 255 : 6 |****************************************|"
	end
}

test_options() {
	bad_usage "hist waste -L" "-L is for sizes"
	bad_usage "hist -m" "-m and --max-blocks are for life"
	bad_usage "hist -L0" "'0' is no number from 1 to 1073741824"
	bad_usage "hist -i 0" "'0' is no number of seconds"
}

insmod kpymalloc.ko
insmod kpylab.ko
test_size
test_waste
test_latency
test_latency_busy
test_life
test_intervals
test_options
is "nothing is left attached" "$(bpftool prog show | grep -c -e waste_ -e size_ -e latency_ -e life_)" 0
rmmod kpylab
rmmod kpymalloc
finish
