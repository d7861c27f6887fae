// SPDX-License-Identifier: GPL-2.0
/*
 * kpy where: asks the module's kfunc where an address lies.  The program is run,
 * not attached; its maps hold the question and the answer, so bpftool can use it
 * as well:
 *
 *	kpy attach where /sys/fs/bpf/where; cd /sys/fs/bpf/where
 *	bpftool map update pinned address key 0 0 0 0 value hex 30 10 c4 03 80 88 ff ff
 *	bpftool prog run pinned where repeat 0
 *	bpftool map dump pinned found
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

#include "where.h"

char LICENSE[] SEC("license") = "GPL";

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} address SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct where);
} found SEC(".maps");

extern int kpy_block_info(__u64 address, struct kpy_block_info *info) __ksym;

SEC("syscall")
int where(void *ctx)
{
	struct kpy_block_info info = { 0 };
	__u32 zero = 0;
	__u64 *asked = bpf_map_lookup_elem(&address, &zero);
	struct where *w = bpf_map_lookup_elem(&found, &zero);

	if (!asked || !w)
		return 0;
	w->address = *asked;
	w->error = kpy_block_info(*asked, &info);
	w->start = info.start;
	w->arena_serial = info.arena_serial;
	w->heap = info.heap;
	w->arena = info.arena;
	w->pool = info.pool;
	w->block = info.block;
	w->szidx = info.szidx;
	w->size = info.size;
	w->in_use = info.in_use;
	return 0;
}
