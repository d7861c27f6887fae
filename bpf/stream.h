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
	STREAM_FALLBACK,		/* a small request served by the general allocator */
	STREAM_LARGE_FREE,
	STREAM_POOL,			/* from, to: enum kpy_pool_state */
	STREAM_ARENA_NEW,
	STREAM_ARENA_MOVE,		/* from, to: free pools */
	STREAM_ARENA_RELEASE,
	STREAM_HEAP_END,
	STREAM_ARENAS_READ,		/* kpy has read the arena list; not an event */
};

/* One line.  What does not apply is 0, or KPY_ANY where numbers start at 0. */
struct stream_event {
	__u64 ns;
	__u64 latency;			/* of the call, once it has returned */
	__u64 lost;			/* records on all CPUs before this one */
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
	__u32 behind;			/* arena slot, see kpy_arena_move */
	__u32 stack;			/* id */
	char comm[KPY_COMM];
};

/* Per CPU; what was seen and not dropped reaches kpy. */
struct stream_counts {
	__u64 seen;
	__u64 dropped;
};

/* Kept about a call in calls.h: its last event, until the call's latency is known. */
struct call_data {
	struct stream_event event;
	__u64 pending;
	__u64 caller;			/* 0: unknown */
};

#endif
