# SPDX-License-Identifier: GPL-2.0
# lifetime.sh: heaps and modules that go while somebody still looks at them.
# needs: build/tests/wr build/tests/churn.trace
# kernels: 6.12 6.1 rt debug
. ./lib.sh

FILES="id stats counters arenas pools geometry limit validate"

# The heap's files are open, one of them half read, when it goes.
test_open_files() {
	local file fd=3

	must $K/create 'h preset=cpython-3.10'
	must $L/control "backend kpymalloc:h"
	must $L/control run
	for file in $FILES; do
		eval "exec $fd< $K/heaps/h/$file"
		fd=$((fd + 1))
	done
	exec 11> $K/heaps/h/reset_peaks
	is "pools, the first part" "$(dd bs=40 count=1 <&7 2>/dev/null)" "arena  pool  class   size   used  capaci"

	is "destroy a heap in use" "$(put $K/destroy h)" EBUSY
	must $L/control rewind
	must $L/control "backend kmalloc"
	is "destroy it while its files are open" "$(put $K/destroy h)" OK
	fd=3
	for file in $FILES; do
		is "$file is gone" "$(./wr -r -d $fd)" EIO
		fd=$((fd + 1))
	done
	is "reset_peaks is gone" "$(echo 1 | ./wr -d 11)" EIO
	is "nobody can open one now" "$(./wr -r $K/heaps/h/stats)" "open ENOENT"

	must $K/create 'h preset=cpython-3.10'
	is "a new heap of that name is another one" "$(./wr -r -d 3) $(./wr -r $K/heaps/h/stats)" "EIO OK"
	exec 3<&- 4<&- 5<&- 6<&- 7<&- 8<&- 9<&- 10<&- 11>&-
	must $K/destroy h
}

# keeps NAME: kpymalloc cannot go, and works on
keeps() {
	is "$1: rmmod kpymalloc is refused" "$(rmmod kpymalloc 2>&1 | sed 's/.*: //')" "Resource temporarily unavailable"
	holds "$1: it works on" grep -q ^kpymalloc $K/version
}

test_rmmod() {
	must $K/create 'h preset=cpython-3.10'
	keeps "kpylab is loaded"
	must $L/control "backend kpymalloc:h"
	must $L/control run
	is "kpylab goes with all its blocks" "$(rmmod kpylab 2>&1)" ""
	is "  and freed them" "$(($(value allocs $K/heaps/h/counters) - $(value frees $K/heaps/h/counters)))" 0

	exec 3< $K/version
	keeps "version is open"
	exec 3<&- 3> $K/create
	keeps "create is open"
	exec 3>&- 3< $K/heaps/h/stats
	keeps "a heap's stats are open"
	must $K/destroy h
	keeps "the stats of a heap that went are open"
	exec 3<&-
	must $K/create 'left preset=cpython-3.10'
	is "rmmod with a heap left" "$(rmmod kpymalloc 2>&1)" ""
	is "all is gone" "$(ls -d $K /sys/module/kpymalloc 2>/dev/null)" ""
}

# Each line that a process of the storm prints is a complaint.
read_all() {
	while [ ! -e stop ]; do
		cat $K/heaps/*/* > /dev/null 2>&1
		cat $K/version $K/presets $L/status $L/error > /dev/null || echo "cannot read"
	done
}

# The heap on which the replays run: what it shows must be right all the time.
judge() {
	while [ ! -e stop ]; do
		awk -F= '/^#.*bytes (in|lost)|unused pools/ { gsub(/[ ,]/, "", $2); sum += $2 }
			/^Total/ { gsub(/[ ,]/, "", $2); if (sum != $2) print "totals", sum, $2 }' $K/heaps/busy/stats
		grep -v '^ok$' $K/heaps/busy/validate
	done
}

# Two of them want the same names.
create_destroy() {
	local i

	for i in $(seq $1); do
		case $(put $K/create "s$((i % 3)) arena=64K pool=4K") in OK|EEXIST) ;; *) echo "create s$((i % 3))" ;; esac
		case $(put $K/destroy "s$(((i + 1) % 3))") in OK|ENOENT) ;; *) echo "destroy s$(((i + 1) % 3))" ;; esac
	done
	echo $1 >> finished
}

test_storm() {
	local i n=$1 replays=0

	must $K/create 'busy preset=cpython-3.8'
	must $L/control "backend kpymalloc:busy"
	must $L/control "fill on"
	rm -f stop
	: > finished
	read_all > readers &
	judge > judged &
	create_destroy $n > makers &
	create_destroy $n >> makers &
	while [ "$(wc -l < finished)" -lt 2 ]; do
		must $L/control run
		must $L/control rewind
		replays=$((replays + 1))
	done
	touch stop
	wait
	echo "# $replays replays meanwhile"
	is "a storm: readers" "$(cat readers)" ""
	is "a storm: sums and invariants" "$(cat judged)" ""
	is "a storm: heaps made and destroyed" "$(cat makers)" ""
	is "a storm: nothing is left in use" "$(($(value allocs $K/heaps/busy/counters) - $(value frees $K/heaps/busy/counters)))" 0
	is "a storm: the heap is valid" "$(cat $K/heaps/busy/validate)" ok
	must $L/control "fill off"
	must $L/control "backend kmalloc"
	for i in $(ls $K/heaps); do must $K/destroy $i; done
}

insmod kpymalloc.ko
insmod kpylab.ko
load churn.trace
test_open_files
if [ -z "$slow" ]; then test_storm 100; else test_storm 10; fi
test_rmmod
finish
