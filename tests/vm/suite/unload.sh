# SPDX-License-Identifier: GPL-2.0
# unload.sh: the modules loaded, used and unloaded 200 times: no page is missing afterwards.
# needs: build/tests/wr build/tests/short.trace
# kernels: 6.12 6.1 rt debug
# args: slab_nomerge
#
# Counted are the pages that nobody knows of, and the objects of every slab cache. These
# waver by what a CPU holds back; what is lost in each round is seen in both halves of them.
. ./lib.sh

ROUNDS=200
WARM=20			# until the kernel's own tables have grown

[ -z "$slow" ] || ROUNDS=20 WARM=8

# objects FILE: of each slab cache
objects() {
	empty_caches
	cat /proc/slabinfo > $1
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

# replay_on HEAP: a replay, with nothing live before
replay_on() {
	echo rewind > $L/control && echo "backend kpymalloc:$1" > $L/control && echo run > $L/control
}

# By turns kpylab's blocks are still there when it goes, of a heap of this mode or that, and
# the heaps are when kpymalloc does.
round() {
	local last=classic first=percpu

	[ $(($1 % 2)) = 0 ] || last=percpu first=classic
	insmod kpymalloc.ko && insmod kpylab.ko &&
	echo 'classic preset=cpython-3.10' > $K/create &&
	echo 'percpu preset=cpython-3.10 mode=percpu' > $K/create &&
	cat short.trace > $L/load &&
	replay_on $first && replay_on $last || return
	case $(($1 % 3)) in
	1) echo rewind > $L/control || return ;;
	2) echo drop > $L/control && echo $last > $K/destroy || return ;;
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
# What is free on a page that a CPU keeps counts as in use: it is to keep one of each cache.
for pages in /sys/kernel/slab/*/cpu_partial; do echo 0 > $pages; done 2>/dev/null
test_loaded
rounds 1 $WARM
HALF=$(((ROUNDS - WARM) / 2))
start=$(known_pages)
objects before
rounds $((WARM + 1)) $((WARM + HALF))
objects middle
rounds $((WARM + HALF + 1)) $ROUNDS
end=$(known_pages)
objects after
echo "# of $start pages $((start - end)) are unknown now"
ok "$ROUNDS rounds"
# KASAN puts what was freed into quarantine; there kmemleak looks, when the guest ends
if [ -z "$slow" ]; then
	holds "no page is missing" [ $((start - end)) -lt $((HALF / 2)) ]
	is "no slab cache has grown" "$(grown $HALF)" ""
fi
test_gone
finish
