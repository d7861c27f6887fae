// SPDX-License-Identifier: GPL-2.0
/*
 * From a write to `control` to one function call: the two files that every
 * directory has, whatever its commands act on.
 *
 *   control  0200  one command per write
 *   error    0400  why the last one was refused, empty if it was not
 *
 * A command is parsed completely before its function is called.  While another
 * command is running, a write fails with EBUSY instead of waiting.
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

#define COMMAND_MAX	128	/* bytes per write */
#define BLANKS		" \t\n"

static int error_show(struct seq_file *m, void *unused)
{
	const struct lab_control *c = m->private;
	char text[LAB_ERROR_MAX];

	lab_report_error(c->error, text);
	if (*text)
		seq_printf(m, "%s\n", text);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(error);

static int call_command(const struct lab_control *c, char *text)
{
	const struct lab_command *command;
	size_t len;

	for (command = c->commands; command->name; command++) {
		len = strlen(command->name);
		if (strncmp(text, command->name, len))
			continue;
		if (command->name[len - 1] == ' ' || !text[len])
			return command->call(c->what, skip_spaces(text + len));
	}
	return lab_report_refuse(c->error, -EINVAL, "control: unknown command '%*pE'",
				 (int)strlen(text), text);
}

/* Copy a whole write into a string. */
static int copy_command(const struct lab_control *c, char *text, const char __user *buf, size_t len)
{
	if (len > COMMAND_MAX)
		return lab_report_refuse(c->error, -E2BIG, "control: %zu bytes, at most %d", len,
					 COMMAND_MAX);
	if (copy_from_user(text, buf, len))
		return -EFAULT;
	text[len] = '\0';
	if (strlen(text) != len)
		return lab_report_refuse(c->error, -EINVAL, "control: a NUL byte in the command");
	return 0;
}

static ssize_t control_write(struct file *file, const char __user *buf, size_t len, loff_t *pos)
{
	const struct lab_control *c = file_inode(file)->i_private;
	char text[COMMAND_MAX + 1];
	int err;

	err = copy_command(c, text, buf, len);
	if (err)
		return err;
	if (!mutex_trylock(c->lock))
		return lab_report_refuse(c->error, -EBUSY, "control: another command is running");
	lab_report_clear(c->error);
	err = c->check ? c->check(c->what) : 0;
	if (!err)
		err = call_command(c, strim(text));
	mutex_unlock(c->lock);
	return err ?: len;
}

static int control_open(struct inode *inode, struct file *file)
{
	const struct lab_control *c = inode->i_private;

	return lab_writer_open(c->error, inode, file);
}

static const struct file_operations control_fops = {
	.owner = THIS_MODULE,
	.open = control_open,
	.write = control_write,
};

/**
 * lab_number - parse a decimal number
 * @text: digits only
 * @value: where to store the number
 *
 * Return: 0, -EINVAL if @text is not a number, -ERANGE if it does not fit.
 */
int lab_number(const char *text, u64 *value)
{
	return isdigit(*text) ? kstrtou64(text, 10, value) : -EINVAL;
}

/**
 * lab_word - split off a command's next word
 * @rest: the command; moved to the word after that
 *
 * Return: the word, empty at the end of the command.
 */
char *lab_word(char **rest)
{
	char *word = skip_spaces(*rest);
	char *end = word + strcspn(word, BLANKS);

	*rest = *end ? skip_spaces(end + 1) : end;
	*end = '\0';
	return word;
}

/**
 * lab_writer_open - open a file for writing
 * @error: where to say why it is refused
 * @inode: inode of the file
 * @file: the file
 *
 * The mode bits stop everyone but root; this stops a root without capabilities.
 *
 * Context: Process context.
 * Return: 0, -EPERM without CAP_SYS_ADMIN.
 */
int lab_writer_open(struct lab_error *error, struct inode *inode, struct file *file)
{
	if (!file_ns_capable(file, &init_user_ns, CAP_SYS_ADMIN))
		return lab_report_refuse(error, -EPERM, "open: needs CAP_SYS_ADMIN");
	return nonseekable_open(inode, file);
}

/**
 * lab_control_files - create `control` and `error`
 * @c: their description; must live until they are removed
 * @dir: their directory
 *
 * Context: Process context, may sleep.
 */
void lab_control_files(struct lab_control *c, struct dentry *dir)
{
	debugfs_create_file("control", 0200, dir, c, &control_fops);
	debugfs_create_file("error", 0400, dir, c, &error_fops);
}
