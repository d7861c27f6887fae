// SPDX-License-Identifier: GPL-2.0
/*
 * L3, mode percpu: fronts, magazines and the depot in front of the pools.
 *
 * Cached blocks count as in use in their pools: blocks in use are those less the
 * cached ones.  A pointer that is freed is checked by its pool's tag only, unless
 * somebody traces; when the block returns to its pool it is checked closely.
 */
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/string.h>

#include "front/magazine.h"
#include "internal.h"
#include "lock.h"
#include "store/pool.h"
#include "trace.h"

/* For requests that no front serves: both empty and full. */
static DEFINE_PER_CPU(struct kpy_front, no_front) = { .state = KPY_FRONT_FULL };

static u32 from_pools(struct kpy_heap *heap, u32 szidx, void **blocks, u32 count)
{
	struct kpy_pool *pool;
	u32 n;

	for (n = 0; n < count; n++) {
		pool = kpy_pool_first(heap, szidx);
		if (!pool)
			break;
		blocks[n] = kpy_pool_pop(heap, &heap->class[szidx], pool);
	}
	return n;
}

static void to_pool(struct kpy_heap *heap, void *block, unsigned long *gone)
{
	struct kpy_pool *pool = kpy_pool_vouched(heap, block);
	struct kpy_arena *arena;
	const char *why;

	if (unlikely(!pool)) {
		arena = kpy_arena_find(heap, block);
		pool = arena ? kpy_pool_of_block(heap, arena, block, &why) : NULL;
	}
	if (unlikely(!pool)) {
		heap->c.bad_pointers++;
		heap->late = block;
		return;
	}
	kpy_arena_chain(gone, kpy_pool_push(heap, &heap->class[pool->szidx], pool, block));
}

static void to_pools(struct kpy_heap *heap, void **blocks, u32 count, unsigned long *gone)
{
	while (count--)
		to_pool(heap, blocks[count], gone);
}

static const struct kpy_front_ops pools = {
	.from_pools = from_pools,
	.to_pools = to_pools,
};

/* NULL: no pool has a block, or each block has to be handed out under the lock. */
static void *take(struct kpy_heap *heap, u32 szidx)
{
	struct kpy_front *f;
	void *block = NULL;
	unsigned long flags;

	local_irq_save(flags);
	f = this_front(heap, szidx);
	if (!static_branch_unlikely(&kpy_no_fast_path) &&
	    (*kpy_front_top(f) || kpy_depot_refill(heap, f, szidx)))
		block = front_take(f);
	local_irq_restore(flags);
	return block;
}

/* As take(), for the event. */
static void *take_traced(struct kpy_heap *heap, size_t size, u32 szidx, unsigned long caller)
{
	unsigned long flags = kpy_heap_lock(heap);
	struct kpy_front *f = this_front(heap, szidx);
	struct kpy_pool *pool;
	void *block = NULL;

	if (!*kpy_front_top(f) && !kpy_depot_refill_locked(heap, f, szidx))
		goto unlock;
	block = front_take(f);
	pool = kpy_pool_around(heap, block);
	if (want_init_on_free())
		*(void **)block = NULL;	/* the link; everything else was wiped */
	trace_kpy_alloc(heap->id, block, size, szidx, pool, pool->arenaindex, caller);
unlock:
	kpy_heap_unlock(heap, flags);
	return block;
}

static void *percpu_alloc(struct kpy_heap *heap, size_t size, unsigned long caller)
{
	u32 szidx = kpy_class_of(heap, size);

	return take(heap, szidx) ?: take_traced(heap, size, szidx, caller);
}

/**
 * kpy_percpu_put() - take a small block back that its pool vouches for
 * @heap: of mode percpu
 * @ptr: anything
 *
 * Context: Any but NMI.  May take heap->lock.
 * Return: false if somebody has to look closer, or traces.
 */
bool kpy_percpu_put(struct kpy_heap *heap, void *ptr)
{
	int szidx = vouched_class(heap, ptr);
	struct kpy_front *f;
	unsigned long flags;
	bool done;

	if (szidx < 0)
		return false;
	local_irq_save(flags);
	f = this_front(heap, szidx);
	done = !static_branch_unlikely(&kpy_no_fast_path) && *kpy_front_top(f) != ptr &&
	       (!front_is_full(f) || kpy_depot_make_room(heap, f, szidx));
	if (done)
		front_put(f, ptr);
	local_irq_restore(flags);
	return done;
}

/* Without a magazine for a full front the block returns to its pool. */
static void put_with_spare(struct kpy_heap *heap, u32 szidx, void *block)
{
	struct kpy_magazine *spare = kpy_magazine_new();
	unsigned long gone = 0, flags = kpy_heap_lock(heap);

	if (spare && kpy_depot_add_empty(heap, spare))
		spare = NULL;
	if (!kpy_depot_put_locked(heap, szidx, block))
		to_pool(heap, block, &gone);
	kpy_heap_unlock(heap, flags);
	kpy_arena_free_chain(heap, gone);
	kpy_magazine_free(spare);
}

/* With the lock held: the class of a block that may be freed, -1 and why if it may not. */
static int class_to_free(struct kpy_heap *heap, struct kpy_arena *arena, void *ptr,
			 const char **why)
{
	const struct kpy_pool *pool = kpy_pool_of_block(heap, arena, ptr, why);

	if (!pool)
		return -1;
	*why = "already free";
	return *kpy_front_top(this_front(heap, pool->szidx)) == ptr ? -1 : pool->szidx;
}

static const char *percpu_free(struct kpy_heap *heap, struct kpy_arena *arena, void *ptr,
			       unsigned long caller)
{
	struct kpy_pool *pool = kpy_pool_around(heap, ptr);
	unsigned long flags;
	const char *why;
	bool done;
	int szidx;

	if (kpy_percpu_put(heap, ptr))
		return NULL;
	flags = kpy_heap_lock(heap);
	szidx = class_to_free(heap, arena, ptr, &why);
	if (szidx < 0) {
		kpy_heap_unlock(heap, flags);
		return why;
	}
	trace_kpy_free(heap->id, ptr, kpy_class_size(heap, szidx), szidx, pool, pool->arenaindex,
		       caller);
	if (want_init_on_free())
		memset(ptr, 0, kpy_class_size(heap, szidx));
	done = kpy_depot_put_locked(heap, szidx, ptr);
	kpy_heap_unlock(heap, flags);
	if (!done)
		put_with_spare(heap, szidx, ptr);	/* the block is nobody's meanwhile */
	return NULL;
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
	if (!static_branch_unlikely(&kpy_no_fast_path) && *kpy_front_top(f))
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
 * Return: false if the front cannot take the block.
 */
bool kpy_front_push_irq(struct kpy_heap *heap, struct kpy_front __percpu *front, void *ptr)
{
	struct kpy_front *f;
	unsigned long flags;
	bool done;

	local_irq_save(flags);
	f = irq_front(heap, front);
	done = !static_branch_unlikely(&kpy_no_fast_path) && !front_is_full(f) &&
	       *kpy_front_top(f) != ptr;
	if (done)
		front_put(f, ptr);
	local_irq_restore(flags);
	return done;
}
EXPORT_SYMBOL_GPL(kpy_front_push_irq);

/**
 * kpy_percpu_block_size() - size of a block whose pool vouches for it
 * @heap: of any mode
 * @ptr: any pointer
 *
 * Context: Any.
 * Return: its class's size, 0 if somebody has to look closer.
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
	if (!static_branch_unlikely(&kpy_no_fast_path)) {
		this_cpu_inc(heap->cpu->reallocs);
		if (in_place)
			this_cpu_inc(heap->cpu->reallocs_in_place);
		done = true;
	}
	preempt_enable();
	return done;
}

const struct kpy_mode_ops kpy_percpu_ops = {
	.alloc = percpu_alloc,
	.free = percpu_free,
	.alloc_many = kpy_front_alloc_many,
	.free_many = kpy_front_free_many,
	.count = kpy_depot_count,
	.trim = kpy_drain,
};

/* By size of a request: the front that serves it, in mode classic none. */
static void fill_fast(struct kpy_heap *heap)
{
	u32 size;

	for (size = 0; size <= KPY_SMALL_MAX; size++)
		heap->fast.front[size] = &no_front;
	for (size = 1; heap->front[KPY_FRONT_TASK] && size <= heap->geo.max_small; size++)
		heap->fast.front[size] = heap->front[KPY_FRONT_TASK] + kpy_class_of(heap, size);
}

/**
 * kpy_percpu_init() - make a heap's fronts, if it is of that mode
 * @heap: zeroed except for its constants
 *
 * Context: Process, may sleep.
 * Return: 0 or -ENOMEM; kpy_percpu_exit() cleans up in both cases.
 */
int kpy_percpu_init(struct kpy_heap *heap)
{
	int err = 0;

	if (heap->mode == KPY_MODE_PERCPU) {
		heap->front_ops = &pools;
		err = kpy_depot_init(heap);
	}
	fill_fast(heap);
	return err;
}

/**
 * kpy_percpu_exit() - return cached blocks to the pools, and free the fronts
 * @heap: nobody uses it any more
 *
 * Context: Process, may sleep.
 */
void kpy_percpu_exit(struct kpy_heap *heap)
{
	if (heap->cpu)
		kpy_drain_for_good(heap);
	kpy_depot_exit(heap);
}
