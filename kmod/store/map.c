// SPDX-License-Identifier: GPL-2.0
/*
 * L1: the arena map: which arena an address lies in, in two loads and without a lock.
 *
 * After arena_map_get() and address_in_range() in CPython 3.10's Objects/obmalloc.c.
 */
#include <linux/mm.h>
#include <linux/slab.h>

#include "internal.h"

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
	/* Pairs with smp_store_release() in kpy_map_add_leaf(). */
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
 * to be live; otherwise look again at arena->address under the lock.
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
		/* Pairs with WRITE_ONCE() in kpy_map_set() and kpy_map_clear(). */
		slot = entry ? READ_ONCE(*entry) : 0;
		if (!slot)
			return NULL;
		arena = kpy_arena_at(heap, slot - 1);
		if (kpy_pool_is_hole(arena, pool_index(heap, (unsigned long)ptr)))
			return NULL;
		/* Was the arena freed meanwhile?  Pairs with smp_wmb() in kpy_arena_attach(). */
		smp_rmb();
	} while (unlikely(READ_ONCE(*entry) != slot));
	return arena;
}

/**
 * kpy_map_covers() - can the map have an entry for an address?
 * @heap: the heap
 * @address: of an arena
 *
 * Context: Any.
 * Return: false for memory that was plugged in after the heap was made.
 */
bool kpy_map_covers(const struct kpy_heap *heap, unsigned long address)
{
	return map_key(heap, address) >> KPY_MAP_LEAF_BITS < heap->map.nr_leaves;
}

/**
 * kpy_map_has_leaf() - can kpy_map_set() be called?
 * @heap: the heap
 * @address: of an arena, covered by the map
 *
 * Context: Any.
 * Return: whether it can.
 */
bool kpy_map_has_leaf(const struct kpy_heap *heap, unsigned long address)
{
	return map_entry(heap, address);
}

/**
 * kpy_map_add_leaf() - add the leaf that an address needs
 * @heap: the heap
 * @address: of an arena, covered by the map, without a leaf
 * @leaf: %KPY_MAP_LEAF zeroed entries; freed with the heap
 *
 * Context: heap->lock held.
 */
void kpy_map_add_leaf(struct kpy_heap *heap, unsigned long address, u32 *leaf)
{
	lockdep_assert_held(&heap->lock);
	/* Pairs with smp_load_acquire() in map_entry(). */
	smp_store_release(&heap->map.leaves[map_key(heap, address) >> KPY_MAP_LEAF_BITS], leaf);
}

/**
 * kpy_map_set() - let the map name an arena's slot
 * @heap: the heap
 * @arena: with an address that has a leaf
 *
 * Context: heap->lock held.
 */
void kpy_map_set(struct kpy_heap *heap, const struct kpy_arena *arena)
{
	lockdep_assert_held(&heap->lock);
	/* Pairs with READ_ONCE() in kpy_arena_find(). */
	WRITE_ONCE(*map_entry(heap, arena->address), arena->slot + 1);
}

/**
 * kpy_map_clear() - undo kpy_map_set()
 * @heap: the heap
 * @arena: with its address
 *
 * Context: heap->lock held.
 */
void kpy_map_clear(struct kpy_heap *heap, const struct kpy_arena *arena)
{
	lockdep_assert_held(&heap->lock);
	/* Pairs with READ_ONCE() in kpy_arena_find(). */
	WRITE_ONCE(*map_entry(heap, arena->address), 0);
}

/**
 * kpy_map_names() - does the map name an arena's slot?  For the validator
 * @heap: the heap
 * @arena: in use
 *
 * Context: heap->lock held.
 * Return: whether it does.
 */
bool kpy_map_names(const struct kpy_heap *heap, const struct kpy_arena *arena)
{
	const u32 *entry = map_entry(heap, arena->address);

	lockdep_assert_held(&heap->lock);
	return entry && *entry == arena->slot + 1;
}

/**
 * kpy_map_count() - entries of the map, for the validator
 * @heap: the heap
 *
 * Context: heap->lock held.
 * Return: the number of addresses that name a slot.
 */
u32 kpy_map_count(const struct kpy_heap *heap)
{
	unsigned long i, j;
	u32 n = 0;

	lockdep_assert_held(&heap->lock);
	for (i = 0; i < heap->map.nr_leaves; i++)
		for (j = 0; heap->map.leaves[i] && j < KPY_MAP_LEAF; j++)
			n += !!heap->map.leaves[i][j];
	return n;
}

/**
 * kpy_map_init() - make an empty map
 * @heap: zeroed except for its constants
 *
 * Context: Process, may sleep.
 * Return: 0 or -ENOMEM; kpy_map_exit() cleans up in both cases.
 */
int kpy_map_init(struct kpy_heap *heap)
{
	unsigned long span = (unsigned long)high_memory - PAGE_OFFSET;

	heap->map.nr_leaves = (span >> (heap->arena_shift + KPY_MAP_LEAF_BITS)) + 1;
	heap->map.leaves = kvcalloc(heap->map.nr_leaves, sizeof(*heap->map.leaves), GFP_KERNEL);
	return heap->map.leaves ? 0 : -ENOMEM;
}

/**
 * kpy_map_exit() - free the map
 * @heap: nobody uses it any more
 *
 * Context: Process, may sleep.
 */
void kpy_map_exit(struct kpy_heap *heap)
{
	unsigned long i;

	for (i = 0; heap->map.leaves && i < heap->map.nr_leaves; i++)
		kfree(heap->map.leaves[i]);
	kvfree(heap->map.leaves);
}
