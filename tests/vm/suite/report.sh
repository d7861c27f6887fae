# SPDX-License-Identifier: GPL-2.0
# report.sh: misuse is reported once a heap, with a stack, and does no harm.
# needs: build/tests/wr
# kernels: 6.12 6.1 rt debug
# expects: 126
#
# The kernel complains here on purpose: that run-vm notices is part of the test.
. ./lib.sh

H=$K/heaps/kpytest

# misuse WHAT: kpytest.ko does it, twice
misuse() {
	logged > /dev/null
	insmod kpytest.ko do=$1 || { not_ok "$1" "no kpytest.ko"; finish; }
	logged > log
}

# reports WHAT REASON
reports() {
	misuse $1
	is "$1: one warning" "$(grep -c '^WARNING: ' log)" 1
	is "$1: what is wrong where" "$(grep '^kpymalloc: heap' log | sed 's/pointer [0-9a-f]*/pointer X/; s/+0x.*\]: /: /')" \
		"kpymalloc: heap kpytest: bad pointer X from $1: $2"
	is "$1: a stack" "$(sed '1,/Call Trace/d' log | grep -c "^ $1+0x.* \[kpytest\]$")" 1
	is "$1: both are counted" "$(value bad_pointers $H/counters)" 2
	no_harm $1
	rmmod kpytest
	is "$1: nothing more in the log" "$(logged)" ""
}

# The heap goes on as if nothing had been.
no_harm() {
	is "$1: the heap is valid" "$(cat $H/validate)" ok
	is "$1: nothing is in use" "$(($(value allocs $H/counters) - $(value frees $H/counters))) $(value large_blocks $H/counters)" "0 0"
}

test_live() {
	misuse leave_live
	is "leave_live: no warning" "$(cat log)" ""
	is "leave_live: the heap is its maker's" "$(put $K/destroy kpytest)" EBUSY
	rmmod kpytest
	is "leave_live: what was never freed" "$(logged)" "\
kpymalloc: heap kpytest: 6 blocks never freed, 5368 bytes
kpymalloc: heap kpytest:   class 0, 16 bytes: 2 blocks
kpymalloc: heap kpytest:   class 6, 112 bytes: 3 blocks
kpymalloc: heap kpytest:   large, 5000 bytes in all: 1 blocks"
}

insmod kpymalloc.ko
test_live
reports double_free "already free"
# The heap keeps it, but for a kernel with KASAN.
if [ -z "$slow" ]; then
	reports double_free_large "already free"
else
	reports double_free_large "not a block of this heap"
fi
reports free_foreign "not a block of this heap"
reports free_inside "not the start of a block"
reports realloc_freed "already free, in an empty pool"
is "the module goes" "$(rmmod kpymalloc 2>&1)" ""
finish
