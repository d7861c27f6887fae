/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _KPY_RATE_H
#define _KPY_RATE_H

struct rate_caller {
	__u64 call_site;
	__u32 stack;			/* id, 0 if only call sites are distinguished */
	__u32 zero;
};

struct rate_counts {
	__u64 allocs;
	__u64 bytes;			/* requested */
	__u64 frees;
};

#endif
