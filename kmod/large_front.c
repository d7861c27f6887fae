// SPDX-License-Identifier: GPL-2.0
/*
 * L3, mode percpu: large blocks that a CPU has at hand, so that most are had and
 * freed without the lock and without the general allocator.
 *
 *   front (a CPU's, of a kind) <-> depot (the heap's)    <-> general allocator
 *         LIFO of blocks                 LIFO of chains
 *
 * A block that lies here keeps its record, which stays in the table: freed once
 * more it is found there, and refused.  The older half of a front that is full
 * becomes a chain of the depot.  Once a tick the chains that nobody missed since
 * the last one go back, and what CPUs have of a kind that they did not use.
 * Interrupts, requests that somebody pays for, and those that are traced pass by; the
 * blocks that they have do so, too.
 */
#include <linux/jump_label.h>
#include <linux/mm.h>
#include <linux/minmax.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
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

/* Blocks of a chain. */
static u32 chain_of(u32 kind)
{
	return room_of(kind) / 2;
}

/* What has to be told before the lock is taken for something else. */
static void tell_bytes(struct kpy_heap *heap, struct kpy_large_front *f)
{
	lockdep_assert_held(&heap->lock);
	kpy_count_large(heap, f->bytes);
	f->bytes = 0;
}

static struct kpy_large *forget_all(struct kpy_heap *heap, struct kpy_large *list)
{
	struct kpy_large *large;

	for (large = list; large; large = large->next)
		kpy_large_forget(heap, large);
	return list;
}

/* On its CPU as a task, or nobody uses it. */
static struct kpy_large *empty_front(struct kpy_heap *heap, struct kpy_large_front *f, u32 kind)
{
	struct kpy_large *list = f->top;

	tell_bytes(heap, f);
	f->top = NULL;
	f->state += room_of(kind) - (u16)f->state;
	return forget_all(heap, list);
}

static void depot_push(struct kpy_large_depot *depot, struct kpy_large *chain)
{
	chain->chain = depot->chains;
	depot->chains = chain;
	depot->nr++;
}

static struct kpy_large *depot_pop(struct kpy_large_depot *depot)
{
	struct kpy_large *chain = depot->chains;

	if (chain) {
		WRITE_ONCE(depot->chains, chain->chain);
		depot->low = min(depot->low, --depot->nr);
	}
	return chain;
}

/* The older half of a full front, which is a chain. */
static void unload(struct kpy_heap *heap, struct kpy_large_front *f, u32 kind)
{
	struct kpy_large *last = f->top;
	u32 i;

	tell_bytes(heap, f);
	for (i = 1; i < chain_of(kind); i++)
		last = last->next;
	depot_push(&heap->large_depot[kind], last->next);
	last->next = NULL;
	f->state += chain_of(kind);
}

/**
 * kpy_large_keep() - a block goes to this CPU's front, even if that is full
 * @heap: of any mode
 * @large: its record, claimed by the caller
 *
 * Context: heap->lock held.
 * Return: false if it is not for fronts: it is the caller's still.
 */
bool kpy_large_keep(struct kpy_heap *heap, struct kpy_large *large)
{
	u32 kind = large->kind;
	struct kpy_large_front *f;

	lockdep_assert_held(&heap->lock);
	if (kind == KPY_LARGE_KINDS || kpy_in_interrupt() ||
	    static_branch_unlikely(&kpy_large_free_slowly))
		return false;
	f = &this_cpu_ptr(heap->cpu)->large[kind];
	if (!(u16)f->state)
		unload(heap, f, kind);
	kpy_large_front_put(f, large);
	return true;
}

/**
 * kpy_large_refill() - a chain from the depot for this CPU's front
 * @heap: of any mode
 * @size: of the request that found it empty
 *
 * Context: Any but NMI.  May take heap->lock.
 * Return: false if there is none.
 */
bool kpy_large_refill(struct kpy_heap *heap, size_t size)
{
	u32 kind = kpy_large_kind(size);
	struct kpy_large_front *f;
	unsigned long flags;

	if (kpy_large_passes_by(heap) || kind == KPY_LARGE_KINDS ||
	    !READ_ONCE(heap->large_depot[kind].chains))
		return false;
	raw_spin_lock_irqsave(&heap->lock, flags);
	f = &this_cpu_ptr(heap->cpu)->large[kind];
	if (!f->top) {
		tell_bytes(heap, f);
		f->top = depot_pop(&heap->large_depot[kind]);
		f->state -= f->top ? chain_of(kind) : 0;
	}
	raw_spin_unlock_irqrestore(&heap->lock, flags);
	return true;
}

static bool evict_chain(struct kpy_heap *heap)
{
	struct kpy_large *list = NULL;
	unsigned long flags;
	u32 kind;

	raw_spin_lock_irqsave(&heap->lock, flags);
	for (kind = 0; kind < KPY_LARGE_KINDS && !list; kind++)
		list = forget_all(heap, depot_pop(&heap->large_depot[kind]));
	raw_spin_unlock_irqrestore(&heap->lock, flags);
	kpy_large_give_back(list);
	return list;
}

static bool evict_fronts(struct kpy_heap *heap)
{
	struct kpy_large *list[KPY_LARGE_KINDS];
	unsigned long flags;
	bool any = false;
	u32 kind;

	raw_spin_lock_irqsave(&heap->lock, flags);
	for (kind = 0; kind < KPY_LARGE_KINDS; kind++)
		list[kind] = empty_front(heap, &this_cpu_ptr(heap->cpu)->large[kind], kind);
	raw_spin_unlock_irqrestore(&heap->lock, flags);
	for (kind = 0; kind < KPY_LARGE_KINDS; kind++) {
		any |= !!list[kind];
		kpy_large_give_back(list[kind]);
	}
	return any;
}

/**
 * kpy_large_evict() - make room under the heap's limit
 * @heap: of any mode
 *
 * Context: Any but NMI.  Takes heap->lock.
 * Return: false if neither the depot nor this CPU has anything.
 */
bool kpy_large_evict(struct kpy_heap *heap)
{
	return !kpy_large_passes_by(heap) && (evict_chain(heap) || evict_fronts(heap));
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

static void drain(struct kpy_heap *heap, struct kpy_large_front *f, u32 kind)
{
	struct kpy_large *list;
	unsigned long flags;

	raw_spin_lock_irqsave(&heap->lock, flags);
	list = empty_front(heap, f, kind);
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
			drain(heap, f, kind);
		f->seen = now;
	}
}

/* A chain, if one is to go; else what is left sets the next mark. */
static bool trim_depot(struct kpy_heap *heap, struct kpy_large_depot *depot, bool all)
{
	struct kpy_large *list = NULL;
	unsigned long flags;
	u32 left;

	raw_spin_lock_irqsave(&heap->lock, flags);
	left = all ? depot->nr : depot->low;
	if (left)
		list = forget_all(heap, depot_pop(depot));
	depot->low = left ? left - 1 : depot->nr;
	raw_spin_unlock_irqrestore(&heap->lock, flags);
	kpy_large_give_back(list);
	return left;
}

/**
 * kpy_large_drain_depot() - give back what nobody missed since the last time
 * @heap: of mode percpu
 * @all: or all
 *
 * Context: Process, may sleep.  Takes heap->lock.
 */
void kpy_large_drain_depot(struct kpy_heap *heap, bool all)
{
	u32 kind;

	for (kind = 0; kind < KPY_LARGE_KINDS; kind++)
		while (trim_depot(heap, &heap->large_depot[kind], all))
			cond_resched();
}

/**
 * kpy_large_count() - the numbers of large blocks with what fronts counted
 * @heap: the heap
 * @c: large_allocs, large_frees, large_blocks, large_bytes, large_bytes_peak and
 *     large_cached* are set
 *
 * Blocks that came back are those that were handed out and are not in use.  While
 * fronts are in use the numbers are not of one moment: a block that goes from one to
 * another may be seen in both.
 *
 * Context: heap->lock held, or nobody else knows the heap any more.
 */
void kpy_large_count(struct kpy_heap *heap, struct kpy_counters *c)
{
	struct kpy_cpu_snapshot s;
	s64 bytes = 0;
	u64 cached;
	u32 kind;
	int cpu;

	c->large_allocs = heap->c.large_allocs;
	c->large_blocks = heap->c.large_blocks;
	c->large_cached = 0;
	c->large_cached_bytes = 0;
	for (kind = 0; heap->cpu && kind < KPY_LARGE_KINDS; kind++) {
		cached = kpy_large_in_depot(heap, kind);
		for_each_possible_cpu(cpu) {
			kpy_snapshot_large(heap, cpu, kind, &s);
			cached += s.task;
			c->large_allocs += s.allocs;
			bytes += READ_ONCE(per_cpu_ptr(heap->cpu, cpu)->large[kind].bytes);
		}
		c->large_cached += cached;
		c->large_cached_bytes += cached * KPY_LARGE_FIRST << kind;
	}
	c->large_cached = min(c->large_cached, c->large_blocks);
	c->large_blocks -= c->large_cached;
	c->large_frees = c->large_allocs - c->large_blocks;
	bytes += heap->c.large_bytes;
	c->large_bytes = clamp(bytes, 0LL, heap->large_held);
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
 * kpy_large_in_depot() - blocks of a kind that any CPU may take
 * @heap: of mode percpu
 * @kind: of large blocks
 *
 * Context: Any.
 * Return: how many.
 */
u32 kpy_large_in_depot(const struct kpy_heap *heap, u32 kind)
{
	return READ_ONCE(heap->large_depot[kind].nr) * chain_of(kind);
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
