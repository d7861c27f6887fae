// SPDX-License-Identifier: GPL-2.0
/*
 * L3, mode percpu: many blocks of a class at once.  Whole magazines are copied between
 * the caller's array and the CPU's shelf; what is less than a magazine comes from the
 * front or goes to it.
 */
#include <linux/minmax.h>
#include <linux/string.h>

#include "front/magazine.h"
#include "internal.h"

#define AT_ONCE		256	/* blocks, while interrupts are off */

static struct kpy_magazine *full_magazine(struct kpy_heap *heap, struct kpy_shelf *shelf, u32 szidx)
{
	if (!shelf->nr)
		kpy_depot_exchange(heap, &heap->depot[szidx], shelf, EXCHANGE);
	return shelf_pop(shelf);
}

/* One for which the shelf has room when it is full. */
static struct kpy_magazine *empty_magazine(struct kpy_heap *heap, struct kpy_cpu *cpu, u32 szidx)
{
	struct kpy_shelf *shelf = &cpu->shelf[szidx];

	if (shelf->nr >= SHELF_MAX)
		kpy_depot_exchange(heap, shelf, &heap->depot[szidx], EXCHANGE);
	else if (!cpu->nr_empties)
		kpy_depot_exchange(heap, shelf, &heap->depot[szidx], 0);
	return empty_pop(cpu);
}

static u32 take_magazines(struct kpy_heap *heap, u32 szidx, u32 count, void **blocks)
{
	struct kpy_cpu *cpu = this_cpu_ptr(heap->cpu);
	struct kpy_magazine *mag;
	u32 n;

	for (n = 0; count - n >= KPY_MAG_BLOCKS; n += KPY_MAG_BLOCKS) {
		mag = full_magazine(heap, &cpu->shelf[szidx], szidx);
		if (!mag)
			break;
		memcpy(blocks + n, mag->block, sizeof(mag->block));
		empty_push(cpu, mag);
	}
	return n;
}

static u32 take_from_front(struct kpy_heap *heap, struct kpy_front *f, u32 szidx, u32 count,
			   void **blocks)
{
	void **from;
	u32 n, i;

	if (!count || (front_is_empty(f) && !kpy_depot_refill(heap, f, szidx)))
		return 0;
	n = min(count, kpy_front_blocks(f->state));
	f->state -= n * sizeof(void *);
	from = kpy_front_top(f) + 1;
	/* Too few for memcpy(). */
#pragma GCC unroll 4
	for (i = 0; i < n; i++)
		blocks[i] = from[i];
	return n;
}

/**
 * kpy_front_alloc_many() - see alloc_many of struct kpy_mode_ops
 * @heap: of mode percpu
 * @size: bytes of each
 * @count: how many are wanted
 * @blocks: filled in
 *
 * Context: Any but NMI.  May take heap->lock.
 * Return: how many there were without growing the heap; 0 while somebody traces.
 */
u32 kpy_front_alloc_many(struct kpy_heap *heap, size_t size, u32 count, void **blocks)
{
	u32 szidx = kpy_class_of(heap, size), n = 0;
	struct kpy_front *f;
	unsigned long flags;

	count = min(count, AT_ONCE);
	local_irq_save(flags);
	if (static_branch_unlikely(&kpy_no_fast_path))
		goto out;
	f = this_front(heap, szidx);
	n = take_magazines(heap, szidx, count, blocks);
	n += take_from_front(heap, f, szidx, count - n, blocks + n);
	f->state += n * KPY_FRONT_ALLOC;
out:
	local_irq_restore(flags);
	return n;
}

/* Copies a block; false if its pool has another tag, and then the copy is ignored. */
static __always_inline bool copy_one(void **to, void **block, unsigned long tag,
				     unsigned long pool_mask)
{
	*to = *block;
	return likely(kpy_tag_of(*block, pool_mask) == tag);
}

/* Copies blocks as long as their pools have this tag, and returns how many. */
static __always_inline u32 copy_tagged(void **to, u32 count, void **blocks, unsigned long tag,
				       unsigned long pool_mask)
{
	unsigned long i;

	for (i = 0; i + 4 <= count; i += 4) {
		if (!copy_one(to + i, blocks + i, tag, pool_mask) ||
		    !copy_one(to + i + 1, blocks + i + 1, tag, pool_mask) ||
		    !copy_one(to + i + 2, blocks + i + 2, tag, pool_mask) ||
		    !copy_one(to + i + 3, blocks + i + 3, tag, pool_mask))
			break;
	}
	while (i < count && copy_one(to + i, blocks + i, tag, pool_mask))
		i++;
	return i;
}

static u32 fill_magazines(struct kpy_heap *heap, u32 szidx, unsigned long tag, u32 count,
			  void **blocks)
{
	struct kpy_cpu *cpu = this_cpu_ptr(heap->cpu);
	struct kpy_magazine *mag;
	u32 n;

	for (n = 0; count - n >= KPY_MAG_BLOCKS; n += KPY_MAG_BLOCKS) {
		mag = empty_magazine(heap, cpu, szidx);
		if (!mag)
			break;
		if (copy_tagged(mag->block, KPY_MAG_BLOCKS, blocks + n, tag,
				heap->pool_mask) < KPY_MAG_BLOCKS) {
			empty_push(cpu, mag);
			break;
		}
		shelf_push(&cpu->shelf[szidx], mag);
	}
	return n;
}

static u32 put_to_front(struct kpy_heap *heap, struct kpy_front *f, u32 szidx, unsigned long tag,
			u32 count, void **blocks)
{
	u32 used = kpy_front_blocks(f->state), n;

	if (count > KPY_FRONT_BLOCKS - used && used >= KPY_MAG_BLOCKS &&
	    kpy_depot_make_room(heap, f, szidx))
		used -= KPY_MAG_BLOCKS;
	n = min(count, KPY_FRONT_BLOCKS - used);
	n = copy_tagged(kpy_front_top(f) + 1, n, blocks, tag, heap->pool_mask);
	f->state += n * sizeof(void *);
	return n;
}

/**
 * kpy_front_free_many() - see free_many of struct kpy_mode_ops
 * @heap: of mode percpu
 * @count: how many there are
 * @blocks: the blocks
 *
 * Context: Any but NMI.  May take heap->lock.
 * Return: how many of the first blocks were taken, all of one class; 0 if somebody
 * has to look at the first one.
 */
u32 kpy_front_free_many(struct kpy_heap *heap, u32 count, void **blocks)
{
	int szidx = vouched_class(heap, *blocks);
	struct kpy_front *f;
	unsigned long tag, flags;
	u32 n = 0;

	if (szidx < 0)
		return 0;
	count = min(count, AT_ONCE);
	tag = kpy_front_tag(heap, szidx);
	local_irq_save(flags);
	f = this_front(heap, szidx);
	if (static_branch_unlikely(&kpy_no_fast_path) || *kpy_front_top(f) == *blocks)
		goto out;
	n = fill_magazines(heap, szidx, tag, count, blocks);
	n += put_to_front(heap, f, szidx, tag, count - n, blocks + n);
out:
	local_irq_restore(flags);
	return n;
}
