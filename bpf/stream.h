/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _KPY_STREAM_H
#define _KPY_STREAM_H

#include "filter.h"

#define STREAM_NO_LATENCY	(~0ULL)

enum stream_op {
	STREAM_ALLOC,
	STREAM_FREE,
	STREAM_REALLOC,
	STREAM_LARGE,
	STREAM_FALLBACK,		/* a small request that the general allocator served */
	STREAM_LARGE_FREE,
	STREAM_POOL,			/* from, to: enum kpy_pool_state */
	STREAM_ARENA_NEW,
	STREAM_ARENA_MOVE,		/* from, to: free pools */
	STREAM_ARENA_RELEASE,
	STREAM_HEAP_END,
	STREAM_ARENAS_READ,		/* kpy has read the list; no event of its own */
};

/* One line; what does not apply is 0, of numbers that start there KPY_ANY. */
struct stream_event {
	__u64 ns;
	__u64 latency;			/* of the call, once that is over */
	__u64 lost;			/* records on all CPUs, before this one */
	__u64 call_site;
	__u64 ptr;
	__u64 size;
	__u64 old;
	__u64 old_size;
	union {
		__u64 pool;
		__u64 serial;		/* of an arena */
	};
	__u32 op;
	__u32 cpu;
	__u32 pid;
	__u32 heap;
	__u32 szidx;
	__u32 arena;
	__u32 from;
	__u32 to;
	__u32 behind;			/* slot of an arena */
	__u32 stack;			/* id */
	char comm[KPY_COMM];
};

/* Of one CPU; what was seen and not dropped gets to kpy. */
struct stream_counts {
	__u64 seen;
	__u64 dropped;
};

/* What calls.h keeps of a call: its last event, until it is known how long it took. */
struct call_data {
	struct stream_event event;
	__u64 pending;
	__u64 caller;			/* 0: unknown */
};

#endif
