// SPDX-License-Identifier: GPL-2.0
/*
 * realloc: a small block stays iff the new size fits its class and is more
 * than three quarters of the class size; a large one stays large.
 */
#include <linux/string.h>

#include "suite.h"

static const struct kpy_geometry geometries[] = {
	{ 64 << 10, 4 << 10, 8, 512 },
	{ 64 << 10, 4 << 10, 16, 512 },
	{ 64 << 10, 4 << 10, 32, 512 },
};

static const struct kpy_geometry *const geometry = &geometries[1];

static void describe(const struct kpy_geometry *geo, char *desc)
{
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "align %u", geo->alignment);
}

KUNIT_ARRAY_PARAM(geometry, geometries, describe);

static bool all_are(const void *p, int byte, size_t n)
{
	return !memchr_inv(p, byte, n);
}

/*
 * A block of the class to a size; says whether it did as the rule wants.  When
 * it moves, the old place must be the one freed last: the new block was had first.
 */
static bool obeys(struct kpy_heap *heap, u32 class_size, u32 size)
{
	bool stays = size <= class_size && size > class_size / 4 * 3;
	void *old = kpy_alloc(heap, class_size, GFP_KERNEL), *ptr, *next;
	bool ok;

	memset(old, 0xa5, class_size);
	ptr = kpy_realloc(heap, old, size, GFP_KERNEL);
	ok = ptr && (ptr == old) == stays && all_are(ptr, 0xa5, min(size, class_size));
	if (!stays) {
		next = kpy_alloc(heap, class_size, GFP_KERNEL);
		ok &= next == old;
		kpy_free(heap, next);
	}
	kpy_free(heap, ptr);
	return ok;
}

/* Every class, every size up to the largest small one. */
static void realloc_three_quarters(struct kunit *test)
{
	struct kpy_heap *heap = kt_heap(test, test->param_value);
	u32 class_size, size, step = heap ? heap->geo.alignment : 0;
	void *anchor[KPY_MAX_CLASSES];

	KUNIT_ASSERT_NOT_NULL(test, heap);
	/* Keeps a pool of each class: otherwise an emptied one may be laid out anew. */
	for (class_size = step; class_size <= KPY_SMALL_MAX; class_size += step)
		kt_fill(heap, &anchor[class_size / step - 1], 1, class_size);
	for (class_size = step; class_size <= KPY_SMALL_MAX; class_size += step)
		for (size = 1; size <= class_size + step && size <= KPY_SMALL_MAX; size++)
			if (!obeys(heap, class_size, size))
				KUNIT_FAIL(test, "%u to %u", class_size, size);
	KUNIT_EXPECT_EQ(test, heap->c.large_allocs, 0);
	kt_free(heap, anchor, heap->nr_classes);
}

static const struct example {
	u16 from, to;
	bool stays;
} examples[] = {
	{ 16, 12, false }, { 16, 13, true }, { 16, 16, true }, { 1, 13, true },
	{ 32, 17, false }, { 32, 24, false }, { 32, 25, true },
	{ 48, 33, false }, { 48, 36, false }, { 48, 37, true },
	{ 64, 48, false }, { 64, 49, true }, { 49, 64, true }, { 64, 65, false },
	{ 512, 384, false }, { 512, 385, true }, { 497, 512, true }, { 512, 513, false },
};

static void describe_example(const struct example *example, char *desc)
{
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "%u to %u", example->from, example->to);
}

KUNIT_ARRAY_PARAM(example, examples, describe_example);

/* What CPython was seen to do. */
static void realloc_as_cpython(struct kunit *test)
{
	const struct example *example = test->param_value;
	struct kpy_heap *heap = kt_heap(test, geometry);
	void *old, *ptr;

	KUNIT_ASSERT_NOT_NULL(test, heap);
	old = kpy_alloc(heap, example->from, GFP_KERNEL);
	ptr = kpy_realloc(heap, old, example->to, GFP_KERNEL);
	KUNIT_EXPECT_EQ(test, ptr == old, example->stays);
	KUNIT_EXPECT_EQ(test, heap->c.reallocs, 1);
	KUNIT_EXPECT_EQ(test, heap->c.reallocs_in_place, example->stays);
	kpy_free(heap, ptr);
	KUNIT_EXPECT_EQ(test, heap->c.allocs, heap->c.frees);
}

/* 32 → 24 moves to another block of the same class. */
static void realloc_moves_in_its_class(struct kunit *test)
{
	struct kpy_heap *heap = kt_heap(test, geometry);
	void *old, *ptr;

	KUNIT_ASSERT_NOT_NULL(test, heap);
	old = kpy_alloc(heap, 32, GFP_KERNEL);
	ptr = kpy_realloc(heap, old, 24, GFP_KERNEL);
	KUNIT_EXPECT_EQ(test, kt_where(test, heap, ptr).szidx, kt_where(test, heap, old).szidx);
	KUNIT_EXPECT_EQ(test, kt_where(test, heap, ptr).block, 1);
	KUNIT_EXPECT_PTR_EQ(test, kt_pool(heap, ptr), kt_pool(heap, old));
	kpy_free(heap, ptr);
}

static void realloc_null_is_alloc(struct kunit *test)
{
	struct kpy_heap *heap = kt_heap(test, geometry);
	void *ptr, *large;

	KUNIT_ASSERT_NOT_NULL(test, heap);
	ptr = kpy_realloc(heap, NULL, 100, GFP_KERNEL);
	KUNIT_EXPECT_EQ(test, kt_where(test, heap, ptr).size, 112);
	large = kpy_realloc(heap, NULL, 1000, GFP_KERNEL);
	KUNIT_EXPECT_TRUE(test, kt_is_large(heap, large));
	KUNIT_EXPECT_EQ(test, heap->c.reallocs, 0);
	kpy_free(heap, ptr);
	kpy_free(heap, large);
}

/* To 0 bytes: a block of the general allocator, not NULL. */
static void realloc_to_zero(struct kunit *test)
{
	struct kpy_heap *heap = kt_heap(test, geometry);
	void *ptr;

	KUNIT_ASSERT_NOT_NULL(test, heap);
	ptr = kpy_realloc(heap, kpy_alloc(heap, 100, GFP_KERNEL), 0, GFP_KERNEL);
	KUNIT_EXPECT_TRUE(test, kt_is_large(heap, ptr));
	KUNIT_EXPECT_EQ(test, heap->c.large_blocks, 1);
	KUNIT_EXPECT_EQ(test, heap->c.frees, 1);
	kpy_free(heap, ptr);
	KUNIT_EXPECT_EQ(test, heap->c.large_blocks, 0);
}

/* Through sizes small and large, by kmalloc and vmalloc; the front stays as it was. */
static void realloc_keeps_contents(struct kunit *test)
{
	static const u32 sizes[] = { 10, 300, 512, 513, 5000, 8 << 20, 9 << 20, 70000, 600, 40 };
	struct kpy_heap *heap = kt_heap(test, geometry);
	u32 i, size, old = 1;
	u8 *ptr = NULL;

	KUNIT_ASSERT_NOT_NULL(test, heap);
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		size = sizes[i];
		ptr = kpy_realloc(heap, ptr, size, GFP_KERNEL);
		KUNIT_ASSERT_NOT_NULL(test, ptr);
		if (i)
			KUNIT_EXPECT_TRUE(test, all_are(ptr, i, min(old, size)));
		memset(ptr, i + 1, size);
		old = size;
	}
	kpy_free(heap, ptr);
	KUNIT_EXPECT_EQ(test, heap->c.large_bytes, 0);
	KUNIT_EXPECT_EQ(test, heap->c.large_allocs, heap->c.large_frees);
}

/* A large block is one for good, even when it would fit a pool. */
static void realloc_large_stays_large(struct kunit *test)
{
	static const u16 sizes[] = { 600, 512, 100, 1, 0, 16, 513 };
	struct kpy_heap *heap = kt_heap(test, geometry);
	void *ptr = NULL;
	u32 i;

	KUNIT_ASSERT_NOT_NULL(test, heap);
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		ptr = kpy_realloc(heap, ptr, sizes[i], GFP_KERNEL);
		KUNIT_ASSERT_TRUE(test, kt_is_large(heap, ptr));
		KUNIT_EXPECT_EQ(test, kpy_usable_size(heap, ptr), sizes[i]);
		KUNIT_EXPECT_EQ(test, heap->c.large_blocks, 1);
		KUNIT_EXPECT_EQ(test, heap->c.large_bytes, sizes[i]);
	}
	KUNIT_EXPECT_EQ(test, heap->c.allocs, 0);
	kpy_free(heap, ptr);
	KUNIT_EXPECT_EQ(test, kt_held(heap), 0);
}

/* When it fails the old block is as it was. */
static void realloc_failing(struct kunit *test)
{
	static const u16 sizes[] = { 100, 1000 };
	struct kpy_heap *heap = kt_heap(test, geometry);
	void *ptr;
	u32 i;

	KUNIT_ASSERT_NOT_NULL(test, heap);
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		ptr = kpy_alloc(heap, sizes[i], GFP_KERNEL);
		memset(ptr, 0x5a, sizes[i]);
		KUNIT_EXPECT_NULL(test, kpy_realloc(heap, ptr, INT_MAX + 1UL, GFP_KERNEL));
		KUNIT_EXPECT_TRUE(test, all_are(ptr, 0x5a, sizes[i]));
		KUNIT_EXPECT_EQ(test, heap->c.alloc_failures, i + 1);
		kpy_free(heap, ptr);
	}
	KUNIT_EXPECT_EQ(test, heap->c.reallocs, 0);
	KUNIT_EXPECT_EQ(test, heap->c.bad_pointers, 0);
	KUNIT_EXPECT_EQ(test, heap->c.large_blocks, 0);
}

static struct kunit_case cases[] = {
	KUNIT_CASE_PARAM(realloc_three_quarters, geometry_gen_params),
	KUNIT_CASE_PARAM(realloc_as_cpython, example_gen_params),
	KUNIT_CASE(realloc_moves_in_its_class),
	KUNIT_CASE(realloc_null_is_alloc),
	KUNIT_CASE(realloc_to_zero),
	KUNIT_CASE(realloc_keeps_contents),
	KUNIT_CASE(realloc_large_stays_large),
	KUNIT_CASE(realloc_failing),
	{}
};

struct kunit_suite kpy_realloc_suite = {
	.name = "kpy_realloc", .init = kt_init, .exit = kt_exit, .test_cases = cases,
};
