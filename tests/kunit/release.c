// SPDX-License-Identifier: GPL-2.0
/*
 * Release rules: "always" leaves no wholly free arena; "keep-last" leaves one
 * that is the last of usable_arenas when it becomes wholly free, and no other.
 */
#include "suite.h"

#define ARENAS		5
#define POOLS		4
#define PER_ARENA	(POOLS * KT_BIG_PER_POOL)
#define BLOCKS		(ARENAS * PER_ARENA)

static const struct kpy_geometry keep_last = {
	16 << 10, 4 << 10, 16, 512, KPY_RELEASE_KEEP_LAST
};

static const struct kpy_geometry always = {
	16 << 10, 4 << 10, 16, 512, KPY_RELEASE_ALWAYS
};

enum order { FORWARD, BACKWARD, ACROSS, RANDOM };

static const struct release {
	const struct kpy_geometry *geo;
	enum order order;
	const char *name;
} releases[] = {
	{ &always, FORWARD, "always forward" },
	{ &always, BACKWARD, "always backward" },
	{ &always, ACROSS, "always across" },
	{ &always, RANDOM, "always random" },
	{ &keep_last, FORWARD, "keep-last forward" },
	{ &keep_last, BACKWARD, "keep-last backward" },
	{ &keep_last, ACROSS, "keep-last across" },
	{ &keep_last, RANDOM, "keep-last random" },
};

static void describe(const struct release *release, char *desc)
{
	strscpy(desc, release->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(release, releases, describe);

/* The blocks of p, in the order in which they are to be freed. */
static void arrange(void **to, void **p, enum order order)
{
	u32 i;

	for (i = 0; i < BLOCKS; i++) {
		if (order == BACKWARD)
			to[i] = p[BLOCKS - 1 - i];
		else if (order == ACROSS)
			to[i] = p[i % ARENAS * PER_ARENA + i / ARENAS];
		else
			to[i] = p[i];
	}
	if (order == RANDOM)
		kt_shuffle(to, BLOCKS, 1);
}

/* Arenas with all pools free. */
static u32 wholly_free(struct kpy_heap *heap)
{
	const struct kpy_arena *arena;
	u32 n = 0;

	kt_settle(heap);
	list_for_each_entry(arena, &heap->usable_arenas, node)
		n += arena->nfreepools == POOLS;
	return n;
}

/* All goes, each arena once: created = gone + left, after each free. */
static void release_all(struct kunit *test)
{
	const struct release *release = test->param_value;
	u32 left = release->geo->release == KPY_RELEASE_KEEP_LAST;
	struct kpy_heap *heap = kt_heap(test, release->geo);
	struct kpy_heap_stats *stats = kt_memory(test, sizeof(*stats));
	void **p = kt_memory(test, 2 * BLOCKS * sizeof(*p));
	u32 i;

	KUNIT_ASSERT_NOT_NULL(test, heap);
	KUNIT_ASSERT_NOT_NULL(test, stats);
	KUNIT_ASSERT_NOT_NULL(test, p);
	KUNIT_ASSERT_TRUE(test, kt_fill(heap, p, BLOCKS, KT_BIG));
	KUNIT_ASSERT_EQ(test, heap->c.arenas_current, ARENAS);
	arrange(p + BLOCKS, p, release->order);
	for (i = 0; i < BLOCKS; i++) {
		kt_free(heap, p + BLOCKS + i, 1);
		KUNIT_ASSERT_TRUE(test, wholly_free(heap) <= left);
		KUNIT_ASSERT_EQ(test, heap->c.held_bytes,
				heap->c.arenas_current * heap->geo.arena_size);
	}
	kpy_heap_stats(heap, stats);
	KUNIT_EXPECT_EQ(test, wholly_free(heap), left);
	KUNIT_EXPECT_EQ(test, stats->arenas_current, left);
	KUNIT_EXPECT_EQ(test, stats->arenas_reclaimed, ARENAS - left);
	KUNIT_EXPECT_EQ(test, stats->arenas_total, ARENAS);
	KUNIT_EXPECT_EQ(test, stats->unused_pools, left * POOLS);
}

/* Judged is the last USABLE arena: among full ones it is kept, and used again. */
static void release_keeps_last_usable(struct kunit *test)
{
	struct kpy_heap *heap = kt_heap(test, &keep_last);
	void **p = kt_memory(test, BLOCKS * sizeof(*p)), *again;

	KUNIT_ASSERT_NOT_NULL(test, heap);
	KUNIT_ASSERT_NOT_NULL(test, p);
	KUNIT_ASSERT_TRUE(test, kt_fill(heap, p, BLOCKS, KT_BIG));
	kt_free(heap, p + PER_ARENA, PER_ARENA);
	KUNIT_EXPECT_EQ(test, heap->c.arenas_current, ARENAS);
	KUNIT_EXPECT_EQ(test, wholly_free(heap), 1);

	again = kpy_alloc(heap, 16, GFP_KERNEL);
	KUNIT_EXPECT_EQ(test, kt_where(test, heap, again).arena, 1);
	KUNIT_EXPECT_EQ(test, heap->c.arenas_total, ARENAS);
	kpy_free(heap, again);
	kt_free(heap, p, BLOCKS);
}

/*
 * Of two usable arenas with three free pools each the first one goes when it
 * becomes wholly free, the last one stays; each is judged by its place before.
 */
static void release_by_place_before_the_move(struct kunit *test)
{
	struct kpy_heap *heap = kt_heap(test, &keep_last);
	void **p = kt_memory(test, 3 * PER_ARENA * sizeof(*p));

	KUNIT_ASSERT_NOT_NULL(test, heap);
	KUNIT_ASSERT_NOT_NULL(test, p);
	KUNIT_ASSERT_TRUE(test, kt_fill(heap, p, 3 * PER_ARENA, KT_BIG));
	kt_free(heap, p, 3 * KT_BIG_PER_POOL);
	kt_free(heap, p + PER_ARENA, 3 * KT_BIG_PER_POOL);

	/* usable: arena 1, arena 0; the latter is the last */
	kt_free(heap, p, PER_ARENA);
	KUNIT_EXPECT_EQ(test, heap->c.arenas_current, 3);
	KUNIT_EXPECT_NE(test, kpy_arena_at(heap, 0)->address, 0);
	kt_free(heap, p + PER_ARENA, PER_ARENA);
	KUNIT_EXPECT_EQ(test, heap->c.arenas_current, 2);
	KUNIT_EXPECT_EQ(test, kpy_arena_at(heap, 1)->address, 0);
	kt_free(heap, p, 3 * PER_ARENA);
}

/* A block that comes and goes: an arena each time, or one for good. */
static void come_and_go(struct kunit *test, struct kpy_heap *heap, bool keeps)
{
	u32 i;

	for (i = 1; i <= 100; i++) {
		kpy_free(heap, kpy_alloc(heap, 100, GFP_KERNEL));
		KUNIT_EXPECT_EQ(test, heap->c.arenas_total, keeps ? 1 : i);
		KUNIT_EXPECT_EQ(test, heap->c.arenas_current, keeps);
	}
	KUNIT_EXPECT_EQ(test, heap->c.arenas_highwater, 1);
	KUNIT_EXPECT_EQ(test, heap->nr_slots, 16);
}

static void release_always_thrashes(struct kunit *test)
{
	struct kpy_heap *heap = kt_heap(test, &always);

	KUNIT_ASSERT_NOT_NULL(test, heap);
	come_and_go(test, heap, false);
}

static void release_keep_last_does_not_thrash(struct kunit *test)
{
	struct kpy_heap *heap = kt_heap(test, &keep_last);

	KUNIT_ASSERT_NOT_NULL(test, heap);
	come_and_go(test, heap, true);
}

static struct kunit_case cases[] = {
	KUNIT_CASE_PARAM(release_all, release_gen_params),
	KUNIT_CASE(release_keeps_last_usable),
	KUNIT_CASE(release_by_place_before_the_move),
	KUNIT_CASE(release_always_thrashes),
	KUNIT_CASE(release_keep_last_does_not_thrash),
	{}
};

struct kunit_suite kpy_release_suite = {
	.name = "kpy_release", .init = kt_init, .exit = kt_exit, .test_cases = cases,
};
