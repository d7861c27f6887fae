// SPDX-License-Identifier: GPL-2.0
/*
 * L1: blocks of the general allocator: requests of 0 bytes, above the largest
 * small one, or for want of an arena.
 *
 * CPython hands such pointers to malloc() and free() and keeps no record.  We
 * keep one a block, outside of it, in a linear hash (W. Litwin, 1980): so a
 * foreign or already freed pointer is refused without touching its memory,
 * and destroying a heap gives everything back.  Price: 32 bytes a block.
 */
#include <linux/hash.h>
#include <linux/llist.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

#include "internal.h"
#include "trace.h"

static struct kmem_cache *large_cache;

/*
 * vfree() may sleep, our callers may not: blocks from vmalloc() wait here,
 * linked through their first word.
 */
static LLIST_HEAD(vfree_list);

static void vfree_worker(struct work_struct *work)
{
	struct llist_node *node, *next;

	llist_for_each_safe(node, next, llist_del_all(&vfree_list))
		kvfree(node);
}

static DECLARE_WORK(vfree_work, vfree_worker);

static void large_release(void *ptr)
{
	if (!is_vmalloc_addr(ptr)) {
		kfree(ptr);
		return;
	}
	if (llist_add(ptr, &vfree_list))
		schedule_work(&vfree_work);
}

/* Bytes that the general allocator spends on a block. */
static size_t large_held(const void *ptr, size_t size)
{
	return is_vmalloc_addr(ptr) ? PAGE_ALIGN(size) : kmalloc_size_roundup(size);
}

static struct hlist_head *bucket_at(const struct kpy_large_table *table, u32 index)
{
	unsigned int chunk = kpy_chunk_of(index);

	return &table->chunk[chunk][index - kpy_chunk_start(chunk)];
}

static struct hlist_head *bucket_of(const struct kpy_large_table *table, const void *ptr)
{
	u32 round = roundup_pow_of_two(table->nr_buckets);
	u32 index = hash_ptr(ptr, 32) & (round - 1);

	/* Buckets from nr_buckets on are not split off their lower twin yet. */
	if (index >= table->nr_buckets)
		index -= round / 2;
	return bucket_at(table, index);
}

/* Add one bucket and move to it what belongs there from its lower twin. */
static void table_split(struct kpy_large_table *table)
{
	u32 index = table->nr_buckets;
	u32 twin = index - rounddown_pow_of_two(index);
	struct hlist_head *head = bucket_at(table, twin);
	struct hlist_node *next;
	struct kpy_large *large;

	/* Pairs with READ_ONCE() in kpy_large_alloc(). */
	WRITE_ONCE(table->nr_buckets, index + 1);
	hlist_for_each_entry_safe(large, next, head, node) {
		if (bucket_of(table, large->ptr) == head)
			continue;
		hlist_del(&large->node);
		hlist_add_head(&large->node, bucket_at(table, index));
	}
}

/* A chunk that is missing: it is the one that the next split needs. */
static struct hlist_head *chunk_prepare(struct kpy_heap *heap, unsigned int chunk, gfp_t gfp)
{
	if (READ_ONCE(heap->large.chunk[chunk]))
		return NULL;
	return kvcalloc(kpy_chunk_len(chunk), sizeof(struct hlist_head), gfp | __GFP_NOWARN);
}

/*
 * Returns the chunk if it was not needed after all.  By now others may have
 * brought it and even filled it; the one after it is then left to the next insertion.
 */
static struct hlist_head *table_insert(struct kpy_heap *heap, struct kpy_large *large,
				       struct hlist_head *spare, unsigned int chunk)
{
	struct kpy_large_table *table = &heap->large;

	lockdep_assert_held(&heap->lock);
	if (spare && !table->chunk[chunk]) {
		WRITE_ONCE(table->chunk[chunk], spare);
		spare = NULL;
	}
	hlist_add_head(&large->node, bucket_of(table, large->ptr));
	if (heap->c.large_blocks >= table->nr_buckets &&
	    table->chunk[kpy_chunk_of(table->nr_buckets)])
		table_split(table);
	return spare;
}

static struct kpy_large *table_find(const struct kpy_heap *heap, const void *ptr)
{
	struct kpy_large *large;

	lockdep_assert_held(&heap->lock);
	hlist_for_each_entry(large, bucket_of(&heap->large, ptr), node)
		if (large->ptr == ptr)
			return large;
	return NULL;
}

static void *refuse(struct kpy_heap *heap)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&heap->lock, flags);
	heap->c.limit_failures++;
	raw_spin_unlock_irqrestore(&heap->lock, flags);
	return NULL;
}

/**
 * kpy_large_alloc() - serve a request from the general allocator
 * @heap: the heap
 * @size: bytes, 0 is served as 1
 * @gfp: the caller's; its zones are ignored
 * @fallback: a small request for which there was no arena
 * @caller: for the trace event
 *
 * Context: Any but NMI, heap->lock not held; sleeps if @gfp allows.
 * Return: the block, NULL if there is no memory, the heap's limit does not
 * allow for it, or @size is above INT_MAX.
 */
void *kpy_large_alloc(struct kpy_heap *heap, size_t size, gfp_t gfp, bool fallback,
		      unsigned long caller)
{
	struct hlist_head *spare;
	struct kpy_large *large;
	unsigned long flags;
	unsigned int chunk;
	void *ptr;

	if (size > INT_MAX)
		return NULL;
	gfp &= ~GFP_ZONEMASK;
	if (heap->flags & KPY_HEAP_ACCOUNT)
		gfp |= __GFP_ACCOUNT;
	/* So that it is not even asked for; what counts is the look under the lock. */
	if (unlikely(READ_ONCE(heap->c.held_bytes) + size > READ_ONCE(heap->limit)))
		return refuse(heap);
	large = kmem_cache_alloc(large_cache, gfp & ~__GFP_ZERO);
	if (!large)
		return NULL;
	ptr = kvmalloc(size ?: 1, gfp);
	if (!ptr) {
		kmem_cache_free(large_cache, large);
		return NULL;
	}
	large->ptr = ptr;
	large->size = size;
	chunk = kpy_chunk_of(READ_ONCE(heap->large.nr_buckets));
	spare = chunk_prepare(heap, chunk, gfp & ~__GFP_ZERO);

	raw_spin_lock_irqsave(&heap->lock, flags);
	if (unlikely(!kpy_may_hold(heap, large_held(ptr, size ?: 1))))
		goto unlock;
	spare = table_insert(heap, large, spare, chunk);
	heap->c.large_allocs++;
	heap->c.large_fallbacks += fallback;
	heap->c.large_blocks++;
	kpy_count_large(heap, size);
	kpy_count_held(heap, large_held(ptr, size ?: 1));
	trace_kpy_large_alloc(heap->id, ptr, size, fallback, caller);
	raw_spin_unlock_irqrestore(&heap->lock, flags);
	kvfree(spare);
	return ptr;

unlock:
	raw_spin_unlock_irqrestore(&heap->lock, flags);
	kvfree(spare);
	large_release(ptr);
	kmem_cache_free(large_cache, large);
	return refuse(heap);
}

/**
 * kpy_large_free() - give a block back to the general allocator
 * @heap: the heap
 * @ptr: any pointer
 * @caller: for the trace event
 *
 * Context: Any but NMI, heap->lock not held.
 * Return: false if @ptr is no large block of this heap.
 */
bool kpy_large_free(struct kpy_heap *heap, void *ptr, unsigned long caller)
{
	struct kpy_large *large;
	unsigned long flags;

	raw_spin_lock_irqsave(&heap->lock, flags);
	large = table_find(heap, ptr);
	if (large) {
		hlist_del(&large->node);
		heap->c.large_frees++;
		heap->c.large_blocks--;
		kpy_count_large(heap, -(s64)large->size);
		kpy_count_held(heap, -(s64)large_held(ptr, large->size ?: 1));
		trace_kpy_large_free(heap->id, ptr, large->size, caller);
	}
	raw_spin_unlock_irqrestore(&heap->lock, flags);
	if (!large)
		return false;
	large_release(ptr);
	kmem_cache_free(large_cache, large);
	return true;
}

/**
 * kpy_large_size() - requested size of a large block
 * @heap: the heap
 * @ptr: any pointer
 * @size: set if it is one
 *
 * Context: heap->lock held.
 * Return: false if @ptr is no large block of this heap.
 */
bool kpy_large_size(const struct kpy_heap *heap, const void *ptr, size_t *size)
{
	const struct kpy_large *large = table_find(heap, ptr);

	if (large)
		*size = large->size;
	return large;
}

/**
 * kpy_large_shrink() - make a large block smaller where it is
 * @heap: the heap
 * @ptr: a large block
 * @size: new size
 *
 * Context: heap->lock held.
 * Return: false if it grows, or if moving it would save memory.
 */
bool kpy_large_shrink(struct kpy_heap *heap, void *ptr, size_t size)
{
	struct kpy_large *large = table_find(heap, ptr);

	if (size > large->size ||
	    large_held(ptr, size ?: 1) != large_held(ptr, large->size ?: 1))
		return false;
	kpy_count_large(heap, (s64)size - (s64)large->size);
	large->size = size;
	return true;
}

/**
 * kpy_large_walk() - count the blocks of the table, for the validator
 * @heap: the heap
 * @blocks: set to how many
 * @bytes: set to their requested bytes
 *
 * Context: heap->lock held.
 */
void kpy_large_walk(const struct kpy_heap *heap, u64 *blocks, u64 *bytes)
{
	struct kpy_large *large;
	u32 i;

	lockdep_assert_held(&heap->lock);
	*blocks = 0;
	*bytes = 0;
	for (i = 0; i < heap->large.nr_buckets; i++) {
		hlist_for_each_entry(large, bucket_at(&heap->large, i), node) {
			++*blocks;
			*bytes += large->size;
		}
	}
}

/**
 * kpy_large_init() - prepare a heap's table
 * @heap: zeroed
 *
 * Context: Process, may sleep.
 * Return: 0 or -ENOMEM.
 */
int kpy_large_init(struct kpy_heap *heap)
{
	heap->large.chunk[0] = kvcalloc(kpy_chunk_len(0), sizeof(struct hlist_head), GFP_KERNEL);
	heap->large.nr_buckets = kpy_chunk_len(0);
	return heap->large.chunk[0] ? 0 : -ENOMEM;
}

/**
 * kpy_large_exit() - free every large block and the table
 * @heap: nobody else knows it any more; kpy_large_init() was called
 *
 * Context: Process, may sleep.
 */
void kpy_large_exit(struct kpy_heap *heap)
{
	struct kpy_large *large;
	struct hlist_node *next;
	u32 i;

	for (i = 0; heap->large.chunk[0] && i < heap->large.nr_buckets; i++) {
		hlist_for_each_entry_safe(large, next, bucket_at(&heap->large, i), node) {
			kvfree(large->ptr);
			kmem_cache_free(large_cache, large);
		}
	}
	for (i = 0; i < KPY_MAX_CHUNKS; i++)
		kvfree(heap->large.chunk[i]);
}

/**
 * kpy_large_module_init() - once, before the first heap
 *
 * Context: Process, may sleep.
 * Return: 0 or -ENOMEM.
 */
int __init kpy_large_module_init(void)
{
	large_cache = KMEM_CACHE(kpy_large, 0);
	return large_cache ? 0 : -ENOMEM;
}

/**
 * kpy_large_module_exit() - once, after the last heap
 *
 * Context: Process, may sleep.
 */
void kpy_large_module_exit(void)
{
	flush_work(&vfree_work);
	kmem_cache_destroy(large_cache);
}
