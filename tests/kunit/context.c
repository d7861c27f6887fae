// SPDX-License-Identifier: GPL-2.0
/*
 * Contexts, in each mode: one heap used by process context, softirq and hardirq at the same
 * time, and with interrupts off under spinlocks.  Each has its own blocks,
 * writes to all their bytes and looks at them again before it frees them.
 *
 * On PREEMPT_RT no allocator bears interrupts off: a timer then runs in a
 * thread, and a spinlock leaves them on.
 */
#include <linux/hrtimer.h>
#include <linux/interrupt.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/string.h>

#include "suite.h"

#define BLOCKS		64	/* most that one context has at a time */
#define BULK		60	/* blocks at once */
#define STEPS		8	/* operations an interrupt */
#define SHOTS		50	/* interrupts, at least */
#define RUN_MS		200	/* and time, at least */
#define GIVE_UP_MS	60000
#define PERIOD		ns_to_ktime(300 * NSEC_PER_USEC)

static const struct kpy_geometry geometry = { 64 << 10, 4 << 10, 16, 512, KPY_RELEASE_ALWAYS };

/**
 * struct client - one context that uses the heap
 * @heap: the heap
 * @rnd: decides what it does
 * @gfp: how it may have memory
 * @block: its blocks
 * @size: of each
 * @tag: what all their bytes are
 * @shots: how often it ran
 * @spoilt: blocks that had been written to by somebody else
 * @strayed: times it ran in another context than it should
 */
struct client {
	struct kpy_heap *heap;
	struct rnd_state rnd;
	gfp_t gfp;
	u8 *block[BLOCKS];
	size_t size[BLOCKS];
	u8 tag;
	u32 shots;
	u32 spoilt;
	u32 strayed;
};

static void client_init(struct client *client, struct kpy_heap *heap, gfp_t gfp, u8 tag)
{
	client->heap = heap;
	client->gfp = gfp;
	client->tag = tag;
	prandom_seed_state(&client->rnd, tag);
}

static void client_free(struct client *client, u32 i)
{
	if (!client->block[i])
		return;
	client->spoilt += !!memchr_inv(client->block[i], client->tag, client->size[i]);
	kpy_free(client->heap, client->block[i]);
	client->block[i] = NULL;
}

/* Gives a place a block of another size, by realloc if there is one. */
static void client_get(struct client *client, u32 i)
{
	size_t size = prandom_u32_state(&client->rnd) % 640;
	size_t kept = client->block[i] ? min(client->size[i], size) : 0;
	u8 *ptr = kpy_realloc(client->heap, client->block[i], size, client->gfp);

	if (!ptr)
		return;
	client->spoilt += !!memchr_inv(ptr, client->tag, kept);
	memset(ptr, client->tag, size);
	client->block[i] = ptr;
	client->size[i] = size;
}

/* Many blocks at once, for a moment. */
static void client_bulk(struct client *client)
{
	size_t size = prandom_u32_state(&client->rnd) % 640;
	void *p[BULK];
	u32 n = kpy_alloc_bulk(client->heap, size, client->gfp, BULK, p), i;

	for (i = 0; i < n; i++)
		memset(p[i], client->tag + i, size);
	for (i = 0; i < n; i++)
		client->spoilt += !!memchr_inv(p[i], client->tag + i, size);
	kpy_free_bulk(client->heap, n, p);
}

static void client_step(struct client *client)
{
	u32 i = prandom_u32_state(&client->rnd) % BLOCKS;

	if (i % 16 == 0)
		client_bulk(client);
	if (prandom_u32_state(&client->rnd) % 2)
		client_free(client, i);
	else
		client_get(client, i);
}

static void client_run(struct client *client, bool in_its_context)
{
	u32 i;

	client->shots++;
	client->strayed += !in_its_context;
	for (i = 0; i < STEPS; i++)
		client_step(client);
}

static void client_done(struct kunit *test, struct client *client)
{
	u32 i;

	for (i = 0; i < BLOCKS; i++)
		client_free(client, i);
	KUNIT_EXPECT_EQ(test, client->spoilt, 0);
	KUNIT_EXPECT_EQ(test, client->strayed, 0);
}

/* Nothing lives, nothing was lost on the way. */
static void expect_empty(struct kunit *test, struct kpy_heap *heap)
{
	struct kpy_heap_stats *stats = kt_memory(test, sizeof(*stats));

	KUNIT_ASSERT_NOT_NULL(test, stats);
	kpy_heap_trim(heap);
	kpy_heap_stats(heap, stats);
	KUNIT_EXPECT_GT(test, stats->c.allocs + stats->c.large_allocs, 0);
	KUNIT_EXPECT_EQ(test, stats->c.allocs, stats->c.frees);
	KUNIT_EXPECT_EQ(test, stats->c.large_allocs, stats->c.large_frees);
	KUNIT_EXPECT_EQ(test, stats->c.held_bytes, 0);
	KUNIT_EXPECT_EQ(test, stats->c.bad_pointers, 0);
	kt_expect_valid(test, heap);
}

/* What a timer runs in. */
static bool in_timer(void)
{
	return IS_ENABLED(CONFIG_PREEMPT_RT) ? in_serving_softirq() : in_hardirq();
}

/**
 * struct storm - interrupts that use a heap
 * @timer: fires in hardirq
 * @tasklet: runs in softirq behind it
 * @hard: what the timer does
 * @soft: what the tasklet does
 */
struct storm {
	struct hrtimer timer;
	struct tasklet_struct tasklet;
	struct client hard;
	struct client soft;
};

static enum hrtimer_restart storm_timer(struct hrtimer *timer)
{
	struct storm *storm = container_of(timer, struct storm, timer);

	client_run(&storm->hard, in_timer());
	tasklet_schedule(&storm->tasklet);
	hrtimer_forward_now(timer, PERIOD);
	return HRTIMER_RESTART;
}

static void storm_tasklet(struct tasklet_struct *tasklet)
{
	struct storm *storm = container_of(tasklet, struct storm, tasklet);

	client_run(&storm->soft, in_serving_softirq());
}

static void storm_begin(struct storm *storm, struct kpy_heap *heap)
{
	client_init(&storm->hard, heap, GFP_ATOMIC, 0x11);
	client_init(&storm->soft, heap, GFP_ATOMIC, 0x22);
	tasklet_setup(&storm->tasklet, storm_tasklet);
	hrtimer_init(&storm->timer, CLOCK_MONOTONIC, HRTIMER_MODE_REL);
	storm->timer.function = storm_timer;
	hrtimer_start(&storm->timer, PERIOD, HRTIMER_MODE_REL);
}

static void storm_end(struct storm *storm)
{
	hrtimer_cancel(&storm->timer);
	tasklet_kill(&storm->tasklet);
}

static bool storm_was_enough(struct storm *storm, ktime_t start)
{
	s64 ms = ktime_ms_delta(ktime_get(), start);

	return ms >= GIVE_UP_MS || (ms >= RUN_MS && READ_ONCE(storm->hard.shots) >= SHOTS &&
				    READ_ONCE(storm->soft.shots) >= SHOTS);
}

/* Whoever uses it meanwhile. */
static void expect_sane(struct kunit *test, struct kpy_heap *heap, struct kpy_heap_stats *stats)
{
	u64 in_use = 0;
	u32 i;

	kt_expect_valid(test, heap);
	kpy_heap_stats(heap, stats);
	for (i = 0; i < stats->nr_classes; i++)
		in_use += stats->class[i].in_use;
	KUNIT_EXPECT_EQ(test, stats->c.allocs - stats->c.frees, in_use);
	KUNIT_EXPECT_TRUE(test, stats->c.frees <= stats->c.allocs);
}

/* Process context and the interrupts that break into it share a heap. */
static void context_interrupts(struct kunit *test)
{
	struct kpy_heap *heap = kt_heap_of_mode(test, &geometry);
	struct client *process = kt_memory(test, sizeof(*process));
	struct storm *storm = kt_memory(test, sizeof(*storm));
	struct kpy_heap_stats *stats = kt_memory(test, sizeof(*stats));
	ktime_t start = ktime_get();

	KUNIT_ASSERT_NOT_NULL(test, heap);
	KUNIT_ASSERT_NOT_NULL(test, process);
	KUNIT_ASSERT_NOT_NULL(test, storm);
	KUNIT_ASSERT_NOT_NULL(test, stats);
	client_init(process, heap, GFP_KERNEL, 0x33);
	storm_begin(storm, heap);
	while (!storm_was_enough(storm, start)) {
		client_run(process, in_task());
		if (process->shots % 64 == 0)
			expect_sane(test, heap, stats);
		cond_resched();
	}
	storm_end(storm);

	KUNIT_EXPECT_TRUE(test, storm->hard.shots >= SHOTS);
	KUNIT_EXPECT_TRUE(test, storm->soft.shots >= SHOTS);
	KUNIT_EXPECT_GT(test, process->shots, 10);
	client_done(test, &storm->hard);
	client_done(test, &storm->soft);
	client_done(test, process);
	expect_empty(test, heap);
}

/* With a spinlock held and interrupts off, under GFP_ATOMIC and GFP_NOWAIT. */
static void context_atomic(struct kunit *test)
{
	static DEFINE_SPINLOCK(lock);
	struct kpy_heap *heap = kt_heap_of_mode(test, &geometry);
	struct client *client = kt_memory(test, sizeof(*client));
	unsigned long flags;
	u32 i;

	KUNIT_ASSERT_NOT_NULL(test, heap);
	KUNIT_ASSERT_NOT_NULL(test, client);
	client_init(client, heap, GFP_ATOMIC, 0x44);
	for (i = 0; i < 200; i++) {
		client->gfp = i % 2 ? GFP_ATOMIC : GFP_NOWAIT;
		spin_lock_irqsave(&lock, flags);
		client_run(client, irqs_disabled() != IS_ENABLED(CONFIG_PREEMPT_RT));
		spin_unlock_irqrestore(&lock, flags);
	}
	client_done(test, client);
	expect_empty(test, heap);
}

/* vfree() may sleep; freeing such a block through a heap does not. */
static void context_vmalloc_freed_under_lock(struct kunit *test)
{
	static DEFINE_SPINLOCK(lock);
	struct kpy_heap *heap = kt_heap_of_mode(test, &geometry);
	unsigned long flags;
	void *p[3];
	u32 i;

	KUNIT_ASSERT_NOT_NULL(test, heap);
	KUNIT_ASSERT_TRUE(test, kt_fill(heap, p, ARRAY_SIZE(p), 8 << 20));
	for (i = 0; i < ARRAY_SIZE(p); i++)
		KUNIT_EXPECT_TRUE(test, is_vmalloc_addr(p[i]));
	spin_lock_irqsave(&lock, flags);
	kt_free(heap, p, ARRAY_SIZE(p));
	spin_unlock_irqrestore(&lock, flags);
	expect_empty(test, heap);
}

static struct kunit_case cases[] = {
	KUNIT_CASE_PARAM(context_interrupts, kt_mode_gen_params),
	KUNIT_CASE_PARAM(context_atomic, kt_mode_gen_params),
	KUNIT_CASE_PARAM(context_vmalloc_freed_under_lock, kt_mode_gen_params),
	{}
};

struct kunit_suite kpy_context_suite = {
	.name = "kpy_context", .init = kt_init, .exit = kt_exit, .test_cases = cases,
};
