// SPDX-License-Identifier: GPL-2.0
/*
 * Counters with a peak, and the snapshot of all numbers.  Leaf: formats
 * nothing and knows no pool.  What CPython's _PyObject_DebugMallocStats()
 * finds by walking every pool is kept up to date here, so a snapshot is short
 * whatever the heap's size; check.c compares it with a walk.
 */
#include <linux/export.h>
#include <linux/mm.h>
#include <linux/percpu.h>
#include <linux/slab.h>

#include "internal.h"
#include "trace.h"

/**
 * kpy_count_held() - memory came from or went to the system
 * @heap: the heap
 * @bytes: how much, negative if it went
 *
 * Context: heap->lock held.
 */
void kpy_count_held(struct kpy_heap *heap, s64 bytes)
{
	lockdep_assert_held(&heap->lock);
	heap->c.held_bytes += bytes;
	heap->c.held_bytes_peak = max(heap->c.held_bytes_peak, heap->c.held_bytes);
}

/**
 * kpy_may_hold() - does the limit leave room?
 * @heap: the heap
 * @bytes: for so much
 *
 * Context: heap->lock held.
 * Return: as asked.
 */
bool kpy_may_hold(const struct kpy_heap *heap, u64 bytes)
{
	lockdep_assert_held(&heap->lock);
	return heap->c.held_bytes + bytes <= heap->limit;
}

/**
 * kpy_heap_set_limit() - let a heap hold no more than so much
 * @heap: the heap
 * @limit: bytes, 0 for no limit
 *
 * A heap that holds more keeps what it has.
 *
 * Context: Any but NMI.
 */
void kpy_heap_set_limit(struct kpy_heap *heap, u64 limit)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&heap->lock, flags);
	heap->limit = limit ?: U64_MAX;
	raw_spin_unlock_irqrestore(&heap->lock, flags);
}
EXPORT_SYMBOL_GPL(kpy_heap_set_limit);

/**
 * kpy_count_large() - requested bytes of large blocks changed
 * @heap: the heap
 * @bytes: by how much
 *
 * Where a block was had on one CPU and freed on another, the sum may be below 0,
 * or more than there is room for, until both have told what their fronts counted.
 *
 * Context: heap->lock held.
 */
void kpy_count_large(struct kpy_heap *heap, s64 bytes)
{
	lockdep_assert_held(&heap->lock);
	heap->c.large_bytes += bytes;
	heap->c.large_bytes_peak = max_t(s64, heap->c.large_bytes_peak,
					 min_t(s64, heap->c.large_bytes, heap->large_held));
}

/**
 * kpy_snapshot_event() - tell tracers that this is the moment of a snapshot
 * @heap: the heap
 * @what: why
 *
 * Context: heap->lock held, or nobody else knows the heap any more.
 */
void kpy_snapshot_event(struct kpy_heap *heap, enum kpy_snapshot what)
{
	struct kpy_counters c;

	if (!trace_kpy_snapshot_enabled())
		return;
	kpy_count_small(heap, &c, NULL);
	kpy_large_count(heap, &c);
	trace_kpy_snapshot(heap->id, heap->name, what, c.allocs, c.frees, c.reallocs,
			   c.large_allocs, c.large_frees, c.large_bytes);
}

/* Blocks of a class that are in use; what fronts know is added to @c. */
static u64 count_class(struct kpy_heap *heap, u32 szidx, struct kpy_counters *c)
{
	u64 out = heap->class[szidx].in_use, allocs = 0, in_use;

	if (!heap->cpu)
		return out;
	/* What goes from a front to a shelf may be seen in both, or in none. */
	in_use = out - min(out, kpy_percpu_count(heap, szidx, &allocs));
	in_use = min(in_use, allocs);
	c->allocs += allocs;
	c->frees += allocs - in_use;
	return in_use;
}

/**
 * kpy_count_small() - small blocks ever handed out and taken back, and reallocs
 * @heap: the heap
 * @c: those of its counters are set
 * @class: NULL, or by class: in_use is set
 *
 * Fronts count what they hand out; what came back are those that are not in use.
 * While fronts are in use the numbers are not of one moment, but they add up.
 *
 * Context: heap->lock held, or nobody else knows the heap any more.
 */
void kpy_count_small(struct kpy_heap *heap, struct kpy_counters *c, struct kpy_class_stats *class)
{
	const struct kpy_cpu *cpu;
	u64 in_use;
	u32 i;

	c->allocs = heap->c.allocs;
	c->frees = heap->c.frees;
	c->reallocs = heap->c.reallocs;
	c->reallocs_in_place = heap->c.reallocs_in_place;
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
 * The numbers of sys._debugmallocstats() and ours.
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

	raw_spin_lock_irqsave(&heap->lock, flags);
	kpy_heap_settle(heap);
	stats->c = heap->c;
	kpy_count_small(heap, &stats->c, stats->class);
	kpy_large_count(heap, &stats->c);
	stats->unused_pools = heap->c.arenas_current * heap->pools_per_arena - heap->c.holes;
	for (i = 0; i < heap->nr_classes; i++)
		stats_of_class(heap, i, stats);
	kpy_snapshot_event(heap, KPY_SNAPSHOT_STATS);
	raw_spin_unlock_irqrestore(&heap->lock, flags);
	stats_sum(stats);
}
EXPORT_SYMBOL_GPL(kpy_heap_stats);

/**
 * kpy_heap_reset_peaks() - let the highwater marks start anew from what is now
 * @heap: the heap
 *
 * Context: Any but NMI.
 */
void kpy_heap_reset_peaks(struct kpy_heap *heap)
{
	struct kpy_counters c;
	unsigned long flags;

	raw_spin_lock_irqsave(&heap->lock, flags);
	kpy_large_count(heap, &c);
	heap->c.arenas_highwater = heap->c.arenas_current;
	heap->c.large_bytes_peak = c.large_bytes;
	heap->c.held_bytes_peak = heap->c.held_bytes;
	raw_spin_unlock_irqrestore(&heap->lock, flags);
}
EXPORT_SYMBOL_GPL(kpy_heap_reset_peaks);

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
 * Return: to be given to kvfree(), NULL if there is no memory.
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

		raw_spin_lock_irqsave(&heap->lock, flags);
		kpy_heap_settle(heap);
		snap->nr_slots = heap->nr_slots;
		if (snap->nr_slots == room) {
			snap->nr_arenas = copy_arenas(heap, snap->arenas);
			snap->nr_usable = copy_usable(heap, snap->usable);
			kpy_snapshot_event(heap, KPY_SNAPSHOT_ARENAS);
		}
		raw_spin_unlock_irqrestore(&heap->lock, flags);
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

	raw_spin_lock_irqsave(&heap->lock, flags);
	kpy_heap_settle(heap);
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
	raw_spin_unlock_irqrestore(&heap->lock, flags);
	return n;
}
