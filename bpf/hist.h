/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _KPY_HIST_H
#define _KPY_HIST_H

#define HIST_LOG2	64		/* slots: slot n is 2^n to 2^(n+1) - 1, slot 0 has 0, too */
#define HIST_LINEAR	65		/* slots, the last one for everything above */

/* Calls that are timed; each kind has HIST_LOG2 slots. */
enum hist_call {
	HIST_ALLOC,			/* kpy_alloc, kpy_zalloc, kpy_calloc */
	HIST_REALLOC,
	HIST_FREE,
	NR_HIST_CALLS
};

/* What happened during such a call. */
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

/* For latency: kept about a call until it returns. */
struct call_data {
	__u32 wanted;			/* had an event that passed the filter */
	__u32 paths;			/* bit mask of enum hist_path */
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

/* What remains known about a destroyed heap. */
struct hist_heap {
	__u32 align;			/* 0: unknown */
	char name[HIST_NAME];		/* "" while it exists */
};

#endif
