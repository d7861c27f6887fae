// SPDX-License-Identifier: GPL-2.0
/*
 * Times threads, each bound to a CPU, with interrupts and preemption on as in real
 * use.  All threads start together.  When the first one finishes, its time is scaled
 * by the ops all threads were to do over those they have done: otherwise a CPU that
 * paused, as an emulated one may, would look like one that causes no contention.
 * For a producer and a consumer, the time runs from the first op of either to the
 * last op of either.
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

#define PAIRS		1024		/* between two cond_resched() */
#define BATCH		256
#define ROOM		1024		/* blocks per thread, at most */
#define RING		32768		/* blocks in transit; many, as an emulated CPU may pause */
#define PORTION		64		/* blocks handed over at one time */

static_assert(ROOM >= BATCH);
static_assert(RING % PORTION == 0);

struct worker;

/**
 * struct crowd - the threads of a repetition
 * @run: the measurement
 * @ready: threads that are ready to start
 * @busy: threads that are not done
 * @workers: the threads
 * @nr: number of threads
 * @time: scaled time of the first thread to finish
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
 * @crowd: the crowd it belongs to
 * @work: does some ops and returns how many
 * @task: the thread
 * @job: copy of the run's job, with its own blocks or those of the ring
 * @ops: ops done
 * @start: when it started
 * @end: when it finished its ops
 * @done: completed when it no longer touches anything shared
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

/* Once the consumer has released @tail, the producer owns the slots before it. */
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

/* Called by the first thread to finish. */
static void sum_up(struct worker *w)
{
	struct crowd *c = w->crowd;
	u64 wanted = (u64)c->nr * c->run->ops, done = 0;
	unsigned int i;

	for (i = 0; i < c->nr; i++)
		done += READ_ONCE(c->workers[i].ops);
	done = max(done, 1ULL);			/* may be 0 if there was no memory */
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
		return bench_refuse(PTR_ERR(w->task), "cannot create a thread");
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

/* Threads that were never woken end without running worker_main(). */
static void workers_stop(struct worker *workers, const struct crowd *c)
{
	unsigned int i;

	for (i = 0; i < c->nr; i++)
		kthread_stop(workers[i].task);
}

/* From the earlier start of the two to the later end. */
static struct bench_time both(const struct worker *a, const struct worker *b)
{
	return (struct bench_time){
		.ns = max(a->end.ns, b->end.ns) - min(a->start.ns, b->start.ns),
		.cycles = max(a->end.cycles, b->end.cycles) -
			  min(a->start.cycles, b->start.cycles),
	};
}

/* Run threads on @nr CPUs: all do @work or, if given, every second one does @other. */
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
 * bench_measure_pairs - each thread repeatedly allocates and frees one block
 * @run: the measurement
 * @time: where to store the time that a thread took
 *
 * Context: Process context, may sleep; CPU hotplug is disabled.
 * Return: 0, -ENOMEM.
 */
int bench_measure_pairs(struct bench_run *run, struct bench_time *time)
{
	return measure_alike(run, time, work_pairs);
}

/**
 * bench_measure_batches - each thread repeatedly allocates and frees BATCH blocks
 * @run: the measurement
 * @time: where to store the time that a thread took
 *
 * Context: Process context, may sleep; CPU hotplug is disabled.
 * Return: 0, -ENOMEM.
 */
int bench_measure_batches(struct bench_run *run, struct bench_time *time)
{
	return measure_alike(run, time, work_batch);
}

/**
 * bench_measure_transfer - one thread allocates the blocks that another one frees
 * @run: the measurement
 * @time: where to store the time that both took
 *
 * Context: Process context, may sleep; CPU hotplug is disabled.
 * Return: 0, -ENODEV if there is no other CPU, -ENOMEM.
 */
int bench_measure_transfer(struct bench_run *run, struct bench_time *time)
{
	if (num_online_cpus() < 2)
		return bench_refuse(-ENODEV, "there is no other CPU");
	return measure(run, time, 2, work_produce, work_consume);
}
