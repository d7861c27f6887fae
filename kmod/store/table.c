// SPDX-License-Identifier: GPL-2.0
/*
 * L1: blocks of the general allocator by address, so that a foreign or already freed
 * pointer is refused without touching its memory, and destroying a heap frees all.
 *
 * A linear hash (W. Litwin, 1980): it grows by one bucket at a time.  Price: a record
 * of 48 bytes per block, and a bucket of 8.
 */
#include <linux/mm.h>
#include <linux/slab.h>

#include "internal.h"
#include "store/table.h"

/* Add one bucket, and move to it what belongs there from its lower twin. */
static void split(struct kpy_table *table)
{
	u32 index = table->nr_buckets++;
	struct hlist_head *new = kpy_table_bucket(table, index), *twin;
	struct hlist_node *next;
	struct kpy_large *large;

	if (index > table->mask)
		table->mask = 2 * table->mask + 1;
	twin = kpy_table_bucket(table, index & (table->mask / 2));
	hlist_for_each_entry_safe(large, next, twin, node) {
		if (kpy_table_bucket_of(table, large->ptr) == twin)
			continue;
		hlist_del(&large->node);
		hlist_add_head(&large->node, new);
	}
}

/**
 * kpy_table_insert() - add the record of a large block
 * @heap: the heap; its counters do not include the block yet
 * @large: the record
 *
 * Context: heap->lock held.
 */
void kpy_table_insert(struct kpy_heap *heap, struct kpy_large *large)
{
	struct kpy_table *table = &heap->table;

	lockdep_assert_held(&heap->lock);
	if (heap->c.large_blocks + heap->c.large_cached >= table->nr_buckets &&
	    !kpy_table_is_short(heap))
		split(table);
	hlist_add_head(&large->node, kpy_table_bucket_of(table, large->ptr));
}

/**
 * kpy_table_is_short() - is the chunk missing that the next split needs?
 * @heap: the heap
 *
 * Context: Any; without heap->lock the answer may be out of date.
 * Return: whether kpy_table_grow() should be called.
 */
bool kpy_table_is_short(const struct kpy_heap *heap)
{
	return !READ_ONCE(heap->table.chunk[kpy_chunk_of(READ_ONCE(heap->table.nr_buckets))]);
}

/**
 * kpy_table_grow() - allocate the chunk that the next split needs
 * @heap: the heap
 * @gfp: how memory may be allocated
 *
 * Without memory the chains become longer, no more.
 *
 * Context: Any but NMI, heap->lock not held; sleeps if @gfp allows.
 */
void kpy_table_grow(struct kpy_heap *heap, gfp_t gfp)
{
	unsigned int chunk = kpy_chunk_of(READ_ONCE(heap->table.nr_buckets));
	struct hlist_head *spare;
	unsigned long flags;

	spare = kvcalloc(kpy_chunk_len(chunk), sizeof(*spare), gfp | __GFP_NOWARN);
	flags = kpy_heap_lock(heap);
	if (!heap->table.chunk[chunk]) {
		WRITE_ONCE(heap->table.chunk[chunk], spare);
		spare = NULL;
	}
	kpy_heap_unlock(heap, flags);
	kvfree(spare);
}

/**
 * kpy_table_init() - make an empty table
 * @heap: zeroed
 *
 * Context: Process, may sleep.
 * Return: 0 or -ENOMEM; kpy_table_exit() cleans up in both cases.
 */
int kpy_table_init(struct kpy_heap *heap)
{
	heap->table.chunk[0] = kvcalloc(kpy_chunk_len(0), sizeof(struct hlist_head), GFP_KERNEL);
	if (!heap->table.chunk[0])
		return -ENOMEM;
	heap->table.nr_buckets = kpy_chunk_len(0);
	heap->table.mask = kpy_chunk_len(0) - 1;
	return 0;
}

/**
 * kpy_table_exit() - free the table, not its records
 * @heap: nobody uses it any more
 *
 * Context: Process, may sleep.
 */
void kpy_table_exit(struct kpy_heap *heap)
{
	u32 i;

	for (i = 0; i < KPY_MAX_CHUNKS; i++)
		kvfree(heap->table.chunk[i]);
}
