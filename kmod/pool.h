/* SPDX-License-Identifier: GPL-2.0 */
/*
 * L2: what each request does to a pool, inlined into its critical section; the
 * rules and the rare turns are in pool.c.
 */
#ifndef _KPY_POOL_H
#define _KPY_POOL_H

#include <linux/compiler.h>

#include "front.h"
#include "internal.h"

static __always_inline unsigned long kpy_free_mark(const struct kpy_heap *heap, const void *block)
{
	return heap->secret ^ (unsigned long)block;
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
	struct hlist_node *node = heap->class[szidx].usedpools.first;

	lockdep_assert_held(&heap->lock);
	return likely(node) ? hlist_entry(node, struct kpy_pool, node) :
			      kpy_pool_take(heap, szidx);
}

/**
 * kpy_pool_pop() - hand out a block
 * @heap: the heap
 * @class: of the pool
 * @pool: from kpy_pool_first()
 *
 * Context: heap->lock held.
 * Return: the block; there always is one.
 */
static __always_inline void *kpy_pool_pop(struct kpy_heap *heap, struct kpy_class *class,
					  struct kpy_pool *pool)
{
	void *block = pool->freeblock;

	lockdep_assert_held(&heap->lock);
	pool->freeblock = *(void **)block;
	((unsigned long *)block)[class->mark] = 0;
	pool->count++;
	class->in_use++;
	if (unlikely(!pool->freeblock))
		kpy_pool_look_ahead(heap, pool);
	return block;
}

/**
 * kpy_pool_push() - take a block back
 * @heap: the heap
 * @class: of the pool
 * @pool: the pool it lies in
 * @block: one that was handed out
 *
 * Context: heap->lock held.
 * Return: the address of an arena to give back after unlocking, or 0.
 */
static __always_inline unsigned long kpy_pool_push(struct kpy_heap *heap, struct kpy_class *class,
						   struct kpy_pool *pool, void *block)
{
	void *next = pool->freeblock;

	lockdep_assert_held(&heap->lock);
	/* The mark first: in a block of one word the link takes its place. */
	((unsigned long *)block)[class->mark] = kpy_free_mark(heap, block);
	*(void **)block = next;
	pool->freeblock = block;
	class->in_use--;
	/* Never both: a pool has at least two blocks. */
	if (unlikely(!--pool->count))
		return kpy_pool_became_empty(heap, pool);
	if (unlikely(!next))
		kpy_pool_no_longer_full(heap, pool);
	return 0;
}

/**
 * kpy_pool_tagged() - the pool in use that an address lies in
 * @heap: the heap
 * @ptr: any address, also a foreign one
 *
 * Context: heap->lock held.
 * Return: the pool, NULL if there is none in this heap.
 */
static __always_inline struct kpy_pool *kpy_pool_tagged(const struct kpy_heap *heap,
							const void *ptr)
{
	if (likely(kpy_is_kernel_address(ptr)) &&
	    likely((kpy_tag_of(ptr, heap->pool_mask) ^ heap->pool_tag) < KPY_SECRET_BIT))
		return (struct kpy_pool *)((unsigned long)ptr & heap->pool_mask);
	return NULL;
}

/* Does a block that was carved start here?  The product is offset % size, so to speak. */
static __always_inline bool kpy_pool_starts_block(const struct kpy_heap *heap,
						  const struct kpy_class *class,
						  const struct kpy_pool *pool, const void *ptr)
{
	u32 offset = ((unsigned long)ptr & ~heap->pool_mask) - heap->pool_header;

	return offset < pool->nextoffset - heap->pool_header &&
	       offset * class->inverse < class->inverse;
}

/* Maybe free: only kpy_pool_block_is_free() is sure. */
static __always_inline bool kpy_pool_suspects(const struct kpy_heap *heap,
					      const struct kpy_class *class,
					      const struct kpy_pool *pool, const void *ptr)
{
	return ptr == pool->freeblock ||
	       ((const unsigned long *)ptr)[class->mark] == kpy_free_mark(heap, ptr);
}

/**
 * kpy_pool_vouched() - the pool of a block, if its header vouches for both
 * @heap: the heap
 * @ptr: any address, also a foreign one
 *
 * Context: heap->lock held.
 * Return: the pool; NULL if kpy_pool_of_block() has to look closer.
 */
static __always_inline struct kpy_pool *kpy_pool_vouched(const struct kpy_heap *heap,
							 const void *ptr)
{
	struct kpy_pool *pool = kpy_pool_tagged(heap, ptr);
	const struct kpy_class *class;

	if (unlikely(!pool))
		return NULL;
	class = &heap->class[pool->szidx];
	return likely(kpy_pool_starts_block(heap, class, pool, ptr)) &&
	       likely(!kpy_pool_suspects(heap, class, pool, ptr)) ? pool : NULL;
}

#endif
