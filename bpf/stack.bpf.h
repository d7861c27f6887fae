/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Kernel stacks by number.  A hash of whole stacks, where the kernel's own
 * stack map keeps one stack a hash value and gives up on the second: what a
 * tool says of a stack is then true of all its blocks.  The walk (some 7000
 * instructions) costs ten times what the look-up does.
 */
#ifndef _KPY_STACK_BPF_H
#define _KPY_STACK_BPF_H

#include "stack.h"

__u32 nr_stacks;
__u64 stacks_lost;		/* walks that gave nothing, or found no room */

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

/* From 1; 0 if there is none. */
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
	/* Another CPU may have been faster. */
	bpf_map_update_elem(&stacks, s, &new, BPF_NOEXIST);
	id = bpf_map_lookup_elem(&stacks, s);
	if (id)
		return *id;
lost:
	__sync_fetch_and_add(&stacks_lost, 1);
	return 0;
}

#endif
