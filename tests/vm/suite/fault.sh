# SPDX-License-Identifier: GPL-2.0
# fault.sh: memory that cannot be had, by the kernel's own fault injection.
# needs: build/tests/wr build/tests/short.trace
# kernels: debug
. ./lib.sh

F=/sys/kernel/debug

# inject FILE KEY=VALUE...: in /sys/kernel/debug/FILE, without a word in the log
inject() {
	local dir=$F/$1 setting

	shift
	for setting in verbose=0 ignore-gfp-wait=N interval=1 times=-1 "$@"; do
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
	must $L/control "backend kmalloc"
	must $K/destroy h
}

replay_on() {
	must $K/create "$1"
	must $L/control "backend kpymalloc:h"
}

# No arena at all: every request goes to the general allocator.
test_no_arena() {
	replay_on "h preset=cpython-3.8"
	inject fail_page_alloc min-order=6 probability=100
	must $L/control run
	inject fail_page_alloc probability=0
	is "no arena: no request failed" "$(counters alloc_failures) $(value alloc_failures $L/status)" "0 0"
	is "no arena: no small block" "$(counters allocs held_bytes_peak | awk '{ print $1, ($2 > 0) }')" "0 1"
	is "no arena: counted" "$(($(counters large_fallbacks) > 1000 && $(counters arena_failures) >= $(counters large_fallbacks)))" 1
	is "no arena: the contents are right" "$(value state $L/status) $(value fill_errors $L/status)" "done 0"
	is "no arena: valid" "$(cat $H/validate)" ok
	everything "no arena"
}

# Arenas come and go by luck, small blocks of both kinds live side by side.
test_few_arenas() {
	replay_on "h preset=cpython-3.8"
	inject fail_page_alloc min-order=6 probability=99
	must $L/control run
	inject fail_page_alloc probability=0
	is "few arenas: no request failed" "$(counters alloc_failures)" 0
	is "few arenas: both kinds" "$(($(counters allocs) > 0 && $(counters large_fallbacks) > 0))" 1
	is "few arenas: the contents are right" "$(value state $L/status) $(value fill_errors $L/status)" "done 0"
	is "few arenas: valid" "$(cat $H/validate)" ok
	everything "few arenas"
}

# Nor is there always a record for a large block: then the request fails.
test_failures() {
	replay_on "h preset=cpython-3.8"
	echo 1 > /sys/kernel/slab/kpy_large/failslab
	inject failslab cache-filter=Y probability=30
	must $L/control run
	inject failslab probability=0 cache-filter=N
	is "failures: counted" "$(($(counters alloc_failures) > 10)) $(counters alloc_failures)" \
		"1 $(value alloc_failures $L/status)"
	is "failures: the contents are right" "$(value state $L/status) $(value fill_errors $L/status)" "done 0"
	is "failures: valid" "$(cat $H/validate)" ok
	everything failures
}

# each NAME COMMAND...: `COMMAND N` fails its N-th allocation, from the first on to
# the one that it does not need; it says what became of it, and so does `settled`
# to every answer.
each() {
	local name="$1" n=0 answer=

	shift
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

create_nth() { ./wr -n $1 $K/create 'new preset=cpython-3.10'; }

test_create() {
	# A heap that lacks some files for want of memory is a heap.
	settled() {
		case $1 in
		*OK) echo -n new > $K/destroy ;;
		*) [ "$(put $K/destroy new)" = ENOENT ] && [ "$(echo $K/heaps/*)" = $H ] ;;
		esac
	}
	least=5
	each create create_nth
}

read_nth() { ./wr -r -n $2 $1; }

test_read() {
	local file

	settled() { valid $H; }
	least=1
	for file in id stats counters arenas pools geometry validate; do
		each "read $file" read_nth $H/$file
	done
}

run_nth() { ./wr -n $1 $L/control 'run 40'; }

test_run() {
	settled() { valid $H && must $L/control rewind && [ "$(counters large_blocks)" = 0 ]; }
	least=10
	must $L/control "backend kpymalloc:h"
	each run run_nth
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
		valid $H && [ "$(held)" = "0 0 0 0 0" ]
	}
	work "heap h"
	least=3
	each "work scatter" work_nth 'scatter a 60 64 3'
	least=10
	each "work alloc" work_nth 'alloc a 8 700'
	each "work churn" work_nth 'churn 60 1'
	work "alloc a 8 700"
	settled() {
		set -- $(held)
		valid $H && [ "$1 $2" = "$3 $4" ] && work "realloc a 700"
	}
	each "work realloc" work_nth 'realloc a 1500'
	is "work: failures are counted" $(($(counters alloc_failures) - $(value failures $W/status))) $before
	work drop
}

insmod kpymalloc.ko
insmod kpylab.ko
load short.trace
must $L/control "fill on"
test_no_arena
test_few_arenas
test_failures

inject failslab
inject fail_page_alloc min-order=0
inject fail_usercopy
must $K/create 'h arena=16K pool=4K'
test_create
test_run
test_work
test_read
must $L/control drop
must $K/destroy h
rmmod kpylab
rmmod kpymalloc
finish
