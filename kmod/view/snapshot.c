// SPDX-License-Identifier: GPL-2.0
/*
 * L6: all numbers of a heap at one moment, formatted by others.
 *
 * What CPython's _PyObject_DebugMallocStats() finds by walking every pool is kept up
 * to date in the heap, so a snapshot is short whatever the heap's size; check.c
 * compares it with a walk.
 */
#include <linux/export.h>
#include <linux/mm.h>
#include <linux/percpu.h>
#include <linux/slab.h>

#include "internal.h"
#include "lock.h"
#include "trace.h"

/**
 * kpy_snapshot_event() - tell tracers that this is the moment of a snapshot
 * @heap: the heap
 * @what: what is read
 *
 * Context: heap->lock held, or nobody else uses the heap any more.
 */
void kpy_snapshot_event(struct kpy_heap *heap, enum kpy_snapshot what)
{
	struct kpy_counters c;

	if (!trace_kpy_snapshot_enabled())
		return;
	c = heap->c;
	kpy_count_small(heap, &c, NULL);
	trace_kpy_snapshot(heap->id, heap->name, what, c.allocs, c.frees, c.reallocs,
			   c.large_allocs, c.large_frees, c.large_bytes);
}

/* Blocks of a class that are in use; what fronts counted is added to @c. */
static u64 count_class(struct kpy_heap *heap, u32 szidx, struct kpy_counters *c)
{
	u64 out = heap->class[szidx].in_use, allocs = 0, in_use;

	if (!heap->ops->count)
		return out;
	/* A block that moves from a front to a shelf may be seen in both, or in neither. */
	in_use = out - min(out, heap->ops->count(heap, szidx, &allocs));
	in_use = min(in_use, allocs);
	c->allocs += allocs;
	c->frees += allocs - in_use;
	return in_use;
}

/**
 * kpy_count_small() - add what fronts counted
 * @heap: the heap
 * @c: a copy of heap->c; allocs, frees, reallocs and reallocs_in_place are added to
 * @class: NULL, or by class: in_use is set
 *
 * Fronts count only what they hand out; blocks that are not in use were freed.
 * While fronts are in use the numbers are not of one moment, but they add up.
 *
 * Context: heap->lock held, or nobody else uses the heap any more.
 */
void kpy_count_small(struct kpy_heap *heap, struct kpy_counters *c, struct kpy_class_stats *class)
{
	const struct kpy_cpu *cpu;
	u64 in_use;
	u32 i;

	for (i = 0; i < heap->nr_classes; i++) {
		in_use = count_class(heap, i, c);
		if (class)
			class[i].in_use = in_use;
	}
	if (!heap->cpu)
		return;
	for_each_possible_cpu(i) {
		cpu = per_cpu_ptr(heap->cpu, i);
		c->reallocs += READ_ONCE(cpu->reallocs);
		c->reallocs_in_place += READ_ONCE(cpu->reallocs_in_place);
	}
}

static void stats_of_class(struct kpy_heap *heap, u32 szidx, struct kpy_heap_stats *s)
{
	const struct kpy_class *class = &heap->class[szidx];
	struct kpy_class_stats *out = &s->class[szidx];
	u32 size = kpy_class_size(heap, szidx);
	u32 capacity = kpy_class_capacity(heap, szidx);
	u32 rest = heap->geo.pool_size - heap->pool_header - capacity * size;

	out->pools = class->pools;
	out->available = class->pools * capacity - out->in_use;

	s->unused_pools -= out->pools;
	s->bytes_allocated += out->in_use * size;
	s->bytes_available += out->available * size;
	s->bytes_pool_headers += out->pools * heap->pool_header;
	s->bytes_quantization += out->pools * rest;
}

static void stats_sum(struct kpy_heap_stats *s)
{
	s->arenas_reclaimed = s->arenas_total - s->arenas_current;
	s->bytes_unused_pools = s->unused_pools * s->geometry.pool_size;
	s->bytes_holes = s->holes * s->geometry.pool_size;
	s->bytes_total = s->bytes_allocated + s->bytes_available + s->bytes_unused_pools +
			 s->bytes_pool_headers + s->bytes_quantization + s->bytes_alignment +
			 s->bytes_holes;
}

/**
 * kpy_heap_stats() - a consistent snapshot of a heap's numbers
 * @heap: the heap
 * @stats: filled in
 *
 * The numbers of sys._debugmallocstats(), and more.
 *
 * Context: Any but NMI.
 */
void kpy_heap_stats(struct kpy_heap *heap, struct kpy_heap_stats *stats)
{
	unsigned long flags;
	u32 i;

	memset(stats, 0, sizeof(*stats));
	stats->geometry = heap->geo;
	stats->nr_classes = heap->nr_classes;
	stats->pool_header = heap->pool_header;

	flags = kpy_heap_lock(heap);
	stats->c = heap->c;
	kpy_count_small(heap, &stats->c, stats->class);
	stats->unused_pools = heap->c.arenas_current * heap->pools_per_arena - heap->c.holes;
	for (i = 0; i < heap->nr_classes; i++)
		stats_of_class(heap, i, stats);
	kpy_snapshot_event(heap, KPY_SNAPSHOT_STATS);
	kpy_heap_unlock(heap, flags);
	stats_sum(stats);
}
EXPORT_SYMBOL_GPL(kpy_heap_stats);

static u32 copy_arenas(const struct kpy_heap *heap, struct kpy_arena *to)
{
	u32 slot, n = 0;

	for (slot = 0; slot < heap->nr_slots; slot++)
		if (kpy_arena_at(heap, slot)->address)
			to[n++] = *kpy_arena_at(heap, slot);
	return n;
}

static u32 copy_usable(const struct kpy_heap *heap, struct kpy_usable_snapshot *to)
{
	const struct kpy_arena *arena;
	u32 n = 0;

	list_for_each_entry(arena, &heap->usable_arenas, node) {
		to[n].slot = arena->slot;
		to[n++].nfree = arena->nfreepools;
	}
	return n;
}

/**
 * kpy_snapshot_arenas() - all arenas and the order of usable_arenas at one moment
 * @heap: the heap
 *
 * Context: Process, may sleep.
 * Return: the snapshot, for kvfree(); NULL if there is no memory.
 */
struct kpy_arenas_snapshot *kpy_snapshot_arenas(struct kpy_heap *heap)
{
	struct kpy_arenas_snapshot *snap;
	unsigned long flags;
	u32 room;

	for (;;) {
		room = READ_ONCE(heap->nr_slots);
		snap = kvzalloc(sizeof(*snap) + room * (sizeof(*snap->usable) +
							sizeof(*snap->arenas)), GFP_KERNEL);
		if (!snap)
			return NULL;
		snap->arenas = (void *)(snap + 1);
		snap->usable = (void *)(snap->arenas + room);

		flags = kpy_heap_lock(heap);
		snap->nr_slots = heap->nr_slots;
		if (snap->nr_slots == room) {
			snap->nr_arenas = copy_arenas(heap, snap->arenas);
			snap->nr_usable = copy_usable(heap, snap->usable);
			kpy_snapshot_event(heap, KPY_SNAPSHOT_ARENAS);
		}
		kpy_heap_unlock(heap, flags);
		if (snap->nr_slots == room)
			return snap;
		kvfree(snap);
	}
}

/**
 * kpy_snapshot_pools() - all pools of an arena at one moment
 * @heap: the heap
 * @slot: of the arena
 * @to: room for every pool of an arena
 *
 * Context: Any but NMI.
 * Return: how many, 0 if the slot is unused.
 */
u32 kpy_snapshot_pools(struct kpy_heap *heap, u32 slot, struct kpy_pool_snapshot *to)
{
	const struct kpy_pool *pool;
	struct kpy_arena *arena;
	unsigned long flags;
	u32 i, n = 0;

	flags = kpy_heap_lock(heap);
	arena = kpy_arena_at(heap, slot);
	if (arena->address)
		n = heap->pools_per_arena;
	for (i = 0; i < n; i++) {
		to[i].szidx = KPY_NO_CLASS;
		to[i].hole = kpy_pool_is_hole(arena, i);
		if (i >= arena->ncarved || to[i].hole)
			continue;
		pool = kpy_arena_pool(heap, arena, i);
		to[i].szidx = pool->szidx;
		to[i].count = pool->count;
		to[i].state = kpy_pool_state(pool);
	}
	kpy_heap_unlock(heap, flags);
	return n;
}
