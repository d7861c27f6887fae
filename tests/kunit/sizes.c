// SPDX-License-Identifier: GPL-2.0
/*
 * Size classes: which request has which class, how many blocks a pool has of
 * it, and what is left over, for every alignment and pool size.
 */
#include <linux/mm.h>

#include "store/pool.h"
#include "suite.h"

static const struct kpy_geometry geometries[] = {
	{ 16 << 10, 4 << 10, 8, 512 },
	{ 16 << 10, 4 << 10, 16, 512 },
	{ 16 << 10, 4 << 10, 32, 512 },
	{ 64 << 10, 16 << 10, 8, 512 },
	{ 64 << 10, 16 << 10, 16, 512 },
	{ 64 << 10, 16 << 10, 32, 512 },
	{ 128 << 10, 64 << 10, 8, 512 },
	{ 128 << 10, 64 << 10, 16, 512 },
	{ 128 << 10, 64 << 10, 32, 512 },
	{ 16 << 10, 4 << 10, 8, 8 },
	{ 64 << 10, 16 << 10, 16, 256 },
	{ 128 << 10, 64 << 10, 32, 96 },
};

static void describe(const struct kpy_geometry *geo, char *desc)
{
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "pool %u align %u max %u",
		 geo->pool_size, geo->alignment, geo->max_small);
}

KUNIT_ARRAY_PARAM(geometry, geometries, describe);

static u32 header_of(const struct kpy_geometry *geo)
{
	return roundup(48, geo->alignment);
}

/* Blocks of @size that did not come one behind the other in one pool, in order. */
static u32 misplaced(struct kpy_heap *heap, void **p, u32 n, u32 size)
{
	unsigned long first = (unsigned long)kt_pool(heap, p[0]) + header_of(&heap->geo);
	u32 i, bad = 0;

	for (i = 0; i < n; i++)
		bad += (unsigned long)p[i] != first + i * size;
	return bad;
}

static void check_class(struct kunit *test, struct kpy_heap *heap, u32 szidx, void **p)
{
	const struct kpy_geometry *geo = &heap->geo;
	u32 size = (szidx + 1) * geo->alignment;
	u32 n = (geo->pool_size - header_of(geo)) / size;

	KUNIT_EXPECT_TRUE(test, kt_fill(heap, p, n, size));
	KUNIT_EXPECT_EQ(test, kt_where(test, heap, p[n - 1]).szidx, szidx);
	KUNIT_EXPECT_EQ(test, kt_where(test, heap, p[n - 1]).size, size);
	KUNIT_EXPECT_EQ(test, kt_where(test, heap, p[n - 1]).block, n - 1);
	KUNIT_EXPECT_EQ(test, misplaced(heap, p, n, size), 0);
	KUNIT_EXPECT_EQ(test, heap->class[szidx].pools, 1);

	KUNIT_EXPECT_TRUE(test, kt_fill(heap, p + n, 1, size));
	KUNIT_EXPECT_EQ(test, heap->class[szidx].pools, 2);
	KUNIT_EXPECT_EQ(test, heap->class[szidx].in_use, n + 1);
	KUNIT_EXPECT_EQ(test, misplaced(heap, p + n, 1, size), 0);
	kt_free(heap, p, n + 1);
}

/* A pool holds exactly N = (pool - header) / S blocks, S apart. */
static void sizes_pool_capacity(struct kunit *test)
{
	const struct kpy_geometry *geo = test->param_value;
	struct kpy_heap *heap = kt_heap(test, geo);
	u32 szidx, most = geo->pool_size / geo->alignment;
	void **p = kt_memory(test, (most + 1) * sizeof(*p));

	KUNIT_ASSERT_NOT_NULL(test, heap);
	KUNIT_ASSERT_NOT_NULL(test, p);
	KUNIT_ASSERT_EQ(test, heap->nr_classes, geo->max_small / geo->alignment);
	for (szidx = 0; szidx < heap->nr_classes; szidx++)
		check_class(test, heap, szidx, p);
}

static void check_request(struct kunit *test, struct kpy_heap *heap, size_t request, u32 szidx)
{
	void *ptr = kpy_alloc(heap, request, GFP_KERNEL);
	u32 size = (szidx + 1) * heap->geo.alignment;

	KUNIT_EXPECT_EQ(test, kt_where(test, heap, ptr).szidx, szidx);
	KUNIT_EXPECT_EQ(test, kpy_usable_size(heap, ptr), size);
	KUNIT_EXPECT_TRUE(test, IS_ALIGNED((unsigned long)ptr, heap->geo.alignment));
	kpy_free(heap, ptr);
}

/* Classes begin one byte above the one before, and end at their size. */
static void sizes_class_edges(struct kunit *test)
{
	const struct kpy_geometry *geo = test->param_value;
	struct kpy_heap *heap = kt_heap(test, geo);
	u32 szidx;
	void *ptr;

	KUNIT_ASSERT_NOT_NULL(test, heap);
	for (szidx = 0; szidx < heap->nr_classes; szidx++) {
		check_request(test, heap, szidx * geo->alignment + 1, szidx);
		check_request(test, heap, (szidx + 1) * geo->alignment, szidx);
	}
	ptr = kpy_alloc(heap, geo->max_small + 1, GFP_KERNEL);
	KUNIT_EXPECT_TRUE(test, kt_is_large(heap, ptr));
	KUNIT_EXPECT_EQ(test, kpy_usable_size(heap, ptr), geo->max_small + 1);
	kpy_free(heap, ptr);
}

/* What is left over behind the last block, alone and summed up. */
static void sizes_quantization(struct kunit *test)
{
	const struct kpy_geometry *geo = test->param_value;
	struct kpy_heap *heap = kt_heap(test, geo);
	struct kpy_heap_stats *stats = kt_memory(test, sizeof(*stats));
	u32 size, room = geo->pool_size - header_of(geo);
	void *p[KPY_MAX_CLASSES];
	u64 lost = 0;
	u32 i;

	KUNIT_ASSERT_NOT_NULL(test, heap);
	KUNIT_ASSERT_NOT_NULL(test, stats);
	for (i = 0; i < heap->nr_classes; i++) {
		size = (i + 1) * geo->alignment;
		p[i] = kpy_alloc(heap, size, GFP_KERNEL);
		lost += room % size;
		kpy_heap_stats(heap, stats);
		KUNIT_EXPECT_EQ(test, stats->bytes_quantization, lost);
		KUNIT_EXPECT_EQ(test, stats->class[i].available, room / size - 1);
	}
	KUNIT_EXPECT_EQ(test, stats->bytes_pool_headers, heap->nr_classes * header_of(geo));
	KUNIT_EXPECT_EQ(test, stats->bytes_total, stats->arenas_current * geo->arena_size);
	kt_free(heap, p, heap->nr_classes);
}

/* The capacities and losses that CPython 3.10 and 3.9 have, by class. */
static const struct {
	u16 capacity16k, loss16k, capacity4k, loss4k;
} cpython[] = {
	{ 1021, 0, 253, 0 },	{ 510, 16, 126, 16 },	{ 340, 16, 84, 16 },
	{ 255, 16, 63, 16 },	{ 204, 16, 50, 48 },	{ 170, 16, 42, 16 },
	{ 145, 96, 36, 16 },	{ 127, 80, 31, 80 },	{ 113, 64, 28, 16 },
	{ 102, 16, 25, 48 },	{ 92, 144, 23, 0 },	{ 85, 16, 21, 16 },
	{ 78, 112, 19, 96 },	{ 72, 208, 18, 16 },	{ 68, 16, 16, 208 },
	{ 63, 208, 15, 208 },	{ 60, 16, 14, 240 },	{ 56, 208, 14, 16 },
	{ 53, 224, 13, 96 },	{ 51, 16, 12, 208 },	{ 48, 208, 12, 16 },
	{ 46, 144, 11, 176 },	{ 44, 144, 11, 0 },	{ 42, 208, 10, 208 },
	{ 40, 336, 10, 48 },	{ 39, 112, 9, 304 },	{ 37, 352, 9, 160 },
	{ 36, 208, 9, 16 },	{ 35, 96, 8, 336 },	{ 34, 16, 8, 208 },
	{ 32, 464, 8, 80 },	{ 31, 464, 7, 464 },
};

static void check_cpython(struct kunit *test, struct kpy_heap *heap,
			  struct kpy_heap_stats *stats, u32 szidx, u32 capacity, u32 loss)
{
	void *ptr = kpy_alloc(heap, (szidx + 1) * 16, GFP_KERNEL);

	kpy_heap_stats(heap, stats);
	KUNIT_EXPECT_EQ(test, stats->class[szidx].available, capacity - 1);
	KUNIT_EXPECT_EQ(test, stats->bytes_quantization, loss);
	kpy_free(heap, ptr);
}

static void sizes_of_cpython(struct kunit *test)
{
	struct kpy_heap *heap16k = kt_heap(test, kpy_preset("cpython-3.10"));
	struct kpy_heap *heap4k = kt_heap(test, kpy_preset("cpython-3.9"));
	struct kpy_heap_stats *stats = kt_memory(test, sizeof(*stats));
	u32 i;

	KUNIT_ASSERT_NOT_NULL(test, stats);
	KUNIT_ASSERT_NOT_NULL(test, heap16k);
	KUNIT_ASSERT_NOT_NULL(test, heap4k);
	KUNIT_ASSERT_EQ(test, heap16k->nr_classes, ARRAY_SIZE(cpython));
	KUNIT_ASSERT_EQ(test, heap4k->nr_classes, ARRAY_SIZE(cpython));
	for (i = 0; i < ARRAY_SIZE(cpython); i++) {
		check_cpython(test, heap16k, stats, i,
			      cpython[i].capacity16k, cpython[i].loss16k);
		check_cpython(test, heap4k, stats, i,
			      cpython[i].capacity4k, cpython[i].loss4k);
	}
}

/* The quick check of where blocks start, against division, for each byte of a pool. */
static void sizes_block_starts(struct kunit *test)
{
	const struct kpy_geometry *geo = test->param_value;
	struct kpy_heap *heap = kt_heap(test, geo);
	struct kpy_pool pool;	/* only its address and its header count */
	u32 i, offset, size, wrong = 0;
	bool starts;

	KUNIT_ASSERT_NOT_NULL(test, heap);
	for (i = 0; i < heap->nr_classes; i++) {
		size = kpy_class_size(heap, i);
		pool.nextoffset = heap->pool_header + kpy_class_capacity(heap, i) * size;
		for (offset = 0; offset < geo->pool_size; offset++) {
			starts = offset >= heap->pool_header && offset < pool.nextoffset &&
				 (offset - heap->pool_header) % size == 0;
			wrong += starts != kpy_pool_starts_block(heap, &heap->class[i], &pool,
								 (char *)&pool + offset);
		}
	}
	KUNIT_EXPECT_EQ(test, wrong, 0);
}

static struct kunit_case cases[] = {
	KUNIT_CASE_PARAM(sizes_block_starts, geometry_gen_params),
	KUNIT_CASE_PARAM(sizes_pool_capacity, geometry_gen_params),
	KUNIT_CASE_PARAM(sizes_class_edges, geometry_gen_params),
	KUNIT_CASE_PARAM(sizes_quantization, geometry_gen_params),
	KUNIT_CASE(sizes_of_cpython),
	{}
};

struct kunit_suite kpy_sizes_suite = {
	.name = "kpy_sizes", .init = kt_init, .exit = kt_exit, .test_cases = cases,
};
