/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _KPY_LIVE_H
#define _KPY_LIVE_H

/* A block allocated since tracing began and not freed yet. */
struct live_block {
	__u64 born;		/* ns, monotonic */
	__u64 call_site;
	__u64 size;		/* requested */
	__u32 heap;
	__u32 szidx;		/* KPY_ANY: a large block */
	__u32 arena;		/* slot; KPY_ANY: a large block */
	__u32 stack;		/* id, 0: only the call site is known */
};

/* A heap's counts at one moment. */
struct live_moment {
	__u64 small;		/* blocks */
	__u64 units;		/* their class sizes, in units of the heap's alignment */
	__u64 small_bytes;	/* requested; for blocks allocated earlier, the class size */
	__u64 large;
	__u64 large_bytes;
};

struct live_heap {
	struct live_moment tracked;	/* blocks in the table */
	struct live_moment freed;	/* blocks not in the table when freed: allocated earlier */
	__u64 lost;			/* blocks that found no room in the table */
	__u64 lost_bytes;		/* requested */
	/* when kpy read the module's counters for the first time */
	__u64 starts;			/* number of such reads */
	struct live_moment tracked_at_start;
	struct live_moment freed_at_start;
	__u64 small_at_start;		/* the module's own counters */
	__u64 large_at_start;
	__u64 large_bytes_at_start;
	/* when the heap was destroyed */
	__u32 ended;
	char name[32];
};

#endif
