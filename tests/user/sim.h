/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The simulated machine, as tests of user space and the shim itself see it: tasks,
 * interrupts, CPUs that go, faults, what was logged, what is alive.
 */
#ifndef _KPY_USER_SIM_H
#define _KPY_USER_SIM_H

#include "kernel.h"

/* What excludes whom on a CPU, from the weakest. */
enum sim_level { SIM_TASK, SIM_SOFT, SIM_HARD, SIM_LEVELS };

#define SIM_HELD 16
#define SIM_ALL_KINDS 0x1f		/* that can fail */

/**
 * struct task_struct - a thread
 * @cpu: where it runs
 * @level: what it is: a task, or in a soft or hard interrupt
 * @depth: by level: how often it excluded that one on its CPU
 * @bound: may not change its CPU
 * @irqs_off: by local_irq_save()
 * @irq_bits: of preempt_count()
 * @held: locks, in the order in which they were taken
 * @nr_held: how many
 * @raw: raw ones among them
 * @rcu: nested rcu_read_lock()
 * @cpus: nested cpus_read_lock()
 * @works: nested work items
 */
struct task_struct {
	int cpu;
	enum sim_level level;
	int depth[SIM_LEVELS];
	int bound;
	bool irqs_off;
	unsigned int irq_bits;
	const void *held[SIM_HELD];
	int nr_held;
	int raw;
	int rcu;
	int cpus;
	int works;
	/* kernel threads */
	pthread_t thread;
	int (*fn)(void *arg);
	void *arg;
	int result;
	bool stop;
};

extern __thread struct task_struct *sim_current;

/* A rule was broken: say so, with a stack, and end the case. */
__noreturn void sim_fail(const char *fmt, ...);

/* This thread goes to a CPU; another CPU's interrupts and tasks run beside it. */
void sim_set_cpu(int cpu);

/* Runs a function here and now in an interrupt: SIM_SOFT or SIM_HARD. */
void sim_interrupt(enum sim_level level, void (*fn)(void *arg), void *arg);

/* A CPU goes, and its tasks go on elsewhere; it comes back. */
void sim_cpu_down(int cpu);
void sim_cpu_up(int cpu);

/* The next so many tries for a raw lock fail. */
extern int sim_busy_tries;

/* Grace periods that were waited for. */
extern unsigned long sim_grace_periods;

/* Nothing is held, off, or inside: at the end of a case. */
void sim_check_balance(const char *when);

/* Classes of locks whose order is known, shared by all cases. */
void sim_order_init(void);
void sim_order_acquire(const void *class, const char *name);
void sim_order_release(const void *class);

/* Where interrupts may come. */
void sim_irq_point(void);
void sim_run_timers(void);
extern bool sim_timers;

/* The module comes and goes; each case finds it loaded, and leaves it so. */
int sim_load(void);
void sim_unload(void);

/* ---- memory ---- */

enum sim_kind {
	SIM_PAGES, SIM_KMALLOC, SIM_VMALLOC, SIM_CACHE, SIM_PERCPU, SIM_KMEMLEAK, SIM_KINDS,
};

/* The n-th allocation from now on of these kinds fails, and no other. */
void sim_fail_nth(unsigned int kinds, unsigned int nth);

/* All allocations of these kinds fail until further notice. */
void sim_fail_always(unsigned int kinds);

/* How many failed. */
extern unsigned int sim_faults;

/* Pages are looked for from here on next time. */
void sim_next_page(const void *address);

/* All blocks of the general allocator are KFENCE's. */
extern bool sim_kfence;

/* Allocations ever by kind, and those alive. */
extern unsigned long sim_allocs[SIM_KINDS];
unsigned long sim_live(enum sim_kind kind);
unsigned long sim_live_all(void);

/* Live ones that somebody pays for. */
unsigned long sim_charged(enum sim_kind kind);

void sim_memory_init(void);
void sim_check_leaks(void);

extern struct shrinker *sim_shrinker;
extern unsigned long sim_reclaimed;

/* ---- time ---- */

/* Time passes; work that is due runs here. */
void sim_advance(unsigned int ms);
unsigned long sim_pending_work(void);

/* For cases with several threads: some real time for the others. */
void sim_let_others_run(void);

/* As wait_for_completion(), for a test that wants to wait where nobody may. */
void sim_wait(struct completion *done);

/* ---- log ---- */

#define SIM_LOG		256
#define SIM_LINES	16

extern unsigned int sim_warns;		/* WARN()s that nobody expected yet */
extern unsigned int sim_logs;		/* lines logged */
const char *sim_log_text(unsigned int back);	/* the last one is 0 */
extern char sim_last_warn[SIM_LOG];

/* ---- trace events ---- */

void sim_trace(struct sim_event *event,
	       void (*probe)(const struct sim_event *event, const void *entry));
void sim_untrace(struct sim_event *event);

#endif
