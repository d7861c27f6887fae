# SPDX-License-Identifier: GPL-2.0
# large.sh: large blocks in mode percpu: none is lost or handed out twice and the numbers add up
# at every checkpoint, whoever allocated and frees it, while CPUs, tracers and trims come and go;
# what is not a live block is refused; the few that a heap keeps are freed on demand.
# needs: build/tests/wr build/tests/large.trace build/tests/large-short.trace
# kernels: 6.12 6.1 rt debug
. ./lib.sh

B=/sys/kernel/debug/kpylab/bench/control
T=/sys/kernel/tracing/events/kpymalloc
H=$K/heaps/p
HEAP='arena=256K pool=4K max=256 mode=percpu'		# from 257 bytes on they are large

trace=large blocks=4000 deals='64 16'
[ -z "$slow" ] || trace=large-short blocks=300 deals=64

KEPT=18		# most blocks that a heap keeps

# look: all numbers of one moment; again if a CPU's blocks were moved meanwhile
look() {
	while :; do
		cat $H/cpus > cpus
		cat $H/stats > stats
		cat $H/counters > counters
		cat $H/cpus | cmp -s cpus - && return
	done
}

# What kpylab has of large blocks, and their bytes: it knows better than the heap.
lives() {
	awk -v small=$(used) '/^live_blocks |^site_._blocks / { blocks += $2 }
		/^live_requested_all |^site_._bytes / { bytes += $2 } /^live_requested_small / { bytes -= $2 }
		END { print blocks - small, bytes }' $L/status $W/status
}

# adds_up NAME: while nobody has or frees blocks
adds_up() {
	look
	is "$1: valid" "$(cat $H/validate)" ok
	is "$1: blocks and bytes" "$(values counters large_blocks large_bytes)" "$(lives)"
	is "$1: few blocks are kept" "$(($(value large_cached counters) <= KEPT))" 1
	set -- "$1" $(values counters large_allocs large_frees large_blocks bad_pointers)
	is "$1: allocs less frees, none refused" "$(($2 - $3)) $5" "$4 0"
}

# checkpoints NAME: a replay in steps, looked at after each one, then all freed
checkpoints() {
	local all=$(value ops_total $L/status) i

	for i in 1 2 3 4; do
		run_to $((all * i / 4))
		adds_up "$1, step $i"
	done
	is "$1: all blocks are what they should be" "$(values $L/status state fill_errors)" "done 0"
	must $L/control rewind
	adds_up "$1, all freed"
}

# Until the file stop is there: trims; tracers of allocations, of frees, of both; interrupts
# that use the heap.
trims() {
	while [ ! -e stop ]; do
		echo 1 > $H/trim && echo trim >> did
		sleep 0.2
	done
}

tracers() {
	while [ ! -e stop ]; do
		echo 1 > $T/kpy_large_alloc/enable && echo tracer >> did
		sleep 0.1
		echo 1 > $T/kpy_large_free/enable
		sleep 0.1
		echo 0 > $T/kpy_large_alloc/enable
		sleep 0.1
		echo 0 > $T/kpy_large_free/enable
		sleep 0.3
	done
}

interrupts() {
	while [ ! -e stop ]; do
		for pattern in pair_hardirq pair_softirq; do
			echo "run kpymalloc $pattern 2000" > $B && echo interrupt >> did
		done
		echo clear > $B
	done
}

# deal EVERY: blocks to two CPUs; there may be only one just then
deal() {
	until [ "$(put $L/control "cpus 2 $1")" = OK ]; do sleep 0.1; done
}

# Large and small ones become each other, on all CPUs, whoever had them.
test_storm() {
	must $L/control 'fill on'
	must $L/control 'cpus 2 1'
	checkpoints "two CPUs"
	meanwhile cpus_come_and_go trims tracers readers > storm
	for every in $deals; do
		deal $every
		checkpoints "storm, every $every"
	done
	over
	is "storm: always valid" "$(cat storm)" ""
	is "storm: all came" "$(sort -u did | xargs)" "gone tracer trim"
}

test_interrupts() {
	meanwhile interrupts readers > storm
	run_to 99999999
	over
	is "interrupts: all blocks are what they should be" "$(values $L/status state fill_errors)" "done 0"
	is "interrupts: always valid" "$(cat storm)" ""
	is "interrupts: they came" "$(sort -u did)" interrupt
	adds_up "after interrupts"
	must $L/control rewind
}

# What one has another resizes, and the first frees.
test_cross() {
	on 0 "alloc a $blocks 1000"
	on 1 "realloc a 1500"
	adds_up "had here, moved there"
	on 0 "realloc a 100"
	on 1 "alloc b $blocks 200"
	on 0 "realloc b 8000"
	adds_up "small ones and large ones"
	on 0 'free a'
	on 1 'free b'
	adds_up "freed elsewhere"
}

# Nothing piles up while somebody traces.
test_traced() {
	[ -z "$slow" ] || return
	must $H/trim 1
	must $H/reset_peaks 1
	echo 1 > $T/kpy_large_alloc/enable
	must $B 'run kpymalloc pair_var 8000'
	echo 0 > $T/kpy_large_alloc/enable
	is "pairs with their allocs traced: held at most" "$(value held_bytes_peak $H/counters)" 8192
}

test_comes_back() {
	must $H/trim 1
	on 1 "alloc a $blocks 3000"
	on 0 'free a'
	look
	kept=4
	[ -z "$slow" ] || kept=0	# KASAN checks what is freed
	is "some are kept" "$(values counters large_cached large_cached_bytes)" "$kept $((kept * 4096))"
	must $H/trim 1
	is "trim: no longer" "$(values $H/counters large_cached large_cached_bytes)" "0 0"
}

test_cpu_goes() {
	on 1 "alloc a 300 1064"
	on 1 'free a 200'
	echo 0 > $ONLINE
	adds_up "a CPU that goes"
	must $W/control 'free a'
	echo 1 > $ONLINE
	adds_up "it is back"
}

# refuses WHAT: kpytest.ko does it twice, on a heap of this mode
refuses() {
	insmod kpytest.ko do=$1 percpu=1 silent=1
	is "$1: refused" "$(values $K/heaps/kpytest/counters large_blocks bad_pointers)" "0 2"
	is "  the heap is valid" "$(cat $K/heaps/kpytest/validate)" ok
	rmmod kpytest
}

# Kept blocks make room for others.
test_limit() {
	local q=$K/heaps/q/counters

	must $K/create "q $HEAP limit=128K"
	must $W/control 'heap q'
	on 0 'alloc b 60 2000'
	on 0 'free b'
	on 0 'alloc b 16 8000'
	is "limit: kept blocks are freed first" "$(values $q large_blocks limit_failures)" "16 0"
	is "limit: not beyond it" "$(put $W/control 'alloc b 2 8000')" ENOMEM
	must $W/control drop
	must $K/destroy q
	must $W/control 'heap p'
}

# in_slabs CACHE...: objects in use
in_slabs() {
	for cache; do
		echo 1 > /sys/kernel/slab/$cache/shrink
		cat /sys/kernel/slab/$cache/objects
	done | awk '{ n += $1 } END { print n }'
}

# Other users of them come and go.
few_are_left() { echo $(($(in_slabs $general) - before < blocks / 2)); }

# Destroyed while some blocks are kept.
test_end() {
	local general='kmalloc-1k kmalloc-8k' before

	logged > /dev/null
	must $H/trim 1
	before=$(in_slabs $general)
	on 1 "alloc a $blocks 1000"
	on 0 "alloc b $blocks 8000"
	on 0 'free a'
	on 1 'free b'
	must $W/control drop
	must $K/destroy p
	settles "nothing is left of it: blocks" 1 few_are_left
	settles "  records" 0 in_slabs kpy_large
	is "  nor said" "$(logged)" ""
}

insmod kpymalloc.ko
insmod kpylab.ko
echo 1 > /proc/sys/kernel/printk
load $trace.trace
must $K/create "p $HEAP"
must $W/control 'heap p'
must $B 'heap p'
must $L/control 'backend kpymalloc:p'
test_storm
test_interrupts
test_cross
test_traced
must $L/control 'backend kmalloc'
must $B heap
test_comes_back
test_cpu_goes
test_limit
for wrong in double_free_large free_inside_large free_foreign_large realloc_freed_large; do
	refuses $wrong
done
test_end
rmmod kpylab
rmmod kpymalloc
finish
