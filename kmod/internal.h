/* SPDX-License-Identifier: GPL-2.0 */
/* What the files of kpymalloc.ko offer each other, by file, lowest layer first. */
#ifndef _KPY_INTERNAL_H
#define _KPY_INTERNAL_H

#include "types.h"

#define KPY_VERSION "0.1"

#undef pr_fmt
#define pr_fmt(fmt) "kpymalloc: " fmt

/* pages.c APIs: */
unsigned long kpy_pages_alloc(size_t size, size_t part, gfp_t gfp);
void kpy_pages_free(unsigned long address, size_t size, size_t part);
void kpy_pages_split(unsigned long address, size_t size);
void kpy_pages_free_split(unsigned long address, size_t size, size_t part);

/* geometry.c APIs: */
int kpy_bytes_parse(char *text, u64 max, u64 *bytes);
int kpy_geometry_parse(char *options, struct kpy_heap_params *params, const char **why);
const char *kpy_release_name(enum kpy_release release);
const char *kpy_mode_name(enum kpy_mode mode);
const char *kpy_preset_name(unsigned int index);

/* arena.c APIs: */
int kpy_arenas_init(struct kpy_heap *heap);
void kpy_arenas_exit(struct kpy_heap *heap);
bool kpy_arena_grow(struct kpy_heap *heap, gfp_t gfp);
struct kpy_pool *kpy_arena_take_pool(struct kpy_heap *heap);
unsigned long kpy_arena_put_pool(struct kpy_heap *heap, struct kpy_pool *pool);
void kpy_arena_free(struct kpy_heap *heap, unsigned long gone);

#define KPY_REAP_PARTS 32

struct kpy_reap {			/* memory taken from a heap, to be freed after unlocking */
	u32 nr;
	u32 pools;
	struct {
		unsigned long address;
		size_t size;		/* an arena that was never split, or pools in a row */
	} part[KPY_REAP_PARTS];
};

bool kpy_arena_reap(struct kpy_heap *heap, unsigned long pools, struct kpy_reap *reap);
void kpy_arena_free_reaped(struct kpy_heap *heap, const struct kpy_reap *reap);
struct kpy_arena *kpy_arena_find(const struct kpy_heap *heap, const void *ptr);
bool kpy_arena_is_mapped(const struct kpy_heap *heap, const struct kpy_arena *arena);
u32 kpy_arena_map_count(const struct kpy_heap *heap);

/* pool.c APIs: */
struct kpy_pool *kpy_pool_take(struct kpy_heap *heap, unsigned int szidx);
void kpy_pool_event(struct kpy_heap *heap, struct kpy_pool *pool, enum kpy_pool_state from,
		    enum kpy_pool_state to);
unsigned long kpy_pool_became_empty(struct kpy_heap *heap, struct kpy_pool *pool);
bool kpy_pool_block_is_free(const struct kpy_heap *heap, const struct kpy_pool *pool,
			    const void *ptr);
struct kpy_pool *kpy_pool_of_block(const struct kpy_heap *heap, const struct kpy_arena *arena,
				   const void *ptr, const char **why);

/* classic.c APIs: */
void kpy_classic_module_init(void);
void *kpy_classic_alloc(struct kpy_heap *heap, size_t size, gfp_t gfp, unsigned long caller);
const char *kpy_classic_free(struct kpy_heap *heap, struct kpy_arena *arena, void *ptr,
			     unsigned long caller);
u32 kpy_classic_alloc_many(struct kpy_heap *heap, size_t size, u32 count, void **blocks);
u32 kpy_classic_free_many(struct kpy_heap *heap, u32 count, void **blocks);
void kpy_classic_emptied(struct kpy_heap *heap, struct kpy_pool *pool, unsigned long flags);
void kpy_classic_put_lingering(struct kpy_heap *heap);

/* With heap->lock just taken: every pool is where it belongs. */
static inline void kpy_heap_settle(struct kpy_heap *heap)
{
	if (unlikely(heap->lingering))
		kpy_classic_put_lingering(heap);
}

/* large.c APIs: */
int kpy_large_module_init(void);
void kpy_large_module_exit(void);
int kpy_large_init(struct kpy_heap *heap);
void kpy_large_exit(struct kpy_heap *heap);
void *kpy_large_alloc(struct kpy_heap *heap, size_t size, gfp_t gfp, bool fallback,
		      unsigned long caller);
const char *kpy_large_free(struct kpy_heap *heap, void *ptr, unsigned long caller);
struct kpy_large *kpy_large_find(const struct kpy_heap *heap, const void *ptr, const char **why);
bool kpy_large_shrink(struct kpy_heap *heap, struct kpy_large *large, size_t size);

struct kpy_large_walk {
	u64 records;
	u64 blocks;				/* live ones */
	u64 bytes;				/* requested for them */
};

void kpy_large_walk(const struct kpy_heap *heap, struct kpy_large_walk *walk);

/* large_front.c APIs: */
void kpy_large_front_module_init(void);
void kpy_large_init_cpu(struct kpy_heap *heap, int cpu);
bool kpy_large_refill(struct kpy_heap *heap, size_t size);
bool kpy_large_has_cached(struct kpy_heap *heap, int cpu);
void kpy_large_drain_cpu(struct kpy_heap *heap, int cpu, bool all);
void kpy_large_drain_depot(struct kpy_heap *heap, bool all);
u32 kpy_large_in_depot(const struct kpy_heap *heap, u32 kind);
void kpy_large_count(struct kpy_heap *heap, struct kpy_counters *c);

/* percpu.c APIs: */
int kpy_percpu_module_init(void);
void kpy_percpu_module_exit(void);
int kpy_percpu_init(struct kpy_heap *heap);
void kpy_percpu_exit(struct kpy_heap *heap);
void *kpy_percpu_alloc(struct kpy_heap *heap, size_t size, gfp_t gfp, unsigned long caller);
bool kpy_percpu_free_quick(struct kpy_heap *heap, void *ptr);
const char *kpy_percpu_free(struct kpy_heap *heap, struct kpy_arena *arena, void *ptr,
			    unsigned long caller);
u32 kpy_percpu_block_size(const struct kpy_heap *heap, const void *ptr);
bool kpy_percpu_count_realloc(struct kpy_heap *heap, bool in_place);
u64 kpy_percpu_count(struct kpy_heap *heap, u32 szidx, u64 *allocs);

struct kpy_cpu_snapshot {
	u64 allocs;
	u32 task;				/* blocks in the front for tasks */
	u32 irq;				/* in the one for interrupts */
	u32 shelf;				/* in full magazines */
};

void kpy_snapshot_large(struct kpy_heap *heap, int cpu, u32 kind, struct kpy_cpu_snapshot *to);
void kpy_snapshot_cpu(struct kpy_heap *heap, int cpu, u32 szidx, struct kpy_cpu_snapshot *to);

void kpy_magazine_free(struct kpy_magazine *mag);

/* bulk.c APIs: */
u32 kpy_percpu_alloc_many(struct kpy_heap *heap, size_t size, u32 count, void **blocks);
u32 kpy_percpu_free_many(struct kpy_heap *heap, u32 count, void **blocks);

/* drain.c APIs: */
int kpy_drain_module_init(void);
void kpy_drain_module_exit(void);
void kpy_drain_add(struct kpy_heap *heap);
void kpy_drain_remove(struct kpy_heap *heap);
void kpy_percpu_drain(struct kpy_heap *heap);
void kpy_percpu_block_to_pool(struct kpy_heap *heap, void *block, unsigned long *arenas);
void kpy_percpu_free_arenas(struct kpy_heap *heap, unsigned long arenas);

/* heap.c APIs: */
struct kpy_heap *kpy_heap_new(const struct kpy_heap_params *params, u32 id);
void kpy_heap_delete(struct kpy_heap *heap);

/* stats.c APIs: */
void kpy_count_held(struct kpy_heap *heap, s64 bytes);
bool kpy_may_hold(const struct kpy_heap *heap, u64 bytes);
void kpy_count_large(struct kpy_heap *heap, s64 bytes);
void kpy_count_small(struct kpy_heap *heap, struct kpy_counters *c, struct kpy_class_stats *class);
void kpy_snapshot_event(struct kpy_heap *heap, enum kpy_snapshot what);

struct kpy_usable_snapshot {
	u32 slot;
	u32 nfree;
};

struct kpy_arenas_snapshot {
	u32 nr_slots;
	u32 nr_arenas;
	u32 nr_usable;
	struct kpy_arena *arenas;		/* those in use, by slot */
	struct kpy_usable_snapshot *usable;	/* in list order */
};

struct kpy_pool_snapshot {
	u32 count;
	u16 szidx;				/* KPY_NO_CLASS: never carved, or a hole */
	u8 state;				/* enum kpy_pool_state */
	bool hole;
};

struct kpy_arenas_snapshot *kpy_snapshot_arenas(struct kpy_heap *heap);
u32 kpy_snapshot_pools(struct kpy_heap *heap, u32 slot, struct kpy_pool_snapshot *to);

/* block.c APIs: */
int kpy_block_info(u64 address, struct kpy_block_info *info);
void kpy_kfuncs_init(void);

/* registry.c APIs: */
struct kpy_heap *kpy_registry_owner(const void *ptr, struct kpy_arena **arena);
void kpy_registry_each_rcu(void (*visit)(struct kpy_heap *heap, void *arg), void *arg);
void kpy_registry_each(void (*visit)(struct kpy_heap *heap, void *arg), void *arg);
int kpy_heap_create_unowned(const struct kpy_heap_params *params);
int kpy_heap_destroy_name(const char *name);
void kpy_registry_exit(void);

/* reclaim.c APIs: */
void kpy_release_init(struct kpy_heap *heap);
void kpy_release_exit(struct kpy_heap *heap);
unsigned long kpy_release_some(struct kpy_heap *heap, unsigned long pages);
unsigned long kpy_releasable_pages(const struct kpy_heap *heap);

/* shrinker.c APIs: */
int kpy_shrinker_init(void);
void kpy_shrinker_exit(void);

/* debugfs.c APIs: */
void kpy_debugfs_init(void);
void kpy_debugfs_exit(void);
void kpy_debugfs_add(struct kpy_heap *heap);
void kpy_debugfs_remove(struct kpy_heap *heap);

#endif
