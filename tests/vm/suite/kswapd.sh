# SPDX-License-Identifier: GPL-2.0
# kswapd.sh: when memory is short kswapd has what no block needs.  In a guest of its own, where
# it has not given up on others before.
# group: kswapd
# kernels: 6.12 6.1
. ./lib.sh

B=/sys/kernel/debug/kpylab/bench

# all_held: bytes, by heap
all_held() { cat $K/heaps/*/counters | awk '$1 == "held_bytes" { print $2 }' | xargs; }

# As kswapd runs it: from the low watermark to the high one, a fifth of the memory being free.
# Once only: there is nothing else to reclaim, so it soon gives up for good.
test_kswapd() {
	local mode kb

	for mode in classic percpu; do
		must $K/create "$mode preset=cpython-3.9 mode=$mode"
		must $B/control "heap $mode"
		must $B/control "hold kpymalloc 2000 64"
		must $B/control 'release all'
	done
	must $B/control heap
	sleep 3		# the CPUs keep nothing
	is "two heaps have an arena each" "$(all_held)" "262144 262144"
	kb=$(awk '{ kb[$1] = $2 } END { print int(kb["MemFree:"] - kb["MemTotal:"] / 5) }' /proc/meminfo)
	echo 3000 > /proc/sys/vm/watermark_scale_factor
	mkdir /tmp/big
	mount -t tmpfs -o size=100% none /tmp/big
	dd if=/dev/zero of=/tmp/big/fill bs=1K count=$kb 2>/dev/null
	settles "kswapd had them" "0 0" all_held
	umount /tmp/big
	echo 10 > /proc/sys/vm/watermark_scale_factor
	for mode in classic percpu; do must $K/destroy $mode; done
}

insmod kpymalloc.ko
insmod kpylab.ko
test_kswapd
is "unload" "$(rmmod kpylab kpymalloc 2>&1)" ""
finish
