// SPDX-License-Identifier: GPL-2.0
/*
 * kpylab.ko: replays recorded programs inside the kernel, runs workloads with
 * known leaks and benchmarks allocators.  Uses only the public API, kpymalloc.h.
 */
#include <linux/init.h>
#include <linux/module.h>

#include "bench.h"

static struct lab_replay replay;
static struct lab_work work;
static struct lab_bench bench;

static int __init kpylab_init(void)
{
	lab_replay_init(&replay);
	lab_work_init(&work);
	lab_bench_init(&bench, &replay);
	lab_debugfs_init(&replay, &work, &bench);
	return 0;
}

static void __exit kpylab_exit(void)
{
	lab_debugfs_exit();
	lab_bench_exit(&bench);
	lab_work_exit(&work);
	lab_replay_exit(&replay);
}

module_init(kpylab_init);
module_exit(kpylab_exit);

MODULE_DESCRIPTION("Replays allocation traces of real programs on kpymalloc");
MODULE_LICENSE("GPL");
