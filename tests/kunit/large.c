// SPDX-License-Identifier: GPL-2.0
/*
 * Blocks of the general allocator: 0 bytes, above the largest small request,
 * up to vmalloc's; their table, their counters, and zeroing of all kinds.
 */
#include <linux/mm.h>
#include <linux/string.h>

#include "suite.h"

#define MANY	700

static const struct kpy_geometry geometry = { 64 << 10, 4 << 10, 16, 512 };

static void expect_nothing_left(struct kunit *test, struct kpy_heap *heap)
{
	KUNIT_EXPECT_EQ(test, heap->c.large_blocks, 0);
	KUNIT_EXPECT_EQ(test, heap->c.large_bytes, 0);
	KUNIT_EXPECT_EQ(test, heap->c.large_allocs, heap->c.large_frees);
	KUNIT_EXPECT_EQ(test, kt_held(heap),
			heap->c.arenas_current * heap->geo.arena_size);
	KUNIT_EXPECT_EQ(test, heap->c.bad_pointers, 0);
}

/* 0 bytes: distinct blocks that may be freed, by all ways that lead there. */
static void large_zero_bytes(struct kunit *test)
{
	struct kpy_heap *heap = kt_heap(test, &geometry);
	void *p[100];
	u32 i, j, same = 0;

	KUNIT_ASSERT_NOT_NULL(test, heap);
	KUNIT_ASSERT_TRUE(test, kt_fill(heap, p, ARRAY_SIZE(p) - 3, 0));
	p[97] = kpy_zalloc(heap, 0, GFP_KERNEL);
	p[98] = kpy_calloc(heap, 0, 8, GFP_KERNEL);
	p[99] = kpy_calloc(heap, 8, 0, GFP_KERNEL);
	for (i = 0; i < ARRAY_SIZE(p); i++) {
		KUNIT_EXPECT_TRUE(test, kt_is_large(heap, p[i]));
		for (j = 0; j < i; j++)
			same += p[i] == p[j];
	}
	KUNIT_EXPECT_EQ(test, same, 0);
	KUNIT_EXPECT_EQ(test, heap->c.large_blocks, ARRAY_SIZE(p));
	KUNIT_EXPECT_EQ(test, heap->c.large_bytes, 0);
	KUNIT_EXPECT_EQ(test, kpy_usable_size(heap, p[0]), 0);
	kt_free(heap, p, ARRAY_SIZE(p));
	expect_nothing_left(test, heap);
}

static void large_above_the_largest_small(struct kunit *test)
{
	static const u32 sizes[] = { 513, 1000, 4096, 4097, 65536, 1 << 20 };
	struct kpy_heap *heap = kt_heap(test, &geometry);
	u64 bytes = 0;
	void *p[ARRAY_SIZE(sizes)];
	u32 i;

	KUNIT_ASSERT_NOT_NULL(test, heap);
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		p[i] = kpy_alloc(heap, sizes[i], GFP_KERNEL);
		KUNIT_ASSERT_TRUE(test, kt_is_large(heap, p[i]));
		memset(p[i], 0xff, sizes[i]);
		bytes += sizes[i];
		KUNIT_EXPECT_EQ(test, kpy_usable_size(heap, p[i]), sizes[i]);
		KUNIT_EXPECT_EQ(test, heap->c.large_bytes, bytes);
		KUNIT_EXPECT_TRUE(test, heap->c.held_bytes >= bytes);
	}
	KUNIT_EXPECT_EQ(test, heap->c.allocs, 0);
	KUNIT_EXPECT_EQ(test, heap->c.arenas_total, 0);
	kt_free(heap, p, ARRAY_SIZE(p));
	KUNIT_EXPECT_EQ(test, heap->c.large_bytes_peak, bytes);
	KUNIT_EXPECT_TRUE(test, heap->c.held_bytes_peak >= bytes);
	expect_nothing_left(test, heap);

	kpy_heap_trim(heap);
	kpy_heap_reset_peaks(heap);
	KUNIT_EXPECT_EQ(test, heap->c.large_bytes_peak, 0);
	KUNIT_EXPECT_EQ(test, heap->c.held_bytes_peak, 0);
}

/* INT_MAX may be had or not, anything above it never. */
static void large_limit(struct kunit *test)
{
	static const size_t sizes[] = { INT_MAX + 1UL, SIZE_MAX / 2, SIZE_MAX - 1, SIZE_MAX };
	struct kpy_heap *heap = kt_heap(test, &geometry);
	void *ptr;
	u32 i;

	KUNIT_ASSERT_NOT_NULL(test, heap);
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		KUNIT_EXPECT_NULL(test, kpy_alloc(heap, sizes[i], GFP_KERNEL));
		KUNIT_EXPECT_NULL(test, kpy_zalloc(heap, sizes[i], GFP_KERNEL));
		KUNIT_EXPECT_EQ(test, heap->c.alloc_failures, 2 * (i + 1));
	}
	ptr = kpy_alloc(heap, INT_MAX, GFP_KERNEL | __GFP_NOWARN | __GFP_NORETRY);
	KUNIT_EXPECT_EQ(test, heap->c.large_blocks, !!ptr);
	KUNIT_EXPECT_EQ(test, heap->c.alloc_failures, 2 * i + !ptr);
	kpy_free(heap, ptr);
	expect_nothing_left(test, heap);
}

/* Too big for pages in a row. */
static void large_vmalloc(struct kunit *test)
{
	const size_t size = (8 << 20) + 1;
	struct kpy_heap *heap = kt_heap(test, &geometry);
	u8 *ptr, *shrunk;

	KUNIT_ASSERT_NOT_NULL(test, heap);
	ptr = kpy_zalloc(heap, size, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, ptr);
	KUNIT_EXPECT_TRUE(test, is_vmalloc_addr(ptr));
	KUNIT_EXPECT_NULL(test, memchr_inv(ptr, 0, size));
	KUNIT_EXPECT_EQ(test, heap->c.large_bytes, size);
	KUNIT_EXPECT_EQ(test, heap->c.held_bytes, PAGE_ALIGN(size));

	/* The same pages: it stays.  Fewer: it moves and gives some back. */
	shrunk = kpy_realloc(heap, ptr, size - 1, GFP_KERNEL);
	KUNIT_EXPECT_EQ(test, kpy_usable_size(heap, shrunk), size - 1);
	shrunk = kpy_realloc(heap, shrunk, 4 << 20, GFP_KERNEL);
	KUNIT_EXPECT_EQ(test, kpy_usable_size(heap, shrunk), 4 << 20);
	KUNIT_EXPECT_TRUE(test, heap->c.held_bytes < size);
	KUNIT_EXPECT_EQ(test, heap->c.large_blocks, 1);
	kpy_free(heap, shrunk);
	expect_nothing_left(test, heap);
}

/* Blocks whose size the heap does not know: block i has 513 + i bytes. */
static u32 forgotten(struct kpy_heap *heap, void **p)
{
	u32 i, n = 0;

	for (i = 0; i < MANY; i++)
		n += p[i] && kpy_usable_size(heap, p[i]) != 513 + i;
	return n;
}

/* So many that the table splits its buckets hundreds of times. */
static void large_many(struct kunit *test)
{
	struct kpy_heap *heap = kt_heap(test, &geometry);
	void **p = kt_memory(test, 2 * MANY * sizeof(*p)), **random = p + MANY;
	u32 i, j;

	KUNIT_ASSERT_NOT_NULL(test, heap);
	KUNIT_ASSERT_NOT_NULL(test, p);
	for (i = 0; i < MANY; i++) {
		KUNIT_ASSERT_TRUE(test, kt_fill(heap, p + i, 1, 513 + i));
		if (i % 100 == 0)
			KUNIT_EXPECT_EQ(test, forgotten(heap, p), 0);
	}
	KUNIT_EXPECT_EQ(test, heap->table.nr_buckets, MANY);
	KUNIT_EXPECT_EQ(test, heap->c.large_blocks, MANY);
	KUNIT_EXPECT_EQ(test, forgotten(heap, p), 0);
	kt_expect_valid(test, heap);

	memcpy(random, p, MANY * sizeof(*p));
	kt_shuffle(random, MANY, 7);
	for (i = 0; i < MANY; i++) {
		for (j = 0; p[j] != random[i]; j++)
			;
		kt_free(heap, p + j, 1);
		if (i % 100 == 0)
			KUNIT_EXPECT_EQ(test, forgotten(heap, p), 0);
	}
	expect_nothing_left(test, heap);
}

/* n * size is checked; a product that just fits is only too much. */
static void large_calloc_overflow(struct kunit *test)
{
	static const struct {
		size_t n, size;
	} arrays[] = {
		{ SIZE_MAX, 2 }, { 2, SIZE_MAX }, { SIZE_MAX / 2 + 1, 2 }, { SIZE_MAX / 3, 4 },
		{ 1UL << 32, 1UL << 32 }, { SIZE_MAX, SIZE_MAX }, { SIZE_MAX / 16, 16 },
		{ 1 << 16, 1 << 15 },
	};
	struct kpy_heap *heap = kt_heap(test, &geometry);
	u32 i;

	KUNIT_ASSERT_NOT_NULL(test, heap);
	for (i = 0; i < ARRAY_SIZE(arrays); i++) {
		KUNIT_EXPECT_NULL(test, kpy_calloc(heap, arrays[i].n, arrays[i].size, GFP_KERNEL));
		KUNIT_EXPECT_EQ(test, heap->c.alloc_failures, i + 1);
	}
	expect_nothing_left(test, heap);
}

static bool is_zero(const void *p, size_t n)
{
	return p && !memchr_inv(p, 0, n);
}

/* Zeroed to the last byte asked for, also where something was before. */
static void large_and_small_zeroing(struct kunit *test)
{
	static const u16 sizes[] = { 1, 7, 8, 16, 17, 100, 512, 513, 5000 };
	struct kpy_heap *heap = kt_heap(test, &geometry);
	void *p[3] = {};
	u32 i, size;

	KUNIT_ASSERT_NOT_NULL(test, heap);
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		size = sizes[i];
		KUNIT_ASSERT_TRUE(test, kt_fill(heap, p, ARRAY_SIZE(p), size));
		memset(p[0], 0xff, size);
		memset(p[1], 0xff, size);
		memset(p[2], 0xff, size);
		kt_free(heap, p, ARRAY_SIZE(p));

		p[0] = kpy_zalloc(heap, size, GFP_KERNEL);
		p[1] = kpy_calloc(heap, size, 1, GFP_KERNEL);
		p[2] = kpy_alloc(heap, size, GFP_KERNEL | __GFP_ZERO);
		KUNIT_EXPECT_TRUE(test, is_zero(p[0], size));
		KUNIT_EXPECT_TRUE(test, is_zero(p[1], size));
		KUNIT_EXPECT_TRUE(test, is_zero(p[2], size));
		kt_free(heap, p, ARRAY_SIZE(p));
	}
	expect_nothing_left(test, heap);
}

/* Zones are ignored, whichever way a block is served; a complaint would end in the log. */
static void large_and_small_ignore_zones(struct kunit *test)
{
	static const gfp_t zones[] = { __GFP_DMA, __GFP_DMA32, __GFP_HIGHMEM, __GFP_MOVABLE };
	static const u32 sizes[] = { 0, 100, 5000, 8 << 20 };
	struct kpy_heap *heap = kt_heap(test, &geometry);
	void *ptr;
	u32 i;

	KUNIT_ASSERT_NOT_NULL(test, heap);
	for (i = 0; i < ARRAY_SIZE(zones) * ARRAY_SIZE(sizes); i++) {
		ptr = kpy_alloc(heap, sizes[i % 4], GFP_KERNEL | zones[i / 4]);
		KUNIT_EXPECT_NOT_NULL(test, ptr);
		ptr = kpy_realloc(heap, ptr, sizes[(i + 1) % 4], GFP_KERNEL | zones[i / 4]);
		KUNIT_EXPECT_NOT_NULL(test, ptr);
		kpy_free(heap, ptr);
	}
	expect_nothing_left(test, heap);
}

/* A heap may go with all that lives in it; what is lost then is a leak checker's to say. */
static void large_destroyed_alive(struct kunit *test)
{
	static const u32 sizes[] = { 0, 1, 512, 513, 100000, 8 << 20 };
	struct kpy_heap_params params = { "kunit-alive", geometry };
	struct kpy_heap *heap = kpy_heap_create(&params);
	u32 i;

	KUNIT_ASSERT_TRUE(test, !IS_ERR(heap));
	for (i = 0; i < ARRAY_SIZE(sizes); i++)
		KUNIT_EXPECT_NOT_NULL(test, kpy_alloc(heap, sizes[i], GFP_KERNEL));
	KUNIT_EXPECT_EQ(test, kpy_heap_destroy(heap), 0);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(large_zero_bytes),
	KUNIT_CASE(large_above_the_largest_small),
	KUNIT_CASE(large_limit),
	KUNIT_CASE(large_vmalloc),
	KUNIT_CASE(large_many),
	KUNIT_CASE(large_calloc_overflow),
	KUNIT_CASE(large_and_small_zeroing),
	KUNIT_CASE(large_and_small_ignore_zones),
	KUNIT_CASE(large_destroyed_alive),
	{}
};

struct kunit_suite kpy_large_suite = {
	.name = "kpy_large", .init = kt_init, .exit = kt_exit, .test_cases = cases,
};
