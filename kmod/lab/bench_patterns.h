/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The timed loops, written once for all allocators.
 *
 * The allocator's functions are passed as constants to always-inline functions, so
 * each allocator gets its own loops, with direct or inlined calls.  The backend
 * `none` shows what the loops themselves cost.
 *
 * Each loop performs the ops from @from up to @to and returns where it stopped:
 * at @to, unless there was no memory.
 */
#ifndef _KPYLAB_BENCH_PATTERNS_H
#define _KPYLAB_BENCH_PATTERNS_H

#include <linux/compiler.h>
#include <linux/minmax.h>
#include <linux/string.h>

#include "bench.h"

typedef void *(*bench_alloc_fn)(const struct bench_job *job, size_t size, gfp_t gfp);
typedef void (*bench_free_fn)(const struct bench_job *job, void *ptr, size_t size);
typedef void *(*bench_realloc_fn)(const struct bench_job *job, void *ptr, size_t old, size_t size);
typedef u32 (*bench_alloc_bulk_fn)(const struct bench_job *job, u32 count, void **blocks);
typedef void (*bench_free_bulk_fn)(const struct bench_job *job, u32 count, void **blocks);

static __always_inline bool bench_pair(const struct bench_job *job, size_t size, gfp_t gfp,
				       bench_alloc_fn alloc, bench_free_fn free)
{
	void *ptr = alloc(job, size, gfp);

	if (unlikely(!ptr))
		return false;
	free(job, ptr, size);
	return true;
}

static __always_inline u32 bench_pair_fixed(const struct bench_job *job, u32 from, u32 to,
					    gfp_t gfp, bench_alloc_fn alloc, bench_free_fn free)
{
	const size_t size = job->size;

	while (from < to && bench_pair(job, size, gfp, alloc, free))
		from++;
	return from;
}

static __always_inline u32 bench_pair_var(const struct bench_job *job, u32 from, u32 to,
					  bench_alloc_fn alloc, bench_free_fn free)
{
	while (from < to && bench_pair(job, READ_ONCE(job->size), BENCH_GFP, alloc, free))
		from++;
	return from;
}

static __always_inline u32 bench_pair_const(const struct bench_job *job, u32 from, u32 to,
					    bench_alloc_fn alloc, bench_free_fn free)
{
	while (from < to && bench_pair(job, BENCH_SIZE, BENCH_GFP, alloc, free))
		from++;
	return from;
}

static __always_inline u32 bench_batch_alloc(const struct bench_job *job, u32 from, u32 to,
					     bench_alloc_fn alloc)
{
	const size_t size = job->size;
	void **blocks = job->blocks;

	for (; from < to; from++) {
		blocks[from] = alloc(job, size, BENCH_GFP);
		if (unlikely(!blocks[from]))
			break;
	}
	return from;
}

static __always_inline u32 bench_batch_fifo(const struct bench_job *job, u32 from, u32 to,
					    bench_free_fn free)
{
	const size_t size = job->size;
	void **blocks = job->blocks;

	for (; from < to; from++)
		free(job, blocks[from], size);
	return from;
}

/* As fifo, but starting at the other end. */
static __always_inline u32 bench_batch_lifo(const struct bench_job *job, u32 from, u32 to,
					    bench_free_fn free)
{
	const size_t size = job->size;
	void **blocks = job->blocks + job->count - 1;

	for (; from < to; from++)
		free(job, *(blocks - from), size);
	return from;
}

/* Allocate all blocks, then free all but one of each chunk. */
static __always_inline u32 bench_batch_thin(const struct bench_job *job, u32 from, u32 to,
					    bench_alloc_fn alloc, bench_free_fn free)
{
	const u32 stop = bench_batch_alloc(job, from, to, alloc);
	const size_t size = job->size;
	const u32 chunk = job->chunk;
	void **blocks = job->blocks;

	for (; from < stop; from++) {
		if (from % chunk == 0)
			continue;
		free(job, blocks[from], size);
		blocks[from] = NULL;
	}
	return stop;
}

/* Allocate the freed ones again. */
static __always_inline u32 bench_batch_fill(const struct bench_job *job, u32 from, u32 to,
					    bench_alloc_fn alloc)
{
	const size_t size = job->size;
	const u32 chunk = job->chunk;
	void **blocks = job->blocks;

	for (; from < to; from++) {
		if (from % chunk == 0)
			continue;
		blocks[from] = alloc(job, size, BENCH_GFP);
		if (unlikely(!blocks[from]))
			break;
	}
	return from;
}

static __always_inline u32 bench_mixed_alloc(const struct bench_job *job, u32 from, u32 to,
					     bench_alloc_fn alloc)
{
	const u16 *sizes = job->sizes;
	void **blocks = job->blocks;

	for (; from < to; from++) {
		blocks[from] = alloc(job, sizes[from], BENCH_GFP);
		if (unlikely(!blocks[from]))
			break;
	}
	return from;
}

static __always_inline u32 bench_mixed_free(const struct bench_job *job, u32 from, u32 to,
					    bench_free_fn free)
{
	const u16 *sizes = job->sizes;
	const u32 *order = job->order;
	void **blocks = job->blocks;

	for (; from < to; from++)
		free(job, blocks[order[from]], sizes[order[from]]);
	return from;
}

static __always_inline u32 bench_churn(const struct bench_job *job, u32 from, u32 to,
				       bench_alloc_fn alloc, bench_free_fn free)
{
	const u16 *sizes = job->sizes, *fresh = job->fresh;
	const u32 *order = job->order;
	void **blocks = job->blocks;
	u32 i;

	for (; from < to; from++) {
		i = order[from];
		free(job, blocks[i], sizes[i]);
		blocks[i] = alloc(job, fresh[i], BENCH_GFP);
		if (unlikely(!blocks[i]))
			break;
	}
	return from;
}

static __always_inline u32 bench_bulk_alloc(const struct bench_job *job, u32 from, u32 to,
					    bench_alloc_bulk_fn alloc_bulk)
{
	const u32 chunk = job->chunk;
	void **blocks = job->blocks;

	for (; from < to; from += chunk) {
		if (unlikely(alloc_bulk(job, chunk, blocks + from) < chunk))
			break;
	}
	return from;
}

static __always_inline u32 bench_bulk_free(const struct bench_job *job, u32 from, u32 to,
					   bench_free_bulk_fn free_bulk)
{
	const u32 chunk = job->chunk;
	void **blocks = job->blocks;

	for (; from < to; from += chunk)
		free_bulk(job, chunk, blocks + from);
	return from;
}

static __always_inline void *bench_do_op(const struct bench_job *job, const struct bench_op *op,
					 bench_alloc_fn alloc, bench_realloc_fn realloc)
{
	if (op->kind == BENCH_ALLOC)
		return alloc(job, op->size, BENCH_GFP);
	if (op->kind == BENCH_ZALLOC)
		return alloc(job, op->size, BENCH_GFP | __GFP_ZERO);
	return realloc(job, job->blocks[op->block], job->sizes[op->block], op->size);
}

static __always_inline u32 bench_trace(const struct bench_job *job, u32 from, u32 to,
				       bench_alloc_fn alloc, bench_realloc_fn realloc,
				       bench_free_fn free)
{
	const struct bench_op *op = job->ops + from;
	u16 *sizes = job->sizes;
	void **blocks = job->blocks;
	void *ptr;

	for (; from < to; from++, op++) {
		if (op->kind == BENCH_FREE) {
			free(job, blocks[op->block], sizes[op->block]);
			ptr = NULL;
		} else {
			ptr = bench_do_op(job, op, alloc, realloc);
			if (unlikely(!ptr))
				break;
		}
		blocks[op->block] = ptr;
		sizes[op->block] = op->size;
	}
	return from;
}

/* For allocators that cannot resize. */
static __always_inline void *bench_move(const struct bench_job *job, void *ptr, size_t old,
					size_t size, bench_alloc_fn alloc, bench_free_fn free)
{
	void *new = alloc(job, size, BENCH_GFP);

	if (likely(new)) {
		memcpy(new, ptr, min(old, size));
		free(job, ptr, old);
	}
	return new;
}

/* For allocators that have no bulk calls. */
static __always_inline u32 bench_alloc_each(const struct bench_job *job, u32 count, void **blocks,
					    bench_alloc_fn alloc)
{
	const size_t size = job->size;
	u32 i;

	for (i = 0; i < count; i++) {
		blocks[i] = alloc(job, size, BENCH_GFP);
		if (unlikely(!blocks[i]))
			break;
	}
	return i;
}

static __always_inline void bench_free_each(const struct bench_job *job, u32 count, void **blocks,
					    bench_free_fn free)
{
	const size_t size = job->size;
	u32 i;

	for (i = 0; i < count; i++)
		free(job, blocks[i], size);
}

#endif
