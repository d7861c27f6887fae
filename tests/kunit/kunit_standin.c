// SPDX-License-Identifier: GPL-2.0
/* The stand-in's runner; see kunit_standin.h.  Empty where there is KUnit. */
#if !IS_ENABLED(CONFIG_KUNIT)

#include <linux/debugfs.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include "kunit_standin.h"

#define STANDIN_LOG	(64 << 10)

static struct dentry *standin_dir;

/* What each suite said.  Too much of it cuts off cases, and those are missed. */
static struct debugfs_blob_wrapper *logs;
static unsigned int nr_logs;

static __printf(1, 2) void say(const char *fmt, ...)
{
	struct debugfs_blob_wrapper *log = &logs[nr_logs];
	va_list args;

	va_start(args, fmt);
	log->size += vscnprintf(log->data + log->size, STANDIN_LOG - log->size, fmt, args);
	va_end(args);
}

void standin_fail(struct kunit *test, const char *file, int line, const char *fmt, ...)
{
	struct va_format vaf = { .fmt = fmt };
	va_list args;

	va_start(args, fmt);
	vaf.va = &args;
	say("    # %s: %s:%d: %pV\n", test->name, kbasename(file), line, &vaf);
	va_end(args);
	test->failed = true;
}

static bool run_once(struct kunit_suite *suite, struct kunit_case *test_case, const void *param)
{
	struct kunit test = {
		.param_value = param, .name = test_case->name, .suite = suite
	};

	if (suite->init(&test)) {
		say("    # %s: init failed\n", test.name);
		return false;
	}
	test_case->run_case(&test);
	suite->exit(&test);
	return !test.failed;
}

/* A case without a parameter has failed: nothing was tested. */
static bool run_params(struct kunit_suite *suite, struct kunit_case *test_case)
{
	char desc[KUNIT_PARAM_DESC_SIZE];
	const void *param = NULL;
	unsigned int n = 0;
	bool all = true, ok;

	say("        KTAP version 1\n        # Subtest: %s\n", test_case->name);
	while ((param = test_case->generate_params(param, desc))) {
		ok = run_once(suite, test_case, param);
		say("        %sok %u %s\n", ok ? "" : "not ", ++n, desc);
		all &= ok;
	}
	return all && n;
}

static void run_suite(struct kunit_suite *suite)
{
	struct kunit_case *test_case;
	unsigned int n = 0;
	bool all = true, ok;

	say("KTAP version 1\n1..1\n    KTAP version 1\n    # Subtest: %s\n", suite->name);
	for (test_case = suite->test_cases; test_case->run_case; test_case++)
		n++;
	say("    1..%u\n", n);
	n = 0;
	for (test_case = suite->test_cases; test_case->run_case; test_case++) {
		if (test_case->generate_params)
			ok = run_params(suite, test_case);
		else
			ok = run_once(suite, test_case, NULL);
		say("    %sok %u %s\n", ok ? "" : "not ", ++n, test_case->name);
		all &= ok;
	}
	say("%sok 1 %s\n", all ? "" : "not ", suite->name);
}

/* Returns 0 whatever the outcome, as KUnit does. */
int standin_init(struct kunit_suite *const *suites, unsigned int n)
{
	struct dentry *dir;

	logs = kcalloc(n, sizeof(*logs), GFP_KERNEL);
	if (!logs)
		return -ENOMEM;
	standin_dir = debugfs_create_dir("kunit", NULL);
	for (nr_logs = 0; nr_logs < n; nr_logs++) {
		logs[nr_logs].data = kvmalloc(STANDIN_LOG, GFP_KERNEL);
		if (!logs[nr_logs].data)
			break;
		run_suite(suites[nr_logs]);
		dir = debugfs_create_dir(suites[nr_logs]->name, standin_dir);
		debugfs_create_blob("results", 0400, dir, &logs[nr_logs]);
	}
	return 0;
}

void standin_exit(void)
{
	debugfs_remove(standin_dir);
	while (nr_logs--)
		kvfree(logs[nr_logs].data);
	kfree(logs);
}

#endif
