/* SPDX-License-Identifier: GPL-2.0 */
/*
 * kpylab: all structures and prototypes of the second module except those of
 * the benchmark, see bench.h.
 *
 *   debugfs.c       the replay's files: parses commands, prints the status
 *   control.c       from a write to `control` to one function call
 *   replay.c        a replay from load to drop
 *   engine.c        runs ops, accounts for the blocks
 *   lanes.c         a run shared by several CPUs
 *   trace.c         holds a PYOBTRC1 trace in memory, checks and decodes it
 *   backend.c       the allocators a replay can run on
 *   caches.c        one kmem_cache per size class
 *   fill.c          fill patterns, to prove that blocks do not overlap
 *   work.c          a workload with known leaks and pins
 *   work_debugfs.c  the workload's files
 *   sites.c         the functions from which the workload calls the allocator
 *   report.c        what readers see while a command is running
 *
 * Locks, outermost first:
 *   1. lab_replay.lock, lab_work.lock or lab_bench.lock (mutexes): the whole struct;
 *      never two at a time, except that the benchmark trylocks the replay's to read
 *      its trace.  Held for a whole run, however long: commands only trylock it and
 *      fail with EBUSY.
 *   2. the spinlocks in report.c (published statuses and errors) and bench.c (results).
 */
#ifndef _KPYLAB_H
#define _KPYLAB_H

#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/types.h>
#include <linux/xarray.h>

#include "kpymalloc.h"

#define LAB_BACKEND_MAX	(sizeof("kpymalloc:") + KPY_NAME_MAX)
#define LAB_ERROR_MAX	192	/* bytes of an error line */
#define LAB_BREATH	1024	/* ops between two lab_breathe() calls; a power of two */

/*
 * For allocations whose size depends on a trace: a trace too big for the machine
 * must be refused without a warning, and without the OOM killer, which would kill
 * innocent processes.
 */
#define LAB_GFP		(GFP_KERNEL | __GFP_NOWARN | __GFP_RETRY_MAYFAIL)

/**
 * struct lab_trace_header - the first 64 bytes of a trace, as on disk
 * @magic: "PYOBTRC1"
 * @size: size of this header
 * @crc: zlib's CRC-32 of the stream
 * @ops: number of calls in the stream
 * @ids: number of blocks that the calls create
 * @bytes: length of the stream
 * @zero: reserved for extensions
 */
struct lab_trace_header {
	char magic[8];
	__le32 size;
	__le32 crc;
	__le64 ops;
	__le64 ids;
	__le64 bytes;
	u8 zero[24];
};

static_assert(sizeof(struct lab_trace_header) == 64);

/**
 * struct lab_trace - a trace, or the part of it written so far
 * @pages: the stream, one page per entry
 * @received: bytes received so far, including the header
 * @ops: from the header, 0 until that is complete, like @ids and @bytes
 * @ids: from the header
 * @bytes: from the header
 * @crc: CRC of the stream so far, before the final inversion
 * @header: as received
 */
struct lab_trace {
	struct xarray pages;
	u64 received;
	u64 ops;
	u64 ids;
	u64 bytes;
	u32 crc;
	struct lab_trace_header header;
};

/* The two low bits of an op's first varint. */
enum lab_kind {
	LAB_MALLOC,
	LAB_CALLOC,
	LAB_REALLOC,
	LAB_FREE,
};

/**
 * struct lab_op - one decoded call
 * @kind: the function called
 * @id: the block created, resized or freed
 * @size: bytes requested, 0 for a free
 */
struct lab_op {
	enum lab_kind kind;
	u64 id;
	u64 size;
};

/**
 * struct lab_cursor - a position in the stream of a trace
 * @trace: the trace
 * @p: the next byte
 * @end: end of the stream's bytes in the current page
 * @end_pos: position of @end in the stream
 * @op: ops decoded so far
 * @next_id: blocks they created, so the next new id
 */
struct lab_cursor {
	struct lab_trace *trace;
	const u8 *p;
	const u8 *end;
	u64 end_pos;
	u64 op;
	u64 next_id;
};

/**
 * struct lab_block - what the replay knows about an id
 * @ptr: the block; %NULL if not yet allocated, already freed or never obtained
 * @size: bytes requested; 48 bits are enough for any live block
 * @gen: generation of the fill pattern, 0 if there is none
 * @pooled: the block lies in a pool
 */
struct lab_block {
	void *ptr;
	u64 size : 48;
	u64 gen : 15;
	u64 pooled : 1;
};

/* 16 bytes per id; one kvcalloc() must hold all of them. */
static_assert(sizeof(struct lab_block) == 16);
#define LAB_IDS_MAX	(INT_MAX / sizeof(struct lab_block))
#define LAB_GEN_MAX	((1U << 15) - 1)

/**
 * struct lab_error - why the last command was refused, empty if it was not
 * @text: protected by report.c's spinlock
 */
struct lab_error {
	char text[LAB_ERROR_MAX];
};

/**
 * struct lab_command - a command that can be written to a `control` file
 * @name: if it ends in a space, the rest of the line is the argument
 * @call: carries out the command on lab_control.what
 */
struct lab_command {
	const char *name;
	int (*call)(void *what, char *arg);
};

/**
 * struct lab_control - the files `control` and `error` of a directory
 * @lock: held for a whole command, however long; others get -EBUSY meanwhile
 * @error: shown in `error`
 * @commands: table of commands, ends with an empty entry
 * @check: called before each command, may refuse it; may be %NULL
 * @what: the object the commands act on
 */
struct lab_control {
	struct mutex *lock;	/* @what's */
	struct lab_error *error;
	const struct lab_command *commands;
	int (*check)(void *what);
	void *what;
};

struct lab_backend;
struct lab_bench;
struct lab_lanes;
struct lab_replay;

/**
 * struct lab_backend_ops - an allocator under test
 * @alloc: allocates a block, %NULL on failure; 0 bytes are legal everywhere
 * @calloc: same as @alloc, zeroed
 * @realloc: resizes, or allocates without an old block; on failure the old one stays
 * @free: frees a block
 * @refresh: updates lab_backend.peak; %NULL if that is always up to date
 * @locate: finds a block's place in the pools, -ENOENT if it has none; %NULL without pools
 */
struct lab_backend_ops {
	void *(*alloc)(struct lab_backend *be, size_t size);
	void *(*calloc)(struct lab_backend *be, size_t size);
	void *(*realloc)(struct lab_backend *be, void *ptr, size_t old, size_t size);
	void (*free)(struct lab_backend *be, void *ptr, size_t size);
	void (*refresh)(struct lab_backend *be);
	int (*locate)(struct lab_backend *be, void *ptr, struct kpy_block_info *at);
};

#define LAB_CLASS_STEP	16		/* bytes from one kmem_cache's size to the next */
#define LAB_CLASSES	(KPY_SMALL_MAX / LAB_CLASS_STEP)

/**
 * struct lab_caches - one kmem_cache per size class
 * @class: the caches, by ascending size
 */
struct lab_caches {
	struct kmem_cache *class[LAB_CLASSES];
};

/* The cache for @size, which must be 1 to KPY_SMALL_MAX. */
static __always_inline struct kmem_cache *lab_cache_of(const struct lab_caches *c, size_t size)
{
	return c->class[(size - 1) / LAB_CLASS_STEP];
}

/**
 * struct lab_backend - the chosen allocator
 * @ops: its functions
 * @heap: backend `kpymalloc` only; a reference is held
 * @caches: backend `cache` only
 * @held: bytes now taken from the kernel; unused by `kpymalloc`
 * @peak: peak of the bytes taken from the kernel
 * @name: as the user wrote it
 */
struct lab_backend {
	const struct lab_backend_ops *ops;
	struct kpy_heap *heap;
	struct lab_caches caches;
	u64 held;
	u64 peak;
	char name[LAB_BACKEND_MAX];
};

/*
 * EMPTY -> LOADING when `load` is opened, -> READY with the last byte if the
 * trace is valid, -> EMPTY if it is not.  READY -> RUNNING -> READY (stopped
 * early), DONE (no op left) or FAILED (a block was corrupt).  A rewind goes
 * back to READY; a drop or another load discards the trace.
 */
enum lab_state {
	LAB_EMPTY,
	LAB_LOADING,
	LAB_READY,
	LAB_RUNNING,
	LAB_DONE,
	LAB_FAILED,
	LAB_NR_STATES,
};

/**
 * struct lab_counts - the counters that a rewind resets
 * @ops_done: ops replayed
 * @ns: time spent in runs
 * @live_blocks: current number of blocks
 * @live_small: bytes requested for current blocks in pools
 * @live_all: bytes requested for all current blocks
 * @peak_requested: peak of @live_all
 * @peak_pages: peak of the backend's pages, updated at the end of a run
 * @digest: placement digest, by arena slot
 * @digest_serial: placement digest, by arena creation number
 * @alloc_failures: ops that got no memory
 * @fill_errors: corrupt blocks found
 */
struct lab_counts {
	u64 ops_done;
	u64 ns;
	u64 live_blocks;
	u64 live_small;
	u64 live_all;
	u64 peak_requested;
	u64 peak_pages;
	u64 digest;
	u64 digest_serial;
	u64 alloc_failures;
	u64 fill_errors;
};

/**
 * struct lab_lane - what one thread needs to run ops
 * @replay: the replay it belongs to
 * @cursor: the next op
 * @count: counters to update, except @ops_done: callers of lab_engine_op() do that
 */
struct lab_lane {
	struct lab_replay *replay;
	struct lab_cursor cursor;
	struct lab_counts *count;
};

/**
 * struct lab_status - contents of the replay's `status` file
 * @state: state of the replay
 * @fill: blocks are filled and verified
 * @cpus: number of CPUs that share a run
 * @every: ops after which the blocks are redistributed among the CPUs
 * @ops_total: ops in the trace
 * @count: the counters
 * @backend: name of the allocator
 */
struct lab_status {
	enum lab_state state;
	bool fill;
	u32 cpus;
	u32 every;
	u64 ops_total;
	struct lab_counts count;
	char backend[LAB_BACKEND_MAX];
};

/**
 * struct lab_replay - the only replay
 * @lock: protects everything below
 * @loading: `load` is open
 * @round: resets so far, so that no fill pattern repeats
 * @now: working copy of the status; readers see the published one
 * @trace: the trace
 * @main: lane of a single-CPU run; after a run on several CPUs, their common position
 * @lanes: lanes of a run on several CPUs
 * @blocks: the blocks, by id
 * @backend: the allocator
 */
struct lab_replay {
	struct mutex lock;	/* everything below */
	bool loading;
	u64 round;
	struct lab_status now;
	struct lab_trace trace;
	struct lab_lane main;
	struct lab_lanes *lanes;
	struct lab_block *blocks;
	struct lab_backend backend;
};

/* The call sites; users name those before the filler by letter, starting at `a`. */
enum lab_site_id {
	LAB_SITE_A,
	LAB_SITE_B,
	LAB_SITE_C,
	LAB_SITE_D,
	LAB_FILLER,
	LAB_NR_SITES,
};

/**
 * struct lab_site - a call site
 * @alloc: allocates a block
 * @free: frees it
 */
struct lab_site {
	void *(*alloc)(struct kpy_heap *heap, size_t size);
	void (*free)(struct kpy_heap *heap, void *ptr);
};

/**
 * struct lab_held - a block of a site
 * @ptr: the block
 * @size: bytes requested
 */
struct lab_held {
	void *ptr;
	u32 size;
};

/**
 * struct lab_pile - the blocks of a site
 * @held: the blocks, oldest first
 * @first: index of the oldest
 * @blocks: number of blocks
 * @room: length of @held
 * @bytes: bytes requested for all blocks
 */
struct lab_pile {
	struct lab_held *held;
	u32 first;
	u32 blocks;
	u32 room;
	u64 bytes;
};

/**
 * struct lab_work_status - contents of the workload's `status` file
 * @ops: allocator calls that succeeded, ever
 * @failures: calls that got no memory, ever
 * @blocks: current blocks, by site
 * @bytes: bytes requested for them
 * @heap: name of the heap, empty if there is none
 */
struct lab_work_status {
	u64 ops;
	u64 failures;
	u64 blocks[LAB_NR_SITES];
	u64 bytes[LAB_NR_SITES];
	char heap[KPY_NAME_MAX + 1];
};

/**
 * struct lab_work - the only workload
 * @lock: protects everything below
 * @now: working copy of the status; readers see the published one
 * @heap: the chosen heap, with a reference held; %NULL if there is none
 * @piles: blocks by site
 */
struct lab_work {
	struct mutex lock;	/* everything below */
	struct lab_work_status now;
	struct kpy_heap *heap;
	struct lab_pile piles[LAB_NR_SITES];
};

/*
 * To be called every LAB_BREATH ops: reschedules, reports an RCU-tasks quiescent
 * state (attaching a tracer to a function waits for one), checks for signals.
 */
static inline int lab_breathe(void)
{
	cond_resched_tasks_rcu_qs();
	return signal_pending(current) ? -EINTR : 0;
}

/* Can @bytes be allocated with 1/16 of the machine's memory left in reserve? */
static inline bool lab_room_for(u64 bytes)
{
	long left = si_mem_available() - (long)(totalram_pages() / 16);

	return left > 0 && left >= bytes >> PAGE_SHIFT;
}

/* report.c APIs: */
extern struct lab_error lab_replay_error, lab_work_error;

__printf(3, 4) int lab_report_refuse(struct lab_error *error, int err, const char *fmt, ...);
void lab_report_clear(struct lab_error *error);
void lab_report_error(const struct lab_error *error, char *text);
void lab_report_publish(const struct lab_status *status);
void lab_report_status(struct lab_status *status);
void lab_report_publish_work(const struct lab_work_status *status);
void lab_report_work(struct lab_work_status *status);

/* Refuses something on behalf of the replay. */
#define lab_refuse(err, ...) lab_report_refuse(&lab_replay_error, err, __VA_ARGS__)

/* control.c APIs: */
int lab_number(const char *text, u64 *value);
char *lab_word(char **rest);
int lab_writer_open(struct lab_error *error, struct inode *inode, struct file *file);
void lab_control_files(struct lab_control *c, struct dentry *dir);

/* trace.c APIs: */
void lab_trace_init(struct lab_trace *trace);
void lab_trace_free(struct lab_trace *trace);
ssize_t lab_trace_write(struct lab_trace *trace, const char __user *buf, size_t len);
bool lab_trace_complete(const struct lab_trace *trace);
int lab_trace_truncated(const struct lab_trace *trace);
int lab_trace_check(struct lab_trace *trace);
void lab_cursor_init(struct lab_cursor *cursor, struct lab_trace *trace);
int lab_cursor_next(struct lab_cursor *cursor, struct lab_op *op);

/* fill.c APIs: */
u64 lab_fill_seed(u64 id, u32 gen, u64 round);
u8 lab_fill_byte(u64 seed, size_t offset);
void lab_fill(void *ptr, size_t len, u64 seed);
size_t lab_fill_check(const void *ptr, size_t len, u64 seed);

/* backend.c APIs: */
int lab_backend_open(struct lab_backend *be, const char *name);
void lab_backend_close(struct lab_backend *be);

/* caches.c APIs: */
struct kmem_cache *lab_cache_create(const char *name, size_t size);
int lab_caches_create(struct lab_caches *caches, const char *name);
void lab_caches_destroy(struct lab_caches *caches);

/* engine.c APIs: */
int lab_engine_op(struct lab_lane *lane, const struct lab_op *op);
int lab_engine_step(struct lab_replay *r);
int lab_engine_check_live(struct lab_replay *r);
void lab_engine_reset(struct lab_replay *r);

/* lanes.c APIs: */
int lab_lanes_start(struct lab_replay *r);
int lab_lanes_run(struct lab_replay *r, u64 until);
void lab_lanes_stop(struct lab_replay *r);

/* replay.c APIs: */
void lab_replay_init(struct lab_replay *r);
void lab_replay_exit(struct lab_replay *r);
int lab_replay_load_begin(struct lab_replay *r);
ssize_t lab_replay_load(struct lab_replay *r, const char __user *buf, size_t len);
void lab_replay_load_end(struct lab_replay *r);
int lab_replay_set_backend(struct lab_replay *r, const char *name);
int lab_replay_set_fill(struct lab_replay *r, bool fill);
int lab_replay_set_cpus(struct lab_replay *r, u64 cpus, u64 every);
int lab_replay_run(struct lab_replay *r, u64 until);
int lab_replay_rewind(struct lab_replay *r);
int lab_replay_drop(struct lab_replay *r);

/* sites.c APIs: */
extern const struct lab_site lab_sites[LAB_NR_SITES];
void *kpylab_realloc(struct kpy_heap *heap, void *ptr, size_t size);
void *kpylab_churn(struct kpy_heap *heap, void *ptr, size_t size);

/* work.c APIs: */
void lab_work_init(struct lab_work *w);
void lab_work_exit(struct lab_work *w);
int lab_work_set_heap(struct lab_work *w, const char *name);
int lab_work_alloc(struct lab_work *w, enum lab_site_id site, u64 count, u64 size, u64 every);
int lab_work_free(struct lab_work *w, enum lab_site_id site, u64 count);
int lab_work_free_all(struct lab_work *w, enum lab_site_id site);
int lab_work_realloc(struct lab_work *w, enum lab_site_id site, u64 size);
int lab_work_churn(struct lab_work *w, u64 ops, u64 seed);
int lab_work_drop(struct lab_work *w);

/* work_debugfs.c APIs: */
void lab_work_debugfs_init(struct lab_work *w, struct dentry *dir);

/* debugfs.c APIs: */
void lab_debugfs_init(struct lab_replay *r, struct lab_work *w, struct lab_bench *b);
void lab_debugfs_exit(void);

#endif
