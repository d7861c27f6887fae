/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A stand-in for kernels without KUnit: as much of its API as the suites use.
 *
 * All suites run at insmod; their KTAP is read where KUnit's is,
 * /sys/kernel/debug/kunit/<suite>/results.  A failed ASSERT returns from the
 * function it stands in, so it may stand in case functions only.
 */
#ifndef _KPY_KUNIT_STANDIN_H
#define _KPY_KUNIT_STANDIN_H

#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/string.h>
#include <linux/types.h>

#define KUNIT_PARAM_DESC_SIZE 128

struct kunit {
	void *priv;
	const void *param_value;
	const char *name;
	struct kunit_suite *suite;
	bool failed;
};

struct kunit_case {
	void (*run_case)(struct kunit *test);
	const char *name;
	const void *(*generate_params)(const void *prev, char *desc);
};

struct kunit_suite {
	const char *name;
	int (*init)(struct kunit *test);
	void (*exit)(struct kunit *test);
	struct kunit_case *test_cases;
};

void __printf(4, 5) standin_fail(struct kunit *test, const char *file, int line,
				 const char *fmt, ...);
int standin_init(struct kunit_suite *const *suites, unsigned int n);
void standin_exit(void);

#define KUNIT_CASE(fn)			{ .run_case = fn, .name = #fn }
#define KUNIT_CASE_PARAM(fn, gen)	{ .run_case = fn, .name = #fn, .generate_params = gen }

#define KUNIT_ARRAY_PARAM(name, array, get_desc)					\
	static const void *name##_gen_params(const void *prev, char *desc)		\
	{										\
		typeof((array)[0]) *next = prev ? (typeof(next))prev + 1 : (array);	\
											\
		if (next - (array) >= ARRAY_SIZE(array))				\
			return NULL;							\
		get_desc(next, desc);							\
		return next;								\
	}

#define kunit_test_suites(...)								\
	static struct kunit_suite *const standin_suites[] = { __VA_ARGS__ };		\
	static int __init standin_module_init(void)					\
	{										\
		return standin_init(standin_suites, ARRAY_SIZE(standin_suites));	\
	}										\
	static void __exit standin_module_exit(void)					\
	{										\
		standin_exit();								\
	}										\
	module_init(standin_module_init);						\
	module_exit(standin_module_exit)

/* Each check is an expression that says whether it held. */
#define STANDIN_COMPARE(test, left, op, right) ({					\
	typeof(left) __left = (left);							\
	typeof(right) __right = (right);						\
	bool __ok = __left op __right;							\
											\
	if (!__ok)									\
		standin_fail(test, __FILE__, __LINE__,					\
			     "expected %s " #op " %s, but they are %lld and %lld",	\
			     #left, #right, (long long)__left, (long long)__right);	\
	__ok;										\
})

#define STANDIN_TRUE(test, cond) ({							\
	bool __ok = (cond);								\
											\
	if (!__ok)									\
		standin_fail(test, __FILE__, __LINE__, "expected %s", #cond);		\
	__ok;										\
})

#define STANDIN_STREQ(test, left, right) ({						\
	const char *__left = (left);							\
	const char *__right = (right);							\
	bool __ok = !strcmp(__left, __right);						\
											\
	if (!__ok)									\
		standin_fail(test, __FILE__, __LINE__,					\
			     "expected %s to be \"%s\", but it is \"%s\"",		\
			     #left, __right, __left);					\
	__ok;										\
})

#define STANDIN_ASSERT(check) do {							\
	if (!(check))									\
		return;									\
} while (0)

#define KUNIT_FAIL(test, fmt, ...) \
	standin_fail(test, __FILE__, __LINE__, fmt, ##__VA_ARGS__)

#define KUNIT_EXPECT_EQ(test, left, right)	((void)STANDIN_COMPARE(test, left, ==, right))
#define KUNIT_EXPECT_NE(test, left, right)	((void)STANDIN_COMPARE(test, left, !=, right))
#define KUNIT_EXPECT_GT(test, left, right)	((void)STANDIN_COMPARE(test, left, >, right))
#define KUNIT_EXPECT_PTR_EQ(test, left, right)	((void)STANDIN_COMPARE(test, left, ==, right))
#define KUNIT_EXPECT_PTR_NE(test, left, right)	((void)STANDIN_COMPARE(test, left, !=, right))
#define KUNIT_EXPECT_TRUE(test, cond)		((void)STANDIN_TRUE(test, cond))
#define KUNIT_EXPECT_FALSE(test, cond)		((void)STANDIN_TRUE(test, !(cond)))
#define KUNIT_EXPECT_NULL(test, ptr)		((void)STANDIN_TRUE(test, !(ptr)))
#define KUNIT_EXPECT_NOT_NULL(test, ptr)	((void)STANDIN_TRUE(test, !!(ptr)))
#define KUNIT_EXPECT_STREQ(test, left, right)	((void)STANDIN_STREQ(test, left, right))

#define KUNIT_ASSERT_EQ(test, left, right)	\
	STANDIN_ASSERT(STANDIN_COMPARE(test, left, ==, right))
#define KUNIT_ASSERT_TRUE(test, cond)		STANDIN_ASSERT(STANDIN_TRUE(test, cond))
#define KUNIT_ASSERT_NOT_NULL(test, ptr)	STANDIN_ASSERT(STANDIN_TRUE(test, !!(ptr)))

#endif
