// SPDX-License-Identifier: GPL-2.0
/*
 * L5: the heaps by name, and how long they live.
 *
 * A heap made by a module belongs to it: it counts as a user, so nobody else
 * can destroy the heap.  A heap made through debugfs belongs to nobody and can
 * be destroyed there while kpy_heap_get() and kpy_heap_put() balance; what is
 * left when this module goes is destroyed then.
 */
#include <linux/ctype.h>
#include <linux/err.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/rculist.h>
#include <linux/string.h>

#include "internal.h"

#define KNOWN_FLAGS (KPY_HEAP_SILENT | KPY_HEAP_ACCOUNT | KPY_HEAP_ON_DEMAND)

static DEFINE_MUTEX(registry_lock);
static LIST_HEAD(kpy_heaps);	/* read under RCU too; a name that BPF programs find */
static u32 next_id;

static struct kpy_heap *find(const char *name)
{
	struct kpy_heap *heap;

	lockdep_assert_held(&registry_lock);
	list_for_each_entry(heap, &kpy_heaps, registry)
		if (!strcmp(heap->name, name))
			return heap;
	return NULL;
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

	lockdep_assert_held(&registry_lock);
	if (find(params->name))
		return ERR_PTR(-EEXIST);
	heap = kpy_heap_new(params, next_id);
	if (IS_ERR(heap))
		return heap;
	next_id++;
	heap->users = users;
	list_add_tail_rcu(&heap->registry, &kpy_heaps);
	kpy_debugfs_add(heap);
	return heap;
}

static void destroy(struct kpy_heap *heap)
{
	lockdep_assert_held(&registry_lock);
	kpy_debugfs_remove(heap);
	list_del_rcu(&heap->registry);
	synchronize_rcu();
	kpy_heap_delete(heap);
}

/**
 * kpy_heap_create_unowned() - make a heap that belongs to nobody
 * @params: what it is made from
 *
 * Context: Process, may sleep.  Takes registry_lock.
 * Return: 0, or as the error of kpy_heap_create().
 */
int kpy_heap_create_unowned(const struct kpy_heap_params *params)
{
	struct kpy_heap *heap;
	int err;

	err = check_params(params);
	if (err)
		return err;
	mutex_lock(&registry_lock);
	heap = create(params, 0);
	mutex_unlock(&registry_lock);
	return PTR_ERR_OR_ZERO(heap);
}

/**
 * kpy_heap_create() - make a heap
 * @params: what it is made from; copied
 *
 * Context: Process, may sleep.
 * Return: the heap, to be destroyed by its creator; or an ERR_PTR(): -EINVAL
 * (and a line in the log), -ENAMETOOLONG, -EEXIST, -ENOMEM.
 */
struct kpy_heap *kpy_heap_create(const struct kpy_heap_params *params)
{
	struct kpy_heap *heap;
	int err;

	err = check_params(params);
	if (err)
		return ERR_PTR(err);
	mutex_lock(&registry_lock);
	heap = create(params, 1);
	mutex_unlock(&registry_lock);
	return heap;
}
EXPORT_SYMBOL_GPL(kpy_heap_create);

/**
 * kpy_heap_destroy() - free a heap and all its memory
 * @heap: made by the caller with kpy_heap_create()
 *
 * Blocks still in use are reported in the log, in all and by class, and freed.
 *
 * Context: Process, may sleep.
 * Return: 0, or -EBUSY if somebody else got it by name: nothing has changed.
 */
int kpy_heap_destroy(struct kpy_heap *heap)
{
	int err = -EBUSY;

	mutex_lock(&registry_lock);
	if (heap->users == 1) {
		destroy(heap);
		err = 0;
	}
	mutex_unlock(&registry_lock);
	return err;
}
EXPORT_SYMBOL_GPL(kpy_heap_destroy);

/**
 * kpy_heap_destroy_name() - free a heap that belongs to nobody
 * @name: its name
 *
 * Context: Process, may sleep.  Takes registry_lock.
 * Return: 0, -ENOENT, or -EBUSY if it has users.
 */
int kpy_heap_destroy_name(const char *name)
{
	struct kpy_heap *heap;
	int err = 0;

	mutex_lock(&registry_lock);
	heap = find(name);
	if (!heap)
		err = -ENOENT;
	else if (heap->users)
		err = -EBUSY;
	else
		destroy(heap);
	mutex_unlock(&registry_lock);
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

	mutex_lock(&registry_lock);
	heap = find(name);
	if (heap)
		heap->users++;
	mutex_unlock(&registry_lock);
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
	mutex_lock(&registry_lock);
	heap->users--;
	mutex_unlock(&registry_lock);
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
 * kpy_registry_owner() - the heap in one of whose arenas an address lies
 * @ptr: any address
 * @arena: set to that arena
 *
 * Context: Any; inside rcu_read_lock(), which keeps the heap.
 * Return: the heap, NULL if there is none.
 */
struct kpy_heap *kpy_registry_owner(const void *ptr, struct kpy_arena **arena)
{
	struct kpy_heap *heap;

	list_for_each_entry_rcu(heap, &kpy_heaps, registry) {
		*arena = kpy_arena_find(heap, ptr);
		if (*arena)
			return heap;
	}
	return NULL;
}

/**
 * kpy_registry_each_rcu() - look at all heaps without waiting for anybody
 * @visit: called for each heap; may not sleep
 * @arg: for @visit
 *
 * Context: Any but NMI.
 */
void kpy_registry_each_rcu(void (*visit)(struct kpy_heap *heap, void *arg), void *arg)
{
	struct kpy_heap *heap;

	rcu_read_lock();
	list_for_each_entry_rcu(heap, &kpy_heaps, registry)
		visit(heap, arg);
	rcu_read_unlock();
}

/**
 * kpy_registry_each() - look at all heaps
 * @visit: called for each heap; may sleep
 * @arg: for @visit
 *
 * Context: Process, may sleep.  Takes registry_lock.
 */
void kpy_registry_each(void (*visit)(struct kpy_heap *heap, void *arg), void *arg)
{
	struct kpy_heap *heap;

	mutex_lock(&registry_lock);
	list_for_each_entry(heap, &kpy_heaps, registry)
		visit(heap, arg);
	mutex_unlock(&registry_lock);
}

/**
 * kpy_registry_exit() - destroy all heaps that are left
 *
 * Context: Process, may sleep; module exit: there are no users any more.
 */
void kpy_registry_exit(void)
{
	struct kpy_heap *heap, *next;

	mutex_lock(&registry_lock);
	list_for_each_entry_safe(heap, next, &kpy_heaps, registry)
		destroy(heap);
	mutex_unlock(&registry_lock);
}
