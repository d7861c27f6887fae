// SPDX-License-Identifier: GPL-2.0
/*
 * kpy-user: the commands `replay` and `compare` of kpy, with kpymalloc and kpylab in
 * the process instead of a kernel; and `record`, which needs none.  Options, output
 * and exit status are kpy's.
 *
 * The modules are unloaded at the end, and all rules of the simulated machine hold:
 * a broken one, a warning or something left behind ends with status 3.
 */
#include <argp.h>
#include <unistd.h>

#include "sim.h"
#include "user.h"

#include "bench.h"
#include "kpy.h"

static struct lab_replay replay;
static sim_initcall_t load;
static sim_exitcall_t unload;

/* ---- what the modules tell of themselves ---- */

void sim_add_module(const char *name, sim_initcall_t init)
{
	load = init;
}

void sim_add_exit(const char *name, sim_exitcall_t exit)
{
	unload = exit;
}

void sim_add_param(const char *name, unsigned int *value)
{
}

/* ---- what of kpylab is not here ---- */

void lab_work_debugfs_init(struct lab_work *w, struct dentry *dir)
{
}

void lab_bench_debugfs_init(struct lab_bench *b, struct dentry *dir)
{
}

int lab_lanes_start(struct lab_replay *r)
{
	return lab_refuse(-ERANGE, "cpus: there is one");
}

int lab_lanes_run(struct lab_replay *r, u64 until)
{
	return -ERANGE;
}

void lab_lanes_stop(struct lab_replay *r)
{
}

/* ---- the command ---- */

static void modules_load(void)
{
	sim_memory_init();
	sim_order_init();
	sim_btf_error = 0;
	if (load())
		sim_fail("kpymalloc does not load");
	lab_replay_init(&replay);
	lab_debugfs_init(&replay, NULL, NULL);
}

static void modules_unload(void)
{
	lab_debugfs_exit();
	lab_replay_exit(&replay);
	unload();
	sim_check_balance("when the modules are gone");
	if (sim_warns)
		sim_fail("%u warnings", sim_warns);
	sim_check_leaks();
}

/* What the modules log goes where dmesg's lines would not be in the way. */
static void quietly(void (*call)(void))
{
	int out;

	fflush(stdout);
	out = dup(STDOUT_FILENO);
	dup2(STDERR_FILENO, STDOUT_FILENO);
	call();
	fflush(stdout);
	dup2(out, STDOUT_FILENO);
	close(out);
}

static int with_modules(int (*run)(int argc, char **argv), int argc, char **argv)
{
	int status;

	quietly(modules_load);
	status = run(argc, argv);
	quietly(modules_unload);
	return status;
}

int main(int argc, char **argv)
{
	const char *command = argc > 1 ? argv[1] : "";

	argp_err_exit_status = KPY_TROUBLE;
	if (argc > 1)
		argv[1] = format("kpy-user %s", command);
	if (!strcmp(command, "record"))
		return cmd_record(argc - 1, argv + 1);
	if (!strcmp(command, "replay"))
		return with_modules(cmd_replay, argc - 1, argv + 1);
	if (!strcmp(command, "compare"))
		return with_modules(cmd_compare, argc - 1, argv + 1);
	return trouble("give one of the commands record, replay, compare");
}
