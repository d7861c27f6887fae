/* SPDX-License-Identifier: GPL-2.0 */
/*
 * kpymalloc - CPython's small-object allocator for the kernel: public API.
 *
 * A heap hands out blocks of up to 512 bytes from pools, pools from arenas,
 * arenas from the page allocator, in exactly the order of CPython's
 * Objects/obmalloc.c.  Requests of 0 bytes or above the largest small one are
 * served by the kernel's general allocator; kpy_free() takes every pointer that
 * the heap handed out, whichever way it was served.
 *
 * This header is all that another module needs.  Using its symbols keeps
 * kpymalloc.ko from being unloaded.
 */
#ifndef _KPYMALLOC_H
#define _KPYMALLOC_H

#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/stddef.h>
#include <linux/string.h>
#include <linux/types.h>

#include "front/front.h"

#define KPY_NAME_MAX		31	/* characters in a heap's name */
#define KPY_SMALL_MAX		512	/* bytes, the largest small request there is */
#define KPY_ALIGN_MIN		8
#define KPY_ALIGN_MAX		32
#define KPY_MAX_CLASSES		(KPY_SMALL_MAX / KPY_ALIGN_MIN)
#define KPY_ARENA_MIN		(16UL << 10)
#define KPY_ARENA_MAX		(4UL << 20)
#define KPY_POOL_MIN		(4UL << 10)
#define KPY_POOL_MAX		(64UL << 10)

struct kpy_heap;

/**
 * enum kpy_mode - how a heap is locked
 * @KPY_MODE_CLASSIC: one lock per heap, and everything in CPython's order
 * @KPY_MODE_PERCPU: each CPU caches blocks of each class, and most requests take no lock
 */
enum kpy_mode {
	KPY_MODE_CLASSIC,
	KPY_MODE_PERCPU,
};

/**
 * enum kpy_release - when a wholly free arena is returned to the system
 * @KPY_RELEASE_KEEP_LAST: at once unless it is the last usable one (CPython 3.9
 *                         and later)
 * @KPY_RELEASE_ALWAYS: at once (CPython 3.8 and earlier)
 * @KPY_RELEASE_POOL: as %KPY_RELEASE_KEEP_LAST; the pages of free pools in other
 *                    arenas are returned too once nobody needed them for a second
 */
enum kpy_release {
	KPY_RELEASE_KEEP_LAST,
	KPY_RELEASE_ALWAYS,
	KPY_RELEASE_POOL,
};

/**
 * struct kpy_geometry - how a heap is laid out; sizes in bytes
 * @arena_size: power of two, %KPY_ARENA_MIN to %KPY_ARENA_MAX; at least two pools
 * @pool_size: power of two, %KPY_POOL_MIN to %KPY_POOL_MAX
 * @alignment: of every small block, and the distance of size classes: 8, 16 or 32
 * @max_small: largest small request, a multiple of @alignment up to %KPY_SMALL_MAX
 * @release: the release rule
 */
struct kpy_geometry {
	u32 arena_size;
	u32 pool_size;
	u32 alignment;
	u32 max_small;
	enum kpy_release release;
};

/* flags of struct kpy_heap_params */
#define KPY_HEAP_SILENT		0x1	/* count bad pointers, no stack dump (tests) */
#define KPY_HEAP_ACCOUNT	0x2	/* memory is charged to the memcg of who allocates it */
#define KPY_HEAP_ON_DEMAND	0x4	/* free pools stay until kpy_heap_trim() (tests) */

/**
 * struct kpy_heap_params - parameters of kpy_heap_create()
 * @name: 1 to %KPY_NAME_MAX of [A-Za-z0-9._-], not "." or ".."; unique
 * @geometry: sizes; see kpy_preset() for CPython's
 * @mode: locking
 * @flags: KPY_HEAP_*
 * @limit: most bytes that the heap may hold, arenas and large blocks together;
 *         0 for no limit
 */
struct kpy_heap_params {
	const char *name;
	struct kpy_geometry geometry;
	enum kpy_mode mode;
	unsigned int flags;
	u64 limit;
};

/**
 * struct kpy_class_stats - one size class at one moment
 * @pools: pools with at least one block in use
 * @in_use: blocks handed out
 * @available: free blocks in those pools, carved or not
 */
struct kpy_class_stats {
	u64 pools;
	u64 in_use;
	u64 available;
};

/**
 * struct kpy_heap_stats - a consistent snapshot of a heap's numbers
 * @geometry: of the heap
 * @nr_classes: size classes, the valid part of @class
 * @pool_header: bytes of a pool before its first block
 * @class: per size class
 * @arenas_total: arenas ever allocated
 * @arenas_reclaimed: arenas ever freed, @arenas_total - @arenas_current
 * @arenas_highwater: most arenas at one time since creation or the last reset
 * @arenas_current: arenas now
 * @unused_pools: emptied pools and pools never carved, over all arenas
 * @bytes_allocated: bytes of blocks in use, by class size
 * @bytes_available: bytes of free blocks in pools in use
 * @bytes_unused_pools: @unused_pools in bytes
 * @bytes_pool_headers: headers of pools in use
 * @bytes_quantization: what is left behind the last block of pools in use
 * @bytes_alignment: 0, arenas are naturally aligned
 * @bytes_holes: @holes in bytes
 * @bytes_total: sum of the seven; equals the bytes of all arenas
 * @allocs: small blocks ever handed out
 * @frees: small blocks ever taken back
 * @reallocs: kpy_realloc() calls with a block that succeeded
 * @reallocs_in_place: those of @reallocs that left the block where it was
 * @large_allocs: blocks of the general allocator ever handed out
 * @large_frees: such blocks ever taken back
 * @large_fallbacks: small requests among @large_allocs, for which there was no arena
 * @large_blocks: such blocks now
 * @large_bytes: their requested bytes now
 * @large_bytes_peak: most of @large_bytes
 * @large_cached: free blocks of the general allocator that the heap keeps
 * @large_cached_bytes: their size
 * @holes: pools of these arenas whose pages were freed alone
 * @holes_total: such pools ever
 * @held_bytes: arenas without their holes, large blocks in use and kept, and in mode
 *              percpu magazines, now
 * @held_bytes_peak: most of @held_bytes
 * @arena_failures: arenas that could not be allocated
 * @alloc_failures: requests that ended in NULL
 * @limit_failures: requests among @alloc_failures that the limit refused
 * @bad_pointers: pointers refused by kpy_free(), kpy_realloc() and kpy_usable_size()
 * @c: the counters from @arenas_total to @bad_pointers by one name
 */
struct kpy_heap_stats {
	struct kpy_geometry geometry;
	u32 nr_classes;
	u32 pool_header;
	struct kpy_class_stats class[KPY_MAX_CLASSES];
	u64 arenas_reclaimed;
	u64 unused_pools;
	u64 bytes_allocated;
	u64 bytes_available;
	u64 bytes_unused_pools;
	u64 bytes_pool_headers;
	u64 bytes_quantization;
	u64 bytes_alignment;
	u64 bytes_holes;
	u64 bytes_total;

	struct_group_tagged(kpy_counters, c,
		u64 arenas_total;
		u64 arenas_current;
		u64 arenas_highwater;
		u64 allocs;
		u64 frees;
		u64 reallocs;
		u64 reallocs_in_place;
		u64 large_allocs;
		u64 large_frees;
		u64 large_fallbacks;
		u64 large_blocks;
		u64 large_bytes;
		u64 large_bytes_peak;
		u64 large_cached;
		u64 large_cached_bytes;
		u64 holes;
		u64 holes_total;
		u64 held_bytes;
		u64 held_bytes_peak;
		u64 arena_failures;
		u64 alloc_failures;
		u64 limit_failures;
		u64 bad_pointers;
	);
};

/**
 * struct kpy_block_info - where an address lies in its heap
 * @start: first byte of the block
 * @arena_serial: creation number of the arena, from 0
 * @heap: id of the heap, as in trace events
 * @arena: slot in the arena vector
 * @pool: index of the pool in its arena
 * @block: index of the block in its pool
 * @szidx: size class
 * @size: bytes of a block of that class
 * @in_use: 1 if the block is handed out
 */
struct kpy_block_info {
	u64 start;
	u64 arena_serial;
	u32 heap;
	u32 arena;
	u32 pool;
	u32 block;
	u32 szidx;
	u32 size;
	u32 in_use;
};

/**
 * struct kpy_cache - a handle for a heap's blocks of one size
 * @heap: the heap
 * @front: the class's, or in mode classic one that is always empty
 * @tag: what kpy_tag_of() returns for the class's blocks
 * @pool_mask: what leads from a block to its pool
 * @size: bytes of a request
 *
 * Filled in by kpy_cache_init() and constant from then on; it may be copied.
 */
struct kpy_cache {
	struct kpy_heap *heap;
	struct kpy_front __percpu *front;
	unsigned long tag;
	unsigned long pool_mask;
	u32 size;
};

const struct kpy_geometry *kpy_preset(const char *name);
int kpy_geometry_check(const struct kpy_geometry *geo, const char **why);

struct kpy_heap *kpy_heap_create(const struct kpy_heap_params *params);
int kpy_heap_destroy(struct kpy_heap *heap);
struct kpy_heap *kpy_heap_get(const char *name);
void kpy_heap_put(struct kpy_heap *heap);
const char *kpy_heap_name(const struct kpy_heap *heap);

void *kpy_alloc(struct kpy_heap *heap, size_t size, gfp_t gfp);
void *kpy_calloc(struct kpy_heap *heap, size_t n, size_t size, gfp_t gfp);
void *kpy_realloc(struct kpy_heap *heap, void *ptr, size_t size, gfp_t gfp);
void kpy_free(struct kpy_heap *heap, void *ptr);
size_t kpy_usable_size(struct kpy_heap *heap, void *ptr);
int kpy_block_find(struct kpy_heap *heap, void *ptr, struct kpy_block_info *info);

void kpy_heap_stats(struct kpy_heap *heap, struct kpy_heap_stats *stats);
void kpy_heap_reset_peaks(struct kpy_heap *heap);
unsigned long kpy_heap_trim(struct kpy_heap *heap);
void kpy_heap_set_limit(struct kpy_heap *heap, u64 limit);
int kpy_heap_validate(struct kpy_heap *heap, char *why, size_t len);

#define KPY_WALK_ALL	U32_MAX		/* what kpy_heap_walk() visits, if not one size class */
#define KPY_WALK_LARGE	(U32_MAX - 1)

int kpy_heap_walk(struct kpy_heap *heap, u32 szidx,
		  int (*visit)(void *block, size_t size, void *arg), void *arg);

void *kpy_zalloc(struct kpy_heap *heap, size_t size, gfp_t gfp);

unsigned int kpy_alloc_bulk(struct kpy_heap *heap, size_t size, gfp_t gfp, unsigned int count,
			    void **blocks);
void kpy_free_bulk(struct kpy_heap *heap, unsigned int count, void **blocks);

void *kpy_front_pop_irq(struct kpy_heap *heap, struct kpy_front __percpu *front);
bool kpy_front_push_irq(struct kpy_heap *heap, struct kpy_front __percpu *front, void *ptr);
int kpy_cache_init(struct kpy_cache *cache, struct kpy_heap *heap, size_t size);

#define KPY_ZERO_MAX	128	/* bytes; for more, or for a constant, memset() is as good */

/* Zeroes the words of a block that @size bytes need, in fewer instructions than memset(). */
static __always_inline void *kpy_zero(void *block, size_t size)
{
	size_t bytes = ALIGN(size, sizeof(u64));
	u64 *word = block, *end = block + bytes;

	if (__builtin_constant_p(size) || bytes > KPY_ZERO_MAX)
		return memset(block, 0, bytes);
	WRITE_ONCE(*word, 0);			/* or gcc would call memset() again */
	for (word = block + bytes % 16; word < end; word += 2) {
		WRITE_ONCE(word[0], 0);
		WRITE_ONCE(word[1], 0);
	}
	return block;
}

/* Zeroes the block if its caller, or the kernel's options, ask for that. */
static __always_inline void *kpy_init_block(void *block, size_t size, gfp_t gfp)
{
	return want_init_on_alloc(gfp) ? kpy_zero(block, size) : block;
}

/* kpy_alloc() as callers get it: inline if the CPU has a block of the class cached. */
static __always_inline void *kpy_alloc_inline(struct kpy_heap *heap, size_t size, gfp_t gfp)
{
	const struct kpy_fast *fast = (const struct kpy_fast *)heap;
	void *block;

	if (unlikely(size > fast->max) || unlikely(kpy_in_interrupt()))
		return kpy_alloc(heap, size, gfp);
	block = kpy_front_pop(fast->front[size]);
	if (unlikely(!block))
		return kpy_alloc(heap, size, gfp);
	return kpy_init_block(block, size, gfp);
}

#define kpy_alloc(heap, size, gfp) kpy_alloc_inline(heap, size, gfp)

/**
 * kpy_cache_alloc() - allocate a block of a cache's size
 * @cache: from kpy_cache_init()
 * @gfp: as for kpy_alloc()
 *
 * Context: As kpy_alloc().
 * Return: As kpy_alloc().
 */
static __always_inline void *kpy_cache_alloc(const struct kpy_cache *cache, gfp_t gfp)
{
	void *block = likely(!kpy_in_interrupt()) ? kpy_front_pop(cache->front) :
		      kpy_front_pop_irq(cache->heap, cache->front);

	if (unlikely(!block))
		return (kpy_alloc)(cache->heap, cache->size, gfp);
	return kpy_init_block(block, cache->size, gfp);
}

/**
 * kpy_cache_free() - free a block of a cache's size
 * @cache: the cache, or another one of the same heap and size
 * @ptr: the block; NULL is ignored
 *
 * Context: As kpy_free().
 */
static __always_inline void kpy_cache_free(const struct kpy_cache *cache, void *ptr)
{
	if (likely(kpy_tag_of(ptr, cache->pool_mask) == cache->tag) &&
	    likely(!kpy_in_interrupt() ? kpy_front_push(cache->front, ptr) :
		   kpy_front_push_irq(cache->heap, cache->front, ptr)))
		return;
	kpy_free(cache->heap, ptr);
}

#endif
