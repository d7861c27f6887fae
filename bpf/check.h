/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _KPY_CHECK_H
#define _KPY_CHECK_H

#define CHECK_CLASSES	64

/* What the events of a heap add up to, on one CPU. */
struct totals {
	__u64 allocs;
	__u64 frees;
	__u64 reallocs;
	__u64 reallocs_in_place;
	__u64 large_allocs;
	__u64 large_frees;
	__u64 large_fallbacks;
	__u64 large_bytes;		/* now; wraps, only the sum over CPUs means something */
	__u64 in_use[CHECK_CLASSES];	/* likewise */
};

/* A heap's own numbers when it went; as many as the event carries. */
struct ended {
	char name[32];
	__u64 allocs;
	__u64 frees;
	__u64 reallocs;
	__u64 large_allocs;
	__u64 large_frees;
	__u64 large_bytes;
};

#endif
