/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Kernel stacks by id.  The map is keyed by whole stacks, because the kernel's own
 * stack map keeps one stack per hash value and fails on a collision: so what a tool
 * says about a stack is true of all its blocks.  The walk (some 7000 instructions)
 * costs ten times as much as the lookup.
 */
#ifndef _KPY_STACK_BPF_H
#define _KPY_STACK_BPF_H

#include "stack.h"

__u32 nr_stacks;
__u64 stacks_lost;		/* stacks that could not be walked or found no room */

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, struct kpy_stack);
	__type(value, __u32);
} stacks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct kpy_stack);
} walked SEC(".maps");

/* Ids start at 1; 0 if there is none. */
static __always_inline __u32 stack_id(void *ctx)
{
	__u32 zero = 0, new, *id;
	struct kpy_stack *s = bpf_map_lookup_elem(&walked, &zero);

	if (!s)
		return 0;
	__builtin_memset(s, 0, sizeof(*s));
	if (bpf_get_stack(ctx, s, sizeof(*s), 0) <= 0)
		goto lost;
	id = bpf_map_lookup_elem(&stacks, s);
	if (id)
		return *id;
	new = __sync_fetch_and_add(&nr_stacks, 1) + 1;
	/* Another CPU may have inserted it first. */
	bpf_map_update_elem(&stacks, s, &new, BPF_NOEXIST);
	id = bpf_map_lookup_elem(&stacks, s);
	if (id)
		return *id;
lost:
	__sync_fetch_and_add(&stacks_lost, 1);
	return 0;
}

#endif
