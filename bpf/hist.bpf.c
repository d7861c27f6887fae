// SPDX-License-Identifier: GPL-2.0
/*
 * kpy hist: how large requests are, how well they fill their size classes, how long
 * calls take and how long blocks live.  Each question has its own programs, named
 * after it; kpy loads only those.  Counts are never cleared: kpy subtracts what it
 * has already shown.
 */
#include "kpy.bpf.h"
#include "hist.h"
#include "calls.bpf.h"

const volatile __u32 nr_slots = HIST_LOG2;
const volatile __u32 step;		/* bytes per slot of a linear size histogram, 0: log2 */
const volatile __u32 unit = 1;		/* of lifetimes, in ns */
const volatile bool by_event;		/* count only calls that had a wanted event */

__u64 lost;				/* events that found no room */
__u64 strangers;			/* frees of blocks whose allocation was not seen */

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, HIST_LOG2);
	__type(key, __u32);
	__type(value, __u64);
} slots SEC(".maps");

/* by enum hist_call */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, NR_HIST_CALLS);
	__type(key, __u32);
	__type(value, struct hist_paths);
} paths SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct hist_class);
	__type(value, struct hist_class_sum);
} classes SEC(".maps");

/* by id */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 256);
	__type(key, __u32);
	__type(value, struct hist_heap);
} heaps SEC(".maps");

/* by address */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1048576);
	__type(key, __u64);
	__type(value, struct hist_born);
} born SEC(".maps");

static const struct hist_class_sum no_sum;

static __always_inline __u32 log2_of(__u64 value)
{
	__u32 slot = 0;

	for (int bits = 32; bits; bits /= 2) {
		if (value >> bits) {
			value >>= bits;
			slot += bits;
		}
	}
	return slot;
}

/* Like size classes: the first slot is 1 to step. */
static __always_inline __u32 linear_of(__u64 value)
{
	__u64 slot = value ? (value - 1) / step : 0;

	return slot < nr_slots ? slot : nr_slots - 1;
}

static __always_inline void count_slot(__u32 slot)
{
	__u64 *n = bpf_map_lookup_elem(&slots, &slot);

	if (n)
		++*n;
}

static __always_inline void count_class(__u32 heap, __u32 szidx, __u64 value)
{
	struct hist_class key = { heap, szidx };
	struct hist_class_sum *s = bpf_map_lookup_elem(&classes, &key);

	if (!s) {
		bpf_map_update_elem(&classes, &key, &no_sum, BPF_NOEXIST);
		s = bpf_map_lookup_elem(&classes, &key);
	}
	if (!s) {
		__sync_fetch_and_add(&lost, 1);
		return;
	}
	s->blocks++;
	s->sum += value;
}

/* A free reports its class size, and so the alignment of a heap that may soon be gone. */
static __always_inline void learn_align(__u32 heap, __u64 size, __u32 szidx)
{
	struct hist_heap h = { .align = size / (szidx + 1) };

	if (bpf_map_lookup_elem(&heaps, &heap))
		return;
	if (bpf_map_update_elem(&heaps, &heap, &h, BPF_ANY))
		__sync_fetch_and_add(&lost, 1);
}

SEC("tp_btf/kpy_snapshot")
int BPF_PROG(heap_end, __u32 heap, const char *name, __u32 what)
{
	struct hist_heap h = { 0 }, *known;

	if (what != KPY_SNAPSHOT_END || !heap_wanted(heap))
		return 0;
	known = bpf_map_lookup_elem(&heaps, &heap);
	if (known)
		h.align = known->align;
	bpf_probe_read_kernel_str(h.name, sizeof(h.name), name);
	if (bpf_map_update_elem(&heaps, &heap, &h, BPF_ANY))
		__sync_fetch_and_add(&lost, 1);
	return 0;
}

/* size */

static __always_inline int count_size(__u32 heap, __u64 size, __u32 szidx)
{
	if (alloc_wanted(heap, size, szidx))
		count_slot(step ? linear_of(size) : log2_of(size));
	return 0;
}

SEC("tp_btf/kpy_alloc")
int BPF_PROG(size_alloc, __u32 heap, void *ptr, size_t size, __u32 szidx)
{
	return count_size(heap, size, szidx);
}

SEC("tp_btf/kpy_large_alloc")
int BPF_PROG(size_large_alloc, __u32 heap, void *ptr, size_t size)
{
	return count_size(heap, size, KPY_ANY);
}

/* waste */

SEC("tp_btf/kpy_alloc")
int BPF_PROG(waste_alloc, __u32 heap, void *ptr, size_t size, __u32 szidx)
{
	if (alloc_wanted(heap, size, szidx))
		count_class(heap, szidx, size);
	return 0;
}

SEC("tp_btf/kpy_free")
int BPF_PROG(waste_free, __u32 heap, void *ptr, size_t size, __u32 szidx)
{
	if (heap_wanted(heap))
		learn_align(heap, size, szidx);
	return 0;
}

/* latency */

static __always_inline void latency_wanted(bool wanted)
{
	struct call *c = wanted ? call_current() : NULL;

	if (c)
		c->data.wanted = true;
}

static __always_inline void latency_path(__u32 heap, enum hist_path path)
{
	struct call *c = heap_wanted(heap) ? call_current() : NULL;

	if (c)
		c->data.paths |= 1 << path;
}

static __always_inline void count_call(const struct call *c, enum hist_call which, __u64 ns)
{
	__u32 key = which, seen = c->data.paths | 1 << HIST_ALL;
	struct hist_paths *p = bpf_map_lookup_elem(&paths, &key);

	if (!p)
		return;
	for (int i = 0; i < NR_HIST_PATHS; i++) {
		if (!(seen & 1 << i))
			continue;
		p->calls[i]++;
		p->ns[i] += ns;
	}
	count_slot(which * HIST_LOG2 + log2_of(ns));
}

static __always_inline int latency_leave(void *ctx, enum hist_call which)
{
	__u64 now = bpf_ktime_get_ns();
	struct call *c = call_leave(ctx);

	if (c && (!by_event || c->data.wanted))
		count_call(c, which, now - c->entered);
	call_done(ctx);
	return 0;
}

#define LATENCY_OF(function, which)				\
SEC("fentry/" #function)					\
int latency_enter_##function(void *ctx)				\
{								\
	call_enter(ctx);					\
	return 0;						\
}								\
								\
SEC("fexit/" #function)						\
int latency_leave_##function(void *ctx)				\
{								\
	return latency_leave(ctx, which);			\
}

LATENCY_OF(kpy_alloc, HIST_ALLOC)
LATENCY_OF(kpy_zalloc, HIST_ALLOC)
LATENCY_OF(kpy_calloc, HIST_ALLOC)
LATENCY_OF(kpy_realloc, HIST_REALLOC)
LATENCY_OF(kpy_free, HIST_FREE)

SEC("tp_btf/kpy_pool_state")
int BPF_PROG(latency_pool_state, __u32 heap, void *pool, __u32 arena, __u32 szidx, __u32 from,
	     __u32 to)
{
	if (from == KPY_POOL_EMPTY && to == KPY_POOL_USED)
		latency_path(heap, HIST_NEW_POOL);
	return 0;
}

SEC("tp_btf/kpy_arena_new")
int BPF_PROG(latency_arena_new, __u32 heap)
{
	latency_path(heap, HIST_NEW_ARENA);
	return 0;
}

SEC("tp_btf/kpy_arena_release")
int BPF_PROG(latency_arena_release, __u32 heap)
{
	latency_path(heap, HIST_RELEASED);
	return 0;
}

SEC("tp_btf/kpy_alloc")
int BPF_PROG(latency_event_alloc, __u32 heap, void *ptr, size_t size, __u32 szidx)
{
	latency_wanted(alloc_wanted(heap, size, szidx));
	return 0;
}

SEC("tp_btf/kpy_free")
int BPF_PROG(latency_event_free, __u32 heap, void *ptr, size_t size, __u32 szidx)
{
	latency_wanted(free_wanted(heap, size, szidx));
	return 0;
}

SEC("tp_btf/kpy_realloc")
int BPF_PROG(latency_event_realloc, __u32 heap, void *old, void *ptr, size_t old_size, size_t size)
{
	latency_wanted(alloc_wanted(heap, size, filter.szidx));
	return 0;
}

SEC("tp_btf/kpy_large_alloc")
int BPF_PROG(latency_event_large_alloc, __u32 heap, void *ptr, size_t size)
{
	latency_wanted(alloc_wanted(heap, size, KPY_ANY));
	return 0;
}

SEC("tp_btf/kpy_large_free")
int BPF_PROG(latency_event_large_free, __u32 heap, void *ptr, size_t size)
{
	latency_wanted(free_wanted(heap, size, KPY_ANY));
	return 0;
}

/* life */

static __always_inline int life_begin(__u32 heap, void *ptr, __u64 size, __u32 szidx)
{
	struct hist_born b = { .ns = bpf_ktime_get_ns(), .heap = heap, .szidx = szidx };
	__u64 key = (__u64)ptr;

	if (alloc_wanted(heap, size, szidx) && bpf_map_update_elem(&born, &key, &b, BPF_ANY))
		__sync_fetch_and_add(&lost, 1);
	return 0;
}

/* Memory of a block that a destroyed heap left in the table may be reused by another heap. */
static __always_inline int life_end(__u32 heap, void *ptr)
{
	__u64 key = (__u64)ptr, ns;
	struct hist_born *b = bpf_map_lookup_elem(&born, &key);

	if (!heap_wanted(heap))
		return 0;
	if (!b || b->heap != heap) {
		__sync_fetch_and_add(&strangers, 1);
		return 0;
	}
	ns = bpf_ktime_get_ns() - b->ns;
	count_slot(log2_of(ns / unit));
	count_class(heap, b->szidx, ns);
	bpf_map_delete_elem(&born, &key);
	return 0;
}

SEC("tp_btf/kpy_alloc")
int BPF_PROG(life_alloc, __u32 heap, void *ptr, size_t size, __u32 szidx)
{
	return life_begin(heap, ptr, size, szidx);
}

SEC("tp_btf/kpy_free")
int BPF_PROG(life_free, __u32 heap, void *ptr, size_t size, __u32 szidx)
{
	if (heap_wanted(heap))
		learn_align(heap, size, szidx);
	return life_end(heap, ptr);
}

SEC("tp_btf/kpy_large_alloc")
int BPF_PROG(life_large_alloc, __u32 heap, void *ptr, size_t size)
{
	return life_begin(heap, ptr, size, KPY_ANY);
}

SEC("tp_btf/kpy_large_free")
int BPF_PROG(life_large_free, __u32 heap, void *ptr)
{
	return life_end(heap, ptr);
}
