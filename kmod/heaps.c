// SPDX-License-Identifier: GPL-2.0
/*
 * L4: the list of all heaps, for those above who visit them.  Who may use a heap, and
 * for how long, is the registry's matter.
 */
#include <linux/mutex.h>
#include <linux/rculist.h>
#include <linux/string.h>

#include "internal.h"

/*
 * Guards the list and what the registry says of heaps; readers may use RCU instead.  A
 * tick holds it while it waits for the CPUs of all heaps.
 */
DEFINE_MUTEX(kpy_heaps_lock);

static LIST_HEAD(kpy_heaps);	/* BPF programs find it by this name */

/**
 * kpy_heaps_add() - add a heap
 * @heap: complete
 *
 * Context: kpy_heaps_lock held.
 */
void kpy_heaps_add(struct kpy_heap *heap)
{
	lockdep_assert_held(&kpy_heaps_lock);
	list_add_tail_rcu(&heap->registry, &kpy_heaps);
}

/**
 * kpy_heaps_remove() - remove a heap; nobody visits it any more when this returns
 * @heap: the heap
 *
 * Context: Process, may sleep.  kpy_heaps_lock held.
 */
void kpy_heaps_remove(struct kpy_heap *heap)
{
	lockdep_assert_held(&kpy_heaps_lock);
	list_del_rcu(&heap->registry);
	synchronize_rcu();
}

/**
 * kpy_heaps_find() - find a heap by its name
 * @name: any string
 *
 * Context: kpy_heaps_lock held.
 * Return: the heap or NULL.
 */
struct kpy_heap *kpy_heaps_find(const char *name)
{
	struct kpy_heap *heap;

	lockdep_assert_held(&kpy_heaps_lock);
	list_for_each_entry(heap, &kpy_heaps, registry)
		if (!strcmp(heap->name, name))
			return heap;
	return NULL;
}

/**
 * kpy_heaps_first() - the oldest heap
 *
 * Context: kpy_heaps_lock held.
 * Return: the heap or NULL.
 */
struct kpy_heap *kpy_heaps_first(void)
{
	lockdep_assert_held(&kpy_heaps_lock);
	return list_first_entry_or_null(&kpy_heaps, struct kpy_heap, registry);
}

/**
 * kpy_heaps_owner() - the heap in one of whose arenas an address lies
 * @ptr: any address
 * @arena: set to that arena
 *
 * Context: Any; inside rcu_read_lock(), which keeps the heap.
 * Return: the heap or NULL.
 */
struct kpy_heap *kpy_heaps_owner(const void *ptr, struct kpy_arena **arena)
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
 * kpy_heaps_each_rcu() - visit all heaps without waiting for anybody
 * @visit: called for each heap; may not sleep
 * @arg: for @visit
 *
 * Context: Any but NMI.
 */
void kpy_heaps_each_rcu(void (*visit)(struct kpy_heap *heap, void *arg), void *arg)
{
	struct kpy_heap *heap;

	rcu_read_lock();
	list_for_each_entry_rcu(heap, &kpy_heaps, registry)
		visit(heap, arg);
	rcu_read_unlock();
}

/**
 * kpy_heaps_each() - visit all heaps
 * @visit: called for each heap; may sleep
 * @arg: for @visit
 *
 * Context: Process, may sleep.  Takes kpy_heaps_lock.
 */
void kpy_heaps_each(void (*visit)(struct kpy_heap *heap, void *arg), void *arg)
{
	struct kpy_heap *heap;

	mutex_lock(&kpy_heaps_lock);
	list_for_each_entry(heap, &kpy_heaps, registry)
		visit(heap, arg);
	mutex_unlock(&kpy_heaps_lock);
}
