// SPDX-License-Identifier: GPL-2.0
/*
 * /sys/kernel/debug/kpylab/, and the replay's files in replay/.
 *
 *   load     0200  write a plain PYOBTRC1 file; opening it drops the old trace
 *   control  0200  one command per write, see the table below
 *   status   0400  `key value` lines, also during a run
 *   error    0400  why the last load or command was refused, empty if it was not
 */
#include <linux/debugfs.h>
#include <linux/fs.h>
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/seq_file.h>
#include <linux/string.h>

#include "bench.h"

static struct dentry *lab_dir;

static const char * const state_names[] = {
	[LAB_EMPTY] = "empty",
	[LAB_LOADING] = "loading",
	[LAB_READY] = "ready",
	[LAB_RUNNING] = "running",
	[LAB_DONE] = "done",
	[LAB_FAILED] = "failed",
};

static_assert(ARRAY_SIZE(state_names) == LAB_NR_STATES);

static int status_show(struct seq_file *m, void *unused)
{
	struct lab_status s;

	lab_report_status(&s);
	seq_printf(m, "state %s\n", state_names[s.state]);
	seq_printf(m, "backend %s\n", s.backend);
	seq_printf(m, "fill %s\n", s.fill ? "on" : "off");
	seq_printf(m, "cpus %u\n", s.cpus);
	seq_printf(m, "cpus_every %u\n", s.every);
	seq_printf(m, "ops_total %llu\n", s.ops_total);
	seq_printf(m, "ops_done %llu\n", s.count.ops_done);
	seq_printf(m, "ns %llu\n", s.count.ns);
	seq_printf(m, "live_blocks %llu\n", s.count.live_blocks);
	seq_printf(m, "live_requested_small %llu\n", s.count.live_small);
	seq_printf(m, "live_requested_all %llu\n", s.count.live_all);
	seq_printf(m, "peak_requested %llu\n", s.count.peak_requested);
	seq_printf(m, "peak_pages %llu\n", s.count.peak_pages);
	seq_printf(m, "placement_digest %016llx\n", s.count.digest);
	seq_printf(m, "placement_digest_serial %016llx\n", s.count.digest_serial);
	seq_printf(m, "alloc_failures %llu\n", s.count.alloc_failures);
	seq_printf(m, "fill_errors %llu\n", s.count.fill_errors);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(status);

static int do_backend(void *r, char *arg)
{
	return lab_replay_set_backend(r, arg);
}

static int do_fill(void *r, char *arg)
{
	bool on = !strcmp(arg, "on");

	if (!on && strcmp(arg, "off"))
		return lab_refuse(-EINVAL, "fill: '%*pE' is neither on nor off",
				  (int)strlen(arg), arg);
	return lab_replay_set_fill(r, on);
}

static int do_cpus(void *r, char *arg)
{
	char *count = lab_word(&arg), *every = lab_word(&arg);
	u64 n[2];

	if (*arg || lab_number(count, &n[0]) || lab_number(every, &n[1]))
		return lab_refuse(-EINVAL, "usage: cpus COUNT EVERY");
	return lab_replay_set_cpus(r, n[0], n[1]);
}

static int do_run_until(void *r, char *arg)
{
	u64 until;
	int err;

	err = lab_number(arg, &until);
	if (err)
		return lab_refuse(err, "run: '%*pE' is not a number of ops", (int)strlen(arg), arg);
	return lab_replay_run(r, until);
}

static int do_run(void *r, char *unused)
{
	return lab_replay_run(r, U64_MAX);
}

static int do_rewind(void *r, char *unused)
{
	return lab_replay_rewind(r);
}

static int do_drop(void *r, char *unused)
{
	return lab_replay_drop(r);
}

static const struct lab_command commands[] = {
	{ "backend ", do_backend },
	{ "fill ", do_fill },
	{ "cpus ", do_cpus },
	{ "run ", do_run_until },
	{ "run", do_run },
	{ "rewind", do_rewind },
	{ "drop", do_drop },
	{ }
};

/* Refuse commands until `load` is closed. */
static int check_loading(void *what)
{
	struct lab_replay *r = what;

	return r->loading ? lab_refuse(-EBUSY, "control: a trace is being loaded") : 0;
}

static struct lab_control replay_control = {
	.error = &lab_replay_error,
	.commands = commands,
	.check = check_loading,
};

static int load_open(struct inode *inode, struct file *file)
{
	struct lab_replay *r = inode->i_private;
	int err;

	err = lab_writer_open(&lab_replay_error, inode, file);
	if (err)
		return err;
	if (!mutex_trylock(&r->lock))
		return lab_refuse(-EBUSY, "load: another command is running");
	lab_report_clear(&lab_replay_error);
	err = lab_replay_load_begin(r);
	mutex_unlock(&r->lock);
	return err;
}

static ssize_t load_write(struct file *file, const char __user *buf, size_t len, loff_t *pos)
{
	struct lab_replay *r = file_inode(file)->i_private;
	ssize_t ret;

	if (!len)
		return 0;
	if (mutex_lock_interruptible(&r->lock))
		return -ERESTARTSYS;
	ret = lab_replay_load(r, buf, len);
	mutex_unlock(&r->lock);
	return ret;
}

static int load_release(struct inode *inode, struct file *file)
{
	struct lab_replay *r = inode->i_private;

	mutex_lock(&r->lock);
	lab_replay_load_end(r);
	mutex_unlock(&r->lock);
	return 0;
}

static const struct file_operations load_fops = {
	.owner = THIS_MODULE,
	.open = load_open,
	.write = load_write,
	.release = load_release,
};

/**
 * lab_debugfs_init - create the files
 * @r: the replay
 * @w: the workload
 * @b: the benchmark
 *
 * Context: Process context, may sleep.
 */
void lab_debugfs_init(struct lab_replay *r, struct lab_work *w, struct lab_bench *b)
{
	struct dentry *dir;

	lab_dir = debugfs_create_dir("kpylab", NULL);
	dir = debugfs_create_dir("replay", lab_dir);
	debugfs_create_file("load", 0200, dir, r, &load_fops);
	debugfs_create_file("status", 0400, dir, NULL, &status_fops);
	replay_control.lock = &r->lock;
	replay_control.what = r;
	lab_control_files(&replay_control, dir);
	lab_work_debugfs_init(w, debugfs_create_dir("work", lab_dir));
	lab_bench_debugfs_init(b, debugfs_create_dir("bench", lab_dir));
}

/**
 * lab_debugfs_exit - remove the files
 *
 * Context: Process context, may sleep.
 */
void lab_debugfs_exit(void)
{
	debugfs_remove(lab_dir);
}
