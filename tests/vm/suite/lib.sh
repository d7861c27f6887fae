# SPDX-License-Identifier: GPL-2.0
# Sourced by the suites, in the guest: one line a test, `ok NAME` or
# `not ok NAME - why`, and a plan at the end, without which a suite has not run.
#
# A process costs the debug kernel some 50 ms: what the shell can do itself, it does.

K=/sys/kernel/debug/kpymalloc
L=/sys/kernel/debug/kpylab/replay
W=/sys/kernel/debug/kpylab/work
H=$K/heaps/h
ONLINE=/sys/devices/system/cpu/cpu1/online
passed=0 failed=0
slow=$(ls /sys/kernel/debug | grep kmemleak)	# the debug kernel: some 10 times

ok() { passed=$((passed + 1)); echo "ok $1"; }
not_ok() { failed=$((failed + 1)); echo "not ok $1 - $2"; }

# is NAME GOT WANTED
is() { if [ "$2" = "$3" ]; then ok "$1"; else not_ok "$1" "got '$2', wanted '$3'"; fi; }

# holds NAME COMMAND...: the command succeeds
holds() {
	local name="$1"
	shift
	if "$@"; then ok "$name"; else not_ok "$name" "failed: $*"; fi
}

# The last line of a suite.
finish() {
	echo "1..$((passed + failed))"
	[ $failed = 0 ] && [ $passed -gt 0 ]
	exit
}

# put FILE TEXT: one write, says OK or the errno
put() { ./wr -- "$1" "$2"; }

# try TEXT WR_ARG...: TEXT, as for printf, is written; wr's answer is in $answer
try() {
	local text="$1"
	shift
	case $text in
	*[\\%]*) answer=$(printf "$text" | ./wr "$@") ;;
	*) answer=$(./wr "$@" -- "$text") ;;
	esac
}

# line FILE: its first, or only, one is in $line
line() {
	line=
	IFS= read -r line < "$1"
}

# must FILE TEXT: a write that the tests rest upon
must() {
	echo -n "$2" > "$1" || { cat "${1%/*}/error" 2>/dev/null; not_ok "$2" "no such write to $1"; finish; }
}

# value KEY FILE: of a `key value` line
value() { awk -v key="$1" '$1 == key { print $2 }' "$2"; }

# values FILE KEY...: on a line
values() {
	local file="$1"
	shift
	awk -v keys="$*" '{ value[$1] = $2 }
		END { n = split(keys, key); for (i = 1; i <= n; i++) printf "%s%s", value[key[i]], i < n ? " " : "\n" }' "$file"
}

# valid HEAP: its folder
valid() { line "$1/validate" && [ "$line" = ok ]; }

# load TRACE: into kpylab
load() { cat "$1" > "$L/load" || { not_ok "load $1" "$(cat "$L/error")"; finish; }; }

# start [RELEASE]: a heap h for the workload of kpylab, of 16 pools an arena, 7 blocks of 512
# bytes a pool: 112 blocks an arena
start() {
	must $K/create "h arena=64K pool=4K release=${1:-always}"
	work "heap h"
}

end() {
	work drop
	must $K/destroy h
}

# work COMMAND...: of kpylab's workload
work() { for command; do must $W/control "$command"; done; }

# on CPU COMMAND: of the workload
on() { taskset $((1 << $1)) sh -c "echo '$2' > $W/control"; }

# run_to OP: also if memory is short now and then
run_to() {
	local tries=0

	until printf "run $1" | ./wr $L/control | grep -q OK; do
		tries=$((tries + 1))
		case $(cat $L/error) in
		"memory is low"*) [ $tries -lt 600 ] || { not_ok "run $1" "memory stays low"; finish; } ;;
		*) not_ok "run $1" "$(cat $L/error)"; finish ;;
		esac
		sleep 0.1
	done
}

# class_lines STATS: class, size, pools, blocks in use, blocks available
class_lines() { grep -E '^ *[0-9]+ +[0-9]+ +[0-9]+ +[0-9]+ +[0-9]+$' $1; }

# used: small blocks in use, as the file stats here has it
used() { class_lines stats | awk '{ n += $4 } END { print n + 0 }'; }

# arenas: how many h has
arenas() { sed -n 's/.* \([0-9]*\) arenas, .*/\1/p' $H/arenas; }

# Until the file stop is there: a processor that comes and goes; readers of all that a heap shows.
cpus_come_and_go() {
	while [ ! -e stop ]; do
		echo 0 > $ONLINE && echo gone >> did
		sleep 0.2
		echo 1 > $ONLINE
		sleep 0.3
	done
}

readers() {
	while [ ! -e stop ]; do
		cat $H/* > /dev/null 2>&1
		[ "$(cat $H/validate)" = ok ] || echo "# $(cat $H/validate)"
		awk '{ n[$1] = $2 } END { if (n["frees"] > n["allocs"]) print "# more frees than allocs" }' \
			$H/counters
	done
}

# meanwhile COMMAND...: the commands, until a test is over
meanwhile() {
	rm -f stop did
	for command; do $command & done
}

over() {
	touch stop
	wait
	echo 1 > $ONLINE
}

# script COMMAND...: /tmp/work has them done, to be run under kpy
script() {
	for command; do echo "echo '$command' > $W/control || exit 9"; done > /tmp/work
}

# under TOOL ARG... -- COMMAND...: of the workload, while kpy looks on; it printed `shown' and
# said `said'. Who calls that needs the file do.
under() {
	local args=
	while [ "$1" != -- ]; do args="$args $1"; shift; done
	shift
	kpy $args -- sh do "$@" > shown 2> said
}

# counters KEY...: of heap h, on a line
counters() { values $H/counters "$@"; }

# last POINTER...: of the last object that was printed
last() { tail -n 1 shown | ./jsonl "$@"; }

# bad_usage "TOOL ARG..." MESSAGE
bad_usage() {
	is "kpy $1" "$(kpy $1 2>&1 > /dev/null | head -n 1); $(kpy $1 > /dev/null 2>&1; echo $?)" \
		"kpy ${1%% *}: $2; 2"
}

# unload: both modules; BPF lets go of them a little after whoever had it at work
unload() {
	rmmod kpylab
	while ! rmmod kpymalloc 2> /dev/null; do sleep 0.2; done
}

# What the kernel logged since the last time, without the time stamps.
logged() { dmesg -c | sed 's/^\[[^]]*\] //; /^hrtimer: interrupt took/d; /^clocksource: /d; /^tsc: /d'; }

# settles NAME WANTED COMMAND...: what it prints becomes true within some seconds
settles() {
	local name="$1" wanted="$2" got i=0
	shift 2
	while got=$("$@"); [ "$got" != "$wanted" ] && [ $i -lt 100 ]; do sleep 0.1; i=$((i + 1)); done
	is "$name" "$got" "$wanted"
}

# What caches keep that nobody needs goes.
empty_caches() {
	local shrink

	echo 3 > /proc/sys/vm/drop_caches
	for shrink in /sys/kernel/slab/*/shrink; do echo 1 > $shrink; done 2>/dev/null
	sleep 0.2
}

# known_pages: those that are free, on the lists of CPUs too, and those that the kernel has for
# its own objects, files, processes and page tables. All else a module may have: pages,
# blocks of kmalloc(), areas of vmalloc(). It wavers by some thirty; the median of three looks.
known_pages() {
	local look

	for look in 1 2 3; do
		empty_caches
		echo 1 > /proc/sys/vm/stat_refresh
		cat /proc/zoneinfo /proc/slabinfo /proc/vmstat /proc/meminfo > /tmp/known
		awk '$1 == "pages" { n += $3 }
			$1 == "count:" { n += $2 }
			/ : slabdata / && $1 !~ /^(kmalloc-|kpy_)/ { n += $6 * $15 }
			/^nr_(file|anon|page_table)_pages / { n += $2 }
			$1 == "KernelStack:" { n += $2 / 4 }
			$1 == "DirectMap4k:" { n += $2 / 2048 }		# a page table for 2 MiB
			END { print n }' /tmp/known
	done | sort -n | sed -n 2p
}
