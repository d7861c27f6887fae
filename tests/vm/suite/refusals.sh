# SPDX-License-Identifier: GPL-2.0
# refusals.sh: what the files that are written refuse, and that nothing changes by it.
# needs: build/tests/wr build/tests/churn.trace
# kernels: 6.12 6.1 rt debug
. ./lib.sh

P=preset=cpython-3.9
long=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa	# 31 letters

# All that a refusal could change: settled remembers it, same compares.
numbers() { cat $K/heaps/*/geometry $K/heaps/*/stats $K/heaps/*/counters; }
settled() { heaps=$(echo $K/heaps/*) known=$(numbers); }
same() { is "$1: nothing has changed" "$(numbers)" "$known"; }

# refuses ERRNO FILE TEXT [OPTION OF WR]...; TEXT as for printf
refuses() {
	local want="$1" file="$2" text="$3"
	shift 3
	try "$text" "$@" "$K/$file"
	is "$file '$text'${*:+ $*}" "$answer" "$want"
	set -- $K/heaps/*
	[ "$*" = "$heaps" ] || not_ok "$file '$text'" "now there are $*"
}

# explains ERRNO TEXT REASON: create refuses and logs one line that has REASON
explains() {
	local log

	refuses "$1" create "$2"
	log=$(dmesg -c)
	case $log in
	*": heap refused: "*": heap refused: "*) not_ok "  the log" "$log" ;;
	*"kpymalloc: heap refused: "*"$3"*) ok "  the log says why" ;;
	*) not_ok "  the log says why" "$log" ;;
	esac
}

# takes FILE TEXT: not refused
takes() {
	is "$1 '$2'" "$(put "$K/$1" "$2")" OK
	settled
}

# A command of kpylab's.
lab() {
	must $L/control "$1"
	settled
}

# What no control takes.
test_any() {
	local file="$1" good="$2"

	refuses EINVAL $file ''
	refuses EINVAL $file ' '
	refuses EINVAL $file '\n'
	refuses EINVAL $file ' \t \n\n '
	refuses EINVAL $file '\000'
	refuses EINVAL $file "$good\\000"
	refuses EINVAL $file "$good\\000junk"
	refuses EINVAL $file "\\000$good"
	refuses E2BIG $file "$good" -l 257
	refuses E2BIG $file "$good" -l 4096
	refuses E2BIG $file "$good" -l 67108864
	refuses EFAULT $file "$good" -b
	refuses EFAULT $file '' -b -l 256
	refuses ESPIPE $file "$good" -o 0
	refuses ESPIPE $file "$good" -o 7
	refuses "open EACCES" $file "$good" -u 1000
	refuses EPERM $file "$good" -c
	refuses EINVAL $file "" -r
	same $file
}

test_create_options() {
	explains EINVAL 'x' 'usage: NAME'
	explains EINVAL "x " 'usage: NAME'
	explains EINVAL "$P" 'usage: NAME'
	explains EINVAL 'x y' 'key=value'
	explains EINVAL "x $P y" 'key=value'
	explains EINVAL 'x arena' 'key=value'
	explains EINVAL 'x colour=red' 'options are'
	explains EINVAL "x $P Align=8" 'options are'
	explains EINVAL 'x =1' 'options are'
	explains EINVAL 'x =' 'options are'
	explains EINVAL "x arena=256K $P" 'options are'
	explains EINVAL "x $P $P" 'options are'
	explains EINVAL 'x preset=' 'preset'
	explains EINVAL 'x preset=cpython-4' 'preset'
	explains EINVAL 'x preset=cpython-3.10x' 'preset'
	explains EINVAL "x $P release=" 'release is'
	explains EINVAL "x $P release=never" 'release is'
	explains EINVAL "x $P mode=" 'mode'
	explains EINVAL "x $P mode=turbo" 'mode is classic or percpu'
	explains EINVAL "x $P release=pools" 'release is'
	explains EINVAL "x $P account=" 'account is'
	explains EINVAL "x $P account=1" 'account is'
	explains EINVAL "x $P limit=" 'not a size'
	explains EINVAL "x $P limit=-1" 'not a size'
	explains EINVAL "x $P limit=1T" 'not a size'
	explains ERANGE "x $P limit=17179869184G" 'not a size'
	explains ERANGE "x $P limit=18446744073709551616" 'not a size'
	explains EINVAL "x $P limit=1M limit=1M" 'twice'
	explains EINVAL "x $P align=8 max=256 align=8" 'twice'
	explains EINVAL "x $P release=always release=always" 'twice'
	explains EINVAL 'x \377\376\001\002=\200' 'options are'
}

test_create_numbers() {
	local key

	for key in arena pool align max; do
		explains EINVAL "x $P $key=" 'not a size'
		explains EINVAL "x $P $key=-1" 'not a size'
		explains EINVAL "x $P $key=-4294963200" 'not a size'
		explains EINVAL "x $P $key=+4096" 'not a size'
		explains EINVAL "x $P $key=0x1000" 'not a size'
		explains EINVAL "x $P $key=4096.0" 'not a size'
		explains EINVAL "x $P $key=4k" 'not a size'
		explains EINVAL "x $P $key=4KK" 'not a size'
		explains EINVAL "x $P $key=K" 'not a size'
		explains EINVAL "x $P $key=1 6" 'key=value'
		explains EINVAL "x $P $key=16=16" 'not a size'
		explains EINVAL "x $P $key=big" 'not a size'
		explains ERANGE "x $P $key=4294967296" 'not a size'
		explains ERANGE "x $P $key=4294971392" 'not a size'
		explains ERANGE "x $P $key=18446744073709551616" 'not a size'
		explains ERANGE "x $P $key=99999999999999999999" 'not a size'
		explains ERANGE "x $P $key=4096M" 'not a size'
		explains ERANGE "x $P $key=4194304K" 'not a size'
		explains ERANGE "x $P $key=17592186044416M" 'not a size'
		explains EINVAL "x $P $key=0" ' must be '
		explains EINVAL "x $P $key=4294967295" ' must be '
	done
}

test_create_geometry() {
	explains EINVAL 'x arena=256K' 'pool size'
	explains EINVAL 'x pool=4K' 'arena size'
	explains EINVAL 'x align=16' 'arena size'
	explains EINVAL 'x arena=8K pool=4K' 'arena size'
	explains EINVAL 'x arena=8M pool=4K' 'arena size'
	explains EINVAL 'x arena=3M pool=4K' 'arena size'
	explains EINVAL 'x arena=262145 pool=4K' 'arena size'
	explains EINVAL 'x arena=256K pool=2K' 'pool size'
	explains EINVAL 'x arena=256K pool=128K' 'pool size'
	explains EINVAL 'x arena=256K pool=12K' 'pool size'
	explains EINVAL 'x arena=16K pool=16K' 'two pools'
	explains EINVAL 'x arena=16K pool=64K' 'two pools'
	explains EINVAL "x $P align=1" 'alignment'
	explains EINVAL "x $P align=4" 'alignment'
	explains EINVAL "x $P align=12" 'alignment'
	explains EINVAL "x $P align=64" 'alignment'
	explains EINVAL "x $P max=513" 'largest'
	explains EINVAL "x $P max=528" 'largest'
	explains EINVAL "x $P max=8" 'multiple'
	explains EINVAL "x $P max=500" 'multiple'
	explains EINVAL "x $P align=32 max=16" 'multiple'
}

test_create_names() {
	local name

	refuses EEXIST create "h $P"
	refuses EEXIST create "h preset=cpython-3.6 max=8"
	takes create "$long $P"
	refuses EEXIST create "$long $P"
	takes destroy $long
	explains ENAMETOOLONG "a$long $P" 'a name has'
	explains ENAMETOOLONG "$long$long$long$long$long$long$long $P" 'a name has'
	for name in . .. / a/b ../a /a a: '*' '%%s' '%%n' '"' "'" '\\\\' 'é' '\303' '\377\376' '\001' '\177' '\033[m' a=b; do
		explains EINVAL "$name $P" 'a name has'
	done
}

test_create_length() {
	is "256 bytes" "$(printf "l $P" | ./wr -l 256 $K/create)" OK
	must $K/destroy l
}

test_destroy() {
	local name

	for name in nope H hh "$long" "a$long" -1 0 4294967296 99999999999999999999 . .. ../h h/ heaps/h \
		"h h" "h $P" '\377\376\001' 'é' '%%s'; do
		refuses ENOENT destroy "$name"
	done
	lab "backend kpymalloc:h"
	refuses EBUSY destroy h
	lab run
	refuses EBUSY destroy h
	lab rewind
	refuses EBUSY destroy h
	lab drop
	same destroy
	takes destroy h
	refuses ENOENT destroy h
}

# A file that takes `1' and nothing else.
test_one() {
	local text

	for text in 0 2 -1 11 '1 1' 1x 01 +1 yes 4294967297 18446744073709551617 99999999999999999999 '\377'; do
		refuses EINVAL heaps/h/$1 "$text"
	done
	same heaps/h/$1
	takes heaps/h/$1 1
	is "$1 '1' and blanks" "$(printf ' 1\t\n' | ./wr $K/heaps/h/$1)" OK
}

test_set_limit() {
	local text

	for text in -1 +1 0x10 1T 1k 1KK K '1 1' 1.5 '\377'; do
		refuses EINVAL heaps/h/set_limit "$text"
	done
	for text in 18446744073709551616 99999999999999999999 17179869184G 18014398509481984K; do
		refuses ERANGE heaps/h/set_limit "$text"
	done
	same heaps/h/set_limit
	is "  nor the limit" "$(cat $K/heaps/h/limit)" 0
	takes heaps/h/set_limit 17179869183G
	is "a limit of 17179869183G" "$(cat $K/heaps/h/limit)" 18446744072635809792
	is "set_limit '0' and blanks" "$(printf ' 0\t\n' | ./wr $K/heaps/h/set_limit)" OK
	is "no limit" "$(cat $K/heaps/h/limit)" 0
}

# The readers cannot be written, nor read by anybody but root.
test_readers() {
	local file

	for file in version presets heaps/h/id heaps/h/stats heaps/h/counters heaps/h/arenas heaps/h/pools \
		heaps/h/geometry heaps/h/mode heaps/h/validate heaps/h/cpus heaps/h/limit; do
		refuses EINVAL $file 1
		refuses "open EACCES" $file '' -r -u 1000
		refuses EFAULT $file '' -r -b
	done
	same "the readers"
}

# Who may write was settled when the file was opened.
test_handed_over() {
	is "create by whom root handed the file" "$(printf "o $P" | ./wr -w 1000 $K/create)" OK
	is "destroy by whom root handed the file" "$(printf o | ./wr -w 1000 $K/destroy)" OK
}

insmod kpymalloc.ko
insmod kpylab.ko
echo 1 > /proc/sys/kernel/printk
chmod 755 /sys/kernel/debug
load churn.trace
takes create "h $P"
takes create "busy $P"
lab "backend kpymalloc:busy"
lab "run 5000"
test_any create "x $P"
dmesg -c > /dev/null
test_create_options
test_create_numbers
test_create_geometry
test_create_names
same create
test_create_length
test_handed_over
test_any heaps/h/reset_peaks 1
test_one reset_peaks
test_any heaps/h/trim 1
test_one trim
test_any heaps/h/set_limit 1M
test_set_limit
test_readers
lab rewind
test_any destroy h
test_destroy
is "unload" "$(rmmod kpylab kpymalloc 2>&1)" ""
finish
