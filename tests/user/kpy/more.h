/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What kpylab and the modules' debugfs files use of the kernel, besides what is in
 * kernel.h: files, memory that a user gives, numbers in a byte order, an xarray.
 */
#ifndef _KPY_USER_MORE_H
#define _KPY_USER_MORE_H

#include <endian.h>
#include <stdlib.h>
#include <zlib.h>

#include "kernel.h"

#ifndef __user
#define __user
#endif

/* ---- numbers ---- */

typedef u32 __le32;
typedef u64 __le64;

#define le32_to_cpu(x)			le32toh(x)
#define le64_to_cpu(x)			le64toh(x)
#define cpu_to_le64(x)			htole64(x)
#define BIT_ULL(nr)			(1ULL << (nr))
#ifndef round_down
#define round_down(x, y)		ALIGN_DOWN(x, y)
#endif
#define offset_in_page(p)		((unsigned long)(p) & (PAGE_SIZE - 1))

static inline u64 DIV_ROUND_UP_ULL(u64 n, u64 d)
{
	return (n + d - 1) / d;
}

static inline u32 crc32_le(u32 crc, const u8 *p, size_t len)
{
	return ~crc32(~crc, p, len);
}

/* ---- text ---- */

int vscnprintf(char *buf, size_t size, const char *fmt, va_list args);
char *skip_spaces(const char *text);
char *strim(char *text);

#define kstrtou64(text, base, to)	kstrtoull(text, base, to)

/* ---- locks, the task ---- */

#define spin_lock(l)			raw_spin_lock(l)
#define spin_unlock(l)			raw_spin_unlock(l)
#define mutex_init(m)			sim_lock_init(&(m)->lock, #m)
#define mutex_destroy(m)		((void)(m))
#define mutex_trylock(m)		(mutex_lock(m), true)
#define mutex_lock_interruptible(m)	(mutex_lock(m), 0)
#define num_online_cpus()		NR_CPUS
#define ERESTARTSYS			512
#ifndef current
#define current				((struct task_struct *)NULL)
#endif
#define cond_resched_tasks_rcu_qs()	might_sleep()

static inline bool signal_pending(const struct task_struct *task)
{
	return false;
}

static inline u64 ktime_get_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ULL + now.tv_nsec;
}

#ifndef atomic_inc_return
typedef struct {
	int counter;
} atomic_t;

#define atomic_inc_return(v)		__atomic_add_fetch(&(v)->counter, 1, __ATOMIC_SEQ_CST)
#endif

/* ---- memory ---- */

#define __GFP_RETRY_MAYFAIL		0U
#define si_mem_available()		(1L << 24)
#define totalram_pages()		(1L << 24)
#define kmem_cache_zalloc(c, gfp)	kmem_cache_alloc(c, (gfp) | __GFP_ZERO)
#define copy_from_user(to, from, n)	(memcpy(to, from, n), 0)

static inline size_t ksize(const void *ptr)
{
	return 0;
}

static inline int page_to_nid(const struct page *page)
{
	return 0;
}

char *memdup_user_nul(const char *from, size_t len);

struct xarray {
	void **entries;
	unsigned long nr;
};

#define xa_init(xa)			((void)(*(xa) = (struct xarray){}))
#define xa_err(entry)			((void)(entry), 0)
#define xa_for_each(xa, i, entry) \
	for ((i) = 0; (i) < (xa)->nr && ((entry) = (xa)->entries[i]); (i)++)

void *xa_load(struct xarray *xa, unsigned long index);
void *xa_store(struct xarray *xa, unsigned long index, void *entry, gfp_t gfp);
void xa_destroy(struct xarray *xa);

/* ---- files ---- */

#define THIS_MODULE			NULL
#define CAP_SYS_ADMIN			0
#define init_user_ns			(*(struct user_namespace *)NULL)

struct user_namespace;

struct seq_file {
	void *private;
	char *buf;
	size_t len;
	size_t size;
};

struct inode {
	void *i_private;
};

struct file {
	struct inode *f_inode;
};

#define file_inode(file)		((file)->f_inode)

static inline bool file_ns_capable(const struct file *file, struct user_namespace *ns, int cap)
{
	return true;
}

static inline int nonseekable_open(struct inode *inode, struct file *file)
{
	return 0;
}

struct seq_operations {
	void *(*start)(struct seq_file *m, loff_t *pos);
	void *(*next)(struct seq_file *m, void *v, loff_t *pos);
	void (*stop)(struct seq_file *m, void *v);
	int (*show)(struct seq_file *m, void *v);
};

/* Instead of read(): @show for a file that is shown at once, else @steps. */
struct file_operations {
	void *owner;
	int (*open)(struct inode *inode, struct file *file);
	ssize_t (*write)(struct file *file, const char *buf, size_t len, loff_t *pos);
	int (*release)(struct inode *inode, struct file *file);
	int (*show)(struct seq_file *m, void *v);
	const struct seq_operations *steps;
};

#define DEFINE_SHOW_ATTRIBUTE(name) \
	static const struct file_operations name##_fops = { .show = name##_show }
#define DEFINE_SEQ_ATTRIBUTE(name) \
	static const struct file_operations name##_fops = { .steps = &name##_sops }

void seq_printf(struct seq_file *m, const char *fmt, ...);
#define seq_puts(m, text)		seq_printf(m, "%s", text)
#define seq_putc(m, c)			seq_printf(m, "%c", c)

struct dentry;

struct dentry *debugfs_create_dir(const char *name, struct dentry *parent);
struct dentry *debugfs_create_file(const char *name, unsigned int mode, struct dentry *parent,
				   void *data, const struct file_operations *fops);
void debugfs_remove(struct dentry *dentry);

#endif
