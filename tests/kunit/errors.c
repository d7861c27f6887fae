// SPDX-License-Identifier: GPL-2.0
/*
 * What is refused: pointers that are no live block of the heap, geometries,
 * names, and destroying a heap that somebody else holds.  A refused pointer is
 * counted and changes nothing else.
 */
#include <linux/err.h>
#include <linux/sizes.h>
#include <linux/string.h>

#include "suite.h"

#define SMALL		64
#define POOLS		4
#define ALL_POOLS	(POOLS * KT_BIG_PER_POOL)

static const struct kpy_geometry geometry = {
	16 << 10, 4 << 10, 16, 512, KPY_RELEASE_ALWAYS
};

/**
 * struct scene - a heap with some blocks, from which bad pointers are made
 * @heap: the heap
 * @other: another one like it
 * @small: four blocks in the first pool
 * @large: of the general allocator
 * @others_small: of @other
 * @others_large: of @other
 * @big: more blocks, as a maker needs them
 */
struct scene {
	struct kpy_heap *heap;
	struct kpy_heap *other;
	void *small[4];
	void *large;
	void *others_small;
	void *others_large;
	void *big[ALL_POOLS];
};

static bool scene_set(struct kunit *test, struct scene *s)
{
	u32 i;

	s->heap = kt_heap(test, &geometry);
	s->other = kt_heap(test, &geometry);
	if (!s->heap || !s->other || !kt_fill(s->heap, s->small, 4, SMALL))
		return false;
	for (i = 0; i < 4; i++)
		memset(s->small[i], 0xc3, SMALL);
	return kt_fill(s->heap, &s->large, 1, 1000) &&
	       kt_fill(s->other, &s->others_small, 1, SMALL) &&
	       kt_fill(s->other, &s->others_large, 1, 1000);
}

/* All of it goes, each block once. */
static void scene_clear(struct kunit *test, struct scene *s)
{
	u64 bad = s->heap->c.bad_pointers;
	u32 i;

	for (i = 0; i < 4; i++)
		KUNIT_EXPECT_NULL(test, memchr_inv(s->small[i], 0xc3, SMALL));
	kt_free(s->heap, s->small, 4);
	kt_free(s->heap, &s->large, 1);
	kt_free(s->heap, s->big, ALL_POOLS);
	kt_free(s->other, &s->others_small, 1);
	kt_free(s->other, &s->others_large, 1);
	KUNIT_EXPECT_EQ(test, kt_held(s->heap), 0);
	KUNIT_EXPECT_EQ(test, s->heap->c.bad_pointers, bad);
	KUNIT_EXPECT_EQ(test, s->other->c.bad_pointers, 0);
}

static void *freed(struct scene *s, size_t size)
{
	void *ptr = kpy_alloc(s->heap, size, GFP_KERNEL);

	kpy_free(s->heap, ptr);
	return ptr;
}

static void *make_freed(struct scene *s)
{
	return freed(s, SMALL);
}

static void *make_freed_before_others(struct scene *s)
{
	void *ptr[3], *first;

	kt_fill(s->heap, ptr, 3, SMALL);
	first = ptr[0];
	kt_free(s->heap, ptr, 3);
	return first;
}

static void *make_freed_in_emptied_pool(struct scene *s)
{
	return freed(s, 128);
}

static void *make_freed_in_full_pool(struct scene *s)
{
	void *ptr;

	kt_fill(s->heap, s->big, KT_BIG_PER_POOL, KT_BIG);
	ptr = s->big[3];
	kt_free(s->heap, &s->big[3], 1);
	return ptr;
}

static void *make_freed_of_former_class(struct scene *s)
{
	void *ptr[2], *second;

	kt_fill(s->heap, ptr, 2, 48);
	second = ptr[1];
	kt_free(s->heap, ptr, 2);
	kt_fill(s->heap, s->big, 1, KT_BIG);	/* the same pool */
	return second;
}

static void *make_freed_with_its_arena(struct scene *s)
{
	void *ptr;

	kt_fill(s->heap, s->big, ALL_POOLS, KT_BIG);
	ptr = s->big[ALL_POOLS - 1];
	kt_free(s->heap, s->big, ALL_POOLS);
	return ptr;
}

static void *make_freed_by_realloc(struct scene *s)
{
	void *ptr = kpy_alloc(s->heap, SMALL, GFP_KERNEL);

	s->big[0] = kpy_realloc(s->heap, ptr, KT_BIG, GFP_KERNEL);
	return ptr;
}

static void *make_freed_large(struct scene *s)
{
	return freed(s, 3000);
}

static void *make_freed_vmalloc(struct scene *s)
{
	return freed(s, 8 << 20);
}

static void *make_freed_zero_bytes(struct scene *s)
{
	return freed(s, 0);
}

static void *make_second_byte(struct scene *s)
{
	return s->small[1] + 1;
}

static void *make_inside_block(struct scene *s)
{
	return s->small[1] + 16;
}

static void *make_inside_large(struct scene *s)
{
	return s->large + 16;
}

static void *make_pool_header(struct scene *s)
{
	return kt_pool(s->heap, s->small[0]);
}

static void *make_end_of_pool_header(struct scene *s)
{
	return s->small[0] - 1;
}

static void *make_block_ahead(struct scene *s)
{
	return kt_pool(s->heap, s->small[0])->freeblock;
}

static void *make_virgin_block(struct scene *s)
{
	return s->small[0] + 20 * SMALL;
}

static void *make_behind_last_block(struct scene *s)
{
	kt_fill(s->heap, s->big, KT_BIG_PER_POOL, KT_BIG);
	return s->big[KT_BIG_PER_POOL - 1] + KT_BIG;
}

static void *make_virgin_pool(struct scene *s)
{
	return s->small[0] + 3 * s->heap->geo.pool_size;
}

static void *make_behind_arena(struct scene *s)
{
	return (void *)kt_pool(s->heap, s->small[0]) + s->heap->geo.arena_size;
}

static void *make_others_small(struct scene *s)
{
	return s->others_small;
}

static void *make_others_large(struct scene *s)
{
	return s->others_large;
}

static void *make_kmalloc(struct scene *s)
{
	return s->heap;
}

static void *make_stack(struct scene *s)
{
	return s;
}

static void *make_module_data(struct scene *s)
{
	return (void *)&geometry;
}

static void *make_module_text(struct scene *s)
{
	return make_module_text;
}

static void *make_user_address(struct scene *s)
{
	return (void *)0x7f1234567010UL;
}

static void *make_noncanonical(struct scene *s)
{
	return (void *)0xdead000000000100UL;
}

static void *make_8(struct scene *s)
{
	return (void *)8;
}

static void *make_zero_size_ptr(struct scene *s)
{
	return (void *)16;
}

static void *make_error(struct scene *s)
{
	return ERR_PTR(-ENOMEM);
}

static void *make_all_ones(struct scene *s)
{
	return (void *)~0UL;
}

static const struct bad {
	void *(*make)(struct scene *s);
	const char *name;
} bads[] = {
	{ make_freed, "freed" },
	{ make_freed_before_others, "freed before others" },
	{ make_freed_in_emptied_pool, "freed in an emptied pool" },
	{ make_freed_in_full_pool, "freed in a full pool" },
	{ make_freed_of_former_class, "freed of a former class" },
	{ make_freed_with_its_arena, "freed with its arena" },
	{ make_freed_by_realloc, "freed by realloc" },
	{ make_freed_large, "freed large" },
	{ make_freed_vmalloc, "freed vmalloc" },
	{ make_freed_zero_bytes, "freed zero bytes" },
	{ make_second_byte, "second byte" },
	{ make_inside_block, "inside a block" },
	{ make_inside_large, "inside a large block" },
	{ make_pool_header, "pool header" },
	{ make_end_of_pool_header, "end of a pool header" },
	{ make_block_ahead, "block carved ahead" },
	{ make_virgin_block, "virgin block" },
	{ make_behind_last_block, "behind the last block" },
	{ make_virgin_pool, "virgin pool" },
	{ make_behind_arena, "behind an arena" },
	{ make_others_small, "another heap's small" },
	{ make_others_large, "another heap's large" },
	{ make_kmalloc, "kmalloc" },
	{ make_stack, "stack" },
	{ make_module_data, "module data" },
	{ make_module_text, "module text" },
	{ make_user_address, "user address" },
	{ make_noncanonical, "noncanonical" },
	{ make_8, "8" },
	{ make_zero_size_ptr, "16" },
	{ make_error, "error" },
	{ make_all_ones, "all ones" },
};

static void describe_bad(const struct bad *bad, char *desc)
{
	strscpy(desc, bad->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(bad, bads, describe_bad);

/* One more bad pointer is counted, and nothing else. */
static bool only_counted(struct kpy_heap *heap, struct kpy_counters *before)
{
	before->bad_pointers++;
	return !memcmp(before, &heap->c, sizeof(*before));
}

static void errors_bad_pointer(struct kunit *test)
{
	const struct bad *bad = test->param_value;
	struct kpy_counters before;
	struct scene s = {};
	void *ptr;

	KUNIT_ASSERT_TRUE(test, scene_set(test, &s));
	ptr = bad->make(&s);
	before = s.heap->c;
	KUNIT_EXPECT_EQ(test, kpy_usable_size(s.heap, ptr), 0);
	KUNIT_EXPECT_TRUE(test, only_counted(s.heap, &before));
	KUNIT_EXPECT_NULL(test, kpy_realloc(s.heap, ptr, SMALL, GFP_KERNEL));
	KUNIT_EXPECT_TRUE(test, only_counted(s.heap, &before));
	KUNIT_EXPECT_NULL(test, kpy_realloc(s.heap, ptr, 2000, GFP_KERNEL));
	KUNIT_EXPECT_TRUE(test, only_counted(s.heap, &before));
	kpy_free(s.heap, ptr);
	KUNIT_EXPECT_TRUE(test, only_counted(s.heap, &before));
	kpy_free(s.heap, ptr);
	KUNIT_EXPECT_TRUE(test, only_counted(s.heap, &before));
	kt_expect_valid(test, s.heap);
	kt_expect_valid(test, s.other);
	scene_clear(test, &s);
}

/* Blocks of 8 bytes have no room for a mark: the one freed last is known. */
static void errors_double_free_of_8_bytes(struct kunit *test)
{
	struct kpy_heap *heap = kt_heap(test, kpy_preset("cpython-3.6"));
	void *p[3], *ptr;

	KUNIT_ASSERT_NOT_NULL(test, heap);
	KUNIT_ASSERT_TRUE(test, kt_fill(heap, p, 3, 8));
	ptr = p[1];
	kpy_free(heap, ptr);
	kpy_free(heap, ptr);
	KUNIT_EXPECT_EQ(test, heap->c.bad_pointers, 1);
	KUNIT_EXPECT_EQ(test, heap->c.frees, 1);
	kpy_free(heap, p[0]);
	kpy_free(heap, p[2]);
	KUNIT_EXPECT_EQ(test, heap->c.frees, 3);
}

/* A user may write whatever it likes into its block, a copy of a free one too. */
static void errors_live_block_looks_free(struct kunit *test)
{
	struct kpy_heap *heap = kt_heap(test, &geometry);
	unsigned long *p[2], words[2];

	KUNIT_ASSERT_NOT_NULL(test, heap);
	KUNIT_ASSERT_TRUE(test, kt_fill(heap, (void **)p, 2, SMALL));
	kpy_free(heap, p[0]);
	memcpy(words, p[0], sizeof(words));
	p[0] = kpy_alloc(heap, SMALL, GFP_KERNEL);
	memcpy(p[0], words, sizeof(words));
	KUNIT_EXPECT_EQ(test, kpy_usable_size(heap, p[0]), SMALL);
	kt_free(heap, (void **)p, 2);
	KUNIT_EXPECT_EQ(test, heap->c.bad_pointers, 0);
	KUNIT_EXPECT_EQ(test, heap->c.frees, 3);
}

static void errors_null_is_none(struct kunit *test)
{
	struct kpy_heap *heap = kt_heap(test, &geometry);
	struct kpy_block_info info;

	KUNIT_ASSERT_NOT_NULL(test, heap);
	kpy_free(heap, NULL);
	KUNIT_EXPECT_EQ(test, kpy_usable_size(heap, NULL), 0);
	KUNIT_EXPECT_EQ(test, kpy_block_find(heap, NULL, &info), -ENOENT);
	KUNIT_EXPECT_EQ(test, heap->c.bad_pointers, 0);
}

#define ANY	KPY_RELEASE_KEEP_LAST

static const struct kpy_geometry refused[] = {
	{ 0, SZ_4K, 16, 512, ANY },
	{ SZ_8K, SZ_4K, 16, 512, ANY },
	{ SZ_16K, 0, 16, 512, ANY },
	{ SZ_16K, SZ_2K, 16, 512, ANY },
	{ SZ_8M, SZ_16K, 16, 512, ANY },
	{ SZ_1M, SZ_128K, 16, 512, ANY },
	{ SZ_32K + SZ_16K, SZ_16K, 16, 512, ANY },
	{ SZ_256K, SZ_8K + SZ_4K, 16, 512, ANY },
	{ SZ_256K + 1, SZ_4K, 16, 512, ANY },
	{ SZ_256K, SZ_4K + 1, 16, 512, ANY },
	{ SZ_16K, SZ_16K, 16, 512, ANY },
	{ SZ_32K, SZ_64K, 16, 512, ANY },
	{ ~0U, SZ_4K, 16, 512, ANY },
	{ SZ_256K, ~0U, 16, 512, ANY },
	{ SZ_256K, SZ_4K, 0, 512, ANY },
	{ SZ_256K, SZ_4K, 1, 512, ANY },
	{ SZ_256K, SZ_4K, 4, 512, ANY },
	{ SZ_256K, SZ_4K, 12, 504, ANY },
	{ SZ_256K, SZ_4K, 24, 504, ANY },
	{ SZ_256K, SZ_4K, 64, 512, ANY },
	{ SZ_256K, SZ_4K, ~0U, 512, ANY },
	{ SZ_256K, SZ_4K, 16, 0, ANY },
	{ SZ_256K, SZ_4K, 16, 1, ANY },
	{ SZ_256K, SZ_4K, 16, 504, ANY },
	{ SZ_256K, SZ_4K, 32, 496, ANY },
	{ SZ_256K, SZ_4K, 16, 528, ANY },
	{ SZ_256K, SZ_4K, 16, 1024, ANY },
	{ SZ_256K, SZ_4K, 16, ~0U, ANY },
	{ SZ_256K, SZ_4K, 16, 512, KPY_RELEASE_POOL + 1 },
	{ SZ_256K, SZ_4K, 16, 512, ~0U },
	{},
};

static const struct kpy_geometry accepted[] = {
	{ KPY_ARENA_MIN, KPY_POOL_MIN, 8, 512, ANY },
	{ KPY_ARENA_MAX, KPY_POOL_MAX, 32, 512, KPY_RELEASE_ALWAYS },
	{ KPY_ARENA_MAX, KPY_POOL_MIN, 8, 8, ANY },
	{ SZ_128K, SZ_64K, 16, 16, ANY },
	{ SZ_16K, SZ_8K, 32, 32, ANY },
};

static void describe_geometry(const struct kpy_geometry *geo, char *desc)
{
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "arena %u pool %u align %u max %u release %u",
		 geo->arena_size, geo->pool_size, geo->alignment, geo->max_small,
		 (unsigned int)geo->release);
}

KUNIT_ARRAY_PARAM(refused, refused, describe_geometry);
KUNIT_ARRAY_PARAM(accepted, accepted, describe_geometry);

static void errors_geometry_refused(struct kunit *test)
{
	const struct kpy_geometry *geo = test->param_value;
	struct kpy_heap_params params = { "kunit-bad", *geo };
	const char *why = NULL;

	KUNIT_EXPECT_EQ(test, kpy_geometry_check(&params.geometry, &why), -EINVAL);
	KUNIT_EXPECT_NOT_NULL(test, why);
	KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(kpy_heap_create(&params)), -EINVAL);
	KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(kpy_heap_get("kunit-bad")), -ENOENT);
}

static void errors_geometry_accepted(struct kunit *test)
{
	struct kpy_heap *heap = kt_heap(test, test->param_value);
	const char *why = "not set";
	void *ptr;

	KUNIT_EXPECT_EQ(test, kpy_geometry_check(test->param_value, &why), 0);
	KUNIT_EXPECT_NULL(test, why);
	KUNIT_ASSERT_NOT_NULL(test, heap);
	ptr = kpy_alloc(heap, heap->geo.max_small, GFP_KERNEL);
	KUNIT_EXPECT_EQ(test, kt_where(test, heap, ptr).size, heap->geo.max_small);
	kpy_free(heap, ptr);
}

static void errors_preset(struct kunit *test)
{
	static const char *const presets[] = {
		"cpython-3.6", "cpython-3.8", "cpython-3.9", "cpython-3.10"
	};
	const struct kpy_geometry *geo;
	const char *why;
	u32 i;

	for (i = 0; i < ARRAY_SIZE(presets); i++) {
		geo = kpy_preset(presets[i]);
		KUNIT_ASSERT_NOT_NULL(test, geo);
		KUNIT_EXPECT_EQ(test, kpy_geometry_check(geo, &why), 0);
		KUNIT_EXPECT_EQ(test, geo->alignment, i ? 16 : 8);
		KUNIT_EXPECT_EQ(test, geo->arena_size, i < 3 ? SZ_256K : SZ_1M);
		KUNIT_EXPECT_EQ(test, geo->pool_size, i < 3 ? SZ_4K : SZ_16K);
		KUNIT_EXPECT_EQ(test, geo->release == KPY_RELEASE_ALWAYS, i < 2);
	}
	KUNIT_EXPECT_NULL(test, kpy_preset("cpython-3.7"));
	KUNIT_EXPECT_NULL(test, kpy_preset("cpython-3.1"));
	KUNIT_EXPECT_NULL(test, kpy_preset(""));
}

static const struct name {
	const char *name;
	int err;
} names[] = {
	{ "", -EINVAL },		{ ".", -EINVAL },	{ "..", -EINVAL },
	{ "a/b", -EINVAL },		{ "../a", -EINVAL },	{ "a b", -EINVAL },
	{ "a\n", -EINVAL },		{ "a=b", -EINVAL },	{ "\xc3\xa9", -EINVAL },
	{ "%s", -EINVAL },		{ "...", 0 },		{ "a", 0 },
	{ "AZaz09._-", 0 },		{ "-", 0 },		{ "kunit-there", -EEXIST },
	{ "kunit-ther", 0 },		{ "kunit-there2", 0 },
	{ "0123456789012345678901234567890", 0 },
	{ "01234567890123456789012345678901", -ENAMETOOLONG },
	{ "0123456789012345678901234567890123456789", -ENAMETOOLONG },
};

static void describe_name(const struct name *name, char *desc)
{
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "%zu: %*pE", name - names,
		 (int)strlen(name->name), name->name);
}

KUNIT_ARRAY_PARAM(name, names, describe_name);

static void errors_heap_name(struct kunit *test)
{
	const struct name *name = test->param_value;
	struct kpy_heap_params there = { "kunit-there", geometry };
	struct kpy_heap_params params = { name->name, geometry };
	struct kpy_heap *first = kpy_heap_create(&there), *heap;

	KUNIT_ASSERT_EQ(test, PTR_ERR_OR_ZERO(first), 0);
	heap = kpy_heap_create(&params);
	KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(heap), name->err);
	if (!IS_ERR(heap)) {
		KUNIT_EXPECT_STREQ(test, kpy_heap_name(heap), name->name);
		KUNIT_EXPECT_EQ(test, kpy_heap_destroy(heap), 0);
	}
	KUNIT_EXPECT_EQ(test, kpy_heap_destroy(first), 0);
}

static void errors_mode_and_flags(struct kunit *test)
{
	struct kpy_heap_params mode = { "kunit-bad", geometry, KPY_MODE_PERCPU + 1 };
	struct kpy_heap_params flags = { "kunit-bad", geometry, .flags = 0x80 };

	KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(kpy_heap_create(&mode)), -EINVAL);
	KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(kpy_heap_create(&flags)), -EINVAL);
}

/* Held by name it stays, in use as before; then it goes, and its name is free. */
static void errors_destroy_busy(struct kunit *test)
{
	struct kpy_heap_params params = { "kunit-busy", geometry };
	struct kpy_heap *heap = kpy_heap_create(&params);

	KUNIT_ASSERT_EQ(test, PTR_ERR_OR_ZERO(heap), 0);
	KUNIT_EXPECT_PTR_EQ(test, kpy_heap_get("kunit-busy"), heap);
	KUNIT_EXPECT_PTR_EQ(test, kpy_heap_get("kunit-busy"), heap);
	KUNIT_EXPECT_EQ(test, kpy_heap_destroy(heap), -EBUSY);
	kpy_heap_put(heap);
	KUNIT_EXPECT_EQ(test, kpy_heap_destroy(heap), -EBUSY);
	kpy_free(heap, kpy_alloc(heap, SMALL, GFP_KERNEL));
	kt_expect_valid(test, heap);
	kpy_heap_put(heap);
	KUNIT_EXPECT_EQ(test, kpy_heap_destroy(heap), 0);
	KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(kpy_heap_get("kunit-busy")), -ENOENT);
}

static struct kunit_case cases[] = {
	KUNIT_CASE_PARAM(errors_bad_pointer, bad_gen_params),
	KUNIT_CASE(errors_double_free_of_8_bytes),
	KUNIT_CASE(errors_live_block_looks_free),
	KUNIT_CASE(errors_null_is_none),
	KUNIT_CASE_PARAM(errors_geometry_refused, refused_gen_params),
	KUNIT_CASE_PARAM(errors_geometry_accepted, accepted_gen_params),
	KUNIT_CASE(errors_preset),
	KUNIT_CASE_PARAM(errors_heap_name, name_gen_params),
	KUNIT_CASE(errors_mode_and_flags),
	KUNIT_CASE(errors_destroy_busy),
	{}
};

struct kunit_suite kpy_errors_suite = {
	.name = "kpy_errors", .init = kt_init, .exit = kt_exit, .test_cases = cases,
};
