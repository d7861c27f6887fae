# SPDX-License-Identifier: GPL-2.0
# work.sh: every command of kpylab's workload against the heap's counters and events.
# needs: build/tests/wr
# kernels: 6.12 6.1 rt debug
. ./lib.sh

T=/sys/kernel/tracing

# status KEY...: their values on a line
status() { values $W/status "$@"; }

# held SITE: its blocks and bytes
held() { status site_$1_blocks site_$1_bytes; }

# allocated: small blocks and their bytes by class, as the heap has them
allocated() { awk '/^ +[0-9]/ { n += $4; bytes += $4 * $2 } END { print n + 0, bytes + 0 }' $H/stats; }

# arenas: the slots that have pools in use, as SLOT:POOLS:BLOCKS
arenas() {
	awk '/(used|full)$/ { pools[$1]++; blocks[$1] += $5; if ($1 > last) last = $1 }
		END { for (i = 0; i <= last; i++) if (i in pools) printf "%s:%s:%s ", i, pools[i], blocks[i] }' $H/pools | xargs
}

arenas_now() { awk -F= '/arenas allocated current/ { print $2 + 0 }' $H/stats; }

# does COMMAND: it is done, the heap is valid
does() {
	answer=$(put $W/control "$1")
	line $W/error
	is "'$1'" "$answer $line" "OK "
	valid $H || not_ok "  the heap is valid" "$(cat $H/validate)"
}

numbers() { awk 1 $W/status $K/heaps/*/stats $K/heaps/*/counters 2>/dev/null; }

# rejects ERRNO COMMAND REASON: the command, as for printf, fails and changes nothing
rejects() {
	local before="$(numbers)"

	try "$2" $W/control
	line $W/error
	is "'$2'" "$answer: $line" "$1: $3"
	is "  nothing has changed" "$(numbers)" "$before"
}

# Nothing is left, and what was counted here was counted there.
# What the heap holds, without the free large blocks that it keeps.
not_kept() { echo $(($(counters held_bytes) - $(counters large_cached_bytes))); }

even() {
	set -- $(counters allocs frees large_allocs large_frees reallocs reallocs_in_place)
	is "as many ops as the heap counts" "$(($(status ops) - ops))" "$(($1 + $2 + $3 + $4 - $5 + 2 * $6))"
	does drop
	is "nothing is left in the heap" "$(allocated) $(counters large_blocks) $(not_kept)" "0 0 0 0"
	is "nothing is left in the status" "$(status heap; held a; held b; held c; held d)" "(none)
0 0
0 0
0 0
0 0"
	must $K/destroy h
	ops=$(status ops)
}

test_tree() {
	is "files" "$(cd $W && find . -type f | sort | xargs)" "./control ./error ./status"
	is "modes" "$(stat -c '%a %u:%g' $W/control $W/error $W/status | xargs)" "200 0:0 400 0:0 400 0:0"
	is "status at first" "$(cat $W/status)" "heap (none)
site_a_blocks 0
site_a_bytes 0
site_b_blocks 0
site_b_bytes 0
site_c_blocks 0
site_c_bytes 0
site_d_blocks 0
site_d_bytes 0
ops 0
failures 0"
	is "no error at first" "$(cat $W/error)" ""
	is "control: without CAP_SYS_ADMIN" "$(echo drop | ./wr -c $W/control)" "open EPERM"
	is "control: not root" "$(echo drop | ./wr -u 1000 $W/control)" "open EACCES"
	is "control: at an offset" "$(echo drop | ./wr -o 7 $W/control)" ESPIPE
	is "control: from nowhere" "$(echo drop | ./wr -b $W/control)" EFAULT
	is "control: read" "$(./wr -r $W/control)" EINVAL
	is "status: not root" "$(./wr -r -u 1000 $W/status)" "open EACCES"
	is "status: written" "$(echo drop | ./wr $W/status)" EINVAL
}

test_symbols() {
	grep '[[]kpylab]' /proc/kallsyms > symbols
	for name in site_a site_b site_c site_d filler free_a free_b free_c free_d free_filler realloc churn; do
		is "kpylab_$name is a symbol" "$(grep -c "[tT] kpylab_$name[[:space:]]*\[kpylab\]" symbols)" 1
	done
}

test_bad_commands() {
	local text

	for text in '' ' ' Alloc allocs alloc 'drop it' heap free 'alloc\ta 1 1' '\033[m'; do
		rejects EINVAL "$text" "control: unknown command '$(echo "$text" | sed 's/^ $//; s/\\033/\\e/')'"
	done
	rejects EINVAL 'drop\000' "control: a NUL byte in the command"
	is "129 bytes" "$(printf drop | ./wr -l 129 $W/control) $(cat $W/error)" "E2BIG control: 129 bytes, at most 128"
	for text in 'e 1 1' 'A 1 1' 'ab 1 1' '1 1' '* 1 1' '\303\244 1 1' '` 1 1'; do
		for command in alloc scatter free realloc; do
			try "$command $text" $W/control
			is "'$command $text'" "$answer" EINVAL
		done
	done
	rejects EINVAL 'alloc e 1 1' "'e' is not a site, usage: alloc SITE COUNT SIZE"
	for text in '' ' 1' ' 1 2 3' ' 1,2'; do is "'alloc a$text'" "$(put $W/control "alloc a$text")" EINVAL; done
	rejects EINVAL 'alloc a 1' "usage: alloc SITE COUNT SIZE"
	rejects EINVAL 'scatter a 1 2' "usage: scatter SITE COUNT SIZE EVERY"
	rejects EINVAL 'scatter a 1 2 3 4' "usage: scatter SITE COUNT SIZE EVERY"
	rejects EINVAL 'free a 1 2' "usage: free SITE [COUNT]"
	rejects EINVAL 'realloc a' "usage: realloc SITE SIZE"
	rejects EINVAL 'churn 1' "usage: churn OPS SEED"
	rejects EINVAL 'churn 1 2 3' "usage: churn OPS SEED"
	for text in x -1 +1 0x10 1e3 1K 1.0; do
		rejects EINVAL "alloc a $text 1" "'$text' is not a number, usage: alloc SITE COUNT SIZE"
		rejects EINVAL "churn 1 $text" "'$text' is not a number, usage: churn OPS SEED"
	done
	rejects ERANGE 'free a 18446744073709551616' "'18446744073709551616' is not a number, usage: free SITE [COUNT]"
}

test_refusals() {
	rejects ENOENT 'heap nope' "heap: no heap 'nope'"
	rejects ENOENT 'alloc a 1 1' "no heap is chosen"
	rejects ENOENT 'realloc a 1' "no heap is chosen"
	rejects ENOENT 'churn 1 1' "no heap is chosen"
	start
	is "heap" "$(status heap)" h
	is "  is held" "$(put $K/destroy h)" EBUSY
	does 'alloc b 3 100'
	rejects EINVAL 'alloc a 0 1' "0 blocks"
	rejects EINVAL 'free b 0' "free: 0 blocks"
	rejects EINVAL 'churn 0 1' "churn: 0 calls"
	rejects EINVAL 'scatter a 10 1 0' "of 10 blocks, keeping every 0-th keeps none"
	rejects EINVAL 'scatter a 10 1 11' "of 10 blocks, keeping every 11-th keeps none"
	rejects E2BIG 'alloc a 1048577 1' "1048577 blocks, at most 1048576 per site"
	rejects E2BIG 'alloc b 1048574 1' "1048574 blocks, at most 1048576 per site"
	rejects E2BIG 'alloc a 18446744073709551615 1' "18446744073709551615 blocks, at most 1048576 per site"
	rejects E2BIG 'scatter a 1048577 1 10' "1048577 blocks, at most 1048576 per site"
	rejects ERANGE 'alloc a 1 2147483648' "2147483648 bytes, at most 2147483647 per block"
	rejects ERANGE 'realloc b 18446744073709551615' "18446744073709551615 bytes, at most 2147483647 per block"
	rejects ERANGE 'free b 4' "free: 4 blocks, only 3 are held"
	rejects ERANGE 'free a 1' "free: 1 blocks, only 0 are held"
	rejects ENOMEM 'alloc a 1 2147483647' "no memory for 1 blocks of 2147483647 bytes"
	rejects ENOMEM 'alloc a 1000000 1000000' "no memory for 1000000 blocks of 1000000 bytes"
	rejects ENOMEM 'realloc b 2147483647' "no memory for 3 blocks of 2147483647 bytes"
	must $K/create 'other preset=cpython-3.10'
	rejects EBUSY 'heap other' "heap: blocks are held, drop them first"
	does 'free b'
	does 'heap other'
	is "another heap" "$(status heap) $(put $K/destroy other) $(put $K/destroy h)" "other EBUSY OK"
	must $W/control drop
	must $K/destroy other
	ops=$(status ops)
}

test_alloc_free() {
	start
	does 'alloc a 100 64'
	is "  counted" "$(held a), $(allocated)" "100 6400, 100 6400"
	does 'alloc b 50 100'
	is "  counted" "$(held a), $(held b), $(allocated)" "100 6400, 50 5000, 150 12000"
	does "$(printf ' alloc   d \t7  0 ')"
	is "  0 bytes are a large block, as in CPython" "$(held d), $(allocated), $(counters large_blocks)" "7 0, 150 12000, 7"
	does 'alloc c 10 1000'
	is "  large ones" "$(held c), $(counters large_blocks large_bytes)" "10 10000, 17 10000"
	does 'free a 30'
	is "  counted" "$(held a), $(allocated), $(counters frees)" "70 4480, 120 10080, 30"
	does 'alloc a 200 32'
	is "  another size beside" "$(held a)" "270 10880"
	does 'free a 71'
	is "  the oldest go first" "$(held a)" "199 6368"
	does 'free a'
	does 'free a'
	does 'free c'
	is "  all of a site" "$(held a), $(held b), $(held c), $(counters large_blocks)" "0 0, 50 5000, 0 0, 7"
	even
}

test_order() {
	start
	does 'alloc a 336 512'
	is "  three full arenas" "$(arenas)" "0:16:112 1:16:112 2:16:112"
	does 'free a 113'
	is "  the oldest blocks lie in the first" "$(arenas)" "1:16:111 2:16:112"
	does 'alloc b 1 512'
	does 'free a 111'
	is "  one block in its place keeps an arena" "$(arenas)" "1:1:1 2:16:112"
	even
}

test_scatter() {
	start
	does 'scatter a 1120 512 112'
	is "  each of ten arenas is pinned by one block" "$(arenas)" "0:1:1 1:1:1 2:1:1 3:1:1 4:1:1 5:1:1 6:1:1 7:1:1 8:1:1 9:1:1"
	is "  the last of it" "$(awk '/used$/ { print $2 }' $H/pools | sort -u)" 15
	is "  counted" "$(held a), $(allocated), $(counters allocs frees)" "10 5120, 10 5120, 1120 1110"
	does 'free a 3'
	is "  arenas come back, the oldest first" "$(arenas_now) $(arenas)" "7 3:1:1 4:1:1 5:1:1 6:1:1 7:1:1 8:1:1 9:1:1"
	does 'free a'
	is "  and all the others" "$(arenas_now) $(not_kept)" "0 0"
	even
	start
	does 'scatter c 1120 512 224'
	is "  every other arena is pinned" "$(arenas_now) $(arenas)" "5 1:1:1 3:1:1 5:1:1 7:1:1 9:1:1"
	does 'scatter d 20 1000 5'
	is "  large ones" "$(held d), $(counters large_blocks large_allocs)" "4 4000, 4 20"
	does 'scatter b 5 64 1'
	is "  no filler at all" "$(held b)" "5 320"
	does 'scatter b 23 64 10'
	is "  not only filler behind the last" "$(held b)" "7 448"
	even
}

test_realloc() {
	start
	does 'alloc a 100 64'
	does 'realloc a 56'
	is "  in place" "$(held a), $(counters allocs reallocs reallocs_in_place)" "100 5600, 100 100 100"
	does 'realloc a 200'
	is "  moved" "$(held a), $(allocated), $(counters allocs frees reallocs reallocs_in_place)" "100 20000, 100 20800, 200 100 200 100"
	does 'realloc a 1000'
	is "  to large ones" "$(held a), $(allocated), $(counters large_blocks large_bytes)" "100 100000, 0 0, 100 100000"
	does 'realloc b 10'
	is "  no block at all" "$(held b), $(counters reallocs)" "0 0, 300"
	even
}

# churn SEED: what the heap had to do for it
churn() {
	start
	work "churn 3000 $1"
	valid $H || not_ok "churn $1: the heap is valid" "$(cat $H/validate)"
	counters allocs frees reallocs reallocs_in_place large_allocs large_bytes_peak held_bytes_peak
	end
}

test_churn() {
	local one="$(churn 1)"

	is "churn: the same seed, the same calls" "$(churn 1)" "$one"
	holds "churn: another seed, others" [ "$(churn 18446744073709551615)" != "$one" ]
	ops=$(status ops)
	start
	does 'churn 20000 7'
	is "  all of it is freed" "$(allocated) $(counters large_blocks) $(not_kept)" "0 0 0 0"
	is "  of every kind" "$(counters allocs reallocs reallocs_in_place large_allocs frees large_frees |
		awk '{ print ($1 > 5000), ($2 > 2000), ($3 > 20), ($4 > 500), ($1 == $5), ($4 == $6) }')" "1 1 1 1 1 1"
	holds "  20000 calls and the last frees" [ $(($(status ops) - ops)) -gt 20000 -a $(($(status ops) - ops)) -le 24096 ]
	even
}

test_signal() {
	local moved

	start
	does 'alloc a 5 64'
	printf 'churn 1000000000000 3' | timeout -s INT 1 ./wr $W/control
	is "^C stops a churn" "$(cat $W/error)" interrupted
	is "  all of it is freed" "$(allocated) $(held a)" "5 320 5 320"

	printf 'churn 1000000000000 3' | ./wr $W/control > /tmp/churn &
	moved=$(status ops)
	while [ "$(status ops)" = "$moved" ]; do :; done
	moved=$(status ops)
	while [ "$(status ops)" = "$moved" ]; do :; done
	ok "status moves during a churn"
	is "  control is busy" "$(put $W/control drop) $(cat $W/error)" "EBUSY control: another command is running"
	is "  the replay's is not" "$(put $L/control drop)" OK
	is "  its error is its own" "$(put $L/control x) $(cat $L/error), $(cat $W/error)" \
		"EINVAL control: unknown command 'x', control: another command is running"
	is "  the heap is valid meanwhile" "$(cat $H/validate)" ok
	holds "  the module is held" sh -c '! rmmod kpylab 2>/dev/null'
	kill $(pidof wr)
	wait
	is "  stopped by another signal" "$(cat $W/error) $(allocated)" "interrupted 5 320"
	even
}

# sites EVENT: the functions it fired in, and how often
sites() {
	sed -n "s/.* $1: .*call_site=\([a-z_]*\)+.* \[kpylab\].*/\1/p" $T/trace | sort | uniq -c | xargs
}

test_call_sites() {
	local site

	start
	echo 1 > $T/events/kpymalloc/enable
	for site in a b c d; do does "alloc $site 3 64"; done
	does 'scatter b 10 128 5'
	does 'realloc a 300'
	does 'alloc c 2 1000'
	does 'churn 100 1'
	for site in a b c d; do does "free $site"; done
	echo 0 > $T/events/kpymalloc/enable
	is "kpy_alloc" "$(sites kpy_alloc | sed 's/[0-9]* kpylab_churn //')" \
		"8 kpylab_filler 3 kpylab_realloc 3 kpylab_site_a 5 kpylab_site_b 3 kpylab_site_c 3 kpylab_site_d"
	is "kpy_free" "$(sites kpy_free | sed 's/[0-9]* kpylab_churn //')" \
		"3 kpylab_free_a 5 kpylab_free_b 3 kpylab_free_c 3 kpylab_free_d 8 kpylab_free_filler 3 kpylab_realloc"
	is "kpy_large_alloc" "$(sites kpy_large_alloc | sed 's/[0-9]* kpylab_churn //')" "2 kpylab_site_c"
	is "kpy_large_free" "$(sites kpy_large_free | sed 's/[0-9]* kpylab_churn //')" "2 kpylab_free_c"
	is "kpylab_churn has its own" "$(($(grep -c 'kpy_alloc: .*=kpylab_churn+' $T/trace) > 50)) $(($(grep -c 'kpy_free: .*=kpylab_churn+' $T/trace) > 50))" "1 1"
	is "all of them were kpylab's" "$(($(grep -c 'call_site=kpylab_[a-z_]*+0x[0-9a-f]*/0x[0-9a-f]* \[kpylab\]$' $T/trace)))" \
		"$(grep -c call_site= $T/trace)"
	echo > $T/trace
	even
}

# The stacks part where the sites do, and not before.
test_stacks() {
	start
	echo 1 > $T/options/stacktrace
	echo 1 > $T/events/kpymalloc/kpy_alloc/enable
	does 'alloc a 1 64'
	does 'scatter d 2 64 2'
	echo 0 > $T/events/kpymalloc/kpy_alloc/enable
	echo 0 > $T/options/stacktrace
	is "stacks" "$(sed -n 's/^ => kpylab_\([a-z_]*\).*/\1/p' $T/trace | xargs)" "site_a filler site_d"
	is "  below them all the same" "$(grep -c '^ => lab_work_alloc' $T/trace) $(grep -c '^ => control_write' $T/trace)" "3 3"
	echo > $T/trace
	even
}

test_unload() {
	start
	does 'alloc a 1000 64'
	does 'scatter b 1000 700 3'
	is "kpylab goes with all its blocks" "$(rmmod kpylab 2>&1)" ""
	is "  and freed them" "$(allocated) $(counters large_blocks)" "0 0 0"
	is "  nothing was refused" "$(counters bad_pointers)" 0
	is "  the heap is valid, and let go" "$(cat $H/validate) $(put $K/destroy h)" "ok OK"
	is "kpymalloc goes" "$(rmmod kpymalloc 2>&1)" ""
}

insmod kpymalloc.ko
insmod kpylab.ko
echo 1 > /proc/sys/kernel/printk
chmod 755 /sys/kernel/debug
ops=0
test_tree
test_symbols
test_bad_commands
test_refusals
test_alloc_free
test_order
test_scatter
test_realloc
test_churn
test_signal
test_call_sites
test_stacks
is "no call has failed" "$(status failures)" 0
test_unload
finish
