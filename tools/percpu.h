/* SPDX-License-Identifier: GPL-2.0 */
/* Per-CPU counters that only grow: a report is what they grew by since the last one. */
#ifndef _KPY_PERCPU_H
#define _KPY_PERCPU_H

#include "kpy.h"

/* Of a value that consists of @nr numbers, their sums over CPUs; false: there is none. */
bool percpu_sum(int map_fd, const void *key, u64 *sum, size_t nr);

/* @since: what @seen has grown by to become @now. */
void percpu_advance(u64 *since, u64 *seen, const u64 *now, size_t nr);

#endif
