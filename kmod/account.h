/* SPDX-License-Identifier: GPL-2.0 */
/* L0: how much a heap holds, how much it may hold, and the peaks. */
#ifndef _KPY_ACCOUNT_H
#define _KPY_ACCOUNT_H

#include <linux/minmax.h>

#include "types.h"

/**
 * kpy_count_held() - memory came from the system or returned to it
 * @heap: the heap
 * @bytes: how much, negative if it returned
 *
 * Context: heap->lock held.
 */
static inline void kpy_count_held(struct kpy_heap *heap, s64 bytes)
{
	lockdep_assert_held(&heap->lock);
	heap->c.held_bytes += bytes;
	heap->c.held_bytes_peak = max(heap->c.held_bytes_peak, heap->c.held_bytes);
}

/**
 * kpy_may_hold() - does the limit allow for more?
 * @heap: the heap
 * @bytes: how much more
 *
 * Context: heap->lock held.
 * Return: whether it does.
 */
static inline bool kpy_may_hold(const struct kpy_heap *heap, u64 bytes)
{
	lockdep_assert_held(&heap->lock);
	return heap->c.held_bytes + bytes <= heap->limit;
}

/**
 * kpy_count_large() - the requested bytes of large blocks changed
 * @heap: the heap
 * @bytes: by how much
 *
 * Context: heap->lock held.
 */
static inline void kpy_count_large(struct kpy_heap *heap, s64 bytes)
{
	lockdep_assert_held(&heap->lock);
	heap->c.large_bytes += bytes;
	heap->c.large_bytes_peak = max(heap->c.large_bytes_peak, heap->c.large_bytes);
}

#endif
