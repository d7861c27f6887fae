/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The heaps' lists of usable arenas, as the events of a trace change them.
 *
 * A list starts from the module's own: reading that is a record in the trace,
 * and what comes behind it changes what was read.  A heap made since has none
 * at first.  When events were lost, lists are read anew.
 */
#ifndef _KPY_USABLE_H
#define _KPY_USABLE_H

#include <linux/types.h>

#include "../bpf/stream.h"
#include "kpy.h"

struct usable;

int usable_begin(const char *heap);		/* NULL: all; after attaching */
const struct usable *usable_apply(const struct stream_event *e);	/* NULL: the list is not known */
void usable_forget(const struct stream_event *e);	/* behind the line of a heap's end */
void usable_reread(bool drained);	/* @drained: all records have been met */
void usable_end(void);

typedef void (*usable_visit)(__u32 place, __u32 slot, __u32 nfree, void *arg);

void usable_each(const struct usable *u, usable_visit visit, void *arg);
__u32 usable_length(const struct usable *u);
__u32 usable_place(const struct usable *u, __u32 slot);	/* KPY_ANY if it is not in the list */

#endif
