/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Calls of the allocator that are under way, by task; see calls.bpf.h.  Who
 * includes this has defined struct call_data before: what a program keeps of
 * a call from its entry to its end, at most some 128 bytes.
 */
#ifndef _KPY_CALLS_H
#define _KPY_CALLS_H

#define CALL_DEPTH	4	/* a task's call, what interrupts it, and reclaim inside */

struct call {
	__u64 frame;		/* where on the stack; tells a task's calls apart */
	__u64 entered;		/* ns */
	struct call_data data;	/* zeroes at first */
};

struct calls {
	__u64 depth;
	struct call call[CALL_DEPTH];	/* the innermost is the last */
};

#endif
