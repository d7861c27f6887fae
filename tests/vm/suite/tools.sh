# SPDX-License-Identifier: GPL-2.0
# tools.sh: how the tracing tools behave where something is missing or ends: the
# right exit status, one clear message, nothing left behind.
# needs: build/tests/wr build/tests/jsonl build/tests/tty build/tests/nobtf
# group: tracing
# kernels: 6.12 6.1
. ./lib.sh

TOOLS="check hist rate leak pin trace flame"
ALL="$TOOLS hist_waste hist_latency hist_life trace_--pools trace_--arenas flame_--live"

# words TOOL: its command line
words() { echo "kpy $1" | tr _ ' '; }

# What BPF has at work.
at_work() { echo "$(bpftool prog show | grep -c '^[0-9]') $(bpftool link show | grep -c '^[0-9]')"; }

# It ends a little after whoever held it.
nothing_left() {
	for i in 1 2 3 4 5 6 7 8 9 10; do
		[ "$(at_work)" != "$before" ] || break
		sleep 0.5
	done
	is "$1: nothing is left at work" "$(at_work)" "$before"
	is "$1: the kernel has nothing to say" "$(logged)" ""
}

# one TOOL COMMAND...: what it prints is in TOOL.shown and TOOL.said, its status in TOOL.status
one() {
	local tool=$1
	shift
	"$@" > $tool.shown 2> $tool.said
	echo $? > $tool.status
}

# together TOOLS ARG...: all at once, in the background; see ended
together() {
	local tools="$1" tool
	shift
	pids=
	for tool in $tools; do
		: > $tool.said		# the last one's words are not this one's
		one $tool $(words $tool) "$@" &
		pids="$pids $!"
	done
}

ended() { wait $pids; }

# All of them have attached their programs, and some time to begin with their work.
attached() {
	for tool in $TOOLS; do
		for i in $(seq 100); do
			! grep -q '^tracing kpymalloc by' $tool.said || break
			sleep 0.1
		done
	done
	sleep 1
}

# refused TOOL MESSAGE: by one line, and no more
refused() { is "$(words $1)" "$(cat $1.status) $(wc -c < $1.shown) $(cat $1.said)" "2 0 $2"; }

# What a tool says besides that it is tracing, and what that has to do with the load.
remarks() { sed '/^tracing kpymalloc by /d; /^[0-9,]* events,\{0,1\} [0-9,]* *dropped/d; /before tracing began/d' $1.said; }

# The load: until `busy' is gone.
busy() {
	touch busy
	while [ -e busy ]; do
		printf 'churn 100 7' > $W/control
		printf 'alloc a 100 100' > $W/control
		printf 'free a 50' > $W/control
		sleep 0.2
	done 2>/dev/null &
}

idle() {
	rm -f busy
	wait
	work drop
	work "heap h"
}

test_no_module() {
	echo "# no module"
	for tool in $ALL; do
		one $tool $(words $tool)
		refused $tool "kpy: kpymalloc is not loaded, try: insmod kpymalloc.ko"
	done
}

test_unknown_heap() {
	echo "# no such heap"
	for tool in $ALL; do
		one $tool $(words $tool) -H nosuch
		refused $tool "kpy: nosuch: there is no such heap, see: kpy heap list"
	done
}

test_user() {
	echo "# not root"
	chmod 700 /sys/kernel/debug	# another suite may have opened it
	echo 'nobody:x:65534:65534::/:/bin/sh' > /etc/passwd
	for tool in $ALL; do
		one $tool su nobody -c "$(words $tool) -d 1"
		case $tool in
		hist_waste|hist_life) refused $tool "kpy: /sys/kernel/debug/kpymalloc/heaps: Permission denied, run kpy as root" ;;
		*) refused $tool "kpy: cannot load the programs: Operation not permitted, run kpy as root" ;;
		esac
	done
	rm /etc/passwd
	nothing_left "not root"
}

# What needs nothing from there works all the same.
test_no_debugfs() {
	echo "# no debugfs"
	umount /sys/kernel/debug
	for tool in $ALL; do
		one $tool $(words $tool) -d 0.1
		case $tool in
		trace|trace_--pools|hist|hist_latency|rate|flame) is "$(words $tool)" "$(cat $tool.status) $(remarks $tool)" "0 " ;;
		*) is "$(words $tool)" "$(cat $tool.status) $(wc -c < $tool.shown) $(remarks $tool)" \
			"2 0 kpy: debugfs is not mounted, try: mount -t debugfs debugfs /sys/kernel/debug" ;;
		esac
	done
	mount -t debugfs debugfs /sys/kernel/debug
	nothing_left "no debugfs"
}

test_heap_ends() {
	echo "# the heap is destroyed"
	must $K/create 'short arena=64K pool=4K'
	together "$TOOLS" -H short
	attached
	must $K/destroy short
	ended
	for tool in $TOOLS; do
		is "$(words $tool)" "$(cat $tool.status) $(remarks $tool)" "0 kpy: short: the heap is gone"
	done
	nothing_left "the heap is destroyed"
}

test_module_stays() {
	echo "# rmmod meanwhile"
	rmmod kpylab
	together "$TOOLS" -d 4
	attached
	is "rmmod" "$(rmmod kpymalloc 2>&1)" "rmmod: can't unload module 'kpymalloc': Resource temporarily unavailable"
	insmod kpylab.ko
	work "heap h"
	work "churn 1000 7"
	ended
	for tool in $TOOLS; do
		is "$(words $tool)" "$(cat $tool.status) $(remarks $tool)" "0 "
	done
	nothing_left "rmmod meanwhile"
}

# terminal ^C|close: all of them on terminals of their own
terminal() {
	rm -f now *.said
	pids=
	busy
	for tool in $TOOLS; do
		(./tty "$1" now sh -c "exec $(words $tool) 2> $tool.said" > $tool.shown; echo $? > $tool.status) &
		pids="$pids $!"
	done
	attached 2>/dev/null
	touch now
	ended
	idle
}

test_interrupt() {
	echo "# ^C"
	terminal '^C'
	for tool in $TOOLS; do
		is "$(words $tool)" "$(cat $tool.status) $(($(wc -c < $tool.shown) > 2)) $(remarks $tool)" "0 1 "
	done
	is "rate clears the screen" "$(head -c 6 rate.shown)" "$(printf '\033[H\033[J')"
	nothing_left '^C'
}

test_hangup() {
	echo "# the terminal is closed"
	terminal close
	for tool in $TOOLS; do
		is "$(words $tool)" "$(cat $tool.status) $(remarks $tool | sed 's/: Input.*//')" "2 kpy: cannot write the output"
	done
	nothing_left "the terminal is closed"
}

# piped NAME TOOL ARG...: the reader has had enough after a line
piped() {
	local name=$1 tool=$2
	shift 2
	(sh -c "exec $(words $tool) $* 2> $name.said"; echo $? > $name.status) | head -n 1 > $name.shown &
	pids="$pids $!"
}

test_pipe() {
	echo "# a closed pipe"
	pids=
	busy
	for tool in check hist rate leak pin; do
		piped $tool $tool -i 0.2
		piped $tool.json $tool -i 0.2 -j
	done
	piped trace trace
	piped trace.json trace -j
	ended
	for tool in check hist rate leak pin trace; do
		is "$(words $tool)" "$(cat $tool.status) $(remarks $tool)" "141 "
		is "$(words $tool) -j" "$(cat $tool.json.status) $(remarks $tool.json)" "141 "
	done
	idle
	nothing_left "a closed pipe"
}

# Every line of --json is one.
test_json() {
	echo "# $1"
	busy
	together "$ALL" -j -d 2
	ended
	idle
	for tool in $ALL; do
		is "$(words $tool) -j" "$(cat $tool.status) $(remarks $tool) $(($(./jsonl < $tool.shown) > 0))" "0  1"
	done
	is "check: equal, nothing lost" "$(tail -n 1 check.shown | ./jsonl /equal /lost)" "true 0"
	is "hist latency: all was timed" "$(tail -n 1 hist_latency.shown | ./jsonl /lost /not_timed)" "0 0"
	is "rate: nothing lost" "$(tail -n 1 rate.shown | ./jsonl /lost)" 0
	nothing_left "$1"
}

test_no_btf() {
	rmmod kpylab
	rmmod kpymalloc
	insmod nobtf/$(uname -r | cut -d. -f1,2)/kpymalloc.ko
	insmod kpylab.ko
	is "the module has no BTF" "$(ls /sys/kernel/btf/kpymalloc 2>&1 | grep -c 'No such')" 1
	logged > /dev/null
	rm -f *.said
	must $K/create 'h arena=64K pool=4K'
	work "heap h"
	test_json "a module without BTF"
	is "they say so" "$(cat *.said | sed -n 's/, [0-9]* programs.*//p' | sort -u)" "tracing kpymalloc by raw_tp (the module has no BTF)"
	kpy hist latency -j -- sh -c "printf 'alloc a 14 512' > $W/control; printf 'realloc a 500' > $W/control; printf 'free a' > $W/control" > shown 2> said
	is "calls are timed by probes" "$(./jsonl /paths/all/calls /paths/new_pool/calls < shown | xargs)" "14 2 14 0 14 0 - -"
}

rm -f /etc/passwd
before=$(at_work)
test_no_module
insmod kpymalloc.ko
insmod kpylab.ko
must $K/create 'h arena=64K pool=4K'
work "heap h"
logged > /dev/null
test_unknown_heap
test_user
test_no_debugfs
test_heap_ends
test_module_stays
test_interrupt
test_hangup
test_pipe
test_json "JSON"
work drop
test_no_btf
work drop
rmmod kpylab
rmmod kpymalloc
finish
