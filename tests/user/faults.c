// SPDX-License-Identifier: GPL-2.0
/*
 * No memory: each allocation of the module, of a heap, of its growth and of a large
 * block fails once.  What is refused is counted, and nothing is left behind.
 */
#include "user.h"
#include "front/magazine.h"

#define SIZE	64
#define FRONT	62

static void faults_module_load(struct kunit *test)
{
	unsigned long live;
	u32 n = 0;
	int err;

	sim_unload();
	live = sim_live_all();
	do {
		sim_faults = 0;
		sim_fail_nth(SIM_ALL_KINDS, ++n);
		err = sim_load();
		KUNIT_EXPECT_EQ(test, err, sim_faults ? -ENOMEM : 0);
		if (err)
			KUNIT_EXPECT_EQ(test, sim_live_all(), live);
	} while (err && n < 20);
	KUNIT_EXPECT_EQ(test, n, 4);
}

static const struct kpy_heap_params kinds[] = {
	{ "faults", { 64 << 10, 4 << 10, 16, 512, KPY_RELEASE_KEEP_LAST } },
	{ "faults", { 64 << 10, 4 << 10, 16, 512, KPY_RELEASE_POOL }, KPY_MODE_PERCPU },
};

static void describe(const struct kpy_heap_params *params, char *desc)
{
	strscpy(desc, kpy_mode_name(params->mode), KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(kind, kinds, describe);

static void faults_heap_create(struct kunit *test)
{
	const struct kpy_heap_params *params = test->param_value;
	unsigned long live = sim_live_all();
	struct kpy_heap *heap;
	u32 n = 0;

	do {
		sim_faults = 0;
		sim_fail_nth(SIM_ALL_KINDS, ++n);
		heap = kpy_heap_create(params);
		KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(heap), sim_faults ? -ENOMEM : 0);
		if (!IS_ERR(heap))
			KUNIT_EXPECT_EQ(test, kpy_heap_destroy(heap), 0);
		KUNIT_EXPECT_EQ(test, sim_live_all(), live);
		KUNIT_EXPECT_EQ(test, sim_shown, 0);
		KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(kpy_heap_get("faults")), -ENOENT);
	} while (IS_ERR(heap) && n < 20);
	KUNIT_EXPECT_EQ(test, n, params->mode == KPY_MODE_PERCPU ? 8 : 5);
}

/* A heap of either kind without arenas. */
static struct kpy_heap *new_heap(struct kunit *test)
{
	struct kpy_heap_params params = *(struct kpy_heap_params *)test->param_value;

	params.flags = KPY_HEAP_SILENT;
	return kt_heap_of(test, &params);
}

/* The pages, the map's leaf, the slots: without one of them the request falls back. */
static void faults_growth(struct kunit *test)
{
	struct kpy_heap *heap;
	void *ptr;
	u32 n;

	for (n = 1; n <= 3; n++) {
		heap = new_heap(test);
		sim_fail_nth(SIM_ALL_KINDS, n);
		ptr = kpy_alloc(heap, SIZE, GFP_KERNEL);
		KUNIT_EXPECT_TRUE(test, kt_is_large(heap, ptr));
		KUNIT_EXPECT_EQ(test, heap->c.arena_failures, 1);
		KUNIT_EXPECT_EQ(test, heap->c.arenas_total, 0);
		KUNIT_EXPECT_EQ(test, heap->c.large_fallbacks, 1);
		KUNIT_EXPECT_EQ(test, heap->c.alloc_failures, 0);
		KUNIT_EXPECT_EQ(test, heap->c.held_bytes, 64);
		KUNIT_EXPECT_EQ(test, sim_live(SIM_PAGES), 0);
		kpy_free(heap, ptr);
		ptr = kpy_alloc(heap, SIZE, GFP_KERNEL);
		KUNIT_EXPECT_FALSE(test, kt_is_large(heap, ptr));
		kpy_free(heap, ptr);
		kpy_heap_trim(heap);
	}
}

/* Nor does the general allocator have any. */
static void faults_growth_and_fallback(struct kunit *test)
{
	struct kpy_heap *heap = new_heap(test);
	void *p[3];
	u32 i;

	sim_fail_always(SIM_ALL_KINDS);
	for (i = 1; i <= 3; i++) {
		KUNIT_EXPECT_NULL(test, kpy_alloc(heap, SIZE, GFP_KERNEL));
		KUNIT_EXPECT_EQ(test, heap->c.alloc_failures, i);
		KUNIT_EXPECT_EQ(test, heap->c.arena_failures, i);
	}
	KUNIT_EXPECT_EQ(test, kpy_alloc_bulk(heap, SIZE, GFP_KERNEL, 3, p), 0);
	KUNIT_EXPECT_EQ(test, heap->c.alloc_failures, 4);
	KUNIT_EXPECT_EQ(test, heap->c.limit_failures, 0);
	sim_fail_always(0);
	KUNIT_EXPECT_EQ(test, heap->c.held_bytes_peak, 0);
}

/* The block, its record. */
static void faults_large(struct kunit *test)
{
	struct kpy_heap *heap = new_heap(test);
	unsigned long live = sim_live_all();
	u32 n;

	for (n = 1; n <= 2; n++) {
		sim_fail_nth(SIM_ALL_KINDS, n);
		KUNIT_EXPECT_NULL(test, kpy_alloc(heap, 1000, GFP_KERNEL));
		KUNIT_EXPECT_EQ(test, heap->c.alloc_failures, n);
		KUNIT_EXPECT_EQ(test, sim_live_all(), live);
	}
	sim_fail_nth(SIM_ALL_KINDS, 1);
	KUNIT_EXPECT_NULL(test, kpy_alloc(heap, 10000, GFP_KERNEL));
	KUNIT_EXPECT_EQ(test, heap->c.alloc_failures, 3);
	KUNIT_EXPECT_EQ(test, heap->c.large_allocs, 0);
	KUNIT_EXPECT_EQ(test, heap->c.held_bytes_peak, 0);
}

/* A table that cannot grow has longer chains; the next block lets it try again. */
static void faults_table(struct kunit *test)
{
	struct kpy_heap *heap = new_heap(test);
	void *p[60];
	u32 i;

	for (i = 0; i < 40; i++) {
		sim_fail_nth(BIT(SIM_KMALLOC), 2);
		p[i] = kpy_alloc(heap, 600 + i, GFP_KERNEL);
		KUNIT_EXPECT_EQ(test, heap->table.nr_buckets, 16);
	}
	sim_fail_nth(0, 0);
	for (i = 0; i < 40; i++)
		KUNIT_EXPECT_EQ(test, kpy_usable_size(heap, p[i]), 600 + i);
	for (i = 40; i < 60; i++)
		p[i] = kpy_alloc(heap, 600 + i, GFP_KERNEL);
	KUNIT_EXPECT_EQ(test, heap->table.nr_buckets, 35);
	KUNIT_EXPECT_EQ(test, heap->table.mask, 63);
	for (i = 0; i < 60; i++)
		KUNIT_EXPECT_EQ(test, kpy_usable_size(heap, p[i]), 600 + i);
	kt_free(heap, p, 60);
	KUNIT_EXPECT_EQ(test, heap->c.large_cached, 4);
	KUNIT_EXPECT_EQ(test, heap->nr_records, 32);
	KUNIT_EXPECT_EQ(test, sim_live(SIM_CACHE), 4 + 32);
	kpy_heap_trim(heap);
	KUNIT_EXPECT_EQ(test, heap->nr_records, 32);
	KUNIT_EXPECT_EQ(test, sim_live(SIM_CACHE), 32);
}

static void faults_realloc(struct kunit *test)
{
	struct kpy_heap *heap = new_heap(test);
	u8 *ptr = kpy_alloc(heap, 1000, GFP_KERNEL);

	memset(ptr, 0x5c, 1000);
	sim_fail_always(SIM_ALL_KINDS);
	KUNIT_EXPECT_NULL(test, kpy_realloc(heap, ptr, 3000, GFP_KERNEL));
	sim_fail_always(0);
	KUNIT_EXPECT_EQ(test, heap->c.reallocs, 0);
	KUNIT_EXPECT_EQ(test, heap->c.alloc_failures, 1);
	KUNIT_EXPECT_NULL(test, memchr_inv(ptr, 0x5c, 1000));
	kpy_free(heap, ptr);
}

/* All of many or none. */
static void faults_bulk(struct kunit *test)
{
	struct kpy_heap *heap = new_heap(test);
	void *p[200];

	sim_fail_nth(BIT(SIM_PAGES), 2);
	kpy_heap_set_limit(heap, 64 << 10);
	KUNIT_EXPECT_EQ(test, kpy_alloc_bulk(heap, 512, GFP_KERNEL, 113, p), 0);
	KUNIT_EXPECT_EQ(test, ut_stats(heap)->allocs, 112);
	KUNIT_EXPECT_EQ(test, ut_stats(heap)->frees, 112);
	KUNIT_EXPECT_EQ(test, heap->c.limit_failures, 1);
	KUNIT_EXPECT_EQ(test, kpy_alloc_bulk(heap, 512, GFP_KERNEL, 112, p), 112);
	kpy_free_bulk(heap, 112, p);
	sim_fail_nth(0, 0);
}

static struct kpy_heap *percpu_heap(struct kunit *test)
{
	return ut_heap(test, KPY_MODE_PERCPU, KPY_RELEASE_KEEP_LAST);
}

/* Without a magazine a block goes to its pool. */
static void faults_magazine(struct kunit *test)
{
	struct kpy_heap *heap = percpu_heap(test);
	const struct kpy_class *class = &heap->class[3];
	void *p[FRONT + 3];

	KUNIT_ASSERT_TRUE(test, kt_fill(heap, p, FRONT + 3, SIZE));
	KUNIT_EXPECT_EQ(test, class->in_use, 96);
	sim_fail_always(BIT(SIM_CACHE));
	kt_free(heap, p, FRONT + 3);
	KUNIT_EXPECT_EQ(test, class->in_use, 96 - (31 + 65 - FRONT));
	KUNIT_EXPECT_NULL(test, heap->empties);
	sim_fail_always(0);
	kt_expect_valid(test, heap);
	KUNIT_EXPECT_EQ(test, ut_stats(heap)->class[3].in_use, 0);
}

/* So it is where the limit leaves no room for one. */
static void faults_magazine_above_limit(struct kunit *test)
{
	struct kpy_heap *heap = percpu_heap(test);
	void *p[FRONT + 3];

	KUNIT_ASSERT_TRUE(test, kt_fill(heap, p, FRONT + 3, SIZE));
	kpy_heap_set_limit(heap, heap->c.held_bytes + sizeof(struct kpy_magazine) - 1);
	kt_free(heap, p, FRONT + 3);
	KUNIT_EXPECT_EQ(test, heap->class[3].in_use, 96 - (31 + 65 - FRONT));
	KUNIT_EXPECT_EQ(test, sim_live(SIM_CACHE), 0);
	KUNIT_ASSERT_TRUE(test, kt_fill(heap, p, FRONT + 3, SIZE));
	kpy_heap_set_limit(heap, heap->c.held_bytes + sizeof(struct kpy_magazine));
	kt_free(heap, p, FRONT + 3);
	KUNIT_EXPECT_EQ(test, sim_live(SIM_CACHE), 1);
	KUNIT_EXPECT_EQ(test, heap->c.held_bytes, heap->limit);
	kt_expect_valid(test, heap);
}

/* What somebody is charged for: what the heap, or he for a large block, wants so. */
static void faults_none_is_charged(struct kunit *test)
{
	struct kpy_heap *heap = new_heap(test);
	struct kpy_heap_params params = kinds[0];
	struct kpy_heap *charged;
	void *p[2], *q[2];

	p[0] = kpy_alloc(heap, SIZE, GFP_KERNEL_ACCOUNT);
	p[1] = kpy_alloc(heap, 1000, GFP_KERNEL_ACCOUNT);
	KUNIT_EXPECT_EQ(test, sim_charged(SIM_PAGES), 0);
	KUNIT_EXPECT_EQ(test, sim_charged(SIM_KMALLOC), 1);
	KUNIT_EXPECT_EQ(test, sim_charged(SIM_CACHE), 0);
	params.flags = KPY_HEAP_ACCOUNT;
	charged = kt_heap_of(test, &params);
	q[0] = kpy_alloc(charged, SIZE, GFP_KERNEL);
	q[1] = kpy_alloc(charged, 1000, GFP_KERNEL);
	KUNIT_EXPECT_EQ(test, sim_charged(SIM_PAGES), 1);
	KUNIT_EXPECT_EQ(test, sim_charged(SIM_KMALLOC), 2);
	KUNIT_EXPECT_EQ(test, sim_charged(SIM_CACHE), 0);
	kt_free(heap, p, 2);
	kt_free(charged, q, 2);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(faults_module_load),
	KUNIT_CASE_PARAM(faults_heap_create, kind_gen_params),
	KUNIT_CASE_PARAM(faults_growth, kind_gen_params),
	KUNIT_CASE_PARAM(faults_growth_and_fallback, kind_gen_params),
	KUNIT_CASE_PARAM(faults_large, kind_gen_params),
	KUNIT_CASE_PARAM(faults_table, kind_gen_params),
	KUNIT_CASE_PARAM(faults_realloc, kind_gen_params),
	KUNIT_CASE_PARAM(faults_bulk, kind_gen_params),
	KUNIT_CASE(faults_magazine),
	KUNIT_CASE(faults_magazine_above_limit),
	KUNIT_CASE_PARAM(faults_none_is_charged, kind_gen_params),
	{}
};

USER_SUITE(faults);
