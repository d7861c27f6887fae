/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the suites share: KUnit, or the stand-in where the kernel has none;
 * heaps and memory that go when a case ends, however it ends.
 *
 * The suites call the public API and look at struct kpy_heap, no more.
 * ASSERTs stand in case functions only: the stand-in's return from there.
 */
#ifndef _KPY_KUNIT_SUITE_H
#define _KPY_KUNIT_SUITE_H

#if IS_ENABLED(CONFIG_KUNIT)
#include <kunit/test.h>
#else
#include "kunit_standin.h"
#endif

#include <linux/prandom.h>

#include "types.h"

/* One size class has this many blocks in a pool of 4 KiB: quick to fill. */
#define KT_BIG			512
#define KT_BIG_PER_POOL		7

/* Room for a list of pools or arenas as text. */
#define KT_TEXT			256

extern struct kunit_suite kpy_sizes_suite;
extern struct kunit_suite kpy_pool_suite;
extern struct kunit_suite kpy_arena_suite;
extern struct kunit_suite kpy_release_suite;
extern struct kunit_suite kpy_reclaim_suite;
extern struct kunit_suite kpy_realloc_suite;
extern struct kunit_suite kpy_large_suite;
extern struct kunit_suite kpy_kept_suite;
extern struct kunit_suite kpy_walk_suite;
extern struct kunit_suite kpy_errors_suite;
extern struct kunit_suite kpy_model_suite;
extern struct kunit_suite kpy_wipe_suite;
extern struct kunit_suite kpy_percpu_suite;
extern struct kunit_suite kpy_bulk_suite;
extern struct kunit_suite kpy_context_suite;

/* .init and .exit of every suite; exit validates and destroys the case's heaps. */
int kt_init(struct kunit *test);
void kt_exit(struct kunit *test);

/*
 * A silent heap that gives nothing back by itself; NULL, and the case has failed,
 * if it cannot be had.
 */
struct kpy_heap *kt_heap(struct kunit *test, const struct kpy_geometry *geo);

/* Likewise one made to order, but for its name. */
struct kpy_heap *kt_heap_of(struct kunit *test, struct kpy_heap_params *params);

/* For cases that are done in each mode: the parameter, and a silent heap of that mode. */
const void *kt_mode_gen_params(const void *prev, char *name);
struct kpy_heap *kt_heap_of_mode(struct kunit *test, const struct kpy_geometry *geo);

/* Zeroed memory. */
void *kt_memory(struct kunit *test, size_t size);

void kt_expect_valid(struct kunit *test, struct kpy_heap *heap);

/* The same request n times; false, and NULLs in p, for those that failed. */
bool kt_fill(struct kpy_heap *heap, void **p, u32 n, size_t size);

/* Frees n blocks, skips NULLs, leaves NULLs. */
void kt_free(struct kpy_heap *heap, void **p, u32 n);

/* To look at a heap's lists oneself: a pool that lingers is in its arena now. */
void kt_settle(struct kpy_heap *heap);

/* Puts n pointers in an order that the seed decides. */
void kt_shuffle(void **p, u32 n, u64 seed);

/* Where a small block lies; the case has failed if it is none. */
struct kpy_block_info kt_where(struct kunit *test, struct kpy_heap *heap, void *ptr);

/* Did the general allocator serve it? */
static inline bool kt_is_large(struct kpy_heap *heap, void *ptr)
{
	struct kpy_block_info info;

	return ptr && kpy_block_find(heap, ptr, &info) == -ENOENT;
}

/* What a heap holds, without the free large blocks that it keeps. */
static inline u64 kt_held(struct kpy_heap *heap)
{
	return heap->c.held_bytes - heap->c.large_cached_bytes;
}

static inline struct kpy_pool *kt_pool(struct kpy_heap *heap, void *ptr)
{
	return (void *)ALIGN_DOWN((unsigned long)ptr, heap->geo.pool_size);
}

#endif
