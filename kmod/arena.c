// SPDX-License-Identifier: GPL-2.0
/*
 * L1: the arena vector, the list of usable arenas, and address → arena.
 *
 * After "arena management" in CPython's Objects/obmalloc.c.  Pools are taken
 * from the fullest arena, so that the others get a chance to become wholly
 * free and go back to the system.  Everything is O(1): taking from the head
 * never breaks the order, and nfp2lasta says where an arena goes that got one
 * more free pool.  A lookup is two loads.
 *
 * With release=pool an arena may have holes: pools whose pages went back alone.
 * They are neither free nor used until the arena goes; the other ones are taken
 * and put as ever.
 *
 * Memory is had by kpy_arena_grow() alone, without the lock; the rest runs
 * under heap->lock.
 */
#include <linux/bitmap.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include "arena.h"
#include "internal.h"
#include "trace.h"

#define MAX_POOLS (KPY_ARENA_MAX / KPY_POOL_MIN)

/**
 * struct spare - memory for one more arena, had before the lock is taken
 * @address: the arena itself
 * @slots: the vector's next chunk, where it has no unused slot left
 * @chunk: which one @slots is
 * @leaf: of the arena map, where the one for @address is missing
 */
struct spare {
	unsigned long address;
	struct kpy_arena *slots;
	unsigned int chunk;
	u32 *leaf;
};

/**
 * struct gone - an arena that may have holes and is on its way back, written
 *               into the pool that was its last one
 * @next: for the caller, who may have several of them to free
 * @address: of the arena
 * @npools: pools that did not go before
 * @holes: those that did
 */
struct gone {
	unsigned long next;
	unsigned long address;
	u32 npools;
	DECLARE_BITMAP(holes, MAX_POOLS);
};

static_assert(sizeof(struct gone) <= KPY_POOL_MIN);

static bool may_have_holes(const struct kpy_heap *heap)
{
	return heap->geo.release == KPY_RELEASE_POOL;
}

/* What goes back alone. */
static size_t part_size(const struct kpy_heap *heap)
{
	return may_have_holes(heap) ? heap->geo.pool_size : heap->geo.arena_size;
}

/* Longs of a slot's bitmap of holes. */
static u32 holes_longs(const struct kpy_heap *heap)
{
	return may_have_holes(heap) ? BITS_TO_LONGS(heap->pools_per_arena) : 0;
}

static unsigned long map_key(const struct kpy_heap *heap, unsigned long address)
{
	return (address - PAGE_OFFSET) >> heap->arena_shift;
}

/* The entry for an address, NULL where the map has no leaf or does not reach. */
static u32 *map_entry(const struct kpy_heap *heap, unsigned long address)
{
	unsigned long key = map_key(heap, address);
	unsigned long index = key >> KPY_MAP_LEAF_BITS;
	u32 *leaf;

	if (index >= heap->map.nr_leaves)
		return NULL;
	/* Pairs with smp_store_release() in spare_attach(). */
	leaf = smp_load_acquire(&heap->map.leaves[index]);
	return leaf ? &leaf[key & (KPY_MAP_LEAF - 1)] : NULL;
}

static u32 pool_index(const struct kpy_heap *heap, unsigned long address)
{
	return (address & (heap->geo.arena_size - 1)) >> heap->pool_shift;
}

/**
 * kpy_arena_find() - which arena an address lies in
 * @heap: the heap
 * @ptr: any address, also a foreign one
 *
 * A hole is foreign: a block of the general allocator may lie there.
 *
 * Without the lock the answer holds as long as a block of that arena is known
 * to be live; otherwise look again at arena->address under the lock.  As
 * address_in_range() in CPython 3.10.
 *
 * Context: Any.
 * Return: the arena, NULL if there is none.
 */
struct kpy_arena *kpy_arena_find(const struct kpy_heap *heap, const void *ptr)
{
	u32 *entry = map_entry(heap, (unsigned long)ptr);
	struct kpy_arena *arena;
	u32 slot;

	do {
		/* Pairs with WRITE_ONCE() in spare_attach() and arena_release(). */
		slot = entry ? READ_ONCE(*entry) : 0;
		if (!slot)
			return NULL;
		arena = kpy_arena_at(heap, slot - 1);
		if (kpy_pool_is_hole(arena, pool_index(heap, (unsigned long)ptr)))
			return NULL;
		/* The arena went meanwhile?  Pairs with smp_wmb() in spare_attach(). */
		smp_rmb();
	} while (unlikely(READ_ONCE(*entry) != slot));
	return arena;
}

/**
 * kpy_arena_is_mapped() - does the arena map name its slot? for the validator
 * @heap: the heap
 * @arena: in use
 *
 * Context: heap->lock held.
 * Return: as asked.
 */
bool kpy_arena_is_mapped(const struct kpy_heap *heap, const struct kpy_arena *arena)
{
	const u32 *entry = map_entry(heap, arena->address);

	lockdep_assert_held(&heap->lock);
	return entry && *entry == arena->slot + 1;
}

/**
 * kpy_arena_map_count() - entries of the arena map, for the validator
 * @heap: the heap
 *
 * Context: heap->lock held.
 * Return: how many addresses name a slot.
 */
u32 kpy_arena_map_count(const struct kpy_heap *heap)
{
	unsigned long i, j;
	u32 n = 0;

	lockdep_assert_held(&heap->lock);
	for (i = 0; i < heap->map.nr_leaves; i++)
		for (j = 0; heap->map.leaves[i] && j < KPY_MAP_LEAF; j++)
			n += !!heap->map.leaves[i][j];
	return n;
}

static bool spare_fill_leaf(struct kpy_heap *heap, struct spare *spare, gfp_t gfp)
{
	unsigned long index = map_key(heap, spare->address) >> KPY_MAP_LEAF_BITS;

	/* Memory plugged in after the heap was made is beyond the map. */
	if (index >= heap->map.nr_leaves)
		return false;
	if (spare->leaf || READ_ONCE(heap->map.leaves[index]))
		return true;
	spare->leaf = kcalloc(KPY_MAP_LEAF, sizeof(*spare->leaf), gfp);
	return spare->leaf;
}

/* The slots, and behind them their bitmaps. */
static bool spare_fill_slots(struct kpy_heap *heap, struct spare *spare, gfp_t gfp)
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

static bool spare_fill(struct kpy_heap *heap, struct spare *spare, gfp_t gfp)
{
	/* Blocks of many callers will share it: who pays is the heap's matter, not theirs. */
	gfp_t charged = heap->flags & KPY_HEAP_ACCOUNT ? __GFP_ACCOUNT : 0;

	gfp = (gfp & ~(__GFP_ZERO | __GFP_ACCOUNT | GFP_ZONEMASK)) | __GFP_NOWARN;
	if (!spare->address)
		spare->address = kpy_pages_alloc(heap->geo.arena_size, part_size(heap),
						 gfp | charged);
	return spare->address && spare_fill_leaf(heap, spare, gfp) &&
	       spare_fill_slots(heap, spare, gfp);
}

static void spare_drop(struct kpy_heap *heap, struct spare *spare)
{
	kpy_pages_free(spare->address, heap->geo.arena_size, part_size(heap));
	kfree(spare->leaf);
	kvfree(spare->slots);
}

/* Chain the new slots so that they are used in index order. */
static void slots_add(struct kpy_heap *heap, struct spare *spare)
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

/* Make the spare memory an arena; false if it lacks a part by now. */
static bool spare_attach(struct kpy_heap *heap, struct spare *spare)
{
	unsigned long index = map_key(heap, spare->address) >> KPY_MAP_LEAF_BITS;
	struct kpy_arena *arena;

	lockdep_assert_held(&heap->lock);
	if (list_empty(&heap->unused_arenas)) {
		if (!spare->slots || spare->chunk != kpy_chunk_of(heap->nr_slots))
			return false;
		slots_add(heap, spare);
	}
	if (!heap->map.leaves[index]) {
		/* Pairs with smp_load_acquire() in map_entry(). */
		smp_store_release(&heap->map.leaves[index], spare->leaf);
		spare->leaf = NULL;
	}

	arena = list_first_entry(&heap->unused_arenas, struct kpy_arena, node);
	arena->address = spare->address;
	spare->address = 0;
	arena->serial = heap->c.arenas_total++;
	arena->freepools = NULL;
	arena->nfreepools = heap->pools_per_arena;
	arena->ncarved = 0;
	arena->npools = heap->pools_per_arena;
	/* Whoever sees them gone sees that the slot's last arena is.  Pairs with smp_rmb(). */
	smp_wmb();
	if (arena->holes)
		bitmap_zero(arena->holes, heap->pools_per_arena);
	/* Pairs with READ_ONCE() in kpy_arena_find(). */
	WRITE_ONCE(*map_entry(heap, arena->address), arena->slot + 1);
	list_move(&arena->node, &heap->usable_arenas);
	heap->nfp2lasta[arena->nfreepools] = arena;
	heap->free_pools += arena->nfreepools;

	heap->c.arenas_current++;
	heap->c.arenas_highwater = max(heap->c.arenas_highwater, heap->c.arenas_current);
	kpy_count_held(heap, heap->geo.arena_size);
	trace_kpy_arena_new(heap->id, arena->slot, arena->serial, arena->address);
	return true;
}

/* So that memory which the limit refuses is not even asked for. */
static bool heap_may_grow(struct kpy_heap *heap)
{
	unsigned long flags;
	bool may;

	raw_spin_lock_irqsave(&heap->lock, flags);
	kpy_heap_settle(heap);
	may = !list_empty(&heap->usable_arenas) || kpy_may_hold(heap, heap->geo.arena_size);
	raw_spin_unlock_irqrestore(&heap->lock, flags);
	return may;
}

/**
 * kpy_arena_grow() - make sure that there is a usable arena
 * @heap: the heap
 * @gfp: how its memory may be had
 *
 * As new_arena() in CPython.  Another CPU may have used the arena up, or
 * brought one, by the time this returns: look again.
 *
 * Context: Any but NMI, heap->lock not held; sleeps if @gfp allows.
 * Return: false if the memory cannot be had, or the heap's limit is reached.
 */
bool kpy_arena_grow(struct kpy_heap *heap, gfp_t gfp)
{
	bool done = false, may = heap_may_grow(heap);
	struct spare spare = {};
	unsigned long flags;

	while (!done && may && spare_fill(heap, &spare, gfp)) {
		raw_spin_lock_irqsave(&heap->lock, flags);
		kpy_heap_settle(heap);
		done = !list_empty(&heap->usable_arenas);
		may = kpy_may_hold(heap, heap->geo.arena_size);
		if (!done && may)
			done = spare_attach(heap, &spare);
		raw_spin_unlock_irqrestore(&heap->lock, flags);
	}
	spare_drop(heap, &spare);
	if (done)
		return true;

	raw_spin_lock_irqsave(&heap->lock, flags);
	heap->c.arena_failures++;
	raw_spin_unlock_irqrestore(&heap->lock, flags);
	return false;
}

/* NULL too for an arena in no list: one that was full and is wholly free but for holes. */
static struct kpy_arena *usable_prev(struct kpy_heap *heap, struct kpy_arena *arena)
{
	return list_empty(&arena->node) || list_is_first(&arena->node, &heap->usable_arenas) ?
	       NULL : list_prev_entry(arena, node);
}

static u32 usable_prev_slot(struct kpy_heap *heap, struct kpy_arena *arena)
{
	struct kpy_arena *prev = usable_prev(heap, arena);

	return prev ? prev->slot : KPY_NO_SLOT;
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
	/* The head has the fewest: those with nf - 1 free pools are it alone. */
	if (heap->nfp2lasta[nf] == arena)
		heap->nfp2lasta[nf] = NULL;
	if (nf > 1)
		heap->nfp2lasta[nf - 1] = arena;
	else
		list_del_init(&arena->node);
	trace_kpy_arena_move(heap->id, arena->slot, nf, nf - 1, KPY_NO_SLOT);

	pool = arena->freepools;
	if (pool) {
		arena->freepools = pool->nextfree;
		return pool;
	}
	pool = kpy_arena_pool(heap, arena, arena->ncarved++);
	pool->arenaindex = arena->slot;
	pool->szidx = KPY_NO_CLASS;
	pool->count = 0;
	pool->tag = 0;
	return pool;
}

static unsigned long arena_release(struct kpy_heap *heap, struct kpy_arena *arena)
{
	unsigned long address = arena->address;

	/* Pairs with READ_ONCE() in kpy_arena_find(). */
	WRITE_ONCE(*map_entry(heap, address), 0);
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

/* What kpy_arena_free() needs: the bitmap is the slot's and may be used again at once. */
static unsigned long say_gone(const struct kpy_heap *heap, const struct kpy_arena *arena,
			      unsigned long address, struct kpy_pool *pool)
{
	struct gone *gone = (struct gone *)pool;

	if (!may_have_holes(heap))
		return address;
	gone->address = address;
	gone->npools = arena->npools;
	bitmap_copy(gone->holes, arena->holes, heap->pools_per_arena);
	return (unsigned long)gone;
}

/* More pools are free than an arena has: somebody has to look whether they stay so. */
static void expect_release(struct kpy_heap *heap)
{
	if (heap->release_pending || heap->free_pools <= heap->pools_per_arena)
		return;
	heap->release_pending = true;
	heap->free_low = heap->free_pools;
	queue_delayed_work(system_unbound_wq, &heap->release_work, KPY_RELEASE_DELAY);
}

/**
 * kpy_arena_put_pool() - a pool became empty: give it back to its arena
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
	struct kpy_arena *arena = kpy_arena_at(heap, pool->arenaindex);
	struct kpy_arena *last, *prev;
	u32 nf = arena->nfreepools;

	lockdep_assert_held(&heap->lock);
	pool->nextfree = arena->freepools;
	arena->freepools = pool;

	last = nf ? heap->nfp2lasta[nf] : NULL;
	if (last && last == arena) {
		prev = usable_prev(heap, arena);
		heap->nfp2lasta[nf] = prev && prev->nfreepools == nf ? prev : NULL;
	}
	arena->nfreepools = ++nf;
	heap->free_pools++;
	if (nf == arena->npools && kpy_arena_may_go(heap, arena)) {
		trace_kpy_arena_move(heap->id, arena->slot, nf - 1, nf,
				     usable_prev_slot(heap, arena));
		return say_gone(heap, arena, arena_release(heap, arena), pool);
	}
	expect_release(heap);

	if (!heap->nfp2lasta[nf])
		heap->nfp2lasta[nf] = arena;
	if (nf == 1)
		list_add(&arena->node, &heap->usable_arenas);
	else if (last != arena)
		list_move(&arena->node, &last->node);
	trace_kpy_arena_move(heap->id, arena->slot, nf - 1, nf, usable_prev_slot(heap, arena));
	return 0;
}

/* Whoever frees does so without the lock. */
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
 * kpy_arena_free() - give an arena that goes back to the system
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
	if (!may_have_holes(heap)) {
		kpy_pages_free(gone, heap->geo.arena_size, heap->geo.arena_size);
		return;
	}
	copy = *(struct gone *)gone;
	if (copy.npools < heap->pools_per_arena)
		free_around_holes(heap, copy.address, copy.holes);
	else
		kpy_pages_free(copy.address, heap->geo.arena_size, heap->geo.pool_size);
}

/* The arena has fewer free pools than the @nf it had: out of its place, into its new one. */
static void usable_resort(struct kpy_heap *heap, struct kpy_arena *arena, u32 nf)
{
	struct kpy_arena *prev = usable_prev(heap, arena);
	u32 k = arena->nfreepools;

	if (heap->nfp2lasta[nf] == arena)
		heap->nfp2lasta[nf] = prev && prev->nfreepools == nf ? prev : NULL;
	list_del_init(&arena->node);
	if (k) {
		while (k && !heap->nfp2lasta[k])
			k--;
		list_add(&arena->node, k ? &heap->nfp2lasta[k]->node : &heap->usable_arenas);
		heap->nfp2lasta[arena->nfreepools] = arena;
	}
	trace_kpy_arena_move(heap->id, arena->slot, nf, arena->nfreepools,
			     k ? usable_prev_slot(heap, arena) : KPY_NO_SLOT);
}

static void reap_part(struct kpy_reap *reap, unsigned long address, size_t size)
{
	reap->part[reap->nr].address = address;
	reap->part[reap->nr++].size = size;
}

/*
 * Virgin pools are one part, emptied ones a part each.  True if these are the
 * arena's first holes: making single pages of it is the longest step there is.
 */
static bool reap_pools(struct kpy_heap *heap, struct kpy_arena *arena, unsigned long pools,
		       struct kpy_reap *reap)
{
	bool first = arena->npools == heap->pools_per_arena;
	u32 virgin = min_t(unsigned long, pools, heap->pools_per_arena - arena->ncarved);
	u32 nf = arena->nfreepools, taken = virgin;

	if (first)
		kpy_pages_split(arena->address, heap->geo.arena_size);
	if (virgin) {
		reap_part(reap, (unsigned long)kpy_arena_pool(heap, arena, arena->ncarved),
			  (size_t)virgin << heap->pool_shift);
		bitmap_set(arena->holes, arena->ncarved, virgin);
		arena->ncarved += virgin;
	}
	for (; taken < pools && arena->freepools && reap->nr < KPY_REAP_PARTS; taken++) {
		unsigned long pool = (unsigned long)arena->freepools;

		arena->freepools = arena->freepools->nextfree;
		reap_part(reap, pool, heap->geo.pool_size);
		__set_bit(pool_index(heap, pool), arena->holes);
	}
	reap->pools += taken;
	arena->npools -= taken;
	arena->nfreepools -= taken;
	heap->free_pools -= taken;
	heap->free_low = min(heap->free_low, heap->free_pools);
	heap->c.holes += taken;
	heap->c.holes_total += taken;
	kpy_count_held(heap, -((s64)taken << heap->pool_shift));
	usable_resort(heap, arena, nf);
	return first;
}

static void reap_arena(struct kpy_heap *heap, struct kpy_arena *arena, struct kpy_reap *reap)
{
	heap->nfp2lasta[arena->nfreepools] = NULL;
	reap->pools += arena->nfreepools;
	reap_part(reap, arena_release(heap, arena), heap->geo.arena_size);
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
		last = usable_prev(heap, last);
	}
	return may_have_holes(heap) ? last : NULL;
}

/**
 * kpy_arena_reap() - take memory of free pools, up to some parts of it
 * @heap: the heap
 * @pools: how much is wanted; a wholly free arena is taken as a whole or not at all
 * @reap: filled in, for kpy_arena_free_reaped() after unlocking
 *
 * From the emptiest arenas, so that what remains free is where pools are taken
 * from next.  Only a wholly free arena is to be had but with release=pool.
 *
 * Context: heap->lock held; for as long as some dozens of pools take.
 * Return: false if there was nothing to take.
 */
bool kpy_arena_reap(struct kpy_heap *heap, unsigned long pools, struct kpy_reap *reap)
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
	return reap->nr;
}

/**
 * kpy_arena_free_reaped() - give what was taken back to the system
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
				       part_size(heap));
		else
			kpy_pages_free_split(reap->part[i].address, reap->part[i].size,
					     heap->geo.pool_size);
	}
}

/**
 * kpy_arenas_init() - prepare a heap for its first arena
 * @heap: zeroed but for its constants
 *
 * Context: Process, may sleep.
 * Return: 0 or -ENOMEM; kpy_arenas_exit() cleans up in both cases.
 */
int kpy_arenas_init(struct kpy_heap *heap)
{
	unsigned long span = (unsigned long)high_memory - PAGE_OFFSET;

	INIT_LIST_HEAD(&heap->usable_arenas);
	INIT_LIST_HEAD(&heap->unused_arenas);
	heap->map.nr_leaves = (span >> (heap->arena_shift + KPY_MAP_LEAF_BITS)) + 1;
	heap->map.leaves = kvcalloc(heap->map.nr_leaves, sizeof(*heap->map.leaves), GFP_KERNEL);
	heap->nfp2lasta = kvcalloc(heap->pools_per_arena + 1, sizeof(*heap->nfp2lasta),
				   GFP_KERNEL);
	return heap->map.leaves && heap->nfp2lasta ? 0 : -ENOMEM;
}

/**
 * kpy_arenas_exit() - give back every arena, whatever lives in it
 * @heap: nobody else knows it any more
 *
 * Context: Process, may sleep.
 */
void kpy_arenas_exit(struct kpy_heap *heap)
{
	unsigned long i;
	u32 slot;

	for (slot = 0; slot < heap->nr_slots; slot++) {
		struct kpy_arena *arena = kpy_arena_at(heap, slot);

		if (arena->address && kpy_arena_holes(heap, arena))
			free_around_holes(heap, arena->address, arena->holes);
		else
			kpy_pages_free(arena->address, heap->geo.arena_size, part_size(heap));
	}
	for (i = 0; i < KPY_MAX_CHUNKS; i++)
		kvfree(heap->arena_chunk[i]);
	for (i = 0; heap->map.leaves && i < heap->map.nr_leaves; i++)
		kfree(heap->map.leaves[i]);
	kvfree(heap->map.leaves);
	kvfree(heap->nfp2lasta);
}
