// SPDX-License-Identifier: GPL-2.0
/*
 * A run that several CPUs share, for heaps that are used by all at once.
 *
 * Each has a thread, its lane, that decodes all ops and does its own ones.  Whose
 * an op is, its block's id and a draw say that comes anew every so many ops; at
 * each draw the lanes wait for each other.  So the ops of a block are done in
 * their order, the blocks of all lanes lie in the same pools, and what one CPU
 * has allocated often another one resizes or frees.
 *
 * Where a block lies is a matter of chance then: the placement digests stand
 * still.  The peak is one of the moments at which all stand still.
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
 * @all: it belongs to
 * @nr: its number
 * @cpu: it works on, if that is online
 * @err: of its first op that failed, after which it does none
 * @draws: it has seen
 * @task: the thread
 * @lab: with a cursor and counts of its own; those are differences
 * @count: what it counts
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
 * @every: ops from draw to draw
 * @nr: lanes
 * @until: op at which they stop
 * @turn: differs from the last one's when there is work
 * @wait: for another turn
 * @busy: lanes that have not come to @until
 * @done: all have
 * @drawn: draws, each lane's counted
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

/* All have done their ops; what they wrote is seen by all. */
static void meet(struct lane *lane)
{
	struct lab_lanes *all = lane->all;
	u64 want = ++lane->draws * all->nr;

	atomic64_inc_return(&all->drawn);	/* pairs with the acquire */
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
		if (smp_load_acquire(&all->turn) == turn)	/* pairs with the same */
			return 0;
		turn++;
		/* Without its CPU it works on another one, for this turn. */
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
		return lab_refuse(PTR_ERR(task), "run: no thread can be had");
	lane->task = task;
	wake_up_process(task);
	return 0;
}

/* In turn, if by now there are fewer than lanes. */
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
 * lab_lanes_start - get the threads of a run
 * @r: replay
 *
 * Context: Process context under @r->lock, may sleep.
 * Return: 0, -EINVAL unless it replays on a heap, -ENOMEM.
 */
int lab_lanes_start(struct lab_replay *r)
{
	unsigned int cpu = cpumask_first(cpu_online_mask), i;
	int err = 0;

	if (!r->backend.heap)
		return lab_refuse(-EINVAL, "run: CPUs share a heap, not %s", r->backend.name);
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

/* Counts are differences, so that a lane's live blocks may be less than none. */
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
 * lab_lanes_run - let all lanes go on
 * @r: replay whose lanes were started
 * @until: op at which they stop
 *
 * Context: Process context under @r->lock, may sleep.
 * Return: 0; -EUCLEAN if a block was not what it should be.
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
 * lab_lanes_stop - give the threads back
 * @r: replay, which need not have any
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
