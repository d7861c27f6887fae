// SPDX-License-Identifier: GPL-2.0
/*
 * Ways that are rarely taken: a lock that is busy, memory that the map does not reach,
 * a spare that another CPU was faster with, handles in interrupts, pointers into pools
 * that are empty.
 */
#include "user.h"
#include "front/magazine.h"

#define BLOCKS	500
#define OPS	20000

static struct kpy_heap *small_heap(struct kunit *test, enum kpy_mode mode)
{
	struct kpy_heap_params params = {
		.geometry = { 16 << 10, 4 << 10, 16, 512 }, .mode = mode,
		.flags = KPY_HEAP_SILENT,
	};

	return kt_heap_of(test, &params);
}

/* ---- the lock ---- */

static bool same_place(struct kpy_heap *a, void *p, struct kpy_heap *b, void *q)
{
	struct kpy_block_info x, y;

	if (!p || !q)
		return p == q;
	if (kpy_block_find(a, p, &x) || kpy_block_find(b, q, &y))
		return false;
	return x.arena == y.arena && x.pool == y.pool && x.block == y.block &&
	       x.arena_serial == y.arena_serial;
}

static void operate(struct kpy_heap *heap, void **p, u32 what, u32 i, size_t size)
{
	if (what == 0) {
		kpy_free_bulk(heap, 20, p + i);
		kpy_alloc_bulk(heap, size, GFP_KERNEL, 20, p + i);
	} else if (what < 8) {
		kpy_free(heap, p[i]);
		p[i] = NULL;
	} else if (!p[i]) {
		p[i] = kpy_alloc(heap, size, GFP_KERNEL);
	}
}

/* Whoever finds it busy takes another way, to the same place. */
static void corners_busy_lock(struct kunit *test)
{
	struct kpy_heap *heap = small_heap(test, KPY_MODE_CLASSIC);
	struct kpy_heap *busy = small_heap(test, KPY_MODE_CLASSIC);
	void **p = kt_memory(test, 2 * BLOCKS * sizeof(*p)), **q = p + BLOCKS;
	u32 n, i, what, wrong = 0;
	struct rnd_state rnd;
	size_t size;

	prandom_seed_state(&rnd, 3);
	for (n = 0; n < OPS; n++) {
		what = prandom_u32_state(&rnd) % 16;
		i = prandom_u32_state(&rnd) % (BLOCKS - 20);
		size = 1 + prandom_u32_state(&rnd) % 512;
		operate(heap, p, what, i, size);
		sim_busy_tries = prandom_u32_state(&rnd) % 3;
		operate(busy, q, what, i, size);
		sim_busy_tries = 0;
		wrong += !same_place(heap, p[i], busy, q[i]);
	}
	KUNIT_EXPECT_EQ(test, wrong, 0);
	KUNIT_EXPECT_EQ(test, heap->c.allocs, busy->c.allocs);
	KUNIT_EXPECT_EQ(test, heap->c.frees, busy->c.frees);
	kt_free(heap, p, BLOCKS);
	kt_free(busy, q, BLOCKS);
}

/* ---- growth ---- */

static void take_pages(unsigned long *pages, u32 n)
{
	while (n--)
		pages[n] = __get_free_pages(GFP_KERNEL, 10);
}

static void give_pages(unsigned long *pages, u32 n)
{
	while (n--)
		free_pages(pages[n], 10);
}

/* Memory that was plugged in after the heap was made. */
static void corners_map_does_not_reach(struct kunit *test)
{
	void *end = high_memory, *ptr;
	struct kpy_heap *heap;
	unsigned long pages[8];

	high_memory = (void *)PAGE_OFFSET + 1;
	heap = small_heap(test, KPY_MODE_CLASSIC);
	high_memory = end;
	KUNIT_EXPECT_EQ(test, heap->map.nr_leaves, 1);
	take_pages(pages, 8);
	ptr = kpy_alloc(heap, 64, GFP_KERNEL);
	give_pages(pages, 8);
	KUNIT_EXPECT_TRUE(test, kt_is_large(heap, ptr));
	KUNIT_EXPECT_EQ(test, heap->c.arena_failures, 1);
	KUNIT_EXPECT_EQ(test, sim_live(SIM_PAGES), 0);
	KUNIT_EXPECT_EQ(test, kpy_usable_size(heap, (void *)pages[0]), 0);
	kpy_free(heap, ptr);
}

/* Arenas in several leaves of the map. */
static void corners_map_of_many_leaves(struct kunit *test)
{
	struct kpy_heap *heap = small_heap(test, KPY_MODE_CLASSIC);
	unsigned long pages[6];
	struct kpy_block_info info;
	void *p[8][28];
	u32 i, j;

	KUNIT_EXPECT_GT(test, heap->map.nr_leaves, 10);
	for (i = 0; i < 8; i++) {
		KUNIT_ASSERT_TRUE(test, kt_fill(heap, p[i], 28, 512));
		take_pages(pages, 6);
		give_pages(pages, 6);
	}
	for (i = 0; i < 8; i++)
		for (j = 0; j < 28; j++)
			KUNIT_EXPECT_TRUE(test, !kpy_block_find(heap, p[i][j], &info) &&
					  info.arena == i);
	kt_expect_valid(test, heap);
	for (i = 0; i < 8; i++)
		kt_free(heap, p[i], 28);
}

static bool attach(struct kpy_heap *heap, struct kpy_spare *spare)
{
	unsigned long flags = kpy_heap_lock(heap);
	bool done = kpy_arena_attach(heap, spare);

	kpy_heap_unlock(heap, flags);
	return done;
}

/* By then the slots are used up, or others brought the chunk. */
static void corners_spare_too_late(struct kunit *test)
{
	struct kpy_heap *heap = small_heap(test, KPY_MODE_CLASSIC);
	struct kpy_spare early = {}, late = {};
	void **p = kt_memory(test, 18 * 28 * sizeof(*p));
	unsigned long address;

	KUNIT_EXPECT_TRUE(test, kpy_arena_fill_spare(heap, &early, GFP_KERNEL));
	KUNIT_EXPECT_NOT_NULL(test, early.slots);
	KUNIT_ASSERT_TRUE(test, kt_fill(heap, p, 15 * 28, 512));
	KUNIT_EXPECT_TRUE(test, kpy_arena_fill_spare(heap, &late, GFP_KERNEL));
	KUNIT_EXPECT_NULL(test, late.slots);
	KUNIT_ASSERT_TRUE(test, kt_fill(heap, p + 15 * 28, 28, 512));
	KUNIT_EXPECT_FALSE(test, attach(heap, &early));
	KUNIT_EXPECT_FALSE(test, attach(heap, &late));
	KUNIT_EXPECT_EQ(test, heap->nr_slots, 16);
	KUNIT_EXPECT_EQ(test, heap->c.arenas_current, 16);
	address = early.address;
	KUNIT_EXPECT_TRUE(test, kpy_arena_fill_spare(heap, &early, GFP_KERNEL));
	KUNIT_EXPECT_EQ(test, early.address, address);
	KUNIT_EXPECT_EQ(test, early.chunk, 1);
	KUNIT_EXPECT_TRUE(test, attach(heap, &early));
	KUNIT_EXPECT_EQ(test, heap->nr_slots, 32);
	KUNIT_EXPECT_EQ(test, kpy_arena_at(heap, 16)->address, address);
	KUNIT_EXPECT_EQ(test, early.address, 0);
	KUNIT_EXPECT_NULL(test, early.slots);
	kpy_arena_drop_spare(heap, &early);
	kpy_arena_drop_spare(heap, &late);
	kt_expect_valid(test, heap);
	kt_free(heap, p, 16 * 28);
}

/* ---- other ways in ---- */

#undef kpy_alloc

/* The function that the inline is a shortcut of. */
static void corners_out_of_line(struct kunit *test)
{
	struct kpy_heap *heap = small_heap(test, KPY_MODE_PERCPU);
	u8 *p = kpy_alloc(heap, 64, GFP_KERNEL), *q;

	memset(p, 0xff, 64);
	kpy_free(heap, p);
	q = kpy_alloc(heap, 64, GFP_KERNEL | __GFP_ZERO);
	KUNIT_EXPECT_PTR_EQ(test, q, p);
	KUNIT_EXPECT_NULL(test, memchr_inv(q, 0, 64));
	KUNIT_EXPECT_EQ(test, ut_stats(heap)->allocs, 2);
	kpy_free(heap, q);
}

struct handle {
	struct kpy_cache cache;
	void *p[70];
	u32 zero;
};

static void use_handle(void *arg)
{
	struct handle *h = arg;
	u32 i;

	for (i = 0; i < 70; i++) {
		h->p[i] = kpy_cache_alloc(&h->cache, GFP_ATOMIC | __GFP_ZERO);
		h->zero += !memchr_inv(h->p[i], 0, 64);
		memset(h->p[i], 0xff, 64);
	}
	for (i = 0; i < 70; i++)
		kpy_cache_free(&h->cache, h->p[i]);
}

/* A handle in interrupts; in mode classic it has no front. */
static void corners_handle_in_interrupt(struct kunit *test)
{
	const enum kpy_mode *mode = test->param_value;
	struct kpy_heap *heap = small_heap(test, *mode);
	struct handle *h = kt_memory(test, sizeof(*h));
	u32 i;

	KUNIT_EXPECT_EQ(test, kpy_cache_init(&h->cache, heap, 64), 0);
	for (i = 0; i < 3; i++)
		sim_interrupt(i % 2 ? SIM_HARD : SIM_SOFT, use_handle, h);
	KUNIT_EXPECT_EQ(test, h->zero, 3 * 70);
	KUNIT_EXPECT_EQ(test, ut_stats(heap)->allocs, 3 * 70);
	KUNIT_EXPECT_EQ(test, ut_stats(heap)->frees, 3 * 70);
	KUNIT_EXPECT_EQ(test, heap->c.bad_pointers, 0);
	if (*mode == KPY_MODE_PERCPU)
		KUNIT_EXPECT_EQ(test, front_of(heap, 0, KPY_FRONT_TASK, 3)->state, KPY_FRONT_EMPTY);
}

/* In mode percpu: its pool went back to the arena, or is another class's now. */
static void corners_freed_in_empty_pool(struct kunit *test)
{
	struct kpy_heap *heap = small_heap(test, KPY_MODE_PERCPU);
	void *keeps = kpy_alloc(heap, 16, GFP_KERNEL), *p = kpy_alloc(heap, 512, GFP_KERNEL);

	kpy_free(heap, p);
	kpy_heap_trim(heap);
	KUNIT_EXPECT_EQ(test, heap->c.arenas_current, 1);
	kpy_free(heap, p);
	KUNIT_EXPECT_EQ(test, heap->c.bad_pointers, 1);
	KUNIT_EXPECT_NULL(test, kpy_realloc(heap, p, 10, GFP_KERNEL));
	KUNIT_EXPECT_EQ(test, kpy_usable_size(heap, p), 0);
	KUNIT_EXPECT_EQ(test, heap->c.bad_pointers, 3);
	kpy_free(heap, keeps);
}

/* What a request wants of a front is decided by its class, to the byte. */
static void corners_fronts_by_size(struct kunit *test)
{
	struct kpy_heap_params params = {
		.geometry = { 16 << 10, 4 << 10, 16, 256 }, .mode = KPY_MODE_PERCPU,
		.flags = KPY_HEAP_SILENT,
	};
	struct kpy_heap *heap = kt_heap_of(test, &params);
	struct kpy_front *none = heap->fast.front[0];
	u32 size, wrong = 0;
	void *ptr;

	KUNIT_EXPECT_EQ(test, heap->fast.max, 512);
	for (size = 1; size <= 512; size++)
		wrong += heap->fast.front[size] !=
			 (size > 256 ? none : heap->front[KPY_FRONT_TASK] + (size - 1) / 16);
	KUNIT_EXPECT_EQ(test, wrong, 0);
	ptr = kpy_alloc(heap, 257, GFP_KERNEL);
	KUNIT_EXPECT_TRUE(test, kt_is_large(heap, ptr));
	kpy_free(heap, ptr);
	ptr = kpy_alloc(heap, 0, GFP_KERNEL);
	KUNIT_EXPECT_TRUE(test, kt_is_large(heap, ptr));
	kpy_free(heap, ptr);
}

/* An empty front gets 4 KiB of blocks, but 4 to 48 of them. */
static void corners_first_refill(struct kunit *test)
{
	static const struct {
		u32 size, blocks;
	} refills[] = { { 16, 48 }, { 80, 48 }, { 96, 42 }, { 112, 36 }, { 512, 8 } };
	struct kpy_heap *heap = ut_heap(test, KPY_MODE_PERCPU, KPY_RELEASE_KEEP_LAST);
	void *p[ARRAY_SIZE(refills)];
	u32 i;

	for (i = 0; i < ARRAY_SIZE(refills); i++) {
		p[i] = kpy_alloc(heap, refills[i].size, GFP_KERNEL);
		KUNIT_EXPECT_EQ(test, heap->class[refills[i].size / 16 - 1].in_use,
				refills[i].blocks);
	}
	kt_free(heap, p, ARRAY_SIZE(p));
}

/* ---- how memory may be allocated ---- */

#define WAYS	6
#define HUGE	(8 << 20)	/* bytes: only who may sleep gets so many */

/* A large block by each function that takes @gfp. */
static void *large_by(struct kpy_heap *heap, u32 way, size_t size, gfp_t gfp)
{
	void *ptr = NULL;

	switch (way) {
	case 0:
		return (kpy_alloc)(heap, size, gfp);
	case 1:
		return kpy_zalloc(heap, size, gfp);
	case 2:
		return kpy_calloc(heap, 1, size, gfp);
	case 3:
		return kpy_realloc(heap, NULL, size, gfp);
	case 4:
		kpy_alloc_bulk(heap, size, gfp, 1, &ptr);
		return ptr;
	default:
		return kpy_alloc(heap, size, gfp);
	}
}

/* What the caller says of it reaches the general allocator, by each way. */
static void corners_gfp(struct kunit *test)
{
	struct kpy_heap *heap = small_heap(test, KPY_MODE_PERCPU);
	void *p[3];
	u32 way;

	for (way = 0; way < WAYS; way++) {
		p[0] = large_by(heap, way, 10000, GFP_KERNEL);
		KUNIT_EXPECT_EQ(test, sim_charged(SIM_KMALLOC), 0);
		p[1] = large_by(heap, way, 10000, GFP_KERNEL_ACCOUNT);
		KUNIT_EXPECT_EQ(test, sim_charged(SIM_KMALLOC), 1);
		KUNIT_EXPECT_NULL(test, large_by(heap, way, HUGE, GFP_ATOMIC));
		p[2] = large_by(heap, way, HUGE, GFP_KERNEL);
		KUNIT_EXPECT_NOT_NULL(test, p[2]);
		kt_free(heap, p, 3);
	}
	KUNIT_EXPECT_EQ(test, heap->c.alloc_failures, WAYS);
	KUNIT_EXPECT_EQ(test, heap->c.limit_failures, 0);
}

/* So it does if a block moves. */
static void corners_gfp_of_moves(struct kunit *test)
{
	struct kpy_heap *heap = small_heap(test, *(enum kpy_mode *)test->param_value);
	void *p;

	p = kpy_realloc(heap, kpy_alloc(heap, 1000, GFP_KERNEL), 10000, GFP_KERNEL);
	KUNIT_EXPECT_EQ(test, sim_charged(SIM_KMALLOC), 0);
	KUNIT_EXPECT_NULL(test, kpy_realloc(heap, p, HUGE, GFP_ATOMIC));
	p = kpy_realloc(heap, p, HUGE, GFP_KERNEL);
	KUNIT_EXPECT_NOT_NULL(test, p);
	kpy_free(heap, p);
	p = kpy_realloc(heap, kpy_alloc(heap, 100, GFP_KERNEL), 10000, GFP_KERNEL);
	KUNIT_EXPECT_EQ(test, sim_charged(SIM_KMALLOC), 0);
	kpy_free(heap, p);
	p = kpy_realloc(heap, kpy_alloc(heap, 100, GFP_KERNEL), 10000, GFP_KERNEL_ACCOUNT);
	KUNIT_EXPECT_EQ(test, sim_charged(SIM_KMALLOC), 1);
	p = kpy_realloc(heap, p, 20000, GFP_KERNEL_ACCOUNT);
	KUNIT_EXPECT_EQ(test, sim_charged(SIM_KMALLOC), 1);
	kpy_free(heap, p);
}

/* A spare that nobody needed: its pages, its leaf, its slots. */
static void corners_spare_left_over(struct kunit *test)
{
	struct kpy_heap *heap = small_heap(test, KPY_MODE_CLASSIC);
	unsigned long live = sim_live_all();
	struct kpy_spare spare = {};

	KUNIT_EXPECT_TRUE(test, kpy_arena_fill_spare(heap, &spare, GFP_KERNEL));
	KUNIT_EXPECT_NOT_NULL(test, spare.slots);
	KUNIT_EXPECT_NOT_NULL(test, spare.leaf);
	KUNIT_EXPECT_GT(test, sim_live_all(), live);
	kpy_arena_drop_spare(heap, &spare);
	KUNIT_EXPECT_EQ(test, sim_live_all(), live);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(corners_busy_lock),
	KUNIT_CASE(corners_map_does_not_reach),
	KUNIT_CASE(corners_map_of_many_leaves),
	KUNIT_CASE(corners_spare_too_late),
	KUNIT_CASE(corners_spare_left_over),
	KUNIT_CASE(corners_out_of_line),
	KUNIT_CASE_PARAM(corners_handle_in_interrupt, kt_mode_gen_params),
	KUNIT_CASE(corners_freed_in_empty_pool),
	KUNIT_CASE(corners_fronts_by_size),
	KUNIT_CASE(corners_first_refill),
	KUNIT_CASE(corners_gfp),
	KUNIT_CASE_PARAM(corners_gfp_of_moves, kt_mode_gen_params),
	{}
};

USER_SUITE(corners);
