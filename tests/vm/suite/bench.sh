# SPDX-License-Identifier: GPL-2.0
# bench.sh: kpybench's commands: what they refuse, what they leave, what they say.
# needs: build/tests/wr build/tests/short.trace
# kernels: 6.12 6.1 rt
. ./lib.sh

B=/sys/kernel/debug/kpylab/bench
H=$K/heaps/h
SECTIONS="pair_fixed pair_var pair_const pair_large pair_hardirq pair_softirq batch_alloc batch_fifo batch_lifo
	cross_free bulk16_alloc bulk16_free bulk64_alloc bulk64_free bulk256_alloc bulk256_free refill32
	refill4096 mixed_alloc mixed_random_free churn"
THREADS="smp_pairs_one smp_pairs_all smp_batch256_one smp_batch256_all producer_consumer"
LIGHT="pair_hardirq pair_softirq bulk64_alloc bulk64_free cross_free"	# what a slow kernel can bear

# blocks: handed out by the heap, small and large ones
blocks() { awk '$1 == "allocs" || $1 == "large_allocs" { n += $2 } $1 == "frees" || $1 == "large_frees" { n -= $2 } END { print n }' $H/counters; }

# rejects ERRNO COMMAND REASON: the command, as for printf, fails and changes nothing
rejects() {
	local before="$(cat $B/results) $(blocks)"

	is "'$2'" "$(printf "$2" | ./wr $B/control): $(cat $B/error)" "$1: $3"
	[ "$before" = "$(cat $B/results) $(blocks)" ] || not_ok "  nothing has changed"
}

test_tree() {
	is "files" "$(cd $B && find . -type f | sort | xargs)" "./control ./error ./results"
	is "modes" "$(stat -c '%a %u:%g' $B/control $B/error $B/results | xargs)" "200 0:0 400 0:0 400 0:0"
	is "no results at first" "$(cat $B/results $B/error)" ""
	is "control: without CAP_SYS_ADMIN" "$(echo clear | ./wr -c $B/control)" "open EPERM"
}

test_refusals() {
	rejects EINVAL run "control: unknown command 'run'"
	rejects EINVAL 'run kmalloc' "usage: run BACKEND PATTERN [SIZE]"
	rejects EINVAL 'run kmalloc pair_fixed 64 64' "usage: run BACKEND PATTERN [SIZE]"
	rejects EINVAL 'run slob pair_fixed' "run: no backend 'slob'"
	rejects EINVAL 'run kmalloc pear' "run: no pattern 'pear'"
	rejects EINVAL 'run kmalloc pair_fixed 6x' "'6x' is not a number, usage: run BACKEND PATTERN [SIZE]"
	rejects EINVAL 'run kmalloc churn 64' "run: churn takes no size"
	rejects EINVAL 'run kmalloc pair_const 64' "run: pair_const takes no size"
	rejects ERANGE 'run kmalloc pair_fixed 18446744073709551615' "run: 18446744073709551615 bytes, at most 8192"
	rejects ERANGE 'run cache pair_var 513' "run: cache has no blocks of 513 bytes"
	rejects ENOENT 'run kpymalloc pair_fixed' "no heap is chosen"
	rejects ENOENT 'hold kpymalloc 1 72' "no heap is chosen"
	rejects ENOENT 'run kmalloc trace' "run: no trace has been taken"
	rejects ENOENT trace "trace: the replay has no trace"
	rejects ENOENT 'heap nope' "heap: no heap 'nope'"
	rejects ENOENT 'release 10 1' "release: no blocks are held"
	rejects ERANGE 'release 101 1' "release: 101 percent, at most 100"
	rejects EINVAL 'release 10' "usage: release PERCENT SEED, or release all"
	rejects EINVAL 'hold kmalloc 10' "usage: hold BACKEND COUNT SIZE|mixed"
	rejects EINVAL 'hold kmalloc 10 x' "'x' is not a number, usage: hold BACKEND COUNT SIZE|mixed"
	rejects EINVAL 'hold kmalloc 10 0' "hold: 0 bytes"
	rejects ERANGE 'hold kmalloc 0 10' "hold: 0 blocks, give 1 to 16777216"
	rejects ERANGE 'hold kmalloc 16777217 10' "hold: 16777217 blocks, give 1 to 16777216"
	rejects ENOMEM 'hold kmalloc 16777216 8192' "no memory for 16777216 blocks"
}

# runs BACKEND PATTERN...: each one says how long it took, and leaves nothing
runs() {
	local backend=$1 pattern
	shift
	must $B/control clear
	for pattern; do
		is "run $backend $pattern" "$(put $B/control "run $backend $pattern") $(cat $B/error)" "OK "
	done
	is "  said so, in order" "$(awk '{ print $2 }' $B/results | xargs)" "$(echo $*)"
	is "  in seven words, the least and the median" \
		"$(awk -v b=$backend 'NF != 7 || $1 != b || $5 <= 0 || $6 < $5 || $4 < 2000' $B/results)" ""
	is "  nothing is left" "$(blocks) $(cat $H/validate)" "0 ok"
}

test_runs() {
	must $B/control 'heap h'
	is "a heap in use stays" "$(put $K/destroy h)" EBUSY
	if [ -n "$slow" ]; then
		runs kpymalloc $LIGHT
		runs cache $LIGHT
		return
	fi
	runs kpymalloc $SECTIONS $THREADS
	runs cache pair_fixed cross_free bulk16_alloc bulk256_free refill4096 churn smp_batch256_all producer_consumer
	runs kmalloc pair_var mixed_alloc cross_free smp_pairs_all
	runs none pair_var churn
	must $B/control 'run kpymalloc batch_fifo 512'
	must $B/control 'run none mixed_alloc'
	is "sizes" "$(tail -n 2 $B/results | cut -d' ' -f3 | xargs)" "512 mixed"
	is "no more allocs than the patterns say" \
		"$(must $B/control 'clear'; n=$(value allocs $H/counters); must $B/control 'run kpymalloc batch_alloc'
		   echo $(($(value allocs $H/counters) - n)))" $((6 * 4096))
	must $B/control clear
	for i in $(seq 512); do must $B/control 'run none bulk256_free'; done
	rejects ENOSPC 'run none bulk256_free' "results are full, clear them first"
	must $B/control clear
	is "cleared" "$(cat $B/results)" ""
}

test_hold() {
	must $B/control 'hold kpymalloc 1000 72'
	is "hold" "$(blocks)" 1000
	rejects EBUSY 'hold kmalloc 10 10' "hold: blocks are held, release them first"
	rejects EBUSY 'run none pair_fixed' "run: blocks are held, release them first"
	rejects EBUSY 'heap' "heap: blocks are held, release them first"
	must $B/control 'release 90 5'
	is "  all but a tenth" "$(blocks) $(cat $H/validate)" "100 ok"
	must $B/control 'release 90 5'
	is "  the same ones again" "$(blocks)" 100
	must $B/control 'release 100 1'
	is "  all" "$(blocks)" 0
	rejects EBUSY 'hold kmalloc 10 10' "hold: blocks are held, release them first"
	must $B/control 'release all'
	must $B/control 'hold kpymalloc 2000 mixed'
	is "mixed ones" "$(blocks) $(awk '/^ +[0-9]/ && $4 > 0 { n++ } END { print (n > 25) }' $H/stats)" "2000 1"
	must $B/control 'release all'
	is "  all" "$(blocks) $(cat $H/validate)" "0 ok"
	for backend in none kmalloc cache; do
		must $B/control "hold $backend 3000 mixed"
		must $B/control 'release 50 3'
		must $B/control 'release all'
		ok "hold $backend"
	done
}

# The replay's kmem_caches: chosen twice, filled and checked, left.
test_replay() {
	load short.trace
	must $L/control 'backend cache'
	must $L/control 'backend cache'
	must $L/control 'fill on'
	must $L/control run
	is "a replay on kmem_caches" "$(value state $L/status) $(value fill_errors $L/status) $(value alloc_failures $L/status)" "done 0 0"
	must $L/control drop
	must $L/control 'backend kmalloc'
	is "  which are gone afterwards" "$(ls /sys/kernel/slab 2>/dev/null | grep -c kpyreplay)" 0
}

# A recorded program: what is small of it, as often as it is there.
test_trace() {
	load short.trace
	must $B/control clear
	must $B/control trace
	must $L/control drop
	for backend in kpymalloc kmalloc cache none; do must $B/control "run $backend trace"; done
	is "a trace" "$(awk '$2 == "trace" && $3 == "mixed" && $4 > 1000 && $5 > 0 { n++ } END { print n }' $B/results)" 4
	is "  nothing is left" "$(blocks) $(cat $H/validate)" "0 ok"
	rejects EINVAL 'run kmalloc trace 64' "run: trace takes no size"
}

test_unload() {
	must $B/control 'hold kpymalloc 1000 mixed'
	is "kpylab goes with all its blocks" "$(rmmod kpylab 2>&1) $(blocks)" " 0"
	is "  and lets the heap go" "$(put $K/destroy h)" OK
	is "kpymalloc goes" "$(rmmod kpymalloc 2>&1)" ""
}

insmod kpymalloc.ko
insmod kpylab.ko
echo 1 > /proc/sys/kernel/printk
chmod 755 /sys/kernel/debug
must $K/create 'h preset=cpython-3.10'
test_tree
test_refusals
test_runs
test_hold
test_replay
test_trace
test_unload
finish
