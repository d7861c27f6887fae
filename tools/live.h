/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The blocks in use as bpf/live.bpf.c follows them, for kpy leak, pin and flame.
 *
 *	live_begin()	attaches; notes what the heaps hold already
 *	live_read()	the blocks and the heaps' numbers of now
 *	live_remarks()	what a report must say besides: what had been there
 *			before, heaps that went, what was lost
 *	live_end()
 */
#ifndef _KPY_LIVE_H_
#define _KPY_LIVE_H_

#include "holders.h"
#include "tracing.h"
#include "../bpf/live.h"

struct live_bpf;

/* A heap as kpy knows it. */
struct live_known {
	struct live_known *next;
	__u32 id;
	char *name;
	struct live_heap now;
	u64 align;
	u64 bytes_at_start;		/* of small blocks, by class */
	bool started;			/* it was there when tracing began */
	bool end_said;
};

struct live {
	struct tracing t;
	/* asked for */
	bool sites;			/* call sites instead of stacks */
	__u32 max_blocks;
	/* how far it has come */
	struct live_bpf *skel;
	struct stacks *stacks;
	struct live_known *heaps;
};

#define LIVE_BLOCKS	(1 << 20)
#define LIVE_INIT	{ .t = TRACING_INIT(), .max_blocks = LIVE_BLOCKS }

extern const struct argp live_argp;	/* a child parser, its input a struct live */

typedef void (*live_visit)(const struct live_block *b, void *arg);

int live_begin(struct live *l);
int live_read(struct live *l, live_visit visit, void *arg);
const struct frames *live_frames(struct live *l, const struct live_block *b);
bool live_complete(const struct live *l);
bool live_knows_all(struct live *l, __u32 heap);	/* its small blocks, whoever has them */
void live_remarks(struct live *l, FILE *out);
int live_end(struct live *l, int err);

/* snapshot.c: what is outstanding, kept in a file */
int snapshot_write(const char *path, const struct holders *all);
int snapshot_diff(const char *before, const char *after, u64 top, bool json);

#endif
