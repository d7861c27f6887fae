/* SPDX-License-Identifier: GPL-2.0 */
/*
 * From an entry of kpy_alloc() and its kind to the return, and the events in
 * between:
 *
 *	fentry	call_enter(ctx)		puts a call on the task's stack
 *	tp_btf	call_current()		the call that the event is in
 *	fexit	call_leave(ctx)		the call that ends here, still on the stack
 *		call_done(ctx)		takes it off
 *
 * Any of them may give NULL: the call began before the programs were there, or
 * the kernel did not run one of them because its like was at work already.  So
 * calls are found by their frame, not by counting.  An interrupt may come at
 * any line of fentry and fexit, with a whole call inside: a place on the stack
 * is claimed before it is filled, and read before it is given up.
 */
#ifndef _KPY_CALLS_BPF_H
#define _KPY_CALLS_BPF_H

#include "calls.h"

#define CALL_STACK_SIZE	16384	/* of a task or of interrupts, and so aligned */

__u64 calls_unknown;		/* ends whose begin was not seen, or found no room */

/* by task */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u64);
	__type(value, struct calls);
} calls SEC(".maps");

static const struct calls first_call = { .depth = 1 };

/*
 * The same at a call's entry and end.  A trampoline has one context for both; a
 * probe (what fentry and fexit are loaded as if the module has no BTF) has
 * the stack pointer, at the end without the return address.
 */
static __always_inline __u64 call_frame(void *ctx, bool end)
{
	if (bpf_core_type_exists(struct kpy_heap))
		return (__u64)ctx;
	return PT_REGS_SP((struct pt_regs *)ctx) - (end ? sizeof(__u64) : 0);
}

/* Of a context the verifier wants no arithmetic. */
static __always_inline __u64 call_number(__u64 frame)
{
	__u64 number = 0;

	bpf_probe_read_kernel(&number, sizeof(number), &frame);
	return number;
}

/* @c is deeper in the same stack than a call that begins now: its end was not seen. */
static __always_inline bool call_is_over(const struct call *c, __u64 frame)
{
	return c->frame <= frame && (c->frame ^ frame) < CALL_STACK_SIZE;
}

/* A place for a call, NULL if there is none. */
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
	return c->frame ? c : NULL;	/* not filled yet: that of an entry not seen */
}

/* The place of the call that has @frame; @all->depth if it is not there. */
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

/* Takes off also what is above: those calls' ends were not seen. */
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
