// SPDX-License-Identifier: GPL-2.0
/*
 * What goes back: holes of release=pool, trim, what a heap gives back by itself,
 * and the limit.
 */
#include <linux/delay.h>
#include <linux/kthread.h>
#include <linux/mm.h>

#include "suite.h"

#define POOLS		8	/* of an arena */
#define PER_ARENA	(POOLS * KT_BIG_PER_POOL)
#define ARENAS		4
#define BLOCKS		(ARENAS * PER_ARENA)

static const struct kpy_geometry by_pool = { 32 << 10, 4 << 10, 16, 512, KPY_RELEASE_POOL };
static const struct kpy_geometry keep_last = {
	32 << 10, 4 << 10, 16, 512, KPY_RELEASE_KEEP_LAST
};

/* All blocks of pool @pool of those that @p filled one after the other. */
static void free_pool(struct kpy_heap *heap, void **p, u32 pool)
{
	kt_free(heap, p + pool * KT_BIG_PER_POOL, KT_BIG_PER_POOL);
}

static void expect_held(struct kunit *test, struct kpy_heap *heap, u32 pools)
{
	KUNIT_EXPECT_EQ(test, heap->c.held_bytes, pools * heap->geo.pool_size);
	kt_expect_valid(test, heap);
}

/* A pool in the middle and virgin ones become holes; what is left is as it was. */
static void reclaim_holes(struct kunit *test)
{
	struct kpy_heap *heap = kt_heap(test, &by_pool);
	void **p = kt_memory(test, PER_ARENA * sizeof(*p)), *there, *again;
	struct kpy_block_info info;

	KUNIT_ASSERT_NOT_NULL(test, heap);
	KUNIT_ASSERT_NOT_NULL(test, p);
	KUNIT_ASSERT_TRUE(test, kt_fill(heap, p, 5 * KT_BIG_PER_POOL, KT_BIG));
	there = p[2 * KT_BIG_PER_POOL];
	free_pool(heap, p, 2);
	expect_held(test, heap, POOLS);
	KUNIT_EXPECT_EQ(test, kpy_heap_trim(heap), 4);
	KUNIT_EXPECT_EQ(test, heap->c.holes, 4);
	expect_held(test, heap, 4);
	KUNIT_EXPECT_EQ(test, kpy_heap_trim(heap), 0);

	KUNIT_EXPECT_EQ(test, kpy_block_find(heap, there, &info), -ENOENT);
	kpy_free(heap, there);
	KUNIT_EXPECT_EQ(test, heap->c.bad_pointers, 1);
	KUNIT_EXPECT_EQ(test, kpy_usable_size(heap, there), 0);

	again = kpy_alloc(heap, KT_BIG, GFP_KERNEL);
	KUNIT_EXPECT_EQ(test, kt_where(test, heap, again).arena, 1);
	expect_held(test, heap, 4 + POOLS);
	kpy_free(heap, again);
	kt_free(heap, p, PER_ARENA);
}

/* In each arena all pools but the first are free. */
static bool one_pool_an_arena(struct kpy_heap *heap, void **p)
{
	u32 i;

	if (!kt_fill(heap, p, BLOCKS, KT_BIG))
		return false;
	for (i = 0; i < ARENAS * POOLS; i++)
		if (i % POOLS)
			free_pool(heap, p, i);
	return true;
}

/* An arena that lost all its other pools goes with its last block, also out of turn. */
static void reclaim_arena_with_holes_goes(struct kunit *test)
{
	struct kpy_heap *heap = kt_heap(test, &by_pool);
	void **p = kt_memory(test, BLOCKS * sizeof(*p));
	u32 i;

	KUNIT_ASSERT_NOT_NULL(test, heap);
	KUNIT_ASSERT_NOT_NULL(test, p);
	KUNIT_ASSERT_TRUE(test, one_pool_an_arena(heap, p));
	KUNIT_EXPECT_EQ(test, kpy_heap_trim(heap), ARENAS * (POOLS - 1));
	expect_held(test, heap, ARENAS);
	for (i = 0; i < ARENAS; i++) {
		free_pool(heap, p, i * POOLS);
		KUNIT_EXPECT_EQ(test, heap->c.arenas_current, ARENAS - 1 - i);
		expect_held(test, heap, ARENAS - 1 - i);
	}
	KUNIT_EXPECT_EQ(test, heap->c.holes, 0);
	KUNIT_EXPECT_EQ(test, heap->c.holes_total, ARENAS * (POOLS - 1));
}

/* Emptied pools beside holes are used again, the fullest arena's first. */
static void reclaim_order_stays(struct kunit *test)
{
	struct kpy_heap *heap = kt_heap(test, &by_pool);
	void **p = kt_memory(test, BLOCKS * sizeof(*p)), *again;

	KUNIT_ASSERT_NOT_NULL(test, heap);
	KUNIT_ASSERT_NOT_NULL(test, p);
	KUNIT_ASSERT_TRUE(test, kt_fill(heap, p, BLOCKS, KT_BIG));
	free_pool(heap, p, 1 * POOLS);
	free_pool(heap, p, 1 * POOLS + 1);
	KUNIT_EXPECT_EQ(test, kpy_heap_trim(heap), 2);
	free_pool(heap, p, 0 * POOLS);
	free_pool(heap, p, 0 * POOLS + 1);
	free_pool(heap, p, 1 * POOLS + 2);
	kt_expect_valid(test, heap);

	again = kpy_alloc(heap, KT_BIG, GFP_KERNEL);
	KUNIT_EXPECT_EQ(test, kt_where(test, heap, again).arena, 1);
	KUNIT_EXPECT_EQ(test, kt_where(test, heap, again).pool, 2);
	kpy_free(heap, again);
	kt_free(heap, p, BLOCKS);
}

/* Without release=pool a trim takes the arena that was kept, and that is all. */
static void reclaim_kept_arena(struct kunit *test)
{
	struct kpy_heap *heap = kt_heap(test, &keep_last);
	void **p = kt_memory(test, 2 * PER_ARENA * sizeof(*p));

	KUNIT_ASSERT_NOT_NULL(test, heap);
	KUNIT_ASSERT_NOT_NULL(test, p);
	KUNIT_ASSERT_TRUE(test, kt_fill(heap, p, 2 * PER_ARENA, KT_BIG));
	free_pool(heap, p, 0);
	KUNIT_EXPECT_EQ(test, kpy_heap_trim(heap), 0);
	KUNIT_EXPECT_EQ(test, heap->c.holes_total, 0);
	kt_free(heap, p, 2 * PER_ARENA);
	KUNIT_EXPECT_EQ(test, heap->c.arenas_current, 1);
	KUNIT_EXPECT_EQ(test, kpy_heap_trim(heap), POOLS);
	expect_held(test, heap, 0);
	KUNIT_EXPECT_EQ(test, heap->c.arenas_current, 0);
}

/* The limit of a wait: a worker comes late on a busy machine. */
static bool comes_true(struct kpy_heap *heap, u64 holes)
{
	u32 i;

	for (i = 0; i < 300 && READ_ONCE(heap->c.holes_total) != holes; i++)
		msleep(100);
	return READ_ONCE(heap->c.holes_total) == holes;
}

/* Free pools go by themselves, but for as many as an arena has; those in use and out do not. */
static void reclaim_by_itself(struct kunit *test)
{
	struct kpy_heap_params params = { .geometry = by_pool, .flags = KPY_HEAP_SILENT };
	struct kpy_heap *heap = kt_heap_of(test, &params);
	void **p = kt_memory(test, BLOCKS * sizeof(*p));

	KUNIT_ASSERT_NOT_NULL(test, heap);
	KUNIT_ASSERT_NOT_NULL(test, p);
	KUNIT_ASSERT_TRUE(test, one_pool_an_arena(heap, p));
	KUNIT_EXPECT_TRUE(test, comes_true(heap, ARENAS * (POOLS - 1) - POOLS));
	expect_held(test, heap, ARENAS + POOLS);
	KUNIT_EXPECT_EQ(test, heap->free_pools, POOLS);
	kt_free(heap, p, BLOCKS);
	KUNIT_EXPECT_TRUE(test, heap->c.arenas_current <= 1);
}

/* Traffic that comes back for its pools within a second finds them. */
static void reclaim_not_from_traffic(struct kunit *test)
{
	struct kpy_heap_params params = { .geometry = by_pool, .flags = KPY_HEAP_SILENT };
	struct kpy_heap *heap = kt_heap_of(test, &params);
	void **p = kt_memory(test, BLOCKS * sizeof(*p));
	unsigned long end = jiffies + 3 * HZ;
	u32 i;

	KUNIT_ASSERT_NOT_NULL(test, heap);
	KUNIT_ASSERT_NOT_NULL(test, p);
	KUNIT_ASSERT_TRUE(test, kt_fill(heap, p, BLOCKS, KT_BIG));
	while (time_before(jiffies, end)) {
		for (i = 0; i < ARENAS * POOLS; i++)
			if (i % POOLS)
				free_pool(heap, p, i);
		for (i = 0; i < BLOCKS; i++)
			p[i] = p[i] ?: kpy_alloc(heap, KT_BIG, GFP_KERNEL);
		cond_resched();
	}
	KUNIT_EXPECT_EQ(test, heap->c.holes_total, 0);
	KUNIT_EXPECT_EQ(test, heap->c.arenas_total, ARENAS);
	kt_free(heap, p, BLOCKS);
}

/* What the limit leaves over is served by the general allocator; then nothing is. */
static void reclaim_limit(struct kunit *test)
{
	struct kpy_heap_params params = {
		.geometry = keep_last,
		.flags = KPY_HEAP_SILENT,
		.limit = 2 * (32 << 10) + 3 * KT_BIG,
	};
	struct kpy_heap *heap = kt_heap_of(test, &params);
	void **p = kt_memory(test, BLOCKS * sizeof(*p));

	KUNIT_ASSERT_NOT_NULL(test, heap);
	KUNIT_ASSERT_NOT_NULL(test, p);
	KUNIT_EXPECT_FALSE(test, kt_fill(heap, p, 2 * PER_ARENA + 5, KT_BIG));
	KUNIT_EXPECT_NOT_NULL(test, p[2 * PER_ARENA + 2]);
	KUNIT_EXPECT_NULL(test, p[2 * PER_ARENA + 3]);
	KUNIT_EXPECT_EQ(test, heap->c.held_bytes, params.limit);
	KUNIT_EXPECT_EQ(test, heap->c.limit_failures, 2);
	KUNIT_EXPECT_EQ(test, heap->c.alloc_failures, 2);
	KUNIT_EXPECT_EQ(test, heap->c.large_fallbacks, 3);
	KUNIT_EXPECT_NULL(test, kpy_alloc(heap, 100000, GFP_KERNEL));
	KUNIT_EXPECT_EQ(test, heap->c.limit_failures, 3);

	kpy_heap_set_limit(heap, 0);
	p[2 * PER_ARENA + 3] = kpy_alloc(heap, KT_BIG, GFP_KERNEL);
	KUNIT_EXPECT_EQ(test, kt_where(test, heap, p[2 * PER_ARENA + 3]).arena, 2);
	kpy_heap_set_limit(heap, KT_BIG);
	KUNIT_EXPECT_NULL(test, kpy_alloc(heap, 1000, GFP_KERNEL));
	kt_free(heap, p, BLOCKS);
}

#define THREADS 4

/* One that takes what there is. */
struct taker {
	struct kpy_heap *heap;
	struct task_struct *task;
	struct completion *go;
	struct completion done;
	void *p[BLOCKS];
	u32 got;
	u64 worst;
};

static int take_all(void *arg)
{
	struct taker *taker = arg;
	u32 i;

	wait_for_completion(taker->go);
	for (i = 0; i < BLOCKS; i++) {
		taker->p[i] = kpy_alloc(taker->heap, i % 8 ? KT_BIG : 4000, GFP_KERNEL);
		taker->got += !!taker->p[i];
		taker->worst = max(taker->worst, READ_ONCE(taker->heap->c.held_bytes));
		cond_resched();
	}
	complete(&taker->done);
	while (!kthread_should_stop())
		msleep(1);
	return 0;
}

/* However many ask at once, it is never exceeded, and used up. */
static void reclaim_limit_is_exact(struct kunit *test)
{
	struct kpy_heap_params params = {
		.geometry = by_pool,
		.flags = KPY_HEAP_SILENT,
		.limit = 3 * (32 << 10) + 5000,
	};
	struct kpy_heap *heap = kt_heap_of(test, &params);
	struct taker *taker = kt_memory(test, THREADS * sizeof(*taker));
	DECLARE_COMPLETION_ONSTACK(go);
	u32 i, got = 0;

	KUNIT_ASSERT_NOT_NULL(test, heap);
	KUNIT_ASSERT_NOT_NULL(test, taker);
	for (i = 0; i < THREADS; i++) {
		taker[i].heap = heap;
		taker[i].go = &go;
		init_completion(&taker[i].done);
		taker[i].task = kthread_run(take_all, &taker[i], "kpy-taker");
		KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(taker[i].task), 0);
	}
	complete_all(&go);
	for (i = 0; i < THREADS; i++) {
		if (IS_ERR(taker[i].task))
			continue;
		wait_for_completion(&taker[i].done);
		kthread_stop(taker[i].task);
		got += taker[i].got;
		KUNIT_EXPECT_TRUE(test, taker[i].worst <= params.limit);
	}
	kt_expect_valid(test, heap);
	KUNIT_EXPECT_GT(test, heap->c.held_bytes + KT_BIG, params.limit);
	KUNIT_EXPECT_GT(test, THREADS * BLOCKS, got);
	KUNIT_EXPECT_EQ(test, heap->c.limit_failures, THREADS * BLOCKS - got);
	KUNIT_EXPECT_EQ(test, heap->c.alloc_failures, THREADS * BLOCKS - got);
	for (i = 0; i < THREADS; i++)
		kt_free(heap, taker[i].p, BLOCKS);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(reclaim_holes),
	KUNIT_CASE(reclaim_arena_with_holes_goes),
	KUNIT_CASE(reclaim_order_stays),
	KUNIT_CASE(reclaim_kept_arena),
	KUNIT_CASE(reclaim_by_itself),
	KUNIT_CASE(reclaim_not_from_traffic),
	KUNIT_CASE(reclaim_limit),
	KUNIT_CASE(reclaim_limit_is_exact),
	{}
};

struct kunit_suite kpy_reclaim_suite = {
	.name = "kpy_reclaim", .init = kt_init, .exit = kt_exit, .test_cases = cases,
};
