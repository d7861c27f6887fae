/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Allocator calls in progress, by task; see calls.bpf.h.  Define struct call_data
 * before including this: what a program keeps about a call from entry to return,
 * at most some 150 bytes.
 */
#ifndef _KPY_CALLS_H
#define _KPY_CALLS_H

#define CALL_DEPTH	4	/* the task's call, those of interrupts, and reclaim within */

struct call {
	__u64 frame;		/* position on the stack; distinguishes a task's calls */
	__u64 entered;		/* ns */
	struct call_data data;	/* zeroed at entry */
};

struct calls {
	__u64 depth;
	struct call call[CALL_DEPTH];	/* innermost last */
};

#endif
