// SPDX-License-Identifier: GPL-2.0
/*
 * L4: the API, and the one place that divides requests between both modes: request ->
 * size class -> mode, or the general allocator.  Only here a heap grows, and only here
 * free memory is given up for a request that the limit refuses.
 *
 * After pymalloc_alloc(), pymalloc_free() and pymalloc_realloc() in CPython's
 * Objects/obmalloc.c; heap->lock stands where CPython has the GIL.
 */
#include <linux/err.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/overflow.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "account.h"
#include "classic.h"
#include "front/front.h"
#include "internal.h"
#include "store/general.h"
#include "trace.h"

#undef kpy_alloc		/* the function itself, see kpymalloc.h */

/* Refuse a pointer: count it, and report the first one. */
static void refuse(struct kpy_heap *heap, const void *ptr, const char *why, unsigned long caller)
{
	unsigned long flags = kpy_heap_lock(heap);
	bool report;

	heap->c.bad_pointers++;
	report = !heap->reported && !(heap->flags & KPY_HEAP_SILENT);
	heap->reported |= report;
	kpy_heap_unlock(heap, flags);
	WARN(report, "kpymalloc: heap %s: bad pointer %p from %pS: %s\n",
	     heap->name, ptr, (void *)caller, why);
}

static void count_failure(struct kpy_heap *heap, bool limit)
{
	unsigned long flags = kpy_heap_lock(heap);

	heap->c.alloc_failures++;
	heap->c.limit_failures += limit;
	kpy_heap_unlock(heap, flags);
}

/* Looked at first, so that memory which the limit refuses is not even asked for. */
static bool may_grow(struct kpy_heap *heap)
{
	unsigned long flags = kpy_heap_lock(heap);
	bool may;

	may = !list_empty(&heap->usable_arenas) || kpy_may_hold(heap, heap->geo.arena_size);
	kpy_heap_unlock(heap, flags);
	return may;
}

/* There is a usable arena now; false if @spare has to be filled again, or @may is now false. */
static bool attach(struct kpy_heap *heap, struct kpy_spare *spare, bool *may)
{
	unsigned long flags = kpy_heap_lock(heap);
	bool done = !list_empty(&heap->usable_arenas);

	*may = kpy_may_hold(heap, heap->geo.arena_size);
	if (!done && *may)
		done = kpy_arena_attach(heap, spare);
	kpy_heap_unlock(heap, flags);
	return done;
}

/*
 * Make sure that there is a usable arena.  Another CPU may have used it up, or added
 * one, by the time this returns: look again.  False if the limit is reached, or there
 * is no memory.
 */
static bool grow(struct kpy_heap *heap, gfp_t gfp)
{
	struct kpy_spare spare = {};
	bool done = false, may;
	unsigned long flags;

	do
		may = may_grow(heap);
	while (unlikely(!may) && kpy_general_evict(heap));
	while (!done && may && kpy_arena_fill_spare(heap, &spare, gfp))
		done = attach(heap, &spare, &may);
	kpy_arena_drop_spare(heap, &spare);
	if (done)
		return true;

	flags = kpy_heap_lock(heap);
	heap->c.arena_failures++;
	kpy_heap_unlock(heap, flags);
	return false;
}

/* Free memory that no block needs, for a request that the limit refused; false if there is none. */
static bool evict(struct kpy_heap *heap)
{
	struct kpy_reap reap;
	unsigned long flags;

	if (kpy_general_evict(heap))
		return true;
	flags = kpy_heap_lock(heap);
	kpy_arena_reap(heap, ULONG_MAX, &reap);
	kpy_heap_unlock(heap, flags);
	kpy_arena_free_reaped(heap, &reap);
	return reap.nr;
}

static noinline void *general_slow_alloc(struct kpy_heap *heap, size_t size, gfp_t gfp,
					 bool fallback, unsigned long caller)
{
	void *ptr;

	do
		ptr = kpy_general_alloc(heap, size, gfp, fallback, caller);
	while (unlikely(ptr == ERR_PTR(-EDQUOT)) && size <= READ_ONCE(heap->limit) && evict(heap));
	if (!IS_ERR(ptr))
		return ptr;
	count_failure(heap, ptr == ERR_PTR(-EDQUOT));
	return NULL;
}

static noinline void *general_alloc(struct kpy_heap *heap, size_t size, gfp_t gfp,
				    unsigned long caller)
{
	void *ptr = kpy_kept_pop(heap, size, gfp, caller);

	if (unlikely(!ptr))
		return general_slow_alloc(heap, size, gfp, false, caller);
	return kpy_init_block(ptr, size, gfp);
}

static noinline void *small_alloc(struct kpy_heap *heap, size_t size, gfp_t gfp,
				  unsigned long caller)
{
	void *ptr;

	might_alloc(gfp);
	do
		ptr = heap->ops->alloc(heap, size, caller);
	while (!ptr && grow(heap, gfp));
	if (!ptr)
		return general_slow_alloc(heap, size, gfp, true, caller);
	return kpy_init_block(ptr, size, gfp);
}

static noinline void *slow_alloc(struct kpy_heap *heap, size_t size, gfp_t gfp,
				 unsigned long caller)
{
	if (size - 1 < heap->geo.max_small)
		return small_alloc(heap, size, gfp, caller);
	return general_alloc(heap, size, gfp, caller);
}

static void *heap_alloc(struct kpy_heap *heap, size_t size, gfp_t gfp, unsigned long caller)
{
	void *ptr;

	/* Otherwise a check that costs a stack frame is left to the slow path. */
	if (IS_ENABLED(CONFIG_PROVE_LOCKING) || IS_ENABLED(CONFIG_DEBUG_ATOMIC_SLEEP))
		might_alloc(gfp);
	ptr = kpy_classic_pop(heap, size);
	if (unlikely(!ptr))
		return slow_alloc(heap, size, gfp, caller);
	return kpy_init_block(ptr, size, gfp);
}

/* All cases of a free, each checked closely. */
static noinline void slow_free(struct kpy_heap *heap, void *ptr, unsigned long caller)
{
	struct kpy_arena *arena;
	const char *why;

	if (!ptr)
		return;
	arena = kpy_arena_find(heap, ptr);
	why = arena ? heap->ops->free(heap, arena, ptr, caller) :
		      kpy_general_free(heap, ptr, caller);
	if (unlikely(why))
		refuse(heap, ptr, why, caller);
}

static noinline void general_free(struct kpy_heap *heap, void *ptr, unsigned long caller)
{
	if (unlikely(!kpy_kept_push(heap, ptr, caller)))
		slow_free(heap, ptr, caller);
}

/* The front is full, or somebody traces. */
static noinline void percpu_free(struct kpy_heap *heap, void *ptr, unsigned long caller)
{
	if (unlikely(!kpy_percpu_put(heap, ptr)))
		slow_free(heap, ptr, caller);
}

static noinline void free_in_interrupt(struct kpy_heap *heap, struct kpy_front __percpu *front,
				       void *ptr, unsigned long caller)
{
	if (unlikely(!kpy_front_push_irq(heap, front, ptr)))
		percpu_free(heap, ptr, caller);
}

/* A function of its own, so that the fast path of mode percpu needs no stack frame. */
static noinline void classic_free(struct kpy_heap *heap, void *ptr, unsigned long caller)
{
	if (unlikely(!kpy_classic_push(heap, ptr)))
		slow_free(heap, ptr, caller);
}

/* A small block that kpy_realloc() moved. */
static void small_free(struct kpy_heap *heap, void *ptr, unsigned long caller)
{
	if (heap->cpu)
		percpu_free(heap, ptr, caller);
	else
		classic_free(heap, ptr, caller);
}

/* Class size or requested size of a block; false, and why, if it is not a block of the heap. */
static bool block_size(struct kpy_heap *heap, void *ptr, size_t *size, struct kpy_large **large,
		       const char **why)
{
	struct kpy_arena *arena = kpy_arena_find(heap, ptr);
	struct kpy_pool *pool;

	lockdep_assert_held(&heap->lock);
	*large = arena ? NULL : kpy_table_find(heap, ptr);
	*why = *large ? "already free" : "not a block of this heap";
	if (*large && (*large)->live) {
		*size = (*large)->size;
		return true;
	}
	if (!arena)
		return false;
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
	flags = kpy_heap_lock(heap);
	count_realloc(heap, old, ptr, old_size, size, small, caller);
	kpy_heap_unlock(heap, flags);
}

/* CPython's rule for small blocks. */
static bool small_stays(size_t old, size_t size)
{
	return size <= old && 4 * size > 3 * old;
}

/* A large block stays large whatever @size is. */
static bool realloc_stays(struct kpy_heap *heap, struct kpy_large *large, size_t old, size_t size)
{
	return large ? kpy_general_shrink(heap, large, size) : small_stays(old, size);
}

/* The new block is allocated before the old one is freed, so it never gets its place. */
static void *realloc_move(struct kpy_heap *heap, void *old, bool small, size_t old_size,
			  size_t size, gfp_t gfp, unsigned long caller)
{
	void *ptr;

	ptr = small ? heap_alloc(heap, size, gfp, caller) :
		      general_alloc(heap, size, gfp, caller);
	if (!ptr)
		return NULL;
	memcpy(ptr, old, min(old_size, size));
	if (small)
		small_free(heap, old, caller);
	else
		general_free(heap, old, caller);
	count_realloc_unlocked(heap, old, ptr, old_size, size, small, caller);
	return ptr;
}

/* Mode percpu: without the lock, unless the block moves and a front cannot help. */
static void *realloc_vouched(struct kpy_heap *heap, void *ptr, size_t old, size_t size, gfp_t gfp,
			     unsigned long caller)
{
	if (!small_stays(old, size))
		return realloc_move(heap, ptr, true, old, size, gfp, caller);
	count_realloc_unlocked(heap, ptr, ptr, old, size, true, caller);
	return ptr;
}

/* A function of its own, so that the fast path needs no stack frame. */
static noinline void *alloc_in_interrupt(struct kpy_heap *heap, size_t size, gfp_t gfp,
					 unsigned long caller)
{
	void *ptr = kpy_front_pop_irq(heap, heap->fast.front[size]);

	if (unlikely(!ptr))
		return heap_alloc(heap, size, gfp, caller);
	return kpy_init_block(ptr, size, gfp);
}

/**
 * kpy_alloc() - get a block
 * @heap: the heap
 * @size: bytes; 0 gives a distinct block of 1, as in CPython
 * @gfp: how memory may be allocated if the heap has none: %GFP_KERNEL,
 *       %GFP_NOWAIT, %GFP_ATOMIC, …, with %__GFP_ZERO for zeroed bytes.  Zones
 *       are ignored: a block lies in memory that the kernel can address.
 *
 * Requests up to the heap's largest small one get a block of @size's class.  Others
 * are served by the general allocator, and so are all if no arena can be allocated.
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
 * @size: bytes of an element
 * @gfp: as for kpy_alloc()
 *
 * Context: As kpy_alloc().
 * Return: As kpy_zalloc(); NULL also if @n * @size overflows.
 */
void *kpy_calloc(struct kpy_heap *heap, size_t n, size_t size, gfp_t gfp)
{
	size_t bytes;

	if (check_mul_overflow(n, size, &bytes)) {
		count_failure(heap, false);
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
 * is served by it again, whatever @size is.  Otherwise a new block is allocated, the
 * contents are copied, and then the old block is freed.
 *
 * Context: As kpy_alloc().
 * Return: the block, moved or not; NULL if there is no memory or @ptr is
 * refused (reported once per heap): @ptr is then as it was.
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

	flags = kpy_heap_lock(heap);
	known = block_size(heap, ptr, &old, &large, &why);
	if (likely(known))
		stays = realloc_stays(heap, large, old, size);
	if (stays)
		count_realloc(heap, ptr, ptr, old, size, !large, _RET_IP_);
	kpy_heap_unlock(heap, flags);

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
 * A pointer that is not a live block of this heap is refused, counted, and
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
		goto no_front;
	front = kpy_front_of_tag(heap, offset);
	if (unlikely(kpy_in_interrupt()))
		return free_in_interrupt(heap, front, ptr, _RET_IP_);
	if (unlikely(!kpy_front_push(front, ptr)))
		percpu_free(heap, ptr, _RET_IP_);
	return;

no_front:
	/* The complement is a front's offset only in mode classic. */
	if (~offset < KPY_SECRET_BIT)
		classic_free(heap, ptr, _RET_IP_);
	else
		general_free(heap, ptr, _RET_IP_);
}
EXPORT_SYMBOL_GPL(kpy_free);

/**
 * kpy_usable_size() - bytes that may be used of a block
 * @heap: the heap it came from
 * @ptr: the block, or NULL
 *
 * Context: Any but NMI.  Takes heap->lock.
 * Return: the size of its class, or what was requested of the general
 * allocator; 0 for NULL and for a pointer that kpy_free() would refuse.
 */
size_t kpy_usable_size(struct kpy_heap *heap, void *ptr)
{
	struct kpy_large *large;
	unsigned long flags;
	size_t size = 0;
	const char *why;
	bool known;

	if (!ptr)
		return 0;
	flags = kpy_heap_lock(heap);
	known = block_size(heap, ptr, &size, &large, &why);
	kpy_heap_unlock(heap, flags);
	if (!known)
		refuse(heap, ptr, why, _RET_IP_);
	return size;
}
EXPORT_SYMBOL_GPL(kpy_usable_size);

/**
 * kpy_heap_reset_peaks() - set all peaks to the present numbers
 * @heap: the heap
 *
 * Context: Any but NMI.
 */
void kpy_heap_reset_peaks(struct kpy_heap *heap)
{
	unsigned long flags = kpy_heap_lock(heap);

	heap->c.arenas_highwater = heap->c.arenas_current;
	heap->c.large_bytes_peak = heap->c.large_bytes;
	heap->c.held_bytes_peak = heap->c.held_bytes;
	kpy_heap_unlock(heap, flags);
}
EXPORT_SYMBOL_GPL(kpy_heap_reset_peaks);

/**
 * kpy_heap_set_limit() - set the most bytes that a heap may hold
 * @heap: the heap
 * @limit: bytes, 0 for no limit
 *
 * A heap that holds more keeps what it has.
 *
 * Context: Any but NMI.
 */
void kpy_heap_set_limit(struct kpy_heap *heap, u64 limit)
{
	unsigned long flags = kpy_heap_lock(heap);

	heap->limit = limit ?: U64_MAX;
	kpy_heap_unlock(heap, flags);
}
EXPORT_SYMBOL_GPL(kpy_heap_set_limit);
