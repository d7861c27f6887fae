/* SPDX-License-Identifier: GPL-2.0 */
/*
 * L3, mode percpu: what is done to fronts, magazines and shelves, by percpu.c and
 * drain.c.  Interrupts are off, on the CPU they belong to or for a dead one.
 */
#ifndef _KPY_MAGAZINE_H
#define _KPY_MAGAZINE_H

#include <linux/percpu.h>
#include <linux/string.h>

#include "types.h"

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

/* The newest blocks go, which saves moving the others. */
static inline void front_unload(struct kpy_front *f, struct kpy_magazine *mag)
{
	f->state -= KPY_MAG_BLOCKS * sizeof(void *);
	memcpy(mag->block, kpy_front_top(f) + 1, sizeof(mag->block));
}

#endif
