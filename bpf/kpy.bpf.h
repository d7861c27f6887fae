/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Shared by all programs.  Programs are written as tp_btf; if the module has no BTF,
 * kpy loads them as raw_tp.  Both get the same arguments, all of them scalars (see
 * kmod/trace.h), and neither dereferences them as pointers.
 *
 * Events fire with interrupts off, so a program never nests on a CPU, and per-CPU
 * values need no atomics.
 */
#ifndef _KPY_BPF_H
#define _KPY_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "filter.h"

/* A free reports the class size, which exceeds the request by less than this. */
#define KPY_CLASS_STEP	32

const volatile struct kpy_filter filter = {
	.max_size = ~0ULL, .heap = KPY_ANY, .szidx = KPY_ANY, .pid = KPY_ANY,
};

char LICENSE[] SEC("license") = "GPL";

static __always_inline bool comm_wanted(void)
{
	char comm[KPY_COMM];

	bpf_get_current_comm(comm, sizeof(comm));
	for (int i = 0; i < KPY_COMM; i++) {
		if (comm[i] != filter.comm[i])
			return false;
		if (!comm[i])
			break;
	}
	return true;
}

static __always_inline bool task_wanted(void)
{
	if (filter.pid != KPY_ANY && bpf_get_current_pid_tgid() >> 32 != filter.pid)
		return false;
	return !filter.by_comm || comm_wanted();
}

static __always_inline bool heap_wanted(__u32 heap)
{
	return filter.heap == KPY_ANY || heap == filter.heap;
}

/* @szidx: KPY_ANY for a large block. */
static __always_inline bool alloc_wanted(__u32 heap, __u64 size, __u32 szidx)
{
	return heap_wanted(heap) && size >= filter.min_size && size <= filter.max_size &&
	       (filter.szidx == KPY_ANY || szidx == filter.szidx) && task_wanted();
}

static __always_inline bool free_wanted(__u32 heap, __u64 size, __u32 szidx)
{
	return heap_wanted(heap) && size >= filter.min_size &&
	       (size <= filter.max_size || size - filter.max_size < KPY_CLASS_STEP) &&
	       (filter.szidx == KPY_ANY || szidx == filter.szidx) && task_wanted();
}

#endif
