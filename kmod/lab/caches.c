// SPDX-License-Identifier: GPL-2.0
/*
 * One kmem_cache per 16-byte size class: what a user of SLUB would need in order
 * to waste no more memory than a heap does.
 */
#include <linux/atomic.h>
#include <linux/kernel.h>
#include <linux/slab.h>

#include "lab.h"

/**
 * lab_cache_create - create a kmem_cache that shares its slabs with no other
 * @name: first part of its name; a serial number makes it unique, the size follows
 * @size: block size
 *
 * Context: Process context, may sleep.
 * Return: the cache, or %NULL.
 */
struct kmem_cache *lab_cache_create(const char *name, size_t size)
{
	static atomic_t serial;
	char full[40];

	snprintf(full, sizeof(full), "%s%u-%zu", name, atomic_inc_return(&serial), size);
	return kmem_cache_create(full, size, 0, SLAB_NO_MERGE, NULL);
}

/**
 * lab_caches_create - create one kmem_cache per size class
 * @caches: filled in; all %NULL before
 * @name: first part of their names
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
 * lab_caches_destroy - destroy the caches, if any
 * @caches: caches with no live blocks
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
