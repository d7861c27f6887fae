// SPDX-License-Identifier: GPL-2.0
/*
 * L3, mode classic: one lock a heap stands where CPython has the GIL, and all
 * is in CPython's order.
 *
 * A class that has one block at a time empties its pool again and again; taking
 * the pool from its arena and putting it back costs twice what the rest does.
 * So an emptied pool lingers where that makes no difference, see enum
 * kpy_pool_state, and while nobody watches: put and taken, it leaves all lists
 * as they were.
 */
#include <linux/mm.h>
#include <linux/string.h>

#include "arena.h"
#include "classic.h"
#include "internal.h"
#include "trace.h"

#define MANY	64	/* blocks that go with interrupts off all the time */

DEFINE_STATIC_KEY_FALSE(kpy_classic_slowly);

/**
 * kpy_classic_put_lingering() - the pool that lingers goes back to its arena
 * @heap: the heap, which has one
 *
 * Context: heap->lock held.
 */
void kpy_classic_put_lingering(struct kpy_heap *heap)
{
	struct kpy_pool *pool = heap->lingering;

	lockdep_assert_held(&heap->lock);
	heap->lingering = NULL;
	/* No arena goes for this, or the pool had not lingered. */
	kpy_pool_became_empty(heap, pool);
}

/* The next allocation of the class would take it, and no other pool is there to serve. */
static __always_inline bool may_linger(struct kpy_heap *heap, const struct kpy_pool *pool)
{
	return heap->class[pool->szidx].usedpools.first == &pool->node && !pool->node.next &&
	       kpy_arena_takes_next(heap, pool);
}

static noinline void pool_goes(struct kpy_heap *heap, struct kpy_pool *pool, unsigned long flags)
{
	unsigned long release = kpy_pool_became_empty(heap, pool);

	kpy_unlock(heap, flags);
	kpy_arena_free(heap, release);
}

/**
 * kpy_classic_emptied() - the last block in use of a pool came back; unlocks
 * @heap: the heap
 * @pool: the pool
 * @flags: from kpy_trylock()
 *
 * Context: heap->lock held.
 */
void kpy_classic_emptied(struct kpy_heap *heap, struct kpy_pool *pool, unsigned long flags)
{
	if (unlikely(!may_linger(heap, pool)))
		return pool_goes(heap, pool, flags);
	heap->lingering = pool;
	kpy_unlock(heap, flags);
}

/**
 * kpy_classic_alloc() - a small block where kpy_classic_pop() had none
 * @heap: of mode classic
 * @size: bytes
 * @gfp: how memory may be had
 * @caller: for the event
 *
 * Context: Any but NMI.  Takes heap->lock; sleeps if @gfp allows.
 * Return: the block, NULL if no arena can be had.
 */
void *kpy_classic_alloc(struct kpy_heap *heap, size_t size, gfp_t gfp, unsigned long caller)
{
	unsigned int szidx = kpy_class_of(heap, size);
	struct kpy_pool *pool;
	unsigned long flags;
	void *ptr;

	for (;;) {
		raw_spin_lock_irqsave(&heap->lock, flags);
		kpy_heap_settle(heap);
		pool = kpy_pool_first(heap, szidx);
		if (likely(pool))
			break;
		raw_spin_unlock_irqrestore(&heap->lock, flags);
		if (!kpy_arena_grow(heap, gfp))
			return NULL;
	}
	ptr = kpy_pool_pop(heap, &heap->class[szidx], pool);
	if (want_init_on_free())
		*(void **)ptr = NULL;	/* the link; all else is wiped */
	heap->c.allocs++;
	trace_kpy_alloc(heap->id, ptr, size, szidx, pool, pool->arenaindex, caller);
	raw_spin_unlock_irqrestore(&heap->lock, flags);
	return ptr;
}

/* The lock is held.  Returns an arena to give back after unlocking. */
static unsigned long take_back(struct kpy_heap *heap, struct kpy_pool *pool, void *ptr,
			       unsigned long caller)
{
	struct kpy_class *class = &heap->class[pool->szidx];

	heap->c.frees++;
	trace_kpy_free(heap->id, ptr, class->size, pool->szidx, pool, pool->arenaindex, caller);
	if (want_init_on_free())
		memset(ptr, 0, class->size);
	return kpy_pool_push(heap, class, pool, ptr);
}

/**
 * kpy_classic_free() - take a small block back where kpy_classic_push() did not
 * @heap: of mode classic
 * @arena: what kpy_arena_find() said
 * @ptr: the block, or what is said to be one
 * @caller: for the event
 *
 * Context: Any but NMI.  Takes heap->lock.
 * Return: NULL, or what is wrong with @ptr.
 */
const char *kpy_classic_free(struct kpy_heap *heap, struct kpy_arena *arena, void *ptr,
			     unsigned long caller)
{
	unsigned long release = 0, flags;
	struct kpy_pool *pool;
	const char *why = NULL;

	raw_spin_lock_irqsave(&heap->lock, flags);
	kpy_heap_settle(heap);
	/* Most often the lock was busy, no more. */
	pool = kpy_pool_vouched(heap, ptr);
	if (!pool)
		pool = kpy_pool_of_block(heap, arena, ptr, &why);
	if (pool)
		release = take_back(heap, pool, ptr, caller);
	raw_spin_unlock_irqrestore(&heap->lock, flags);
	kpy_arena_free(heap, release);
	return why;
}

/**
 * kpy_classic_alloc_many() - small blocks of a size, with one lock for all
 * @heap: of mode classic
 * @size: bytes of each
 * @count: how many
 * @blocks: filled in
 *
 * Context: Any but NMI.  Takes heap->lock.
 * Return: how many there were; for the next one kpy_classic_alloc() has to look.
 */
u32 kpy_classic_alloc_many(struct kpy_heap *heap, size_t size, u32 count, void **blocks)
{
	struct kpy_class *class = kpy_class(heap, kpy_class_of(heap, size));
	struct kpy_pool *pool;
	unsigned long flags;
	u32 n = 0;

	if (!kpy_trylock(heap, &flags))
		return 0;
	if (static_branch_unlikely(&kpy_classic_slowly))
		goto unlock;
	count = min_t(u32, count, MANY);
	for (pool = kpy_classic_pool(heap, class); pool && n < count; pool = kpy_pool_used(class))
		blocks[n++] = __kpy_pool_pop(heap, class, pool);
	heap->c.allocs += n;
unlock:
	kpy_unlock(heap, flags);
	return n;
}

/**
 * kpy_classic_free_many() - take small blocks back, with one lock for all
 * @heap: of mode classic
 * @count: how many
 * @blocks: of any sizes
 *
 * Context: Any but NMI.  Takes heap->lock.
 * Return: how many of the first ones it took; at the next one kpy_classic_free() has
 * to look.
 */
u32 kpy_classic_free_many(struct kpy_heap *heap, u32 count, void **blocks)
{
	struct kpy_pool *pool;
	unsigned long flags;
	u32 n = 0;

	if (!kpy_trylock(heap, &flags))
		return 0;
	if (static_branch_unlikely(&kpy_classic_slowly))
		goto unlock;
	kpy_heap_settle(heap);
	for (count = min_t(u32, count, MANY); n < count; n++) {
		pool = kpy_pool_around(heap, blocks[n]);
		if (!kpy_classic_put(heap, pool, blocks[n]))
			break;
		if (!pool->count) {
			kpy_classic_emptied(heap, pool, flags);
			return n + 1;
		}
	}
unlock:
	kpy_unlock(heap, flags);
	return n;
}

/**
 * kpy_classic_module_init() - once, before the first heap
 *
 * Context: Process, may sleep.
 */
void __init kpy_classic_module_init(void)
{
	if (want_init_on_free())
		static_branch_inc(&kpy_classic_slowly);
}
