// SPDX-License-Identifier: GPL-2.0
/* kpy rate: what each caller allocates and frees.  Counts only grow; kpy takes differences. */
#include "kpy.bpf.h"
#include "stack.bpf.h"
#include "rate.h"

const volatile bool by_stack;

__u64 lost;				/* events whose caller found no room */

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 8192);
	__type(key, struct rate_caller);
	__type(value, struct rate_counts);
} callers SEC(".maps");

static const struct rate_counts nothing;

static __always_inline struct rate_counts *counts_of(void *ctx, __u64 call_site)
{
	struct rate_caller key = {
		.call_site = call_site, .stack = by_stack ? stack_id(ctx) : 0,
	};
	struct rate_counts *c = bpf_map_lookup_elem(&callers, &key);

	if (c)
		return c;
	bpf_map_update_elem(&callers, &key, &nothing, BPF_NOEXIST);
	c = bpf_map_lookup_elem(&callers, &key);
	if (!c)
		__sync_fetch_and_add(&lost, 1);
	return c;
}

static __always_inline int count_alloc(void *ctx, __u64 call_site, __u64 size)
{
	struct rate_counts *c = counts_of(ctx, call_site);

	if (!c)
		return 0;
	c->allocs++;
	c->bytes += size;
	return 0;
}

static __always_inline int count_free(void *ctx, __u64 call_site)
{
	struct rate_counts *c = counts_of(ctx, call_site);

	if (c)
		c->frees++;
	return 0;
}

SEC("tp_btf/kpy_alloc")
int BPF_PROG(on_alloc, __u32 heap, void *ptr, size_t size, __u32 szidx, void *pool, __u32 arena,
	     __u64 call_site)
{
	return alloc_wanted(heap, size, szidx) ? count_alloc(ctx, call_site, size) : 0;
}

SEC("tp_btf/kpy_free")
int BPF_PROG(on_free, __u32 heap, void *ptr, size_t size, __u32 szidx, void *pool, __u32 arena,
	     __u64 call_site)
{
	return free_wanted(heap, size, szidx) ? count_free(ctx, call_site) : 0;
}

SEC("tp_btf/kpy_large_alloc")
int BPF_PROG(on_large_alloc, __u32 heap, void *ptr, size_t size, bool fallback, __u64 call_site)
{
	return alloc_wanted(heap, size, KPY_ANY) ? count_alloc(ctx, call_site, size) : 0;
}

SEC("tp_btf/kpy_large_free")
int BPF_PROG(on_large_free, __u32 heap, void *ptr, size_t size, __u64 call_site)
{
	return free_wanted(heap, size, KPY_ANY) ? count_free(ctx, call_site) : 0;
}
