# SPDX-License-Identifier: GPL-2.0
# Sourced by what compares with CPython: recordings, and the reference's states.

programs=$top/tests/conformance/programs
oracle=${ORACLE-$top/../shared/oracle} failed=0

MIN_CHECKPOINTS=10

# VARIANT GEOMETRY, of the reference's aligned variants
GEOMETRIES='m1p16-aligned arena=1M,pool=16K
k256p4-aligned arena=256K,pool=4K
k256p4-always arena=256K,pool=4K,release=always
k64p4-aligned arena=64K,pool=4K
k256p4-align8 arena=256K,pool=4K,align=8'

report() {
	local status=$1
	shift
	if [ "$status" = 0 ]; then
		echo "ok $*"
	else
		echo "not ok $*"
		failed=1
	fi
}

# record KPY FOLDER PYTHON PROGRAM: the trace's name without its suffix
record() {
	local name
	name=$2/${4%.py}-python$("$3" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
	"$1" record -o "$name.trace.zst" -- "$3" "$programs/$4" > "$name.out" || return 1
	[ "$(grep -c '"after_ops"' "$name.json")" -gt $MIN_CHECKPOINTS ] || return 1
	echo "$name"
}

# judge NAME VARIANT JSON: is this what the reference expects?
judge() {
	python3 "$oracle/judge.py" "$(ls "$oracle"/*/"$1.variants.json")" --variant "$2" --digest \
		--json "$3" 2>&1 | sed 's/^/# /'
}
