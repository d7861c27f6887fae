// SPDX-License-Identifier: GPL-2.0
/*
 * A kmem_cache for each size class of 16 bytes: what a user of SLUB would do
 * who wants no more waste than a heap has.
 */
#include <linux/atomic.h>
#include <linux/kernel.h>
#include <linux/slab.h>

#include "lab.h"

/**
 * lab_cache_create - make a kmem_cache that shares its slabs with no other
 * @name: for its name, with a number, as no two may have the same, and the size
 * @size: of a block
 *
 * Context: Process context, may sleep.
 * Return: it, or %NULL.
 */
struct kmem_cache *lab_cache_create(const char *name, size_t size)
{
	static atomic_t serial;
	char full[40];

	snprintf(full, sizeof(full), "%s%u-%zu", name, atomic_inc_return(&serial), size);
	return kmem_cache_create(full, size, 0, SLAB_NO_MERGE, NULL);
}

/**
 * lab_caches_create - make a kmem_cache a class
 * @caches: all %NULL
 * @name: for their names
 *
 * Context: Process context, may sleep.
 * Return: 0, -ENOMEM.
 */
int lab_caches_create(struct lab_caches *caches, const char *name)
{
	unsigned int i;

	for (i = 0; i < LAB_CLASSES; i++) {
		caches->class[i] = lab_cache_create(name, (i + 1) * LAB_CLASS_STEP);
		if (!caches->class[i]) {
			lab_caches_destroy(caches);
			return -ENOMEM;
		}
	}
	return 0;
}

/**
 * lab_caches_destroy - the reverse, also of none
 * @caches: without a block
 *
 * Context: Process context, may sleep.
 */
void lab_caches_destroy(struct lab_caches *caches)
{
	unsigned int i;

	for (i = 0; i < LAB_CLASSES; i++) {
		kmem_cache_destroy(caches->class[i]);
		caches->class[i] = NULL;
	}
}
