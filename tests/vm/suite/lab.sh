# SPDX-License-Identifier: GPL-2.0
# lab.sh: every file and command of kpylab, every kind of bad trace, and its end in each state.
# needs: build/tests/wr build/tests/churn.trace build/tests/short.trace build/tests/lab
# kernels: 6.12 6.1 rt debug
. ./lib.sh

# status KEY...: their values on a line
status() { values $L/status "$@"; }

# refused NAME GOT ERRNO REASON: that errno, that line in `error`
refused() {
	line $L/error
	is "$1" "$2: $line" "$3: $4"
}

# rejects ERRNO COMMAND REASON: the command, as for printf, fails and changes nothing
rejects() {
	local before="$(cat $L/status)"

	try "$2" $L/control
	refused "control '$2'" "$answer" "$1" "$3"
	is "  nothing has changed" "$(cat $L/status)" "$before"
}

# takes COMMAND STATE: the command, as for printf, is done
takes() {
	try "$1" $L/control
	line $L/error
	is "control '$1'" "$answer $line" "OK "
	is "  state" "$(status state)" "$2"
}

# replay TRACE BACKEND: all of it, verified
replay() {
	load $1
	must $L/control "backend $2"
	must $L/control "fill on"
	must $L/control run
}

test_tree() {
	is "files" "$(cd $L && find . -type f | sort | xargs)" "./control ./error ./load ./status"
	is "readers are for root alone" "$(stat -c '%a %u:%g' $L/status $L/error | sort -u)" "400 0:0"
	is "writers are for root alone" "$(stat -c '%a %u:%g' $L/load $L/control | sort -u)" "200 0:0"
	is "status has all its keys" "$(awk '{ print $1 }' $L/status | xargs)" "state backend fill\
 cpus cpus_every ops_total ops_done ns live_blocks live_requested_small live_requested_all peak_requested\
 peak_pages placement_digest placement_digest_serial alloc_failures fill_errors"
	is "status at first" "$(awk '{ print $2 }' $L/status | xargs)" \
		"empty kmalloc off 1 1 0 0 0 0 0 0 0 0 0000000000000000 0000000000000000 0 0"
	is "no error at first" "$(cat $L/error)" ""
}

test_access() {
	local file

	for file in load control; do
		is "$file: without CAP_SYS_ADMIN" "$(echo drop | ./wr -c $L/$file)" "open EPERM"
		is "$file: not root" "$(echo drop | ./wr -u 1000 $L/$file)" "open EACCES"
		is "$file: at an offset" "$(echo drop | ./wr -o 7 $L/$file)" ESPIPE
		is "$file: from nowhere" "$(echo drop | ./wr -b $L/$file)" EFAULT
		is "$file: read" "$(./wr -r $L/$file)" EINVAL
	done
	for file in status error; do
		is "$file: not root" "$(./wr -r -u 1000 $L/$file)" "open EACCES"
		is "$file: written" "$(echo drop | ./wr $L/$file)" EINVAL
	done
	must $L/control drop
}

test_commands() {
	local text

	rejects EINVAL '' "control: unknown command ''"
	rejects EINVAL ' ' "control: unknown command ''"
	rejects EINVAL Run "control: unknown command 'Run'"
	rejects EINVAL runs "control: unknown command 'runs'"
	rejects EINVAL 'drop it' "control: unknown command 'drop it'"
	rejects EINVAL 'rewind 0' "control: unknown command 'rewind 0'"
	rejects EINVAL backend "control: unknown command 'backend'"
	rejects EINVAL fill "control: unknown command 'fill'"
	rejects EINVAL 'fill maybe' "fill: 'maybe' is neither on nor off"
	for text in 2 '2 x' '-1 9' '2 9 9' 'two 9'; do
		rejects EINVAL "cpus $text" "usage: cpus COUNT EVERY"
	done
	rejects ERANGE 'cpus 0 9' "cpus: 0, give 1 to 2"
	rejects ERANGE 'cpus 3 9' "cpus: 3, give 1 to 2"
	rejects ERANGE 'cpus 2 0' "cpus: every 0 ops, give 1 to 1024"
	rejects ERANGE 'cpus 2 1025' "cpus: every 1025 ops, give 1 to 1024"
	rejects EINVAL 'run\nrun' "control: unknown command 'run\\nrun'"
	rejects EINVAL '\033[m\001%%s' "control: unknown command '\\e[m\\001%s'"
	for text in -1 -18446744073709551616 +1 0x10 1e3 '1 2' 5000M; do
		rejects EINVAL "run $text" "run: '$text' is not a number of ops"
	done
	rejects ERANGE 'run 18446744073709551616' "run: '18446744073709551616' is not a number of ops"
	rejects EINVAL 'backend slab' "backend: unknown allocator 'slab'"
	rejects EINVAL 'backend kpymalloc' "backend: unknown allocator 'kpymalloc'"
	rejects ENOENT 'backend kpymalloc:' "backend: no heap ''"
	rejects ENOENT 'backend kpymalloc:nope' "backend: no heap 'nope'"
	rejects EINVAL 'drop\000' "control: a NUL byte in the command"
	rejects EINVAL 'drop\000it' "control: a NUL byte in the command"
	refused "129 bytes" "$(printf drop | ./wr -l 129 $L/control)" E2BIG "control: 129 bytes, at most 128"
	refused "64 MiB" "$(printf drop | ./wr -l 67108864 $L/control)" E2BIG "control: 67108864 bytes, at most 128"
	is "128 bytes" "$(printf drop | ./wr -l 128 $L/control)" OK
}

test_without_trace() {
	rejects ENODATA run "no trace is loaded"
	rejects ENODATA 'run 0' "no trace is loaded"
	rejects ENODATA rewind "no trace is loaded"
	takes drop empty
	takes 'fill on' empty
	takes 'backend kpymalloc:h' empty
	is "a heap in use stays" "$(put $K/destroy h)" EBUSY
	takes 'backend kmalloc' empty
	is "a heap left goes" "$(put $K/destroy h)" OK
	must $K/create 'h preset=cpython-3.10'
	takes ' \tfill   off \n\n' empty
}

test_bad_traces() {
	local name errno reason

	while read -r name errno reason; do
		load lab/mixed.trace
		refused "trace $name" "$(./wr $L/load < lab/$name.trace)" "$errno" "$reason"
		is "  nothing is left" "$(status state ops_total)" "empty 0"
	done < lab/refused
	exec 5> $L/load
	cat lab/crc.trace >&5 2> /dev/null
	is "  nothing more is taken after that" "$(./wr -d 5 < lab/mixed.trace)" EINVAL
	exec 5>&-
}

# cut BYTES WHERE: a trace that ends too early
cut() {
	head -c "$1" churn.trace > $L/load
	rejects ENODATA run "truncated: $2 bytes"
	rejects ENODATA rewind "truncated: $2 bytes"
	is "  state" "$(status state)" loading
}

test_truncated() {
	local bytes=$(($(stat -c %s churn.trace) - 64))

	cut 0 "0 of 64 header"
	cut 63 "63 of 64 header"
	cut 64 "0 of $bytes stream"
	cut 70000 "69936 of $bytes stream"
	cut $((bytes + 63)) "$((bytes - 1)) of $bytes stream"
	takes drop empty
	dd if=churn.trace of=$L/load bs=13 2>/dev/null
	is "a trace in pieces of 13 bytes" "$(status state ops_total)" "ready 60000"
}

test_loader() {
	exec 5> $L/load
	is "open for loading" "$(status state)" loading
	is "  a second loader" "$(./wr $L/load < lab/mixed.trace)" "open EBUSY"
	rejects EBUSY drop "control: a trace is being loaded"
	cat lab/mixed.trace >&5
	is "  loaded" "$(status state ops_total)" "ready 7"
	rejects EBUSY run "control: a trace is being loaded"
	is "  a byte too many" "$(printf x | ./wr -d 5 2>&1 >&1)" EINVAL
	is "  frees the trace" "$(status state)" empty
	exec 5>&-
	takes drop empty
}

# small BACKEND: bytes expected in pools
test_small_traces() {
	local backend="$1" small="$2"

	replay lab/empty.trace $backend
	is "$backend: no op at all" "$(status state ops_done live_blocks)" "done 0 0"
	replay lab/mixed.trace $backend
	is "$backend: every kind of op" "$(status state ops_done live_blocks live_requested_small\
 live_requested_all peak_requested alloc_failures fill_errors)" "done 7 3 $small 324 2900 0 0"
	replay lab/huge.trace $backend
	is "$backend: sizes that nobody has" "$(status state ops_done live_blocks\
 live_requested_all alloc_failures fill_errors)" "done 7 1 100 4 0"
	takes rewind ready
	takes drop empty
	is "$backend: drop lets go" "$(status backend)" kmalloc
}

results() { status live_blocks live_requested_small live_requested_all peak_requested placement_digest placement_digest_serial; }

test_run() {
	local whole op=0

	replay churn.trace kpymalloc:h
	whole="$(results)"
	is "churn: all done" "$(status state ops_done alloc_failures fill_errors)" "done 60000 0 0"
	is "  heap is valid" "$(cat $K/heaps/h/validate)" ok
	takes run done
	is "  nothing more to do" "$(results)" "$whole"
	rejects EINVAL 'run 59999' "run: op 59999 is before the current op 60000"
	rejects EBUSY 'backend kmalloc' "backend: 60000 ops are done, rewind first"
	takes rewind ready
	is "  nothing counted" "$(status ops_done ns live_blocks live_requested_all peak_requested)" "0 0 0 0 0"
	is "  nothing left in the heap" "$(awk '/bytes in allocated/ { print $NF }' $K/heaps/h/stats)" 0
	must $L/control drop
	must $K/destroy h
	must $K/create 'h preset=cpython-3.10'
	load churn.trace
	must $L/control "backend kpymalloc:h"
	for op in 0 1 1 1023 1024 30001 60000 99999999; do must $L/control "run $op"; done
	is "  step by step the same" "$(results)" "$whole"
	is "  not beyond the end" "$(status state ops_done)" "done 60000"
	must $L/control drop
}

shared() { status live_blocks live_requested_all alloc_failures fill_errors; }

# What two CPUs do together leaves the same blocks, whole and by steps.
test_cpus() {
	local whole op

	replay $([ -n "$slow" ] && echo short || echo churn).trace kpymalloc:h
	whole="$(shared)"
	must $L/control rewind
	for every in 1024 7; do
		takes "cpus 2 $every" ready
		takes run done
		is "two CPUs, every $every: the same blocks" "$(shared)" "$whole"
		is "  heap is valid" "$(cat $K/heaps/h/validate)" ok
		takes rewind ready
		is "  nothing left in the heap" "$(awk '/bytes in allocated/ { print $NF }' $K/heaps/h/stats)" 0
		for op in 0 1 2 1023 1025 3001 60000; do must $L/control "run $op"; done
		is "  step by step the same" "$(shared)" "$whole"
		must $L/control rewind
	done
	must $L/control "backend kmalloc"
	rejects EINVAL run "run: several CPUs need a heap, not kmalloc"
	is "  no thread is left" "$(ps | grep '[[]kpylab')" ""
	takes 'cpus 1 1' ready
	must $L/control "backend kpymalloc:h"
	must $L/control drop
}

test_long_run() {
	local done

	load lab/long.trace
	must $L/control "fill on"
	printf run | timeout -s INT 1 ./wr $L/control
	done=$(status ops_done)
	is "^C stops a run" "$(status state)" ready
	is "  and says so" "$(cat $L/error)" "interrupted before op $done"
	takes "run $((done + 10))" ready
	is "  which can go on" "$(status ops_done fill_errors)" "$((done + 10)) 0"

	printf run | ./wr $L/control > /tmp/run &
	while [ "$(status state)" != running ]; do :; done
	done=$(status ops_done)
	while [ "$(status ops_done)" = "$done" ]; do :; done
	ok "status moves during a run"
	is "  control is busy" "$(put $L/control drop)" EBUSY
	is "  load is busy" "$(./wr $L/load < lab/mixed.trace)" "open EBUSY"
	is "  still running" "$(status state)" running
	holds "  the module is held" sh -c '! rmmod kpylab 2>/dev/null'
	kill $(pidof wr)
	wait
	is "  stopped by another signal" "$(status state)" ready
	takes drop empty
}

free_kb() { awk '/MemFree/ { print $2 }' /proc/meminfo; }

# 32 MB of traces; a load may cost 600 KB at most, a leak would be 1600. Where kmemleak
# looks, when the guest ends, the loads of the other tests will do.
load_20() { for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do load lab/long.trace; done; }

test_memory() {
	local before

	load_20		# the page allocator's own caches fill up
	before=$(free_kb)
	load_20; load_20; load_20
	holds "60 loads leak no trace" [ $(free_kb) -gt $((before - 36000)) ]
}

# goes STATE: both modules can be unloaded in it
goes() {
	is "state before unload" "$(status state)" "$1"
	holds "unload when $1" rmmod kpylab
	is "  heap is let go" "$(put $K/destroy h)" OK
	holds "  load again" insmod kpylab.ko
	must $K/create 'h preset=cpython-3.10'
	must $L/control "backend kpymalloc:h"
	must $L/control "fill on"
}

test_unload() {
	must $L/control drop
	must $L/control "backend kpymalloc:h"
	goes empty
	head -c 70000 churn.trace > $L/load
	goes loading
	load churn.trace
	goes ready
	load churn.trace
	must $L/control "run 20000"
	goes ready
	load churn.trace
	must $L/control run
	goes done
	rmmod kpylab
	holds "and the allocator after it" rmmod kpymalloc
}

insmod kpymalloc.ko
insmod kpylab.ko
echo 1 > /proc/sys/kernel/printk
chmod 755 /sys/kernel/debug
must $K/create 'h preset=cpython-3.10'
test_tree
test_access
test_commands
test_without_trace
test_bad_traces
test_truncated
test_loader
test_small_traces kmalloc 0
test_small_traces kpymalloc:h 300
test_run
test_cpus
test_long_run
[ -n "$slow" ] || test_memory
test_unload
finish
