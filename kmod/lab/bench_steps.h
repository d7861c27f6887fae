/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The loops of bench_patterns.h with the calls of one allocator.  Included once per
 * allocator, with B(name) expanding to the name of its function.  noinline makes
 * each loop a function of its own, easy to find in a disassembly.
 */

static noinline u32 B(pair_fixed)(const struct bench_job *job, u32 from, u32 to)
{
	return bench_pair_fixed(job, from, to, BENCH_GFP, B(alloc_fixed), B(free_fixed));
}

static noinline u32 B(pair_var)(const struct bench_job *job, u32 from, u32 to)
{
	return bench_pair_var(job, from, to, B(alloc), B(free));
}

static noinline u32 B(pair_const)(const struct bench_job *job, u32 from, u32 to)
{
	return bench_pair_const(job, from, to, B(alloc_const), B(free_const));
}

static noinline u32 B(pair_atomic)(const struct bench_job *job, u32 from, u32 to)
{
	return bench_pair_fixed(job, from, to, GFP_ATOMIC, B(alloc_fixed), B(free_fixed));
}

static noinline u32 B(batch_alloc)(const struct bench_job *job, u32 from, u32 to)
{
	return bench_batch_alloc(job, from, to, B(alloc_fixed));
}

static noinline u32 B(batch_fifo)(const struct bench_job *job, u32 from, u32 to)
{
	return bench_batch_fifo(job, from, to, B(free_fixed));
}

static noinline u32 B(batch_lifo)(const struct bench_job *job, u32 from, u32 to)
{
	return bench_batch_lifo(job, from, to, B(free_fixed));
}

static noinline u32 B(batch_thin)(const struct bench_job *job, u32 from, u32 to)
{
	return bench_batch_thin(job, from, to, B(alloc_fixed), B(free_fixed));
}

static noinline u32 B(batch_fill)(const struct bench_job *job, u32 from, u32 to)
{
	return bench_batch_fill(job, from, to, B(alloc_fixed));
}

static noinline u32 B(mixed_alloc)(const struct bench_job *job, u32 from, u32 to)
{
	return bench_mixed_alloc(job, from, to, B(alloc));
}

static noinline u32 B(mixed_free)(const struct bench_job *job, u32 from, u32 to)
{
	return bench_mixed_free(job, from, to, B(free));
}

static noinline u32 B(churn)(const struct bench_job *job, u32 from, u32 to)
{
	return bench_churn(job, from, to, B(alloc), B(free));
}

static noinline u32 B(bulk_alloc)(const struct bench_job *job, u32 from, u32 to)
{
	return bench_bulk_alloc(job, from, to, B(alloc_bulk));
}

static noinline u32 B(bulk_free)(const struct bench_job *job, u32 from, u32 to)
{
	return bench_bulk_free(job, from, to, B(free_bulk));
}

static noinline u32 B(recorded)(const struct bench_job *job, u32 from, u32 to)
{
	return bench_trace(job, from, to, B(alloc), B(realloc), B(free));
}

static const bench_step_fn B(steps)[BENCH_NR_STEPS] = {
	[STEP_PAIR_FIXED] = B(pair_fixed),
	[STEP_PAIR_VAR] = B(pair_var),
	[STEP_PAIR_CONST] = B(pair_const),
	[STEP_PAIR_ATOMIC] = B(pair_atomic),
	[STEP_BATCH_ALLOC] = B(batch_alloc),
	[STEP_BATCH_FIFO] = B(batch_fifo),
	[STEP_BATCH_LIFO] = B(batch_lifo),
	[STEP_BATCH_THIN] = B(batch_thin),
	[STEP_BATCH_FILL] = B(batch_fill),
	[STEP_MIXED_ALLOC] = B(mixed_alloc),
	[STEP_MIXED_FREE] = B(mixed_free),
	[STEP_CHURN] = B(churn),
	[STEP_BULK_ALLOC] = B(bulk_alloc),
	[STEP_BULK_FREE] = B(bulk_free),
	[STEP_TRACE] = B(recorded),
};
