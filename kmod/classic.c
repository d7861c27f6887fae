// SPDX-License-Identifier: GPL-2.0
/*
 * L3, mode classic: one lock per heap stands where CPython has the GIL, and
 * everything happens in CPython's order.
 *
 * A class that has one block at a time empties its pool again and again; returning
 * the pool to its arena and taking it again costs twice what the rest does.  So an
 * emptied pool lingers where that makes no difference, see enum kpy_pool_state, and
 * nobody traces: returned and taken again, it leaves all lists as they were.
 */
#include <linux/mm.h>
#include <linux/string.h>

#include "classic.h"
#include "internal.h"
#include "store/arena.h"
#include "trace.h"

#define MANY	64	/* blocks of a bulk that are served with interrupts off */

static void classic_settle(struct kpy_heap *heap)
{
	struct kpy_pool *pool = heap->lingering;

	lockdep_assert_held(&heap->lock);
	heap->lingering = NULL;
	/* No arena is released here, or the pool would not linger. */
	kpy_pool_became_empty(heap, pool);
}

/* The class's next allocation would take this pool, and no other pool could serve it. */
static __always_inline bool may_linger(struct kpy_heap *heap, const struct kpy_pool *pool)
{
	return heap->class[pool->szidx].usedpools.first == &pool->node && !pool->node.next &&
	       kpy_arena_takes_next(heap, pool);
}

static noinline void return_pool(struct kpy_heap *heap, struct kpy_pool *pool, unsigned long flags)
{
	unsigned long gone = kpy_pool_became_empty(heap, pool);

	kpy_unlock(heap, flags);
	kpy_arena_free(heap, gone);
}

/**
 * kpy_classic_emptied() - the last block in use of a pool was freed; unlocks
 * @heap: the heap
 * @pool: the pool
 * @flags: from kpy_trylock()
 *
 * Context: heap->lock held.
 */
void kpy_classic_emptied(struct kpy_heap *heap, struct kpy_pool *pool, unsigned long flags)
{
	if (unlikely(!may_linger(heap, pool)))
		return return_pool(heap, pool, flags);
	heap->lingering = pool;
	kpy_unlock(heap, flags);
}

static void *classic_alloc(struct kpy_heap *heap, size_t size, unsigned long caller)
{
	unsigned int szidx = kpy_class_of(heap, size);
	unsigned long flags = kpy_heap_lock(heap);
	struct kpy_pool *pool = kpy_pool_first(heap, szidx);
	void *ptr = NULL;

	if (unlikely(!pool))
		goto unlock;
	ptr = kpy_pool_pop(heap, &heap->class[szidx], pool);
	if (want_init_on_free())
		*(void **)ptr = NULL;	/* the link; everything else was wiped */
	heap->c.allocs++;
	trace_kpy_alloc(heap->id, ptr, size, szidx, pool, pool->arenaindex, caller);
unlock:
	kpy_heap_unlock(heap, flags);
	return ptr;
}

/* The lock is held.  Returns an arena for kpy_arena_free(). */
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

static const char *classic_free(struct kpy_heap *heap, struct kpy_arena *arena, void *ptr,
				unsigned long caller)
{
	unsigned long gone = 0, flags = kpy_heap_lock(heap);
	const char *why = NULL;
	struct kpy_pool *pool;

	/* Most often the lock was busy, no more. */
	pool = kpy_pool_vouched(heap, ptr);
	if (!pool)
		pool = kpy_pool_of_block(heap, arena, ptr, &why);
	if (pool)
		gone = take_back(heap, pool, ptr, caller);
	kpy_heap_unlock(heap, flags);
	kpy_arena_free(heap, gone);
	return why;
}

static u32 classic_alloc_many(struct kpy_heap *heap, size_t size, u32 count, void **blocks)
{
	struct kpy_class *class = kpy_class(heap, kpy_class_of(heap, size));
	struct kpy_pool *pool;
	unsigned long flags;
	u32 n = 0;

	if (!kpy_trylock(heap, &flags))
		return 0;
	if (static_branch_unlikely(&kpy_no_fast_path))
		goto unlock;
	count = min_t(u32, count, MANY);
	for (pool = kpy_classic_pool(heap, class); pool && n < count; pool = kpy_pool_used(class))
		blocks[n++] = __kpy_pool_pop(heap, class, pool);
	heap->c.allocs += n;
unlock:
	kpy_unlock(heap, flags);
	return n;
}

static u32 classic_free_many(struct kpy_heap *heap, u32 count, void **blocks)
{
	struct kpy_pool *pool;
	unsigned long flags;
	u32 n = 0;

	if (!kpy_trylock(heap, &flags))
		return 0;
	if (static_branch_unlikely(&kpy_no_fast_path))
		goto unlock;
	if (unlikely(heap->lingering))
		classic_settle(heap);
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

const struct kpy_mode_ops kpy_classic_ops = {
	.alloc = classic_alloc,
	.free = classic_free,
	.alloc_many = classic_alloc_many,
	.free_many = classic_free_many,
	.settle = classic_settle,
};
