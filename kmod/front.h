/* SPDX-License-Identifier: GPL-2.0 */
/*
 * L3, mode percpu: the paths that take no lock, see struct kpy_front.  They run
 * with preemption off; an interrupt never touches the tasks' front, it takes
 * the slow path.
 *
 * After the magazines of Bonwick and Adams, "Magazines and Vmem" (2001).
 */
#ifndef _KPY_FRONT_H
#define _KPY_FRONT_H

#include <linux/mm.h>
#include <linux/percpu.h>
#include <linux/preempt.h>

#include "types.h"

static __always_inline bool kpy_in_interrupt(void)
{
	return preempt_count() & (NMI_MASK | HARDIRQ_MASK | SOFTIRQ_OFFSET);
}

/* The slot behind the last one of a magazine begins the next aligned array. */
static __always_inline bool kpy_mag_is_full(void **top)
{
	return !((unsigned long)(top + 1) & (KPY_MAG_BYTES - 1));
}

/* NULL if the magazine is empty or this is no place for it. */
static __always_inline void *kpy_front_pop(struct kpy_heap *heap, unsigned long szidx)
{
	struct kpy_front __percpu *front = heap->front + szidx;
	void **top, *block;

	if (unlikely(kpy_in_interrupt()))
		return NULL;
	preempt_disable();
	top = raw_cpu_read(front->top);
	block = *top;
	if (likely(block)) {
		raw_cpu_write(front->top, top - 1);
		raw_cpu_inc(front->allocs);
	}
	preempt_enable();
	return block;
}

/* Whether @ptr lies where pools may be: their headers can be read. */
static __always_inline bool kpy_may_be_pooled(const void *ptr)
{
	return (unsigned long)ptr - PAGE_OFFSET < (unsigned long)high_memory - PAGE_OFFSET;
}

/* False if the slow path has to look: not a block of this heap, magazine full, freed twice. */
static __always_inline bool kpy_front_push(struct kpy_heap *heap, void *ptr)
{
	struct kpy_pool *pool = (struct kpy_pool *)((unsigned long)ptr & heap->pool_mask);
	struct kpy_front __percpu *front;
	bool done = false;
	void **top;

	if (unlikely(!kpy_may_be_pooled(ptr)) ||
	    unlikely((pool->tag ^ (unsigned long)pool) != heap->secret) ||
	    unlikely(kpy_in_interrupt()))
		return false;
	front = heap->front + pool->szidx;
	preempt_disable();
	top = raw_cpu_read(front->top);
	if (likely(!kpy_mag_is_full(top)) && likely(*top != ptr)) {
		top[1] = ptr;
		raw_cpu_write(front->top, top + 1);
		raw_cpu_inc(front->frees);
		done = true;
	}
	preempt_enable();
	return done;
}

#endif
