// SPDX-License-Identifier: GPL-2.0
/*
 * L0: the bodies of the trace events, and the one switch between fast and traced
 * paths.
 *
 * Fast paths fire no event.  While anybody is attached to an event that they would
 * fire, they are closed, and all requests take heap->lock, where events fire in
 * order.  Attaching waits for those that are in a fast path already: afterwards no
 * request is missed.
 */
#include <linux/export.h>
#include <linux/init.h>
#include <linux/jump_label.h>
#include <linux/mm.h>
#include <linux/rcupdate.h>

#include "internal.h"

#define CREATE_TRACE_POINTS
#include "trace.h"

struct static_key_false kpy_no_fast_path = STATIC_KEY_FALSE_INIT;
EXPORT_SYMBOL_GPL(kpy_no_fast_path);

int kpy_trace_attach(void)
{
	static_branch_inc(&kpy_no_fast_path);
	synchronize_rcu();
	return 0;
}

void kpy_trace_detach(void)
{
	static_branch_dec(&kpy_no_fast_path);
}

/**
 * kpy_trace_init() - close the fast paths for good if freed memory has to be wiped
 *
 * Context: Process, may sleep; before the first heap.
 */
void __init kpy_trace_init(void)
{
	if (want_init_on_free())
		static_branch_inc(&kpy_no_fast_path);
}
