/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _KPY_WHERE_H
#define _KPY_WHERE_H

/* An address and its struct kpy_block_info, see kmod/kpymalloc.h. */
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
	__s32 error;		/* negative errno if the address is in no block */
};

#endif
