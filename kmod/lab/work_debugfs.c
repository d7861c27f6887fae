// SPDX-License-Identifier: GPL-2.0
/*
 * /sys/kernel/debug/kpylab/work/: the workload's files.
 *
 *   control  0200  one command per write, see the table below; SITE is a letter
 *   status   0400  `key value` lines, also while a command is running
 *   error    0400  why the last command was refused, empty if it was not
 */
#include <linux/debugfs.h>
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/seq_file.h>
#include <linux/string.h>

#include "lab.h"

#define refuse(err, ...) lab_report_refuse(&lab_work_error, err, __VA_ARGS__)

static int status_show(struct seq_file *m, void *unused)
{
	struct lab_work_status s;
	unsigned int i;

	lab_report_work(&s);
	seq_printf(m, "heap %s\n", *s.heap ? s.heap : "(none)");
	for (i = 0; i < LAB_FILLER; i++) {
		seq_printf(m, "site_%c_blocks %llu\n", 'a' + i, s.blocks[i]);
		seq_printf(m, "site_%c_bytes %llu\n", 'a' + i, s.bytes[i]);
	}
	seq_printf(m, "ops %llu\n", s.ops);
	seq_printf(m, "failures %llu\n", s.failures);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(status);

/* Parse @rest, which must be exactly @want numbers. */
static int parse_numbers(char *rest, u64 *numbers, unsigned int want, const char *usage)
{
	unsigned int i;
	char *word;
	int err;

	for (i = 0; i < want; i++) {
		word = lab_word(&rest);
		if (!*word)
			break;
		err = lab_number(word, &numbers[i]);
		if (err)
			return refuse(err, "'%*pE' is not a number, usage: %s", (int)strlen(word),
				      word, usage);
	}
	if (i < want || *skip_spaces(rest))
		return refuse(-EINVAL, "usage: %s", usage);
	return 0;
}

/* Parse the site's letter at the start of @rest. */
static int parse_site(char **rest, enum lab_site_id *site, const char *usage)
{
	char *word = lab_word(rest);

	if (*word < 'a' || *word >= 'a' + LAB_FILLER || word[1])
		return refuse(-EINVAL, "'%*pE' is not a site, usage: %s", (int)strlen(word), word,
			      usage);
	*site = *word - 'a';
	return 0;
}

static int do_heap(void *w, char *arg)
{
	return lab_work_set_heap(w, arg);
}

static int do_alloc(void *w, char *arg)
{
	static const char usage[] = "alloc SITE COUNT SIZE";
	enum lab_site_id site;
	u64 n[2];
	int err;

	err = parse_site(&arg, &site, usage) ?: parse_numbers(arg, n, 2, usage);
	return err ?: lab_work_alloc(w, site, n[0], n[1], 1);
}

static int do_scatter(void *w, char *arg)
{
	static const char usage[] = "scatter SITE COUNT SIZE EVERY";
	enum lab_site_id site;
	u64 n[3];
	int err;

	err = parse_site(&arg, &site, usage) ?: parse_numbers(arg, n, 3, usage);
	return err ?: lab_work_alloc(w, site, n[0], n[1], n[2]);
}

static int do_free(void *w, char *arg)
{
	static const char usage[] = "free SITE [COUNT]";
	enum lab_site_id site;
	u64 count;
	int err;

	err = parse_site(&arg, &site, usage);
	if (err)
		return err;
	if (!*arg)
		return lab_work_free_all(w, site);
	return parse_numbers(arg, &count, 1, usage) ?: lab_work_free(w, site, count);
}

static int do_realloc(void *w, char *arg)
{
	static const char usage[] = "realloc SITE SIZE";
	enum lab_site_id site;
	u64 size;
	int err;

	err = parse_site(&arg, &site, usage) ?: parse_numbers(arg, &size, 1, usage);
	return err ?: lab_work_realloc(w, site, size);
}

static int do_churn(void *w, char *arg)
{
	u64 n[2];

	return parse_numbers(arg, n, 2, "churn OPS SEED") ?: lab_work_churn(w, n[0], n[1]);
}

static int do_drop(void *w, char *unused)
{
	return lab_work_drop(w);
}

static const struct lab_command commands[] = {
	{ "heap ", do_heap },
	{ "alloc ", do_alloc },
	{ "scatter ", do_scatter },
	{ "free ", do_free },
	{ "realloc ", do_realloc },
	{ "churn ", do_churn },
	{ "drop", do_drop },
	{ }
};

static struct lab_control work_control = {
	.error = &lab_work_error,
	.commands = commands,
};

/**
 * lab_work_debugfs_init - create the files
 * @w: the workload
 * @dir: their directory; removing it removes them
 *
 * Context: Process context, may sleep.
 */
void lab_work_debugfs_init(struct lab_work *w, struct dentry *dir)
{
	debugfs_create_file("status", 0400, dir, NULL, &status_fops);
	work_control.lock = &w->lock;
	work_control.what = w;
	lab_control_files(&work_control, dir);
}
