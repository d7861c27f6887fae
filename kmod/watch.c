// SPDX-License-Identifier: GPL-2.0
/*
 * L3: what happens when somebody comes to see trace events: they fire under
 * heap->lock, so while there is anybody, all requests that he wants to see take the
 * ways with the lock.  Who is in a fast path by then is waited for; from then on none
 * is missed.
 */
#include <linux/rcupdate.h>

#include "classic.h"
#include "large.h"
#include "trace.h"

static int watch(struct static_key_false *key)
{
	static_branch_inc(key);
	synchronize_rcu();
	return 0;
}

int kpy_trace_pools_reg(void)
{
	return watch(&kpy_classic_slowly);
}

void kpy_trace_pools_unreg(void)
{
	static_branch_dec(&kpy_classic_slowly);
}

int kpy_trace_alloc_reg(void)
{
	static_branch_inc(&kpy_alloc_slowly);
	return watch(&kpy_classic_slowly);
}

void kpy_trace_alloc_unreg(void)
{
	static_branch_dec(&kpy_classic_slowly);
	static_branch_dec(&kpy_alloc_slowly);
}

int kpy_trace_free_reg(void)
{
	static_branch_inc(&kpy_free_slowly);
	return watch(&kpy_classic_slowly);
}

void kpy_trace_free_unreg(void)
{
	static_branch_dec(&kpy_classic_slowly);
	static_branch_dec(&kpy_free_slowly);
}

int kpy_trace_large_alloc_reg(void)
{
	return watch(&kpy_large_alloc_slowly);
}

void kpy_trace_large_alloc_unreg(void)
{
	static_branch_dec(&kpy_large_alloc_slowly);
}

int kpy_trace_large_free_reg(void)
{
	return watch(&kpy_large_free_slowly);
}

void kpy_trace_large_free_unreg(void)
{
	static_branch_dec(&kpy_large_free_slowly);
}
