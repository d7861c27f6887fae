// SPDX-License-Identifier: GPL-2.0
/*
 * Prints a line for each arena that is created or released.  Attach it with
 * `kpy attach`, read it with `bpftool prog tracelog`.
 */
#include "kpy.bpf.h"

SEC("tp_btf/kpy_arena_new")
int BPF_PROG(on_new, __u32 heap, __u32 arena, __u64 serial)
{
	bpf_printk("heap %u: arena %u is new, number %llu", heap, arena, serial + 1);
	return 0;
}

SEC("tp_btf/kpy_arena_release")
int BPF_PROG(on_release, __u32 heap, __u32 arena, __u64 serial)
{
	bpf_printk("heap %u: arena %u is released", heap, arena);
	return 0;
}
