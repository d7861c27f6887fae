/* SPDX-License-Identifier: GPL-2.0 */
/*
 * L0: heap->lock, in one place.
 *
 * The lock word is taken inline: the kernel keeps raw_spin_lock_irqsave() and its
 * counterpart in functions of their own, which costs a pair of requests 40
 * instructions; and interrupts that are off hold off preemption as well.  Where locks
 * are debugged, or there are none, the kernel's functions are called.
 */
#ifndef _KPY_LOCK_H
#define _KPY_LOCK_H

#include <linux/spinlock.h>

#include "types.h"

#if defined(CONFIG_SMP) && !defined(CONFIG_DEBUG_SPINLOCK) && !defined(CONFIG_DEBUG_LOCK_ALLOC)

static __always_inline void kpy_lock(struct kpy_heap *heap, unsigned long *flags)
{
	local_irq_save(*flags);
	arch_spin_lock(&heap->lock.raw_lock);
}

static __always_inline bool kpy_trylock(struct kpy_heap *heap, unsigned long *flags)
{
	local_irq_save(*flags);
	if (likely(arch_spin_trylock(&heap->lock.raw_lock)))
		return true;
	local_irq_restore(*flags);
	return false;
}

static __always_inline void kpy_unlock(struct kpy_heap *heap, unsigned long flags)
{
	arch_spin_unlock(&heap->lock.raw_lock);
	local_irq_restore(flags);
}

#else

static __always_inline void kpy_lock(struct kpy_heap *heap, unsigned long *flags)
{
	raw_spin_lock_irqsave(&heap->lock, *flags);
}

static __always_inline bool kpy_trylock(struct kpy_heap *heap, unsigned long *flags)
{
	return raw_spin_trylock_irqsave(&heap->lock, *flags);
}

static __always_inline void kpy_unlock(struct kpy_heap *heap, unsigned long flags)
{
	raw_spin_unlock_irqrestore(&heap->lock, flags);
}

#endif

/**
 * kpy_heap_lock() - take heap->lock, and return a lingering pool to its arena
 * @heap: the heap
 *
 * So whoever has the lock finds all lists as CPython's would be.  Only fast paths use
 * kpy_trylock(): those of mode classic, which deal with the lingering pool, and those
 * that do not look at pools.  Fronts take heap->lock directly: nothing lingers there.
 *
 * Context: Any but NMI.
 * Return: flags for kpy_heap_unlock().
 */
static inline unsigned long kpy_heap_lock(struct kpy_heap *heap)
{
	unsigned long flags;

	kpy_lock(heap, &flags);
	if (unlikely(heap->lingering))
		heap->ops->settle(heap);
	return flags;
}

/**
 * kpy_heap_unlock() - release heap->lock
 * @heap: the heap
 * @flags: from kpy_heap_lock()
 *
 * Context: heap->lock held.
 */
static inline void kpy_heap_unlock(struct kpy_heap *heap, unsigned long flags)
{
	kpy_unlock(heap, flags);
}

#endif
