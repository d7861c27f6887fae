// SPDX-License-Identifier: GPL-2.0
/*
 * Large blocks that a heap keeps: which are kept and how many, what they count as,
 * that a second free of one is refused, and how they are returned.
 */
#include <linux/err.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "suite.h"

#define SIZE	1064
#define KIND	2048	/* bytes of its blocks */
#define KEPT	4	/* most kept blocks of that size */
#define MANY	10

static const struct kpy_geometry geometry = { 64 << 10, 4 << 10, 16, 512 };

/* Nothing is kept where freed memory is checked or wiped. */
static bool keeps(void)
{
	return !IS_ENABLED(CONFIG_KASAN) && !want_init_on_free();
}

static void expect_kept(struct kunit *test, struct kpy_heap *heap, u32 nr, u32 bytes)
{
	KUNIT_EXPECT_EQ(test, heap->c.large_cached, keeps() ? nr : 0);
	KUNIT_EXPECT_EQ(test, heap->c.large_cached_bytes, keeps() ? bytes : 0);
	kt_expect_valid(test, heap);
}

static void kept_serves_what_was_freed(struct kunit *test)
{
	struct kpy_heap *heap = kt_heap_of_mode(test, &geometry);
	void *p, *q;

	KUNIT_ASSERT_NOT_NULL(test, heap);
	p = kpy_alloc(heap, SIZE, GFP_KERNEL);
	kpy_free(heap, p);
	expect_kept(test, heap, 1, KIND);
	KUNIT_EXPECT_EQ(test, heap->c.large_blocks, 0);
	KUNIT_EXPECT_EQ(test, heap->c.large_bytes, 0);
	KUNIT_EXPECT_EQ(test, heap->c.held_bytes, keeps() ? KIND : 0);

	q = kpy_alloc(heap, KIND, GFP_KERNEL);
	if (keeps())
		KUNIT_EXPECT_PTR_EQ(test, p, q);
	expect_kept(test, heap, 0, 0);
	KUNIT_EXPECT_EQ(test, heap->c.large_allocs, 2);
	KUNIT_EXPECT_EQ(test, heap->c.large_blocks, 1);
	KUNIT_EXPECT_EQ(test, heap->c.large_bytes, KIND);
	KUNIT_EXPECT_EQ(test, heap->c.large_bytes_peak, KIND);
	KUNIT_EXPECT_EQ(test, heap->c.held_bytes, KIND);
	KUNIT_EXPECT_EQ(test, kpy_usable_size(heap, q), KIND);
	memset(q, 0xff, KIND);
	kpy_free(heap, q);
	KUNIT_EXPECT_EQ(test, heap->c.large_frees, 2);
}

/* By the request's size: each its kind, and no kind serves another one. */
static void kept_by_size(struct kunit *test)
{
	static const u32 sizes[] = { 513, 1024, 1025, 2048, 2049, 4096, 4097, 8192 };
	struct kpy_heap *heap = kt_heap_of_mode(test, &geometry);
	void *p[ARRAY_SIZE(sizes)], *q[ARRAY_SIZE(sizes)];
	u32 i, held = 0, same = 0;

	KUNIT_ASSERT_NOT_NULL(test, heap);
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		p[i] = kpy_alloc(heap, sizes[i], GFP_KERNEL);
		held += roundup_pow_of_two(sizes[i]);
	}
	for (i = 0; i < ARRAY_SIZE(sizes); i++)
		kpy_free(heap, p[i]);
	expect_kept(test, heap, ARRAY_SIZE(sizes), held);
	/* The other block of the size was freed last. */
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		q[i] = kpy_alloc(heap, sizes[i], GFP_KERNEL);
		same += q[i] == p[i ^ 1];
		memset(q[i], 0xff, sizes[i]);
	}
	if (keeps())
		KUNIT_EXPECT_EQ(test, same, ARRAY_SIZE(sizes));
	kt_free(heap, q, ARRAY_SIZE(q));
}

/* Neither small blocks in disguise, nor what is larger than the largest kind. */
static void kept_are_not_others(struct kunit *test)
{
	static const u32 sizes[] = { 0, 8193, 100000, 8 << 20 };
	struct kpy_heap *heap = kt_heap_of_mode(test, &geometry);
	void *p;
	u32 i;

	KUNIT_ASSERT_NOT_NULL(test, heap);
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		p = kpy_alloc(heap, sizes[i], GFP_KERNEL);
		kpy_free(heap, p);
		expect_kept(test, heap, 0, 0);
	}
	/* Somebody pays for it. */
	p = kpy_alloc(heap, SIZE, GFP_KERNEL | __GFP_ACCOUNT);
	kpy_free(heap, p);
	expect_kept(test, heap, 0, 0);
	/* And nobody who pays gets a block that another one paid for. */
	p = kpy_alloc(heap, SIZE, GFP_KERNEL);
	kpy_free(heap, p);
	p = kpy_alloc(heap, SIZE, GFP_KERNEL | __GFP_ACCOUNT);
	expect_kept(test, heap, 1, KIND);
	kpy_free(heap, p);
	KUNIT_EXPECT_EQ(test, heap->c.held_bytes, heap->c.large_cached_bytes);
}

static void kept_is_no_fallback(struct kunit *test)
{
	struct kpy_heap_params params = {
		.geometry = geometry, .flags = KPY_HEAP_SILENT, .limit = 3 * KIND,
	};
	struct kpy_heap *heap = kt_heap_of(test, &params);
	void *p;

	KUNIT_ASSERT_NOT_NULL(test, heap);
	p = kpy_alloc(heap, 512, GFP_KERNEL);
	KUNIT_EXPECT_EQ(test, heap->c.large_fallbacks, 1);
	kpy_free(heap, p);
	expect_kept(test, heap, 0, 0);
}

static void kept_are_few(struct kunit *test)
{
	struct kpy_heap *heap = kt_heap_of_mode(test, &geometry);
	void *p[MANY];

	KUNIT_ASSERT_NOT_NULL(test, heap);
	KUNIT_ASSERT_TRUE(test, kt_fill(heap, p, MANY, SIZE));
	kt_free(heap, p, MANY);
	expect_kept(test, heap, KEPT, KEPT * KIND);
	KUNIT_ASSERT_TRUE(test, kt_fill(heap, p, 3, 8192));
	kt_free(heap, p, 3);
	expect_kept(test, heap, KEPT + 2, KEPT * KIND + 2 * 8192);
	kpy_heap_trim(heap);
	expect_kept(test, heap, 0, 0);
	KUNIT_EXPECT_EQ(test, heap->c.held_bytes, 0);
}

static void kept_freed_twice(struct kunit *test)
{
	struct kpy_heap *heap = kt_heap_of_mode(test, &geometry);
	void *p;

	KUNIT_ASSERT_NOT_NULL(test, heap);
	p = kpy_alloc(heap, SIZE, GFP_KERNEL);
	kpy_free(heap, p);
	kpy_free(heap, p);
	KUNIT_EXPECT_EQ(test, heap->c.bad_pointers, 1);
	KUNIT_EXPECT_EQ(test, kpy_usable_size(heap, p), 0);
	KUNIT_EXPECT_NULL(test, kpy_realloc(heap, p, 10, GFP_KERNEL));
	KUNIT_EXPECT_EQ(test, heap->c.bad_pointers, 3);
	KUNIT_EXPECT_EQ(test, heap->c.large_frees, 1);
	expect_kept(test, heap, 1, KIND);
}

/* A request that the limit refuses gets the memory of kept blocks, and of free arenas. */
static void kept_makes_room_under_the_limit(struct kunit *test)
{
	struct kpy_heap_params params = {
		.geometry = geometry, .flags = KPY_HEAP_SILENT, .limit = (64 << 10) + KIND,
	};
	struct kpy_heap *heap = kt_heap_of(test, &params);
	void *p, *q;

	KUNIT_ASSERT_NOT_NULL(test, heap);
	p = kpy_alloc(heap, 100, GFP_KERNEL);
	q = kpy_alloc(heap, SIZE, GFP_KERNEL);
	KUNIT_EXPECT_NULL(test, kpy_alloc(heap, 4096, GFP_KERNEL));
	KUNIT_EXPECT_EQ(test, heap->c.limit_failures, 1);
	kpy_free(heap, p);
	kpy_free(heap, q);
	p = kpy_alloc(heap, 40000, GFP_KERNEL);
	KUNIT_EXPECT_NOT_NULL(test, p);
	expect_kept(test, heap, 0, 0);
	KUNIT_EXPECT_EQ(test, heap->c.arenas_current, 0);
	KUNIT_EXPECT_EQ(test, heap->c.limit_failures, 1);
	kpy_free(heap, p);
}

/* A kept block has what its last user wrote; who wants zeroes gets them. */
static void kept_zeroed(struct kunit *test)
{
	struct kpy_heap *heap = kt_heap_of_mode(test, &geometry);
	u8 *p;

	KUNIT_ASSERT_NOT_NULL(test, heap);
	p = kpy_alloc(heap, SIZE, GFP_KERNEL);
	memset(p, 0xff, SIZE);
	kpy_free(heap, p);
	p = kpy_zalloc(heap, SIZE, GFP_KERNEL);
	KUNIT_EXPECT_NULL(test, memchr_inv(p, 0, SIZE));
	kpy_free(heap, p);
}

static struct kunit_case cases[] = {
	KUNIT_CASE_PARAM(kept_serves_what_was_freed, kt_mode_gen_params),
	KUNIT_CASE_PARAM(kept_by_size, kt_mode_gen_params),
	KUNIT_CASE_PARAM(kept_are_not_others, kt_mode_gen_params),
	KUNIT_CASE(kept_is_no_fallback),
	KUNIT_CASE_PARAM(kept_are_few, kt_mode_gen_params),
	KUNIT_CASE_PARAM(kept_freed_twice, kt_mode_gen_params),
	KUNIT_CASE(kept_makes_room_under_the_limit),
	KUNIT_CASE_PARAM(kept_zeroed, kt_mode_gen_params),
	{}
};

struct kunit_suite kpy_kept_suite = {
	.name = "kpy_kept", .init = kt_init, .exit = kt_exit, .test_cases = cases,
};
