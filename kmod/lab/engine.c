// SPDX-License-Identifier: GPL-2.0
/*
 * The engine: replays ops on a backend and accounts for the blocks.
 *
 * An op costs its decoding, the call under test and the counts that every result
 * needs: live blocks and bytes, and the placement digest (FNV-1a over where the
 * allocator put each block).  The digest tells apart two allocators whose
 * statistics are all equal.  No bookkeeping per op costs more than the op itself.
 *
 * With fill on, every block carries a pattern until it is freed.  The pattern is
 * verified before and after each resize and before the free.
 */
#include <linux/kernel.h>
#include <linux/sched.h>
#include <linux/string.h>

#include "lab.h"

#define FNV_BASIS	0xcbf29ce484222325ULL
#define FNV_PRIME	0x100000001b3ULL

static const struct kpy_block_info outside = {
	.arena = U32_MAX,
	.arena_serial = U32_MAX,
	.pool = U32_MAX,
	.block = U32_MAX,
};

/* FNV-1a of four bytes, little endian; one multiplication covers the high zero bytes. */
static u64 fnv_u32(u64 hash, u32 value)
{
	static const u64 zeroes[] = {
		FNV_PRIME * FNV_PRIME * FNV_PRIME * FNV_PRIME,
		FNV_PRIME * FNV_PRIME * FNV_PRIME,
		FNV_PRIME * FNV_PRIME,
		FNV_PRIME,
		1,
	};
	unsigned int i;

	for (i = 0; value; i++, value >>= 8)
		hash = (hash ^ (value & 0xff)) * FNV_PRIME;
	return hash * zeroes[i];
}

static u64 fnv_place(u64 hash, u32 arena, u32 pool, u32 block)
{
	return fnv_u32(fnv_u32(fnv_u32(hash, arena), pool), block);
}

/* Locate @b and add its place to both digests. */
static void digest_place(struct lab_lane *lane, struct lab_block *b)
{
	struct lab_backend *be = &lane->replay->backend;
	struct lab_counts *n = lane->count;
	struct kpy_block_info at;

	if (!be->ops->locate)
		return;
	b->pooled = b->ptr && !be->ops->locate(be, b->ptr, &at);
	if (!b->pooled)
		at = outside;
	n->digest = fnv_place(n->digest, at.arena, at.pool, at.block);
	n->digest_serial = fnv_place(n->digest_serial, at.arena_serial, at.pool, at.block);
}

static void account_add(struct lab_lane *lane, const struct lab_block *b)
{
	struct lab_counts *n = lane->count;

	n->live_blocks++;
	n->live_all += b->size;
	if (b->pooled)
		n->live_small += b->size;
	n->peak_requested = max(n->peak_requested, n->live_all);
}

static void account_sub(struct lab_lane *lane, const struct lab_block *b)
{
	struct lab_counts *n = lane->count;

	n->live_blocks--;
	n->live_all -= b->size;
	if (b->pooled)
		n->live_small -= b->size;
}

static u64 block_seed(const struct lab_replay *r, u64 id)
{
	return lab_fill_seed(id, r->blocks[id].gen, r->round);
}

static void fill(struct lab_replay *r, u64 id)
{
	struct lab_block *b = &r->blocks[id];

	b->gen = b->gen % LAB_GEN_MAX + 1;
	lab_fill(b->ptr, b->size, block_seed(r, id));
}

static int corrupt(struct lab_lane *lane, u64 id, size_t offset, u8 expected, const char *when)
{
	const u8 *found = lane->replay->blocks[id].ptr;

	lane->count->fill_errors++;
	return lab_refuse(-EUCLEAN, "op %llu: id %llu %s: byte %zu is 0x%02x, not 0x%02x",
			  lane->cursor.op - 1, id, when, offset, found[offset], expected);
}

static int check_pattern(struct lab_lane *lane, u64 id, size_t len, const char *when)
{
	const struct lab_replay *r = lane->replay;
	u64 seed = block_seed(r, id);
	size_t offset = lab_fill_check(r->blocks[id].ptr, len, seed);

	if (offset == len)
		return 0;
	return corrupt(lane, id, offset, lab_fill_byte(seed, offset), when);
}

/* Verify the pattern in the first @len bytes, if the block has one. */
static inline int check_fill(struct lab_lane *lane, u64 id, size_t len, const char *when)
{
	return lane->replay->blocks[id].gen ? check_pattern(lane, id, len, when) : 0;
}

static int check_zeroed(struct lab_lane *lane, u64 id)
{
	const struct lab_block *b = &lane->replay->blocks[id];
	const void *odd = memchr_inv(b->ptr, 0, b->size);

	return odd ? corrupt(lane, id, odd - b->ptr, 0, "after calloc") : 0;
}

/* The op returned @ptr.  An old block has already been subtracted. */
static void settle(struct lab_lane *lane, const struct lab_op *op, void *ptr)
{
	struct lab_block *b = &lane->replay->blocks[op->id];

	b->ptr = ptr;
	b->size = op->size;
	digest_place(lane, b);
	account_add(lane, b);
}

/* Out of memory: an existing block stays as it is. */
static int alloc_failed(struct lab_lane *lane, const struct lab_op *op)
{
	lane->count->alloc_failures++;
	digest_place(lane, &lane->replay->blocks[op->id]);
	return 0;
}

static int do_alloc(struct lab_lane *lane, const struct lab_op *op)
{
	struct lab_replay *r = lane->replay;
	struct lab_backend *be = &r->backend;
	void *ptr;
	int err;

	if (op->kind == LAB_CALLOC)
		ptr = be->ops->calloc(be, op->size);
	else
		ptr = be->ops->alloc(be, op->size);
	if (!ptr)
		return alloc_failed(lane, op);
	settle(lane, op, ptr);
	if (!r->now.fill)
		return 0;
	err = op->kind == LAB_CALLOC ? check_zeroed(lane, op->id) : 0;
	if (!err)
		fill(r, op->id);
	return err;
}

static int do_realloc(struct lab_lane *lane, const struct lab_op *op)
{
	struct lab_replay *r = lane->replay;
	struct lab_block *b = &r->blocks[op->id];
	u64 old = b->size;
	void *ptr;
	int err;

	err = check_fill(lane, op->id, old, "before realloc");
	if (err)
		return err;
	ptr = r->backend.ops->realloc(&r->backend, b->ptr, old, op->size);
	if (!ptr)
		return alloc_failed(lane, op);
	if (b->ptr)
		account_sub(lane, b);
	settle(lane, op, ptr);
	err = check_fill(lane, op->id, min(old, op->size), "after realloc");
	if (err)
		return err;
	if (r->now.fill)
		fill(r, op->id);
	else
		b->gen = 0;
	return 0;
}

static int do_free(struct lab_lane *lane, const struct lab_op *op)
{
	struct lab_replay *r = lane->replay;
	struct lab_block *b = &r->blocks[op->id];
	int err;

	if (!b->ptr)
		return 0;
	err = check_fill(lane, op->id, b->size, "before free");
	if (err)
		return err;
	account_sub(lane, b);
	r->backend.ops->free(&r->backend, b->ptr, b->size);
	b->ptr = NULL;
	return 0;
}

/**
 * lab_engine_op - perform one op
 * @lane: the lane that decoded it
 * @op: the op
 *
 * Context: Process context, may sleep.  No other lane may use the op's block.
 * Return: 0, even if there was no memory for the op; -EUCLEAN if the block is
 * corrupt.
 */
int lab_engine_op(struct lab_lane *lane, const struct lab_op *op)
{
	if (op->kind == LAB_FREE)
		return do_free(lane, op);
	if (op->kind == LAB_REALLOC)
		return do_realloc(lane, op);
	return do_alloc(lane, op);
}

/**
 * lab_engine_step - replay one op
 * @r: replay with at least one op left
 *
 * Context: Process context under @r->lock, may sleep.
 * Return: As lab_engine_op().
 */
int lab_engine_step(struct lab_replay *r)
{
	struct lab_op op;
	int err;

	err = lab_cursor_next(&r->main.cursor, &op);
	err = err ?: lab_engine_op(&r->main, &op);
	if (!err)
		r->now.count.ops_done++;
	return err;
}

/**
 * lab_engine_check_live - verify the patterns of all live blocks
 * @r: replay
 *
 * For the end of a trace: blocks that are never freed are not verified otherwise.
 *
 * Context: Process context under @r->lock, may sleep.
 * Return: 0, -EUCLEAN if a block is corrupt.
 */
int lab_engine_check_live(struct lab_replay *r)
{
	u64 id;
	int err;

	for (id = 0; id < r->main.cursor.next_id; id++) {
		if (!(id % LAB_BREATH))
			cond_resched();
		if (!r->blocks[id].ptr)
			continue;
		err = check_fill(&r->main, id, r->blocks[id].size, "at the end");
		if (err)
			return err;
	}
	return 0;
}

static void free_blocks(struct lab_replay *r)
{
	struct lab_block *b;
	u64 id;

	for (id = 0; id < r->main.cursor.next_id; id++) {
		if (!(id % LAB_BREATH))
			cond_resched();
		b = &r->blocks[id];
		if (b->ptr)
			r->backend.ops->free(&r->backend, b->ptr, b->size);
		memset(b, 0, sizeof(*b));
	}
}

/**
 * lab_engine_reset - free all blocks, go back to op 0 and reset the counters
 * @r: replay, with or without a trace
 *
 * Context: Process context under @r->lock, may sleep.
 */
void lab_engine_reset(struct lab_replay *r)
{
	u64 digest = r->backend.ops->locate ? FNV_BASIS : 0;

	free_blocks(r);
	lab_cursor_init(&r->main.cursor, &r->trace);
	r->backend.peak = 0;
	r->round++;
	r->now.count = (struct lab_counts){ .digest = digest, .digest_serial = digest };
}
