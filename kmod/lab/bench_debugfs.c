// SPDX-License-Identifier: GPL-2.0
/*
 * /sys/kernel/debug/kpylab/bench/: the benchmark's files.
 *
 *   control  0200  one command per write, see the table below
 *   results  0400  one line per measurement:
 *                  backend pattern size ops min_ns median_ns min_cycles
 *                  where size is `mixed` if the sizes differ, and the times cover
 *                  all ops, including the loop and the calls
 *   error    0400  why the last command was refused, empty if it was not
 */
#include <linux/debugfs.h>
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/seq_file.h>
#include <linux/string.h>

#include "bench.h"

static void show_result(struct seq_file *m, const struct bench_result *r)
{
	seq_printf(m, "%s %s ", r->backend, r->pattern);
	if (r->size)
		seq_printf(m, "%u", r->size);
	else
		seq_puts(m, "mixed");
	seq_printf(m, " %u %llu %llu %llu\n", r->ops, r->min.ns, r->median_ns, r->min.cycles);
}

static int results_show(struct seq_file *m, void *unused)
{
	struct bench_result result;
	unsigned int i;

	for (i = 0; lab_bench_result(i, &result); i++)
		show_result(m, &result);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(results);

static int parse_number(const char *word, u64 *value, const char *usage)
{
	int err = lab_number(word, value);

	return err ? bench_refuse(err, "'%*pE' is not a number, usage: %s", (int)strlen(word), word,
				  usage) : 0;
}

static int do_heap(void *b, char *arg)
{
	return lab_bench_set_heap(b, arg);
}

static int do_run(void *b, char *arg)
{
	static const char usage[] = "run BACKEND PATTERN [SIZE]";
	char *backend = lab_word(&arg), *pattern = lab_word(&arg), *word = lab_word(&arg);
	u64 size = 0;
	int err = 0;

	if (!*pattern || *arg)
		return bench_refuse(-EINVAL, "usage: %s", usage);
	if (*word)
		err = parse_number(word, &size, usage);
	return err ?: lab_bench_run(b, backend, pattern, size);
}

static int do_trace(void *b, char *unused)
{
	return lab_bench_trace(b);
}

static int do_clear(void *b, char *unused)
{
	return lab_bench_clear(b);
}

static int do_hold(void *b, char *arg)
{
	static const char usage[] = "hold BACKEND COUNT SIZE|mixed";
	char *backend = lab_word(&arg), *word = lab_word(&arg), *last = lab_word(&arg);
	u64 count, size = 0;
	int err;

	if (!*last || *arg)
		return bench_refuse(-EINVAL, "usage: %s", usage);
	err = parse_number(word, &count, usage);
	if (!err && strcmp(last, "mixed")) {
		err = parse_number(last, &size, usage);
		if (!err && !size)
			err = bench_refuse(-EINVAL, "hold: 0 bytes");
	}
	return err ?: lab_bench_hold(b, backend, count, size);
}

static int do_release(void *b, char *arg)
{
	static const char usage[] = "release PERCENT SEED, or release all";
	char *word = lab_word(&arg), *last = lab_word(&arg);
	u64 percent, seed;
	int err;

	if (!*last || *arg)
		return bench_refuse(-EINVAL, "usage: %s", usage);
	err = parse_number(word, &percent, usage) ?: parse_number(last, &seed, usage);
	return err ?: lab_bench_release(b, percent, seed);
}

static int do_release_all(void *b, char *unused)
{
	return lab_bench_release_all(b);
}

static const struct lab_command commands[] = {
	{ "heap ", do_heap },
	{ "heap", do_heap },
	{ "run ", do_run },
	{ "trace", do_trace },
	{ "clear", do_clear },
	{ "hold ", do_hold },
	{ "release all", do_release_all },
	{ "release ", do_release },
	{ }
};

static struct lab_control bench_control = {
	.error = &lab_bench_error,
	.commands = commands,
};

/**
 * lab_bench_debugfs_init - create the files
 * @b: the benchmark
 * @dir: their directory; removing it removes them
 *
 * Context: Process context, may sleep.
 */
void lab_bench_debugfs_init(struct lab_bench *b, struct dentry *dir)
{
	debugfs_create_file("results", 0400, dir, NULL, &results_fops);
	bench_control.lock = &b->lock;
	bench_control.what = b;
	lab_control_files(&bench_control, dir);
}
