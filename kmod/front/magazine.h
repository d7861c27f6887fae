/* SPDX-License-Identifier: GPL-2.0 */
/*
 * L3, mode percpu: what depot.c, bulk.c, drain.c and percpu.c do to fronts, magazines
 * and shelves.  Interrupts are off, on the CPU that they belong to, or that CPU is
 * offline.
 */
#ifndef _KPY_MAGAZINE_H
#define _KPY_MAGAZINE_H

#include <linux/percpu.h>
#include <linux/string.h>

#include "types.h"

#define SHELF_MAX	9	/* magazines of a class that a CPU keeps, for batches of 256 */
#define EXCHANGE	4	/* magazines moved at once between a shelf and the depot */

extern struct mutex kpy_drain_lock;		/* drain.c */

/* depot.c: with heap->lock held */
bool kpy_depot_refill_locked(struct kpy_heap *heap, struct kpy_front *f, u32 szidx);
bool kpy_depot_put_locked(struct kpy_heap *heap, u32 szidx, void *block);
bool kpy_depot_add_empty(struct kpy_heap *heap, struct kpy_magazine *mag);

/* depot.c: with interrupts off; they may take heap->lock */
bool kpy_depot_refill(struct kpy_heap *heap, struct kpy_front *f, u32 szidx);
bool kpy_depot_make_room(struct kpy_heap *heap, struct kpy_front *f, u32 szidx);
void kpy_depot_exchange(struct kpy_heap *heap, struct kpy_shelf *from, struct kpy_shelf *to,
			u32 count);

struct kpy_magazine *kpy_magazine_new(void);
void kpy_magazine_free(struct kpy_magazine *mag);

static inline struct kpy_front *this_front(struct kpy_heap *heap, u32 szidx)
{
	return this_cpu_ptr(heap->front[kpy_in_interrupt() ? KPY_FRONT_IRQ : KPY_FRONT_TASK]) +
	       szidx;
}

/* The class of a block whose pool vouches for it, -1 if somebody has to look closer. */
static inline int vouched_class(const struct kpy_heap *heap, const void *ptr)
{
	unsigned long offset = kpy_tag_of(ptr, heap->pool_mask) ^ heap->front_tag;

	return offset < KPY_SECRET_BIT ? offset / sizeof(struct kpy_front) : -1;
}

static inline bool front_is_empty(const struct kpy_front *f)
{
	return (u16)READ_ONCE(f->state) == KPY_FRONT_EMPTY;
}

static inline bool front_is_full(const struct kpy_front *f)
{
	return (u16)f->state == KPY_FRONT_FULL;
}

static inline void mag_push(struct kpy_magazine **list, struct kpy_magazine *mag)
{
	mag->next = *list;
	*list = mag;
}

static inline struct kpy_magazine *mag_pop(struct kpy_magazine **list)
{
	struct kpy_magazine *mag = *list;

	if (mag)
		*list = mag->next;
	return mag;
}

static inline void empty_push(struct kpy_cpu *cpu, struct kpy_magazine *mag)
{
	mag_push(&cpu->empties, mag);
	cpu->nr_empties++;
}

static inline struct kpy_magazine *empty_pop(struct kpy_cpu *cpu)
{
	struct kpy_magazine *mag = mag_pop(&cpu->empties);

	if (mag)
		cpu->nr_empties--;
	return mag;
}

static inline void shelf_push(struct kpy_shelf *shelf, struct kpy_magazine *mag)
{
	mag_push(&shelf->full, mag);
	shelf->nr++;
}

static inline struct kpy_magazine *shelf_pop(struct kpy_shelf *shelf)
{
	struct kpy_magazine *mag = mag_pop(&shelf->full);

	if (mag && --shelf->nr < shelf->low)
		shelf->low = shelf->nr;
	return mag;
}

static inline struct kpy_front *front_of(struct kpy_heap *heap, int cpu,
					 enum kpy_front_kind kind, u32 szidx)
{
	return per_cpu_ptr(heap->front[kind], cpu) + szidx;
}

static inline void *front_take(struct kpy_front *f)
{
	void *block = *kpy_front_top(f);

	f->state += KPY_FRONT_ALLOC - sizeof(void *);
	return block;
}

static inline void front_put(struct kpy_front *f, void *block)
{
	f->state += sizeof(void *);
	*kpy_front_top(f) = block;
}

static inline void front_load(struct kpy_front *f, const struct kpy_magazine *mag)
{
	memcpy(kpy_front_top(f) + 1, mag->block, sizeof(mag->block));
	f->state += KPY_MAG_BLOCKS * sizeof(void *);
}

/* Takes the newest blocks, so that the others need not be moved. */
static inline void front_unload(struct kpy_front *f, struct kpy_magazine *mag)
{
	f->state -= KPY_MAG_BLOCKS * sizeof(void *);
	memcpy(mag->block, kpy_front_top(f) + 1, sizeof(mag->block));
}

#endif
