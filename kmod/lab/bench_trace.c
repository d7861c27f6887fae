// SPDX-License-Identifier: GPL-2.0
/*
 * The requests of a recorded program, decoded before they are timed: those of the
 * replay's trace of up to KPY_SMALL_MAX bytes.  Larger ones are not to be compared
 * and cannot be made with interrupts off: a block that grows beyond the limit is
 * freed, one that shrinks below it is allocated.
 */
#include <linux/kernel.h>
#include <linux/limits.h>
#include <linux/lockdep.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include "bench.h"

static_assert(KPY_SMALL_MAX <= U16_MAX);

/**
 * bench_trace_free - free a trace, if there is one
 * @t: trace, empty afterwards
 */
void bench_trace_free(struct bench_trace *t)
{
	kvfree(t->ops);
	*t = (struct bench_trace){};
}

/* 0 unless it gives a small block.  As with malloc(), 0 bytes get a block of their own. */
static u16 small_size(const struct lab_op *op)
{
	return op->kind == LAB_FREE || op->size > KPY_SMALL_MAX ? 0 : op->size ?: 1;
}

/* @sizes: current sizes of the blocks, 0 for those that are free or not small. */
static void add_op(struct bench_trace *t, const struct lab_op *op, u16 *sizes)
{
	u16 old = sizes[op->id], size = small_size(op);
	struct bench_op *to = &t->ops[t->nr_ops];

	if (!old && !size)
		return;
	if (old)
		to->kind = size ? BENCH_REALLOC : BENCH_FREE;
	else
		to->kind = op->kind == LAB_CALLOC ? BENCH_ZALLOC : BENCH_ALLOC;
	to->size = size;
	to->block = op->id;
	sizes[op->id] = size;
	t->nr_ops++;
}

static int decode(struct bench_trace *t, struct lab_trace *from, u16 *sizes)
{
	struct lab_cursor cursor;
	struct lab_op op;
	int err;

	lab_cursor_init(&cursor, from);
	while (cursor.op < from->ops) {
		if (!(cursor.op % LAB_BREATH) && lab_breathe())
			return bench_refuse(-EINTR, "interrupted");
		err = lab_cursor_next(&cursor, &op);
		if (err)
			return bench_refuse(err, "trace: op %llu is invalid", cursor.op);
		add_op(t, &op, sizes);
	}
	if (!t->nr_ops)
		return bench_refuse(-ENOENT, "trace: no small requests");
	return 0;
}

static int take(struct bench_trace *t, struct lab_trace *from)
{
	u16 *sizes;
	int err;

	if (from->ops > U32_MAX || from->ids > U32_MAX)
		return bench_refuse(-E2BIG, "trace: %llu ops are too many", from->ops);
	t->ops = kvmalloc_array(from->ops, sizeof(*t->ops), LAB_GFP);
	sizes = kvcalloc(from->ids, sizeof(*sizes), LAB_GFP);
	if (t->ops && sizes)
		err = decode(t, from, sizes);
	else
		err = bench_refuse(-ENOMEM, "no memory for %llu ops", from->ops);
	t->nr_blocks = from->ids;
	kvfree(sizes);
	if (err)
		bench_trace_free(t);
	return err;
}

static bool has_trace(const struct lab_replay *r)
{
	return r->now.state != LAB_EMPTY && r->now.state != LAB_LOADING;
}

/**
 * lab_bench_trace - take the small requests of the replay's trace
 * @b: benchmark
 *
 * Context: Process context under @b->lock, may sleep; takes time proportional to the ops.
 * Return: 0, -EBUSY while the replay is busy, -ENOENT if it has no trace, or one
 * without small requests, -E2BIG, -ENOMEM, -EINTR on a signal.
 */
int lab_bench_trace(struct lab_bench *b)
{
	int err;

	lockdep_assert_held(&b->lock);
	bench_trace_free(&b->trace);
	if (!mutex_trylock(&b->replay->lock))
		return bench_refuse(-EBUSY, "trace: the replay is busy");
	if (has_trace(b->replay))
		err = take(&b->trace, &b->replay->trace);
	else
		err = bench_refuse(-ENOENT, "trace: the replay has no trace");
	mutex_unlock(&b->replay->lock);
	return err;
}
