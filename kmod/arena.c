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
 * Memory is had by kpy_arena_grow() alone, without the lock; the rest runs
 * under heap->lock.
 */
#include <linux/mm.h>
#include <linux/slab.h>

#include "arena.h"
#include "internal.h"
#include "trace.h"

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

/**
 * kpy_arena_find() - which arena an address lies in
 * @heap: the heap
 * @ptr: any address, also a foreign one
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
	/* Pairs with WRITE_ONCE() in spare_attach() and arena_release(). */
	u32 slot = entry ? READ_ONCE(*entry) : 0;

	return slot ? kpy_arena_at(heap, slot - 1) : NULL;
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

static bool spare_fill_slots(struct kpy_heap *heap, struct spare *spare, gfp_t gfp)
{
	u32 nr_slots = READ_ONCE(heap->nr_slots);

	if (!list_empty(&heap->unused_arenas))
		return true;
	kvfree(spare->slots);
	spare->chunk = kpy_chunk_of(nr_slots);
	spare->slots = kvcalloc(kpy_chunk_len(spare->chunk), sizeof(*spare->slots), gfp);
	return spare->slots;
}

static bool spare_fill(struct kpy_heap *heap, struct spare *spare, gfp_t gfp)
{
	/* Blocks of many callers will share it: only how to get it matters. */
	gfp = (gfp & ~(__GFP_ZERO | __GFP_ACCOUNT | GFP_ZONEMASK)) | __GFP_NOWARN;
	if (!spare->address)
		spare->address = kpy_pages_alloc(heap->geo.arena_size, gfp);
	return spare->address && spare_fill_leaf(heap, spare, gfp) &&
	       spare_fill_slots(heap, spare, gfp);
}

static void spare_drop(struct kpy_heap *heap, struct spare *spare)
{
	kpy_pages_free(spare->address, heap->geo.arena_size);
	kfree(spare->leaf);
	kvfree(spare->slots);
}

/* Chain the new slots so that they are used in index order. */
static void slots_add(struct kpy_heap *heap, struct spare *spare)
{
	u32 len = kpy_chunk_len(spare->chunk);
	u32 i;

	for (i = 0; i < len; i++) {
		spare->slots[i].slot = heap->nr_slots + i;
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
	/* Pairs with READ_ONCE() in kpy_arena_find(). */
	WRITE_ONCE(*map_entry(heap, arena->address), arena->slot + 1);
	list_move(&arena->node, &heap->usable_arenas);
	heap->nfp2lasta[arena->nfreepools] = arena;

	heap->c.arenas_current++;
	heap->c.arenas_highwater = max(heap->c.arenas_highwater, heap->c.arenas_current);
	kpy_count_held(heap, heap->geo.arena_size);
	trace_kpy_arena_new(heap->id, arena->slot, arena->serial, arena->address);
	return true;
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
 * Return: false if the memory cannot be had.
 */
bool kpy_arena_grow(struct kpy_heap *heap, gfp_t gfp)
{
	struct spare spare = {};
	unsigned long flags;
	bool done = false;

	while (!done && spare_fill(heap, &spare, gfp)) {
		raw_spin_lock_irqsave(&heap->lock, flags);
		kpy_heap_settle(heap);
		done = !list_empty(&heap->usable_arenas) || spare_attach(heap, &spare);
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

static struct kpy_arena *usable_prev(struct kpy_heap *heap, struct kpy_arena *arena)
{
	return list_is_first(&arena->node, &heap->usable_arenas) ? NULL :
	       list_prev_entry(arena, node);
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
	heap->c.arenas_current--;
	kpy_count_held(heap, -(s64)heap->geo.arena_size);
	trace_kpy_arena_release(heap->id, arena->slot, arena->serial, address);
	return address;
}

/**
 * kpy_arena_put_pool() - a pool became empty: give it back to its arena
 * @heap: the heap
 * @pool: with count 0, in no list
 *
 * As insert_to_freepool() in CPython, with its four cases: the arena
 *  1. is wholly free now, and the release rule lets it go;
 *  2. was full: it becomes the first usable one;
 *  3. is the last of those with as many free pools as it had: it stays;
 *  4. goes right behind the last of those.
 *
 * Context: heap->lock held.
 * Return: in case 1 the address of the arena's memory, for kpy_pages_free()
 * after unlocking; else 0.
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
	if (nf == heap->pools_per_arena && kpy_arena_may_go(heap, arena)) {
		trace_kpy_arena_move(heap->id, arena->slot, nf - 1, nf,
				     usable_prev_slot(heap, arena));
		return arena_release(heap, arena);
	}

	if (!heap->nfp2lasta[nf])
		heap->nfp2lasta[nf] = arena;
	if (nf == 1)
		list_add(&arena->node, &heap->usable_arenas);
	else if (last != arena)
		list_move(&arena->node, &last->node);
	trace_kpy_arena_move(heap->id, arena->slot, nf - 1, nf, usable_prev_slot(heap, arena));
	return 0;
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

	for (slot = 0; slot < heap->nr_slots; slot++)
		kpy_pages_free(kpy_arena_at(heap, slot)->address, heap->geo.arena_size);
	for (i = 0; i < KPY_MAX_CHUNKS; i++)
		kvfree(heap->arena_chunk[i]);
	for (i = 0; heap->map.leaves && i < heap->map.nr_leaves; i++)
		kfree(heap->map.leaves[i]);
	kvfree(heap->map.leaves);
	kvfree(heap->nfp2lasta);
}
