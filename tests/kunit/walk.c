// SPDX-License-Identifier: GPL-2.0
/* kpy_heap_walk(): each live block once and in order, and nothing else. */
#include <linux/err.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "suite.h"

#define MANY	3000	/* blocks of a class: more than CPUs cache, in several arenas */
#define SIZE	48

static const struct kpy_geometry geometry = { 32 << 10, 4 << 10, 16, 512 };

/**
 * struct visits - what a walk visited
 * @ptr: blocks
 * @size: of each
 * @nr: how many
 * @end: the visit that ends the walk, 0 for none
 */
struct visits {
	void *ptr[2 * MANY];
	size_t size[2 * MANY];
	u32 nr;
	u32 end;
};

static int note(void *block, size_t size, void *arg)
{
	struct visits *v = arg;

	if (v->nr == ARRAY_SIZE(v->ptr))
		return -ENOSPC;
	v->ptr[v->nr] = block;
	v->size[v->nr++] = size;
	return v->nr == v->end ? 77 : 0;
}

static bool visited(const struct visits *v, const void *ptr)
{
	u32 i, n = 0;

	for (i = 0; i < v->nr; i++)
		n += v->ptr[i] == ptr;
	return n == 1;
}

/* Visits each of p[0 .. n), which are not NULL, once, in order, and no other block. */
static void expect_visits(struct kunit *test, struct kpy_heap *heap, u32 szidx, void **p, u32 n)
{
	struct visits *v = kt_memory(test, sizeof(*v));
	u32 i, live = 0, missing = 0, disorder = 0;

	if (!v) {
		KUNIT_FAIL(test, "no memory");
		return;
	}
	KUNIT_EXPECT_EQ(test, kpy_heap_walk(heap, szidx, note, v), 0);
	for (i = 0; i < n; i++) {
		live += !!p[i];
		missing += p[i] && !visited(v, p[i]);
	}
	for (i = 1; i < v->nr; i++)
		disorder += v->ptr[i] <= v->ptr[i - 1];
	KUNIT_EXPECT_EQ(test, missing, 0);
	KUNIT_EXPECT_EQ(test, v->nr, live);
	KUNIT_EXPECT_EQ(test, disorder, 0);
}

static void walk_small(struct kunit *test)
{
	struct kpy_heap *heap = kt_heap_of_mode(test, &geometry);
	void **p = kt_memory(test, MANY * sizeof(*p)), *other;
	u32 i;

	KUNIT_ASSERT_NOT_NULL(test, heap);
	KUNIT_ASSERT_NOT_NULL(test, p);
	other = kpy_alloc(heap, 2 * SIZE, GFP_KERNEL);
	KUNIT_ASSERT_TRUE(test, kt_fill(heap, p, MANY, SIZE));
	expect_visits(test, heap, SIZE / 16 - 1, p, MANY);

	/* Some free in their pools or cached, one pool and the next. */
	for (i = 0; i < MANY; i += 3)
		kt_free(heap, p + i, 1);
	expect_visits(test, heap, SIZE / 16 - 1, p, MANY);
	kt_shuffle(p, MANY, 3);
	kt_free(heap, p, MANY - 10);
	expect_visits(test, heap, SIZE / 16 - 1, p, MANY);
	expect_visits(test, heap, 2 * SIZE / 16 - 1, &other, 1);
	kt_free(heap, p, MANY);
	expect_visits(test, heap, SIZE / 16 - 1, p, MANY);
	kpy_free(heap, other);
}

/* Holes and pools that were emptied or never carved are passed over. */
static void walk_holes(struct kunit *test)
{
	struct kpy_geometry by_pool = geometry;
	struct kpy_heap *heap;
	void **p = kt_memory(test, MANY * sizeof(*p));

	by_pool.release = KPY_RELEASE_POOL;
	heap = kt_heap(test, &by_pool);
	KUNIT_ASSERT_NOT_NULL(test, heap);
	KUNIT_ASSERT_NOT_NULL(test, p);
	KUNIT_ASSERT_TRUE(test, kt_fill(heap, p, 20 * KT_BIG_PER_POOL, KT_BIG));
	kt_free(heap, p + KT_BIG_PER_POOL, 3 * KT_BIG_PER_POOL);
	kpy_heap_trim(heap);
	kt_free(heap, p + 5 * KT_BIG_PER_POOL, KT_BIG_PER_POOL);
	expect_visits(test, heap, KT_BIG / 16 - 1, p, 20 * KT_BIG_PER_POOL);
	kt_free(heap, p, 20 * KT_BIG_PER_POOL);
}

static void walk_large(struct kunit *test)
{
	struct kpy_heap *heap = kt_heap_of_mode(test, &geometry);
	void **p = kt_memory(test, MANY * sizeof(*p));
	struct visits *v = kt_memory(test, sizeof(*v));
	u32 i, wrong = 0;

	KUNIT_ASSERT_NOT_NULL(test, heap);
	KUNIT_ASSERT_NOT_NULL(test, p);
	KUNIT_ASSERT_NOT_NULL(test, v);
	for (i = 0; i < 500; i++)
		KUNIT_ASSERT_TRUE(test, kt_fill(heap, p + i, 1, 600 + i));
	p[500] = kpy_alloc(heap, 0, GFP_KERNEL);
	expect_visits(test, heap, KPY_WALK_LARGE, p, 501);
	/* Some of them are kept. */
	kt_free(heap, p, 100);
	expect_visits(test, heap, KPY_WALK_LARGE, p, 501);

	KUNIT_EXPECT_EQ(test, kpy_heap_walk(heap, KPY_WALK_LARGE, note, v), 0);
	for (i = 0; i < v->nr; i++)
		wrong += v->size[i] != kpy_usable_size(heap, v->ptr[i]);
	KUNIT_EXPECT_EQ(test, wrong, 0);
	kt_free(heap, p, 501);
	expect_visits(test, heap, KPY_WALK_LARGE, p, 501);
}

static void walk_all(struct kunit *test)
{
	struct kpy_heap *heap = kt_heap_of_mode(test, &geometry);
	struct visits *v = kt_memory(test, sizeof(*v));
	void *p[64];
	u32 i, missing = 0, wrong = 0;

	KUNIT_ASSERT_NOT_NULL(test, heap);
	KUNIT_ASSERT_NOT_NULL(test, v);
	for (i = 0; i < ARRAY_SIZE(p); i++)
		p[i] = kpy_alloc(heap, 16 * i + 1, GFP_KERNEL);
	KUNIT_EXPECT_EQ(test, kpy_heap_walk(heap, KPY_WALK_ALL, note, v), 0);
	KUNIT_EXPECT_EQ(test, v->nr, ARRAY_SIZE(p));
	for (i = 0; i < ARRAY_SIZE(p); i++)
		missing += !visited(v, p[i]);
	for (i = 0; i < v->nr; i++)
		wrong += v->size[i] != kpy_usable_size(heap, v->ptr[i]);
	KUNIT_EXPECT_EQ(test, missing, 0);
	KUNIT_EXPECT_EQ(test, wrong, 0);
	kt_free(heap, p, ARRAY_SIZE(p));
}

/* The visitor may end it, at any block. */
static void walk_ends(struct kunit *test)
{
	static const u32 classes[] = { SIZE / 16 - 1, KPY_WALK_LARGE, KPY_WALK_ALL };
	struct kpy_heap *heap = kt_heap_of_mode(test, &geometry);
	struct visits *v = kt_memory(test, sizeof(*v));
	void *p[20];
	u32 i, end;

	KUNIT_ASSERT_NOT_NULL(test, heap);
	KUNIT_ASSERT_NOT_NULL(test, v);
	KUNIT_ASSERT_TRUE(test, kt_fill(heap, p, 10, SIZE) && kt_fill(heap, p + 10, 10, 1000));
	for (i = 0; i < ARRAY_SIZE(classes); i++) {
		for (end = 1; end <= 10; end += 3) {
			v->nr = 0;
			v->end = end;
			KUNIT_EXPECT_EQ(test, kpy_heap_walk(heap, classes[i], note, v), 77);
			KUNIT_EXPECT_EQ(test, v->nr, end);
		}
	}
	kt_free(heap, p, ARRAY_SIZE(p));
}

static void walk_refuses(struct kunit *test)
{
	struct kpy_heap *heap = kt_heap_of_mode(test, &geometry);
	struct visits *v = kt_memory(test, sizeof(*v));

	KUNIT_ASSERT_NOT_NULL(test, heap);
	KUNIT_ASSERT_NOT_NULL(test, v);
	KUNIT_EXPECT_EQ(test, kpy_heap_walk(heap, 31, note, v), 0);
	KUNIT_EXPECT_EQ(test, kpy_heap_walk(heap, 32, note, v), -EINVAL);
	KUNIT_EXPECT_EQ(test, kpy_heap_walk(heap, KPY_WALK_LARGE - 1, note, v), -EINVAL);
	KUNIT_EXPECT_EQ(test, v->nr, 0);
}

static struct kunit_case cases[] = {
	KUNIT_CASE_PARAM(walk_small, kt_mode_gen_params),
	KUNIT_CASE(walk_holes),
	KUNIT_CASE_PARAM(walk_large, kt_mode_gen_params),
	KUNIT_CASE_PARAM(walk_all, kt_mode_gen_params),
	KUNIT_CASE_PARAM(walk_ends, kt_mode_gen_params),
	KUNIT_CASE_PARAM(walk_refuses, kt_mode_gen_params),
	{}
};

struct kunit_suite kpy_walk_suite = {
	.name = "kpy_walk", .init = kt_init, .exit = kt_exit, .test_cases = cases,
};
