// SPDX-License-Identifier: GPL-2.0
/*
 * Holds blocks so that free pages can be counted: how many an allocator takes for
 * the blocks, and how many it returns when some of them are freed.
 *
 * The arrays that track the blocks are the same for every allocator; to see their
 * share, hold blocks of the backend `none`.
 */
#include <linux/kernel.h>
#include <linux/lockdep.h>
#include <linux/math64.h>
#include <linux/minmax.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "bench.h"

#define HOLD_MAX	0x1000000U	/* blocks */
#define SEED		7

static int take_blocks(struct lab_bench *b)
{
	bench_step_fn step = bench_step_of(b->held_by, &b->held, b->held.size ? STEP_BATCH_ALLOC :
									     STEP_MIXED_ALLOC);
	u32 to, from;

	for (from = 0; from < b->held.count; from = to) {
		to = min(from + LAB_BREATH, b->held.count);
		if (lab_breathe())
			return bench_refuse(-EINTR, "interrupted");
		if (step(&b->held, from, to) != to)
			return bench_refuse(-ENOMEM, "hold: no memory for all the blocks");
	}
	return 0;
}

static int check_hold(const struct lab_bench *b, u64 count, u64 size)
{
	if (b->held_by)
		return bench_refuse(-EBUSY, "hold: blocks are held, release them first");
	if (!count || count > HOLD_MAX)
		return bench_refuse(-ERANGE, "hold: %llu blocks, give 1 to %u", count, HOLD_MAX);
	if (size > KMALLOC_MAX_CACHE_SIZE)
		return bench_refuse(-ERANGE, "hold: %llu bytes, at most %lu", size,
				    KMALLOC_MAX_CACHE_SIZE);
	return 0;
}

/**
 * lab_bench_hold - allocate blocks and keep them
 * @b: benchmark
 * @backend: name of the allocator
 * @count: number of blocks
 * @size: size of each, 0 for mixed sizes of 1 to %KPY_SMALL_MAX bytes
 *
 * Context: Process context under @b->lock, may sleep and take long.
 * Return: 0, -EINVAL for an unknown allocator, -EBUSY if blocks are held, -ERANGE for
 * 0, too many or too big blocks, -ENOENT without a heap, -ENOMEM, -EINTR on a signal.
 */
int lab_bench_hold(struct lab_bench *b, const char *backend, u64 count, u64 size)
{
	const struct bench_backend *be = bench_backend_find(backend);
	int err;

	lockdep_assert_held(&b->lock);
	if (!be)
		return bench_refuse(-EINVAL, "hold: no backend '%*pE'", (int)strlen(backend),
				    backend);
	err = check_hold(b, count, size);
	if (err)
		return err;
	b->held = (struct bench_job){ .heap = b->heap, .count = count, .size = size };
	err = bench_job_open(&b->held, be, SEED);
	if (err)
		return err;
	b->held_by = be;
	err = take_blocks(b);
	if (err)
		lab_bench_release_all(b);
	return err;
}

static void free_some(struct lab_bench *b, const u32 *order, u32 count)
{
	void **block;

	while (count--) {
		if (count % LAB_BREATH == 0)
			cond_resched();
		block = &b->held.blocks[*order++];
		if (*block)
			b->held_by->free(&b->held, *block);
		*block = NULL;
	}
}

/**
 * lab_bench_release - free some of the blocks, picked at random
 * @b: benchmark
 * @percent: percentage of the blocks that were allocated
 * @seed: random seed; the same seed picks the same blocks
 *
 * Context: Process context under @b->lock, may sleep.
 * Return: 0, -ERANGE if @percent is above 100, -ENOENT if none are held, -ENOMEM.
 */
int lab_bench_release(struct lab_bench *b, u64 percent, u64 seed)
{
	u32 *order;

	lockdep_assert_held(&b->lock);
	if (percent > 100)
		return bench_refuse(-ERANGE, "release: %llu percent, at most 100", percent);
	if (!b->held_by)
		return bench_refuse(-ENOENT, "release: no blocks are held");
	order = kvmalloc_array(b->held.count, sizeof(*order), LAB_GFP);
	if (!order)
		return bench_refuse(-ENOMEM, "release: no memory to pick blocks");
	bench_shuffle(order, b->held.count, seed);
	free_some(b, order, div_u64(b->held.count * percent, 100));
	kvfree(order);
	return 0;
}

/**
 * lab_bench_release_all - free all blocks and destroy the allocator's caches
 * @b: benchmark
 *
 * Context: Process context under @b->lock, may sleep.
 * Return: 0.
 */
int lab_bench_release_all(struct lab_bench *b)
{
	lockdep_assert_held(&b->lock);
	if (b->held_by)
		bench_job_close(&b->held, b->held_by);
	b->held_by = NULL;
	return 0;
}
