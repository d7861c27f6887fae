/* SPDX-License-Identifier: GPL-2.0 */
/*
 * kpybench: every structure and prototype of the benchmark.
 *
 *   bench.c           commands: what is measured, how often, what is remembered
 *   bench_patterns.h  the loops that are timed, for any allocator
 *   bench_steps.h     the loops with the calls of one allocator
 *   bench_backends.c  the allocators
 *   bench_job.c       the memory a measurement needs besides the blocks
 *   bench_trace.c     what a recorded program asks of an allocator
 *   bench_section.c   times a loop: here, in an interrupt, on blocks of another CPU
 *   bench_smp.c       times threads on several CPUs at once
 *   bench_hold.c      blocks that are held while somebody counts free pages
 *   bench_debugfs.c   the files
 *
 * A pattern is a step that is timed and maybe one before it that is not.  A step
 * does the ops from one number to another of a job, calling its allocator
 * directly, and says where it stopped, which is where there was no memory.
 */
#ifndef _KPYLAB_BENCH_H
#define _KPYLAB_BENCH_H

#include <linux/mutex.h>
#include <linux/types.h>

#include "lab.h"

#define BENCH_SIZE	64		/* bytes of a block if nobody says otherwise */
#define BENCH_REPS	6		/* of a measurement; the first warms up */
#define BENCH_SMP_REPS	40		/* short ones: all CPUs must be left in peace */
#define BENCH_RESULTS	512		/* lines in `results` */

/* As users write it; interrupts are off, and a checking kernel would object. */
#ifdef CONFIG_DEBUG_ATOMIC_SLEEP
#define BENCH_GFP	GFP_NOWAIT
#else
#define BENCH_GFP	GFP_KERNEL
#endif

/* What is done to a block. */
enum bench_op_kind {
	BENCH_ALLOC,
	BENCH_ZALLOC,
	BENCH_REALLOC,
	BENCH_FREE,
};

/**
 * struct bench_op - a request of a recorded program
 * @kind: what is done
 * @size: bytes asked for
 * @block: to which block
 */
struct bench_op {
	u16 kind;
	u16 size;
	u32 block;
};

/**
 * struct bench_trace - the small requests of a recorded program
 * @ops: they, as many as @nr_ops; %NULL if there is no trace
 * @nr_ops: requests
 * @nr_blocks: numbers of blocks, each used but once
 */
struct bench_trace {
	struct bench_op *ops;
	u32 nr_ops;
	u32 nr_blocks;
};

/**
 * struct bench_job - what a step works on
 * @heap: for kpymalloc
 * @fixed: its handle for blocks of @size; no heap in it if they have none
 * @cache: for blocks of @size, if the backend is a kmem_cache
 * @classes: for blocks of any size up to %KPY_SMALL_MAX, likewise
 * @blocks: @count of them; %NULL where there is none
 * @sizes: of @blocks, where they differ
 * @ops: of a recorded program
 * @fresh: of the blocks that come in their place
 * @order: a permutation of their numbers
 * @count: of blocks
 * @size: of all blocks, where they do not differ
 * @chunk: blocks had or freed by one bulk call, or of which one stays
 */
struct bench_job {
	struct kpy_heap *heap;
	struct kpy_cache fixed;
	struct kmem_cache *cache;
	struct lab_caches classes;
	void **blocks;
	u16 *sizes;
	const struct bench_op *ops;
	u16 *fresh;
	u32 *order;
	u32 count;
	u32 size;
	u32 chunk;
};

typedef u32 (*bench_step_fn)(const struct bench_job *job, u32 from, u32 to);

enum bench_step {
	STEP_NOTHING,
	STEP_PAIR_FIXED,	/* alloc and free a block of a size known beforehand */
	STEP_PAIR_VAR,		/* ... of a size that is read each time */
	STEP_PAIR_CONST,	/* ... of BENCH_SIZE, known to the compiler */
	STEP_PAIR_ATOMIC,	/* PAIR_FIXED for interrupts */
	STEP_BATCH_ALLOC,
	STEP_BATCH_FIFO,
	STEP_BATCH_LIFO,
	STEP_BATCH_THIN,	/* alloc, then free all but one of each chunk */
	STEP_BATCH_FILL,	/* alloc those again */
	STEP_MIXED_ALLOC,
	STEP_MIXED_FREE,	/* in random order */
	STEP_CHURN,		/* a random block goes, another comes in its place */
	STEP_BULK_ALLOC,
	STEP_BULK_FREE,
	STEP_TRACE,
	BENCH_NR_STEPS,
};

/**
 * struct bench_backend - an allocator
 * @name: for commands and results
 * @open: prepares a job's caches; %NULL if there is nothing to prepare
 * @close: the reverse
 * @free: one block, however it was had
 * @trim: gives all pages back that no block needs; %NULL if there is no way
 * @max_size: of a block whose size is not known beforehand, 0 if there is no limit
 * @step: the loops, BENCH_NR_STEPS of them
 * @step_without: likewise for blocks that have no handle
 */
struct bench_backend {
	const char *name;
	int (*open)(struct bench_job *job);
	void (*close)(struct bench_job *job);
	void (*free)(const struct bench_job *job, void *ptr);
	void (*trim)(const struct bench_job *job);
	u32 max_size;
	const bench_step_fn *step;
	const bench_step_fn *step_without;
};

static inline bench_step_fn bench_step_of(const struct bench_backend *backend,
					  const struct bench_job *job, enum bench_step step)
{
	bool without = backend->step_without && !job->fixed.heap;

	return (without ? backend->step_without : backend->step)[step];
}

/**
 * struct bench_time - how long something took
 * @ns: nanoseconds
 * @cycles: of the time stamp counter
 */
struct bench_time {
	u64 ns;
	u64 cycles;
};

struct bench_pattern;

/**
 * struct bench_run - a measurement going on
 * @backend: the allocator
 * @pattern: what is done
 * @job: to what
 * @ops: of each step
 */
struct bench_run {
	const struct bench_backend *backend;
	const struct bench_pattern *pattern;
	struct bench_job job;
	u32 ops;
};

/* Where a step is done. */
enum bench_where {
	BENCH_HERE,
	BENCH_HARDIRQ,
	BENCH_SOFTIRQ,
	BENCH_OTHER_CPU,
};

/**
 * struct bench_pattern - what can be measured
 * @name: for commands and results
 * @measure: does one repetition; it leaves blocks, which are freed afterwards
 * @before: step that is not timed
 * @before_where: where
 * @timed: step that is
 * @where: where
 * @reps: repetitions
 * @ops: of each step, 0 for those of the trace
 * @slice: ops at one time with interrupts off
 * @chunk: blocks a bulk call, or of which one stays
 * @size: of blocks, 0 for mixed ones
 * @resizable: another size may be asked for
 * @trimmed: the allocator is, right before the timed step
 * @all_cpus: not only on one
 */
struct bench_pattern {
	const char *name;
	int (*measure)(struct bench_run *run, struct bench_time *time);
	enum bench_step before;
	enum bench_where before_where;
	enum bench_step timed;
	enum bench_where where;
	u32 reps;
	u32 ops;
	u32 slice;
	u32 chunk;
	u32 size;
	bool resizable;
	bool trimmed;
	bool all_cpus;
};

/**
 * struct bench_result - a line of `results`
 * @backend: name
 * @pattern: name
 * @size: of blocks, 0 for mixed ones
 * @ops: in @min and @median each
 * @min: of the repetitions, ns and cycles on their own
 * @median_ns: likewise
 */
struct bench_result {
	const char *backend;
	const char *pattern;
	u32 size;
	u32 ops;
	struct bench_time min;
	u64 median_ns;
};

/**
 * struct lab_bench - the one benchmark there is
 * @lock: of all that follows but the results
 * @heap: held; %NULL if none is chosen
 * @held_by: the backend of the blocks held, %NULL if there are none
 * @held: they
 * @replay: has the traces
 * @trace: taken from there
 */
struct lab_bench {
	struct mutex lock;	/* of all that follows */
	struct kpy_heap *heap;
	const struct bench_backend *held_by;
	struct bench_job held;
	struct lab_replay *replay;
	struct bench_trace trace;
};

extern struct lab_error lab_bench_error;

#define bench_refuse(err, ...) lab_report_refuse(&lab_bench_error, err, __VA_ARGS__)

/* bench.c APIs: */
void lab_bench_init(struct lab_bench *b, struct lab_replay *replay);
void lab_bench_exit(struct lab_bench *b);
int lab_bench_set_heap(struct lab_bench *b, const char *name);
int lab_bench_run(struct lab_bench *b, const char *backend, const char *pattern, u64 size);
int lab_bench_clear(struct lab_bench *b);
bool lab_bench_result(unsigned int i, struct bench_result *result);

/* bench_job.c APIs: */
int bench_job_open(struct bench_job *job, const struct bench_backend *backend, u64 seed);
void bench_job_close(struct bench_job *job, const struct bench_backend *backend);
void bench_job_free_blocks(struct bench_job *job, const struct bench_backend *backend);
void bench_shuffle(u32 *order, u32 count, u64 seed);

/* bench_backends.c APIs: */
const struct bench_backend *bench_backend_find(const char *name);

/* bench_trace.c APIs: */
int lab_bench_trace(struct lab_bench *b);
void bench_trace_free(struct bench_trace *t);

/* bench_section.c APIs: */
int bench_measure_sections(struct bench_run *run, struct bench_time *time);

/* bench_smp.c APIs: */
int bench_measure_pairs(struct bench_run *run, struct bench_time *time);
int bench_measure_batches(struct bench_run *run, struct bench_time *time);
int bench_measure_transfer(struct bench_run *run, struct bench_time *time);

/* bench_hold.c APIs: */
int lab_bench_hold(struct lab_bench *b, const char *backend, u64 count, u64 size);
int lab_bench_release(struct lab_bench *b, u64 percent, u64 seed);
int lab_bench_release_all(struct lab_bench *b);

/* bench_debugfs.c APIs: */
void lab_bench_debugfs_init(struct lab_bench *b, struct dentry *dir);

#endif
