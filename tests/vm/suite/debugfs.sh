# SPDX-License-Identifier: GPL-2.0
# debugfs.sh: every file of /sys/kernel/debug/kpymalloc, its mode and what it shows.
# needs: build/tests/wr build/tests/churn.trace
# kernels: 6.12 6.1 rt debug
# leaves: lockdown
. ./lib.sh

READERS="arenas counters cpus geometry id limit mode pools stats validate"

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
		"./h/arenas ./h/counters ./h/cpus ./h/geometry ./h/id ./h/limit ./h/mode ./h/pools ./h/reset_peaks ./h/set_limit ./h/stats ./h/trim ./h/validate"
	is "readers are for root alone" \
		"$(cd $K/heaps/h && stat -c '%a %u:%g' $K/version $K/presets $READERS | sort -u)" "400 0:0"
	is "writers are for root alone" \
		"$(stat -c '%a %u:%g' $K/create $K/destroy $K/heaps/h/reset_peaks $K/heaps/h/trim $K/heaps/h/set_limit | sort -u)" "200 0:0"
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
	makes arena 'arena=16K pool=4K release=arena' "arena 16384 pool 4096 align 16 max 512 release keep-last classes 32 pools_per_arena 4 pool_header 48"
	makes pools 'arena=16K pool=4K release=pool' "arena 16384 pool 4096 align 16 max 512 release pool classes 32 pools_per_arena 4 pool_header 48"
	makes limited 'arena=16K pool=4K limit=1G account=on' "arena 16384 pool 4096 align 16 max 512 release keep-last classes 32 pools_per_arena 4 pool_header 48"
	is "limit of limited" "$(cat $K/heaps/limited/limit)" 1073741824
	makes many 'arena=4M pool=4K' "arena 4194304 pool 4096 align 16 max 512 release keep-last classes 32 pools_per_arena 1024 pool_header 48"
	is "blanks between the words" "$(printf ' \t blanks\t\n preset=cpython-3.9 \n' | ./wr $K/create)" OK
	is "each heap has its id" "$(cat $K/heaps/*/id | sort -nu | wc -l)" "$(ls $K/heaps | wc -l)"
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
large_fallbacks 0 large_blocks 0 large_bytes 0 large_bytes_peak 0 large_cached 0 \
large_cached_bytes 0 holes 0 holes_total 0 held_bytes 0 held_bytes_peak 0 arena_failures 0 \
alloc_failures 0 limit_failures 0 bad_pointers 0 "
	is "arenas of an empty heap" "$(cat $K/heaps/h/arenas)" "\
0 slots, 0 arenas, 0 usable

slot     serial  pools  nfree  carved  node  address

usable_arenas"
	is "pools of an empty heap" "$(cat $K/heaps/h/pools)" \
		"arena  pool  class   size   used  capacity  state"
	is "an empty heap is valid" "$(cat $K/heaps/h/validate)" ok
	must $K/destroy h
}

# look: reads the files of heap $H into variables: the keys of counters and geometry,
# the lines of stats as bytes_in_allocated_blocks, and what the tables add up to.
look() {
	eval "$(sed 's/ /=/' $H/counters $H/geometry)"
	eval "$(awk "$read_stats" $H/stats)"
	eval "$(awk "$read_pools" per_arena=$pools_per_arena $H/pools)"
	eval "$(awk "$read_arenas" per_arena=$pools_per_arena $H/arenas)"
	valid=$(cat $H/validate)
}

# classes: pools, blocks, their bytes, bytes of free blocks
read_stats='
	/^ +[0-9]/ { n += $3; used += $4; bytes += $4 * $2; free += $5 * $2 }
	/=/ && NR > 1 {
		key = value = $0
		sub(/=.*/, "", key); sub(/.*=/, "", value)
		gsub(/[^a-zA-Z]+/, "_", key); gsub(/[ ,]/, "", value)
		sub(/^_/, "", key); sub(/_$/, "", key)
		print key "=" value
	}
	END {
		printf "class_pools=%d class_blocks=%d ", n, used
		printf "classes=\"%d %d %d %d\"\n", n, used, bytes, free
	}'

# pools: the same; pools_all: lines; free_by_pools: slot:free pools
read_pools='
	/(used|full)$/ { n++; used += $5; bytes += $5 * $4; free += ($6 - $5) * $4 }
	NR > 1 { nfree[$1] += /(empty|virgin)$/ }
	END {
		printf "pools_all=%d pools=\"%d %d %d %d\" ", NR - 1, n, used, bytes, free
		for (slot = 0; seen < NR - 1; slot++)
			if (slot in nfree) {
				by = by slot ":" nfree[slot] " "
				seen += per_arena
			}
		printf "free_by_pools=\"%s\"\n", by
	}'

# free_by_arenas: the same; usable: as listed; sorted: as it should be listed
read_arenas='
	/^usable_arenas/ { tail = 1; next }
	tail { usable = usable $4 " " }
	!tail && NR > 3 && NF { by = by $1 ":" $4 " "; count[$4]++ }
	END {
		for (k = 1; k <= per_arena; k++)
			while (count[k]-- > 0)
				sorted = sorted k " "
		printf "free_by_arenas=\"%s\" usable=\"%s\" sorted=\"%s\"\n", by, usable, sorted
	}'

# Every number that two files show must be the same in both.
check_sums() {
	look
	is "$1: the six totals add up" $Total $((bytes_in_allocated_blocks + bytes_in_available_blocks +
		unused_pools_bytes + bytes_lost_to_pool_headers + bytes_lost_to_quantization +
		bytes_lost_to_arena_alignment))
	is "$1: the total is that of the arenas" $Total $arenas_bytes_arena
	is "$1: bytes of the arenas" $arenas_bytes_arena $((arenas_allocated_current * arena))
	is "$1: arenas reclaimed" $((arenas_allocated_total - arenas_reclaimed)) $arenas_allocated_current
	is "$1: classes against pools" "$classes" "$pools"
	is "$1: bytes in blocks" "$bytes_in_allocated_blocks $bytes_in_available_blocks" "${classes#* * }"
	is "$1: blocks against counters" $class_blocks $((allocs - frees))
	is "$1: bytes held" $((held_bytes >= Total + large_bytes)) 1
	is "$1: pools of every arena" $pools_all $((arenas_allocated_current * pools_per_arena))
	is "$1: unused pools" $((unused_pools_bytes / pool)) $((pools_all - class_pools))
	is "$1: free pools by arena" "$free_by_arenas" "$free_by_pools"
	is "$1: usable_arenas by rising nfree" "$usable" "$sorted"
	is "$1: valid" "$valid" ok
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
	is "$name: live blocks" $((class_blocks + large_blocks)) "$(value live_blocks $L/status)"
	test_reset_peaks $name
	must $L/control "backend kmalloc"
	must $K/destroy $name
}

test_reset_peaks() {
	must $L/control rewind
	check_sums "$1 rewound"
	is "$1: nothing in use" "$classes $large_blocks" "0 0 0 0 0"
	is "$1: peaks are above" $((arenas_highwater_mark > arenas_allocated_current &&
		large_bytes_peak > 0 && held_bytes_peak > held_bytes)) 1
	is "$1: reset_peaks" "$(put $H/reset_peaks 1)" OK
	look
	is "$1: peaks are down" "$arenas_highwater_mark $large_bytes_peak $held_bytes_peak" \
		"$arenas_allocated_current 0 $held_bytes"
}

test_release() {
	H=$K/heaps/r
	must $K/create 'r preset=cpython-3.8'
	must $L/control "backend kpymalloc:r"
	must $L/control run
	must $L/control rewind
	look
	is "release=always keeps no arena" "$arenas_allocated_current $((held_bytes - large_cached_bytes))" "0 0"
	must $L/control drop
	must $K/destroy r
}

# Under lockdown a file with a write bit cannot be opened, and no reader has one.
test_lockdown() {
	[ -w /sys/kernel/security/lockdown ] || { echo "# no lockdown in this kernel"; return; }
	must $K/create 'h preset=cpython-3.10'
	echo integrity > /sys/kernel/security/lockdown
	is "lockdown: readers" "$(cd $K/heaps/h && cat $K/version $K/presets $READERS > /dev/null && echo OK)" OK
	is "lockdown: create" "$(put $K/create 'x preset=cpython-3.10')" "open EPERM"
}

insmod kpymalloc.ko
insmod kpylab.ko
test_tree
test_constants
test_geometry
test_empty
load churn.trace
test_in_use k256p4 preset=cpython-3.9
test_in_use m1p16 preset=cpython-3.10
test_in_use k64p4 'arena=64K pool=4K align=8 release=always'
test_in_use m1p64 'arena=1M pool=64K align=32'
test_release
test_lockdown
finish
