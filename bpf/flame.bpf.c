// SPDX-License-Identifier: GPL-2.0
/* kpy flame: adds up allocations by call stack. */
#include "kpy.bpf.h"
#include "stack.bpf.h"
#include "flame.h"

const volatile bool with_stacks = true;

struct flame_sum lost;			/* allocations that found no room */

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct flame_key);
	__type(value, struct flame_sum);
} sums SEC(".maps");

static const struct flame_sum nothing;

static __always_inline struct flame_sum *sum_of(const struct flame_key *key)
{
	struct flame_sum *sum = bpf_map_lookup_elem(&sums, key);

	if (sum)
		return sum;
	bpf_map_update_elem(&sums, key, &nothing, BPF_NOEXIST);
	return bpf_map_lookup_elem(&sums, key);
}

static __always_inline int allocated(void *ctx, __u32 heap, __u64 size, __u32 szidx,
				     __u64 call_site)
{
	struct flame_key key = { .call_site = call_site };
	struct flame_sum *sum;

	if (!alloc_wanted(heap, size, szidx))
		return 0;
	if (with_stacks)
		key.stack = stack_id(ctx);
	sum = sum_of(&key);
	if (sum) {
		sum->blocks++;
		sum->bytes += size;
	} else {
		__sync_fetch_and_add(&lost.blocks, 1);
		__sync_fetch_and_add(&lost.bytes, size);
	}
	return 0;
}

SEC("tp_btf/kpy_alloc")
int BPF_PROG(on_alloc, __u32 heap, void *ptr, size_t size, __u32 szidx, void *pool, __u32 arena,
	     unsigned long call_site)
{
	return allocated(ctx, heap, size, szidx, call_site);
}

SEC("tp_btf/kpy_large_alloc")
int BPF_PROG(on_large_alloc, __u32 heap, void *ptr, size_t size, bool fallback,
	     unsigned long call_site)
{
	return allocated(ctx, heap, size, KPY_ANY, call_site);
}
