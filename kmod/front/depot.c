// SPDX-License-Identifier: GPL-2.0
/*
 * L3, mode percpu: fronts, magazines and the depot: a cache of free blocks that knows
 * two callbacks, struct kpy_front_ops, and nothing of pools.
 *
 *   front (per CPU and class) <-> shelf (same CPU) <-> depot (per heap) <-> from_pools()
 *         blocks                   magazines            magazines           to_pools()
 *
 * A CPU keeps a few full magazines of each class, so that batches take no lock; the
 * rest is in the depot, from which all CPUs take.  Blocks come from the pools only
 * when the depot has no magazine; drain.c returns them there.
 */
#include <linux/mm.h>
#include <linux/slab.h>

#include "account.h"
#include "front/magazine.h"
#include "internal.h"

#define REFILL_BYTES	4096	/* of blocks that an empty front gets from pools */
#define REFILL_MIN	4	/* blocks */
#define QUIETLY		(GFP_KERNEL | __GFP_NOWARN)

static struct kmem_cache *mag_cache;

/* Blocks from pools into an empty front, the first one on top. */
static bool load_from_pools(struct kpy_heap *heap, struct kpy_front *f, u32 szidx)
{
	u32 want = clamp(REFILL_BYTES / kpy_class_size(heap, szidx), (u32)REFILL_MIN,
			 (u32)KPY_MAG_BLOCKS);
	void *blocks[KPY_MAG_BLOCKS], **top = kpy_front_top(f);
	u32 n = heap->front_ops->from_pools(heap, szidx, blocks, want), i;

	for (i = 0; i < n; i++)
		top[n - i] = blocks[i];
	f->state += n * sizeof(void *);
	return n;
}

/* From the CPU's shelf, which takes no lock; false if it is empty. */
static bool load_from_shelf(struct kpy_cpu *cpu, struct kpy_front *f, u32 szidx)
{
	struct kpy_magazine *mag = shelf_pop(&cpu->shelf[szidx]);

	if (!mag)
		return false;
	front_load(f, mag);
	empty_push(cpu, mag);
	return true;
}

/* To the CPU's shelf, which takes no lock; false if it is full or no magazine is empty. */
static bool unload_to_shelf(struct kpy_cpu *cpu, struct kpy_front *f, u32 szidx)
{
	struct kpy_magazine *mag;

	if (cpu->shelf[szidx].nr >= SHELF_MAX)
		return false;
	mag = empty_pop(cpu);
	if (!mag)
		return false;
	front_unload(f, mag);
	shelf_push(&cpu->shelf[szidx], mag);
	return true;
}

static void shelf_move(struct kpy_shelf *from, struct kpy_shelf *to, u32 count)
{
	struct kpy_magazine *mag;

	while (count-- && (mag = shelf_pop(from)))
		shelf_push(to, mag);
}

/* A CPU keeps EXCHANGE empty magazines if there are that many. */
static void empties_level(struct kpy_heap *heap, struct kpy_cpu *cpu)
{
	struct kpy_magazine *mag;

	while (cpu->nr_empties > EXCHANGE)
		mag_push(&heap->empties, empty_pop(cpu));
	while (cpu->nr_empties < EXCHANGE && (mag = mag_pop(&heap->empties)))
		empty_push(cpu, mag);
}

/**
 * kpy_depot_refill_locked() - load an empty front
 * @heap: of mode percpu
 * @f: the front, this CPU's
 * @szidx: its class
 *
 * Context: heap->lock held.
 * Return: false if there are no blocks without growing the heap.
 */
bool kpy_depot_refill_locked(struct kpy_heap *heap, struct kpy_front *f, u32 szidx)
{
	struct kpy_cpu *cpu = this_cpu_ptr(heap->cpu);
	struct kpy_shelf *shelf = &cpu->shelf[szidx];

	lockdep_assert_held(&heap->lock);
	if (!shelf->nr)
		shelf_move(&heap->depot[szidx], shelf, EXCHANGE);
	if (!load_from_shelf(cpu, f, szidx))
		return load_from_pools(heap, f, szidx);
	empties_level(heap, cpu);
	return true;
}

/* Room in a full front; false if an empty magazine is missing. */
static bool make_room_locked(struct kpy_heap *heap, struct kpy_front *f, u32 szidx)
{
	struct kpy_cpu *cpu = this_cpu_ptr(heap->cpu);
	struct kpy_shelf *shelf = &cpu->shelf[szidx];

	lockdep_assert_held(&heap->lock);
	if (shelf->nr >= SHELF_MAX)
		shelf_move(shelf, &heap->depot[szidx], EXCHANGE);
	empties_level(heap, cpu);
	return unload_to_shelf(cpu, f, szidx);
}

/**
 * kpy_depot_put_locked() - put a block into this CPU's front
 * @heap: of mode percpu
 * @szidx: the block's class
 * @block: the block
 *
 * Context: heap->lock held.
 * Return: false if an empty magazine is missing.
 */
bool kpy_depot_put_locked(struct kpy_heap *heap, u32 szidx, void *block)
{
	struct kpy_front *f = this_front(heap, szidx);

	if (front_is_full(f) && !make_room_locked(heap, f, szidx))
		return false;
	front_put(f, block);
	return true;
}

/**
 * kpy_depot_add_empty() - add an empty magazine to the heap's
 * @heap: of mode percpu
 * @mag: the magazine
 *
 * Context: heap->lock held.
 * Return: false if the heap's limit does not allow for it.
 */
bool kpy_depot_add_empty(struct kpy_heap *heap, struct kpy_magazine *mag)
{
	lockdep_assert_held(&heap->lock);
	if (!kpy_may_hold(heap, sizeof(*mag)))
		return false;
	mag_push(&heap->empties, mag);
	kpy_count_held(heap, sizeof(*mag));
	return true;
}

/**
 * kpy_magazine_new() - allocate a magazine
 *
 * Context: Any but NMI, no raw lock held.
 * Return: the magazine or NULL.
 */
struct kpy_magazine *kpy_magazine_new(void)
{
	return kmem_cache_alloc(mag_cache, GFP_NOWAIT | __GFP_NOWARN);
}

/**
 * kpy_magazine_free() - free an empty magazine
 * @mag: the magazine, or NULL
 *
 * Context: Any but NMI, no raw lock held.
 */
void kpy_magazine_free(struct kpy_magazine *mag)
{
	if (mag)
		kmem_cache_free(mag_cache, mag);
}

/**
 * kpy_depot_refill() - load an empty front
 * @heap: of mode percpu
 * @f: the front, this CPU's
 * @szidx: its class
 *
 * Context: Interrupts off.  May take heap->lock.
 * Return: false if there are no blocks without growing the heap.
 */
bool kpy_depot_refill(struct kpy_heap *heap, struct kpy_front *f, u32 szidx)
{
	bool done = load_from_shelf(this_cpu_ptr(heap->cpu), f, szidx);

	if (!done) {
		raw_spin_lock(&heap->lock);
		done = kpy_depot_refill_locked(heap, f, szidx);
		raw_spin_unlock(&heap->lock);
	}
	return done;
}

/**
 * kpy_depot_make_room() - take %KPY_MAG_BLOCKS blocks out of a front
 * @heap: of mode percpu
 * @f: the front, this CPU's, which has that many
 * @szidx: its class
 *
 * Context: Interrupts off.  May take heap->lock.
 * Return: false if an empty magazine is missing.
 */
bool kpy_depot_make_room(struct kpy_heap *heap, struct kpy_front *f, u32 szidx)
{
	bool done = unload_to_shelf(this_cpu_ptr(heap->cpu), f, szidx);

	if (!done) {
		raw_spin_lock(&heap->lock);
		done = make_room_locked(heap, f, szidx);
		raw_spin_unlock(&heap->lock);
	}
	return done;
}

/**
 * kpy_depot_exchange() - move full magazines, and empty ones as needed
 * @heap: of mode percpu
 * @from: this CPU's shelf of a class, or the depot
 * @to: the other one of them
 * @count: how many full ones, at most
 *
 * Context: Interrupts off.  Takes heap->lock.
 */
void kpy_depot_exchange(struct kpy_heap *heap, struct kpy_shelf *from, struct kpy_shelf *to,
			u32 count)
{
	raw_spin_lock(&heap->lock);
	shelf_move(from, to, count);
	empties_level(heap, this_cpu_ptr(heap->cpu));
	raw_spin_unlock(&heap->lock);
}

/**
 * kpy_depot_count_cpu() - what a CPU has cached of a class
 * @heap: of mode percpu
 * @cpu: any possible one
 * @szidx: size class
 * @to: filled in; while the CPU uses it, the numbers are not of one moment
 *
 * Context: Any.
 */
void kpy_depot_count_cpu(struct kpy_heap *heap, int cpu, u32 szidx, struct kpy_cpu_snapshot *to)
{
	u64 task = READ_ONCE(front_of(heap, cpu, KPY_FRONT_TASK, szidx)->state);
	u64 irq = READ_ONCE(front_of(heap, cpu, KPY_FRONT_IRQ, szidx)->state);

	to->allocs = task / KPY_FRONT_ALLOC + irq / KPY_FRONT_ALLOC;
	to->task = kpy_front_blocks(task);
	to->irq = kpy_front_blocks(irq);
	to->shelf = READ_ONCE(per_cpu_ptr(heap->cpu, cpu)->shelf[szidx].nr) * KPY_MAG_BLOCKS;
}

/**
 * kpy_depot_count() - see count of struct kpy_mode_ops
 * @heap: of mode percpu
 * @szidx: size class
 * @allocs: what fronts ever handed out is added to it
 *
 * A front tells both numbers at one moment; two fronts do not.
 *
 * Context: heap->lock held.
 * Return: how many blocks are in fronts and magazines.
 */
u64 kpy_depot_count(struct kpy_heap *heap, u32 szidx, u64 *allocs)
{
	u64 cached = (u64)heap->depot[szidx].nr * KPY_MAG_BLOCKS;
	struct kpy_cpu_snapshot s;
	int cpu;

	for_each_possible_cpu(cpu) {
		kpy_depot_count_cpu(heap, cpu, szidx, &s);
		*allocs += s.allocs;
		cached += s.task + s.irq + s.shelf;
	}
	return cached;
}

static void init_cpu(struct kpy_heap *heap, int cpu)
{
	u32 i;

	for (i = 0; i < heap->nr_classes; i++) {
		front_of(heap, cpu, KPY_FRONT_TASK, i)->state = KPY_FRONT_EMPTY;
		front_of(heap, cpu, KPY_FRONT_IRQ, i)->state = KPY_FRONT_EMPTY;
	}
}

/**
 * kpy_depot_init() - make a heap's fronts and shelves
 * @heap: zeroed except for its constants
 *
 * Context: Process, may sleep.
 * Return: 0 or -ENOMEM; kpy_depot_exit() cleans up in both cases.
 */
int kpy_depot_init(struct kpy_heap *heap)
{
	int cpu, kind;

	for (kind = 0; kind < KPY_NR_FRONTS; kind++) {
		heap->front[kind] = __alloc_percpu_gfp(heap->nr_classes * sizeof(struct kpy_front),
						       SMP_CACHE_BYTES, QUIETLY);
		if (!heap->front[kind])
			return -ENOMEM;
	}
	heap->cpu = alloc_percpu_gfp(struct kpy_cpu, QUIETLY);
	if (!heap->cpu)
		return -ENOMEM;
	for_each_possible_cpu(cpu)
		init_cpu(heap, cpu);
	return 0;
}

/**
 * kpy_depot_exit() - free fronts and shelves
 * @heap: whose fronts and shelves are empty
 *
 * Context: Process, may sleep.
 */
void kpy_depot_exit(struct kpy_heap *heap)
{
	int kind;

	free_percpu(heap->cpu);
	for (kind = 0; kind < KPY_NR_FRONTS; kind++)
		free_percpu(heap->front[kind]);
}

/**
 * kpy_depot_module_init() - once, before the first heap
 *
 * Context: Process, may sleep.
 * Return: 0 or -ENOMEM.
 */
int __init kpy_depot_module_init(void)
{
	mag_cache = KMEM_CACHE(kpy_magazine, 0);
	return mag_cache ? 0 : -ENOMEM;
}

/**
 * kpy_depot_module_exit() - once, after the last heap
 *
 * Context: Process, may sleep.
 */
void kpy_depot_module_exit(void)
{
	kmem_cache_destroy(mag_cache);
}
