// SPDX-License-Identifier: GPL-2.0
/*
 * L1: the arena vector and the list of usable arenas.
 *
 * After "arena management" in CPython's Objects/obmalloc.c.  Pools are taken
 * from the fullest arena, so that the others get a chance to become wholly
 * free and to be returned to the system.  Everything is O(1): taking from the head
 * never breaks the order, and nfp2lasta says where an arena belongs that got one
 * more free pool.
 *
 * Nothing here makes a heap grow: heap.c allocates a spare without the lock and
 * attaches it under the lock.  With release=pool an arena may have holes, which are
 * neither free nor used until the arena is freed; reap.c makes them.
 */
#include <linux/bitmap.h>
#include <linux/slab.h>

#include "account.h"
#include "internal.h"
#include "store/arena.h"
#include "trace.h"

#define MAX_POOLS (KPY_ARENA_MAX / KPY_POOL_MIN)

/**
 * struct gone - an arena that may have holes and is about to be freed; written into
 *               the pool that was its last one
 * @next: for kpy_arena_chain()
 * @address: of the arena
 * @npools: pools that are not holes
 * @holes: bitmap of those that are
 */
struct gone {
	unsigned long next;
	unsigned long address;
	u32 npools;
	DECLARE_BITMAP(holes, MAX_POOLS);
};

static_assert(sizeof(struct gone) <= KPY_POOL_MIN);

/* Longs of a slot's bitmap of holes. */
static u32 holes_longs(const struct kpy_heap *heap)
{
	return kpy_arena_may_have_holes(heap) ? BITS_TO_LONGS(heap->pools_per_arena) : 0;
}

static bool fill_leaf(struct kpy_heap *heap, struct kpy_spare *spare, gfp_t gfp)
{
	if (!kpy_map_covers(heap, spare->address))
		return false;
	if (spare->leaf || kpy_map_has_leaf(heap, spare->address))
		return true;
	spare->leaf = kcalloc(KPY_MAP_LEAF, sizeof(*spare->leaf), gfp);
	return spare->leaf;
}

/* The slots, and behind them their bitmaps. */
static bool fill_slots(struct kpy_heap *heap, struct kpy_spare *spare, gfp_t gfp)
{
	size_t each = sizeof(*spare->slots) + holes_longs(heap) * sizeof(long);
	u32 nr_slots = READ_ONCE(heap->nr_slots);

	if (!list_empty(&heap->unused_arenas))
		return true;
	kvfree(spare->slots);
	spare->chunk = kpy_chunk_of(nr_slots);
	spare->slots = kvcalloc(kpy_chunk_len(spare->chunk), each, gfp);
	return spare->slots;
}

/**
 * kpy_arena_fill_spare() - allocate what one more arena needs
 * @heap: the heap
 * @spare: zeroed, or filled before and not attached
 * @gfp: how memory may be allocated
 *
 * Context: Any but NMI, heap->lock not held; sleeps if @gfp allows.
 * Return: false if a part is missing.  Either way kpy_arena_drop_spare() frees what
 * is left over.
 */
bool kpy_arena_fill_spare(struct kpy_heap *heap, struct kpy_spare *spare, gfp_t gfp)
{
	/* Blocks of many callers will share it: the heap decides who is charged, not they. */
	gfp_t charged = heap->flags & KPY_HEAP_ACCOUNT ? __GFP_ACCOUNT : 0;

	gfp = (gfp & ~(__GFP_ZERO | __GFP_ACCOUNT | GFP_ZONEMASK)) | __GFP_NOWARN;
	if (!spare->address)
		spare->address = kpy_pages_alloc(heap->geo.arena_size, kpy_arena_part(heap),
						 gfp | charged);
	return spare->address && fill_leaf(heap, spare, gfp) && fill_slots(heap, spare, gfp);
}

/**
 * kpy_arena_drop_spare() - free what was not attached
 * @heap: the heap
 * @spare: from kpy_arena_fill_spare()
 *
 * Context: Any but NMI, heap->lock not held.
 */
void kpy_arena_drop_spare(struct kpy_heap *heap, struct kpy_spare *spare)
{
	kpy_pages_free(spare->address, heap->geo.arena_size, kpy_arena_part(heap));
	kfree(spare->leaf);
	kvfree(spare->slots);
}

/* Chain the new slots so that they are used in index order. */
static void add_slots(struct kpy_heap *heap, struct kpy_spare *spare)
{
	u32 len = kpy_chunk_len(spare->chunk), longs = holes_longs(heap);
	unsigned long *holes = (unsigned long *)(spare->slots + len);
	u32 i;

	for (i = 0; i < len; i++) {
		spare->slots[i].slot = heap->nr_slots + i;
		spare->slots[i].holes = longs ? holes + i * longs : NULL;
		list_add_tail(&spare->slots[i].node, &heap->unused_arenas);
	}
	heap->arena_chunk[spare->chunk] = spare->slots;
	WRITE_ONCE(heap->nr_slots, heap->nr_slots + len);
	spare->slots = NULL;
}

/* An unused slot, and a leaf of the map; false if the spare lacks what is needed by now. */
static bool prepare_slot(struct kpy_heap *heap, struct kpy_spare *spare)
{
	if (list_empty(&heap->unused_arenas)) {
		if (!spare->slots || spare->chunk != kpy_chunk_of(heap->nr_slots))
			return false;
		add_slots(heap, spare);
	}
	if (!kpy_map_has_leaf(heap, spare->address)) {
		kpy_map_add_leaf(heap, spare->address, spare->leaf);
		spare->leaf = NULL;
	}
	return true;
}

/**
 * kpy_arena_attach() - make spare memory an arena
 * @heap: the heap, without a usable arena
 * @spare: filled; loses what is used
 *
 * As new_arena() in CPython.
 *
 * Context: heap->lock held.
 * Return: false if the spare has to be filled again: another CPU was faster.
 */
bool kpy_arena_attach(struct kpy_heap *heap, struct kpy_spare *spare)
{
	struct kpy_arena *arena;

	lockdep_assert_held(&heap->lock);
	if (!prepare_slot(heap, spare))
		return false;
	arena = list_first_entry(&heap->unused_arenas, struct kpy_arena, node);
	arena->address = spare->address;
	spare->address = 0;
	arena->serial = heap->c.arenas_total++;
	arena->freepools = NULL;
	arena->nfreepools = heap->pools_per_arena;
	arena->ncarved = 0;
	arena->npools = heap->pools_per_arena;
	/*
	 * A reader that sees no holes sees that the slot's last arena is gone.  Pairs with
	 * smp_rmb() in kpy_arena_find().
	 */
	smp_wmb();
	if (arena->holes)
		bitmap_zero(arena->holes, heap->pools_per_arena);
	kpy_map_set(heap, arena);
	list_move(&arena->node, &heap->usable_arenas);
	heap->nfp2lasta[arena->nfreepools] = arena;
	heap->free_pools += arena->nfreepools;

	heap->c.arenas_current++;
	heap->c.arenas_highwater = max(heap->c.arenas_highwater, heap->c.arenas_current);
	kpy_count_held(heap, heap->geo.arena_size);
	trace_kpy_arena_new(heap->id, arena->slot, arena->serial, arena->address);
	return true;
}

static struct kpy_pool *carve_pool(struct kpy_heap *heap, struct kpy_arena *arena)
{
	struct kpy_pool *pool = kpy_arena_pool(heap, arena, arena->ncarved++);

	pool->arenaindex = arena->slot;
	pool->szidx = KPY_NO_CLASS;
	pool->count = 0;
	pool->tag = 0;
	return pool;
}

/**
 * kpy_arena_take_pool() - take a pool from the fullest usable arena
 * @heap: the heap
 *
 * An emptied pool is preferred to a virgin one and keeps its last layout.  As
 * allocate_from_new_pool() in CPython.
 *
 * Context: heap->lock held.
 * Return: the pool, with count 0; NULL if no arena is usable.
 */
struct kpy_pool *kpy_arena_take_pool(struct kpy_heap *heap)
{
	struct kpy_arena *arena;
	struct kpy_pool *pool;
	u32 nf;

	lockdep_assert_held(&heap->lock);
	arena = list_first_entry_or_null(&heap->usable_arenas, struct kpy_arena, node);
	if (!arena)
		return NULL;

	nf = arena->nfreepools--;
	heap->free_pools--;
	heap->free_low = min(heap->free_low, heap->free_pools);
	/* The head has the fewest: it alone has nf - 1 free pools. */
	if (heap->nfp2lasta[nf] == arena)
		heap->nfp2lasta[nf] = NULL;
	if (nf > 1)
		heap->nfp2lasta[nf - 1] = arena;
	else
		list_del_init(&arena->node);
	trace_kpy_arena_move(heap->id, arena->slot, nf, nf - 1, KPY_NO_SLOT);

	pool = arena->freepools;
	if (!pool)
		return carve_pool(heap, arena);
	arena->freepools = pool->nextfree;
	return pool;
}

/**
 * kpy_arena_release() - a wholly free arena leaves the heap
 * @heap: the heap
 * @arena: nfp2lasta does not name it any more
 *
 * Context: heap->lock held.
 * Return: its address, to be freed after unlocking.
 */
unsigned long kpy_arena_release(struct kpy_heap *heap, struct kpy_arena *arena)
{
	unsigned long address = arena->address;

	lockdep_assert_held(&heap->lock);
	kpy_map_clear(heap, arena);
	arena->address = 0;
	list_move(&arena->node, &heap->unused_arenas);
	heap->free_pools -= arena->nfreepools;
	heap->free_low = min(heap->free_low, heap->free_pools);
	heap->c.arenas_current--;
	heap->c.holes -= kpy_arena_holes(heap, arena);
	kpy_count_held(heap, -((s64)arena->npools << heap->pool_shift));
	trace_kpy_arena_release(heap->id, arena->slot, arena->serial, address);
	return address;
}

/* What kpy_arena_free() needs: the bitmap stays with the slot, which may be used at once. */
static unsigned long say_gone(const struct kpy_heap *heap, const struct kpy_arena *arena,
			      unsigned long address, struct kpy_pool *pool)
{
	struct gone *gone = (struct gone *)pool;

	if (!kpy_arena_may_have_holes(heap))
		return address;
	gone->address = address;
	gone->npools = arena->npools;
	bitmap_copy(gone->holes, arena->holes, heap->pools_per_arena);
	return (unsigned long)gone;
}

/* More pools are free than one arena has: somebody has to look whether they stay free. */
static void expect_release(struct kpy_heap *heap)
{
	if (heap->release_pending || heap->free_pools <= heap->pools_per_arena)
		return;
	heap->release_pending = true;
	heap->free_low = heap->free_pools;
	queue_delayed_work(system_unbound_wq, &heap->release_work, KPY_RELEASE_DELAY);
}

/**
 * kpy_arena_put_pool() - a pool became empty: return it to its arena
 * @heap: the heap
 * @pool: with count 0, in no list
 *
 * As insert_to_freepool() in CPython, with its four cases: the arena
 *  1. is wholly free now, and the release rule lets it go, or it has holes;
 *  2. was full: it becomes the first usable one;
 *  3. is the last of those with as many free pools as it had: it stays;
 *  4. goes right behind the last of those.
 *
 * Context: heap->lock held.
 * Return: in case 1 the address of free memory that stands for the arena, for
 * kpy_arena_free() after unlocking; its first word is the caller's.  Else 0.
 */
unsigned long kpy_arena_put_pool(struct kpy_heap *heap, struct kpy_pool *pool)
{
	struct kpy_arena *arena = kpy_arena_at(heap, pool->arenaindex), *last;
	u32 nf = arena->nfreepools;

	lockdep_assert_held(&heap->lock);
	pool->nextfree = arena->freepools;
	arena->freepools = pool;

	last = nf ? heap->nfp2lasta[nf] : NULL;
	if (last == arena)
		kpy_arena_leave_group(heap, arena, nf);
	arena->nfreepools = ++nf;
	heap->free_pools++;
	if (nf == arena->npools && kpy_arena_may_go(heap, arena)) {
		trace_kpy_arena_move(heap->id, arena->slot, nf - 1, nf,
				     kpy_arena_prev_slot(heap, arena));
		return say_gone(heap, arena, kpy_arena_release(heap, arena), pool);
	}
	expect_release(heap);

	if (!heap->nfp2lasta[nf])
		heap->nfp2lasta[nf] = arena;
	if (nf == 1)
		list_add(&arena->node, &heap->usable_arenas);
	else if (last != arena)
		list_move(&arena->node, &last->node);
	trace_kpy_arena_move(heap->id, arena->slot, nf - 1, nf, kpy_arena_prev_slot(heap, arena));
	return 0;
}

static void free_around_holes(const struct kpy_heap *heap, unsigned long address,
			      const unsigned long *holes)
{
	unsigned int from, to;

	for_each_clear_bitrange(from, to, holes, heap->pools_per_arena)
		kpy_pages_free_split(address + ((unsigned long)from << heap->pool_shift),
				     (unsigned long)(to - from) << heap->pool_shift,
				     heap->geo.pool_size);
}

/**
 * kpy_arena_free() - return an arena to the system
 * @heap: the heap
 * @gone: what kpy_arena_put_pool() returned, 0 is ignored
 *
 * Context: Any but NMI, heap->lock not held.
 */
void kpy_arena_free(struct kpy_heap *heap, unsigned long gone)
{
	struct gone copy;

	if (!gone)
		return;
	if (!kpy_arena_may_have_holes(heap)) {
		kpy_pages_free(gone, heap->geo.arena_size, heap->geo.arena_size);
		return;
	}
	copy = *(struct gone *)gone;
	if (copy.npools < heap->pools_per_arena)
		free_around_holes(heap, copy.address, copy.holes);
	else
		kpy_pages_free(copy.address, heap->geo.arena_size, heap->geo.pool_size);
}

/**
 * kpy_arena_chain() - collect arenas that are to be freed
 * @chain: 0 at first
 * @gone: what kpy_arena_put_pool() returned, 0 is ignored
 *
 * Context: Any.
 */
void kpy_arena_chain(unsigned long *chain, unsigned long gone)
{
	if (likely(!gone))
		return;
	*(unsigned long *)gone = *chain;
	*chain = gone;
}

/**
 * kpy_arena_free_chain() - return collected arenas to the system
 * @heap: the heap
 * @chain: from kpy_arena_chain()
 *
 * Context: Any but NMI, heap->lock not held.
 */
void kpy_arena_free_chain(struct kpy_heap *heap, unsigned long chain)
{
	while (chain) {
		unsigned long next = *(unsigned long *)chain;

		kpy_arena_free(heap, chain);
		chain = next;
	}
}

/**
 * kpy_arenas_init() - prepare a heap for its first arena
 * @heap: zeroed except for its constants
 *
 * Context: Process, may sleep.
 * Return: 0 or -ENOMEM; kpy_arenas_exit() cleans up in both cases.
 */
int kpy_arenas_init(struct kpy_heap *heap)
{
	INIT_LIST_HEAD(&heap->usable_arenas);
	INIT_LIST_HEAD(&heap->unused_arenas);
	heap->nfp2lasta = kvcalloc(heap->pools_per_arena + 1, sizeof(*heap->nfp2lasta),
				   GFP_KERNEL);
	return heap->nfp2lasta ? kpy_map_init(heap) : -ENOMEM;
}

static void free_whole(struct kpy_heap *heap, const struct kpy_arena *arena)
{
	if (arena->address && kpy_arena_holes(heap, arena))
		free_around_holes(heap, arena->address, arena->holes);
	else
		kpy_pages_free(arena->address, heap->geo.arena_size, kpy_arena_part(heap));
}

/**
 * kpy_arenas_exit() - free every arena, whatever lives in it
 * @heap: nobody uses it any more
 *
 * Context: Process, may sleep.
 */
void kpy_arenas_exit(struct kpy_heap *heap)
{
	u32 slot, i;

	for (slot = 0; slot < heap->nr_slots; slot++)
		free_whole(heap, kpy_arena_at(heap, slot));
	for (i = 0; i < KPY_MAX_CHUNKS; i++)
		kvfree(heap->arena_chunk[i]);
	kpy_map_exit(heap);
	kvfree(heap->nfp2lasta);
}
