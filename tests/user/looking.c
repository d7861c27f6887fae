// SPDX-License-Identifier: GPL-2.0
/*
 * Looking at a heap: walks over live blocks, snapshots, statistics, peaks; and what is
 * said of pointers that are refused.
 */
#include "user.h"
#include "front/magazine.h"

#define MANY		3000
#define SIZE		64
#define SZIDX		3

/* ---- walks ---- */

/* What a walk visited. */
struct visits {
	struct {
		void *ptr;
		size_t size;
	} at[MANY + 100];
	u32 nr;
	u32 stop;		/* at this one, if not 0 */
};

static int visit(void *block, size_t size, void *arg)
{
	struct visits *v = arg;

	might_sleep();
	v->at[v->nr].ptr = block;
	v->at[v->nr++].size = size;
	return v->nr == v->stop ? 7 : 0;
}

static int by_address(const void *a, const void *b)
{
	const void *x = *(void *const *)a, *y = *(void *const *)b;

	return x < y ? -1 : x > y;
}

/* Just these blocks, by ascending address. */
static void expect_walk(struct kunit *test, struct kpy_heap *heap, u32 szidx, void **p, u32 n,
			size_t size, struct visits *v)
{
	u32 i, wrong = 0;

	qsort(p, n, sizeof(*p), by_address);
	memset(v, 0, sizeof(*v));
	KUNIT_EXPECT_EQ(test, kpy_heap_walk(heap, szidx, visit, v), 0);
	KUNIT_EXPECT_EQ(test, v->nr, n);
	for (i = 0; i < n; i++)
		wrong += v->at[i].ptr != p[i] || v->at[i].size != size;
	KUNIT_EXPECT_EQ(test, wrong, 0);
}

static void free_some(struct kpy_heap *heap, void **p, u32 from, u32 n)
{
	kt_free(heap, p + from, n);
}

static void looking_walk(struct kunit *test)
{
	struct kpy_heap *heap = kt_heap_of_mode(test, kpy_preset("cpython-3.9"));
	struct visits *v = kt_memory(test, sizeof(*v));
	void **p = kt_memory(test, MANY * sizeof(*p));
	u32 left = MANY, step;

	KUNIT_ASSERT_TRUE(test, kt_fill(heap, p, MANY, SIZE));
	for (step = 0; left > 100; step++) {
		expect_walk(test, heap, SZIDX, p, left, SIZE, v);
		kt_shuffle(p, left, step);
		free_some(heap, p, left - 97 * (step + 1), 97 * (step + 1));
		left -= 97 * (step + 1);
		if (left < 97 * (step + 2))
			break;
	}
	expect_walk(test, heap, SZIDX, p, left, SIZE, v);
	expect_walk(test, heap, SZIDX + 1, p, 0, SIZE, v);
	v->stop = 3;
	v->nr = 0;
	KUNIT_EXPECT_EQ(test, kpy_heap_walk(heap, SZIDX, visit, v), 7);
	KUNIT_EXPECT_EQ(test, v->nr, 3);
	KUNIT_EXPECT_EQ(test, kpy_heap_walk(heap, 32, visit, v), -EINVAL);
	KUNIT_EXPECT_EQ(test, v->nr, 3);
	kt_free(heap, p, left);
}

/* Every class, every block, then the large ones. */
static void looking_walk_all(struct kunit *test)
{
	struct kpy_heap *heap = kt_heap_of_mode(test, kpy_preset("cpython-3.9"));
	struct visits *v = kt_memory(test, sizeof(*v));
	void *p[64 + 2];
	u32 i, wrong = 0;

	for (i = 0; i < 64; i++)
		p[i] = kpy_alloc(heap, 16 * (i / 2 + 1), GFP_KERNEL);
	p[64] = kpy_alloc(heap, 1000, GFP_KERNEL);
	p[65] = kpy_alloc(heap, 5000, GFP_KERNEL);
	KUNIT_EXPECT_EQ(test, kpy_heap_walk(heap, KPY_WALK_ALL, visit, v), 0);
	KUNIT_EXPECT_EQ(test, v->nr, 66);
	for (i = 0; i < 64; i++)
		wrong += v->at[i].size != 16 * (i / 2 + 1);
	KUNIT_EXPECT_EQ(test, wrong, 0);
	KUNIT_EXPECT_EQ(test, v->at[64].size + v->at[65].size, 6000);
	KUNIT_EXPECT_TRUE(test, v->at[64].ptr < v->at[65].ptr);
	v->nr = 0;
	v->stop = 65;
	KUNIT_EXPECT_EQ(test, kpy_heap_walk(heap, KPY_WALK_ALL, visit, v), 7);
	KUNIT_EXPECT_EQ(test, v->nr, 65);
	v->nr = 0;
	v->stop = 2;
	KUNIT_EXPECT_EQ(test, kpy_heap_walk(heap, KPY_WALK_ALL, visit, v), 7);
	KUNIT_EXPECT_EQ(test, v->nr, 2);
	kt_free(heap, p, 66);
}

/* So many that they are copied in parts. */
static void looking_walk_large(struct kunit *test)
{
	struct kpy_heap *heap = ut_heap(test, KPY_MODE_CLASSIC, KPY_RELEASE_KEEP_LAST);
	struct visits *v = kt_memory(test, sizeof(*v));
	void **p = kt_memory(test, 300 * sizeof(*p));

	KUNIT_ASSERT_TRUE(test, kt_fill(heap, p, 300, 600));
	expect_walk(test, heap, KPY_WALK_LARGE, p, 300, 600, v);
	kt_free(heap, p + 100, 200);
	expect_walk(test, heap, KPY_WALK_LARGE, p, 100, 600, v);
	v->stop = 5;
	v->nr = 0;
	KUNIT_EXPECT_EQ(test, kpy_heap_walk(heap, KPY_WALK_LARGE, visit, v), 7);
	kt_free(heap, p, 100);
	expect_walk(test, heap, KPY_WALK_LARGE, p, 0, 600, v);
}

static void free_in_interrupt(void *arg)
{
	struct {
		struct kpy_heap *heap;
		void **p;
	} *what = arg;
	u32 i;

	for (i = 0; i < 40; i++)
		kpy_free(what->heap, what->p[i]);
}

/* What is cached is not visited: of tasks, interrupts, other CPUs, also of one that went. */
static void looking_walk_cached(struct kunit *test)
{
	struct kpy_heap *heap = ut_heap(test, KPY_MODE_PERCPU, KPY_RELEASE_KEEP_LAST);
	struct visits *v = kt_memory(test, sizeof(*v));
	void **p = kt_memory(test, MANY * sizeof(*p));
	struct {
		struct kpy_heap *heap;
		void **p;
	} what = { heap, p };

	KUNIT_ASSERT_TRUE(test, kt_fill(heap, p, MANY, SIZE));
	kt_shuffle(p, MANY, 1);
	sim_interrupt(SIM_SOFT, free_in_interrupt, &what);
	sim_set_cpu(1);
	free_some(heap, p, 40, 100);
	sim_set_cpu(2);
	free_some(heap, p, 140, 60);
	sim_set_cpu(0);
	sim_cpu_down(1);
	expect_walk(test, heap, SZIDX, p + 200, MANY - 200, SIZE, v);
	KUNIT_EXPECT_EQ(test, ut_stats(heap)->class[SZIDX].in_use, MANY - 200);
	sim_cpu_up(1);
	/* The depot has more magazines than are copied at once. */
	kt_shuffle(p + 200, MANY - 200, 2);
	free_some(heap, p, 200, 1900);
	KUNIT_EXPECT_GT(test, heap->depot[SZIDX].nr, 17);
	expect_walk(test, heap, SZIDX, p + 2100, MANY - 2100, SIZE, v);
	kt_free(heap, p + 2100, MANY - 2100);
	expect_walk(test, heap, SZIDX, p, 0, SIZE, v);
}

/* More blocks come into the depot than there is room for: all is gathered again. */
static void looking_gather_without_room(struct kunit *test)
{
	struct kpy_heap *heap = ut_heap(test, KPY_MODE_PERCPU, KPY_RELEASE_KEEP_LAST);
	struct kpy_shelf *depot = &heap->depot[SZIDX];
	void **p = kt_memory(test, 5000 * sizeof(*p));
	struct kpy_gathered to;
	u32 nr;

	KUNIT_ASSERT_TRUE(test, kt_fill(heap, p, 5000, SIZE));
	kt_free(heap, p, 5000);
	nr = depot->nr;
	KUNIT_EXPECT_GT(test, nr, 80);
	KUNIT_EXPECT_EQ(test, kpy_gather(heap, SZIDX, &to), 0);
	KUNIT_EXPECT_EQ(test, to.nr, heap->class[SZIDX].in_use);
	KUNIT_EXPECT_EQ(test, to.room, to.nr + 64 * KPY_MAG_BLOCKS);
	kvfree(to.blocks);
	depot->nr = 0;		/* they were not there when it was counted */
	KUNIT_EXPECT_EQ(test, kpy_gather(heap, SZIDX, &to), 0);
	KUNIT_EXPECT_EQ(test, to.nr, heap->class[SZIDX].in_use);
	KUNIT_EXPECT_GT(test, to.room, to.nr);
	kvfree(to.blocks);
	depot->nr = nr;
}

/* Memory that was never carved is whatever its last owner left, even if that looks like a pool. */
static void looking_at_virgin_memory(struct kunit *test)
{
	struct kpy_heap *heap = ut_heap(test, KPY_MODE_CLASSIC, KPY_RELEASE_KEEP_LAST);
	struct visits *v = kt_memory(test, sizeof(*v));
	void *p = kpy_alloc(heap, SIZE, GFP_KERNEL), *like;
	struct kpy_pool *virgin = kpy_arena_pool(heap, kpy_arena_at(heap, 0), 1);
	struct kpy_pool_snapshot s[16];
	struct kpy_block_info info;

	*virgin = *kt_pool(heap, p);
	virgin->freeblock = NULL;
	like = (void *)virgin + (p - (void *)kt_pool(heap, p));
	expect_walk(test, heap, SZIDX, &p, 1, SIZE, v);
	KUNIT_EXPECT_EQ(test, kpy_snapshot_pools(heap, 0, s), 16);
	KUNIT_EXPECT_EQ(test, s[0].szidx, SZIDX);
	KUNIT_EXPECT_EQ(test, s[1].szidx, KPY_NO_CLASS);
	KUNIT_EXPECT_EQ(test, kpy_block_find(heap, like, &info), -ENOENT);
	KUNIT_EXPECT_EQ(test, kpy_usable_size(heap, like), 0);
	KUNIT_EXPECT_EQ(test, heap->c.bad_pointers, 1);
	kpy_free(heap, p);
}

/* Nor is a hole a pool, even if its new owner has written the like of one there. */
static void looking_at_holes(struct kunit *test)
{
	struct kpy_heap *heap = ut_heap(test, KPY_MODE_CLASSIC, KPY_RELEASE_POOL);
	struct visits *v = kt_memory(test, sizeof(*v));
	struct kpy_block_info info;
	void *p[21], *gone, *like;

	KUNIT_ASSERT_TRUE(test, kt_fill(heap, p, 21, 512));
	gone = p[7];
	free_some(heap, p, 7, 7);
	KUNIT_EXPECT_EQ(test, kpy_heap_trim(heap), 14);
	sim_next_page(kt_pool(heap, gone));
	like = (void *)__get_free_page(GFP_KERNEL);
	KUNIT_ASSERT_TRUE(test, like == kt_pool(heap, gone));
	memcpy(like, kt_pool(heap, p[0]), 4096);
	memmove(p + 7, p + 14, 7 * sizeof(*p));
	expect_walk(test, heap, 31, p, 14, 512, v);
	KUNIT_EXPECT_EQ(test, kpy_block_find(heap, gone, &info), -ENOENT);
	KUNIT_EXPECT_EQ(test, kpy_usable_size(heap, gone), 0);
	kt_expect_valid(test, heap);
	free_page((unsigned long)like);
	kt_free(heap, p, 14);
}

/* With holes, beside pools of other classes and emptied ones. */
static void looking_walk_holes(struct kunit *test)
{
	struct kpy_heap *heap = ut_heap(test, KPY_MODE_CLASSIC, KPY_RELEASE_POOL);
	struct visits *v = kt_memory(test, sizeof(*v));
	void *p[3 * 112], *others[10];

	KUNIT_ASSERT_TRUE(test, kt_fill(heap, p, 3 * 112, 512));
	free_some(heap, p, 7, 5 * 7);
	kpy_heap_trim(heap);
	free_some(heap, p, 100 + 12, 2 * 7);
	KUNIT_ASSERT_TRUE(test, kt_fill(heap, others, 10, 500 - 100));
	memmove(p + 7, p + 42, 70 * sizeof(*p));
	memmove(p + 77, p + 126, (3 * 112 - 126) * sizeof(*p));
	expect_walk(test, heap, 31, p, 77 + 3 * 112 - 126, 512, v);
	expect_walk(test, heap, 24, others, 10, 400, v);
	v->stop = 2;
	v->nr = 0;
	KUNIT_EXPECT_EQ(test, kpy_heap_walk(heap, 31, visit, v), 7);
	KUNIT_EXPECT_EQ(test, v->nr, 2);		/* in the first arena of three */
	kt_free(heap, p, 77 + 3 * 112 - 126);
	kt_free(heap, others, 10);
}

/* A walk during which an arena goes, and perhaps another one comes to its slot. */
struct going {
	struct kpy_heap *heap;
	void **p;		/* blocks of the arena */
	void *again;
	bool comes;
	u32 nr;
};

static int visit_and_free(void *block, size_t size, void *arg)
{
	struct going *g = arg;

	if (g->nr++)
		return 0;
	kt_free(g->heap, g->p, 112);
	if (g->comes)
		g->again = kpy_alloc(g->heap, 512, GFP_KERNEL);
	return 0;
}

static void looking_walk_while_arenas_go(struct kunit *test)
{
	struct kpy_heap *heap = ut_heap(test, KPY_MODE_CLASSIC, KPY_RELEASE_ALWAYS);
	struct going g = { heap };
	void *p[3 * 112];
	u32 i;

	for (i = 0; i < 2; i++) {
		KUNIT_ASSERT_TRUE(test, kt_fill(heap, p, 3 * 112, 512));
		qsort(p, 3 * 112, sizeof(*p), by_address);
		g.p = p + 112;
		g.nr = 0;
		g.comes = i;
		KUNIT_EXPECT_EQ(test, kpy_heap_walk(heap, 31, visit_and_free, &g), 0);
		KUNIT_EXPECT_EQ(test, g.nr, 2 * 112);
		KUNIT_EXPECT_EQ(test, heap->c.arenas_current, 2 + i);
		kt_free(heap, p, 3 * 112);
	}
	kpy_free(heap, g.again);
}

/* Each allocation of a walk fails once. */
static void looking_without_memory(struct kunit *test)
{
	struct kpy_heap *heap = ut_heap(test, KPY_MODE_PERCPU, KPY_RELEASE_KEEP_LAST);
	struct visits *v = kt_memory(test, sizeof(*v));
	void *p = kpy_alloc(heap, SIZE, GFP_KERNEL);
	u32 n;

	for (n = 1; n <= 3; n++) {
		sim_fail_nth(SIM_ALL_KINDS, n);
		KUNIT_EXPECT_EQ(test, kpy_heap_walk(heap, SZIDX, visit, v), -ENOMEM);
	}
	sim_fail_nth(SIM_ALL_KINDS, 1);
	KUNIT_EXPECT_EQ(test, kpy_heap_walk(heap, KPY_WALK_LARGE, visit, v), -ENOMEM);
	KUNIT_EXPECT_EQ(test, v->nr, 0);
	sim_fail_nth(SIM_ALL_KINDS, 1);
	KUNIT_EXPECT_NULL(test, kpy_snapshot_arenas(heap));
	kpy_free(heap, p);
}

/* ---- snapshots ---- */

static void looking_arenas(struct kunit *test)
{
	struct kpy_heap *heap = ut_heap(test, KPY_MODE_CLASSIC, KPY_RELEASE_KEEP_LAST);
	struct kpy_arenas_snapshot *snap;
	void *p[4 * 112];

	KUNIT_ASSERT_TRUE(test, kt_fill(heap, p, 3 * 112 + 7, 512));
	kt_free(heap, p, 112);
	kt_free(heap, p + 112, 14);
	kt_free(heap, p + 224, 7);
	snap = kpy_snapshot_arenas(heap);
	KUNIT_EXPECT_EQ(test, snap->nr_slots, 16);
	KUNIT_EXPECT_EQ(test, snap->nr_arenas, 3);
	KUNIT_EXPECT_EQ(test, snap->nr_usable, 3);
	KUNIT_EXPECT_EQ(test, snap->arenas[0].slot, 1);
	KUNIT_EXPECT_EQ(test, snap->arenas[0].nfreepools, 2);
	KUNIT_EXPECT_EQ(test, snap->arenas[0].serial, 1);
	KUNIT_EXPECT_EQ(test, snap->arenas[0].address, kpy_arena_at(heap, 1)->address);
	KUNIT_EXPECT_EQ(test, snap->arenas[2].slot, 3);
	KUNIT_EXPECT_EQ(test, snap->arenas[2].ncarved, 1);
	KUNIT_EXPECT_EQ(test, snap->usable[0].slot, 2);
	KUNIT_EXPECT_EQ(test, snap->usable[0].nfree, 1);
	KUNIT_EXPECT_EQ(test, snap->usable[1].slot, 1);
	KUNIT_EXPECT_EQ(test, snap->usable[1].nfree, 2);
	KUNIT_EXPECT_EQ(test, snap->usable[2].slot, 3);
	KUNIT_EXPECT_EQ(test, snap->usable[2].nfree, 15);
	kvfree(snap);
	kt_free(heap, p, 3 * 112 + 7);
}

static void expect_pool(struct kunit *test, const struct kpy_pool_snapshot *s, u32 szidx,
			u32 count, enum kpy_pool_state state, bool hole)
{
	KUNIT_EXPECT_EQ(test, s->szidx, szidx);
	KUNIT_EXPECT_EQ(test, s->hole, hole);
	if (szidx == KPY_NO_CLASS)
		return;
	KUNIT_EXPECT_EQ(test, s->count, count);
	KUNIT_EXPECT_EQ(test, s->state, state);
}

static void looking_pools(struct kunit *test)
{
	struct kpy_heap *heap = ut_heap(test, KPY_MODE_CLASSIC, KPY_RELEASE_POOL);
	struct kpy_pool_snapshot s[16];
	void *p[28], *small;

	small = kpy_alloc(heap, 64, GFP_KERNEL);
	KUNIT_ASSERT_TRUE(test, kt_fill(heap, p, 28, 512));
	kt_free(heap, p + 7, 7);
	kpy_heap_trim(heap);
	KUNIT_EXPECT_EQ(test, kpy_snapshot_pools(heap, 0, s), 16);
	expect_pool(test, &s[0], 3, 1, KPY_POOL_USED, false);
	expect_pool(test, &s[1], 31, 7, KPY_POOL_FULL, false);
	expect_pool(test, &s[2], KPY_NO_CLASS, 0, 0, true);
	expect_pool(test, &s[5], KPY_NO_CLASS, 0, 0, true);
	kpy_free(heap, small);
	kt_settle(heap);
	KUNIT_EXPECT_EQ(test, kpy_snapshot_pools(heap, 0, s), 16);
	expect_pool(test, &s[0], 3, 0, KPY_POOL_EMPTY, false);
	KUNIT_EXPECT_EQ(test, kpy_snapshot_pools(heap, 1, s), 0);
	small = kpy_alloc(heap, 64, GFP_KERNEL);
	kt_free(heap, p, 28);
	kpy_free(heap, small);
	kpy_heap_trim(heap);
	KUNIT_EXPECT_EQ(test, kpy_snapshot_pools(heap, 0, s), 0);
	small = kpy_alloc(heap, 64, GFP_KERNEL);
	KUNIT_EXPECT_EQ(test, kpy_snapshot_pools(heap, 0, s), 16);
	expect_pool(test, &s[1], KPY_NO_CLASS, 0, 0, false);
	kpy_free(heap, small);
}

static void looking_stats(struct kunit *test)
{
	struct kpy_heap *heap = ut_heap(test, KPY_MODE_CLASSIC, KPY_RELEASE_POOL);
	const struct kpy_heap_stats *s;
	void *p[20], *q[3], *large;

	KUNIT_ASSERT_TRUE(test, kt_fill(heap, p, 20, 512));
	KUNIT_ASSERT_TRUE(test, kt_fill(heap, q, 3, 100));
	large = kpy_alloc(heap, 1000, GFP_KERNEL);
	kt_free(heap, p, 7);
	kpy_heap_trim(heap);
	s = ut_stats(heap);
	KUNIT_EXPECT_EQ(test, s->nr_classes, 32);
	KUNIT_EXPECT_EQ(test, s->pool_header, 48);
	KUNIT_EXPECT_EQ(test, s->geometry.release, KPY_RELEASE_POOL);
	KUNIT_EXPECT_EQ(test, s->class[31].pools, 2);
	KUNIT_EXPECT_EQ(test, s->class[31].in_use, 13);
	KUNIT_EXPECT_EQ(test, s->class[31].available, 1);
	KUNIT_EXPECT_EQ(test, s->class[6].pools, 1);
	KUNIT_EXPECT_EQ(test, s->class[6].in_use, 3);
	KUNIT_EXPECT_EQ(test, s->class[6].available, 33);
	KUNIT_EXPECT_EQ(test, s->unused_pools, 0);
	KUNIT_EXPECT_EQ(test, s->holes, 13);
	KUNIT_EXPECT_EQ(test, s->bytes_holes, 13 * 4096);
	KUNIT_EXPECT_EQ(test, s->bytes_allocated, 13 * 512 + 3 * 112);
	KUNIT_EXPECT_EQ(test, s->bytes_available, 512 + 33 * 112);
	KUNIT_EXPECT_EQ(test, s->bytes_pool_headers, 3 * 48);
	KUNIT_EXPECT_EQ(test, s->bytes_quantization, 2 * 464 + 16);
	KUNIT_EXPECT_EQ(test, s->bytes_unused_pools, 0);
	KUNIT_EXPECT_EQ(test, s->bytes_total, 64 << 10);
	KUNIT_EXPECT_EQ(test, s->arenas_reclaimed, 0);
	KUNIT_EXPECT_EQ(test, s->large_bytes, 1000);
	KUNIT_EXPECT_EQ(test, s->held_bytes, 3 * 4096 + 1024);
	KUNIT_EXPECT_EQ(test, s->held_bytes_peak, 65536 + 1024);
	kpy_free(heap, large);
	kt_free(heap, p, 20);
	kt_free(heap, q, 3);
}

static void looking_peaks(struct kunit *test)
{
	struct kpy_heap *heap = ut_heap(test, KPY_MODE_CLASSIC, KPY_RELEASE_KEEP_LAST);
	void *large = kpy_alloc(heap, 1000, GFP_KERNEL), *small = kpy_alloc(heap, 10, GFP_KERNEL);
	const struct kpy_heap_stats *s;

	kpy_free(heap, large);
	KUNIT_EXPECT_EQ(test, ut_stats(heap)->large_bytes_peak, 1000);
	KUNIT_EXPECT_EQ(test, ut_stats(heap)->held_bytes_peak, 65536 + 1024);
	kpy_heap_reset_peaks(heap);
	s = ut_stats(heap);
	KUNIT_EXPECT_EQ(test, s->large_bytes_peak, 0);
	KUNIT_EXPECT_EQ(test, s->held_bytes_peak, 65536 + 1024);	/* it is kept */
	KUNIT_EXPECT_EQ(test, s->arenas_highwater, 1);
	KUNIT_EXPECT_TRUE(test, kpy_general_evict(heap));
	kpy_heap_reset_peaks(heap);
	KUNIT_EXPECT_EQ(test, ut_stats(heap)->held_bytes_peak, 65536);
	kpy_free(heap, small);
	kpy_heap_trim(heap);
	KUNIT_EXPECT_EQ(test, ut_stats(heap)->arenas_highwater, 1);
	kpy_heap_reset_peaks(heap);
	s = ut_stats(heap);
	KUNIT_EXPECT_EQ(test, s->arenas_highwater, 0);
	KUNIT_EXPECT_EQ(test, s->arenas_reclaimed, 1);
}

static void looking_counters_of_reallocs(struct kunit *test)
{
	struct kpy_heap *heap = ut_heap(test, KPY_MODE_PERCPU, KPY_RELEASE_KEEP_LAST);
	void *p = kpy_alloc(heap, 64, GFP_KERNEL);

	p = kpy_realloc(heap, p, 60, GFP_KERNEL);
	sim_set_cpu(1);
	p = kpy_realloc(heap, p, 61, GFP_KERNEL);
	p = kpy_realloc(heap, p, 100, GFP_KERNEL);
	sim_set_cpu(0);
	KUNIT_EXPECT_EQ(test, ut_stats(heap)->reallocs, 3);
	KUNIT_EXPECT_EQ(test, ut_stats(heap)->reallocs_in_place, 2);
	KUNIT_EXPECT_EQ(test, heap->c.reallocs, 0);
	p = kpy_realloc(heap, p, 1000, GFP_KERNEL);
	p = kpy_realloc(heap, p, 900, GFP_KERNEL);
	KUNIT_EXPECT_EQ(test, ut_stats(heap)->reallocs, 5);
	KUNIT_EXPECT_EQ(test, ut_stats(heap)->reallocs_in_place, 3);
	kpy_free(heap, p);
}

/* ---- refused pointers ---- */

static void expect_why(struct kunit *test, struct kpy_heap *heap, struct kpy_arena *arena,
		       void *ptr, const char *want)
{
	unsigned long flags = kpy_heap_lock(heap);
	const char *why = NULL;
	struct kpy_pool *pool = kpy_pool_of_block(heap, arena, ptr, &why);

	kpy_heap_unlock(heap, flags);
	KUNIT_EXPECT_EQ(test, !pool, !!want);
	KUNIT_EXPECT_STREQ(test, why ?: "nothing", want ?: "nothing");
}

static void looking_why(struct kunit *test)
{
	struct kpy_heap *heap = ut_heap(test, KPY_MODE_CLASSIC, KPY_RELEASE_POOL);
	struct kpy_arena *arena;
	void *p[9], *gone, *empty, *first;

	KUNIT_ASSERT_TRUE(test, kt_fill(heap, p, 9, 512));
	arena = kpy_arena_at(heap, 0);
	first = p[0];
	gone = p[7];
	kt_free(heap, p + 7, 2);
	kpy_heap_trim(heap);
	expect_why(test, heap, arena, gone, "in a pool that was freed");
	p[7] = kpy_alloc(heap, 512, GFP_KERNEL);
	empty = p[7];
	p[8] = kpy_alloc(heap, 64, GFP_KERNEL);
	kt_free(heap, p + 7, 1);
	kt_settle(heap);
	expect_why(test, heap, kpy_arena_at(heap, 1), empty, "already free, in an empty pool");
	expect_why(test, heap, kpy_arena_at(heap, 1), empty + 2 * 4096,
		   "in a pool that was never carved");
	expect_why(test, heap, kpy_arena_at(heap, 1), p[8] + 1, "not the start of a block");
	expect_why(test, heap, kpy_arena_at(heap, 1), p[8] + 128, "never handed out");
	expect_why(test, heap, kpy_arena_at(heap, 1), p[8] + 64, "already free");
	expect_why(test, heap, kpy_arena_at(heap, 1), p[8] - 1, "in a pool header");
	expect_why(test, heap, kpy_arena_at(heap, 1), p[8], NULL);
	expect_why(test, heap, kpy_arena_at(heap, 5), p[8], "in an arena that was freed");
	expect_why(test, heap, arena, p[8], "in an arena that was freed");
	expect_why(test, heap, arena, first, NULL);
	kt_free(heap, p, 9);
}

static struct kpy_heap *loud_heap(enum kpy_mode mode)
{
	struct kpy_heap_params params = {
		"loud", { 64 << 10, 4 << 10, 16, 512, KPY_RELEASE_KEEP_LAST }, mode,
	};

	return kpy_heap_create(&params);
}

/* The first one is reported with a stack, and all are counted. */
static void looking_reported_once(struct kunit *test)
{
	struct kpy_heap *heap = loud_heap(KPY_MODE_CLASSIC);

	kpy_free(heap, test);
	KUNIT_EXPECT_EQ(test, sim_warns, 1);
	KUNIT_EXPECT_NOT_NULL(test, strstr(sim_last_warn, "heap loud: bad pointer"));
	KUNIT_EXPECT_NOT_NULL(test, strstr(sim_last_warn, ": not a block of this heap\n"));
	kpy_free(heap, test);
	KUNIT_EXPECT_EQ(test, kpy_usable_size(heap, test), 0);
	KUNIT_EXPECT_EQ(test, sim_warns, 1);
	KUNIT_EXPECT_EQ(test, heap->c.bad_pointers, 3);
	kpy_heap_destroy(heap);

	heap = loud_heap(KPY_MODE_CLASSIC);
	KUNIT_EXPECT_NULL(test, kpy_realloc(heap, test, 5, GFP_KERNEL));
	KUNIT_EXPECT_EQ(test, sim_warns, 2);
	kpy_heap_destroy(heap);
	heap = loud_heap(KPY_MODE_CLASSIC);
	KUNIT_EXPECT_EQ(test, kpy_usable_size(heap, test), 0);
	KUNIT_EXPECT_EQ(test, sim_warns, 3);
	kpy_heap_destroy(heap);
	sim_warns = 0;
}

/* What a front took in good faith is reported when it comes to its pool. */
static void looking_reported_late(struct kunit *test)
{
	struct kpy_heap *heap = loud_heap(KPY_MODE_PERCPU);
	void *p[2];

	KUNIT_ASSERT_TRUE(test, kt_fill(heap, p, 2, SIZE));
	kpy_free(heap, p[0]);
	kpy_free(heap, p[1]);
	kpy_free(heap, p[0]);
	KUNIT_EXPECT_EQ(test, sim_warns, 0);
	kpy_heap_trim(heap);
	KUNIT_EXPECT_EQ(test, sim_warns, 1);
	KUNIT_EXPECT_NOT_NULL(test, strstr(sim_last_warn, "freed before, or not the start"));
	KUNIT_EXPECT_EQ(test, heap->c.bad_pointers, 1);
	KUNIT_ASSERT_TRUE(test, kt_fill(heap, p, 2, SIZE));
	kpy_free(heap, p[0]);
	kpy_free(heap, p[1]);
	kpy_free(heap, p[0]);
	kpy_heap_destroy(heap);
	KUNIT_EXPECT_EQ(test, sim_warns, 1);
	sim_warns = 0;
}

/* A heap that goes reports it, too. */
static void looking_reported_at_the_end(struct kunit *test)
{
	struct kpy_heap *heap = loud_heap(KPY_MODE_PERCPU);
	void *p = kpy_alloc(heap, SIZE, GFP_KERNEL);

	kpy_free(heap, p + 16);
	kpy_heap_destroy(heap);
	KUNIT_EXPECT_EQ(test, sim_warns, 1);
	sim_warns = 0;
}

/* While somebody traces, each pointer is looked at closely at once. */
static void nothing(const struct sim_event *event, const void *entry)
{
}

static void looking_closely(struct kunit *test)
{
	struct kpy_heap *heap = ut_heap(test, KPY_MODE_PERCPU, KPY_RELEASE_KEEP_LAST);
	extern struct sim_event event_kpy_free;
	void *p[2];

	KUNIT_ASSERT_TRUE(test, kt_fill(heap, p, 2, SIZE));
	sim_trace(&event_kpy_free, nothing);
	kpy_free(heap, p[0] + 16);
	KUNIT_EXPECT_EQ(test, heap->c.bad_pointers, 1);
	kpy_free(heap, p[0]);
	kpy_free(heap, p[0]);
	KUNIT_EXPECT_EQ(test, heap->c.bad_pointers, 2);
	kpy_free(heap, kt_pool(heap, p[0]));
	KUNIT_EXPECT_EQ(test, heap->c.bad_pointers, 3);
	kpy_free(heap, p[1]);
	sim_untrace(&event_kpy_free);
	KUNIT_EXPECT_EQ(test, ut_stats(heap)->frees, 2);
}

static struct kunit_case cases[] = {
	KUNIT_CASE_PARAM(looking_walk, kt_mode_gen_params),
	KUNIT_CASE_PARAM(looking_walk_all, kt_mode_gen_params),
	KUNIT_CASE(looking_walk_large),
	KUNIT_CASE(looking_walk_cached),
	KUNIT_CASE(looking_gather_without_room),
	KUNIT_CASE(looking_at_virgin_memory),
	KUNIT_CASE(looking_at_holes),
	KUNIT_CASE(looking_walk_holes),
	KUNIT_CASE(looking_walk_while_arenas_go),
	KUNIT_CASE(looking_without_memory),
	KUNIT_CASE(looking_arenas),
	KUNIT_CASE(looking_pools),
	KUNIT_CASE(looking_stats),
	KUNIT_CASE(looking_peaks),
	KUNIT_CASE(looking_counters_of_reallocs),
	KUNIT_CASE(looking_why),
	KUNIT_CASE(looking_reported_once),
	KUNIT_CASE(looking_reported_late),
	KUNIT_CASE(looking_reported_at_the_end),
	KUNIT_CASE(looking_closely),
	{}
};

USER_SUITE(looking);
