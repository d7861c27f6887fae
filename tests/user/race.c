// SPDX-License-Identifier: GPL-2.0
/*
 * A walk while cached blocks return to their pools, as on a tick: it stays exact, since
 * nobody allocates or frees; blocks of a CPU that is offline are among them.
 */
#include "user.h"

#define MANY	12000
#define LIVE	100	/* blocks that stay */
#define ROUNDS	40
#define SIZE	64
#define SZIDX	3

/**
 * struct race - a thread that drains beside a walk
 * @heap: the heap
 * @all: drain all, not only what nobody missed
 * @go: set by the case
 * @done: set by the thread
 */
struct race {
	struct kpy_heap *heap;
	bool all;
	u32 go;
	u32 done;
};

static int drainer(void *arg)
{
	struct race *race = arg;

	while (!READ_ONCE(race->go))
		sim_relax();
	kpy_drain(race->heap, race->all);
	WRITE_ONCE(race->done, 1);
	while (!kthread_should_stop())
		sim_relax();
	return 0;
}

static int count(void *block, size_t size, void *arg)
{
	++*(u32 *)arg;
	return 0;
}

/* Walks that did not see what lives, until the draining ends. */
static u32 wrong_walks(struct kunit *test, struct race *race, u32 live)
{
	struct task_struct *task = kthread_run(drainer, race, "drainer");
	u32 wrong = 0, seen;

	WRITE_ONCE(race->go, 1);
	do {
		seen = 0;
		KUNIT_EXPECT_EQ(test, kpy_heap_walk(race->heap, SZIDX, count, &seen), 0);
		wrong += seen != live;
	} while (!READ_ONCE(race->done));
	kthread_stop(task);
	return wrong;
}

static void race_with_the_depot(struct kunit *test)
{
	struct race race = { ut_heap(test, KPY_MODE_PERCPU, KPY_RELEASE_KEEP_LAST) };
	void **p = kt_memory(test, MANY * sizeof(*p));
	u32 round;

	for (round = 0; round < ROUNDS; round++) {
		race.go = 0;
		race.done = 0;
		KUNIT_ASSERT_TRUE(test, kt_fill(race.heap, p, MANY, SIZE));
		kt_free(race.heap, p, MANY / 2);
		kpy_drain(race.heap, false);
		kt_free(race.heap, p + MANY / 2, MANY / 2 - LIVE);
		KUNIT_EXPECT_EQ(test, wrong_walks(test, &race, LIVE), 0);
		kt_free(race.heap, p + MANY - LIVE, LIVE);
	}
}

static void race_with_an_offline_cpu(struct kunit *test)
{
	struct race race = { ut_heap(test, KPY_MODE_PERCPU, KPY_RELEASE_KEEP_LAST), true };
	void **p = kt_memory(test, 1000 * sizeof(*p));
	u32 round;

	for (round = 0; round < ROUNDS; round++) {
		race.go = 0;
		race.done = 0;
		KUNIT_ASSERT_TRUE(test, kt_fill(race.heap, p, 1000, SIZE));
		sim_set_cpu(1);
		kt_free(race.heap, p, 600);
		sim_set_cpu(0);
		sim_cpu_down(1);
		KUNIT_EXPECT_EQ(test, wrong_walks(test, &race, 400), 0);
		sim_cpu_up(1);
		kt_free(race.heap, p + 600, 400);
	}
}

static struct kunit_case cases[] = {
	KUNIT_CASE(race_with_the_depot),
	KUNIT_CASE(race_with_an_offline_cpu),
	{}
};

USER_SUITE(race);
