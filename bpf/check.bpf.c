// SPDX-License-Identifier: GPL-2.0
/*
 * kpy check: counts the events of each heap, and copies the counts at the moment
 * kpy reads the module's counters, so that both can be compared while the heap is
 * in use.
 */
#include "kpy.bpf.h"
#include "check.h"

const volatile __u32 nr_cpus = 1;
const volatile __u32 reader;		/* pid of kpy: only its reads count */

__u64 lost;				/* events that found no room */
__u64 snapshots;

/* by heap id */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 256);
	__type(key, __u32);
	__type(value, struct totals);
} heaps SEC(".maps");

/* by CPU: totals of the heap read last */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct totals);
} snapshot SEC(".maps");

/* by id: destroyed heaps */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 256);
	__type(key, __u32);
	__type(value, struct ended);
} ended SEC(".maps");

static const struct totals nothing;

static __always_inline struct totals *totals_of(__u32 heap)
{
	struct totals *t;

	if (!heap_wanted(heap))
		return NULL;
	t = bpf_map_lookup_elem(&heaps, &heap);
	if (t)
		return t;
	bpf_map_update_elem(&heaps, &heap, &nothing, BPF_NOEXIST);
	t = bpf_map_lookup_elem(&heaps, &heap);
	if (!t)
		__sync_fetch_and_add(&lost, 1);
	return t;
}

static __always_inline void count_in_use(struct totals *t, __u32 szidx, __s64 n)
{
	t->in_use[szidx % CHECK_CLASSES] += n;	/* never above; the % is for the verifier */
}

SEC("tp_btf/kpy_alloc")
int BPF_PROG(on_alloc, __u32 heap, void *ptr, size_t size, __u32 szidx)
{
	struct totals *t = totals_of(heap);

	if (!t)
		return 0;
	t->allocs++;
	count_in_use(t, szidx, 1);
	return 0;
}

SEC("tp_btf/kpy_free")
int BPF_PROG(on_free, __u32 heap, void *ptr, size_t size, __u32 szidx)
{
	struct totals *t = totals_of(heap);

	if (!t)
		return 0;
	t->frees++;
	count_in_use(t, szidx, -1);
	return 0;
}

SEC("tp_btf/kpy_realloc")
int BPF_PROG(on_realloc, __u32 heap, void *old, void *ptr, size_t old_size, size_t size, bool small)
{
	struct totals *t = totals_of(heap);

	if (!t)
		return 0;
	t->reallocs++;
	if (old != ptr)
		return 0;
	t->reallocs_in_place++;
	if (!small)
		t->large_bytes += size - old_size;
	return 0;
}

SEC("tp_btf/kpy_large_alloc")
int BPF_PROG(on_large_alloc, __u32 heap, void *ptr, size_t size, bool fallback)
{
	struct totals *t = totals_of(heap);

	if (!t)
		return 0;
	t->large_allocs++;
	t->large_fallbacks += fallback;
	t->large_bytes += size;
	return 0;
}

SEC("tp_btf/kpy_large_free")
int BPF_PROG(on_large_free, __u32 heap, void *ptr, size_t size)
{
	struct totals *t = totals_of(heap);

	if (!t)
		return 0;
	t->large_frees++;
	t->large_bytes -= size;
	return 0;
}

static long copy_cpu(__u32 cpu, __u32 *heap)
{
	struct totals *t = bpf_map_lookup_percpu_elem(&heaps, heap, cpu);

	bpf_map_update_elem(&snapshot, &cpu, t ? (void *)t : (void *)&nothing, BPF_ANY);
	return 0;
}

static __always_inline void take_snapshot(__u32 heap)
{
	bpf_loop(nr_cpus, copy_cpu, &heap, 0);
	snapshots++;
}

SEC("tp_btf/kpy_snapshot")
int BPF_PROG(on_snapshot, __u32 heap, const char *name, __u32 what, __u64 allocs, __u64 frees,
	     __u64 reallocs, __u64 large_allocs, __u64 large_frees, __u64 large_bytes)
{
	struct ended e = {
		.allocs = allocs, .frees = frees, .reallocs = reallocs,
		.large_allocs = large_allocs, .large_frees = large_frees,
		.large_bytes = large_bytes,
	};

	if (!heap_wanted(heap))
		return 0;
	if (what == KPY_SNAPSHOT_STATS && bpf_get_current_pid_tgid() >> 32 == reader)
		take_snapshot(heap);
	if (what != KPY_SNAPSHOT_END)
		return 0;
	bpf_probe_read_kernel_str(e.name, sizeof(e.name), name);
	if (bpf_map_update_elem(&ended, &heap, &e, BPF_ANY))
		__sync_fetch_and_add(&lost, 1);
	return 0;
}
