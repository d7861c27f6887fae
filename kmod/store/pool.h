/* SPDX-License-Identifier: GPL-2.0 */
/*
 * L2: what each request does to a pool, inlined into its critical section; the
 * rules and the rare cases are in pool.c.  All of it needs heap->lock.
 */
#ifndef _KPY_POOL_H
#define _KPY_POOL_H

#include "internal.h"
#include "store/tag.h"
#include "trace.h"

static __always_inline unsigned long kpy_free_mark(const struct kpy_heap *heap, const void *block)
{
	return heap->secret ^ (unsigned long)block;
}

/* The address is hidden from gcc, which would compute it again for each field. */
static __always_inline struct kpy_class *kpy_class(struct kpy_heap *heap, unsigned long szidx)
{
	struct kpy_class *class = &heap->class[szidx];

	OPTIMIZER_HIDE_VAR(class);
	return class;
}

/* The mark is written first: in a block of one word the link replaces it. */
static __always_inline void kpy_block_link(const struct kpy_heap *heap,
					   const struct kpy_class *class, void *block, void *next)
{
	((unsigned long *)block)[class->mark] = kpy_free_mark(heap, block);
	*(void **)block = next;
}

static __always_inline void *kpy_pool_carve(const struct kpy_heap *heap,
					    const struct kpy_class *class, struct kpy_pool *pool)
{
	void *block = (void *)pool + pool->nextoffset;

	pool->nextoffset += class->size;
	kpy_block_link(heap, class, block, NULL);
	return block;
}

/* Tells tracers; without one the arguments are not even computed. */
static __always_inline void kpy_pool_changed(struct kpy_heap *heap, struct kpy_pool *pool,
					     enum kpy_pool_state from, enum kpy_pool_state to)
{
	if (trace_kpy_pool_state_enabled())
		kpy_pool_event(heap, pool, from, to);
}

/* The first one of usedpools, NULL if there is none. */
static __always_inline struct kpy_pool *kpy_pool_used(const struct kpy_class *class)
{
	return hlist_entry_safe(class->usedpools.first, struct kpy_pool, node);
}

/**
 * kpy_pool_first() - the pool that serves a class's next allocation
 * @heap: the heap
 * @szidx: size class
 *
 * Context: heap->lock held.
 * Return: the first pool of usedpools, taken from an arena if there was none;
 * NULL if no arena is usable.
 */
static __always_inline struct kpy_pool *kpy_pool_first(struct kpy_heap *heap, unsigned int szidx)
{
	struct kpy_pool *pool = kpy_pool_used(&heap->class[szidx]);

	lockdep_assert_held(&heap->lock);
	return likely(pool) ? pool : kpy_pool_take(heap, szidx);
}

/* kpy_pool_pop() without its event. */
static __always_inline void *__kpy_pool_pop(const struct kpy_heap *heap, struct kpy_class *class,
					    struct kpy_pool *pool)
{
	void *block = pool->freeblock, *next = *(void **)block;

	if (!next) {
		if (likely(pool->nextoffset <= pool->maxnextoffset))
			next = kpy_pool_carve(heap, class, pool);
		else
			__hlist_del(&pool->node);
	}
	pool->freeblock = next;
	((unsigned long *)block)[class->mark] = 0;
	pool->count++;
	class->in_use++;
	return block;
}

/**
 * kpy_pool_pop() - hand out a block
 * @heap: the heap
 * @class: of the pool
 * @pool: from kpy_pool_first()
 *
 * Context: heap->lock held.
 * Return: the block; there is always one.
 */
static __always_inline void *kpy_pool_pop(struct kpy_heap *heap, struct kpy_class *class,
					  struct kpy_pool *pool)
{
	void *block = __kpy_pool_pop(heap, class, pool);

	lockdep_assert_held(&heap->lock);
	if (unlikely(!pool->freeblock))
		kpy_pool_changed(heap, pool, KPY_POOL_USED, KPY_POOL_FULL);
	return block;
}

/* kpy_pool_push() without its event; the pool may be empty afterwards. */
static __always_inline void __kpy_pool_push(const struct kpy_heap *heap, struct kpy_class *class,
					    struct kpy_pool *pool, void *block)
{
	void *next = pool->freeblock;

	if (unlikely(!next))
		hlist_add_head(&pool->node, &class->usedpools);
	kpy_block_link(heap, class, block, next);
	pool->freeblock = block;
	class->in_use--;
	pool->count--;
}

/**
 * kpy_pool_push() - take a block back
 * @heap: the heap
 * @class: of the pool
 * @pool: the block's
 * @block: a block in use
 *
 * Context: heap->lock held.
 * Return: an arena for kpy_arena_free() after unlocking, or 0.
 */
static __always_inline unsigned long kpy_pool_push(struct kpy_heap *heap, struct kpy_class *class,
						   struct kpy_pool *pool, void *block)
{
	bool was_full = !pool->freeblock;

	lockdep_assert_held(&heap->lock);
	__kpy_pool_push(heap, class, pool, block);
	/* Never both: a pool has at least two blocks. */
	if (unlikely(!pool->count))
		return kpy_pool_became_empty(heap, pool);
	if (unlikely(was_full))
		kpy_pool_changed(heap, pool, KPY_POOL_FULL, KPY_POOL_USED);
	return 0;
}

/* Does a carved block start at @ptr?  The product tells whether the size divides the offset. */
static __always_inline bool kpy_pool_starts_block(const struct kpy_heap *heap,
						  const struct kpy_class *class,
						  const struct kpy_pool *pool, const void *ptr)
{
	u32 offset = (unsigned long)ptr - (unsigned long)pool, header = heap->pool_header;

	return offset >= header && offset < pool->nextoffset &&
	       (offset - header) * class->inverse < class->inverse;
}

/* May it be free?  Only kpy_pool_block_is_free() knows. */
static __always_inline bool kpy_pool_suspects(const struct kpy_heap *heap,
					      const struct kpy_class *class,
					      const struct kpy_pool *pool, const void *ptr)
{
	return ptr == pool->freeblock ||
	       ((const unsigned long *)ptr)[class->mark] == kpy_free_mark(heap, ptr);
}

/* Where the pool of @ptr would be, if @ptr is a block. */
static __always_inline struct kpy_pool *kpy_pool_around(const struct kpy_heap *heap,
							const void *ptr)
{
	return (struct kpy_pool *)((unsigned long)ptr & heap->pool_mask);
}

/* Is @ptr, which may be anything, in a pool of this heap that is in use? */
static __always_inline bool kpy_pool_is_ours(const struct kpy_heap *heap, const void *ptr)
{
	return likely((kpy_tag_of(ptr, heap->pool_mask) ^ heap->pool_tag) < KPY_SECRET_BIT);
}

/* Is it a block in use?  If this says no, kpy_pool_of_block() looks closer. */
static __always_inline bool kpy_pool_vouches(const struct kpy_heap *heap,
					     const struct kpy_class *class,
					     const struct kpy_pool *pool, const void *ptr)
{
	return likely(kpy_pool_starts_block(heap, class, pool, ptr)) &&
	       likely(!kpy_pool_suspects(heap, class, pool, ptr));
}

/**
 * kpy_pool_vouched() - the pool of a block, if its header vouches for both
 * @heap: the heap
 * @ptr: any pointer
 *
 * Context: heap->lock held.
 * Return: the pool; NULL if kpy_pool_of_block() has to look closer.
 */
static __always_inline struct kpy_pool *kpy_pool_vouched(struct kpy_heap *heap, const void *ptr)
{
	struct kpy_pool *pool = kpy_pool_around(heap, ptr);

	if (unlikely(!kpy_pool_is_ours(heap, ptr)))
		return NULL;
	return kpy_pool_vouches(heap, kpy_class(heap, pool->szidx), pool, ptr) ? pool : NULL;
}

#endif
