# SPDX-License-Identifier: GPL-2.0
# numa.sh: two nodes of memory, a CPU each: arenas lie on the node of who wanted them, as the
# heap and the page allocator have it, on the other one if that is full; what is freed by
# the other CPU goes back to where it came from.
# needs: build/tests/wr
# guest: -N
# kernels: 6.12 6.1
. ./lib.sh

B=/sys/kernel/debug/kpylab/bench
COUNT=60000			# blocks of 1 to 512 bytes, some 15 MiB
NOISE=512			# pages that somebody else may want or give on a node

# on CPU COMMAND: of kpylab's benchmark
on() { taskset $((1 << $1)) sh -c "echo '$2' > $B/control"; }

# node_free NODE: pages, on the lists of CPUs too
node_free() {
	echo 1 > /proc/sys/vm/stat_refresh
	awk -v node="$1," '$1 == "Node" { here = $2 == node }
		here && ($1 == "pages" || $1 == "count:") { n += $NF } END { print n }' /proc/zoneinfo
}

# nodes: how many arenas each has, those that have one
nodes() { awk '/^usable/ { exit } NR > 3 && NF { n[$6]++ } END { for (i in n) print i ":" n[i] }' $H/arenas | sort | xargs; }

held() { echo $(($(counters held_bytes) / 4096)); }

# adds_up NAME IN_USE
adds_up() {
	holds "$1: valid" valid $H
	is "$1: blocks in use" "$(counters allocs frees | awk '{ print $1 - $2 }')" $2
	is "$1: nothing was refused" "$(counters bad_pointers alloc_failures large_fallbacks)" "0 0 0"
}

# about NAME PAGES WANTED
about() {
	if [ $(($2 - $3)) -le $NOISE ] && [ $(($3 - $2)) -le $NOISE ]; then ok "$1"
	else not_ok "$1" "$2 pages, wanted about $3"; fi
}

heap() {
	must $K/create "h preset=cpython-3.9 mode=$mode release=pool"
	must $B/control 'heap h'
}

no_heap() {
	must $B/control 'release all'
	must $B/control heap
	must $K/destroy h
}

# test_local NODE: blocks for its CPU, freed by the other one
test_local() {
	local name="$mode, CPU $1" there here most

	heap
	on $1 "hold none $COUNT mixed"
	there=$(node_free $1) here=$(node_free $((1 - $1)))
	on $1 'release all'
	on $1 "hold kpymalloc $COUNT mixed"
	is "$name: its node has all arenas" "$(nodes)" "$1:$(arenas)"
	most=$(held)
	holds "  which are many" [ $most -gt 3000 ]
	about "  as the page allocator has it" $((there - $(node_free $1))) $most
	about "  of the other node's there are none" $((here - $(node_free $((1 - $1))))) 0
	adds_up "$name" $COUNT
	on $((1 - $1)) 'release 99 1'
	must $H/trim 1
	adds_up "$name, the other CPU freed most" $((COUNT / 100))
	holds "  most pages are back" [ $(held) -lt $((most / 3)) ]
	about "  on the node where they were" $((there - $(node_free $1))) $(held)
	on $((1 - $1)) 'release 100 1'
	must $H/trim 1
	adds_up "$name, the other CPU freed the rest" 0
	is "  nothing is held" "$(held) $(arenas)" "0 0"
	about "  and all pages are back" $((there - $(node_free $1))) 0
	no_heap
}

# What the other CPU freed may be had by either; no arena is added for that.
test_again() {
	local before

	heap
	on 1 "hold kpymalloc $COUNT 64"
	before=$(nodes)
	on 0 'release 50 1'
	must $W/control 'heap h'
	taskset 1 sh -c "echo 'alloc a $((COUNT / 4)) 64' > $W/control"
	is "$mode: blocks of node 1 for CPU 0" "$(nodes)" "$before"
	adds_up "$mode, half had again" $((COUNT / 2 + COUNT / 4))
	must $W/control drop
	no_heap
}

# Somebody has all of node 1 but what the kernel needs.
test_full() {
	local kb

	kb=$(awk '$3 == "MemFree:" { print $4 }' /sys/devices/system/node/node1/meminfo)
	taskset 2 dd if=/dev/zero of=/tmp/full/fill bs=64K count=$((kb / 64)) 2>/dev/null
	heap
	on 1 "hold kpymalloc $COUNT mixed"
	holds "$mode, node 1 is full: node 0 has arenas" [ "$(nodes | grep -c 0:)" = 1 ]
	adds_up "$mode, node 1 is full" $COUNT
	on 0 'release 100 1'
	must $H/trim 1
	is "$mode, node 1 is full: nothing is held" "$(held) $(arenas)" "0 0"
	rm /tmp/full/fill
	on 1 'release all'
	on 1 "hold kpymalloc 1000 mixed"
	is "$mode, node 1 is free again: it has the arenas" "$(nodes)" "1:$(arenas)"
	adds_up "$mode, node 1 is free again" 1000
	no_heap
}

insmod kpymalloc.ko
insmod kpylab.ko
echo 1 > /proc/sys/kernel/printk
mkdir /tmp/full
mount -t tmpfs -o size=100% none /tmp/full
is "there are two nodes" "$(cat /sys/devices/system/node/has_memory)" 0-1
for mode in classic percpu; do
	test_local 0
	test_local 1
	test_again
	test_full
done
umount /tmp/full
is "unload" "$(rmmod kpylab kpymalloc 2>&1)" ""
finish
