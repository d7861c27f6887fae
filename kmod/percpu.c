// SPDX-License-Identifier: GPL-2.0
/*
 * L3, mode percpu: what happens when a CPU's magazine is empty or full, and how
 * its blocks come back.
 *
 * A CPU keeps a few full magazines of a class, then gives them to the heap's
 * depot, from where any CPU takes them whole; only what is beyond that goes
 * block by block to the pools and comes from there.  A class that nobody used
 * between two ticks gives everything back, so that empty pools and arenas do.
 *
 * All of it runs under heap->lock with interrupts off, on the CPU whose front it
 * is, or for a CPU that is dead.  Blocks in magazines count as handed out in
 * their pools: blocks in use are those less the ones in magazines.
 */
#include <linux/cpuhotplug.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

#include "front.h"
#include "internal.h"
#include "pool.h"
#include "trace.h"

#define CPU_FULL	4		/* full magazines that a CPU keeps of a class */
#define DEPOT_BYTES	(256 << 10)	/* of blocks that the depot keeps of a class */
#define MAG_BLOCKS	(KPY_MAG_SLOTS - 1)
#define REFILL		(MAG_BLOCKS / 2)	/* blocks that an empty magazine gets from pools */
#define TICK		HZ

static struct kmem_cache *mag_cache;
static int cpuhp_state;

/* Heaps of this mode.  Inside cpus_read_lock(), outside heap->lock. */
static DEFINE_MUTEX(percpu_lock);
static LIST_HEAD(percpu_heaps);

/* What a front has that has no magazine: its last slot is both empty and full. */
static void *const no_magazine[KPY_MAG_SLOTS] __aligned(KPY_MAG_BYTES);
#define NO_MAGAZINE	((void **)no_magazine + KPY_MAG_SLOTS - 1)

static void **mag_base(void **top)
{
	return (void **)((unsigned long)top & ~(KPY_MAG_BYTES - 1));
}

static bool has_magazine(const struct kpy_front *f)
{
	return f->top != NO_MAGAZINE;
}

static u32 mag_blocks(void **top)
{
	return top == NO_MAGAZINE ? 0 : top - mag_base(top);
}

static void list_push(void ***list, void **mag)
{
	mag[0] = *list;
	*list = mag;
}

static void **list_pop(void ***list)
{
	void **mag = *list;

	if (mag) {
		*list = mag[0];
		mag[0] = NULL;
	}
	return mag;
}

static struct kpy_front *front_of(struct kpy_heap *heap, int cpu, enum kpy_front_kind kind,
				  u32 szidx)
{
	return per_cpu_ptr(heap->front, cpu) + kind * heap->nr_classes + szidx;
}

static struct kpy_front *this_front(struct kpy_heap *heap, u32 szidx)
{
	enum kpy_front_kind kind = kpy_in_interrupt() ? KPY_FRONT_IRQ : KPY_FRONT_TASK;

	return front_of(heap, smp_processor_id(), kind, szidx);
}

/* Arenas to be given back after unlocking, linked by their first word. */
static void free_arenas(struct kpy_heap *heap, unsigned long arenas)
{
	while (arenas) {
		unsigned long next = *(unsigned long *)arenas;

		kpy_pages_free(arenas, heap->geo.arena_size);
		arenas = next;
	}
}

static void block_to_pool(struct kpy_heap *heap, void *block, unsigned long *arenas)
{
	struct kpy_pool *pool = (struct kpy_pool *)((unsigned long)block & heap->pool_mask);
	unsigned long arena;

	/* Freed twice with other frees between. */
	if (unlikely(kpy_pool_block_is_free(heap, pool, block))) {
		heap->c.bad_pointers++;
		return;
	}
	arena = kpy_pool_free(heap, pool, block);
	if (unlikely(arena)) {
		*(unsigned long *)arena = *arenas;
		*arenas = arena;
	}
}

/* Returns the magazine's base, empty. */
static void **mag_to_pools(struct kpy_heap *heap, void **top, unsigned long *arenas)
{
	void **base = mag_base(top);

	while (top > base)
		block_to_pool(heap, *top--, arenas);
	return base;
}

/* A full or empty magazine takes the place of the loaded one, which joins a list. */
static void load(struct kpy_heap *heap, struct kpy_front *f, void **mag, bool full)
{
	if (has_magazine(f))
		list_push(full ? &heap->empties : &f->full, mag_base(f->top));
	f->top = full ? mag + MAG_BLOCKS : mag;
}

static bool load_full(struct kpy_heap *heap, struct kpy_front *f, u32 szidx)
{
	struct kpy_depot *depot = &heap->depot[szidx];
	void **mag = list_pop(&f->full);

	if (mag) {
		f->nr_full--;
	} else {
		mag = list_pop(&depot->full);
		if (!mag)
			return false;
		depot->nr--;
	}
	load(heap, f, mag, true);
	return true;
}

/* Blocks from pools into the loaded magazine, the first one on top. */
static void fill_from_pools(struct kpy_heap *heap, struct kpy_front *f, u32 szidx)
{
	void **base = mag_base(f->top), **slot = base + REFILL;
	u32 n;

	for (n = 0; n < REFILL; n++) {
		struct kpy_pool *pool = kpy_pool_first(heap, szidx);

		if (!pool)
			break;
		*slot-- = kpy_pool_alloc(heap, pool);
	}
	if (n && n < REFILL)
		memmove(base + 1, slot + 1, n * sizeof(*slot));
	f->top = base + n;
}

/*
 * A block from the front, which is filled if need be; without a magazine it
 * comes straight from a pool.  NULL if there is no pool to be had.
 */
static void *front_take(struct kpy_heap *heap, struct kpy_front *f, u32 szidx)
{
	struct kpy_pool *pool;
	void **mag;

	lockdep_assert_held(&heap->lock);
	if (!*f->top && !load_full(heap, f, szidx)) {
		if (!has_magazine(f)) {
			mag = list_pop(&heap->empties);
			if (mag)
				f->top = mag;
		}
		if (!has_magazine(f)) {
			pool = kpy_pool_first(heap, szidx);
			return pool ? kpy_pool_alloc(heap, pool) : NULL;
		}
		fill_from_pools(heap, f, szidx);
		if (!*f->top)
			return NULL;
	}
	return *f->top--;
}

static bool depot_has_room(const struct kpy_heap *heap, u32 szidx)
{
	return (heap->depot[szidx].nr + 1) * MAG_BLOCKS * kpy_class_size(heap, szidx) <=
	       DEPOT_BYTES;
}

/* Makes room for a block in the front; false if it lacks a magazine to do so. */
static bool make_room(struct kpy_heap *heap, struct kpy_front *f, u32 szidx,
		      unsigned long *arenas)
{
	void **mag;

	if (!kpy_mag_is_full(f->top))
		return true;
	if (!has_magazine(f) || f->nr_full < CPU_FULL || depot_has_room(heap, szidx)) {
		mag = list_pop(&heap->empties);
		if (!mag)
			return false;
		if (has_magazine(f) && f->nr_full == CPU_FULL) {
			list_push(&heap->depot[szidx].full, mag_base(f->top));
			heap->depot[szidx].nr++;
			f->top = mag;
			return true;
		}
		f->nr_full += has_magazine(f);
		load(heap, f, mag, false);
		return true;
	}
	f->top = mag_to_pools(heap, f->top, arenas);
	return true;
}

static void add_empty(struct kpy_heap *heap, void **mag)
{
	lockdep_assert_held(&heap->lock);
	mag[0] = NULL;
	list_push(&heap->empties, mag);
	kpy_count_held(heap, KPY_MAG_BYTES);
}

static void **new_magazine(gfp_t gfp)
{
	return kmem_cache_zalloc(mag_cache, (gfp & ~(__GFP_ACCOUNT | GFP_ZONEMASK)) | __GFP_NOWARN);
}

/**
 * kpy_percpu_alloc() - a small block where the fast path had none
 * @heap: of mode percpu
 * @size: bytes
 * @szidx: its class
 * @gfp: how memory may be had
 * @caller: for the event
 *
 * Context: Any but NMI.  Takes heap->lock; sleeps if @gfp allows.
 * Return: the block, NULL if no arena can be had.
 */
void *kpy_percpu_alloc(struct kpy_heap *heap, size_t size, u32 szidx, gfp_t gfp,
		       unsigned long caller)
{
	void **spare = NULL, *block;
	struct kpy_front *f;
	unsigned long flags;
	bool asked = false;

	for (;;) {
		raw_spin_lock_irqsave(&heap->lock, flags);
		if (spare)
			add_empty(heap, spare);
		spare = NULL;
		f = this_front(heap, szidx);
		if (asked || has_magazine(f) || heap->empties || f->full ||
		    heap->depot[szidx].full) {
			block = front_take(heap, f, szidx);
			if (block)
				break;
			raw_spin_unlock_irqrestore(&heap->lock, flags);
			if (!kpy_arena_grow(heap, gfp))
				return NULL;
			continue;
		}
		raw_spin_unlock_irqrestore(&heap->lock, flags);
		spare = new_magazine(gfp);
		asked = true;
	}
	f->allocs++;
	if (trace_kpy_alloc_enabled()) {
		struct kpy_pool *pool = (struct kpy_pool *)((unsigned long)block & heap->pool_mask);

		trace_kpy_alloc(heap->id, block, size, szidx, pool, pool->arenaindex, caller);
	}
	raw_spin_unlock_irqrestore(&heap->lock, flags);
	return block;
}

/**
 * kpy_percpu_free() - take a small block back where the fast path did not
 * @heap: of mode percpu
 * @arena: what kpy_arena_find() said
 * @ptr: the block, or what is said to be one
 * @caller: for the event
 *
 * Context: Any but NMI.  Takes heap->lock.
 * Return: NULL, or what is wrong with @ptr.
 */
const char *kpy_percpu_free(struct kpy_heap *heap, struct kpy_arena *arena, void *ptr,
			    unsigned long caller)
{
	unsigned long arenas = 0, flags;
	struct kpy_pool *pool;
	struct kpy_front *f;
	void **spare = NULL;
	const char *why;
	bool room;

again:
	raw_spin_lock_irqsave(&heap->lock, flags);
	if (spare)
		add_empty(heap, spare);
	pool = kpy_pool_of_block(heap, arena, ptr, &why);
	if (!pool)
		goto unlock;
	f = this_front(heap, pool->szidx);
	why = "already free";
	if (has_magazine(f) && *f->top == ptr)
		goto unlock;
	room = make_room(heap, f, pool->szidx, &arenas);
	if (!room && !spare) {
		raw_spin_unlock_irqrestore(&heap->lock, flags);
		spare = new_magazine(GFP_NOWAIT);
		if (spare)
			goto again;
		raw_spin_lock_irqsave(&heap->lock, flags);
		f = this_front(heap, pool->szidx);
		room = make_room(heap, f, pool->szidx, &arenas);
	}
	why = NULL;
	f->frees++;
	trace_kpy_free(heap->id, ptr, kpy_class_size(heap, pool->szidx), pool->szidx, pool,
		       pool->arenaindex, caller);
	if (room)
		*++f->top = ptr;
	else
		block_to_pool(heap, ptr, &arenas);
unlock:
	raw_spin_unlock_irqrestore(&heap->lock, flags);
	free_arenas(heap, arenas);
	return why;
}

/* One magazine a step, so that interrupts are never off for long; false when none is left. */
static bool drain_step(struct kpy_heap *heap, struct kpy_front *f, unsigned long *arenas)
{
	void **mag;

	lockdep_assert_held(&heap->lock);
	if (*f->top) {
		f->top = mag_to_pools(heap, f->top, arenas);
		return true;
	}
	mag = list_pop(&f->full);
	if (mag) {
		f->nr_full--;
		list_push(&heap->empties, mag_to_pools(heap, mag + MAG_BLOCKS, arenas));
		return true;
	}
	if (has_magazine(f))
		list_push(&heap->empties, mag_base(f->top));
	f->top = NO_MAGAZINE;
	return false;
}

static void drain_front(struct kpy_heap *heap, struct kpy_front *f)
{
	bool more = true;

	while (more) {
		unsigned long arenas = 0, flags;

		raw_spin_lock_irqsave(&heap->lock, flags);
		more = drain_step(heap, f, &arenas);
		raw_spin_unlock_irqrestore(&heap->lock, flags);
		free_arenas(heap, arenas);
	}
}

static void drain_depot(struct kpy_heap *heap, u32 szidx)
{
	struct kpy_depot *depot = &heap->depot[szidx];
	void **mag;

	do {
		unsigned long arenas = 0, flags;

		raw_spin_lock_irqsave(&heap->lock, flags);
		mag = list_pop(&depot->full);
		if (mag) {
			depot->nr--;
			list_push(&heap->empties, mag_to_pools(heap, mag + MAG_BLOCKS, &arenas));
		}
		raw_spin_unlock_irqrestore(&heap->lock, flags);
		free_arenas(heap, arenas);
	} while (mag);
}

static void free_empties(struct kpy_heap *heap)
{
	unsigned long flags;
	void **mag;

	do {
		raw_spin_lock_irqsave(&heap->lock, flags);
		mag = list_pop(&heap->empties);
		if (mag)
			kpy_count_held(heap, -(s64)KPY_MAG_BYTES);
		raw_spin_unlock_irqrestore(&heap->lock, flags);
		if (mag)
			kmem_cache_free(mag_cache, mag);
	} while (mag);
}

/* Both fronts of a class, on the CPU they belong to or for a dead one. */
static void drain_class(struct kpy_heap *heap, int cpu, u32 szidx)
{
	drain_front(heap, front_of(heap, cpu, KPY_FRONT_TASK, szidx));
	drain_front(heap, front_of(heap, cpu, KPY_FRONT_IRQ, szidx));
}

static bool has_cached(struct kpy_heap *heap, int cpu)
{
	const struct kpy_front *f = per_cpu_ptr(heap->front, cpu);
	u32 i;

	for (i = 0; i < KPY_NR_FRONTS * heap->nr_classes; i++, f++)
		if (has_magazine(f))
			return true;
	return false;
}

/**
 * struct drain - a round over the CPUs
 * @heap: whose fronts
 * @all: also those that are in use
 * @busy: by class: somebody used it since the last round
 */
struct drain {
	struct kpy_heap *heap;
	bool all;
	DECLARE_BITMAP(busy, KPY_MAX_CLASSES);
};

/* Used since the last round? */
static bool front_is_busy(struct kpy_front *f)
{
	u64 ops = f->allocs + f->frees;
	bool busy = ops != f->seen;

	f->seen = ops;
	return busy;
}

/* On its CPU, as a task: no fast path is under way here. */
static long drain_this_cpu(void *arg)
{
	struct drain *drain = arg;
	struct kpy_heap *heap = drain->heap;
	int cpu = smp_processor_id();
	u32 i;

	for (i = 0; i < heap->nr_classes; i++) {
		bool busy = front_is_busy(front_of(heap, cpu, KPY_FRONT_TASK, i)) |
			    front_is_busy(front_of(heap, cpu, KPY_FRONT_IRQ, i));

		if (busy)
			__set_bit(i, drain->busy);
		if (!busy || drain->all)
			drain_class(heap, cpu, i);
	}
	return 0;
}

static void drain_heap(struct kpy_heap *heap, bool all)
{
	struct drain drain = { .heap = heap, .all = all };
	int cpu;
	u32 i;

	for_each_online_cpu(cpu)
		if (has_cached(heap, cpu))
			work_on_cpu(cpu, drain_this_cpu, &drain);
	for (i = 0; i < heap->nr_classes; i++)
		if (all || !test_bit(i, drain.busy))
			drain_depot(heap, i);
	if (all || bitmap_empty(drain.busy, KPY_MAX_CLASSES))
		free_empties(heap);
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
 * kpy_percpu_drain() - give all that fronts and the depot have back to the pools
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

/* Of a CPU that is dead, or of a heap that nobody uses any more. */
static void drain_foreign_cpu(struct kpy_heap *heap, int cpu)
{
	u32 i;

	for (i = 0; i < heap->nr_classes; i++)
		drain_class(heap, cpu, i);
}

static int cpu_dead(unsigned int cpu)
{
	struct kpy_heap *heap;

	mutex_lock(&percpu_lock);
	list_for_each_entry(heap, &percpu_heaps, percpu)
		drain_foreign_cpu(heap, cpu);
	mutex_unlock(&percpu_lock);
	return 0;
}

/**
 * kpy_snapshot_front() - one front of a CPU
 * @heap: of mode percpu
 * @cpu: any possible one
 * @kind: whose
 * @szidx: size class
 * @to: filled in; while the front is in use its numbers are not of one moment
 *
 * Context: Any.
 */
void kpy_snapshot_front(struct kpy_heap *heap, int cpu, enum kpy_front_kind kind, u32 szidx,
			struct kpy_front_snapshot *to)
{
	const struct kpy_front *f = front_of(heap, cpu, kind, szidx);

	to->allocs = READ_ONCE(f->allocs);
	to->frees = READ_ONCE(f->frees);
	to->loaded = mag_blocks(READ_ONCE(f->top));
	to->full = READ_ONCE(f->nr_full) * MAG_BLOCKS;
}

/**
 * kpy_percpu_stats() - what the fronts count
 * @heap: of mode percpu
 * @szidx: size class
 * @allocs: blocks that users got are added
 * @frees: blocks that users gave back are added
 *
 * Context: heap->lock held.
 * Return: blocks in magazines.
 */
u64 kpy_percpu_stats(struct kpy_heap *heap, u32 szidx, u64 *allocs, u64 *frees)
{
	u64 cached = (u64)heap->depot[szidx].nr * MAG_BLOCKS;
	struct kpy_front_snapshot s;
	int cpu, kind;

	for_each_possible_cpu(cpu) {
		for (kind = 0; kind < KPY_NR_FRONTS; kind++) {
			kpy_snapshot_front(heap, cpu, kind, szidx, &s);
			*allocs += s.allocs;
			*frees += s.frees;
			cached += s.loaded + s.full;
		}
	}
	return cached;
}

/**
 * kpy_percpu_init() - give a heap its fronts
 * @heap: zeroed but for its constants
 *
 * Context: Process, may sleep.
 * Return: 0 or -ENOMEM.
 */
int kpy_percpu_init(struct kpy_heap *heap)
{
	u32 i, nr = KPY_NR_FRONTS * heap->nr_classes;
	int cpu;

	heap->front = __alloc_percpu(nr * sizeof(*heap->front), SMP_CACHE_BYTES);
	if (!heap->front)
		return -ENOMEM;
	for_each_possible_cpu(cpu)
		for (i = 0; i < nr; i++)
			(per_cpu_ptr(heap->front, cpu) + i)->top = NO_MAGAZINE;
	heap->fast_max = heap->geo.max_small;
	mutex_lock(&percpu_lock);
	if (list_empty(&percpu_heaps))
		schedule_delayed_work(&ticker, TICK);
	list_add_tail(&heap->percpu, &percpu_heaps);
	mutex_unlock(&percpu_lock);
	return 0;
}

/**
 * kpy_percpu_exit() - take a heap's fronts away, their blocks go to the pools
 * @heap: nobody uses it any more
 *
 * Context: Process, may sleep.
 */
void kpy_percpu_exit(struct kpy_heap *heap)
{
	int cpu;
	u32 i;

	if (!heap->front)
		return;
	mutex_lock(&percpu_lock);
	list_del(&heap->percpu);
	mutex_unlock(&percpu_lock);
	for_each_possible_cpu(cpu)
		drain_foreign_cpu(heap, cpu);
	for (i = 0; i < heap->nr_classes; i++)
		drain_depot(heap, i);
	free_empties(heap);
	free_percpu(heap->front);
}

/**
 * kpy_percpu_module_init() - once, before the first heap
 *
 * Context: Process, may sleep.
 * Return: 0 or -errno.
 */
int __init kpy_percpu_module_init(void)
{
	int err;

	mag_cache = kmem_cache_create("kpy_magazine", KPY_MAG_BYTES, KPY_MAG_BYTES, 0, NULL);
	if (!mag_cache)
		return -ENOMEM;
	err = cpuhp_setup_state_nocalls(CPUHP_BP_PREPARE_DYN, "kpymalloc:dead", NULL, cpu_dead);
	if (err < 0) {
		kmem_cache_destroy(mag_cache);
		return err;
	}
	cpuhp_state = err;
	return 0;
}

/**
 * kpy_percpu_module_exit() - once, after the last heap
 *
 * Context: Process, may sleep.
 */
void kpy_percpu_module_exit(void)
{
	cancel_delayed_work_sync(&ticker);
	cpuhp_remove_state_nocalls(cpuhp_state);
	kmem_cache_destroy(mag_cache);
}
