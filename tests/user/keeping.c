// SPDX-License-Identifier: GPL-2.0
/*
 * Large blocks, to the block and to the record: which of them are kept and how many, that
 * they count as part of the table, who pays, what is asked of the general allocator,
 * and what is said of those that are freed twice.
 */
#include "user.h"
#include "store/table.h"

#define KINDS	5
#define MANY	10

static struct kpy_heap *heap_of(struct kunit *test, u32 max_small, unsigned int flags)
{
	struct kpy_heap_params params = {
		.geometry = { 64 << 10, 4 << 10, 16, max_small, KPY_RELEASE_KEEP_LAST },
		.flags = KPY_HEAP_SILENT | KPY_HEAP_ON_DEMAND | flags,
	};

	return kt_heap_of(test, &params);
}

static void free_one(struct kpy_heap *heap, size_t size)
{
	kpy_free(heap, kpy_alloc(heap, size, GFP_KERNEL));
}

/* Large requests may be small: which kind each size is, in its list and by its bytes. */
static void keeping_kinds(struct kunit *test)
{
	static const struct {
		u32 size;
		u32 kind;
	} sizes[] = {
		{ 0, KINDS }, { 129, KINDS }, { 256, KINDS }, { 257, 0 }, { 512, 0 }, { 513, 1 },
		{ 1024, 1 }, { 1025, 2 }, { 2048, 2 }, { 2049, 3 }, { 4096, 3 }, { 4097, 4 },
		{ 8192, 4 }, { 8193, KINDS }, { 16384, KINDS },
	};
	struct kpy_heap *heap = heap_of(test, 128, 0);
	u32 i, k;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		free_one(heap, sizes[i].size);
		for (k = 0; k < KINDS; k++)
			KUNIT_EXPECT_EQ(test, heap->kept[k].nr, k == sizes[i].kind);
		KUNIT_EXPECT_EQ(test, heap->c.large_cached, sizes[i].kind < KINDS);
		KUNIT_EXPECT_EQ(test, heap->c.held_bytes,
				sizes[i].kind < KINDS ? 512 << sizes[i].kind : 0);
		KUNIT_EXPECT_EQ(test, kpy_general_evict(heap), sizes[i].kind < KINDS);
		KUNIT_EXPECT_EQ(test, heap->c.held_bytes, 0);
	}
}

/* Four of a size, and no more than 16 KiB of them; evicted from the largest. */
static void keeping_how_many(struct kunit *test)
{
	static const u32 most[] = { 4, 4, 4, 4, 2 };
	struct kpy_heap *heap = heap_of(test, 128, 0);
	u32 i, n, left = 18;
	void *p[MANY];

	for (i = 0; i < KINDS; i++) {
		KUNIT_ASSERT_TRUE(test, kt_fill(heap, p, MANY, 512 << i));
		for (n = 0; n < MANY; n++) {
			kt_free(heap, p + n, 1);
			KUNIT_EXPECT_EQ(test, heap->kept[i].nr, min(n + 1, most[i]));
		}
	}
	KUNIT_EXPECT_EQ(test, heap->c.large_cached, left);
	KUNIT_EXPECT_EQ(test, heap->c.large_cached_bytes, 4 * (512 + 1024 + 2048 + 4096) + 16384);
	for (i = KINDS; i--; ) {
		for (n = most[i]; n--; ) {
			KUNIT_EXPECT_TRUE(test, kpy_general_evict(heap));
			KUNIT_EXPECT_EQ(test, heap->kept[i].nr, n);
			KUNIT_EXPECT_EQ(test, heap->c.large_cached, --left);
		}
	}
	KUNIT_EXPECT_FALSE(test, kpy_general_evict(heap));
	KUNIT_EXPECT_EQ(test, heap->c.held_bytes, 0);
}

/* The general allocator and its records are asked once for what is freed and wanted again. */
static void keeping_asks_nobody(struct kunit *test)
{
	struct kpy_heap *heap = heap_of(test, 512, 0);
	unsigned long blocks, records;
	u32 i;

	free_one(heap, 3000);
	blocks = sim_allocs[SIM_KMALLOC];
	records = sim_allocs[SIM_CACHE];
	for (i = 1; i <= MANY; i++) {
		free_one(heap, 2049 + i);
		KUNIT_EXPECT_EQ(test, heap->c.large_allocs, 1 + i);
		KUNIT_EXPECT_EQ(test, heap->c.large_frees, 1 + i);
		KUNIT_EXPECT_EQ(test, heap->c.large_bytes_peak, 3000);
		KUNIT_EXPECT_EQ(test, heap->nr_records, 0);
	}
	KUNIT_EXPECT_EQ(test, sim_allocs[SIM_KMALLOC], blocks);
	free_one(heap, 1000);
	KUNIT_EXPECT_EQ(test, sim_allocs[SIM_KMALLOC], blocks + 1);
	KUNIT_EXPECT_EQ(test, sim_allocs[SIM_CACHE], records + 1);
	/* Two records that are free are used for the next two blocks. */
	kpy_heap_trim(heap);
	KUNIT_EXPECT_EQ(test, heap->nr_records, 2);
	free_one(heap, 1000);
	free_one(heap, 3000);
	KUNIT_EXPECT_EQ(test, heap->nr_records, 0);
	KUNIT_EXPECT_EQ(test, sim_allocs[SIM_CACHE], records + 1);
}

/* Kept ones are in the table: it grows with them. */
static void keeping_in_the_table(struct kunit *test)
{
	struct kpy_heap *heap = heap_of(test, 512, 0);
	void *p[4], *q[20];
	u32 i;

	KUNIT_ASSERT_TRUE(test, kt_fill(heap, p, 4, 600));
	kt_free(heap, p, 4);
	KUNIT_ASSERT_TRUE(test, kt_fill(heap, q, 11, 3000));
	KUNIT_EXPECT_NULL(test, heap->table.chunk[1]);
	KUNIT_ASSERT_TRUE(test, kt_fill(heap, q + 11, 1, 3000));
	KUNIT_EXPECT_NOT_NULL(test, heap->table.chunk[1]);
	KUNIT_EXPECT_EQ(test, heap->table.nr_buckets, 16);
	for (i = 12; i < 20; i++) {
		q[i] = kpy_alloc(heap, 3000, GFP_KERNEL);
		KUNIT_EXPECT_EQ(test, heap->table.nr_buckets, 17 + i - 12);
		KUNIT_EXPECT_EQ(test, heap->table.mask, 31);
	}
	KUNIT_EXPECT_NULL(test, heap->table.chunk[2]);
	KUNIT_ASSERT_TRUE(test, kt_fill(heap, p, 4, 700));
	KUNIT_EXPECT_EQ(test, heap->table.nr_buckets, 24);
	kt_free(heap, p, 4);
	for (i = 0; i < 20; i++)
		KUNIT_EXPECT_EQ(test, kpy_usable_size(heap, q[i]), 3000);
	kt_free(heap, q, 20);
}

/* A heap that somebody pays for keeps nothing. */
static void keeping_nothing_charged(struct kunit *test)
{
	struct kpy_heap *heap = heap_of(test, 512, KPY_HEAP_ACCOUNT);

	free_one(heap, 3000);
	KUNIT_EXPECT_EQ(test, heap->c.large_cached, 0);
	KUNIT_EXPECT_EQ(test, heap->c.held_bytes, 0);
	KUNIT_EXPECT_EQ(test, sim_charged(SIM_KMALLOC), 0);
}

/* KFENCE's blocks are checked when they are freed. */
static void keeping_no_kfence(struct kunit *test)
{
	struct kpy_heap *heap = heap_of(test, 512, 0);
	void *p;

	sim_kfence = true;
	p = kpy_alloc(heap, 3000, GFP_KERNEL);
	sim_kfence = false;
	KUNIT_EXPECT_EQ(test, heap->c.held_bytes, 4096);
	kpy_free(heap, p);
	KUNIT_EXPECT_EQ(test, heap->c.large_cached, 0);
	KUNIT_EXPECT_EQ(test, heap->c.held_bytes, 0);
}

/* Who finds the lock busy takes another way: nothing is kept, and what is kept stays. */
static void keeping_with_a_busy_lock(struct kunit *test)
{
	struct kpy_heap *heap = heap_of(test, 512, 0);
	void *p = kpy_alloc(heap, 3000, GFP_KERNEL), *q;

	sim_busy_tries = 1;
	kpy_free(heap, p);
	sim_busy_tries = 0;
	KUNIT_EXPECT_EQ(test, heap->c.large_cached, 0);
	KUNIT_EXPECT_EQ(test, heap->c.large_frees, 1);
	free_one(heap, 3000);
	KUNIT_EXPECT_EQ(test, heap->c.large_cached, 1);
	sim_busy_tries = 1;
	q = kpy_alloc(heap, 3000, GFP_KERNEL);
	sim_busy_tries = 0;
	KUNIT_EXPECT_EQ(test, heap->c.large_cached, 1);
	KUNIT_EXPECT_EQ(test, heap->c.large_blocks, 1);
	KUNIT_EXPECT_EQ(test, heap->c.held_bytes, 8192);
	kpy_free(heap, q);
}

/* What is said of a block that is kept, and of one that never was. */
static void keeping_says_why(struct kunit *test)
{
	struct kpy_heap_params params = {
		"loud", { 64 << 10, 4 << 10, 16, 512, KPY_RELEASE_KEEP_LAST },
	};
	struct kpy_heap *heap;
	void *p;
	u32 i;

	for (i = 0; i < 6; i++) {
		heap = kpy_heap_create(&params);
		p = kpy_alloc(heap, 1000, GFP_KERNEL);
		kpy_free(heap, p);
		p = i < 3 ? p : p + 8;
		if (i % 3 == 0)
			kpy_free(heap, p);
		else if (i % 3 == 1)
			KUNIT_EXPECT_NULL(test, kpy_realloc(heap, p, 10, GFP_KERNEL));
		else
			KUNIT_EXPECT_EQ(test, kpy_usable_size(heap, p), 0);
		KUNIT_EXPECT_EQ(test, sim_warns, i + 1);
		KUNIT_EXPECT_NOT_NULL(test, strstr(sim_last_warn, i < 3 ? ": already free\n" :
								   ": not a block of this heap\n"));
		KUNIT_EXPECT_EQ(test, heap->c.bad_pointers, 1);
		KUNIT_EXPECT_EQ(test, kpy_heap_destroy(heap), 0);
	}
	sim_warns = 0;
}

/* INT_MAX bytes are a matter of memory and of the limit, more of them are of neither. */
static void keeping_too_large(struct kunit *test)
{
	struct kpy_heap *heap = heap_of(test, 512, 0);

	kpy_heap_set_limit(heap, 100000);
	KUNIT_EXPECT_NULL(test, kpy_alloc(heap, INT_MAX, GFP_KERNEL));
	KUNIT_EXPECT_EQ(test, heap->c.limit_failures, 1);
	KUNIT_EXPECT_NULL(test, kpy_alloc(heap, INT_MAX + 1UL, GFP_KERNEL));
	KUNIT_EXPECT_EQ(test, heap->c.limit_failures, 1);
	KUNIT_EXPECT_EQ(test, heap->c.alloc_failures, 2);
}

/* A block shrinks in place while its memory is what its new size would get. */
static void keeping_what_shrinks(struct kunit *test)
{
	struct kpy_heap *heap = heap_of(test, 512, 0);
	void *p = kpy_alloc(heap, 2048, GFP_KERNEL), *q;

	KUNIT_EXPECT_PTR_EQ(test, kpy_realloc(heap, p, 1025, GFP_KERNEL), p);
	KUNIT_EXPECT_EQ(test, heap->c.large_bytes, 1025);
	KUNIT_EXPECT_EQ(test, heap->c.large_bytes_peak, 2048);
	q = kpy_realloc(heap, p, 1026, GFP_KERNEL);
	KUNIT_EXPECT_PTR_NE(test, p, q);
	KUNIT_EXPECT_EQ(test, heap->c.large_cached_bytes, 2048);
	p = kpy_realloc(heap, q, 1024, GFP_KERNEL);
	KUNIT_EXPECT_PTR_NE(test, p, q);
	KUNIT_EXPECT_EQ(test, heap->c.large_cached_bytes, 2 * 2048);
	KUNIT_EXPECT_EQ(test, heap->c.large_bytes, 1024);
	KUNIT_EXPECT_EQ(test, heap->c.reallocs, 3);
	KUNIT_EXPECT_EQ(test, heap->c.reallocs_in_place, 1);
	kpy_free(heap, p);
	KUNIT_EXPECT_EQ(test, heap->c.large_bytes, 0);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(keeping_kinds),
	KUNIT_CASE(keeping_how_many),
	KUNIT_CASE(keeping_asks_nobody),
	KUNIT_CASE(keeping_in_the_table),
	KUNIT_CASE(keeping_nothing_charged),
	KUNIT_CASE(keeping_no_kfence),
	KUNIT_CASE(keeping_with_a_busy_lock),
	KUNIT_CASE(keeping_says_why),
	KUNIT_CASE(keeping_too_large),
	KUNIT_CASE(keeping_what_shrinks),
	{}
};

USER_SUITE(keeping);
