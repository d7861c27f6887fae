# SPDX-License-Identifier: GPL-2.0
# percpu.sh: heaps of mode percpu: no block is lost or handed out twice and the numbers add up
# at every checkpoint, whoever uses the heap, while processors come and go and memory is short;
# what the CPUs keep comes back by itself, from CPUs that go, and when the heap goes.
# needs: build/tests/wr build/tests/short.trace build/tests/churn.trace
# kernels: 6.12 6.1 rt debug
. ./lib.sh

B=/sys/kernel/debug/kpylab/bench
H=$K/heaps/p
MARKS=/proc/sys/vm/min_free_kbytes

trace=churn steps=8 rounds=2 blocks=40000 heaps=24
[ -z "$slow" ] || trace=short steps=5 rounds=1 blocks=10000 heaps=9

# look: all numbers as of one moment; anew where a CPU's blocks were moved meanwhile
look() {
	while :; do
		cat $H/cpus > cpus
		cat $H/pools > pools
		cat $H/stats > stats
		cat $H/counters > counters
		cat $H/cpus | cmp -s cpus - && return
	done
}

# in_all FILE NAME...: the columns summed up
in_all() {
	awk -v names="$2" 'NR == 1 { n = split(names, name); for (i = 1; i <= NF; i++) at[$i] = i; next }
		{ for (i = 1; i <= n; i++) sum += $at[name[i]] } END { print sum + 0 }' $1
}

cached() { in_all $H/cpus 'task irq shelf'; }

# Classes where the blocks that pools have handed out are not those in use and those cached,
# or where those in use and the others are not all that there is.
wrong_classes() {
	class_lines stats > classes
	awk 'FNR == 1 { file++ }
		file < 3 && FNR == 1 { next }
		file == 1 { cached[$2] += $4 + $5 + $6; class[$2] }
		file == 2 && $5 { out[$3] += $5; room[$3] += $6; class[$3] }
		file == 3 { used[$1] = $4; free[$1] = $5; class[$1] }
		END { for (c in class) if (out[c] != used[c] + cached[c] || room[c] != used[c] + free[c])
			print "class " c ": " out[c] " of " room[c] ", " used[c] " in use, " free[c] \
				" available, " cached[c] " cached" }' cpus pools classes
}

# What kpylab holds: it knows better than the heap.
held() { awk '/^live_blocks |^site_._blocks / { n += $2 } END { print n }' $L/status $W/status; }

# adds_up NAME: the heap and all its numbers, while nobody uses it
adds_up() {
	look
	is "$1: valid" "$(cat $H/validate)" ok
	is "$1: pools and CPUs" "$(wrong_classes)" ""
	is "$1: blocks in use" "$(($(used) + $(value large_blocks counters)))" "$(held)"
	is "$1: allocs and frees" "$(($(value allocs counters) - $(value frees counters)))" "$(used)"
	is "$1: bytes" "$(awk -F= '/^# bytes|unused pools|holes/ { gsub(/[ ,]/, "", $2); n += $2 }
		/^Total/ { gsub(/[ ,]/, "", $2); print $2 - n }' stats)" 0
}

test_mode() {
	is "mode" "$(cat $H/mode)" percpu
	adds_up "an empty heap"
}

# checkpoints NAME: a replay in steps, looked at after each one, then all freed
checkpoints() {
	local all=$(value ops_total $L/status) i

	for i in $(seq $steps); do
		run_to $((all * i / steps))
		adds_up "$1, step $i of $steps"
	done
	is "$1: all blocks are what they should be" "$(value state $L/status) $(value fill_errors $L/status)" "done 0"
	must $L/control rewind
	adds_up "$1, all freed"
}

test_replay() {
	must $L/control 'backend kpymalloc:p'
	must $L/control 'fill on'
	must $L/control 'cpus 1 1'
	checkpoints "one CPU"
	for every in 1 64; do
		must $L/control "cpus 2 $every"
		checkpoints "two CPUs, every $every"
	done
}

# The replay and the workload, which resizes too, at the same time.
test_two_users() {
	local i churn

	for i in $(seq $rounds); do
		echo "churn $blocks $i" > $W/control & churn=$!
		run_to 99999999
		wait $churn
		is "two users, $i: no error" "$(value fill_errors $L/status)" 0
		adds_up "two users, $i"
		must $L/control rewind
	done
}

# What one frees another has had, in both directions.
test_cross() {
	local i

	for i in $(seq $rounds); do
		on 0 "alloc a $blocks 100"
		on 1 "alloc b $blocks 100"
		on 1 "free a $((blocks / 2))"
		on 0 'free b'
		adds_up "freed elsewhere, $i"
		on 1 'free a'
	done
	adds_up "freed elsewhere"
}

# comes_back NAME: nobody uses it: within 2 s the CPUs keep nothing, and one arena is left
comes_back() {
	sleep 2
	is "$1: 2 s later nothing is cached" "$(cached)" 0
	is "$1: one arena at most" "$(($(arenas) <= 1))" 1
	adds_up "$1: idle"
}

test_comes_back() {
	on 0 "alloc a $blocks 40"
	on 1 "alloc b $blocks 500"
	is "many arenas" "$(($(arenas) > 5))" 1
	on 0 'free b'
	on 1 'free a'
	comes_back "all freed"
}

of_cpu_1() { awk '$1 == 1 { n += $4 + $5 + $6 } END { print n + 0 }' $H/cpus; }

test_cpu_goes() {
	on 1 'alloc a 1000 64'
	is "a CPU has blocks" "$(($(of_cpu_1) > 0))" 1
	echo 0 > $ONLINE
	settles "a CPU that went keeps nothing" 0 of_cpu_1
	adds_up "a CPU that goes"
	must $W/control 'free a'
	echo 1 > $ONLINE
	adds_up "it is back"
}

# Until the file stop is there, beside those of lib.sh: caches that are shrunk; memory that
# runs low; interrupts that use the heap.
shrink() {
	while [ ! -e stop ]; do
		echo 2 > /proc/sys/vm/drop_caches
		sleep 0.3
	done
}

# The watermarks rise until there is little that is free: kswapd finds no rest, and a replay
# that has to wait is no error.
memory_runs_low() {
	local little=$(cat $MARKS)

	while [ ! -e stop ]; do
		awk '$1 == "MemFree:" { print int($2 * 9 / 10) }' /proc/meminfo > $MARKS && echo low >> did
		sleep 0.2
		echo $little > $MARKS
		sleep 0.4
	done
}

# There may be no other CPU just then.
interrupts() {
	while [ ! -e stop ]; do
		for pattern in pair_hardirq pair_softirq cross_free bulk64_free; do
			echo "run kpymalloc $pattern" > $B/control 2> /dev/null && echo $pattern >> did
		done
		echo clear > $B/control
	done
}

test_hotplug() {
	meanwhile cpus_come_and_go
	checkpoints "CPUs come and go"
	over
	is "CPUs came and went" "$(sort -u did)" gone
}

test_pressure() {
	local before=$(value pageoutrun /proc/vmstat)

	meanwhile shrink memory_runs_low
	checkpoints "memory is short"
	over
	is "memory was short" "$(sort -u did) $(($(value pageoutrun /proc/vmstat) > before))" "low 1"
}

# All of it at once; what adds up is seen at the end.
test_storm() {
	local i

	must $B/control 'heap p'
	meanwhile cpus_come_and_go shrink memory_runs_low interrupts readers > storm
	for i in $(seq $rounds); do
		echo "churn $blocks $i" > $W/control & churn=$!
		run_to 99999999
		wait $churn
		is "storm $i: all blocks are what they should be" "$(value state $L/status) $(value fill_errors $L/status)" "done 0"
		must $L/control rewind
	done
	over
	is "storm: always valid" "$(cat storm)" ""
	is "storm: all came" "$(sort -u did | xargs)" "bulk64_free cross_free gone low pair_hardirq pair_softirq"
	must $B/control heap
	adds_up "after the storm"
	is "nothing was refused" "$(value bad_pointers $H/counters)" 0
	comes_back "after the storm"
}

# Destroyed while fronts, shelves and the depot are full, with blocks of other CPUs in them.
test_end() {
	logged > /dev/null
	must $L/control 'backend kmalloc'
	on 0 "alloc a $blocks 64"
	on 1 "alloc b $blocks 64"
	on 1 'free a'
	on 0 'free b'
	is "much is cached" "$(($(cached) > 300))" 1
	must $W/control drop
	must $K/destroy p
	is "destroyed while much is cached" "$(logged)" ""

	must $K/create 'p preset=cpython-3.10 mode=percpu'
	must $W/control 'heap p'
	on 1 'alloc a 100 64'
	on 0 'free a 60'
	rmmod kpylab
	must $K/destroy p
	is "destroyed at once" "$(logged)" ""
	insmod kpylab.ko
}

percpu_kb() { awk '$1 == "Percpu:" { print $2 }' /proc/meminfo; }

# all_heaps COMMAND...: for each of many heaps $i
all_heaps() {
	local i

	for i in $(seq $heaps); do "$@"; done
}

create_one() {
	case $((i % 3)) in
	0) must $K/create "m$i preset=cpython-3.10 mode=percpu" ;;
	1) must $K/create "m$i arena=64K pool=4K align=8 mode=percpu release=always" ;;
	2) must $K/create "m$i arena=4M pool=64K align=32 max=256 mode=percpu" ;;
	esac
	must $W/control "heap m$i"
	on $((i % 2)) "alloc a 300 $((i * 8))"
	on 0 "churn 300 $i"
	must $W/control drop
}

validate_one() { [ "$(cat $K/heaps/m$i/validate)" = ok ] || not_ok "m$i is valid" "$(cat $K/heaps/m$i/validate)"; }
idle_one() { [ "$(in_all $K/heaps/m$i/cpus 'task irq shelf')" = 0 ] || echo m$i; }
destroy_one() { must $K/destroy m$i; }

test_many() {
	local before

	all_heaps create_one
	all_heaps validate_one
	is "many heaps" "$(ls $K/heaps | wc -l)" $heaps
	sleep 2
	is "many heaps: 2 s later nothing is cached" "$(all_heaps idle_one)" ""
	all_heaps destroy_one
	before=$(percpu_kb)
	for round in 1 2; do
		all_heaps create_one
		all_heaps destroy_one
	done
	is "their CPUs' memory comes back" "$(($(percpu_kb) <= before))" 1
}

insmod kpymalloc.ko
insmod kpylab.ko
echo 1 > /proc/sys/kernel/printk
load $trace.trace
must $K/create 'p preset=cpython-3.10 mode=percpu'
must $W/control 'heap p'
test_mode
test_replay
test_two_users
test_cross
test_comes_back
test_cpu_goes
test_hotplug
test_pressure
test_storm
test_end
test_many
rmmod kpylab
rmmod kpymalloc
finish
