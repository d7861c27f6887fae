/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _KPY_STACK_H
#define _KPY_STACK_H

#define STACK_DEPTH	64

/* Return addresses, innermost first; zeroes after the last. */
struct kpy_stack {
	__u64 ip[STACK_DEPTH];
};

#endif
