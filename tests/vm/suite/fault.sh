# SPDX-License-Identifier: GPL-2.0
# fault.sh: memory that cannot be had, by the kernel's own fault injection, in both modes:
# nothing is lost, and what was refused is counted.
# needs: build/tests/wr build/tests/short.trace
# kernels: debug
. ./lib.sh

F=/sys/kernel/debug

# inject FILE KEY=VALUE...: in /sys/kernel/debug/FILE, without a word in the log
inject() {
	local dir=$F/$1 setting

	shift
	for setting in verbose=0 ignore-gfp-wait=N ignore-gfp-highmem=N interval=1 times=-1 "$@"; do
		[ ! -e $dir/${setting%=*} ] || echo "${setting#*=}" > $dir/${setting%=*}
	done
}

# in_use: small blocks
in_use() { awk '{ value[$1] = $2 } END { print value["allocs"] - value["frees"] }' $H/counters; }

# everything NAME: was freed by the rewind, and the heap is as it should be
everything() {
	must $L/control rewind
	is "$1: everything was freed" "$(counters large_blocks large_bytes) $(in_use)" "0 0 0"
	is "$1: valid" "$(cat $H/validate)" ok
	must $H/trim 1
	is "$1: all of it is given back" "$(counters held_bytes large_cached holes)" "0 0 0"
	must $L/control "backend kmalloc"
	must $K/destroy h
}

replay_on() {
	must $K/create "h preset=cpython-3.8 mode=$mode"
	must $L/control "backend kpymalloc:h"
}

# No arena at all: every request goes to the general allocator.
test_no_arena() {
	replay_on
	inject fail_page_alloc min-order=6 probability=100
	must $L/control run
	inject fail_page_alloc probability=0
	is "$mode, no arena: no request failed" "$(counters alloc_failures) $(value alloc_failures $L/status)" "0 0"
	is "$mode, no arena: no small block" "$(counters allocs held_bytes_peak | awk '{ print $1, ($2 > 0) }')" "0 1"
	is "$mode, no arena: counted" "$(($(counters large_fallbacks) > 1000 && $(counters arena_failures) >= $(counters large_fallbacks)))" 1
	is "$mode, no arena: the contents are right" "$(value state $L/status) $(value fill_errors $L/status)" "done 0"
	is "$mode, no arena: valid" "$(cat $H/validate)" ok
	everything "$mode, no arena"
}

# Arenas come and go by luck, small blocks of both kinds live side by side.
test_few_arenas() {
	replay_on
	inject fail_page_alloc min-order=6 probability=99
	must $L/control run
	inject fail_page_alloc probability=0
	is "$mode, few arenas: no request failed" "$(counters alloc_failures)" 0
	is "$mode, few arenas: both kinds" "$(($(counters allocs) > 0 && $(counters large_fallbacks) > 0))" 1
	is "$mode, few arenas: the contents are right" "$(value state $L/status) $(value fill_errors $L/status)" "done 0"
	is "$mode, few arenas: valid" "$(cat $H/validate)" ok
	everything "$mode, few arenas"
}

# fail CACHE PROBABILITY: of its allocations, no others
fail() {
	echo 1 > /sys/kernel/slab/$1/failslab
	inject failslab cache-filter=Y probability=$2
}

# fail_no_more CACHE
fail_no_more() {
	inject failslab probability=0 cache-filter=N
	echo 0 > /sys/kernel/slab/$1/failslab
}

# Nor is there always a record for a large block: then the request fails.
test_failures() {
	replay_on
	fail kpy_large 30
	must $L/control run
	fail_no_more kpy_large
	is "$mode, failures: counted" "$(($(counters alloc_failures) > 10)) $(counters alloc_failures)" \
		"1 $(value alloc_failures $L/status)"
	is "$mode, failures: the contents are right" "$(value state $L/status) $(value fill_errors $L/status)" "done 0"
	is "$mode, failures: valid" "$(cat $H/validate)" ok
	everything "$mode, failures"
}

# What a CPU keeps finds no magazine to lie in, now and then or never: no request fails for that.
test_magazines() {
	local probability

	for probability in 50 100; do
		replay_on
		must $L/control "cpus 2 16"
		fail kpy_magazine $probability
		must $L/control run
		work "heap h" "churn 2000 1" drop
		fail_no_more kpy_magazine
		is "magazines fail at $probability %: no request does" "$(counters alloc_failures large_fallbacks bad_pointers)" "0 0 0"
		is "  the contents are right" "$(value state $L/status) $(value fill_errors $L/status)" "done 0"
		is "  valid" "$(cat $H/validate)" ok
		must $L/control "cpus 1 1"
		everything "magazines fail at $probability %"
	done
}

# each NAME COMMAND...: `COMMAND N` fails its N-th allocation, from the first on to
# the one that it does not need; it says what became of it, and so does `settled`
# to every answer.
each() {
	local name="$1" answer=

	shift
	n=0
	while [ "${answer#passed}" = "$answer" ] && [ $n -lt 200 ]; do
		n=$((n + 1))
		answer="$("$@" $n)"
		case $answer in
		OK|ENOMEM|EFAULT|"passed OK") ;;
		*) not_ok "$name, allocation $n" "$answer" ;;
		esac
		settled "$answer" || not_ok "$name, allocation $n" "$answer, and something is left"
	done
	is "$name: each of $((n - 1)) allocations" "$answer" "passed OK"
	holds "$name: there were some" [ $n -gt $least ]
}

create_nth() { ./wr -n $1 $K/create "new$1 preset=cpython-3.10 mode=$mode"; }

# They stay, so that each needs memory for CPUs of its own.
test_create() {
	local level=$(cut -f 1 /proc/sys/kernel/printk)

	# A heap that lacks some files for want of memory is a heap.
	settled() {
		case $1 in
		*OK) [ -e $K/heaps/new$n ] || [ "$(put $K/create "new$n preset=cpython-3.10")" = EEXIST ] ;;
		*) [ "$(put $K/destroy new$n)" = ENOENT ] && [ ! -e $K/heaps/new$n ] ;;
		esac
	}
	least=5
	dmesg -n 1
	dmesg -c > /dev/null
	each "$mode, create" create_nth
	for new in $(seq $n); do
		echo -n new$new > $K/destroy 2>/dev/null
	done
	is "$mode, create: they are gone" "$(ls $K/heaps)" h
	is "$mode, create: nothing was said" "$(dmesg -c | grep -E 'allocation failed|BUG|WARNING|KASAN')" ""
	dmesg -n $level
}

read_nth() { ./wr -r -n $2 $1; }

test_read() {
	local file

	settled() { valid $H; }
	least=1
	for file in id stats counters arenas pools geometry validate; do
		each "$mode, read $file" read_nth $H/$file
	done
}

run_nth() { ./wr -n $1 $L/control 'run 40'; }

test_run() {
	settled() {
		valid $H && must $L/control rewind && [ "$(counters large_blocks)" = 0 ] && must $H/trim 1
	}
	least=10
	must $L/control "backend kpymalloc:h"
	each "$mode, run" run_nth
	must $L/control "backend kmalloc"
}

work_nth() { ./wr -n $2 $W/control "$1"; }

# held: blocks and bytes of site a as kpylab knows them, then the heap's large ones, which
# are the same if all are large; small blocks
held() {
	awk '{ value[$1] = $2 } END { print value["site_a_blocks"], value["site_a_bytes"],
		value["large_blocks"], value["large_bytes"], value["allocs"] - value["frees"] }' $W/status $H/counters
}

# A workload's command is done, or nothing is left of it; but for a realloc.
test_work() {
	local before=$(($(counters alloc_failures) - $(value failures $W/status)))

	settled() {
		case $1 in *OK) work "free a" ;; esac
		must $H/trim 1		# else CPUs have some at hand
		valid $H && [ "$(held)" = "0 0 0 0 0" ]
	}
	work "heap h"
	least=3
	each "$mode, work scatter" work_nth 'scatter a 60 64 3'
	least=10
	each "$mode, work alloc" work_nth 'alloc a 8 700'
	each "$mode, work churn" work_nth 'churn 60 1'
	work "alloc a 8 700"
	settled() {
		set -- $(held)
		valid $H && [ "$1 $2" = "$3 $4" ] && work "realloc a 700" && must $H/trim 1
	}
	each "$mode, work realloc" work_nth 'realloc a 1500'
	is "$mode, work: failures are counted" $(($(counters alloc_failures) - $(value failures $W/status))) $before
	work drop
}

insmod kpymalloc.ko
insmod kpylab.ko
load short.trace
must $L/control "fill on"
for mode in classic percpu; do
	test_no_arena
	test_few_arenas
	test_failures
done
test_magazines

inject failslab
inject fail_page_alloc min-order=0
inject fail_usercopy
for mode in classic percpu; do
	must $K/create "h arena=16K pool=4K mode=$mode"
	test_create
	test_run
	test_work
	test_read
	must $K/destroy h
done
must $L/control drop
rmmod kpylab
rmmod kpymalloc
finish
