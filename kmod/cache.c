// SPDX-License-Identifier: GPL-2.0
/*
 * L4: what the API offers beside single blocks of any size: handles for one
 * size, whose fast path is inline in kpymalloc.h, and many blocks at once.
 * In mode percpu many blocks go between the caller's array and a front in one
 * go, in mode classic between it and the pools under one lock; what takes more
 * than that is done block by block.
 */
#include <linux/export.h>
#include <linux/mm.h>
#include <linux/string.h>

#include "internal.h"

/**
 * kpy_cache_init() - make a handle for blocks of one size
 * @cache: filled in
 * @heap: the heap, to be kept as long as the handle is used
 * @size: bytes, 1 to the heap's largest small request
 *
 * Context: Any.
 * Return: 0, or -EINVAL for another @size.
 */
int kpy_cache_init(struct kpy_cache *cache, struct kpy_heap *heap, size_t size)
{
	if (!size || size > heap->geo.max_small)
		return -EINVAL;
	cache->heap = heap;
	cache->front = heap->fast.front[size];
	cache->tag = heap->front_tag ^
		     ((size - 1) >> heap->align_shift) * sizeof(struct kpy_front);
	cache->pool_mask = heap->pool_mask;
	cache->size = size;
	return 0;
}
EXPORT_SYMBOL_GPL(kpy_cache_init);

/* memcpy() is for more than this. */
static __always_inline void copy_blocks(void **to, void **from, u32 count)
{
	u32 i;

#pragma GCC unroll 4
	for (i = 0; i < count; i++)
		to[i] = from[i];
}

/* Returns how many of @count blocks the front had. */
static u32 pop_many(struct kpy_front __percpu *front, u32 count, void **blocks)
{
	struct kpy_front *f;
	u32 n = 0;

	preempt_disable();
	if (!static_branch_unlikely(&kpy_alloc_slowly)) {
		f = raw_cpu_ptr(front);
		n = min(count, kpy_front_blocks(f->state));
		f->state += n * (KPY_FRONT_ALLOC - sizeof(void *));
		copy_blocks(blocks, kpy_front_top(f) + 1, n);
	}
	preempt_enable();
	return n;
}

static u32 alloc_many(struct kpy_heap *heap, size_t size, u32 count, void **blocks)
{
	struct kpy_front __percpu *front = heap->fast.front[size];
	u32 n = 0;

	if (kpy_in_interrupt())
		return 0;
	if (count >= KPY_MAG_BLOCKS)
		n = kpy_percpu_take_magazine(heap, kpy_class_of(heap, size), blocks);
	if (!n)
		n = pop_many(front, count, blocks);
	if (!n) {
		kpy_percpu_refill(heap, kpy_class_of(heap, size));
		n = pop_many(front, count, blocks);
	}
	return n;
}

/**
 * kpy_alloc_bulk() - get many blocks of a size
 * @heap: the heap
 * @size: bytes of each
 * @gfp: as for kpy_alloc()
 * @count: how many
 * @blocks: filled in
 *
 * Context: As kpy_alloc().
 * Return: @count, or 0 if there is no memory for all of them: then there is none.
 */
unsigned int kpy_alloc_bulk(struct kpy_heap *heap, size_t size, gfp_t gfp, unsigned int count,
			    void **blocks)
{
	bool small = size - 1 < heap->geo.max_small;
	u32 done = 0, n, i;

	while (done < count) {
		n = 0;
		if (small)
			n = heap->cpu ? alloc_many(heap, size, count - done, blocks + done) :
					kpy_classic_alloc_many(heap, size, count - done,
							       blocks + done);
		if (want_init_on_alloc(gfp))
			for (i = done; i < done + n; i++)
				memset(blocks[i], 0, size);
		if (unlikely(!n)) {
			blocks[done] = (kpy_alloc)(heap, size, gfp);
			if (!blocks[done])
				goto fail;
			n = 1;
		}
		done += n;
	}
	return count;

fail:
	kpy_free_bulk(heap, done, blocks);
	return 0;
}
EXPORT_SYMBOL_GPL(kpy_alloc_bulk);

/*
 * False, and nothing is copied, if not all four have the tag that @first has.
 * Mostly they are of its pool, which is soon seen.
 */
static __always_inline bool copy_four(void **to, void **blocks, unsigned long first,
				      unsigned long tag, unsigned long pool_mask)
{
	unsigned long elsewhere = 0, differ = 0, all = -1UL;
	void *block[4];
	int i;

#pragma GCC unroll 4
	for (i = 0; i < 4; i++) {
		block[i] = blocks[i];
		elsewhere |= (unsigned long)block[i] ^ first;
	}
	if (!(elsewhere & pool_mask))
		goto copy;
#pragma GCC unroll 4
	for (i = 0; i < 4; i++)
		all &= (unsigned long)block[i];
	if (unlikely(!kpy_may_be_pooled((void *)all)))
		return false;
#pragma GCC unroll 4
	for (i = 0; i < 4; i++)
		differ |= kpy_tag_of(block[i], pool_mask) ^ tag;
	if (unlikely(differ))
		return false;
copy:
	copy_blocks(to, block, 4);
	return true;
}

/* How many of the blocks have the first one's tag; they are copied to @to. */
static u32 copy_tagged(void **to, u32 count, void **blocks, unsigned long tag,
		       unsigned long pool_mask)
{
	unsigned long first = (unsigned long)*blocks;
	void **start = blocks, **end = blocks + count;

	for (; end - blocks >= 4 && copy_four(to, blocks, first, tag, pool_mask); to += 4) {
		first = (unsigned long)blocks[3];
		blocks += 4;
	}
	for (; blocks < end && kpy_may_be_pooled(*blocks) &&
	       kpy_tag_of(*blocks, pool_mask) == tag; blocks++)
		*to++ = *blocks;
	return blocks - start;
}

/* Returns how many of the first blocks are of that class and found room. */
static u32 push_many(const struct kpy_heap *heap, unsigned long tag, u32 count, void **blocks)
{
	struct kpy_front *f;
	void **top;
	u32 n = 0;

	preempt_disable();
	f = raw_cpu_ptr(kpy_front_of_tag(heap, tag ^ heap->front_tag));
	top = kpy_front_top(f);
	if (!static_branch_unlikely(&kpy_free_slowly) && *top != *blocks) {
		n = min(count, KPY_FRONT_BLOCKS - kpy_front_blocks(f->state));
		n = copy_tagged(top + 1, n, blocks, tag, heap->pool_mask);
		f->state += n * sizeof(void *);
	}
	preempt_enable();
	return n;
}

/* A magazine that is filled here goes by the front. */
static u32 free_magazine(struct kpy_heap *heap, unsigned long tag, u32 szidx, void **blocks)
{
	struct kpy_magazine *mag = kpy_percpu_get_empty(heap);
	u32 n;

	if (!mag)
		return 0;
	n = copy_tagged(mag->block, KPY_MAG_BLOCKS, blocks, tag, heap->pool_mask);
	kpy_percpu_put_magazine(heap, szidx, mag, n == KPY_MAG_BLOCKS);
	return n == KPY_MAG_BLOCKS ? n : 0;
}

static u32 free_many(struct kpy_heap *heap, u32 count, void **blocks)
{
	unsigned long tag;
	u32 szidx, n = 0;

	if (!kpy_may_be_pooled(*blocks) || kpy_in_interrupt())
		return 0;
	tag = kpy_tag_of(*blocks, heap->pool_mask);
	if ((tag ^ heap->front_tag) >= KPY_SECRET_BIT)
		return 0;
	szidx = (tag ^ heap->front_tag) / sizeof(struct kpy_front);
	if (count >= KPY_MAG_BLOCKS)
		n = free_magazine(heap, tag, szidx, blocks);
	if (!n)
		n = push_many(heap, tag, count, blocks);
	if (!n) {
		kpy_percpu_make_room(heap, szidx);
		n = push_many(heap, tag, count, blocks);
	}
	return n;
}

/**
 * kpy_free_bulk() - give many blocks back
 * @heap: the heap they came from
 * @count: how many
 * @blocks: of any sizes; fastest where neighbours are of one class
 *
 * Context: As kpy_free().
 */
void kpy_free_bulk(struct kpy_heap *heap, unsigned int count, void **blocks)
{
	u32 n;

	for (; count; count -= n, blocks += n) {
		n = heap->cpu ? free_many(heap, count, blocks) :
				kpy_classic_free_many(heap, count, blocks);
		if (n)
			continue;
		kpy_free(heap, *blocks);
		n = 1;
	}
}
EXPORT_SYMBOL_GPL(kpy_free_bulk);
