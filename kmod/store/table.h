/* SPDX-License-Identifier: GPL-2.0 */
/* L1: looking into the table, where each instruction counts; needs heap->lock. */
#ifndef _KPY_TABLE_H
#define _KPY_TABLE_H

#include <linux/hash.h>

#include "lock.h"
#include "types.h"

static inline struct hlist_head *kpy_table_bucket(const struct kpy_table *table, u32 index)
{
	unsigned int chunk = kpy_chunk_of(index);

	return &table->chunk[chunk][index - kpy_chunk_start(chunk)];
}

static inline struct hlist_head *kpy_table_bucket_of(const struct kpy_table *table,
						     const void *ptr)
{
	u32 index = hash_ptr(ptr, 32) & table->mask;

	/* Buckets from nr_buckets on are not split off their lower twins yet. */
	if (unlikely(index >= table->nr_buckets))
		index &= table->mask / 2;
	return kpy_table_bucket(table, index);
}

/**
 * kpy_table_find() - the record of a large block, live or kept
 * @heap: the heap
 * @ptr: any pointer
 *
 * Context: heap->lock held.
 * Return: the record, or NULL.
 */
static inline struct kpy_large *kpy_table_find(const struct kpy_heap *heap, const void *ptr)
{
	struct kpy_large *large;

	lockdep_assert_held(&heap->lock);
	hlist_for_each_entry(large, kpy_table_bucket_of(&heap->table, ptr), node)
		if (large->ptr == ptr)
			return large;
	return NULL;
}

#endif
