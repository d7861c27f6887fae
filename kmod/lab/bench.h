/* SPDX-License-Identifier: GPL-2.0 */
/*
 * kpybench: all structures and prototypes of the benchmark.
 *
 *   bench.c           commands, patterns, repetitions, results
 *   bench_patterns.h  the timed loops, for any allocator
 *   bench_steps.h     these loops with the calls of one allocator
 *   bench_backends.c  the allocators
 *   bench_job.c       the memory a measurement needs besides the blocks
 *   bench_trace.c     the requests of a recorded program
 *   bench_section.c   times a loop: here, in an interrupt, on blocks of another CPU
 *   bench_smp.c       times threads on several CPUs at once
 *   bench_hold.c      holds blocks so that free pages can be counted
 *   bench_debugfs.c   the files
 *
 * A pattern is a timed step, which an untimed one may precede.  A step performs a
 * range of a job's ops with direct calls to the allocator, and returns where it
 * stopped: at the end of the range, or earlier if there was no memory.
 */
#ifndef _KPYLAB_BENCH_H
#define _KPYLAB_BENCH_H

#include <linux/mutex.h>
#include <linux/types.h>

#include "lab.h"

#define BENCH_SIZE	64		/* default bytes of a block */
#define BENCH_REPS	6		/* repetitions; the first one warms up */
#define BENCH_SMP_REPS	40		/* many short ones: noise on any CPU spoils one */
#define BENCH_RESULTS	512		/* lines in `results` */

/* As in real callers; but interrupts are off, and DEBUG_ATOMIC_SLEEP would complain. */
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
 * @kind: enum bench_op_kind
 * @size: bytes requested
 * @block: index of the block
 */
struct bench_op {
	u16 kind;
	u16 size;
	u32 block;
};

/**
 * struct bench_trace - the small requests of a recorded program
 * @ops: the requests; %NULL if there is no trace
 * @nr_ops: number of requests
 * @nr_blocks: bench_op.block is below this
 */
struct bench_trace {
	struct bench_op *ops;
	u32 nr_ops;
	u32 nr_blocks;
};

/**
 * struct bench_job - what a step works on
 * @heap: backend `kpymalloc`: the heap
 * @fixed: its kpy_cache for @size; without a heap if there is none for that size
 * @cache: backend `cache`: for blocks of @size
 * @classes: likewise, for any size up to %KPY_SMALL_MAX
 * @blocks: @count pointers; %NULL where there is no block
 * @sizes: sizes of @blocks, if mixed
 * @ops: requests of a recorded program
 * @fresh: sizes of the blocks that replace @blocks in STEP_CHURN
 * @order: permutation of the indices of @blocks
 * @count: number of blocks
 * @size: size of all blocks, 0 if mixed
 * @chunk: blocks per bulk call, or blocks of which one stays
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
	STEP_PAIR_FIXED,	/* alloc and free a block of a size read before the loop */
	STEP_PAIR_VAR,		/* ... of a size read each time */
	STEP_PAIR_CONST,	/* ... of BENCH_SIZE, a compile-time constant */
	STEP_PAIR_ATOMIC,	/* PAIR_FIXED with GFP_ATOMIC, for interrupts */
	STEP_BATCH_ALLOC,
	STEP_BATCH_FIFO,
	STEP_BATCH_LIFO,
	STEP_BATCH_THIN,	/* alloc, then free all but one of each chunk */
	STEP_BATCH_FILL,	/* alloc the freed ones again */
	STEP_MIXED_ALLOC,
	STEP_MIXED_FREE,	/* in random order */
	STEP_CHURN,		/* free a random block, alloc another in its place */
	STEP_BULK_ALLOC,
	STEP_BULK_FREE,
	STEP_TRACE,
	BENCH_NR_STEPS,
};

/**
 * struct bench_backend - an allocator
 * @name: name in commands and results
 * @open: prepares a job; %NULL if there is nothing to prepare
 * @close: undoes @open; %NULL if there is nothing to undo
 * @free: frees one block, whichever call allocated it
 * @trim: returns all unneeded pages to the system; %NULL if not possible
 * @max_size: largest size that is not fixed before the loop, 0 for no limit
 * @step: the loops, by enum bench_step
 * @step_without: likewise, for sizes without a kpy_cache; %NULL if the same
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
 * @cycles: cycles of the time stamp counter
 */
struct bench_time {
	u64 ns;
	u64 cycles;
};

struct bench_pattern;

/**
 * struct bench_run - a measurement in progress
 * @backend: the allocator
 * @pattern: the pattern
 * @job: what its steps work on
 * @ops: number of ops per step
 */
struct bench_run {
	const struct bench_backend *backend;
	const struct bench_pattern *pattern;
	struct bench_job job;
	u32 ops;
};

/* Where a step runs. */
enum bench_where {
	BENCH_HERE,
	BENCH_HARDIRQ,
	BENCH_SOFTIRQ,
	BENCH_OTHER_CPU,
};

/**
 * struct bench_pattern - what can be measured
 * @name: name in commands and results
 * @measure: does one repetition; its caller frees the blocks that are left
 * @before: untimed step that runs first
 * @before_where: where @before runs
 * @timed: timed step
 * @where: where @timed runs
 * @reps: number of repetitions
 * @ops: number of ops per step, 0 for those of the trace
 * @slice: number of ops per section with interrupts off
 * @chunk: blocks per bulk call, or blocks of which one stays
 * @size: block size, 0 for mixed sizes
 * @resizable: the user may choose another size
 * @trimmed: trim the allocator right before the timed step
 * @all_cpus: run on all CPUs, not just one
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
 * @backend: name of the allocator
 * @pattern: name of the pattern
 * @size: block size, 0 for mixed sizes
 * @ops: number of ops that @min and @median_ns cover
 * @min: minimum of the repetitions, for ns and cycles separately
 * @median_ns: median of the repetitions
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
 * struct lab_bench - the only benchmark; the results are in bench.c
 * @lock: protects everything below
 * @heap: the chosen heap, with a reference held; %NULL if there is none
 * @held_by: backend of the blocks held, %NULL if there are none
 * @held: job that holds them
 * @replay: where traces come from
 * @trace: small requests of the last trace taken
 */
struct lab_bench {
	struct mutex lock;	/* everything below */
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
