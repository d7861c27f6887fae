/* SPDX-License-Identifier: GPL-2.0 */
/* The lines of kpy trace. */
#ifndef _KPY_STREAM_LINES_H
#define _KPY_STREAM_LINES_H

#include <stdbool.h>

#include "../bpf/stream.h"
#include "stacks.h"

enum stream_mode {
	STREAM_BLOCKS,
	STREAM_POOLS,
	STREAM_ARENAS,
};

struct stream_lines {
	enum stream_mode mode;
	bool json;
	bool timestamp;
	__u64 start;			/* ns, as in records: time 0 */
	struct stacks *stacks;		/* NULL: none are printed */
};

void stream_lines_begin(struct stream_lines *l);
void stream_line(const struct stream_lines *l, const struct stream_event *e);

#endif
