// SPDX-License-Identifier: GPL-2.0
/* What the suites share; see suite.h. */
#include <linux/err.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include "suite.h"

#define KT_ITEMS 16

/**
 * struct kt - what a case has to give back
 * @heap: its heaps
 * @memory: its other memory
 * @nr_heaps: used part of @heap
 * @nr_memory: used part of @memory
 */
struct kt {
	struct kpy_heap *heap[KT_ITEMS];
	void *memory[KT_ITEMS];
	unsigned int nr_heaps;
	unsigned int nr_memory;
};

int kt_init(struct kunit *test)
{
	struct kt *kt = kzalloc(sizeof(*kt), GFP_KERNEL);

	test->priv = kt;
	return kt ? 0 : -ENOMEM;
}

void kt_exit(struct kunit *test)
{
	struct kt *kt = test->priv;

	if (!kt)
		return;
	while (kt->nr_heaps--) {
		kt_expect_valid(test, kt->heap[kt->nr_heaps]);
		KUNIT_EXPECT_EQ(test, kpy_heap_destroy(kt->heap[kt->nr_heaps]), 0);
	}
	while (kt->nr_memory--)
		kvfree(kt->memory[kt->nr_memory]);
	kfree(kt);
	test->priv = NULL;
}

struct kpy_heap *kt_heap(struct kunit *test, const struct kpy_geometry *geo)
{
	struct kpy_heap_params params = {
		.geometry = *geo,
		.flags = KPY_HEAP_SILENT | KPY_HEAP_ON_DEMAND,
	};

	return kt_heap_of(test, &params);
}

struct kpy_heap *kt_heap_of(struct kunit *test, struct kpy_heap_params *params)
{
	struct kt *kt = test->priv;
	struct kpy_heap *heap;
	char name[16];

	snprintf(name, sizeof(name), "kunit-%u", kt->nr_heaps);
	params->name = name;
	heap = kt->nr_heaps < KT_ITEMS ? kpy_heap_create(params) : ERR_PTR(-ENOSPC);
	if (IS_ERR(heap)) {
		KUNIT_FAIL(test, "no heap: error %ld", PTR_ERR(heap));
		return NULL;
	}
	kt->heap[kt->nr_heaps++] = heap;
	return heap;
}

static const enum kpy_mode modes[] = { KPY_MODE_CLASSIC, KPY_MODE_PERCPU };

static void mode_name(const enum kpy_mode *mode, char *name)
{
	strscpy(name, *mode == KPY_MODE_CLASSIC ? "classic" : "percpu", KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(mode, modes, mode_name);

const void *kt_mode_gen_params(const void *prev, char *name)
{
	return mode_gen_params(prev, name);
}

struct kpy_heap *kt_heap_of_mode(struct kunit *test, const struct kpy_geometry *geo)
{
	const enum kpy_mode *mode = test->param_value;
	struct kpy_heap_params params = {
		.geometry = *geo, .mode = *mode, .flags = KPY_HEAP_SILENT,
	};

	return kt_heap_of(test, &params);
}

void *kt_memory(struct kunit *test, size_t size)
{
	struct kt *kt = test->priv;
	void *memory;

	memory = kt->nr_memory < KT_ITEMS ? kvzalloc(size, GFP_KERNEL) : NULL;
	if (memory)
		kt->memory[kt->nr_memory++] = memory;
	return memory;
}

void kt_expect_valid(struct kunit *test, struct kpy_heap *heap)
{
	char why[128] = "";
	int err = kpy_heap_validate(heap, why, sizeof(why));

	KUNIT_EXPECT_EQ(test, err, 0);
	KUNIT_EXPECT_STREQ(test, why, "ok");
}

bool kt_fill(struct kpy_heap *heap, void **p, u32 n, size_t size)
{
	bool all = true;
	u32 i;

	for (i = 0; i < n; i++) {
		p[i] = kpy_alloc(heap, size, GFP_KERNEL);
		all &= !!p[i];
	}
	return all;
}

void kt_free(struct kpy_heap *heap, void **p, u32 n)
{
	u32 i;

	for (i = 0; i < n; i++) {
		kpy_free(heap, p[i]);
		p[i] = NULL;
	}
}

void kt_settle(struct kpy_heap *heap)
{
	char why[128];

	if (heap->lingering)
		kpy_heap_validate(heap, why, sizeof(why));
}

void kt_shuffle(void **p, u32 n, u64 seed)
{
	struct rnd_state rnd;
	u32 i, j;

	prandom_seed_state(&rnd, seed);
	for (i = n; i > 1; i--) {
		j = prandom_u32_state(&rnd) % i;
		swap(p[i - 1], p[j]);
	}
}

struct kpy_block_info kt_where(struct kunit *test, struct kpy_heap *heap, void *ptr)
{
	struct kpy_block_info info = {};

	KUNIT_EXPECT_EQ(test, kpy_block_find(heap, ptr, &info), 0);
	return info;
}
