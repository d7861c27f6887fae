/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the files of kpymalloc.ko offer each other, by floor.  A file calls its own
 * floor or a lower one, never a higher one, and no call leads in a circle:
 * tests/static proves it from the objects' symbols, by tests/floors.list.  Upwards
 * there are only pointers: a mode's operations, the fronts' two callbacks, the
 * registry's subscriber.
 */
#ifndef _KPY_INTERNAL_H
#define _KPY_INTERNAL_H

#include "types.h"

#define KPY_VERSION "0.1"

#undef pr_fmt
#define pr_fmt(fmt) "kpymalloc: " fmt

/* ---- L0: store/pages.c ---- */
unsigned long kpy_pages_alloc(size_t size, size_t part, gfp_t gfp);
void kpy_pages_free(unsigned long address, size_t size, size_t part);
void kpy_pages_split(unsigned long address, size_t size);
void kpy_pages_free_split(unsigned long address, size_t size, size_t part);

/* ---- L0: geometry.c ---- */
int kpy_bytes_parse(char *text, u64 max, u64 *bytes);
int kpy_geometry_parse(char *options, struct kpy_heap_params *params, const char **why);
const char *kpy_release_name(enum kpy_release release);
const char *kpy_mode_name(enum kpy_mode mode);
const char *kpy_preset_name(unsigned int index);

/* ---- L0: trace.c; its events are in trace.h ---- */
void kpy_trace_init(void);

/* ---- L1: store/map.c ---- */
int kpy_map_init(struct kpy_heap *heap);
void kpy_map_exit(struct kpy_heap *heap);
bool kpy_map_covers(const struct kpy_heap *heap, unsigned long address);
bool kpy_map_has_leaf(const struct kpy_heap *heap, unsigned long address);
void kpy_map_add_leaf(struct kpy_heap *heap, unsigned long address, u32 *leaf);
void kpy_map_set(struct kpy_heap *heap, const struct kpy_arena *arena);
void kpy_map_clear(struct kpy_heap *heap, const struct kpy_arena *arena);
struct kpy_arena *kpy_arena_find(const struct kpy_heap *heap, const void *ptr);
bool kpy_map_names(const struct kpy_heap *heap, const struct kpy_arena *arena);
u32 kpy_map_count(const struct kpy_heap *heap);

/* ---- L1: store/arena.c ---- */
int kpy_arenas_init(struct kpy_heap *heap);
void kpy_arenas_exit(struct kpy_heap *heap);
bool kpy_arena_fill_spare(struct kpy_heap *heap, struct kpy_spare *spare, gfp_t gfp);
void kpy_arena_drop_spare(struct kpy_heap *heap, struct kpy_spare *spare);
bool kpy_arena_attach(struct kpy_heap *heap, struct kpy_spare *spare);
struct kpy_pool *kpy_arena_take_pool(struct kpy_heap *heap);
unsigned long kpy_arena_put_pool(struct kpy_heap *heap, struct kpy_pool *pool);
unsigned long kpy_arena_release(struct kpy_heap *heap, struct kpy_arena *arena);
void kpy_arena_free(struct kpy_heap *heap, unsigned long gone);
void kpy_arena_chain(unsigned long *chain, unsigned long gone);
void kpy_arena_free_chain(struct kpy_heap *heap, unsigned long chain);

/* ---- L1: store/reap.c ---- */
void kpy_arena_reap(struct kpy_heap *heap, unsigned long pools, struct kpy_reap *reap);
void kpy_arena_free_reaped(struct kpy_heap *heap, const struct kpy_reap *reap);

/* ---- L1: store/table.c; looking into it is in store/table.h ---- */
int kpy_table_init(struct kpy_heap *heap);
void kpy_table_exit(struct kpy_heap *heap);
void kpy_table_insert(struct kpy_heap *heap, struct kpy_large *large);
bool kpy_table_is_short(const struct kpy_heap *heap);
void kpy_table_grow(struct kpy_heap *heap, gfp_t gfp);

/* ---- L2: store/pool.c; what each request does is in store/pool.h ---- */
struct kpy_pool *kpy_pool_take(struct kpy_heap *heap, unsigned int szidx);
void kpy_pool_event(struct kpy_heap *heap, struct kpy_pool *pool, enum kpy_pool_state from,
		    enum kpy_pool_state to);
unsigned long kpy_pool_became_empty(struct kpy_heap *heap, struct kpy_pool *pool);
bool kpy_pool_block_is_free(const struct kpy_heap *heap, const struct kpy_pool *pool,
			    const void *ptr);
struct kpy_pool *kpy_pool_of_block(const struct kpy_heap *heap, const struct kpy_arena *arena,
				   const void *ptr, const char **why);

/* ---- L2: store/general.c; kept blocks are in store/general.h ---- */
int kpy_general_module_init(void);
void kpy_general_module_exit(void);
void kpy_general_exit(struct kpy_heap *heap);
void *kpy_general_alloc(struct kpy_heap *heap, size_t size, gfp_t gfp, bool fallback,
			unsigned long caller);
const char *kpy_general_free(struct kpy_heap *heap, void *ptr, unsigned long caller);
bool kpy_general_shrink(struct kpy_heap *heap, struct kpy_large *large, size_t size);
bool kpy_general_evict(struct kpy_heap *heap);

/* ---- L3: classic.c; its fast paths are in classic.h ---- */
extern const struct kpy_mode_ops kpy_classic_ops;

void kpy_classic_emptied(struct kpy_heap *heap, struct kpy_pool *pool, unsigned long flags);

/* ---- L3: front/depot.c; see front/magazine.h for what is done with the lock held ---- */
struct kpy_cpu_snapshot {
	u64 allocs;
	u32 task;				/* blocks in the front for tasks */
	u32 irq;				/* in the front for interrupts */
	u32 shelf;				/* in full magazines */
};

int kpy_depot_module_init(void);
void kpy_depot_module_exit(void);
int kpy_depot_init(struct kpy_heap *heap);
void kpy_depot_exit(struct kpy_heap *heap);
void kpy_depot_count_cpu(struct kpy_heap *heap, int cpu, u32 szidx, struct kpy_cpu_snapshot *to);
u64 kpy_depot_count(struct kpy_heap *heap, u32 szidx, u64 *allocs);

/* ---- L3: front/bulk.c ---- */
u32 kpy_front_alloc_many(struct kpy_heap *heap, size_t size, u32 count, void **blocks);
u32 kpy_front_free_many(struct kpy_heap *heap, u32 count, void **blocks);

/* ---- L3: front/drain.c ---- */
void kpy_drain(struct kpy_heap *heap, bool all);
void kpy_drain_for_good(struct kpy_heap *heap);

/* ---- L3: front/gather.c ---- */
struct kpy_gathered {
	void **blocks;				/* by ascending address */
	u32 nr;
	u32 room;
};

int kpy_gather(struct kpy_heap *heap, u32 szidx, struct kpy_gathered *to);

/* ---- L3: front/percpu.c ---- */
extern const struct kpy_mode_ops kpy_percpu_ops;

int kpy_percpu_init(struct kpy_heap *heap);
void kpy_percpu_exit(struct kpy_heap *heap);
bool kpy_percpu_put(struct kpy_heap *heap, void *ptr);
u32 kpy_percpu_block_size(const struct kpy_heap *heap, const void *ptr);
bool kpy_percpu_count_realloc(struct kpy_heap *heap, bool in_place);

/* ---- L4: heap.c and cache.c are the API, see kpymalloc.h ---- */

/* ---- L4: create.c ---- */
struct kpy_heap *kpy_heap_new(const struct kpy_heap_params *params, u32 id);
void kpy_heap_delete(struct kpy_heap *heap);

/* ---- L4: heaps.c ---- */
extern struct mutex kpy_heaps_lock;

void kpy_heaps_add(struct kpy_heap *heap);
void kpy_heaps_remove(struct kpy_heap *heap);
struct kpy_heap *kpy_heaps_find(const char *name);
struct kpy_heap *kpy_heaps_first(void);
struct kpy_heap *kpy_heaps_owner(const void *ptr, struct kpy_arena **arena);
void kpy_heaps_each_rcu(void (*visit)(struct kpy_heap *heap, void *arg), void *arg);
void kpy_heaps_each(void (*visit)(struct kpy_heap *heap, void *arg), void *arg);

/* ---- L5: reclaim.c ---- */
void kpy_reclaim_add(struct kpy_heap *heap);
void kpy_reclaim_remove(struct kpy_heap *heap);
unsigned long kpy_reclaim_some(struct kpy_heap *heap, unsigned long pages);
unsigned long kpy_reclaimable_pages(const struct kpy_heap *heap);

/* ---- L5: ticker.c ---- */
void kpy_ticker_start(void);
void kpy_ticker_exit(void);

/* ---- L5: shrinker.c ---- */
int kpy_shrinker_init(void);
void kpy_shrinker_exit(void);

/* ---- L6: view/snapshot.c ---- */
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

void kpy_count_small(struct kpy_heap *heap, struct kpy_counters *c, struct kpy_class_stats *class);
void kpy_snapshot_event(struct kpy_heap *heap, enum kpy_snapshot what);
struct kpy_arenas_snapshot *kpy_snapshot_arenas(struct kpy_heap *heap);
u32 kpy_snapshot_pools(struct kpy_heap *heap, u32 slot, struct kpy_pool_snapshot *to);

/* ---- L6: view/block.c ---- */
int kpy_block_locate(const struct kpy_heap *heap, const struct kpy_arena *arena,
		     const struct kpy_pool *pool, unsigned long address,
		     struct kpy_block_info *info);
struct kpy_pool *kpy_block_pool(const struct kpy_heap *heap, const struct kpy_arena *arena,
				unsigned long address);

/* ---- L6: view/kfunc.c ---- */
int kpy_block_info(u64 address, struct kpy_block_info *info);
void kpy_kfuncs_init(void);

/* ---- L7: registry.c ---- */
struct kpy_registry_subscriber {
	void (*added)(struct kpy_heap *heap);
	void (*removed)(struct kpy_heap *heap);	/* it may be freed when this returns */
};

void kpy_registry_subscribe(const struct kpy_registry_subscriber *subscriber);
int kpy_heap_create_unowned(const struct kpy_heap_params *params);
int kpy_heap_destroy_name(const char *name);
void kpy_registry_exit(void);

/* ---- L8: debugfs.c ---- */
void kpy_debugfs_init(void);
void kpy_debugfs_exit(void);

#endif
