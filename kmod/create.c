// SPDX-License-Identifier: GPL-2.0
/* L4: how a heap is put together from its parts, and taken apart. */
#include <linux/err.h>
#include <linux/mm.h>
#include <linux/random.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "internal.h"

/* Report what was never freed, in all and by class. */
static void report_live(const struct kpy_heap *heap)
{
	u64 blocks = heap->c.large_blocks, bytes = heap->c.large_bytes;
	u32 i;

	for (i = 0; i < heap->nr_classes; i++) {
		blocks += heap->class[i].in_use;
		bytes += heap->class[i].in_use * kpy_class_size(heap, i);
	}
	if (!blocks)
		return;
	pr_warn("heap %s: %llu blocks never freed, %llu bytes\n", heap->name, blocks, bytes);
	for (i = 0; i < heap->nr_classes; i++)
		if (heap->class[i].in_use)
			pr_warn("heap %s:   class %u, %u bytes: %llu blocks\n", heap->name, i,
				kpy_class_size(heap, i), heap->class[i].in_use);
	if (heap->c.large_blocks)
		pr_warn("heap %s:   large, %llu bytes in all: %llu blocks\n", heap->name,
			heap->c.large_bytes, heap->c.large_blocks);
}

static void heap_set_constants(struct kpy_heap *heap, const struct kpy_heap_params *params, u32 id)
{
	const struct kpy_geometry *geo = &params->geometry;
	u32 i;

	heap->geo = *geo;
	heap->arena_shift = ilog2(geo->arena_size);
	heap->pool_shift = ilog2(geo->pool_size);
	heap->align_shift = ilog2(geo->alignment);
	heap->pool_header = ALIGN(KPY_HEADER_SIZE, geo->alignment);
	heap->nr_classes = geo->max_small / geo->alignment;
	heap->pools_per_arena = geo->arena_size / geo->pool_size;
	heap->secret = get_random_long() | 1;	/* no mark is 0 */
	heap->pool_tag = get_random_long() & -KPY_SECRET_BIT;
	heap->front_tag = params->mode == KPY_MODE_PERCPU ? heap->pool_tag : ~heap->pool_tag;
	heap->pool_mask = ~(geo->pool_size - 1UL);
	heap->mode = params->mode;
	heap->ops = params->mode == KPY_MODE_PERCPU ? &kpy_percpu_ops : &kpy_classic_ops;
	heap->flags = params->flags;
	heap->limit = params->limit ?: U64_MAX;
	heap->id = id;
	strscpy(heap->name, params->name, sizeof(heap->name));
	if (params->mode == KPY_MODE_PERCPU)
		heap->fast.max = KPY_SMALL_MAX;
	else
		heap->classic_max = geo->max_small;
	for (i = 0; i < heap->nr_classes; i++) {
		heap->class[i].size = kpy_class_size(heap, i);
		heap->class[i].inverse = U32_MAX / heap->class[i].size + 1;
		heap->class[i].mark = heap->class[i].size > sizeof(unsigned long);
	}
}

/**
 * kpy_heap_new() - make an empty heap that nobody else knows yet
 * @params: checked by the caller
 * @id: of the heap, in trace events
 *
 * Context: Process, may sleep.
 * Return: the heap or an ERR_PTR().
 */
struct kpy_heap *kpy_heap_new(const struct kpy_heap_params *params, u32 id)
{
	struct kpy_heap *heap = kvzalloc(sizeof(*heap), GFP_KERNEL);

	if (!heap)
		return ERR_PTR(-ENOMEM);
	heap_set_constants(heap, params, id);
	raw_spin_lock_init(&heap->lock);
	heap->release_pending = true;	/* until reclaim.c knows the heap */
	if (kpy_arenas_init(heap) || kpy_table_init(heap) || kpy_percpu_init(heap)) {
		kpy_heap_delete(heap);
		return ERR_PTR(-ENOMEM);
	}
	return heap;
}

/**
 * kpy_heap_delete() - free a heap and all its memory
 * @heap: nobody else uses it any more; blocks in use are reported in the log
 *
 * Context: Process, may sleep.
 */
void kpy_heap_delete(struct kpy_heap *heap)
{
	kpy_percpu_exit(heap);
	report_live(heap);
	kpy_general_exit(heap);
	kpy_arenas_exit(heap);
	kvfree(heap);
}
