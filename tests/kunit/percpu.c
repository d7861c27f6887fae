// SPDX-License-Identifier: GPL-2.0
/*
 * Mode percpu: blocks pass by fronts, shelves and the depot and none is lost or
 * handed out twice; what is wrong with a pointer is seen at once or when the
 * block goes back to its pool; handles for one size.
 */
#include <linux/err.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "suite.h"

#define MANY	2000	/* blocks: more than a CPU keeps of a class */
#define SIZE	48
#define ROUNDS	6

static const struct kpy_geometry geometry = { 64 << 10, 4 << 10, 16, 512 };

static struct kpy_heap *percpu_heap(struct kunit *test)
{
	struct kpy_heap_params params = {
		.geometry = geometry, .mode = KPY_MODE_PERCPU, .flags = KPY_HEAP_SILENT,
	};

	return kt_heap_of(test, &params);
}

static u64 in_use(struct kpy_heap *heap)
{
	struct kpy_heap_stats *s = kmalloc(sizeof(*s), GFP_KERNEL);
	u64 n = 0;
	u32 i;

	if (!s)
		return U64_MAX;
	kpy_heap_stats(heap, s);
	for (i = 0; i < s->nr_classes; i++)
		n += s->class[i].in_use;
	if (s->c.allocs - s->c.frees != n)
		n = U64_MAX;
	kfree(s);
	return n;
}

/* Each block is marked with its number, so that one handed out twice is seen. */
static u32 spoilt(void **p, u32 n)
{
	u32 i, bad = 0;

	for (i = 0; i < n; i++)
		bad += *(u32 *)p[i] != i;
	return bad;
}

static void mark(void **p, u32 n)
{
	u32 i;

	for (i = 0; i < n; i++)
		*(u32 *)p[i] = i;
}

static void percpu_no_block_is_lost(struct kunit *test)
{
	struct kpy_heap *heap = percpu_heap(test);
	void **p = kt_memory(test, MANY * sizeof(*p));
	u32 round;

	KUNIT_ASSERT_NOT_NULL(test, heap);
	KUNIT_ASSERT_NOT_NULL(test, p);
	for (round = 1; round <= ROUNDS; round++) {
		KUNIT_ASSERT_TRUE(test, kt_fill(heap, p, MANY, SIZE));
		mark(p, MANY);
		KUNIT_EXPECT_EQ(test, in_use(heap), MANY);
		KUNIT_EXPECT_EQ(test, spoilt(p, MANY), 0);
		kt_shuffle(p, MANY, round);
		kt_free(heap, p, MANY - round);
		KUNIT_EXPECT_EQ(test, in_use(heap), round);
		kt_free(heap, p + MANY - round, round);
		KUNIT_EXPECT_EQ(test, in_use(heap), 0);
		kt_expect_valid(test, heap);
	}
	KUNIT_EXPECT_EQ(test, heap->c.bad_pointers, 0);
}

static void percpu_all_goes_back(struct kunit *test)
{
	struct kpy_heap *heap = percpu_heap(test);
	void **p = kt_memory(test, MANY * sizeof(*p));

	KUNIT_ASSERT_NOT_NULL(test, heap);
	KUNIT_ASSERT_NOT_NULL(test, p);
	KUNIT_ASSERT_TRUE(test, kt_fill(heap, p, MANY, SIZE));
	KUNIT_EXPECT_GT(test, heap->c.arenas_current, 1);
	kt_free(heap, p, MANY);
	kpy_heap_trim(heap);
	KUNIT_EXPECT_EQ(test, heap->c.arenas_current, 0);
	KUNIT_EXPECT_EQ(test, heap->c.held_bytes, 0);
}

static void percpu_same_block_again(struct kunit *test)
{
	struct kpy_heap *heap = percpu_heap(test);
	void *p, *q;

	KUNIT_ASSERT_NOT_NULL(test, heap);
	preempt_disable();
	p = kpy_alloc(heap, SIZE, GFP_NOWAIT);
	kpy_free(heap, p);
	q = kpy_alloc(heap, SIZE, GFP_NOWAIT);
	preempt_enable();
	KUNIT_EXPECT_PTR_EQ(test, p, q);
	kpy_free(heap, q);
}

static void percpu_freed_twice(struct kunit *test)
{
	struct kpy_heap *heap = percpu_heap(test);
	void *p[3];

	KUNIT_ASSERT_NOT_NULL(test, heap);
	KUNIT_ASSERT_TRUE(test, kt_fill(heap, p, 3, SIZE));
	preempt_disable();
	kpy_free(heap, p[0]);
	kpy_free(heap, p[0]);
	preempt_enable();
	KUNIT_EXPECT_EQ(test, heap->c.bad_pointers, 1);
	KUNIT_EXPECT_EQ(test, in_use(heap), 2);

	/* Not the last one freed: seen on its way to the pool. */
	kpy_free(heap, p[1]);
	kpy_free(heap, p[2]);
	kpy_free(heap, p[1]);
	kpy_heap_trim(heap);
	KUNIT_EXPECT_EQ(test, heap->c.bad_pointers, 2);
	KUNIT_EXPECT_EQ(test, in_use(heap), 0);
}

static void percpu_not_a_block(struct kunit *test)
{
	struct kpy_heap *heap = percpu_heap(test), *other = percpu_heap(test);
	void *p = NULL, *others = NULL, *page = (void *)__get_free_page(GFP_KERNEL | __GFP_ZERO);
	void *bad[5];
	u32 i;

	KUNIT_ASSERT_NOT_NULL(test, heap);
	KUNIT_ASSERT_NOT_NULL(test, other);
	kt_fill(heap, &p, 1, SIZE);
	kt_fill(other, &others, 1, SIZE);
	bad[0] = others;
	bad[1] = page;
	bad[2] = &bad;				/* a stack */
	bad[3] = (void *)SZ_64K;		/* user space's */
	bad[4] = (void *)(1UL << (BITS_PER_LONG - 1) | SZ_64K);	/* nobody's */
	/* User Mode Linux would be hit by a signal that it does not expect. */
	if (IS_ENABLED(CONFIG_UML))
		bad[4] = bad[3];
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		kpy_free(heap, bad[i]);
		KUNIT_EXPECT_EQ(test, heap->c.bad_pointers, i + 1);
	}
	kpy_free(heap, NULL);
	KUNIT_EXPECT_EQ(test, heap->c.bad_pointers, ARRAY_SIZE(bad));
	KUNIT_EXPECT_EQ(test, in_use(heap), 1);
	kpy_free(heap, p);
	kpy_free(other, others);
	free_page((unsigned long)page);
}

/* A pointer into a block is seen on its way to the pool; the block stays in use. */
static void percpu_into_a_block(struct kunit *test)
{
	struct kpy_heap *heap = percpu_heap(test);
	void *p = NULL;

	KUNIT_ASSERT_NOT_NULL(test, heap);
	KUNIT_ASSERT_TRUE(test, kt_fill(heap, &p, 1, SIZE));
	kpy_free(heap, p + 16);
	kpy_heap_trim(heap);
	KUNIT_EXPECT_EQ(test, heap->c.bad_pointers, 1);
	KUNIT_EXPECT_EQ(test, in_use(heap), 1);
	kpy_free(heap, p);
}

static void handle_sizes(struct kunit *test)
{
	struct kpy_heap *heap = percpu_heap(test);
	struct kpy_cache cache;

	KUNIT_ASSERT_NOT_NULL(test, heap);
	KUNIT_EXPECT_EQ(test, kpy_cache_init(&cache, heap, 0), -EINVAL);
	KUNIT_EXPECT_EQ(test, kpy_cache_init(&cache, heap, 513), -EINVAL);
	KUNIT_EXPECT_EQ(test, kpy_cache_init(&cache, heap, 1), 0);
	KUNIT_EXPECT_EQ(test, kpy_cache_init(&cache, heap, 512), 0);
}

/* Blocks of handles and others may be mixed, in both modes. */
static void handle_is_the_heap(struct kunit *test)
{
	struct kpy_heap *heaps[] = { percpu_heap(test), kt_heap(test, &geometry) };
	struct kpy_cache cache, larger;
	void *a, *b, *c;
	u32 i;

	for (i = 0; i < ARRAY_SIZE(heaps); i++) {
		KUNIT_ASSERT_NOT_NULL(test, heaps[i]);
		KUNIT_ASSERT_EQ(test, kpy_cache_init(&cache, heaps[i], SIZE), 0);
		KUNIT_ASSERT_EQ(test, kpy_cache_init(&larger, heaps[i], 2 * SIZE), 0);
		a = kpy_cache_alloc(&cache, GFP_KERNEL);
		b = kpy_alloc(heaps[i], SIZE, GFP_KERNEL);
		c = kpy_cache_alloc(&cache, GFP_KERNEL | __GFP_ZERO);
		KUNIT_EXPECT_EQ(test, kt_where(test, heaps[i], a).size, SIZE);
		KUNIT_EXPECT_NULL(test, memchr_inv(c, 0, SIZE));
		KUNIT_EXPECT_EQ(test, in_use(heaps[i]), 3);
		kpy_free(heaps[i], a);
		kpy_cache_free(&cache, b);
		kpy_cache_free(&larger, c);	/* another class: the heap sees to it */
		KUNIT_EXPECT_EQ(test, in_use(heaps[i]), 0);
		KUNIT_EXPECT_EQ(test, heaps[i]->c.bad_pointers, 0);
	}
}

/* Of any half of the address space, mapped or not. */
static void handle_refuses_what_is_bad(struct kunit *test)
{
	void *bad[] = { (void *)16, (void *)(1UL << 40), (void *)(1UL << 62), (void *)-4096L, test };
	struct kpy_heap *heap = kt_heap_of_mode(test, &geometry);
	struct kpy_cache cache;
	u32 i;

	KUNIT_ASSERT_NOT_NULL(test, heap);
	KUNIT_ASSERT_EQ(test, kpy_cache_init(&cache, heap, SIZE), 0);
	kpy_cache_free(&cache, NULL);
	KUNIT_EXPECT_EQ(test, heap->c.bad_pointers, 0);
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		kpy_cache_free(&cache, bad[i]);
		KUNIT_EXPECT_EQ(test, heap->c.bad_pointers, i + 1);
	}
}

static struct kunit_case percpu_cases[] = {
	KUNIT_CASE(percpu_no_block_is_lost),
	KUNIT_CASE(percpu_all_goes_back),
	KUNIT_CASE(percpu_same_block_again),
	KUNIT_CASE(percpu_freed_twice),
	KUNIT_CASE(percpu_not_a_block),
	KUNIT_CASE(percpu_into_a_block),
	KUNIT_CASE(handle_sizes),
	KUNIT_CASE(handle_is_the_heap),
	KUNIT_CASE_PARAM(handle_refuses_what_is_bad, kt_mode_gen_params),
	{}
};

struct kunit_suite kpy_percpu_suite = {
	.name = "kpy_percpu",
	.init = kt_init,
	.exit = kt_exit,
	.test_cases = percpu_cases,
};
