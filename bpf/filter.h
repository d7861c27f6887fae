/* SPDX-License-Identifier: GPL-2.0 */
/* Which events a tracing command looks at; set before the programs are loaded. */
#ifndef _KPY_FILTER_H
#define _KPY_FILTER_H

#define KPY_ANY		(~0U)
#define KPY_COMM	16

struct kpy_filter {
	__u64 min_size;		/* bytes requested; for frees of small blocks, the class size */
	__u64 max_size;
	__u32 heap;		/* id or KPY_ANY */
	__u32 szidx;		/* size class or KPY_ANY; large blocks have none */
	__u32 pid;		/* process id or KPY_ANY */
	__u32 by_comm;
	char comm[KPY_COMM];
};

#endif
