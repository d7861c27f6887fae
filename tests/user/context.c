// SPDX-License-Identifier: GPL-2.0
/*
 * CPUs, tasks, interrupts and locks, and what lockdep would say of them.
 *
 * A CPU has one host mutex for each of: its tasks, its soft interrupts, its hard
 * ones.  Who turns off preemption holds the first one, who turns off interrupts the
 * first and the last.  An interrupt holds that of its level; it may run in a thread
 * of its own, or in a task's where it breaks in.
 */
#include <sched.h>
#include <unistd.h>
#include <execinfo.h>
#include <sys/mman.h>

#include "sim.h"

#define CLASSES		32

/**
 * struct order - what is known of the classes of locks, in memory that cases share
 * @class: its key; NULL: not used yet
 * @name: for messages
 * @after: by class and class: the second one was taken while the first was held
 * @in_irq: taken in an interrupt
 * @irqs_on: taken by a task with interrupts on
 */
struct order {
	const void *class[CLASSES];
	const char *name[CLASSES];
	bool after[CLASSES][CLASSES];
	bool in_irq[CLASSES];
	bool irqs_on[CLASSES];
};

static struct order *order;
static struct task_struct main_task;
static pthread_mutex_t cpu_mutex[NR_CPUS][SIM_LEVELS] = {
	[0 ... NR_CPUS - 1] = { [0 ... SIM_LEVELS - 1] = PTHREAD_MUTEX_INITIALIZER }
};
static pthread_rwlock_t rcu_lock = PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP;
static pthread_rwlock_t hotplug_lock = PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP;

__thread struct task_struct *sim_current = &main_task;
unsigned long sim_online = BIT(NR_CPUS) - 1;
unsigned long sim_grace_periods;
int sim_busy_tries;

/* ---- failures ---- */

__weak void __sanitizer_print_stack_trace(void);

static void print_stack(void)
{
	void *frames[32];

	fflush(stdout);
	if (__sanitizer_print_stack_trace)
		__sanitizer_print_stack_trace();
	else
		backtrace_symbols_fd(frames, backtrace(frames, 32), 2);
}

void sim_fail(const char *fmt, ...)
{
	va_list args;

	fputs("broken rule: ", stdout);
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	putchar('\n');
	print_stack();
	_exit(3);
}

/* ---- order of locks ---- */

void sim_order_init(void)
{
	order = mmap(NULL, sizeof(*order), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		     -1, 0);
	if (order == MAP_FAILED)
		sim_fail("no memory for the order of locks");
}

static int class_of(const void *class, const char *name)
{
	const void *was = NULL;
	int i;

	for (i = 0; i < CLASSES; i++) {
		was = NULL;
		if (order->class[i] == class ||
		    __atomic_compare_exchange_n(&order->class[i], &was, class, false,
						__ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST) ||
		    was == class)
			break;
	}
	if (i == CLASSES)
		sim_fail("too many classes of locks");
	order->name[i] = name;
	return i;
}

static void order_push(const void *class)
{
	struct task_struct *t = sim_current;

	if (t->nr_held == SIM_HELD)
		sim_fail("too many locks held");
	t->held[t->nr_held++] = class;
}

void sim_order_acquire(const void *class, const char *name)
{
	struct task_struct *t = sim_current;
	int new = class_of(class, name), i, held;

	for (i = 0; i < t->nr_held; i++) {
		held = class_of(t->held[i], "?");
		if (held == new)
			sim_fail("%s is taken while one of its class is held", name);
		if (order->after[new][held])
			sim_fail("%s is taken after %s, elsewhere before it", name,
				 order->name[held]);
		order->after[held][new] = true;
	}
	order_push(class);
}

void sim_order_release(const void *class)
{
	struct task_struct *t = sim_current;
	int i;

	for (i = t->nr_held - 1; i >= 0 && t->held[i] != class; i--)
		;
	if (i < 0)
		sim_fail("a lock is released that is not held");
	memmove(&t->held[i], &t->held[i + 1], (--t->nr_held - i) * sizeof(t->held[0]));
}

/* A lock that interrupts take must not be taken with them on. */
static void order_usage(const void *class, const char *name)
{
	struct task_struct *t = sim_current;
	int i = class_of(class, name);

	if (t->level != SIM_TASK)
		order->in_irq[i] = true;
	else if (!t->irqs_off)
		order->irqs_on[i] = true;
	if (order->in_irq[i] && order->irqs_on[i])
		sim_fail("%s is taken in interrupts, and with them on", name);
}

/* ---- sections ---- */

static bool is_excluded_already(const struct task_struct *t, enum sim_level level)
{
	return t->level != SIM_TASK && level <= t->level;
}

static bool stays_on_cpu(const struct task_struct *t)
{
	return t->depth[SIM_TASK] || t->level != SIM_TASK;
}

/* A task whose CPU went goes on elsewhere. */
static void lock_cpu(struct task_struct *t, enum sim_level level)
{
	for (;;) {
		pthread_mutex_lock(&cpu_mutex[t->cpu][level]);
		if (t->bound || stays_on_cpu(t) || cpu_online(t->cpu))
			return;
		pthread_mutex_unlock(&cpu_mutex[t->cpu][level]);
		t->cpu = cpumask_next(-1, cpu_online_mask);
	}
}

static void enter(enum sim_level level)
{
	struct task_struct *t = sim_current;

	if (!is_excluded_already(t, level) && !t->depth[level])
		lock_cpu(t, level);
	t->depth[level]++;
}

static void leave(enum sim_level level)
{
	struct task_struct *t = sim_current;

	if (t->depth[level] <= 0)
		sim_fail("preemption or interrupts are turned on that are not off");
	if (!--t->depth[level] && !is_excluded_already(t, level))
		pthread_mutex_unlock(&cpu_mutex[t->cpu][level]);
}

void preempt_disable(void)
{
	enter(SIM_TASK);
	sim_irq_point();
}

void preempt_enable(void)
{
	sim_irq_point();
	leave(SIM_TASK);
}

bool sim_irq_save(void)
{
	struct task_struct *t = sim_current;
	bool was = t->irqs_off;

	if (!was) {
		enter(SIM_TASK);
		enter(SIM_HARD);
		t->irqs_off = true;
	}
	return was;
}

void sim_irq_restore(bool flags)
{
	struct task_struct *t = sim_current;

	if (!t->irqs_off)
		sim_fail("interrupts are turned on that are not off");
	if (flags)
		return;
	if (t->level == SIM_HARD)
		sim_fail("interrupts are turned on in a hard interrupt");
	t->irqs_off = false;
	leave(SIM_HARD);
	sim_irq_point();
	leave(SIM_TASK);
}

bool irqs_disabled(void)
{
	return sim_current->irqs_off;
}

unsigned int preempt_count(void)
{
	return sim_current->irq_bits + sim_current->depth[SIM_TASK] +
	       sim_current->depth[SIM_SOFT] * 2 * SOFTIRQ_OFFSET;
}

int raw_smp_processor_id(void)
{
	return sim_current->cpu;
}

int smp_processor_id(void)
{
	if (!stays_on_cpu(sim_current) && !sim_current->bound)
		sim_fail("smp_processor_id() where the CPU may change");
	return sim_current->cpu;
}

void might_sleep(void)
{
	const struct task_struct *t = sim_current;

	if (stays_on_cpu(t) || t->irqs_off || t->raw || t->rcu)
		sim_fail("sleeps where it must not: preempt %d irqs_off %d level %d raw %d rcu %d",
			 t->depth[SIM_TASK], t->irqs_off, t->level, t->raw, t->rcu);
}

void sim_set_cpu(int cpu)
{
	might_sleep();
	sim_current->cpu = cpu;
}

void sim_interrupt(enum sim_level level, void (*fn)(void *arg), void *arg)
{
	struct task_struct *t = sim_current, was = *t;

	if (t->irqs_off || t->level >= level || t->depth[level])
		sim_fail("an interrupt where it cannot be");
	lock_cpu(t, level);
	t->level = level;
	t->irqs_off = level == SIM_HARD;
	t->irq_bits |= level == SIM_HARD ? HARDIRQ_OFFSET : SOFTIRQ_OFFSET;
	fn(arg);
	if (t->nr_held != was.nr_held || memcmp(t->depth, was.depth, sizeof(t->depth)))
		sim_fail("an interrupt left something locked");
	t->level = was.level;
	t->irqs_off = was.irqs_off;
	t->irq_bits = was.irq_bits;
	pthread_mutex_unlock(&cpu_mutex[t->cpu][level]);
}

void sim_check_balance(const char *when)
{
	const struct task_struct *t = sim_current;

	if (t->nr_held)
		sim_fail("%s: %s is held", when, order->name[class_of(t->held[0], "?")]);
	if (t->depth[SIM_TASK] || t->depth[SIM_SOFT] || t->depth[SIM_HARD] || t->irqs_off ||
	    t->level || t->rcu || t->cpus || t->bound)
		sim_fail("%s: something is off, locked or bound", when);
}

/* ---- locks ---- */

void sim_lock_init(struct sim_lock *lock, const char *class)
{
	pthread_mutex_init(&lock->mutex, NULL);
	lock->owner = NULL;
	lock->class = class;
	lock->raw = true;
}

bool sim_lock_held(const struct sim_lock *lock)
{
	return __atomic_load_n(&lock->owner, __ATOMIC_RELAXED) == sim_current;
}

void sim_assert_held(const struct sim_lock *lock, const char *what)
{
	if (!sim_lock_held(lock))
		sim_fail("%s is not held", what);
}

static void set_owner(struct sim_lock *lock, struct task_struct *owner)
{
	__atomic_store_n(&lock->owner, owner, __ATOMIC_RELAXED);
}

static void acquire(struct sim_lock *lock)
{
	if (sim_lock_held(lock))
		sim_fail("%s is taken by who holds it", lock->class);
	sim_order_acquire(lock->class, lock->class);
	pthread_mutex_lock(&lock->mutex);
	set_owner(lock, sim_current);
}

static void release(struct sim_lock *lock)
{
	if (!sim_lock_held(lock))
		sim_fail("%s is released by who does not hold it", lock->class);
	set_owner(lock, NULL);
	pthread_mutex_unlock(&lock->mutex);
	sim_order_release(lock->class);
}

void sim_spin_lock(struct sim_lock *lock)
{
	enter(SIM_TASK);
	order_usage(lock->class, lock->class);
	acquire(lock);
	sim_current->raw += lock->raw;
}

bool sim_spin_trylock(struct sim_lock *lock)
{
	order_usage(lock->class, lock->class);
	if (sim_lock_held(lock))
		sim_fail("%s is tried by who holds it", lock->class);
	if (sim_busy_tries && sim_busy_tries--)
		return false;
	if (pthread_mutex_trylock(&lock->mutex))
		return false;
	enter(SIM_TASK);
	order_push(lock->class);
	set_owner(lock, sim_current);
	sim_current->raw += lock->raw;
	return true;
}

void sim_spin_unlock(struct sim_lock *lock)
{
	release(lock);
	sim_current->raw -= lock->raw;
	leave(SIM_TASK);
}

void mutex_lock(struct mutex *mutex)
{
	might_sleep();
	acquire(&mutex->lock);
}

void mutex_unlock(struct mutex *mutex)
{
	might_sleep();
	release(&mutex->lock);
}

/* ---- RCU ---- */

void rcu_read_lock(void)
{
	if (!sim_current->rcu++)
		pthread_rwlock_rdlock(&rcu_lock);
}

void rcu_read_unlock(void)
{
	if (sim_current->rcu <= 0)
		sim_fail("rcu_read_unlock() without rcu_read_lock()");
	if (!--sim_current->rcu)
		pthread_rwlock_unlock(&rcu_lock);
}

void sim_check_rcu(void)
{
	if (!sim_current->rcu && !stays_on_cpu(sim_current))
		sim_fail("a list is walked under RCU, but nothing keeps its entries");
}

/* Readers are those inside rcu_read_lock() and those with preemption off. */
void synchronize_rcu(void)
{
	int cpu, level;

	might_sleep();
	__atomic_fetch_add(&sim_grace_periods, 1, __ATOMIC_RELAXED);
	pthread_rwlock_wrlock(&rcu_lock);
	pthread_rwlock_unlock(&rcu_lock);
	for_each_possible_cpu(cpu) {
		for (level = 0; level < SIM_LEVELS; level++) {
			pthread_mutex_lock(&cpu_mutex[cpu][level]);
			pthread_mutex_unlock(&cpu_mutex[cpu][level]);
		}
	}
}

/* ---- static keys ---- */

void static_branch_inc(struct static_key_false *key)
{
	might_sleep();
	sim_order_acquire(&sim_online, "cpus_read_lock");
	__atomic_fetch_add(&key->enabled, 1, __ATOMIC_RELAXED);
	sim_order_release(&sim_online);
}

void static_branch_dec(struct static_key_false *key)
{
	might_sleep();
	if (__atomic_sub_fetch(&key->enabled, 1, __ATOMIC_RELAXED) < 0)
		sim_fail("a static key goes below 0");
}

/* As the kernel does: the event's own preparation first, then the probe. */
void sim_trace(struct sim_event *event,
	       void (*probe)(const struct sim_event *event, const void *entry))
{
	might_sleep();
	if (event->reg && event->reg())
		sim_fail("%s: reg failed", event->name);
	__atomic_store_n(&event->probe, probe, __ATOMIC_RELEASE);
}

void sim_untrace(struct sim_event *event)
{
	__atomic_store_n(&event->probe, NULL, __ATOMIC_RELEASE);
	if (event->unreg)
		event->unreg();
	synchronize_rcu();
}

/* ---- CPUs that come and go ---- */

void cpus_read_lock(void)
{
	might_sleep();
	if (sim_current->cpus++)
		return;
	sim_order_acquire(&sim_online, "cpus_read_lock");
	pthread_rwlock_rdlock(&hotplug_lock);
}

void cpus_read_unlock(void)
{
	if (sim_current->cpus <= 0)
		sim_fail("cpus_read_unlock() without cpus_read_lock()");
	if (--sim_current->cpus)
		return;
	pthread_rwlock_unlock(&hotplug_lock);
	sim_order_release(&sim_online);
}

static void set_online(int cpu, bool online)
{
	int level;

	might_sleep();
	sim_order_acquire(&sim_online, "cpus_read_lock");
	pthread_rwlock_wrlock(&hotplug_lock);
	for (level = 0; level < SIM_LEVELS; level++)
		pthread_mutex_lock(&cpu_mutex[cpu][level]);
	WRITE_ONCE(sim_online, online ? sim_online | BIT(cpu) : sim_online & ~BIT(cpu));
	while (level--)
		pthread_mutex_unlock(&cpu_mutex[cpu][level]);
	pthread_rwlock_unlock(&hotplug_lock);
	sim_order_release(&sim_online);
}

void sim_cpu_down(int cpu)
{
	set_online(cpu, false);
}

void sim_cpu_up(int cpu)
{
	set_online(cpu, true);
}

/* This task goes there; nothing keeps other tasks of that CPU from running. */
static int move_to(int cpu)
{
	struct task_struct *t = sim_current;
	int was = t->cpu;

	might_sleep();
	if (!t->cpus)
		sim_fail("a CPU is asked that may go: no cpus_read_lock()");
	if (!cpu_online(cpu))
		sim_fail("a CPU is asked that is not there");
	t->cpu = cpu;
	t->bound++;
	return was;
}

static void move_back(int cpu)
{
	sim_current->bound--;
	sim_current->cpu = cpu;
}

long work_on_cpu(int cpu, long (*fn)(void *arg), void *arg)
{
	int was = move_to(cpu);
	long ret = fn(arg);

	move_back(was);
	return ret;
}

/* The other CPU's task does not run on while it is interrupted. */
int smp_call_function_single(int cpu, void (*fn)(void *arg), void *arg, int wait)
{
	int was = move_to(cpu);

	preempt_disable();
	sim_interrupt(SIM_HARD, fn, arg);
	preempt_enable();
	move_back(was);
	return 0;
}

/* ---- TSan: a volatile access is marked as one that may race ---- */

#define PASS_BY(bytes)					\
	void __tsan_volatile_read##bytes(void *ptr);	\
	void __tsan_volatile_read##bytes(void *ptr)	\
	{						\
	}						\
	void __tsan_volatile_write##bytes(void *ptr);	\
	void __tsan_volatile_write##bytes(void *ptr)	\
	{						\
	}

PASS_BY(1)
PASS_BY(2)
PASS_BY(4)
PASS_BY(8)
