// SPDX-License-Identifier: GPL-2.0
/*
 * kpybench: what allocators cost, pattern by pattern.
 *
 * A measurement repeats a pattern a few times, with the same blocks in the same
 * order for every allocator.  The first repetition warms up; the minimum and the
 * median of the others are kept.  Each repetition ends with no block left.  The
 * cost of an allocator is its time minus that of the backend `none`.
 */
#include <linux/cpu.h>
#include <linux/err.h>
#include <linux/kernel.h>
#include <linux/lockdep.h>
#include <linux/preempt.h>
#include <linux/sort.h>
#include <linux/spinlock.h>
#include <linux/string.h>

#include "bench.h"

#define BATCH		4096		/* blocks live at one time */
#define PAIRS		20000
#define IRQ_PAIRS	2000
#define REFILLED	0x10000		/* blocks, in several arenas */
#define MIXED		100000		/* live blocks */
#define MIXED_SLICE	10000
#define LARGE		1064		/* bytes */
#define TRACE_REPS	3
#define SMP_OPS		0x8000		/* per thread */
#define SEED		42

static_assert(BENCH_SMP_REPS >= BENCH_REPS);

static const struct bench_pattern patterns[] = {
#define SECTIONS	.measure = bench_measure_sections, .reps = BENCH_REPS
#define PAIR		SECTIONS, .ops = PAIRS, .slice = PAIRS / 4
#define PAIR_IN(where_)	SECTIONS, .timed = STEP_PAIR_ATOMIC, .where = where_, .ops = IRQ_PAIRS, \
			.slice = IRQ_PAIRS, .size = BENCH_SIZE, .resizable = true
#define BATCHES		SECTIONS, .ops = BATCH, .slice = BATCH, .size = BENCH_SIZE, \
			.resizable = true
#define REFILLS		SECTIONS, .before = STEP_BATCH_THIN, .timed = STEP_BATCH_FILL, \
			.ops = REFILLED, .slice = REFILLED, .size = BENCH_SIZE, .resizable = true, \
			.trimmed = true
#define MIXES		SECTIONS, .ops = MIXED, .slice = MIXED_SLICE
#define THREADS		.reps = BENCH_SMP_REPS, .ops = SMP_OPS, .size = BENCH_SIZE, \
			.resizable = true
	{ "pair_fixed", PAIR, .timed = STEP_PAIR_FIXED, .size = BENCH_SIZE, .resizable = true },
	{ "pair_var", PAIR, .timed = STEP_PAIR_VAR, .size = BENCH_SIZE, .resizable = true },
	{ "pair_const", PAIR, .timed = STEP_PAIR_CONST, .size = BENCH_SIZE },
	{ "pair_large", PAIR, .timed = STEP_PAIR_VAR, .size = LARGE, .resizable = true },
	{ "pair_hardirq", PAIR_IN(BENCH_HARDIRQ) },
	{ "pair_softirq", PAIR_IN(BENCH_SOFTIRQ) },
	{ "batch_alloc", BATCHES, .timed = STEP_BATCH_ALLOC },
	{ "batch_fifo", BATCHES, .before = STEP_BATCH_ALLOC, .timed = STEP_BATCH_FIFO },
	{ "batch_lifo", BATCHES, .before = STEP_BATCH_ALLOC, .timed = STEP_BATCH_LIFO },
	{ "cross_free", BATCHES, .before = STEP_BATCH_ALLOC, .before_where = BENCH_OTHER_CPU,
	  .timed = STEP_BATCH_FIFO },
	{ "bulk16_alloc", BATCHES, .timed = STEP_BULK_ALLOC, .chunk = 16 },
	{ "bulk16_free", BATCHES, .before = STEP_BULK_ALLOC, .timed = STEP_BULK_FREE, .chunk = 16 },
	{ "bulk64_alloc", BATCHES, .timed = STEP_BULK_ALLOC, .chunk = 64 },
	{ "bulk64_free", BATCHES, .before = STEP_BULK_ALLOC, .timed = STEP_BULK_FREE, .chunk = 64 },
	{ "bulk256_alloc", BATCHES, .timed = STEP_BULK_ALLOC, .chunk = 256 },
	{ "bulk256_free", BATCHES, .before = STEP_BULK_ALLOC, .timed = STEP_BULK_FREE,
	  .chunk = 256 },
	{ "refill32", REFILLS, .chunk = 32 },
	{ "refill4096", REFILLS, .chunk = 4096 },
	{ "mixed_alloc", MIXES, .timed = STEP_MIXED_ALLOC },
	{ "mixed_random_free", MIXES, .before = STEP_MIXED_ALLOC, .timed = STEP_MIXED_FREE },
	{ "churn", MIXES, .before = STEP_MIXED_ALLOC, .timed = STEP_CHURN },
	{ "trace", .measure = bench_measure_sections, .reps = TRACE_REPS, .timed = STEP_TRACE,
	  .slice = MIXED_SLICE },
	{ "smp_pairs_one", bench_measure_pairs, THREADS },
	{ "smp_pairs_all", bench_measure_pairs, THREADS, .all_cpus = true },
	{ "smp_batch256_one", bench_measure_batches, THREADS },
	{ "smp_batch256_all", bench_measure_batches, THREADS, .all_cpus = true },
	{ "producer_consumer", bench_measure_transfer, THREADS, .all_cpus = true },
};

static DEFINE_SPINLOCK(results_lock);
static struct bench_result results[BENCH_RESULTS];
static unsigned int nr_results;

struct lab_error lab_bench_error;

/**
 * lab_bench_result - get a line of `results`
 * @i: number of the line, from 0
 * @result: filled in
 *
 * Context: Process context, any time.
 * Return: whether there is such a line.
 */
bool lab_bench_result(unsigned int i, struct bench_result *result)
{
	bool there;

	spin_lock(&results_lock);
	there = i < nr_results;
	if (there)
		*result = results[i];
	spin_unlock(&results_lock);
	return there;
}

static int add_result(const struct bench_result *result)
{
	bool room;

	spin_lock(&results_lock);
	room = nr_results < BENCH_RESULTS;
	if (room)
		results[nr_results++] = *result;
	spin_unlock(&results_lock);
	return room ? 0 : bench_refuse(-ENOSPC, "results are full, clear them first");
}

static const struct bench_pattern *find_pattern(const char *name)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(patterns); i++) {
		if (!strcmp(name, patterns[i].name))
			return &patterns[i];
	}
	return NULL;
}

static int compare_u64(const void *a, const void *b)
{
	u64 x = *(const u64 *)a, y = *(const u64 *)b;

	return x < y ? -1 : x > y;
}

/* Minimum and median of all repetitions but the first. */
static void summarize(struct bench_result *result, const struct bench_time *times, u32 reps)
{
	u64 ns[BENCH_SMP_REPS], cycles[BENCH_SMP_REPS];
	u32 i, kept = reps - 1;

	for (i = 0; i < kept; i++) {
		ns[i] = times[i + 1].ns;
		cycles[i] = times[i + 1].cycles;
	}
	sort(ns, kept, sizeof(*ns), compare_u64, NULL);
	sort(cycles, kept, sizeof(*cycles), compare_u64, NULL);
	result->min.ns = ns[0];
	result->min.cycles = cycles[0];
	result->median_ns = ns[kept / 2];
}

static int repeat(struct bench_run *run, struct bench_time *times)
{
	unsigned int i;
	int err = 0;

	for (i = 0; !err && i < run->pattern->reps; i++) {
		err = run->pattern->measure(run, &times[i]);
		bench_job_free_blocks(&run->job, run->backend);
	}
	return err;
}

static int measure(struct bench_run *run)
{
	struct bench_time times[BENCH_SMP_REPS] = {};
	struct bench_result result = {
		.backend = run->backend->name,
		.pattern = run->pattern->name,
		.size = run->job.size,
		.ops = run->ops,
	};
	int err;

	err = bench_job_open(&run->job, run->backend, SEED);
	if (err)
		return err;
	cpus_read_lock();	/* offlining would wait for a task pinned to the CPU */
	migrate_disable();
	err = repeat(run, times);
	migrate_enable();
	cpus_read_unlock();
	bench_job_close(&run->job, run->backend);
	if (err)
		return err;
	summarize(&result, times, run->pattern->reps);
	return add_result(&result);
}

/* @size: 0 for the pattern's own size. */
static int choose_size(struct bench_run *run, u64 size)
{
	const struct bench_pattern *p = run->pattern;
	u32 max = run->backend->max_size;

	if (size && !p->resizable)
		return bench_refuse(-EINVAL, "run: %s takes no size", p->name);
	if (size > KMALLOC_MAX_CACHE_SIZE)
		return bench_refuse(-ERANGE, "run: %llu bytes, at most %lu", size,
				    KMALLOC_MAX_CACHE_SIZE);
	run->job.size = size ?: p->size;
	if (p->timed == STEP_PAIR_VAR && max && run->job.size > max)
		return bench_refuse(-ERANGE, "run: %s has no blocks of %u bytes",
				    run->backend->name, run->job.size);
	return 0;
}

static int choose_ops(struct bench_run *run, const struct bench_trace *trace)
{
	run->ops = run->pattern->ops;
	run->job.count = min_t(u32, run->ops, MIXED);
	if (run->ops)
		return 0;
	if (!trace->ops)
		return bench_refuse(-ENOENT, "run: no trace has been taken");
	run->ops = trace->nr_ops;
	run->job.ops = trace->ops;
	run->job.count = trace->nr_blocks;
	return 0;
}

/**
 * lab_bench_run - measure a pattern on an allocator
 * @b: benchmark
 * @backend: name of the allocator
 * @pattern: name of the pattern
 * @size: block size, 0 for the pattern's default
 *
 * Context: Process context under @b->lock, may sleep and take long.
 * Return: 0, -EINVAL for an unknown name, -EBUSY while blocks are held, -ERANGE for too
 * big a block, -ENOENT without a heap or a trace, -ENODEV without a second CPU, -ENOMEM, -ENOSPC,
 * -EINTR on a signal.
 */
int lab_bench_run(struct lab_bench *b, const char *backend, const char *pattern, u64 size)
{
	struct bench_run run = {
		.backend = bench_backend_find(backend),
		.pattern = find_pattern(pattern),
	};
	int err;

	lockdep_assert_held(&b->lock);
	if (!run.backend)
		return bench_refuse(-EINVAL, "run: no backend '%*pE'", (int)strlen(backend),
				    backend);
	if (!run.pattern)
		return bench_refuse(-EINVAL, "run: no pattern '%*pE'", (int)strlen(pattern),
				    pattern);
	if (b->held_by)
		return bench_refuse(-EBUSY, "run: blocks are held, release them first");
	err = choose_size(&run, size);
	if (err)
		return err;
	err = choose_ops(&run, &b->trace);
	if (err)
		return err;
	run.job.heap = b->heap;
	run.job.chunk = run.pattern->chunk;
	return measure(&run);
}

/**
 * lab_bench_clear - discard the results
 * @b: benchmark
 *
 * Context: Process context.
 * Return: 0.
 */
int lab_bench_clear(struct lab_bench *b)
{
	spin_lock(&results_lock);
	nr_results = 0;
	spin_unlock(&results_lock);
	return 0;
}

static void put_heap(struct lab_bench *b)
{
	if (b->heap)
		kpy_heap_put(b->heap);
	b->heap = NULL;
}

/**
 * lab_bench_set_heap - choose the heap to measure, or none
 * @b: benchmark
 * @name: name of the heap, empty to release the last one
 *
 * Context: Process context under @b->lock, may sleep.
 * Return: 0, -EBUSY while blocks are held, -ENOENT if there is no such heap.
 */
int lab_bench_set_heap(struct lab_bench *b, const char *name)
{
	struct kpy_heap *heap;

	lockdep_assert_held(&b->lock);
	if (b->held_by)
		return bench_refuse(-EBUSY, "heap: blocks are held, release them first");
	if (!*name) {
		put_heap(b);
		return 0;
	}
	heap = kpy_heap_get(name);
	if (IS_ERR(heap))
		return bench_refuse(PTR_ERR(heap), "heap: no heap '%*pE'", (int)strlen(name),
				    name);
	put_heap(b);
	b->heap = heap;
	return 0;
}

/**
 * lab_bench_init - start with no heap and no blocks
 * @b: benchmark, all zeroes
 * @replay: the replay to take traces from
 *
 * Context: Process context.
 */
void lab_bench_init(struct lab_bench *b, struct lab_replay *replay)
{
	mutex_init(&b->lock);
	b->replay = replay;
}

/**
 * lab_bench_exit - free everything
 * @b: benchmark that is no longer reachable
 *
 * Context: Process context, may sleep.
 */
void lab_bench_exit(struct lab_bench *b)
{
	if (b->held_by)
		bench_job_close(&b->held, b->held_by);
	bench_trace_free(&b->trace);
	put_heap(b);
	mutex_destroy(&b->lock);
}
