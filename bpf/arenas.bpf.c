// SPDX-License-Identifier: GPL-2.0
/*
 * A line in the trace for each arena that comes or goes, for
 * `bpftool prog tracelog` once `kpy attach` has attached it.
 */
#include "kpy.bpf.h"

SEC("tp_btf/kpy_arena_new")
int BPF_PROG(on_new, __u32 heap, __u32 arena, __u64 serial)
{
	bpf_printk("heap %u: arena %u is new, the %llu.", heap, arena, serial + 1);
	return 0;
}

SEC("tp_btf/kpy_arena_release")
int BPF_PROG(on_release, __u32 heap, __u32 arena, __u64 serial)
{
	bpf_printk("heap %u: arena %u goes back", heap, arena);
	return 0;
}
