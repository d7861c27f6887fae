// SPDX-License-Identifier: GPL-2.0
/*
 * Mode percpu: large blocks that CPUs keep at hand.  What one of them keeps is
 * looked at with preemption off, where no tick takes it away.
 */
#include <linux/cpumask.h>
#include <linux/delay.h>
#include <linux/interrupt.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/workqueue.h>

#include "suite.h"

#define MANY	300	/* more than a front has room for */
#define SIZE	1064
#define KIND	2048	/* bytes of its blocks */

static struct kpy_heap *percpu_heap(struct kunit *test)
{
	struct kpy_heap_params params = {
		.geometry = { 64 << 10, 4 << 10, 16, 512 },
		.mode = KPY_MODE_PERCPU,
		.flags = KPY_HEAP_SILENT,
	};

	return kt_heap_of(test, &params);
}

static struct kpy_counters counters(struct kpy_heap *heap)
{
	static struct kpy_heap_stats stats;	/* too big for a stack; cases run one by one */

	kpy_heap_stats(heap, &stats);
	return stats.c;
}

/* Blocks that this CPU has at hand; preemption is off from then on. */
static void warm_up(struct kpy_heap *heap, size_t size, u32 n)
{
	void *p[8];

	kt_fill(heap, p, n, size);
	preempt_disable();
	kt_free(heap, p, n);
}

static void front_serves_what_was_freed(struct kunit *test)
{
	struct kpy_heap *heap = percpu_heap(test);
	struct kpy_counters c, after;
	void *p, *q;

	if (want_init_on_free())		/* nothing is kept */
		return;
	KUNIT_ASSERT_NOT_NULL(test, heap);
	p = kpy_alloc(heap, SIZE, GFP_KERNEL);
	preempt_disable();
	kpy_free(heap, p);
	c = counters(heap);
	q = kpy_alloc(heap, KIND, GFP_NOWAIT);
	after = counters(heap);
	preempt_enable();
	KUNIT_EXPECT_EQ(test, c.large_blocks, 0);
	KUNIT_EXPECT_EQ(test, c.large_bytes, 0);
	KUNIT_EXPECT_EQ(test, c.large_allocs, 1);
	KUNIT_EXPECT_EQ(test, c.large_frees, 1);
	KUNIT_EXPECT_EQ(test, c.large_cached, 1);
	KUNIT_EXPECT_EQ(test, c.large_cached_bytes, KIND);
	KUNIT_EXPECT_EQ(test, c.held_bytes, KIND);

	KUNIT_EXPECT_PTR_EQ(test, q, p);
	KUNIT_EXPECT_EQ(test, after.large_blocks, 1);
	KUNIT_EXPECT_EQ(test, after.large_bytes, KIND);
	KUNIT_EXPECT_EQ(test, after.large_allocs, 2);
	KUNIT_EXPECT_EQ(test, after.large_cached, 0);
	KUNIT_EXPECT_EQ(test, after.held_bytes, KIND);
	KUNIT_EXPECT_EQ(test, kpy_usable_size(heap, q), KIND);
	memset(q, 0xff, KIND);
	kpy_free(heap, q);
}

/* By the request's size: each its kind, and no kind gets another one's. */
static void front_of_each_kind(struct kunit *test)
{
	static const u32 sizes[] = { 513, 1024, 1025, 2048, 2049, 4096, 4097, 8192 };
	struct kpy_heap *heap = percpu_heap(test);
	void *p[ARRAY_SIZE(sizes)], *q[ARRAY_SIZE(sizes)] = {};
	u32 i, held = 0, same = 0;

	if (want_init_on_free())		/* nothing is kept */
		return;
	KUNIT_ASSERT_NOT_NULL(test, heap);
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		p[i] = kpy_alloc(heap, sizes[i], GFP_KERNEL);
		held += roundup_pow_of_two(sizes[i]);
	}
	preempt_disable();
	for (i = 0; i < ARRAY_SIZE(sizes); i++)
		kpy_free(heap, p[i]);
	KUNIT_EXPECT_EQ(test, counters(heap).large_cached_bytes, held);
	/* The other one of the kind was freed last. */
	for (i = 0; i < ARRAY_SIZE(sizes); i++)
		q[i] = kpy_alloc(heap, sizes[i], GFP_NOWAIT);
	preempt_enable();
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		same += q[i] == p[i ^ 1];
		memset(q[i], 0xff, sizes[i]);
	}
	KUNIT_EXPECT_EQ(test, same, ARRAY_SIZE(sizes));
	kt_free(heap, q, ARRAY_SIZE(q));
}

/* What an interrupt has. */
struct taker {
	struct tasklet_struct tasklet;
	struct kpy_heap *heap;
	void *p[8];
};

static void take(struct tasklet_struct *tasklet)
{
	struct taker *taker = container_of(tasklet, struct taker, tasklet);
	u32 i;

	for (i = 0; i < ARRAY_SIZE(taker->p); i++)
		taker->p[i] = kpy_alloc(taker->heap, SIZE, GFP_ATOMIC);
}

/* Or there would be no end to what they have and tasks free. */
static void front_keeps_no_interrupts_blocks(struct kunit *test)
{
	struct taker *taker = kt_memory(test, sizeof(*taker));

	if (IS_ENABLED(CONFIG_PREEMPT_RT))	/* there they are tasks */
		return;
	KUNIT_ASSERT_NOT_NULL(test, taker);
	taker->heap = percpu_heap(test);
	KUNIT_ASSERT_NOT_NULL(test, taker->heap);
	tasklet_setup(&taker->tasklet, take);
	tasklet_schedule(&taker->tasklet);
	tasklet_kill(&taker->tasklet);
	KUNIT_EXPECT_EQ(test, counters(taker->heap).large_blocks, ARRAY_SIZE(taker->p));
	kt_free(taker->heap, taker->p, ARRAY_SIZE(taker->p));
	KUNIT_EXPECT_EQ(test, counters(taker->heap).large_frees, ARRAY_SIZE(taker->p));
	KUNIT_EXPECT_EQ(test, counters(taker->heap).held_bytes, 0);
}

/* Of a heap whose memory somebody pays for: who frees it pays no longer. */
static void front_keeps_nothing_charged(struct kunit *test)
{
	struct kpy_heap_params params = {
		.geometry = { 64 << 10, 4 << 10, 16, 512 },
		.mode = KPY_MODE_PERCPU,
		.flags = KPY_HEAP_SILENT | KPY_HEAP_ACCOUNT,
	};
	struct kpy_heap *heap = kt_heap_of(test, &params);
	void *p[8];

	KUNIT_ASSERT_NOT_NULL(test, heap);
	KUNIT_ASSERT_TRUE(test, kt_fill(heap, p, ARRAY_SIZE(p), SIZE));
	kt_free(heap, p, ARRAY_SIZE(p));
	KUNIT_EXPECT_EQ(test, counters(heap).large_frees, ARRAY_SIZE(p));
	KUNIT_EXPECT_EQ(test, counters(heap).held_bytes, 0);
}

/* What is not for fronts: 0 bytes, above 8 KiB, and what somebody pays for. */
static void front_is_passed_by(struct kunit *test)
{
	struct kpy_heap *heap = percpu_heap(test);
	void *p[4];

	KUNIT_ASSERT_NOT_NULL(test, heap);
	p[0] = kpy_alloc(heap, 0, GFP_KERNEL);
	p[1] = kpy_alloc(heap, 8193, GFP_KERNEL);
	p[2] = kpy_alloc(heap, 8 << 20, GFP_KERNEL);
	p[3] = kpy_alloc(heap, SIZE, GFP_KERNEL_ACCOUNT);
	KUNIT_EXPECT_EQ(test, counters(heap).large_blocks, 4);
	kt_free(heap, p, 4);
	KUNIT_EXPECT_EQ(test, counters(heap).large_blocks, 0);
	KUNIT_EXPECT_EQ(test, counters(heap).large_cached, 0);
	KUNIT_EXPECT_EQ(test, counters(heap).held_bytes, 0);
}

/* Whatever became of the block meanwhile. */
static void front_refuses_the_second_free(struct kunit *test)
{
	struct kpy_heap *heap = percpu_heap(test);
	void *p, *q;

	if (want_init_on_free())		/* nothing is kept */
		return;
	KUNIT_ASSERT_NOT_NULL(test, heap);
	p = kpy_alloc(heap, SIZE, GFP_KERNEL);
	preempt_disable();
	kpy_free(heap, p);
	kpy_free(heap, p);
	KUNIT_EXPECT_EQ(test, counters(heap).bad_pointers, 1);
	KUNIT_EXPECT_EQ(test, kpy_usable_size(heap, p), 0);
	KUNIT_EXPECT_NULL(test, kpy_realloc(heap, p, 2 * SIZE, GFP_NOWAIT));
	KUNIT_EXPECT_EQ(test, counters(heap).bad_pointers, 3);
	KUNIT_EXPECT_EQ(test, counters(heap).large_cached, 1);
	q = kpy_alloc(heap, SIZE, GFP_NOWAIT);
	preempt_enable();
	KUNIT_EXPECT_PTR_EQ(test, q, p);
	kpy_free(heap, p);
	KUNIT_EXPECT_EQ(test, counters(heap).bad_pointers, 3);
}

/* Of another heap, of nobody, and inside a block; none of them is written to. */
static void front_refuses_what_is_foreign(struct kunit *test)
{
	struct kpy_heap *heap = percpu_heap(test), *other = percpu_heap(test);
	u8 *theirs, *nobodys = kt_memory(test, SIZE), *mine;

	KUNIT_ASSERT_NOT_NULL(test, heap);
	KUNIT_ASSERT_NOT_NULL(test, other);
	KUNIT_ASSERT_NOT_NULL(test, nobodys);
	theirs = kpy_zalloc(other, SIZE, GFP_KERNEL);
	mine = kpy_zalloc(heap, SIZE, GFP_KERNEL);
	kpy_free(heap, theirs);
	kpy_free(heap, nobodys);
	kpy_free(heap, mine + 8);
	kpy_free(heap, mine + 1);
	KUNIT_EXPECT_EQ(test, counters(heap).bad_pointers, 4);
	KUNIT_EXPECT_EQ(test, counters(heap).large_blocks, 1);
	KUNIT_EXPECT_EQ(test, counters(other).large_blocks, 1);
	KUNIT_EXPECT_NULL(test, memchr_inv(theirs, 0, SIZE));
	KUNIT_EXPECT_NULL(test, memchr_inv(nobodys, 0, SIZE));
	KUNIT_EXPECT_NULL(test, memchr_inv(mine, 0, SIZE));
	kpy_free(heap, mine);
	kpy_free(other, theirs);
	KUNIT_EXPECT_EQ(test, counters(other).bad_pointers, 0);
}

static void front_zeroes(struct kunit *test)
{
	struct kpy_heap *heap = percpu_heap(test);
	void *p, *q;

	KUNIT_ASSERT_NOT_NULL(test, heap);
	p = kpy_alloc(heap, KIND, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, p);
	memset(p, 0xff, KIND);
	preempt_disable();
	kpy_free(heap, p);
	q = kpy_zalloc(heap, KIND, GFP_NOWAIT);
	preempt_enable();
	KUNIT_EXPECT_PTR_EQ(test, q, p);
	KUNIT_EXPECT_NULL(test, memchr_inv(q, 0, KIND));
	kpy_free(heap, q);
}

/* In its kind it stays, then it moves, and the old one is at hand for the next. */
static void front_reallocs(struct kunit *test)
{
	struct kpy_heap *heap = percpu_heap(test);
	u8 *p, *q;

	if (want_init_on_free())		/* nothing is kept */
		return;
	KUNIT_ASSERT_NOT_NULL(test, heap);
	p = kpy_alloc(heap, KIND, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, p);
	memset(p, 0x5a, KIND);
	warm_up(heap, 4096, 1);
	KUNIT_EXPECT_PTR_EQ(test, kpy_realloc(heap, p, SIZE, GFP_NOWAIT), (void *)p);
	KUNIT_EXPECT_EQ(test, kpy_usable_size(heap, p), SIZE);
	KUNIT_EXPECT_EQ(test, counters(heap).large_bytes, SIZE);
	q = kpy_realloc(heap, p, 4000, GFP_NOWAIT);
	KUNIT_EXPECT_EQ(test, counters(heap).large_bytes, 4000);
	KUNIT_EXPECT_EQ(test, counters(heap).large_blocks, 1);
	KUNIT_EXPECT_EQ(test, counters(heap).large_cached_bytes, KIND);
	preempt_enable();
	KUNIT_EXPECT_PTR_NE(test, q, p);
	KUNIT_EXPECT_NULL(test, memchr_inv(q, 0x5a, SIZE));
	KUNIT_EXPECT_EQ(test, counters(heap).reallocs, 2);
	KUNIT_EXPECT_EQ(test, counters(heap).reallocs_in_place, 1);

	q = kpy_realloc(heap, q, 10, GFP_KERNEL);
	KUNIT_EXPECT_TRUE(test, kt_is_large(heap, q));
	KUNIT_EXPECT_EQ(test, counters(heap).large_bytes, 10);
	kpy_free(heap, q);
	KUNIT_EXPECT_EQ(test, counters(heap).large_bytes, 0);
	KUNIT_EXPECT_EQ(test, counters(heap).bad_pointers, 0);
}

/* More than a front takes: by the depot they come back, and no others are had. */
static void front_and_depot(struct kunit *test)
{
	struct kpy_heap *heap = percpu_heap(test);
	void **p = kt_memory(test, MANY * sizeof(*p));
	struct kpy_counters c;
	u32 round;

	KUNIT_ASSERT_NOT_NULL(test, heap);
	KUNIT_ASSERT_NOT_NULL(test, p);
	for (round = 1; round <= 3; round++) {
		KUNIT_ASSERT_TRUE(test, kt_fill(heap, p, MANY, SIZE));
		KUNIT_EXPECT_EQ(test, counters(heap).large_bytes, MANY * SIZE);
		kt_expect_valid(test, heap);
		kt_shuffle(p, MANY, round);
		kt_free(heap, p, MANY);
		c = counters(heap);
		KUNIT_EXPECT_EQ(test, c.held_bytes, c.large_cached_bytes);
		KUNIT_EXPECT_EQ(test, c.large_frees, round * MANY);
		KUNIT_EXPECT_EQ(test, c.large_bytes, 0);
		KUNIT_EXPECT_EQ(test, c.large_bytes_peak, MANY * SIZE);
		KUNIT_EXPECT_EQ(test, c.held_bytes_peak, MANY * KIND);
		kt_expect_valid(test, heap);
	}
}

static void front_is_drained_when_idle(struct kunit *test)
{
	struct kpy_heap *heap = percpu_heap(test);
	void **p = kt_memory(test, MANY * sizeof(*p));
	u32 tenths;

	if (want_init_on_free())		/* nothing is kept */
		return;
	KUNIT_ASSERT_NOT_NULL(test, heap);
	KUNIT_ASSERT_NOT_NULL(test, p);
	KUNIT_ASSERT_TRUE(test, kt_fill(heap, p, MANY, SIZE));
	preempt_disable();
	kt_free(heap, p, MANY);
	KUNIT_EXPECT_EQ(test, counters(heap).large_cached, MANY);
	preempt_enable();
	for (tenths = 0; tenths < 30 && counters(heap).large_cached; tenths++)
		msleep(100);
	KUNIT_EXPECT_EQ(test, counters(heap).large_cached, 0);
	KUNIT_EXPECT_EQ(test, counters(heap).held_bytes, 0);
}

/* A CPU that frees what others free too. */
struct freer {
	struct work_struct work;
	struct kpy_heap *heap;
	void **p;
};

static void free_all(struct work_struct *work)
{
	struct freer *freer = container_of(work, struct freer, work);
	u32 i;

	for (i = 0; i < MANY; i++)
		kpy_free(freer->heap, freer->p[i]);
}

/* All CPUs free the same blocks: each block is taken back once. */
static void front_takes_back_once(struct kunit *test)
{
	struct kpy_heap *heap = percpu_heap(test);
	struct freer *freer = kt_memory(test, nr_cpu_ids * sizeof(*freer));
	void **p = kt_memory(test, MANY * sizeof(*p));
	u32 cpu, n = 0;

	KUNIT_ASSERT_NOT_NULL(test, heap);
	KUNIT_ASSERT_NOT_NULL(test, freer);
	KUNIT_ASSERT_NOT_NULL(test, p);
	KUNIT_ASSERT_TRUE(test, kt_fill(heap, p, MANY, 8000));
	for_each_online_cpu(cpu) {
		freer[n].heap = heap;
		freer[n].p = p;
		INIT_WORK(&freer[n].work, free_all);
		queue_work_on(cpu, system_wq, &freer[n++].work);
	}
	for (cpu = 0; cpu < n; cpu++)
		flush_work(&freer[cpu].work);
	KUNIT_EXPECT_EQ(test, counters(heap).bad_pointers, MANY * (n - 1));
	KUNIT_EXPECT_EQ(test, counters(heap).large_frees, MANY);
	KUNIT_EXPECT_EQ(test, counters(heap).large_bytes, 0);
}

/* A CPU that frees what another one uses. */
struct stray {
	struct work_struct work;
	struct kpy_heap *heap;
	void *p;
	u32 frees;
	bool stop;
};

static void stray_free(struct work_struct *work)
{
	struct stray *stray = container_of(work, struct stray, work);

	while (!READ_ONCE(stray->stop)) {
		kpy_free(stray->heap, READ_ONCE(stray->p));
		WRITE_ONCE(stray->frees, stray->frees + 1);
		cond_resched();
	}
}

/* At any time, of blocks that are kept and of others: each goes back once. */
static void front_bears_stray_frees(struct kunit *test)
{
	struct stray *stray = kt_memory(test, sizeof(*stray));
	u32 i;

	if (num_online_cpus() < 2)
		return;
	KUNIT_ASSERT_NOT_NULL(test, stray);
	stray->heap = percpu_heap(test);
	KUNIT_ASSERT_NOT_NULL(test, stray->heap);
	INIT_WORK(&stray->work, stray_free);
	stray->p = stray;
	migrate_disable();
	queue_work_on(cpumask_any_but(cpu_online_mask, raw_smp_processor_id()), system_wq,
		      &stray->work);
	for (i = 0; i < 3000 || !READ_ONCE(stray->frees); i++) {
		WRITE_ONCE(stray->p, kpy_alloc(stray->heap, 600 << i % 4,
					       i % 3 ? GFP_KERNEL : GFP_KERNEL_ACCOUNT));
		cpu_relax();
		kpy_free(stray->heap, stray->p);
	}
	migrate_enable();
	WRITE_ONCE(stray->stop, true);
	flush_work(&stray->work);

	KUNIT_EXPECT_EQ(test, counters(stray->heap).large_allocs, i);
	KUNIT_EXPECT_EQ(test, counters(stray->heap).large_frees, i);
	KUNIT_EXPECT_EQ(test, counters(stray->heap).large_bytes, 0);
	KUNIT_EXPECT_EQ(test, counters(stray->heap).bad_pointers, stray->frees);
	kpy_heap_trim(stray->heap);
	KUNIT_EXPECT_EQ(test, counters(stray->heap).held_bytes, 0);
}

/* Two CPUs that send each other blocks, of two sizes but one kind. */
struct talk {
	struct kpy_heap *heap;
	void *call;
	void *answer;
};

static long talk_call(void *arg)
{
	struct talk *talk = arg;

	kpy_free(talk->heap, talk->answer);
	talk->call = kpy_alloc(talk->heap, KIND, GFP_KERNEL);
	return 0;
}

static long talk_answer(void *arg)
{
	struct talk *talk = arg;

	kpy_free(talk->heap, talk->call);
	talk->answer = kpy_alloc(talk->heap, SIZE, GFP_KERNEL);
	return 0;
}

/* What one tells that the other has not told yet is no peak. */
static void front_peak_of_two(struct kunit *test)
{
	struct talk talk = { .heap = percpu_heap(test) };
	u32 other = cpumask_next(0, cpu_online_mask), i;

	if (other >= nr_cpu_ids)
		return;
	KUNIT_ASSERT_NOT_NULL(test, talk.heap);
	for (i = 0; i < 50; i++) {
		work_on_cpu(0, talk_call, &talk);
		work_on_cpu(other, talk_answer, &talk);
	}
	kpy_free(talk.heap, talk.answer);
	kpy_heap_trim(talk.heap);
	KUNIT_EXPECT_EQ(test, counters(talk.heap).large_bytes, 0);
	KUNIT_EXPECT_TRUE(test, counters(talk.heap).large_bytes_peak <= 4 * KIND);
}

/* What lives and what is at hand; what is lost then is a leak checker's to say. */
static void front_destroyed_alive(struct kunit *test)
{
	struct kpy_heap_params params = {
		"kunit-alive", { 64 << 10, 4 << 10, 16, 512 }, KPY_MODE_PERCPU,
	};
	struct kpy_heap *heap = kpy_heap_create(&params);

	KUNIT_ASSERT_TRUE(test, !IS_ERR(heap));
	KUNIT_EXPECT_NOT_NULL(test, kpy_alloc(heap, 8000, GFP_KERNEL));
	warm_up(heap, SIZE, 8);
	KUNIT_EXPECT_NOT_NULL(test, kpy_alloc(heap, SIZE, GFP_NOWAIT));
	preempt_enable();
	KUNIT_EXPECT_EQ(test, kpy_heap_destroy(heap), 0);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(front_serves_what_was_freed),
	KUNIT_CASE(front_of_each_kind),
	KUNIT_CASE(front_keeps_no_interrupts_blocks),
	KUNIT_CASE(front_keeps_nothing_charged),
	KUNIT_CASE(front_is_passed_by),
	KUNIT_CASE(front_refuses_the_second_free),
	KUNIT_CASE(front_refuses_what_is_foreign),
	KUNIT_CASE(front_zeroes),
	KUNIT_CASE(front_reallocs),
	KUNIT_CASE(front_and_depot),
	KUNIT_CASE(front_is_drained_when_idle),
	KUNIT_CASE(front_takes_back_once),
	KUNIT_CASE(front_bears_stray_frees),
	KUNIT_CASE(front_peak_of_two),
	KUNIT_CASE(front_destroyed_alive),
	{}
};

struct kunit_suite kpy_large_front_suite = {
	.name = "kpy_large_front", .init = kt_init, .exit = kt_exit, .test_cases = cases,
};
