// SPDX-License-Identifier: GPL-2.0
/*
 * L6: a kfunc for BPF programs: which heap, arena, pool and block an address lies in.
 *
 * A BPF program may run with any heap's lock held, so this takes no lock: it reads
 * copies that cannot fault, and RCU keeps the heap.  The answer is right if nobody
 * allocates or frees there meanwhile; inside the module's own events that holds for
 * the event's heap.
 */
#include <linux/rcupdate.h>
#include <linux/uaccess.h>

#include "internal.h"

/* As kpy_pool_block_is_free(), for a copied header and memory that may be freed. */
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

	/* It may change meanwhile: the result is checked like any address. */
	arena = data_race(*shared);
	where = kpy_block_pool(heap, &arena, address);
	if (!where || copy_from_kernel_nofault(&pool, where, sizeof(pool)))
		return -ENOENT;
	err = kpy_block_locate(heap, &arena, &pool, address, info);
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
	heap = kpy_heaps_owner((void *)(uintptr_t)address, &arena);
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
 * A module without BTF, or a kernel without BPF, does not have it.
 *
 * Context: Process, may sleep.
 */
void __init kpy_kfuncs_init(void)
{
	if (register_btf_kfunc_id_set(BPF_PROG_TYPE_TRACING, &kfuncs) ||
	    register_btf_kfunc_id_set(BPF_PROG_TYPE_SYSCALL, &kfuncs))
		pr_info("no kfuncs: this kernel or module has no BTF\n");
}
