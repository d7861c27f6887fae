// SPDX-License-Identifier: GPL-2.0
/*
 * init_on_alloc and init_on_free: what is handed out and what was freed, with
 * whatever the kernel was booted, and in each mode.
 */
#include <linux/err.h>
#include <linux/mm.h>
#include <linux/string.h>

#include "suite.h"

#define SIZE 112	/* the heap's classes are multiples of 16 */
#define MANY 100

static const struct kpy_geometry geometry = { 64 << 10, 4 << 10, 16, 512 };

/* Blocks that had been full of something: how many have another byte than zero? */
static u32 dirty_again(struct kpy_heap *heap, void **p, gfp_t gfp)
{
	u32 i, dirty = 0;

	for (i = 0; i < MANY; i++) {
		p[i] = kpy_alloc(heap, SIZE, gfp);
		memset(p[i], 0xc3, SIZE);
	}
	kt_free(heap, p, MANY);
	for (i = 0; i < MANY; i++) {
		p[i] = kpy_alloc(heap, SIZE, gfp);
		dirty += !!memchr_inv(p[i], 0, SIZE);
	}
	kt_free(heap, p, MANY);
	return dirty;
}

static void wipe_before_use(struct kunit *test)
{
	struct kpy_heap *heap = kt_heap_of_mode(test, &geometry);
	void **p = kt_memory(test, MANY * sizeof(*p));

	KUNIT_ASSERT_NOT_NULL(test, heap);
	KUNIT_ASSERT_NOT_NULL(test, p);
	KUNIT_EXPECT_EQ(test, dirty_again(heap, p, GFP_KERNEL | __GFP_ZERO), 0);
	if (want_init_on_alloc(GFP_KERNEL) || want_init_on_free())
		KUNIT_EXPECT_EQ(test, dirty_again(heap, p, GFP_KERNEL), 0);
	else
		KUNIT_EXPECT_GT(test, dirty_again(heap, p, GFP_KERNEL), 0);
}

/* A bulk is wiped as single blocks are. */
static void wipe_bulk(struct kunit *test)
{
	struct kpy_heap *heap = kt_heap_of_mode(test, &geometry);
	void **p = kt_memory(test, MANY * sizeof(*p));
	u32 i, dirty = 0;

	KUNIT_ASSERT_NOT_NULL(test, heap);
	KUNIT_ASSERT_NOT_NULL(test, p);
	dirty_again(heap, p, GFP_KERNEL);
	for (i = 0; i < 2; i++) {
		KUNIT_ASSERT_EQ(test, kpy_alloc_bulk(heap, SIZE, GFP_KERNEL | __GFP_ZERO, MANY, p),
				MANY);
		for (dirty = 0; dirty < MANY; dirty++)
			if (memchr_inv(p[dirty], 0, SIZE))
				break;
		KUNIT_EXPECT_EQ(test, dirty, MANY);
		for (dirty = 0; dirty < MANY; dirty++)
			memset(p[dirty], 0xc3, SIZE);
		kpy_free_bulk(heap, MANY, p);
	}
}

/* Two words of a free block are the heap's, the rest tells what happened to it. */
static void wipe_after_use(struct kunit *test)
{
	struct kpy_heap *heap = kt_heap_of_mode(test, &geometry);
	u8 *p, left;

	KUNIT_ASSERT_NOT_NULL(test, heap);
	p = kpy_alloc(heap, SIZE, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, p);
	memset(p, 0xc3, SIZE);
	kpy_free(heap, p);
	left = want_init_on_free() ? 0 : 0xc3;
	KUNIT_EXPECT_NULL(test, memchr_inv(p + 16, left, SIZE - 16));
}

/* A block of 8 to 512 bytes, all of which is full, and what is then there of a smaller one. */
static u32 wiped_beyond(struct kpy_heap *heap, void **p, u32 size)
{
	u32 full = round_up(size, 8), i, bad = 0;

	for (i = 0; i < MANY; i++) {
		p[i] = kpy_alloc(heap, full, GFP_KERNEL);
		memset(p[i], 0xc3, full);
	}
	for (i = 0; i < MANY; i += 2) {
		kpy_free(heap, p[i]);
		p[i] = kpy_alloc(heap, size, GFP_KERNEL | __GFP_ZERO);
	}
	for (i = 0; i < MANY; i++)
		bad += !!(i % 2 ? memchr_inv(p[i], 0xc3, full) : memchr_inv(p[i], 0, size));
	kt_free(heap, p, MANY);
	return bad;
}

static void wipe_no_neighbour(struct kunit *test)
{
	static const struct kpy_geometry by_8 = { 64 << 10, 4 << 10, 8, 512 };
	struct kpy_heap *heap = kt_heap_of_mode(test, &by_8);
	void **p = kt_memory(test, MANY * sizeof(*p));
	u32 size, bad = 0;

	KUNIT_ASSERT_NOT_NULL(test, heap);
	KUNIT_ASSERT_NOT_NULL(test, p);
	for (size = 1; size <= 512; size++)
		bad += wiped_beyond(heap, p, size);
	KUNIT_EXPECT_EQ(test, bad, 0);
}

static struct kunit_case cases[] = {
	KUNIT_CASE_PARAM(wipe_before_use, kt_mode_gen_params),
	KUNIT_CASE_PARAM(wipe_bulk, kt_mode_gen_params),
	KUNIT_CASE_PARAM(wipe_after_use, kt_mode_gen_params),
	KUNIT_CASE_PARAM(wipe_no_neighbour, kt_mode_gen_params),
	{}
};

struct kunit_suite kpy_wipe_suite = {
	.name = "kpy_wipe", .init = kt_init, .exit = kt_exit, .test_cases = cases,
};
