// SPDX-License-Identifier: GPL-2.0
/*
 * L5: twice a second every heap that caches blocks returns those that nobody missed
 * to its pools, so that memory at rest is returned within two ticks.
 */
#include <linux/workqueue.h>

#include "internal.h"

#define TICK	(HZ / 2)

static void tick(struct work_struct *work);
static DECLARE_DELAYED_WORK(ticker, tick);

static void tick_heap(struct kpy_heap *heap, void *any)
{
	if (!heap->ops->trim)
		return;
	heap->ops->trim(heap, false);
	*(bool *)any = true;
}

static void tick(struct work_struct *work)
{
	bool any = false;

	kpy_heaps_each(tick_heap, &any);
	if (any)
		schedule_delayed_work(&ticker, TICK);
}

/**
 * kpy_ticker_start() - there is a heap that caches blocks
 *
 * Context: Any.
 */
void kpy_ticker_start(void)
{
	schedule_delayed_work(&ticker, TICK);
}

/**
 * kpy_ticker_exit() - once, after the last heap
 *
 * Context: Process, may sleep.
 */
void kpy_ticker_exit(void)
{
	cancel_delayed_work_sync(&ticker);
}
