# SPDX-License-Identifier: GPL-2.0
# Sourced by the scripts of this folder: where things are, and how to stop.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(cd "$here/../.." && pwd)
cache=${KPY_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/kpymalloc}
PATH=$PATH:/usr/sbin:/sbin

say() { echo "${0##*/}: $*" >&2; }
die() { say "$@"; exit 1; }

# /dev/kvm may be there on a processor that has no such thing.
kvm_works() { [ -w /dev/kvm ] && grep -qwE 'vmx|svm' /proc/cpuinfo; }

# Exit status of a script that could not reach Debian's packages: an older cached copy may serve.
OFFLINE=75
