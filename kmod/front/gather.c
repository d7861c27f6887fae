// SPDX-License-Identifier: GPL-2.0
/*
 * L3, mode percpu: which blocks of a class are cached, for those who have to tell them
 * from blocks in use.  Reads only.
 *
 * Each CPU copies what it has, in an interrupt: its shelves change with interrupts
 * off, and its front for tasks has a state that is written last.  Draining waits
 * meanwhile.  So this is exact while nobody allocates or frees blocks of the class;
 * otherwise a block that moves may be missed, or be gathered twice.
 */
#include <linux/cpu.h>
#include <linux/mutex.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/smp.h>
#include <linux/sort.h>

#include "front/magazine.h"
#include "internal.h"
#include "lock.h"

#define SLACK	64	/* magazines of room for blocks that are freed meanwhile */
#define BATCH	16	/* magazines of the depot that are copied under one lock */
#define TRIES	8	/* to read a depot that others use */

/**
 * struct kpy_request - a class's blocks are being gathered
 * @heap: the heap
 * @to: where they go
 * @szidx: the class
 * @cpu: which one is asked
 * @top: the depot's first magazine, and
 * @nr: their number when the depot was begun
 * @at: the next one to copy
 * @begin: blocks in @to before the depot's
 * @tries: how often the depot was begun
 * @full: there was no room
 */
struct kpy_request {
	struct kpy_heap *heap;
	struct kpy_gathered *to;
	u32 szidx;
	int cpu;
	struct kpy_magazine *top;
	u32 nr;
	struct kpy_magazine *at;
	u32 begin;
	u32 tries;
	bool full;
};

static void add(struct kpy_request *rq, void *const *blocks, u32 n)
{
	struct kpy_gathered *to = rq->to;

	rq->full |= n > to->room - to->nr;
	n = min(n, to->room - to->nr);
	memcpy(to->blocks + to->nr, blocks, n * sizeof(*blocks));
	to->nr += n;
}

static void add_front(struct kpy_request *rq, enum kpy_front_kind kind)
{
	const struct kpy_front *f = front_of(rq->heap, rq->cpu, kind, rq->szidx);

	add(rq, f->block, kpy_front_blocks(READ_ONCE(f->state)));
}

static void gather_cpu(void *arg)
{
	struct kpy_request *rq = arg;
	struct kpy_magazine *mag;

	add_front(rq, KPY_FRONT_TASK);
	add_front(rq, KPY_FRONT_IRQ);
	mag = per_cpu_ptr(rq->heap->cpu, rq->cpu)->shelf[rq->szidx].full;
	for (; mag; mag = mag->next)
		add(rq, mag->block, KPY_MAG_BLOCKS);
}

static void gather_cpus(struct kpy_request *rq)
{
	for_each_possible_cpu(rq->cpu) {
		if (cpu_online(rq->cpu))
			smp_call_function_single(rq->cpu, gather_cpu, rq, true);
		else
			gather_cpu(rq);
	}
}

/* Begin the depot, or begin it again because somebody used it meanwhile. */
static void begin_depot(struct kpy_request *rq, const struct kpy_shelf *depot)
{
	rq->to->nr = rq->begin;
	rq->top = depot->full;
	rq->nr = depot->nr;
	rq->at = depot->full;
	rq->tries++;
}

/* Returns false at the depot's end.  While draining waits, no magazine is freed. */
static bool gather_batch(struct kpy_request *rq)
{
	const struct kpy_shelf *depot = &rq->heap->depot[rq->szidx];
	unsigned long flags = kpy_heap_lock(rq->heap);
	u32 n;

	if (!rq->tries || ((rq->top != depot->full || rq->nr != depot->nr) && rq->tries < TRIES))
		begin_depot(rq, depot);
	for (n = 0; rq->at && n < BATCH; n++) {
		add(rq, rq->at->block, KPY_MAG_BLOCKS);
		rq->at = rq->at->next;
	}
	kpy_heap_unlock(rq->heap, flags);
	return rq->at && !rq->full;
}

static void gather_all(struct kpy_request *rq)
{
	cpus_read_lock();
	mutex_lock(&kpy_drain_lock);
	gather_cpus(rq);
	rq->begin = rq->to->nr;
	while (gather_batch(rq))
		cond_resched();
	mutex_unlock(&kpy_drain_lock);
	cpus_read_unlock();
}

static u32 room_for(struct kpy_heap *heap, u32 szidx)
{
	unsigned long flags = kpy_heap_lock(heap);
	u64 allocs = 0, cached = heap->ops->count(heap, szidx, &allocs);

	kpy_heap_unlock(heap, flags);
	return cached + SLACK * KPY_MAG_BLOCKS;
}

static int by_address(const void *a, const void *b)
{
	unsigned long x = *(const unsigned long *)a, y = *(const unsigned long *)b;

	return x < y ? -1 : x > y;
}

/**
 * kpy_gather() - copy the addresses of the cached blocks of a class
 * @heap: of any mode
 * @szidx: size class
 * @to: filled in, sorted; its @blocks are to be given to kvfree()
 *
 * Context: Process, may sleep.
 * Return: 0 or -ENOMEM.
 */
int kpy_gather(struct kpy_heap *heap, u32 szidx, struct kpy_gathered *to)
{
	struct kpy_request rq;

	memset(to, 0, sizeof(*to));
	if (!heap->cpu)
		return 0;
	do {
		kvfree(to->blocks);
		rq = (struct kpy_request){ .heap = heap, .to = to, .szidx = szidx };
		to->nr = 0;
		to->room = max(2 * to->room, room_for(heap, szidx));
		to->blocks = kvmalloc_array(to->room, sizeof(*to->blocks), GFP_KERNEL);
		if (!to->blocks)
			return -ENOMEM;
		gather_all(&rq);
	} while (rq.full);
	sort(to->blocks, to->nr, sizeof(*to->blocks), by_address, NULL);
	return 0;
}
