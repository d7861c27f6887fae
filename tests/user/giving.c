// SPDX-License-Identifier: GPL-2.0
/*
 * Giving memory back: the shrinker, the worker of release=pool to the millisecond,
 * trims, what a limit makes a heap give up, ticks, and heaps that go with holes.
 */
#include "user.h"
#include "front/magazine.h"

#define POOLS		16
#define PER_POOL	7	/* blocks of 512 bytes */
#define PER_ARENA	(POOLS * PER_POOL)

static struct kpy_heap *pool_heap(struct kunit *test, unsigned int flags)
{
	struct kpy_heap_params params = {
		.geometry = { 64 << 10, 4 << 10, 16, 512, KPY_RELEASE_POOL },
		.flags = KPY_HEAP_SILENT | flags,
	};

	return kt_heap_of(test, &params);
}

static void free_pools(struct kpy_heap *heap, void **p, u32 first, u32 n)
{
	kt_free(heap, p + first * PER_POOL, n * PER_POOL);
	kt_settle(heap);
}

/* ---- the shrinker ---- */

static unsigned long count(void)
{
	struct shrink_control sc = {};

	return sim_shrinker->count_objects(sim_shrinker, &sc);
}

static unsigned long scan(unsigned long want, unsigned long *scanned)
{
	struct shrink_control sc = { .nr_to_scan = want };
	unsigned long done = sim_shrinker->scan_objects(sim_shrinker, &sc);

	*scanned = sc.nr_scanned;
	return done;
}

static void giving_shrinker_classic(struct kunit *test)
{
	struct kpy_heap *heap = ut_heap(test, KPY_MODE_CLASSIC, KPY_RELEASE_KEEP_LAST), *other;
	unsigned long scanned = 7;
	void *p[PER_ARENA + 1];

	KUNIT_EXPECT_EQ(test, sim_shrinker->seeks, DEFAULT_SEEKS);
	KUNIT_EXPECT_EQ(test, count(), SHRINK_EMPTY);
	KUNIT_EXPECT_EQ(test, scan(10, &scanned), SHRINK_STOP);
	KUNIT_EXPECT_EQ(test, scanned, 0);
	KUNIT_ASSERT_TRUE(test, kt_fill(heap, p, PER_ARENA + 1, 512));
	KUNIT_EXPECT_EQ(test, count(), SHRINK_EMPTY);
	kt_free(heap, p, PER_ARENA);
	KUNIT_EXPECT_EQ(test, heap->c.arenas_current, 1);
	KUNIT_EXPECT_EQ(test, count(), SHRINK_EMPTY);
	kt_free(heap, p, PER_ARENA + 1);
	kt_settle(heap);
	other = ut_heap(test, KPY_MODE_CLASSIC, KPY_RELEASE_KEEP_LAST);
	kpy_free(other, kpy_alloc(other, 16, GFP_KERNEL));
	kt_settle(other);
	KUNIT_EXPECT_EQ(test, count(), 2 * POOLS);

	KUNIT_EXPECT_EQ(test, scan(1, &scanned), POOLS);
	KUNIT_EXPECT_EQ(test, scanned, POOLS);
	KUNIT_EXPECT_EQ(test, sim_reclaimed, POOLS);
	KUNIT_EXPECT_EQ(test, heap->c.arenas_current + other->c.arenas_current, 1);
	KUNIT_EXPECT_EQ(test, scan(100, &scanned), POOLS);
	KUNIT_EXPECT_EQ(test, sim_reclaimed, 2 * POOLS);
	KUNIT_EXPECT_EQ(test, heap->c.held_bytes + other->c.held_bytes, 0);
	KUNIT_EXPECT_EQ(test, scan(100, &scanned), SHRINK_STOP);
}

/* Pools in an interrupt, too, where nobody may wait. */
static void scan_all(void *arg)
{
	unsigned long scanned;

	scan(1000, &scanned);
}

static void giving_shrinker_pools(struct kunit *test)
{
	struct kpy_heap *heap = pool_heap(test, KPY_HEAP_ON_DEMAND);
	unsigned long scanned;
	void *p[3 * PER_ARENA];

	KUNIT_ASSERT_TRUE(test, kt_fill(heap, p, 3 * PER_ARENA, 512));
	free_pools(heap, p, 0, 3);
	free_pools(heap, p, POOLS, 15);
	free_pools(heap, p, 2 * POOLS, 10);
	KUNIT_EXPECT_EQ(test, count(), 28);
	KUNIT_EXPECT_EQ(test, scan(1, &scanned), 16);
	KUNIT_EXPECT_EQ(test, heap->c.holes, 16);
	KUNIT_EXPECT_EQ(test, count(), 12);
	sim_interrupt(SIM_SOFT, scan_all, NULL);
	KUNIT_EXPECT_EQ(test, heap->c.holes, 28);
	KUNIT_EXPECT_EQ(test, heap->c.held_bytes, (3 * POOLS - 28) << 12);
	kt_expect_valid(test, heap);
	kt_free(heap, p, 3 * PER_ARENA);
}

/* What CPUs have is drained by a worker, once a second at most. */
static void giving_shrinker_percpu(struct kunit *test)
{
	struct kpy_heap *heap = ut_heap(test, KPY_MODE_PERCPU, KPY_RELEASE_KEEP_LAST);
	unsigned long scanned, works = sim_pending_work();

	KUNIT_EXPECT_EQ(test, count(), 1);
	kpy_free(heap, kpy_alloc(heap, 64, GFP_KERNEL));
	KUNIT_EXPECT_EQ(test, count(), 1);
	msleep(499);
	KUNIT_EXPECT_EQ(test, scan(1, &scanned), SHRINK_STOP);
	KUNIT_EXPECT_EQ(test, sim_pending_work(), works);
	msleep(501);		/* two ticks: all is in the pools by now */
	KUNIT_EXPECT_EQ(test, scan(1, &scanned), POOLS);
	kpy_free(heap, kpy_alloc(heap, 64, GFP_KERNEL));
	KUNIT_EXPECT_EQ(test, scan(1, &scanned), SHRINK_STOP);
	KUNIT_EXPECT_EQ(test, sim_pending_work(), works + 1);
	msleep(1);
	KUNIT_EXPECT_EQ(test, sim_pending_work(), works);
	KUNIT_EXPECT_EQ(test, heap->c.held_bytes, 0);
	kpy_free(heap, kpy_alloc(heap, 64, GFP_KERNEL));
	scan(1, &scanned);
	KUNIT_EXPECT_EQ(test, sim_pending_work(), works);
}

/* ---- the worker ---- */

static void giving_by_itself(struct kunit *test)
{
	struct kpy_heap *heap = pool_heap(test, 0);
	void *p[3 * PER_ARENA];

	KUNIT_ASSERT_TRUE(test, kt_fill(heap, p, 3 * PER_ARENA, 512));
	free_pools(heap, p, 0, 15);
	KUNIT_EXPECT_EQ(test, sim_pending_work(), 0);
	free_pools(heap, p, POOLS, 1);
	KUNIT_EXPECT_EQ(test, sim_pending_work(), 0);
	free_pools(heap, p, 2 * POOLS, 1);		/* the 17th */
	KUNIT_EXPECT_EQ(test, sim_pending_work(), 1);
	KUNIT_EXPECT_EQ(test, heap->free_low, 17);
	msleep(999);
	free_pools(heap, p, POOLS + 1, 5);		/* not that long */
	KUNIT_EXPECT_EQ(test, heap->c.holes, 0);
	msleep(1);
	KUNIT_EXPECT_EQ(test, heap->c.holes, 1);
	KUNIT_EXPECT_EQ(test, heap->free_low, 21);
	KUNIT_EXPECT_EQ(test, sim_pending_work(), 1);
	msleep(999);
	KUNIT_EXPECT_EQ(test, heap->c.holes, 1);
	msleep(1);
	KUNIT_EXPECT_EQ(test, heap->c.holes, 6);
	KUNIT_EXPECT_EQ(test, heap->free_pools, 16);
	KUNIT_EXPECT_EQ(test, sim_pending_work(), 0);
	KUNIT_EXPECT_FALSE(test, heap->release_pending);
	free_pools(heap, p, 2 * POOLS + 1, 1);
	KUNIT_EXPECT_EQ(test, sim_pending_work(), 1);
	kt_free(heap, p, 3 * PER_ARENA);
}

/* As many go as were free all the time. */
static void giving_what_nobody_needs(struct kunit *test)
{
	struct kpy_heap *heap = pool_heap(test, 0);
	void *p[3 * PER_ARENA];

	KUNIT_ASSERT_TRUE(test, kt_fill(heap, p, 3 * PER_ARENA, 512));
	free_pools(heap, p, 0, 14);
	free_pools(heap, p, POOLS, 14);
	KUNIT_EXPECT_EQ(test, heap->free_pools, 28);
	msleep(1000);
	KUNIT_EXPECT_EQ(test, heap->c.holes, 1);	/* of the 17 that were free at first */
	KUNIT_EXPECT_EQ(test, heap->free_low, 27);
	KUNIT_ASSERT_TRUE(test, kt_fill(heap, p, 8 * PER_POOL, 512));
	free_pools(heap, p, 0, 8);
	KUNIT_EXPECT_EQ(test, heap->free_low, 19);
	msleep(1000);
	KUNIT_EXPECT_EQ(test, heap->c.holes, 1 + 3);
	msleep(1000);
	KUNIT_EXPECT_EQ(test, heap->free_pools, 16);
	KUNIT_EXPECT_EQ(test, heap->c.holes_total, 12);
	kt_free(heap, p, 3 * PER_ARENA);
}

/* The heap goes with many blocks cached: its worker is not called for any more. */
static void giving_no_more(struct kunit *test)
{
	struct kpy_heap_params params = {
		"gone", { 64 << 10, 4 << 10, 16, 512, KPY_RELEASE_POOL }, KPY_MODE_PERCPU,
	};
	struct kpy_heap *heap = kpy_heap_create(&params);
	void *p[3 * PER_ARENA];

	KUNIT_ASSERT_TRUE(test, kt_fill(heap, p, 3 * PER_ARENA, 512));
	kt_free(heap, p, 3 * PER_ARENA);
	KUNIT_EXPECT_EQ(test, sim_pending_work(), 1);
	KUNIT_EXPECT_EQ(test, kpy_heap_destroy(heap), 0);
	KUNIT_EXPECT_EQ(test, sim_pending_work(), 1);
	msleep(500);
	KUNIT_EXPECT_EQ(test, sim_pending_work(), 0);
}

/* ---- the ticker ---- */

static void giving_ticks(struct kunit *test)
{
	struct kpy_heap *classic, *heap;
	u32 i;

	classic = ut_heap(test, KPY_MODE_CLASSIC, KPY_RELEASE_KEEP_LAST);
	KUNIT_EXPECT_EQ(test, sim_pending_work(), 0);
	kpy_free(classic, kpy_alloc(classic, 64, GFP_KERNEL));
	heap = ut_heap(test, KPY_MODE_PERCPU, KPY_RELEASE_ALWAYS);
	for (i = 0; i < 3; i++) {
		KUNIT_EXPECT_EQ(test, sim_pending_work(), 1);
		kpy_free(heap, kpy_alloc(heap, 64, GFP_KERNEL));
		msleep(499);
		KUNIT_EXPECT_EQ(test, heap->class[3].in_use, 48);
		msleep(1);
		KUNIT_EXPECT_EQ(test, heap->class[3].in_use, 48);
		msleep(500);
		KUNIT_EXPECT_EQ(test, heap->class[3].in_use, 0);
		KUNIT_EXPECT_EQ(test, heap->c.held_bytes, 0);
	}
}

/* ---- trims ---- */

static void giving_trim_counts_pages(struct kunit *test)
{
	struct kpy_heap *heap = ut_heap(test, KPY_MODE_PERCPU, KPY_RELEASE_KEEP_LAST);
	void *p[700];

	KUNIT_ASSERT_TRUE(test, kt_fill(heap, p, 700, 64));
	kt_free(heap, p, 700);
	KUNIT_EXPECT_EQ(test, kpy_heap_trim(heap), heap->c.held_bytes_peak >> 12);
	KUNIT_EXPECT_EQ(test, kpy_heap_trim(heap), 0);
	KUNIT_EXPECT_EQ(test, heap->c.held_bytes, 0);
	KUNIT_EXPECT_EQ(test, sim_live(SIM_CACHE), 0);
}

/* Many pools: in batches of 32 parts, each emptied pool one. */
static void giving_trim_in_batches(struct kunit *test)
{
	struct kpy_heap_params params = {
		.geometry = { 512 << 10, 4 << 10, 16, 512, KPY_RELEASE_POOL },
		.flags = KPY_HEAP_SILENT | KPY_HEAP_ON_DEMAND,
	};
	struct kpy_heap *heap = kt_heap_of(test, &params);
	void **p = kt_memory(test, 110 * PER_POOL * sizeof(*p));
	struct kpy_reap reap;
	unsigned long flags;

	KUNIT_ASSERT_TRUE(test, kt_fill(heap, p, 110 * PER_POOL, 512));
	free_pools(heap, p, 5, 100);
	flags = kpy_heap_lock(heap);
	kpy_arena_reap(heap, 60, &reap);
	kpy_heap_unlock(heap, flags);
	kpy_arena_free_reaped(heap, &reap);
	KUNIT_EXPECT_EQ(test, reap.nr, 32);		/* 18 virgin ones are one part */
	KUNIT_EXPECT_EQ(test, reap.pools, 18 + 31);
	KUNIT_EXPECT_EQ(test, heap->c.holes, 49);
	KUNIT_EXPECT_EQ(test, heap->free_pools, 118 - 49);
	kt_expect_valid(test, heap);
	flags = kpy_heap_lock(heap);
	kpy_arena_reap(heap, 5, &reap);
	kpy_heap_unlock(heap, flags);
	kpy_arena_free_reaped(heap, &reap);
	KUNIT_EXPECT_EQ(test, reap.nr, 5);
	KUNIT_EXPECT_EQ(test, reap.pools, 5);
	KUNIT_EXPECT_EQ(test, kpy_heap_trim(heap), 118 - 54);
	kt_expect_valid(test, heap);
	kt_free(heap, p, 110 * PER_POOL);
}

/* One arena's first holes a batch; an arena that is wholly free counts as a whole. */
static void giving_reap_order(struct kunit *test)
{
	struct kpy_heap *heap = pool_heap(test, KPY_HEAP_ON_DEMAND);
	void *p[3 * PER_ARENA];
	struct kpy_reap reap;
	unsigned long flags, arena;

	KUNIT_ASSERT_TRUE(test, kt_fill(heap, p, 3 * PER_ARENA, 512));
	arena = kpy_arena_at(heap, 1)->address;
	free_pools(heap, p, 0, 4);
	free_pools(heap, p, 2 * POOLS, 6);
	free_pools(heap, p, POOLS, 16);
	flags = kpy_heap_lock(heap);
	kpy_arena_reap(heap, 20, &reap);
	kpy_heap_unlock(heap, flags);
	kpy_arena_free_reaped(heap, &reap);
	KUNIT_EXPECT_EQ(test, reap.nr, 5);
	KUNIT_EXPECT_EQ(test, reap.pools, 20);
	KUNIT_EXPECT_EQ(test, reap.part[0].address, arena);
	KUNIT_EXPECT_EQ(test, reap.part[0].size, 64 << 10);
	KUNIT_EXPECT_EQ(test, reap.part[1].address, kpy_arena_at(heap, 2)->address + (5 << 12));
	KUNIT_EXPECT_EQ(test, heap->free_pools, 6);
	KUNIT_EXPECT_EQ(test, heap->free_low, 0);
	KUNIT_EXPECT_EQ(test, heap->c.arenas_current, 2);
	kt_expect_valid(test, heap);
	flags = kpy_heap_lock(heap);
	kpy_arena_reap(heap, ULONG_MAX, &reap);
	kpy_heap_unlock(heap, flags);
	kpy_arena_free_reaped(heap, &reap);
	KUNIT_EXPECT_EQ(test, reap.pools, 4);		/* arena 0's first holes end the batch */
	KUNIT_EXPECT_EQ(test, kpy_heap_trim(heap), 2);
	kt_free(heap, p, 3 * PER_ARENA);
}

/* What is left of an arena's free pools says where it belongs: behind those with as many. */
static void giving_reap_sorts(struct kunit *test)
{
	static const u32 others[] = { 2, 5, 6 };
	void *p[2 * PER_ARENA];
	struct kpy_heap *heap;
	struct kpy_reap reap;
	unsigned long flags;
	u32 i;

	for (i = 0; i < ARRAY_SIZE(others); i++) {
		heap = pool_heap(test, KPY_HEAP_ON_DEMAND);
		KUNIT_ASSERT_TRUE(test, kt_fill(heap, p, 2 * PER_ARENA, 512));
		free_pools(heap, p, 0, others[i]);
		free_pools(heap, p, POOLS, 10);
		flags = kpy_heap_lock(heap);
		kpy_arena_reap(heap, 5, &reap);
		kpy_heap_unlock(heap, flags);
		kpy_arena_free_reaped(heap, &reap);
		KUNIT_EXPECT_EQ(test, kpy_arena_at(heap, 1)->nfreepools, 5);
		KUNIT_EXPECT_PTR_EQ(test, heap->nfp2lasta[5], kpy_arena_at(heap, 1));
		KUNIT_EXPECT_EQ(test, list_is_last(&kpy_arena_at(heap, 1)->node,
						   &heap->usable_arenas), others[i] < 6);
		kt_expect_valid(test, heap);
		kt_free(heap, p, 2 * PER_ARENA);
	}
}

/* Less is wanted than the arena that is wholly free has: the one before gives it. */
static void giving_reap_less_than_an_arena(struct kunit *test)
{
	struct kpy_heap *heap = pool_heap(test, KPY_HEAP_ON_DEMAND);
	void *p[2 * PER_ARENA];
	struct kpy_reap reap;
	unsigned long flags;

	KUNIT_ASSERT_TRUE(test, kt_fill(heap, p, 2 * PER_ARENA, 512));
	free_pools(heap, p, 0, 4);
	free_pools(heap, p, POOLS, 16);
	flags = kpy_heap_lock(heap);
	kpy_arena_reap(heap, 15, &reap);
	KUNIT_EXPECT_EQ(test, reap.pools, 4);
	KUNIT_EXPECT_EQ(test, heap->c.arenas_current, 2);
	kpy_heap_unlock(heap, flags);
	kpy_arena_free_reaped(heap, &reap);
	flags = kpy_heap_lock(heap);
	kpy_arena_reap(heap, 15, &reap);
	kpy_heap_unlock(heap, flags);
	KUNIT_EXPECT_EQ(test, reap.nr, 0);
	kt_expect_valid(test, heap);
	kt_free(heap, p, 2 * PER_ARENA);
}

/* ---- the limit ---- */

static void giving_for_a_large_block(struct kunit *test)
{
	struct kpy_heap *heap = ut_heap(test, KPY_MODE_CLASSIC, KPY_RELEASE_KEEP_LAST);
	void *ptr;

	kpy_heap_set_limit(heap, 100000);
	kpy_free(heap, kpy_alloc(heap, 64, GFP_KERNEL));
	KUNIT_EXPECT_EQ(test, heap->c.arenas_current, 1);
	ptr = kpy_alloc(heap, 30000, GFP_KERNEL);
	KUNIT_EXPECT_EQ(test, heap->c.arenas_current, 1);
	kpy_free(heap, ptr);
	ptr = kpy_alloc(heap, 50000, GFP_KERNEL);
	KUNIT_EXPECT_NOT_NULL(test, ptr);
	KUNIT_EXPECT_EQ(test, heap->c.arenas_current, 0);
	KUNIT_EXPECT_EQ(test, heap->c.limit_failures, 0);
	KUNIT_EXPECT_EQ(test, heap->c.alloc_failures, 0);
	KUNIT_EXPECT_NULL(test, kpy_alloc(heap, 50000, GFP_KERNEL));
	KUNIT_EXPECT_EQ(test, heap->c.limit_failures, 1);
	KUNIT_EXPECT_EQ(test, heap->c.alloc_failures, 1);
	KUNIT_EXPECT_TRUE(test, kt_is_large(heap, kpy_alloc(heap, 64, GFP_KERNEL)));
	KUNIT_EXPECT_EQ(test, heap->c.large_fallbacks, 1);
	kpy_free(heap, ptr);
}

/* To the byte: what is held may be the limit, and no more. */
static void giving_limit_to_the_byte(struct kunit *test)
{
	struct kpy_heap *heap = ut_heap(test, KPY_MODE_CLASSIC, KPY_RELEASE_ALWAYS);
	unsigned long asked;
	void *p, *q;

	kpy_heap_set_limit(heap, 1024 + 2047);
	p = kpy_alloc(heap, 1000, GFP_KERNEL);
	KUNIT_EXPECT_NULL(test, kpy_alloc(heap, 1500, GFP_KERNEL));
	asked = sim_allocs[SIM_KMALLOC];
	KUNIT_EXPECT_NULL(test, kpy_alloc(heap, 2048, GFP_KERNEL));
	KUNIT_EXPECT_EQ(test, sim_allocs[SIM_KMALLOC], asked);
	kpy_heap_set_limit(heap, 1024 + 2048);
	q = kpy_alloc(heap, 2048, GFP_KERNEL);
	KUNIT_EXPECT_NOT_NULL(test, q);
	KUNIT_EXPECT_EQ(test, heap->c.held_bytes, heap->limit);
	kpy_free(heap, p);
	kpy_free(heap, q);
	kpy_heap_set_limit(heap, (64 << 10) - 1);
	asked = sim_allocs[SIM_PAGES];
	p = kpy_alloc(heap, 64, GFP_KERNEL);
	KUNIT_EXPECT_TRUE(test, kt_is_large(heap, p));
	KUNIT_EXPECT_EQ(test, sim_allocs[SIM_PAGES], asked);
	kpy_free(heap, p);
	kpy_heap_set_limit(heap, 64 << 10);
	p = kpy_alloc(heap, 64, GFP_KERNEL);
	KUNIT_EXPECT_FALSE(test, kt_is_large(heap, p));
	kpy_free(heap, p);
}

/* Kept blocks go for an arena that the limit refuses, the largest first, and no more of them. */
static void giving_kept_for_an_arena(struct kunit *test)
{
	struct kpy_heap *heap = ut_heap(test, KPY_MODE_CLASSIC, KPY_RELEASE_KEEP_LAST);
	void *p[3];

	p[0] = kpy_alloc(heap, 1000, GFP_KERNEL);
	p[1] = kpy_alloc(heap, 5000, GFP_KERNEL);
	p[2] = kpy_alloc(heap, 1500, GFP_KERNEL);
	kt_free(heap, p, 3);
	KUNIT_EXPECT_EQ(test, heap->c.large_cached_bytes, 1024 + 8192 + 2048);
	kpy_heap_set_limit(heap, (64 << 10) + 1024 + 2048);
	p[0] = kpy_alloc(heap, 64, GFP_KERNEL);
	KUNIT_EXPECT_FALSE(test, kt_is_large(heap, p[0]));
	KUNIT_EXPECT_EQ(test, heap->c.large_cached, 2);
	KUNIT_EXPECT_EQ(test, heap->c.large_cached_bytes, 1024 + 2048);
	KUNIT_EXPECT_EQ(test, heap->c.held_bytes, heap->limit);
	KUNIT_EXPECT_EQ(test, heap->c.arena_failures, 0);
	p[1] = kpy_alloc(heap, 2049, GFP_KERNEL);
	KUNIT_EXPECT_NULL(test, p[1]);
	KUNIT_EXPECT_EQ(test, heap->c.large_cached, 0);
	kt_free(heap, p, 1);
}

/* ---- the end ---- */

/* Holes and blocks that live, in arenas that are in lists and in none. */
static void giving_all_at_the_end(struct kunit *test)
{
	struct kpy_heap_params params = {
		"holes", { 64 << 10, 4 << 10, 16, 512, KPY_RELEASE_POOL },
		.flags = KPY_HEAP_ON_DEMAND,
	};
	struct kpy_heap *heap = kpy_heap_create(&params);
	unsigned long pages = sim_live(SIM_PAGES);
	void *p[4 * PER_ARENA];

	KUNIT_ASSERT_TRUE(test, kt_fill(heap, p, 4 * PER_ARENA, 512));
	free_pools(heap, p, 0, 1);
	free_pools(heap, p, POOLS + 3, 5);
	free_pools(heap, p, 2 * POOLS + 15, 1);
	KUNIT_EXPECT_EQ(test, kpy_heap_trim(heap), 7);
	KUNIT_EXPECT_EQ(test, sim_live(SIM_PAGES), pages + 3 * POOLS - 7 + 1);
	free_pools(heap, p, POOLS + 8, 2);
	KUNIT_EXPECT_EQ(test, kpy_heap_destroy(heap), 0);
	KUNIT_EXPECT_EQ(test, sim_live(SIM_PAGES), pages);
	KUNIT_EXPECT_EQ(test, sim_live(SIM_KMEMLEAK), 0);
}

/* The last block of an arena with holes comes back by way of a CPU's front. */
static void giving_arenas_with_holes(struct kunit *test)
{
	struct kpy_heap *heap = ut_heap(test, KPY_MODE_PERCPU, KPY_RELEASE_POOL);
	void *p[3 * PER_ARENA];

	KUNIT_ASSERT_TRUE(test, kt_fill(heap, p, 3 * PER_ARENA, 512));
	free_pools(heap, p, 1, POOLS - 2);
	free_pools(heap, p, POOLS + 1, POOLS - 2);
	kpy_heap_trim(heap);
	KUNIT_EXPECT_EQ(test, heap->c.holes, 2 * (POOLS - 2));
	kt_expect_valid(test, heap);
	kt_free(heap, p, 2 * PER_ARENA);
	kpy_heap_trim(heap);
	KUNIT_EXPECT_EQ(test, heap->c.arenas_current, 1);
	KUNIT_EXPECT_EQ(test, heap->c.holes, 0);
	KUNIT_EXPECT_EQ(test, heap->c.holes_total, 2 * (POOLS - 2));
	kt_free(heap, p, 3 * PER_ARENA);
	kpy_heap_trim(heap);
	KUNIT_EXPECT_EQ(test, heap->c.held_bytes, 0);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(giving_shrinker_classic),
	KUNIT_CASE(giving_shrinker_pools),
	KUNIT_CASE(giving_shrinker_percpu),
	KUNIT_CASE(giving_by_itself),
	KUNIT_CASE(giving_what_nobody_needs),
	KUNIT_CASE(giving_no_more),
	KUNIT_CASE(giving_ticks),
	KUNIT_CASE(giving_trim_counts_pages),
	KUNIT_CASE(giving_trim_in_batches),
	KUNIT_CASE(giving_reap_order),
	KUNIT_CASE(giving_reap_sorts),
	KUNIT_CASE(giving_reap_less_than_an_arena),
	KUNIT_CASE(giving_for_a_large_block),
	KUNIT_CASE(giving_limit_to_the_byte),
	KUNIT_CASE(giving_kept_for_an_arena),
	KUNIT_CASE(giving_all_at_the_end),
	KUNIT_CASE(giving_arenas_with_holes),
	{}
};

USER_SUITE(giving);
