// SPDX-License-Identifier: GPL-2.0
/*
 * run [-s SUITES] [-c CASE] [-t SECONDS] [-vwx] [NAME=VALUE]...: runs the suites; TAP, one
 * line a case.
 *
 * Each case is a process of its own, with the module loaded before it and unloaded
 * after it: what it says is shown if it fails, or with -v.  -w wipes on free; -x ends
 * with the first case that fails.
 * NAME=VALUE sets a parameter of a suite.
 */
#include <fnmatch.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../kunit/kunit_standin.h"
#include "sim.h"

#define MODULES	64
#define SUITES	64

static struct {
	const char *name;
	sim_initcall_t init;
} inits[MODULES];

static struct {
	const char *name;
	unsigned int *value;
} params[MODULES];

static sim_exitcall_t core_exit;
static sim_initcall_t core_init;
static unsigned int nr_inits, nr_params, nr_suites;
static struct kunit_suite *suites[SUITES];
static const char *only_suite, *only_case;
static unsigned int timeout = 60;
static bool verbose, ends_early;

__weak void __gcov_dump(void);

/* ---- modules ---- */

void sim_add_module(const char *name, sim_initcall_t init)
{
	if (!strcmp(name, "kpymalloc"))
		core_init = init;
	else
		inits[nr_inits++].init = init;
}

void sim_add_exit(const char *name, sim_exitcall_t exit)
{
	if (!strcmp(name, "kpymalloc"))
		core_exit = exit;
}

void sim_add_param(const char *name, unsigned int *value)
{
	params[nr_params].name = name;
	params[nr_params++].value = value;
}

int standin_init(struct kunit_suite *const *list, unsigned int n)
{
	while (n--)
		suites[nr_suites++] = *list++;
	return 0;
}

void standin_exit(void)
{
}

void standin_fail(struct kunit *test, const char *file, int line, const char *fmt, ...)
{
	va_list args;

	printf("%s: %s:%d: ", test->name, kbasename(file), line);
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	putchar('\n');
	test->failed = true;
}

/* ---- a case ---- */

int sim_load(void)
{
	return core_init();
}

void sim_unload(void)
{
	core_exit();
}

static void expect_nothing_left(void)
{
	if (sim_warns)
		sim_fail("%u WARN()s that nobody expected", sim_warns);
	if (sim_pending_work())
		sim_fail("%lu work items are left", sim_pending_work());
	if (sim_online != BIT(NR_CPUS) - 1)
		sim_fail("a CPU did not come back");
	if (sim_shrinker)
		sim_fail("the shrinker is left");
	sim_check_leaks();
}

static bool run_once(struct kunit_suite *suite, struct kunit_case *test_case, const void *param)
{
	struct kunit test = {
		.param_value = param, .name = test_case->name, .suite = suite
	};

	sim_fail_always(0);
	if (sim_load())
		sim_fail("the module does not load");
	if (suite->init(&test))
		sim_fail("init failed");
	test_case->run_case(&test);
	if (test.failed)
		return false;
	suite->exit(&test);
	sim_check_balance("at the end of the case");
	sim_unload();
	sim_check_balance("when the module is gone");
	if (!test.failed)
		expect_nothing_left();
	return !test.failed;
}

static bool run_params(struct kunit_suite *suite, struct kunit_case *test_case)
{
	char desc[KUNIT_PARAM_DESC_SIZE];
	const void *param = NULL;
	unsigned int n = 0;

	while ((param = test_case->generate_params(param, desc))) {
		printf("%s:\n", desc);
		if (!run_once(suite, test_case, param))
			return false;
		n++;
	}
	return n;
}

static void child(struct kunit_suite *suite, struct kunit_case *test_case, FILE *out)
{
	bool ok;

	dup2(fileno(out), 1);
	dup2(fileno(out), 2);
	alarm(timeout);
	if (test_case->generate_params)
		ok = run_params(suite, test_case);
	else
		ok = run_once(suite, test_case, NULL);
	fflush(NULL);
	if (__gcov_dump)
		__gcov_dump();
	_exit(!ok);
}

static void show(FILE *out)
{
	char line[1024];

	rewind(out);
	while (fgets(line, sizeof(line), out))
		printf("# %s", line);
}

static bool run_case(struct kunit_suite *suite, struct kunit_case *test_case)
{
	FILE *out = tmpfile();
	int status = -1;
	pid_t pid;
	bool ok;

	fflush(stdout);
	pid = out ? fork() : -1;
	if (!pid)
		child(suite, test_case, out);
	if (pid > 0)
		waitpid(pid, &status, 0);
	ok = pid > 0 && WIFEXITED(status) && !WEXITSTATUS(status);
	printf("%sok %s.%s", ok ? "" : "not ", suite->name, test_case->name);
	if (WIFSIGNALED(status))
		printf(" # ended by signal %d", WTERMSIG(status));
	putchar('\n');
	if (verbose || !ok)
		show(out);
	fclose(out);
	if (!ok && ends_early)
		exit(1);
	return ok;
}

static bool run_suite(struct kunit_suite *suite)
{
	struct kunit_case *test_case;
	bool all = true;

	if (only_suite && fnmatch(only_suite, suite->name, 0))
		return true;
	for (test_case = suite->test_cases; test_case->run_case; test_case++)
		if (!only_case || !strcmp(only_case, test_case->name))
			all &= run_case(suite, test_case);
	return all;
}

/* ---- the command line ---- */

static void set_param(char *arg)
{
	char *value = strchr(arg, '=');
	unsigned int i;

	for (i = 0; value && i < nr_params; i++) {
		if (strncmp(params[i].name, arg, value - arg))
			continue;
		*params[i].value = atoi(value + 1);
		return;
	}
	fprintf(stderr, "run: no parameter %s\n", arg);
	exit(2);
}

static void parse(int argc, char **argv)
{
	int opt;

	while ((opt = getopt(argc, argv, "s:c:t:vwx")) != -1) {
		if (opt == 's')
			only_suite = optarg;
		else if (opt == 'c')
			only_case = optarg;
		else if (opt == 't')
			timeout = atoi(optarg);
		else if (opt == 'w')
			sim_init_on_free = true;
		else if (opt == 'x')
			ends_early = true;
		else if (opt == 'v')
			verbose = true;
		else
			exit(2);
	}
	while (optind < argc)
		set_param(argv[optind++]);
}

int main(int argc, char **argv)
{
	unsigned int i;
	bool all = true;

	parse(argc, argv);
	sim_memory_init();
	sim_order_init();
	for (i = 0; i < nr_inits; i++)
		inits[i].init();
	for (i = 0; i < nr_suites; i++)
		all &= run_suite(suites[i]);
	return !all;
}
