/* SPDX-License-Identifier: GPL-2.0 */
/*
 * THE BOOK: every constant and structure of the allocator, explained once.
 *
 *   heap -- usable_arenas:  arena(nfree 1) -- arena(nfree 9) -- arena(nfree 64)
 *     |                     fullest first; full arenas are in no list
 *     +-- usedpools[class]: pool -- pool -- pool      some blocks free, some not
 *     +-- arena map:        address >> arena_shift -> slot in the arena vector
 *     +-- table:            blocks served by the general allocator, by address
 *
 *   arena (naturally aligned, arena_size)
 *   +--------+--------+--------+--------+-------------------------+
 *   | pool 0 | pool 1 | pool 2 | pool 3 | never carved            |
 *   +--------+--------+--------+--------+-------------------------+
 *     used     empty    full     empty    freepools: 3 -> 1, a LIFO
 *
 *   with release=pool a pool may also be a hole: its pages were freed while the
 *   arena stayed, and belong to somebody else until the whole arena is freed
 *
 *   pool (pool_size, one size class at a time)
 *   +--------+-------+-------+-------+-------+----------------+---+
 *   | header | block | free -+-block-+> free | never carved   | Q |
 *   +--------+-------+-------+-------+-------+----------------+---+
 *     48 or 64 bytes      freeblock: a LIFO   ^ nextoffset      quantization
 *
 *   mode percpu keeps free blocks in front of the pools, which count them as in use:
 *   front (per CPU and class) <-> shelf (same CPU) <-> depot (per heap) <-> pools
 *         blocks                   magazines            magazines
 *
 * Invariants, each checked by name in view/check.c:
 *   I1  a pool:   count + length of freeblock + blocks never carved == capacity
 *   I2  a pool:   freeblock is empty <=> count == capacity <=> full
 *   I3  a pool:   in usedpools[its class] <=> 0 < count < capacity
 *   I4  an arena: nfreepools == length of freepools + pools never carved
 *                            == pools with count 0, carved or not, except holes
 *   I5  the heap: usable_arenas holds the arenas with nfreepools > 0,
 *                 by ascending nfreepools
 *   I6  the heap: nfp2lasta[k] is the last arena of the list with k free pools
 *   I7  the heap: slots in use + unused slots == slots of the vector
 *   I8  the heap: the arena map names the slot of each arena, and no other
 *   I9  the heap: a wholly free arena that was used is the last usable one and has no holes
 *                 (keep-last, pool), or there is none (always)
 *   I10 the heap: sum of in_use == sum of count, == allocs - frees in mode classic;
 *                 in mode percpu at most that many blocks of a class are cached
 *   I11 the heap: live blocks in the table == large_blocks, their bytes == large_bytes;
 *                 the others are kept, == large_cached, large_cached_bytes
 *   I12 an arena: npools + pools marked in holes, all of them carved, == pools per
 *                 arena; over the arenas: holes == holes, nfreepools == free_pools
 *
 * Lock order: kpy_heaps_lock > cpus_read_lock() > kpy_drain_lock > heap->lock.
 * heap->lock is raw and held with interrupts off; nothing is allocated, freed or
 * printed under it.
 */
#ifndef _KPY_TYPES_H
#define _KPY_TYPES_H

#include <linux/bits.h>
#include <linux/list.h>
#include <linux/log2.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>

#include "kpymalloc.h"

#define KPY_HEADER_SIZE		48	/* CPython's POOL_OVERHEAD, before alignment */
#define KPY_FIRST_SLOTS		16	/* CPython's INITIAL_ARENA_OBJECTS */
#define KPY_MAX_CHUNKS		28	/* 16 << 27 slots: more than any memory has arenas */
#define KPY_MAP_LEAF_BITS	10	/* a leaf of the arena map is one 4 KiB table */
#define KPY_MAP_LEAF		BIT(KPY_MAP_LEAF_BITS)
#define KPY_NO_CLASS		U8_MAX	/* szidx of a pool that was never laid out */
#define KPY_NO_SLOT		U32_MAX	/* no arena */
#define KPY_RELEASE_DELAY	HZ	/* how long a pool stays free before its pages are freed */
#define KPY_SECRET_BIT		BIT(16)	/* lowest bit of heap->pool_tag */
#define KPY_MAG_BLOCKS		48	/* blocks in a full magazine */
#define KPY_KEPT_FIRST		512	/* bytes of the smallest large blocks that are kept */
#define KPY_KEPT_KINDS		5	/* sizes of kept blocks: 512, 1024, ... 8192 */
#define KPY_KEPT_MAX		(KPY_KEPT_FIRST << (KPY_KEPT_KINDS - 1))

static_assert(KPY_ARENA_MAX / KPY_POOL_MIN <= U16_MAX);
static_assert(KPY_SMALL_MAX * 2 <= KPY_POOL_MIN - 64, "a pool has at least two blocks");

/*
 * A pool's life, as in CPython's "Pool table":
 *   empty: no block in use; in its arena's freepools, or never carved
 *   used:  some blocks in use, some not; linked in usedpools[class]
 *   full:  all blocks in use; in no list, found again by the address of a freed block
 * An allocation makes empty->used (a pool is taken from an arena) and
 * used->full (the last free block was handed out); a free makes full->used
 * (to the front of the list) and used->empty (back to the arena).
 *
 * In mode classic an emptied pool may linger: it stays in usedpools, and nothing
 * else changes, as long as the next allocation of its class would take exactly this
 * pool again and undo what returning it did.  Everybody else returns it first: see
 * kpy_heap_lock().
 */
enum kpy_pool_state {
	KPY_POOL_EMPTY,
	KPY_POOL_USED,
	KPY_POOL_FULL,
};

/* Why the event kpy_snapshot fires: what was read, or that the heap is about to be freed. */
enum kpy_snapshot {
	KPY_SNAPSHOT_STATS,
	KPY_SNAPSHOT_ARENAS,
	KPY_SNAPSHOT_END,
};

/**
 * struct kpy_pool - header at the first byte of a pool; under heap->lock
 * @node: in usedpools[@szidx] while used
 * @nextfree: next pool of the arena's freepools while empty
 * @freeblock: LIFO of free blocks, linked through their first word
 * @tag: while the pool is in use, kpy_pool_tag() ^ its address, so that a free can
 *       tell this heap's pools and their class without the lock; else 0
 * @arenaindex: slot of its arena
 * @nextoffset: offset of the first block never carved
 * @maxnextoffset: largest valid @nextoffset
 * @count: blocks handed out
 * @szidx: size class it is (or was last) laid out for
 */
struct kpy_pool {
	union {
		struct hlist_node node;
		struct kpy_pool *nextfree;
	};
	void *freeblock;
	unsigned long tag;
	u32 arenaindex;
	u32 nextoffset;
	u32 maxnextoffset;
	u16 count;
	u8 szidx;
};

static_assert(sizeof(struct kpy_pool) <= KPY_HEADER_SIZE);
static_assert(offsetof(struct kpy_pool, tag) == KPY_POOL_TAG_OFFSET);
static_assert(KPY_POOL_MAX / KPY_ALIGN_MIN <= U16_MAX);
static_assert(KPY_MAX_CLASSES < KPY_NO_CLASS);
static_assert(KPY_SMALL_MAX == KPY_FAST_MAX);
static_assert(KPY_MAX_CLASSES * sizeof(struct kpy_front) <= KPY_SECRET_BIT);

/**
 * struct kpy_arena - one entry of the arena vector; never moves, is freed with its
 *                    heap; under heap->lock unless said otherwise
 * @node: in usable_arenas (nfreepools > 0) or unused_arenas (no address)
 * @address: of the first pool, 0 while the slot is unused
 * @serial: creation number
 * @freepools: LIFO of emptied pools
 * @slot: place in the vector; constant, read without the lock
 * @nfreepools: emptied pools and pools never carved
 * @ncarved: pools carved so far; virgin memory follows
 * @npools: pools that are not holes
 * @holes: bitmap of pools whose pages were freed alone; NULL unless release=pool.
 *         Stays with the slot, read without the lock
 */
struct kpy_arena {
	struct list_head node;
	unsigned long address;
	u64 serial;
	struct kpy_pool *freepools;
	u32 slot;
	u32 nfreepools;
	u32 ncarved;
	u32 npools;
	unsigned long *holes;
};

/*
 * A vector that doubles as CPython's `arenas` does (16, 32, 64, ...) but whose
 * entries never move: chunk 0 has the first 16, chunk k the next 16 << (k - 1).
 */
static inline unsigned int kpy_chunk_of(u32 index)
{
	return fls(index / KPY_FIRST_SLOTS);
}

static inline u32 kpy_chunk_start(unsigned int chunk)
{
	return (KPY_FIRST_SLOTS / 2 << chunk) & -KPY_FIRST_SLOTS;
}

static inline u32 kpy_chunk_len(unsigned int chunk)
{
	return chunk ? KPY_FIRST_SLOTS << (chunk - 1) : KPY_FIRST_SLOTS;
}

/**
 * struct kpy_spare - memory for one more arena, allocated before the lock is taken
 * @address: the arena itself
 * @slots: next chunk of the vector, if no slot is unused
 * @chunk: which chunk @slots is
 * @leaf: leaf of the arena map, if the one for @address is missing
 */
struct kpy_spare {
	unsigned long address;
	struct kpy_arena *slots;
	unsigned int chunk;
	u32 *leaf;
};

#define KPY_REAP_PARTS 32

/**
 * struct kpy_reap - memory taken from a heap, to be freed after unlocking
 * @nr: used part of @part
 * @pools: how many pools that is
 * @part: each an arena that was never split, or pools in a row
 */
struct kpy_reap {
	u32 nr;
	u32 pools;
	struct {
		unsigned long address;
		size_t size;
	} part[KPY_REAP_PARTS];
};

/**
 * struct kpy_arena_map - address -> slot, CPython 3.10's radix tree in two levels
 * @leaves: by (address - PAGE_OFFSET) >> (arena_shift + KPY_MAP_LEAF_BITS);
 *          a leaf holds slot + 1, 0 for none.  Leaves are set under heap->lock
 *          and are freed with the heap, so lookups take no lock.
 * @nr_leaves: covers the direct map
 */
struct kpy_arena_map {
	u32 **leaves;
	unsigned long nr_leaves;
};

/**
 * struct kpy_large - record of a block that the general allocator served; under
 *                    heap->lock
 * @node: in its bucket of the table
 * @next: in a free list of records, or in a list of kept blocks
 * @ptr: the block
 * @size: bytes requested, the last time if the block is kept
 * @held: bytes that the general allocator spends on it
 * @kind: its size is %KPY_KEPT_FIRST << @kind, %KPY_KEPT_KINDS if it must not be kept
 * @live: the block is in use, not kept
 */
struct kpy_large {
	struct hlist_node node;
	struct kpy_large *next;
	void *ptr;
	u32 size;
	u32 held;
	u8 kind;
	bool live;
};

/**
 * struct kpy_kept - free large blocks of one size that a heap keeps for its next
 *                   requests; under heap->lock
 * @top: LIFO
 * @nr: how many
 *
 * A few of each size, so that alternating allocations and frees need neither the
 * general allocator nor the table.  Kept blocks stay in the table, so that a second
 * free of one is noticed.  KASAN kernels keep none, nor does init_on_free=1.
 */
struct kpy_kept {
	struct kpy_large *top;
	u32 nr;
};

/**
 * struct kpy_table - large blocks by address, a linear hash; under heap->lock
 * @chunk: buckets, laid out like the arena vector
 * @nr_buckets: buckets in use; each block beyond them splits one bucket, so that
 *              no insertion ever moves more than one chain
 * @mask: of a hash, before a bucket that is not in use yet is mapped to its lower twin
 */
struct kpy_table {
	struct hlist_head *chunk[KPY_MAX_CHUNKS];
	u32 nr_buckets;
	u32 mask;
};

/**
 * struct kpy_class - one size class; under heap->lock
 * @usedpools: pools with some blocks free, the next one to serve at the front
 * @pools: pools with count > 0
 * @in_use: blocks handed out
 * @inverse: 2^32 / @size, rounded up; constant
 * @size: bytes of a block; constant
 * @mark: which word of a free block is its mark, see store/pool.c; constant
 */
struct kpy_class {
	struct hlist_head usedpools;
	u64 pools;
	u64 in_use;
	u32 inverse;
	u16 size;
	u16 mark;
};

/* Who uses a front. */
enum kpy_front_kind {
	KPY_FRONT_TASK,
	KPY_FRONT_IRQ,
	KPY_NR_FRONTS,
};

#define KPY_FRONT_BLOCKS	((u32)(KPY_FRONT_FULL - KPY_FRONT_EMPTY) / (u32)sizeof(void *))

static inline u32 kpy_front_blocks(u64 state)
{
	return ((u16)state - KPY_FRONT_EMPTY) / sizeof(void *);
}

/* Where the top block is, or NULL in an empty front. */
static inline void **kpy_front_top(struct kpy_front *front)
{
	return (void *)front + (u16)front->state;
}

/**
 * struct kpy_magazine - carries blocks between fronts
 * @next: in a LIFO of magazines
 * @block: the blocks of a full one
 *
 * It holds fewer blocks than a front, so that a front that was loaded or unloaded
 * is neither empty nor full.
 */
struct kpy_magazine {
	struct kpy_magazine *next;
	void *block[KPY_MAG_BLOCKS];
};

/**
 * struct kpy_shelf - full magazines of a class
 * @full: LIFO
 * @nr: how many
 * @low: least @nr since the last tick: that many magazines nobody missed
 *
 * Each CPU has one per class, used with interrupts off.  The heap has one per class,
 * its depot, used under heap->lock by all CPUs.
 */
struct kpy_shelf {
	struct kpy_magazine *full;
	u32 nr;
	u32 low;
};

/**
 * struct kpy_cpu - what a CPU keeps besides its fronts
 * @shelf: by class
 * @empties: LIFO of empty magazines
 * @nr_empties: how many
 * @seen: by class: sum of the states of both fronts at the last tick
 * @reallocs: reallocs of small blocks counted here without heap->lock
 * @reallocs_in_place: those of @reallocs that left the block where it was
 *
 * Used by its CPU only, with interrupts off; @reallocs* with preemption off.
 */
struct kpy_cpu {
	struct kpy_shelf shelf[KPY_MAX_CLASSES];
	struct kpy_magazine *empties;
	u32 nr_empties;
	u64 seen[KPY_MAX_CLASSES];
	u64 reallocs;
	u64 reallocs_in_place;
};

/**
 * struct kpy_front_ops - what fronts, magazines and the depot are a cache of
 * @from_pools: get up to @count blocks of a class; returns how many.  Does not grow
 *              the heap
 * @to_pools: give @count blocks back, the last one first; arenas that became empty
 *            are chained to @gone, for kpy_arena_free_chain() after unlocking
 *
 * Called with heap->lock held.
 */
struct kpy_front_ops {
	u32 (*from_pools)(struct kpy_heap *heap, u32 szidx, void **blocks, u32 count);
	void (*to_pools)(struct kpy_heap *heap, void **blocks, u32 count, unsigned long *gone);
};

/**
 * struct kpy_mode_ops - how a mode serves small requests
 * @alloc: get a block without growing the heap; NULL if no pool has one
 * @free: take back what lies in @arena; returns NULL, or why @ptr is refused
 * @alloc_many: get up to @count blocks; 0 if @alloc has to be asked
 * @free_many: take back the first blocks of @blocks; 0 if @free has to be asked
 * @count: returns how many blocks of a class are cached, and adds to @allocs what
 *         the caches handed out; heap->lock is held.  NULL if nothing is cached
 * @trim: give cached blocks back to the pools: all, or those that nobody missed
 *        since the last call.  May sleep.  NULL if nothing is cached
 * @settle: return the lingering pool; heap->lock is held.  NULL if none ever lingers
 */
struct kpy_mode_ops {
	void *(*alloc)(struct kpy_heap *heap, size_t size, unsigned long caller);
	const char *(*free)(struct kpy_heap *heap, struct kpy_arena *arena, void *ptr,
			    unsigned long caller);
	u32 (*alloc_many)(struct kpy_heap *heap, size_t size, u32 count, void **blocks);
	u32 (*free_many)(struct kpy_heap *heap, u32 count, void **blocks);
	u64 (*count)(struct kpy_heap *heap, u32 szidx, u64 *allocs);
	void (*trim)(struct kpy_heap *heap, bool all);
	void (*settle)(struct kpy_heap *heap);
};

/**
 * struct kpy_heap - arenas, pools and blocks of one geometry
 * @fast: what allocations read first; constant
 * @front_tag: what the fast path of a free looks for: @pool_tag in mode percpu,
 *             ~@pool_tag, which no pool has, in mode classic; constant
 * @pool_mask: mask that leads from a block to its pool; constant
 * @front: mode percpu: by kind and class; NULL in mode classic; constant
 * @secret: marks free blocks, see store/pool.c; constant
 * @pool_tag: marks pools, see kpy_pool_tag(); constant
 * @classic_max: mode classic: largest small request, else 0; constant
 * @cpu: mode percpu: what CPUs keep besides their fronts; constant
 * @ops: the mode; constant
 * @front_ops: mode percpu: where blocks of fronts come from; constant
 * @align_shift: log2 of the alignment; constant
 * @arena_shift: log2 of the arena size; constant
 * @pool_shift: log2 of the pool size; constant
 * @pool_header: bytes before the first block; constant
 * @geo: sizes; constant
 * @nr_classes: size classes; constant
 * @pools_per_arena: constant
 * @mode: locking; constant
 * @flags: KPY_HEAP_*; constant
 * @id: names the heap in trace events; constant
 * @name: constant
 * @lock: guards everything from here to @late; taken by kpy_heap_lock()
 * @usable_arenas: arenas with free pools, fullest first
 * @unused_arenas: LIFO of slots without memory
 * @nfp2lasta: by number of free pools: last such arena of @usable_arenas
 * @arena_chunk: the arena vector
 * @nr_slots: its length
 * @map: address -> slot
 * @table: blocks of the general allocator
 * @records: free list of records for @table
 * @nr_records: length of that list
 * @kept: free large blocks, by size
 * @limit: most bytes that may be held, U64_MAX for no limit
 * @free_pools: sum of nfreepools; read without the lock by the shrinker
 * @free_low: least @free_pools since the last run of @release_work: that many pools
 *            nobody needed meanwhile
 * @release_pending: @release_work is queued, or must never be
 * @lingering: mode classic: the pool that lingers, see enum kpy_pool_state
 * @class: the size classes
 * @depot: mode percpu: full magazines that any CPU may take, by class
 * @empties: mode percpu: LIFO of empty magazines
 * @c: counters, without what fronts count.  The event of trace.h fires at the line
 *     that counts, so that the totals of tracers and these agree
 * @reported: a bad pointer was reported; further ones are only counted
 * @late: mode percpu: a bad pointer that was noticed on its way to the pools, or NULL
 * @release_work: frees pools that stay free, see reclaim.c
 * @registry: in the list of all heaps, see heaps.c
 * @users: kpy_heap_get() minus kpy_heap_put(), 1 for its creator; under kpy_heaps_lock
 * @dir: its debugfs directory
 */
struct kpy_heap {
	struct kpy_fast fast;
	/* what frees read */
	unsigned long front_tag;
	unsigned long pool_mask;
	struct kpy_front __percpu *front[KPY_NR_FRONTS];

	unsigned long secret;
	unsigned long pool_tag;
	unsigned long classic_max;
	struct kpy_cpu __percpu *cpu;
	const struct kpy_mode_ops *ops;
	const struct kpy_front_ops *front_ops;
	u8 align_shift;
	u8 arena_shift;
	u8 pool_shift;
	u8 pool_header;
	struct kpy_geometry geo;
	u32 nr_classes;
	u32 pools_per_arena;
	enum kpy_mode mode;
	unsigned int flags;
	u32 id;
	char name[KPY_NAME_MAX + 1];

	raw_spinlock_t lock;
	struct list_head usable_arenas;
	struct list_head unused_arenas;
	struct kpy_arena **nfp2lasta;
	struct kpy_arena *arena_chunk[KPY_MAX_CHUNKS];
	u32 nr_slots;
	struct kpy_arena_map map;
	struct kpy_table table;
	struct kpy_large *records;
	u32 nr_records;
	struct kpy_kept kept[KPY_KEPT_KINDS];
	u64 limit;
	unsigned long free_pools;
	unsigned long free_low;
	bool release_pending;
	struct kpy_pool *lingering;
	struct kpy_class class[KPY_MAX_CLASSES];
	struct kpy_shelf depot[KPY_MAX_CLASSES];
	struct kpy_magazine *empties;
	struct kpy_counters c;
	bool reported;
	void *late;

	struct delayed_work release_work;
	struct list_head registry;
	unsigned int users;
	struct dentry *dir;
};

static inline u32 kpy_class_size(const struct kpy_heap *heap, unsigned int szidx)
{
	return (szidx + 1) << heap->align_shift;
}

/*
 * Marks the pools of a heap and class: the offset of the class's front in the low
 * bits, and a secret of the heap, so that no other memory looks like a pool.
 */
static inline unsigned long kpy_pool_tag(const struct kpy_heap *heap, unsigned int szidx)
{
	return heap->pool_tag | szidx * sizeof(struct kpy_front);
}

/* What kpy_tag_of() returns for a class's blocks in mode percpu, and for none in mode classic. */
static inline unsigned long kpy_front_tag(const struct kpy_heap *heap, u32 szidx)
{
	return heap->front_tag ^ szidx * sizeof(struct kpy_front);
}

/* The class's front for tasks, by the low bits of its tag. */
static inline struct kpy_front __percpu *kpy_front_of_tag(const struct kpy_heap *heap,
							  unsigned long offset)
{
	return (void __percpu *)((char __percpu *)heap->front[KPY_FRONT_TASK] + offset);
}

static inline unsigned int kpy_class_of(const struct kpy_heap *heap, size_t size)
{
	return (size - 1) >> heap->align_shift;
}

/* Blocks of a pool of the class: CPython's NUMBLOCKS(). */
static inline u32 kpy_class_capacity(const struct kpy_heap *heap, unsigned int szidx)
{
	return (heap->geo.pool_size - heap->pool_header) / kpy_class_size(heap, szidx);
}

static inline struct kpy_arena *kpy_arena_at(const struct kpy_heap *heap, u32 slot)
{
	unsigned int chunk = kpy_chunk_of(slot);

	return &heap->arena_chunk[chunk][slot - kpy_chunk_start(chunk)];
}

static inline struct kpy_pool *kpy_arena_pool(const struct kpy_heap *heap,
					      const struct kpy_arena *arena, u32 index)
{
	return (struct kpy_pool *)(arena->address + ((unsigned long)index << heap->pool_shift));
}

static inline u32 kpy_arena_holes(const struct kpy_heap *heap, const struct kpy_arena *arena)
{
	return heap->pools_per_arena - arena->npools;
}

/* Its pages were freed.  Without the lock the answer may be out of date. */
static inline bool kpy_pool_is_hole(const struct kpy_arena *arena, u32 index)
{
	return arena->holes && test_bit(index, arena->holes);
}

static inline enum kpy_pool_state kpy_pool_state(const struct kpy_pool *pool)
{
	if (!pool->count)
		return KPY_POOL_EMPTY;
	return pool->freeblock ? KPY_POOL_USED : KPY_POOL_FULL;
}

#endif
