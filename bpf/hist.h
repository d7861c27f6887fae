/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _KPY_HIST_H
#define _KPY_HIST_H

#define HIST_LOG2	64		/* slots: slot n is for 2^n … 2^(n+1) - 1, the first for 0 too */
#define HIST_LINEAR	65		/* slots, the last one for all that is above */

/* Calls whose time is taken; each has HIST_LOG2 slots. */
enum hist_call {
	HIST_ALLOC,			/* kpy_alloc, kpy_zalloc, kpy_calloc */
	HIST_REALLOC,
	HIST_FREE,
	NR_HIST_CALLS
};

/* What such a call came across. */
enum hist_path {
	HIST_ALL,
	HIST_NEW_POOL,
	HIST_NEW_ARENA,
	HIST_RELEASED,			/* an arena */
	NR_HIST_PATHS
};

struct hist_paths {
	__u64 calls[NR_HIST_PATHS];
	__u64 ns[NR_HIST_PATHS];
};

/* For latency, of a call until it ends. */
struct call_data {
	__u32 wanted;			/* had an event that the filter lets pass */
	__u32 paths;			/* bits by enum hist_path */
};

struct hist_class {
	__u32 heap;
	__u32 szidx;			/* KPY_ANY for large blocks */
};

struct hist_class_sum {
	__u64 blocks;
	__u64 sum;			/* waste: bytes requested; life: ns */
};

struct hist_born {
	__u64 ns;
	__u32 heap;
	__u32 szidx;
};

#define HIST_NAME	32

/* What is known of a heap also when it is gone. */
struct hist_heap {
	__u32 align;			/* 0: unknown */
	char name[HIST_NAME];		/* "" while it is there */
};

#endif
