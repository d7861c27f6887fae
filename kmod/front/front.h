/* SPDX-License-Identifier: GPL-2.0 */
/*
 * L3, mode percpu: the paths that take no lock.  kpymalloc.h includes this for
 * its inlines; other modules need not.
 *
 * They run with preemption off, on data that only this CPU's tasks use;
 * interrupts have fronts of their own.
 *
 * After the magazines of Bonwick and Adams, "Magazines and Vmem" (2001).
 */
#ifndef _KPY_FRONT_H
#define _KPY_FRONT_H

#include <linux/bits.h>
#include <linux/jump_label.h>
#include <linux/mm.h>
#include <linux/percpu.h>
#include <linux/preempt.h>
#include <linux/types.h>

#include "store/tag.h"

struct kpy_heap;

#define KPY_FRONT_WORDS		64
#define KPY_FRONT_EMPTY		sizeof(u64)
#define KPY_FRONT_FULL		((KPY_FRONT_WORDS - 1) * sizeof(u64))
#define KPY_FRONT_ALLOC		BIT(16)
#define KPY_FRONT_TOP_WORD	(IS_ENABLED(CONFIG_CPU_BIG_ENDIAN) ? 3 : 0)

/**
 * struct kpy_front - free blocks of one size class that a CPU has cached, a LIFO
 * @state: blocks ever handed out here << 16 | bytes from here to the top block,
 *         %KPY_FRONT_EMPTY to %KPY_FRONT_FULL: one word, so that counting is free
 *         and a reader sees both at one moment
 * @none: NULL, the top of an empty front
 * @block: the blocks, the last one freed on top; their pools count them as in use
 *
 * Used by its CPU only: the front for tasks with preemption off, the front for
 * interrupts with interrupts off.  When the CPU is offline, by the task that drains it.
 */
struct kpy_front {
	u64 state;
	void *none;
	void *block[KPY_FRONT_WORDS - 2];
};

#define KPY_FAST_MAX		512	/* bytes, the largest request that has a front */

/**
 * struct kpy_fast - what allocations read first of a heap, its first member
 * @max: mode percpu: %KPY_FAST_MAX; 0 in mode classic
 * @front: by size of a request: the front that serves it for tasks, or one that
 *         is always empty
 */
struct kpy_fast {
	unsigned long max;
	struct kpy_front __percpu *front[KPY_FAST_MAX + 1];
};

/* On while each request has to take heap->lock, see trace.c. */
DECLARE_STATIC_KEY_FALSE(kpy_no_fast_path);

static __always_inline bool kpy_in_interrupt(void)
{
	return preempt_count() & (NMI_MASK | HARDIRQ_MASK | SOFTIRQ_OFFSET);
}

#define kpy_front_at(front, top) \
	(*(void * __percpu *)((char __percpu *)(front) + (top)))

/* Reads the low half word only, which is all that is needed. */
static __always_inline u16 kpy_front_read_top(struct kpy_front __percpu *front)
{
	return raw_cpu_read(*((u16 __percpu *)&front->state + KPY_FRONT_TOP_WORD));
}

/* NULL if the front is empty, or while somebody traces.  Not for interrupts. */
static __always_inline void *kpy_front_pop(struct kpy_front __percpu *front)
{
	void *block = NULL;

	preempt_disable();
	if (!static_branch_unlikely(&kpy_no_fast_path)) {
		block = raw_cpu_read(kpy_front_at(front, kpy_front_read_top(front)));
		if (likely(block))
			raw_cpu_add(front->state, KPY_FRONT_ALLOC - sizeof(void *));
	}
	preempt_enable();
	return block;
}

/*
 * False if the front is full, if @ptr is the block freed last, or while somebody traces.
 * Not for interrupts.
 */
static __always_inline bool kpy_front_push(struct kpy_front __percpu *front, void *ptr)
{
	bool done = false;
	u16 top;

	preempt_disable();
	top = kpy_front_read_top(front);
	if (!static_branch_unlikely(&kpy_no_fast_path) && likely(top < KPY_FRONT_FULL) &&
	    likely(raw_cpu_read(kpy_front_at(front, top)) != ptr)) {
		raw_cpu_write(kpy_front_at(front, top + sizeof(void *)), ptr);
		raw_cpu_add(front->state, sizeof(void *));
		done = true;
	}
	preempt_enable();
	return done;
}

#endif
