# SPDX-License-Identifier: GPL-2.0
# asan.sh: each tracing tool once under the sanitizers, with something to see.
# needs: build/tests/wr build/tests/jsonl
# programs: build/tests/asan/kpy
# group: tracing
# kernels: 6.12
. ./lib.sh

# clean COMMAND...: ends well, and the sanitizers have nothing to say
clean() {
	"$@" > shown 2> said
	is "$(echo "$*" | sed 's/ -- sh do//')" "$? $(grep -e Sanitizer -e 'runtime error' said)" "0 "
}

cat > do <<-'D'
	for command in 'alloc a 100 100' 'churn 1000 7' 'free a 50' 'realloc a 300' 'scatter d 40 100 8' 'free c'; do
		printf "$command" > /sys/kernel/debug/kpylab/work/control || exit
	done
D
insmod kpymalloc.ko
insmod kpylab.ko
must $K/create 'h arena=64K pool=4K'
work "heap h"
is "kpy is the one with the sanitizers" "$(ASAN_OPTIONS=help=1 kpy --version 2>&1 | grep -c "Available flags for AddressSanitizer")" 1
for tool in check 'hist waste' 'hist latency' 'hist life' 'rate -k' leak pin 'trace -k' 'trace --arenas' flame; do
	work "alloc c 20 100"
	clean kpy $tool -- sh do
done
work "alloc c 20 100"
clean kpy rate -j -H h -- sh do
is "  and it printed" "$(($(./jsonl < shown) > 3))" 1
clean kpy leak --snapshot before -d 0.1
work "alloc c 20 100"
clean kpy leak --snapshot after -- sh do
clean kpy leak --diff before after
work drop
rmmod kpylab
rmmod kpymalloc
finish
