/* SPDX-License-Identifier: GPL-2.0 */
/* L1: what is asked of arenas where each instruction counts, and what reap.c shares. */
#ifndef _KPY_ARENA_H
#define _KPY_ARENA_H

#include "types.h"

/* Does the release rule let a wholly free arena go?  One with holes is not worth keeping. */
static __always_inline bool kpy_arena_may_go(const struct kpy_heap *heap,
					     const struct kpy_arena *arena)
{
	return heap->geo.release == KPY_RELEASE_ALWAYS || arena->npools < heap->pools_per_arena ||
	       !list_is_last(&arena->node, &heap->usable_arenas);
}

/**
 * kpy_arena_takes_next() - would a pool that is returned be the next one taken?
 * @heap: the heap
 * @pool: in use
 *
 * It would if its arena is the first usable one and stays the first, being the only
 * one with that many free pools; taking the pool then undoes what returning it did.
 *
 * Context: heap->lock held.
 * Return: whether it would, by this rule.
 */
static __always_inline bool kpy_arena_takes_next(struct kpy_heap *heap,
						 const struct kpy_pool *pool)
{
	const struct kpy_arena *arena;
	u32 nf;

	lockdep_assert_held(&heap->lock);
	arena = list_first_entry(&heap->usable_arenas, struct kpy_arena, node);
	if (list_empty(&heap->usable_arenas) || arena->slot != pool->arenaindex)
		return false;
	nf = arena->nfreepools;
	return heap->nfp2lasta[nf] == arena &&
	       (nf + 1 < arena->npools || !kpy_arena_may_go(heap, arena));
}

/* Only then may a pool's pages be freed before its arena's. */
static inline bool kpy_arena_may_have_holes(const struct kpy_heap *heap)
{
	return heap->geo.release == KPY_RELEASE_POOL;
}

/* Bytes of what may be freed alone. */
static inline size_t kpy_arena_part(const struct kpy_heap *heap)
{
	return kpy_arena_may_have_holes(heap) ? heap->geo.pool_size : heap->geo.arena_size;
}

/* NULL also for an arena in no list: it was full, and is wholly free except for holes. */
static inline struct kpy_arena *kpy_arena_prev(struct kpy_heap *heap, struct kpy_arena *arena)
{
	return list_empty(&arena->node) || list_is_first(&arena->node, &heap->usable_arenas) ?
	       NULL : list_prev_entry(arena, node);
}

static inline u32 kpy_arena_prev_slot(struct kpy_heap *heap, struct kpy_arena *arena)
{
	struct kpy_arena *prev = kpy_arena_prev(heap, arena);

	return prev ? prev->slot : KPY_NO_SLOT;
}

/* The last arena of the group with @nf free pools leaves it. */
static inline void kpy_arena_leave_group(struct kpy_heap *heap, struct kpy_arena *arena, u32 nf)
{
	struct kpy_arena *prev = kpy_arena_prev(heap, arena);

	heap->nfp2lasta[nf] = prev && prev->nfreepools == nf ? prev : NULL;
}

#endif
