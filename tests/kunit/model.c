// SPDX-License-Identifier: GPL-2.0
/*
 * A second allocator, told from the rules alone: indices in lists that are
 * searched one by one, no addresses, no pointers from block to block.  Random
 * requests go to a heap and to the model; both must put each block in the same
 * place and end up with the same numbers.
 */
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "suite.h"

static unsigned int ops = IS_ENABLED(CONFIG_KASAN) || IS_ENABLED(CONFIG_PROVE_LOCKING) ?
			  4000 : 50000;
module_param(ops, uint, 0444);
MODULE_PARM_DESC(ops, "random operations of a run against the model, 4000 or more");

/* A list of numbers. */
struct seq {
	u32 *v;
	u32 n;
	u32 room;
};

static void seq_insert(struct seq *s, u32 at, u32 value)
{
	u32 room = s->room ? 2 * s->room : 16;
	u32 *v;

	if (s->n == s->room) {
		v = krealloc(s->v, room * sizeof(*v), GFP_KERNEL);
		if (!v)
			return;		/* the model goes wrong, and that is seen */
		s->v = v;
		s->room = room;
	}
	memmove(&s->v[at + 1], &s->v[at], (s->n - at) * sizeof(*s->v));
	s->v[at] = value;
	s->n++;
}

static void seq_push(struct seq *s, u32 value)
{
	seq_insert(s, s->n, value);
}

static u32 seq_pop(struct seq *s)
{
	return s->n ? s->v[--s->n] : 0;
}

/* Where a value is, n if nowhere. */
static u32 seq_find(const struct seq *s, u32 value)
{
	u32 at = 0;

	while (at < s->n && s->v[at] != value)
		at++;
	return at;
}

static void seq_remove(struct seq *s, u32 value)
{
	u32 at = seq_find(s, value);

	if (at == s->n)
		return;
	s->n--;
	memmove(&s->v[at], &s->v[at + 1], (s->n - at) * sizeof(*s->v));
}

#define MODEL_ARENAS	256
#define NEVER		~0U

struct model_pool {
	u32 class;
	u32 count;
	u32 fresh;
	struct seq blocks;	/* the LIFO, its top last */
};

struct model_arena {
	bool live;
	u64 serial;
	u32 nfree;
	u32 holes;
	u32 carved;
	struct seq emptied;	/* the LIFO of pools, its top last */
	struct model_pool *pool;
};

/* Pools are numbered through: arena * pools + pool. */
struct model {
	struct kpy_geometry geo;
	u32 pools;
	u32 header;
	u32 slots;
	struct model_arena arena[MODEL_ARENAS];
	struct seq usable;
	struct seq unused;	/* its top last */
	struct seq used[KPY_MAX_CLASSES];
	struct kpy_heap_stats s;
};

static struct model *model_new(const struct kpy_geometry *geo)
{
	struct model *m = kvzalloc(sizeof(*m), GFP_KERNEL);

	if (!m)
		return NULL;
	m->geo = *geo;
	m->pools = geo->arena_size / geo->pool_size;
	m->header = roundup(48, geo->alignment);
	return m;
}

static void model_drop_arena(struct model *m, u32 slot)
{
	struct model_arena *arena = &m->arena[slot];
	u32 i;

	for (i = 0; arena->pool && i < m->pools; i++)
		kfree(arena->pool[i].blocks.v);
	kfree(arena->emptied.v);
	kvfree(arena->pool);
	memset(arena, 0, sizeof(*arena));
}

static void model_delete(struct model *m)
{
	u32 i;

	if (!m)
		return;
	for (i = 0; i < MODEL_ARENAS; i++)
		model_drop_arena(m, i);
	for (i = 0; i < KPY_MAX_CLASSES; i++)
		kfree(m->used[i].v);
	kfree(m->usable.v);
	kfree(m->unused.v);
	kvfree(m);
}

static u32 model_capacity(const struct model *m, u32 class)
{
	return (m->geo.pool_size - m->header) / ((class + 1) * m->geo.alignment);
}

static struct model_pool *model_pool(struct model *m, u32 id)
{
	return &m->arena[id / m->pools].pool[id % m->pools];
}

/* 16 slots at first, then twice as many; the lowest new one is used first. */
static void model_add_slots(struct model *m)
{
	u32 more = m->slots ? m->slots : 16, i;

	for (i = more; i--; )
		seq_push(&m->unused, m->slots + i);
	m->slots += more;
}

static bool model_new_arena(struct model *m)
{
	struct model_arena *arena;
	u32 slot, i;

	if (!m->unused.n)
		model_add_slots(m);
	slot = seq_pop(&m->unused);
	if (slot >= MODEL_ARENAS)
		return false;
	arena = &m->arena[slot];
	arena->pool = kvcalloc(m->pools, sizeof(*arena->pool), GFP_KERNEL);
	if (!arena->pool)
		return false;
	for (i = 0; i < m->pools; i++)
		arena->pool[i].class = NEVER;
	arena->live = true;
	arena->nfree = m->pools;
	arena->serial = m->s.arenas_total++;
	m->s.arenas_current++;
	m->s.arenas_highwater = max(m->s.arenas_highwater, m->s.arenas_current);
	seq_push(&m->usable, slot);
	return true;
}

/* From the fullest arena, emptied ones first; lays it out for the class. */
static void model_take_pool(struct model *m, u32 class)
{
	u32 slot = m->usable.v[0];
	struct model_arena *arena = &m->arena[slot];
	struct model_pool *pool;
	u32 index;

	index = arena->emptied.n ? seq_pop(&arena->emptied) : arena->carved++;
	if (--arena->nfree == 0)
		seq_remove(&m->usable, slot);
	seq_push(&m->used[class], slot * m->pools + index);

	pool = &arena->pool[index];
	if (pool->class == class)
		return;
	pool->class = class;
	pool->fresh = 2;
	pool->blocks.n = 0;
	seq_push(&pool->blocks, 1);
	seq_push(&pool->blocks, 0);
}

static bool model_alloc(struct model *m, size_t size, struct kpy_block_info *at)
{
	u32 class = (size - 1) / m->geo.alignment;
	struct model_pool *pool;
	u32 id;

	if (!m->used[class].n) {
		if (!m->usable.n && !model_new_arena(m))
			return false;
		model_take_pool(m, class);
	}
	id = m->used[class].v[0];
	pool = model_pool(m, id);
	at->arena = id / m->pools;
	at->arena_serial = m->arena[at->arena].serial;
	at->pool = id % m->pools;
	at->block = seq_pop(&pool->blocks);
	at->szidx = class;
	at->size = (class + 1) * m->geo.alignment;

	pool->count++;
	m->s.allocs++;
	if (pool->blocks.n)
		return true;
	if (pool->fresh < model_capacity(m, class))
		seq_push(&pool->blocks, pool->fresh++);
	else
		seq_remove(&m->used[class], id);
	return true;
}

/* Its new place in usable, or its end. */
static void model_give_pool(struct model *m, u32 slot, u32 index)
{
	struct model_arena *arena = &m->arena[slot];
	bool last = m->usable.n && m->usable.v[m->usable.n - 1] == slot;
	u32 at;

	seq_push(&arena->emptied, index);
	at = seq_find(&m->usable, slot);
	seq_remove(&m->usable, slot);
	if (++arena->nfree + arena->holes == m->pools &&
	    (m->geo.release == KPY_RELEASE_ALWAYS || arena->holes || !last)) {
		model_drop_arena(m, slot);
		seq_push(&m->unused, slot);
		m->s.arenas_current--;
		return;
	}
	if (arena->nfree == 1)
		at = 0;
	else
		while (at < m->usable.n && m->arena[m->usable.v[at]].nfree < arena->nfree)
			at++;
	seq_insert(&m->usable, at, slot);
}

/* All free pools go, an arena without others as well; returns their number. */
static u32 model_trim(struct model *m)
{
	bool by_pool = m->geo.release == KPY_RELEASE_POOL;
	struct model_arena *arena;
	u32 slot, pools = 0;

	while (m->usable.n) {
		slot = m->usable.v[m->usable.n - 1];
		arena = &m->arena[slot];
		if (arena->nfree < m->pools && !by_pool)
			break;
		pools += arena->nfree;
		m->usable.n--;
		if (arena->nfree == m->pools) {
			model_drop_arena(m, slot);
			seq_push(&m->unused, slot);
			m->s.arenas_current--;
			continue;
		}
		arena->holes += arena->nfree;
		arena->nfree = 0;
		arena->carved = m->pools;
		arena->emptied.n = 0;
	}
	return pools;
}

static void model_free(struct model *m, const struct kpy_block_info *at)
{
	u32 id = at->arena * m->pools + at->pool;
	struct model_pool *pool = model_pool(m, id);
	bool was_full = !pool->blocks.n;

	seq_push(&pool->blocks, at->block);
	pool->count--;
	m->s.frees++;
	if (was_full) {
		seq_insert(&m->used[at->szidx], 0, id);
	} else if (!pool->count) {
		seq_remove(&m->used[at->szidx], id);
		model_give_pool(m, at->arena, at->pool);
	}
}

/* The numbers of all pools, by walking them. */
static void model_sum(struct model *m)
{
	struct model_arena *arena;
	struct model_pool *pool;
	u32 i, j;

	for (i = 0; i < MODEL_ARENAS; i++) {
		arena = &m->arena[i];
		m->s.unused_pools += arena->nfree;
		m->s.holes += arena->holes;
		for (j = 0; arena->live && j < m->pools; j++) {
			pool = &arena->pool[j];
			if (!pool->count)
				continue;
			m->s.class[pool->class].pools++;
			m->s.class[pool->class].in_use += pool->count;
			m->s.class[pool->class].available +=
				model_capacity(m, pool->class) - pool->count;
		}
	}
}

/**
 * struct thing - a live block
 * @ptr: where it is
 * @size: bytes requested
 * @at: where the model put it, if it is small
 * @small: it lies in a pool
 * @tag: what all its bytes are
 */
struct thing {
	u8 *ptr;
	size_t size;
	struct kpy_block_info at;
	bool small;
	u8 tag;
};

#define THINGS		1500
#define CHECK_EVERY	1000

struct run {
	struct kunit *test;
	struct kpy_heap *heap;
	struct model *model;
	struct rnd_state rnd;
	struct thing thing[THINGS];
	u32 op;
	u32 phase_end;
	bool growing;
	bool trims;
};

static u32 dice(struct run *run, u32 n)
{
	return prandom_u32_state(&run->rnd) % n;
}

/* Mostly small ones of few classes, so that pools become full. */
static size_t random_size(struct run *run)
{
	u32 max = run->model->geo.max_small;

	switch (dice(run, 20)) {
	case 0:
		return dice(run, 2) ? 0 : max + dice(run, 3000);
	case 1 ... 6:
		return 1 + dice(run, max);
	case 7 ... 10:
		return max / 2;
	default:
		return 1 + dice(run, max / 4);
	}
}

static bool is_small(struct run *run, size_t size)
{
	return size && size <= run->model->geo.max_small;
}

static bool differs(struct run *run, const char *what)
{
	KUNIT_FAIL(run->test, "operation %u: %s", run->op, what);
	return false;
}

static bool same_place(struct run *run, const struct thing *t)
{
	const struct kpy_block_info *at = &t->at;
	struct kpy_block_info is;

	if (kpy_block_find(run->heap, t->ptr, &is))
		return t->small ? differs(run, "a small block lies in no pool") : true;
	if (!t->small)
		return differs(run, "a large block lies in a pool");
	if (is.arena == at->arena && is.arena_serial == at->arena_serial &&
	    is.pool == at->pool && is.block == at->block &&
	    is.szidx == at->szidx && is.size == at->size)
		return true;
	KUNIT_FAIL(run->test,
		   "operation %u, %zu bytes: arena %u (%llu) pool %u block %u class %u, should be %u (%llu) %u %u %u",
		   run->op, t->size, is.arena, is.arena_serial, is.pool, is.block, is.szidx,
		   at->arena, at->arena_serial, at->pool, at->block, at->szidx);
	return false;
}

static bool intact(struct run *run, const struct thing *t, size_t size)
{
	return !memchr_inv(t->ptr, t->tag, size) || differs(run, "a block was overwritten");
}

static void paint(struct run *run, struct thing *t)
{
	t->tag = 1 + dice(run, 255);
	memset(t->ptr, t->tag, t->size);
}

static void model_count_large(struct run *run, s64 blocks, s64 bytes)
{
	struct kpy_heap_stats *s = &run->model->s;

	s->large_blocks += blocks;
	s->large_bytes += bytes;
	s->large_bytes_peak = max(s->large_bytes_peak, s->large_bytes);
}

static bool do_alloc(struct run *run, struct thing *t)
{
	t->size = random_size(run);
	t->small = is_small(run, t->size);
	t->ptr = kpy_alloc(run->heap, t->size, GFP_KERNEL);
	if (!t->ptr)
		return differs(run, "no memory");
	if (!t->small)
		model_count_large(run, 1, t->size);
	else if (!model_alloc(run->model, t->size, &t->at))
		return differs(run, "the model has no memory");
	if (!same_place(run, t))
		return false;
	paint(run, t);
	return true;
}

static bool do_free(struct run *run, struct thing *t)
{
	bool ok = intact(run, t, t->size);

	kpy_free(run->heap, t->ptr);
	t->ptr = NULL;
	if (t->small)
		model_free(run->model, &t->at);
	else
		model_count_large(run, -1, -(s64)t->size);
	return ok;
}

/* A large block stays one; whether it moves is up to the general allocator. */
static void model_realloc_large(struct run *run, size_t old, size_t size, bool moved)
{
	if (moved) {
		model_count_large(run, 1, size);
		model_count_large(run, -1, -(s64)old);
	} else {
		model_count_large(run, 0, (s64)size - (s64)old);
		run->model->s.reallocs_in_place++;
	}
}

/* What the model makes of a realloc; false if it has no memory. */
static bool model_realloc(struct run *run, struct thing *t, size_t size, bool moved)
{
	struct model *m = run->model;
	struct kpy_block_info old = t->at;

	m->s.reallocs++;
	if (!t->small) {
		model_realloc_large(run, t->size, size, moved);
		return true;
	}
	if (size <= old.size && 4 * size > 3 * old.size) {
		m->s.reallocs_in_place++;
		return true;
	}
	t->small = is_small(run, size);
	if (!t->small)
		model_count_large(run, 1, size);
	else if (!model_alloc(m, size, &t->at))
		return false;
	model_free(m, &old);
	return true;
}

static bool do_realloc(struct run *run, struct thing *t)
{
	size_t size = random_size(run), kept = min(size, t->size);
	u8 *old = t->ptr;

	t->ptr = kpy_realloc(run->heap, old, size, GFP_KERNEL);
	if (!t->ptr) {
		t->ptr = old;
		return differs(run, "no memory for realloc");
	}
	if (!model_realloc(run, t, size, t->ptr != old))
		return differs(run, "the model has no memory");
	t->size = size;
	if (!same_place(run, t) || !intact(run, t, kept))
		return false;
	paint(run, t);
	return true;
}

static bool do_trim(struct run *run)
{
	u32 pages = model_trim(run->model) * (run->model->geo.pool_size >> PAGE_SHIFT);

	return kpy_heap_trim(run->heap) == pages || differs(run, "not so many pages were trimmed");
}

static bool free_all(struct run *run)
{
	bool ok = true;
	u32 i;

	for (i = 0; i < THINGS; i++)
		if (run->thing[i].ptr)
			ok &= do_free(run, &run->thing[i]);
	return ok;
}

/* Grows for a while, shrinks for a while; sometimes everything goes before it grows. */
static bool next_phase(struct run *run)
{
	run->phase_end = run->op + 250 + dice(run, 2000);
	run->growing = !run->growing;
	return run->growing && dice(run, 2) ? free_all(run) : true;
}

static bool do_op(struct run *run)
{
	struct thing *t = &run->thing[dice(run, THINGS)];

	if (run->op == run->phase_end)
		return next_phase(run);
	if (run->trims && !dice(run, 200))
		return do_trim(run);
	if (!t->ptr)
		return run->growing || !dice(run, 8) ? do_alloc(run, t) : true;
	if (!dice(run, 4))
		return do_realloc(run, t);
	return run->growing && dice(run, 4) ? true : do_free(run, t);
}

static void compare_classes(struct kunit *test, const struct kpy_heap_stats *is,
			    const struct kpy_heap_stats *s)
{
	u32 i;

	for (i = 0; i < KPY_MAX_CLASSES; i++) {
		KUNIT_EXPECT_EQ(test, is->class[i].pools, s->class[i].pools);
		KUNIT_EXPECT_EQ(test, is->class[i].in_use, s->class[i].in_use);
		KUNIT_EXPECT_EQ(test, is->class[i].available, s->class[i].available);
	}
}

static void compare_stats(struct kunit *test, const struct kpy_heap_stats *is,
			  const struct kpy_heap_stats *s)
{
	compare_classes(test, is, s);
	KUNIT_EXPECT_EQ(test, is->arenas_total, s->arenas_total);
	KUNIT_EXPECT_EQ(test, is->arenas_current, s->arenas_current);
	KUNIT_EXPECT_EQ(test, is->arenas_highwater, s->arenas_highwater);
	KUNIT_EXPECT_EQ(test, is->arenas_reclaimed, s->arenas_total - s->arenas_current);
	KUNIT_EXPECT_EQ(test, is->unused_pools, s->unused_pools);
	KUNIT_EXPECT_EQ(test, is->holes, s->holes);
	KUNIT_EXPECT_EQ(test, is->allocs, s->allocs);
	KUNIT_EXPECT_EQ(test, is->frees, s->frees);
	KUNIT_EXPECT_EQ(test, is->reallocs, s->reallocs);
	KUNIT_EXPECT_EQ(test, is->reallocs_in_place, s->reallocs_in_place);
	KUNIT_EXPECT_EQ(test, is->large_blocks, s->large_blocks);
	KUNIT_EXPECT_EQ(test, is->large_bytes, s->large_bytes);
	KUNIT_EXPECT_EQ(test, is->large_bytes_peak, s->large_bytes_peak);
	KUNIT_EXPECT_EQ(test, is->large_fallbacks, 0);
	KUNIT_EXPECT_EQ(test, is->bad_pointers, 0);
	KUNIT_EXPECT_EQ(test, is->alloc_failures, 0);
	KUNIT_EXPECT_EQ(test, is->bytes_total, is->arenas_current * is->geometry.arena_size);
}

static void run_random(struct run *run)
{
	for (run->op = 0; run->op < ops; run->op++) {
		if (!do_op(run))
			return;
		if (run->op % CHECK_EVERY == 0) {
			kt_expect_valid(run->test, run->heap);
			cond_resched();
		}
	}
}

static const struct scenario {
	struct kpy_geometry geo;
	u64 seed;
	bool trims;
} scenarios[] = {
	{ { 256 << 10, 16 << 10, 16, 512, KPY_RELEASE_KEEP_LAST }, 1 },
	{ { 128 << 10, 4 << 10, 16, 512, KPY_RELEASE_KEEP_LAST }, 2 },
	{ { 128 << 10, 4 << 10, 8, 512, KPY_RELEASE_ALWAYS }, 3 },
	{ { 64 << 10, 4 << 10, 16, 512, KPY_RELEASE_KEEP_LAST }, 4 },
	{ { 64 << 10, 4 << 10, 16, 512, KPY_RELEASE_ALWAYS }, 5 },
	{ { 16 << 10, 4 << 10, 8, 512, KPY_RELEASE_KEEP_LAST }, 6 },
	{ { 16 << 10, 4 << 10, 16, 512, KPY_RELEASE_ALWAYS }, 7 },
	{ { 16 << 10, 8 << 10, 32, 256, KPY_RELEASE_KEEP_LAST }, 8 },
	{ { 128 << 10, 64 << 10, 32, 512, KPY_RELEASE_KEEP_LAST }, 9 },
	{ { 16 << 10, 4 << 10, 16, 512, KPY_RELEASE_KEEP_LAST }, 10 },
	{ { 256 << 10, 16 << 10, 16, 512, KPY_RELEASE_POOL }, 11, true },
	{ { 128 << 10, 4 << 10, 16, 512, KPY_RELEASE_POOL }, 12, true },
	{ { 64 << 10, 4 << 10, 8, 512, KPY_RELEASE_POOL }, 13, true },
	{ { 16 << 10, 4 << 10, 16, 512, KPY_RELEASE_POOL }, 14, true },
	{ { 512 << 10, 4 << 10, 16, 512, KPY_RELEASE_POOL }, 15, true },
	{ { 64 << 10, 16 << 10, 16, 512, KPY_RELEASE_POOL }, 16 },
	{ { 64 << 10, 4 << 10, 16, 512, KPY_RELEASE_KEEP_LAST }, 17, true },
	{ { 16 << 10, 4 << 10, 16, 512, KPY_RELEASE_ALWAYS }, 18, true },
};

static void describe(const struct scenario *scenario, char *desc)
{
	static const char *const rules[] = { "keep-last", "always", "pool" };
	const struct kpy_geometry *geo = &scenario->geo;

	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "seed %llu: arena %u pool %u align %u max %u %s%s",
		 scenario->seed, geo->arena_size, geo->pool_size, geo->alignment, geo->max_small,
		 rules[geo->release], scenario->trims ? " trims" : "");
}

KUNIT_ARRAY_PARAM(scenario, scenarios, describe);

static void model_and_heap_agree(struct kunit *test)
{
	const struct scenario *scenario = test->param_value;
	struct run *run = kt_memory(test, sizeof(*run));
	struct kpy_heap_stats *is = kt_memory(test, sizeof(*is));

	KUNIT_ASSERT_NOT_NULL(test, run);
	KUNIT_ASSERT_NOT_NULL(test, is);
	run->test = test;
	run->heap = kt_heap(test, &scenario->geo);
	KUNIT_ASSERT_NOT_NULL(test, run->heap);
	run->model = model_new(&scenario->geo);
	KUNIT_ASSERT_NOT_NULL(test, run->model);
	prandom_seed_state(&run->rnd, scenario->seed);
	run->trims = scenario->trims;

	run_random(run);
	KUNIT_EXPECT_EQ(test, run->op, ops);
	kt_expect_valid(test, run->heap);
	model_sum(run->model);
	kpy_heap_stats(run->heap, is);
	compare_stats(test, is, &run->model->s);
	KUNIT_EXPECT_GT(test, is->arenas_total, 1);
	KUNIT_EXPECT_GT(test, is->reallocs_in_place, 0);
	KUNIT_EXPECT_EQ(test, is->holes_total > 0,
			run->trims && scenario->geo.release == KPY_RELEASE_POOL);
	free_all(run);
	kt_expect_valid(test, run->heap);
	kpy_heap_stats(run->heap, is);
	KUNIT_EXPECT_EQ(test, is->held_bytes - is->large_cached_bytes,
			is->bytes_total - is->bytes_holes);
	model_delete(run->model);
}

static struct kunit_case cases[] = {
	KUNIT_CASE_PARAM(model_and_heap_agree, scenario_gen_params),
	{}
};

struct kunit_suite kpy_model_suite = {
	.name = "kpy_model", .init = kt_init, .exit = kt_exit, .test_cases = cases,
};
