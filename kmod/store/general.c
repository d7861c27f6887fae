// SPDX-License-Identifier: GPL-2.0
/*
 * L2: blocks of the general allocator: requests of 0 bytes, above the largest small
 * one, or without an arena to serve them.
 *
 * CPython hands such pointers to malloc() and free() and keeps no record.  We keep
 * one per block, outside of it, in the table.  Records come from a free list of the
 * heap, and so do a few blocks, see general.h.  A request above the heap's limit is
 * refused with -EDQUOT; freeing other memory first is the caller's decision.
 */
#include <linux/err.h>
#include <linux/kfence.h>
#include <linux/llist.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

#include "account.h"
#include "internal.h"
#include "store/general.h"
#include "trace.h"

#define MAX_RECORDS	32	/* in a heap's free list */

static struct kmem_cache *record_cache;

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

static void general_put(void *ptr)
{
	if (likely(!is_vmalloc_addr(ptr)))
		kfree(ptr);
	else if (llist_add(ptr, &vfree_list))
		schedule_work(&vfree_work);
}

static void *general_get(size_t size, gfp_t gfp)
{
	return size <= KMALLOC_MAX_CACHE_SIZE ? kmalloc(size ?: 1, gfp) : kvmalloc(size, gfp);
}

/* Bytes that the general allocator spends on a block. */
static size_t held_by(const void *ptr, size_t size)
{
	u32 kind = kpy_kept_kind(size);

	/* Its caches of these sizes are powers of two. */
	if (likely(kind < KPY_KEPT_KINDS))
		return KPY_KEPT_FIRST << kind;
	return is_vmalloc_addr(ptr) ? PAGE_ALIGN(size) : kmalloc_size_roundup(size ?: 1);
}

/*
 * Blocks that are checked, wiped or charged to somebody are not kept.  Fallbacks are
 * not either: they are small blocks in disguise.
 */
static u32 kind_for(size_t size, gfp_t gfp, bool fallback)
{
	if (IS_ENABLED(CONFIG_KASAN) || want_init_on_free() || fallback || gfp & __GFP_ACCOUNT)
		return KPY_KEPT_KINDS;
	return kpy_kept_kind(size);
}

/* A block that may be kept has room for all requests of its kind. */
static bool get_block(struct kpy_large *block, size_t size, gfp_t gfp, bool fallback)
{
	block->kind = kind_for(size, gfp, fallback);
	if (block->kind < KPY_KEPT_KINDS)
		size = KPY_KEPT_FIRST << block->kind;
	block->ptr = general_get(size, gfp);
	if (unlikely(!block->ptr))
		return false;
	block->held = held_by(block->ptr, size);
	if (is_kfence_address(block->ptr))
		block->kind = KPY_KEPT_KINDS;
	return true;
}

static struct kpy_large *record_pop(struct kpy_heap *heap)
{
	struct kpy_large *large = heap->records;

	if (likely(large)) {
		heap->records = large->next;
		heap->nr_records--;
	}
	return large;
}

/* Returns the record if there are enough of them. */
static struct kpy_large *record_push(struct kpy_heap *heap, struct kpy_large *large)
{
	if (unlikely(heap->nr_records >= MAX_RECORDS))
		return large;
	large->next = heap->records;
	heap->records = large;
	heap->nr_records++;
	return NULL;
}

/* False if there is no memory for one. */
static bool add_record(struct kpy_heap *heap, gfp_t gfp)
{
	struct kpy_large *large = kmem_cache_alloc(record_cache, gfp);
	unsigned long flags;

	if (!large)
		return false;
	flags = kpy_heap_lock(heap);
	large = record_push(heap, large);
	kpy_heap_unlock(heap, flags);
	if (unlikely(large))
		kmem_cache_free(record_cache, large);
	return true;
}

/* -EDQUOT: the limit does not allow for it; -EAGAIN: there is no record. */
static int add_block(struct kpy_heap *heap, const struct kpy_large *block, size_t size,
		     bool fallback, unsigned long caller)
{
	unsigned long flags = kpy_heap_lock(heap);
	struct kpy_large *large;
	int err = -EDQUOT;

	if (unlikely(!kpy_may_hold(heap, block->held)))
		goto unlock;
	err = -EAGAIN;
	large = record_pop(heap);
	if (unlikely(!large))
		goto unlock;
	err = 0;
	*large = *block;
	kpy_table_insert(heap, large);
	kpy_count_held(heap, block->held);
	heap->c.large_fallbacks += fallback;
	kpy_large_begin(heap, large, size, fallback, caller);
unlock:
	kpy_heap_unlock(heap, flags);
	return err;
}

/* The next block splits a bucket, and the chunk for that is missing. */
static bool table_has_to_grow(const struct kpy_heap *heap)
{
	return unlikely(READ_ONCE(heap->c.large_blocks) + READ_ONCE(heap->c.large_cached) >=
			READ_ONCE(heap->table.nr_buckets)) && kpy_table_is_short(heap);
}

/**
 * kpy_general_alloc() - serve a request from the general allocator
 * @heap: the heap
 * @size: bytes, 0 is served as 1
 * @gfp: the caller's; its zones are ignored
 * @fallback: a small request for which there was no arena
 * @caller: for the trace event
 *
 * Context: Any but NMI, heap->lock not held; sleeps if @gfp allows.
 * Return: the block; ERR_PTR(-EDQUOT) if the heap's limit does not allow for it;
 * ERR_PTR(-ENOMEM) if there is no memory, or @size is above INT_MAX.
 */
void *kpy_general_alloc(struct kpy_heap *heap, size_t size, gfp_t gfp, bool fallback,
			unsigned long caller)
{
	struct kpy_large block;
	int err;

	if (unlikely(size > INT_MAX))
		return ERR_PTR(-ENOMEM);
	/* Memory that the limit refuses is not even asked for; the lock decides later. */
	if (unlikely(READ_ONCE(heap->c.held_bytes) + size > READ_ONCE(heap->limit)))
		return ERR_PTR(-EDQUOT);
	gfp &= ~GFP_ZONEMASK;
	if (heap->flags & KPY_HEAP_ACCOUNT)
		gfp |= __GFP_ACCOUNT;
	if (unlikely(!get_block(&block, size, gfp, fallback)))
		return ERR_PTR(-ENOMEM);
	gfp &= ~(__GFP_ACCOUNT | __GFP_ZERO);
	do
		err = add_block(heap, &block, size, fallback, caller);
	while (unlikely(err == -EAGAIN) && add_record(heap, gfp));
	if (unlikely(err)) {
		general_put(block.ptr);
		return ERR_PTR(err == -EAGAIN ? -ENOMEM : err);
	}
	if (table_has_to_grow(heap))
		kpy_table_grow(heap, gfp);
	return block.ptr;
}

/* The lock is held: a block that is free leaves the heap; returns a record to be freed. */
static struct kpy_large *forget(struct kpy_heap *heap, struct kpy_large *large)
{
	hlist_del(&large->node);
	kpy_count_held(heap, -(s64)large->held);
	return record_push(heap, large);
}

/**
 * kpy_general_free() - return a block to the general allocator
 * @heap: the heap
 * @ptr: any pointer
 * @caller: for the trace event
 *
 * Context: Any but NMI, heap->lock not held.
 * Return: NULL, or what is wrong with @ptr.
 */
const char *kpy_general_free(struct kpy_heap *heap, void *ptr, unsigned long caller)
{
	unsigned long flags = kpy_heap_lock(heap);
	struct kpy_large *large = kpy_table_find(heap, ptr);

	if (unlikely(!large || !large->live)) {
		kpy_heap_unlock(heap, flags);
		return large ? "already free" : "not a block of this heap";
	}
	kpy_large_end(heap, large, caller);
	large = forget(heap, large);
	kpy_heap_unlock(heap, flags);
	general_put(ptr);
	if (unlikely(large))
		kmem_cache_free(record_cache, large);
	return NULL;
}

static struct kpy_large *pop_kept(struct kpy_heap *heap)
{
	struct kpy_large *large;
	u32 kind;

	for (kind = KPY_KEPT_KINDS; kind--; ) {
		large = heap->kept[kind].top;
		if (!large)
			continue;
		heap->kept[kind].top = large->next;
		kpy_count_kept(heap, &heap->kept[kind], large, -1);
		return large;
	}
	return NULL;
}

/**
 * kpy_general_evict() - return a kept block to the general allocator
 * @heap: the heap
 *
 * Context: Any but NMI, heap->lock not held.
 * Return: false if there is none.
 */
bool kpy_general_evict(struct kpy_heap *heap)
{
	unsigned long flags = kpy_heap_lock(heap);
	struct kpy_large *large = pop_kept(heap);
	void *ptr = large ? large->ptr : NULL;

	if (large)
		large = forget(heap, large);
	kpy_heap_unlock(heap, flags);
	kfree(ptr);
	if (large)
		kmem_cache_free(record_cache, large);
	return ptr;
}

/**
 * kpy_general_shrink() - make a large block smaller in place
 * @heap: the heap
 * @large: its record
 * @size: new size
 *
 * Context: heap->lock held.
 * Return: false if the block grows, or if moving it would save memory.
 */
bool kpy_general_shrink(struct kpy_heap *heap, struct kpy_large *large, size_t size)
{
	lockdep_assert_held(&heap->lock);
	if (size > large->size || held_by(large->ptr, size) != large->held)
		return false;
	kpy_count_large(heap, (s64)size - (s64)large->size);
	large->size = size;
	return true;
}

/**
 * kpy_general_exit() - free every large block, and the records
 * @heap: nobody uses it any more; kpy_table_init() was called
 *
 * Context: Process, may sleep.
 */
void kpy_general_exit(struct kpy_heap *heap)
{
	struct kpy_large *large;
	struct hlist_node *next;
	u32 i;

	for (i = 0; i < heap->table.nr_buckets; i++) {
		hlist_for_each_entry_safe(large, next, kpy_table_bucket(&heap->table, i), node) {
			kvfree(large->ptr);
			kmem_cache_free(record_cache, large);
		}
	}
	while ((large = record_pop(heap)))
		kmem_cache_free(record_cache, large);
	kpy_table_exit(heap);
}

/**
 * kpy_general_module_init() - once, before the first heap
 *
 * Context: Process, may sleep.
 * Return: 0 or -ENOMEM.
 */
int __init kpy_general_module_init(void)
{
	/* Of its own, so that a record that is lost shows in slabinfo. */
	record_cache = KMEM_CACHE(kpy_large, SLAB_NO_MERGE);
	return record_cache ? 0 : -ENOMEM;
}

/**
 * kpy_general_module_exit() - once, after the last heap
 *
 * Context: Process, may sleep.
 */
void kpy_general_module_exit(void)
{
	flush_work(&vfree_work);
	kmem_cache_destroy(record_cache);
}
