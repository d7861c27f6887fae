// SPDX-License-Identifier: GPL-2.0
/*
 * L5: returning memory that no block needs: on demand, and with release=pool also
 * by itself.
 *
 * Bonwick and Adams' working set: of the free pools, as many are freed as nobody
 * needed at any time since the last look, so traffic that takes and returns the same
 * pools keeps them.  An arena's worth of free pools always stays; otherwise a heap
 * that grows slowly would allocate an arena for each pool it takes.
 */
#include <linux/export.h>
#include <linux/sched.h>
#include <linux/workqueue.h>

#include "internal.h"
#include "lock.h"

static unsigned int pool_pages_shift(const struct kpy_heap *heap)
{
	return heap->pool_shift - PAGE_SHIFT;
}

/* Returns how many pools were freed, 0 if none is left. */
static unsigned long release_batch(struct kpy_heap *heap, unsigned long pools)
{
	struct kpy_reap reap;
	unsigned long flags = kpy_heap_lock(heap);

	kpy_arena_reap(heap, pools, &reap);
	kpy_heap_unlock(heap, flags);
	kpy_arena_free_reaped(heap, &reap);
	return reap.pools;
}

static void evict_kept(struct kpy_heap *heap)
{
	while (kpy_general_evict(heap))
		;
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

/* How many pools nobody needed since the last look. */
static unsigned long surplus(struct kpy_heap *heap)
{
	unsigned long flags = kpy_heap_lock(heap), low = heap->free_low;

	kpy_heap_unlock(heap, flags);
	return low > heap->pools_per_arena ? low - heap->pools_per_arena : 0;
}

static void release_worker(struct work_struct *work)
{
	struct kpy_heap *heap = container_of(to_delayed_work(work), struct kpy_heap, release_work);
	unsigned long flags;
	bool again;

	release_pools(heap, surplus(heap));

	flags = kpy_heap_lock(heap);
	heap->free_low = heap->free_pools;
	again = heap->free_pools > heap->pools_per_arena;
	heap->release_pending = again;
	kpy_heap_unlock(heap, flags);
	if (again)
		queue_delayed_work(system_unbound_wq, &heap->release_work, KPY_RELEASE_DELAY);
}

/**
 * kpy_heap_trim() - return all memory that no block needs
 * @heap: the heap
 *
 * Kept large blocks are freed, and cached blocks return to their pools; then wholly
 * free arenas are freed, also the last one, and with release=pool the pages of all free
 * pools.
 *
 * Context: Process, may sleep.
 * Return: how many pages were freed, of arenas and of magazines.
 */
unsigned long kpy_heap_trim(struct kpy_heap *heap)
{
	u64 held, drained;
	unsigned long pages;

	evict_kept(heap);
	held = READ_ONCE(heap->c.held_bytes);
	if (heap->ops->trim)
		heap->ops->trim(heap, true);
	drained = READ_ONCE(heap->c.held_bytes);
	pages = held > drained ? (held - drained) >> PAGE_SHIFT : 0;
	return pages + (release_pools(heap, ULONG_MAX) << pool_pages_shift(heap));
}
EXPORT_SYMBOL_GPL(kpy_heap_trim);

/**
 * kpy_reclaim_some() - free some pages without waiting for anybody
 * @heap: the heap
 * @pages: how many are wanted; one arena more may be freed
 *
 * Context: Any but NMI.
 * Return: how many were freed.
 */
unsigned long kpy_reclaim_some(struct kpy_heap *heap, unsigned long pages)
{
	unsigned long pools = pages >> pool_pages_shift(heap), done = 0, n;

	/* What becomes of their pages is the general allocator's to count. */
	evict_kept(heap);
	/* A wholly free arena is freed as a whole. */
	for (pools = max_t(unsigned long, pools, heap->pools_per_arena); done < pools; done += n) {
		n = release_batch(heap, pools - done);
		if (!n)
			break;
	}
	return done << pool_pages_shift(heap);
}

/**
 * kpy_reclaimable_pages() - what kpy_reclaim_some() could free
 * @heap: the heap
 *
 * Context: Any.
 * Return: pages, at this moment.
 */
unsigned long kpy_reclaimable_pages(const struct kpy_heap *heap)
{
	unsigned long pools = READ_ONCE(heap->free_pools);

	/* One arena is wholly free, or none. */
	if (heap->geo.release != KPY_RELEASE_POOL)
		pools = READ_ONCE(heap->nfp2lasta[heap->pools_per_arena]) ?
			heap->pools_per_arena : 0;
	return pools << pool_pages_shift(heap);
}

/**
 * kpy_reclaim_add() - from now on a heap returns memory by itself, if it is to
 * @heap: nobody uses it yet
 *
 * Context: Any.
 */
void kpy_reclaim_add(struct kpy_heap *heap)
{
	INIT_DELAYED_WORK(&heap->release_work, release_worker);
	heap->release_pending = heap->geo.release != KPY_RELEASE_POOL ||
				heap->flags & KPY_HEAP_ON_DEMAND;
	if (heap->ops->trim)
		kpy_ticker_start();
}

/**
 * kpy_reclaim_remove() - from now on a heap does not return memory by itself
 * @heap: nobody uses it any more
 *
 * Context: Process, may sleep.
 */
void kpy_reclaim_remove(struct kpy_heap *heap)
{
	unsigned long flags;

	cancel_delayed_work_sync(&heap->release_work);
	flags = kpy_heap_lock(heap);
	heap->release_pending = true;	/* blocks that are still cached must not queue it again */
	kpy_heap_unlock(heap, flags);
}
