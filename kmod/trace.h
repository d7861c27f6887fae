/* SPDX-License-Identifier: GPL-2.0 */
/*
 * L0: trace events, system "kpymalloc".  Each fires with heap->lock held, at the
 * line that counts, so that events come in the order of what happened and their
 * totals equal the module's.  The fields have all that is needed to join events:
 * heap id, pointers, class, arena slot.  A disabled event is a NOP.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM kpymalloc

#if !defined(_KPY_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define _KPY_TRACE_H

#include <linux/tracepoint.h>

#include "types.h"

TRACE_DEFINE_ENUM(KPY_POOL_EMPTY);
TRACE_DEFINE_ENUM(KPY_POOL_USED);
TRACE_DEFINE_ENUM(KPY_POOL_FULL);
TRACE_DEFINE_ENUM(KPY_SNAPSHOT_STATS);
TRACE_DEFINE_ENUM(KPY_SNAPSHOT_ARENAS);
TRACE_DEFINE_ENUM(KPY_SNAPSHOT_END);

#define kpy_show_pool_state(state)			\
	__print_symbolic(state,				\
			 { KPY_POOL_EMPTY, "empty" },	\
			 { KPY_POOL_USED, "used" },	\
			 { KPY_POOL_FULL, "full" })

/* In trace.c: the fast paths fire no event, so they are closed while anybody is attached. */
int kpy_trace_attach(void);
void kpy_trace_detach(void);

DECLARE_EVENT_CLASS(kpy_block,
	TP_PROTO(u32 heap, void *ptr, size_t size, u32 szidx, void *pool, u32 arena,
		 unsigned long call_site),
	TP_ARGS(heap, ptr, size, szidx, pool, arena, call_site),
	TP_STRUCT__entry(
		__field(unsigned long, call_site)
		__field(void *, ptr)
		__field(void *, pool)
		__field(size_t, size)
		__field(u32, heap)
		__field(u32, szidx)
		__field(u32, arena)
	),
	TP_fast_assign(
		__entry->call_site = call_site;
		__entry->ptr = ptr;
		__entry->pool = pool;
		__entry->size = size;
		__entry->heap = heap;
		__entry->szidx = szidx;
		__entry->arena = arena;
	),
	TP_printk("heap=%u ptr=%p size=%zu class=%u pool=%p arena=%u call_site=%pS",
		  __entry->heap, __entry->ptr, __entry->size, __entry->szidx,
		  __entry->pool, __entry->arena, (void *)__entry->call_site)
);

/* A small block was handed out; size is what was requested.  Counted in allocs. */
DEFINE_EVENT_FN(kpy_block, kpy_alloc,
	TP_PROTO(u32 heap, void *ptr, size_t size, u32 szidx, void *pool, u32 arena,
		 unsigned long call_site),
	TP_ARGS(heap, ptr, size, szidx, pool, arena, call_site),
	kpy_trace_attach, kpy_trace_detach);

/* A small block was freed; size is its class's.  Counted in frees. */
DEFINE_EVENT_FN(kpy_block, kpy_free,
	TP_PROTO(u32 heap, void *ptr, size_t size, u32 szidx, void *pool, u32 arena,
		 unsigned long call_site),
	TP_ARGS(heap, ptr, size, szidx, pool, arena, call_site),
	kpy_trace_attach, kpy_trace_detach);

/*
 * A realloc succeeded; counted in reallocs.  If the block moved, its alloc and
 * free have fired before.  old_size is the size of the class for a small block,
 * the requested size for a large one.
 */
TRACE_EVENT_FN(kpy_realloc,
	TP_PROTO(u32 heap, void *old, void *ptr, size_t old_size, size_t size, bool small,
		 unsigned long call_site),
	TP_ARGS(heap, old, ptr, old_size, size, small, call_site),
	TP_STRUCT__entry(
		__field(unsigned long, call_site)
		__field(void *, old)
		__field(void *, ptr)
		__field(size_t, old_size)
		__field(size_t, size)
		__field(u32, heap)
		__field(bool, small)
	),
	TP_fast_assign(
		__entry->call_site = call_site;
		__entry->old = old;
		__entry->ptr = ptr;
		__entry->old_size = old_size;
		__entry->size = size;
		__entry->heap = heap;
		__entry->small = small;
	),
	TP_printk("heap=%u old=%p ptr=%p old_size=%zu size=%zu small=%d call_site=%pS",
		  __entry->heap, __entry->old, __entry->ptr, __entry->old_size,
		  __entry->size, __entry->small, (void *)__entry->call_site),
	kpy_trace_attach, kpy_trace_detach
);

/* A block of the general allocator was handed out; counted in large_allocs. */
TRACE_EVENT(kpy_large_alloc,
	TP_PROTO(u32 heap, void *ptr, size_t size, bool fallback, unsigned long call_site),
	TP_ARGS(heap, ptr, size, fallback, call_site),
	TP_STRUCT__entry(
		__field(unsigned long, call_site)
		__field(void *, ptr)
		__field(size_t, size)
		__field(u32, heap)
		__field(bool, fallback)
	),
	TP_fast_assign(
		__entry->call_site = call_site;
		__entry->ptr = ptr;
		__entry->size = size;
		__entry->heap = heap;
		__entry->fallback = fallback;
	),
	TP_printk("heap=%u ptr=%p size=%zu fallback=%d call_site=%pS",
		  __entry->heap, __entry->ptr, __entry->size, __entry->fallback,
		  (void *)__entry->call_site)
);

/* A block of the general allocator was freed; counted in large_frees. */
TRACE_EVENT(kpy_large_free,
	TP_PROTO(u32 heap, void *ptr, size_t size, unsigned long call_site),
	TP_ARGS(heap, ptr, size, call_site),
	TP_STRUCT__entry(
		__field(unsigned long, call_site)
		__field(void *, ptr)
		__field(size_t, size)
		__field(u32, heap)
	),
	TP_fast_assign(
		__entry->call_site = call_site;
		__entry->ptr = ptr;
		__entry->size = size;
		__entry->heap = heap;
	),
	TP_printk("heap=%u ptr=%p size=%zu call_site=%pS",
		  __entry->heap, __entry->ptr, __entry->size, (void *)__entry->call_site)
);

/* A pool changed its state; see enum kpy_pool_state. */
TRACE_EVENT_FN(kpy_pool_state,
	TP_PROTO(u32 heap, void *pool, u32 arena, u32 szidx, u32 from, u32 to),
	TP_ARGS(heap, pool, arena, szidx, from, to),
	TP_STRUCT__entry(
		__field(void *, pool)
		__field(u32, heap)
		__field(u32, arena)
		__field(u32, szidx)
		__field(u32, from)
		__field(u32, to)
	),
	TP_fast_assign(
		__entry->pool = pool;
		__entry->heap = heap;
		__entry->arena = arena;
		__entry->szidx = szidx;
		__entry->from = from;
		__entry->to = to;
	),
	TP_printk("heap=%u pool=%p arena=%u class=%u %s->%s",
		  __entry->heap, __entry->pool, __entry->arena, __entry->szidx,
		  kpy_show_pool_state(__entry->from), kpy_show_pool_state(__entry->to)),
	kpy_trace_attach, kpy_trace_detach
);

DECLARE_EVENT_CLASS(kpy_arena,
	TP_PROTO(u32 heap, u32 arena, u64 serial, unsigned long address),
	TP_ARGS(heap, arena, serial, address),
	TP_STRUCT__entry(
		__field(u64, serial)
		__field(unsigned long, address)
		__field(u32, heap)
		__field(u32, arena)
	),
	TP_fast_assign(
		__entry->serial = serial;
		__entry->address = address;
		__entry->heap = heap;
		__entry->arena = arena;
	),
	TP_printk("heap=%u arena=%u serial=%llu address=%p",
		  __entry->heap, __entry->arena, __entry->serial, (void *)__entry->address)
);

/* Memory became an arena; it is the only usable one. */
DEFINE_EVENT(kpy_arena, kpy_arena_new,
	TP_PROTO(u32 heap, u32 arena, u64 serial, unsigned long address),
	TP_ARGS(heap, arena, serial, address));

/* A wholly free arena is returned to the system. */
DEFINE_EVENT(kpy_arena, kpy_arena_release,
	TP_PROTO(u32 heap, u32 arena, u64 serial, unsigned long address),
	TP_ARGS(heap, arena, serial, address));

/*
 * An arena's number of free pools changed, and with it its place in
 * usable_arenas: right behind the arena in slot `behind`, KPY_NO_SLOT if at the
 * front.  With no free pool it is in no list; wholly free, it may be released next.
 */
TRACE_EVENT_FN(kpy_arena_move,
	TP_PROTO(u32 heap, u32 arena, u32 nfree_before, u32 nfree_after, u32 behind),
	TP_ARGS(heap, arena, nfree_before, nfree_after, behind),
	TP_STRUCT__entry(
		__field(u32, heap)
		__field(u32, arena)
		__field(u32, nfree_before)
		__field(u32, nfree_after)
		__field(u32, behind)
	),
	TP_fast_assign(
		__entry->heap = heap;
		__entry->arena = arena;
		__entry->nfree_before = nfree_before;
		__entry->nfree_after = nfree_after;
		__entry->behind = behind;
	),
	TP_printk("heap=%u arena=%u nfree=%u->%u behind=%d", __entry->heap, __entry->arena,
		  __entry->nfree_before, __entry->nfree_after, (int)__entry->behind),
	kpy_trace_attach, kpy_trace_detach
);

/*
 * Somebody reads the heap's numbers, or the heap is about to be freed.  The numbers
 * include every event that fired before, and none that fires later: a tracer that
 * compares its totals with the module's, or starts from the module's lists, does so
 * at this event.
 */
TRACE_EVENT(kpy_snapshot,
	TP_PROTO(u32 heap, const char *name, u32 what, u64 allocs, u64 frees, u64 reallocs,
		 u64 large_allocs, u64 large_frees, u64 large_bytes),
	TP_ARGS(heap, name, what, allocs, frees, reallocs, large_allocs, large_frees,
		large_bytes),
	TP_STRUCT__entry(
		__array(char, name, KPY_NAME_MAX + 1)
		__field(u32, heap)
		__field(u32, what)
		__field(u64, allocs)
		__field(u64, frees)
		__field(u64, reallocs)
		__field(u64, large_allocs)
		__field(u64, large_frees)
		__field(u64, large_bytes)
	),
	TP_fast_assign(
		memcpy(__entry->name, name, KPY_NAME_MAX + 1);
		__entry->heap = heap;
		__entry->what = what;
		__entry->allocs = allocs;
		__entry->frees = frees;
		__entry->reallocs = reallocs;
		__entry->large_allocs = large_allocs;
		__entry->large_frees = large_frees;
		__entry->large_bytes = large_bytes;
	),
	TP_printk("heap=%u name=%s what=%s allocs=%llu frees=%llu reallocs=%llu large_allocs=%llu large_frees=%llu large_bytes=%llu",
		  __entry->heap, __entry->name,
		  __print_symbolic(__entry->what, { KPY_SNAPSHOT_STATS, "stats" },
				   { KPY_SNAPSHOT_ARENAS, "arenas" }, { KPY_SNAPSHOT_END, "end" }),
		  __entry->allocs, __entry->frees, __entry->reallocs, __entry->large_allocs,
		  __entry->large_frees, __entry->large_bytes)
);

#endif

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
