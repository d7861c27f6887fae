// SPDX-License-Identifier: GPL-2.0
/*
 * L8: /sys/kernel/debug/kpymalloc/: formats snapshots and parses each command into
 * one call; knows nothing of how the allocator works.
 *
 *   version presets create destroy
 *   heaps/NAME/{id,stats,counters,arenas,cpus,pools,geometry,mode,validate,limit}
 *   heaps/NAME/{reset_peaks,trim,set_limit}
 *
 * A file is for reading (0400) or for writing (0200), never for both: under
 * lockdown a file with a write bit cannot be read.  A write is one whole
 * command; it either succeeds or changes nothing.
 */
#include <linux/capability.h>
#include <linux/debugfs.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/user_namespace.h>

#include "internal.h"

#define COMMAND_MAX 256		/* bytes, far more than the longest one */

static struct dentry *root_dir;
static struct dentry *heaps_dir;

/* ---- reading ---- */

static int version_show(struct seq_file *m, void *v)
{
	seq_puts(m, "kpymalloc " KPY_VERSION "\n");
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(version);

static void show_geometry(struct seq_file *m, const struct kpy_geometry *geo)
{
	seq_printf(m, "arena=%u pool=%u align=%u max=%u release=%s\n", geo->arena_size,
		   geo->pool_size, geo->alignment, geo->max_small,
		   kpy_release_name(geo->release));
}

static int presets_show(struct seq_file *m, void *v)
{
	const char *name;
	unsigned int i;

	for (i = 0; (name = kpy_preset_name(i)); i++) {
		seq_printf(m, "%-14s", name);
		show_geometry(m, kpy_preset(name));
	}
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(presets);

/* "1,234,567" right-aligned behind "what   =", as CPython's printone() does. */
static void show_one(struct seq_file *m, const char *what, u64 value)
{
	char digits[24], text[32];
	int n = snprintf(digits, sizeof(digits), "%llu", value);
	int i, k = 0;

	for (i = 0; i < n; i++) {
		if (i && (n - i) % 3 == 0)
			text[k++] = ',';
		text[k++] = digits[i];
	}
	text[k] = '\0';
	seq_printf(m, "%-35s=%21s\n", what, text);
}

static void show_classes(struct seq_file *m, const struct kpy_heap_stats *s)
{
	u32 i;

	seq_printf(m, "Small block threshold = %u, in %u size classes.\n\n",
		   s->geometry.max_small, s->nr_classes);
	seq_puts(m, "class   size   num pools   blocks in use  avail blocks\n"
		    "-----   ----   ---------   -------------  ------------\n");
	for (i = 0; i < s->nr_classes; i++) {
		if (!s->class[i].pools)
			continue;
		seq_printf(m, "%5u %6u %11llu %15llu %13llu\n", i,
			   (i + 1) * s->geometry.alignment, s->class[i].pools,
			   s->class[i].in_use, s->class[i].available);
	}
	seq_putc(m, '\n');
}

static void show_arena_counters(struct seq_file *m, const struct kpy_heap_stats *s)
{
	char what[64];

	show_one(m, "# arenas allocated total", s->arenas_total);
	show_one(m, "# arenas reclaimed", s->arenas_reclaimed);
	show_one(m, "# arenas highwater mark", s->arenas_highwater);
	show_one(m, "# arenas allocated current", s->arenas_current);
	snprintf(what, sizeof(what), "%llu arenas * %u bytes/arena", s->arenas_current,
		 s->geometry.arena_size);
	show_one(m, what, s->arenas_current * s->geometry.arena_size);
	seq_putc(m, '\n');
}

static void show_bytes(struct seq_file *m, const struct kpy_heap_stats *s)
{
	char what[64];

	show_one(m, "# bytes in allocated blocks", s->bytes_allocated);
	show_one(m, "# bytes in available blocks", s->bytes_available);
	snprintf(what, sizeof(what), "%llu unused pools * %u bytes", s->unused_pools,
		 s->geometry.pool_size);
	show_one(m, what, s->bytes_unused_pools);
	show_one(m, "# bytes lost to pool headers", s->bytes_pool_headers);
	show_one(m, "# bytes lost to quantization", s->bytes_quantization);
	show_one(m, "# bytes lost to arena alignment", s->bytes_alignment);
	if (s->geometry.release == KPY_RELEASE_POOL) {
		snprintf(what, sizeof(what), "%llu holes * %u bytes", s->holes,
			 s->geometry.pool_size);
		show_one(m, what, s->bytes_holes);
	}
	show_one(m, "Total", s->bytes_total);
}

static int with_stats(struct seq_file *m, void (*show)(struct seq_file *m,
						       const struct kpy_heap_stats *s))
{
	struct kpy_heap_stats *s = kmalloc(sizeof(*s), GFP_KERNEL);

	if (!s)
		return -ENOMEM;
	kpy_heap_stats(m->private, s);
	show(m, s);
	kfree(s);
	return 0;
}

/* The layout of sys._debugmallocstats(). */
static void show_stats(struct seq_file *m, const struct kpy_heap_stats *s)
{
	show_classes(m, s);
	show_arena_counters(m, s);
	show_bytes(m, s);
}

static int stats_show(struct seq_file *m, void *v)
{
	return with_stats(m, show_stats);
}
DEFINE_SHOW_ATTRIBUTE(stats);

static void show_counters(struct seq_file *m, const struct kpy_heap_stats *s)
{
	const struct {
		const char *name;
		u64 value;
	} counters[] = {
		{ "allocs", s->allocs },
		{ "frees", s->frees },
		{ "reallocs", s->reallocs },
		{ "reallocs_in_place", s->reallocs_in_place },
		{ "large_allocs", s->large_allocs },
		{ "large_frees", s->large_frees },
		{ "large_fallbacks", s->large_fallbacks },
		{ "large_blocks", s->large_blocks },
		{ "large_bytes", s->large_bytes },
		{ "large_bytes_peak", s->large_bytes_peak },
		{ "large_cached", s->large_cached },
		{ "large_cached_bytes", s->large_cached_bytes },
		{ "holes", s->holes },
		{ "holes_total", s->holes_total },
		{ "held_bytes", s->held_bytes },
		{ "held_bytes_peak", s->held_bytes_peak },
		{ "arena_failures", s->arena_failures },
		{ "alloc_failures", s->alloc_failures },
		{ "limit_failures", s->limit_failures },
		{ "bad_pointers", s->bad_pointers },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(counters); i++)
		seq_printf(m, "%s %llu\n", counters[i].name, counters[i].value);
}

static int counters_show(struct seq_file *m, void *v)
{
	return with_stats(m, show_counters);
}
DEFINE_SHOW_ATTRIBUTE(counters);

static int geometry_show(struct seq_file *m, void *v)
{
	const struct kpy_heap *heap = m->private;

	seq_printf(m, "arena %u\npool %u\nalign %u\nmax %u\nrelease %s\n", heap->geo.arena_size,
		   heap->geo.pool_size, heap->geo.alignment, heap->geo.max_small,
		   kpy_release_name(heap->geo.release));
	seq_printf(m, "classes %u\npools_per_arena %u\npool_header %u\n", heap->nr_classes,
		   heap->pools_per_arena, heap->pool_header);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(geometry);

static int id_show(struct seq_file *m, void *v)
{
	const struct kpy_heap *heap = m->private;

	seq_printf(m, "%u\n", heap->id);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(id);

static int mode_show(struct seq_file *m, void *v)
{
	const struct kpy_heap *heap = m->private;

	seq_printf(m, "%s\n", kpy_mode_name(heap->mode));
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(mode);

static int limit_show(struct seq_file *m, void *v)
{
	const struct kpy_heap *heap = m->private;
	u64 limit = READ_ONCE(heap->limit);

	seq_printf(m, "%llu\n", limit == U64_MAX ? 0 : limit);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(limit);

static int validate_show(struct seq_file *m, void *v)
{
	char why[160] = "";
	int err = kpy_heap_validate(m->private, why, sizeof(why));

	if (err == -ENOMEM)
		return err;
	seq_printf(m, "%s\n", why);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(validate);

static int arenas_show(struct seq_file *m, void *v)
{
	struct kpy_heap *heap = m->private;
	struct kpy_arenas_snapshot *snap = kpy_snapshot_arenas(heap);
	const struct kpy_arena *arena;
	u32 i;

	if (!snap)
		return -ENOMEM;
	seq_printf(m, "%u slots, %u arenas, %u usable\n\n", snap->nr_slots, snap->nr_arenas,
		   snap->nr_usable);
	seq_puts(m, "slot     serial  pools  nfree  carved  node  address\n");
	for (i = 0; i < snap->nr_arenas; i++) {
		arena = &snap->arenas[i];
		seq_printf(m, "%4u %10llu %6u %6u %7u %5d  %p\n", arena->slot,
			   arena->serial, heap->pools_per_arena, arena->nfreepools, arena->ncarved,
			   page_to_nid(virt_to_page((void *)arena->address)),
			   (void *)arena->address);
	}
	seq_puts(m, "\nusable_arenas\n");
	for (i = 0; i < snap->nr_usable; i++)
		seq_printf(m, "slot %u nfree %u\n", snap->usable[i].slot, snap->usable[i].nfree);
	kvfree(snap);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(arenas);

static int cpus_show(struct seq_file *m, void *v)
{
	struct kpy_heap *heap = m->private;
	struct kpy_cpu_snapshot s;
	int cpu;
	u32 i;

	seq_puts(m, " cpu  class   size   task    irq  shelf       allocs\n");
	if (!heap->cpu)
		return 0;
	for_each_possible_cpu(cpu) {
		for (i = 0; i < heap->nr_classes; i++) {
			kpy_depot_count_cpu(heap, cpu, i, &s);
			if (s.allocs || s.task + s.irq + s.shelf)
				seq_printf(m, "%4d %6u %6u %6u %6u %6u %12llu\n", cpu, i,
					   kpy_class_size(heap, i), s.task, s.irq, s.shelf,
					   s.allocs);
		}
	}
	for (i = 0; i < heap->nr_classes; i++)
		if (READ_ONCE(heap->depot[i].nr))
			seq_printf(m, "   - %6u %6u %6u %6u %6u %12u\n", i,
				   kpy_class_size(heap, i), 0, 0,
				   READ_ONCE(heap->depot[i].nr) * KPY_MAG_BLOCKS, 0);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(cpus);

/* pools: one arena per step, its pools as they were at one moment. */
static void *pools_start(struct seq_file *m, loff_t *pos)
{
	struct kpy_heap *heap = m->private;

	return *pos <= READ_ONCE(heap->nr_slots) ? pos : NULL;
}

static void *pools_next(struct seq_file *m, void *v, loff_t *pos)
{
	++*pos;
	return pools_start(m, pos);
}

static void pools_stop(struct seq_file *m, void *v)
{
}

static int pools_show(struct seq_file *m, void *v)
{
	static const char *const states[] = {
		[KPY_POOL_EMPTY] = "empty",
		[KPY_POOL_USED] = "used",
		[KPY_POOL_FULL] = "full",
	};
	struct kpy_heap *heap = m->private;
	u32 slot = *(loff_t *)v;
	struct kpy_pool_snapshot *snap;
	u32 i, n;

	if (!slot) {
		seq_puts(m, "arena  pool  class   size   used  capacity  state\n");
		return 0;
	}
	snap = kvcalloc(heap->pools_per_arena, sizeof(*snap), GFP_KERNEL);
	if (!snap)
		return -ENOMEM;
	slot--;
	n = kpy_snapshot_pools(heap, slot, snap);
	for (i = 0; i < n; i++) {
		if (snap[i].szidx == KPY_NO_CLASS)
			seq_printf(m, "%5u %5u      -      -      0         0  %s\n", slot, i,
				   snap[i].hole ? "hole" : "virgin");
		else
			seq_printf(m, "%5u %5u %6u %6u %6u %9u  %s\n", slot, i, snap[i].szidx,
				   kpy_class_size(heap, snap[i].szidx), snap[i].count,
				   kpy_class_capacity(heap, snap[i].szidx), states[snap[i].state]);
	}
	kvfree(snap);
	return 0;
}

static const struct seq_operations pools_sops = {
	.start = pools_start,
	.next = pools_next,
	.stop = pools_stop,
	.show = pools_show,
};
DEFINE_SEQ_ATTRIBUTE(pools);

/* ---- writing ---- */

/* A whole command as a string, which the caller has to free. */
static char *get_command(struct file *file, const char __user *ubuf, size_t len)
{
	char *text;

	if (!file_ns_capable(file, &init_user_ns, CAP_SYS_ADMIN))
		return ERR_PTR(-EPERM);
	if (len > COMMAND_MAX)
		return ERR_PTR(-E2BIG);
	text = memdup_user_nul(ubuf, len);
	if (IS_ERR(text))
		return text;
	if (strlen(text) != len) {
		kfree(text);
		return ERR_PTR(-EINVAL);
	}
	return text;
}

static int create_command(char *text)
{
	struct kpy_heap_params params = {};
	const char *why;
	char *options = strim(text);
	int err;

	params.name = strsep(&options, " \t\n");
	if (options) {
		err = kpy_geometry_parse(options, &params, &why);
	} else {
		why = "usage: NAME preset=… or NAME arena=… pool=…";
		err = -EINVAL;
	}
	if (err) {
		pr_notice("heap refused: %s\n", why);
		return err;
	}
	return kpy_heap_create_unowned(&params);
}

static int destroy_command(char *text)
{
	char *name = strim(text);

	return *name ? kpy_heap_destroy_name(name) : -EINVAL;
}

static ssize_t run_command(struct file *file, const char __user *ubuf, size_t len,
			   int (*command)(char *text))
{
	char *text = get_command(file, ubuf, len);
	int err;

	if (IS_ERR(text))
		return PTR_ERR(text);
	err = command(text);
	kfree(text);
	return err ?: len;
}

static ssize_t create_write(struct file *file, const char __user *ubuf, size_t len, loff_t *pos)
{
	return run_command(file, ubuf, len, create_command);
}

static ssize_t destroy_write(struct file *file, const char __user *ubuf, size_t len, loff_t *pos)
{
	return run_command(file, ubuf, len, destroy_command);
}

/* A command of one heap. */
static ssize_t run_on_heap(struct file *file, const char __user *ubuf, size_t len,
			   int (*command)(struct kpy_heap *heap, char *text))
{
	char *text = get_command(file, ubuf, len);
	int err;

	if (IS_ERR(text))
		return PTR_ERR(text);
	err = command(file_inode(file)->i_private, strim(text));
	kfree(text);
	return err ?: len;
}

static int reset_peaks_command(struct kpy_heap *heap, char *text)
{
	if (strcmp(text, "1"))
		return -EINVAL;
	kpy_heap_reset_peaks(heap);
	return 0;
}

static ssize_t reset_peaks_write(struct file *file, const char __user *ubuf, size_t len,
				 loff_t *pos)
{
	return run_on_heap(file, ubuf, len, reset_peaks_command);
}

static int trim_command(struct kpy_heap *heap, char *text)
{
	if (strcmp(text, "1"))
		return -EINVAL;
	kpy_heap_trim(heap);
	return 0;
}

static ssize_t trim_write(struct file *file, const char __user *ubuf, size_t len, loff_t *pos)
{
	return run_on_heap(file, ubuf, len, trim_command);
}

static int set_limit_command(struct kpy_heap *heap, char *text)
{
	u64 limit;
	int err = kpy_bytes_parse(text, U64_MAX, &limit);

	if (!err)
		kpy_heap_set_limit(heap, limit);
	return err;
}

static ssize_t set_limit_write(struct file *file, const char __user *ubuf, size_t len,
			       loff_t *pos)
{
	return run_on_heap(file, ubuf, len, set_limit_command);
}

#define DEFINE_COMMAND(name)						\
	static const struct file_operations name##_fops = {		\
		.owner = THIS_MODULE,					\
		.open = nonseekable_open,				\
		.write = name##_write,					\
	}

DEFINE_COMMAND(create);
DEFINE_COMMAND(destroy);
DEFINE_COMMAND(reset_peaks);
DEFINE_COMMAND(trim);
DEFINE_COMMAND(set_limit);

/* ---- the tree ---- */

/* Best effort: without debugfs the heap works as well. */
static void add_heap(struct kpy_heap *heap)
{
	heap->dir = debugfs_create_dir(heap->name, heaps_dir);
	debugfs_create_file("id", 0400, heap->dir, heap, &id_fops);
	debugfs_create_file("stats", 0400, heap->dir, heap, &stats_fops);
	debugfs_create_file("counters", 0400, heap->dir, heap, &counters_fops);
	debugfs_create_file("arenas", 0400, heap->dir, heap, &arenas_fops);
	debugfs_create_file("cpus", 0400, heap->dir, heap, &cpus_fops);
	debugfs_create_file("pools", 0400, heap->dir, heap, &pools_fops);
	debugfs_create_file("geometry", 0400, heap->dir, heap, &geometry_fops);
	debugfs_create_file("mode", 0400, heap->dir, heap, &mode_fops);
	debugfs_create_file("validate", 0400, heap->dir, heap, &validate_fops);
	debugfs_create_file("limit", 0400, heap->dir, heap, &limit_fops);
	debugfs_create_file("reset_peaks", 0200, heap->dir, heap, &reset_peaks_fops);
	debugfs_create_file("trim", 0200, heap->dir, heap, &trim_fops);
	debugfs_create_file("set_limit", 0200, heap->dir, heap, &set_limit_fops);
}

/* Waits for readers in flight; later ones get -EIO. */
static void remove_heap(struct kpy_heap *heap)
{
	debugfs_remove(heap->dir);
}

static const struct kpy_registry_subscriber subscriber = {
	.added = add_heap,
	.removed = remove_heap,
};

/**
 * kpy_debugfs_init() - make the tree
 *
 * Context: Process, may sleep; before the first heap.
 */
void __init kpy_debugfs_init(void)
{
	root_dir = debugfs_create_dir("kpymalloc", NULL);
	heaps_dir = debugfs_create_dir("heaps", root_dir);
	debugfs_create_file("version", 0400, root_dir, NULL, &version_fops);
	debugfs_create_file("presets", 0400, root_dir, NULL, &presets_fops);
	debugfs_create_file("create", 0200, root_dir, NULL, &create_fops);
	debugfs_create_file("destroy", 0200, root_dir, NULL, &destroy_fops);
	kpy_registry_subscribe(&subscriber);
}

/**
 * kpy_debugfs_exit() - remove the tree
 *
 * Context: Process, may sleep; the heaps are gone.
 */
void kpy_debugfs_exit(void)
{
	debugfs_remove(root_dir);
}
