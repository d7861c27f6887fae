// SPDX-License-Identifier: GPL-2.0
/*
 * A run shared by several CPUs, to use a heap from all of them at once.
 *
 * Each CPU has a thread, its lane, which decodes all ops but performs only its
 * own.  A hash of the block's id and the number of the current draw assigns an op
 * to a lane.  A draw lasts lab_lanes.every ops; after it, the lanes wait for each
 * other.  So the ops on a block stay in order, blocks of all lanes share pools, and
 * a block is often resized or freed on a CPU that did not allocate it.
 *
 * Placement is then random, so the placement digests are not updated.  The peak
 * of the requested bytes is only sampled when all lanes have stopped.
 */
#include <linux/completion.h>
#include <linux/cpumask.h>
#include <linux/err.h>
#include <linux/hash.h>
#include <linux/kthread.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/wait.h>

#include "lab.h"

struct lab_lanes;

/**
 * struct lane - a thread of a run
 * @all: all lanes of the run
 * @nr: number of this lane
 * @cpu: CPU it runs on, if that is online
 * @err: first error; the lane performs no ops after it
 * @draws: draws it has finished
 * @task: the thread
 * @lab: with its own cursor, and counting in @count
 * @count: changes to the counters since the last merge
 */
struct lane {
	struct lab_lanes *all;
	unsigned int nr;
	unsigned int cpu;
	int err;
	u64 draws;
	struct task_struct *task;
	struct lab_lane lab;
	struct lab_counts count;
};

/**
 * struct lab_lanes - the threads of a run
 * @every: ops per draw
 * @nr: number of lanes
 * @until: op at which they stop
 * @turn: incremented when there is work
 * @wait: lanes wait here for the next turn
 * @busy: lanes that have not reached @until
 * @done: completed when all lanes have
 * @drawn: draws finished, summed over all lanes
 * @lane: the lanes
 */
struct lab_lanes {
	u32 every;
	unsigned int nr;
	u64 until;
	u32 turn;
	wait_queue_head_t wait;
	atomic_t busy;
	struct completion done;
	atomic64_t drawn;
	struct lane lane[];
};

static bool is_mine(const struct lane *lane, const struct lab_op *op, u64 draw)
{
	return hash_64(op->id + (draw << 40), 32) % lane->all->nr == lane->nr;
}

static void step(struct lane *lane, u64 draw)
{
	struct lab_op op;
	int err = lab_cursor_next(&lane->lab.cursor, &op);

	if (!err && !lane->err && is_mine(lane, &op, draw))
		err = lab_engine_op(&lane->lab, &op);
	lane->err = lane->err ?: err;
}

/* Barrier: wait until all lanes have finished this draw, and see what they wrote. */
static void meet(struct lane *lane)
{
	struct lab_lanes *all = lane->all;
	u64 want = ++lane->draws * all->nr;

	atomic64_inc_return(&all->drawn);	/* pairs with the acquire below */
	while (atomic64_read_acquire(&all->drawn) < want) {
		cpu_relax();
		cond_resched();
	}
}

static void run(struct lane *lane, u64 until)
{
	u64 draw, stop;

	while (lane->lab.cursor.op < until) {
		draw = lane->lab.cursor.op / lane->all->every;
		stop = min(until, (draw + 1) * lane->all->every);
		while (lane->lab.cursor.op < stop)
			step(lane, draw);
		meet(lane);
	}
}

static int lane_main(void *data)
{
	struct lane *lane = data;
	struct lab_lanes *all = lane->all;
	u32 turn = 0;

	for (;;) {
		/* pairs with lab_lanes_run() */
		wait_event_idle(all->wait, smp_load_acquire(&all->turn) != turn ||
				kthread_should_stop());
		if (smp_load_acquire(&all->turn) == turn)	/* likewise */
			return 0;
		turn++;
		/* Fails if the CPU is offline: this turn then runs on another one. */
		set_cpus_allowed_ptr(current, cpumask_of(lane->cpu));
		run(lane, all->until);
		if (atomic_dec_and_test(&all->busy))
			complete(&all->done);
	}
}

static int lane_start(struct lab_replay *r, struct lane *lane, unsigned int nr, unsigned int cpu)
{
	struct task_struct *task;

	lane->all = r->lanes;
	lane->nr = nr;
	lane->cpu = cpu;
	lane->lab = r->main;
	lane->lab.count = &lane->count;
	task = kthread_create(lane_main, lane, "kpylab/%u", nr);
	if (IS_ERR(task))
		return lab_refuse(PTR_ERR(task), "run: cannot create a thread");
	lane->task = task;
	wake_up_process(task);
	return 0;
}

/* Wraps around: CPUs may have gone offline, which leaves fewer than lanes. */
static unsigned int next_cpu(unsigned int cpu)
{
	cpu = cpumask_next(cpu, cpu_online_mask);
	return cpu < nr_cpu_ids ? cpu : cpumask_first(cpu_online_mask);
}

static struct lab_lanes *lanes_new(const struct lab_replay *r)
{
	struct lab_lanes *all = kzalloc(struct_size(all, lane, r->now.cpus), GFP_KERNEL);

	if (!all)
		return NULL;
	all->nr = r->now.cpus;
	all->every = r->now.every;
	init_waitqueue_head(&all->wait);
	init_completion(&all->done);
	return all;
}

/**
 * lab_lanes_start - create the threads of a run
 * @r: replay
 *
 * Context: Process context under @r->lock, may sleep.
 * Return: 0, -EINVAL if the backend is not a heap, -ENOMEM.
 */
int lab_lanes_start(struct lab_replay *r)
{
	unsigned int cpu = cpumask_first(cpu_online_mask), i;
	int err = 0;

	if (!r->backend.heap)
		return lab_refuse(-EINVAL, "run: several CPUs need a heap, not %s",
				  r->backend.name);
	r->lanes = lanes_new(r);
	if (!r->lanes)
		return lab_refuse(-ENOMEM, "run: no memory for %u threads", r->now.cpus);
	for (i = 0; !err && i < r->lanes->nr; i++) {
		err = lane_start(r, &r->lanes->lane[i], i, cpu);
		cpu = next_cpu(cpu);
	}
	if (err)
		lab_lanes_stop(r);
	return err;
}

/* A lane may free more blocks than it allocates: its counts may wrap below 0. */
static void merge(struct lab_counts *to, struct lab_counts *from)
{
	to->live_blocks += from->live_blocks;
	to->live_small += from->live_small;
	to->live_all += from->live_all;
	to->alloc_failures += from->alloc_failures;
	to->fill_errors += from->fill_errors;
	*from = (struct lab_counts){};
}

/**
 * lab_lanes_run - run all lanes up to an op
 * @r: replay whose lanes were started
 * @until: op at which they stop
 *
 * Context: Process context under @r->lock, may sleep.
 * Return: 0; -EUCLEAN if a block is corrupt.
 */
int lab_lanes_run(struct lab_replay *r, u64 until)
{
	struct lab_counts *n = &r->now.count;
	struct lab_lanes *all = r->lanes;
	unsigned int i;
	int err = 0;

	all->until = until;
	atomic_set(&all->busy, all->nr);
	smp_store_release(&all->turn, all->turn + 1);	/* pairs with lane_main() */
	wake_up_all(&all->wait);
	wait_for_completion(&all->done);

	for (i = 0; i < all->nr; i++) {
		merge(n, &all->lane[i].count);
		err = err ?: all->lane[i].err;
	}
	n->peak_requested = max(n->peak_requested, n->live_all);
	n->ops_done = until;
	r->main.cursor = all->lane[0].lab.cursor;
	return err;
}

/**
 * lab_lanes_stop - stop the threads of a run, if any
 * @r: replay
 *
 * Context: Process context under @r->lock, may sleep.
 */
void lab_lanes_stop(struct lab_replay *r)
{
	unsigned int i;

	if (!r->lanes)
		return;
	for (i = 0; i < r->lanes->nr; i++)
		if (r->lanes->lane[i].task)
			kthread_stop(r->lanes->lane[i].task);
	kfree(r->lanes);
	r->lanes = NULL;
}
