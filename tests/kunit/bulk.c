// SPDX-License-Identifier: GPL-2.0
/*
 * Many blocks at once: in mode classic just what one by one would have given,
 * in each mode all of them or none, and a bad pointer harms no other.
 */
#include <linux/err.h>
#include <linux/mm.h>
#include <linux/string.h>

#include "suite.h"

#define MANY 300

static const struct kpy_geometry geometry = { 64 << 10, 4 << 10, 16, 512 };

/* Blocks of two heaps that do not lie in the same places. */
static u32 differ(struct kunit *test, struct kpy_heap *a, void **p, struct kpy_heap *b, void **q)
{
	struct kpy_block_info at, there;
	u32 i, n = 0;

	for (i = 0; i < MANY; i++) {
		at = kt_where(test, a, p[i]);
		there = kt_where(test, b, q[i]);
		n += at.arena != there.arena || at.pool != there.pool || at.block != there.block;
	}
	return n;
}

static void bulk_is_one_by_one(struct kunit *test)
{
	static const u16 sizes[] = { 64, 512, 8, 64, 200 };
	struct kpy_heap *a = kt_heap(test, &geometry), *b = kt_heap(test, &geometry);
	void **p = kt_memory(test, 2 * MANY * sizeof(*p)), **q = p + MANY;
	u32 i;

	KUNIT_ASSERT_NOT_NULL(test, a);
	KUNIT_ASSERT_NOT_NULL(test, b);
	KUNIT_ASSERT_NOT_NULL(test, p);
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		KUNIT_ASSERT_TRUE(test, kt_fill(a, p, MANY, sizes[i]));
		KUNIT_ASSERT_EQ(test, kpy_alloc_bulk(b, sizes[i], GFP_KERNEL, MANY, q), MANY);
		KUNIT_EXPECT_EQ(test, differ(test, a, p, b, q), 0);
		kt_shuffle(p, MANY, i);
		kt_shuffle(q, MANY, i);
		kt_free(a, p, MANY - i);
		kpy_free_bulk(b, MANY - i, q);
		KUNIT_EXPECT_EQ(test, a->c.allocs - a->c.frees, b->c.allocs - b->c.frees);
	}
}

/* Each block is written to its end, and then as it was. */
static void bulk_of_all_sizes(struct kunit *test)
{
	static const u16 sizes[] = { 1, 16, 100, 512, 513, 3000, 0 };
	struct kpy_heap *heap = kt_heap_of_mode(test, &geometry);
	struct kpy_heap_stats *stats = kt_memory(test, sizeof(*stats));
	void **p = kt_memory(test, MANY * sizeof(*p));
	u32 i, j, bad = 0;

	KUNIT_ASSERT_NOT_NULL(test, heap);
	KUNIT_ASSERT_NOT_NULL(test, stats);
	KUNIT_ASSERT_NOT_NULL(test, p);
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		KUNIT_ASSERT_EQ(test, kpy_alloc_bulk(heap, sizes[i], GFP_KERNEL, MANY, p), MANY);
		for (j = 0; j < MANY; j++)
			memset(p[j], j, sizes[i]);
		for (j = 0; j < MANY; j++)
			bad += !!memchr_inv(p[j], j, sizes[i]);
		kpy_free_bulk(heap, MANY, p);
	}
	KUNIT_EXPECT_EQ(test, bad, 0);
	kpy_heap_stats(heap, stats);
	KUNIT_EXPECT_EQ(test, stats->c.allocs, 4 * MANY);
	KUNIT_EXPECT_EQ(test, stats->c.frees, 4 * MANY);
	KUNIT_EXPECT_EQ(test, stats->c.large_frees, 3 * MANY);
	KUNIT_EXPECT_EQ(test, stats->bytes_allocated, 0);
}

static void bulk_none_if_not_all(struct kunit *test)
{
	struct kpy_heap *heap = kt_heap_of_mode(test, &geometry);
	struct kpy_heap_stats *stats = kt_memory(test, sizeof(*stats));
	void *p[4];

	KUNIT_ASSERT_NOT_NULL(test, heap);
	KUNIT_ASSERT_NOT_NULL(test, stats);
	KUNIT_EXPECT_EQ(test, kpy_alloc_bulk(heap, (size_t)INT_MAX + 1, GFP_KERNEL, 4, p), 0);
	KUNIT_EXPECT_EQ(test, kpy_alloc_bulk(heap, 64, GFP_KERNEL, 0, p), 0);
	kpy_free_bulk(heap, 0, p);
	kpy_heap_stats(heap, stats);
	KUNIT_EXPECT_EQ(test, stats->c.alloc_failures, 1);
	KUNIT_EXPECT_EQ(test, stats->c.large_blocks, 0);
	KUNIT_EXPECT_EQ(test, stats->bytes_allocated, 0);
}

/* Foreign memory, the middle of a block, no pointer at all. */
static void bulk_refuses_what_is_bad(struct kunit *test)
{
	struct kpy_heap *heap = kt_heap(test, &geometry);
	void **p = kt_memory(test, MANY * sizeof(*p));
	void *good[3];

	KUNIT_ASSERT_NOT_NULL(test, heap);
	KUNIT_ASSERT_NOT_NULL(test, p);
	KUNIT_ASSERT_EQ(test, kpy_alloc_bulk(heap, 64, GFP_KERNEL, MANY, p), MANY);
	good[0] = p[10];
	good[1] = p[20];
	good[2] = p[30];
	p[10] = test;
	p[20] += 16;
	p[30] = NULL;
	kpy_free_bulk(heap, MANY, p);
	KUNIT_EXPECT_EQ(test, heap->c.bad_pointers, 2);
	KUNIT_EXPECT_EQ(test, heap->c.allocs - heap->c.frees, 3);
	kpy_free_bulk(heap, 3, good);
	KUNIT_EXPECT_EQ(test, heap->c.allocs - heap->c.frees, 0);
	KUNIT_EXPECT_EQ(test, heap->c.bad_pointers, 2);
}

/* In mode percpu the middle of a block is noticed once it gets to its pool. */
static void bulk_refuses_what_is_not_ours(struct kunit *test)
{
	struct kpy_heap *heap = kt_heap_of_mode(test, &geometry);
	struct kpy_heap_stats *stats = kt_memory(test, sizeof(*stats));
	void **p = kt_memory(test, MANY * sizeof(*p));
	void *good[3];
	u32 i;

	KUNIT_ASSERT_NOT_NULL(test, heap);
	KUNIT_ASSERT_NOT_NULL(test, stats);
	KUNIT_ASSERT_NOT_NULL(test, p);
	for (i = 1; i <= 3; i++) {
		KUNIT_ASSERT_EQ(test, kpy_alloc_bulk(heap, 64, GFP_KERNEL, MANY, p), MANY);
		good[0] = p[10 * i];
		good[1] = p[50 * i];
		good[2] = p[MANY - i];
		p[10 * i] = test;
		p[50 * i] = NULL;
		p[MANY - i] = (void *)16;
		kpy_free_bulk(heap, MANY, p);
		kpy_heap_stats(heap, stats);
		KUNIT_EXPECT_EQ(test, stats->c.bad_pointers, 2 * i);
		KUNIT_EXPECT_EQ(test, stats->c.allocs - stats->c.frees, 3);
		kpy_free_bulk(heap, 3, good);
		kpy_heap_stats(heap, stats);
		KUNIT_EXPECT_EQ(test, stats->c.allocs, stats->c.frees);
	}
}

static struct kunit_case cases[] = {
	KUNIT_CASE(bulk_is_one_by_one),
	KUNIT_CASE_PARAM(bulk_of_all_sizes, kt_mode_gen_params),
	KUNIT_CASE_PARAM(bulk_none_if_not_all, kt_mode_gen_params),
	KUNIT_CASE(bulk_refuses_what_is_bad),
	KUNIT_CASE_PARAM(bulk_refuses_what_is_not_ours, kt_mode_gen_params),
	{}
};

struct kunit_suite kpy_bulk_suite = {
	.name = "kpy_bulk", .init = kt_init, .exit = kt_exit, .test_cases = cases,
};
