/* SPDX-License-Identifier: GPL-2.0 */
/*
 * L3, mode percpu: the paths that take no lock.  kpymalloc.h includes this for
 * its inlines; nobody else needs to.
 *
 * They run with preemption off on what belongs to this CPU's tasks alone;
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
#ifdef CONFIG_X86
#include <asm/asm.h>
#endif

struct kpy_heap;

#define KPY_FRONT_WORDS		64
#define KPY_FRONT_EMPTY		sizeof(u64)
#define KPY_FRONT_FULL		((KPY_FRONT_WORDS - 1) * sizeof(u64))
#define KPY_FRONT_ALLOC		BIT(16)
#define KPY_FRONT_TOP_WORD	(IS_ENABLED(CONFIG_CPU_BIG_ENDIAN) ? 3 : 0)
#define KPY_POOL_TAG_OFFSET	24

/**
 * struct kpy_front - blocks that a CPU has at hand of one size class, a LIFO
 * @state: blocks ever handed out here << 16 | bytes from here to the top block,
 *         %KPY_FRONT_EMPTY to %KPY_FRONT_FULL: one word, so that counting is free
 *         and a reader sees both at one moment
 * @none: NULL, what the top of an empty front is
 * @block: the blocks, the last one freed on top; in their pools they count as
 *         handed out
 *
 * Touched by its CPU alone: the one for tasks with preemption off, the one for
 * interrupts with interrupts off.  Of a CPU that is dead, by who drains it.
 */
struct kpy_front {
	u64 state;
	void *none;
	void *block[KPY_FRONT_WORDS - 2];
};

#define KPY_FAST_MAX		512	/* bytes, the largest request that has a front */

/**
 * struct kpy_fast - what allocations read of a heap, its first member
 * @max: mode percpu: %KPY_FAST_MAX; 0 in mode classic
 * @front: by size of a request: the front that serves it for tasks, or one that
 *         has nothing
 */
struct kpy_fast {
	unsigned long max;
	struct kpy_front __percpu *front[KPY_FAST_MAX + 1];
};

/* On while allocations, or frees, have to be seen one by one, under heap->lock. */
DECLARE_STATIC_KEY_FALSE(kpy_alloc_slowly);
DECLARE_STATIC_KEY_FALSE(kpy_free_slowly);

static __always_inline bool kpy_in_interrupt(void)
{
	return preempt_count() & (NMI_MASK | HARDIRQ_MASK | SOFTIRQ_OFFSET);
}

#define kpy_front_at(front, top) \
	(*(void * __percpu *)((char __percpu *)(front) + (top)))

/* The low half word alone, which is all that is needed. */
static __always_inline u16 kpy_front_read_top(struct kpy_front __percpu *front)
{
	return raw_cpu_read(*((u16 __percpu *)&front->state + KPY_FRONT_TOP_WORD));
}

/* NULL if there is none, or while somebody traces.  Not in an interrupt. */
static __always_inline void *kpy_front_pop(struct kpy_front __percpu *front)
{
	void *block = NULL;

	preempt_disable();
	if (!static_branch_unlikely(&kpy_alloc_slowly)) {
		block = raw_cpu_read(kpy_front_at(front, kpy_front_read_top(front)));
		if (likely(block))
			raw_cpu_add(front->state, KPY_FRONT_ALLOC - sizeof(void *));
	}
	preempt_enable();
	return block;
}

/*
 * False if it is full, if @ptr was freed just now already, or while somebody traces.
 * Not in an interrupt.
 */
static __always_inline bool kpy_front_push(struct kpy_front __percpu *front, void *ptr)
{
	bool done = false;
	u16 top;

	preempt_disable();
	top = kpy_front_read_top(front);
	if (!static_branch_unlikely(&kpy_free_slowly) && likely(top < KPY_FRONT_FULL) &&
	    likely(raw_cpu_read(kpy_front_at(front, top)) != ptr)) {
		raw_cpu_write(kpy_front_at(front, top + sizeof(void *)), ptr);
		raw_cpu_add(front->state, sizeof(void *));
		done = true;
	}
	preempt_enable();
	return done;
}

/* May the header of the pool be looked at that @ptr would lie in? */
static __always_inline bool kpy_may_be_pooled(const void *ptr)
{
#ifdef CONFIG_X86
	return (long)ptr < 0;	/* kpy_tag_of() bears what is no memory of the kernel's half */
#else
	return (unsigned long)ptr - PAGE_OFFSET < (unsigned long)high_memory - PAGE_OFFSET;
#endif
}

/*
 * What the pool of @ptr, which may be anything, says that it is: the word in its header
 * ^ its address, see struct kpy_pool; 0 if there can be none.
 */
static __always_inline unsigned long kpy_tag_of(const void *ptr, unsigned long pool_mask)
{
	unsigned long tag = (unsigned long)ptr & pool_mask;
	unsigned long *word = (unsigned long *)(tag + KPY_POOL_TAG_OFFSET);

	if (unlikely(!kpy_may_be_pooled((void *)tag)))
		return 0;
#ifdef CONFIG_X86
	asm volatile("1:	xor %1, %0\n"
		     "2:\n"
		     _ASM_EXTABLE_TYPE_REG(1b, 2b, EX_TYPE_ZERO_REG, %0)
		     : "+r" (tag) : "m" (*word));
#else
	tag ^= READ_ONCE_NOCHECK(*word);
#endif
	return tag;
}

#endif
