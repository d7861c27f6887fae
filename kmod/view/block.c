// SPDX-License-Identifier: GPL-2.0
/* L6: which arena, pool and block of a heap an address lies in. */
#include <linux/export.h>

#include "internal.h"
#include "lock.h"

/**
 * kpy_block_locate() - describe the block that an address lies in
 * @heap: the heap
 * @arena: the address's, or a copy
 * @pool: the address's, or a copy
 * @address: inside @pool
 * @info: filled in, except for in_use
 *
 * Context: Any.
 * Return: 0, or -ENOENT if no block was carved there.
 */
int kpy_block_locate(const struct kpy_heap *heap, const struct kpy_arena *arena,
		     const struct kpy_pool *pool, unsigned long address,
		     struct kpy_block_info *info)
{
	unsigned long offset = address - arena->address;
	u32 in_pool = offset & (heap->geo.pool_size - 1);

	if (!pool->count || pool->szidx >= heap->nr_classes ||
	    in_pool < heap->pool_header || in_pool >= pool->nextoffset)
		return -ENOENT;
	info->heap = heap->id;
	info->arena = arena->slot;
	info->arena_serial = arena->serial;
	info->pool = offset >> heap->pool_shift;
	info->szidx = pool->szidx;
	info->size = kpy_class_size(heap, pool->szidx);
	info->block = (in_pool - heap->pool_header) / info->size;
	info->start = address - (in_pool - heap->pool_header) % info->size;
	return 0;
}

/**
 * kpy_block_pool() - the pool that an address lies in
 * @heap: the heap
 * @arena: a slot, or a copy
 * @address: any
 *
 * Context: Any.
 * Return: the pool; NULL if the address is not in the arena, or in a pool that was
 * never carved or is a hole.
 */
struct kpy_pool *kpy_block_pool(const struct kpy_heap *heap, const struct kpy_arena *arena,
				unsigned long address)
{
	unsigned long offset = address - arena->address;

	if (!arena->address || offset >= heap->geo.arena_size ||
	    offset >> heap->pool_shift >= arena->ncarved ||
	    kpy_pool_is_hole(arena, offset >> heap->pool_shift))
		return NULL;
	return kpy_arena_pool(heap, arena, offset >> heap->pool_shift);
}

/**
 * kpy_block_find() - where an address lies in a heap
 * @heap: the heap
 * @ptr: any address, also a foreign one or inside a block
 * @info: filled in
 *
 * Context: Any but NMI.  Takes heap->lock.
 * Return: 0, or -ENOENT if it is in no block of a pool in use.
 */
int kpy_block_find(struct kpy_heap *heap, void *ptr, struct kpy_block_info *info)
{
	struct kpy_arena *arena = kpy_arena_find(heap, ptr);
	struct kpy_pool *pool;
	unsigned long flags;
	int err = -ENOENT;

	if (!arena)
		return -ENOENT;
	flags = kpy_heap_lock(heap);
	pool = kpy_block_pool(heap, arena, (unsigned long)ptr);
	if (pool)
		err = kpy_block_locate(heap, arena, pool, (unsigned long)ptr, info);
	if (!err)
		info->in_use = !kpy_pool_block_is_free(heap, pool, (void *)(uintptr_t)info->start);
	kpy_heap_unlock(heap, flags);
	return err;
}
EXPORT_SYMBOL_GPL(kpy_block_find);
