/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What differs between the kernels we build for, included everywhere by Kbuild.  The
 * only place for LINUX_VERSION_CODE; so far it is enough to look for names.
 */
#ifndef _KPY_COMPAT_H
#define _KPY_COMPAT_H

#include <linux/btf.h>
#include <linux/btf_ids.h>
#include <linux/shrinker.h>
#include <linux/slab.h>
#include <linux/swap.h>

#ifndef __bpf_kfunc		/* before 6.3 */
#define __bpf_kfunc		noinline
#endif

#ifndef SLAB_NO_MERGE		/* before 6.5: a flag without cost that has the same effect */
#define SLAB_NO_MERGE		SLAB_NOLEAKTRACE
#endif

#ifndef SHRINKER_ALLOCATED	/* before 6.7: the caller has the memory */
static inline struct shrinker *shrinker_alloc(unsigned int flags, const char *name)
{
	return kzalloc(sizeof(struct shrinker), GFP_KERNEL);
}

static inline void shrinker_register(struct shrinker *shrinker)
{
	if (register_shrinker(shrinker, KBUILD_MODNAME))
		pr_warn("%s: no shrinker\n", KBUILD_MODNAME);
}

static inline void shrinker_free(struct shrinker *shrinker)
{
	unregister_shrinker(shrinker);
	kfree(shrinker);
}

/* Reclaim is not told of pages that a shrinker freed, and goes on a bit longer. */
#define kpy_count_reclaimed(pages)	((void)(pages))
#else
#define kpy_count_reclaimed		mm_account_reclaimed_pages
#endif

#ifndef BTF_KFUNCS_START	/* before 6.9 */
#define BTF_KFUNCS_START	BTF_SET8_START
#define BTF_KFUNCS_END		BTF_SET8_END
#endif

#endif
