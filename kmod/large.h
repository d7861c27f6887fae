/* SPDX-License-Identifier: GPL-2.0 */
/* L1: what large.c and large_front.c share: the table of large blocks, and who owns one. */
#ifndef _KPY_LARGE_H
#define _KPY_LARGE_H

#include <linux/hash.h>
#include <linux/rculist.h>

#include "internal.h"

/* What the record of a live block has as its key; odd. */
static __always_inline unsigned long kpy_large_key(const struct kpy_heap *heap, const void *ptr)
{
	return (unsigned long)ptr ^ heap->secret;
}

/* Of a block of so many bytes, if it may lie in a front. */
static __always_inline u32 kpy_large_kind(size_t size)
{
	if (size <= KPY_LARGE_FIRST / 2 || size > KPY_LARGE_MAX)
		return KPY_LARGE_KINDS;
	return fls((u32)(size - 1) / KPY_LARGE_FIRST);
}

static __always_inline struct hlist_head *kpy_large_bucket_at(const struct kpy_large_table *table,
							      u32 index)
{
	unsigned int chunk = kpy_chunk_of(index);

	return &table->chunk[chunk][index - kpy_chunk_start(chunk)];
}

/* Without the lock this may be the wrong one, but always is one. */
static __always_inline struct hlist_head *kpy_large_bucket(const struct kpy_large_table *table,
							   const void *ptr)
{
	/* First, as it is written last.  Pairs with smp_store_release() in table_split(). */
	u32 mask = smp_load_acquire(&table->mask);
	u32 index = hash_ptr(ptr, 32) & mask;

	/* Those from nr_buckets on are not split off their lower twin yet.  Pairs likewise. */
	if (index >= smp_load_acquire(&table->nr_buckets))
		index &= mask / 2;
	return kpy_large_bucket_at(table, index);
}

/*
 * The record of a live block; NULL if it is none, or perhaps while the table
 * changes.  With preemption off, which keeps the memory of records.
 */
static __always_inline struct kpy_large *kpy_large_lookup(const struct kpy_heap *heap,
							  const void *ptr)
{
	unsigned long key = kpy_large_key(heap, ptr);
	struct kpy_large *large;

	hlist_for_each_entry_rcu(large, kpy_large_bucket(&heap->large, ptr), node)
		if (READ_ONCE(large->key) == key)
			return large;
	return NULL;
}

/*
 * Of all who free a block one succeeds; the record is then the caller's, all of it:
 * the key is what is written last.
 */
static __always_inline bool kpy_large_claim(struct kpy_large *large, unsigned long key)
{
	return cmpxchg(&large->key, key, 0) == key;
}

#define KPY_LARGE_ALLOC		BIT(16)		/* in the state of a front */

/* On while allocations, or frees, have to be seen one by one, under heap->lock. */
DECLARE_STATIC_KEY_FALSE(kpy_large_alloc_slowly);
DECLARE_STATIC_KEY_FALSE(kpy_large_free_slowly);

static __always_inline bool kpy_large_passes_by(const struct kpy_heap *heap)
{
	return unlikely(!heap->cpu) || unlikely(kpy_in_interrupt());
}

/* NULL if this CPU has none at hand, or while somebody traces. */
static __always_inline void *kpy_large_pop(struct kpy_heap *heap, size_t size, gfp_t gfp)
{
	struct kpy_large_front *f;
	struct kpy_large *large;
	void *ptr = NULL;

	if (kpy_large_passes_by(heap) || unlikely(gfp & __GFP_ACCOUNT))
		return NULL;
	preempt_disable();
	f = &this_cpu_ptr(heap->cpu)->large[kpy_large_kind(size)];
	large = f->top;
	if (!static_branch_unlikely(&kpy_large_alloc_slowly) && likely(large)) {
		f->top = large->next;
		f->state += KPY_LARGE_ALLOC + 1;
		f->bytes += size;
		ptr = large->ptr;
		large->size = size;
		/* Pairs with kpy_large_claim(). */
		smp_store_release(&large->key, kpy_large_key(heap, ptr));
	}
	preempt_enable();
	return ptr;
}

static __always_inline void kpy_large_front_put(struct kpy_large_front *f, struct kpy_large *large)
{
	large->next = f->top;
	f->top = large;
	f->state--;
	f->bytes -= large->size;
}

static __always_inline bool kpy_large_push_record(struct kpy_heap *heap, struct kpy_large *large,
						  unsigned long key)
{
	u32 kind = READ_ONCE(large->kind);
	struct kpy_large_front *f = &this_cpu_ptr(heap->cpu)->large[kind];

	if (unlikely(!(u16)f->state) || unlikely(!kpy_large_claim(large, key)))
		return false;
	/* Only if the block was freed, had anew and freed again meanwhile. */
	if (unlikely(large->kind != kind)) {
		WRITE_ONCE(large->key, key);
		return false;
	}
	kpy_large_front_put(f, large);
	return true;
}

/* False if it is no live block, if the front is full, or while somebody traces. */
static __always_inline bool kpy_large_push(struct kpy_heap *heap, void *ptr)
{
	struct kpy_large *large;
	bool done = false;

	if (kpy_large_passes_by(heap))
		return false;
	preempt_disable();
	large = kpy_large_lookup(heap, ptr);
	if (!static_branch_unlikely(&kpy_large_free_slowly) && likely(large))
		done = kpy_large_push_record(heap, large, kpy_large_key(heap, ptr));
	preempt_enable();
	return done;
}

void kpy_large_forget(struct kpy_heap *heap, struct kpy_large *large);
void kpy_large_give_back(struct kpy_large *list);
bool kpy_large_keep(struct kpy_heap *heap, struct kpy_large *large);
bool kpy_large_evict(struct kpy_heap *heap);

#endif
