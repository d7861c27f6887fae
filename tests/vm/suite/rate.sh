# SPDX-License-Identifier: GPL-2.0
# rate.sh: kpy rate names those who allocate and free, and counts what the heap counts.
# needs: tests/vm/suite/do build/tests/wr build/tests/jsonl build/tests/short.trace
# group: tracing
# kernels: 6.12 6.1
. ./lib.sh

# rate ARG... -- COMMAND...: of the workload, while kpy rate looks on
rate() {
	under rate -j -i 600 "$@"
	is "rate $*" "$? $(./jsonl < shown > /dev/null || ./jsonl < shown)" "0 "
}

# callers: NAME:ALLOCS:BYTES:FREES in the order shown
callers() { sed '$d' shown | ./jsonl /caller /allocs /bytes /frees | sed 's/+0x[0-9a-f]* \[kpylab\]//; s/ /:/g' | xargs; }

test_sites() {
	rate -- 'alloc a 30 100' 'alloc b 20 200' 'alloc c 1 100000' 'free a 5' 'free c'
	is "call sites by allocations" "$(callers)" "kpylab_site_a:30:3000:0 kpylab_site_b:20:4000:0 kpylab_site_c:1:100000:0 kpylab_free_a:0:0:5 kpylab_free_c:0:0:1"
	is "  and in all" "$(last /callers /allocs /bytes /frees /lost)" "5 51 107000 6 0"
	rate -s bytes -- 'alloc a 30 100' 'alloc b 20 200' 'alloc c 1 100000' 'free b 3'
	is "by bytes" "$(callers)" "kpylab_site_c:1:100000:0 kpylab_site_b:20:4000:0 kpylab_site_a:30:3000:0 kpylab_free_b:0:0:3"
	rate -s frees -r 2 -- 'free a 20' 'free b 30' 'free c 1' 'alloc d 7 10'
	is "by frees, the first two" "$(callers)" "kpylab_free_b:0:0:30 kpylab_free_a:0:0:20"
	is "  and all of them" "$(last /callers /allocs /bytes /frees)" "4 7 70 51"
	rate -- 'realloc a 1000' 'realloc a 999'
	is "a realloc that moves, and one that stays" "$(callers)" "kpylab_realloc:35:35000:35"
	rate -z 100 -- 'alloc c 9 99' 'alloc d 8 100'
	is "filtered" "$(callers)" "kpylab_site_d:8:800:0"
}

test_stacks() {
	rate -k -- 'alloc a 30 100' 'scatter a 12 64 3' 'free a'
	is "one call site by two ways" "$(callers)" \
		"kpylab_site_a:30:3000:0 kpylab_filler:8:512:0 kpylab_site_a:4:256:0 kpylab_free_a:0:0:69 kpylab_free_filler:0:0:8"
	is "  those who called are named" "$(sed '$d' shown | ./jsonl /stack/0 /stack/1 | grep -c '^kpylab_[a-z_]*+0x[0-9a-f]* \[kpylab\] [a-z_.0-9]*+0x[0-9a-f]* \[kpylab\]$')" "$(last /callers)"
	is "  up to the system call" "$(sed '$d' shown | grep -c -e ksys_write -e vfs_write)" "$(last /callers)"
	is "  no stack is lost" "$(last /lost /stacks_lost)" "0 0"
}

test_full() {
	rate --max-callers 2 -- 'alloc a 3 100' 'alloc b 2 100' 'alloc c 7 100' 'free c' 'free a'
	is "callers beyond the table" "$(callers) $(last /lost)" "kpylab_site_a:3:300:0 kpylab_site_b:2:200:0 $((7 + $(freed)))"
	kpy rate --max-callers 1 -- sh do 'alloc a 3 100' 'alloc b 2 100' > shown 2> said
	is "  are said" "$(tail -n 1 said)" "2 events of more callers lost, --max-callers N makes room"
}
freed() { echo $(($(value frees $H/counters) + $(value large_frees $H/counters) - before)); }

# Two processors, reports in between: nothing is counted twice or not at all.
test_sums() {
	load short.trace
	must $L/control "backend kpymalloc:h"
	set -- $(counters allocs large_allocs frees large_frees)
	kpy rate -H h -j -i 0.05 -- sh -c "
		(for i in 1 2 3 4 5 6; do printf run > $L/control; printf rewind > $L/control; done) &
		printf 'churn 200000 7' > $W/control; wait" > shown 2> said
	is "two writers at once" "$? $(last /lost)" "0 0"
	set -- "$@" $(counters allocs large_allocs frees large_frees)
	is "  all allocations and frees" "$(grep '"callers"' shown | ./jsonl /allocs /frees | awk '{ a += $1; f += $2 } END { print a, f }')" \
		"$(($5 + $6 - $1 - $2)) $(($7 + $8 - $3 - $4))"
	is "  and so do the rows" "$(grep '"caller"' shown | ./jsonl /allocs /frees | awk '{ a += $1; f += $2 } END { print a, f }')" \
		"$(($5 + $6 - $1 - $2)) $(($7 + $8 - $3 - $4))"
	is "  in more than one report" "$(($(grep -c '"callers"' shown) > 1))" 1
	must $L/control rewind
	must $L/control "backend kmalloc"
}

test_text() {
	kpy rate -i 0.5 2 -- sh do sleep 'alloc a 100 100' sleep > shown 2> said
	is "reports of half a second" "$? $(grep -c 'ALLOCS/s' shown)" "0 2"
	kpy rate -T -C -i 1 1 -- sh do 'alloc a 1000 100' sleep sleep > shown 2> said
	is "a second's rate" "$(awk '/kpylab_site_a/ { print ($1 > 500 && $1 <= 1000), ($2 > 90 * $1 && $2 < 110 * $1), $3 }' shown)" "1 1 0"
	is "with the time" "$(head -n 1 shown | grep -c '^[0-9][0-9]:[0-9][0-9]:[0-9][0-9]$')" 1
	is "no screen is cleared that is none" "$(grep -c "$(printf '\033')" shown)" 0
}

test_options() {
	bad_usage "rate -s size" "there is no column 'size', only allocs, bytes and frees"
	bad_usage "rate -r 0" "'0' is no number from 1 to 1048576"
}

insmod kpymalloc.ko
insmod kpylab.ko
must $K/create 'h arena=64K pool=4K'
work "heap h"
test_sites
test_stacks
before=$(($(value frees $H/counters) + $(value large_frees $H/counters)))
test_full
test_sums
test_text
test_options
work drop
rmmod kpylab
rmmod kpymalloc
finish
