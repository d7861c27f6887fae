# SPDX-License-Identifier: GPL-2.0
# pin.sh: kpy pin against pins in known arenas, and whether what it says comes back does.
# needs: build/tests/wr
# group: tracing
# kernels: 6.12 6.1
. ./lib.sh

# pin OPTIONS COMMAND...: under a script of commands for kpylab; the report's file
pin() {
	local options="$1"
	shift
	script "$@"
	kpy pin $options sh /tmp/work > /tmp/report 2> /tmp/status
}

# rows: COMES_BACK TOGETHER ARENAS BLOCKS BYTES CALLER
rows() {
	awk '/^$/ { exit } /^ *[0-9]/ { sub(/\+.*/, "", $7); print $1, $2, $3, $4, $5, $7 }' /tmp/report
}

# arenas FUNCTION: the slots that it sits in, each with its blocks of all
arenas() {
	awk -v name="$1+" 'index($0, name) == 1 { mine = 1; next } /^[^ \t]/ { mine = 0 }
		mine && /slot/ { print $3 + 0 ":" $8 "/" $11 }' /tmp/report | xargs
}

bytes_now() { awk -F= '/arenas allocated current/ { print $2 * 65536 }' $H/stats; }

# comes_back SITE WANTED: freeing its blocks gives so many bytes back
comes_back() {
	local before=$(bytes_now)
	work "free $1"
	is "  $1 frees: bytes come back" $((before - $(bytes_now))) "$2"
}

test_alone() {
	start
	holds "pin" pin '-H h' 'alloc b 112 512' 'scatter a 1120 512 112'
	is "  who, and how much" "$(rows)" "655360 655360 10 10 5120 kpylab_site_a"
	is "  where" "$(arenas kpylab_site_a)" "1:1/1 2:1/1 3:1/1 4:1/1 5:1/1 6:1/1 7:1/1 8:1/1 9:1/1 10:1/1"
	is "  of all" "$(grep '^h: ' /tmp/report)" "h: 10 of 11 arenas are used to less than 25 %, 655,360 bytes"
	is "  the outer frames" "$(sed -n 's/^    \([a-z_]*\)+.*/\1/p' /tmp/report | head -2 | xargs)" "lab_work_alloc do_scatter"
	comes_back a 655360
	comes_back b 65536
	end
}

# All ten arenas are a's, five of them b's, too, and two c's.
test_shared() {
	local row

	start
	pin '' 'scatter a 1120 512 112' 'scatter b 1100 512 220' 'scatter c 1000 512 500'
	is "shared arenas come back with the last that frees" "$(rows | awk '{ print ($1 > 0), $3, $4, $6 }')" \
		"1 10 10 kpylab_site_a
0 5 5 kpylab_site_b
0 2 2 kpylab_site_c"
	row=0
	for site in a b c; do
		row=$((row + 1))
		set -- $(rows | sed -n ${row}p)
		comes_back $site $(($2 - ${together:-0}))
		together=$2
	done
	is "  and so all of them" "$(bytes_now) $together" "0 655360"
	end
}

test_below() {
	start
	pin '--below 1' 'alloc a 2 512' 'alloc b 1 400'
	is "--below: 2.2 per cent are more" "$(rows)" ""
	pin '--below 1.6' 'free b'
	is "  1.56 are less" "$(rows)" "65536 65536 1 2 1024 (unknown:"
	is "  bad ones" "$(kpy pin --below 0 2>&1 | head -1; kpy pin --below 101 2>&1 | head -1)" \
		"kpy pin: '0' is no number above 0 and up to 100
kpy pin: '101' is no number above 0 and up to 100"
	end
}

test_before() {
	start
	work 'scatter d 336 512 112'
	pin '' 'scatter a 336 512 168' 'alloc c 1 600'
	is "blocks from before are seen, nobody's" "$(rows | grep unknown)" "131072 131072 3 3 1536 (unknown:"
	is "  and named as such" "$(grep -c '(unknown: from before tracing began)$' /tmp/report)" 2
	is "  the others' are not lost" "$(rows | grep -v unknown | awk '{ print $4, $5, $6 }')" "2 1024 kpylab_site_a"
	end
}

test_keep_last() {
	start keep-last
	pin '' 'scatter a 1120 512 112'
	is "keep-last is said" "$(grep '^h: ' /tmp/report)" "h: 10 of 10 arenas are used to less than 25 %, 655,360 bytes
h: release=keep-last: one wholly free arena may be kept, 65,536 bytes"
	comes_back a 589824
	pin '' 'scatter b 1120 512 112'
	is "  not if one is kept already" "$(rows | awk '{ print $1, $6 }') $(grep -c keep-last /tmp/report)" "655360 kpylab_site_b 1"
	work 'free b'
	pin '' 'alloc c 1 4000' 'scatter b 1120 512 1120'
	is "  one pin, one arena" "$(rows)" "65536 65536 1 1 512 kpylab_site_b"
	end
}

# What went back alone is nobody's: a pool of each arena is left.
test_holes() {
	local before

	start pool
	script 'scatter a 1120 512 112'
	echo "echo 1 > $H/trim" >> /tmp/work
	kpy pin -s sh /tmp/work > /tmp/report 2> /tmp/status
	is "holes: what is left comes back" "$(rows)" "40960 40960 10 10 5120 kpylab_site_a"
	is "  the others are given back" "$(grep '^h: ' /tmp/report)" "h: 10 of 10 arenas are used to less than 25 %, 40,960 bytes
h: 150 of their pools are given back already, 614,400 bytes"
	is "  an arena is used as much as its pool is" "$(grep -c ' 12.5 % in use, 1 of its 1 blocks, 512 bytes' /tmp/report)" 10
	before=$(counters held_bytes)
	work "free a"
	is "  a frees: bytes come back" $((before - $(counters held_bytes))) 40960
	pin '-s' 'scatter b 112 512 112'
	is "  without holes" "$(grep '^h: ' /tmp/report)" "h: 1 of 1 arenas are used to less than 25 %, 65,536 bytes
h: release=pool: one wholly free arena may be kept, 65,536 bytes"
	comes_back b 0
	end
}

test_at_hand() {
	must $K/create 'h arena=64K pool=4K mode=percpu release=always'
	work 'heap h' 'alloc a 1 512'
	must $H/trim 1
	pin '-s' 'alloc b 20 512' 'free b'
	is "what CPUs have at hand is said" "$(sed -n '/at hand/s/[0-9][0-9]*/N/p' /tmp/report)" "h: N free blocks that CPUs have at hand count as used"
	must $H/trim 1
	kpy pin -s -d 0.1 > /tmp/report 2> /tmp/status
	is "  none after a trim" "$(grep -c 'at hand' /tmp/report) $(rows)" "0 65536 65536 1 1 512 (unknown:"
	end
}

test_sites_and_heaps() {
	start
	must $K/create 'g arena=64K pool=4K release=always'
	pin -s 'scatter a 336 512 112' 'alloc a 1 512'
	is "-s: one row a call site" "$(rows)" "196608 196608 3 4 2048 kpylab_site_a"
	is "  all heaps" "$(sed -n 's/ arenas are.*//p' /tmp/report)" "h: 3 of 3
g: 0 of 0"
	work 'free a'
	pin '--top 2 -H h' 'scatter a 336 512 112'
	is "--top" "$(sed -n 's/^\tand //p' /tmp/report)" "1 arenas more"
	work 'free a'
	pin '-j -s -H h' 'scatter a 224 512 112'
	is "--json" "$(sed 's/+0x[0-9a-f]*//g; s/"oldest_ms":[0-9]*/"oldest_ms":N/' /tmp/report | head -2)" \
'{"bytes":1024,"blocks":2,"oldest_ms":N,"frames":["kpylab_site_a [kpylab]"],"caller":"kpylab_site_a [kpylab]","comes_back":131072,"together":131072,"arenas":[{"heap":"h","slot":0,"occupancy":0.8,"arena_blocks":1,"blocks":1,"bytes":512},{"heap":"h","slot":1,"occupancy":0.8,"arena_blocks":1,"blocks":1,"bytes":512}]}
{"heap":"h","arena_size":65536,"arenas":2,"pinned":2,"holes":0,"at_hand":0,"may_keep_one":false}'
	end
	must $K/destroy g
}

# A heap in use, all of it followed: whom the table has no more has freed it meanwhile.
test_busy() {
	start
	cat > /tmp/work <<-E
	printf 'churn 1000000000000 1' | timeout -s INT 3 ./wr $W/control
	E
	kpy pin -s --below 100 -i 0.3 6 sh /tmp/work > /tmp/report 2> /tmp/status
	is "a busy heap: all of it is known" "$(grep -c unknown /tmp/report)" 0
	holds "  some of it" [ $(grep -c '^ .* kpylab_churn+' /tmp/report) -gt 3 ]
	work 'alloc a 1 64'
	kpy pin -s --below 100 -d 1 > /tmp/report 2> /tmp/status
	is "  and then what is from before" "$(rows)" "65536 65536 1 1 64 (unknown:"
	end
}

test_full() {
	start
	pin '-s --max-blocks 20' 'scatter a 1120 512 112'
	is "a full table: what is not known is said" "$(rows | awk '{ n += $4 } END { print n }') $(grep -c 'were not followed' /tmp/report)" "10 1"
	is "  as such" "$(grep -c '(unknown: from before tracing began, filtered out or lost)$' /tmp/report)" 2
	end
}

insmod kpymalloc.ko
insmod kpylab.ko
test_alone
test_shared
test_below
test_before
test_keep_last
test_holes
test_at_hand
test_sites_and_heaps
test_busy
test_full
rmmod kpylab
is "the module goes: nothing is attached" "$(rmmod kpymalloc 2>&1)" ""
finish
