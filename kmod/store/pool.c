// SPDX-License-Identifier: GPL-2.0
/*
 * L2: pools of one size class: carving, the freeblock LIFO, used and full.
 *
 * After "pool_address" in CPython's Objects/obmalloc.c.  A pool always has one
 * carved block ahead while it has virgin space, so an empty freeblock means
 * full.  The block freed last is the next one handed out.
 *
 * A free block has the link to the next one in its first word and, if it has a
 * second word, a mark there that users write only by accident.  The mark makes it
 * cheap to suspect that a block is freed twice; the freeblock list tells for sure.
 */
#include "internal.h"
#include "store/pool.h"
#include "trace.h"

static noinline void pool_lay_out(struct kpy_heap *heap, struct kpy_pool *pool, unsigned int szidx)
{
	const struct kpy_class *class = &heap->class[szidx];

	pool->szidx = szidx;
	pool->nextoffset = heap->pool_header;
	pool->maxnextoffset = heap->geo.pool_size - class->size;
	pool->freeblock = kpy_pool_carve(heap, class, pool);
}

/**
 * kpy_pool_event() - tell tracers that a pool's state changed
 * @heap: the heap
 * @pool: the pool
 * @from: its state before
 * @to: its state now
 *
 * Context: heap->lock held.
 */
void kpy_pool_event(struct kpy_heap *heap, struct kpy_pool *pool, enum kpy_pool_state from,
		    enum kpy_pool_state to)
{
	trace_kpy_pool_state(heap->id, pool, pool->arenaindex, pool->szidx, from, to);
}

/**
 * kpy_pool_take() - a pool for a class that has none to serve from
 * @heap: the heap
 * @szidx: size class
 *
 * A pool whose last class was the same keeps its list as it is.
 *
 * Context: heap->lock held.
 * Return: the pool, first in usedpools; NULL if no arena is usable.
 */
struct kpy_pool *kpy_pool_take(struct kpy_heap *heap, unsigned int szidx)
{
	struct kpy_class *class = &heap->class[szidx];
	struct kpy_pool *pool = kpy_arena_take_pool(heap);

	if (!pool)
		return NULL;
	if (unlikely(pool->szidx != szidx))
		pool_lay_out(heap, pool, szidx);
	pool->tag = kpy_pool_tag(heap, szidx) ^ (unsigned long)pool;
	hlist_add_head(&pool->node, &class->usedpools);
	class->pools++;
	kpy_pool_changed(heap, pool, KPY_POOL_EMPTY, KPY_POOL_USED);
	return pool;
}

/**
 * kpy_pool_became_empty() - the last block in use came back
 * @heap: the heap
 * @pool: is returned to its arena
 *
 * Context: heap->lock held.
 * Return: an arena for kpy_arena_free() after unlocking, or 0.
 */
unsigned long kpy_pool_became_empty(struct kpy_heap *heap, struct kpy_pool *pool)
{
	lockdep_assert_held(&heap->lock);
	__hlist_del(&pool->node);
	pool->tag = 0;
	heap->class[pool->szidx].pools--;
	kpy_pool_changed(heap, pool, KPY_POOL_USED, KPY_POOL_EMPTY);
	return kpy_arena_put_pool(heap, pool);
}

/**
 * kpy_pool_block_is_free() - is a block of a pool on its freeblock list?
 * @heap: the heap
 * @pool: a pool with count > 0
 * @ptr: the first byte of a block that was carved
 *
 * Context: heap->lock held.
 * Return: whether it is; false also for a free block of 8 bytes that is not the
 * last one freed.
 */
bool kpy_pool_block_is_free(const struct kpy_heap *heap, const struct kpy_pool *pool,
			    const void *ptr)
{
	const void *block = pool->freeblock;

	if (!kpy_pool_suspects(heap, &heap->class[pool->szidx], pool, ptr))
		return false;
	while (block && block != ptr)
		block = *(void *const *)block;
	return block;
}

/**
 * kpy_pool_of_block() - the pool of a block that is handed out
 * @heap: the heap
 * @arena: what kpy_arena_find() said
 * @ptr: the block
 * @why: set to what is wrong with @ptr if NULL is returned
 *
 * Refuses every pointer that is not the start of a block in use, except one to a
 * block of 8 bytes that was freed before and was not the last one freed.
 *
 * Context: heap->lock held.
 * Return: the pool or NULL.
 */
struct kpy_pool *kpy_pool_of_block(const struct kpy_heap *heap, const struct kpy_arena *arena,
				   const void *ptr, const char **why)
{
	unsigned long offset = (unsigned long)ptr - arena->address;
	struct kpy_pool *pool;
	u32 in_pool;

	lockdep_assert_held(&heap->lock);
	*why = "in an arena that was freed";
	if (!arena->address || offset >= heap->geo.arena_size)
		return NULL;
	*why = "in a pool that was never carved";
	if (offset >> heap->pool_shift >= arena->ncarved)
		return NULL;
	*why = "in a pool that was freed";
	if (kpy_pool_is_hole(arena, offset >> heap->pool_shift))
		return NULL;

	pool = kpy_arena_pool(heap, arena, offset >> heap->pool_shift);
	in_pool = offset & (heap->geo.pool_size - 1);
	*why = "already free, in an empty pool";
	if (!pool->count)
		return NULL;
	*why = "in a pool header";
	if (in_pool < heap->pool_header)
		return NULL;
	*why = "not the start of a block";
	if ((in_pool - heap->pool_header) % kpy_class_size(heap, pool->szidx))
		return NULL;
	*why = "never handed out";
	if (in_pool >= pool->nextoffset)
		return NULL;
	*why = "already free";
	if (kpy_pool_block_is_free(heap, pool, ptr))
		return NULL;
	*why = NULL;
	return pool;
}
