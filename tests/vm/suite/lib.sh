# SPDX-License-Identifier: GPL-2.0
# Sourced by the suites, in the guest: one line a test, `ok NAME` or
# `not ok NAME - why`, and a plan at the end, without which a suite has not run.

K=/sys/kernel/debug/kpymalloc
L=/sys/kernel/debug/kpylab/replay
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
put() { printf '%s' "$2" | ./wr "$1"; }

# must FILE TEXT: a write that the tests rest upon
must() {
	local got="$(put "$@")"
	[ "$got" = OK ] || { echo "# '$2' to $1: $got"; cat "${1%/*}/error" 2>/dev/null; not_ok "$2" "$got"; finish; }
}

# value KEY FILE: of a `key value` line
value() { awk -v key="$1" '$1 == key { print $2 }' "$2"; }

# load TRACE: into kpylab
load() { cat "$1" > "$L/load" || { not_ok "load $1" "$(cat "$L/error")"; finish; }; }

# What the kernel logged since the last time, without the time stamps.
logged() { dmesg -c | sed 's/^\[[^]]*\] //; /^hrtimer: interrupt took/d; /^clocksource: /d; /^tsc: /d'; }
