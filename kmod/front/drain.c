// SPDX-License-Identifier: GPL-2.0
/*
 * L3, mode percpu: how cached blocks return to the pools: on each tick, on demand, and
 * when the heap is destroyed.
 *
 * A tick returns the magazines that nobody missed since the last one (the working set
 * of Bonwick and Adams), and everything cached of a class that nobody used, so that
 * pools and arenas become empty whatever was cached.  A CPU's blocks are taken
 * on that CPU, where no fast path is under way then, or while it is offline.
 */
#include <linux/cpu.h>
#include <linux/workqueue.h>

#include "account.h"
#include "front/magazine.h"
#include "internal.h"
#include "lock.h"

/* One round at a time: it reads and sets marks.  Gathering keeps rounds off, too. */
DEFINE_MUTEX(kpy_drain_lock);

/* Report once per heap a bad pointer that was noticed late; who freed it is not known. */
static void report_late(struct kpy_heap *heap)
{
	unsigned long flags;
	void *late;
	bool report;

	flags = kpy_heap_lock(heap);
	late = heap->late;
	heap->late = NULL;
	report = late && !heap->reported && !(heap->flags & KPY_HEAP_SILENT);
	heap->reported |= report;
	kpy_heap_unlock(heap, flags);
	WARN(report, "kpymalloc: heap %s: bad pointer %p: freed before, or not the start of a block\n",
	     heap->name, late);
}

/*
 * Draining: one magazine or front per step, so that interrupts are never off for
 * long; a step returns false when nothing is left to do.
 */
typedef bool (*drain_fn)(struct kpy_heap *heap, void *what, unsigned long *gone);

static void drain_steps(struct kpy_heap *heap, drain_fn step, void *what)
{
	bool more = true;

	while (more) {
		unsigned long gone = 0, flags = kpy_heap_lock(heap);

		more = step(heap, what, &gone);
		kpy_heap_unlock(heap, flags);
		kpy_arena_free_chain(heap, gone);
	}
}

static bool drain_front(struct kpy_heap *heap, void *what, unsigned long *gone)
{
	struct kpy_front *f = what;
	u32 n = kpy_front_blocks(f->state);

	heap->front_ops->to_pools(heap, f->block, n, gone);
	f->state -= n * sizeof(void *);
	return false;
}

static bool drain_shelf(struct kpy_heap *heap, void *what, unsigned long *gone)
{
	struct kpy_magazine *mag = shelf_pop(what);

	if (!mag)
		return false;
	heap->front_ops->to_pools(heap, mag->block, KPY_MAG_BLOCKS, gone);
	mag_push(&heap->empties, mag);
	return true;
}

/* Only what nobody missed since the last tick; what is left sets the next mark. */
static bool trim_shelf(struct kpy_heap *heap, void *what, unsigned long *gone)
{
	struct kpy_shelf *shelf = what;
	u32 low = shelf->low;

	if (low) {
		drain_shelf(heap, shelf, gone);
		shelf->low = low - 1;
	} else {
		shelf->low = shelf->nr;
	}
	return low;
}

static bool drain_cpu_empties(struct kpy_heap *heap, void *what, unsigned long *gone)
{
	struct kpy_cpu *cpu = what;
	struct kpy_magazine *mag;

	while ((mag = empty_pop(cpu)))
		mag_push(&heap->empties, mag);
	return false;
}

static void free_empties(struct kpy_heap *heap)
{
	struct kpy_magazine *mag;
	unsigned long flags;

	do {
		flags = kpy_heap_lock(heap);
		mag = mag_pop(&heap->empties);
		if (mag)
			kpy_count_held(heap, -(s64)sizeof(*mag));
		kpy_heap_unlock(heap, flags);
		kpy_magazine_free(mag);
	} while (mag);
}

/* On the CPU itself with no fast path under way, or for one that is offline. */
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

	if (READ_ONCE(c->empties))
		return true;
	for (i = 0; i < heap->nr_classes; i++)
		if (READ_ONCE(c->shelf[i].nr) ||
		    !front_is_empty(front_of(heap, cpu, KPY_FRONT_TASK, i)) ||
		    !front_is_empty(front_of(heap, cpu, KPY_FRONT_IRQ, i)))
			return true;
	return false;
}

/**
 * struct kpy_round - one round over the CPUs
 * @heap: whose blocks
 * @all: drain also what is in use
 * @busy: by class: somebody used it since the last round
 */
struct kpy_round {
	struct kpy_heap *heap;
	bool all;
	DECLARE_BITMAP(busy, KPY_MAX_CLASSES);
};

/* As a task of that CPU: no fast path is under way there. */
static long round_on_cpu(void *arg)
{
	struct kpy_round *round = arg;
	struct kpy_heap *heap = round->heap;
	int cpu = smp_processor_id();
	u32 i;

	for (i = 0; i < heap->nr_classes; i++) {
		bool busy = class_is_busy(heap, cpu, i);

		if (busy)
			__set_bit(i, round->busy);
		if (!busy || round->all)
			drain_class(heap, cpu, i);
		else
			drain_steps(heap, trim_shelf, &per_cpu_ptr(heap->cpu, cpu)->shelf[i]);
	}
	if (round->all || bitmap_empty(round->busy, KPY_MAX_CLASSES))
		drain_steps(heap, drain_cpu_empties, per_cpu_ptr(heap->cpu, cpu));
	return 0;
}

static void round_over_cpus(struct kpy_round *round)
{
	int cpu;

	for_each_possible_cpu(cpu) {
		if (!has_cached(round->heap, cpu))
			continue;
		if (cpu_online(cpu))
			work_on_cpu(cpu, round_on_cpu, round);
		else
			drain_cpu(round->heap, cpu);
	}
}

static void round_over_depot(struct kpy_round *round)
{
	struct kpy_heap *heap = round->heap;
	u32 i;

	for (i = 0; i < heap->nr_classes; i++) {
		bool trim = !round->all && test_bit(i, round->busy);

		drain_steps(heap, trim ? trim_shelf : drain_shelf, &heap->depot[i]);
	}
	if (round->all || bitmap_empty(round->busy, KPY_MAX_CLASSES))
		free_empties(heap);
}

/**
 * kpy_drain() - see trim of struct kpy_mode_ops
 * @heap: of mode percpu
 * @all: return all cached blocks to the pools, not only what nobody missed
 *
 * Context: Process, may sleep.  Takes cpus_read_lock(), kpy_drain_lock and heap->lock.
 */
void kpy_drain(struct kpy_heap *heap, bool all)
{
	struct kpy_round round = { .heap = heap, .all = all };

	cpus_read_lock();
	mutex_lock(&kpy_drain_lock);
	round_over_cpus(&round);
	round_over_depot(&round);
	mutex_unlock(&kpy_drain_lock);
	cpus_read_unlock();
	report_late(heap);
}

/**
 * kpy_drain_for_good() - empty the fronts, shelves and depot of a heap
 * @heap: of mode percpu; nobody uses it any more
 *
 * Context: Process, may sleep.
 */
void kpy_drain_for_good(struct kpy_heap *heap)
{
	struct kpy_round round = { .heap = heap, .all = true };
	int cpu;

	for_each_possible_cpu(cpu)
		drain_cpu(heap, cpu);
	round_over_depot(&round);
	report_late(heap);
}
