// SPDX-License-Identifier: GPL-2.0
/*
 * Which heap, arena, pool and block an address lies in: for modules that hold
 * the heap, and as a kfunc for BPF programs that hold nothing.
 *
 * A BPF program may run with any heap's lock held, so the kfunc takes none: it
 * reads copies that cannot fault, and RCU keeps the heap.  What it says of an
 * address is true if nobody allocates or frees there meanwhile; inside this
 * module's own events that is so for the event's heap.
 */
#include <linux/rcupdate.h>
#include <linux/uaccess.h>

#include "internal.h"

/* @arena and @pool may be copies. */
static int locate(const struct kpy_heap *heap, const struct kpy_arena *arena,
		  const struct kpy_pool *pool, unsigned long address,
		  struct kpy_block_info *info)
{
	unsigned long offset = address - arena->address;
	u32 in_pool = offset & (heap->geo.pool_size - 1);

	if (!pool->count || pool->szidx >= heap->nr_classes ||
	    in_pool < heap->pool_header || in_pool >= pool->nextoffset)
		return -ENOENT;
	info->heap = heap->id;
	info->arena = arena->slot;
	info->arena_serial = arena->serial;
	info->pool = offset >> heap->pool_shift;
	info->szidx = pool->szidx;
	info->size = kpy_class_size(heap, pool->szidx);
	info->block = (in_pool - heap->pool_header) / info->size;
	info->start = address - (in_pool - heap->pool_header) % info->size;
	return 0;
}

/* The pool whose memory @address is in, NULL if that was never carved or is not ours now. */
static struct kpy_pool *pool_at(const struct kpy_heap *heap, const struct kpy_arena *arena,
				unsigned long address)
{
	unsigned long offset = address - arena->address;

	if (!arena->address || offset >= heap->geo.arena_size ||
	    offset >> heap->pool_shift >= arena->ncarved ||
	    kpy_pool_is_hole(arena, offset >> heap->pool_shift))
		return NULL;
	return kpy_arena_pool(heap, arena, offset >> heap->pool_shift);
}

/**
 * kpy_block_find() - where an address lies in a heap
 * @heap: the heap
 * @ptr: any address, also a foreign one or inside a block
 * @info: filled in
 *
 * Context: Any but NMI.  Takes heap->lock.
 * Return: 0, or -ENOENT if it is in no block of a pool in use.
 */
int kpy_block_find(struct kpy_heap *heap, void *ptr, struct kpy_block_info *info)
{
	struct kpy_arena *arena = kpy_arena_find(heap, ptr);
	struct kpy_pool *pool;
	unsigned long flags;
	int err = -ENOENT;

	if (!arena)
		return -ENOENT;
	raw_spin_lock_irqsave(&heap->lock, flags);
	pool = pool_at(heap, arena, (unsigned long)ptr);
	if (pool)
		err = locate(heap, arena, pool, (unsigned long)ptr, info);
	if (!err)
		info->in_use = !kpy_pool_block_is_free(heap, pool, (void *)(uintptr_t)info->start);
	raw_spin_unlock_irqrestore(&heap->lock, flags);
	return err;
}
EXPORT_SYMBOL_GPL(kpy_block_find);

/* As kpy_pool_block_is_free(), of a copied header and memory that may go. */
static bool in_freeblock(const struct kpy_pool *pool, u64 start, u32 capacity)
{
	void *block = pool->freeblock;

	while (block && capacity--) {
		if ((unsigned long)block == start)
			return true;
		if (get_kernel_nofault(block, (void **)block))
			break;
	}
	return false;
}

static int locate_nofault(const struct kpy_heap *heap, const struct kpy_arena *shared,
			  unsigned long address, struct kpy_block_info *info)
{
	struct kpy_pool pool, *where;
	struct kpy_arena arena;
	int err;

	/* May change meanwhile: what comes of it is checked like any address. */
	arena = data_race(*shared);
	where = pool_at(heap, &arena, address);
	if (!where || copy_from_kernel_nofault(&pool, where, sizeof(pool)))
		return -ENOENT;
	err = locate(heap, &arena, &pool, address, info);
	if (!err)
		info->in_use = !in_freeblock(&pool, info->start,
					     kpy_class_capacity(heap, pool.szidx));
	return err;
}

/**
 * kpy_block_info() - kfunc: where an address lies in any heap
 * @address: any
 * @info: filled in
 *
 * Context: BPF programs of types tracing (tp_btf, fentry, fexit) and syscall.
 * Takes no lock.
 * Return: 0, or -ENOENT if it is in no block of a pool in use.
 */
__bpf_kfunc int kpy_block_info(u64 address, struct kpy_block_info *info)
{
	struct kpy_arena *arena;
	struct kpy_heap *heap;
	int err = -ENOENT;

	memset(info, 0, sizeof(*info));
	rcu_read_lock();
	heap = kpy_registry_owner((void *)(uintptr_t)address, &arena);
	if (heap)
		err = locate_nofault(heap, arena, address, info);
	rcu_read_unlock();
	return err;
}

BTF_KFUNCS_START(kfunc_ids)
BTF_ID_FLAGS(func, kpy_block_info)
BTF_KFUNCS_END(kfunc_ids)

static const struct btf_kfunc_id_set kfuncs = {
	.owner = THIS_MODULE,
	.set = &kfunc_ids,
};

/**
 * kpy_kfuncs_init() - offer kpy_block_info() to BPF programs
 *
 * A module without BTF, or a kernel without BPF, does without it.
 *
 * Context: Process, may sleep.
 */
void __init kpy_kfuncs_init(void)
{
	if (register_btf_kfunc_id_set(BPF_PROG_TYPE_TRACING, &kfuncs) ||
	    register_btf_kfunc_id_set(BPF_PROG_TYPE_SYSCALL, &kfuncs))
		pr_info("no kfuncs: this kernel or module has no BTF\n");
}
