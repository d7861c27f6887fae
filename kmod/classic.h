/* SPDX-License-Identifier: GPL-2.0 */
/*
 * L3, mode classic: the paths that most requests take.  They call nothing that
 * returns to them, so functions that inline them need no stack frame: rare cases
 * start again in classic.c, or end there.
 */
#ifndef _KPY_CLASSIC_H
#define _KPY_CLASSIC_H

#include <linux/jump_label.h>

#include "internal.h"
#include "lock.h"
#include "store/pool.h"

/* The class's pool; NULL if one has to be taken from an arena, or another one lingers. */
static __always_inline struct kpy_pool *kpy_classic_pool(struct kpy_heap *heap,
							 struct kpy_class *class)
{
	struct kpy_pool *pool = kpy_pool_used(class);

	if (unlikely(heap->lingering)) {
		if (heap->lingering != pool)
			return NULL;
		heap->lingering = NULL;
	}
	return pool;
}

/* NULL if the slow path has to look. */
static __always_inline void *kpy_classic_pop(struct kpy_heap *heap, size_t size)
{
	struct kpy_pool *pool = NULL;
	struct kpy_class *class;
	unsigned long flags;
	void *block = NULL;

	if (unlikely(size - 1 >= heap->classic_max) || unlikely(!kpy_trylock(heap, &flags)))
		return NULL;
	class = kpy_class(heap, kpy_class_of(heap, size));
	/* Looked at under the lock: kpy_trace_attach() waits for us then. */
	if (!static_branch_unlikely(&kpy_no_fast_path))
		pool = kpy_classic_pool(heap, class);
	if (likely(pool)) {
		block = __kpy_pool_pop(heap, class, pool);
		heap->c.allocs++;
	}
	kpy_unlock(heap, flags);
	return block;
}

/*
 * The lock is held, no pool lingers, and @pool is where the pool of @ptr would be.
 * False if it does not vouch for that.
 */
static __always_inline bool kpy_classic_put(struct kpy_heap *heap, struct kpy_pool *pool, void *ptr)
{
	struct kpy_class *class;

	if (unlikely(!kpy_pool_is_ours(heap, ptr)))
		return false;
	class = kpy_class(heap, pool->szidx);
	if (unlikely(!kpy_pool_vouches(heap, class, pool, ptr)))
		return false;
	heap->c.frees++;
	__kpy_pool_push(heap, class, pool, ptr);
	return true;
}

/* @ptr is anything.  False if the slow path has to look. */
static __always_inline bool kpy_classic_push(struct kpy_heap *heap, void *ptr)
{
	struct kpy_pool *pool;
	unsigned long flags;

	if (unlikely(!kpy_trylock(heap, &flags)))
		return false;
	pool = kpy_pool_around(heap, ptr);
	if (static_branch_unlikely(&kpy_no_fast_path) || unlikely(heap->lingering) ||
	    unlikely(!kpy_classic_put(heap, pool, ptr))) {
		kpy_unlock(heap, flags);
		return false;
	}
	if (unlikely(!pool->count))
		kpy_classic_emptied(heap, pool, flags);
	else
		kpy_unlock(heap, flags);
	return true;
}

#endif
