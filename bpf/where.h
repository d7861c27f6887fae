/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _KPY_WHERE_H
#define _KPY_WHERE_H

/* What kmod/kpymalloc.h says in struct kpy_block_info of an address. */
struct where {
	__u64 address;
	__u64 start;		/* of the block */
	__u64 arena_serial;
	__u32 heap;
	__u32 arena;
	__u32 pool;
	__u32 block;
	__u32 szidx;
	__u32 size;
	__u32 in_use;
	__s32 error;		/* as of errno, negative: the address is in no block */
};

#endif
