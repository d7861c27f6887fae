// SPDX-License-Identifier: GPL-2.0
/*
 * Times threads, each bound to a CPU, with interrupts and preemption as users
 * have them.  All of them start together.  The first one that is done sees what the
 * others did meanwhile: the time is what each would have taken had they done as much,
 * so that a CPU which was away, as one that is emulated may be, does not look like one
 * that is in nobody's way.  Of two that hand blocks over it is that from the first
 * op of the one to the last of the other.
 */
#include <linux/completion.h>
#include <linux/cpumask.h>
#include <linux/err.h>
#include <linux/kthread.h>
#include <linux/ktime.h>
#include <linux/math64.h>
#include <linux/slab.h>
#include <linux/timex.h>

#include "bench.h"

#define PAIRS		1024		/* between two looks around */
#define BATCH		256
#define ROOM		1024		/* blocks of a thread, at most */
#define RING		32768		/* blocks on their way; many, an emulated CPU may pause */
#define PORTION		64		/* blocks handed over at one time */

static_assert(ROOM >= BATCH);
static_assert(RING % PORTION == 0);

struct worker;

/**
 * struct crowd - the threads of a repetition
 * @run: what they do
 * @ready: threads that have come to the start
 * @busy: threads that are not done
 * @workers: the threads
 * @nr: of them
 * @time: that the first one took which was done, by what all did
 * @failed: there was no memory
 * @head: blocks that the producer has put into the ring
 * @tail: blocks that the consumer has freed
 */
struct crowd {
	const struct bench_run *run;
	atomic_t ready;
	atomic_t busy;
	struct worker *workers;
	unsigned int nr;
	struct bench_time time;
	bool failed;
	u32 head ____cacheline_aligned_in_smp;
	u32 tail ____cacheline_aligned_in_smp;
};

/**
 * struct worker - a thread
 * @crowd: it belongs to
 * @work: does some ops and says how many
 * @task: the thread
 * @job: with blocks of its own, but for a ring's
 * @ops: it has done
 * @start: when it began
 * @end: when it had done its ops
 * @done: it has ended
 */
struct worker {
	struct crowd *crowd;
	u32 (*work)(struct worker *w);
	struct task_struct *task;
	struct bench_job job;
	u32 ops;
	struct bench_time start;
	struct bench_time end;
	struct completion done;
};

static u32 step(struct worker *w, enum bench_step step, u32 from, u32 to)
{
	return bench_step_of(w->crowd->run->backend, &w->job, step)(&w->job, from, to);
}

static u32 fail(struct worker *w)
{
	WRITE_ONCE(w->crowd->failed, true);
	return 0;
}

static u32 work_pairs(struct worker *w)
{
	return step(w, STEP_PAIR_FIXED, 0, PAIRS) == PAIRS ? PAIRS : fail(w);
}

static u32 work_batch(struct worker *w)
{
	u32 got = step(w, STEP_BATCH_ALLOC, 0, BATCH);

	step(w, STEP_BATCH_FIFO, 0, got);
	return got == BATCH ? BATCH : fail(w);
}

/* The slots of the next portion are its own from the consumer's release of @tail on. */
static u32 work_produce(struct worker *w)
{
	struct crowd *c = w->crowd;
	u32 slot = c->head % RING;
	u32 stop;

	/* pairs with work_consume() */
	if (c->head - smp_load_acquire(&c->tail) > RING - PORTION)
		return 0;
	stop = step(w, STEP_BATCH_ALLOC, slot, slot + PORTION);
	if (stop != slot + PORTION) {
		step(w, STEP_BATCH_FIFO, slot, stop);
		return fail(w);
	}
	smp_store_release(&c->head, c->head + PORTION);	/* pairs with work_consume() */
	return PORTION;
}

static u32 work_consume(struct worker *w)
{
	struct crowd *c = w->crowd;
	u32 slot = c->tail % RING;

	/* pairs with work_produce() */
	if (smp_load_acquire(&c->head) == c->tail)
		return 0;
	step(w, STEP_BATCH_FIFO, slot, slot + PORTION);
	smp_store_release(&c->tail, c->tail + PORTION);	/* pairs with work_produce() */
	return PORTION;
}

static bool in_pair(const struct worker *w)
{
	return w->work == work_produce || w->work == work_consume;
}

static void wait_for_others(struct crowd *c)
{
	atomic_inc(&c->ready);
	while (atomic_read(&c->ready) < c->nr)
		cond_resched();
}

static struct bench_time now(void)
{
	return (struct bench_time){ .ns = ktime_get_ns(), .cycles = get_cycles() };
}

static void work(struct worker *w)
{
	w->start = now();
	while (w->ops < w->crowd->run->ops && !READ_ONCE(w->crowd->failed)) {
		WRITE_ONCE(w->ops, w->ops + w->work(w));	/* for sum_up() */
		cond_resched();
	}
	w->end = now();
}

/* By the first one that is done. */
static void sum_up(struct worker *w)
{
	struct crowd *c = w->crowd;
	u64 wanted = (u64)c->nr * c->run->ops, done = 0;
	unsigned int i;

	for (i = 0; i < c->nr; i++)
		done += READ_ONCE(c->workers[i].ops);
	done = max(done, 1ULL);			/* without memory there may be none */
	c->time.ns = div64_u64((w->end.ns - w->start.ns) * wanted, done);
	c->time.cycles = div64_u64((w->end.cycles - w->start.cycles) * wanted, done);
}

static void keep_company(struct worker *w)
{
	if (atomic_dec_return(&w->crowd->busy) == w->crowd->nr - 1)
		sum_up(w);
	while (!in_pair(w) && atomic_read(&w->crowd->busy) && !READ_ONCE(w->crowd->failed)) {
		w->work(w);
		cond_resched();
	}
}

static int worker_main(void *data)
{
	struct worker *w = data;

	wait_for_others(w->crowd);
	work(w);
	keep_company(w);
	complete(&w->done);
	while (!kthread_should_stop())
		schedule_timeout_interruptible(1);
	return 0;
}

static int worker_create(struct worker *w, struct crowd *c, unsigned int cpu,
			 u32 (*work)(struct worker *w), void **blocks)
{
	w->crowd = c;
	w->work = work;
	w->job = c->run->job;
	w->job.blocks = blocks;
	init_completion(&w->done);
	w->task = kthread_create(worker_main, w, "kpybench/%u", cpu);
	if (IS_ERR(w->task))
		return bench_refuse(PTR_ERR(w->task), "no thread can be had");
	kthread_bind(w->task, cpu);
	c->nr++;
	return 0;
}

static void workers_run(struct worker *workers, struct crowd *c)
{
	unsigned int i;

	atomic_set(&c->busy, c->nr);
	for (i = 0; i < c->nr; i++)
		wake_up_process(workers[i].task);
	for (i = 0; i < c->nr; i++)
		wait_for_completion(&workers[i].done);
}

/* Those that have not been woken end without having begun. */
static void workers_stop(struct worker *workers, const struct crowd *c)
{
	unsigned int i;

	for (i = 0; i < c->nr; i++)
		kthread_stop(workers[i].task);
}

/* From when the first of the two began until the last was done. */
static struct bench_time both(const struct worker *a, const struct worker *b)
{
	return (struct bench_time){
		.ns = max(a->end.ns, b->end.ns) - min(a->start.ns, b->start.ns),
		.cycles = max(a->end.cycles, b->end.cycles) -
			  min(a->start.cycles, b->start.cycles),
	};
}

/* Threads on @nr CPUs: all do @work; with @other, every second one does that. */
static int measure(struct bench_run *run, struct bench_time *time, unsigned int nr,
		   u32 (*work)(struct worker *w), u32 (*other)(struct worker *w))
{
	struct crowd c = { .run = run };
	struct worker *workers;
	unsigned int cpu, i;
	int err = 0;

	workers = kcalloc(nr, sizeof(*workers), GFP_KERNEL);
	if (!workers)
		return bench_refuse(-ENOMEM, "no memory for %u threads", nr);
	cpu = cpumask_first(cpu_online_mask);
	for (i = 0; !err && i < nr; i++) {
		err = worker_create(&workers[i], &c, cpu, other && i % 2 ? other : work,
				    run->job.blocks + (other ? 0 : i * ROOM));
		cpu = cpumask_next(cpu, cpu_online_mask);
	}
	c.workers = workers;
	if (!err)
		workers_run(workers, &c);
	workers_stop(workers, &c);
	while (!err && other && work_consume(&workers[1]))
		;
	memset(run->job.blocks, 0, run->job.count * sizeof(*run->job.blocks));
	*time = other ? both(&workers[0], &workers[1]) : c.time;
	kfree(workers);
	return err ?: c.failed ? bench_refuse(-ENOMEM, "no memory on %u CPUs", nr) : 0;
}

static int measure_alike(struct bench_run *run, struct bench_time *time,
			 u32 (*work)(struct worker *w))
{
	unsigned int nr = run->pattern->all_cpus ? num_online_cpus() : 1;

	return measure(run, time, min(nr, run->job.count / ROOM), work, NULL);
}

/**
 * bench_measure_pairs - let threads alloc and free a block each, again and again
 * @run: what is measured
 * @time: where to put how long a thread took
 *
 * Context: Process context, may sleep; CPUs neither come nor go.
 * Return: 0, -ENOMEM.
 */
int bench_measure_pairs(struct bench_run *run, struct bench_time *time)
{
	return measure_alike(run, time, work_pairs);
}

/**
 * bench_measure_batches - let threads alloc BATCH blocks and free them, again and again
 * @run: what is measured
 * @time: where to put how long a thread took
 *
 * Context: Process context, may sleep; CPUs neither come nor go.
 * Return: 0, -ENOMEM.
 */
int bench_measure_batches(struct bench_run *run, struct bench_time *time)
{
	return measure_alike(run, time, work_batch);
}

/**
 * bench_measure_transfer - let one thread alloc what another one frees
 * @run: what is measured
 * @time: where to put how long a thread took
 *
 * Context: Process context, may sleep; CPUs neither come nor go.
 * Return: 0, -ENODEV if there is no other CPU, -ENOMEM.
 */
int bench_measure_transfer(struct bench_run *run, struct bench_time *time)
{
	if (num_online_cpus() < 2)
		return bench_refuse(-ENODEV, "there is no other CPU");
	return measure(run, time, 2, work_produce, work_consume);
}
