# SPDX-License-Identifier: GPL-2.0
# check.sh: kpy check on two CPUs: BPF sees each block that a heap of either mode gives and
# takes back, in tasks and interrupts, alone and in bulk, also if it comes while all are at it.
# needs: build/tests/wr build/tests/jsonl build/tests/churn.trace
# group: tracing
# kernels: 6.12 6.1
. ./lib.sh

B=/sys/kernel/debug/kpylab/bench
PATTERNS="pair_fixed pair_hardirq pair_softirq pair_large cross_free bulk16_free bulk64_alloc bulk256_free producer_consumer"
REPORTS=3			# of each kpy
KPYS=6

# equal NAME: all reports are, nothing was lost
equal() {
	grep '"equal"' shown > verdicts
	is "$1: equal, nothing lost" "$(sort -u verdicts) $(wc -l < verdicts)" "{\"equal\":true,\"lost\":0} $2"
}

# many NAME LEAST COUNTER...: each of the heap's counters rose by that while kpy looked on
many() {
	local name="$1" least="$2" key

	shift 2
	for key; do
		[ $(($(./jsonl /bpf/$key < shown | tail -n 1) - $(value $key before))) -ge $least ] ||
			{ not_ok "$name: events" "$key: less than $least"; return; }
	done
	ok "$name: events"
}

# look NAME COMMAND: under kpy
look() {
	cat $H/counters > before
	kpy check -j -H h sh -c "$2" > shown 2> said || cat said
	grep '"heap"' shown > heaps
	equal "$1" 1
	mv heaps shown
}

test_patterns() {
	local pattern

	for pattern in $PATTERNS; do
		look "$mode, $pattern" "echo 'run kpymalloc $pattern' > $B/control"
		case $pattern in
		pair_large) many "$mode, $pattern" 4000 large_allocs large_frees ;;
		*) many "$mode, $pattern" 4000 allocs frees ;;
		esac
		must $B/control clear
	done
	look "$mode, churn" "echo 'churn 20000 1' > $W/control"
	many "$mode, churn" 500 allocs frees reallocs reallocs_in_place large_allocs large_frees
	must $L/control "cpus 2 16"
	look "$mode, two CPUs" "echo run > $L/control"
	many "$mode, two CPUs" 500 allocs frees reallocs reallocs_in_place large_allocs large_frees
	must $L/control rewind
}

# Until the file stop is there, as others in lib.sh.
bench() {
	while [ ! -e stop ]; do
		for pattern in $PATTERNS; do
			echo "run kpymalloc $pattern" > $B/control && echo $pattern >> did
		done
		echo clear > $B/control
	done
}

churn() { while [ ! -e stop ]; do echo "churn 3000 1" > $W/control && echo churn >> did; done; }

replay() {
	while [ ! -e stop ]; do
		echo run > $L/control && echo rewind > $L/control && echo replay >> did
	done
}

# kpy comes and goes while all are at it.
test_storm() {
	local i

	cat $H/counters > before
	meanwhile bench churn replay
	sleep 1
	for i in $(seq $KPYS); do
		kpy check -j -H h -i 0.3 $REPORTS 2> said || cat said
	done > shown
	over
	equal "$mode, storm" $((KPYS * REPORTS))
	grep '"heap"' shown > heaps
	mv heaps shown
	many "$mode, storm" 2000 allocs frees reallocs reallocs_in_place large_allocs large_frees
	is "$mode, storm: all came" "$(sort -u did | xargs)" "$(echo $PATTERNS churn replay | xargs -n 1 | sort | xargs)"
	holds "$mode, storm: valid" valid $H
}

insmod kpymalloc.ko
insmod kpylab.ko
load churn.trace
for mode in classic percpu; do
	must $K/create "h preset=cpython-3.10 mode=$mode"
	must $W/control 'heap h'
	must $L/control 'backend kpymalloc:h'
	must $B/control 'heap h'
	test_patterns
	test_storm
	must $W/control drop
	must $L/control 'backend kmalloc'
	must $B/control heap
	is "$mode: all is freed" "$(counters large_blocks allocs frees | awk '{ print $1, $2 - $3 }')" "0 0"
	must $K/destroy h
done
unload
finish
