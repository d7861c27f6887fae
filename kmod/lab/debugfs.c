// SPDX-License-Identifier: GPL-2.0
/*
 * /sys/kernel/debug/kpylab/replay/: the replay's files.
 *
 *   load     0200  write a plain PYOBTRC1 file; opening it drops the old trace
 *   control  0200  one command a write, see the table below
 *   status   0400  `key value` lines, also while a run is going on
 *   error    0400  why the last load or command was refused, empty if it was not
 *
 * A command is parsed whole, then one call is made.  Who finds a run or another
 * command going on gets EBUSY and does not wait.
 */
#include <linux/capability.h>
#include <linux/ctype.h>
#include <linux/debugfs.h>
#include <linux/fs.h>
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/seq_file.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "lab.h"

#define COMMAND_MAX	128	/* bytes of a write to `control` */

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

static int error_show(struct seq_file *m, void *unused)
{
	char text[LAB_ERROR_MAX];

	lab_report_error(text);
	if (*text)
		seq_printf(m, "%s\n", text);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(error);

static int do_fill(struct lab_replay *r, const char *arg)
{
	bool on = !strcmp(arg, "on");

	if (!on && strcmp(arg, "off"))
		return lab_refuse(-EINVAL, "fill: '%*pE' is neither on nor off",
				  (int)strlen(arg), arg);
	return lab_replay_set_fill(r, on);
}

static int do_run_until(struct lab_replay *r, const char *arg)
{
	u64 until;
	int err;

	err = isdigit(*arg) ? kstrtou64(arg, 10, &until) : -EINVAL;
	if (err)
		return lab_refuse(err, "run: '%*pE' is no number of ops", (int)strlen(arg), arg);
	return lab_replay_run(r, until);
}

static int do_run(struct lab_replay *r, const char *unused)
{
	return lab_replay_run(r, U64_MAX);
}

static int do_rewind(struct lab_replay *r, const char *unused)
{
	return lab_replay_rewind(r);
}

static int do_drop(struct lab_replay *r, const char *unused)
{
	return lab_replay_drop(r);
}

/* A name that ends in a space takes the rest of the line as its argument. */
static const struct {
	const char *name;
	int (*call)(struct lab_replay *r, const char *arg);
} commands[] = {
	{ "backend ", lab_replay_set_backend },
	{ "fill ", do_fill },
	{ "run ", do_run_until },
	{ "run", do_run },
	{ "rewind", do_rewind },
	{ "drop", do_drop },
};

static int control_do(struct lab_replay *r, const char *text)
{
	unsigned int i;
	size_t len;

	for (i = 0; i < ARRAY_SIZE(commands); i++) {
		len = strlen(commands[i].name);
		if (strncmp(text, commands[i].name, len))
			continue;
		if (commands[i].name[len - 1] == ' ' || !text[len])
			return commands[i].call(r, skip_spaces(text + len));
	}
	return lab_refuse(-EINVAL, "control: unknown command '%*pE'", (int)strlen(text), text);
}

/* All of a write into a string. */
static int control_copy(char *text, const char __user *buf, size_t len)
{
	if (len > COMMAND_MAX)
		return lab_refuse(-E2BIG, "control: %zu bytes, at most %d", len, COMMAND_MAX);
	if (copy_from_user(text, buf, len))
		return -EFAULT;
	text[len] = '\0';
	if (strlen(text) != len)
		return lab_refuse(-EINVAL, "control: a NUL byte in the command");
	return 0;
}

static ssize_t control_write(struct file *file, const char __user *buf, size_t len, loff_t *pos)
{
	struct lab_replay *r = file_inode(file)->i_private;
	char text[COMMAND_MAX + 1];
	int err;

	err = control_copy(text, buf, len);
	if (err)
		return err;
	if (!mutex_trylock(&r->lock))
		return lab_refuse(-EBUSY, "control: a run or another command is going on");
	lab_report_clear();
	if (r->loading)
		err = lab_refuse(-EBUSY, "control: a trace is being loaded");
	else
		err = control_do(r, strim(text));
	mutex_unlock(&r->lock);
	return err ?: len;
}

/* The mode bits stop all but root, this stops a root without its capabilities. */
static int writer_open(struct inode *inode, struct file *file)
{
	if (!file_ns_capable(file, &init_user_ns, CAP_SYS_ADMIN))
		return lab_refuse(-EPERM, "open: needs CAP_SYS_ADMIN");
	return nonseekable_open(inode, file);
}

static const struct file_operations control_fops = {
	.owner = THIS_MODULE,
	.open = writer_open,
	.write = control_write,
};

static int load_open(struct inode *inode, struct file *file)
{
	struct lab_replay *r = inode->i_private;
	int err;

	err = writer_open(inode, file);
	if (err)
		return err;
	if (!mutex_trylock(&r->lock))
		return lab_refuse(-EBUSY, "load: a run or another command is going on");
	lab_report_clear();
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
 * lab_debugfs_init - make the files
 * @r: the replay they are about
 *
 * Context: Process context, may sleep.
 */
void lab_debugfs_init(struct lab_replay *r)
{
	struct dentry *dir;

	lab_dir = debugfs_create_dir("kpylab", NULL);
	dir = debugfs_create_dir("replay", lab_dir);
	debugfs_create_file("load", 0200, dir, r, &load_fops);
	debugfs_create_file("control", 0200, dir, r, &control_fops);
	debugfs_create_file("status", 0400, dir, NULL, &status_fops);
	debugfs_create_file("error", 0400, dir, NULL, &error_fops);
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
