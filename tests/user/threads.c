// SPDX-License-Identifier: GPL-2.0
/*
 * Threads on several CPUs, and interrupts, use one heap at the same time, give each
 * other blocks, and go from CPU to CPU; meanwhile another one looks at the heap, trims
 * it, lets time pass, takes a CPU away and brings it back, and traces.  Afterwards
 * nothing is lost.
 */
#include "user.h"
#include "trace.h"

#define THREADS		4
#define OWN		200	/* blocks of a thread */
#define SHARED		64	/* that wait for anybody */
#define OPS		4000
#define ROUNDS		60
#define BULK		120

/**
 * struct load - what all threads share
 * @heap: the heap
 * @shared: blocks that the next one takes
 * @spoilt: blocks that were not as they were left
 * @invalid: times that the validator complained
 * @busy: threads that are not done
 */
struct load {
	struct kpy_heap *heap;
	void *shared[SHARED];
	u32 spoilt;
	u32 invalid;
	u32 busy;
};

/* One that uses the heap. */
struct worker {
	struct load *load;
	struct task_struct *task;
	struct rnd_state rnd;
	void *own[OWN];
	gfp_t gfp;
};

/* At the start of each block: how big it is, and what all its other bytes are. */
struct stamp {
	u32 size;
	u8 tag;
};

static u64 told_allocs, told_frees, told_large;

static u32 dice(struct worker *w, u32 n)
{
	return prandom_u32_state(&w->rnd) % n;
}

static void *stamp(struct worker *w, void *block, size_t size)
{
	struct stamp s = { size, dice(w, 256) };

	if (!block)
		return NULL;
	memset(block, s.tag, size);
	memcpy(block, &s, sizeof(s));
	return block;
}

static void check(struct worker *w, void *block)
{
	struct stamp s;

	if (!block)
		return;
	memcpy(&s, block, sizeof(s));
	if (s.size > 20000 || memchr_inv(block + sizeof(s), s.tag, s.size - sizeof(s)))
		__atomic_fetch_add(&w->load->spoilt, 1, __ATOMIC_RELAXED);
}

static size_t random_size(struct worker *w)
{
	u32 n = dice(w, 32);

	if (n)
		return sizeof(struct stamp) + dice(w, n < 20 ? 90 : 500);
	return 600 + dice(w, 9000);
}

static void swap_with_others(struct worker *w, void **p)
{
	void **shared = &w->load->shared[dice(w, SHARED)];

	*p = __atomic_exchange_n(shared, *p, __ATOMIC_ACQ_REL);
	check(w, *p);
}

static void resize(struct worker *w, void **p)
{
	size_t size = random_size(w);
	void *ptr;

	check(w, *p);
	ptr = kpy_realloc(w->load->heap, *p, size, w->gfp);
	if (ptr)
		*p = stamp(w, ptr, size);
}

static void bulk(struct worker *w)
{
	size_t size = random_size(w);
	void *p[BULK];
	u32 n = kpy_alloc_bulk(w->load->heap, size, w->gfp, 1 + dice(w, BULK), p), i;

	if (n)
		n = min(n, (u32)BULK);
	for (i = 0; i < n; i++)
		stamp(w, p[i], size);
	for (i = 0; i < n; i++)
		check(w, p[i]);
	kpy_free_bulk(w->load->heap, n, p);
}

static void operate(void *arg)
{
	struct worker *w = arg;
	void **p = &w->own[dice(w, OWN)];
	size_t size = random_size(w);

	switch (dice(w, 32)) {
	case 0:
		bulk(w);
		break;
	case 1 ... 4:
		resize(w, p);
		break;
	case 5 ... 9:
		swap_with_others(w, p);
		break;
	case 10 ... 20:
		check(w, *p);
		kpy_free(w->load->heap, *p);
		*p = NULL;
		break;
	default:
		if (!*p)
			*p = stamp(w, kpy_alloc(w->load->heap, size, w->gfp), size);
	}
}

static void interrupted(struct worker *w)
{
	w->gfp = GFP_ATOMIC;
	sim_interrupt(dice(w, 2) ? SIM_SOFT : SIM_HARD, operate, w);
	w->gfp = GFP_KERNEL;
}

static int work(void *arg)
{
	struct worker *w = arg;
	u32 i;

	w->gfp = GFP_KERNEL;
	for (i = 0; i < OPS; i++) {
		if (!dice(w, 50))
			sim_set_cpu(dice(w, NR_CPUS));
		if (dice(w, 4))
			operate(w);
		else
			interrupted(w);
	}
	__atomic_fetch_sub(&w->load->busy, 1, __ATOMIC_RELEASE);
	return 0;
}

/* ---- who looks and disturbs ---- */

static int see(void *block, size_t size, void *arg)
{
	++*(u32 *)arg;
	return 0;
}

static void validate(struct load *load)
{
	char why[128];

	if (!kpy_heap_validate(load->heap, why, sizeof(why)))
		return;
	load->invalid++;
	pr_warn("invalid: %s\n", why);
}

static void look(struct load *load)
{
	struct kpy_block_info info;
	u32 seen = 0;

	validate(load);
	kpy_heap_walk(load->heap, 3, see, &seen);
	kvfree(kpy_snapshot_arenas(load->heap));
	kpy_block_info((unsigned long)READ_ONCE(load->shared[0]), &info);
	kpy_heap_reset_peaks(load->heap);
	ut_stats(load->heap);
}

static void shrink(void)
{
	struct shrink_control sc = { .nr_to_scan = 64 };

	sim_shrinker->count_objects(sim_shrinker, &sc);
	sim_shrinker->scan_objects(sim_shrinker, &sc);
}

static void tell_alloc(const struct sim_event *event, const void *entry)
{
	told_allocs++;
}

static void tell_free(const struct sim_event *event, const void *entry)
{
	told_frees++;
}

static void tell_large(const struct sim_event *event, const void *entry)
{
	told_large++;
}

static void watch(void)
{
	sim_trace(&event_kpy_alloc, tell_alloc);
	sim_trace(&event_kpy_free, tell_free);
	sim_trace(&event_kpy_large_alloc, tell_large);
	sim_trace(&event_kpy_large_free, tell_large);
}

static void unwatch(void)
{
	sim_untrace(&event_kpy_alloc);
	sim_untrace(&event_kpy_free);
	sim_untrace(&event_kpy_large_alloc);
	sim_untrace(&event_kpy_large_free);
}

static void disturb(struct load *load, u32 round, bool watched)
{
	sim_cpu_down(round % (NR_CPUS - 1) + 1);
	look(load);
	msleep(500);
	if (round % 4 == 0)
		kpy_heap_trim(load->heap);
	if (round % 8 == 3 && !watched)
		watch();
	shrink();
	if (round % 8 == 3 && !watched)
		unwatch();
	sim_cpu_up(round % (NR_CPUS - 1) + 1);
	sim_relax();
}

/* ---- the cases ---- */

static const struct way {
	enum kpy_mode mode;
	enum kpy_release release;
	u64 limit;
	bool watched;
	const char *name;
} ways[] = {
	{ KPY_MODE_CLASSIC, KPY_RELEASE_KEEP_LAST, 0, false, "classic" },
	{ KPY_MODE_CLASSIC, KPY_RELEASE_POOL, 20 << 14, false, "classic, pool, limit" },
	{ KPY_MODE_CLASSIC, KPY_RELEASE_ALWAYS, 0, true, "classic, always, watched" },
	{ KPY_MODE_PERCPU, KPY_RELEASE_KEEP_LAST, 0, false, "percpu" },
	{ KPY_MODE_PERCPU, KPY_RELEASE_POOL, 20 << 14, false, "percpu, pool, limit" },
	{ KPY_MODE_PERCPU, KPY_RELEASE_ALWAYS, 0, true, "percpu, always, watched" },
};

static void describe(const struct way *way, char *desc)
{
	strscpy(desc, way->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(way, ways, describe);

static void run_all(struct load *load, struct worker *w, bool watched)
{
	u32 i;

	load->busy = THREADS;
	for (i = 0; i < THREADS; i++) {
		w[i].load = load;
		prandom_seed_state(&w[i].rnd, i + 1);
		w[i].task = kthread_run(work, &w[i], "worker");
	}
	for (i = 0; i < ROUNDS && __atomic_load_n(&load->busy, __ATOMIC_ACQUIRE); i++)
		disturb(load, i, watched);
	for (i = 0; i < THREADS; i++)
		kthread_stop(w[i].task);
}

static void free_all(struct load *load, struct worker *w)
{
	u32 i, j;

	for (i = 0; i < THREADS; i++) {
		for (j = 0; j < OWN; j++) {
			check(&w[i], w[i].own[j]);
			kpy_free(load->heap, w[i].own[j]);
		}
	}
	for (i = 0; i < SHARED; i++)
		kpy_free(load->heap, load->shared[i]);
}

static void expect_nothing_lost(struct kunit *test, struct load *load, bool watched)
{
	const struct kpy_heap_stats *s;

	kpy_heap_trim(load->heap);
	s = ut_stats(load->heap);
	KUNIT_EXPECT_EQ(test, load->spoilt, 0);
	KUNIT_EXPECT_EQ(test, load->invalid, 0);
	KUNIT_EXPECT_GT(test, s->allocs, THREADS * OPS / 8);
	KUNIT_EXPECT_EQ(test, s->allocs, s->frees);
	KUNIT_EXPECT_GT(test, s->large_allocs, 0);
	KUNIT_EXPECT_EQ(test, s->large_allocs, s->large_frees);
	KUNIT_EXPECT_EQ(test, s->large_bytes, 0);
	KUNIT_EXPECT_EQ(test, s->bad_pointers, 0);
	KUNIT_EXPECT_EQ(test, s->held_bytes, 0);
	if (!watched)
		return;
	KUNIT_EXPECT_EQ(test, told_allocs, s->allocs);
	KUNIT_EXPECT_EQ(test, told_frees, s->frees);
	KUNIT_EXPECT_EQ(test, told_large, s->large_allocs + s->large_frees);
}

static void threads_at_once(struct kunit *test)
{
	const struct way *way = test->param_value;
	struct kpy_heap_params params = {
		.geometry = { 16 << 10, 4 << 10, 16, 512, way->release },
		.mode = way->mode, .flags = KPY_HEAP_SILENT, .limit = way->limit,
	};
	struct load *load = kt_memory(test, sizeof(*load));
	struct worker *w = kt_memory(test, THREADS * sizeof(*w));

	load->heap = kt_heap_of(test, &params);
	told_allocs = 0;
	told_frees = 0;
	told_large = 0;
	if (way->watched)
		watch();
	run_all(load, w, way->watched);
	free_all(load, w);
	expect_nothing_lost(test, load, way->watched);
	if (way->watched)
		unwatch();
}

/* Heaps that come and go while others visit all of them. */
static int come_and_go(void *arg)
{
	struct kpy_heap_params params = {
		.name = arg, .geometry = { 16 << 10, 4 << 10, 16, 512 }, .mode = KPY_MODE_PERCPU,
	};
	struct kpy_heap *heap;
	u32 i;

	for (i = 0; i < 40; i++) {
		heap = kpy_heap_create(&params);
		if (IS_ERR(heap))
			return PTR_ERR(heap);
		kpy_free(heap, kpy_alloc(heap, 100, GFP_KERNEL));
		if (kpy_heap_destroy(heap))
			return -EBUSY;
	}
	return 0;
}

static void threads_heaps(struct kunit *test)
{
	struct task_struct *a = kthread_run(come_and_go, "a", "a");
	struct task_struct *b = kthread_run(come_and_go, "b", "b");
	u32 i;

	for (i = 0; i < 100; i++) {
		shrink();
		msleep(500);
	}
	KUNIT_EXPECT_EQ(test, kthread_stop(a), 0);
	KUNIT_EXPECT_EQ(test, kthread_stop(b), 0);
}

static struct kunit_case cases[] = {
	KUNIT_CASE_PARAM(threads_at_once, way_gen_params),
	KUNIT_CASE(threads_heaps),
	{}
};

USER_SUITE(threads);
