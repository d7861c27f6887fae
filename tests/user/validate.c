// SPDX-License-Identifier: GPL-2.0
/*
 * The validator: a word of a sound heap is changed, and it has to say what is wrong,
 * in all its words; the word is put back, and the heap is sound again.
 */
#include "user.h"
#include "front/magazine.h"

#define PER_ARENA	112	/* blocks of 512 bytes: 16 pools of 7 */
#define ARENAS		3
#define BLOCKS		(ARENAS * PER_ARENA)
#define BIG		31	/* the class of 512 bytes */
#define POKES		8

/**
 * struct scene - a heap to be spoilt
 * @heap: arena 0 has no pool free, arena 1 has one, arena 2 three;
 *        pool 3 of arena 0 has a block free, pool 1 of arena 1 has one of 64 bytes
 * @p: its blocks of 512 bytes
 * @small: of 64 bytes
 * @large: of the general allocator, of 1000 bytes; one of 3000 bytes is kept
 * @poke: what was there before
 * @nr: how many of them
 */
struct scene {
	struct kpy_heap *heap;
	void *p[BLOCKS];
	void *small;
	void *large;
	struct {
		void *at;
		size_t size;
		u64 was;
	} poke[POKES];
	u32 nr;
};

static void poke(struct scene *s, void *at, size_t size, u64 val)
{
	s->poke[s->nr].at = at;
	s->poke[s->nr].size = size;
	memcpy(&s->poke[s->nr++].was, at, size);
	memcpy(at, &val, size);
}

#define POKE(s, var, val) poke(s, &(var), sizeof(var), (u64)(unsigned long)(val))

static void mend(struct scene *s)
{
	while (s->nr--)
		memcpy(s->poke[s->nr].at, &s->poke[s->nr].was, s->poke[s->nr].size);
	s->nr = 0;
}

static struct kpy_arena *arena(struct scene *s, u32 slot)
{
	return kpy_arena_at(s->heap, slot);
}

static struct kpy_pool *pool(struct scene *s, u32 slot, u32 index)
{
	return kpy_arena_pool(s->heap, arena(s, slot), index);
}

static u32 *map_entry(struct scene *s, u32 slot)
{
	unsigned long key = (arena(s, slot)->address - PAGE_OFFSET) >> s->heap->arena_shift;

	return &s->heap->map.leaves[key >> KPY_MAP_LEAF_BITS][key % KPY_MAP_LEAF];
}

static void usable_astray(struct scene *s)
{
	POKE(s, arena(s, 2)->node.next, &s->nr);
}

static void usable_loops(struct scene *s)
{
	POKE(s, arena(s, 2)->node.next, &arena(s, 2)->node);
}

static void usable_full(struct scene *s)
{
	POKE(s, arena(s, 1)->nfreepools, 0);
}

static void usable_no_address(struct scene *s)
{
	POKE(s, arena(s, 1)->address, 0);
}

static void usable_order(struct scene *s)
{
	POKE(s, arena(s, 1)->nfreepools, 4);
}

static void free_not_last(struct scene *s)
{
	POKE(s, arena(s, 1)->nfreepools, 16);
}

static void free_always(struct scene *s)
{
	POKE(s, s->heap->geo.release, KPY_RELEASE_ALWAYS);
	POKE(s, arena(s, 2)->nfreepools, 16);
}

static void free_with_holes(struct scene *s)
{
	POKE(s, arena(s, 2)->npools, 3);
}

static void free_last(struct scene *s)
{
	POKE(s, arena(s, 2)->nfreepools, 16);
}

static void last_of_length(struct scene *s)
{
	POKE(s, s->heap->nfp2lasta[1], arena(s, 2));
}

static void last_of_no_length(struct scene *s)
{
	POKE(s, s->heap->nfp2lasta[16], arena(s, 1));
}

static void slot_number(struct scene *s)
{
	POKE(s, arena(s, 0)->slot, 7);
}

static void slot_not_mapped(struct scene *s)
{
	POKE(s, *map_entry(s, 0), 0);
}

static void map_has_more(struct scene *s)
{
	u32 *entry = map_entry(s, 2);

	while (*entry)		/* arenas come by ascending address here */
		entry++;
	POKE(s, *entry, 1);
}

static void unused_astray(struct scene *s)
{
	POKE(s, s->heap->unused_arenas.next, &s->nr);
}

static void unused_loops(struct scene *s)
{
	POKE(s, s->heap->unused_arenas.prev->next, s->heap->unused_arenas.next);
}

static void usable_lacks_one(struct scene *s)
{
	POKE(s, s->heap->usable_arenas.next, &arena(s, 2)->node);
	POKE(s, arena(s, 2)->node.prev, &s->heap->usable_arenas);
	POKE(s, s->heap->nfp2lasta[1], NULL);
}

static void arenas_counted(struct scene *s)
{
	POKE(s, s->heap->c.arenas_current, 4);
}

static void unused_lacks_one(struct scene *s)
{
	POKE(s, s->heap->unused_arenas.next, s->heap->unused_arenas.next->next);
}

static void pools_counted(struct scene *s)
{
	POKE(s, s->heap->free_pools, 9);
}

static void holes_counted(struct scene *s)
{
	POKE(s, s->heap->c.holes, 1);
}

static void large_counted(struct scene *s)
{
	POKE(s, s->heap->c.large_blocks, 2);
}

static void large_allocs_counted(struct scene *s)
{
	POKE(s, s->heap->c.large_allocs, 3);
}

static void large_bytes_counted(struct scene *s)
{
	POKE(s, s->heap->c.large_bytes, 999);
}

static void kept_counted(struct scene *s)
{
	POKE(s, s->heap->c.large_cached, 2);
}

static void kept_bytes_counted(struct scene *s)
{
	POKE(s, s->heap->c.large_cached_bytes, 3000);
}

static void kept_but_live(struct scene *s)
{
	POKE(s, s->heap->kept[3].top->live, true);
}

static void used_astray(struct scene *s)
{
	POKE(s, s->heap->class[BIG].usedpools.first, &s->nr);
}

static void used_not_a_pool(struct scene *s)
{
	POKE(s, s->heap->class[BIG].usedpools.first, (void *)pool(s, 0, 3) + 64);
}

static void used_not_carved(struct scene *s)
{
	POKE(s, s->heap->class[BIG].usedpools.first, pool(s, 2, 15));
	POKE(s, arena(s, 2)->ncarved, 15);
}

static void used_loops(struct scene *s)
{
	POKE(s, pool(s, 0, 3)->node.next, pool(s, 0, 3));
}

static void used_other_class(struct scene *s)
{
	POKE(s, pool(s, 0, 3)->szidx, 3);
}

static void used_empty(struct scene *s)
{
	POKE(s, pool(s, 0, 3)->count, 0);
}

static void used_full(struct scene *s)
{
	POKE(s, pool(s, 0, 3)->freeblock, NULL);
}

static void pool_of_other_arena(struct scene *s)
{
	POKE(s, pool(s, 0, 3)->arenaindex, 5);
}

static void pool_of_no_class(struct scene *s)
{
	POKE(s, pool(s, 0, 4)->szidx, 32);
}

static void pool_carved_too_far(struct scene *s)
{
	POKE(s, pool(s, 0, 4)->nextoffset, 48 + 7 * 512 + 1);
}

static void block_astray(struct scene *s)
{
	POKE(s, pool(s, 0, 3)->freeblock, (void *)pool(s, 0, 3) + 49);
}

static void block_in_header(struct scene *s)
{
	POKE(s, pool(s, 0, 3)->freeblock, pool(s, 0, 3));
}

static void block_not_carved(struct scene *s)
{
	POKE(s, pool(s, 1, 1)->freeblock, (void *)pool(s, 1, 1) + 48 + 2 * 64);
}

static void blocks_loop(struct scene *s)
{
	poke(s, pool(s, 0, 3)->freeblock, sizeof(void *),
	     (unsigned long)pool(s, 0, 3)->freeblock);
}

static void blocks_counted(struct scene *s)
{
	POKE(s, pool(s, 0, 3)->count, 5);
}

static void pool_neither(struct scene *s)
{
	POKE(s, s->heap->class[3].usedpools.first, NULL);
	POKE(s, pool(s, 1, 1)->freeblock, NULL);
	POKE(s, pool(s, 1, 1)->nextoffset, 48 + 64);
}

static void freepools_astray(struct scene *s)
{
	POKE(s, arena(s, 2)->freepools, pool(s, 2, 5));
}

static void freepools_foreign(struct scene *s)
{
	POKE(s, arena(s, 2)->freepools->nextfree, &s->nr);
}

static void freepools_loop(struct scene *s)
{
	POKE(s, arena(s, 2)->freepools->nextfree, arena(s, 2)->freepools);
}

static void freepools_lacks_one(struct scene *s)
{
	POKE(s, arena(s, 2)->freepools, arena(s, 2)->freepools->nextfree);
}

static void virgin_counted(struct scene *s)
{
	POKE(s, arena(s, 2)->ncarved, 15);
}

static void used_lacks_one(struct scene *s)
{
	POKE(s, s->heap->class[BIG].usedpools.first, NULL);
}

static void class_counted(struct scene *s)
{
	POKE(s, s->heap->class[BIG].in_use, 1);
}

static void class_pools_counted(struct scene *s)
{
	POKE(s, s->heap->class[BIG].pools, 42);
}

static void allocs_counted(struct scene *s)
{
	POKE(s, s->heap->c.allocs, 1000);
}

static const struct fault {
	void (*spoil)(struct scene *s);
	const char *why;
} faults[] = {
	{ usable_astray, "I5: usable_arenas leads astray after 2 arenas" },
	{ usable_loops, "I5: usable_arenas leads astray after 17 arenas" },
	{ usable_full, "I5: arena 1 is in usable_arenas with 0 free pools" },
	{ usable_no_address, "I5: arena 1 is in usable_arenas with 1 free pools" },
	{ usable_order, "I5: arena 2, 3 free pools, comes after one with 4" },
	{ free_not_last, "I9: arena 1 is wholly free and was not released" },
	{ free_always, "I9: arena 2 is wholly free and was not released" },
	{ free_with_holes, "I9: arena 2 is wholly free and was not released" },
	{ free_last, "I6: nfp2lasta[16] is not arena 2" },
	{ last_of_length, "I6: nfp2lasta[1] is not arena 1" },
	{ last_of_no_length, "I6: nfp2lasta has 3 entries for 2 lengths" },
	{ slot_number, "I8: arena_map does not name slot 0" },
	{ slot_not_mapped, "I8: arena_map does not name slot 0" },
	{ map_has_more, "I8: arena_map has 4 entries for 3 arenas" },
	{ unused_astray, "I7: unused_arenas leads astray after 0 slots" },
	{ unused_loops, "I7: unused_arenas leads astray after 17 slots" },
	{ usable_lacks_one, "I5: usable_arenas has 1 of 2 arenas with free pools" },
	{ arenas_counted, "I7: 3 slots in use, 4 counted, 13 unused, 16 in all" },
	{ unused_lacks_one, "I7: 3 slots in use, 3 counted, 12 unused, 16 in all" },
	{ pools_counted, "I12: 4 free pools and 0 holes, counted 9 and 0" },
	{ holes_counted, "I12: 4 free pools and 0 holes, counted 4 and 1" },
	{ large_counted, "I11: 1 large blocks of 1000 bytes, counted 2 and 1000" },
	{ large_allocs_counted, "I11: 1 large blocks of 1000 bytes, counted 1 and 1000" },
	{ large_bytes_counted, "I11: 1 large blocks of 1000 bytes, counted 1 and 999" },
	{ kept_counted, "I11: 1 kept blocks of 4096 bytes, counted 2 and 4096" },
	{ kept_bytes_counted, "I11: 1 kept blocks of 4096 bytes, counted 1 and 3000" },
	{ kept_but_live, "I11: 0 kept blocks of 0 bytes, counted 1 and 4096" },
	{ used_astray, "I3: usedpools[31] leads astray after 0 pools" },
	{ used_not_a_pool, "I3: usedpools[31] leads astray after 0 pools" },
	{ used_not_carved, "I3: usedpools[31] leads astray after 0 pools" },
	{ used_loops, "I3: usedpools[31] leads astray after 44 pools" },
	{ used_other_class, "I3: usedpools[31] has a pool of class 3, count 6" },
	{ used_empty, "I3: usedpools[31] has a pool of class 31, count 0" },
	{ used_full, "I3: usedpools[31] has a pool of class 31, count 6" },
	{ pool_of_other_arena, "I1: pool 3 of arena 0 says arena 5, class 31" },
	{ pool_of_no_class, "I1: pool 4 of arena 0 says arena 0, class 32" },
	{ pool_carved_too_far, "I1: pool 4 of arena 0 is carved up to byte 3633" },
	{ block_astray, "I1: pool 3 of arena 0: freeblock astray after 0" },
	{ block_in_header, "I1: pool 3 of arena 0: freeblock astray after 0" },
	{ block_not_carved, "I1: pool 1 of arena 1: freeblock astray after 0" },
	{ blocks_loop, "I1: pool 3 of arena 0: freeblock astray after 8" },
	{ blocks_counted, "I1: pool 3 of arena 0: 5 in use, 1 free, 0 virgin of 7" },
	{ pool_neither, "I2: pool 1 of arena 1: 1 of 63 in use, but freeblock is empty" },
	{ freepools_astray, "I4: freepools of arena 2 leads astray after 0 pools" },
	{ freepools_foreign, "I4: freepools of arena 2 leads astray after 1 pools" },
	{ freepools_loop, "I4: freepools of arena 2 leads astray after 17 pools" },
	{ freepools_lacks_one, "I4: arena 2: nfreepools 3, freepools 2, empty 3, virgin 0" },
	{ virgin_counted, "I4: arena 2: nfreepools 3, freepools 3, empty 3, virgin 1" },
	{ used_lacks_one, "I3: class 31: 1 pools partly used, 0 in usedpools" },
	{ class_counted, "I10: class 31: 43 pools, 300 blocks; counted 43, 1" },
	{ class_pools_counted, "I10: class 31: 43 pools, 300 blocks; counted 42, 300" },
	{ allocs_counted, "I10: 301 blocks in use, 1000 allocs, 36 frees" },
};

static void describe(const struct fault *fault, char *desc)
{
	strscpy(desc, fault->why, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(fault, faults, describe);

static struct scene *scene_new(struct kunit *test, enum kpy_release release)
{
	struct scene *s = kt_memory(test, sizeof(*s));

	s->heap = ut_heap(test, KPY_MODE_CLASSIC, release);
	if (!kt_fill(s->heap, s->p, BLOCKS, 512))
		return NULL;
	kt_free(s->heap, s->p + PER_ARENA, 2 * 7);
	kt_free(s->heap, s->p + 2 * PER_ARENA, 3 * 7);
	kt_free(s->heap, s->p + 3 * 7 + 2, 1);
	s->small = kpy_alloc(s->heap, 64, GFP_KERNEL);
	s->large = kpy_alloc(s->heap, 1000, GFP_KERNEL);
	kpy_free(s->heap, kpy_alloc(s->heap, 3000, GFP_KERNEL));
	kt_expect_valid(test, s->heap);
	return s;
}

static void scene_delete(struct scene *s)
{
	kt_free(s->heap, s->p, BLOCKS);
	kpy_free(s->heap, s->small);
	kpy_free(s->heap, s->large);
}

static void expect_fault(struct kunit *test, struct scene *s, const char *fault)
{
	char why[128] = "";

	KUNIT_EXPECT_EQ(test, kpy_heap_validate(s->heap, why, sizeof(why)), -EUCLEAN);
	KUNIT_EXPECT_STREQ(test, why, fault);
	mend(s);
	kt_expect_valid(test, s->heap);
}

static void validate_says_what_is_wrong(struct kunit *test)
{
	const struct fault *fault = test->param_value;
	struct scene *s = scene_new(test, KPY_RELEASE_KEEP_LAST);

	KUNIT_ASSERT_NOT_NULL(test, s);
	fault->spoil(s);
	expect_fault(test, s, fault->why);
	scene_delete(s);
}

/* With holes: a bit too many, one too few, one where nothing was carved. */
static void validate_holes(struct kunit *test)
{
	struct scene *s = scene_new(test, KPY_RELEASE_POOL);

	KUNIT_ASSERT_NOT_NULL(test, s);
	KUNIT_EXPECT_EQ(test, kpy_heap_trim(s->heap), 4);
	kt_expect_valid(test, s->heap);
	POKE(s, *arena(s, 2)->holes, *arena(s, 2)->holes | BIT(5));
	expect_fault(test, s, "I12: arena 2: 4 holes among its 16 carved pools, counted 3");
	POKE(s, *arena(s, 2)->holes, *arena(s, 2)->holes | BIT(15));
	POKE(s, arena(s, 2)->ncarved, 15);
	expect_fault(test, s, "I12: arena 2: 3 holes among its 15 carved pools, counted 3");
	POKE(s, s->heap->c.holes, 3);
	expect_fault(test, s, "I12: 0 free pools and 4 holes, counted 0 and 3");
	scene_delete(s);
}

/* An arena that another CPU has attached and not used yet is no violation. */
static void validate_attached(struct kunit *test)
{
	struct kpy_heap *heap = ut_heap(test, KPY_MODE_CLASSIC, KPY_RELEASE_ALWAYS);
	struct kpy_spare spare = {};
	unsigned long flags;
	void *p;

	KUNIT_EXPECT_TRUE(test, kpy_arena_fill_spare(heap, &spare, GFP_KERNEL));
	flags = kpy_heap_lock(heap);
	KUNIT_EXPECT_TRUE(test, kpy_arena_attach(heap, &spare));
	kpy_heap_unlock(heap, flags);
	kpy_arena_drop_spare(heap, &spare);
	kt_expect_valid(test, heap);
	p = kpy_alloc(heap, 64, GFP_KERNEL);
	KUNIT_EXPECT_EQ(test, heap->c.arenas_total, 1);
	kpy_free(heap, p);
	KUNIT_EXPECT_EQ(test, heap->c.arenas_current, 0);
}

/* A front that counts wrong, and one that is in use by somebody who comes and goes. */
static void validate_cached(struct kunit *test)
{
	struct scene *s = kt_memory(test, sizeof(*s));
	unsigned long waited;
	char why[128] = "";

	s->heap = ut_heap(test, KPY_MODE_PERCPU, KPY_RELEASE_KEEP_LAST);
	s->small = kpy_alloc(s->heap, 64, GFP_KERNEL);
	waited = sim_grace_periods;
	POKE(s, s->heap->depot[3].nr, 2);
	expect_fault(test, s, "I10: class 3: 143 blocks cached, but 48 in use");
	KUNIT_EXPECT_EQ(test, sim_grace_periods, waited + 2);
	POKE(s, front_of(s->heap, 3, KPY_FRONT_IRQ, 3)->state, 8 + 2 * 8);
	expect_fault(test, s, "I10: class 3: 49 blocks cached, but 48 in use");
	POKE(s, per_cpu_ptr(s->heap->cpu, 2)->shelf[3].nr, 1);
	expect_fault(test, s, "I10: class 3: 95 blocks cached, but 48 in use");
	sim_fail_always(BIT(SIM_KMALLOC));
	KUNIT_EXPECT_EQ(test, kpy_heap_validate(s->heap, why, sizeof(why)), -ENOMEM);
	sim_fail_always(0);
	kpy_free(s->heap, s->small);
}

static struct kunit_case cases[] = {
	KUNIT_CASE_PARAM(validate_says_what_is_wrong, fault_gen_params),
	KUNIT_CASE(validate_holes),
	KUNIT_CASE(validate_attached),
	KUNIT_CASE(validate_cached),
	{}
};

USER_SUITE(validate);
