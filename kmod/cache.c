// SPDX-License-Identifier: GPL-2.0
/*
 * L4: the API for more than single blocks of any size: handles for one size, whose
 * fast path is inline in kpymalloc.h, and many blocks at once.  The mode serves as
 * many of them as it can in one go; the rest are served one by one.
 */
#include <linux/export.h>
#include <linux/mm.h>
#include <linux/string.h>

#include "internal.h"

/**
 * kpy_cache_init() - make a handle for blocks of one size
 * @cache: filled in
 * @heap: the heap, which must live as long as the handle is used
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
	cache->tag = kpy_front_tag(heap, kpy_class_of(heap, size));
	cache->pool_mask = heap->pool_mask;
	cache->size = size;
	return 0;
}
EXPORT_SYMBOL_GPL(kpy_cache_init);

/**
 * kpy_alloc_bulk() - allocate many blocks of one size
 * @heap: the heap
 * @size: bytes of each
 * @gfp: as for kpy_alloc()
 * @count: how many
 * @blocks: filled in
 *
 * Context: As kpy_alloc().
 * Return: @count, or 0 if there is no memory for all of them: then none is allocated.
 */
unsigned int kpy_alloc_bulk(struct kpy_heap *heap, size_t size, gfp_t gfp, unsigned int count,
			    void **blocks)
{
	bool small = size - 1 < heap->geo.max_small;
	u32 done = 0, n, i;

	while (done < count) {
		n = 0;
		if (small)
			n = heap->ops->alloc_many(heap, size, count - done, blocks + done);
		if (want_init_on_alloc(gfp))
			for (i = done; i < done + n; i++)
				kpy_zero(blocks[i], size);
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

/**
 * kpy_free_bulk() - free many blocks
 * @heap: the heap they came from
 * @count: how many
 * @blocks: of any sizes; fastest if neighbours are of one class
 *
 * Context: As kpy_free().
 */
void kpy_free_bulk(struct kpy_heap *heap, unsigned int count, void **blocks)
{
	u32 n;

	for (; count; count -= n, blocks += n) {
		n = heap->ops->free_many(heap, count, blocks);
		if (n)
			continue;
		kpy_free(heap, *blocks);
		n = 1;
	}
}
EXPORT_SYMBOL_GPL(kpy_free_bulk);
