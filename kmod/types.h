/* SPDX-License-Identifier: GPL-2.0 */
/*
 * THE BOOK: every constant and structure of the allocator, explained once.
 *
 *   heap -- usable_arenas:  arena(nfree 1) -- arena(nfree 9) -- arena(nfree 64)
 *     |                     fullest first; full arenas are in no list
 *     +-- usedpools[class]: pool -- pool -- pool      some blocks free, some not
 *     +-- arena map:        address >> arena_shift -> slot in the arena vector
 *     +-- large:            blocks served by the general allocator
 *
 *   arena (naturally aligned, arena_size)
 *   +--------+--------+--------+--------+-------------------------+
 *   | pool 0 | pool 1 | pool 2 | pool 3 | never carved            |
 *   +--------+--------+--------+--------+-------------------------+
 *     used     empty    full     empty    freepools: 3 -> 1, a LIFO
 *
 *   with release=pool a pool may also be a hole: its pages went back alone and
 *   are somebody else's; nobody touches it until its arena goes
 *
 *   pool (pool_size, one size class at a time)
 *   +--------+-------+-------+-------+-------+----------------+---+
 *   | header | block | free -+-block-+> free | never carved   | Q |
 *   +--------+-------+-------+-------+-------+----------------+---+
 *     48 or 64 bytes      freeblock: a LIFO   ^ nextoffset      quantization
 *
 * Invariants, each checked by name in check.c:
 *   I1  a pool:   count + length of freeblock + blocks never carved == capacity
 *   I2  a pool:   freeblock is empty <=> count == capacity <=> full
 *   I3  a pool:   in usedpools[its class] <=> 0 < count < capacity
 *   I4  an arena: nfreepools == length of freepools + pools never carved
 *                            == pools with count 0, carved or not, but no holes
 *   I5  the heap: usable_arenas holds the arenas with nfreepools > 0,
 *                 by ascending nfreepools
 *   I6  the heap: nfp2lasta[k] is the last arena of the list with k free pools
 *   I7  the heap: slots in use + unused slots == slots of the vector
 *   I8  the heap: arena_map names the slot of each arena, and no other
 *   I9  the heap: a wholly free arena is the last usable one and has no holes
 *                 (keep-last, pool), or there is none (always)
 *   I10 the heap: sum of in_use == sum of count, == allocs - frees in mode classic;
 *                 in mode percpu fronts and magazines have no more of a class
 *   I11 the heap: the large blocks in the table, less those in fronts
 *                 == large_blocks, large_bytes
 *   I12 an arena: npools + pools marked in holes, all of them carved, == pools per
 *                 arena; over the arenas: holes == holes, nfreepools == free_pools
 *
 * Lock order: cpus_read_lock() > percpu_lock, registry_lock > percpu_lock > heap->lock.
 * heap->lock is raw and taken with interrupts off; under it nothing is allocated,
 * freed or printed.
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
#define KPY_NO_SLOT		U32_MAX	/* of no arena */
#define KPY_RELEASE_DELAY	HZ	/* how long a pool stays free before its pages go */
#define KPY_SECRET_BIT		BIT(16)	/* the lowest one of heap->pool_tag */
#define KPY_LARGE_FIRST		512	/* bytes of the smallest large blocks in fronts */
#define KPY_LARGE_KINDS		5	/* each twice the one before: up to 8 KiB */
#define KPY_LARGE_MAX		(KPY_LARGE_FIRST << (KPY_LARGE_KINDS - 1))
#define KPY_MAG_BLOCKS		48	/* of a magazine */

static_assert(KPY_ARENA_MAX / KPY_POOL_MIN <= U16_MAX);
static_assert(KPY_SMALL_MAX * 2 <= KPY_POOL_MIN - 64, "a pool has at least two blocks");

/*
 * A pool's life, as in CPython's "Pool table":
 *   empty: no block in use; lies in its arena's freepools, or was never carved
 *   used:  some blocks in use, some not; linked in usedpools[class]
 *   full:  all in use; in no list, found again by the address of a freed block
 * An allocation makes empty->used (a pool is taken from an arena) and
 * used->full (the last free block was handed out); a free makes full->used
 * (to the front of the list) and used->empty (back to the arena).
 *
 * An emptied pool may linger: it stays in usedpools, and all else as it was, as
 * long as the next allocation of its class would take just this pool again and
 * leave everything as it is now.  Whoever else comes puts it back first.
 */
enum kpy_pool_state {
	KPY_POOL_EMPTY,
	KPY_POOL_USED,
	KPY_POOL_FULL,
};

/* Why the event kpy_snapshot fires: what was read, or that the heap goes. */
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
 * @tag: while it is in use, kpy_pool_tag() ^ its address, so that a free knows
 *       its heap's pools and their class without the lock; else 0
 * @arenaindex: slot of its arena
 * @nextoffset: of the first block never carved
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
 * struct kpy_arena - one entry of the arena vector; never moves, never freed
 *                    before its heap; under heap->lock unless said otherwise
 * @node: in usable_arenas (nfreepools > 0) or unused_arenas (no address)
 * @address: of the first pool, 0 while the slot is unused
 * @serial: creation number
 * @freepools: LIFO of emptied pools
 * @slot: place in the vector; constant, read without the lock
 * @nfreepools: emptied pools and pools never carved
 * @ncarved: pools carved so far; virgin memory follows
 * @npools: pools but for holes, whose pages went back alone
 * @holes: those, a bitmap; NULL but for release=pool.  Stays with the slot,
 *         read without the lock by block.c
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
 * struct kpy_arena_map - address -> slot, CPython 3.10's radix tree in two levels
 * @leaves: by (address - PAGE_OFFSET) >> (arena_shift + KPY_MAP_LEAF_BITS);
 *          a leaf holds slot + 1, 0 for none.  Leaves are set under heap->lock
 *          and stay until the heap goes, so lookups take no lock.
 * @nr_leaves: covers the direct map
 */
struct kpy_arena_map {
	u32 **leaves;
	unsigned long nr_leaves;
};

/**
 * struct kpy_large - a block that the general allocator served
 * @node: in its bucket of the table
 * @key: while it is live, kpy_large_key(), which is odd: who sets this to something
 *       else has freed it, with the lock or without
 * @next: while it lies in a front or a chain: the one below
 * @chain: the chain below, of the first one of a chain
 * @ptr: the block
 * @size: bytes requested
 * @kind: of a block that may lie in a front: 0 for %KPY_LARGE_FIRST bytes, 1 for twice
 *        as many, ...; else %KPY_LARGE_KINDS
 *
 * Its memory is one of these until RCU says otherwise, so that a free can look
 * for its block's without the lock: it sees the key or does not.
 */
struct kpy_large {
	struct hlist_node node;
	union {
		unsigned long key;
		struct kpy_large *next;
	};
	struct kpy_large *chain;
	void *ptr;
	u32 size;
	u32 kind;
};

/**
 * struct kpy_large_table - large blocks by address, a linear hash
 * @chunk: buckets, laid out like the arena vector
 * @nr_buckets: buckets in use; one is split for each block beyond them, so
 *              that no insertion ever moves more than one chain
 * @mask: of a hash, before what is not in use yet is mapped to lower twins
 *
 * Under heap->lock; a free looks into it without: what it does not find then, it
 * looks for again.
 */
struct kpy_large_table {
	struct hlist_head *chunk[KPY_MAX_CHUNKS];
	u32 nr_buckets;
	u32 mask;
};

/**
 * struct kpy_large_depot - mode percpu: large blocks of a kind that any CPU may take
 * @chains: LIFO of chains, each of half of what a front has room for
 * @nr: how many
 * @low: fewest since the last tick: what nobody missed
 */
struct kpy_large_depot {
	struct kpy_large *chains;
	u32 nr;
	u32 low;
};

/**
 * struct kpy_large_front - mode percpu: large blocks of a kind that a CPU has at hand
 * @state: blocks ever handed out here << 16 | how many more it has room for
 * @top: LIFO, the last one freed on top
 * @bytes: requested bytes of blocks handed out here less those taken back here,
 *         as far as heap->c.large_bytes does not have them yet
 * @seen: @state at the last tick
 *
 * Touched by its CPU's tasks alone, with preemption off.  The one after the last kind
 * has nothing and takes nothing.
 */
struct kpy_large_front {
	u64 state;
	struct kpy_large *top;
	s64 bytes;
	u64 seen;
};

/**
 * struct kpy_class - one size class; under heap->lock
 * @usedpools: pools with some blocks free, the next one to serve at the front
 * @pools: pools with count > 0
 * @in_use: blocks handed out
 * @inverse: 2^32 / @size, rounded up; constant
 * @size: bytes of a block; constant
 * @mark: which word of a free block is its mark, see pool.c; constant
 */
struct kpy_class {
	struct hlist_head usedpools;
	u64 pools;
	u64 in_use;
	u32 inverse;
	u16 size;
	u16 mark;
};

/* Whose front. */
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
 * It has fewer than a front has room for, so that a front that got or gave one is
 * neither empty nor full.
 */
struct kpy_magazine {
	struct kpy_magazine *next;
	void *block[KPY_MAG_BLOCKS];
};

/**
 * struct kpy_shelf - mode percpu: full magazines of a class
 * @full: LIFO
 * @nr: how many
 * @low: fewest since the last tick: what nobody missed
 *
 * A CPU has one a class, with interrupts off; the heap has one a class, from
 * where any CPU takes them, under heap->lock.
 */
struct kpy_shelf {
	struct kpy_magazine *full;
	u32 nr;
	u32 low;
};

/**
 * struct kpy_cpu - mode percpu: what a CPU keeps besides its fronts
 * @shelf: by class
 * @empties: LIFO of empty magazines
 * @nr_empties: how many
 * @seen: by class: states of both fronts at the last tick, summed up
 * @large: fronts of large blocks by kind, for tasks
 * @reallocs: those of small blocks that were done here without heap->lock
 * @reallocs_in_place: those of @reallocs that left the block where it was
 *
 * Touched by its CPU alone, with interrupts off but for what follows @seen.
 */
struct kpy_cpu {
	struct kpy_shelf shelf[KPY_MAX_CLASSES];
	struct kpy_magazine *empties;
	u32 nr_empties;
	u64 seen[KPY_MAX_CLASSES];
	struct kpy_large_front large[KPY_LARGE_KINDS + 1];
	u64 reallocs;
	u64 reallocs_in_place;
};

/**
 * struct kpy_heap - arenas, pools and blocks of one geometry
 * @fast: what allocations read first; constant
 * @geo: sizes; constant
 * @arena_shift: log2 of the arena size; constant
 * @pool_shift: log2 of the pool size; constant
 * @align_shift: log2 of the alignment; constant
 * @pool_header: bytes before the first block; constant
 * @nr_classes: size classes; constant
 * @pools_per_arena: constant
 * @secret: marks free blocks, see pool.c; constant
 * @pool_tag: marks pools, see kpy_pool_tag(); constant
 * @front_tag: what the fast path of a free looks for: @pool_tag in mode percpu,
 *             what no pool has in mode classic; constant
 * @pool_mask: what leads from a block to its pool; constant
 * @classic_max: mode classic: largest small request, else 0; constant
 * @front: mode percpu: by kind and class; NULL in mode classic; constant
 * @cpu: mode percpu: what CPUs keep besides their fronts; constant
 * @mode: locking; constant
 * @flags: KPY_HEAP_*; constant
 * @id: names the heap in trace events; constant
 * @name: constant
 * @lock: guards all that follows up to @registry
 * @usable_arenas: arenas with free pools, fullest first
 * @unused_arenas: LIFO of slots without memory
 * @nfp2lasta: by number of free pools: last such arena of @usable_arenas
 * @arena_chunk: the arena vector
 * @nr_slots: its length
 * @map: address -> slot
 * @large: blocks of the general allocator
 * @limit: most bytes that may be held, U64_MAX for no limit
 * @free_pools: sum of nfreepools; read without the lock by the shrinker
 * @free_low: least of @free_pools since the last look of @release_work: so many
 *            nobody needed meanwhile
 * @release_pending: @release_work is going to look, or never shall
 * @lingering: mode classic: the pool that lingers, see enum kpy_pool_state
 * @class: the size classes
 * @depot: mode percpu: full magazines that any CPU may take, by class
 * @empties: mode percpu: LIFO of empty magazines
 * @c: counters, without what fronts count; an event of trace.h fires at the line that
 *     counts, so that totals of tracers and these agree
 * @large_held: bytes that the general allocator spends on large blocks, also on
 *              those at hand
 * @large_depot: mode percpu: large blocks that any CPU may take, by kind
 * @spares: LIFO of records that wait for large blocks
 * @nr_spares: how many
 * @reported: a bad pointer was reported; the next ones are only counted
 * @late: mode percpu: one that was seen when it came back to its pool, or NULL
 * @release_work: gives back pools that stay free, see reclaim.c
 * @percpu: in the list of heaps of mode percpu; under percpu_lock
 * @registry: in the list of all heaps; changed under registry_lock, read under RCU
 * @users: kpy_heap_get() minus kpy_heap_put(), 1 for its creator; under registry_lock
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
	struct kpy_large_table large;
	u64 limit;
	unsigned long free_pools;
	unsigned long free_low;
	bool release_pending;
	struct kpy_pool *lingering;
	struct kpy_class class[KPY_MAX_CLASSES];
	struct kpy_shelf depot[KPY_MAX_CLASSES];
	struct kpy_magazine *empties;
	struct kpy_counters c;
	s64 large_held;
	struct kpy_large_depot large_depot[KPY_LARGE_KINDS];
	struct kpy_large *spares;
	u32 nr_spares;
	bool reported;
	void *late;

	struct delayed_work release_work;
	struct list_head percpu;
	struct list_head registry;
	unsigned int users;
	struct dentry *dir;
};

static inline u32 kpy_class_size(const struct kpy_heap *heap, unsigned int szidx)
{
	return (szidx + 1) << heap->align_shift;
}

/*
 * What marks the pools of a heap and class: bytes to the class's front in the low
 * bits, and a secret of the heap, so that no other memory looks like one.
 */
static inline unsigned long kpy_pool_tag(const struct kpy_heap *heap, unsigned int szidx)
{
	return heap->pool_tag | szidx * sizeof(struct kpy_front);
}

/* What kpy_tag_of() says of a class's blocks, in mode percpu; in mode classic of none. */
static inline unsigned long kpy_front_tag(const struct kpy_heap *heap, u32 szidx)
{
	return heap->front_tag ^ szidx * sizeof(struct kpy_front);
}

/* The front for tasks of a class by what its tag has in the low bits. */
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

/* Its memory is not ours any more.  Without the lock: true for now, or as of before. */
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
