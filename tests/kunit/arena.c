// SPDX-License-Identifier: GPL-2.0
/*
 * Arenas: which one gives the next pool, where one goes that got a pool back,
 * which pool it gives, and which slot of the vector the next arena has.
 *
 * Arenas of 4 pools of 7 blocks: 28 blocks fill one.  Blocks are kept by arena
 * and pool, in the order in which they were handed out.
 */
#include "suite.h"

#define POOLS		4
#define PER_ARENA	(POOLS * KT_BIG_PER_POOL)

static const struct kpy_geometry geometry = { 16 << 10, 4 << 10, 16, 512 };
static const struct kpy_geometry releasing = { 16 << 10, 4 << 10, 16, 512, KPY_RELEASE_ALWAYS };

/* Fills that many arenas, NULL if that fails. */
static void **fill_arenas(struct kunit *test, struct kpy_heap *heap, u32 n)
{
	void **p = kt_memory(test, n * PER_ARENA * sizeof(*p));

	return p && heap && kt_fill(heap, p, n * PER_ARENA, KT_BIG) ? p : NULL;
}

static void **pool_blocks(void **p, u32 arena, u32 pool)
{
	return p + arena * PER_ARENA + pool * KT_BIG_PER_POOL;
}

/* Empties pools of an arena from @from up to and without @to. */
static void empty_pools(struct kpy_heap *heap, void **p, u32 arena, u32 from, u32 to)
{
	kt_free(heap, pool_blocks(p, arena, from), (to - from) * KT_BIG_PER_POOL);
}

/* usable_arenas as "slot:free pools …". */
static const char *usable(struct kpy_heap *heap, char *text)
{
	const struct kpy_arena *arena;
	int len = 0;

	kt_settle(heap);
	text[0] = '\0';
	list_for_each_entry(arena, &heap->usable_arenas, node)
		len += scnprintf(text + len, KT_TEXT - len, "%s%u:%u", len ? " " : "",
				 arena->slot, arena->nfreepools);
	return text;
}

static void arena_fullest_serves_first(struct kunit *test)
{
	static const u8 expected[] = { 0, 1, 1, 2, 2, 2, 3 };
	struct kpy_heap *heap = kt_heap(test, &geometry);
	void **p = fill_arenas(test, heap, 3), *more[7 * KT_BIG_PER_POOL];
	char text[KT_TEXT];
	u32 i;

	KUNIT_ASSERT_NOT_NULL(test, p);
	KUNIT_EXPECT_STREQ(test, usable(heap, text), "");
	for (i = 0; i < 3; i++)
		empty_pools(heap, p, i, 0, i + 1);
	KUNIT_EXPECT_STREQ(test, usable(heap, text), "0:1 1:2 2:3");

	for (i = 0; i < ARRAY_SIZE(expected); i++) {
		KUNIT_ASSERT_TRUE(test, kt_fill(heap, more + i * KT_BIG_PER_POOL,
						KT_BIG_PER_POOL, KT_BIG));
		KUNIT_EXPECT_EQ(test, kt_where(test, heap, more[i * KT_BIG_PER_POOL]).arena,
				expected[i]);
	}
	KUNIT_EXPECT_STREQ(test, usable(heap, text), "3:3");
	kt_free(heap, more, ARRAY_SIZE(more));
	kt_free(heap, p, 3 * PER_ARENA);
}

/* A full arena that gets a pool back goes before its equals. */
static void arena_full_goes_to_the_head(struct kunit *test)
{
	struct kpy_heap *heap = kt_heap(test, &geometry);
	void **p = fill_arenas(test, heap, 3);
	char text[KT_TEXT];

	KUNIT_ASSERT_NOT_NULL(test, p);
	empty_pools(heap, p, 0, 0, 1);
	KUNIT_EXPECT_STREQ(test, usable(heap, text), "0:1");
	empty_pools(heap, p, 2, 3, 4);
	KUNIT_EXPECT_STREQ(test, usable(heap, text), "2:1 0:1");
	empty_pools(heap, p, 1, 2, 3);
	KUNIT_EXPECT_STREQ(test, usable(heap, text), "1:1 2:1 0:1");
	kt_free(heap, p, 3 * PER_ARENA);
}

/* One more free pool: right, to just before the first with as many. */
static void arena_moves_before_its_equals(struct kunit *test)
{
	static const struct {
		u8 arena, pool;
		const char *usable;
	} steps[] = {
		{ 0, 0, "0:1" },
		{ 1, 0, "1:1 0:1" },
		{ 2, 0, "2:1 1:1 0:1" },
		{ 3, 0, "3:1 2:1 1:1 0:1" },
		{ 0, 1, "3:1 2:1 1:1 0:2" },	/* the last one stays */
		{ 2, 1, "3:1 1:1 2:2 0:2" },	/* over one equal of old, before one of now */
		{ 3, 1, "1:1 3:2 2:2 0:2" },
		{ 2, 2, "1:1 3:2 0:2 2:3" },
		{ 0, 2, "1:1 3:2 0:3 2:3" },	/* its neighbour has as many: it stays */
		{ 3, 2, "1:1 3:3 0:3 2:3" },
		{ 1, 1, "1:2 3:3 0:3 2:3" },
		{ 1, 2, "1:3 3:3 0:3 2:3" },
		{ 2, 3, "1:3 3:3 0:3 2:4" },	/* wholly free, but the last usable one */
		{ 3, 3, "1:3 0:3 2:4" },	/* wholly free, and gone */
	};
	struct kpy_heap *heap = kt_heap(test, &geometry);
	void **p = fill_arenas(test, heap, 4);
	char text[KT_TEXT];
	u32 i;

	KUNIT_ASSERT_NOT_NULL(test, p);
	for (i = 0; i < ARRAY_SIZE(steps); i++) {
		empty_pools(heap, p, steps[i].arena, steps[i].pool, steps[i].pool + 1);
		KUNIT_EXPECT_STREQ(test, usable(heap, text), steps[i].usable);
	}
	kt_free(heap, p, 4 * PER_ARENA);
}

/* The pool emptied last serves first; virgin ones come after all emptied ones. */
static void arena_emptied_pools_before_virgin(struct kunit *test)
{
	static const u8 expected[] = { 0, 2, 1, 3 };
	struct kpy_heap *heap = kt_heap(test, &geometry);
	void *p[3 * KT_BIG_PER_POOL], *q[ARRAY_SIZE(expected)];
	u32 i;

	KUNIT_ASSERT_NOT_NULL(test, heap);
	KUNIT_ASSERT_TRUE(test, kt_fill(heap, p, ARRAY_SIZE(p), KT_BIG));
	empty_pools(heap, p, 0, 1, 2);
	empty_pools(heap, p, 0, 2, 3);
	empty_pools(heap, p, 0, 0, 1);
	for (i = 0; i < ARRAY_SIZE(expected); i++) {
		q[i] = kpy_alloc(heap, 16 * (i + 1), GFP_KERNEL);
		KUNIT_EXPECT_EQ(test, kt_where(test, heap, q[i]).pool, expected[i]);
	}
	KUNIT_EXPECT_EQ(test, kpy_arena_at(heap, 0)->ncarved, POOLS);
	kt_free(heap, q, ARRAY_SIZE(q));
}

/* The slot of the arena released last is the next one used. */
static void arena_slots_are_lifo(struct kunit *test)
{
	static const u8 expected[] = { 3, 1, 5 };
	struct kpy_heap *heap = kt_heap(test, &releasing);
	void **p = fill_arenas(test, heap, 5), **q;
	struct kpy_block_info info;
	u32 i;

	KUNIT_ASSERT_NOT_NULL(test, p);
	empty_pools(heap, p, 1, 0, POOLS);
	empty_pools(heap, p, 3, 0, POOLS);
	KUNIT_EXPECT_EQ(test, heap->c.arenas_current, 3);
	q = fill_arenas(test, heap, ARRAY_SIZE(expected));
	KUNIT_ASSERT_NOT_NULL(test, q);
	for (i = 0; i < ARRAY_SIZE(expected); i++) {
		info = kt_where(test, heap, q[i * PER_ARENA]);
		KUNIT_EXPECT_EQ(test, info.arena, expected[i]);
		KUNIT_EXPECT_EQ(test, info.arena_serial, 5 + i);
	}
	kt_free(heap, p, 5 * PER_ARENA);
	kt_free(heap, q, ARRAY_SIZE(expected) * PER_ARENA);
}

/* 0, 16, 32, 64 slots; used in order; nothing moves when the vector grows. */
static void arena_vector_grows(struct kunit *test)
{
	struct kpy_heap *heap = kt_heap(test, &geometry);
	void **p = kt_memory(test, 33 * PER_ARENA * sizeof(*p));
	const struct kpy_arena *first;
	u32 i, slots;

	KUNIT_ASSERT_NOT_NULL(test, heap);
	KUNIT_ASSERT_NOT_NULL(test, p);
	KUNIT_EXPECT_EQ(test, heap->nr_slots, 0);
	for (i = 0; i < 33; i++) {
		KUNIT_ASSERT_TRUE(test, kt_fill(heap, p + i * PER_ARENA, PER_ARENA, KT_BIG));
		slots = i < 16 ? 16 : i < 32 ? 32 : 64;
		KUNIT_EXPECT_EQ(test, heap->nr_slots, slots);
		KUNIT_EXPECT_EQ(test, kt_where(test, heap, p[i * PER_ARENA]).arena, i);
		if (!i)
			first = kpy_arena_at(heap, 0);
	}
	KUNIT_EXPECT_PTR_EQ(test, kpy_arena_at(heap, 0), first);
	KUNIT_EXPECT_EQ(test, first->address, (unsigned long)kt_pool(heap, p[0]));
	kt_free(heap, p, 33 * PER_ARENA);
	KUNIT_EXPECT_EQ(test, heap->nr_slots, 64);
}

/* Entries of nfp2lasta that are not the last arena with so many free pools. */
static u32 wrong_lasta(struct kpy_heap *heap)
{
	struct kpy_arena *last[POOLS + 1] = {}, *arena;
	u32 nf, wrong = 0;

	kt_settle(heap);
	list_for_each_entry(arena, &heap->usable_arenas, node)
		last[arena->nfreepools] = arena;
	for (nf = 0; nf <= POOLS; nf++)
		wrong += heap->nfp2lasta[nf] != last[nf];
	return wrong;
}

/* Arenas whose right neighbour has fewer free pools. */
static u32 out_of_order(struct kpy_heap *heap)
{
	const struct kpy_arena *arena;
	u32 last = 0, wrong = 0;

	kt_settle(heap);
	list_for_each_entry(arena, &heap->usable_arenas, node) {
		wrong += arena->nfreepools < last || !arena->nfreepools;
		last = arena->nfreepools;
	}
	return wrong;
}

/* Pools come and go at random; nfp2lasta and the order hold at every step. */
static void arena_last_of_each_length(struct kunit *test)
{
	struct kpy_heap *heap = kt_heap(test, &geometry);
	void **p = fill_arenas(test, heap, 6), **blocks;
	struct rnd_state rnd;
	u32 i;

	KUNIT_ASSERT_NOT_NULL(test, p);
	prandom_seed_state(&rnd, 6);
	for (i = 0; i < 400; i++) {
		blocks = pool_blocks(p, 0, prandom_u32_state(&rnd) % (6 * POOLS));
		if (blocks[0])
			kt_free(heap, blocks, KT_BIG_PER_POOL);
		else
			KUNIT_ASSERT_TRUE(test, kt_fill(heap, blocks, KT_BIG_PER_POOL, KT_BIG));
		KUNIT_ASSERT_EQ(test, wrong_lasta(heap), 0);
		KUNIT_ASSERT_EQ(test, out_of_order(heap), 0);
	}
	KUNIT_EXPECT_GT(test, heap->c.arenas_total, 6);
	kt_free(heap, p, 6 * PER_ARENA);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(arena_fullest_serves_first),
	KUNIT_CASE(arena_full_goes_to_the_head),
	KUNIT_CASE(arena_moves_before_its_equals),
	KUNIT_CASE(arena_emptied_pools_before_virgin),
	KUNIT_CASE(arena_slots_are_lifo),
	KUNIT_CASE(arena_vector_grows),
	KUNIT_CASE(arena_last_of_each_length),
	{}
};

struct kunit_suite kpy_arena_suite = {
	.name = "kpy_arena", .init = kt_init, .exit = kt_exit, .test_cases = cases,
};
