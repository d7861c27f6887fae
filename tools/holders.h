/* SPDX-License-Identifier: GPL-2.0 */
/* Blocks added up by the stack that asked for them. */
#ifndef _KPY_HOLDERS_H
#define _KPY_HOLDERS_H

#include "stacks.h"

struct seat;

struct holder {
	const struct frames *frames;	/* NULL: whoever it was, it was not seen */
	u64 blocks;
	u64 bytes;
	u64 born;			/* of the oldest block, ns; 0: not known */
	struct seat *seats;		/* pin.c: the arenas that it sits in */
	u64 comes_back;
	u64 together;
};

struct holders {
	void *tree;
	struct holder **list;		/* in the order of holders_sort() */
	size_t nr;
};

struct holder *holders_get(struct holders *all, const struct frames *frames);
void holder_add(struct holder *h, u64 blocks, u64 bytes, u64 born);
void holders_sort(struct holders *all, int (*before)(const void *a, const void *b));
int holders_by_bytes(const void *a, const void *b);	/* the most first */
void holders_free(struct holders *all);
struct json_object *holder_json(const struct holder *h);

u64 age_ns(u64 born);
const char *age_text(char buf[32], u64 born);		/* "12.345" seconds, "-": not known */

#endif
