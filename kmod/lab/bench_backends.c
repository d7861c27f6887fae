// SPDX-License-Identifier: GPL-2.0
/*
 * The allocators that are measured.
 *
 * A new one needs: NAME_alloc, NAME_free and NAME_realloc for blocks of any size;
 * the _fixed and _const forms for one size known before the loop or to the
 * compiler (aliases if that makes no difference); NAME_alloc_bulk and
 * NAME_free_bulk; a function that frees any block; its own inclusion of
 * bench_steps.h and a line in backends[].
 */
#include <linux/kernel.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "bench_patterns.h"

/*
 * none: functions that do nothing, to measure the cost of the loops and the calls.
 * They take the arguments of kmalloc() and kfree(); passing a heap or a cache as
 * well is part of the cost of the allocator that needs it.
 */
static noinline __noclone void *nothing_alloc(size_t size, gfp_t gfp)
{
	asm volatile("" : "+r" (size) : : "memory");
	return (void *)size;
}

static noinline __noclone void nothing_free(void *ptr)
{
	asm volatile("" : : "r" (ptr) : "memory");
}

static noinline __noclone void *nothing_realloc(void *ptr, size_t size, gfp_t gfp)
{
	asm volatile("" : "+r" (ptr) : : "memory");
	return ptr;
}

static noinline __noclone u32 nothing_alloc_bulk(u32 count, void **blocks)
{
	asm volatile("" : "+r" (count) : : "memory");
	return count;
}

static noinline __noclone void nothing_free_bulk(u32 count, void **blocks)
{
	asm volatile("" : : "r" (count) : "memory");
}

static __always_inline void *none_alloc(const struct bench_job *job, size_t size, gfp_t gfp)
{
	return nothing_alloc(size, gfp);
}

static __always_inline void none_free(const struct bench_job *job, void *ptr, size_t size)
{
	nothing_free(ptr);
}

static __always_inline void *none_realloc(const struct bench_job *job, void *ptr, size_t old,
					  size_t size)
{
	return nothing_realloc(ptr, size, BENCH_GFP);
}

static __always_inline u32 none_alloc_bulk(const struct bench_job *job, u32 count, void **blocks)
{
	return nothing_alloc_bulk(count, blocks);
}

static __always_inline void none_free_bulk(const struct bench_job *job, u32 count, void **blocks)
{
	nothing_free_bulk(count, blocks);
}

static void none_free_any(const struct bench_job *job, void *ptr)
{
}

#define none_alloc_const	none_alloc
#define none_free_const	none_free
#define none_alloc_fixed	none_alloc
#define none_free_fixed		none_free

/* kpymalloc: the chosen heap, in whatever mode */
static __always_inline void *kpymalloc_alloc(const struct bench_job *job, size_t size, gfp_t gfp)
{
	return kpy_alloc(job->heap, size, gfp);
}

static __always_inline void kpymalloc_free(const struct bench_job *job, void *ptr, size_t size)
{
	kpy_free(job->heap, ptr);
}

static __always_inline void *kpymalloc_realloc(const struct bench_job *job, void *ptr, size_t old,
					       size_t size)
{
	return kpy_realloc(job->heap, ptr, size, BENCH_GFP);
}

static __always_inline void *kpymalloc_alloc_fixed(const struct bench_job *job, size_t size,
						   gfp_t gfp)
{
	return kpy_cache_alloc(&job->fixed, gfp);
}

static __always_inline void kpymalloc_free_fixed(const struct bench_job *job, void *ptr,
						 size_t size)
{
	kpy_cache_free(&job->fixed, ptr);
}

static __always_inline u32 kpymalloc_alloc_bulk(const struct bench_job *job, u32 count,
						void **blocks)
{
	return kpy_alloc_bulk(job->heap, job->size, BENCH_GFP, count, blocks);
}

static __always_inline void kpymalloc_free_bulk(const struct bench_job *job, u32 count,
						void **blocks)
{
	kpy_free_bulk(job->heap, count, blocks);
}

static void kpymalloc_free_any(const struct bench_job *job, void *ptr)
{
	kpy_free(job->heap, ptr);
}

static void kpymalloc_trim(const struct bench_job *job)
{
	kpy_heap_trim(job->heap);
}

static int kpymalloc_open(struct bench_job *job)
{
	if (!job->heap)
		return bench_refuse(-ENOENT, "no heap is chosen");
	if (kpy_cache_init(&job->fixed, job->heap, job->size))
		job->fixed.heap = NULL;
	return 0;
}

#define kpymalloc_alloc_const	kpymalloc_alloc_fixed
#define kpymalloc_free_const	kpymalloc_free_fixed

/* Likewise, for sizes that kpy_cache_init() refuses. */
#define large_alloc		kpymalloc_alloc
#define large_free		kpymalloc_free
#define large_realloc		kpymalloc_realloc
#define large_alloc_bulk	kpymalloc_alloc_bulk
#define large_free_bulk		kpymalloc_free_bulk
#define large_alloc_fixed	kpymalloc_alloc
#define large_free_fixed	kpymalloc_free
#define large_alloc_const	kpymalloc_alloc
#define large_free_const	kpymalloc_free

/* kmalloc */
static __always_inline void *kmalloc_alloc(const struct bench_job *job, size_t size, gfp_t gfp)
{
	return kmalloc(size, gfp);
}

static __always_inline void kmalloc_free(const struct bench_job *job, void *ptr, size_t size)
{
	kfree(ptr);
}

static __always_inline void *kmalloc_realloc(const struct bench_job *job, void *ptr, size_t old,
					     size_t size)
{
	return krealloc(ptr, size, BENCH_GFP);
}

static __always_inline u32 kmalloc_alloc_bulk(const struct bench_job *job, u32 count,
					      void **blocks)
{
	return bench_alloc_each(job, count, blocks, kmalloc_alloc);
}

static __always_inline void kmalloc_free_bulk(const struct bench_job *job, u32 count, void **blocks)
{
	bench_free_each(job, count, blocks, kmalloc_free);
}

static void slab_free_any(const struct bench_job *job, void *ptr)
{
	kfree(ptr);
}

#define kmalloc_alloc_const	kmalloc_alloc
#define kmalloc_free_const	kmalloc_free
#define kmalloc_alloc_fixed	kmalloc_alloc
#define kmalloc_free_fixed	kmalloc_free

/* cache: a kmem_cache for the size, or one per size class */
static __always_inline void *cache_alloc(const struct bench_job *job, size_t size, gfp_t gfp)
{
	return kmem_cache_alloc(lab_cache_of(&job->classes, size), gfp);
}

static __always_inline void cache_free(const struct bench_job *job, void *ptr, size_t size)
{
	kmem_cache_free(lab_cache_of(&job->classes, size), ptr);
}

static __always_inline void *cache_realloc(const struct bench_job *job, void *ptr, size_t old,
					   size_t size)
{
	if (lab_cache_of(&job->classes, old) == lab_cache_of(&job->classes, size))
		return ptr;
	return bench_move(job, ptr, old, size, cache_alloc, cache_free);
}

static __always_inline void *cache_alloc_fixed(const struct bench_job *job, size_t size, gfp_t gfp)
{
	return kmem_cache_alloc(job->cache, gfp);
}

static __always_inline void cache_free_fixed(const struct bench_job *job, void *ptr, size_t size)
{
	kmem_cache_free(job->cache, ptr);
}

#define cache_alloc_const	cache_alloc_fixed
#define cache_free_const	cache_free_fixed

static __always_inline u32 cache_alloc_bulk(const struct bench_job *job, u32 count, void **blocks)
{
	u32 got = kmem_cache_alloc_bulk(job->cache, BENCH_GFP, count, blocks);

	if (unlikely(!got))
		memset(blocks, 0, count * sizeof(*blocks));	/* has stale pointers */
	return got;
}

static __always_inline void cache_free_bulk(const struct bench_job *job, u32 count, void **blocks)
{
	kmem_cache_free_bulk(job->cache, count, blocks);
}

static void cache_trim(const struct bench_job *job)
{
	kmem_cache_shrink(job->cache);
}

static void cache_close(struct bench_job *job)
{
	kmem_cache_destroy(job->cache);
	job->cache = NULL;
	lab_caches_destroy(&job->classes);
}

static int cache_open(struct bench_job *job)
{
	if (lab_caches_create(&job->classes, "kpybench-class"))
		return bench_refuse(-ENOMEM, "no memory for the caches");
	if (!job->size)
		return 0;
	job->cache = lab_cache_create("kpybench", job->size);
	if (job->cache)
		return 0;
	cache_close(job);
	return bench_refuse(-ENOMEM, "no memory for a kmem_cache of %u bytes", job->size);
}

#define B(name) none_##name
#include "bench_steps.h"
#undef B

#define B(name) kpymalloc_##name
#include "bench_steps.h"
#undef B

#define B(name) large_##name
#include "bench_steps.h"
#undef B

#define B(name) kmalloc_##name
#include "bench_steps.h"
#undef B

#define B(name) cache_##name
#include "bench_steps.h"
#undef B

static const struct bench_backend backends[] = {
	{ .name = "none", .free = none_free_any, .step = none_steps },
	{ .name = "kpymalloc", .open = kpymalloc_open, .free = kpymalloc_free_any,
	  .trim = kpymalloc_trim, .step = kpymalloc_steps, .step_without = large_steps },
	{ .name = "kmalloc", .free = slab_free_any, .step = kmalloc_steps },
	{ .name = "cache", .open = cache_open, .close = cache_close, .free = slab_free_any,
	  .trim = cache_trim, .max_size = KPY_SMALL_MAX, .step = cache_steps },
};

/**
 * bench_backend_find - find an allocator by name
 * @name: name of the allocator
 *
 * Return: the allocator, or %NULL.
 */
const struct bench_backend *bench_backend_find(const char *name)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(backends); i++) {
		if (!strcmp(name, backends[i].name))
			return &backends[i];
	}
	return NULL;
}
