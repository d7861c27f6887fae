# SPDX-License-Identifier: GPL-2.0
# percpu.sh: heaps of mode percpu: no block is lost or handed out twice, the numbers add up,
# and what the CPUs keep comes back by itself, from CPUs that go, and when the heap goes.
# needs: build/tests/wr build/tests/short.trace
# kernels: 6.12 6.1 rt debug
. ./lib.sh

W=/sys/kernel/debug/kpylab/work/control
H=$K/heaps/p
ONLINE=/sys/devices/system/cpu/cpu1/online

# column NAME: of the file cpus, summed up
column() {
	awk -v name=$1 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == name) at = i; next } { n += $at } END { print n + 0 }' $H/cpus
}

cached() { echo $(($(column loaded) + $(column full))); }
arenas() { sed -n 's/.* \([0-9]*\) arenas, .*/\1/p' $H/arenas; }
used() { awk '/^ *[0-9]+ +[0-9]+ +[0-9]+ +[0-9]+ +[0-9]+$/ { n += $4 } END { print n + 0 }' $H/stats; }

# adds_up NAME: heap and numbers are as they should be, while nobody uses it
adds_up() {
	is "$1: valid" "$(cat $H/validate)" ok
	is "$1: allocs of the CPUs" "$(column allocs)" "$(value allocs $H/counters)"
	is "$1: frees of the CPUs" "$(column frees)" "$(value frees $H/counters)"
	is "$1: blocks in use" "$(used)" "$(($(column allocs) - $(column frees)))"
}

test_mode() {
	is "mode" "$(cat $H/mode)" percpu
	adds_up "an empty heap"
}

test_replay() {
	must $L/control 'backend kpymalloc:p'
	must $L/control 'fill on'
	must $L/control run
	is "replay: blocks that were not what they should be" "$(value fill_errors $L/status)" 0
	adds_up "replay"
	must $L/control rewind
	adds_up "all freed"
	is "all freed: none in use" "$(used)" 0
}

# A replay on one processor, the workload on the other.
test_two() {
	for i in 1 2 3; do
		echo "churn 20000 $i" > $W & churn=$!
		must $L/control run
		wait $churn
		is "two at once, $i: no error" "$(value fill_errors $L/status)" 0
		adds_up "two at once, $i"
		must $L/control rewind
	done
	is "nothing was refused" "$(value bad_pointers $H/counters)" 0
}

# What one frees another has had.
test_cross() {
	for i in 1 2 3; do
		taskset 1 sh -c "echo 'alloc a 20000 100' > $W"
		taskset 2 sh -c "echo 'free a' > $W"
	done
	adds_up "freed elsewhere"
	is "freed elsewhere: none in use" "$(used)" 0
}

test_comes_back() {
	sleep 3
	is "idle: the CPUs keep nothing" "$(cached)" 0
	is "idle: one arena at most" "$(($(arenas) <= 1))" 1
	adds_up "idle"
}

test_hotplug() {
	if [ ! -w $ONLINE ]; then
		ok "this kernel keeps its processors"
		return
	fi
	taskset 2 sh -c "echo 'alloc a 1000 64' > $W"
	echo 0 > $ONLINE
	is "a CPU that goes leaves nothing" "$(awk '$1 == 1 { n += $5 + $6 } END { print n + 0 }' $H/cpus)" 0
	adds_up "a CPU that goes"
	must $W 'free a'
	echo 1 > $ONLINE
	adds_up "it is back"
}

test_end() {
	logged > /dev/null
	must $W 'alloc b 100 64'
	must $W 'free b 60'
	must $W drop
	must $K/destroy p
	is "destroyed" "$(logged)" ""
}

insmod kpymalloc.ko
insmod kpylab.ko
load short.trace
must $K/create 'p preset=cpython-3.10 mode=percpu'
must $W 'heap p'
test_mode
test_replay
test_two
test_cross
test_comes_back
test_hotplug
must $L/control 'backend kmalloc'
test_end
rmmod kpylab
rmmod kpymalloc
finish
