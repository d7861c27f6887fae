// SPDX-License-Identifier: GPL-2.0
/*
 * The allocators a replay can run on: a kpymalloc heap; the kernel's own
 * kmalloc() and vmalloc(), for comparison; or one kmem_cache per size class,
 * with kmalloc() and vmalloc() for all other sizes.
 *
 * All get the same requests and gfp flags.  A reference to the heap is held
 * from lab_backend_open() to lab_backend_close().
 */
#include <linux/err.h>
#include <linux/kernel.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "lab.h"

static void *heap_alloc(struct lab_backend *be, size_t size)
{
	return kpy_alloc(be->heap, size, LAB_GFP);
}

static void *heap_calloc(struct lab_backend *be, size_t size)
{
	return kpy_calloc(be->heap, 1, size, LAB_GFP);
}

static void *heap_realloc(struct lab_backend *be, void *ptr, size_t old, size_t size)
{
	return kpy_realloc(be->heap, ptr, size, LAB_GFP);
}

static void heap_free(struct lab_backend *be, void *ptr, size_t size)
{
	kpy_free(be->heap, ptr);
}

static int heap_locate(struct lab_backend *be, void *ptr, struct kpy_block_info *at)
{
	return kpy_block_find(be->heap, ptr, at);
}

/* The statistics are too big for the stack; if kmalloc() fails, the old peak stays. */
static void heap_refresh(struct lab_backend *be)
{
	struct kpy_heap_stats *stats = kmalloc(sizeof(*stats), GFP_KERNEL);

	if (stats) {
		kpy_heap_stats(be->heap, stats);
		be->peak = stats->held_bytes_peak;
		kfree(stats);
	}
}

static const struct lab_backend_ops heap_ops = {
	.alloc = heap_alloc,
	.calloc = heap_calloc,
	.realloc = heap_realloc,
	.free = heap_free,
	.refresh = heap_refresh,
	.locate = heap_locate,
};

/* Bytes that the kernel uses for a block of @size. */
static size_t slab_held(const void *ptr, size_t size)
{
	return is_vmalloc_addr(ptr) ? PAGE_ALIGN(size) : ksize(ptr);
}

static void *slab_count(struct lab_backend *be, void *ptr, size_t size)
{
	if (ptr) {
		be->held += slab_held(ptr, size);
		be->peak = max(be->peak, be->held);
	}
	return ptr;
}

/* As with malloc(), 0 bytes get a block of their own. */
static void *slab_alloc(struct lab_backend *be, size_t size)
{
	size = size ?: 1;
	return slab_count(be, kvmalloc(size, LAB_GFP), size);
}

static void *slab_calloc(struct lab_backend *be, size_t size)
{
	size = size ?: 1;
	return slab_count(be, kvzalloc(size, LAB_GFP), size);
}

static void slab_free(struct lab_backend *be, void *ptr, size_t size)
{
	be->held -= slab_held(ptr, size ?: 1);
	kvfree(ptr);
}

static void *slab_move(struct lab_backend *be, void *ptr, size_t old, size_t size)
{
	void *new = be->ops->alloc(be, size);

	if (new) {
		memcpy(new, ptr, min(old, size));
		slab_free(be, ptr, old);
	}
	return new;
}

/* In place where krealloc() can.  kvrealloc() differs between kernels. */
static void *slab_realloc(struct lab_backend *be, void *ptr, size_t old, size_t size)
{
	size_t held;
	void *new;

	if (!ptr)
		return slab_alloc(be, size);
	if (is_vmalloc_addr(ptr))
		return slab_move(be, ptr, old, size);

	held = ksize(ptr);
	new = krealloc(ptr, size ?: 1, LAB_GFP);
	if (!new)
		return slab_move(be, ptr, old, size);
	be->held -= held;
	return slab_count(be, new, size);
}

static const struct lab_backend_ops slab_ops = {
	.alloc = slab_alloc,
	.calloc = slab_calloc,
	.realloc = slab_realloc,
	.free = slab_free,
};

static bool has_cache(size_t size)
{
	return size && size <= KPY_SMALL_MAX;
}

static void *cache_alloc(struct lab_backend *be, size_t size)
{
	if (!has_cache(size))
		return slab_alloc(be, size);
	return slab_count(be, kmem_cache_alloc(lab_cache_of(&be->caches, size), LAB_GFP), size);
}

static void *cache_calloc(struct lab_backend *be, size_t size)
{
	if (!has_cache(size))
		return slab_calloc(be, size);
	return slab_count(be, kmem_cache_zalloc(lab_cache_of(&be->caches, size), LAB_GFP), size);
}

static void *cache_realloc(struct lab_backend *be, void *ptr, size_t old, size_t size)
{
	if (!ptr)
		return cache_alloc(be, size);
	if (!has_cache(old) && !has_cache(size))
		return slab_realloc(be, ptr, old, size);
	if (has_cache(old) && has_cache(size) &&
	    lab_cache_of(&be->caches, old) == lab_cache_of(&be->caches, size))
		return ptr;
	return slab_move(be, ptr, old, size);
}

static const struct lab_backend_ops cache_ops = {
	.alloc = cache_alloc,
	.calloc = cache_calloc,
	.realloc = cache_realloc,
	.free = slab_free,
};

/**
 * lab_backend_open - choose an allocator
 * @be: filled in
 * @name: `kmalloc`, `cache`, or `kpymalloc:` followed by the name of a heap
 *
 * Context: Process context, may sleep.
 * Return: 0, -EINVAL for an unknown allocator, -ENOENT for an unknown heap, -ENOMEM.
 */
int lab_backend_open(struct lab_backend *be, const char *name)
{
	const char *heap = name;

	memset(be, 0, sizeof(*be));
	if (!strcmp(name, "kmalloc")) {
		be->ops = &slab_ops;
	} else if (!strcmp(name, "cache")) {
		if (lab_caches_create(&be->caches, "kpyreplay"))
			return lab_refuse(-ENOMEM, "backend: no memory for the caches");
		be->ops = &cache_ops;
	} else if (!strncmp(name, "kpymalloc:", strlen("kpymalloc:"))) {
		heap += strlen("kpymalloc:");
		be->heap = kpy_heap_get(heap);
		if (IS_ERR(be->heap))
			return lab_refuse(PTR_ERR(be->heap), "backend: no heap '%*pE'",
					  (int)strlen(heap), heap);
		be->ops = &heap_ops;
	} else {
		return lab_refuse(-EINVAL, "backend: unknown allocator '%*pE'",
				  (int)strlen(name), name);
	}
	strscpy(be->name, name, sizeof(be->name));
	return 0;
}

/**
 * lab_backend_close - release the heap or the caches, if any
 * @be: backend with no live blocks
 *
 * Context: Process context, may sleep.
 */
void lab_backend_close(struct lab_backend *be)
{
	if (be->heap)
		kpy_heap_put(be->heap);
	be->heap = NULL;
	lab_caches_destroy(&be->caches);
}
