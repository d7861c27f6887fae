/* SPDX-License-Identifier: GPL-2.0 */
/* What the suites of user space share, beside what the KUnit suites do. */
#ifndef _KPY_USER_USER_H
#define _KPY_USER_USER_H

#include "suite.h"

#include "internal.h"
#include "lock.h"
#include "sim.h"

extern unsigned int sim_shown;
extern int sim_btf_error;

/* Registers a suite; cases have no heap but those they make. */
#define USER_SUITE(id)							\
	static struct kunit_suite id##_suite = {			\
		.name = "user_" #id, .init = kt_init, .exit = kt_exit,	\
		.test_cases = cases,					\
	};								\
	kunit_test_suites(&id##_suite)

/* A heap of a mode; silent, and free pools wait for a trim. */
static inline struct kpy_heap *ut_heap(struct kunit *test, enum kpy_mode mode,
				       enum kpy_release release)
{
	struct kpy_heap_params params = {
		.geometry = { 64 << 10, 4 << 10, 16, 512, release },
		.mode = mode,
		.flags = KPY_HEAP_SILENT | KPY_HEAP_ON_DEMAND,
	};

	return kt_heap_of(test, &params);
}

/* The numbers of a heap; the one before is overwritten. */
static inline const struct kpy_heap_stats *ut_stats(struct kpy_heap *heap)
{
	static struct kpy_heap_stats stats;

	kpy_heap_stats(heap, &stats);
	return &stats;
}

#endif
