// SPDX-License-Identifier: GPL-2.0
/*
 * L4: the API: request → size class → pool, or the general allocator; the one
 * place where allocations and frees are counted and traced.
 *
 * After pymalloc_alloc(), pymalloc_free() and pymalloc_realloc() in CPython's
 * Objects/obmalloc.c; heap->lock stands where CPython has the GIL.
 */
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/overflow.h>
#include <linux/random.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "classic.h"
#include "front.h"
#include "internal.h"
#include "large.h"
#include "trace.h"

#undef kpy_alloc		/* the function itself, see kpymalloc.h */

/* Refuse a pointer: count it, and say so the first time. */
static void refuse(struct kpy_heap *heap, const void *ptr, const char *why, unsigned long caller)
{
	unsigned long flags;
	bool report;

	raw_spin_lock_irqsave(&heap->lock, flags);
	heap->c.bad_pointers++;
	report = !heap->reported && !(heap->flags & KPY_HEAP_SILENT);
	heap->reported |= report;
	raw_spin_unlock_irqrestore(&heap->lock, flags);
	WARN(report, "kpymalloc: heap %s: bad pointer %p from %pS: %s\n",
	     heap->name, ptr, (void *)caller, why);
}

static void count_failure(struct kpy_heap *heap)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&heap->lock, flags);
	heap->c.alloc_failures++;
	raw_spin_unlock_irqrestore(&heap->lock, flags);
}

static noinline void *general_alloc(struct kpy_heap *heap, size_t size, gfp_t gfp, bool fallback,
				    unsigned long caller)
{
	void *ptr = kpy_large_alloc(heap, size, gfp, fallback, caller);

	if (!ptr)
		count_failure(heap);
	return ptr;
}

static noinline void *large_slow_alloc(struct kpy_heap *heap, size_t size, gfp_t gfp,
				       unsigned long caller)
{
	void *ptr = kpy_large_refill(heap, size) ? kpy_large_pop(heap, size, gfp) : NULL;

	if (!ptr)
		return general_alloc(heap, size, gfp, false, caller);
	return kpy_init_block(ptr, size, gfp);
}

static noinline void *large_alloc(struct kpy_heap *heap, size_t size, gfp_t gfp,
				  unsigned long caller)
{
	void *ptr = kpy_large_pop(heap, size, gfp);

	if (unlikely(!ptr))
		return large_slow_alloc(heap, size, gfp, caller);
	return kpy_init_block(ptr, size, gfp);
}

static noinline void *small_alloc(struct kpy_heap *heap, size_t size, gfp_t gfp,
				  unsigned long caller)
{
	void *ptr;

	might_alloc(gfp);
	ptr = heap->cpu ? kpy_percpu_alloc(heap, size, gfp, caller) :
			  kpy_classic_alloc(heap, size, gfp, caller);
	if (!ptr)
		return general_alloc(heap, size, gfp, true, caller);
	return kpy_init_block(ptr, size, gfp);
}

static noinline void *slow_alloc(struct kpy_heap *heap, size_t size, gfp_t gfp,
				 unsigned long caller)
{
	if (size - 1 < heap->geo.max_small)
		return small_alloc(heap, size, gfp, caller);
	return large_alloc(heap, size, gfp, caller);
}

static void *heap_alloc(struct kpy_heap *heap, size_t size, gfp_t gfp, unsigned long caller)
{
	void *ptr;

	/* Elsewhere a check that costs a stack frame is left to the slow path. */
	if (IS_ENABLED(CONFIG_PROVE_LOCKING) || IS_ENABLED(CONFIG_DEBUG_ATOMIC_SLEEP))
		might_alloc(gfp);
	ptr = kpy_classic_pop(heap, size);
	if (unlikely(!ptr))
		return slow_alloc(heap, size, gfp, caller);
	return kpy_init_block(ptr, size, gfp);
}

/* All cases of a free, each looked at as closely as can be. */
static noinline void close_free(struct kpy_heap *heap, void *ptr, unsigned long caller)
{
	struct kpy_arena *arena;
	const char *why;

	if (heap->cpu && kpy_percpu_free_quick(heap, ptr))
		return;
	arena = kpy_arena_find(heap, ptr);
	if (!arena)
		why = kpy_large_free(heap, ptr, caller);
	else
		why = heap->cpu ? kpy_percpu_free(heap, arena, ptr, caller) :
				  kpy_classic_free(heap, arena, ptr, caller);
	if (unlikely(why))
		refuse(heap, ptr, why, caller);
}

static noinline void percpu_free(struct kpy_heap *heap, void *ptr, unsigned long caller)
{
	if (unlikely(!kpy_large_push(heap, ptr)))
		close_free(heap, ptr, caller);
}

static noinline void slow_free(struct kpy_heap *heap, void *ptr, unsigned long caller)
{
	if (!ptr)
		return;
	if (heap->cpu)
		percpu_free(heap, ptr, caller);
	else
		close_free(heap, ptr, caller);
}

static void heap_free(struct kpy_heap *heap, void *ptr, unsigned long caller)
{
	if (unlikely(!kpy_classic_push(heap, ptr)))
		slow_free(heap, ptr, caller);
}

/* Class size or requested size of a block; false if it is none of ours. */
static bool block_size(struct kpy_heap *heap, void *ptr, size_t *size, struct kpy_large **large,
		       const char **why)
{
	struct kpy_arena *arena = kpy_arena_find(heap, ptr);
	struct kpy_pool *pool;

	lockdep_assert_held(&heap->lock);
	*large = arena ? NULL : kpy_large_find(heap, ptr, why);
	if (*large)
		*size = (*large)->size;
	if (!arena)
		return *large;
	pool = kpy_pool_of_block(heap, arena, ptr, why);
	if (pool)
		*size = kpy_class_size(heap, pool->szidx);
	return pool;
}

static void count_realloc(struct kpy_heap *heap, void *old, void *ptr, size_t old_size,
			  size_t size, bool small, unsigned long caller)
{
	lockdep_assert_held(&heap->lock);
	heap->c.reallocs++;
	heap->c.reallocs_in_place += old == ptr;
	trace_kpy_realloc(heap->id, old, ptr, old_size, size, small, caller);
}

static void count_realloc_unlocked(struct kpy_heap *heap, void *old, void *ptr, size_t old_size,
				   size_t size, bool small, unsigned long caller)
{
	unsigned long flags;

	if (heap->cpu && kpy_percpu_count_realloc(heap, old == ptr))
		return;
	raw_spin_lock_irqsave(&heap->lock, flags);
	count_realloc(heap, old, ptr, old_size, size, small, caller);
	raw_spin_unlock_irqrestore(&heap->lock, flags);
}

/* CPython's rule for small blocks. */
static bool small_stays(size_t old, size_t size)
{
	return size <= old && 4 * size > 3 * old;
}

/* A large one stays large whatever @size. */
static bool realloc_stays(struct kpy_heap *heap, struct kpy_large *large, size_t old, size_t size)
{
	return large ? kpy_large_shrink(heap, large, size) : small_stays(old, size);
}

/* New block first, old one freed last: the new one never gets the old one's place. */
static void *realloc_move(struct kpy_heap *heap, void *old, bool small, size_t old_size,
			  size_t size, gfp_t gfp, unsigned long caller)
{
	void *ptr;

	ptr = small ? heap_alloc(heap, size, gfp, caller) :
		      large_alloc(heap, size, gfp, caller);
	if (!ptr)
		return NULL;
	memcpy(ptr, old, min(old_size, size));
	heap_free(heap, old, caller);
	count_realloc_unlocked(heap, old, ptr, old_size, size, small, caller);
	return ptr;
}

/* Mode percpu: no lock, but where the block moves and a front cannot help. */
static void *realloc_vouched(struct kpy_heap *heap, void *ptr, size_t old, size_t size, gfp_t gfp,
			     unsigned long caller)
{
	if (!small_stays(old, size))
		return realloc_move(heap, ptr, true, old, size, gfp, caller);
	count_realloc_unlocked(heap, ptr, ptr, old, size, true, caller);
	return ptr;
}

/* Functions of their own, so that the fast paths need no stack frame. */
static noinline void *alloc_in_interrupt(struct kpy_heap *heap, size_t size, gfp_t gfp,
					 unsigned long caller)
{
	void *ptr = kpy_front_pop_irq(heap, heap->fast.front[size]);

	if (unlikely(!ptr))
		return heap_alloc(heap, size, gfp, caller);
	return kpy_init_block(ptr, size, gfp);
}

static noinline void free_in_interrupt(struct kpy_heap *heap, struct kpy_front __percpu *front,
				       void *ptr, unsigned long caller)
{
	if (unlikely(!kpy_front_push_irq(heap, front, ptr)))
		close_free(heap, ptr, caller);
}

/**
 * kpy_alloc() - get a block
 * @heap: the heap
 * @size: bytes; 0 gives a distinct block of 1, as in CPython
 * @gfp: how memory may be had if there is none in the heap: %GFP_KERNEL,
 *       %GFP_NOWAIT, %GFP_ATOMIC, …, with %__GFP_ZERO for zeroed bytes.  Zones
 *       are ignored: a block comes from memory that the kernel can address.
 *
 * Up to the heap's largest small request a block of @size's class, else what
 * the general allocator gives; so too if no arena can be had.
 *
 * Context: Process, softirq or hardirq, also with spinlocks held if @gfp does
 * not sleep; not NMI.  Takes heap->lock.  On PREEMPT_RT as kmalloc(): not with
 * preemption or interrupts off.
 * Return: the block, aligned as the geometry says; NULL if there is no memory
 * or @size is above INT_MAX.
 */
void *kpy_alloc(struct kpy_heap *heap, size_t size, gfp_t gfp)
{
	void *ptr;

	if (likely(size <= heap->fast.max)) {
		if (unlikely(kpy_in_interrupt()))
			return alloc_in_interrupt(heap, size, gfp, _RET_IP_);
		ptr = kpy_front_pop(heap->fast.front[size]);
		if (likely(ptr))
			return kpy_init_block(ptr, size, gfp);
	}
	return heap_alloc(heap, size, gfp, _RET_IP_);
}
EXPORT_SYMBOL_GPL(kpy_alloc);

/**
 * kpy_zalloc() - get a block of zeroes
 * @heap: the heap
 * @size: bytes
 * @gfp: as for kpy_alloc()
 *
 * Context: As kpy_alloc().
 * Return: As kpy_alloc(), the first @size bytes zero.
 */
void *kpy_zalloc(struct kpy_heap *heap, size_t size, gfp_t gfp)
{
	return heap_alloc(heap, size, gfp | __GFP_ZERO, _RET_IP_);
}
EXPORT_SYMBOL_GPL(kpy_zalloc);

/**
 * kpy_calloc() - get zeroed memory for an array
 * @heap: the heap
 * @n: elements
 * @size: bytes of one
 * @gfp: as for kpy_alloc()
 *
 * Context: As kpy_alloc().
 * Return: As kpy_zalloc(); NULL too if @n * @size overflows.
 */
void *kpy_calloc(struct kpy_heap *heap, size_t n, size_t size, gfp_t gfp)
{
	size_t bytes;

	if (check_mul_overflow(n, size, &bytes)) {
		count_failure(heap);
		return NULL;
	}
	return heap_alloc(heap, bytes, gfp | __GFP_ZERO, _RET_IP_);
}
EXPORT_SYMBOL_GPL(kpy_calloc);

/**
 * kpy_realloc() - change the size of a block
 * @heap: the heap
 * @ptr: a block of this heap; NULL makes this kpy_alloc()
 * @size: new size; 0 gives a block of 1, as in CPython
 * @gfp: as for kpy_alloc(); %__GFP_ZERO is ignored, the new tail is undefined
 *
 * CPython's rule: a small block stays in place iff @size fits its class and is
 * more than three quarters of the CLASS size; a block of the general allocator
 * stays one whatever its size; else a new block is had, the contents copied,
 * and then the old one freed.
 *
 * Context: As kpy_alloc().
 * Return: the block, moved or not; NULL if there is no memory or @ptr is
 * refused (reported once a heap): @ptr is then as it was.
 */
void *kpy_realloc(struct kpy_heap *heap, void *ptr, size_t size, gfp_t gfp)
{
	bool known, stays = false;
	struct kpy_large *large;
	unsigned long flags;
	const char *why;
	size_t old;

	gfp &= ~__GFP_ZERO;
	if (!ptr)
		return heap_alloc(heap, size, gfp, _RET_IP_);
	old = kpy_percpu_block_size(heap, ptr);
	if (old)
		return realloc_vouched(heap, ptr, old, size, gfp, _RET_IP_);

	raw_spin_lock_irqsave(&heap->lock, flags);
	known = block_size(heap, ptr, &old, &large, &why);
	if (likely(known))
		stays = realloc_stays(heap, large, old, size);
	if (stays)
		count_realloc(heap, ptr, ptr, old, size, !large, _RET_IP_);
	raw_spin_unlock_irqrestore(&heap->lock, flags);

	if (stays)
		return ptr;
	if (unlikely(!known)) {
		refuse(heap, ptr, why, _RET_IP_);
		return NULL;
	}
	return realloc_move(heap, ptr, !large, old, size, gfp, _RET_IP_);
}
EXPORT_SYMBOL_GPL(kpy_realloc);

/**
 * kpy_free() - give a block back
 * @heap: the heap it came from
 * @ptr: the block; NULL is ignored
 *
 * A pointer that is no live block of this heap is refused, counted, and
 * reported with a stack the first time; the heap stays as it was.
 *
 * Context: Process, softirq or hardirq, also with spinlocks held; not NMI.
 * Takes heap->lock.  On PREEMPT_RT as kfree(): not with preemption or
 * interrupts off.
 */
void kpy_free(struct kpy_heap *heap, void *ptr)
{
	unsigned long offset = kpy_tag_of(ptr, heap->pool_mask) ^ heap->front_tag;
	struct kpy_front __percpu *front;

	if (unlikely(offset >= KPY_SECRET_BIT))
		goto slow;
	front = kpy_front_of_tag(heap, offset);
	if (unlikely(kpy_in_interrupt()))
		return free_in_interrupt(heap, front, ptr, _RET_IP_);
	if (unlikely(!kpy_front_push(front, ptr)))
		close_free(heap, ptr, _RET_IP_);
	return;

slow:
	heap_free(heap, ptr, _RET_IP_);
}
EXPORT_SYMBOL_GPL(kpy_free);

/**
 * kpy_usable_size() - bytes that may be used of a block
 * @heap: the heap it came from
 * @ptr: the block, or NULL
 *
 * Context: Any but NMI.  Takes heap->lock.
 * Return: the size of its class, or what was requested of the general
 * allocator; 0 for NULL and for a pointer that is refused as by kpy_free().
 */
size_t kpy_usable_size(struct kpy_heap *heap, void *ptr)
{
	unsigned long flags;
	struct kpy_large *large;
	size_t size = 0;
	const char *why;
	bool known;

	if (!ptr)
		return 0;
	raw_spin_lock_irqsave(&heap->lock, flags);
	known = block_size(heap, ptr, &size, &large, &why);
	raw_spin_unlock_irqrestore(&heap->lock, flags);
	if (!known)
		refuse(heap, ptr, why, _RET_IP_);
	return size;
}
EXPORT_SYMBOL_GPL(kpy_usable_size);

/* Say what was never freed, in all and by class. */
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
	heap->secret = get_random_long() | 1;	/* no tag is 0 */
	heap->pool_tag = get_random_long() & -KPY_SECRET_BIT;
	heap->front_tag = params->mode == KPY_MODE_PERCPU ? heap->pool_tag : ~heap->pool_tag;
	heap->pool_mask = ~(geo->pool_size - 1UL);
	heap->mode = params->mode;
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
 * kpy_heap_new() - make an empty heap that nobody knows yet
 * @params: checked by the caller
 * @id: of the heap in trace events
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
	kpy_release_init(heap);
	if (kpy_arenas_init(heap) || kpy_large_init(heap) ||
	    kpy_percpu_init(heap)) {
		kpy_heap_delete(heap);
		return ERR_PTR(-ENOMEM);
	}
	return heap;
}

/**
 * kpy_heap_delete() - free a heap and all its memory
 * @heap: nobody else knows it any more; blocks in use are reported in the log
 *
 * Context: Process, may sleep.
 */
void kpy_heap_delete(struct kpy_heap *heap)
{
	kpy_snapshot_event(heap, KPY_SNAPSHOT_END);
	kpy_percpu_exit(heap);
	kpy_release_exit(heap);
	report_live(heap);
	kpy_large_exit(heap);
	kpy_arenas_exit(heap);
	kvfree(heap);
}
