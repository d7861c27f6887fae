// SPDX-License-Identifier: GPL-2.0
/*
 * L2: pools of one size class: carving, the freeblock LIFO, used and full.
 *
 * After "pool_address" in CPython's Objects/obmalloc.c.  A pool always has one
 * carved block ahead while it has virgin space, so an empty freeblock means
 * full.  The block freed last is the next one handed out.
 *
 * A free block holds the link to the next one in its first word and, where it
 * has a second one, a mark that no user writes but by accident: that makes a
 * second free of a block cheap to suspect, and the freeblock list tells for sure.
 */
#include "internal.h"
#include "pool.h"
#include "trace.h"

static void push_free(struct kpy_heap *heap, struct kpy_pool *pool, void *block)
{
	((unsigned long *)block)[heap->class[pool->szidx].mark] = kpy_free_mark(heap, block);
	*(void **)block = pool->freeblock;
	pool->freeblock = block;
}

static void carve_block(struct kpy_heap *heap, struct kpy_pool *pool)
{
	void *block = (void *)pool + pool->nextoffset;

	pool->nextoffset += kpy_class_size(heap, pool->szidx);
	push_free(heap, pool, block);
}

static noinline void pool_lay_out(struct kpy_heap *heap, struct kpy_pool *pool, unsigned int szidx)
{
	pool->szidx = szidx;
	pool->freeblock = NULL;
	pool->nextoffset = heap->pool_header;
	pool->maxnextoffset = heap->geo.pool_size - kpy_class_size(heap, szidx);
	carve_block(heap, pool);
}

static noinline void state_event(struct kpy_heap *heap, struct kpy_pool *pool,
				 enum kpy_pool_state from, enum kpy_pool_state to)
{
	trace_kpy_pool_state(heap->id, pool, pool->arenaindex, pool->szidx, from, to);
}

/* The event's arguments are looked at by nobody but a tracer. */
static __always_inline void state_changed(struct kpy_heap *heap, struct kpy_pool *pool,
					  enum kpy_pool_state from, enum kpy_pool_state to)
{
	if (trace_kpy_pool_state_enabled())
		state_event(heap, pool, from, to);
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
	state_changed(heap, pool, KPY_POOL_EMPTY, KPY_POOL_USED);
	return pool;
}

/**
 * kpy_pool_look_ahead() - the last free block was handed out
 * @heap: the heap
 * @pool: has one carved, or is full from now on
 *
 * Context: heap->lock held.
 */
void kpy_pool_look_ahead(struct kpy_heap *heap, struct kpy_pool *pool)
{
	if (likely(pool->nextoffset <= pool->maxnextoffset)) {
		carve_block(heap, pool);
		return;
	}
	hlist_del_init(&pool->node);
	state_changed(heap, pool, KPY_POOL_USED, KPY_POOL_FULL);
}

/**
 * kpy_pool_no_longer_full() - a block came back to a full pool
 * @heap: the heap
 * @pool: is the next one to serve
 *
 * Context: heap->lock held.
 */
void kpy_pool_no_longer_full(struct kpy_heap *heap, struct kpy_pool *pool)
{
	hlist_add_head(&pool->node, &heap->class[pool->szidx].usedpools);
	state_changed(heap, pool, KPY_POOL_FULL, KPY_POOL_USED);
}

/**
 * kpy_pool_became_empty() - the last block in use came back
 * @heap: the heap
 * @pool: goes back to its arena
 *
 * Context: heap->lock held.
 * Return: the address of an arena to give back after unlocking, or 0.
 */
unsigned long kpy_pool_became_empty(struct kpy_heap *heap, struct kpy_pool *pool)
{
	__hlist_del(&pool->node);
	pool->tag = 0;
	heap->class[pool->szidx].pools--;
	state_changed(heap, pool, KPY_POOL_USED, KPY_POOL_EMPTY);
	return kpy_arena_put_pool(heap, pool);
}

/**
 * kpy_pool_alloc() - kpy_pool_pop() for those who are in no hurry
 * @heap: the heap
 * @pool: from kpy_pool_first()
 *
 * Context: heap->lock held.
 * Return: the block; there always is one.
 */
void *kpy_pool_alloc(struct kpy_heap *heap, struct kpy_pool *pool)
{
	return kpy_pool_pop(heap, &heap->class[pool->szidx], pool);
}

/**
 * kpy_pool_free() - kpy_pool_push() for those who are in no hurry
 * @heap: the heap
 * @pool: the pool it lies in
 * @ptr: a block handed out, see kpy_pool_of_block()
 *
 * Context: heap->lock held.
 * Return: the address of an arena to give back after unlocking, or 0.
 */
unsigned long kpy_pool_free(struct kpy_heap *heap, struct kpy_pool *pool, void *ptr)
{
	return kpy_pool_push(heap, &heap->class[pool->szidx], pool, ptr);
}

/**
 * kpy_pool_block_is_free() - is a block of a pool on its freeblock list?
 * @heap: the heap
 * @pool: a pool with count > 0
 * @ptr: the first byte of a block that was carved
 *
 * Context: heap->lock held.
 * Return: as asked; false too for a free block of 8 bytes that is not the last
 * one freed.
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
 * @why: set to what is wrong, if NULL is returned
 *
 * Refuses every pointer that is not the start of a block in use, but for a
 * block of 8 bytes that was freed before and is not the last one that was.
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
	*why = "in an arena that was given back";
	if (!arena->address || offset >= heap->geo.arena_size)
		return NULL;
	*why = "in a pool that was never carved";
	if (offset >> heap->pool_shift >= arena->ncarved)
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
