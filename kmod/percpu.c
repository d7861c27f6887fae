// SPDX-License-Identifier: GPL-2.0
/*
 * L3, mode percpu: what happens when a CPU's front is empty or full.
 *
 *   front (a CPU's, of a class) <-> shelf (of that CPU) <-> depot (the heap's) <-> pools
 *         blocks                     magazines              magazines
 *
 * A CPU keeps a few full magazines of a class, so that batches take no lock;
 * what is more lies in the depot, from where any CPU takes it.  Only what is
 * not there comes block by block from the pools; drain.c brings it back there.
 *
 * Blocks here count as handed out in their pools: blocks in use are those less
 * the cached ones.
 */
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/slab.h>

#include "internal.h"
#include "magazine.h"
#include "pool.h"
#include "trace.h"

#define REFILL_BYTES	4096	/* of blocks that an empty front gets from pools */
#define REFILL_MIN	4	/* blocks */
#define QUIETLY		(GFP_KERNEL | __GFP_NOWARN)

DEFINE_STATIC_KEY_FALSE(kpy_alloc_slowly);
EXPORT_SYMBOL_GPL(kpy_alloc_slowly);
DEFINE_STATIC_KEY_FALSE(kpy_free_slowly);
EXPORT_SYMBOL_GPL(kpy_free_slowly);

/* For requests that no front serves: both empty and full. */
static DEFINE_PER_CPU(struct kpy_front, no_front) = { .state = KPY_FRONT_FULL };

static struct kmem_cache *mag_cache;

/* Blocks from pools into an empty front, the first one on top. */
static bool load_from_pools(struct kpy_heap *heap, struct kpy_front *f, u32 szidx)
{
	u32 want = clamp(REFILL_BYTES / kpy_class_size(heap, szidx), (u32)REFILL_MIN,
			 (u32)KPY_MAG_BLOCKS);
	struct kpy_pool *pool;
	void *blocks[KPY_MAG_BLOCKS];
	u32 n;

	for (n = 0; n < want; n++) {
		pool = kpy_pool_first(heap, szidx);
		if (!pool)
			break;
		blocks[n] = kpy_pool_pop(heap, &heap->class[szidx], pool);
	}
	while (n)
		front_put(f, blocks[--n]);
	return *kpy_front_top(f);
}

/* From the CPU's shelf, which takes no lock; false if there is nothing. */
static bool load_from_shelf(struct kpy_cpu *cpu, struct kpy_front *f, u32 szidx)
{
	struct kpy_magazine *mag = shelf_pop(&cpu->shelf[szidx]);

	if (!mag)
		return false;
	front_load(f, mag);
	empty_push(cpu, mag);
	return true;
}

/* Onto the CPU's shelf, which takes no lock; false if it is full or a magazine lacks. */
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

/* A CPU keeps EXCHANGE empty magazines once it had them. */
static void empties_level(struct kpy_heap *heap, struct kpy_cpu *cpu)
{
	struct kpy_magazine *mag;

	while (cpu->nr_empties > EXCHANGE)
		mag_push(&heap->empties, empty_pop(cpu));
	while (cpu->nr_empties < EXCHANGE && (mag = mag_pop(&heap->empties)))
		empty_push(cpu, mag);
}

/* Blocks for an empty front; false if no pool has any. */
static bool refill(struct kpy_heap *heap, struct kpy_front *f, u32 szidx)
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

/* Room in a full front; false if a magazine is needed for that. */
static bool make_room(struct kpy_heap *heap, struct kpy_front *f, u32 szidx)
{
	struct kpy_cpu *cpu = this_cpu_ptr(heap->cpu);
	struct kpy_shelf *shelf = &cpu->shelf[szidx];

	lockdep_assert_held(&heap->lock);
	if (shelf->nr >= SHELF_MAX)
		shelf_move(shelf, &heap->depot[szidx], EXCHANGE);
	empties_level(heap, cpu);
	return unload_to_shelf(cpu, f, szidx);
}

static struct kpy_magazine *new_magazine(void)
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

/* False if the heap's limit does not allow for it. */
static bool add_empty(struct kpy_heap *heap, struct kpy_magazine *mag)
{
	lockdep_assert_held(&heap->lock);
	if (!kpy_may_hold(heap, sizeof(*mag)))
		return false;
	mag_push(&heap->empties, mag);
	kpy_count_held(heap, sizeof(*mag));
	return true;
}

/**
 * kpy_percpu_refill() - bring blocks into an empty front
 * @heap: of mode percpu
 * @f: the front, this CPU's
 * @szidx: its class
 *
 * Context: Interrupts off.  May take heap->lock.
 * Return: false if there are none without growing the heap.
 */
bool kpy_percpu_refill(struct kpy_heap *heap, struct kpy_front *f, u32 szidx)
{
	bool done = load_from_shelf(this_cpu_ptr(heap->cpu), f, szidx);

	if (!done) {
		raw_spin_lock(&heap->lock);
		done = refill(heap, f, szidx);
		raw_spin_unlock(&heap->lock);
	}
	return done;
}

/**
 * kpy_percpu_make_room() - take %KPY_MAG_BLOCKS blocks out of a front
 * @heap: of mode percpu
 * @f: the front, this CPU's, that has as many
 * @szidx: its class
 *
 * Context: Interrupts off.  May take heap->lock.
 * Return: false if a magazine is needed for that.
 */
bool kpy_percpu_make_room(struct kpy_heap *heap, struct kpy_front *f, u32 szidx)
{
	bool done = unload_to_shelf(this_cpu_ptr(heap->cpu), f, szidx);

	if (!done) {
		raw_spin_lock(&heap->lock);
		done = make_room(heap, f, szidx);
		raw_spin_unlock(&heap->lock);
	}
	return done;
}

/**
 * kpy_percpu_exchange() - move full magazines, and empty ones as there is need
 * @heap: of mode percpu
 * @from: this CPU's shelf of a class, or the depot
 * @to: the other one of them
 * @count: how many, at most
 *
 * Context: Interrupts off.  Takes heap->lock.
 */
void kpy_percpu_exchange(struct kpy_heap *heap, struct kpy_shelf *from, struct kpy_shelf *to,
			 u32 count)
{
	raw_spin_lock(&heap->lock);
	shelf_move(from, to, count);
	empties_level(heap, this_cpu_ptr(heap->cpu));
	raw_spin_unlock(&heap->lock);
}

/* NULL: no arena is usable, or each block has to be seen under the lock. */
static void *take(struct kpy_heap *heap, u32 szidx)
{
	struct kpy_front *f;
	void *block = NULL;
	unsigned long flags;

	local_irq_save(flags);
	f = this_front(heap, szidx);
	if (!static_branch_unlikely(&kpy_alloc_slowly) &&
	    (*kpy_front_top(f) || kpy_percpu_refill(heap, f, szidx)))
		block = front_take(f);
	local_irq_restore(flags);
	return block;
}

/* False: a magazine is needed, or the block has to be looked at. */
static bool put(struct kpy_heap *heap, u32 szidx, void *block)
{
	struct kpy_front *f;
	unsigned long flags;
	bool done;

	local_irq_save(flags);
	f = this_front(heap, szidx);
	done = !static_branch_unlikely(&kpy_free_slowly) && *kpy_front_top(f) != block &&
	       (!front_is_full(f) || kpy_percpu_make_room(heap, f, szidx));
	if (done)
		front_put(f, block);
	local_irq_restore(flags);
	return done;
}

/* As take(), for the event. */
static void *take_traced(struct kpy_heap *heap, size_t size, u32 szidx, unsigned long caller)
{
	struct kpy_pool *pool;
	struct kpy_front *f;
	void *block = NULL;
	unsigned long flags;

	raw_spin_lock_irqsave(&heap->lock, flags);
	f = this_front(heap, szidx);
	if (*kpy_front_top(f) || refill(heap, f, szidx)) {
		block = front_take(f);
		pool = (struct kpy_pool *)((unsigned long)block & heap->pool_mask);
		trace_kpy_alloc(heap->id, block, size, szidx, pool, pool->arenaindex, caller);
	}
	raw_spin_unlock_irqrestore(&heap->lock, flags);
	return block;
}

/**
 * kpy_percpu_alloc() - a small block where the fast path had none
 * @heap: of mode percpu
 * @size: bytes
 * @gfp: how memory may be had
 * @caller: for the event
 *
 * Context: Any but NMI.  Takes heap->lock; sleeps if @gfp allows.
 * Return: the block, NULL if no arena can be had.
 */
void *kpy_percpu_alloc(struct kpy_heap *heap, size_t size, gfp_t gfp, unsigned long caller)
{
	u32 szidx = kpy_class_of(heap, size);
	void *block;

	for (;;) {
		block = take(heap, szidx) ?: take_traced(heap, size, szidx, caller);
		if (block || !kpy_arena_grow(heap, gfp))
			return block;
	}
}

/**
 * kpy_percpu_free_quick() - take a small block back that its pool vouches for
 * @heap: of mode percpu
 * @ptr: what is said to be a block
 *
 * Context: Any but NMI.  May take heap->lock.
 * Return: false if kpy_percpu_free() has to look at it.
 */
bool kpy_percpu_free_quick(struct kpy_heap *heap, void *ptr)
{
	int szidx = vouched_class(heap, ptr);

	return szidx >= 0 && put(heap, szidx, ptr);
}

/* With the lock held: false if a magazine is needed for that. */
static bool put_locked(struct kpy_heap *heap, u32 szidx, void *block)
{
	struct kpy_front *f = this_front(heap, szidx);

	if (front_is_full(f) && !make_room(heap, f, szidx))
		return false;
	front_put(f, block);
	return true;
}

/**
 * kpy_percpu_free() - take a small block back after a close look
 * @heap: of mode percpu
 * @arena: what kpy_arena_find() said
 * @ptr: the block, or what is said to be one
 * @caller: for the event
 *
 * Context: Any but NMI.  Takes heap->lock.
 * Return: NULL, or what is wrong with @ptr.
 */
const char *kpy_percpu_free(struct kpy_heap *heap, struct kpy_arena *arena, void *ptr,
			    unsigned long caller)
{
	unsigned long arenas = 0, flags;
	struct kpy_pool *pool;
	struct kpy_magazine *spare = NULL;
	const char *why;
	u32 szidx, size;

	raw_spin_lock_irqsave(&heap->lock, flags);
	pool = kpy_pool_of_block(heap, arena, ptr, &why);
	if (!pool)
		goto unlock;
	szidx = pool->szidx;
	why = "already free";
	if (*kpy_front_top(this_front(heap, szidx)) == ptr)
		goto unlock;
	why = NULL;
	size = kpy_class_size(heap, szidx);
	trace_kpy_free(heap->id, ptr, size, szidx, pool, pool->arenaindex, caller);
	if (want_init_on_free())
		memset(ptr, 0, size);
	if (put_locked(heap, szidx, ptr))
		goto unlock;

	/* The block is nobody's meanwhile. */
	raw_spin_unlock_irqrestore(&heap->lock, flags);
	spare = new_magazine();
	raw_spin_lock_irqsave(&heap->lock, flags);
	if (spare && add_empty(heap, spare))
		spare = NULL;
	if (!put_locked(heap, szidx, ptr))
		kpy_percpu_block_to_pool(heap, ptr, &arenas);
unlock:
	raw_spin_unlock_irqrestore(&heap->lock, flags);
	kpy_percpu_free_arenas(heap, arenas);
	kpy_magazine_free(spare);
	return why;
}

/* The front for interrupts of the class that a front for tasks serves. */
static struct kpy_front *irq_front(const struct kpy_heap *heap, struct kpy_front __percpu *front)
{
	return this_cpu_ptr(heap->front[KPY_FRONT_IRQ] + (front - heap->front[KPY_FRONT_TASK]));
}

/**
 * kpy_front_pop_irq() - kpy_front_pop() in an interrupt
 * @heap: of any mode
 * @front: for tasks
 *
 * Context: Interrupt.
 * Return: a block, or NULL.
 */
void *kpy_front_pop_irq(struct kpy_heap *heap, struct kpy_front __percpu *front)
{
	struct kpy_front *f;
	void *block = NULL;
	unsigned long flags;

	if (unlikely(front == &no_front))
		return NULL;
	local_irq_save(flags);
	f = irq_front(heap, front);
	if (!static_branch_unlikely(&kpy_alloc_slowly) && *kpy_front_top(f))
		block = front_take(f);
	local_irq_restore(flags);
	return block;
}
EXPORT_SYMBOL_GPL(kpy_front_pop_irq);

/**
 * kpy_front_push_irq() - kpy_front_push() in an interrupt
 * @heap: of mode percpu
 * @front: for tasks
 * @ptr: the block
 *
 * Context: Interrupt.
 * Return: false if the front cannot take it.
 */
bool kpy_front_push_irq(struct kpy_heap *heap, struct kpy_front __percpu *front, void *ptr)
{
	struct kpy_front *f;
	unsigned long flags;
	bool done;

	local_irq_save(flags);
	f = irq_front(heap, front);
	done = !static_branch_unlikely(&kpy_free_slowly) && !front_is_full(f) &&
	       *kpy_front_top(f) != ptr;
	if (done)
		front_put(f, ptr);
	local_irq_restore(flags);
	return done;
}
EXPORT_SYMBOL_GPL(kpy_front_push_irq);

/**
 * kpy_snapshot_cpu() - what a CPU has of a class
 * @heap: of mode percpu
 * @cpu: any possible one
 * @szidx: size class
 * @to: filled in; while the CPU uses it the numbers are not of one moment
 *
 * Context: Any.
 */
void kpy_snapshot_cpu(struct kpy_heap *heap, int cpu, u32 szidx, struct kpy_cpu_snapshot *to)
{
	u64 task = READ_ONCE(front_of(heap, cpu, KPY_FRONT_TASK, szidx)->state);
	u64 irq = READ_ONCE(front_of(heap, cpu, KPY_FRONT_IRQ, szidx)->state);

	to->allocs = task / KPY_FRONT_ALLOC + irq / KPY_FRONT_ALLOC;
	to->task = kpy_front_blocks(task);
	to->irq = kpy_front_blocks(irq);
	to->shelf = READ_ONCE(per_cpu_ptr(heap->cpu, cpu)->shelf[szidx].nr) * KPY_MAG_BLOCKS;
}

/**
 * kpy_percpu_block_size() - size of a block whose pool vouches for it
 * @heap: of any mode
 * @ptr: any pointer
 *
 * Context: Any.
 * Return: its class's, 0 if somebody has to look closer.
 */
u32 kpy_percpu_block_size(const struct kpy_heap *heap, const void *ptr)
{
	int szidx = vouched_class(heap, ptr);

	return szidx >= 0 ? kpy_class_size(heap, szidx) : 0;
}

/**
 * kpy_percpu_count_realloc() - count a realloc of a small block
 * @heap: of mode percpu
 * @in_place: the block stayed where it was
 *
 * Context: Any but NMI.
 * Return: false while somebody traces: count it under heap->lock then.
 */
bool kpy_percpu_count_realloc(struct kpy_heap *heap, bool in_place)
{
	bool done = false;

	preempt_disable();
	if (!static_branch_unlikely(&kpy_alloc_slowly)) {
		this_cpu_inc(heap->cpu->reallocs);
		if (in_place)
			this_cpu_inc(heap->cpu->reallocs_in_place);
		done = true;
	}
	preempt_enable();
	return done;
}

/**
 * kpy_percpu_count() - blocks of a class that fronts handed out, and that are at hand
 * @heap: the heap
 * @szidx: size class
 * @allocs: how many fronts ever handed out is added to it
 *
 * A front tells both at one moment; one front and the next do not.
 *
 * Context: heap->lock held.
 * Return: how many are in fronts and magazines; 0 in mode classic.
 */
u64 kpy_percpu_count(struct kpy_heap *heap, u32 szidx, u64 *allocs)
{
	u64 cached = (u64)heap->depot[szidx].nr * KPY_MAG_BLOCKS;
	struct kpy_cpu_snapshot s;
	int cpu;

	if (!heap->cpu)
		return 0;
	for_each_possible_cpu(cpu) {
		kpy_snapshot_cpu(heap, cpu, szidx, &s);
		*allocs += s.allocs;
		cached += s.task + s.irq + s.shelf;
	}
	return cached;
}

static void fill_front_of(struct kpy_heap *heap)
{
	u32 size;

	for (size = 0; size <= KPY_SMALL_MAX; size++)
		heap->fast.front[size] = &no_front;
	for (size = 1; heap->front[KPY_FRONT_TASK] && size <= heap->geo.max_small; size++)
		heap->fast.front[size] = heap->front[KPY_FRONT_TASK] + kpy_class_of(heap, size);
}

static void init_cpu(struct kpy_heap *heap, int cpu)
{
	u32 i;

	for (i = 0; i < heap->nr_classes; i++) {
		front_of(heap, cpu, KPY_FRONT_TASK, i)->state = KPY_FRONT_EMPTY;
		front_of(heap, cpu, KPY_FRONT_IRQ, i)->state = KPY_FRONT_EMPTY;
	}
	kpy_large_init_cpu(heap, cpu);
}

/**
 * kpy_percpu_init() - give a heap its fronts, if it is of that mode
 * @heap: zeroed but for its constants
 *
 * Context: Process, may sleep.
 * Return: 0 or -ENOMEM; kpy_percpu_exit() cleans up in both cases.
 */
int kpy_percpu_init(struct kpy_heap *heap)
{
	int cpu, kind;

	fill_front_of(heap);
	if (heap->mode != KPY_MODE_PERCPU)
		return 0;
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
	fill_front_of(heap);
	kpy_drain_add(heap);
	return 0;
}

/**
 * kpy_percpu_exit() - take a heap's fronts away, their blocks go to the pools
 * @heap: nobody uses it any more
 *
 * Context: Process, may sleep.
 */
void kpy_percpu_exit(struct kpy_heap *heap)
{
	int kind;

	if (heap->cpu)
		kpy_drain_remove(heap);
	free_percpu(heap->cpu);
	for (kind = 0; kind < KPY_NR_FRONTS; kind++)
		free_percpu(heap->front[kind]);
}

/**
 * kpy_percpu_module_init() - once, before the first heap
 *
 * Context: Process, may sleep.
 * Return: 0 or -errno.
 */
int __init kpy_percpu_module_init(void)
{
	int err;

	mag_cache = KMEM_CACHE(kpy_magazine, 0);
	if (!mag_cache)
		return -ENOMEM;
	err = kpy_drain_module_init();
	if (err) {
		kmem_cache_destroy(mag_cache);
		return err;
	}
	if (want_init_on_free())
		static_branch_inc(&kpy_free_slowly);
	return 0;
}

/**
 * kpy_percpu_module_exit() - once, after the last heap
 *
 * Context: Process, may sleep.
 */
void kpy_percpu_module_exit(void)
{
	kpy_drain_module_exit();
	kmem_cache_destroy(mag_cache);
}
