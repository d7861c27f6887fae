// SPDX-License-Identifier: GPL-2.0
/*
 * Trace events: each field of each of them, one by one; and in each mode random
 * requests whose events add up to what the heap counts, in an order in which a pool
 * and an arena can change.
 */
#include "user.h"
#include "trace.h"

#define LIVE	600
#define OPS	4000
#define LOG	64
#define SLOTS	64

/* An event as text. */
static char lines[LOG][160];
static u32 nr_lines;
static struct kpy_heap *locked;		/* whose lock is held whenever an event fires */

#define say(...) do {								\
	sim_assert_held(&locked->lock, "heap->lock of an event");		\
	if (nr_lines < LOG)							\
		scnprintf(lines[nr_lines++], sizeof(lines[0]), __VA_ARGS__);	\
} while (0)

static void say_block(const struct sim_event *event, const void *entry)
{
	const struct trace_kpy_block *e = entry;

	say("%s heap=%u ptr=%p size=%zu class=%u pool=%p arena=%u %s", event->name + 4, e->heap,
	    e->ptr, e->size, e->szidx, e->pool, e->arena, e->call_site ? "" : "from nowhere");
}

static void say_realloc(const struct sim_event *event, const void *entry)
{
	const struct trace_kpy_realloc *e = entry;

	say("realloc heap=%u old=%p ptr=%p old_size=%zu size=%zu small=%d %s", e->heap, e->old,
	    e->ptr, e->old_size, e->size, e->small, e->call_site ? "" : "from nowhere");
}

static void say_large_alloc(const struct sim_event *event, const void *entry)
{
	const struct trace_kpy_large_alloc *e = entry;

	say("large_alloc heap=%u ptr=%p size=%zu fallback=%d %s", e->heap, e->ptr, e->size,
	    e->fallback, e->call_site ? "" : "from nowhere");
}

static void say_large_free(const struct sim_event *event, const void *entry)
{
	const struct trace_kpy_large_free *e = entry;

	say("large_free heap=%u ptr=%p size=%zu %s", e->heap, e->ptr, e->size,
	    e->call_site ? "" : "from nowhere");
}

static void say_pool(const struct sim_event *event, const void *entry)
{
	const struct trace_kpy_pool_state *e = entry;

	say("pool_state heap=%u pool=%p arena=%u class=%u %u->%u", e->heap, e->pool, e->arena,
	    e->szidx, e->from, e->to);
}

static void say_arena(const struct sim_event *event, const void *entry)
{
	const struct trace_kpy_arena *e = entry;

	say("%s heap=%u arena=%u serial=%llu address=%lx", event->name + 4, e->heap, e->arena,
	    e->serial, e->address);
}

static void say_move(const struct sim_event *event, const void *entry)
{
	const struct trace_kpy_arena_move *e = entry;

	say("arena_move heap=%u arena=%u %u->%u behind=%d", e->heap, e->arena, e->nfree_before,
	    e->nfree_after, (int)e->behind);
}

static void say_snapshot(const struct sim_event *event, const void *entry)
{
	const struct trace_kpy_snapshot *e = entry;

	if (e->what != KPY_SNAPSHOT_END)
		sim_assert_held(&locked->lock, "heap->lock of an event");
	scnprintf(lines[nr_lines++], sizeof(lines[0]),
		  "snapshot heap=%u name=%s what=%u %llu %llu %llu %llu %llu %llu", e->heap,
		  e->name, e->what, e->allocs, e->frees, e->reallocs, e->large_allocs,
		  e->large_frees, e->large_bytes);
}

static const struct {
	struct sim_event *event;
	void (*probe)(const struct sim_event *event, const void *entry);
} probes[] = {
	{ &event_kpy_alloc, say_block },
	{ &event_kpy_free, say_block },
	{ &event_kpy_realloc, say_realloc },
	{ &event_kpy_large_alloc, say_large_alloc },
	{ &event_kpy_large_free, say_large_free },
	{ &event_kpy_pool_state, say_pool },
	{ &event_kpy_arena_new, say_arena },
	{ &event_kpy_arena_release, say_arena },
	{ &event_kpy_arena_move, say_move },
	{ &event_kpy_snapshot, say_snapshot },
};

static void attach(struct kpy_heap *heap)
{
	u32 i;

	locked = heap;
	for (i = 0; i < ARRAY_SIZE(probes); i++)
		sim_trace(probes[i].event, probes[i].probe);
}

static void detach(void)
{
	u32 i;

	for (i = 0; i < ARRAY_SIZE(probes); i++)
		sim_untrace(probes[i].event);
}

/* What was said since the last time, one line after the other. */
static void expect(struct kunit *test, u32 line, const char *fmt, ...)
{
	char want[160];
	va_list args;

	va_start(args, fmt);
	vsnprintf(want, sizeof(want), fmt, args);
	va_end(args);
	KUNIT_EXPECT_TRUE(test, line < nr_lines);
	KUNIT_EXPECT_STREQ(test, lines[line], want);
}

static void expect_no_more(struct kunit *test, u32 n)
{
	KUNIT_EXPECT_EQ(test, nr_lines, n);
	nr_lines = 0;
}

static const struct kpy_geometry small = { 16 << 10, 4 << 10, 16, 512, KPY_RELEASE_KEEP_LAST };

static struct kpy_heap *small_heap(struct kunit *test, enum kpy_mode mode, u64 limit)
{
	struct kpy_heap_params params = {
		.geometry = small, .mode = mode, .flags = KPY_HEAP_SILENT, .limit = limit,
	};

	return kt_heap_of(test, &params);
}

/* An arena of four pools: all that happens to the first one. */
static void events_of_a_pool(struct kunit *test)
{
	struct kpy_heap *heap = small_heap(test, KPY_MODE_CLASSIC, 0);
	u32 id = heap->id, i;
	void *p[7], *pool;

	attach(heap);
	p[0] = kpy_alloc(heap, 500, GFP_KERNEL);
	pool = kt_pool(heap, p[0]);
	expect(test, 0, "arena_new heap=%u arena=0 serial=0 address=%lx", id, (unsigned long)pool);
	expect(test, 1, "arena_move heap=%u arena=0 4->3 behind=-1", id);
	expect(test, 2, "pool_state heap=%u pool=%p arena=0 class=31 0->1", id, pool);
	expect(test, 3, "alloc heap=%u ptr=%p size=500 class=31 pool=%p arena=0 ", id, p[0], pool);
	expect_no_more(test, 4);
	for (i = 1; i < 7; i++)
		p[i] = kpy_alloc(heap, 512, GFP_KERNEL);
	expect(test, 5, "pool_state heap=%u pool=%p arena=0 class=31 1->2", id, pool);
	expect(test, 6, "alloc heap=%u ptr=%p size=512 class=31 pool=%p arena=0 ", id, p[6], pool);
	expect_no_more(test, 7);
	kpy_free(heap, p[0]);
	expect(test, 0, "free heap=%u ptr=%p size=512 class=31 pool=%p arena=0 ", id, p[0], pool);
	expect(test, 1, "pool_state heap=%u pool=%p arena=0 class=31 2->1", id, pool);
	expect_no_more(test, 2);
	for (i = 1; i < 7; i++)
		kpy_free(heap, p[i]);
	expect(test, 6, "pool_state heap=%u pool=%p arena=0 class=31 1->0", id, pool);
	expect(test, 7, "arena_move heap=%u arena=0 3->4 behind=-1", id);
	expect_no_more(test, 8);
	KUNIT_EXPECT_EQ(test, kpy_heap_trim(heap), 4);
	expect(test, 0, "arena_release heap=%u arena=0 serial=0 address=%lx", id,
	       (unsigned long)pool);
	expect_no_more(test, 1);
	detach();
}

static void keep_arenas(void)
{
	u32 i, n = 0;

	for (i = 0; i < nr_lines; i++)
		if (!strncmp(lines[i], "arena", 5))
			memmove(lines[n++], lines[i], sizeof(lines[0]));
	nr_lines = n;
}

/* Arenas change their places. */
static void events_of_arenas(struct kunit *test)
{
	struct kpy_heap *heap = small_heap(test, KPY_MODE_CLASSIC, 0);
	unsigned long address;
	u32 id = heap->id;
	void *p[3 * 28];

	KUNIT_ASSERT_TRUE(test, kt_fill(heap, p, ARRAY_SIZE(p), 512));
	address = (unsigned long)kt_pool(heap, p[28]);
	attach(heap);
	kt_free(heap, p, 7);				/* arena 0: 0 -> 1 */
	kt_free(heap, p + 28, 7);			/* arena 1: 0 -> 1, first */
	kt_free(heap, p + 28 + 7, 7);			/* arena 1: 1 -> 2, behind 0 */
	kt_free(heap, p + 56, 7);			/* arena 2: 0 -> 1 */
	kt_free(heap, p + 7, 7);			/* arena 0: 1 -> 2, stays */
	keep_arenas();
	expect(test, 0, "arena_move heap=%u arena=0 0->1 behind=-1", id);
	expect(test, 1, "arena_move heap=%u arena=1 0->1 behind=-1", id);
	expect(test, 2, "arena_move heap=%u arena=1 1->2 behind=0", id);
	expect(test, 3, "arena_move heap=%u arena=2 0->1 behind=-1", id);
	expect(test, 4, "arena_move heap=%u arena=0 1->2 behind=2", id);
	expect_no_more(test, 5);
	kt_free(heap, p + 14, 7);			/* arena 0: 2 -> 3, behind 1 */
	kt_free(heap, p + 28 + 14, 14);			/* arena 1 goes */
	keep_arenas();
	expect(test, 0, "arena_move heap=%u arena=0 2->3 behind=1", id);
	expect(test, 1, "arena_move heap=%u arena=1 2->3 behind=2", id);
	expect(test, 2, "arena_move heap=%u arena=1 3->4 behind=2", id);
	expect(test, 3, "arena_release heap=%u arena=1 serial=1 address=%lx", id, address);
	expect_no_more(test, 4);
	detach();
	kt_free(heap, p, ARRAY_SIZE(p));
}

/* Pools that become holes are free no more: their arena changes its place, or leaves the list. */
static void events_of_holes(struct kunit *test)
{
	struct kpy_heap_params params = {
		.geometry = { 16 << 10, 4 << 10, 16, 512, KPY_RELEASE_POOL },
		.flags = KPY_HEAP_SILENT | KPY_HEAP_ON_DEMAND,
	};
	struct kpy_heap *heap = kt_heap_of(test, &params);
	struct kpy_reap reap;
	unsigned long flags;
	u32 id = heap->id;
	void *p[2 * 28];

	KUNIT_ASSERT_TRUE(test, kt_fill(heap, p, ARRAY_SIZE(p), 512));
	kt_free(heap, p, 7);
	kt_free(heap, p + 28, 21);
	kt_settle(heap);
	attach(heap);
	flags = kpy_heap_lock(heap);
	kpy_arena_reap(heap, 2, &reap);
	kpy_heap_unlock(heap, flags);
	kpy_arena_free_reaped(heap, &reap);
	expect(test, 0, "arena_move heap=%u arena=1 3->1 behind=0", id);
	expect_no_more(test, 1);
	KUNIT_EXPECT_EQ(test, kpy_heap_trim(heap), 2);
	expect(test, 0, "arena_move heap=%u arena=1 1->0 behind=-1", id);
	expect(test, 1, "arena_move heap=%u arena=0 1->0 behind=-1", id);
	expect_no_more(test, 2);
	detach();
	kt_free(heap, p, ARRAY_SIZE(p));
}

static void events_of_large_blocks(struct kunit *test)
{
	struct kpy_heap *heap = small_heap(test, KPY_MODE_CLASSIC, 20000);
	u32 id = heap->id;
	void *p, *q, *fallback[29];

	attach(heap);
	p = kpy_alloc(heap, 1000, GFP_KERNEL);
	expect(test, 0, "large_alloc heap=%u ptr=%p size=1000 fallback=0 ", id, p);
	KUNIT_EXPECT_PTR_EQ(test, kpy_realloc(heap, p, 990, GFP_KERNEL), p);
	expect(test, 1, "realloc heap=%u old=%p ptr=%p old_size=1000 size=990 small=0 ", id, p, p);
	q = kpy_realloc(heap, p, 2000, GFP_KERNEL);
	expect(test, 2, "large_alloc heap=%u ptr=%p size=2000 fallback=0 ", id, q);
	expect(test, 3, "large_free heap=%u ptr=%p size=990 ", id, p);
	expect(test, 4, "realloc heap=%u old=%p ptr=%p old_size=990 size=2000 small=0 ", id, p, q);
	kpy_free(heap, q);
	expect(test, 5, "large_free heap=%u ptr=%p size=2000 ", id, q);
	expect_no_more(test, 6);
	KUNIT_ASSERT_TRUE(test, kt_fill(heap, fallback, 29, 512));
	expect(test, nr_lines - 1, "large_alloc heap=%u ptr=%p size=512 fallback=1 ", id,
	       fallback[28]);
	nr_lines = 0;
	p = kpy_realloc(heap, fallback[0], 100, GFP_KERNEL);
	KUNIT_EXPECT_NOT_NULL(test, p);
	expect(test, 0, "large_alloc heap=%u ptr=%p size=100 fallback=1 ", id, p);
	expect(test, 1, "free heap=%u ptr=%p size=512 class=31 pool=%p arena=0 ", id, fallback[0],
	       kt_pool(heap, fallback[0]));
	expect(test, 3, "realloc heap=%u old=%p ptr=%p old_size=512 size=100 small=1 ", id,
	       fallback[0], p);
	expect_no_more(test, 4);
	detach();
	fallback[0] = p;
	kt_free(heap, fallback, 29);
}

static void events_of_snapshots(struct kunit *test)
{
	struct kpy_heap_params params = { "snapped", small };
	struct kpy_heap *heap = kpy_heap_create(&params);
	u32 id = heap->id;
	void *p[4];

	p[0] = kpy_alloc(heap, 10, GFP_KERNEL);
	p[1] = kpy_realloc(heap, p[0], 12, GFP_KERNEL);
	p[2] = kpy_alloc(heap, 1000, GFP_KERNEL);
	kpy_free(heap, p[1]);
	kpy_free(heap, kpy_alloc(heap, 3000, GFP_KERNEL));
	kt_settle(heap);
	attach(heap);
	ut_stats(heap);
	kvfree(kpy_snapshot_arenas(heap));
	kpy_free(heap, p[2]);
	nr_lines = nr_lines < 2 ? nr_lines : 2;
	kpy_heap_destroy(heap);
	expect(test, 0, "snapshot heap=%u name=snapped what=0 2 2 1 2 1 1000", id);
	expect(test, 1, "snapshot heap=%u name=snapped what=1 2 2 1 2 1 1000", id);
	expect(test, 2, "snapshot heap=%u name=snapped what=2 2 2 1 2 2 0", id);
	expect_no_more(test, 3);
	detach();
}

/* Mode percpu: what fronts do is seen as well, and what goes to the pools behind them. */
static void events_of_fronts(struct kunit *test)
{
	struct kpy_heap *heap = small_heap(test, KPY_MODE_PERCPU, 0);
	u32 id = heap->id;
	void *p, *q, *pool;

	p = kpy_alloc(heap, 64, GFP_KERNEL);
	pool = kt_pool(heap, p);
	attach(heap);
	kpy_free(heap, p);
	expect(test, 0, "free heap=%u ptr=%p size=64 class=3 pool=%p arena=0 ", id, p, pool);
	q = kpy_alloc(heap, 60, GFP_KERNEL);
	expect(test, 1, "alloc heap=%u ptr=%p size=60 class=3 pool=%p arena=0 ", id, p, pool);
	KUNIT_EXPECT_PTR_EQ(test, p, q);
	KUNIT_EXPECT_PTR_EQ(test, kpy_realloc(heap, p, 50, GFP_KERNEL), p);
	expect(test, 2, "realloc heap=%u old=%p ptr=%p old_size=64 size=50 small=1 ", id, p, p);
	expect_no_more(test, 3);
	kpy_free(heap, p);
	nr_lines = 0;
	kpy_heap_trim(heap);
	expect(test, 0, "pool_state heap=%u pool=%p arena=0 class=3 1->0", id, pool);
	expect(test, 2, "arena_release heap=%u arena=0 serial=0 address=%lx", id,
	       (unsigned long)pool);
	expect_no_more(test, 3);
	detach();
}

/* ---- whom they name ---- */

static unsigned long sites[LOG];
static u32 nr_sites;

static void note_block(const struct sim_event *event, const void *entry)
{
	sites[nr_sites++] = ((const struct trace_kpy_block *)entry)->call_site;
}

static void note_realloc(const struct sim_event *event, const void *entry)
{
	sites[nr_sites++] = ((const struct trace_kpy_realloc *)entry)->call_site;
}

static void note_large_alloc(const struct sim_event *event, const void *entry)
{
	sites[nr_sites++] = ((const struct trace_kpy_large_alloc *)entry)->call_site;
}

static void note_large_free(const struct sim_event *event, const void *entry)
{
	sites[nr_sites++] = ((const struct trace_kpy_large_free *)entry)->call_site;
}

static const struct {
	struct sim_event *event;
	void (*probe)(const struct sim_event *event, const void *entry);
} notes[] = {
	{ &event_kpy_alloc, note_block },
	{ &event_kpy_free, note_block },
	{ &event_kpy_realloc, note_realloc },
	{ &event_kpy_large_alloc, note_large_alloc },
	{ &event_kpy_large_free, note_large_free },
};

/* Every event has to name the function below: that many bytes of code it has at most. */
#define SITE_BYTES	2048

/* Each function that allocates or frees, with blocks of @size. */
static noinline void call_all(struct kpy_heap *heap, size_t size)
{
	void *p[3];

	p[0] = (kpy_alloc)(heap, size, GFP_ATOMIC);
	p[1] = kpy_zalloc(heap, size, GFP_ATOMIC);
	p[2] = kpy_calloc(heap, 2, size / 2, GFP_ATOMIC);
	p[0] = kpy_realloc(heap, p[0], size - 1, GFP_ATOMIC);
	p[1] = kpy_realloc(heap, p[1], 3 * size, GFP_ATOMIC);
	kpy_free(heap, p[0]);
	kpy_free(heap, p[1]);
	kpy_free(heap, p[2]);
	p[0] = kpy_realloc(heap, NULL, size, GFP_ATOMIC);
	kpy_free(heap, p[0]);
	barrier();		/* no tail call */
}

static void call_all_small(void *heap)
{
	call_all(heap, 100);
}

static void call_all_large(void *heap)
{
	call_all(heap, 1000);
}

/* Twelve requests, each named once, and the realloc that moves in three events. */
static void expect_sites(struct kunit *test)
{
	u32 i;

	KUNIT_EXPECT_EQ(test, nr_sites, 12);
	for (i = 0; i < nr_sites; i++)
		KUNIT_EXPECT_TRUE(test, sites[i] - (unsigned long)call_all < SITE_BYTES);
	nr_sites = 0;
}

static void events_name_the_caller(struct kunit *test)
{
	const enum kpy_mode *mode = test->param_value;
	struct kpy_heap *heap = small_heap(test, *mode, 0);
	u32 i;

	for (i = 0; i < ARRAY_SIZE(notes); i++)
		sim_trace(notes[i].event, notes[i].probe);
	for (i = 0; i < 2; i++) {		/* from nobody, and from what was freed */
		call_all_small(heap);
		expect_sites(test);
		call_all_large(heap);
		expect_sites(test);
		sim_interrupt(SIM_HARD, call_all_small, heap);
		expect_sites(test);
		sim_interrupt(SIM_SOFT, call_all_large, heap);
		expect_sites(test);
	}
	for (i = 0; i < ARRAY_SIZE(notes); i++)
		sim_untrace(notes[i].event);
}

/* ---- all events of random requests ---- */

/* What events tell of a heap. */
static struct {
	u64 allocs, frees, reallocs, large_allocs, large_frees, fallbacks;
	s64 large_bytes;
	u64 arenas_new, arenas_gone;
	u32 nfree[SLOTS];
	u64 pools[3];
	u32 wrong;
} told;

static void tell_alloc(const struct sim_event *event, const void *entry)
{
	told.allocs++;
}

static void tell_free(const struct sim_event *event, const void *entry)
{
	told.frees++;
}

static void tell_realloc(const struct sim_event *event, const void *entry)
{
	const struct trace_kpy_realloc *e = entry;

	told.reallocs++;
	if (!e->small && e->old == e->ptr)
		told.large_bytes += (s64)e->size - (s64)e->old_size;
}

static void tell_large_alloc(const struct sim_event *event, const void *entry)
{
	const struct trace_kpy_large_alloc *e = entry;

	told.large_allocs++;
	told.large_bytes += e->size;
	told.fallbacks += e->fallback;
}

static void tell_large_free(const struct sim_event *event, const void *entry)
{
	const struct trace_kpy_large_free *e = entry;

	told.large_frees++;
	told.large_bytes -= e->size;
}

static void tell_pool(const struct sim_event *event, const void *entry)
{
	const struct trace_kpy_pool_state *e = entry;

	told.wrong += abs((int)e->from - (int)e->to) != 1;
	told.pools[e->from]--;
	told.pools[e->to]++;
}

static void tell_new(const struct sim_event *event, const void *entry)
{
	const struct trace_kpy_arena *e = entry;

	told.wrong += e->serial != told.arenas_new++;
	told.wrong += told.nfree[e->arena % SLOTS] != 0;
	told.nfree[e->arena % SLOTS] = 4;
}

static void tell_release(const struct sim_event *event, const void *entry)
{
	const struct trace_kpy_arena *e = entry;

	told.arenas_gone++;
	told.wrong += told.nfree[e->arena % SLOTS] != 4;
	told.nfree[e->arena % SLOTS] = 0;
}

static void tell_move(const struct sim_event *event, const void *entry)
{
	const struct trace_kpy_arena_move *e = entry;

	told.wrong += told.nfree[e->arena % SLOTS] != e->nfree_before;
	told.nfree[e->arena % SLOTS] = e->nfree_after;
}

static const struct {
	struct sim_event *event;
	void (*probe)(const struct sim_event *event, const void *entry);
} tellers[] = {
	{ &event_kpy_alloc, tell_alloc },
	{ &event_kpy_free, tell_free },
	{ &event_kpy_realloc, tell_realloc },
	{ &event_kpy_large_alloc, tell_large_alloc },
	{ &event_kpy_large_free, tell_large_free },
	{ &event_kpy_pool_state, tell_pool },
	{ &event_kpy_arena_new, tell_new },
	{ &event_kpy_arena_release, tell_release },
	{ &event_kpy_arena_move, tell_move },
};

static void request(struct kpy_heap *heap, struct rnd_state *rnd, void **p)
{
	u32 n = prandom_u32_state(rnd) % 3;
	size_t size = prandom_u32_state(rnd) % 700;
	void *ptr;

	if (n == 0) {
		kpy_free(heap, *p);
		*p = NULL;
	} else if (n == 1 && !*p) {
		*p = kpy_alloc(heap, size, GFP_KERNEL);
	} else if (n == 2) {
		ptr = kpy_realloc(heap, *p, size, GFP_KERNEL);
		*p = ptr ?: *p;
	}
}

static void expect_told(struct kunit *test, struct kpy_heap *heap)
{
	const struct kpy_heap_stats *s = ut_stats(heap);
	u32 i, nfree = 0;

	for (i = 0; i < SLOTS; i++)
		nfree += told.nfree[i];
	KUNIT_EXPECT_EQ(test, s->allocs, told.allocs);
	KUNIT_EXPECT_EQ(test, s->frees, told.frees);
	KUNIT_EXPECT_EQ(test, s->reallocs, told.reallocs);
	KUNIT_EXPECT_EQ(test, s->large_allocs, told.large_allocs);
	KUNIT_EXPECT_EQ(test, s->large_frees, told.large_frees);
	KUNIT_EXPECT_EQ(test, s->large_bytes, told.large_bytes);
	KUNIT_EXPECT_EQ(test, s->large_fallbacks, told.fallbacks);
	KUNIT_EXPECT_EQ(test, s->arenas_total, told.arenas_new);
	KUNIT_EXPECT_EQ(test, s->arenas_reclaimed, told.arenas_gone);
	KUNIT_EXPECT_EQ(test, heap->free_pools, nfree);
	KUNIT_EXPECT_EQ(test, s->unused_pools, nfree);
	KUNIT_EXPECT_EQ(test, told.pools[KPY_POOL_USED] + told.pools[KPY_POOL_FULL],
			s->arenas_current * 4 - nfree);
	KUNIT_EXPECT_EQ(test, told.wrong, 0);
}

static void events_are_counters(struct kunit *test)
{
	const enum kpy_mode *mode = test->param_value;
	struct kpy_heap *heap = small_heap(test, *mode, 40 * (16 << 10));
	void **p = kt_memory(test, LIVE * sizeof(*p));
	struct rnd_state rnd;
	u32 i;

	prandom_seed_state(&rnd, 5);
	memset(&told, 0, sizeof(told));
	for (i = 0; i < ARRAY_SIZE(tellers); i++)
		sim_trace(tellers[i].event, tellers[i].probe);
	for (i = 0; i < OPS && !test->failed; i++) {
		request(heap, &rnd, &p[prandom_u32_state(&rnd) % LIVE]);
		if (i % 50 == 0)
			expect_told(test, heap);
		if (i % 700 == 0)
			msleep(500);
	}
	kt_free(heap, p, LIVE);
	kpy_heap_trim(heap);
	expect_told(test, heap);
	KUNIT_EXPECT_GT(test, told.arenas_gone, 5);
	for (i = 0; i < ARRAY_SIZE(tellers); i++)
		sim_untrace(tellers[i].event);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(events_of_a_pool),
	KUNIT_CASE(events_of_arenas),
	KUNIT_CASE(events_of_holes),
	KUNIT_CASE(events_of_large_blocks),
	KUNIT_CASE(events_of_snapshots),
	KUNIT_CASE(events_of_fronts),
	KUNIT_CASE_PARAM(events_name_the_caller, kt_mode_gen_params),
	KUNIT_CASE_PARAM(events_are_counters, kt_mode_gen_params),
	{}
};

USER_SUITE(events);
