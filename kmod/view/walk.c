// SPDX-License-Identifier: GPL-2.0
/*
 * L6: visiting the live blocks of a heap: small ones pool by pool, then large ones,
 * each by ascending address.  Free blocks and cached blocks are not live.
 *
 * One pool, or some buckets of the table, are looked at under one lock, and visited
 * without it: so a walk holds the lock only shortly, and may be interrupted or sleep.
 */
#include <linux/bitmap.h>
#include <linux/export.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/sort.h>

#include "front/front.h"
#include "internal.h"
#include "lock.h"
#include "store/table.h"

#define MAX_BLOCKS	(KPY_POOL_MAX / KPY_ALIGN_MIN)
#define BUCKETS		64	/* of the table that are copied under one lock */
#define SLACK		256	/* large blocks of room for those that are allocated meanwhile */

typedef int (*visit_fn)(void *block, size_t size, void *arg);

/**
 * struct kpy_walk - a walk over one size class
 * @heap: which heap
 * @szidx: which class
 * @visit: called for each live block
 * @arg: for @visit
 * @cached: blocks of the class that CPUs have cached, by ascending address
 * @next: first of them that may lie in the next pool
 * @address: of the pool whose blocks are in @live
 * @carved: blocks of the pool that were carved, the valid part of @live
 * @live: by block: is it in use, as its pool counts?
 */
struct kpy_walk {
	struct kpy_heap *heap;
	u32 szidx;
	visit_fn visit;
	void *arg;
	struct kpy_gathered cached;
	u32 next;
	unsigned long address;
	u32 carved;
	DECLARE_BITMAP(live, MAX_BLOCKS);
};

static u32 block_index(const struct kpy_walk *walk, const void *block)
{
	unsigned long offset = (unsigned long)block - walk->address;

	return (offset - walk->heap->pool_header) / kpy_class_size(walk->heap, walk->szidx);
}

static void copy_pool(struct kpy_walk *walk, const struct kpy_pool *pool)
{
	const void *block;
	u32 i;

	lockdep_assert_held(&walk->heap->lock);
	walk->address = (unsigned long)pool;
	walk->carved = block_index(walk, (void *)pool + pool->nextoffset);
	bitmap_fill(walk->live, walk->carved);
	for (block = pool->freeblock; block; block = *(void *const *)block) {
		i = block_index(walk, block);
		if (i >= walk->carved)
			break;		/* somebody wrote to a free block */
		__clear_bit(i, walk->live);
	}
}

/* False if the pool has no block of the class in use, or the arena has been freed. */
static bool look_at_pool(struct kpy_walk *walk, const struct kpy_arena *was, u32 index)
{
	struct kpy_heap *heap = walk->heap;
	unsigned long flags = kpy_heap_lock(heap);
	const struct kpy_arena *arena = kpy_arena_at(heap, was->slot);
	const struct kpy_pool *pool = kpy_arena_pool(heap, was, index);
	bool found;

	found = arena->address == was->address && arena->serial == was->serial &&
		index < arena->ncarved && !kpy_pool_is_hole(arena, index) &&
		pool->count && pool->szidx == walk->szidx;
	if (found)
		copy_pool(walk, pool);
	kpy_heap_unlock(heap, flags);
	return found;
}

/* Cached blocks and pools both come by ascending address. */
static void clear_cached(struct kpy_walk *walk)
{
	const struct kpy_gathered *cached = &walk->cached;
	unsigned long end = walk->address + walk->heap->geo.pool_size, block;
	u32 i;

	for (; walk->next < cached->nr; walk->next++) {
		block = (unsigned long)cached->blocks[walk->next];
		if (block >= end)
			break;
		i = block >= walk->address + walk->heap->pool_header ?
		    block_index(walk, (void *)block) : walk->carved;
		if (i < walk->carved)
			__clear_bit(i, walk->live);
	}
}

static int visit_pool(struct kpy_walk *walk)
{
	u32 size = kpy_class_size(walk->heap, walk->szidx), i;
	unsigned long first = walk->address + walk->heap->pool_header;
	int ret;

	for_each_set_bit(i, walk->live, walk->carved) {
		ret = walk->visit((void *)(first + (unsigned long)i * size), size, walk->arg);
		if (ret)
			return ret;
	}
	return 0;
}

static int walk_arena(struct kpy_walk *walk, const struct kpy_arena *arena)
{
	u32 i;
	int ret;

	for (i = 0; i < walk->heap->pools_per_arena; i++) {
		cond_resched();
		if (!look_at_pool(walk, arena, i))
			continue;
		clear_cached(walk);
		ret = visit_pool(walk);
		if (ret)
			return ret;
	}
	return 0;
}

static int by_address(const void *a, const void *b)
{
	const struct kpy_arena *x = a, *y = b;

	return x->address < y->address ? -1 : x->address > y->address;
}

/* By ascending address, to be given to kvfree(). */
static struct kpy_arenas_snapshot *sorted_arenas(struct kpy_heap *heap)
{
	struct kpy_arenas_snapshot *snap = kpy_snapshot_arenas(heap);

	if (snap)
		sort(snap->arenas, snap->nr_arenas, sizeof(*snap->arenas), by_address, NULL);
	return snap;
}

static int walk_class(struct kpy_walk *walk, const struct kpy_arenas_snapshot *snap, u32 szidx)
{
	int ret;
	u32 i;

	walk->szidx = szidx;
	walk->next = 0;
	ret = kpy_gather(walk->heap, szidx, &walk->cached);
	for (i = 0; !ret && i < snap->nr_arenas; i++)
		ret = walk_arena(walk, &snap->arenas[i]);
	kvfree(walk->cached.blocks);
	return ret;
}

static int walk_classes(struct kpy_heap *heap, u32 from, u32 to, visit_fn visit, void *arg)
{
	struct kpy_walk *walk = kzalloc(sizeof(*walk), GFP_KERNEL);
	struct kpy_arenas_snapshot *snap = sorted_arenas(heap);
	int ret = walk && snap ? 0 : -ENOMEM;

	if (!ret) {
		walk->heap = heap;
		walk->visit = visit;
		walk->arg = arg;
	}
	for (; !ret && from < to; from++)
		ret = walk_class(walk, snap, from);
	kvfree(snap);
	kfree(walk);
	return ret;
}

/* A large block. */
struct kpy_found {
	void *ptr;
	size_t size;
};

static int by_ptr(const void *a, const void *b)
{
	const struct kpy_found *x = a, *y = b;

	return x->ptr < y->ptr ? -1 : x->ptr > y->ptr;
}

/* Large blocks that were found; @nr may be more than there is room for. */
struct kpy_finds {
	struct kpy_found *found;
	u32 room;
	u32 nr;
};

/* A block that moves to a higher bucket meanwhile may be found twice. */
static void find_in_buckets(struct kpy_heap *heap, u32 from, struct kpy_finds *finds)
{
	const struct kpy_large *large;
	unsigned long flags;
	u32 i;

	flags = kpy_heap_lock(heap);
	for (i = from; i < from + BUCKETS && i < heap->table.nr_buckets; i++) {
		hlist_for_each_entry(large, kpy_table_bucket(&heap->table, i), node) {
			if (!large->live || finds->nr++ >= finds->room)
				continue;
			finds->found[finds->nr - 1].ptr = large->ptr;
			finds->found[finds->nr - 1].size = large->size;
		}
	}
	kpy_heap_unlock(heap, flags);
}

static int find_large(struct kpy_heap *heap, struct kpy_finds *finds)
{
	u32 from;

	do {
		kvfree(finds->found);
		finds->room = max(2 * finds->room, (u32)READ_ONCE(heap->c.large_blocks) + SLACK);
		finds->nr = 0;
		finds->found = kvmalloc_array(finds->room, sizeof(*finds->found), GFP_KERNEL);
		if (!finds->found)
			return -ENOMEM;
		for (from = 0; from < READ_ONCE(heap->table.nr_buckets); from += BUCKETS) {
			find_in_buckets(heap, from, finds);
			cond_resched();
		}
	} while (finds->nr > finds->room);
	sort(finds->found, finds->nr, sizeof(*finds->found), by_ptr, NULL);
	return 0;
}

static int walk_large(struct kpy_heap *heap, visit_fn visit, void *arg)
{
	struct kpy_finds finds = {};
	int ret = find_large(heap, &finds);
	u32 i;

	for (i = 0; !ret && i < finds.nr; i++) {
		if (i && finds.found[i].ptr == finds.found[i - 1].ptr)
			continue;
		ret = visit(finds.found[i].ptr, finds.found[i].size, arg);
		cond_resched();
	}
	kvfree(finds.found);
	return ret;
}

/**
 * kpy_heap_walk() - visit live blocks
 * @heap: the heap
 * @szidx: size class, %KPY_WALK_LARGE for blocks of the general allocator, or
 *         %KPY_WALK_ALL for both, class by class
 * @visit: called for each block with its address, the size of its class or, for a
 *         block of the general allocator, the requested size, and @arg; may sleep,
 *         and ends the walk by returning anything but 0
 * @arg: for @visit
 *
 * Small blocks come pool by pool, all by ascending address within a class.  Blocks
 * that are free, or that CPUs have cached, are not visited.
 *
 * The walk is exact if nobody allocates or frees blocks of the class meanwhile.
 * Otherwise a block that is allocated meanwhile may be missed, and @visit must not
 * touch a block that may have been freed.
 *
 * Context: Process, may sleep.
 * Return: 0, what @visit returned, -EINVAL for an unknown @szidx, or -ENOMEM.
 */
int kpy_heap_walk(struct kpy_heap *heap, u32 szidx, visit_fn visit, void *arg)
{
	if (szidx == KPY_WALK_ALL)
		return walk_classes(heap, 0, heap->nr_classes, visit, arg) ?:
		       walk_large(heap, visit, arg);
	if (szidx == KPY_WALK_LARGE)
		return walk_large(heap, visit, arg);
	if (szidx >= heap->nr_classes)
		return -EINVAL;
	return walk_classes(heap, szidx, szidx + 1, visit, arg);
}
EXPORT_SYMBOL_GPL(kpy_heap_walk);
