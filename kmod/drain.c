// SPDX-License-Identifier: GPL-2.0
/*
 * L3, mode percpu: how what CPUs keep comes back to the pools: once a tick, when
 * somebody asks, when a CPU goes, and when the heap goes.
 *
 * Once a tick the magazines that nobody missed since the last one go back (the
 * working set of Bonwick and Adams), and all of a class that nobody used, so that
 * pools and arenas become empty whatever was kept.  All of it runs under
 * heap->lock, on the CPU itself, where no fast path is under way then.
 */
#include <linux/cpu.h>
#include <linux/workqueue.h>

#include "internal.h"
#include "magazine.h"
#include "pool.h"

#define TICK		(HZ / 2)	/* so that what rests is back within two ticks and some */

static int cpuhp_state;

/* Heaps of this mode.  Inside cpus_read_lock(), outside heap->lock. */
static DEFINE_MUTEX(percpu_lock);
static LIST_HEAD(percpu_heaps);

/**
 * kpy_percpu_free_arenas() - what kpy_percpu_block_to_pool() left to be freed
 * @heap: of mode percpu
 * @arenas: linked by their first word
 *
 * Context: Any but NMI, heap->lock not held.
 */
void kpy_percpu_free_arenas(struct kpy_heap *heap, unsigned long arenas)
{
	while (arenas) {
		unsigned long next = *(unsigned long *)arenas;

		kpy_arena_free(heap, arenas);
		arenas = next;
	}
}

/**
 * kpy_percpu_block_to_pool() - a block is handed out no more, and not cached either
 * @heap: of mode percpu
 * @block: who freed it had a look at its pool only; it is looked at closely now
 * @arenas: an arena that became empty is added, for kpy_percpu_free_arenas()
 *
 * Context: heap->lock held.
 */
void kpy_percpu_block_to_pool(struct kpy_heap *heap, void *block, unsigned long *arenas)
{
	struct kpy_pool *pool = kpy_pool_vouched(heap, block);
	struct kpy_arena *arena;
	unsigned long address;
	const char *why;

	if (unlikely(!pool)) {
		arena = kpy_arena_find(heap, block);
		pool = arena ? kpy_pool_of_block(heap, arena, block, &why) : NULL;
	}
	if (unlikely(!pool)) {
		heap->c.bad_pointers++;
		heap->late = block;
		return;
	}
	address = kpy_pool_push(heap, &heap->class[pool->szidx], pool, block);
	if (unlikely(address)) {
		*(unsigned long *)address = *arenas;
		*arenas = address;
	}
}

/* Say once a heap that a pointer was bad; who freed it is not known any more. */
static void report_late(struct kpy_heap *heap)
{
	unsigned long flags;
	void *late;
	bool report;

	raw_spin_lock_irqsave(&heap->lock, flags);
	late = heap->late;
	heap->late = NULL;
	report = late && !heap->reported && !(heap->flags & KPY_HEAP_SILENT);
	heap->reported |= report;
	raw_spin_unlock_irqrestore(&heap->lock, flags);
	WARN(report, "kpymalloc: heap %s: bad pointer %p: freed before, or not the start of a block\n",
	     heap->name, late);
}

static void front_to_pools(struct kpy_heap *heap, struct kpy_front *f, unsigned long *arenas)
{
	for (; *kpy_front_top(f); f->state -= sizeof(void *))
		kpy_percpu_block_to_pool(heap, *kpy_front_top(f), arenas);
}

/* The magazine is empty then. */
static void mag_to_pools(struct kpy_heap *heap, struct kpy_magazine *mag, unsigned long *arenas)
{
	u32 i;

	for (i = KPY_MAG_BLOCKS; i; i--)
		kpy_percpu_block_to_pool(heap, mag->block[i - 1], arenas);
	mag_push(&heap->empties, mag);
}

/*
 * Draining: one magazine or front a step, so that interrupts are never off for
 * long; a step returns false when there is nothing left to do.
 */
typedef bool (*drain_fn)(struct kpy_heap *heap, void *what, unsigned long *arenas);

static void drain_steps(struct kpy_heap *heap, drain_fn step, void *what)
{
	bool more = true;

	while (more) {
		unsigned long arenas = 0, flags;

		raw_spin_lock_irqsave(&heap->lock, flags);
		more = step(heap, what, &arenas);
		raw_spin_unlock_irqrestore(&heap->lock, flags);
		kpy_percpu_free_arenas(heap, arenas);
	}
}

static bool drain_front(struct kpy_heap *heap, void *what, unsigned long *arenas)
{
	front_to_pools(heap, what, arenas);
	return false;
}

static bool drain_shelf(struct kpy_heap *heap, void *what, unsigned long *arenas)
{
	struct kpy_magazine *mag = shelf_pop(what);

	if (mag)
		mag_to_pools(heap, mag, arenas);
	return mag;
}

/* Only what nobody missed since the last tick; what is left sets the next mark. */
static bool trim_shelf(struct kpy_heap *heap, void *what, unsigned long *arenas)
{
	struct kpy_shelf *shelf = what;
	u32 low = shelf->low;

	if (low) {
		drain_shelf(heap, shelf, arenas);
		shelf->low = low - 1;
	} else {
		shelf->low = shelf->nr;
	}
	return low;
}

static bool drain_cpu_empties(struct kpy_heap *heap, void *what, unsigned long *arenas)
{
	struct kpy_cpu *cpu = what;
	struct kpy_magazine *mag;

	while ((mag = empty_pop(cpu)))
		mag_push(&heap->empties, mag);
	return false;
}

static void free_empties(struct kpy_heap *heap)
{
	unsigned long flags;
	struct kpy_magazine *mag;

	do {
		raw_spin_lock_irqsave(&heap->lock, flags);
		mag = mag_pop(&heap->empties);
		if (mag)
			kpy_count_held(heap, -(s64)sizeof(*mag));
		raw_spin_unlock_irqrestore(&heap->lock, flags);
		kpy_magazine_free(mag);
	} while (mag);
}

/**
 * struct drain - a round over the CPUs
 * @heap: whose fronts
 * @all: also what is in use
 * @busy: by class: somebody used it since the last round
 */
struct drain {
	struct kpy_heap *heap;
	bool all;
	DECLARE_BITMAP(busy, KPY_MAX_CLASSES);
};

/* On the CPU itself with no fast path under way, or for one that is dead. */
static void drain_class(struct kpy_heap *heap, int cpu, u32 szidx)
{
	drain_steps(heap, drain_front, front_of(heap, cpu, KPY_FRONT_TASK, szidx));
	drain_steps(heap, drain_front, front_of(heap, cpu, KPY_FRONT_IRQ, szidx));
	drain_steps(heap, drain_shelf, &per_cpu_ptr(heap->cpu, cpu)->shelf[szidx]);
}

static void drain_cpu(struct kpy_heap *heap, int cpu)
{
	u32 i;

	for (i = 0; i < heap->nr_classes; i++)
		drain_class(heap, cpu, i);
	drain_steps(heap, drain_cpu_empties, per_cpu_ptr(heap->cpu, cpu));
	kpy_large_drain_cpu(heap, cpu, true);
}

/* Used since the last round? */
static bool class_is_busy(struct kpy_heap *heap, int cpu, u32 szidx)
{
	u64 *seen = &per_cpu_ptr(heap->cpu, cpu)->seen[szidx];
	u64 now = READ_ONCE(front_of(heap, cpu, KPY_FRONT_TASK, szidx)->state) +
		  READ_ONCE(front_of(heap, cpu, KPY_FRONT_IRQ, szidx)->state);
	bool busy = now != *seen;

	*seen = now;
	return busy;
}

static bool has_cached(struct kpy_heap *heap, int cpu)
{
	struct kpy_cpu *c = per_cpu_ptr(heap->cpu, cpu);
	u32 i;

	if (READ_ONCE(c->empties) || kpy_large_has_cached(heap, cpu))
		return true;
	for (i = 0; i < heap->nr_classes; i++)
		if (READ_ONCE(c->shelf[i].nr) ||
		    !front_is_empty(front_of(heap, cpu, KPY_FRONT_TASK, i)) ||
		    !front_is_empty(front_of(heap, cpu, KPY_FRONT_IRQ, i)))
			return true;
	return false;
}

/* As a task of that CPU: no fast path is under way here. */
static long drain_this_cpu(void *arg)
{
	struct drain *drain = arg;
	struct kpy_heap *heap = drain->heap;
	int cpu = smp_processor_id();
	u32 i;

	for (i = 0; i < heap->nr_classes; i++) {
		bool busy = class_is_busy(heap, cpu, i);

		if (busy)
			__set_bit(i, drain->busy);
		if (!busy || drain->all)
			drain_class(heap, cpu, i);
		else
			drain_steps(heap, trim_shelf, &per_cpu_ptr(heap->cpu, cpu)->shelf[i]);
	}
	if (drain->all || bitmap_empty(drain->busy, KPY_MAX_CLASSES))
		drain_steps(heap, drain_cpu_empties, per_cpu_ptr(heap->cpu, cpu));
	kpy_large_drain_cpu(heap, cpu, drain->all);
	return 0;
}

static void drain_heap(struct kpy_heap *heap, bool all)
{
	struct drain drain = { .heap = heap, .all = all };
	bool idle;
	int cpu;
	u32 i;

	for_each_online_cpu(cpu)
		if (has_cached(heap, cpu))
			work_on_cpu(cpu, drain_this_cpu, &drain);
	idle = all || bitmap_empty(drain.busy, KPY_MAX_CLASSES);
	for (i = 0; i < heap->nr_classes; i++)
		drain_steps(heap, all || !test_bit(i, drain.busy) ? drain_shelf : trim_shelf,
			    &heap->depot[i]);
	kpy_large_drain_depot(heap, all);
	if (idle)
		free_empties(heap);
	report_late(heap);
}

static void tick(struct work_struct *work);
static DECLARE_DELAYED_WORK(ticker, tick);

static void tick(struct work_struct *work)
{
	struct kpy_heap *heap;

	cpus_read_lock();
	mutex_lock(&percpu_lock);
	list_for_each_entry(heap, &percpu_heaps, percpu)
		drain_heap(heap, false);
	if (!list_empty(&percpu_heaps))
		schedule_delayed_work(&ticker, TICK);
	mutex_unlock(&percpu_lock);
	cpus_read_unlock();
}

/**
 * kpy_percpu_drain() - give all that is cached back to the pools
 * @heap: of mode percpu
 *
 * Context: Process, may sleep.
 */
void kpy_percpu_drain(struct kpy_heap *heap)
{
	cpus_read_lock();
	mutex_lock(&percpu_lock);
	drain_heap(heap, true);
	mutex_unlock(&percpu_lock);
	cpus_read_unlock();
}

static int cpu_dead(unsigned int cpu)
{
	struct kpy_heap *heap;

	mutex_lock(&percpu_lock);
	list_for_each_entry(heap, &percpu_heaps, percpu)
		drain_cpu(heap, cpu);
	mutex_unlock(&percpu_lock);
	return 0;
}

/**
 * kpy_drain_add() - a heap has fronts from now on
 * @heap: of mode percpu
 *
 * Context: Process, may sleep.
 */
void kpy_drain_add(struct kpy_heap *heap)
{
	mutex_lock(&percpu_lock);
	if (list_empty(&percpu_heaps))
		schedule_delayed_work(&ticker, TICK);
	list_add_tail(&heap->percpu, &percpu_heaps);
	mutex_unlock(&percpu_lock);
}

/**
 * kpy_drain_remove() - take back all that a heap's CPUs and depot have, for good
 * @heap: nobody uses it any more
 *
 * Context: Process, may sleep.
 */
void kpy_drain_remove(struct kpy_heap *heap)
{
	int cpu;
	u32 i;

	mutex_lock(&percpu_lock);
	list_del(&heap->percpu);
	mutex_unlock(&percpu_lock);
	for_each_possible_cpu(cpu)
		drain_cpu(heap, cpu);
	for (i = 0; i < heap->nr_classes; i++)
		drain_steps(heap, drain_shelf, &heap->depot[i]);
	kpy_large_drain_depot(heap, true);
	free_empties(heap);
	report_late(heap);
}

/**
 * kpy_drain_module_init() - once, before the first heap
 *
 * Context: Process, may sleep.
 * Return: 0 or -errno.
 */
int __init kpy_drain_module_init(void)
{
	int state = cpuhp_setup_state_nocalls(CPUHP_BP_PREPARE_DYN, "kpymalloc:dead", NULL,
					      cpu_dead);

	cpuhp_state = state;
	return state < 0 ? state : 0;
}

/**
 * kpy_drain_module_exit() - once, after the last heap
 *
 * Context: Process, may sleep.
 */
void kpy_drain_module_exit(void)
{
	cancel_delayed_work_sync(&ticker);
	cpuhp_remove_state_nocalls(cpuhp_state);
}
