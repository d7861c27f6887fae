// SPDX-License-Identifier: GPL-2.0
/*
 * Times a step in slices, each with interrupts and preemption off, so that only
 * the loop is timed; interrupts are handled between slices.
 *
 * Enough memory must be free beforehand: a slice cannot reclaim, whatever the gfp
 * flags say.  On PREEMPT_RT, no allocator can be called with interrupts off: there,
 * slices run with interrupts on, and BENCH_HARDIRQ ones run in a softirq.
 */
#include <linux/completion.h>
#include <linux/cpumask.h>
#include <linux/hrtimer.h>
#include <linux/ktime.h>
#include <linux/sched/mm.h>
#include <linux/string.h>
#include <linux/timex.h>
#include <linux/workqueue.h>

#include "bench.h"

#define IRQ_DELAY	(100 * NSEC_PER_USEC)

/**
 * struct section - a slice of a step
 * @job: the job to work on
 * @step: the step's loop
 * @from: first op
 * @to: end of the ops, exclusive
 * @stopped: op at which it stopped
 * @time: time it took
 * @timer: runs it in an interrupt
 * @done: completed by @timer
 */
struct section {
	const struct bench_job *job;
	bench_step_fn step;
	u32 from;
	u32 to;
	u32 stopped;
	struct bench_time time;
	struct hrtimer timer;
	struct completion done;
};

static void do_section(struct section *s)
{
	u64 ns, cycles;

	ns = ktime_get_ns();
	cycles = get_cycles();
	s->stopped = s->step(s->job, s->from, s->to);
	s->time.cycles = get_cycles() - cycles;
	s->time.ns = ktime_get_ns() - ns;
}

#ifdef CONFIG_PREEMPT_RT
static void do_section_alone(struct section *s)
{
	do_section(s);
}
#else
static void do_section_alone(struct section *s)
{
	unsigned long flags;

	preempt_disable();
	local_irq_save(flags);
	do_section(s);
	local_irq_restore(flags);
	preempt_enable();
}
#endif

static void section_here(struct section *s)
{
	unsigned int noreclaim = memalloc_noreclaim_save();

	do_section_alone(s);
	memalloc_noreclaim_restore(noreclaim);
}

static enum hrtimer_restart section_timer(struct hrtimer *timer)
{
	struct section *s = container_of(timer, struct section, timer);

	do_section_alone(s);
	complete(&s->done);
	return HRTIMER_NORESTART;
}

static void section_in_interrupt(struct section *s, enum hrtimer_mode mode)
{
	init_completion(&s->done);
	hrtimer_init_on_stack(&s->timer, CLOCK_MONOTONIC, mode);
	s->timer.function = section_timer;
	hrtimer_start(&s->timer, ns_to_ktime(IRQ_DELAY), mode);
	wait_for_completion(&s->done);
	hrtimer_cancel(&s->timer);
	destroy_hrtimer_on_stack(&s->timer);
}

static long section_work(void *s)
{
	section_here(s);
	return 0;
}

static int section_elsewhere(struct section *s)
{
	unsigned int cpu = cpumask_any_but(cpu_online_mask, raw_smp_processor_id());

	if (cpu >= nr_cpu_ids)
		return bench_refuse(-ENODEV, "there is no other CPU");
	return work_on_cpu(cpu, section_work, s);
}

static int section_do(struct section *s, enum bench_where where)
{
	switch (where) {
	case BENCH_HERE:
		section_here(s);
		return 0;
	case BENCH_HARDIRQ:
		section_in_interrupt(s, HRTIMER_MODE_REL_PINNED);
		return 0;
	case BENCH_SOFTIRQ:
		section_in_interrupt(s, HRTIMER_MODE_REL_PINNED_SOFT);
		return 0;
	case BENCH_OTHER_CPU:
		return section_elsewhere(s);
	}
	return -EINVAL;
}

/* All ops of a step, one slice at a time. */
static int do_step(struct bench_run *run, enum bench_step step, enum bench_where where,
		   struct bench_time *time)
{
	const struct bench_pattern *p = run->pattern;
	struct section s = {
		.job = &run->job,
		.step = bench_step_of(run->backend, &run->job, step),
	};
	int err;

	for (; s.from < run->ops; s.from = s.to) {
		s.to = min(s.from + p->slice, run->ops);
		err = lab_breathe() ? bench_refuse(-EINTR, "interrupted") : section_do(&s, where);
		if (err)
			return err;
		if (s.stopped != s.to)
			return bench_refuse(-ENOMEM, "no memory at op %u of %u", s.stopped,
					    run->ops);
		time->ns += s.time.ns;
		time->cycles += s.time.cycles;
	}
	return 0;
}

/* Steps that leave pointers to freed blocks. */
static bool frees(enum bench_step step)
{
	return step == STEP_BATCH_FIFO || step == STEP_BATCH_LIFO || step == STEP_MIXED_FREE ||
	       step == STEP_BULK_FREE;
}

/**
 * bench_measure_sections - do one repetition of a pattern
 * @run: the measurement
 * @time: where to add the time of the timed step
 *
 * Context: Process context, may sleep; migration and CPU hotplug are disabled.
 * Return: 0, -ENOMEM, -EINTR on a signal, -ENODEV if another CPU is needed and there
 * is none.
 */
int bench_measure_sections(struct bench_run *run, struct bench_time *time)
{
	const struct bench_pattern *p = run->pattern;
	struct bench_time unused;
	int err = 0;

	if (p->before)
		err = do_step(run, p->before, p->before_where, &unused);
	if (!err && p->trimmed && run->backend->trim)
		run->backend->trim(&run->job);
	if (!err)
		err = do_step(run, p->timed, p->where, time);
	if (!err && frees(p->timed))
		memset(run->job.blocks, 0, run->job.count * sizeof(*run->job.blocks));
	return err;
}
