/* SPDX-License-Identifier: GPL-2.0 */
/* What the files of kpy hist share: hist.c loads, hist_read.c reads, hist_report.c prints. */
#ifndef _KPY_TOOLS_HIST_H
#define _KPY_TOOLS_HIST_H

#include "tracing.h"
#include "../bpf/hist.h"
#include "hist.skel.h"

#define HIST_SLOTS	(NR_HIST_CALLS * HIST_LOG2)	/* at most */

enum what {
	SIZE,
	WASTE,
	LATENCY,
	LIFE,
	NR_WHATS
};

extern const char *const hist_names[NR_WHATS];

struct class_row {
	struct hist_class key;
	struct hist_class_sum now;
	struct hist_class_sum since;	/* the last report */
};

struct hist_known {
	struct hist_known *next;
	__u32 id;
	__u32 align;			/* 0: it went before anything told */
	char name[HIST_NAME];
};

struct hist {
	struct tracing t;
	/* asked for */
	enum what what;
	bool linear;
	u64 step;			/* 0: the alignment of the heap */
	bool milliseconds;
	u64 max_blocks;
	/* counted */
	struct hist_bpf *skel;
	__u32 nr_slots;
	u64 seen[HIST_SLOTS];		/* in all reports so far */
	u64 slots[HIST_SLOTS];		/* since the last one */
	struct hist_paths paths_seen[NR_HIST_CALLS];
	struct hist_paths paths[NR_HIST_CALLS];
	struct class_row *rows;
	size_t nr_rows;
	struct hist_known *heaps;
};

_Static_assert(HIST_SLOTS >= HIST_LINEAR, "histograms are in one array");

int hist_align(const char *heap, u64 *align);	/* as debugfs_read() */
void hist_read_slots(struct hist *h);
void hist_read_paths(struct hist *h);
int hist_read_classes(struct hist *h);		/* and the heaps they are of */
int hist_read_heaps(struct hist *h);
struct hist_known *hist_heap(struct hist *h, __u32 id);

bool hist_filtered(const struct hist *h);
int hist_report(struct hist *h);
void hist_conclude(struct hist *h);

#endif
