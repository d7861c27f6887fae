/* SPDX-License-Identifier: GPL-2.0 */
/*
 * L2: large blocks that a heap keeps: an allocation or a free that finds its block, or
 * room, here is one short section under the lock.
 */
#ifndef _KPY_GENERAL_H
#define _KPY_GENERAL_H

#include <linux/bitops.h>

#include "account.h"
#include "internal.h"
#include "store/table.h"
#include "trace.h"

#define KPY_KEPT_NR	4	/* most blocks of a size, */
#define KPY_KEPT_BYTES	SZ_16K	/* and most bytes of them */

/* The kind of a block for a request, %KPY_KEPT_KINDS if it cannot be kept. */
static __always_inline u32 kpy_kept_kind(size_t size)
{
	if (unlikely(size - (KPY_KEPT_FIRST / 2 + 1) > KPY_KEPT_MAX - (KPY_KEPT_FIRST / 2 + 1)))
		return KPY_KEPT_KINDS;
	return fls((u32)(size - 1) / KPY_KEPT_FIRST);
}

static __always_inline u32 kpy_kept_room(u32 kind)
{
	return min_t(u32, KPY_KEPT_NR, KPY_KEPT_BYTES / KPY_KEPT_FIRST >> kind);
}

/* The lock is held: a block is in use from now on. */
static __always_inline void kpy_large_begin(struct kpy_heap *heap, struct kpy_large *large,
					    size_t size, bool fallback, unsigned long caller)
{
	large->size = size;
	large->live = true;
	heap->c.large_allocs++;
	heap->c.large_blocks++;
	kpy_count_large(heap, size);
	trace_kpy_large_alloc(heap->id, large->ptr, size, fallback, caller);
}

/* The lock is held: a block is free from now on. */
static __always_inline void kpy_large_end(struct kpy_heap *heap, struct kpy_large *large,
					  unsigned long caller)
{
	trace_kpy_large_free(heap->id, large->ptr, large->size, caller);
	heap->c.large_frees++;
	heap->c.large_blocks--;
	heap->c.large_bytes -= large->size;
	large->live = false;
}

static __always_inline void kpy_count_kept(struct kpy_heap *heap, struct kpy_kept *kept,
					   const struct kpy_large *large, int more)
{
	kept->nr += more;
	heap->c.large_cached += more;
	heap->c.large_cached_bytes += more * (s64)large->held;
}

/**
 * kpy_kept_pop() - serve a request with a kept block
 * @heap: the heap
 * @size: bytes
 * @gfp: the caller's; a request that is charged to a memory cgroup is not served
 * @caller: for the trace event
 *
 * Context: Any but NMI.  May take heap->lock.
 * Return: the block, or NULL.
 */
static __always_inline void *kpy_kept_pop(struct kpy_heap *heap, size_t size, gfp_t gfp,
					  unsigned long caller)
{
	u32 kind = kpy_kept_kind(size);
	struct kpy_large *large;
	struct kpy_kept *kept;
	unsigned long flags;
	void *ptr = NULL;

	if (unlikely(kind == KPY_KEPT_KINDS) || unlikely(gfp & __GFP_ACCOUNT) ||
	    unlikely(!kpy_trylock(heap, &flags)))
		return NULL;
	kept = &heap->kept[kind];
	large = kept->top;
	if (likely(large)) {
		kept->top = large->next;
		kpy_count_kept(heap, kept, large, -1);
		kpy_large_begin(heap, large, size, false, caller);
		ptr = large->ptr;
	}
	kpy_unlock(heap, flags);
	return ptr;
}

/**
 * kpy_kept_push() - keep a block that is freed
 * @heap: the heap
 * @ptr: any pointer
 * @caller: for the trace event
 *
 * Context: Any but NMI.  May take heap->lock.
 * Return: false if kpy_general_free() has to look at it.
 */
static __always_inline bool kpy_kept_push(struct kpy_heap *heap, void *ptr, unsigned long caller)
{
	struct kpy_large *large;
	struct kpy_kept *kept;
	unsigned long flags;
	bool done = false;

	if (unlikely(!kpy_trylock(heap, &flags)))
		return false;
	large = kpy_table_find(heap, ptr);
	if (unlikely(!large) || unlikely(!large->live) || unlikely(large->kind == KPY_KEPT_KINDS))
		goto unlock;
	kept = &heap->kept[large->kind];
	if (unlikely(kept->nr >= kpy_kept_room(large->kind)))
		goto unlock;
	kpy_large_end(heap, large, caller);
	large->next = kept->top;
	kept->top = large;
	kpy_count_kept(heap, kept, large, 1);
	done = true;
unlock:
	kpy_unlock(heap, flags);
	return done;
}

#endif
