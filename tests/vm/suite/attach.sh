# SPDX-License-Identifier: GPL-2.0
# attach.sh: kpy attach and detach, the view of heaps, kpy where, each beside debugfs.
# needs: build/tests/wr build/tests/jsonl build/tests/nobtf build/bpf/check.bpf.o build/bpf/heaps.bpf.o build/bpf/where.bpf.o
# group: tracing
# kernels: 6.12 6.1
. ./lib.sh

P=/sys/fs/bpf/kpy
B=/sys/kernel/debug/kpylab/bench

kpy_says() { kpy "$@" 2>&1; }
status() { "$@" > /dev/null 2>&1; echo $?; }

# sum FIELD: of all CPUs' values that bpftool printed
sum() { sed -n "s/.*\"$1\": \([0-9]*\).*/\1/p" | awk '{ n += $1 } END { print n + 0 }'; }

programs() { bpftool prog show | grep -c "name on_"; }

test_attach() {
	start
	is "attach" "$(kpy_says attach ./check.bpf.o $P)" "attached $P: 6 links, 6 programs, 5 maps"
	is "  programs are there" "$(programs)" 6
	is "  links are there" "$(ls $P | grep -c '_link$') $(bpftool link show | grep -c "tp 'kpy_")" "6 6"
	work 'alloc a 100 64' 'alloc b 7 5000' 'free a 30'
	is "  they count what the heap counts" \
		"$(for field in allocs frees large_allocs large_bytes; do bpftool map dump pinned $P/heaps | sum $field; done | xargs)" \
		"$(counters allocs frees large_allocs large_bytes)"
	is "  once more is refused" "$(kpy_says attach ./check.bpf.o $P) $(status kpy attach ./check.bpf.o $P)" \
		"kpy: $P is there already, try: kpy detach $P 2"
	is "  the module is held" "$(rmmod kpylab kpymalloc 2>/dev/null; grep -c '^kpymalloc ' /proc/modules)" 1
	insmod kpylab.ko 2> /dev/null
	is "detach" "$(kpy_says detach $P)" "detached $P: 6 links, 6 programs, 5 maps"
	is "  the folder is gone" "$(ls -d $P 2>&1 | grep -c 'No such')" 1
	sleep 1
	is "  and all that was in it" "$(programs) $(bpftool link show | grep -c kpy_)" "0 0"
	must $K/destroy h
}

test_refusals() {
	is "attach: elsewhere" "$(kpy_says attach ./check.bpf.o /tmp/x) $(ls -d /tmp/x 2>&1 | grep -c 'No such')" \
		"kpy: /tmp/x is not in a bpf file system such as /sys/fs/bpf 1"
	is "attach: no file" "$(kpy_says attach ./nope.bpf.o $P)" "kpy: ./nope.bpf.o: No such file or directory"
	is "attach: no object" "$(kpy_says attach ./attach.sh $P)" "kpy: ./attach.sh: this is no BPF object"
	mkdir $P
	is "attach: the folder is there" "$(status kpy attach ./check.bpf.o $P) $(ls $P)" "2 "
	mkdir $P/x
	is "detach: more than pins" "$(kpy_says detach $P) $(ls $P)" "kpy: $P/x: this is no pin, nothing was detached x"
	rmdir $P/x $P
	is "detach: nothing" "$(kpy_says detach $P)" "kpy: $P: No such file or directory"
	is "detach: elsewhere" "$(kpy_says detach /tmp) $(ls -d /tmp)" "kpy: /tmp is not in a bpf file system /tmp"
	is "detach: all of it" "$(kpy_says detach /sys/fs/bpf)" "kpy: /sys/fs/bpf is a whole bpf file system, not a folder of kpy attach"
	is "nothing is left" "$(ls /sys/fs/bpf) $(programs)" " 0"
}

stats() { awk -F= -v text="$1" 'index($0, text) { gsub(/[ ,]/, "", $2); print $2; exit }' $K/heaps/$2/stats; }

# row NAME: what debugfs says of a heap, as the view does
row() {
	local heap=$K/heaps/$1

	echo $(cat $heap/id) $1 $(stats 'allocated current' $1) $(grep -c '^slot [0-9]* nfree' $heap/arenas) \
		$(($(value allocs $heap/counters) - $(value frees $heap/counters))) $(stats 'bytes in allocated' $1) \
		$(value large_blocks $heap/counters) $(value large_bytes $heap/counters) $(value held_bytes $heap/counters)
}

test_view() {
	start
	must $K/create 'second preset=cpython-3.8'
	work 'alloc a 3000 64' 'scatter b 600 512 50' 'alloc c 9 3000' 'free a 123'
	bpftool iter pin ./heaps.bpf.o /sys/fs/bpf/kpy_heaps
	is "the view of all heaps" "$(sed '1d; s/  */ /g; s/^ //' /sys/fs/bpf/kpy_heaps)" "$(row h; row second)"
	is "  its columns" "$(head -n 1 /sys/fs/bpf/kpy_heaps | xargs)" "ID NAME ARENAS USABLE BLOCKS BYTES LARGE LARGE_BYTES HELD_BYTES"
	must $K/create 'p preset=cpython-3.10 mode=percpu'
	must $B/control 'heap p'
	must $B/control 'hold kpymalloc 1000 64'
	must $B/control 'release 90 1'
	is "  with what CPUs have at hand" "$(awk '$2 == "p" { print $5 }' /sys/fs/bpf/kpy_heaps)" \
		"$(awk 'NR > 1 && NF == 7 { n += $5 } END { print n }' $K/heaps/p/pools)"
	must $K/heaps/p/trim 1
	is "  and without" "$(grep ' p ' /sys/fs/bpf/kpy_heaps | xargs)" "$(row p)"
	must $B/control 'release all'
	must $B/control heap
	must $K/destroy p
	work 'free a' 'alloc d 5 100'
	is "  as it is now" "$(grep ' h ' /sys/fs/bpf/kpy_heaps | xargs)" "$(row h)"
	must $K/destroy second
	is "  without those that are gone" "$(wc -l < /sys/fs/bpf/kpy_heaps)" 2
	rm /sys/fs/bpf/kpy_heaps
	is "  by kpy attach" "$(kpy attach ./heaps.bpf.o $P | cut -d, -f1) $(sed 1d $P/heaps_link | xargs)" "attached $P: 1 link $(row h)"
	kpy detach $P > /dev/null
	end
}

# Bytes of an address, as bpftool wants them.
bytes() { echo $1 | sed 's/0x//; s/\(..\)\(..\)\(..\)\(..\)\(..\)\(..\)\(..\)\(..\)/\8 \7 \6 \5 \4 \3 \2 \1/'; }

# where ADDRESS...: kpy where's answer in short
where() { kpy where -j "$@" | ./jsonl /found /heap /arena /pool /class /class_size /offset /in_use; }

test_where() {
	local ptr pool arena address

	start
	kpy trace -j -- sh -c "printf 'alloc a 500 200' > $W/control" 2> /dev/null > shown
	grep '"op":"alloc"' shown | ./jsonl /ptr /pool /arena > blocks
	is "500 blocks to look for" "$(wc -l < blocks)" 500
	# An arena has 16 pools of 4096 bytes and is aligned: a pool's number is one digit.
	kpy where -j $(awk '{ print $1 }' blocks) | ./jsonl /address /arena /pool /class /offset /start /in_use /heap > found
	awk '{ print $1, $3, index("0123456789abcdef", substr($2, 15, 1)) - 1, 12, 0, $1, "true h" }' blocks > wanted
	holds "  each is where its event has said" cmp found wanted
	is "  blocks are numbered" "$(kpy where -j $(head -n 19 blocks | awk '{ print $1 }') | ./jsonl /block | xargs)" "$(seq 0 18 | xargs)"
	read -r ptr pool arena < blocks
	is "  inside a block" "$(where ${ptr%0}7)" "true h 0 0 12 208 7 true"
	is "  in the pool's header" "$(where $pool) $(status kpy where $pool)" "false - - - - - - - 1"
	is "  nowhere" "$(where 1234) $(status kpy where 1234 $ptr)" "false - - - - - - - 1"
	is "  text" "$(kpy where $ptr | sed 's/  */ /g')" "ADDRESS HEAP ARENA POOL CLASS SIZE BLOCK STATE OFFSET
${ptr#0x} h 0 0 12 208 0 in use 0"
	work 'free a 1'
	is "  freed" "$(where $ptr)" "true h 0 0 12 208 0 false"
	kpy attach ./where.bpf.o $P > /dev/null
	bpftool map update pinned $P/address key 0 0 0 0 value hex $(bytes $ptr)
	bpftool prog run pinned $P/where repeat 0 > /dev/null
	is "  by bpftool" "$(bpftool map dump pinned $P/found | sed -n 's/.*"\(pool\|szidx\|size\|in_use\|error\)": \([0-9-]*\).*/\1 \2/p' | xargs)" \
		"pool 0 szidx 12 size 208 in_use 0 error 0"
	kpy detach $P > /dev/null
	is "  no address" "$(kpy where 12x 2>&1 | head -n 1)" "kpy where: '12x' is no address"
	end
}

test_without_btf() {
	is "no BTF: attach" "$(kpy attach ./check.bpf.o $P)" "attached $P: 6 links, 6 programs, 5 maps"
	start
	work 'alloc a 100 64'
	is "  they count what the heap counts" "$(bpftool map dump pinned $P/heaps | sum allocs)" 100
	is "  detach" "$(kpy detach $P)" "detached $P: 6 links, 6 programs, 5 maps"
	is "  the view needs it" "$(kpy_says attach ./heaps.bpf.o $P) $(ls /sys/fs/bpf)" \
		"kpy: ./heaps.bpf.o: Invalid argument; perhaps it needs the module's BTF, which is not there "
	is "  the kfunc needs it" "$(kpy_says where 12)" "kpy: the module has no BTF here, and so no kfunc that could be asked"
	end
}

is "no module: attach" "$(kpy_says attach ./check.bpf.o $P)" "kpy: kpymalloc is not loaded, try: insmod kpymalloc.ko"
is "no module: where" "$(kpy_says where 12)" "kpy: kpymalloc is not loaded, try: insmod kpymalloc.ko"
insmod kpymalloc.ko
insmod kpylab.ko
test_attach
test_refusals
test_view
test_where
unload
insmod nobtf/$(uname -r | cut -d. -f1,2)/kpymalloc.ko
insmod kpylab.ko
test_without_btf
unload
finish
