// SPDX-License-Identifier: GPL-2.0
/*
 * Heaps by name: who owns them, who is told, what is reported when they go; and the
 * kfunc, which looks up an address in all of them.
 */
#include "user.h"
#include "trace.h"

static const struct kpy_geometry geometry = { 64 << 10, 4 << 10, 16, 512 };

static struct kpy_heap_params named(const char *name)
{
	return (struct kpy_heap_params){ .name = name, .geometry = geometry };
}

static void lifetime_unowned(struct kunit *test)
{
	struct kpy_heap_params a = named("a"), bad = named("b/d");
	struct kpy_heap *heap;

	KUNIT_EXPECT_EQ(test, kpy_heap_destroy_name("a"), -ENOENT);
	KUNIT_EXPECT_EQ(test, kpy_heap_create_unowned(&bad), -EINVAL);
	KUNIT_EXPECT_EQ(test, kpy_heap_create_unowned(&a), 0);
	KUNIT_EXPECT_EQ(test, kpy_heap_create_unowned(&a), -EEXIST);
	KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(kpy_heap_create(&a)), -EEXIST);
	KUNIT_EXPECT_EQ(test, sim_shown, 1);
	heap = kpy_heap_get("a");
	KUNIT_EXPECT_STREQ(test, kpy_heap_name(heap), "a");
	KUNIT_EXPECT_EQ(test, kpy_heap_destroy_name("a"), -EBUSY);
	kpy_heap_put(heap);
	KUNIT_EXPECT_EQ(test, kpy_heap_destroy_name("a"), 0);
	KUNIT_EXPECT_EQ(test, kpy_heap_destroy_name("a"), -ENOENT);
	KUNIT_EXPECT_EQ(test, sim_shown, 0);
}

/* A heap of a module is not for others to destroy. */
static void lifetime_owned(struct kunit *test)
{
	struct kpy_heap_params a = named("a"), b = named("b");
	struct kpy_heap *first = kpy_heap_create(&a), *second;

	KUNIT_EXPECT_EQ(test, first->users, 1);
	KUNIT_EXPECT_EQ(test, kpy_heap_destroy_name("a"), -EBUSY);
	KUNIT_EXPECT_PTR_EQ(test, kpy_heap_get("a"), first);
	KUNIT_EXPECT_EQ(test, first->users, 2);
	KUNIT_EXPECT_EQ(test, kpy_heap_destroy(first), -EBUSY);
	KUNIT_EXPECT_EQ(test, sim_shown, 1);
	kpy_heap_put(first);
	second = kpy_heap_create(&b);
	KUNIT_EXPECT_EQ(test, second->id, first->id + 1);
	KUNIT_EXPECT_EQ(test, kpy_heap_destroy(first), 0);
	KUNIT_EXPECT_PTR_EQ(test, kpy_heap_get("b"), second);
	kpy_heap_put(second);
	KUNIT_EXPECT_EQ(test, kpy_heap_destroy(second), 0);
}

static void lifetime_refused(struct kunit *test)
{
	struct kpy_heap_params a = named("a"), bad = named("a"), mode = named("a");

	bad.geometry.alignment = 5;
	KUNIT_EXPECT_EQ(test, kpy_heap_create_unowned(&bad), -EINVAL);
	KUNIT_EXPECT_STREQ(test, sim_log_text(0),
			   "kpymalloc: heap refused: the alignment must be 8, 16 or 32\n");
	mode.mode = 2;
	KUNIT_EXPECT_EQ(test, kpy_heap_create_unowned(&mode), -EINVAL);
	KUNIT_EXPECT_STREQ(test, sim_log_text(0), "kpymalloc: heap refused: unknown mode or flags\n");
	a.name = "a b";
	KUNIT_EXPECT_EQ(test, kpy_heap_create_unowned(&a), -EINVAL);
	KUNIT_EXPECT_STREQ(test, sim_log_text(0),
			   "kpymalloc: heap refused: a name has 1 to 31 of [A-Za-z0-9._-]\n");
}

/* Whatever is left goes with the module. */
static void lifetime_module_exit(struct kunit *test)
{
	struct kpy_heap_params a = named("a"), b = named("b");
	unsigned long pages = sim_live(SIM_PAGES);
	struct kpy_heap *heap;

	b.mode = KPY_MODE_PERCPU;
	KUNIT_EXPECT_EQ(test, kpy_heap_create_unowned(&a), 0);
	KUNIT_EXPECT_EQ(test, kpy_heap_create_unowned(&b), 0);
	heap = kpy_heap_get("b");
	KUNIT_EXPECT_NOT_NULL(test, kpy_alloc(heap, 100, GFP_KERNEL));
	kpy_heap_put(heap);
	sim_unload();
	KUNIT_EXPECT_EQ(test, sim_live(SIM_PAGES), pages);
	KUNIT_EXPECT_EQ(test, sim_shown, 0);
	KUNIT_EXPECT_EQ(test, sim_pending_work(), 0);
	KUNIT_EXPECT_EQ(test, sim_load(), 0);
	KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(kpy_heap_get("a")), -ENOENT);
}

/* What was never freed is told, each class in a line. */
static void lifetime_reports_what_lives(struct kunit *test)
{
	struct kpy_heap_params a = named("a");
	struct kpy_heap *heap = kpy_heap_create(&a);
	unsigned int logs;

	kpy_free(heap, kpy_alloc(heap, 10, GFP_KERNEL));
	logs = sim_logs;
	KUNIT_EXPECT_EQ(test, kpy_heap_destroy(heap), 0);
	KUNIT_EXPECT_EQ(test, sim_logs, logs);

	heap = kpy_heap_create(&a);
	kpy_alloc(heap, 10, GFP_KERNEL);
	KUNIT_EXPECT_EQ(test, kpy_heap_destroy(heap), 0);
	KUNIT_EXPECT_EQ(test, sim_logs, logs + 2);
	KUNIT_EXPECT_STREQ(test, sim_log_text(0),
			   "kpymalloc: heap a:   class 0, 16 bytes: 1 blocks\n");

	heap = kpy_heap_create(&a);
	kpy_alloc(heap, 10, GFP_KERNEL);
	kpy_alloc(heap, 500, GFP_KERNEL);
	kpy_alloc(heap, 500, GFP_KERNEL);
	kpy_alloc(heap, 1000, GFP_KERNEL);
	KUNIT_EXPECT_EQ(test, kpy_heap_destroy(heap), 0);
	KUNIT_EXPECT_EQ(test, sim_logs, logs + 6);
	KUNIT_EXPECT_STREQ(test, sim_log_text(0),
			   "kpymalloc: heap a:   large, 1000 bytes in all: 1 blocks\n");
	KUNIT_EXPECT_STREQ(test, sim_log_text(3),
			   "kpymalloc: heap a: 4 blocks never freed, 2040 bytes\n");
}

/* A heap that somebody looks at under RCU does not go meanwhile. */
static struct completion inside, leave;

static void stay(struct kpy_heap *heap, void *arg)
{
	complete(&inside);
	sim_wait(&leave);
	*(u32 *)arg = heap->id;
}

static int visit_heaps(void *arg)
{
	kpy_heaps_each_rcu(stay, arg);
	return 0;
}

static int destroy_heap(void *heap)
{
	return kpy_heap_destroy(heap);
}

static void lifetime_rcu(struct kunit *test)
{
	struct kpy_heap_params a = named("a");
	struct kpy_heap *heap = kpy_heap_create(&a);
	struct task_struct *visitor, *destroyer;
	u32 id = heap->id, seen = ~0;

	init_completion(&inside);
	init_completion(&leave);
	visitor = kthread_run(visit_heaps, &seen, "visitor");
	wait_for_completion(&inside);
	destroyer = kthread_run(destroy_heap, heap, "destroyer");
	sim_let_others_run();
	complete(&leave);
	kthread_stop(visitor);
	KUNIT_EXPECT_EQ(test, kthread_stop(destroyer), 0);
	KUNIT_EXPECT_EQ(test, seen, id);
}

static void no_probe(const struct sim_event *event, const void *entry)
{
}

/* Who waits until everybody left the heap, or the fast paths: once, and nobody else does. */
static void lifetime_grace_periods(struct kunit *test)
{
	struct kpy_heap_params a = named("a");
	struct kpy_heap *heap = kpy_heap_create(&a);
	unsigned long waited = sim_grace_periods;

	kpy_free(heap, kpy_alloc(heap, 100, GFP_KERNEL));
	kpy_heap_trim(heap);
	kt_expect_valid(test, heap);
	KUNIT_EXPECT_EQ(test, sim_grace_periods, waited);
	sim_trace(&event_kpy_alloc, no_probe);
	KUNIT_EXPECT_EQ(test, sim_grace_periods, waited + 1);
	sim_untrace(&event_kpy_alloc);
	waited = sim_grace_periods;
	sim_trace(&event_kpy_arena_new, no_probe);
	KUNIT_EXPECT_EQ(test, sim_grace_periods, waited);
	sim_untrace(&event_kpy_arena_new);
	waited = sim_grace_periods;
	KUNIT_EXPECT_EQ(test, kpy_heap_destroy(heap), 0);
	KUNIT_EXPECT_EQ(test, sim_grace_periods, waited + 1);
}

/* ---- the kfunc ---- */

static void expect_info(struct kunit *test, struct kpy_heap *heap, void *ptr, void *block,
			u32 pool, u32 index, u32 in_use)
{
	struct kpy_block_info info, found = {};

	KUNIT_EXPECT_EQ(test, kpy_block_info((unsigned long)ptr, &info), 0);
	KUNIT_EXPECT_EQ(test, info.start, (unsigned long)block);
	KUNIT_EXPECT_EQ(test, info.heap, heap->id);
	KUNIT_EXPECT_EQ(test, info.arena, 0);
	KUNIT_EXPECT_EQ(test, info.arena_serial, 0);
	KUNIT_EXPECT_EQ(test, info.pool, pool);
	KUNIT_EXPECT_EQ(test, info.block, index);
	KUNIT_EXPECT_EQ(test, info.szidx, 6);
	KUNIT_EXPECT_EQ(test, info.size, 112);
	KUNIT_EXPECT_EQ(test, info.in_use, in_use);
	KUNIT_EXPECT_EQ(test, kpy_block_find(heap, ptr, &found), 0);
	KUNIT_EXPECT_TRUE(test, !memcmp(&info, &found, sizeof(info)));
}

static void expect_no_info(struct kunit *test, struct kpy_heap *heap, void *ptr)
{
	struct kpy_block_info info;

	KUNIT_EXPECT_EQ(test, kpy_block_info((unsigned long)ptr, &info), -ENOENT);
	KUNIT_EXPECT_EQ(test, kpy_block_find(heap, ptr, &info), -ENOENT);
}

static void lifetime_kfunc(struct kunit *test)
{
	struct kpy_heap *other = ut_heap(test, KPY_MODE_CLASSIC, KPY_RELEASE_KEEP_LAST);
	struct kpy_heap *heap = ut_heap(test, KPY_MODE_CLASSIC, KPY_RELEASE_POOL);
	void *p[3], *pool, *small;

	small = kpy_alloc(heap, 16, GFP_KERNEL);
	KUNIT_ASSERT_TRUE(test, kt_fill(heap, p, 3, 112));
	pool = kt_pool(heap, p[0]);
	expect_info(test, heap, p[0], p[0], 1, 0, 1);
	expect_info(test, heap, p[1] + 111, p[1], 1, 1, 1);
	kpy_free(heap, p[0]);
	kpy_free(heap, p[1]);
	expect_info(test, heap, p[0] + 5, p[0], 1, 0, 0);
	expect_info(test, heap, p[1], p[1], 1, 1, 0);
	expect_info(test, heap, p[2] + 112, p[2] + 112, 1, 3, 0);	/* carved ahead */
	expect_no_info(test, heap, p[2] + 2 * 112);
	expect_no_info(test, heap, pool + 47);
	expect_no_info(test, heap, pool + 4096 + 100);
	expect_no_info(test, heap, pool - 2 * 4096);
	expect_no_info(test, heap, test);
	expect_no_info(test, heap, NULL);
	kpy_free(heap, p[2]);
	kt_settle(heap);
	expect_no_info(test, heap, p[2]);
	kpy_heap_trim(heap);
	expect_no_info(test, heap, p[2]);
	kpy_free(heap, small);
	kpy_free(other, kpy_alloc(other, 16, GFP_KERNEL));
}

/* A list of free blocks that leads nowhere ends. */
static void lifetime_kfunc_bears_anything(struct kunit *test)
{
	struct kpy_heap *heap = ut_heap(test, KPY_MODE_CLASSIC, KPY_RELEASE_KEEP_LAST);
	void *p = kpy_alloc(heap, 112, GFP_KERNEL), *was;
	struct kpy_pool *pool = kt_pool(heap, p);
	struct kpy_block_info info;

	was = pool->freeblock;
	pool->freeblock = (void *)8;
	KUNIT_EXPECT_EQ(test, kpy_block_info((unsigned long)p, &info), 0);
	KUNIT_EXPECT_EQ(test, info.in_use, 1);
	pool->freeblock = was;
	*(void **)was = was;
	KUNIT_EXPECT_EQ(test, kpy_block_info((unsigned long)p, &info), 0);
	KUNIT_EXPECT_EQ(test, info.in_use, 1);
	*(void **)was = NULL;
	pool->szidx = 32;
	KUNIT_EXPECT_EQ(test, kpy_block_info((unsigned long)p, &info), -ENOENT);
	pool->szidx = 6;
	kpy_free(heap, p);
}

static void lifetime_no_btf(struct kunit *test)
{
	unsigned int logs;

	KUNIT_EXPECT_STREQ(test, sim_log_text(0),
			   "kpymalloc: no kfuncs: this kernel or module has no BTF\n");
	sim_unload();
	logs = sim_logs;
	sim_btf_error = 0;
	KUNIT_EXPECT_EQ(test, sim_load(), 0);
	KUNIT_EXPECT_EQ(test, sim_logs, logs);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(lifetime_unowned),
	KUNIT_CASE(lifetime_owned),
	KUNIT_CASE(lifetime_refused),
	KUNIT_CASE(lifetime_module_exit),
	KUNIT_CASE(lifetime_reports_what_lives),
	KUNIT_CASE(lifetime_rcu),
	KUNIT_CASE(lifetime_grace_periods),
	KUNIT_CASE(lifetime_kfunc),
	KUNIT_CASE(lifetime_kfunc_bears_anything),
	KUNIT_CASE(lifetime_no_btf),
	{}
};

USER_SUITE(lifetime);
