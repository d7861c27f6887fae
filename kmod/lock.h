/* SPDX-License-Identifier: GPL-2.0 */
/*
 * heap->lock where each instruction counts: a try, inlined.  The kernel keeps
 * raw_spin_trylock_irqsave() and its counterpart in functions of their own, to
 * be smaller; a pair of requests saves 40 instructions without them, and holds
 * off preemption by interrupts alone.  What debugs locks, and what has none, is
 * left as it is.
 */
#ifndef _KPY_LOCK_H
#define _KPY_LOCK_H

#include <linux/spinlock.h>

#include "types.h"

#if defined(CONFIG_SMP) && !defined(CONFIG_DEBUG_SPINLOCK) && !defined(CONFIG_DEBUG_LOCK_ALLOC)

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

static __always_inline bool kpy_trylock(struct kpy_heap *heap, unsigned long *flags)
{
	return raw_spin_trylock_irqsave(&heap->lock, *flags);
}

static __always_inline void kpy_unlock(struct kpy_heap *heap, unsigned long flags)
{
	raw_spin_unlock_irqrestore(&heap->lock, flags);
}

#endif

#endif
