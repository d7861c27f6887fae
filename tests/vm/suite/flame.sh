# SPDX-License-Identifier: GPL-2.0
# flame.sh: kpy flame's totals against the module's counters, its drawing against XML's rules.
# needs: build/tests/wr build/tests/short.trace
# group: tracing
# kernels: 6.12 6.1
. ./lib.sh

flame() { kpy flame "$@" sh /tmp/work > /tmp/folded 2> /tmp/status; }

# inner: the innermost function of each stack and its value
inner() { sed 's/.*;//' /tmp/folded | sort; }

total() { awk '{ n += $NF } END { print n + 0 }' /tmp/folded; }

# xml FILE: every tag is closed in its order, every & begins an entity
xml() {
	sed 's/</\n</g; s/>/>\n/g' "$1" | awk '
		/^<[?]/ || /^$/ { next }
		/^<\// { if (open[n] != substr($0, 3, length - 3) || !n--) bad = 1; next }
		/^</ { if (gsub(/"/, "&") % 2 || !/>$/) bad = 1 }
		/^<.*\/>$/ { next }
		/^</ { name = substr($1, 2); sub(/>$/, "", name); open[++n] = name; tags++; next }
		{ gsub(/&(amp|lt|gt|quot);/, ""); if (/[&<>"]/) bad = 1 }
		END { print (bad || n || !tags) ? "broken" : "ok" }'
}

test_workload() {
	script 'alloc a 100 64' 'scatter b 100 64 2' 'alloc c 10 1000' 'free a 30'
	holds "flame" flame -H h
	is "bytes, also of what has been freed" "$(inner)" "kpylab_filler 3200
kpylab_site_a 6400
kpylab_site_b 3200
kpylab_site_c 10000"
	is "  outermost first" "$(sed -n 's/.*;\(control_write;do_alloc;lab_work_alloc;kpylab_site_a\) 6400/\1/p' /tmp/folded)" \
		"control_write;do_alloc;lab_work_alloc;kpylab_site_a"
	work drop 'heap h'
	flame --count
	is "--count" "$(inner)" "kpylab_filler 50
kpylab_site_a 100
kpylab_site_b 50
kpylab_site_c 10"
	work drop 'heap h'
	flame --live
	is "--live" "$(inner)" "kpylab_site_a 4480
kpylab_site_b 3200
kpylab_site_c 10000"
	work drop 'heap h'
	flame --live --count -s -z 65
	is "--live --count -s, the large ones" "$(cat /tmp/folded)" "kpylab_site_c 10"
	work drop 'heap h'
	flame -j -s -C 3
	is "--json" "$(sed 's/+0x[0-9a-f]*//' /tmp/folded | sort)" \
'{"bytes":3200,"blocks":50,"frames":["kpylab_filler [kpylab]"]}
{"bytes":3200,"blocks":50,"frames":["kpylab_site_b [kpylab]"]}
{"bytes":6400,"blocks":100,"frames":["kpylab_site_a [kpylab]"]}'
	work drop
}

# A replay and a churn at once
test_totals() {
	local before after

	work 'heap h'
	load short.trace
	must $L/control 'backend kpymalloc:h'
	cat > /tmp/work <<-E
	echo 'churn 20000 1' > $W/control &
	echo run > $L/control
	wait
	E
	before=$(($(value allocs $H/counters) + $(value large_allocs $H/counters)))
	flame --count
	after=$(($(value allocs $H/counters) + $(value large_allocs $H/counters)))
	is "as many blocks as the module counts" "$(total)" $((after - before))
	holds "  some" [ "$(total)" -gt 10000 ]
	is "  nothing was lost" "$(grep -v '^tracing' /tmp/status)" ""
	must $L/control rewind
	flame --live
	is "--live: bytes as the replay has them" "$(total)" "$(value live_requested_all $L/status)"
	must $L/control rewind
	must $L/control 'backend kmalloc'
	work drop
}

test_svg() {
	work 'heap h'
	script 'alloc a 100 64' 'scatter b 100 64 2' 'alloc c 10 1000'
	holds "flame --svg" flame --svg /tmp/a.svg -H h
	is "  prints nothing" "$(cat /tmp/folded)" ""
	is "  is well-formed" "$(xml /tmp/a.svg)" ok
	is "  names, numbers and parts" "$(sed -n 's/.*<title>\(kpylab[^<]*\)<.*/\1/p' /tmp/a.svg)" \
"kpylab_site_a (6,400 bytes, 28.07%)
kpylab_site_c (10,000 bytes, 43.86%)
kpylab_filler (3,200 bytes, 14.04%)
kpylab_site_b (3,200 bytes, 14.04%)"
	is "  as wide as that" "$(sed -n 's/.*>kpylab.*<rect x="\([0-9.]*\)".* width="\([0-9.]*\)".*/\1+\2/p' /tmp/a.svg | xargs)" \
		"10.0+331.2 341.2+517.5 858.8+165.6 1024.4+165.6"
	work drop 'heap h'
	flame --svg /tmp/b.svg -H h
	is "  the same again" "$(cmp /tmp/a.svg /tmp/b.svg && echo same)" same
	work drop
	echo true > /tmp/work
	flame --svg /tmp/none.svg
	is "  of nothing" "$(xml /tmp/none.svg) $(grep -c '<title>' /tmp/none.svg)" "ok 0"
	is "  to nowhere" "$(kpy flame --svg /nowhere/a.svg -- true 2>&1 | grep -v ^tracing)" \
		"kpy: /nowhere/a.svg: No such file or directory"
	for broken in '<a><b></a></b>' '<a>' '<a>&</a>' '<a b="></a>' ''; do
		echo "$broken" > /tmp/broken
		[ "$(xml /tmp/broken)" = broken ] || not_ok "the test of well-formedness" "takes $broken"
	done
}

test_refusals() {
	is "-i, -T, --json --svg" "$(for o in '-i 1' -T '-j --svg x'; do kpy flame $o true 2>&1 | head -1; done)" \
"kpy flame: there is one report, at the end: -d says when
kpy flame: folded stacks have no room for the time of day
kpy flame: give --json or --svg"
}

insmod kpymalloc.ko
insmod kpylab.ko
start
test_workload
test_totals
test_svg
test_refusals
end
rmmod kpylab
is "the module goes: nothing is attached" "$(rmmod kpymalloc 2>&1)" ""
finish
