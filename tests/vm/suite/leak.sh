# SPDX-License-Identifier: GPL-2.0
# leak.sh: kpy leak against workloads whose leaks are known to the byte.
# needs: build/tests/wr build/tests/short.trace
# group: tracing
# kernels: 6.12 6.1
. ./lib.sh

# leak OPTION...: under the script; the report's file
leak() { kpy leak "$@" sh /tmp/work > /tmp/report 2> /tmp/status; }

# stacks: BYTES COUNT FUNCTION of each stack of the last report, FUNCTION the innermost
stacks() {
	awk '/Top [0-9]* of/ { rows = "" }
		/allocations from stack/ { n = $1 " " $4; getline; sub(/\+.*/, "", $1); rows = rows n " " $1 "\n" }
		END { printf "%s", rows }' /tmp/report
}

in_all() { sed -n 's/ bytes in \([0-9]*\) allocations in all/ \1/p' /tmp/report; }

test_known() {
	start
	script 'alloc a 100 64' 'alloc b 50 100' 'alloc c 10 1000' 'alloc d 20 40' 'free a 30' 'free d'
	holds "leak -H" leak -H h
	is "  functions, counts and bytes" "$(stacks)" "10000 10 kpylab_site_c
5000 50 kpylab_site_b
4480 70 kpylab_site_a"
	is "  in all" "$(in_all)" "19480 130"
	is "  the whole stack" "$(sed -n '/kpylab_site_a/,/^[^\t]/s/^\t\t\([a-z_]*\)+.*/\1/p' /tmp/report | head -4 | xargs)" \
		"kpylab_site_a lab_work_alloc do_alloc control_write"
	is "  nothing was there before" "$(grep -c 'before tracing' /tmp/report)" 0
	work 'free c'
	holds "leak, call sites" leak -s --top 1
	is "  the first of them" "$(grep -v '^h: ' /tmp/report | sed 's/, the.*//; s/+0x.*\[/ [/')" "Top 1 of 3 stacks with outstanding allocations:
	10000 bytes in 10 allocations from stack
		kpylab_site_c [kpylab]
21400 bytes in 160 allocations in all"
	is "  what was there before" "$(sed -n 's/^h: //p' /tmp/report)" \
		"120 blocks, 10,080 bytes were there before tracing began; 30 of them, 1,920 bytes, were freed since"
	end
}

# Who measures calls stands between the allocator and its caller.
test_measured() {
	local other
	start
	kpy hist latency > /dev/null 2> /tmp/hist & other=$!
	while ! grep -q '^tracing' /tmp/hist; do sleep 0.1; done
	script 'alloc a 100 64'
	holds "leak, while calls are measured" leak -H h
	is "  the caller is not the tracer" "$(stacks)" "6400 100 kpylab_site_a"
	kill $other		# the shell has it ignore ^C
	wait $other
	end
}

test_realloc() {
	start
	script 'alloc a 10 64' 'realloc a 60' 'alloc b 10 64' 'realloc b 200' 'alloc c 10 2000' 'realloc c 1500'
	holds "leak, blocks resized" leak -s
	is "  in place it is the same block of another size, one that moved a new one" "$(stacks)" \
		"15000 10 kpylab_site_c
2000 10 kpylab_realloc
600 10 kpylab_site_a"
	end
}

test_filters() {
	start
	script 'alloc a 10 64' 'alloc b 10 100' 'alloc c 10 1000'
	leak -s -z 65
	is "-z" "$(stacks)" "10000 10 kpylab_site_c
1000 10 kpylab_site_b"
	leak -s -Z 100
	is "-Z" "$(stacks)" "1000 10 kpylab_site_b
640 10 kpylab_site_a"
	is "  what is filtered out is not said to have been freed" "$(grep -c 'freed since' /tmp/report)" 0
	leak -s -C 6
	is "-C" "$(stacks)" "1000 10 kpylab_site_b"
	leak -s -n sh
	is "-n" "$(in_all)" "11640 30"
	leak -s -n other
	is "-n another" "$(in_all)" "0 0"
	leak -s -p 1
	is "-p" "$(in_all)" "0 0"
	end
}

test_older() {
	start
	script 'alloc a 5 64'
	echo 'sleep 3' >> /tmp/work
	echo "echo 'alloc b 5 64' > $W/control" >> /tmp/work
	leak -s --older 2900
	is "--older" "$(stacks)" "320 5 kpylab_site_a"
	end
}

test_interval() {
	start
	kpy leak -s -T -i 0.5 3 > /tmp/report 2> /tmp/status
	is "-i -T, three times" "$(grep -c '^[0-9:]* Top 0 of 0 stacks' /tmp/report)" 3
	end
}

# Who is in a shell's background would not hear of ^C.
test_interrupt() {
	local began=$(date +%s)

	start
	: > /tmp/status		# the last one's words are not this one's
	(until grep -q tracing /tmp/status; do sleep 0.1; done
	work 'alloc a 7 64'
	kill -INT $(pidof kpy)) &
	kpy leak -s -d 60 > /tmp/report 2> /tmp/status
	is "^C ends it well, with a report" "$? $(stacks)" "0 448 7 kpylab_site_a"
	holds "  and at once" [ $(($(date +%s) - began)) -lt 30 ]
	wait
	end
}

test_json() {
	start
	work 'alloc b 3 64'
	script 'alloc a 5 64'
	leak -j -s
	is "--json" "$(sed 's/+0x[0-9a-f]*//; s/"oldest_ms":[0-9]*/"oldest_ms":N/' /tmp/report)" \
'{"bytes":320,"blocks":5,"oldest_ms":N,"frames":["kpylab_site_a [kpylab]"]}
{"heap":"h","gone":false,"followed":{"blocks":5,"bytes":320},"not_followed":{"blocks":0,"bytes":0},"before":{"blocks":3,"bytes":192},"before_freed":{"blocks":0,"bytes":0}}
{"events_missed":0,"stacks_lost":0}'
	end
}

test_snapshots() {
	start
	script 'alloc a 10 64' 'alloc b 10 100' 'alloc d 10 80'
	leak -s --snapshot /tmp/before
	work 'free a' 'free b' 'free d'
	script 'alloc a 15 64' 'alloc c 1 3000' 'alloc d 10 80'
	leak -s --snapshot /tmp/after
	kpy leak --diff /tmp/before /tmp/after > /tmp/report
	is "--diff: what grew comes first" "$(sed 's/+0x.*\[/ [/' /tmp/report)" \
"size=3000 B (+3000 B), count=1 (+1), average=3000 B
	kpylab_site_c [kpylab]
size=960 B (+320 B), count=15 (+5), average=64 B
	kpylab_site_a [kpylab]
size=0 B (-1000 B), count=0 (-10)
	kpylab_site_b [kpylab]
+2320 B, -4 blocks in all"
	is "  --json" "$(kpy leak -j --diff /tmp/before /tmp/after | head -1 | sed 's/+0x[0-9a-f]*//')" \
		'{"bytes":3000,"bytes_diff":3000,"blocks":1,"blocks_diff":1,"frames":["kpylab_site_c [kpylab]"]}'
	is "  of the same" "$(kpy leak --diff /tmp/after /tmp/after)" "+0 B, +0 blocks in all"
	echo '{"stacks": [1]}' > /tmp/junk
	is "  of something else" "$(kpy leak --diff /tmp/junk /tmp/after 2>&1; echo $?)" \
		"kpy: /tmp/junk: this is no snapshot of kpy leak
2"
	end
}

test_full() {
	start
	script 'alloc a 1000 64'
	leak -s --max-blocks 64
	set -- $(in_all) $(sed -n 's/^h: \([0-9,]*\) blocks, \([0-9,]*\) bytes were not followed.*/\1 \2/p' /tmp/report | tr -d ,)
	is "a full table is said, to the block" "$(($2 + $3)) $(($1 + $4)) $(($2 >= 64 && $2 < 80))" "1000 64000 1"
	end
}

test_heap_gone() {
	cat > /tmp/work <<-'E'
	insmod kpytest.ko do=leave_live || exit 9
	[ "$1" = stay ] || rmmod kpytest
	E
	kpy leak -s -- sh /tmp/work stay > /tmp/report 2> /tmp/status
	is "a living heap's blocks" "$(in_all)" "5320 6"
	is "  by name, but for a caller in init code that is gone" \
		"$(stacks | awk '{ print $3 }' | sed 's/^0x.*/gone/' | sort -u | xargs)" "gone leave_live"
	rmmod kpytest
	kpy leak -s -- sh /tmp/work > /tmp/report 2> /tmp/status
	is "a heap that went took them along" "$(in_all) $(sed -n 's/^kpytest: //p' /tmp/report)" \
		"0 0 the heap is gone, and with it 6 blocks, 5,320 bytes of what was followed"
}

# Its symbols are not among those of the first report. How many call sites there are of
# one function is up to the compiler.
test_new_module() {
	start
	script 'alloc a 5 64'
	echo 'sleep 1.5; insmod kpytest.ko do=leave_live; sleep 1.5' >> /tmp/work
	leak -s -i 1 -Z 512
	is "a module that comes while tracing is named" \
		"$(stacks | awk '{ bytes[$3] += $1; n[$3] += $2 } END { for (f in n) print bytes[f], n[f], f }' | sort)" "\
320 5 kpylab_site_a
320 5 leave_live"
	rmmod kpytest
	end
}

# Half a replay beside a churn, on two processors
test_busy() {
	start
	must $K/create 'r preset=cpython-3.10'
	load short.trace
	must $L/control "backend kpymalloc:r"
	cat > /tmp/work <<-E
	echo 'churn 20000 1' > $W/control &
	echo 'run $(($(value ops_total $L/status) / 2))' > $L/control
	wait
	E
	leak
	is "half a replay: live blocks and bytes" "$(in_all)" \
		"$(value live_requested_all $L/status) $(value live_blocks $L/status)"
	is "  no event was missed, no stack lost" "$(grep -c 'missed\|no stack' /tmp/report)" 0
	cat > /tmp/work <<-E
	echo 'churn 20000 2' > $W/control &
	echo run > $L/control
	echo rewind > $L/control
	wait
	E
	leak
	is "  to its end: nothing is left" "$(in_all)" "0 0"
	must $L/control "backend kmalloc"
	must $K/destroy r
	end
}

insmod kpymalloc.ko
insmod kpylab.ko
test_known
test_measured
test_realloc
test_filters
test_older
test_interval
test_interrupt
test_json
test_snapshots
test_full
test_heap_gone
test_new_module
test_busy
rmmod kpylab
is "the module goes: nothing is attached" "$(rmmod kpymalloc 2>&1)" ""
finish
