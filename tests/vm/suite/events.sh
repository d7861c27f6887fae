# SPDX-License-Identifier: GPL-2.0
# events.sh: the trace events of system kpymalloc against the module's counters.
# needs: build/tests/wr build/tests/short.trace
# kernels: 6.12 6.1 rt debug
#
# Each event gets a trace instance of its own: the statistics of its buffers then
# say how often it fired, however little of it the buffers could keep.
. ./lib.sh

T=/sys/kernel/tracing
EVENTS="kpy_alloc kpy_arena_move kpy_arena_new kpy_arena_release kpy_free
	kpy_large_alloc kpy_large_free kpy_pool_state kpy_realloc kpy_snapshot"

# switch 0|1
switch() {
	local event
	for event in $EVENTS; do
		echo "$1" > $T/instances/$event/events/kpymalloc/$event/enable
	done
}

# fired EVENT: how often, also those that were overwritten or dropped
fired() {
	cat $T/instances/$1/per_cpu/cpu*/stats |
		awk '/^(entries|overrun|dropped events):/ { n += $NF } END { print n }'
}

all_fired() { for event in $EVENTS; do fired $event; done | xargs; }

replay() {
	must $L/control "backend kpymalloc:$1"
	must $L/control "run $(($(value ops_total $L/status) / 2))"
	must $L/control run
	must $L/control rewind
	must $L/control "backend kmalloc"
}

test_there() {
	is "events" "$(ls -d $T/events/kpymalloc/*/ | awk -F/ '{ print $(NF - 1) }' | xargs)" \
		"$(echo $EVENTS)"
	is "every event can be enabled" "$(echo 1 > $T/events/kpymalloc/enable && cat $T/events/kpymalloc/enable)" 1
	echo 0 > $T/events/kpymalloc/enable
	for event in $EVENTS; do
		is "$event says which heap" "$(grep -c 'field:u32 heap;' $T/events/kpymalloc/$event/format)" 1
	done
}

test_off() {
	must $K/create 'off preset=cpython-3.8'
	replay off
	is "no event fires while it is off" "$(all_fired)" "0 0 0 0 0 0 0 0 0 0"
	must $K/destroy off
}

stats() { awk -F= -v text="$1" 'index($0, text) { gsub(/[ ,]/, "", $2); print $2; exit }' $K/heaps/on/stats; }

test_counts() {
	local c=$K/heaps/on/counters

	must $K/create 'on arena=64K pool=4K'
	switch 1
	replay on
	stats allocated > /dev/null
	cat $K/heaps/on/arenas > /dev/null
	switch 0
	is "kpy_alloc" "$(fired kpy_alloc)" "$(value allocs $c)"
	is "kpy_free" "$(fired kpy_free)" "$(value frees $c)"
	is "kpy_realloc" "$(fired kpy_realloc)" "$(value reallocs $c)"
	is "kpy_large_alloc" "$(fired kpy_large_alloc)" "$(value large_allocs $c)"
	is "kpy_large_free" "$(fired kpy_large_free)" "$(value large_frees $c)"
	is "kpy_arena_new" "$(fired kpy_arena_new)" "$(stats 'arenas allocated total')"
	is "kpy_arena_release" "$(fired kpy_arena_release)" "$(stats 'arenas reclaimed')"
	is "kpy_snapshot, two of them by kpylab" "$(fired kpy_snapshot)" 4
	is "new arenas less released ones" "$(($(fired kpy_arena_new) - $(fired kpy_arena_release)))" \
		"$(stats 'allocated current')"
	for event in $EVENTS; do
		is "$event did fire" "$(($(fired $event) > 0))" 1
	done
	must $K/destroy on
}

# Replays the events of one heap against a model of what they say, in their order.
model() {
	awk '
	function field(name,   i) {
		for (i = 1; i <= NF; i++)
			if (index($i, name "=") == 1)
				return substr($i, length(name) + 2)
	}
	function wrong(why) { if (!bad++) print why ": " $0 }
	{ slot = field("arena"); pool = field("pool") }
	/ kpy_arena_new: / {
		if (slot in nfree) wrong("a slot in use")
		if (field("serial") != serials++) wrong("serial")
		nfree[slot] = pools; arenas++
	}
	/ kpy_arena_release: / {
		if (nfree[slot] != pools) wrong("not wholly free")
		delete nfree[slot]; arenas--
	}
	/ kpy_arena_move: / {
		split(field("nfree"), n, "->")
		if (nfree[slot] != n[1] || (n[2] != n[1] + 1 && n[2] != n[1] - 1)) wrong("nfree")
		nfree[slot] = n[2]
		if (field("behind") >= 0 && nfree[field("behind")] > n[2]) wrong("behind an emptier one")
	}
	/ kpy_pool_state: / {
		split($NF, s, "->")
		if ((pool in state ? state[pool] : "empty") != s[1]) wrong("state")
		if (index(" empty->used used->full full->used used->empty ", " " $NF " ") == 0) wrong("step")
		if (s[1] != "empty" && class[pool] != field("class")) wrong("class")
		state[pool] = s[2]; class[pool] = field("class")
	}
	/ kpy_alloc: / {
		if (live[field("ptr")]++) wrong("handed out twice")
		if (state[pool] == "empty" || class[pool] != field("class")) wrong("pool")
	}
	/ kpy_free: / { if (--live[field("ptr")]) wrong("not live") }
	/ kpy_large_alloc: / { if (large[field("ptr")]++) wrong("handed out twice") }
	/ kpy_large_free: / { if (--large[field("ptr")]) wrong("not live") }
	/ kpy_/ { events++ }
	END {
		for (p in state) if (state[p] != "empty") wrong("not empty at the end")
		for (p in live) if (live[p]) wrong("live at the end")
		for (p in large) if (large[p]) wrong("large and live at the end")
		print bad + 0, events, arenas
	}' pools="$1" -
}

test_order() {
	must $K/create 'order arena=64K pool=4K'
	echo 1 > $T/events/kpymalloc/enable
	must $L/control "backend kpymalloc:order"
	must $L/control run
	must $L/control rewind
	must $L/control "backend kmalloc"
	echo 0 > $T/events/kpymalloc/enable
	is "no event of it was lost" "$(cat $T/per_cpu/cpu*/stats | awk '/^(overrun|dropped events):/ { n += $NF } END { print n }')" 0
	is "they tell of one course of events" "$(model 16 < $T/trace)" \
		"0 $(cat $T/per_cpu/cpu*/stats | awk '/^entries:/ { n += $NF } END { print n }') 1"
	must $K/destroy order
}

# On purpose the last: a module whose events are on cannot go.
test_unload() {
	rmmod kpylab
	rmmod kpymalloc
	is "they go with the module" "$(ls -d $T/events/kpymalloc 2>&1 | grep -c 'No such')" 1
}

insmod kpymalloc.ko
insmod kpylab.ko
load short.trace
test_there
for event in $EVENTS; do
	mkdir $T/instances/$event
	echo 64 > $T/instances/$event/buffer_size_kb
done
echo 16384 > $T/buffer_size_kb
echo counter > $T/trace_clock
test_off
test_counts
test_order
rmdir $T/instances/*
test_unload
finish
