// SPDX-License-Identifier: GPL-2.0
/*
 * L7: the heaps by name, and how long they live.
 *
 * A heap made by a module belongs to it: the module counts as a user, so nobody
 * else can destroy the heap.  A heap made through debugfs belongs to nobody and can
 * be destroyed there while kpy_heap_get() and kpy_heap_put() balance.  Heaps that
 * are left when this module is unloaded are destroyed then.
 */
#include <linux/ctype.h>
#include <linux/err.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/string.h>

#include "internal.h"

#define KNOWN_FLAGS (KPY_HEAP_SILENT | KPY_HEAP_ACCOUNT | KPY_HEAP_ON_DEMAND)

/* Under kpy_heaps_lock. */
static u32 next_id;

/* Set before the first heap. */
static const struct kpy_registry_subscriber *subscriber;

/**
 * kpy_registry_subscribe() - be told of heaps
 * @who: called with kpy_heaps_lock held; may sleep
 *
 * Context: Process; module init, before the first heap.
 */
void kpy_registry_subscribe(const struct kpy_registry_subscriber *who)
{
	subscriber = who;
}

static int check_name(const char *name)
{
	const char *c;

	if (!*name || !strcmp(name, ".") || !strcmp(name, ".."))
		return -EINVAL;
	for (c = name; *c; c++)
		if (!isascii(*c) || (!isalnum(*c) && !strchr("._-", *c)))
			return -EINVAL;
	return c - name > KPY_NAME_MAX ? -ENAMETOOLONG : 0;
}

static int check_params(const struct kpy_heap_params *params)
{
	const char *why;
	int err;

	if (kpy_geometry_check(&params->geometry, &why)) {
		pr_notice("heap refused: %s\n", why);
		return -EINVAL;
	}
	if (params->mode > KPY_MODE_PERCPU || params->flags & ~KNOWN_FLAGS) {
		pr_notice("heap refused: unknown mode or flags\n");
		return -EINVAL;
	}
	err = check_name(params->name);
	if (err)
		pr_notice("heap refused: a name has 1 to %d of [A-Za-z0-9._-]\n", KPY_NAME_MAX);
	return err;
}

static struct kpy_heap *create(const struct kpy_heap_params *params, unsigned int users)
{
	struct kpy_heap *heap;

	lockdep_assert_held(&kpy_heaps_lock);
	if (kpy_heaps_find(params->name))
		return ERR_PTR(-EEXIST);
	heap = kpy_heap_new(params, next_id);
	if (IS_ERR(heap))
		return heap;
	next_id++;
	heap->users = users;
	kpy_reclaim_add(heap);
	kpy_heaps_add(heap);
	if (subscriber)
		subscriber->added(heap);
	return heap;
}

static void destroy(struct kpy_heap *heap)
{
	lockdep_assert_held(&kpy_heaps_lock);
	if (subscriber)
		subscriber->removed(heap);
	kpy_heaps_remove(heap);
	kpy_reclaim_remove(heap);
	kpy_snapshot_event(heap, KPY_SNAPSHOT_END);
	kpy_heap_delete(heap);
}

/**
 * kpy_heap_create_unowned() - make a heap that belongs to nobody
 * @params: what it is made from
 *
 * Context: Process, may sleep.  Takes kpy_heaps_lock.
 * Return: 0, or as the error of kpy_heap_create().
 */
int kpy_heap_create_unowned(const struct kpy_heap_params *params)
{
	struct kpy_heap *heap;
	int err;

	err = check_params(params);
	if (err)
		return err;
	mutex_lock(&kpy_heaps_lock);
	heap = create(params, 0);
	mutex_unlock(&kpy_heaps_lock);
	return PTR_ERR_OR_ZERO(heap);
}

/**
 * kpy_heap_create() - make a heap
 * @params: what it is made from; copied
 *
 * Context: Process, may sleep.
 * Return: the heap, which its creator has to destroy; or an ERR_PTR(): -EINVAL
 * (and a line in the log), -ENAMETOOLONG, -EEXIST, -ENOMEM.
 */
struct kpy_heap *kpy_heap_create(const struct kpy_heap_params *params)
{
	struct kpy_heap *heap;
	int err;

	err = check_params(params);
	if (err)
		return ERR_PTR(err);
	mutex_lock(&kpy_heaps_lock);
	heap = create(params, 1);
	mutex_unlock(&kpy_heaps_lock);
	return heap;
}
EXPORT_SYMBOL_GPL(kpy_heap_create);

/**
 * kpy_heap_destroy() - free a heap and all its memory
 * @heap: made by the caller with kpy_heap_create()
 *
 * Blocks still in use are reported in the log, in total and by class, and freed.
 *
 * Context: Process, may sleep.
 * Return: 0, or -EBUSY if somebody else got it by name: then nothing has changed.
 */
int kpy_heap_destroy(struct kpy_heap *heap)
{
	int err = -EBUSY;

	mutex_lock(&kpy_heaps_lock);
	if (heap->users == 1) {
		destroy(heap);
		err = 0;
	}
	mutex_unlock(&kpy_heaps_lock);
	return err;
}
EXPORT_SYMBOL_GPL(kpy_heap_destroy);

/**
 * kpy_heap_destroy_name() - free a heap that belongs to nobody
 * @name: its name
 *
 * Context: Process, may sleep.  Takes kpy_heaps_lock.
 * Return: 0, -ENOENT, or -EBUSY if it has users.
 */
int kpy_heap_destroy_name(const char *name)
{
	struct kpy_heap *heap;
	int err = 0;

	mutex_lock(&kpy_heaps_lock);
	heap = kpy_heaps_find(name);
	if (!heap)
		err = -ENOENT;
	else if (heap->users)
		err = -EBUSY;
	else
		destroy(heap);
	mutex_unlock(&kpy_heaps_lock);
	return err;
}

/**
 * kpy_heap_get() - find a heap and keep it from being destroyed
 * @name: its name
 *
 * Context: Process, may sleep.
 * Return: the heap, or ERR_PTR(-ENOENT).
 */
struct kpy_heap *kpy_heap_get(const char *name)
{
	struct kpy_heap *heap;

	mutex_lock(&kpy_heaps_lock);
	heap = kpy_heaps_find(name);
	if (heap)
		heap->users++;
	mutex_unlock(&kpy_heaps_lock);
	return heap ?: ERR_PTR(-ENOENT);
}
EXPORT_SYMBOL_GPL(kpy_heap_get);

/**
 * kpy_heap_put() - undo kpy_heap_get()
 * @heap: the heap
 *
 * Context: Process, may sleep.
 */
void kpy_heap_put(struct kpy_heap *heap)
{
	mutex_lock(&kpy_heaps_lock);
	heap->users--;
	mutex_unlock(&kpy_heaps_lock);
}
EXPORT_SYMBOL_GPL(kpy_heap_put);

/**
 * kpy_heap_name() - a heap's name
 * @heap: the heap
 *
 * Context: Any.
 * Return: the name, valid as long as the heap.
 */
const char *kpy_heap_name(const struct kpy_heap *heap)
{
	return heap->name;
}
EXPORT_SYMBOL_GPL(kpy_heap_name);

/**
 * kpy_registry_exit() - destroy all heaps that are left
 *
 * Context: Process, may sleep; module exit, when there are no users any more.
 */
void kpy_registry_exit(void)
{
	struct kpy_heap *heap;

	mutex_lock(&kpy_heaps_lock);
	while ((heap = kpy_heaps_first()))
		destroy(heap);
	mutex_unlock(&kpy_heaps_lock);
}
