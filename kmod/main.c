// SPDX-License-Identifier: GPL-2.0
/* L8: module init in order, exit in exact reverse. */
#include <linux/module.h>

#include "internal.h"

static int __init kpymalloc_init(void)
{
	int err;

	kpy_trace_init();
	err = kpy_general_module_init();
	if (err)
		return err;
	err = kpy_depot_module_init();
	if (err)
		goto err_general;
	err = kpy_shrinker_init();
	if (err)
		goto err_depot;
	kpy_kfuncs_init();
	kpy_debugfs_init();
	return 0;

err_depot:
	kpy_depot_module_exit();
err_general:
	kpy_general_module_exit();
	return err;
}

static void __exit kpymalloc_exit(void)
{
	kpy_registry_exit();
	kpy_debugfs_exit();
	kpy_shrinker_exit();
	kpy_ticker_exit();
	kpy_depot_module_exit();
	kpy_general_module_exit();
}

module_init(kpymalloc_init);
module_exit(kpymalloc_exit);

MODULE_DESCRIPTION("CPython's small-object allocator over page allocations");
MODULE_AUTHOR("The kpymalloc developers");
MODULE_VERSION(KPY_VERSION);
MODULE_LICENSE("GPL");
