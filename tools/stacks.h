/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Kernel addresses by name, and the stacks that bpf/stack.bpf.h gathers.
 *
 * A stack as a user wants it starts at the caller of the allocator: what is
 * above the event's call site (BPF, the tracepoint, kpy_alloc()) is cut off, and
 * stacks that are equal then are one.
 */
#ifndef _KPY_STACKS_H
#define _KPY_STACKS_H

#include <linux/types.h>

#include "../bpf/stack.h"
#include "kpy.h"

/* ksyms.c: /proc/kallsyms, as of the modules of now */
void ksyms_load(void);			/* takes a while: for those who will be in a hurry */
const char *ksym_name(__u64 address, __u64 *offset, const char **module);	/* NULL: unknown */
char *ksym_text(__u64 address);		/* "name+0x12 [module]", to be freed */

/* stacks.c */
struct frames {
	int nr;
	__u64 ip[STACK_DEPTH];
};

struct stacks;

struct stacks *stacks_new(int map_fd);		/* of the map `stacks` */
void stacks_free(struct stacks *s);
/*
 * From the map: cut at @call_site; the same pointer for equal frames.  @id 0: the call site alone.
 * @call_site 0: the whole walk.
 */
const struct frames *stacks_find(struct stacks *s, __u32 id, __u64 call_site);
void stacks_print(const struct frames *f, const char *indent);
struct json_object *stacks_json(const struct frames *f);	/* an array of texts */

#endif
