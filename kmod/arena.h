/* SPDX-License-Identifier: GPL-2.0 */
/* L1: what arena.c is asked when instructions count. */
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
 * kpy_arena_takes_next() - would a pool that is put be the next one taken?
 * @heap: the heap
 * @pool: in use
 *
 * So it is if its arena is the first usable one and stays that, being the only
 * one with as many free pools; taking it then undoes all that putting it did.
 *
 * Context: heap->lock held.
 * Return: as asked; false too where it is, but not by this rule.
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

#endif
