// SPDX-License-Identifier: GPL-2.0
/*
 * L1: taking memory that no block needs out of a heap: wholly free arenas, and with
 * release=pool the pages of free pools of other arenas, which leaves holes there.
 *
 * It is taken under heap->lock in small batches, and freed without the lock.
 */
#include <linux/bitmap.h>

#include "account.h"
#include "internal.h"
#include "store/arena.h"
#include "trace.h"

/* The arena has fewer free pools than @nf, which it had: move it to its new place. */
static void usable_resort(struct kpy_heap *heap, struct kpy_arena *arena, u32 nf)
{
	u32 k = arena->nfreepools;

	kpy_arena_leave_group(heap, arena, nf);
	list_del_init(&arena->node);
	if (k) {
		while (k && !heap->nfp2lasta[k])
			k--;
		list_add(&arena->node, k ? &heap->nfp2lasta[k]->node : &heap->usable_arenas);
		heap->nfp2lasta[arena->nfreepools] = arena;
	}
	trace_kpy_arena_move(heap->id, arena->slot, nf, arena->nfreepools,
			     k ? kpy_arena_prev_slot(heap, arena) : KPY_NO_SLOT);
}

static void add_part(struct kpy_reap *reap, unsigned long address, size_t size)
{
	reap->part[reap->nr].address = address;
	reap->part[reap->nr++].size = size;
}

static void reap_virgin(struct kpy_heap *heap, struct kpy_arena *arena, u32 pools,
			struct kpy_reap *reap)
{
	if (!pools)
		return;
	add_part(reap, (unsigned long)kpy_arena_pool(heap, arena, arena->ncarved),
		 (size_t)pools << heap->pool_shift);
	bitmap_set(arena->holes, arena->ncarved, pools);
	arena->ncarved += pools;
}

static void reap_emptied(struct kpy_heap *heap, struct kpy_arena *arena, struct kpy_reap *reap)
{
	unsigned long pool = (unsigned long)arena->freepools;

	arena->freepools = arena->freepools->nextfree;
	add_part(reap, pool, heap->geo.pool_size);
	__set_bit((pool - arena->address) >> heap->pool_shift, arena->holes);
}

static void count_holes(struct kpy_heap *heap, struct kpy_arena *arena, u32 pools)
{
	arena->npools -= pools;
	arena->nfreepools -= pools;
	heap->free_pools -= pools;
	heap->free_low = min(heap->free_low, heap->free_pools);
	heap->c.holes += pools;
	heap->c.holes_total += pools;
	kpy_count_held(heap, -((s64)pools << heap->pool_shift));
}

/*
 * Virgin pools are one part, emptied ones a part each.  Returns true if these are the
 * arena's first holes: splitting its pages is the longest step there is.
 */
static bool reap_pools(struct kpy_heap *heap, struct kpy_arena *arena, unsigned long pools,
		       struct kpy_reap *reap)
{
	bool first = arena->npools == heap->pools_per_arena;
	u32 virgin = min_t(unsigned long, pools, heap->pools_per_arena - arena->ncarved);
	u32 nf = arena->nfreepools, taken = virgin;

	if (first)
		kpy_pages_split(arena->address, heap->geo.arena_size);
	reap_virgin(heap, arena, virgin, reap);
	for (; taken < pools && arena->freepools && reap->nr < KPY_REAP_PARTS; taken++)
		reap_emptied(heap, arena, reap);
	reap->pools += taken;
	count_holes(heap, arena, taken);
	usable_resort(heap, arena, nf);
	return first;
}

static void reap_arena(struct kpy_heap *heap, struct kpy_arena *arena, struct kpy_reap *reap)
{
	heap->nfp2lasta[arena->nfreepools] = NULL;
	reap->pools += arena->nfreepools;
	add_part(reap, kpy_arena_release(heap, arena), heap->geo.arena_size);
}

/* The emptiest arena that has something to give. */
static struct kpy_arena *reap_from(struct kpy_heap *heap, unsigned long pools)
{
	struct kpy_arena *last;

	if (list_empty(&heap->usable_arenas))
		return NULL;
	last = list_last_entry(&heap->usable_arenas, struct kpy_arena, node);
	if (last->nfreepools == heap->pools_per_arena) {
		if (pools >= last->nfreepools)
			return last;
		last = kpy_arena_prev(heap, last);
	}
	return kpy_arena_may_have_holes(heap) ? last : NULL;
}

/**
 * kpy_arena_reap() - take memory of free pools
 * @heap: the heap
 * @pools: how much is wanted; a wholly free arena is taken as a whole or not at all
 * @reap: filled in, for kpy_arena_free_reaped() after unlocking
 *
 * The emptiest arenas come first, so that what remains free is where pools are taken
 * from next.  Without release=pool only a wholly free arena is taken.
 *
 * Context: heap->lock held, for as long as some dozens of pools take.
 */
void kpy_arena_reap(struct kpy_heap *heap, unsigned long pools, struct kpy_reap *reap)
{
	struct kpy_arena *arena;
	bool split = false;

	lockdep_assert_held(&heap->lock);
	reap->nr = 0;
	reap->pools = 0;
	while (!split && reap->nr < KPY_REAP_PARTS && reap->pools < pools) {
		arena = reap_from(heap, pools - reap->pools);
		if (!arena)
			break;
		if (arena->nfreepools == heap->pools_per_arena)
			reap_arena(heap, arena, reap);
		else
			split = reap_pools(heap, arena, pools - reap->pools, reap);
	}
}

/**
 * kpy_arena_free_reaped() - return what was taken to the system
 * @heap: the heap
 * @reap: from kpy_arena_reap()
 *
 * Context: Any but NMI, heap->lock not held.
 */
void kpy_arena_free_reaped(struct kpy_heap *heap, const struct kpy_reap *reap)
{
	u32 i;

	for (i = 0; i < reap->nr; i++) {
		if (reap->part[i].size == heap->geo.arena_size)
			kpy_pages_free(reap->part[i].address, heap->geo.arena_size,
				       kpy_arena_part(heap));
		else
			kpy_pages_free_split(reap->part[i].address, reap->part[i].size,
					     heap->geo.pool_size);
	}
}
