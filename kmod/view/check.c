// SPDX-License-Identifier: GPL-2.0
/*
 * L6: the validator: walks the whole heap and names the first invariant of
 * types.h that does not hold.  Reads only, and follows no pointer before it has
 * checked where that leads.
 *
 * The lists are walked under one lock, then each arena under a lock of its own, so
 * that the lock is not held for long.  The totals of that walk are compared only if
 * the heap did not change meanwhile.
 */
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>

#include "internal.h"
#include "lock.h"
#include "store/table.h"

/**
 * struct check - a validation under way
 * @heap: which
 * @why: says what is wrong
 * @len: room in @why
 * @err: 0 or -EUCLEAN
 * @used: by class: pools found in usedpools
 * @found: by class: such pools found in the arenas
 * @pools: by class: pools with count > 0 found in the arenas
 * @in_use: by class: sum of their counts
 */
struct check {
	struct kpy_heap *heap;
	char *why;
	size_t len;
	int err;
	u64 used[KPY_MAX_CLASSES];
	u64 found[KPY_MAX_CLASSES];
	u64 pools[KPY_MAX_CLASSES];
	u64 in_use[KPY_MAX_CLASSES];
};

static __printf(2, 3) bool fail(struct check *check, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(check->why, check->len, fmt, args);
	va_end(args);
	check->err = -EUCLEAN;
	return false;
}

/* Changes when anything happens, also when a CPU's cache moves blocks by itself. */
static u64 heap_clock(struct kpy_heap *heap)
{
	struct kpy_counters c = heap->c;
	u64 clock;
	u32 i;

	kpy_count_small(heap, &c, NULL);
	clock = c.allocs + c.frees + c.large_allocs + c.large_frees;
	for (i = 0; i < heap->nr_classes; i++)
		clock = clock * 31 + heap->class[i].in_use;
	return clock;
}

/* A slot's arena by its node in a list, NULL if the node is in no slot. */
static struct kpy_arena *arena_of_node(const struct kpy_heap *heap, const struct list_head *node)
{
	const struct kpy_arena *chunk;
	unsigned int i;

	for (i = 0; i < KPY_MAX_CHUNKS && heap->arena_chunk[i]; i++) {
		chunk = heap->arena_chunk[i];
		if ((void *)node >= (void *)chunk &&
		    (void *)node < (void *)(chunk + kpy_chunk_len(i)))
			return list_entry(node, struct kpy_arena, node);
	}
	return NULL;
}

/* Is @pool the address of a carved pool of a live arena? */
static bool pool_exists(const struct kpy_heap *heap, const struct kpy_pool *pool)
{
	const struct kpy_arena *arena = kpy_arena_find(heap, pool);
	unsigned long offset;

	if (!arena || !arena->address)
		return false;
	offset = (unsigned long)pool - arena->address;
	return IS_ALIGNED(offset, heap->geo.pool_size) &&
	       offset >> heap->pool_shift < arena->ncarved;
}

static bool check_usable(struct check *check)
{
	struct kpy_heap *heap = check->heap;
	const struct list_head *node;
	const struct kpy_arena *arena;
	u32 last = 0, n = 0;

	list_for_each(node, &heap->usable_arenas) {
		arena = arena_of_node(heap, node);
		if (!arena || ++n > heap->nr_slots)
			return fail(check, "I5: usable_arenas leads astray after %u arenas", n);
		if (!arena->address || !arena->nfreepools)
			return fail(check, "I5: arena %u is in usable_arenas with %u free pools",
				    arena->slot, arena->nfreepools);
		if (arena->nfreepools < last)
			return fail(check, "I5: arena %u, %u free pools, comes after one with %u",
				    arena->slot, arena->nfreepools, last);
		last = arena->nfreepools;
		/* One that was just attached is about to be used. */
		if (last >= arena->npools && arena->ncarved &&
		    (heap->geo.release == KPY_RELEASE_ALWAYS || kpy_arena_holes(heap, arena) ||
		     !list_is_last(node, &heap->usable_arenas)))
			return fail(check, "I9: arena %u is wholly free and was not released",
				    arena->slot);
	}
	return true;
}

static bool check_nfp2lasta(struct check *check)
{
	struct kpy_heap *heap = check->heap;
	const struct kpy_arena *arena, *next, *last;
	u32 nf, named = 0, groups = 0;

	list_for_each_entry(arena, &heap->usable_arenas, node) {
		next = list_next_entry(arena, node);
		last = heap->nfp2lasta[arena->nfreepools];
		if (!list_is_last(&arena->node, &heap->usable_arenas) &&
		    next->nfreepools == arena->nfreepools)
			continue;
		groups++;
		if (last != arena)
			return fail(check, "I6: nfp2lasta[%u] is not arena %u",
				    arena->nfreepools, arena->slot);
	}
	for (nf = 0; nf <= heap->pools_per_arena; nf++)
		named += !!heap->nfp2lasta[nf];
	return named == groups ||
	       fail(check, "I6: nfp2lasta has %u entries for %u lengths", named, groups);
}

static bool check_slots(struct check *check)
{
	struct kpy_heap *heap = check->heap;
	const struct list_head *node;
	u64 used = 0, usable = 0, with_free = 0, nfree = 0, holes = 0;
	u32 slot, unused = 0;

	for (slot = 0; slot < heap->nr_slots; slot++) {
		const struct kpy_arena *arena = kpy_arena_at(heap, slot);

		used += !!arena->address;
		with_free += arena->address && arena->nfreepools;
		nfree += arena->address ? arena->nfreepools : 0;
		holes += arena->address ? kpy_arena_holes(heap, arena) : 0;
		if (arena->slot != slot ||
		    (arena->address && !kpy_map_names(heap, arena)))
			return fail(check, "I8: arena_map does not name slot %u", slot);
	}
	list_for_each(node, &heap->unused_arenas)
		if (!arena_of_node(heap, node) || ++unused > heap->nr_slots)
			return fail(check, "I7: unused_arenas leads astray after %u slots", unused);
	list_for_each(node, &heap->usable_arenas)
		usable++;
	if (usable != with_free)
		return fail(check, "I5: usable_arenas has %llu of %llu arenas with free pools",
			    usable, with_free);
	if (used != heap->c.arenas_current || used + unused != heap->nr_slots)
		return fail(check, "I7: %llu slots in use, %llu counted, %u unused, %u in all",
			    used, heap->c.arenas_current, unused, heap->nr_slots);
	if (nfree != heap->free_pools || holes != heap->c.holes)
		return fail(check, "I12: %llu free pools and %llu holes, counted %lu and %llu",
			    nfree, holes, heap->free_pools, heap->c.holes);
	if (kpy_map_count(heap) != used)
		return fail(check, "I8: arena_map has %u entries for %llu arenas",
			    kpy_map_count(heap), used);
	return true;
}

static bool check_usedpools(struct check *check, u32 szidx)
{
	struct kpy_heap *heap = check->heap;
	const struct hlist_node *node;
	const struct kpy_pool *pool;

	for (node = heap->class[szidx].usedpools.first; node; node = node->next) {
		pool = hlist_entry(node, struct kpy_pool, node);
		if (!pool_exists(heap, pool) || ++check->used[szidx] > heap->class[szidx].pools)
			return fail(check, "I3: usedpools[%u] leads astray after %llu pools",
				    szidx, check->used[szidx]);
		if (pool->szidx != szidx || kpy_pool_state(pool) != KPY_POOL_USED)
			return fail(check, "I3: usedpools[%u] has a pool of class %u, count %u",
				    szidx, pool->szidx, pool->count);
	}
	return true;
}

static bool check_large(struct check *check)
{
	const struct kpy_heap *heap = check->heap;
	const struct kpy_large *large;
	u64 blocks = 0, bytes = 0, kept = 0, kept_bytes = 0;
	u32 i;

	for (i = 0; i < heap->table.nr_buckets; i++) {
		hlist_for_each_entry(large, kpy_table_bucket(&heap->table, i), node) {
			blocks += large->live;
			bytes += large->live ? large->size : 0;
			kept += !large->live;
			kept_bytes += large->live ? 0 : large->held;
		}
	}
	if (kept != heap->c.large_cached || kept_bytes != heap->c.large_cached_bytes)
		return fail(check, "I11: %llu kept blocks of %llu bytes, counted %llu and %llu",
			    kept, kept_bytes, heap->c.large_cached, heap->c.large_cached_bytes);
	return (blocks == heap->c.large_blocks && bytes == heap->c.large_bytes &&
		blocks == heap->c.large_allocs - heap->c.large_frees) ||
	       fail(check, "I11: %llu large blocks of %llu bytes, counted %llu and %llu",
		    blocks, bytes, heap->c.large_blocks, heap->c.large_bytes);
}

static void check_lists(struct check *check)
{
	bool ok = check_usable(check) && check_nfp2lasta(check) && check_slots(check) &&
		  check_large(check);
	u32 i;

	for (i = 0; ok && i < check->heap->nr_classes; i++)
		ok = check_usedpools(check, i);
}

static bool block_in_pool(const struct kpy_heap *heap, const struct kpy_pool *pool,
			  const void *block)
{
	unsigned long offset = (unsigned long)block - (unsigned long)pool;

	return offset >= heap->pool_header && offset < pool->nextoffset &&
	       (offset - heap->pool_header) % kpy_class_size(heap, pool->szidx) == 0;
}

static bool check_pool(struct check *check, const struct kpy_arena *arena, u32 index)
{
	struct kpy_heap *heap = check->heap;
	const struct kpy_pool *pool = kpy_arena_pool(heap, arena, index);
	u32 size, capacity, virgin, nfree = 0;
	const void *block;
	bool full;

	if (pool->arenaindex != arena->slot || pool->szidx >= heap->nr_classes)
		return fail(check, "I1: pool %u of arena %u says arena %u, class %u",
			    index, arena->slot, pool->arenaindex, pool->szidx);
	size = kpy_class_size(heap, pool->szidx);
	capacity = kpy_class_capacity(heap, pool->szidx);
	if (pool->nextoffset > heap->pool_header + capacity * size)
		return fail(check, "I1: pool %u of arena %u is carved up to byte %u",
			    index, arena->slot, pool->nextoffset);
	virgin = capacity - (pool->nextoffset - heap->pool_header) / size;

	for (block = pool->freeblock; block; block = *(void *const *)block)
		if (!block_in_pool(heap, pool, block) || ++nfree > capacity)
			return fail(check, "I1: pool %u of arena %u: freeblock astray after %u",
				    index, arena->slot, nfree);
	if (pool->count + nfree + virgin != capacity)
		return fail(check, "I1: pool %u of arena %u: %u in use, %u free, %u virgin of %u",
			    index, arena->slot, pool->count, nfree, virgin, capacity);
	full = pool->count == capacity;
	if (full != !pool->freeblock)
		return fail(check, "I2: pool %u of arena %u: %u of %u in use, but freeblock is %s",
			    index, arena->slot, pool->count, capacity,
			    pool->freeblock ? "not empty" : "empty");

	check->pools[pool->szidx] += !!pool->count;
	check->in_use[pool->szidx] += pool->count;
	check->found[pool->szidx] += kpy_pool_state(pool) == KPY_POOL_USED;
	return true;
}

static bool check_arena(struct check *check, const struct kpy_arena *arena)
{
	struct kpy_heap *heap = check->heap;
	u32 virgin = heap->pools_per_arena - arena->ncarved;
	const struct kpy_pool *pool;
	u32 i, nfree = 0, empty = 0, holes = 0;

	for (i = 0; i < arena->ncarved; i++) {
		if (kpy_pool_is_hole(arena, i)) {
			holes++;
			continue;
		}
		if (!check_pool(check, arena, i))
			return false;
		empty += !kpy_arena_pool(heap, arena, i)->count;
	}
	for (pool = arena->freepools; pool; pool = pool->nextfree)
		if (!pool_exists(heap, pool) || pool->count || ++nfree > arena->ncarved)
			return fail(check, "I4: freepools of arena %u leads astray after %u pools",
				    arena->slot, nfree);
	while (i < heap->pools_per_arena && !kpy_pool_is_hole(arena, i))
		i++;
	if (holes != kpy_arena_holes(heap, arena) || i < heap->pools_per_arena)
		return fail(check, "I12: arena %u: %u holes among its %u carved pools, counted %u",
			    arena->slot, holes, arena->ncarved, kpy_arena_holes(heap, arena));
	return (arena->nfreepools == nfree + virgin && nfree == empty) ||
	       fail(check, "I4: arena %u: nfreepools %u, freepools %u, empty %u, virgin %u",
		    arena->slot, arena->nfreepools, nfree, empty, virgin);
}

static bool check_arenas(struct check *check)
{
	struct kpy_heap *heap = check->heap;
	const struct kpy_arena *arena;
	unsigned long flags;
	bool ok = true;
	u32 slot;

	for (slot = 0; ok && slot < READ_ONCE(heap->nr_slots); slot++) {
		flags = kpy_heap_lock(heap);
		arena = kpy_arena_at(heap, slot);
		if (arena->address)
			ok = check_arena(check, arena);
		kpy_heap_unlock(heap, flags);
	}
	return ok;
}

static void check_totals(struct check *check)
{
	struct kpy_heap *heap = check->heap;
	u64 in_use = 0;
	u32 i;

	for (i = 0; i < heap->nr_classes; i++) {
		const struct kpy_class *class = &heap->class[i];

		in_use += class->in_use;
		if (check->found[i] != check->used[i])
			fail(check, "I3: class %u: %llu pools partly used, %llu in usedpools",
			     i, check->found[i], check->used[i]);
		else if (check->pools[i] != class->pools || check->in_use[i] != class->in_use)
			fail(check, "I10: class %u: %llu pools, %llu blocks; counted %llu, %llu",
			     i, check->pools[i], check->in_use[i], class->pools, class->in_use);
	}
	/* Mode percpu does not count blocks when they are freed. */
	if (!check->err && !heap->cpu && in_use != heap->c.allocs - heap->c.frees)
		fail(check, "I10: %llu blocks in use, %llu allocs, %llu frees",
		     in_use, heap->c.allocs, heap->c.frees);
}

static void check_cached(struct check *check)
{
	struct kpy_heap *heap = check->heap;
	u64 cached, allocs = 0;
	u32 i;

	for (i = 0; i < heap->nr_classes; i++) {
		cached = heap->ops->count(heap, i, &allocs);
		if (cached > heap->class[i].in_use)
			fail(check, "I10: class %u: %llu blocks cached, but %llu in use",
			     i, cached, heap->class[i].in_use);
	}
}

static u64 look_at_fronts(struct check *check)
{
	struct kpy_heap *heap = check->heap;
	unsigned long flags;
	u64 clock;

	flags = kpy_heap_lock(heap);
	check->err = 0;
	clock = heap_clock(heap);
	check_cached(check);
	kpy_heap_unlock(heap, flags);
	return clock;
}

/*
 * Fronts take no lock: if their numbers do not add up, a block may be on its way.
 * So this waits for those in a fast path and looks again; if the heap changed
 * meanwhile, nothing is proved.
 */
static void check_fronts(struct check *check)
{
	u64 before = look_at_fronts(check);
	int err;

	if (!check->err)
		return;
	synchronize_rcu();
	look_at_fronts(check);
	err = check->err;
	synchronize_rcu();
	if (!err || look_at_fronts(check) != before)
		check->err = 0;
}

/**
 * kpy_heap_validate() - check every invariant of a heap
 * @heap: the heap
 * @why: set to `ok`, or to the first violation
 * @len: bytes of @why
 *
 * Context: Process, may sleep.  Holds heap->lock for a walk of the lists, then
 * for one arena at a time.
 * Return: 0; -EUCLEAN if an invariant does not hold; -ENOMEM.
 */
int kpy_heap_validate(struct kpy_heap *heap, char *why, size_t len)
{
	struct check *check = kzalloc(sizeof(*check), GFP_KERNEL);
	unsigned long flags;
	u64 clock;
	int err;

	if (!check)
		return -ENOMEM;
	check->heap = heap;
	check->why = why;
	check->len = len;

	flags = kpy_heap_lock(heap);
	clock = heap_clock(heap);
	check_lists(check);
	kpy_heap_unlock(heap, flags);

	if (!check->err && check_arenas(check)) {
		flags = kpy_heap_lock(heap);
		if (clock == heap_clock(heap))
			check_totals(check);
		kpy_heap_unlock(heap, flags);
	}
	if (!check->err && heap->ops->count)
		check_fronts(check);
	if (!check->err)
		strscpy(why, "ok", len);
	err = check->err;
	kfree(check);
	return err;
}
EXPORT_SYMBOL_GPL(kpy_heap_validate);
