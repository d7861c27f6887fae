// SPDX-License-Identifier: GPL-2.0
/*
 * Call sites for testing the tracing tools: a workload calls the allocator only
 * from here, with one function per site that a tool must tell apart.
 *
 * The return address of each call must lie in the function with the site's name:
 * no inlining, no cloning, no tail call into the allocator, no merging of
 * identical functions.
 */
#include <linux/compiler.h>
#include <linux/kernel.h>

#include "lab.h"

/* At the end of a function: prevents a tail call, and merging with another @id's. */
static __always_inline void keep_apart(enum lab_site_id id)
{
	asm volatile("" : : "i" (id) : "memory");
}

static noinline __noclone void *kpylab_site_a(struct kpy_heap *heap, size_t size)
{
	void *ptr = kpy_alloc(heap, size, LAB_GFP);

	keep_apart(LAB_SITE_A);
	return ptr;
}

static noinline __noclone void kpylab_free_a(struct kpy_heap *heap, void *ptr)
{
	kpy_free(heap, ptr);
	keep_apart(LAB_SITE_A);
}

static noinline __noclone void *kpylab_site_b(struct kpy_heap *heap, size_t size)
{
	void *ptr = kpy_alloc(heap, size, LAB_GFP);

	keep_apart(LAB_SITE_B);
	return ptr;
}

static noinline __noclone void kpylab_free_b(struct kpy_heap *heap, void *ptr)
{
	kpy_free(heap, ptr);
	keep_apart(LAB_SITE_B);
}

static noinline __noclone void *kpylab_site_c(struct kpy_heap *heap, size_t size)
{
	void *ptr = kpy_alloc(heap, size, LAB_GFP);

	keep_apart(LAB_SITE_C);
	return ptr;
}

static noinline __noclone void kpylab_free_c(struct kpy_heap *heap, void *ptr)
{
	kpy_free(heap, ptr);
	keep_apart(LAB_SITE_C);
}

static noinline __noclone void *kpylab_site_d(struct kpy_heap *heap, size_t size)
{
	void *ptr = kpy_alloc(heap, size, LAB_GFP);

	keep_apart(LAB_SITE_D);
	return ptr;
}

static noinline __noclone void kpylab_free_d(struct kpy_heap *heap, void *ptr)
{
	kpy_free(heap, ptr);
	keep_apart(LAB_SITE_D);
}

static noinline __noclone void *kpylab_filler(struct kpy_heap *heap, size_t size)
{
	void *ptr = kpy_alloc(heap, size, LAB_GFP);

	keep_apart(LAB_FILLER);
	return ptr;
}

static noinline __noclone void kpylab_free_filler(struct kpy_heap *heap, void *ptr)
{
	kpy_free(heap, ptr);
	keep_apart(LAB_FILLER);
}

const struct lab_site lab_sites[] = {
	[LAB_SITE_A] = { kpylab_site_a, kpylab_free_a },
	[LAB_SITE_B] = { kpylab_site_b, kpylab_free_b },
	[LAB_SITE_C] = { kpylab_site_c, kpylab_free_c },
	[LAB_SITE_D] = { kpylab_site_d, kpylab_free_d },
	[LAB_FILLER] = { kpylab_filler, kpylab_free_filler },
};

static_assert(ARRAY_SIZE(lab_sites) == LAB_NR_SITES);

/**
 * kpylab_realloc - resize a block of any site
 * @heap: the heap
 * @ptr: block
 * @size: new size
 *
 * Context: Process context, may sleep.
 * Return: As kpy_realloc().
 */
noinline __noclone void *kpylab_realloc(struct kpy_heap *heap, void *ptr, size_t size)
{
	ptr = kpy_realloc(heap, ptr, size, LAB_GFP);
	barrier();	/* no tail call */
	return ptr;
}

/**
 * kpylab_churn - one call of a churn
 * @heap: the heap
 * @ptr: block to resize or free, %NULL to allocate one
 * @size: size of the block, 0 to free it
 *
 * Context: Process context, may sleep.
 * Return: the block, %NULL after a free or if there is no memory.
 */
noinline __noclone void *kpylab_churn(struct kpy_heap *heap, void *ptr, size_t size)
{
	if (!ptr) {
		ptr = kpy_alloc(heap, size, LAB_GFP);
	} else if (size) {
		ptr = kpy_realloc(heap, ptr, size, LAB_GFP);
	} else {
		kpy_free(heap, ptr);
		ptr = NULL;
	}
	barrier();
	return ptr;
}
