# SPDX-License-Identifier: GPL-2.0
# debugfs.sh: every file of /sys/kernel/debug/kpymalloc, its mode and what it shows.
# needs: build/tests/wr build/tests/churn.trace
# kernels: 6.12 6.1 debug
. ./lib.sh

# geometry NAME: the file on one line
geometry() { tr '\n' ' ' < "$K/heaps/$1/geometry"; }

# makes NAME OPTIONS GEOMETRY
makes() {
	is "create $1 $2" "$(put $K/create "$1 $2")" OK
	is "geometry of $1" "$(geometry "$1")" "$3 "
}

test_tree() {
	is "files" "$(cd $K && find . -type f | sort | xargs)" \
		"./create ./destroy ./presets ./version"
	must $K/create 'h preset=cpython-3.10'
	is "files of a heap" "$(cd $K/heaps && find . -type f | sort | xargs)" \
		"./h/arenas ./h/counters ./h/geometry ./h/mode ./h/pools ./h/reset_peaks ./h/stats ./h/validate"
	is "readers are for root alone" \
		"$(stat -c '%a %u:%g' $K/version $K/presets $K/heaps/h/[acgmpsv]* | sort -u)" "400 0:0"
	is "writers are for root alone" \
		"$(stat -c '%a %u:%g' $K/create $K/destroy $K/heaps/h/reset_peaks | sort -u)" "200 0:0"
	must $K/destroy h
	is "a heap's directory goes with it" "$(ls $K/heaps)" ""
}

test_constants() {
	is "version" "$(cat $K/version)" "kpymalloc $(cat /sys/module/kpymalloc/version)"
	is "presets" "$(cat $K/presets)" "\
cpython-3.6   arena=262144 pool=4096 align=8 max=512 release=always
cpython-3.8   arena=262144 pool=4096 align=16 max=512 release=always
cpython-3.9   arena=262144 pool=4096 align=16 max=512 release=keep-last
cpython-3.10  arena=1048576 pool=16384 align=16 max=512 release=keep-last"
}

test_geometry() {
	makes p36 preset=cpython-3.6 "arena 262144 pool 4096 align 8 max 512 release always classes 64 pools_per_arena 64 pool_header 48"
	makes p38 preset=cpython-3.8 "arena 262144 pool 4096 align 16 max 512 release always classes 32 pools_per_arena 64 pool_header 48"
	makes p39 preset=cpython-3.9 "arena 262144 pool 4096 align 16 max 512 release keep-last classes 32 pools_per_arena 64 pool_header 48"
	makes p310 preset=cpython-3.10 "arena 1048576 pool 16384 align 16 max 512 release keep-last classes 32 pools_per_arena 64 pool_header 48"
	makes changed 'preset=cpython-3.10 align=32 max=256 release=always' "arena 1048576 pool 16384 align 32 max 256 release always classes 8 pools_per_arena 64 pool_header 64"
	makes bytes 'arena=16384 pool=4096' "arena 16384 pool 4096 align 16 max 512 release keep-last classes 32 pools_per_arena 4 pool_header 48"
	makes suffixes 'mode=classic arena=4M pool=64K align=8 max=8' "arena 4194304 pool 65536 align 8 max 8 release keep-last classes 1 pools_per_arena 64 pool_header 48"
	makes many 'arena=4M pool=4K' "arena 4194304 pool 4096 align 16 max 512 release keep-last classes 32 pools_per_arena 1024 pool_header 48"
	is "blanks between the words" "$(printf ' \t blanks\t\n preset=cpython-3.9 \n' | ./wr $K/create)" OK
	is "modes" "$(cat $K/heaps/*/mode | sort -u)" classic
	is "every name character" "$(put $K/create 'AZaz09._-...............0123456 preset=cpython-3.9')" OK
	for heap in $(ls $K/heaps); do must $K/destroy " $heap
"; done
}

test_empty() {
	must $K/create 'h preset=cpython-3.10'
	is "stats of an empty heap" "$(cat $K/heaps/h/stats)" "\
Small block threshold = 512, in 32 size classes.

class   size   num pools   blocks in use  avail blocks
-----   ----   ---------   -------------  ------------

# arenas allocated total           =                    0
# arenas reclaimed                 =                    0
# arenas highwater mark            =                    0
# arenas allocated current         =                    0
0 arenas * 1048576 bytes/arena     =                    0

# bytes in allocated blocks        =                    0
# bytes in available blocks        =                    0
0 unused pools * 16384 bytes       =                    0
# bytes lost to pool headers       =                    0
# bytes lost to quantization       =                    0
# bytes lost to arena alignment    =                    0
Total                              =                    0"
	is "counters of an empty heap" "$(tr '\n' ' ' < $K/heaps/h/counters)" \
"allocs 0 frees 0 reallocs 0 reallocs_in_place 0 large_allocs 0 large_frees 0 \
large_fallbacks 0 large_blocks 0 large_bytes 0 large_bytes_peak 0 held_bytes 0 \
held_bytes_peak 0 arena_failures 0 alloc_failures 0 bad_pointers 0 "
	is "arenas of an empty heap" "$(cat $K/heaps/h/arenas)" "\
0 slots, 0 arenas, 0 usable

slot     serial  pools  nfree  carved  address

usable_arenas"
	is "pools of an empty heap" "$(cat $K/heaps/h/pools)" \
		"arena  pool  class   size   used  capacity  state"
	is "an empty heap is valid" "$(cat $K/heaps/h/validate)" ok
	must $K/destroy h
}

# total TEXT: the number behind the first line that has TEXT
total() { awk -F= -v text="$1" 'index($0, text) && /=/ { gsub(/[ ,]/, "", $2); print $2; exit }' $H/stats; }

# Sums of a table: the class lines of stats, the lines of pools and of arenas.
class_sums() { awk '/^[ 0-9]+$/ { p += $3; u += $4; bytes += $4 * $2; avail += $5 * $2 } END { print p+0, u+0, bytes+0, avail+0 }' $H/stats; }
pool_sums() { awk 'NR > 1 { n++ } $7 ~ /used|full/ { p++; u += $5; bytes += $5 * $4; avail += ($6 - $5) * $4 } END { print p+0, u+0, bytes+0, avail+0 }' $H/pools; }

# Every number that two files show must be the same in both.
check_sums() {
	local current="$(total 'allocated current')" pools

	is "$1: the six totals add up" "$(total Total)" $(($(total 'in allocated') + \
		$(total 'in available') + $(total 'unused pools') + $(total 'pool headers') + \
		$(total quantization) + $(total alignment)))
	is "$1: the total is that of the arenas" "$(total Total)" "$(total bytes/arena)"
	is "$1: bytes of the arenas" "$(total bytes/arena)" $((current * $(value arena $H/geometry)))
	is "$1: arenas reclaimed" $(($(total 'allocated total') - $(total reclaimed))) "$current"
	is "$1: classes against pools" "$(class_sums)" "$(pool_sums)"
	set -- "$1" $(class_sums)
	is "$1: bytes in blocks" "$(total 'in allocated') $(total 'in available')" "$4 $5"
	is "$1: blocks against counters" "$3" \
		$(($(value allocs $H/counters) - $(value frees $H/counters)))
	is "$1: bytes held" "$(($(value held_bytes $H/counters) >= $(total Total) + $(value large_bytes $H/counters)))" 1

	pools=$(value pools_per_arena $H/geometry)
	is "$1: pools of every arena" "$(awk 'NR > 1' $H/pools | wc -l)" $((current * pools))
	is "$1: unused pools" "$(grep -c 'empty\|virgin' $H/pools)" \
		$((current * pools - $2))
	check_arenas "$1"
	is "$1: valid" "$(cat $H/validate)" ok
}

# SLOT NFREE
arena_table() { awk '/usable_arenas/ { exit } NR > 3 && NF { print $1, $4 }' $H/arenas; }

check_arenas() {
	is "$1: arenas" "$(arena_table | wc -l)" "$(total 'allocated current')"
	is "$1: free pools by arena" "$(arena_table)" \
		"$(awk 'NR > 1 { free[$1] += $7 ~ /empty|virgin/ } END { for (a in free) print a, free[a] }' $H/pools | sort -n)"
	is "$1: usable_arenas by rising nfree" "$(sed 1,/usable_arenas/d $H/arenas | awk '{ print $4 }')" \
		"$(arena_table | awk '$2 { print $2 }' | sort -n)"
}

# Wide enough for every state: full, used, emptied and virgin pools.
test_in_use() {
	local name=$1 ops op

	H=$K/heaps/$name
	must $K/create "$name $2"
	must $L/control "backend kpymalloc:$name"
	ops=$(value ops_total $L/status)
	for op in $((ops / 4)) $((ops / 2)) $ops; do
		must $L/control "run $op"
		check_sums "$name at op $op"
	done
	is "$name: live blocks" $(($(class_sums | awk '{ print $2 }') + $(value large_blocks $H/counters))) \
		"$(value live_blocks $L/status)"
	test_reset_peaks $name
	must $L/control "backend kmalloc"
	must $K/destroy $name
}

test_reset_peaks() {
	must $L/control rewind
	check_sums "$1 rewound"
	is "$1: nothing in use" "$(class_sums)" "0 0 0 0"
	is "$1: peaks are above" "$(($(total highwater) > $(total 'allocated current') &&
		$(value large_bytes_peak $H/counters) > 0 &&
		$(value held_bytes_peak $H/counters) > $(value held_bytes $H/counters)))" 1
	is "$1: reset_peaks" "$(put $H/reset_peaks 1)" OK
	is "$1: peaks are down" "$(total highwater) $(value large_bytes_peak $H/counters) $(value held_bytes_peak $H/counters)" \
		"$(total 'allocated current') 0 $(value held_bytes $H/counters)"
}

test_release() {
	must $K/create 'r preset=cpython-3.8'
	must $L/control "backend kpymalloc:r"
	must $L/control run
	must $L/control rewind
	H=$K/heaps/r
	is "release=always keeps no arena" "$(total 'allocated current') $(value held_bytes $H/counters)" "0 0"
	must $L/control drop
	must $K/destroy r
}

# Under lockdown a file with a write bit cannot be opened, and no reader has one.
test_lockdown() {
	[ -w /sys/kernel/security/lockdown ] || return 0
	must $K/create 'h preset=cpython-3.10'
	echo integrity > /sys/kernel/security/lockdown
	is "lockdown: readers" "$(cat $K/version $K/presets $K/heaps/h/[acgmpsv]* > /dev/null && echo OK)" OK
	is "lockdown: create" "$(put $K/create 'x preset=cpython-3.10')" "open EPERM"
}

insmod kpymalloc.ko
insmod kpylab.ko
test_tree
test_constants
test_geometry
test_empty
load churn.trace
test_in_use k256p4 'arena=256K pool=4K'
test_in_use m1p16 preset=cpython-3.10
test_in_use k64p4 'arena=64K pool=4K align=8 release=always'
test_in_use m1p64 'arena=1M pool=64K align=32'
test_release
test_lockdown
finish
