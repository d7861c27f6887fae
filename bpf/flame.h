/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _KPY_FLAME_H
#define _KPY_FLAME_H

struct flame_key {
	__u64 call_site;
	__u32 stack;		/* id, 0: only the call site is known */
	__u32 unused;
};

struct flame_sum {
	__u64 blocks;
	__u64 bytes;		/* requested */
};

#endif
