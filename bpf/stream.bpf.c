// SPDX-License-Identifier: GPL-2.0
/*
 * kpy trace: writes events as records to a ring buffer, in the order in which they
 * happened; only the last event of a timed call is held back until the call returns.
 * A record that finds no room is counted and dropped; nothing waits.
 */
#include "kpy.bpf.h"
#include "stack.bpf.h"
#include "stream.h"
#include "calls.bpf.h"

#define MAX_ENTRY	16	/* bytes of a function before its body */

const volatile bool with_stacks;
const volatile bool with_latency;
const volatile __u32 reader;		/* pid of kpy: its reads of the arena list are recorded */
const volatile __u64 limit;		/* events, 0: no limit */
const volatile __u64 wake_at = 256 << 10;	/* bytes; kpy also polls */

__u64 taken;				/* events, if there is a limit */
__u64 lost;				/* sum of all CPUs' dropped */

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 8 << 20);
} ring SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct stream_counts);
} counts SEC(".maps");

/* Scratch space for a record: one per CPU will do, events fire with interrupts off. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct stream_event);
} made SEC(".maps");

static __always_inline struct stream_counts *cpu_counts(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&counts, &zero);
}

/* Wake kpy only when the mark is passed: it then reads everything there is. */
static __always_inline __u64 wake_flag(void)
{
	__u64 queued = bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA);

	return queued - wake_at < 2 * sizeof(struct stream_event) ? BPF_RB_FORCE_WAKEUP :
								    BPF_RB_NO_WAKEUP;
}

static __always_inline bool put(struct stream_event *e)
{
	return !bpf_ringbuf_output(&ring, e, sizeof(*e), wake_flag());
}

/* Atomic: at the end of a call, an interrupt's event may come in between. */
static __always_inline void put_or_drop(struct stream_event *e)
{
	struct stream_counts *c;

	if (put(e))
		return;
	c = cpu_counts();
	if (c)
		__sync_fetch_and_add(&c->dropped, 1);
	__sync_fetch_and_add(&lost, 1);
}

static __always_inline struct stream_event *make(void *ctx, enum stream_op op, __u32 heap)
{
	__u32 zero = 0;
	struct stream_event *e = bpf_map_lookup_elem(&made, &zero);

	if (!e)
		return NULL;
	__builtin_memset(e, 0, sizeof(*e));
	e->ns = bpf_ktime_get_ns();
	e->latency = STREAM_NO_LATENCY;
	e->lost = lost;
	e->op = op;
	e->cpu = bpf_get_smp_processor_id();
	e->pid = bpf_get_current_pid_tgid() >> 32;
	e->heap = heap;
	e->szidx = KPY_ANY;
	e->arena = KPY_ANY;
	if (with_stacks)
		e->stack = stack_id(ctx);
	bpf_get_current_comm(e->comm, sizeof(e->comm));
	return e;
}

/* Counts an event and returns its record, NULL beyond the limit. */
static __always_inline struct stream_event *see(void *ctx, enum stream_op op, __u32 heap)
{
	struct stream_counts *c = cpu_counts();

	if (!c || (limit && __sync_fetch_and_add(&taken, 1) >= limit))
		return NULL;
	c->seen++;
	return make(ctx, op, heap);
}

/* A block's event: if its call is timed, hold it back and write the previous one. */
static __always_inline void put_of_call(struct stream_event *e)
{
	struct call *c = with_latency ? call_current() : NULL;

	if (!c) {
		put_or_drop(e);
		return;
	}
	if (c->data.pending)
		put_or_drop(&c->data.event);
	if (c->data.caller)
		e->call_site = c->data.caller;
	c->data.event = *e;
	c->data.pending = 1;
}

static __always_inline void put_small(void *ctx, enum stream_op op, __u32 heap, void *ptr,
				      size_t size, __u32 szidx, void *pool, __u32 arena,
				      __u64 call_site)
{
	struct stream_event *e = see(ctx, op, heap);

	if (!e)
		return;
	e->ptr = (__u64)ptr;
	e->size = size;
	e->szidx = szidx;
	e->pool = (__u64)pool;
	e->arena = arena;
	e->call_site = call_site;
	put_of_call(e);
}

static __always_inline void put_large(void *ctx, enum stream_op op, __u32 heap, void *ptr,
				      size_t size, __u64 call_site)
{
	put_small(ctx, op, heap, ptr, size, KPY_ANY, NULL, KPY_ANY, call_site);
}

SEC("tp_btf/kpy_alloc")
int BPF_PROG(on_alloc, __u32 heap, void *ptr, size_t size, __u32 szidx, void *pool, __u32 arena,
	     unsigned long call_site)
{
	if (alloc_wanted(heap, size, szidx))
		put_small(ctx, STREAM_ALLOC, heap, ptr, size, szidx, pool, arena, call_site);
	return 0;
}

SEC("tp_btf/kpy_free")
int BPF_PROG(on_free, __u32 heap, void *ptr, size_t size, __u32 szidx, void *pool, __u32 arena,
	     unsigned long call_site)
{
	if (free_wanted(heap, size, szidx))
		put_small(ctx, STREAM_FREE, heap, ptr, size, szidx, pool, arena, call_site);
	return 0;
}

SEC("tp_btf/kpy_realloc")
int BPF_PROG(on_realloc, __u32 heap, void *old, void *ptr, size_t old_size, size_t size, bool small,
	     unsigned long call_site)
{
	struct stream_event *e;

	if (!alloc_wanted(heap, size, KPY_ANY))
		return 0;
	e = see(ctx, STREAM_REALLOC, heap);
	if (!e)
		return 0;
	e->ptr = (__u64)ptr;
	e->size = size;
	e->old = (__u64)old;
	e->old_size = old_size;
	e->call_site = call_site;
	put_of_call(e);
	return 0;
}

SEC("tp_btf/kpy_large_alloc")
int BPF_PROG(on_large_alloc, __u32 heap, void *ptr, size_t size, bool fallback,
	     unsigned long call_site)
{
	if (alloc_wanted(heap, size, KPY_ANY))
		put_large(ctx, fallback ? STREAM_FALLBACK : STREAM_LARGE, heap, ptr, size, call_site);
	return 0;
}

SEC("tp_btf/kpy_large_free")
int BPF_PROG(on_large_free, __u32 heap, void *ptr, size_t size, unsigned long call_site)
{
	/* @size is what was requested, unlike for a small block */
	if (alloc_wanted(heap, size, KPY_ANY))
		put_large(ctx, STREAM_LARGE_FREE, heap, ptr, size, call_site);
	return 0;
}

SEC("tp_btf/kpy_pool_state")
int BPF_PROG(on_pool_state, __u32 heap, void *pool, __u32 arena, __u32 szidx, __u32 from, __u32 to)
{
	struct stream_event *e;

	if (!heap_wanted(heap) || (filter.szidx != KPY_ANY && szidx != filter.szidx) ||
	    !task_wanted())
		return 0;
	e = see(ctx, STREAM_POOL, heap);
	if (!e)
		return 0;
	e->pool = (__u64)pool;
	e->arena = arena;
	e->szidx = szidx;
	e->from = from;
	e->to = to;
	put_or_drop(e);
	return 0;
}

static __always_inline int put_arena(void *ctx, enum stream_op op, __u32 heap, __u32 arena,
				     __u64 serial, __u64 address)
{
	struct stream_event *e = heap_wanted(heap) ? see(ctx, op, heap) : NULL;

	if (!e)
		return 0;
	e->arena = arena;
	e->serial = serial;
	e->ptr = address;
	put_or_drop(e);
	return 0;
}

SEC("tp_btf/kpy_arena_new")
int BPF_PROG(on_arena_new, __u32 heap, __u32 arena, __u64 serial, unsigned long address)
{
	return put_arena(ctx, STREAM_ARENA_NEW, heap, arena, serial, address);
}

SEC("tp_btf/kpy_arena_release")
int BPF_PROG(on_arena_release, __u32 heap, __u32 arena, __u64 serial, unsigned long address)
{
	return put_arena(ctx, STREAM_ARENA_RELEASE, heap, arena, serial, address);
}

SEC("tp_btf/kpy_arena_move")
int BPF_PROG(on_arena_move, __u32 heap, __u32 arena, __u32 nfree_before, __u32 nfree_after,
	     __u32 behind)
{
	struct stream_event *e = heap_wanted(heap) ? see(ctx, STREAM_ARENA_MOVE, heap) : NULL;

	if (!e)
		return 0;
	e->arena = arena;
	e->from = nfree_before;
	e->to = nfree_after;
	e->behind = behind;
	put_or_drop(e);
	return 0;
}

SEC("tp_btf/kpy_snapshot")
int BPF_PROG(on_snapshot, __u32 heap, const char *name, __u32 what)
{
	struct stream_event *e;

	if (what == KPY_SNAPSHOT_END)
		return put_arena(ctx, STREAM_HEAP_END, heap, KPY_ANY, 0, 0);
	if (what != KPY_SNAPSHOT_ARENAS || bpf_get_current_pid_tgid() >> 32 != reader)
		return 0;
	e = make(ctx, STREAM_ARENAS_READ, heap);
	if (e)
		put(e);		/* kpy notices if it is missing */
	return 0;
}

/*
 * The caller of a function with @args arguments.  While the function's return is
 * traced, it returns to BPF, and its event reports that as the call site.  The stack
 * of a trampoline holds the arguments (@ctx), the return value, the frame pointer,
 * the return address into the function, and the function's own return address.  In
 * a kprobe, the latter is on top of the stack, as the entry probe runs first.
 */
static __always_inline __u64 caller_of(void *ctx, __u32 args)
{
	__u64 returns[2] = { 0 };

	if (!bpf_core_type_exists(struct kpy_heap)) {
		bpf_probe_read_kernel(&returns[1], sizeof(returns[1]),
				      (void *)PT_REGS_SP((struct pt_regs *)ctx));
		return returns[1];
	}
	bpf_probe_read_kernel(returns, sizeof(returns), ctx + (args + 2) * sizeof(__u64));
	return returns[0] - bpf_get_func_ip(ctx) < MAX_ENTRY ? returns[1] : 0;
}

static __always_inline void begin_call(void *ctx, __u32 args)
{
	struct call *c = call_enter(ctx);

	if (c)
		c->data.caller = caller_of(ctx, args);
}

static __always_inline void end_call(void *ctx)
{
	struct call *c = call_leave(ctx);

	if (c && c->data.pending) {
		c->data.event.latency = bpf_ktime_get_ns() - c->entered;
		c->data.pending = 0;
		put_or_drop(&c->data.event);
	}
	call_done(ctx);
}

/* fexit first: programs are attached in this order, so no entry lacks its return. */
#define TIME_CALLS_OF(function, args)	\
SEC("fexit/" #function)			\
int end_of_##function(void *ctx)	\
{					\
	end_call(ctx);			\
	return 0;			\
}					\
					\
SEC("fentry/" #function)		\
int begin_of_##function(void *ctx)	\
{					\
	begin_call(ctx, args);		\
	return 0;			\
}

TIME_CALLS_OF(kpy_alloc, 3)
TIME_CALLS_OF(kpy_zalloc, 3)
TIME_CALLS_OF(kpy_calloc, 4)
TIME_CALLS_OF(kpy_realloc, 4)
TIME_CALLS_OF(kpy_free, 2)
