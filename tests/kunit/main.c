// SPDX-License-Identifier: GPL-2.0
/* kpymalloc_kunit.ko: the suites, lowest layer first. */
#include <linux/module.h>

#include "suite.h"

kunit_test_suites(&kpy_sizes_suite, &kpy_pool_suite, &kpy_arena_suite, &kpy_release_suite,
		  &kpy_reclaim_suite, &kpy_realloc_suite, &kpy_large_suite, &kpy_kept_suite, &kpy_walk_suite,
		  &kpy_wipe_suite, &kpy_percpu_suite, &kpy_bulk_suite, &kpy_errors_suite,
		  &kpy_context_suite, &kpy_model_suite);

MODULE_DESCRIPTION("KUnit suites of kpymalloc");
MODULE_AUTHOR("The kpymalloc developers");
MODULE_LICENSE("GPL");
