// SPDX-License-Identifier: GPL-2.0
/*
 * L4: giving memory back that no block needs: on demand, and, with release=pool,
 * by itself.
 *
 * Bonwick and Adams' working set: of the free pools so many go as nobody needed
 * at any time since the last look, so traffic that takes and puts the same pools
 * keeps them.  An arena's worth of free pools always stays, or a heap that grows
 * slowly would have an arena for each pool it takes.
 *
 * Pages are taken in small batches under heap->lock and freed without it.
 */
#include <linux/export.h>
#include <linux/sched.h>
#include <linux/workqueue.h>

#include "internal.h"

static unsigned int pool_pages_shift(const struct kpy_heap *heap)
{
	return heap->pool_shift - PAGE_SHIFT;
}

/* Returns how many pools went, 0 if none is left. */
static unsigned long release_batch(struct kpy_heap *heap, unsigned long pools)
{
	struct kpy_reap reap;
	unsigned long flags;

	raw_spin_lock_irqsave(&heap->lock, flags);
	kpy_heap_settle(heap);
	kpy_arena_reap(heap, pools, &reap);
	raw_spin_unlock_irqrestore(&heap->lock, flags);
	kpy_arena_free_reaped(heap, &reap);
	return reap.pools;
}

static unsigned long release_pools(struct kpy_heap *heap, unsigned long pools)
{
	unsigned long done = 0, n;

	while (done < pools) {
		n = release_batch(heap, pools - done);
		if (!n)
			break;
		done += n;
		cond_resched();
	}
	return done;
}

/* So many pools were too many ever since the last look. */
static unsigned long surplus(struct kpy_heap *heap)
{
	unsigned long flags, low;

	raw_spin_lock_irqsave(&heap->lock, flags);
	low = heap->free_low;
	raw_spin_unlock_irqrestore(&heap->lock, flags);
	return low > heap->pools_per_arena ? low - heap->pools_per_arena : 0;
}

static void release_worker(struct work_struct *work)
{
	struct kpy_heap *heap = container_of(to_delayed_work(work), struct kpy_heap, release_work);
	unsigned long flags;
	bool again;

	release_pools(heap, surplus(heap));

	raw_spin_lock_irqsave(&heap->lock, flags);
	heap->free_low = heap->free_pools;
	again = heap->free_pools > heap->pools_per_arena;
	heap->release_pending = again;
	raw_spin_unlock_irqrestore(&heap->lock, flags);
	if (again)
		queue_delayed_work(system_unbound_wq, &heap->release_work, KPY_RELEASE_DELAY);
}

/**
 * kpy_heap_trim() - give all back that no block needs
 * @heap: the heap
 *
 * What CPUs have at hand, wholly free arenas, also one that was to be kept, and
 * with release=pool the pages of all free pools.
 *
 * Context: Process, may sleep.
 * Return: pages that went.
 */
unsigned long kpy_heap_trim(struct kpy_heap *heap)
{
	u64 held = READ_ONCE(heap->c.held_bytes), drained;
	unsigned long pages = 0;

	if (heap->mode == KPY_MODE_PERCPU) {
		kpy_percpu_drain(heap);
		drained = READ_ONCE(heap->c.held_bytes);
		pages = held > drained ? (held - drained) >> PAGE_SHIFT : 0;
	}
	return pages + (release_pools(heap, ULONG_MAX) << pool_pages_shift(heap));
}
EXPORT_SYMBOL_GPL(kpy_heap_trim);

/**
 * kpy_release_some() - give some pages back without waiting for anybody
 * @heap: the heap
 * @pages: how many are wanted; one arena more at most
 *
 * Context: Any but NMI.
 * Return: how many went.
 */
unsigned long kpy_release_some(struct kpy_heap *heap, unsigned long pages)
{
	unsigned long pools = pages >> pool_pages_shift(heap), done = 0, n;

	/* A wholly free arena goes as a whole. */
	for (pools = max_t(unsigned long, pools, heap->pools_per_arena); done < pools; done += n) {
		n = release_batch(heap, pools - done);
		if (!n)
			break;
	}
	return done << pool_pages_shift(heap);
}

/**
 * kpy_releasable_pages() - what kpy_release_some() could give back
 * @heap: the heap
 *
 * Context: Any.
 * Return: pages, at this moment.
 */
unsigned long kpy_releasable_pages(const struct kpy_heap *heap)
{
	unsigned long pools = READ_ONCE(heap->free_pools);

	/* One of them is wholly free, or none. */
	if (heap->geo.release != KPY_RELEASE_POOL)
		pools = READ_ONCE(heap->nfp2lasta[heap->pools_per_arena]) ?
			heap->pools_per_arena : 0;
	return pools << pool_pages_shift(heap);
}

/**
 * kpy_release_init() - let a heap give back pools by itself, if it is to
 * @heap: zeroed but for its constants
 *
 * Context: Any.
 */
void kpy_release_init(struct kpy_heap *heap)
{
	INIT_DELAYED_WORK(&heap->release_work, release_worker);
	heap->release_pending = heap->geo.release != KPY_RELEASE_POOL ||
				heap->flags & KPY_HEAP_ON_DEMAND;
}

/**
 * kpy_release_exit() - no more of that
 * @heap: nobody else knows it any more
 *
 * Context: Process, may sleep.
 */
void kpy_release_exit(struct kpy_heap *heap)
{
	cancel_delayed_work_sync(&heap->release_work);
}
