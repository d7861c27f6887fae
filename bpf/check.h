/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _KPY_CHECK_H
#define _KPY_CHECK_H

#define CHECK_CLASSES	64

/* Totals of a heap's events on one CPU. */
struct totals {
	__u64 allocs;
	__u64 frees;
	__u64 reallocs;
	__u64 reallocs_in_place;
	__u64 large_allocs;
	__u64 large_frees;
	__u64 large_fallbacks;
	__u64 large_bytes;		/* now; wraps, only the sum over all CPUs is meaningful */
	__u64 in_use[CHECK_CLASSES];	/* likewise */
};

/* The module's counters of a destroyed heap, as far as the event carries them. */
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
