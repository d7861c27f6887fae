// SPDX-License-Identifier: GPL-2.0
/*
 * kpytest.ko: a client that misuses its heap, to see what becomes of it.
 *
 * `insmod kpytest.ko do=WHAT` makes the heap "kpytest" and does WHAT to it, two
 * times over; the heap stays to be looked at until rmmod destroys it.  It is of mode
 * percpu if percpu=1, nothing is reported if silent=1.
 */
#include <linux/err.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "kpymalloc.h"

static char *what = "";
module_param_named(do, what, charp, 0400);
MODULE_PARM_DESC(do, "what to do wrong");

static bool percpu;
module_param(percpu, bool, 0400);
MODULE_PARM_DESC(percpu, "on a heap of mode percpu");

static bool silent;
module_param(silent, bool, 0400);
MODULE_PARM_DESC(silent, "only count it");

static struct kpy_heap *heap;

/* Its neighbour keeps the pool in use. */
static noinline void double_free(void)
{
	void *neighbour = kpy_alloc(heap, 100, GFP_KERNEL);
	void *block = kpy_alloc(heap, 100, GFP_KERNEL);

	kpy_free(heap, block);
	kpy_free(heap, block);
	kpy_free(heap, block);
	kpy_free(heap, neighbour);
}

static noinline void double_free_large(void)
{
	void *block = kpy_alloc(heap, 5000, GFP_KERNEL);

	kpy_free(heap, block);
	kpy_free(heap, block);
	kpy_free(heap, block);
}

static noinline void free_foreign(void)
{
	void *block = kmalloc(100, GFP_KERNEL);

	kpy_free(heap, block);
	kpy_free(heap, block);
	kfree(block);
}

static noinline void free_foreign_large(void)
{
	void *block = kmalloc(2000, GFP_KERNEL);

	kpy_free(heap, block);
	kpy_free(heap, block);
	kfree(block);
}

static noinline void free_inside(void)
{
	char *block = kpy_alloc(heap, 100, GFP_KERNEL);

	kpy_free(heap, block + 8);
	kpy_free(heap, block + 64);
	kpy_free(heap, block);
}

static noinline void free_inside_large(void)
{
	char *block = kpy_alloc(heap, 8000, GFP_KERNEL);

	kpy_free(heap, block + 8);
	kpy_free(heap, block + 4096);
	kpy_free(heap, block);
}

static noinline void realloc_freed(void)
{
	void *block = kpy_alloc(heap, 100, GFP_KERNEL);

	kpy_free(heap, block);
	if (kpy_realloc(heap, block, 200, GFP_KERNEL) || kpy_usable_size(heap, block))
		pr_err("kpytest: a freed block was taken for a live one\n");
}

static noinline void realloc_freed_large(void)
{
	void *block = kpy_alloc(heap, 3000, GFP_KERNEL);

	kpy_free(heap, block);
	if (kpy_realloc(heap, block, 200, GFP_KERNEL) || kpy_usable_size(heap, block))
		pr_err("kpytest: a freed block was taken for a live one\n");
}

/* 3 blocks of class 6 (112 bytes), 2 of class 0 (16 bytes), and a large one. */
static noinline void leave_live(void)
{
	unsigned int i;

	for (i = 0; i < 3; i++)
		kpy_alloc(heap, 100, GFP_KERNEL);
	for (i = 0; i < 2; i++)
		kpy_alloc(heap, 10, GFP_KERNEL);
	kpy_alloc(heap, 5000, GFP_KERNEL);
}

static const struct {
	const char *name;
	void (*call)(void);
} wrongs[] = {
	{ "double_free", double_free },
	{ "double_free_large", double_free_large },
	{ "free_foreign", free_foreign },
	{ "free_foreign_large", free_foreign_large },
	{ "free_inside", free_inside },
	{ "free_inside_large", free_inside_large },
	{ "realloc_freed", realloc_freed },
	{ "realloc_freed_large", realloc_freed_large },
	{ "leave_live", leave_live },
};

static int __init kpytest_init(void)
{
	struct kpy_heap_params params = {
		.name = "kpytest",
		.geometry = *kpy_preset("cpython-3.10"),
		.mode = percpu ? KPY_MODE_PERCPU : KPY_MODE_CLASSIC,
		.flags = silent ? KPY_HEAP_SILENT : 0,
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(wrongs); i++)
		if (!strcmp(wrongs[i].name, what))
			break;
	if (i == ARRAY_SIZE(wrongs))
		return -EINVAL;
	heap = kpy_heap_create(&params);
	if (IS_ERR(heap))
		return PTR_ERR(heap);
	wrongs[i].call();
	return 0;
}

static void __exit kpytest_exit(void)
{
	if (kpy_heap_destroy(heap))
		pr_err("kpytest: the heap has other users\n");
}

module_init(kpytest_init);
module_exit(kpytest_exit);

MODULE_DESCRIPTION("Misuses a heap of kpymalloc");
MODULE_LICENSE("GPL");
