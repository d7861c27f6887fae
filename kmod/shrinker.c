// SPDX-License-Identifier: GPL-2.0
/*
 * L5: when memory is short, all heaps return what no block needs.
 *
 * The kernel calls this from kswapd and from any allocation that may reclaim, our
 * own included: so only RCU and heap->lock are taken here, which nobody holds while
 * allocating.  Draining CPUs means waiting for them; a worker does that, at most
 * once per second.
 */
#include <linux/jiffies.h>
#include <linux/shrinker.h>
#include <linux/workqueue.h>

#include "internal.h"

static struct shrinker *shrinker;
static unsigned long last_drain;

static void drain_heap(struct kpy_heap *heap, void *arg)
{
	if (heap->ops->trim)
		kpy_heap_trim(heap);
}

static void drain_worker(struct work_struct *work)
{
	kpy_heaps_each(drain_heap, NULL);
}

static DECLARE_WORK(drain_work, drain_worker);

static void drain_soon(void)
{
	if (time_is_after_jiffies(READ_ONCE(last_drain) + HZ))
		return;
	WRITE_ONCE(last_drain, jiffies);
	queue_work(system_unbound_wq, &drain_work);
}

static void add_releasable(struct kpy_heap *heap, void *pages)
{
	*(unsigned long *)pages += kpy_reclaimable_pages(heap);
	/* How much is cached is unknown; never say nothing, so that we are asked. */
	if (heap->ops->trim)
		++*(unsigned long *)pages;
}

static unsigned long count_objects(struct shrinker *s, struct shrink_control *sc)
{
	unsigned long pages = 0;

	kpy_heaps_each_rcu(add_releasable, &pages);
	return pages ?: SHRINK_EMPTY;
}

/* Pages that are wanted, and that were freed. */
struct scan {
	unsigned long want;
	unsigned long done;
};

static void release_some(struct kpy_heap *heap, void *arg)
{
	struct scan *scan = arg;

	if (heap->ops->trim)
		drain_soon();
	if (scan->done < scan->want)
		scan->done += kpy_reclaim_some(heap, scan->want - scan->done);
}

static unsigned long scan_objects(struct shrinker *s, struct shrink_control *sc)
{
	struct scan scan = { .want = sc->nr_to_scan };

	kpy_heaps_each_rcu(release_some, &scan);
	sc->nr_scanned = scan.done;
	kpy_count_reclaimed(scan.done);
	return scan.done ?: SHRINK_STOP;
}

/**
 * kpy_shrinker_init() - once, before the first heap
 *
 * Context: Process, may sleep.
 * Return: 0 or -ENOMEM.
 */
int __init kpy_shrinker_init(void)
{
	last_drain = jiffies;
	shrinker = shrinker_alloc(0, "kpymalloc");
	if (!shrinker)
		return -ENOMEM;
	shrinker->count_objects = count_objects;
	shrinker->scan_objects = scan_objects;
	shrinker->seeks = DEFAULT_SEEKS;
	shrinker_register(shrinker);
	return 0;
}

/**
 * kpy_shrinker_exit() - once, after the last heap
 *
 * Context: Process, may sleep.
 */
void kpy_shrinker_exit(void)
{
	shrinker_free(shrinker);
	cancel_work_sync(&drain_work);
}
