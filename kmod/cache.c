// SPDX-License-Identifier: GPL-2.0
/*
 * L4: what the API offers beside single blocks of any size: handles for one
 * size, whose fast path is inline in kpymalloc.h, and many blocks at once.
 * In mode percpu many blocks go between the caller's array and a front in one
 * go; what a front cannot do alone is done block by block.
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
	cache->front = heap->front_of[size];
	cache->tag = heap->front_tag ^
		     ((size - 1) >> heap->align_shift) * sizeof(struct kpy_front);
	cache->pool_mask = heap->pool_mask;
	cache->size = size;
	return 0;
}
EXPORT_SYMBOL_GPL(kpy_cache_init);

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
		memcpy(blocks, kpy_front_top(f) + 1, n * sizeof(void *));
	}
	preempt_enable();
	return n;
}

static u32 alloc_many(struct kpy_heap *heap, size_t size, u32 count, void **blocks)
{
	struct kpy_front __percpu *front = heap->front_of[size];
	u32 n;

	if (kpy_in_interrupt())
		return 0;
	n = pop_many(front, count, blocks);
	if (n)
		return n;
	kpy_percpu_refill(heap, (size - 1) >> heap->align_shift);
	return pop_many(front, count, blocks);
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
	bool cached = heap->cpu && size - 1 < heap->geo.max_small;
	u32 done = 0, n, i;

	while (done < count) {
		n = cached ? alloc_many(heap, size, count - done, blocks + done) : 0;
		if (want_init_on_alloc(gfp))
			for (i = done; i < done + n; i++)
				memset(blocks[i], 0, size);
		if (unlikely(!n)) {
			blocks[done] = kpy_alloc(heap, size, gfp);
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
 * Blocks of the class of the first one, as far as there is room.  Neighbours mostly
 * are of one pool, whose tag is then known.  Returns how many.
 */
static u32 push_many(const struct kpy_heap *heap, unsigned long tag, u32 count, void **blocks)
{
	const unsigned long pool_mask = heap->pool_mask;
	unsigned long last = (unsigned long)*blocks;
	struct kpy_front *f;
	void **top, **end, **start;

	preempt_disable();
	f = raw_cpu_ptr(kpy_front_of_tag(heap, tag ^ heap->front_tag));
	start = top = kpy_front_top(f);
	end = top + min(count, (u32)(KPY_FRONT_WORDS - 2) - kpy_front_blocks(f->state));
	if (static_branch_unlikely(&kpy_free_slowly) || *top == *blocks)
		end = top;
	for (; top < end; blocks++) {
		if (unlikely(((unsigned long)*blocks ^ last) & pool_mask)) {
			last = (unsigned long)*blocks;
			if (!kpy_is_kernel_address(*blocks) || kpy_tag_of(*blocks, pool_mask) != tag)
				break;
		}
		*++top = *blocks;
	}
	f->state += (top - start) * sizeof(void *);
	preempt_enable();
	return top - start;
}

static u32 free_many(struct kpy_heap *heap, u32 count, void **blocks)
{
	unsigned long tag;
	u32 n;

	if (!kpy_is_kernel_address(*blocks) || kpy_in_interrupt())
		return 0;
	tag = kpy_tag_of(*blocks, heap->pool_mask);
	if ((tag ^ heap->front_tag) >= KPY_SECRET_BIT)
		return 0;
	n = push_many(heap, tag, count, blocks);
	if (n)
		return n;
	kpy_percpu_make_room(heap, (tag ^ heap->front_tag) / sizeof(struct kpy_front));
	return push_many(heap, tag, count, blocks);
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
		n = free_many(heap, count, blocks);
		if (n)
			continue;
		kpy_free(heap, *blocks);
		n = 1;
	}
}
EXPORT_SYMBOL_GPL(kpy_free_bulk);
