/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _KPY_LIVE_H
#define _KPY_LIVE_H

/* A block that was handed out since tracing began and is not back yet. */
struct live_block {
	__u64 born;		/* ns, monotonic */
	__u64 call_site;
	__u64 size;		/* requested */
	__u32 heap;
	__u32 szidx;		/* KPY_ANY: a large block */
	__u32 arena;		/* slot; KPY_ANY: a large block */
	__u32 stack;		/* id, 0: only the call site is known */
};

/* A heap's numbers at one moment. */
struct live_moment {
	__u64 small;		/* blocks */
	__u64 units;		/* bytes of their classes, in units of the heap's alignment */
	__u64 small_bytes;	/* requested; of a block that had been there before, its class's */
	__u64 large;
	__u64 large_bytes;
};

struct live_heap {
	struct live_moment tracked;	/* is in the table of blocks */
	struct live_moment freed;	/* was not when it was freed, so had been there before */
	__u64 lost;			/* blocks that found no room in the table */
	__u64 lost_bytes;		/* requested */
	/* when kpy read the module's numbers for the first time */
	__u64 starts;			/* how often it read them */
	struct live_moment tracked_at_start;
	struct live_moment freed_at_start;
	__u64 small_at_start;		/* the module's own numbers */
	__u64 large_at_start;
	__u64 large_bytes_at_start;
	/* the heap's end */
	__u32 ended;
	char name[32];
};

#endif
