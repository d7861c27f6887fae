// SPDX-License-Identifier: GPL-2.0
/*
 * What a step works on, set up before anything is timed: the array of blocks and,
 * for mixed sizes, the sizes and the order.  The same seed gives the same sizes
 * and the same order.
 */
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/prandom.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "bench.h"

#define BREATH		0x10000		/* blocks freed between two cond_resched() */

/**
 * bench_shuffle - put numbers into a random order
 * @order: filled with 0 to @count - 1
 * @count: number of entries
 * @seed: random seed
 */
void bench_shuffle(u32 *order, u32 count, u64 seed)
{
	struct rnd_state rnd;
	u32 i, other;

	prandom_seed_state(&rnd, seed);
	for (i = 0; i < count; i++)
		order[i] = i;
	for (i = count; i > 1; i--) {
		other = prandom_u32_state(&rnd) % i;
		swap(order[i - 1], order[other]);
	}
}

static void choose_sizes(u16 *sizes, u32 count, u64 seed)
{
	struct rnd_state rnd;
	u32 i;

	prandom_seed_state(&rnd, seed);
	for (i = 0; i < count; i++)
		sizes[i] = 1 + prandom_u32_state(&rnd) % KPY_SMALL_MAX;
}

static void free_arrays(struct bench_job *job)
{
	kvfree(job->order);
	kvfree(job->fresh);
	kvfree(job->sizes);
	kvfree(job->blocks);
	job->blocks = NULL;
	job->sizes = NULL;
	job->fresh = NULL;
	job->order = NULL;
}

static int alloc_arrays(struct bench_job *job, u64 seed)
{
	u32 mixed = job->size ? 0 : job->count;

	job->blocks = kvcalloc(job->count, sizeof(*job->blocks), LAB_GFP);
	job->sizes = kvcalloc(mixed, sizeof(*job->sizes), LAB_GFP);
	job->fresh = kvcalloc(mixed, sizeof(*job->fresh), LAB_GFP);
	job->order = kvcalloc(mixed, sizeof(*job->order), LAB_GFP);
	if (!job->blocks || !job->sizes || !job->fresh || !job->order) {
		free_arrays(job);
		return bench_refuse(-ENOMEM, "no memory to track %u blocks", job->count);
	}
	choose_sizes(job->sizes, mixed, seed);
	choose_sizes(job->fresh, mixed, seed + 1);
	bench_shuffle(job->order, mixed, seed + 2);
	return 0;
}

/**
 * bench_job_open - allocate everything a job needs
 * @job: the job; the caller has set its input fields and zeroed the rest
 * @backend: the allocator
 * @seed: seed for sizes and order, if @job->size is 0
 *
 * Context: Process context, may sleep.
 * Return: 0, -ENOMEM, -ENOENT if the allocator needs a heap and there is none.
 */
int bench_job_open(struct bench_job *job, const struct bench_backend *backend, u64 seed)
{
	u64 bytes = 2 * (job->size ?: KPY_SMALL_MAX / 2) + sizeof(*job->blocks) +
		    sizeof(*job->sizes) + sizeof(*job->fresh) + sizeof(*job->order);
	int err;

	if (!lab_room_for(job->count * bytes))
		return bench_refuse(-ENOMEM, "no memory for %u blocks", job->count);
	err = alloc_arrays(job, seed);
	if (err || !backend->open)
		return err;
	err = backend->open(job);
	if (err)
		free_arrays(job);
	return err;
}

/**
 * bench_job_free_blocks - free the blocks of a job
 * @job: the job
 * @backend: its allocator
 *
 * Context: Process context, may sleep.
 */
void bench_job_free_blocks(struct bench_job *job, const struct bench_backend *backend)
{
	u32 i;

	for (i = 0; i < job->count; i++) {
		if (i % BREATH == 0)
			cond_resched();
		if (!job->blocks[i])
			continue;
		backend->free(job, job->blocks[i]);
		job->blocks[i] = NULL;
	}
}

/**
 * bench_job_close - undo bench_job_open(), freeing the blocks first
 * @job: the job
 * @backend: its allocator
 *
 * Context: Process context, may sleep.
 */
void bench_job_close(struct bench_job *job, const struct bench_backend *backend)
{
	bench_job_free_blocks(job, backend);
	if (backend->close)
		backend->close(job);
	free_arrays(job);
}
