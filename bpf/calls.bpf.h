/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Tracks calls of kpy_alloc() and the like from entry to return, with the events
 * in between:
 *
 *	fentry	call_enter(ctx)		pushes a call onto the task's stack of calls
 *	tp_btf	call_current()		the call that the event belongs to
 *	fexit	call_leave(ctx)		the call that returns here, still on the stack
 *		call_done(ctx)		pops it
 *
 * All but the last may return NULL: the call began before the programs were attached,
 * or the kernel skipped a program because one was already running on the CPU.  So
 * calls are matched by frame, not by counting.  An interrupt with a whole call of
 * its own may hit anywhere in fentry and fexit: a slot is claimed before it is
 * filled, and read before it is released.
 */
#ifndef _KPY_CALLS_BPF_H
#define _KPY_CALLS_BPF_H

#include "calls.h"

#define CALL_STACK_SIZE	16384	/* size and alignment of task and interrupt stacks */

__u64 calls_unknown;		/* returns whose entry was not seen or found no room */

/* by task */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u64);
	__type(value, struct calls);
} calls SEC(".maps");

static const struct calls first_call = { .depth = 1 };

/*
 * Same value at a call's entry and return.  A trampoline uses one context for both.
 * If the module has no BTF, fentry and fexit are loaded as kprobes: then it is the
 * stack pointer, which at the return no longer covers the return address.
 */
static __always_inline __u64 call_frame(void *ctx, bool end)
{
	if (bpf_core_type_exists(struct kpy_heap))
		return (__u64)ctx;
	return PT_REGS_SP((struct pt_regs *)ctx) - (end ? sizeof(__u64) : 0);
}

/* A copy of @frame, as the verifier rejects arithmetic on a context pointer. */
static __always_inline __u64 call_number(__u64 frame)
{
	__u64 number = 0;

	bpf_probe_read_kernel(&number, sizeof(number), &frame);
	return number;
}

/* @c lies deeper in the same stack than a call that begins now: its return was missed. */
static __always_inline bool call_is_over(const struct call *c, __u64 frame)
{
	return c->frame <= frame && (c->frame ^ frame) < CALL_STACK_SIZE;
}

/* Claim a slot for a call, NULL if there is none. */
static __always_inline struct call *call_claim(__u64 task, __u64 frame)
{
	bool first = !bpf_map_update_elem(&calls, &task, &first_call, BPF_NOEXIST);
	struct calls *all = bpf_map_lookup_elem(&calls, &task);
	__u64 depth;

	if (!all)
		return NULL;
	if (first)
		return &all->call[0];
	depth = all->depth;
	frame = call_number(frame);
	for (int i = 0; i < CALL_DEPTH; i++)
		if (depth && call_is_over(&all->call[(depth - 1) % CALL_DEPTH], frame))
			depth--;
	if (depth >= CALL_DEPTH)
		return NULL;
	all->call[depth % CALL_DEPTH].frame = 0;
	barrier();
	all->depth = depth + 1;
	return &all->call[depth % CALL_DEPTH];
}

static __always_inline struct call *call_enter(void *ctx)
{
	__u64 frame = call_frame(ctx, false);
	struct call *c = call_claim(bpf_get_current_task(), frame);

	if (!c)
		return NULL;
	__builtin_memset(&c->data, 0, sizeof(c->data));
	c->entered = bpf_ktime_get_ns();
	barrier();
	c->frame = frame;
	return c;
}

static __always_inline struct call *call_current(void)
{
	__u64 task = bpf_get_current_task();
	struct calls *all = bpf_map_lookup_elem(&calls, &task);
	struct call *c;

	if (!all || !all->depth)
		return NULL;
	c = &all->call[(all->depth - 1) % CALL_DEPTH];
	return c->frame ? c : NULL;	/* 0: slot not filled yet; this call's entry was missed */
}

/* Index of the call with @frame, @all->depth if there is none. */
static __always_inline __u64 call_place(const struct calls *all, __u64 frame)
{
	for (__u64 i = 0; i < CALL_DEPTH; i++)
		if (i < all->depth && all->call[i].frame == frame)
			return i;
	return all->depth;
}

static __always_inline struct call *call_leave(void *ctx)
{
	__u64 task = bpf_get_current_task(), frame = call_frame(ctx, true), place;
	struct calls *all = bpf_map_lookup_elem(&calls, &task);

	if (all) {
		place = call_place(all, frame);
		if (place < all->depth)
			return &all->call[place % CALL_DEPTH];
	}
	__sync_fetch_and_add(&calls_unknown, 1);
	return NULL;
}

/* Also pops the calls above it: their returns were missed. */
static __always_inline void call_done(void *ctx)
{
	__u64 task = bpf_get_current_task(), frame = call_frame(ctx, true), place;
	struct calls *all = bpf_map_lookup_elem(&calls, &task);

	if (!all)
		return;
	place = call_place(all, frame);
	if (!place)
		bpf_map_delete_elem(&calls, &task);
	else if (place < all->depth)
		all->depth = place;
}

#endif
