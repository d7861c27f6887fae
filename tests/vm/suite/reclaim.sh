# SPDX-License-Identifier: GPL-2.0
# reclaim.sh: memory that no block needs goes back, page by page as the page allocator counts
# them: by trim, by itself, when memory is short; what a limit refuses; who is charged.
# needs: build/tests/wr build/tests/churn.trace build/tests/short.trace
# kernels: 6.12 6.1 rt debug
. ./lib.sh

B=/sys/kernel/debug/kpylab/bench
W=/sys/kernel/debug/kpylab/work
H=$K/heaps/h
COUNT=${slow:+10000}
COUNT=${COUNT:-200000}
NOISE=64			# pages that come and go of their own accord, see known_pages

counter() { value $1 $H/counters; }
held() { echo $(($(counter held_bytes) / 4096)); }

# Pages of pools with blocks in use.
used() {
	awk 'FNR == 1 { file++ } file == 1 && $1 == "pool" { size = $2 }
		file == 2 && NF == 5 && $1 ~ /^[0-9]+$/ { n += $3 }
		END { print n * size / 4096 }' $H/geometry $H/stats
}

# More of them may come between the two looks.
holes_beside() { echo $(($(grep -c 'hole$' $H/pools) - $(counter holes))); }

# The bytes of stats add up to its arenas'; so do the pools to its holes.
adds_up() {
	is "$1: valid" "$(cat $H/validate)" ok
	is "$1: the bytes add up" "$(sed -n '/^# bytes in all/,$p' $H/stats | tr -d , | awk -F = \
		'/^Total/ { if (n == $2) print "yes"; else print n, $2; next } { n += $2 }')" yes
	settles "$1: the holes add up" 0 holes_beside
}

# at_most NAME PAGES MOST
at_most() { if [ "$2" -le "$3" ]; then ok "$1"; else not_ok "$1" "$2 pages, at most $3 wanted"; fi; }

# hold: a mixed set of blocks, a tenth of which stays
hold_tenth() {
	must $B/control "hold kpymalloc $COUNT mixed"
	must $B/control "release 90 1"
}

# trims OPTIONS: what is missing after a trim are the pools in use and no more than 2 % besides
trims() {
	local before

	must $K/create "h $1"
	must $B/control 'heap h'
	must $B/control "hold none $COUNT mixed"
	before=$(known_pages)
	must $B/control 'release all'
	must $B/control "hold kpymalloc $COUNT mixed"
	adds_up "$1: all"
	must $B/control 'release 90 1'
	adds_up "$1: a tenth"
	must $H/trim 1
	at_most "$1: trimmed" $((before - $(known_pages))) $(($(used) * 102 / 100 + NOISE))
	at_most "  as the heap has it" $(held) $(($(used) * 102 / 100))
	adds_up "$1: trimmed"
	must $B/control 'release 99 2'
	must $H/trim 1
	at_most "$1: a thousandth" $((before - $(known_pages))) $(($(used) * 102 / 100 + NOISE))
	adds_up "$1: a thousandth"
	must $B/control 'release 100 1'
	must $H/trim 1
	is "$1: none" "$(held) $(counter holes) $(sed -n '1s/.* \([0-9]*\) arenas.*/\1/p' $H/arenas)" "0 0 0"
	at_most "  as the page allocator has it" $((before - $(known_pages))) $NOISE
	must $B/control 'release all'
	must $B/control heap
	must $K/destroy h
}

# few_free ARENAS: no more than they have, and magazines
few_free() {
	local pages=$(($(held) - $(used)))

	[ $pages -le $((64 * $1 + 40)) ] && echo few || echo $pages pages
}

had_holes() { [ $(counter holes_total) -gt 0 ] && echo yes || echo no; }

test_by_itself() {
	must $K/create "h preset=cpython-3.9 release=pool $1"
	must $B/control 'heap h'
	hold_tenth
	settles "$1 by itself: an arena's worth of pools stays" few few_free 1
	adds_up "$1 by itself"
	settles "  others are holes now" yes had_holes
	must $B/control 'release 100 1'
	settles "$1 by itself: an arena stays" few few_free 1
	adds_up "$1 by itself, none left"
	must $B/control 'release all'
	must $B/control heap
	must $K/destroy h
}

# The shrinker takes what stays otherwise.
test_shrinker() {
	must $K/create "h preset=cpython-3.9 $1"
	must $B/control 'heap h'
	hold_tenth
	echo 2 > /proc/sys/vm/drop_caches
	settles "$1: all that is free goes" few few_free 0
	adds_up "$1: shrunk"
	must $B/control 'release all'
	must $B/control heap
	must $K/destroy h
}

# Somebody else writes to pages that were ours, while others go and come.
test_neighbours() {
	local trimmer filler

	must $K/create "h preset=cpython-3.9 release=pool $1"
	must $L/control 'backend kpymalloc:h'
	must $L/control 'fill on'
	while :; do echo 1 > $H/trim; done & trimmer=$!
	while :; do dd if=/dev/urandom of=/tmp/fill bs=64K count=200 2>/dev/null; rm /tmp/fill; done & filler=$!
	for i in 1 2 $([ -n "$slow" ] || echo 3 4); do
		must $L/control run
		adds_up "$1 neighbours, $i"
		is "  blocks that were not what they should be" "$(value fill_errors $L/status)" 0
		must $L/control rewind
	done
	kill $trimmer $filler
	wait
	[ $(counter holes_total) -gt 0 ] && ok "$1: there were holes" || not_ok "$1: there were holes" "none"
	is "$1: nothing was refused" "$(counter bad_pointers)" 0
	must $L/control 'backend kmalloc'
	must $K/destroy h
}

test_limit() {
	must $K/create "h preset=cpython-3.9 limit=4M $1"
	must $B/control 'heap h'
	is "$1 limit: more is refused" "$(put $B/control 'hold kpymalloc 100000 128')" ENOMEM
	at_most "$1 limit: held at most" $(($(counter held_bytes_peak) / 4096)) 1024
	is "  and no less" "$(($(counter held_bytes_peak) + 128 > 4194304))" 1
	is "  counted" "$(counter limit_failures) $(counter alloc_failures)" "1 1"
	must $H/set_limit 100M
	must $B/control 'hold kpymalloc 100000 128'
	is "$1 no limit: none is refused" "$(counter limit_failures)" 1
	must $B/control 'release all'
	must $B/control heap
	must $H/trim 1
	must $H/set_limit 1M
	must $H/reset_peaks 1
	must $W/control 'heap h'
	is "$1 limit of large blocks" "$(put $W/control 'alloc a 1000 2048')" ENOMEM
	must $H/trim 1			# in mode percpu CPUs keep some of them
	is "  is used up, and all freed" "$(counter held_bytes_peak) $(held) $(counter limit_failures)" "1048576 0 2"
	adds_up "$1 limit"
	must $W/control drop
	must $K/destroy h
}

# charged: KiB that the cgroup pays for
charged() { echo $(($(cat $cg/memory.current) / 1024)); }

# Holds blocks as a member of the cgroup.
hold_charged() { sh -c "echo \$\$ > $cg/cgroup.procs; echo 'hold kpymalloc $COUNT 128' > $B/control"; }

test_account() {
	local cg=/tmp/cgroup/kpy account base

	mkdir -p /tmp/cgroup
	mount -t cgroup2 none /tmp/cgroup
	echo +memory > /tmp/cgroup/cgroup.subtree_control
	mkdir $cg
	for account in off on; do
		must $K/create "h preset=cpython-3.9 release=pool account=$account"
		must $B/control 'heap h'
		base=$(charged)
		hold_charged
		if [ $account = on ]; then
			is "the cgroup pays" "$(($(charged) - base >= $(held) * 4))" 1
			must $B/control 'release 90 1'
			must $H/trim 1
			at_most "  but for what was trimmed" $((($(charged) - base) / 4)) $(($(held) + 300))
			must $B/control 'release 100 1'
			must $H/trim 1
			at_most "  and for nothing in the end" $((($(charged) - base) / 4)) 300
		else
			at_most "it does not if nobody said so" $((($(charged) - base) / 4)) $((COUNT * 8 / 4096 + 300))
		fi
		must $B/control 'release all'
		must $B/control heap
		must $K/destroy h
	done
	rmdir $cg
	umount /tmp/cgroup
}

insmod kpymalloc.ko
insmod kpylab.ko
echo 1 > /proc/sys/kernel/printk
if [ -n "$slow" ]; then load short.trace; else load churn.trace; fi
trims 'preset=cpython-3.10 release=pool'
trims 'preset=cpython-3.9 release=pool mode=percpu'
[ -n "$slow" ] || {
	trims 'preset=cpython-3.9 release=pool'
	trims 'arena=4M pool=4K release=pool'
}
for mode in classic percpu; do
	test_by_itself mode=$mode
	test_shrinker "mode=$mode release=pool"
	test_neighbours mode=$mode
	test_limit mode=$mode
done
test_account
is "unload" "$(rmmod kpylab kpymalloc 2>&1)" ""
finish
