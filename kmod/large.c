// SPDX-License-Identifier: GPL-2.0
/*
 * L1: blocks of the general allocator: requests of 0 bytes, above the largest
 * small one, or for want of an arena.
 *
 * CPython hands such pointers to malloc() and free() and keeps no record.  We
 * keep one a block, outside of it, in a linear hash (W. Litwin, 1980): so a
 * foreign or already freed pointer is refused without touching its memory,
 * and destroying a heap gives everything back.  Price: 56 bytes a block.
 */
#include <linux/err.h>
#include <linux/llist.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

#include "internal.h"
#include "large.h"
#include "trace.h"

#define MAX_SPARES	32	/* records that a heap keeps for its next blocks */

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

static void *large_get(size_t size, gfp_t gfp)
{
	return size <= KMALLOC_MAX_CACHE_SIZE ? kmalloc(size ?: 1, gfp) : kvmalloc(size, gfp);
}

/* Bytes that the general allocator spends on a block of so many. */
static size_t large_held(const void *ptr, size_t size)
{
	u32 kind = kpy_large_kind(size);

	if (likely(kind < KPY_LARGE_KINDS))
		return KPY_LARGE_FIRST << kind;
	return is_vmalloc_addr(ptr) ? PAGE_ALIGN(size) : kmalloc_size_roundup(size ?: 1);
}

/* So many blocks more. */
static void count_blocks(struct kpy_heap *heap, const struct kpy_large *large, int more)
{
	s64 held = large_held(large->ptr, large->size);

	WRITE_ONCE(heap->c.large_blocks, heap->c.large_blocks + more);
	heap->large_held += more * held;
	kpy_count_held(heap, more * held);
}

/* Add one bucket and move to it what belongs there from its lower twin. */
static void table_split(struct kpy_large_table *table)
{
	u32 index = table->nr_buckets;
	struct hlist_head *head, *new = kpy_large_bucket_at(table, index);
	struct hlist_node *next;
	struct kpy_large *large;

	/* Pairs with smp_load_acquire() in kpy_large_bucket(). */
	smp_store_release(&table->nr_buckets, index + 1);
	if (index > table->mask)
		/* Pairs with the other one there: whoever sees this sees nr_buckets too. */
		smp_store_release(&table->mask, 2 * table->mask + 1);
	head = kpy_large_bucket_at(table, index & (table->mask / 2));
	hlist_for_each_entry_safe(large, next, head, node) {
		if (kpy_large_bucket(table, large->ptr) == head)
			continue;
		hlist_del_rcu(&large->node);
		hlist_add_head_rcu(&large->node, new);
	}
}

/* A chunk that is missing: it is the one that the next split needs. */
static struct hlist_head *chunk_prepare(struct kpy_heap *heap, gfp_t gfp, unsigned int *chunk)
{
	u32 nr = READ_ONCE(heap->large.nr_buckets);

	*chunk = kpy_chunk_of(nr);
	if (READ_ONCE(heap->c.large_blocks) < nr || READ_ONCE(heap->large.chunk[*chunk]))
		return NULL;
	return kvcalloc(kpy_chunk_len(*chunk), sizeof(struct hlist_head), gfp | __GFP_NOWARN);
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
	hlist_add_head_rcu(&large->node, kpy_large_bucket(table, large->ptr));
	if (heap->c.large_blocks >= table->nr_buckets &&
	    table->chunk[kpy_chunk_of(table->nr_buckets)])
		table_split(table);
	count_blocks(heap, large, 1);
	return spare;
}

/**
 * kpy_large_forget() - a block goes back to the general allocator
 * @heap: the heap
 * @large: its record, claimed by the caller, who has to give both back
 *
 * Context: heap->lock held.
 */
void kpy_large_forget(struct kpy_heap *heap, struct kpy_large *large)
{
	lockdep_assert_held(&heap->lock);
	hlist_del_rcu(&large->node);
	count_blocks(heap, large, -1);
}

/**
 * kpy_large_give_back() - give blocks from fronts and their records back
 * @list: of them, linked by @next, no longer in the table
 *
 * Context: Any but NMI, heap->lock not held.
 */
void kpy_large_give_back(struct kpy_large *list)
{
	struct kpy_large *next;

	for (; list; list = next) {
		next = list->next;
		kfree(list->ptr);
		kmem_cache_free(large_cache, list);
	}
}

/* Records of any block, live or in a front. */
static struct kpy_large *table_find(const struct kpy_heap *heap, const void *ptr)
{
	struct kpy_large *large;

	lockdep_assert_held(&heap->lock);
	hlist_for_each_entry(large, kpy_large_bucket(&heap->large, ptr), node)
		if (large->ptr == ptr)
			return large;
	return NULL;
}

static struct kpy_large *record_pop(struct kpy_heap *heap)
{
	struct kpy_large *large = heap->spares;

	lockdep_assert_held(&heap->lock);
	if (likely(large)) {
		WRITE_ONCE(heap->spares, large->next);
		heap->nr_spares--;
	}
	return large;
}

/* Returns the record if there are enough of them. */
static struct kpy_large *record_push(struct kpy_heap *heap, struct kpy_large *large)
{
	lockdep_assert_held(&heap->lock);
	if (unlikely(heap->nr_spares >= MAX_SPARES))
		return large;
	large->next = heap->spares;
	WRITE_ONCE(heap->spares, large);
	heap->nr_spares++;
	return NULL;
}

/* A copy of @block in @large; returns what table_insert() does. */
static struct hlist_head *take_in(struct kpy_heap *heap, struct kpy_large *large,
				  const struct kpy_large *block, struct hlist_head *spare,
				  unsigned int chunk)
{
	large->ptr = block->ptr;
	large->size = block->size;
	large->kind = block->kind;
	/* Somebody may still be looking at its last block.  Pairs with kpy_large_claim(). */
	smp_store_release(&large->key, block->key);
	spare = table_insert(heap, large, spare, chunk);
	heap->c.large_allocs++;
	kpy_count_large(heap, block->size);
	return spare;
}

/* -EDQUOT: the limit does not allow for it; -EAGAIN: somebody took the last spare record. */
static int add_block(struct kpy_heap *heap, const struct kpy_large *block, gfp_t gfp,
		     bool fallback, unsigned long caller)
{
	struct kpy_large *record = NULL;
	struct hlist_head *spare;
	unsigned long flags;
	unsigned int chunk;
	int err = -EDQUOT;

	if (unlikely(!READ_ONCE(heap->spares))) {
		record = kmem_cache_alloc(large_cache, gfp & ~__GFP_ACCOUNT);
		if (!record)
			return -ENOMEM;
	}
	spare = chunk_prepare(heap, gfp, &chunk);
	raw_spin_lock_irqsave(&heap->lock, flags);
	if (unlikely(!kpy_may_hold(heap, large_held(block->ptr, block->size))))
		goto unlock;
	err = -EAGAIN;
	if (likely(!record))
		record = record_pop(heap);
	if (unlikely(!record))
		goto unlock;
	err = 0;
	spare = take_in(heap, record, block, spare, chunk);
	record = NULL;
	heap->c.large_fallbacks += fallback;
	trace_kpy_large_alloc(heap->id, block->ptr, block->size, fallback, caller);
unlock:
	raw_spin_unlock_irqrestore(&heap->lock, flags);
	if (unlikely(spare))
		kvfree(spare);
	if (unlikely(record))
		kmem_cache_free(large_cache, record);
	return err;
}

/*
 * A block may lie in a front only if who wanted it looked there first: else those
 * that he has and others free would pile up.
 */
static u32 kind_for(const struct kpy_heap *heap, size_t size, gfp_t gfp, bool fallback)
{
	if (kpy_large_passes_by(heap) || fallback || gfp & __GFP_ACCOUNT ||
	    static_branch_unlikely(&kpy_large_alloc_slowly))
		return KPY_LARGE_KINDS;
	return kpy_large_kind(size);
}

/* The block, or why there is none: -ENOMEM, or -EDQUOT if the limit does not allow for it. */
static void *try_alloc(struct kpy_heap *heap, size_t size, gfp_t gfp, bool fallback,
		       unsigned long caller)
{
	struct kpy_large block = { .size = size };
	int err;

	/* So that it is not even asked for; what counts is the look under the lock. */
	if (unlikely(READ_ONCE(heap->c.held_bytes) + size > READ_ONCE(heap->limit)))
		return ERR_PTR(-EDQUOT);
	if (heap->flags & KPY_HEAP_ACCOUNT)
		gfp |= __GFP_ACCOUNT;
	block.kind = kind_for(heap, size, gfp, fallback);
	block.ptr = large_get(block.kind < KPY_LARGE_KINDS ? KPY_LARGE_FIRST << block.kind : size,
			      gfp);
	if (!block.ptr)
		return ERR_PTR(-ENOMEM);
	block.key = kpy_large_key(heap, block.ptr);
	do
		err = add_block(heap, &block, gfp & ~__GFP_ZERO, fallback, caller);
	while (unlikely(err == -EAGAIN));
	if (unlikely(err))
		large_release(block.ptr);
	return err ? ERR_PTR(err) : block.ptr;
}

static void count_limit_failure(struct kpy_heap *heap)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&heap->lock, flags);
	heap->c.limit_failures++;
	raw_spin_unlock_irqrestore(&heap->lock, flags);
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
	void *ptr;

	if (size > INT_MAX)
		return NULL;
	gfp &= ~GFP_ZONEMASK;
	do
		ptr = try_alloc(heap, size, gfp, fallback, caller);
	while (ptr == ERR_PTR(-EDQUOT) && kpy_large_evict(heap));
	if (ptr == ERR_PTR(-EDQUOT))
		count_limit_failure(heap);
	return IS_ERR(ptr) ? NULL : ptr;
}

/* A live block that is live no longer; NULL, and why, if another CPU was first, too. */
static struct kpy_large *claim_block(struct kpy_heap *heap, const void *ptr, const char **why)
{
	struct kpy_large *large = kpy_large_find(heap, ptr, why);

	if (likely(large) && unlikely(!kpy_large_claim(large, kpy_large_key(heap, ptr)))) {
		*why = "already free";
		return NULL;
	}
	return large;
}

/**
 * kpy_large_free() - take a block back, which goes to the general allocator unless it
 *                    is kept at hand
 * @heap: the heap
 * @ptr: any pointer
 * @caller: for the trace event
 *
 * Context: Any but NMI, heap->lock not held.
 * Return: NULL, or what is wrong with @ptr.
 */
const char *kpy_large_free(struct kpy_heap *heap, void *ptr, unsigned long caller)
{
	const char *why = NULL;
	struct kpy_large *large;
	unsigned long flags;
	bool goes;

	raw_spin_lock_irqsave(&heap->lock, flags);
	large = claim_block(heap, ptr, &why);
	if (large && kpy_large_keep(heap, large))
		large = NULL;
	goes = large;
	if (likely(goes)) {
		heap->c.large_frees++;
		kpy_count_large(heap, -(s64)large->size);
		trace_kpy_large_free(heap->id, ptr, large->size, caller);
		kpy_large_forget(heap, large);
		large = record_push(heap, large);
	}
	raw_spin_unlock_irqrestore(&heap->lock, flags);
	if (likely(goes))
		large_release(ptr);
	if (unlikely(large))
		kmem_cache_free(large_cache, large);
	return why;
}

/**
 * kpy_large_find() - the record of a live large block
 * @heap: the heap
 * @ptr: any pointer
 * @why: set to what is wrong with @ptr, if it is no such block of this heap
 *
 * Context: heap->lock held.
 * Return: the record, or NULL.
 */
struct kpy_large *kpy_large_find(const struct kpy_heap *heap, const void *ptr, const char **why)
{
	struct kpy_large *large = table_find(heap, ptr);

	if (likely(large) && likely(READ_ONCE(large->key) == kpy_large_key(heap, ptr)))
		return large;
	*why = large ? "already free" : "not a block of this heap";
	return NULL;
}

/**
 * kpy_large_shrink() - make a large block smaller where it is
 * @heap: the heap
 * @large: its record
 * @size: new size
 *
 * Context: heap->lock held.
 * Return: false if it grows, or if moving it would save memory.
 */
bool kpy_large_shrink(struct kpy_heap *heap, struct kpy_large *large, size_t size)
{
	if (size > large->size ||
	    large_held(large->ptr, size) != large_held(large->ptr, large->size))
		return false;
	kpy_count_large(heap, (s64)size - (s64)large->size);
	large->size = size;
	return true;
}

/**
 * kpy_large_walk() - count the blocks of the table, for the validator
 * @heap: the heap
 * @walk: filled in
 *
 * Context: heap->lock held.
 */
void kpy_large_walk(const struct kpy_heap *heap, struct kpy_large_walk *walk)
{
	const struct kpy_large *large;
	u32 i;

	lockdep_assert_held(&heap->lock);
	memset(walk, 0, sizeof(*walk));
	for (i = 0; i < heap->large.nr_buckets; i++) {
		hlist_for_each_entry(large, kpy_large_bucket_at(&heap->large, i), node) {
			walk->records++;
			if (READ_ONCE(large->key) != kpy_large_key(heap, large->ptr))
				continue;
			walk->blocks++;
			walk->bytes += READ_ONCE(large->size);
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
	heap->large.mask = kpy_chunk_len(0) - 1;
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
		hlist_for_each_entry_safe(large, next, kpy_large_bucket_at(&heap->large, i), node) {
			kvfree(large->ptr);
			kmem_cache_free(large_cache, large);
		}
	}
	while ((large = heap->spares)) {
		heap->spares = large->next;
		kmem_cache_free(large_cache, large);
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
	large_cache = KMEM_CACHE(kpy_large, SLAB_TYPESAFE_BY_RCU);
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
