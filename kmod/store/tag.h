/* SPDX-License-Identifier: GPL-2.0 */
/*
 * L0: the tag in a pool's header, by which a free knows its heap's pools and their class
 * without the lock.  kpymalloc.h includes this for its inlines; other modules need not.
 */
#ifndef _KPY_TAG_H
#define _KPY_TAG_H

#include <linux/compiler.h>
#include <linux/mm.h>
#include <linux/types.h>
#ifdef CONFIG_X86
#include <asm/asm.h>
#endif

#define KPY_POOL_TAG_OFFSET	24

/* May the pool header at @ptr be read? */
static __always_inline bool kpy_may_be_pooled(const void *ptr)
{
#ifdef CONFIG_X86
	return (long)ptr < 0;	/* kpy_tag_of() survives a fault in the kernel's half */
#else
	return (unsigned long)ptr - PAGE_OFFSET < (unsigned long)high_memory - PAGE_OFFSET;
#endif
}

/*
 * The tag in the header of the pool that @ptr, which may be anything, would lie in,
 * ^ the pool's address, see struct kpy_pool; 0 if there cannot be a pool.
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
