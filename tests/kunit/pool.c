// SPDX-License-Identifier: GPL-2.0
/*
 * Pools: empty → used → full → used → empty, the LIFO of blocks, carving one
 * block ahead, the order of usedpools, what an emptied pool remembers, and when
 * it lingers.
 *
 * One arena of 16 pools; a class of 512 bytes has 7 blocks a pool.
 */
#include <linux/mm.h>

#include "suite.h"

static const struct kpy_geometry geometry = { 64 << 10, 4 << 10, 16, 512 };

/* The block with an index in a pool, by its present class. */
static void *block_at(struct kpy_heap *heap, struct kpy_pool *pool, u32 index)
{
	return (void *)pool + heap->pool_header + index * kpy_class_size(heap, pool->szidx);
}

static u32 nr_free(const struct kpy_pool *pool)
{
	const void *block;
	u32 n = 0;

	for (block = pool->freeblock; block; block = *(void *const *)block)
		n++;
	return n;
}

/* Indices of the pools in usedpools of a class, as "3 0 1". */
static const char *used_pools(struct kpy_heap *heap, size_t size, char *text)
{
	const struct kpy_pool *pool;
	int len = 0;

	kt_settle(heap);
	text[0] = '\0';
	hlist_for_each_entry(pool, &heap->class[(size - 1) / heap->geo.alignment].usedpools, node)
		len += scnprintf(text + len, KT_TEXT - len, "%s%lu", len ? " " : "",
				 ((unsigned long)pool & (heap->geo.arena_size - 1)) /
				 heap->geo.pool_size);
	return text;
}

static void pool_life(struct kunit *test)
{
	struct kpy_heap *heap = kt_heap(test, &geometry);
	void *p[KT_BIG_PER_POOL];
	struct kpy_pool *pool;
	char text[KT_TEXT];

	KUNIT_ASSERT_NOT_NULL(test, heap);
	KUNIT_ASSERT_TRUE(test, kt_fill(heap, p, 1, KT_BIG));
	pool = kt_pool(heap, p[0]);
	KUNIT_EXPECT_EQ(test, kpy_pool_state(pool), KPY_POOL_USED);
	KUNIT_EXPECT_STREQ(test, used_pools(heap, KT_BIG, text), "0");

	KUNIT_ASSERT_TRUE(test, kt_fill(heap, p + 1, KT_BIG_PER_POOL - 2, KT_BIG));
	KUNIT_EXPECT_EQ(test, kpy_pool_state(pool), KPY_POOL_USED);

	/* Full at once with the last block, not with the request after it. */
	KUNIT_ASSERT_TRUE(test, kt_fill(heap, p + KT_BIG_PER_POOL - 1, 1, KT_BIG));
	KUNIT_EXPECT_EQ(test, kpy_pool_state(pool), KPY_POOL_FULL);
	KUNIT_EXPECT_STREQ(test, used_pools(heap, KT_BIG, text), "");

	kt_free(heap, p + 3, 1);
	KUNIT_EXPECT_EQ(test, kpy_pool_state(pool), KPY_POOL_USED);
	KUNIT_EXPECT_STREQ(test, used_pools(heap, KT_BIG, text), "0");

	kt_free(heap, p, KT_BIG_PER_POOL);
	KUNIT_EXPECT_EQ(test, kpy_pool_state(pool), KPY_POOL_EMPTY);
	KUNIT_EXPECT_STREQ(test, used_pools(heap, KT_BIG, text), "");
	KUNIT_EXPECT_PTR_EQ(test, kpy_arena_at(heap, 0)->freepools, pool);
}

/* The block freed last is the first one handed out again. */
static void pool_blocks_are_lifo(struct kunit *test)
{
	static const u8 order[] = { 2, 5, 0, 3 };
	struct kpy_heap *heap = kt_heap(test, &geometry);
	void *p[6], *was[ARRAY_SIZE(order)];
	int i;

	KUNIT_ASSERT_NOT_NULL(test, heap);
	KUNIT_ASSERT_TRUE(test, kt_fill(heap, p, ARRAY_SIZE(p), 64));
	for (i = 0; i < ARRAY_SIZE(order); i++) {
		was[i] = p[order[i]];
		kt_free(heap, &p[order[i]], 1);
	}
	for (i = ARRAY_SIZE(order) - 1; i >= 0; i--) {
		p[order[i]] = kpy_alloc(heap, 64, GFP_KERNEL);
		KUNIT_EXPECT_PTR_EQ(test, p[order[i]], was[i]);
	}
	kt_free(heap, p, ARRAY_SIZE(p));
}

/* While there is virgin space exactly one carved block lies ahead. */
static void pool_carves_one_ahead(struct kunit *test)
{
	struct kpy_heap *heap = kt_heap(test, &geometry);
	void *p[KT_BIG_PER_POOL];
	struct kpy_pool *pool;
	u32 i, virgin;

	KUNIT_ASSERT_NOT_NULL(test, heap);
	for (i = 0; i < KT_BIG_PER_POOL; i++) {
		KUNIT_ASSERT_TRUE(test, kt_fill(heap, p + i, 1, KT_BIG));
		pool = kt_pool(heap, p[i]);
		virgin = KT_BIG_PER_POOL - min(i + 2, (u32)KT_BIG_PER_POOL);
		KUNIT_EXPECT_PTR_EQ(test, p[i], block_at(heap, pool, i));
		KUNIT_EXPECT_EQ(test, nr_free(pool), i + 1 < KT_BIG_PER_POOL);
		KUNIT_EXPECT_EQ(test, pool->nextoffset,
				heap->pool_header + (KT_BIG_PER_POOL - virgin) * KT_BIG);
	}
	kt_free(heap, p, KT_BIG_PER_POOL);
}

/* Nothing is carved as long as a freed block is there. */
static void pool_carves_on_need_only(struct kunit *test)
{
	struct kpy_heap *heap = kt_heap(test, &geometry);
	struct kpy_pool *pool;
	u32 carved;
	void *p[4];

	KUNIT_ASSERT_NOT_NULL(test, heap);
	KUNIT_ASSERT_TRUE(test, kt_fill(heap, p, 4, KT_BIG));
	pool = kt_pool(heap, p[0]);
	carved = pool->nextoffset;
	kt_free(heap, p, 2);
	KUNIT_ASSERT_TRUE(test, kt_fill(heap, p, 2, KT_BIG));
	KUNIT_EXPECT_EQ(test, pool->nextoffset, carved);
	KUNIT_EXPECT_EQ(test, nr_free(pool), 1);
	kt_free(heap, p, 4);
}

/* A full pool that gets a block back is the next one to serve. */
static void pool_full_goes_to_the_front(struct kunit *test)
{
	struct kpy_heap *heap = kt_heap(test, &geometry);
	void *p[3 * KT_BIG_PER_POOL] = {}, **b = p + KT_BIG_PER_POOL, *freed;
	char text[KT_TEXT];

	KUNIT_ASSERT_NOT_NULL(test, heap);
	KUNIT_ASSERT_TRUE(test, kt_fill(heap, p, 2 * KT_BIG_PER_POOL + 1, KT_BIG));
	KUNIT_EXPECT_STREQ(test, used_pools(heap, KT_BIG, text), "2");
	kt_free(heap, p + 4, 1);
	KUNIT_EXPECT_STREQ(test, used_pools(heap, KT_BIG, text), "0 2");
	freed = b[2];
	kt_free(heap, b + 2, 1);
	KUNIT_EXPECT_STREQ(test, used_pools(heap, KT_BIG, text), "1 0 2");

	/* A second block back moves nothing. */
	kt_free(heap, p + 5, 1);
	KUNIT_EXPECT_STREQ(test, used_pools(heap, KT_BIG, text), "1 0 2");

	KUNIT_ASSERT_TRUE(test, kt_fill(heap, b + 2, 1, KT_BIG));
	KUNIT_EXPECT_PTR_EQ(test, b[2], freed);
	KUNIT_EXPECT_STREQ(test, used_pools(heap, KT_BIG, text), "0 2");
	kt_free(heap, p, ARRAY_SIZE(p));
}

/* A pool may become empty anywhere in the list; the others keep their order. */
static void pool_leaves_from_the_middle(struct kunit *test)
{
	struct kpy_heap *heap = kt_heap(test, &geometry);
	void *p[3 * KT_BIG_PER_POOL];
	char text[KT_TEXT];
	u32 i;

	KUNIT_ASSERT_NOT_NULL(test, heap);
	KUNIT_ASSERT_TRUE(test, kt_fill(heap, p, ARRAY_SIZE(p), KT_BIG));
	for (i = 0; i < 3; i++)
		kt_free(heap, p + i * KT_BIG_PER_POOL, 1);
	KUNIT_EXPECT_STREQ(test, used_pools(heap, KT_BIG, text), "2 1 0");
	kt_free(heap, p + KT_BIG_PER_POOL, KT_BIG_PER_POOL);
	KUNIT_EXPECT_STREQ(test, used_pools(heap, KT_BIG, text), "2 0");
	kt_free(heap, p, KT_BIG_PER_POOL);
	KUNIT_EXPECT_STREQ(test, used_pools(heap, KT_BIG, text), "2");
	kt_free(heap, p, ARRAY_SIZE(p));
}

/* An emptied pool that serves its class again goes on where it was. */
static void pool_same_class_keeps_its_blocks(struct kunit *test)
{
	struct kpy_heap *heap = kt_heap(test, &geometry);
	struct kpy_pool *pool;
	void *p[4], *was[4];
	u32 i, carved;

	KUNIT_ASSERT_NOT_NULL(test, heap);
	KUNIT_ASSERT_TRUE(test, kt_fill(heap, p, 4, KT_BIG));
	memcpy(was, p, sizeof(was));
	pool = kt_pool(heap, p[0]);
	carved = pool->nextoffset;
	swap(p[1], p[2]);
	kt_free(heap, p, 4);		/* 0, 2, 1, 3 */
	KUNIT_EXPECT_EQ(test, kpy_pool_state(pool), KPY_POOL_EMPTY);

	KUNIT_ASSERT_TRUE(test, kt_fill(heap, p, 4, KT_BIG - 1));
	KUNIT_EXPECT_PTR_EQ(test, p[0], was[3]);
	KUNIT_EXPECT_PTR_EQ(test, p[1], was[1]);
	KUNIT_EXPECT_PTR_EQ(test, p[2], was[2]);
	KUNIT_EXPECT_PTR_EQ(test, p[3], was[0]);
	KUNIT_EXPECT_EQ(test, pool->nextoffset, carved);
	for (i = 0; i < 4; i++)
		KUNIT_EXPECT_PTR_EQ(test, kt_pool(heap, p[i]), pool);
	kt_free(heap, p, 4);
}

/* For another class it is laid out anew, and for the first one again too. */
static void pool_other_class_lays_out_anew(struct kunit *test)
{
	static const u16 sizes[] = { KT_BIG, 48, KT_BIG };
	struct kpy_heap *heap = kt_heap(test, &geometry);
	struct kpy_pool *pool = NULL;
	void *p[5];
	u32 i, j;

	KUNIT_ASSERT_NOT_NULL(test, heap);
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		KUNIT_ASSERT_TRUE(test, kt_fill(heap, p, 5, sizes[i]));
		pool = pool ?: kt_pool(heap, p[0]);
		KUNIT_EXPECT_EQ(test, kpy_class_size(heap, pool->szidx), sizes[i]);
		KUNIT_EXPECT_EQ(test, pool->nextoffset, heap->pool_header + 6 * sizes[i]);
		for (j = 0; j < 5; j++)
			KUNIT_EXPECT_PTR_EQ(test, p[j], block_at(heap, pool, j));
		kt_free(heap, p, 5);
	}
}

/* An emptied pool lingers as long as nobody but its class comes. */
static void pool_lingers(struct kunit *test)
{
	struct kpy_heap *heap = kt_heap(test, &geometry);
	struct kpy_arena *arena;
	struct kpy_pool *pool;
	void *p, *was;
	u32 i;

	KUNIT_ASSERT_NOT_NULL(test, heap);
	if (want_init_on_free())
		return;		/* no request takes the way that saves instructions */
	KUNIT_ASSERT_TRUE(test, kt_fill(heap, &was, 1, KT_BIG));
	arena = kpy_arena_at(heap, 0);
	pool = kt_pool(heap, was);
	for (i = 0; i < 3; i++) {
		kpy_free(heap, was);
		KUNIT_EXPECT_PTR_EQ(test, heap->lingering, pool);
		KUNIT_EXPECT_EQ(test, arena->nfreepools, 15);
		KUNIT_ASSERT_TRUE(test, kt_fill(heap, &p, 1, KT_BIG));
		KUNIT_EXPECT_PTR_EQ(test, p, was);
		KUNIT_EXPECT_NULL(test, heap->lingering);
	}
	/* Another class, and who looks. */
	kt_free(heap, &p, 1);
	KUNIT_ASSERT_TRUE(test, kt_fill(heap, &p, 1, 64));
	KUNIT_EXPECT_NULL(test, heap->lingering);
	KUNIT_EXPECT_PTR_EQ(test, kt_pool(heap, p), pool);
	kt_free(heap, &p, 1);
	KUNIT_EXPECT_PTR_EQ(test, heap->lingering, pool);
	kt_settle(heap);
	KUNIT_EXPECT_NULL(test, heap->lingering);
	KUNIT_EXPECT_PTR_EQ(test, arena->freepools, pool);
	KUNIT_EXPECT_EQ(test, arena->nfreepools, 16);
}

/* Nor where it makes a difference: to what its class gets next, or to an arena. */
static void pool_goes_at_once(struct kunit *test)
{
	struct kpy_geometry always = geometry;
	struct kpy_heap *heap = kt_heap(test, &geometry), *released;
	void *p[17 * KT_BIG_PER_POOL], *other;

	always.release = KPY_RELEASE_ALWAYS;
	released = kt_heap(test, &always);
	KUNIT_ASSERT_NOT_NULL(test, heap);
	KUNIT_ASSERT_NOT_NULL(test, released);
	KUNIT_ASSERT_TRUE(test, kt_fill(heap, p, ARRAY_SIZE(p), KT_BIG));
	KUNIT_ASSERT_EQ(test, heap->c.arenas_current, 2);

	/* Another pool serves next: the first one, no longer full. */
	kt_free(heap, p, 1);
	kt_free(heap, p + KT_BIG_PER_POOL, KT_BIG_PER_POOL);
	KUNIT_EXPECT_NULL(test, heap->lingering);
	/* It is alone, but its arena is not the first one any more. */
	kt_free(heap, p + 16 * KT_BIG_PER_POOL, KT_BIG_PER_POOL - 1);
	kt_free(heap, p + 1, KT_BIG_PER_POOL - 1);
	kt_free(heap, p + 17 * KT_BIG_PER_POOL - 1, 1);
	KUNIT_EXPECT_NULL(test, heap->lingering);
	kt_free(heap, p, ARRAY_SIZE(p));

	/* The arena goes. */
	KUNIT_ASSERT_TRUE(test, kt_fill(released, &other, 1, KT_BIG));
	kt_free(released, &other, 1);
	KUNIT_EXPECT_NULL(test, released->lingering);
	KUNIT_EXPECT_EQ(test, released->c.arenas_current, 0);
}

/* How full the pools of a class are, in the statistics. */
static void pool_fullness(struct kunit *test)
{
	struct kpy_heap *heap = kt_heap(test, &geometry);
	struct kpy_heap_stats *stats = kt_memory(test, sizeof(*stats));
	const struct kpy_class_stats *class;
	void *p[3 * KT_BIG_PER_POOL];

	KUNIT_ASSERT_NOT_NULL(test, heap);
	KUNIT_ASSERT_NOT_NULL(test, stats);
	class = &stats->class[heap->nr_classes - 1];

	KUNIT_ASSERT_TRUE(test, kt_fill(heap, p, ARRAY_SIZE(p), KT_BIG));
	kpy_heap_stats(heap, stats);
	KUNIT_EXPECT_EQ(test, class->pools, 3);
	KUNIT_EXPECT_EQ(test, class->in_use, 21);
	KUNIT_EXPECT_EQ(test, class->available, 0);
	KUNIT_EXPECT_EQ(test, stats->unused_pools, 13);

	kt_free(heap, p + 1, 3);
	kt_free(heap, p + KT_BIG_PER_POOL, KT_BIG_PER_POOL);
	kt_free(heap, p + 2 * KT_BIG_PER_POOL, KT_BIG_PER_POOL - 1);
	kpy_heap_stats(heap, stats);
	KUNIT_EXPECT_EQ(test, class->pools, 2);
	KUNIT_EXPECT_EQ(test, class->in_use, 5);
	KUNIT_EXPECT_EQ(test, class->available, 9);
	KUNIT_EXPECT_EQ(test, stats->unused_pools, 14);
	kt_free(heap, p, ARRAY_SIZE(p));
}

static struct kunit_case cases[] = {
	KUNIT_CASE(pool_life),
	KUNIT_CASE(pool_blocks_are_lifo),
	KUNIT_CASE(pool_carves_one_ahead),
	KUNIT_CASE(pool_carves_on_need_only),
	KUNIT_CASE(pool_full_goes_to_the_front),
	KUNIT_CASE(pool_leaves_from_the_middle),
	KUNIT_CASE(pool_same_class_keeps_its_blocks),
	KUNIT_CASE(pool_other_class_lays_out_anew),
	KUNIT_CASE(pool_lingers),
	KUNIT_CASE(pool_goes_at_once),
	KUNIT_CASE(pool_fullness),
	{}
};

struct kunit_suite kpy_pool_suite = {
	.name = "kpy_pool", .init = kt_init, .exit = kt_exit, .test_cases = cases,
};
