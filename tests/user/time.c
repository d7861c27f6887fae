// SPDX-License-Identifier: GPL-2.0
/*
 * Time, and what happens in its course: timers, tasklets, work, threads.
 *
 * Time passes when somebody sleeps or may be preempted, and a bit wherever an
 * interrupt may come while a timer is set.  Work that is due runs in the thread that
 * lets time pass, if it holds no lock; so a case with one thread always runs the same.
 */
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

#include "sim.h"

#define RESCHED_NS	NSEC_PER_MSEC	/* that pass in cond_resched() */
#define POINT_NS	2000		/* and where an interrupt may come */

static s64 now;
static struct work_struct *pending;
static pthread_mutex_t work_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t work_done = PTHREAD_COND_INITIALIZER;
static struct hrtimer *timers;
static struct tasklet_struct *tasklets;
static int nr_threads;

bool sim_timers;

/* ---- clock ---- */

static s64 clock_add(s64 ns)
{
	return __atomic_add_fetch(&now, ns, __ATOMIC_RELAXED);
}

unsigned long sim_jiffies(void)
{
	return clock_add(0) / (1000 * NSEC_PER_MSEC / HZ);
}

ktime_t ktime_get(void)
{
	return clock_add(NSEC_PER_USEC);
}

void sim_relax(void)
{
	sched_yield();
}

/* ---- timers and tasklets, for cases with one thread ---- */

void sim_hrtimer_start(struct hrtimer *timer, ktime_t after)
{
	timer->expires = clock_add(0) + after;
	timer->next = timers;
	timers = timer;
	sim_timers = true;
}

void hrtimer_cancel(struct hrtimer *timer)
{
	struct hrtimer **at = &timers;

	while (*at && *at != timer)
		at = &(*at)->next;
	if (*at)
		*at = timer->next;
	sim_timers = timers;
}

static void run_timer(void *arg)
{
	struct hrtimer *timer = arg;

	if (timer->function(timer) == HRTIMER_NORESTART)
		hrtimer_cancel(timer);
}

void tasklet_schedule(struct tasklet_struct *tasklet)
{
	if (tasklet->scheduled)
		return;
	tasklet->scheduled = true;
	tasklet->next = tasklets;
	tasklets = tasklet;
}

static void run_tasklets(void *arg)
{
	struct tasklet_struct *tasklet;

	while ((tasklet = tasklets)) {
		tasklets = tasklet->next;
		tasklet->scheduled = false;
		tasklet->callback(tasklet);
	}
}

void tasklet_kill(struct tasklet_struct *tasklet)
{
	might_sleep();
	if (tasklet->scheduled)
		sim_interrupt(SIM_SOFT, run_tasklets, NULL);
}

void sim_run_timers(void)
{
	const struct task_struct *t = sim_current;
	struct hrtimer *timer;

	for (timer = timers; timer; timer = timer->next)
		if (timer->expires <= clock_add(0))
			sim_interrupt(SIM_HARD, run_timer, timer);
	if (tasklets && t->level == SIM_TASK && !t->depth[SIM_SOFT])
		sim_interrupt(SIM_SOFT, run_tasklets, NULL);
}

void sim_irq_point(void)
{
	if (!sim_timers || sim_current->irqs_off)
		return;
	clock_add(POINT_NS);
	sim_run_timers();
}

/* ---- work ---- */

bool sim_queue_work(struct work_struct *work, unsigned long delay)
{
	bool queued;

	pthread_mutex_lock(&work_lock);
	queued = !work->pending && !work->canceled;
	if (queued) {
		work->pending = true;
		work->due = jiffies + delay;
		work->next = pending;
		pending = work;
	}
	pthread_mutex_unlock(&work_lock);
	return queued;
}

static void unqueue(struct work_struct *work)
{
	struct work_struct **at = &pending;

	while (*at != work)
		at = &(*at)->next;
	*at = work->next;
	work->pending = false;
}

/* With work_lock held: one that is due by then and that nobody runs, the first one. */
static struct work_struct *next_work(unsigned long until)
{
	struct work_struct *work, *first = NULL;

	for (work = pending; work; work = work->next)
		if (!work->runs && !time_before(until, work->due) &&
		    (!first || !time_before(first->due, work->due)))
			first = work;
	return first;
}

/* With work_lock held, which is dropped meanwhile. */
static void run_work(struct work_struct *work)
{
	struct task_struct *t = sim_current, was = *t;
	void (*func)(struct work_struct *work) = work->func;

	unqueue(work);
	work->runs = t;
	pthread_mutex_unlock(&work_lock);
	t->works++;
	sim_order_acquire(func, "a work item");
	func(work);
	sim_order_release(func);
	t->works--;
	if (t->nr_held != was.nr_held || t->cpus != was.cpus || t->rcu != was.rcu)
		sim_fail("work left something locked");
	might_sleep();
	pthread_mutex_lock(&work_lock);
	work->runs = NULL;
	pthread_cond_broadcast(&work_done);
}

static void run_due(unsigned long until)
{
	struct work_struct *work;

	if (sim_current->works || sim_current->nr_held || sim_current->bound)
		return;
	pthread_mutex_lock(&work_lock);
	while ((work = next_work(until))) {
		if (time_before(jiffies, work->due))
			clock_add((work->due - jiffies) * NSEC_PER_MSEC);
		run_work(work);
	}
	pthread_mutex_unlock(&work_lock);
}

static void wait_while_running(struct work_struct *work)
{
	if (work->runs == sim_current)
		sim_fail("work waits for itself");
	while (work->runs)
		pthread_cond_wait(&work_done, &work_lock);
}

/* Waiting for work is like a lock that the work holds. */
static void order_work(const struct work_struct *work)
{
	might_sleep();
	sim_order_acquire(work->func, "a work item");
	sim_order_release(work->func);
}

void flush_work(struct work_struct *work)
{
	order_work(work);
	pthread_mutex_lock(&work_lock);
	wait_while_running(work);
	if (work->pending)
		run_work(work);
	wait_while_running(work);
	pthread_mutex_unlock(&work_lock);
}

bool cancel_work_sync(struct work_struct *work)
{
	bool was;

	order_work(work);
	pthread_mutex_lock(&work_lock);
	was = work->pending;
	if (was)
		unqueue(work);
	work->canceled++;
	wait_while_running(work);
	work->canceled--;
	pthread_mutex_unlock(&work_lock);
	return was;
}

unsigned long sim_pending_work(void)
{
	const struct work_struct *work;
	unsigned long n = 0;

	for (work = pending; work; work = work->next)
		n++;
	return n;
}

/* ---- sleeping ---- */

void sim_advance(unsigned int ms)
{
	s64 end = clock_add(0) + ms * NSEC_PER_MSEC;

	run_due(end / NSEC_PER_MSEC);
	if (clock_add(0) < end)
		clock_add(end - clock_add(0));
	sim_irq_point();
}

void msleep(unsigned int ms)
{
	might_sleep();
	sim_advance(ms);
	if (__atomic_load_n(&nr_threads, __ATOMIC_RELAXED))
		usleep(20);
}

void cond_resched(void)
{
	might_sleep();
	sim_advance(RESCHED_NS / NSEC_PER_MSEC);
}

/* ---- completions ---- */

static void complete_n(struct completion *done, unsigned int n)
{
	pthread_mutex_lock(&done->mutex);
	done->done += n;
	pthread_cond_broadcast(&done->cond);
	pthread_mutex_unlock(&done->mutex);
}

void complete(struct completion *done)
{
	complete_n(done, 1);
}

void complete_all(struct completion *done)
{
	complete_n(done, UINT_MAX / 2);
}

void sim_wait(struct completion *done)
{
	pthread_mutex_lock(&done->mutex);
	while (!done->done)
		pthread_cond_wait(&done->cond, &done->mutex);
	done->done--;
	pthread_mutex_unlock(&done->mutex);
}

void wait_for_completion(struct completion *done)
{
	might_sleep();
	sim_wait(done);
}

void sim_let_others_run(void)
{
	usleep(20000);
}

/* ---- kernel threads ---- */

static void *thread(void *arg)
{
	struct task_struct *t = arg;

	sim_current = t;
	t->result = t->fn(t->arg);
	sim_check_balance("at the end of a thread");
	return NULL;
}

/* They are spread over the CPUs. */
struct task_struct *sim_kthread_run(int (*fn)(void *arg), void *arg)
{
	struct task_struct *t = calloc(1, sizeof(*t));

	t->fn = fn;
	t->arg = arg;
	t->cpu = __atomic_fetch_add(&nr_threads, 1, __ATOMIC_RELAXED) % NR_CPUS;
	if (pthread_create(&t->thread, NULL, thread, t))
		sim_fail("no thread");
	return t;
}

int kthread_stop(struct task_struct *t)
{
	int result;

	might_sleep();
	__atomic_store_n(&t->stop, true, __ATOMIC_RELEASE);
	pthread_join(t->thread, NULL);
	result = t->result;
	free(t);
	return result;
}

bool kthread_should_stop(void)
{
	return __atomic_load_n(&sim_current->stop, __ATOMIC_ACQUIRE);
}
