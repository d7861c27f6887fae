// SPDX-License-Identifier: GPL-2.0
/*
 * The blocks in use, each with its age and the stack that allocated it: for
 * kpy leak, kpy pin and kpy flame --live.
 *
 * Programs are attached in the order of this file, so the free of a block in the
 * table is never missed: all blocks in the table are in use.  A block that is freed
 * but not in the table was allocated earlier.
 *
 * The events of a heap fire under its lock, so its counts need no atomics.
 */
#include "kpy.bpf.h"
#include "stack.bpf.h"
#include "live.h"

const volatile bool with_stacks = true;
const volatile __u32 reader;		/* pid of kpy: its first read is the start */

__u64 lost;				/* heaps that found no room */

/* by address */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1 << 20);
	__type(key, __u64);
	__type(value, struct live_block);
} blocks SEC(".maps");

/* by heap id */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, struct live_heap);
} heaps SEC(".maps");

static const struct live_heap nothing;

static __always_inline struct live_heap *heap_of(__u32 id)
{
	struct live_heap *h = bpf_map_lookup_elem(&heaps, &id);

	if (h)
		return h;
	bpf_map_update_elem(&heaps, &id, &nothing, BPF_NOEXIST);
	h = bpf_map_lookup_elem(&heaps, &id);
	if (!h)
		__sync_fetch_and_add(&lost, 1);
	return h;
}

static __always_inline void count(struct live_moment *m, __u32 szidx, __u64 size, __s64 n)
{
	if (szidx == KPY_ANY) {
		m->large += n;
		m->large_bytes += n * size;
	} else {
		m->small += n;
		m->units += n * (szidx + 1);
		m->small_bytes += n * size;
	}
}

/* True if it was in the table; an entry of another heap is stale, that heap is gone. */
static __always_inline bool forget(struct live_heap *h, __u32 heap, __u64 ptr)
{
	struct live_block *b = bpf_map_lookup_elem(&blocks, &ptr);
	bool known;

	if (!b)
		return false;
	known = b->heap == heap;
	if (known)
		count(&h->tracked, b->szidx, b->size, -1);
	bpf_map_delete_elem(&blocks, &ptr);
	return known;
}

static __always_inline int freed(__u32 heap, __u64 ptr, __u64 size, __u32 szidx)
{
	struct live_heap *h;

	if (!heap_wanted(heap))
		return 0;
	h = heap_of(heap);
	if (h && !forget(h, heap, ptr))
		count(&h->freed, szidx, size, 1);
	return 0;
}

static __always_inline int allocated(void *ctx, __u64 ptr, struct live_block *b)
{
	struct live_heap *h;

	if (!alloc_wanted(b->heap, b->size, b->szidx))
		return 0;
	h = heap_of(b->heap);
	if (!h)
		return 0;
	b->born = bpf_ktime_get_ns();
	if (with_stacks)
		b->stack = stack_id(ctx);
	if (!bpf_map_update_elem(&blocks, &ptr, b, BPF_ANY)) {
		count(&h->tracked, b->szidx, b->size, 1);
		return 0;
	}
	h->lost++;
	h->lost_bytes += b->size;
	return 0;
}

SEC("tp_btf/kpy_free")
int BPF_PROG(on_free, __u32 heap, void *ptr, size_t size, __u32 szidx)
{
	return freed(heap, (__u64)ptr, size, szidx);
}

SEC("tp_btf/kpy_large_free")
int BPF_PROG(on_large_free, __u32 heap, void *ptr, size_t size)
{
	return freed(heap, (__u64)ptr, size, KPY_ANY);
}

/* In place: same block, new size.  A move fires an alloc and a free event instead. */
SEC("tp_btf/kpy_realloc")
int BPF_PROG(on_realloc, __u32 heap, void *old, void *ptr, size_t old_size, size_t size)
{
	__u64 key = (__u64)ptr;
	struct live_block *b;
	struct live_heap *h;

	if (old != ptr || !heap_wanted(heap))
		return 0;
	b = bpf_map_lookup_elem(&blocks, &key);
	h = heap_of(heap);
	if (!b || !h || b->heap != heap)
		return 0;
	count(&h->tracked, b->szidx, b->size, -1);
	b->size = size;
	count(&h->tracked, b->szidx, b->size, 1);
	return 0;
}

static __always_inline void start(struct live_heap *h, __u64 small, __u64 large, __u64 large_bytes)
{
	if (h->starts++)
		return;
	h->tracked_at_start = h->tracked;
	h->freed_at_start = h->freed;
	h->small_at_start = small;
	h->large_at_start = large;
	h->large_bytes_at_start = large_bytes;
}

SEC("tp_btf/kpy_snapshot")
int BPF_PROG(on_snapshot, __u32 heap, const char *name, __u32 what, __u64 allocs, __u64 frees,
	     __u64 reallocs, __u64 large_allocs, __u64 large_frees, __u64 large_bytes)
{
	struct live_heap *h;

	if (!heap_wanted(heap))
		return 0;
	h = heap_of(heap);
	if (!h)
		return 0;
	if (what == KPY_SNAPSHOT_STATS && bpf_get_current_pid_tgid() >> 32 == reader)
		start(h, allocs - frees, large_allocs - large_frees, large_bytes);
	if (what != KPY_SNAPSHOT_END)
		return 0;
	h->ended = 1;
	bpf_probe_read_kernel_str(h->name, sizeof(h->name), name);
	return 0;
}

SEC("tp_btf/kpy_large_alloc")
int BPF_PROG(on_large_alloc, __u32 heap, void *ptr, size_t size, bool fallback,
	     unsigned long call_site)
{
	struct live_block b = {
		.call_site = call_site, .size = size, .heap = heap,
		.szidx = KPY_ANY, .arena = KPY_ANY,
	};

	return allocated(ctx, (__u64)ptr, &b);
}

SEC("tp_btf/kpy_alloc")
int BPF_PROG(on_alloc, __u32 heap, void *ptr, size_t size, __u32 szidx, void *pool, __u32 arena,
	     unsigned long call_site)
{
	struct live_block b = {
		.call_site = call_site, .size = size, .heap = heap,
		.szidx = szidx, .arena = arena,
	};

	return allocated(ctx, (__u64)ptr, &b);
}
