// SPDX-License-Identifier: GPL-2.0
/*
 * L3, mode percpu: large blocks that a CPU has at hand, so that most are had and
 * freed without the lock and without the general allocator.
 *
 * A block that lies in a front keeps its record, which stays in the table: freed
 * once more it is found there, and refused.  A front holds so many bytes of a
 * kind; the older half of them goes when it is full, all of a kind that nobody
 * used between two ticks, and all when drained.  Interrupts, and requests that
 * somebody pays for, pass by.
 */
#include <linux/jump_label.h>
#include <linux/mm.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "internal.h"
#include "large.h"
#include "trace.h"

#define FRONT_BYTES	(64U << 10)	/* of a kind that a CPU keeps */
#define FRONT_BLOCKS	64		/* but no more than these */

static_assert(KPY_LARGE_MAX <= KMALLOC_MAX_CACHE_SIZE);

DEFINE_STATIC_KEY_FALSE(kpy_large_alloc_slowly);
DEFINE_STATIC_KEY_FALSE(kpy_large_free_slowly);

static u32 room_of(u32 kind)
{
	return min(FRONT_BYTES / KPY_LARGE_FIRST >> kind, (u32)FRONT_BLOCKS);
}

/* On its CPU as a task, or nobody uses it.  All but the @keep blocks freed last go. */
static struct kpy_large *cut(struct kpy_heap *heap, struct kpy_large_front *f, u32 keep)
{
	struct kpy_large **at = &f->top, *list, *large;

	lockdep_assert_held(&heap->lock);
	kpy_count_large(heap, f->bytes);
	f->bytes = 0;
	while (keep-- && *at)
		at = &(*at)->next;
	list = *at;
	*at = NULL;
	for (large = list; large; large = large->next) {
		f->state++;
		kpy_large_forget(heap, large);
	}
	return list;
}

/**
 * kpy_large_make_room() - half of this CPU's blocks of a kind go, if it is all it may have
 * @heap: of any mode
 * @kind: of large blocks
 *
 * Context: heap->lock held.
 * Return: those that go, for kpy_large_give_back().
 */
struct kpy_large *kpy_large_make_room(struct kpy_heap *heap, u32 kind)
{
	struct kpy_large_front *f;

	if (kind == KPY_LARGE_KINDS || kpy_in_interrupt())
		return NULL;
	f = &this_cpu_ptr(heap->cpu)->large[kind];
	return (u16)f->state ? NULL : cut(heap, f, room_of(kind) / 2);
}

/**
 * kpy_large_evict() - all goes that this CPU has at hand
 * @heap: of any mode
 *
 * Context: Any but NMI.  Takes heap->lock.
 * Return: false if that is nothing.
 */
bool kpy_large_evict(struct kpy_heap *heap)
{
	struct kpy_large *list[KPY_LARGE_KINDS];
	unsigned long flags;
	bool any = false;
	u32 kind;

	if (!heap->cpu || kpy_in_interrupt())
		return false;
	raw_spin_lock_irqsave(&heap->lock, flags);
	for (kind = 0; kind < KPY_LARGE_KINDS; kind++)
		list[kind] = cut(heap, &this_cpu_ptr(heap->cpu)->large[kind], 0);
	raw_spin_unlock_irqrestore(&heap->lock, flags);
	for (kind = 0; kind < KPY_LARGE_KINDS; kind++) {
		any |= !!list[kind];
		kpy_large_give_back(list[kind]);
	}
	return any;
}

/**
 * kpy_large_has_cached() - does a CPU have large blocks at hand?
 * @heap: of mode percpu
 * @cpu: any possible one
 *
 * Context: Any.
 * Return: as asked.
 */
bool kpy_large_has_cached(struct kpy_heap *heap, int cpu)
{
	const struct kpy_large_front *f = per_cpu_ptr(heap->cpu, cpu)->large;
	u32 kind;

	for (kind = 0; kind < KPY_LARGE_KINDS; kind++)
		if (READ_ONCE(f[kind].top))
			return true;
	return false;
}

static void drain(struct kpy_heap *heap, struct kpy_large_front *f)
{
	struct kpy_large *list;
	unsigned long flags;

	raw_spin_lock_irqsave(&heap->lock, flags);
	list = cut(heap, f, 0);
	raw_spin_unlock_irqrestore(&heap->lock, flags);
	kpy_large_give_back(list);
}

/**
 * kpy_large_drain_cpu() - give back what a CPU has at hand
 * @heap: of mode percpu
 * @cpu: the one that this task is bound to, or one that is dead
 * @all: also of kinds that were used since the last time
 *
 * Context: Process, may sleep.  Takes heap->lock.
 */
void kpy_large_drain_cpu(struct kpy_heap *heap, int cpu, bool all)
{
	struct kpy_large_front *f = per_cpu_ptr(heap->cpu, cpu)->large;
	u32 kind;

	for (kind = 0; kind < KPY_LARGE_KINDS; kind++, f++) {
		u64 now = READ_ONCE(f->state);

		if (all || now == f->seen)
			drain(heap, f);
		f->seen = now;
	}
}

/**
 * kpy_large_count() - the numbers of large blocks with what fronts counted
 * @heap: the heap
 * @c: large_allocs, large_frees, large_blocks, large_bytes, large_bytes_peak and
 *     large_cached* are set
 *
 * Blocks that came back are those that were handed out and are not in use.  While
 * fronts are in use the numbers are not of one moment.
 *
 * Context: heap->lock held, or nobody else knows the heap any more.
 */
void kpy_large_count(struct kpy_heap *heap, struct kpy_counters *c)
{
	struct kpy_cpu_snapshot s;
	s64 bytes = 0;
	int cpu;
	u32 kind;

	c->large_allocs = heap->c.large_allocs;
	c->large_blocks = heap->c.large_blocks;
	c->large_cached = 0;
	c->large_cached_bytes = 0;
	for_each_possible_cpu(cpu) {
		if (!heap->cpu)
			break;
		for (kind = 0; kind < KPY_LARGE_KINDS; kind++) {
			kpy_snapshot_large(heap, cpu, kind, &s);
			c->large_allocs += s.allocs;
			c->large_cached += s.task;
			c->large_cached_bytes += (u64)s.task * KPY_LARGE_FIRST << kind;
			bytes += READ_ONCE(per_cpu_ptr(heap->cpu, cpu)->large[kind].bytes);
		}
	}
	c->large_blocks -= c->large_cached;
	c->large_frees = c->large_allocs - c->large_blocks;
	bytes += heap->c.large_bytes;
	c->large_bytes = max(bytes, 0LL);
	heap->c.large_bytes_peak = max(heap->c.large_bytes_peak, c->large_bytes);
	c->large_bytes_peak = heap->c.large_bytes_peak;
}

/**
 * kpy_snapshot_large() - what a CPU has of a kind
 * @heap: of mode percpu
 * @cpu: any possible one
 * @kind: of large blocks
 * @to: filled in
 *
 * Context: Any.
 */
void kpy_snapshot_large(struct kpy_heap *heap, int cpu, u32 kind, struct kpy_cpu_snapshot *to)
{
	u64 state = READ_ONCE(per_cpu_ptr(heap->cpu, cpu)->large[kind].state);

	memset(to, 0, sizeof(*to));
	to->allocs = state / KPY_LARGE_ALLOC;
	to->task = room_of(kind) - (u16)state;
}

/**
 * kpy_large_init_cpu() - make a CPU's fronts
 * @heap: nobody knows it yet
 * @cpu: any possible one
 *
 * Context: Any.
 */
void kpy_large_init_cpu(struct kpy_heap *heap, int cpu)
{
	u32 kind;

	for (kind = 0; kind < KPY_LARGE_KINDS; kind++)
		per_cpu_ptr(heap->cpu, cpu)->large[kind].state = room_of(kind);
}

/* As for small blocks, see kpy_trace_alloc_reg(). */
int kpy_trace_large_alloc_reg(void)
{
	static_branch_inc(&kpy_large_alloc_slowly);
	synchronize_rcu();
	return 0;
}

void kpy_trace_large_alloc_unreg(void)
{
	static_branch_dec(&kpy_large_alloc_slowly);
}

int kpy_trace_large_free_reg(void)
{
	static_branch_inc(&kpy_large_free_slowly);
	synchronize_rcu();
	return 0;
}

void kpy_trace_large_free_unreg(void)
{
	static_branch_dec(&kpy_large_free_slowly);
}

/**
 * kpy_large_front_module_init() - once, before the first heap
 *
 * Where freed memory has to be wiped, the general allocator does that.
 *
 * Context: Process, may sleep.
 */
void __init kpy_large_front_module_init(void)
{
	if (want_init_on_free())
		static_branch_inc(&kpy_large_free_slowly);
}
