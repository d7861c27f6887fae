# SPDX-License-Identifier: GPL-2.0
# unload.sh: the modules loaded, used and unloaded 200 times: no page is missing afterwards.
# needs: build/tests/wr build/tests/short.trace
# kernels: 6.12 6.1 rt debug
# args: slab_nomerge
#
# Counted when all caches are empty: the free pages, those that each CPU keeps
# included, and the objects of every slab cache. Both waver by what a CPU holds back, up
# to a hundred pages once; what is lost in each round is seen in both halves of them.
. ./lib.sh

ROUNDS=200
WARM=20			# until the kernel's own tables have grown

[ -z "$slow" ] || ROUNDS=20 WARM=8

free_pages() {
	cat /proc/vmstat /proc/zoneinfo |
		awk '$1 == "nr_free_pages" && !n { n = $2 } $1 == "count:" { n += $2 } END { print n }'
}

# The best of three looks; slabinfo goes to a file.
settle() {
	local shrink

	sync
	for look in 1 2 3; do
		echo 3 > /proc/sys/vm/drop_caches
		for shrink in /sys/kernel/slab/*/shrink; do
			echo 1 > $shrink
		done
		cat /proc/slabinfo > $1
		sleep 0.3
		free_pages
	done | sort -n | tail -n 1
}

# Caches that have as many objects more as rounds, in both halves; up to a fourth may have
# been there, free on a page that a CPU keeps. Areas of vmalloc() are purged late;
# test_gone looks.
grown() {
	awk -v rounds=$1 'FNR == 1 { file++ }
		file == 1 { before[$1] = $2; next }
		file == 2 { middle[$1] = $2; next }
		$1 != "vmap_area" && $4 + 0 >= 64 && middle[$1] >= before[$1] + rounds * 3 / 4 &&
			$2 >= middle[$1] + rounds * 3 / 4 { print $1, $2 - before[$1] }' before middle after
}

# By turns kpylab's blocks are still there when it goes, and the heap is when
# kpymalloc does.
round() {
	insmod kpymalloc.ko && insmod kpylab.ko &&
	echo 'h preset=cpython-3.10' > $K/create &&
	cat short.trace > $L/load &&
	echo 'backend kpymalloc:h' > $L/control &&
	echo run > $L/control || return
	case $(($1 % 3)) in
	1) echo rewind > $L/control || return ;;
	2) echo drop > $L/control && echo h > $K/destroy || return ;;
	esac
	rmmod kpylab && rmmod kpymalloc
}

rounds() {
	local i

	for i in $(seq $1 $2); do
		round $i || { not_ok "round $i" "see above"; finish; }
	done
}

test_loaded() {
	insmod kpymalloc.ko
	is "while loaded, slabinfo has the cache" "$(grep -c '^kpy_large ' /proc/slabinfo)" 1
	rmmod kpymalloc
}

test_gone() {
	is "no cache" "$(grep kpy /proc/slabinfo; ls /sys/kernel/slab | grep kpy)" ""
	is "no module" "$(ls /sys/module | grep kpy)" ""
	is "no file" "$(ls /sys/kernel/debug | grep kpy; ls /sys/kernel/tracing/events | grep kpy)" ""
	is "no symbol" "$(grep -c kpymalloc /proc/kallsyms)" 0
	is "no vmalloc area" "$(grep kpy /proc/vmallocinfo)" ""
	is "no thread" "$(ps | grep '[[]kpy')" ""
}

[ ! -w /sys/kernel/rcu_expedited ] || echo 1 > /sys/kernel/rcu_expedited
test_loaded
rounds 1 $WARM
HALF=$(((ROUNDS - WARM) / 2))
start=$(settle before)
rounds $((WARM + 1)) $((WARM + HALF))
middle=$(settle middle)
rounds $((WARM + HALF + 1)) $ROUNDS
end=$(settle after)
echo "# $((start - middle)) pages fewer are free after one half, $((middle - end)) after the other"
ok "$ROUNDS rounds"
# KASAN puts what was freed into quarantine; there kmemleak looks, when the guest ends
if [ -z "$slow" ]; then
	holds "no page is missing" \
		[ $((start - middle)) -lt $((HALF * 3 / 4)) -o $((middle - end)) -lt $((HALF * 3 / 4)) ]
	is "no slab cache has grown" "$(grown $HALF)" ""
fi
test_gone
finish
